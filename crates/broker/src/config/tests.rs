use super::*;

fn config(pairs: &[(&str, &str)]) -> Result<BrokerConfig, ConfigError> {
    let properties = pairs
        .iter()
        .map(|&(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    BrokerConfig::from_properties(&properties)
}

#[test]
fn an_empty_configuration_has_kafkas_defaults_on_loopback() {
    let config = config(&[]).unwrap();
    assert_eq!(
        (config.listener.host.as_str(), config.listener.port),
        ("127.0.0.1", 9092)
    );
    assert_eq!(config.num_partitions, 1);
    assert!(config.auto_create_topics);
    assert_eq!(config.max_request_bytes, 104_857_600);
    assert_eq!(config.groups.topic_partitions, 50);
    assert_eq!(config.log_dir, "lastword-data");
}

#[test]
fn a_kafka_server_properties_file_is_accepted_and_what_does_nothing_is_named() {
    let text = "\
# KRaft
process.roles=broker,controller
node.id=7
controller.quorum.bootstrap.servers=localhost:9093
listeners=PLAINTEXT://127.0.0.1:9092,CONTROLLER://:9093
inter.broker.listener.name=PLAINTEXT
advertised.listeners=PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL
num.network.threads=3
log.dirs=data/\\
   kraft
num.partitions=4
log.retention.hours=168
log.segment.bytes=1073741824
log.cleaner.min.cleanable.ratio = 0.2
";
    let config = BrokerConfig::from_properties(&parse_properties(text)).unwrap();
    assert_eq!((config.node_id, config.num_partitions), (7, 4));
    assert_eq!(config.log_dir, "data/kraft");
    assert_eq!(config.advertised.host, "localhost");
    assert!(
        config.ignored.iter().any(|name| name == "process.roles"),
        "{:?}",
        config.ignored
    );
    let defaults = config.topic_defaults(&Properties::new()).unwrap();
    assert!((defaults.min_cleanable_dirty_ratio - 0.2).abs() < 1e-9);
}

#[test]
fn a_name_that_nobody_has_is_told_and_the_nearest_one_with_it() {
    let config = config(&[("num.partition", "3"), ("num.network.threads", "3")]).unwrap();
    assert_eq!(config.unknown, ["num.partition"]);
    assert_eq!(config.ignored, ["num.network.threads"]);
    for (slip, meant) in [
        ("num.partition", Some("num.partitions")),
        ("log.retention.hour", Some("log.retention.hours")),
        (
            "default.replication.facto",
            Some("default.replication.factor"),
        ),
        ("colour.of.the.sky", None),
    ] {
        assert_eq!(nearest_name(slip), meant, "{slip}");
        assert_eq!(kind_of_name(slip), NameKind::Unknown, "{slip}");
    }
}

#[test]
fn all_that_is_wrong_is_named_at_once() {
    type Case = (
        &'static [(&'static str, &'static str)],
        &'static [&'static str],
    );
    let cases: &[Case] = &[
        (&[], &[]),
        (
            &[("num.partition", "3")],
            &["num.partition error unknown setting; did you mean num.partitions?"],
        ),
        (
            &[
                ("num.partitions", "0"),
                ("log.cleaner.threads", "two"),
                ("log.cleanup.policy", "compactt"),
            ],
            &[
                "log.cleaner.threads error not a number of type int",
                "log.cleanup.policy error items must be of compact, delete",
                "num.partitions error must be between 1 and 2147483647",
            ],
        ),
        (
            &[("ssl.keystore.location", "/key")],
            &[
                "ssl.keystore.location error is not supported; the broker does not start without what it asks for",
            ],
        ),
        (
            &[
                ("log.cleaner.min.compaction.lag.ms", "10"),
                ("log.cleaner.max.compaction.lag.ms", "5"),
            ],
            &[
                "log.cleaner.min.compaction.lag.ms error must not be larger than log.cleaner.max.compaction.lag.ms (5)",
            ],
        ),
        (
            &[
                ("group.min.session.timeout.ms", "10"),
                ("group.max.session.timeout.ms", "5"),
            ],
            &[
                "group.min.session.timeout.ms error must not be larger than group.max.session.timeout.ms (5)",
            ],
        ),
        (
            &[("process.roles", "controller")],
            &[
                "process.roles error a controller alone serves no clients: leave it out, or say broker,controller",
            ],
        ),
        (&[("process.roles", "broker,controller")], &[]),
        (
            &[("remote.log.storage.system.enable", "true")],
            &[
                "remote.log.storage.system.enable error there is no tiered storage here: leave it out",
            ],
        ),
        (
            &[("default.replication.factor", "3")],
            &["default.replication.factor warning there is one broker, and so one copy"],
        ),
        (&[("offsets.topic.replication.factor", "1")], &[]),
        (
            &[("message.max.bytes", "2000000000")],
            &[
                "message.max.bytes warning a batch may have 2000000000 bytes, and no segment has more than 1073741824: larger ones are refused",
            ],
        ),
        (
            &[
                ("listeners", "PLAINTEXT://0.0.0.0:9092"),
                ("lastword.insecure.listen", "true"),
            ],
            &[
                "advertised.listeners error is needed when listening on all addresses: clients are told to connect there",
            ],
        ),
    ];
    for (pairs, expected) in cases {
        let properties = pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let found: Vec<String> = problems(&properties.collect())
            .into_iter()
            .map(|it| {
                let severity = if it.is_error { "error" } else { "warning" };
                format!("{} {severity} {}", it.name, it.reason)
            })
            .collect();
        assert_eq!(found, *expected, "{pairs:?}");
    }
}

#[test]
fn of_settings_that_only_show_together_each_is_named() {
    let pairs = [
        ("log.dirs", "/a,/b"),
        ("listeners", "SASL_SSL://127.0.0.1:9092"),
    ];
    let properties = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let found = problems(&properties.into());
    let names: Vec<&str> = found.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["listeners", "log.dirs"], "{found:?}");
}

#[test]
fn what_says_the_same_in_other_words_is_known() {
    assert_eq!(
        same_meaning("log.retention.hours"),
        ["log.retention.ms", "log.retention.minutes"]
    );
    assert_eq!(same_meaning("log.dir"), ["log.dirs"]);
    assert!(same_meaning("num.partitions").is_empty());
}

#[test]
fn lines_of_a_file_are_counted_through_comments_and_continuations() {
    let text = "# one\n\na=1\nb=2\\\n  3\n! six\nc : 4\na=5\n";
    let lines: Vec<(usize, String, String)> = parse_lines(text)
        .into_iter()
        .map(|line| (line.number, line.name, line.value))
        .collect();
    let line = |number, name: &str, value: &str| (number, name.to_owned(), value.to_owned());
    assert_eq!(
        lines,
        [
            line(3, "a", "1"),
            line(4, "b", "23"),
            line(7, "c", "4"),
            line(8, "a", "5")
        ]
    );
}

/// `UPDATE_DOCS=1 cargo test -p lastword-broker settings` writes the page anew.
#[test]
fn the_page_of_settings_is_what_the_tables_say() {
    const BEGIN: &str = "<!-- from the code: begin -->\n";
    const END: &str = "<!-- from the code: end -->";
    let path =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/settings.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (written, after) = rest.split_once(END).unwrap();
    let tables = reference();
    if written != tables && std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, format!("{before}{BEGIN}{tables}{END}{after}")).unwrap();
        return;
    }
    assert_eq!(
        written, tables,
        "docs/reference/settings.md: UPDATE_DOCS=1 writes it anew"
    );
}

#[test]
fn an_invalid_value_is_refused_by_name() {
    for (name, value) in [
        ("num.partitions", "0"),
        ("num.partitions", "many"),
        ("auto.create.topics.enable", "yes"),
        ("log.cleanup.policy", "compactt"),
        ("listeners", "127.0.0.1:9092"),
        ("listeners", "SASL_SSL://127.0.0.1:9092"),
        ("listeners", "CONTROLLER://127.0.0.1:9093"),
        ("listeners", "A://127.0.0.1:1,A://127.0.0.1:2"),
        ("listeners", "PLAINTEXT://127.0.0.1:1,INSIDE://127.0.0.1:2"),
        ("ssl.keystore.location", "/etc/key"),
        ("log.dirs", "a,b"),
    ] {
        let error = config(&[(name, value)]).unwrap_err();
        assert!(
            error.to_string().contains(name.split('.').next().unwrap()),
            "{name}: {error}"
        );
    }
}

#[test]
fn a_public_listener_must_be_asked_for_by_name() {
    let public = ("listeners", "PLAINTEXT://0.0.0.0:9092");
    assert!(
        config(&[public])
            .unwrap_err()
            .reason
            .contains("lastword.insecure.listen")
    );
    let insecure = ("lastword.insecure.listen", "true");
    assert_eq!(
        config(&[public, insecure]).unwrap_err().name,
        "advertised.listeners"
    );
    let advertised = ("advertised.listeners", "PLAINTEXT://broker.example:9092");
    let config = config(&[public, insecure, advertised]).unwrap();
    assert_eq!(config.advertised.host, "broker.example");
}

#[test]
fn http_listens_on_loopback_unless_it_is_switched_off_or_asked_for_elsewhere() {
    let http = |pairs: &[(&str, &str)]| config(pairs).map(|config| config.http);
    let default = http(&[]).unwrap();
    let listener = default.listener.unwrap();
    assert_eq!((listener.host.as_str(), listener.port), ("127.0.0.1", 9644));
    assert!(!default.is_named && default.is_admin_enabled);
    const LISTEN: &str = "lastword.http.listen";
    for off in ["", "off", " OFF "] {
        assert_eq!(http(&[(LISTEN, off)]).unwrap().listener, None);
    }
    let named = http(&[(LISTEN, "[::1]:0")]).unwrap();
    assert!(named.is_named && named.listener.unwrap().host == "::1");
    for wrong in ["9644", "localhost", "localhost:http", "127.0.0.1:65536"] {
        let error = http(&[(LISTEN, wrong)]).unwrap_err();
        assert_eq!((error.name.as_str(), error.value.as_str()), (LISTEN, wrong));
    }
    let public = (LISTEN, ":9644");
    assert!(
        http(&[public])
            .unwrap_err()
            .reason
            .contains("lastword.insecure.listen")
    );
    let listener = http(&[public, ("lastword.insecure.listen", "true")])
        .unwrap()
        .listener;
    assert_eq!(listener.unwrap().host, "0.0.0.0");
}

#[test]
fn the_table_is_sorted_and_its_defaults_are_valid() {
    assert!(BROKER_CONFIGS.is_sorted_by_key(|entry| entry.name));
    for entry in BROKER_CONFIGS
        .iter()
        .filter(|entry| !entry.default.is_empty())
    {
        config(&[(entry.name, entry.default)]).unwrap();
    }
}
