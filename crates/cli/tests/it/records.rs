use crate::support::{Broker, temporary};

#[test]
fn every_way_to_name_a_range_reads_that_range() {
    let data = temporary();
    let broker = Broker::start(data.path());
    broker.run(&["topic", "create", "ten"]).ok();
    broker
        .run_with(&["produce", "ten"], "0\n1\n2\n3\n4\n5\n6\n7\n8\n9\n")
        .ok();
    for (args, expected) in [
        (&["-e"][..], "0123456789"),
        (&["-o", ":end"], "0123456789"),
        (&["-o", "4:7"], "456"),
        (&["-o", "4:+2"], "45"),
        (&["-o", "-3", "-e"], "789"),
        (&["-o", "+8", "-e"], "89"),
        (&["-o", "end", "-e"], ""),
        (&["-o", "99", "-e"], ""),
        (&["-o", "2", "-n", "3"], "234"),
        (&["--from-beginning", "--max-messages", "2"], "01"),
        (&["-o", "@-1h:end"], "0123456789"),
        (&["-o", "@1000:2000"], ""),
    ] {
        let mut all = vec!["consume", "ten", "-f", "%v"];
        all.extend(args);
        assert_eq!(broker.run(&all).ok(), expected, "{args:?}");
    }
}

#[test]
fn json_lines_go_round_with_tombstones_headers_and_bytes() {
    let data = temporary();
    let broker = Broker::start(data.path());
    broker.run(&["topic", "create", "a", "b", "--compact"]).ok();
    let input = b"text\x01plain\nbytes\x01\xff\xfe\nempty\x01\n";
    broker
        .run_with_bytes(
            &[
                "produce",
                "a",
                "-K",
                "\u{1}",
                "-H",
                "source=test",
                "-H",
                "x:y=z",
            ],
            input,
        )
        .ok();
    broker
        .run_with(&["produce", "a", "-k", "gone", "-Z"], "")
        .ok();
    let jsonl = ["consume", "a", "-e", "-f", "jsonl"];
    let first = broker.run(&jsonl).ok();
    assert!(first.contains("{\"base64\":\"//4=\"}"), "{first}");
    assert_eq!(
        broker.run_with(&["produce", "b", "--jsonl"], &first).ok(),
        "4 records to b-0, offsets 0..3\n"
    );
    let second = broker.run(&["consume", "b", "-e", "-J"]).ok();
    assert_eq!(second.replace("\"topic\":\"b\"", "\"topic\":\"a\""), first);
}

#[test]
fn what_a_format_string_writes_it_reads_back() {
    let data = temporary();
    let broker = Broker::start(data.path());
    broker.run(&["topic", "create", "a", "b"]).ok();
    broker
        .run_with(&["produce", "a", "-K:"], "k:v w\n:only value\nlong key:\n")
        .ok();
    let format = "%K %k%V %v\\n";
    let first = broker.run(&["consume", "a", "-e", "-f", format]).ok();
    broker
        .run_with(&["produce", "b", "-f", format], &first)
        .ok();
    assert_eq!(
        broker.run(&["consume", "b", "-e", "-f", format]).ok(),
        first
    );
}

#[test]
fn every_codec_is_written_and_read() {
    let data = temporary();
    let broker = Broker::start(data.path());
    let lines: String = (0..500).map(|n| format!("value {n}\n")).collect();
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        broker.run(&["topic", "create", codec]).ok();
        assert_eq!(
            broker
                .run_with(&["produce", codec, "-z", codec], &lines)
                .ok(),
            format!("500 records to {codec}-0, offsets 0..499\n")
        );
        assert_eq!(
            broker.run(&["consume", codec, "-e", "-f", "%v\\n"]).ok(),
            lines
        );
        let seen = broker
            .run(&["consume", codec, "-n", "1", "-f", "%a{compression}"])
            .ok();
        assert_eq!(seen, codec);
    }
}

#[test]
fn a_key_goes_where_the_java_client_puts_it_and_stays_in_order() {
    let data = temporary();
    let broker = Broker::start(data.path());
    broker.run(&["topic", "create", "orders", "-p", "5"]).ok();
    let lines: String = (0..1000).map(|n| format!("key-{}:{n}\n", n % 50)).collect();
    broker.run_with(&["produce", "orders", "-K:"], &lines).ok();
    // The hashes that Java's murmur2 has for these keys, sign bit cleared, over five partitions.
    for (key, hash) in [
        ("21", -973_932_308),
        ("foobar", -790_332_482),
        ("abc", 479_470_107),
    ] {
        let acknowledged = broker
            .run_with(&["produce", "orders", "-k", key, "-o", "%p"], "x\n")
            .ok();
        assert_eq!(acknowledged, ((hash & 0x7fff_ffff) % 5).to_string());
    }
    let read = broker
        .run(&["consume", "orders", "-e", "-f", "%k %v\\n"])
        .ok();
    let mut last = std::collections::BTreeMap::new();
    for line in read.lines().filter(|line| line.starts_with("key-")) {
        let (key, value) = line.split_once(' ').expect("two parts");
        let value: u32 = value.parse().expect("a number");
        assert!(
            last.insert(key.to_owned(), value)
                .is_none_or(|before| before < value),
            "{line}"
        );
    }
    assert_eq!(last.len(), 50);
}

#[test]
fn a_record_without_a_key_is_refused_by_a_compacted_topic_with_the_way_out() {
    let data = temporary();
    let broker = Broker::start(data.path());
    broker.run(&["topic", "create", "prices", "--compact"]).ok();
    let said = broker.run_with(&["produce", "prices"], "no key\n").fails(4);
    assert!(
        said.contains("INVALID_RECORD") && said.contains("-K DELIM"),
        "{said}"
    );
    let said = broker
        .run_with(&["produce", "prices", "-K:"], "a:1\nno delimiter\n")
        .fails(2);
    assert!(said.contains("record 2 of the input"), "{said}");
    // What came before the bad line is there.
    assert_eq!(
        broker
            .run(&["consume", "prices", "-e", "-f", "%k=%v\\n"])
            .ok(),
        "a=1\n"
    );
}

#[test]
fn many_records_in_many_batches_arrive_once_each() {
    let data = temporary();
    let broker = Broker::start(data.path());
    broker.run(&["topic", "create", "many"]).ok();
    let lines: String = (0..30_000).map(|n| format!("{n:0100}\n")).collect();
    let said = broker
        .run_with(&["produce", "many", "-z", "lz4"], &lines)
        .ok();
    assert_eq!(said, "30000 records to many-0, offsets 0..29999\n");
    assert_eq!(
        broker.run(&["consume", "many", "-e", "-f", "%v\\n"]).ok(),
        lines
    );
}

#[test]
fn only_the_frame_is_printed_on_request() {
    let data = temporary();
    let broker = Broker::start(data.path());
    broker.run(&["topic", "create", "a"]).ok();
    broker
        .run_with(&["produce", "a", "-K:"], "key:value\n")
        .ok();
    let line = broker
        .run(&["consume", "a", "-e", "-J", "--meta-only"])
        .ok();
    assert!(line.contains("\"key_size\":3,\"value_size\":5}"), "{line}");
    assert_eq!(
        broker
            .run(&[
                "consume",
                "a",
                "-e",
                "--print-key",
                "--key-separator",
                " -> "
            ])
            .ok(),
        "key -> value\n"
    );
}
