use super::*;

fn properties(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn topic(name: &str, value: &str) -> Result<LogConfig, ConfigError> {
    LogConfig::from_properties(&properties(&[(name, value)]))
}

#[test]
fn the_defaults_of_the_table_are_those_of_the_struct() {
    let config = LogConfig::default();
    for entry in TOPIC_CONFIGS {
        assert_eq!(
            config.value_of(entry.name).as_deref(),
            entry.default,
            "{}",
            entry.name
        );
        if let Some(default) = entry.default {
            entry.validate(default).unwrap();
            let expected = if entry.name == "remote.storage.enable" {
                "false"
            } else {
                default
            };
            assert_eq!(
                topic(entry.name, expected).unwrap(),
                config,
                "{}",
                entry.name
            );
        }
    }
    let cleaner = CleanerConfig::default();
    for entry in CLEANER_CONFIGS {
        assert_eq!(
            cleaner.value_of(entry.name).as_deref(),
            entry.default,
            "{}",
            entry.name
        );
    }
}

#[test]
fn the_tables_are_sorted_and_documented() {
    for table in [TOPIC_CONFIGS, CLEANER_CONFIGS] {
        assert!(table.is_sorted_by(|left, right| left.name < right.name));
        assert!(table.iter().all(|entry| entry.doc.ends_with('.')));
    }
    let hidden: Vec<_> = TOPIC_CONFIGS
        .iter()
        .filter(|entry| entry.is_hidden)
        .map(|entry| entry.name)
        .collect();
    assert_eq!(hidden, ["internal.segment.bytes"]);
}

#[test]
fn limits_are_kafkas() {
    let max = i64::MAX.to_string();
    for (name, valid, invalid) in [
        (
            "min.cleanable.dirty.ratio",
            vec!["0", "1", "0.5", "1e-3"],
            vec!["-0.1", "1.1", "NaN", "x", ""],
        ),
        (
            "min.compaction.lag.ms",
            vec!["0", &max],
            vec!["-1", "1.5", "7d"],
        ),
        ("max.compaction.lag.ms", vec!["1", &max], vec!["0", "-1"]),
        ("delete.retention.ms", vec!["0", " 5 "], vec!["-1"]),
        ("segment.ms", vec!["1"], vec!["0"]),
        ("segment.jitter.ms", vec!["0"], vec!["-1"]),
        (
            "segment.bytes",
            vec!["1048576", "2147483647"],
            vec!["1048575", "2147483648", "64MiB"],
        ),
        ("internal.segment.bytes", vec!["1", "100"], vec!["0", "-1"]),
        ("segment.index.bytes", vec!["4"], vec!["3"]),
        ("index.interval.bytes", vec!["0"], vec!["-1"]),
        ("retention.ms", vec!["-1", "0", &max], vec!["-2"]),
        ("retention.bytes", vec!["-1", "-5", "0"], vec!["x"]),
        ("file.delete.delay.ms", vec!["0"], vec!["-1"]),
        ("max.message.bytes", vec!["0", "2147483647"], vec!["-1"]),
        (
            "compression.type",
            vec!["zstd", "producer", "uncompressed"],
            vec!["none", "ZSTD", "lzma"],
        ),
        (
            "compression.gzip.level",
            vec!["-1", "1", "9"],
            vec!["0", "10"],
        ),
        ("compression.lz4.level", vec!["1", "17"], vec!["0", "18"]),
        (
            "compression.zstd.level",
            vec!["-131072", "22"],
            vec!["-131073", "23"],
        ),
        (
            "message.timestamp.type",
            vec!["CreateTime", "LogAppendTime"],
            vec!["createtime"],
        ),
        ("message.timestamp.before.max.ms", vec!["0"], vec!["-1"]),
        ("message.timestamp.after.max.ms", vec!["0"], vec!["-1"]),
        ("flush.messages", vec!["1"], vec!["0"]),
        ("flush.ms", vec!["0"], vec!["-1"]),
        ("preallocate", vec!["true", "FALSE"], vec!["yes", "1"]),
        ("min.insync.replicas", vec!["1"], vec!["0"]),
        ("local.retention.ms", vec!["-2", "-1"], vec!["-3"]),
        ("remote.storage.enable", vec!["false"], vec!["true"]),
    ] {
        for value in valid {
            topic(name, value).unwrap_or_else(|error| panic!("{name}={value}: {error}"));
        }
        for value in invalid {
            let error = topic(name, value).expect_err(name);
            assert_eq!((error.name.as_str(), error.value.as_str()), (name, value));
        }
    }
}

#[test]
fn cleanup_policy_is_a_list() {
    for (text, compact, delete, printed) in [
        ("", false, false, ""),
        ("compact", true, false, "compact"),
        (" delete , compact ", true, true, "compact,delete"),
        ("compact,compact", true, false, "compact"),
    ] {
        let config = topic("cleanup.policy", text).unwrap();
        assert_eq!(
            config.cleanup_policy,
            CleanupPolicy { compact, delete },
            "{text:?}"
        );
        assert_eq!(config.value_of("cleanup.policy").unwrap(), printed);
    }
    for text in ["compact,", ",", "COMPACT", "none", "compact delete"] {
        assert!(topic("cleanup.policy", text).is_err(), "{text:?}");
    }
}

#[test]
fn an_unknown_name_is_refused_by_name() {
    let error = topic("message.format.version", "3.0").unwrap_err();
    assert_eq!(
        error.to_string(),
        "Invalid value \"3.0\" for configuration message.format.version: Unknown topic config name"
    );
}

#[test]
fn the_lags_are_compared_after_both_are_set() {
    let both = |min, max| {
        LogConfig::from_properties(&properties(&[
            ("min.compaction.lag.ms", min),
            ("max.compaction.lag.ms", max),
        ]))
    };
    assert!(both("10", "10").is_ok());
    assert_eq!(both("11", "10").unwrap_err().name, "min.compaction.lag.ms");
    let broker = both("5", "10").unwrap();
    assert!(
        broker
            .with_properties(&properties(&[("max.compaction.lag.ms", "4")]))
            .is_err()
    );
}

#[test]
fn broker_configs_are_defaults_and_the_first_synonym_wins() {
    let broker = LogConfig::from_broker_properties(&properties(&[
        ("log.retention.hours", "2"),
        ("log.retention.minutes", "3"),
        ("log.roll.hours", "1"),
        ("log.cleaner.min.cleanable.ratio", "0.1"),
        ("log.cleanup.policy", "compact"),
        ("num.network.threads", "3"),
    ]))
    .unwrap();
    assert_eq!(broker.retention_ms, 180_000);
    assert_eq!(broker.segment_ms, 3_600_000);
    assert_eq!(broker.min_cleanable_dirty_ratio, 0.1);
    let topic = broker
        .with_properties(&properties(&[("segment.ms", "5")]))
        .unwrap();
    assert!(topic.cleanup_policy.compact && topic.segment_ms == 5);

    let unlimited =
        LogConfig::from_broker_properties(&properties(&[("log.retention.hours", "-1")])).unwrap();
    assert_eq!(unlimited.retention_ms, -1);
    let wrong = LogConfig::from_broker_properties(&properties(&[("log.segment.bytes", "14")]));
    assert_eq!(wrong.unwrap_err().name, "log.segment.bytes");
    let wrong = LogConfig::from_broker_properties(&properties(&[("log.roll.hours", "0")]));
    assert_eq!(wrong.unwrap_err().name, "log.roll.hours");
}

#[test]
fn effective_values() {
    let config = LogConfig::from_properties(&properties(&[
        ("cleanup.policy", "compact"),
        ("max.compaction.lag.ms", "100"),
        ("internal.segment.bytes", "50"),
    ]))
    .unwrap();
    assert_eq!(
        (
            config.effective_segment_ms(),
            config.effective_segment_bytes()
        ),
        (100, 50)
    );
    let config = topic("max.compaction.lag.ms", "100").unwrap();
    assert_eq!(config.effective_segment_ms(), 604_800_000);
}

#[test]
fn the_cleaner_has_its_own_table() {
    let config = CleanerConfig::from_broker_properties(&properties(&[
        ("log.cleaner.threads", "4"),
        ("log.cleaner.io.max.bytes.per.second", "1048576"),
        ("log.cleaner.backoff.ms", "200"),
        ("log.segment.bytes", "x"),
    ]))
    .unwrap();
    assert_eq!((config.threads, config.backoff_ms), (4, 200));
    assert_eq!(config.io_max_bytes_per_second, 1_048_576.0);
    let wrong = properties(&[("log.cleaner.threads", "-1")]);
    assert_eq!(
        CleanerConfig::from_broker_properties(&wrong)
            .unwrap_err()
            .name,
        "log.cleaner.threads"
    );
}
