//! Settings: where they come from, which one wins, and what is said of those that are wrong.

use std::path::Path;
use std::process::Output;

use crate::support::{Broker, command, temporary};

/// Runs the binary in a directory, with these variables.
fn in_dir(dir: &Path, variables: &[(&str, &str)], args: &[&str]) -> (i32, String, String) {
    let mut command = command(args);
    command.current_dir(dir).envs(variables.iter().copied());
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().expect("run");
    (
        status.code().unwrap_or(-1),
        String::from_utf8(stdout).expect("text"),
        String::from_utf8(stderr).expect("text"),
    )
}

fn write(dir: &Path, text: &str) {
    std::fs::write(dir.join("server.properties"), text).expect("file");
}

#[test]
fn a_check_names_all_that_is_wrong_with_file_and_line_and_ends_with_1() {
    let dir = temporary();
    write(
        dir.path(),
        "# mine\nnum.partition=3\nlog.segment.bytes=64MB\nlog.cleaner.threads=two\n\
         zookeeper.connect=localhost:2181\nlog.roll.ms=soon\ndefault.replication.factor=3\n",
    );
    let (code, out, err) = in_dir(
        dir.path(),
        &[
            ("KAFKA_NUM_IO_THREADS", "8"),
            ("KAFKA_LOG_RETENTION_MS", "-7"),
            ("KAFKA_HEAP_OPTS", "-Xmx1g"),
        ],
        &["config", "check", "--set", "log.cleanup.policy=shrink"],
    );
    assert_eq!(
        out,
        "./server.properties:2: error: num.partition: unknown setting; did you mean num.partitions?\n\
         ./server.properties:4: error: log.cleaner.threads: not a number of type int\n\
         ./server.properties:6: error: log.roll.ms: `soon` is no time (a number, or 500ms, 90s, 15m, 24h, 7d)\n\
         ./server.properties:7: warning: default.replication.factor: there is one broker, and so one copy\n\
         environment KAFKA_LOG_RETENTION_MS: error: log.retention.ms: must be at least -1\n\
         --set: error: log.cleanup.policy: items must be of compact, delete\n\
         ignored 3 settings of Kafka's without meaning on one broker: default.replication.factor, num.io.threads, zookeeper.connect\n\
         ./server.properties: 8 settings, 5 errors, 1 warning\n",
        "{err}"
    );
    assert_eq!(code, 1);
    assert!(
        err.contains("error: ./server.properties has 5 errors"),
        "{err}"
    );

    let (code, out, _) = in_dir(dir.path(), &[], &["config", "check", "--format", "json"]);
    assert_eq!(code, 1);
    assert!(
        out.contains(r#"{"severity":"error","name":"num.partition","message":"unknown setting; did you mean num.partitions?","origin":"./server.properties:2"}"#),
        "{out}"
    );

    write(
        dir.path(),
        "num.partitions=3\nlog.segment.bytes=64MiB\nlog.retention.ms=7d\n",
    );
    let (code, out, err) = in_dir(dir.path(), &[], &["config", "check"]);
    assert_eq!((code, err.as_str()), (0, ""));
    assert_eq!(
        out,
        "./server.properties: 3 settings, 0 errors, 0 warnings\n"
    );

    let (code, _, err) = in_dir(dir.path(), &[], &["config", "check", "nowhere.properties"]);
    assert_eq!(code, 2);
    assert!(err.contains("cannot read nowhere.properties"), "{err}");
}

#[test]
fn a_segment_that_no_disk_holds_is_an_error() {
    let dir = temporary();
    let disk = disk_bytes(dir.path());
    // An int in Kafka: only a small disk can be too small for it.
    let (code, out, _) = in_dir(
        dir.path(),
        &[],
        &[
            "config",
            "check",
            "--set",
            "log.segment.bytes=2147483647",
            "--set",
            "log.dirs=here",
        ],
    );
    let is_too_large = disk <= 2_147_483_647;
    assert_eq!(
        (code == 1, out.contains("does not fit the disk")),
        (is_too_large, is_too_large),
        "{out}"
    );
}

/// Of the file system of this directory, as `df` counts it.
fn disk_bytes(dir: &Path) -> u64 {
    let mut df = std::process::Command::new("df");
    let df = df.args(["-B", "1", "--output=size"]).arg(dir).output();
    let mut size = String::from_utf8(df.expect("df").stdout).expect("text");
    size.retain(|c| c.is_ascii_digit());
    size.parse().expect("a number of bytes")
}

#[test]
fn print_shows_where_each_value_comes_from_and_is_a_file_again_without() {
    let dir = temporary();
    write(
        dir.path(),
        "num.partitions=1\nlog.retention.hours=24\nbroker.rack=@/nowhere\n",
    );
    std::fs::write(dir.path().join("rack"), "r1\n").expect("file");
    let rack = format!("broker.rack=@{}", dir.path().join("rack").display());
    let variables = [
        ("KAFKA_LOG_RETENTION_MS", "1h"),
        ("LASTWORD_HTTP_LISTEN", "off"),
    ];
    let (code, _, err) = in_dir(dir.path(), &variables, &["config", "print"]);
    assert_eq!(code, 2);
    assert!(
        err.contains("./server.properties:3: broker.rack: cannot read /nowhere"),
        "{err}"
    );

    write(dir.path(), "num.partitions=1\nlog.retention.hours=24\n");
    let set = [
        "config",
        "print",
        "--set",
        "num.partitions=2",
        "--set",
        &rack,
    ];
    let (code, out, err) = in_dir(dir.path(), &variables, &set);
    assert_eq!(code, 0, "{err}");
    assert_eq!(
        out,
        "broker.rack=[hidden]\nlastword.http.listen=off\nlog.retention.ms=3600000\nnum.partitions=2\n"
    );
    let (_, out, _) = in_dir(dir.path(), &variables, &[&set[..], &["--origin"]].concat());
    assert_eq!(
        out,
        "SETTING               VALUE     ORIGIN\n\
         broker.rack           [hidden]  --set\n\
         lastword.http.listen  off       environment LASTWORD_HTTP_LISTEN\n\
         log.retention.ms      3600000   environment KAFKA_LOG_RETENTION_MS\n\
         num.partitions        2         --set\n"
    );
    let (_, out, _) = in_dir(
        dir.path(),
        &[],
        &["config", "print", "--effective", "--origin"],
    );
    let line = |name: &str| {
        let mut lines = out.lines();
        let found = lines.find(|line| line.split_whitespace().next() == Some(name));
        let words: Vec<&str> = found.expect(name).split_whitespace().skip(1).collect();
        words.join(" ")
    };
    assert_eq!(line("log.cleaner.threads"), "1 default");
    assert_eq!(line("num.partitions"), "1 ./server.properties:1");
    assert_eq!(line("log.retention.hours"), "24 ./server.properties:2");
}

#[test]
fn a_setting_is_explained_with_what_it_means_in_kafka() {
    let dir = temporary();
    let explain = |name: &str| in_dir(dir.path(), &[], &["config", "explain", name]);
    let (code, out, _) = explain("log.cleaner.dedupe.buffer.size");
    assert_eq!(code, 0);
    assert_eq!(
        out,
        "log.cleaner.dedupe.buffer.size  (of a broker)\n  \
           Memory for joining and building key indexes, shared by all cleaner threads and the one that builds indexes.\n  \
           values     long, 0 or more\n  \
           default    134217728\n  \
           change     at any time: lastword config set NAME=VALUE, or the file and SIGHUP\n  \
           in Kafka   Memory of the map of keys; a log with more keys than fit takes several cleanings. Here plans are made in passes of a bounded memory, whatever the number of keys.\n"
    );
    let (code, out, _) = explain("cleanup.policy");
    assert_eq!(code, 0);
    assert!(out.starts_with("cleanup.policy  (of a topic)\n"), "{out}");
    assert!(out.contains("any of compact, delete"), "{out}");
    assert!(out.contains("see also   log.cleanup.policy"), "{out}");
    for (name, says) in [
        ("zookeeper.connect", "without meaning on one broker"),
        ("ssl.keystore.location", "the broker does not start with it"),
        ("lastword.http.listen", "in Kafka   not there"),
        ("log.retention.hours", "default    168"),
        ("num.partitions", "at the start only"),
    ] {
        let (code, out, _) = explain(name);
        assert_eq!(code, 0, "{name}");
        assert!(out.contains(says), "{name}: {out}");
    }
    let (code, _, err) = explain("log.cleaner.thread");
    assert_eq!(code, 1);
    assert!(
        err.contains("try: lastword config explain log.cleaner.threads"),
        "{err}"
    );
}

#[test]
fn the_strongest_source_is_in_force_and_describe_says_which_it_was() {
    let data = temporary();
    let file = data.path().join("server.properties");
    std::fs::write(
        &file,
        "log.roll.ms=1h\nnum.partitions=2\nlog.cleaner.threads=1\n",
    )
    .expect("file");
    let file = file.to_str().expect("path");
    let broker = Broker::start_in(
        &data.path().join("data"),
        &["--config", file, "--override", "log.cleaner.backoff.ms=20s"],
        &[
            ("KAFKA_LOG_ROLL_MS", "2h"),
            ("CLUSTER_ID", "4L6g3nShT-eMCtK--X86sw"),
        ],
    );
    assert!(
        broker.ready_block[0].ends_with("cluster 4L6g3nShT-eMCtK--X86sw"),
        "{:?}",
        broker.ready_block
    );
    broker.run(&["topic", "create", "a"]).ok();
    let segment_ms = || {
        let described = broker.run(&["topic", "describe", "a", "-c"]).ok();
        let mut lines = described.lines();
        let line = lines
            .find(|line| line.starts_with("segment.ms "))
            .expect("segment.ms");
        line.split_whitespace()
            .skip(1)
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(segment_ms(), "7200000 STATIC_BROKER_CONFIG");
    broker.run(&["config", "set", "log.roll.ms=3h"]).ok();
    assert_eq!(segment_ms(), "10800000 DYNAMIC_DEFAULT_BROKER_CONFIG");
    let said = broker
        .run(&["config", "set", "--broker", "1", "log.roll.ms=4h"])
        .ok();
    assert_eq!(said, "broker 1  log.roll.ms  10800000 -> 14400000\n");
    assert_eq!(segment_ms(), "14400000 DYNAMIC_BROKER_CONFIG");
    let said = broker
        .run(&["config", "set", "--topic", "a", "segment.ms=5h"])
        .ok();
    assert_eq!(said, "a  segment.ms  14400000 -> 18000000\n");
    assert_eq!(segment_ms(), "18000000 DYNAMIC_TOPIC_CONFIG");
    // And back, one after the other.
    broker
        .run(&["config", "set", "--topic", "a", "--delete", "segment.ms"])
        .ok();
    broker
        .run(&["config", "set", "--broker", "1", "--delete", "log.roll.ms"])
        .ok();
    assert_eq!(segment_ms(), "10800000 DYNAMIC_DEFAULT_BROKER_CONFIG");
    let printed = broker
        .run(&["config", "print", "--running", "--origin"])
        .ok();
    for line in [
        "log.roll.ms  10800000  DYNAMIC_DEFAULT_BROKER_CONFIG",
        "num.partitions  2  STATIC_BROKER_CONFIG",
        "log.cleaner.backoff.ms  20000  STATIC_BROKER_CONFIG",
    ] {
        let mut lines = printed.lines();
        let words = |line: &str| {
            line.split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        assert!(
            lines.any(|found| words(found) == words(line)),
            "{line}: {printed}"
        );
    }
    let said = broker.run(&["config", "diff", file]).ok();
    let words: Vec<Vec<&str>> = said
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(words[0], ["SETTING", "NOW", "FILE"]);
    assert!(
        words.contains(&vec!["log.roll.ms", "10800000", "3600000"]),
        "{said}"
    );
    assert!(
        words.contains(&vec!["log.cleaner.backoff.ms", "20000", "15000"]),
        "{said}"
    );
    assert!(!said.contains("num.partitions"), "{said}");
    let refused = broker.run(&["config", "set", "num.partitions=3"]).fails(4);
    assert!(
        refused.contains("Cannot update num.partitions while the broker runs"),
        "{refused}"
    );
}

#[test]
fn a_slip_is_a_warning_with_the_nearest_name_and_strict_refuses_it() {
    let data = temporary();
    let broker = Broker::start_in(
        &data.path().join("a"),
        &["--set", "num.partition=2", "--set", "zookeeper.connect=x:1"],
        &[("KAFKA_NUM_IO_THREADS", "8"), ("KAFKA_OPTS", "-D")],
    );
    let log = broker.wait_for_log("unknown setting");
    assert!(
        log.contains("warning: --set: unknown setting num.partition; did you mean num.partitions?"),
        "{log}"
    );
    assert!(
        log.contains("ignored 2 settings of Kafka's without meaning on one broker: num.io.threads, zookeeper.connect"),
        "{log}"
    );
    assert!(
        !log.contains("kafka.opts") && !log.contains("setting opts"),
        "{log}"
    );
    let untouched = data.path().join("b");
    let path = untouched.to_str().expect("path");
    let args = [
        "serve",
        "--data",
        path,
        "--strict",
        "--set",
        "num.partition=2",
    ];
    let (code, _, err) = in_dir(data.path(), &[], &args);
    assert_eq!(code, 2);
    assert!(err.contains("did you mean num.partitions?"), "{err}");
    assert!(!untouched.exists());
}

#[test]
fn a_hangup_applies_what_can_be_and_names_what_waits_for_a_restart() {
    let data = temporary();
    let file = data.path().join("server.properties");
    std::fs::write(&file, "log.roll.ms=1h\nnum.partitions=1\n").expect("file");
    let broker = Broker::start_with(
        &data.path().join("data"),
        &["--config", file.to_str().expect("path")],
    );
    broker.run(&["topic", "create", "a"]).ok();
    std::fs::write(
        &file,
        "log.roll.ms=2h\nnum.partitions=3\nlog.cleaner.backoff.ms=1s\n",
    )
    .expect("file");
    broker.signal("-HUP");
    broker.wait_for_log(
        "in force now: log.cleaner.backoff.ms, log.roll.ms; needs a restart: num.partitions",
    );
    let described = broker.run(&["topic", "describe", "a", "-c"]).ok();
    let mut lines = described.lines();
    let line = lines
        .find(|line| line.starts_with("segment.ms "))
        .expect("segment.ms");
    assert!(
        line.contains("7200000") && line.contains("STATIC_BROKER_CONFIG"),
        "{line}"
    );
    let printed = broker.run(&["config", "print", "--running"]).ok();
    assert!(printed.contains("num.partitions=1\n"), "{printed}");
    assert!(
        printed.contains("log.cleaner.backoff.ms=1000\n"),
        "{printed}"
    );

    std::fs::write(&file, "log.roll.ms=never\n").expect("file");
    broker.signal("-HUP");
    let log = broker.wait_for_log("log.roll.ms: `never` is no time");
    assert!(log.contains("not reloaded: "), "{log}");
    let described = broker.run(&["topic", "describe", "a", "-c"]).ok();
    assert!(described.contains("7200000"), "{described}");
}
