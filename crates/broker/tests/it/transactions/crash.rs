//! What a start finds of transactions: decided ones are ended, open ones stay open.
//!
//! A crash between the decision and the markers is made by storing the decision as the coordinator
//! does, and stopping before it can act on it.

use std::collections::BTreeMap;

use lastword_coordinator::{
    TransactionLogValue, TransactionState, TransactionVersion, encode_transaction_log_value,
    partition_for,
};
use lastword_record::control::{EndTxnMarker, end_txn_marker};
use lastword_record::{BatchBuilder, BatchSpec};

use super::requests::{GENERATIONS, Generation, Producer, create_topic, transaction_broker};
use crate::client::{TestBroker, now_ms};

/// The producer's transaction is decided, and nothing else has happened.
fn decide(broker: &TestBroker, producer: &Producer, is_commit: bool, partitions: &[(&str, i32)]) {
    let mut topics: BTreeMap<String, std::collections::BTreeSet<i32>> = BTreeMap::new();
    for (topic, partition) in partitions {
        topics
            .entry((*topic).to_owned())
            .or_default()
            .insert(*partition);
    }
    let (version, epoch) = match producer.generation {
        Generation::V1 => (TransactionVersion::V0, producer.epoch),
        Generation::V2 => (TransactionVersion::V2, producer.epoch + 1),
    };
    let value = TransactionLogValue {
        producer_id: producer.producer_id,
        previous_producer_id: -1,
        next_producer_id: -1,
        producer_epoch: epoch,
        transaction_timeout_ms: 60_000,
        state: match is_commit {
            true => TransactionState::PrepareCommit,
            false => TransactionState::PrepareAbort,
        },
        partitions: topics,
        last_update_timestamp_ms: now_ms(),
        start_timestamp_ms: now_ms(),
        client_transaction_version: version,
    };
    let mut key = vec![0, 0];
    key.extend_from_slice(&(producer.id.len() as i16).to_be_bytes());
    key.extend_from_slice(producer.id.as_bytes());
    let value = encode_transaction_log_value(&value, TransactionVersion::V2);
    let mut builder = BatchBuilder::new(BatchSpec::default());
    builder.push(0, now_ms(), Some(&key), Some(&value), &[]);
    let mut batch = Vec::new();
    builder.finish(&mut batch).unwrap();
    let number = partition_for(&producer.id, 2);
    let partitions = &broker.server.broker().partitions;
    let partition = partitions.get("__transaction_state", number).unwrap();
    partition.append_as_coordinator(&batch).unwrap();
}

fn mark(broker: &TestBroker, producer: &Producer, is_commit: bool, topic: &str, partition: i32) {
    let bump = i16::from(producer.generation == Generation::V2);
    let marker = end_txn_marker(&EndTxnMarker {
        is_commit,
        base_offset: 0,
        timestamp: now_ms(),
        leader_epoch: 0,
        producer_id: producer.producer_id,
        producer_epoch: producer.epoch + bump,
        coordinator_epoch: 0,
    });
    let partition = broker
        .server
        .broker()
        .partitions
        .get(topic, partition)
        .unwrap();
    partition.append_as_coordinator(&marker.unwrap()).unwrap();
}

#[tokio::test]
async fn a_start_ends_the_transactions_that_were_decided() {
    for generation in GENERATIONS {
        for is_commit in [true, false] {
            let broker = transaction_broker(&[]).await;
            create_topic(&broker, "t", 3).await;
            let mut producer = Producer::new(&broker, "tx", generation).await;
            for partition in 0..3 {
                producer.write("t", partition, "v").await;
            }
            decide(
                &broker,
                &producer,
                is_commit,
                &[("t", 0), ("t", 1), ("t", 2)],
            );
            // One marker is there already: a second one says the same thing twice.
            mark(&broker, &producer, is_commit, "t", 1);

            let broker = broker.restart().await;
            let mut client = broker.connect().await;
            let state = if is_commit {
                "CompleteCommit"
            } else {
                "CompleteAbort"
            };
            client.wait_for_state("tx", state).await;
            let wanted: &[&str] = if is_commit { &["v"] } else { &[] };
            for (partition, stable) in [(0, 2), (1, 3), (2, 2)] {
                let found = client.values_at("t", partition, stable).await;
                assert_eq!(found, wanted, "{generation:?}, {is_commit}, {partition}");
            }
            // The producer is told what became of it, or goes on.
            producer.client = broker.connect().await;
            assert_eq!(producer.end(is_commit).await, 0, "{generation:?}");
            producer.write("t", 0, "next").await;
            producer.commit().await;
        }
    }
}

#[tokio::test]
async fn a_decided_transaction_whose_topic_is_gone_is_ended() {
    let broker = transaction_broker(&[]).await;
    create_topic(&broker, "t", 1).await;
    let mut producer = Producer::new(&broker, "tx", Generation::V2).await;
    producer.write("t", 0, "v").await;
    decide(&broker, &producer, true, &[("t", 0), ("t", 7), ("gone", 0)]);
    let broker = broker.restart().await;
    let mut client = broker.connect().await;
    client.wait_for_state("tx", "CompleteCommit").await;
    assert_eq!(client.values_at("t", 0, 2).await, ["v"]);
}

#[tokio::test]
async fn an_open_transaction_is_open_after_a_restart_and_can_be_ended() {
    for generation in GENERATIONS {
        let broker = transaction_broker(&[]).await;
        create_topic(&broker, "t", 1).await;
        let mut producer = Producer::new(&broker, "tx", generation).await;
        producer.write("t", 0, "before").await;
        let broker = broker.restart().await;
        let mut client = broker.connect().await;
        client.wait_for_state("tx", "Ongoing").await;
        assert_eq!(client.fetch_committed("t", 0).await.last_stable_offset, 0);
        producer.client = broker.connect().await;
        producer.write("t", 0, "after").await;
        producer.commit().await;
        let found = client.values_at("t", 0, 3).await;
        assert_eq!(found, ["before", "after"], "{generation:?}");
    }
}

#[tokio::test]
async fn an_open_transaction_times_out_after_a_restart() {
    let broker = transaction_broker(&[]).await;
    create_topic(&broker, "t", 1).await;
    let mut producer = Producer::with_timeout(&broker, "tx", Generation::V2, 500).await;
    producer.write("t", 0, "v").await;
    let broker = broker.restart().await;
    let mut client = broker.connect().await;
    client.wait_for_state("tx", "CompleteAbort").await;
    assert_eq!(client.values_at("t", 0, 2).await, [""; 0]);
}
