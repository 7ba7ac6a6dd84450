use std::collections::{BTreeMap, BTreeSet};

use clap::ValueEnum;
use lastword_http::metrics::family::{ALL, Family, Kind};
use serde_json::Value;

use super::{What, text};

/// Every name that a query can use, with its family.
fn served() -> BTreeMap<String, &'static Family> {
    let mut names = BTreeMap::new();
    for family in ALL {
        match family.kind {
            Kind::Histogram => {
                for suffix in ["_bucket", "_sum", "_count"] {
                    names.insert(format!("{}{suffix}", family.name), *family);
                }
            }
            Kind::Gauge | Kind::Counter => {
                names.insert(family.name.to_owned(), *family);
            }
        }
    }
    names
}

/// The names of metrics in a query, and the labels that it asks each for.
fn metrics_of(query: &str) -> Vec<(String, Vec<String>)> {
    let is_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let mut found = Vec::new();
    let mut rest = query;
    while let Some(start) = rest.find(is_name) {
        let end = rest[start..].find(|letter| !is_name(letter));
        let end = end.map_or(rest.len(), |length| start + length);
        let name = &rest[start..end];
        rest = &rest[end..];
        if !["lastword_", "kafka_log_", "process_"]
            .iter()
            .any(|it| name.starts_with(it))
        {
            continue;
        }
        let selector = rest.strip_prefix('{').and_then(|rest| rest.split_once('}'));
        let labels = selector.map_or("", |(labels, _)| labels).split(',');
        let labels = labels.filter_map(|label| label.split(['=', '!']).next());
        let labels = labels.filter(|label| !label.is_empty()).map(str::to_owned);
        found.push((name.to_owned(), labels.collect()));
    }
    found
}

/// The queries of the dashboard and of the rules.
fn queries() -> Vec<String> {
    let dashboard: Value = serde_json::from_str(&text(What::Grafana)).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let targets = panels
        .iter()
        .filter_map(|panel| panel["targets"].as_array());
    let asked = targets.flatten().map(|target| &target["expr"]);
    let variables = dashboard["templating"]["list"]
        .as_array()
        .expect("variables");
    let chosen = variables.iter().map(|variable| &variable["query"]);
    let mut queries: Vec<String> = asked
        .chain(chosen)
        .map(|query| query.as_str().expect("a query").to_owned())
        .collect();
    let rules = text(What::Alerts);
    let lines: Vec<&str> = rules.lines().map(str::trim).collect();
    for (at, line) in lines.iter().enumerate() {
        if let Some(query) = line.strip_prefix("expr: ") {
            let more = lines[at + 1..]
                .iter()
                .take_while(|line| !line.starts_with("for:"));
            let folded = query
                .starts_with(">-")
                .then(|| more.copied().collect::<Vec<_>>());
            queries.push(folded.map_or(query.to_owned(), |lines| lines.join(" ")));
        }
    }
    queries
}

#[test]
fn dashboard_and_alerts_ask_for_metrics_and_labels_that_are_served() {
    let served = served();
    let mut used = BTreeSet::new();
    for query in queries() {
        for (name, labels) in metrics_of(&query) {
            let family = served
                .get(&name)
                .unwrap_or_else(|| panic!("{name} is not served: {query}"));
            for label in labels {
                let is_known =
                    family.labels.contains(&&*label) || ["instance", "job"].contains(&&*label);
                assert!(is_known, "{name} has no label {label}: {query}");
            }
            used.insert(name);
        }
    }
    assert!(used.len() > 30, "{used:?}");
}

#[test]
fn the_dashboard_has_a_panel_for_every_question_about_compaction() {
    let queries = queries().join("\n");
    for metric in [
        "lastword_compaction_live_bytes",
        "lastword_compaction_dead_bytes",
        "lastword_compaction_dirty_ratio",
        "lastword_compaction_lag_seconds",
        "lastword_compaction_read_bytes_total",
        "lastword_compaction_written_bytes_total",
        "lastword_compaction_removed_bytes_total",
        "lastword_compaction_workers_busy",
        "lastword_compaction_throttled_seconds_total",
        "lastword_compaction_state_partitions",
        "lastword_kafka_request_duration_seconds_bucket",
        "lastword_compaction_io_bytes_total",
        "lastword_disk_free_bytes",
    ] {
        assert!(queries.contains(metric), "{metric}");
    }
}

#[test]
fn panels_do_not_lie_on_each_other() {
    let dashboard: Value = serde_json::from_str(&text(What::Grafana)).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let mut taken = BTreeSet::new();
    let mut ids = BTreeSet::new();
    for panel in panels {
        assert!(ids.insert(panel["id"].as_u64()), "{panel}");
        let at = |name: &str| panel["gridPos"][name].as_u64().expect("a number");
        assert!(at("x") + at("w") <= 24, "{panel}");
        for x in at("x")..at("x") + at("w") {
            for y in at("y")..at("y") + at("h") {
                assert!(taken.insert((x, y)), "{} at {x},{y}", panel["title"]);
            }
        }
    }
}

#[test]
fn every_file_is_whole_and_says_how_it_is_made() {
    for what in What::value_variants() {
        let text = text(*what);
        assert!(
            text.ends_with('\n') && !text.contains("@VERSION@"),
            "{what:?}"
        );
        if *what != What::Grafana {
            assert!(text.starts_with("# lastword generate "), "{what:?}");
        }
    }
}

#[test]
fn the_settings_of_the_containers_are_settings() {
    for what in [What::Compose, What::K8s] {
        let text = text(what);
        for word in text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_') {
            let name = match (word.strip_prefix("KAFKA_"), word.strip_prefix("LASTWORD_")) {
                (Some(name), _) => name.to_ascii_lowercase().replace('_', "."),
                (_, Some(name)) => {
                    format!("lastword.{}", name.to_ascii_lowercase().replace('_', "."))
                }
                _ => continue,
            };
            assert!(
                lastword_broker::config::is_known(&name),
                "{word} is no setting"
            );
        }
    }
}
