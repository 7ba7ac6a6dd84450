use crate::support::{Broker, lastword, temporary};

#[test]
fn a_topic_is_made_listed_described_changed_and_deleted() {
    let data = temporary();
    let broker = Broker::start(data.path());
    assert_eq!(
        broker
            .run(&[
                "topic",
                "create",
                "orders",
                "-p",
                "3",
                "-c",
                "retention.ms=7d",
                "-c",
                "segment.bytes=16MiB"
            ])
            .ok(),
        "orders  created  3 partitions  retention.ms=604800000  segment.bytes=16777216\n"
    );
    broker.run(&["topic", "create", "prices", "--compact"]).ok();
    broker
        .run_with(&["produce", "prices", "-K:"], "a:1\nb:2\n")
        .ok();

    let list = broker.run(&["topic", "ls"]).ok();
    let rows: Vec<Vec<&str>> = list
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    let header = [
        "NAME", "PARTS", "POLICY", "RECORDS", "KEYS", "LIVE%", "SIZE", "STATE",
    ];
    assert_eq!(rows[0], header);
    assert_eq!(rows[1][..4], ["orders", "3", "delete", "0"]);
    // Without the HTTP address nobody knows more than the offsets.
    assert_eq!(rows[2][..4], ["prices", "1", "compact", "<=2"]);
    assert_eq!(
        broker.run(&["topic", "list", "-q"]).ok(),
        "orders\nprices\n"
    );

    let described = broker.run(&["topic", "describe", "orders"]).ok();
    assert!(described.starts_with("NAME        orders\n"), "{described}");
    assert!(
        described.contains(
            "segment.bytes   16777216  DYNAMIC_TOPIC_CONFIG
"
        ),
        "{described}"
    );
    assert!(!described.contains("max.message.bytes"), "{described}");
    let partitions = broker.run(&["topic", "describe", "prices", "-p"]).ok();
    let row: Vec<&str> = partitions
        .lines()
        .nth(1)
        .expect("a row")
        .split_whitespace()
        .collect();
    assert_eq!(row[4..], ["0", "2", "2", "-"]);

    assert_eq!(
        broker
            .run(&[
                "topic",
                "alter",
                "prices",
                "-s",
                "min.cleanable.dirty.ratio=0.01"
            ])
            .ok(),
        "prices  min.cleanable.dirty.ratio  0.5 -> 0.01\n"
    );
    assert_eq!(
        broker
            .run(&[
                "topic",
                "alter",
                "prices",
                "--delete",
                "min.cleanable.dirty.ratio"
            ])
            .ok(),
        "prices  min.cleanable.dirty.ratio  0.01 -> 0.5\n"
    );
    assert_eq!(
        broker.run(&["topic", "alter", "orders", "-p", "4"]).ok(),
        "orders  partitions  3 -> 4\n"
    );

    assert_eq!(
        broker
            .run(&["topic", "delete", "orders", "prices", "-y"])
            .ok(),
        "orders  deleted\nprices  deleted\n"
    );
    assert_eq!(
        broker.run(&["topic", "ls"]).ok(),
        "NAME  PARTS  POLICY  RECORDS  KEYS  LIVE%  SIZE  STATE\n"
    );
}

#[test]
fn nothing_is_done_on_a_dry_run() {
    let data = temporary();
    let broker = Broker::start(data.path());
    assert_eq!(
        broker
            .run(&["topic", "create", "a", "--dry-run", "-p", "2"])
            .ok(),
        "a  would be created  2 partitions\n"
    );
    assert_eq!(broker.run(&["topic", "ls", "-q"]).ok(), "");
    broker.run(&["topic", "create", "a"]).ok();
    let said = broker
        .run(&[
            "topic",
            "alter",
            "a",
            "-s",
            "retention.ms=1h",
            "-p",
            "5",
            "--dry",
        ])
        .ok();
    assert_eq!(
        said,
        "a  retention.ms  604800000 -> 3600000  (not done: --dry-run)\na  partitions  1 -> 5  (not done: --dry-run)\n"
    );
    assert_eq!(
        broker.run(&["topic", "delete", "a", "--dry-run"]).ok(),
        "a  would be deleted\n"
    );
    let described = broker
        .run(&["topic", "describe", "a", "--format", "json"])
        .ok();
    let described: serde_json::Value = serde_json::from_str(&described).expect("json");
    assert_eq!(described["partition_count"], 1);
    let retention = described["configs"]
        .as_array()
        .expect("configs")
        .iter()
        .find(|c| c["name"] == "retention.ms");
    assert_eq!(retention.expect("retention.ms")["value"], "604800000");
}

#[test]
fn every_exit_code_has_its_cause_and_a_next_step() {
    let data = temporary();
    let broker = Broker::start(data.path());
    broker.run(&["topic", "create", "prices"]).ok();
    assert_eq!(
        broker
            .run(&["topic", "create", "prices", "--if-not-exists"])
            .ok(),
        "prices  exists\n"
    );

    // 4: the broker refused, in its own words.
    let said = broker.run(&["topic", "create", "prices"]).fails(4);
    assert!(
        said.contains("TOPIC_ALREADY_EXISTS") && said.contains("--if-not-exists"),
        "{said}"
    );
    let said = broker.run(&["topic", "create", "b@d"]).fails(4);
    assert!(said.contains("INVALID_TOPIC_EXCEPTION"), "{said}");
    let said = broker
        .run(&["topic", "create", "three", "-r", "3"])
        .fails(4);
    assert!(
        said.contains("INVALID_REPLICATION_FACTOR") && said.contains("leave out -r"),
        "{said}"
    );
    let said = broker
        .run(&["topic", "create", "odd", "-c", "nonsense=1"])
        .fails(4);
    assert!(said.contains("INVALID_CONFIG"), "{said}");
    let said = broker.run(&["consume", "price", "-e"]).fails(4);
    assert!(
        said.contains("there is no topic price") && said.contains("try: prices"),
        "{said}"
    );
    let said = broker
        .run(&["topic", "alter", "prices", "-p", "1"])
        .fails(4);
    assert!(said.contains("INVALID_PARTITIONS"), "{said}");

    // 3: nobody there.
    let nobody = lastword("127.0.0.1:1", &["topic", "ls"], b"").fails(3);
    assert!(
        nobody.contains("cannot reach 127.0.0.1:1") && nobody.contains("lastword serve"),
        "{nobody}"
    );

    // 2: what was typed.
    broker.run(&["topic", "ls", "--no-such-flag"]).fails(2);
    broker
        .run(&["topic", "create", "x", "-c", "segment.bytes=7d"])
        .fails(2);
    broker.run(&["topic", "alter", "prices"]).fails(2);
    broker.run(&["consume", "prices", "-o", "soon"]).fails(2);
    broker.run(&["consume", "prices", "-f", "%q"]).fails(2);
    broker.run(&["consume", "prices", "-p", "7"]).fails(2);
    let said = broker.run(&["topic", "delete", "prices"]).fails(2);
    assert!(said.contains("add -y"), "{said}");

    // Errors are JSON where the answer is.
    let said = broker
        .run(&["topic", "describe", "nope", "--format", "json"])
        .fails(4);
    let said: serde_json::Value = serde_json::from_str(&said).expect("json");
    assert_eq!(said["error"]["code"], "UNKNOWN_TOPIC_OR_PARTITION");
}
