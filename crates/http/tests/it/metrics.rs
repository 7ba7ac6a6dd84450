use std::collections::{BTreeMap, BTreeSet};

use lastword_record::TopicPartition;

use crate::client::Running;
use crate::kafka::Kafka;

/// The samples of a scrape: name with labels, and value.
async fn scrape(running: &Running) -> BTreeMap<String, f64> {
    let answer = running.get("/metrics").await;
    assert_eq!(answer.status, 200);
    assert!(
        answer
            .head
            .contains("content-type: text/plain; version=0.0.4"),
        "{}",
        answer.head
    );
    let lines = answer.body.lines().filter(|line| !line.starts_with('#'));
    let samples = lines.map(|line| {
        let (name, value) = line.rsplit_once(' ').expect("a value");
        (name.to_owned(), value.parse().expect("a number"))
    });
    let samples: Vec<_> = samples.collect();
    let by_name: BTreeMap<_, _> = samples.iter().cloned().collect();
    assert_eq!(
        samples.len(),
        by_name.len(),
        "a series twice: {}",
        answer.body
    );
    by_name
}

#[tokio::test(flavor = "multi_thread")]
async fn what_clients_did_is_counted_exactly() {
    let running = Running::start(&[]).await;
    let mut kafka = Kafka::connect(running.server.local_addr()).await;
    kafka.create("prices", 2).await;
    let mut bytes = kafka
        .produce("prices", &[("a", Some("1")), ("a", Some("2"))])
        .await;
    bytes += kafka.produce("prices", &[("b", Some("1"))]).await;
    let fetched = kafka.fetch("prices").await + kafka.fetch("prices").await;
    kafka.commit("app", "prices", 1).await;

    let metrics = scrape(&running).await;
    let value = |name: &str| {
        metrics
            .get(name)
            .copied()
            .unwrap_or_else(|| panic!("{name} of {metrics:#?}"))
    };
    assert_eq!(
        value("lastword_produced_bytes_total{topic=\"prices\"}"),
        bytes as f64
    );
    assert_eq!(
        value("lastword_produced_records_total{topic=\"prices\"}"),
        3.0
    );
    assert_eq!(
        value("lastword_produced_batches_total{topic=\"prices\"}"),
        2.0
    );
    assert_eq!(
        value("lastword_fetched_bytes_total{topic=\"prices\"}"),
        fetched as f64
    );
    assert_eq!(
        value("lastword_partition_end_offset{topic=\"prices\",partition=\"0\"}"),
        3.0
    );
    assert_eq!(
        value("lastword_partition_size_bytes{topic=\"prices\",partition=\"0\"}"),
        bytes as f64
    );
    assert_eq!(value("lastword_kafka_requests_total{api=\"Produce\"}"), 2.0);
    // A histogram's last bucket is its count.
    for (name, count) in [
        (
            "lastword_kafka_request_duration_seconds_count{api=\"Produce\"}",
            2.0,
        ),
        (
            "lastword_kafka_request_duration_seconds_bucket{le=\"+Inf\",api=\"Produce\"}",
            2.0,
        ),
        ("lastword_fetch_read_duration_seconds_count", 2.0),
    ] {
        assert_eq!(value(name), count, "{name}");
    }
    let syncs = metrics
        .iter()
        .find(|(name, _)| name.starts_with("lastword_fsync_duration_seconds_count{"));
    assert!(syncs.is_some_and(|(_, count)| *count >= 2.0), "{syncs:?}");
    assert_eq!(value("lastword_connections{listener=\"PLAINTEXT\"}"), 1.0);
    assert_eq!(
        value("lastword_connections_opened_total{listener=\"PLAINTEXT\"}"),
        1.0
    );
    assert_eq!(
        value("lastword_group_lag{group=\"app\",topic=\"prices\"}"),
        2.0
    );
    let offline = metrics
        .iter()
        .find(|(name, _)| name.starts_with("lastword_log_dir_offline{"));
    assert_eq!(offline.map(|(_, value)| *value), Some(0.0));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cleaning_moves_the_counters_by_what_it_did() {
    // Nobody but this test cleans.
    let running = Running::start(&[("log.cleaner.backoff.ms", "3600000")]).await;
    let mut kafka = Kafka::connect(running.server.local_addr()).await;
    kafka.create("prices", 1).await;
    for _ in 0..5 {
        kafka
            .produce("prices", &[("a", Some("1")), ("b", Some("2"))])
            .await;
    }
    let id = TopicPartition::new("prices", 0);
    let broker = running.server.broker().clone();
    let label = "{topic=\"prices\",partition=\"0\"}";
    let before = scrape(&running).await;
    assert_eq!(
        before[&format!("lastword_compaction_removed_records_total{label}")],
        0.0
    );
    assert!(!before.contains_key(&format!(
        "lastword_compaction_last_success_timestamp_seconds{label}"
    )));
    let log = broker.logs.get(&id).expect("a log");
    log.roll().expect("rolls");
    let stats = tokio::task::spawn_blocking(move || broker.cleaner.clean_now(&id))
        .await
        .expect("runs")
        .expect("cleans");
    assert_eq!(stats.dead.total(), 8);

    let after = scrape(&running).await;
    let value = |name: &str| after[&format!("{name}{label}")];
    assert_eq!(value("lastword_compaction_removed_records_total"), 8.0);
    assert_eq!(
        value("lastword_compaction_written_bytes_total"),
        stats.bytes_written as f64
    );
    assert_eq!(
        value("lastword_compaction_read_bytes_total"),
        (stats.log_bytes_indexed + stats.bytes_read) as f64
    );
    assert_eq!(value("lastword_partition_live_keys"), 2.0);
    assert_eq!(value("lastword_compaction_dirty_ratio"), 0.0);
    assert_eq!(
        value("lastword_compaction_last_success_timestamp_seconds"),
        stats.started_ms as f64 / 1e3
    );
    let ok = "lastword_compaction_runs_total{topic=\"prices\",partition=\"0\",result=\"ok\"}";
    assert_eq!(after[ok], 1.0);
    for phase in ["plan", "rewrite"] {
        let count = format!("lastword_compaction_duration_seconds_count{{phase=\"{phase}\"}}");
        assert_eq!(after[&count], 1.0, "{phase}");
    }
    assert!(after["lastword_keyindex_bytes{topic=\"prices\"}"] > 0.0);
    assert_eq!(value("lastword_compaction_lag_seconds"), 0.0);
    for (key, result) in [("a", "hit"), ("z", "miss")] {
        running.get(&format!("/v1/topics/prices/keys/{key}")).await;
        let metrics = scrape(&running).await;
        let count = metrics[&format!("lastword_get_requests_total{{result=\"{result}\"}}")];
        assert_eq!(count, 1.0, "{result}");
    }
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_nine_gauges_of_kafkas_cleaner_and_all_reasons_are_always_there() {
    let running = Running::start(&[]).await;
    let mut kafka = Kafka::connect(running.server.local_addr()).await;
    kafka.create("prices", 1).await;
    // The cleaner has looked for work at least once.
    running.server.broker().cleaner.clean_next();
    let metrics = scrape(&running).await;
    let kafkas: BTreeSet<&str> = metrics
        .keys()
        .filter(|name| name.starts_with("kafka_log_"))
        .map(|name| name.split('{').next().unwrap_or(name))
        .collect();
    let expected = BTreeSet::from([
        "kafka_log_logcleaner_max_buffer_utilization_percent",
        "kafka_log_logcleaner_cleaner_recopy_percent",
        "kafka_log_logcleaner_max_clean_time_secs",
        "kafka_log_logcleaner_max_compaction_delay_secs",
        "kafka_log_logcleaner_deadthreadcount",
        "kafka_log_logcleanermanager_max_dirty_percent",
        "kafka_log_logcleanermanager_time_since_last_run_ms",
        "kafka_log_logcleanermanager_uncleanable_partitions_count",
        "kafka_log_logcleanermanager_uncleanable_bytes",
    ]);
    assert_eq!(kafkas, expected);
    let states = metrics
        .keys()
        .filter(|name| name.starts_with("lastword_compaction_state_partitions{"));
    assert_eq!(states.count(), 14);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn above_the_limit_partitions_have_no_series_and_their_number_is_said() {
    let running = Running::start(&[("lastword.metrics.partition.limit", "3")]).await;
    let mut kafka = Kafka::connect(running.server.local_addr()).await;
    kafka.create("few", 3).await;
    let below = scrape(&running).await;
    assert_eq!(below["lastword_metrics_aggregated"], 0.0);
    assert_eq!(below["lastword_metrics_partitions_left_out"], 0.0);
    let of_partitions = |metrics: &BTreeMap<String, f64>| {
        let names = metrics.keys();
        names.filter(|name| name.contains("partition=\"")).count()
    };
    assert!(of_partitions(&below) >= 3);
    kafka.create("many", 2).await;
    kafka.produce("many", &[("a", Some("1"))]).await;
    let above = scrape(&running).await;
    assert_eq!(above["lastword_metrics_aggregated"], 1.0);
    assert_eq!(above["lastword_metrics_partitions_left_out"], 5.0);
    assert_eq!(of_partitions(&above), 0);
    // What is of topics and of all stays.
    assert_eq!(
        above["lastword_produced_records_total{topic=\"many\"}"],
        1.0
    );
    let states = above
        .iter()
        .filter(|(name, _)| name.starts_with("lastword_compaction_state_partitions"));
    assert_eq!(states.map(|(_, value)| value).sum::<f64>(), 5.0);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_is_counted_by_kafkas_name() {
    let running = Running::start(&[]).await;
    let mut kafka = Kafka::connect(running.server.local_addr()).await;
    kafka.create("prices", 1).await;
    kafka.produce_fails("prices", 7).await;
    let metrics = scrape(&running).await;
    let name =
        "lastword_kafka_request_errors_total{api=\"Produce\",error=\"UNKNOWN_TOPIC_OR_PARTITION\"}";
    assert_eq!(metrics.get(name), Some(&1.0), "{metrics:#?}");
    running.stop().await;
}
