//! What a start finds in the partitions of `__consumer_offsets`.

use lastword_record::control::{EndTxnMarker, end_txn_marker};
use lastword_record::{BatchBuilder, BatchSpec};

use super::requests::{create_topic, group_broker};
use crate::client::TestBroker;

fn put_string(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend_from_slice(&(text.len() as i16).to_be_bytes());
    bytes.extend_from_slice(text.as_bytes());
}

/// Key and value of a committed offset, in Kafka's format.
fn offset_record(group: &str, topic: &str, offset: i64) -> (Vec<u8>, Vec<u8>) {
    let mut key = vec![0, 1];
    put_string(&mut key, group);
    put_string(&mut key, topic);
    key.extend_from_slice(&0i32.to_be_bytes());
    let mut value = vec![0, 3];
    value.extend_from_slice(&offset.to_be_bytes());
    value.extend_from_slice(&(-1i32).to_be_bytes());
    put_string(&mut value, "");
    value.extend_from_slice(&4_000_000_000_000i64.to_be_bytes());
    (key, value)
}

fn batch(spec: BatchSpec, records: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let mut builder = BatchBuilder::new(spec);
    for (offset, (key, value)) in (0..).zip(records) {
        builder.push(offset, 1_000, Some(key), Some(value), &[]);
    }
    let mut bytes = Vec::new();
    builder.finish(&mut bytes).unwrap();
    bytes
}

fn transactional(producer_id: i64, group: &str, offset: i64) -> Vec<u8> {
    let spec = BatchSpec {
        producer_id,
        producer_epoch: 0,
        base_sequence: 0,
        is_transactional: true,
        ..BatchSpec::default()
    };
    batch(spec, &[offset_record(group, "orders", offset)])
}

fn marker(producer_id: i64, is_commit: bool) -> Vec<u8> {
    end_txn_marker(&EndTxnMarker {
        is_commit,
        base_offset: 0,
        timestamp: 1_000,
        leader_epoch: 0,
        producer_id,
        producer_epoch: 0,
        coordinator_epoch: 0,
    })
    .unwrap()
}

/// A broker with one partition of offsets that holds these batches, restarted.
async fn broker_that_finds(batches: &[Vec<u8>]) -> TestBroker {
    let broker = group_broker(&[("offsets.topic.num.partitions", "1")]).await;
    create_topic(&broker, "orders", 1).await;
    let mut client = broker.connect().await;
    assert_eq!(client.commit("before", "orders", 0, 1).await, 0);
    let partition = broker
        .server
        .broker()
        .partitions
        .get("__consumer_offsets", 0)
        .unwrap();
    for batch in batches {
        partition.append_as_coordinator(batch).unwrap();
    }
    assert_eq!(client.commit("behind", "orders", 0, 2).await, 0);
    broker.restart().await
}

#[tokio::test]
async fn records_that_make_no_sense_are_skipped() {
    let nonsense = [
        (vec![0, 1, 0, 99, 7], vec![1, 2, 3]),
        (vec![], vec![]),
        (vec![0, 77, 1, 2], vec![0]),
        (offset_record("half", "orders", 5).0, vec![0, 3, 0]),
    ];
    let broker = broker_that_finds(&[batch(BatchSpec::default(), &nonsense)]).await;
    let mut client = broker.connect().await;
    assert_eq!(client.committed("before", "orders", 0).await, 1);
    assert_eq!(client.committed("behind", "orders", 0).await, 2);
    assert_eq!(client.committed("half", "orders", 0).await, -1);
}

#[tokio::test]
async fn offsets_of_a_transaction_count_once_it_is_committed() {
    let broker = broker_that_finds(&[
        transactional(5, "committed", 10),
        transactional(6, "aborted", 11),
        transactional(7, "undecided", 12),
        marker(6, false),
        marker(5, true),
    ])
    .await;
    let mut client = broker.connect().await;
    assert_eq!(client.committed("committed", "orders", 0).await, 10);
    assert_eq!(client.committed("aborted", "orders", 0).await, -1);
    assert_eq!(client.committed("undecided", "orders", 0).await, -1);
    assert_eq!(client.committed("behind", "orders", 0).await, 2);
}

#[tokio::test]
async fn offsets_that_are_adopted_without_metadata_are_compacted_not_deleted() {
    let broker = group_broker(&[]).await;
    create_topic(&broker, "orders", 1).await;
    let mut client = broker.connect().await;
    assert_eq!(client.commit("app", "orders", 0, 7).await, 0);
    std::fs::remove_file(broker.dir.path().join("lastword-metadata.json")).unwrap();
    let broker = broker.restart().await;
    let mut client = broker.connect().await;
    assert_eq!(client.committed("app", "orders", 0).await, 7);
    let image = broker.server.broker().metadata.image();
    let topic = image.topic("__consumer_offsets").unwrap();
    assert_eq!(topic.configs["cleanup.policy"], "compact");
    assert_eq!(topic.partition_count, 3);
}
