//! Groups: true lag, seeking, and reading on where a group was.

use serde_json::Value;

use crate::support::{Broker, temporary};

/// A compacted topic of 30 records of three keys, cleaned, and one more; `app` has committed 5.
fn scene(data: &std::path::Path) -> Broker {
    let broker = Broker::start_with(data, &["--http", "127.0.0.1:0"]);
    let http = broker.http();
    broker.run(&["topic", "create", "prices", "--compact"]).ok();
    let lines: String = (0..10)
        .map(|round| format!("a:{round}\nb:{round}\nc:{round}\n"))
        .collect();
    broker.run_with(&["produce", "prices", "-K:"], &lines).ok();
    let read = broker
        .run(&["consume", "prices", "-g", "app", "-n", "5", "-f", "%o "])
        .ok();
    assert_eq!(read, "0 1 2 3 4 ");
    let compact = ["compact", "prices", "--roll", "--wait", "--http", &http];
    broker.run(&compact).ok();
    broker
        .run_with(&["produce", "prices", "-K:"], "b:last\n")
        .ok();
    broker
}

fn words(text: &str) -> Vec<Vec<&str>> {
    text.lines()
        .map(|line| line.split_whitespace().collect())
        .collect()
}

#[test]
fn true_lag_is_what_exists_between_the_committed_offset_and_the_end() {
    let data = temporary();
    let broker = scene(data.path());
    let http = broker.http();
    let described = broker
        .run(&["group", "describe", "app", "--http", &http])
        .ok();
    assert_eq!(
        described,
        "GROUP     app\nSTATE     Empty\nTYPE      classic\nMEMBERS   0\nLAG       26\nTRUE-LAG  4\n\n\
         GROUP  TOPIC   PARTITION  CURRENT-OFFSET  LOG-END-OFFSET  LAG  TRUE-LAG  CONSUMER-ID  HOST  CLIENT-ID\n\
         app    prices          0               5              31   26         4            -     -          -\n"
    );
    let listed = broker.run(&["group", "ls", "--http", &http]).ok();
    assert_eq!(
        words(&listed)[1],
        ["app", "Empty", "classic", "0", "26", "4"]
    );
    let json = [
        "group", "describe", "app", "--http", &http, "--format", "json",
    ];
    let json: Value = serde_json::from_str(&broker.run(&json).ok()).expect("JSON");
    let group = &json["groups"][0];
    assert_eq!(
        (group["lag"].as_i64(), group["true_lag"].as_i64()),
        (Some(26), Some(4))
    );
    // It is what is really left.
    let left = broker
        .run(&["consume", "prices", "-g", "app", "-e", "-f", "%o %k=%v\n"])
        .ok();
    assert_eq!(left, "27 a=9\n28 b=9\n29 c=9\n30 b=last\n");
    let described = broker
        .run(&["group", "describe", "app", "--http", &http])
        .ok();
    assert!(
        described.contains("LAG       0\nTRUE-LAG  0\n"),
        "{described}"
    );

    let described = broker.run(&["group", "describe", "prices-app", "--http", &http]);
    let said = described.fails(4);
    assert!(said.contains("GROUP_ID_NOT_FOUND"), "{said}");
}

#[test]
fn topics_are_listed_with_what_exists_and_in_any_order() {
    let data = temporary();
    let broker = scene(data.path());
    let http = broker.http();
    broker.run(&["topic", "create", "big", "-p", "2"]).ok();
    let lines = "x\n".repeat(400);
    broker.run_with(&["produce", "big", "-p", "1"], &lines).ok();
    let listed = |more: &[&str]| {
        broker
            .run(&[&["topic", "ls", "--http", &http], more].concat())
            .ok()
    };
    let text = listed(&["--bytes"]);
    let rows = words(&text);
    assert_eq!(
        rows[0],
        [
            "NAME", "PARTS", "POLICY", "RECORDS", "KEYS", "LIVE%", "SIZE", "STATE"
        ]
    );
    assert_eq!(rows[1][..5], ["big", "2", "delete", "400", "-"]);
    assert_eq!(rows[1][7], "delete-policy");
    assert_eq!(rows[2][..5], ["prices", "1", "compact", "4", "3"]);
    assert_eq!(rows[2][7], "active-segment");
    let first = |more: &[&str]| words(&listed(more))[1][0].to_owned();
    for (sort, expected) in [
        ("name", "big"),
        ("size", "big"),
        ("records", "big"),
        ("keys", "prices"),
        ("dirty", "prices"),
    ] {
        assert_eq!(first(&["--sort", sort]), expected, "{sort}");
    }
    assert_eq!(words(&listed(&["-r", "pri.*"])).len(), 2);
    assert_eq!(first(&["-r", "__consumer.*", "-i"]), "__consumer_offsets");
    let json: Value = serde_json::from_str(&listed(&["prices", "--format", "json"])).expect("JSON");
    let prices = &json["topics"][0];
    assert_eq!(
        (prices["offsets"].as_i64(), prices["records"].as_i64()),
        (Some(31), Some(4))
    );
    let partitions = broker
        .run(&["topic", "describe", "prices", "-p", "--http", &http])
        .ok();
    assert_eq!(words(&partitions)[1].last(), Some(&"4"));

    // Counts of another cluster are not taken for this one's.
    let other = temporary();
    let other = Broker::start_with(other.path(), &["--http", "127.0.0.1:0"]);
    let said = broker
        .run(&["topic", "ls", "--http", &other.http()])
        .fails(2);
    assert!(said.contains("is of another broker"), "{said}");
}

#[test]
fn a_group_is_moved_to_every_place_that_has_a_name() {
    let data = temporary();
    let broker = Broker::start(data.path());
    broker
        .run(&[
            "topic",
            "create",
            "orders",
            "-p",
            "2",
            "-c",
            "retention.ms=-1",
        ])
        .ok();
    for second in 0..10 {
        let line = format!(
            r#"{{"value":"v","timestamp":{}}}"#,
            1_700_000_000_000i64 + second * 1000
        );
        broker
            .run_with(&["produce", "orders", "--jsonl", "-p", "0"], &line)
            .ok();
    }
    broker
        .run(&["consume", "orders", "-g", "app", "-e", "-n", "4", "-f", ""])
        .ok();
    let to = |args: &[&str]| {
        let said = broker.run(&[&["group", "seek", "app"], args].concat()).ok();
        let row = words(&said)
            .into_iter()
            .find(|row| row[1] == "orders" && row[2] == "0");
        row.expect("a row")[3..].join(" ")
    };
    for (args, expected) in [
        (&["--to", "end", "--dry-run"][..], "4 10"),
        (&["--to", "end"], "4 10"),
        (&["--to", "start"], "10 0"),
        (&["--to", "7"], "0 7"),
        (&["--to", "+2"], "7 9"),
        (&["--to", "-5"], "9 4"),
        (&["--to", "99"], "4 10"),
        (&["--to", "@1700000003"], "10 3"),
        (&["--to", "@2023-11-14T22:13:26Z"], "3 6"),
        (&["--to", "-1h"], "6 10"),
        (&["--to", "beginning", "--topic", "orders:0"], "10 0"),
    ] {
        assert_eq!(to(args), expected, "{args:?}");
    }
    let said = broker
        .run(&["group", "seek", "other", "--to", "3", "--topic", "orders:0"])
        .ok();
    assert_eq!(words(&said)[1], ["other", "orders", "0", "-", "3"]);
    assert_eq!(to(&["--to-group", "other"]), "0 3");
    let said = broker
        .run(&["group", "seek", "app", "--to", "nowhere"])
        .fails(2);
    assert!(said.contains("is no place"), "{said}");

    let said = broker
        .run(&[
            "group",
            "offset-delete",
            "app",
            "--topic",
            "orders:0",
            "--dry-run",
        ])
        .ok();
    assert_eq!(said, "app  orders-0  3  would be forgotten\n");
    broker
        .run(&["group", "offset-delete", "app", "--topic", "orders:0"])
        .fails(2);
    let said = broker
        .run(&["group", "offset-delete", "app", "--topic", "orders", "-y"])
        .ok();
    assert_eq!(said.lines().next(), Some("app  orders-0  3  forgotten"));
    broker.run(&["group", "delete", "other"]).fails(2);
    assert_eq!(
        broker.run(&["group", "delete", "other", "-d"]).ok(),
        "other  would be deleted\n"
    );
    assert_eq!(
        broker.run(&["group", "delete", "other", "-y"]).ok(),
        "other  deleted\n"
    );
    let said = broker.run(&["group", "delete", "othr", "-y"]).fails(4);
    assert!(said.contains("GROUP_ID_NOT_FOUND"), "{said}");
}

#[test]
fn reading_goes_on_where_the_group_was() {
    let data = temporary();
    let broker = Broker::start(data.path());
    broker.run(&["topic", "create", "t", "-p", "2"]).ok();
    broker
        .run_with(&["produce", "t", "-p", "0"], "a\nb\nc\n")
        .ok();
    broker.run_with(&["produce", "t", "-p", "1"], "x\n").ok();
    let read = |args: &[&str]| {
        broker
            .run(&[&["consume", "t", "-g", "g", "-f", "%v"], args].concat())
            .ok()
    };
    assert_eq!(read(&["-p", "0", "-n", "2"]), "ab");
    assert_eq!(read(&["-p", "0", "-e"]), "c");
    assert_eq!(read(&["-e"]), "x");
    assert_eq!(read(&["-e"]), "");
    broker.run_with(&["produce", "t", "-p", "1"], "y\n").ok();
    assert_eq!(read(&["-e", "-o", "stored"]), "y");
    assert_eq!(read(&["-e", "--from-beginning", "-p", "0"]), "abc");
    let said = broker.run(&["consume", "t", "-o", "stored", "-e"]).fails(2);
    assert!(said.contains("-g GROUP"), "{said}");
}
