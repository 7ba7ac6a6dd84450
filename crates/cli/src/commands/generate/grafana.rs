//! The dashboard. Its panels go by the questions of who looks: is it up, does compaction keep up, why not, is it the
//! cleaner's fault, how long does the disk last.

use serde_json::{Value, json};

/// A row is so many units wide.
const ROW: u32 = 24;
const HEIGHT: u32 = 8;

/// One panel: what it asks, and how it is drawn.
struct Panel {
    title: &'static str,
    about: &'static str,
    kind: &'static str,
    unit: &'static str,
    width: u32,
    /// Queries, each with the name of its lines.
    queries: &'static [(&'static str, &'static str)],
    is_stacked: bool,
    /// Drawn as a line from here on.
    threshold: Option<f64>,
}

const LINES: Panel = Panel {
    title: "",
    about: "",
    kind: "timeseries",
    unit: "short",
    width: 12,
    queries: &[],
    is_stacked: false,
    threshold: None,
};

const NUMBER: Panel = Panel {
    kind: "stat",
    width: 4,
    ..LINES
};

const PANELS: &[(&str, &[Panel])] = &[
    (
        "Now",
        &[
            Panel {
                title: "Partitions",
                about: "Compacted or not, by the reason why they are not being cleaned: all of them.",
                queries: &[(
                    "sum(lastword_compaction_state_partitions{instance=~\"$instance\"})",
                    "",
                )],
                ..NUMBER
            },
            Panel {
                title: "Live keys",
                about: "As the last plan or cleaning of each partition counted them.",
                queries: &[(
                    "sum(lastword_partition_live_keys{instance=~\"$instance\"})",
                    "",
                )],
                ..NUMBER
            },
            Panel {
                title: "Dead bytes",
                about: "What cleanings would give back.",
                unit: "bytes",
                queries: &[(
                    "sum(lastword_compaction_dead_bytes{instance=~\"$instance\"})",
                    "",
                )],
                ..NUMBER
            },
            Panel {
                title: "Stuck",
                about: "Partitions whose reason does not pass by waiting.",
                queries: &[(
                    "count(lastword_compaction_stuck{instance=~\"$instance\"}) or vector(0)",
                    "",
                )],
                threshold: Some(1.0),
                ..NUMBER
            },
            Panel {
                title: "Damaged segments",
                about: "They stay as they are until somebody restores or removes them.",
                queries: &[(
                    "sum(lastword_compaction_quarantined_segments{instance=~\"$instance\"}) or vector(0)",
                    "",
                )],
                threshold: Some(1.0),
                ..NUMBER
            },
            Panel {
                title: "Dead cleaner threads",
                about: "Configured, and not running.",
                queries: &[(
                    "sum(lastword_compaction_workers_dead{instance=~\"$instance\"})",
                    "",
                )],
                threshold: Some(1.0),
                ..NUMBER
            },
        ],
    ),
    (
        "Compaction",
        &[
            Panel {
                title: "Live and dead bytes by topic",
                about: "Stacked: what a restore has to read, and what it need not.",
                unit: "bytes",
                is_stacked: true,
                queries: &[
                    (
                        "sum by (topic) (lastword_compaction_live_bytes{instance=~\"$instance\",topic=~\"$topic\"})",
                        "live {{topic}}",
                    ),
                    (
                        "sum by (topic) (lastword_compaction_dead_bytes{instance=~\"$instance\",topic=~\"$topic\"})",
                        "dead {{topic}}",
                    ),
                ],
                ..LINES
            },
            Panel {
                title: "Dirty ratio, the dirtiest partition of each topic",
                about: "The line is the default of min.cleanable.dirty.ratio: above it a partition is cleaned.",
                unit: "percentunit",
                threshold: Some(0.5),
                queries: &[(
                    "max by (topic) (lastword_compaction_dirty_ratio{instance=~\"$instance\",topic=~\"$topic\"})",
                    "{{topic}}",
                )],
                ..LINES
            },
            Panel {
                title: "Why not now",
                about: "Partitions by reason; lastword compact TOPIC --explain has the sentence.",
                is_stacked: true,
                queries: &[(
                    "sum by (reason) (lastword_compaction_state_partitions{instance=~\"$instance\"}) > 0",
                    "{{reason}}",
                )],
                ..LINES
            },
            Panel {
                title: "Compaction lag, the largest of each topic",
                about: "Age of the oldest sealed segment that was not cleaned, and how far beyond max.compaction.lag.ms.",
                unit: "s",
                queries: &[
                    (
                        "max by (topic) (lastword_compaction_lag_seconds{instance=~\"$instance\",topic=~\"$topic\"})",
                        "{{topic}}",
                    ),
                    (
                        "max by (topic) (lastword_compaction_overdue_seconds{instance=~\"$instance\",topic=~\"$topic\"}) > 0",
                        "overdue {{topic}}",
                    ),
                ],
                ..LINES
            },
            Panel {
                title: "Cleaner: read, written, removed",
                about: "Bytes of log a second.",
                unit: "Bps",
                queries: &[
                    (
                        "sum(rate(lastword_compaction_read_bytes_total{instance=~\"$instance\"}[$__rate_interval]))",
                        "read",
                    ),
                    (
                        "sum(rate(lastword_compaction_written_bytes_total{instance=~\"$instance\"}[$__rate_interval]))",
                        "written",
                    ),
                    (
                        "sum(rate(lastword_compaction_removed_bytes_total{instance=~\"$instance\"}[$__rate_interval]))",
                        "removed",
                    ),
                ],
                ..LINES
            },
            Panel {
                title: "Written for each byte removed",
                about: "Write amplification of an hour; a low dirty ratio raises it.",
                queries: &[(
                    "sum(rate(lastword_compaction_written_bytes_total{instance=~\"$instance\"}[1h])) / \
                     sum(rate(lastword_compaction_removed_bytes_total{instance=~\"$instance\"}[1h]))",
                    "written / removed",
                )],
                ..LINES
            },
            Panel {
                title: "Workers and throttle",
                about: "Busy threads, and the share of the time that cleanings waited for the disk's share.",
                queries: &[
                    (
                        "sum(lastword_compaction_workers_busy{instance=~\"$instance\"})",
                        "busy",
                    ),
                    (
                        "sum(lastword_compaction_workers{instance=~\"$instance\"})",
                        "configured",
                    ),
                    (
                        "sum(rate(lastword_compaction_throttled_seconds_total{instance=~\"$instance\"}[$__rate_interval]))",
                        "throttled",
                    ),
                ],
                ..LINES
            },
            Panel {
                title: "Tombstones",
                about: "Waiting, and the age of the oldest.",
                queries: &[(
                    "sum by (topic) (lastword_tombstones{instance=~\"$instance\",topic=~\"$topic\"})",
                    "{{topic}}",
                )],
                ..LINES
            },
            Panel {
                title: "Steps of cleanings, p99",
                about: "Building a key index, planning, rewriting.",
                unit: "s",
                queries: &[(
                    "histogram_quantile(0.99, sum by (le, phase) (rate(lastword_compaction_duration_seconds_bucket{instance=~\"$instance\"}[5m])))",
                    "{{phase}}",
                )],
                ..LINES
            },
            Panel {
                title: "Age of the oldest tombstone",
                about: "Since a cleaning first saw it as the last word.",
                unit: "s",
                queries: &[(
                    "max by (topic) (lastword_tombstone_oldest_age_seconds{instance=~\"$instance\",topic=~\"$topic\"})",
                    "{{topic}}",
                )],
                ..LINES
            },
        ],
    ),
    (
        "Is it the cleaner's fault?",
        &[
            Panel {
                title: "Produce, fetch and sync, p99",
                about: "Fetch without the time it waits for records.",
                unit: "s",
                queries: &[
                    (
                        "histogram_quantile(0.99, sum by (le) (rate(lastword_kafka_request_duration_seconds_bucket{instance=~\"$instance\",api=\"Produce\"}[$__rate_interval])))",
                        "produce",
                    ),
                    (
                        "histogram_quantile(0.99, sum by (le) (rate(lastword_fetch_read_duration_seconds_bucket{instance=~\"$instance\"}[$__rate_interval])))",
                        "fetch",
                    ),
                    (
                        "histogram_quantile(0.99, sum by (le) (rate(lastword_fsync_duration_seconds_bucket{instance=~\"$instance\"}[$__rate_interval])))",
                        "sync",
                    ),
                ],
                ..LINES
            },
            Panel {
                title: "Cleaner I/O",
                about: "Read and written, indexes included, and what it may take now.",
                unit: "Bps",
                queries: &[
                    (
                        "sum(rate(lastword_compaction_io_bytes_total{instance=~\"$instance\"}[$__rate_interval]))",
                        "cleaner",
                    ),
                    (
                        "sum(lastword_compaction_io_limit_bytes_per_second{instance=~\"$instance\"} < +Inf)",
                        "limit",
                    ),
                ],
                ..LINES
            },
        ],
    ),
    (
        "Clients and disk",
        &[
            Panel {
                title: "In and out",
                about: "Bytes of records by topic; out is below zero.",
                unit: "Bps",
                queries: &[
                    (
                        "sum by (topic) (rate(lastword_produced_bytes_total{instance=~\"$instance\",topic=~\"$topic\"}[$__rate_interval]))",
                        "in {{topic}}",
                    ),
                    (
                        "-sum by (topic) (rate(lastword_fetched_bytes_total{instance=~\"$instance\",topic=~\"$topic\"}[$__rate_interval]))",
                        "out {{topic}}",
                    ),
                ],
                ..LINES
            },
            Panel {
                title: "Requests",
                about: "By API, and what was refused.",
                unit: "reqps",
                queries: &[
                    (
                        "sum by (api) (rate(lastword_kafka_requests_total{instance=~\"$instance\"}[$__rate_interval]))",
                        "{{api}}",
                    ),
                    (
                        "sum by (error) (rate(lastword_kafka_request_errors_total{instance=~\"$instance\"}[$__rate_interval]))",
                        "{{error}}",
                    ),
                ],
                ..LINES
            },
            Panel {
                title: "Group lag",
                about: "Offsets; in a compacted topic fewer records than that may be there.",
                queries: &[(
                    "sum by (group, topic) (lastword_group_lag{instance=~\"$instance\",topic=~\"$topic\"})",
                    "{{group}} {{topic}}",
                )],
                ..LINES
            },
            Panel {
                title: "Lookups by key, p99",
                about: "By what came of them.",
                unit: "s",
                queries: &[(
                    "histogram_quantile(0.99, sum by (le, result) (rate(lastword_get_duration_seconds_bucket{instance=~\"$instance\"}[$__rate_interval])))",
                    "{{result}}",
                )],
                ..LINES
            },
            Panel {
                title: "Days until the disk is full",
                about: "If it goes on as in the last six hours.",
                unit: "d",
                queries: &[(
                    "(lastword_disk_free_bytes{instance=~\"$instance\"} / -deriv(lastword_disk_free_bytes{instance=~\"$instance\"}[6h]) > 0) / 86400",
                    "{{log_dir}}",
                )],
                ..LINES
            },
            Panel {
                title: "Process",
                about: "Memory and processors.",
                unit: "bytes",
                queries: &[(
                    "process_resident_memory_bytes{instance=~\"$instance\",job=\"lastword\"}",
                    "memory {{instance}}",
                )],
                ..LINES
            },
        ],
    ),
];

/// The dashboard as JSON, to be imported.
pub fn dashboard() -> String {
    let mut panels = Vec::new();
    let (mut x, mut y) = (0, 0);
    for (title, row) in PANELS {
        if x > 0 {
            (x, y) = (0, y + HEIGHT);
        }
        panels.push(json!({
            "id": panels.len() + 1,
            "type": "row",
            "title": title,
            "collapsed": false,
            "gridPos": { "x": 0, "y": y, "w": ROW, "h": 1 },
            "panels": [],
        }));
        y += 1;
        for panel in *row {
            if x + panel.width > ROW {
                (x, y) = (0, y + HEIGHT);
            }
            let place = json!({ "x": x, "y": y, "w": panel.width, "h": HEIGHT });
            panels.push(drawn(panel, panels.len() + 1, place));
            x += panel.width;
        }
    }
    let dashboard = json!({
        "title": "Lastword",
        "uid": "lastword",
        "tags": ["lastword", "kafka", "compaction"],
        "schemaVersion": 39,
        "editable": true,
        "refresh": "30s",
        "time": { "from": "now-6h", "to": "now" },
        "templating": { "list": [
            {
                "name": "datasource",
                "label": "Data source",
                "type": "datasource",
                "query": "prometheus",
            },
            variable("instance", "Broker", "label_values(lastword_build_info, instance)"),
            variable("topic", "Topic", "label_values(lastword_produced_bytes_total, topic)"),
        ] },
        "panels": panels,
    });
    format!("{dashboard:#}\n")
}

fn drawn(panel: &Panel, id: usize, place: Value) -> Value {
    let source = json!({ "type": "prometheus", "uid": "${datasource}" });
    let targets = panel.queries.iter().enumerate();
    let targets = targets.map(|(index, (query, name))| {
        json!({
            "refId": char::from(b'A' + index as u8).to_string(),
            "datasource": source,
            "expr": query,
            "legendFormat": name,
        })
    });
    let mut steps = vec![json!({ "color": "green", "value": null })];
    steps.extend(
        panel
            .threshold
            .map(|from| json!({ "color": "red", "value": from })),
    );
    let stacking = if panel.is_stacked { "normal" } else { "none" };
    let is_line = panel.kind == "timeseries" && panel.threshold.is_some();
    json!({
        "id": id,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.about,
        "datasource": source,
        "gridPos": place,
        "targets": targets.collect::<Vec<Value>>(),
        "fieldConfig": {
            "defaults": {
                "unit": panel.unit,
                "thresholds": { "mode": "absolute", "steps": steps },
                "custom": {
                    "fillOpacity": if panel.is_stacked { 30 } else { 5 },
                    "stacking": { "mode": stacking, "group": "A" },
                    "thresholdsStyle": { "mode": if is_line { "line" } else { "off" } },
                },
            },
            "overrides": [],
        },
    })
}

fn variable(name: &str, label: &str, query: &str) -> Value {
    json!({
        "name": name,
        "label": label,
        "type": "query",
        "datasource": { "type": "prometheus", "uid": "${datasource}" },
        "query": query,
        "refresh": 2,
        "includeAll": true,
        "multi": true,
        "allValue": ".*",
        "current": { "text": "All", "value": "$__all" },
    })
}
