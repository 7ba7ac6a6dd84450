//! `lastword compact` on directories that no broker runs on.

use std::path::Path;

use crate::directory::{Directory, NOW_MS, records, rows, shown};
use crate::support::{Broker, Run, lastword, temporary};

/// Runs the command on a directory whose topics are not described anywhere.
fn compact(path: &Path, more: &[&str]) -> Run {
    let path = path.to_str().expect("path");
    let mut args = vec!["compact", "--data-dir", path];
    args.extend(more);
    lastword("", &args, b"")
}

const COMPACTED: [&str; 2] = ["--set", "cleanup.policy=compact"];

fn two_segments(path: &Path) {
    let directory = Directory::open(path);
    directory.write("prices", 0, &[&records("a=1 b=1 c=1"), &records("a=2 c")]);
    directory.close();
}

#[test]
fn the_last_record_of_every_key_is_left_and_a_line_says_what_went() {
    let data = temporary();
    two_segments(data.path());
    let said = compact(data.path(), &COMPACTED).ok();
    let lines: Vec<&str> = said.lines().collect();
    assert!(
        lines[0].starts_with("prices-0  5 -> 3 records  ") && lines[0].contains("  2 dead  "),
        "{said}"
    );
    assert!(
        lines[1].starts_with("1 log cleaned: 5 -> 3 records  "),
        "{said}"
    );
    assert_eq!(shown(&rows(data.path(), "prices", 0)), "1 b=1, 3 a=2, 4 c");
    let marker = data.path().join(".kafka_cleanshutdown");
    assert!(marker.exists(), "closed in order");
}

#[test]
fn the_clock_is_what_now_says() {
    let data = temporary();
    two_segments(data.path());
    let at = |now_ms: i64| {
        let now = now_ms.to_string();
        let more = ["--now", &now, "--set", "delete.retention.ms=1000"];
        compact(data.path(), &[&COMPACTED[..], &more].concat()).ok()
    };
    at(NOW_MS);
    assert_eq!(shown(&rows(data.path(), "prices", 0)), "1 b=1, 3 a=2, 4 c");
    at(NOW_MS + 999);
    assert_eq!(shown(&rows(data.path(), "prices", 0)), "1 b=1, 3 a=2, 4 c");
    let said = at(NOW_MS + 1000);
    assert!(said.contains("  1 dead  "), "{said}");
    assert_eq!(shown(&rows(data.path(), "prices", 0)), "1 b=1, 3 a=2");
}

#[test]
fn settings_take_units_and_a_slip_is_corrected() {
    let data = temporary();
    two_segments(data.path());
    let young = [
        "--now",
        "1700000000001",
        "--set",
        "min.compaction.lag.ms=7d",
    ];
    let said = compact(data.path(), &[&COMPACTED[..], &young].concat()).ok();
    assert!(
        said.contains(
            "prices-0  nothing to clean: every record is younger than min.compaction.lag.ms"
        ),
        "{said}"
    );
    let said = compact(data.path(), &["--set", "cleanup.polcy=compact"]).fails(2);
    assert_eq!(
        said,
        "error: unknown setting `cleanup.polcy`\n  why: it is neither a topic config nor one of the cleaner's\n  \
         try: --set cleanup.policy=compact\n"
    );
    let said = compact(data.path(), &["--set", "cleanup.policy=compacted"]).fails(2);
    assert!(
        said.contains("cleanup.policy=compacted: items must be of compact, delete"),
        "{said}"
    );
    let said = compact(data.path(), &["--set", "listeners=PLAINTEXT://:1"]).fails(2);
    assert!(said.contains("unknown setting `listeners`"), "{said}");
    assert_eq!(
        rows(data.path(), "prices", 0).len(),
        5,
        "nothing was cleaned"
    );
}

#[test]
fn a_directory_in_use_is_refused() {
    let data = temporary();
    let broker = Broker::start(data.path());
    broker.run(&["topic", "create", "prices", "--compact"]).ok();
    let path = data.path().display();
    assert_eq!(
        compact(data.path(), &[]).fails(2),
        format!(
            "error: cannot clean {path} now\n  why: another process serves this directory, or cleans it\n  \
             try: stop that one first; a running broker cleans by itself\n"
        )
    );
}

#[test]
fn configs_come_from_the_directory_and_the_broker_goes_on_with_it() {
    let data = temporary();
    let broker = Broker::start_with(data.path(), &["--set", "log.cleaner.enable=false"]);
    broker.run(&["topic", "create", "prices", "--compact"]).ok();
    broker.run(&["topic", "create", "visits"]).ok();
    for topic in ["prices", "visits"] {
        broker
            .run_with(&["produce", topic, "-K:"], "a:1\nb:1\n")
            .ok();
        broker
            .run(&["topic", "alter", topic, "-s", "segment.bytes=1048576"])
            .ok();
        // The large one first: whether both come in one batch or in two, a segment ends at the same offset.
        let large = format!("c:{}\na:2\n", "x".repeat(1_000_000));
        broker.run_with(&["produce", topic, "-K:"], &large).ok();
        broker.run_with(&["produce", topic, "-K:"], &large).ok();
    }
    broker.terminate();
    let said = compact(data.path(), &["-t", "prices", "-t", "visits"]).ok();
    assert!(
        said.contains("visits-0  not compacted (cleanup.policy=delete)\n"),
        "{said}"
    );
    assert!(said.contains("prices-0  4 -> 3 records  "), "{said}");
    let broker = Broker::start(data.path());
    let keys = |topic| broker.run(&["consume", topic, "-e", "-f", "%o %k\\n"]).ok();
    assert_eq!(keys("prices"), "1 b\n2 c\n3 a\n4 c\n5 a\n");
    assert_eq!(keys("visits"), "0 a\n1 b\n2 c\n3 a\n4 c\n5 a\n");
}

#[test]
fn an_unknown_topic_is_refused_with_what_there_is() {
    let data = temporary();
    two_segments(data.path());
    let path = data.path().display();
    assert_eq!(
        compact(data.path(), &["--topic", "price"]).fails(2),
        format!(
            "error: there is no topic price in {path}\n  why: it has prices\n  try: --topic prices\n"
        )
    );
    assert_eq!(
        compact(data.path(), &["--topic", "prices:7"]).fails(2),
        format!("error: there is no prices:7 in {path}\n  why: prices has 0\n")
    );
}

#[test]
fn only_the_named_partitions_are_cleaned() {
    let data = temporary();
    let directory = Directory::open(data.path());
    for partition in 0..3 {
        directory.write("prices", partition, &[&records("a=1 a=2")]);
    }
    directory.write("orders", 0, &[&records("a=1 a=2")]);
    directory.close();
    let named = ["--topic", "prices:2", "--topic", "orders"];
    let said = compact(data.path(), &[&COMPACTED[..], &named].concat()).ok();
    assert!(said.contains("2 logs cleaned: 4 -> 2 records  "), "{said}");
    let directory = Directory::open(data.path());
    let count = |topic, partition| directory.rows(topic, partition).len();
    assert_eq!(
        [count("prices", 0), count("prices", 1), count("prices", 2)],
        [2, 2, 1]
    );
    assert_eq!(count("orders", 0), 1);
}

#[test]
fn a_dry_run_says_the_same_numbers_and_changes_no_record() {
    let data = temporary();
    two_segments(data.path());
    let dry = compact(data.path(), &[&COMPACTED[..], &["--dry-run"]].concat()).ok();
    assert!(
        dry.contains("prices-0  5 -> 3 records  ") && dry.contains("  2 would go  "),
        "{dry}"
    );
    assert_eq!(rows(data.path(), "prices", 0).len(), 5);
    compact(data.path(), &COMPACTED).ok();
    assert_eq!(rows(data.path(), "prices", 0).len(), 3);
}

#[test]
fn json_has_the_numbers_of_every_log() {
    let data = temporary();
    two_segments(data.path());
    let said = compact(
        data.path(),
        &[&COMPACTED[..], &["--format", "json"]].concat(),
    )
    .ok();
    let document: serde_json::Value = serde_json::from_str(&said).expect("one document");
    let log = &document["logs"][0];
    assert_eq!(
        (&log["topic"], &log["partition"]),
        (&"prices".into(), &0.into())
    );
    assert_eq!(log["outcome"], "cleaned");
    assert_eq!(
        (&log["before"]["records"], &log["after"]["records"]),
        (&5.into(), &3.into())
    );
    assert_eq!(log["dead"]["superseded"], 2);
    assert_eq!(document["total"]["dead_records"], 2);
    let said = compact(data.path(), &["--format", "json", "--topic", "x"]).fails(2);
    let error: serde_json::Value = serde_json::from_str(&said).expect("one document");
    assert_eq!(error["error"]["code"], "UNKNOWN_TOPIC");
}

#[test]
fn a_damaged_log_is_named_and_the_others_are_cleaned() {
    let data = temporary();
    let directory = Directory::open(data.path());
    for topic in ["first", "second", "third"] {
        directory.write(topic, 0, &[&records("a=1 a=2"), &records("b=1 b=2")]);
    }
    directory.close();
    let file = data.path().join("second-0/00000000000000000000.log");
    let mut bytes = std::fs::read(&file).expect("segment");
    let last = bytes.len() - 2;
    bytes[last] ^= 0x10;
    std::fs::write(&file, bytes).expect("segment");
    let run = compact(data.path(), &COMPACTED);
    assert!(run.out.contains("first-0  4 -> 2 records  "), "{}", run.out);
    // Its other segment is cleaned.
    assert!(
        run.out.contains("second-0  2 -> 1 records  "),
        "{}",
        run.out
    );
    let damage = "second-0/00000000000000000000.log at position 0: ";
    let line = format!("second-0  DAMAGED, left as it is: {damage}");
    assert!(run.out.contains(&line), "{}", run.out);
    assert!(run.out.contains("third-0  4 -> 2 records  "), "{}", run.out);
    let said = run.fails(1);
    let start = format!("error: 1 of 3 logs could not be cleaned whole\n  why: second-0: {damage}");
    assert!(said.starts_with(&start), "{said}");
    assert_eq!(rows(data.path(), "third", 0).len(), 2);
}

#[test]
fn what_is_no_log_directory_stays_untouched() {
    let data = temporary();
    let said = compact(data.path(), &[]).fails(2);
    assert!(said.contains("is no log directory"), "{said}");
    assert_eq!(std::fs::read_dir(data.path()).expect("list").count(), 0);
    let missing = data.path().join("missing");
    assert!(
        compact(&missing, &[])
            .fails(2)
            .contains("cannot open the directory")
    );
    assert!(!missing.exists());
}

#[test]
fn a_bar_is_drawn_only_when_somebody_looks() {
    let data = temporary();
    two_segments(data.path());
    let drawn = compact(
        data.path(),
        &[&COMPACTED[..], &["--progress", "always"]].concat(),
    );
    assert!(
        drawn.err.contains("/1 logs") && drawn.err.ends_with("\r\x1b[K"),
        "{}",
        drawn.err
    );
    assert_eq!(compact(data.path(), &COMPACTED).err, "", "not a terminal");
}
