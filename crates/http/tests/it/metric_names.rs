//! What `promtool check metrics` looks for, on what a busy broker really answers: names, units, help, types, labels.

use std::collections::{BTreeMap, BTreeSet};

use lastword_http::metrics::family::{ALL, Family, Kind};
use lastword_record::TopicPartition;

use crate::client::{Running, request};
use crate::kafka::Kafka;

/// A broker of which everything is known that can be known.
async fn busy() -> Running {
    let running = Running::start(&[("log.cleaner.backoff.ms", "3600000")]).await;
    let mut kafka = Kafka::connect(running.server.local_addr()).await;
    kafka.create("prices", 1).await;
    for _ in 0..3 {
        kafka
            .produce("prices", &[("a", Some("1")), ("b", None)])
            .await;
    }
    kafka.fetch("prices").await;
    kafka.produce_fails("prices", 7).await;
    kafka.commit("app", "prices", 1).await;
    let broker = running.server.broker().clone();
    let id = TopicPartition::new("prices", 0);
    broker.logs.get(&id).expect("a log").roll().expect("rolls");
    let cleaned = tokio::task::spawn_blocking(move || {
        broker.cleaner.clean_next();
        broker.cleaner.clean_now(&id)
    });
    cleaned.await.expect("runs").expect("cleans");
    running
}

/// Families that say nothing of a healthy, idle broker.
const SOMETIMES: &[&str] = &["lastword_compaction_stuck"];

/// The lines of one family: type, help, and samples with their labels.
#[derive(Debug, Default)]
struct Seen {
    kind: String,
    help: String,
    samples: Vec<(String, Vec<String>)>,
}

fn read(text: &str) -> BTreeMap<String, Seen> {
    let mut families: BTreeMap<String, Seen> = BTreeMap::new();
    let mut current = String::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').expect("help");
            current = name.to_owned();
            let seen = families.entry(current.clone()).or_default();
            assert!(seen.help.is_empty(), "{name} twice");
            seen.help = help.to_owned();
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("type");
            assert_eq!(name, current, "TYPE goes with HELP");
            families.entry(current.clone()).or_default().kind = kind.to_owned();
        } else {
            let (series, value) = line.rsplit_once(' ').expect("a value");
            value.parse::<f64>().expect("a number");
            let (name, labels) = match series.split_once('{') {
                Some((name, labels)) => (name, labels.trim_end_matches('}')),
                None => (series, ""),
            };
            let mut names = Vec::new();
            let mut rest = labels;
            while let Some((label, value)) = rest.split_once("=\"") {
                names.push(label.trim_start_matches(',').to_owned());
                rest = value.split_once('"').expect("an end").1;
            }
            let seen = families.get_mut(&current).expect("HELP comes first");
            seen.samples.push((name.to_owned(), names));
        }
    }
    families
}

fn is_ours(family: &Family) -> bool {
    // Kafka's nine keep the names that dashboards have.
    !family.name.starts_with("kafka_log_")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_family_is_served_with_its_help_its_type_and_its_labels_and_nothing_else_is() {
    let running = busy().await;
    let families = read(&running.get("/metrics").await.body);
    let known: BTreeMap<&str, &&Family> = ALL.iter().map(|it| (it.name, it)).collect();
    for (name, seen) in &families {
        let family = known
            .get(name.as_str())
            .unwrap_or_else(|| panic!("{name} is in no table"));
        let kind = match family.kind {
            Kind::Gauge => "gauge",
            Kind::Counter => "counter",
            Kind::Histogram => "histogram",
        };
        assert_eq!(seen.kind, kind, "{name}");
        assert_eq!(seen.help.trim_end_matches('.'), family.help, "{name}");
        for (sample, labels) in &seen.samples {
            let suffix = sample
                .strip_prefix(name.as_str())
                .expect("the family's name");
            let is_known = match family.kind {
                Kind::Histogram => ["_bucket", "_sum", "_count"].contains(&suffix),
                _ => suffix.is_empty(),
            };
            assert!(is_known, "{sample}");
            let mut labels: BTreeSet<&str> = labels.iter().map(String::as_str).collect();
            assert_eq!(labels.remove("le"), suffix == "_bucket", "{sample}");
            let expected: BTreeSet<&str> = family.labels.iter().copied().collect();
            assert_eq!(labels, expected, "{sample}");
        }
    }
    let missing = known.keys().filter(|name| !families.contains_key(**name));
    let missing: Vec<_> = missing.filter(|name| !SOMETIMES.contains(name)).collect();
    assert!(missing.is_empty(), "never served: {missing:?}");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_for_open_metrics_gets_it() {
    let running = busy().await;
    let accept = "Accept: application/openmetrics-text;version=1.0.0,text/plain;q=0.5\r\n";
    let head =
        format!("GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{accept}\r\n");
    let answer = request(running.http.local_addr(), head).await;
    let content_type = "content-type: application/openmetrics-text; version=1.0.0";
    assert!(answer.head.contains(content_type), "{}", answer.head);
    assert!(answer.body.ends_with("# EOF\n"));
    assert!(
        answer
            .body
            .contains("# TYPE lastword_produced_bytes counter\n")
    );
    assert!(
        answer
            .body
            .contains("\nlastword_produced_bytes_total{topic=\"prices\"} ")
    );
    running.stop().await;
}

#[test]
fn names_have_a_prefix_a_base_unit_and_the_suffix_of_their_type() {
    // promlint's, and its abbreviations.
    let no_base_units = [
        "ms",
        "milliseconds",
        "us",
        "microseconds",
        "nanoseconds",
        "minutes",
        "hours",
        "days",
        "secs",
        "sec",
        "kb",
        "mb",
        "kilobytes",
        "megabytes",
        "bits",
        "percent",
        "percentage",
    ];
    let types = ["gauge", "counter", "histogram", "summary", "metric"];
    let names: BTreeSet<&str> = ALL.iter().map(|family| family.name).collect();
    assert_eq!(names.len(), ALL.len());
    for family in ALL.iter().filter(|family| is_ours(family)) {
        let name = family.name;
        let is_lower = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
        assert!(name.bytes().all(is_lower), "{name}");
        assert!(
            name.starts_with("lastword_") || name.starts_with("process_"),
            "{name}"
        );
        assert_eq!(
            name.ends_with("_total"),
            family.kind == Kind::Counter,
            "{name}"
        );
        let words: Vec<&str> = name.split('_').collect();
        assert!(
            !words.iter().any(|word| no_base_units.contains(word)),
            "{name}: no base unit"
        );
        assert!(
            !words.iter().any(|word| types.contains(word)),
            "{name}: its type in its name"
        );
        for reserved in ["_bucket", "_sum", "_count"] {
            assert!(!name.ends_with(reserved), "{name}: a histogram's suffix");
        }
        if family.kind == Kind::Histogram {
            assert!(name.ends_with("_seconds"), "{name}: the unit");
        }
        // A unit stands last, or before _total; a rate says per what.
        for unit in ["bytes", "seconds", "ratio"] {
            let at = words.iter().position(|word| *word == unit);
            let rest = at.map(|at| words[at + 1..].join("_")).unwrap_or_default();
            assert!(
                ["", "total", "per_second"].contains(&rest.as_str()),
                "{name}: {unit} is not last"
            );
        }
    }
}

#[test]
fn help_is_one_line_and_no_label_is_without_bound() {
    for family in ALL {
        let (name, help) = (family.name, family.help);
        assert!(
            !help.is_empty() && !help.ends_with('.') && !help.contains('\n'),
            "{name}"
        );
        for label in family.labels {
            assert!(
                !["key", "client", "client_id", "member", "le", "quantile"].contains(label),
                "{name}"
            );
        }
    }
}
