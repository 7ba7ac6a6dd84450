//! What fingers of other tools type, and what comes of it: rpk's, kcat's and Kafka's spellings of the same.

use crate::support::{Broker, Run, temporary};

/// Arguments, input, exit code, standard output.
type Row = (&'static [&'static str], &'static str, i32, &'static str);

const ROWS: &[Row] = &[
    // Topics.
    (
        &["topic", "create", "a", "b", "-p", "2", "-r", "1"],
        "",
        0,
        "a  created  2 partitions\nb  created  2 partitions\n",
    ),
    (
        &[
            "topics",
            "create",
            "c",
            "--compact",
            "--config",
            "segment.bytes=2MiB",
        ],
        "",
        0,
        "c  created  1 partition  cleanup.policy=compact  segment.bytes=2097152\n",
    ),
    (
        &["topic", "create", "c", "--if-not-exists"],
        "",
        0,
        "c  exists\n",
    ),
    (&["topic", "create", "c"], "", 4, ""),
    (
        &["topic", "create", "d", "--dry-run"],
        "",
        0,
        "d  would be created  1 partition\n",
    ),
    (
        &["topic", "create", "d", "--replication-factor", "3"],
        "",
        4,
        "",
    ),
    (&["topic", "list", "-q"], "", 0, "a\nb\nc\n"),
    (&["topic", "ls", "-q", "-r", "[ab]"], "", 0, "a\nb\n"),
    (&["topic", "ls", "-q", "-r", "["], "", 2, ""),
    (
        &["topic", "alter", "c", "-s", "retention.ms=1h"],
        "",
        0,
        "c  retention.ms  604800000 -> 3600000\n",
    ),
    (
        &["topic", "alter", "c", "--delete", "retention.ms"],
        "",
        0,
        "c  retention.ms  3600000 -> 604800000\n",
    ),
    (
        &[
            "topic",
            "alter-config",
            "c",
            "--set",
            "min.cleanable.dirty.ratio=0.1",
            "--dry",
        ],
        "",
        0,
        "c  min.cleanable.dirty.ratio  0.5 -> 0.1  (not done: --dry-run)\n",
    ),
    (&["topic", "alter", "c", "-s", "no.such=1"], "", 4, ""),
    // Producing.
    (
        &["produce", "a", "-p", "0"],
        "one\ntwo\n",
        0,
        "2 records to a-0, offsets 0..1\n",
    ),
    (
        &["topic", "produce", "a", "-p", "0", "-K", "\\t"],
        "k\tv\n",
        0,
        "1 record to a-0, offset 2\n",
    ),
    (
        &[
            "produce", "a", "-p", "0", "-k", "key", "-H", "x=1", "-H", "y:2",
        ],
        "v\n",
        0,
        "1 record to a-0, offset 3\n",
    ),
    (
        &["produce", "a", "-p", "0", "-K:", "--null-marker", "NULL"],
        "t:NULL\n",
        0,
        "1 record to a-0, offset 4\n",
    ),
    (
        &["produce", "a", "-p", "0", "-K:", "-Z"],
        "e:\n",
        0,
        "1 record to a-0, offset 5\n",
    ),
    (
        &["produce", "a", "-p", "0", "-f", "%k=%v\n", "-z", "zstd"],
        "f=g\n",
        0,
        "1 record to a-0, offset 6\n",
    ),
    (
        &["produce", "a", "-p", "0", "--jsonl", "--codec", "lz4"],
        "{\"key\":{\"base64\":\"/w==\"},\"value\":null}\n",
        0,
        "1 record to a-0, offset 7\n",
    ),
    (
        &["produce", "a", "-p", "0", "-o", "%p %o\n"],
        "last\n",
        0,
        "0 8\n",
    ),
    (&["produce", "a", "-p", "0", "-k", "a", "-K:"], "", 2, ""),
    (&["produce", "a", "-l", "/no/such/file"], "", 2, ""),
    (&["produce", "nowhere"], "x\n", 4, ""),
    (&["produce", "a", "-p", "9"], "x\n", 2, ""),
    // Consuming.
    (
        &["consume", "a", "-e", "-f", "%o "],
        "",
        0,
        "0 1 2 3 4 5 6 7 8 ",
    ),
    (
        &[
            "consume",
            "a",
            "--exit",
            "-o",
            "beginning",
            "--max-messages",
            "2",
            "-f",
            "%v,",
        ],
        "",
        0,
        "one,two,",
    ),
    (
        &[
            "consume",
            "a",
            "-e",
            "--from-beginning",
            "-n",
            "1",
            "-f",
            "%s %S",
        ],
        "",
        0,
        "one 3",
    ),
    (
        &[
            "consume", "a", "-e", "-o", "earliest", "-p", "0", "-n", "1", "-f", "raw",
        ],
        "",
        0,
        "one\n",
    ),
    (
        &["consume", "a", "-e", "-o", "-2", "-p", "0", "-f", "%o "],
        "",
        0,
        "7 8 ",
    ),
    (
        &["consume", "a", "-o", "2:4", "-p", "0", "-f", "%o "],
        "",
        0,
        "2 3 ",
    ),
    (
        &[
            "consume",
            "a",
            "-o",
            ":end",
            "--partitions",
            "0,1",
            "-f",
            "%o ",
        ],
        "",
        0,
        "0 1 2 3 4 5 6 7 8 ",
    ),
    (
        &[
            "consume",
            "a",
            "-e",
            "-o",
            "2",
            "-p",
            "0",
            "-n",
            "1",
            "--print-key",
        ],
        "",
        0,
        "k\tv\n",
    ),
    (
        &[
            "consume",
            "a",
            "-e",
            "-o",
            "2",
            "-p",
            "0",
            "-n",
            "1",
            "--print-key",
            "--key-separator",
            ":",
        ],
        "",
        0,
        "k:v\n",
    ),
    (
        &[
            "consume",
            "a",
            "-e",
            "-o",
            "3",
            "-p",
            "0",
            "-n",
            "1",
            "-f",
            "%h{%k=%v;}",
        ],
        "",
        0,
        "x=1;y=2;",
    ),
    (
        &[
            "consume",
            "a",
            "-e",
            "-o",
            "8",
            "-p",
            "0",
            "--read-committed",
            "-f",
            "%v",
        ],
        "",
        0,
        "last",
    ),
    (
        &[
            "topic", "consume", "a", "-o", "4:5", "-p", "0", "-f", "%k[%v]",
        ],
        "",
        0,
        "t[]",
    ),
    (&["consume", "a", "-o", "42:2"], "", 2, ""),
    (&["consume", "a", "-o", "soon"], "", 2, ""),
    (&["consume", "a", "-p", "7", "-e"], "", 2, ""),
    (&["consume", "nowhere", "-e"], "", 4, ""),
    // Tombstones.
    (
        &["produce", "c", "-K:"],
        "k:1\nl:1\nk:2\n",
        0,
        "3 records to c-0, offsets 0..2\n",
    ),
    (
        &["consume", "c", "--state", "-e", "-f", "%o %k=%v\n"],
        "",
        0,
        "1 l=1\n2 k=2\n",
    ),
    (
        &["consume", "c@state", "-e", "-f", "%o %k=%v\n"],
        "",
        0,
        "1 l=1\n2 k=2\n",
    ),
    // Offsets and trimming.
    (
        &["topic", "offsets", "a", "-p", "0"],
        "",
        0,
        "PARTITION  START  LAST-STABLE  END\n        0      0            9    9\n",
    ),
    (
        &["topic", "trim", "a", "-o", "3", "-p", "0", "-d"],
        "",
        0,
        "a-0  starts at 0 -> 3  (not done: --dry-run)\n",
    ),
    (&["topic", "trim", "a", "-o", "3", "-p", "0"], "", 2, ""),
    (
        &["topic", "trim", "a", "-o", "3", "-p", "0", "-y"],
        "",
        0,
        "a-0  starts at 0 -> 3\n",
    ),
    (
        &["topic", "trim-prefix", "a", "--before", "@-1h", "-y"],
        "",
        0,
        "a  nothing is before that\n",
    ),
    (
        &["topic", "trim", "a", "-o", "99", "-p", "0", "-y"],
        "",
        4,
        "",
    ),
    (
        &["topic", "trim", "a", "-o", "end", "-p", "0", "-y"],
        "",
        0,
        "a-0  starts at 3 -> 9\n",
    ),
    (&["topic", "trim", "a", "-o", "soon", "-y"], "", 2, ""),
    (
        &["topic", "offsets", "a", "-p", "0", "--at", "2000-01-01"],
        "",
        0,
        "PARTITION  START  LAST-STABLE  END  AT\n        0      9            9    9   -\n",
    ),
    // Deleting.
    (&["topic", "delete", "b"], "", 2, ""),
    (
        &["topic", "delete", "b", "--no-confirm"],
        "",
        0,
        "b  deleted\n",
    ),
    (
        &["topic", "delete", "b", "--if-exists", "-y"],
        "",
        0,
        "b  not there\n",
    ),
    (
        &["topic", "delete", "-r", "a|z.*", "-y"],
        "",
        0,
        "a  deleted\n",
    ),
    (&["topic", "delete", "nowhere", "-y"], "", 4, ""),
];

#[test]
fn every_spelling_of_the_table_does_what_it_says() {
    let data = temporary();
    let broker = Broker::start(data.path());
    for (args, input, code, expected) in ROWS {
        let Run {
            code: got,
            out,
            err,
        } = broker.run_with(args, input);
        let shown = args.join(" ");
        assert_eq!(got, *code, "lastword {shown}\nout: {out}\nerr: {err}");
        assert_eq!(out, *expected, "lastword {shown}\nerr: {err}");
        match code {
            0 => assert!(!err.contains("error"), "lastword {shown}: {err}"),
            _ => assert!(err.contains("error: "), "lastword {shown}: {err}"),
        }
    }
}

#[test]
fn tombstones_and_bytes_are_seen_in_json_and_the_start_is_said() {
    let data = temporary();
    let broker = Broker::start(data.path());
    // The records are old.
    broker
        .run(&["topic", "create", "t", "-c", "retention.ms=-1"])
        .ok();
    let input = "{\"key\":{\"base64\":\"/wA=\"},\"value\":null,\"timestamp\":1700000000000}\n{\"key\":\"k\",\"value\":\"\",\"timestamp\":1700000000001}\n";
    broker
        .run_with(&["produce", "t", "--jsonl", "-q"], input)
        .ok();
    let read = broker.run(&["consume", "t", "-e", "-J"]).ok();
    assert_eq!(
        read,
        "{\"topic\":\"t\",\"partition\":0,\"offset\":0,\"timestamp\":1700000000000,\"key\":{\"base64\":\"/wA=\"},\"value\":null,\"tombstone\":true}\n\
         {\"topic\":\"t\",\"partition\":0,\"offset\":1,\"timestamp\":1700000000001,\"key\":\"k\",\"value\":\"\"}\n"
    );
    // Nothing more comes: the pipe is closed after the first line.
    let run = broker.run(&["consume", "t", "-n", "2", "-f", "%o"]);
    assert_eq!(
        (run.code, run.out.as_str(), run.err.as_str()),
        (0, "01", "")
    );
}
