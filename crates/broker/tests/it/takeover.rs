//! A directory without metadata of ours: Kafka's metadata log is real Kafka's (see the fixtures), the partitions are
//! written here.

use std::path::PathBuf;

use lastword_broker::metadata::{MetadataImage, Properties, TopicImage, read_kraft_metadata};
use lastword_record::TopicPartition;
use lastword_storage::LogConfig;
use tempfile::TempDir;

use crate::client::{TestBroker, batch, records};

const METADATA_LOG: &str = "__cluster_metadata-0/00000000000000000000.log";
const OURS: &str = "lastword-metadata.json";
/// Two topics of the fixture, and what they were set to.
const PRICES: &str = "prices";
const VISITS: &str = "visits";

fn kafka_directory() -> TempDir {
    let dir = TempDir::new().unwrap();
    let fixture = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/kraft/log");
    std::fs::create_dir(dir.path().join("__cluster_metadata-0")).unwrap();
    for entry in std::fs::read_dir(fixture).unwrap() {
        let entry = entry.unwrap();
        let to = dir
            .path()
            .join("__cluster_metadata-0")
            .join(entry.file_name());
        std::fs::copy(entry.path(), to).unwrap();
    }
    dir
}

fn image_of(broker: &TestBroker) -> std::sync::Arc<MetadataImage> {
    broker.server.broker().metadata.image()
}

fn topics(image: &MetadataImage) -> Vec<TopicImage> {
    image.topics().map(|it| TopicImage::clone(it)).collect()
}

/// What the log of partition 0 goes by.
fn log_config(broker: &TestBroker, topic: &str) -> LogConfig {
    let topic_partition = TopicPartition {
        topic: topic.into(),
        partition: 0,
    };
    let log = broker.server.broker().logs.get(&topic_partition);
    LogConfig::clone(&log.unwrap().config())
}

fn policy(broker: &TestBroker, topic: &str) -> String {
    let served = log_config(broker, topic).value_of("cleanup.policy");
    served.unwrap()
}

/// A broker over Kafka's metadata log and partitions of ours, after a start with these settings.
async fn with_partitions(settings: &[(&str, &str)]) -> TestBroker {
    let broker = TestBroker::start_over(kafka_directory(), settings).await;
    let mut client = broker.connect().await;
    for topic in [PRICES, VISITS] {
        client
            .produce(topic, batch(&[(Some("k"), Some("v"))]))
            .await;
    }
    client.create("stray").await;
    broker
}

/// Stops, forgets our metadata, changes the directory, and starts again.
async fn start_anew(broker: TestBroker, change: impl FnOnce(&TempDir)) -> TestBroker {
    let changed = |dir: &TempDir| {
        std::fs::remove_file(dir.path().join(OURS)).unwrap();
        change(dir);
    };
    broker.restart_after(changed).await
}

#[tokio::test]
async fn kafkas_topics_are_served_with_their_ids_partitions_and_configs() {
    let broker = with_partitions(&[]).await;
    let broker = start_anew(broker, |_| {}).await;
    let kafkas = read_kraft_metadata(broker.dir.path(), 1).unwrap().unwrap();
    let served = image_of(&broker);
    assert_eq!(kafkas.topics().len(), 5);
    for topic in topics(&kafkas) {
        assert_eq!(
            served.topic(&topic.name).map(|it| (**it).clone()),
            Some(topic)
        );
    }
    let prices = log_config(&broker, PRICES);
    assert!(prices.cleanup_policy.compact && !prices.cleanup_policy.delete);
    assert_eq!(prices.delete_retention_ms, 1000);
    assert_eq!(log_config(&broker, VISITS).retention_ms, -1);
    assert_eq!(policy(&broker, "__consumer_offsets"), "compact");
    // What the topic does not set is the cluster's.
    assert_eq!(log_config(&broker, "switched").delete_retention_ms, 60_000);
    // Nothing describes this one.
    assert_eq!(policy(&broker, "stray"), "");
    let mut client = broker.connect().await;
    let fetched = client.fetch(PRICES, 0).await;
    assert_eq!(records(&fetched.records.unwrap()).len(), 1);

    // From now on the metadata is ours, whatever becomes of Kafka's.
    let before = image_of(&broker);
    std::fs::remove_dir_all(broker.dir.path().join("__cluster_metadata-0")).unwrap();
    let broker = broker.restart().await;
    assert_eq!(image_of(&broker), before);
    assert_eq!(policy(&broker, PRICES), "compact");
}

#[tokio::test]
async fn a_topic_of_which_nothing_is_known_keeps_everything() {
    // A broker's default says nothing about one topic.
    let settings = [
        ("log.cleanup.policy", "compact,delete"),
        ("log.retention.ms", "1"),
    ];
    let broker = with_partitions(&settings).await;
    let without_log = |dir: &TempDir| {
        std::fs::remove_dir_all(dir.path().join("__cluster_metadata-0")).unwrap();
    };
    let broker = start_anew(broker, without_log).await;
    for topic in [PRICES, VISITS, "stray"] {
        assert_eq!(policy(&broker, topic), "");
    }
    assert_eq!(policy(&broker, "__consumer_offsets"), "compact");

    let handles = broker.server.broker().clone();
    let compact = Properties::from([("cleanup.policy".to_owned(), "compact".to_owned())]);
    let setting = move || {
        lastword_broker::topics::set_topic_configs(&handles, PRICES, |_| Ok(compact.clone()))
    };
    tokio::task::spawn_blocking(setting).await.unwrap().unwrap();
    let broker = broker.restart().await;
    assert_eq!(policy(&broker, PRICES), "compact");
    assert_eq!(policy(&broker, VISITS), "");
}

#[tokio::test]
async fn a_damaged_metadata_log_is_not_believed() {
    let broker = with_partitions(&[]).await;
    let damage = |dir: &TempDir| {
        let file = dir.path().join(METADATA_LOG);
        let mut bytes = std::fs::read(&file).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(file, bytes).unwrap();
    };
    let broker = start_anew(broker, damage).await;
    for topic in [PRICES, VISITS] {
        assert_eq!(policy(&broker, topic), "");
    }
}

#[tokio::test]
async fn a_partition_of_a_topic_that_is_gone_does_not_get_the_configs_of_the_new_one() {
    let broker = with_partitions(&[]).await;
    let old = image_of(&broker).topic("stray").unwrap().id;
    let change_id = |dir: &TempDir| {
        let from = dir.path().join("stray-0/partition.metadata");
        std::fs::copy(from, dir.path().join("prices-0/partition.metadata")).unwrap();
        std::fs::remove_dir_all(dir.path().join("stray-0")).unwrap();
        std::fs::remove_dir_all(dir.path().join("prices-1")).unwrap();
        // It names what is gone, and would say that the copy is not whole.
        let points = dir.path().join("recovery-point-offset-checkpoint");
        std::fs::remove_file(points).unwrap();
    };
    let broker = broker.restart().await;
    let broker = start_anew(broker, change_id).await;
    assert_eq!(policy(&broker, PRICES), "");
    assert_eq!(image_of(&broker).topic(PRICES).unwrap().id, old);
    assert_eq!(log_config(&broker, VISITS).retention_ms, -1);
}
