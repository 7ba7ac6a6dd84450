//! Writing in a transaction, and who sees it when.

use lastword_protocol::message;
use lastword_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use lastword_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use lastword_protocol::messages::{ListOffsetsRequest, ProduceRequest};

use super::requests::{
    GENERATIONS, Generation, Producer, READ_COMMITTED, create_topic, transaction_broker, values,
};
use crate::client::{batch, batch_of, fetch_request, records};

#[tokio::test]
async fn records_of_a_transaction_are_stable_once_it_is_committed() {
    for generation in GENERATIONS {
        let broker = transaction_broker(&[]).await;
        create_topic(&broker, "t", 2).await;
        let mut client = broker.connect().await;
        let mut producer = Producer::new(&broker, "tx", generation).await;
        producer.write("t", 0, "a").await;
        producer.write("t", 1, "b").await;
        let open = client.fetch_committed("t", 0).await;
        assert_eq!((open.last_stable_offset, open.high_watermark), (0, 1));
        assert_eq!(values(&open), [""; 0]);
        let uncommitted = client.fetch("t", 0).await.records.unwrap();
        assert_eq!(records(&uncommitted).len(), 1, "{generation:?}");

        producer.commit().await;
        // A record and a marker.
        assert_eq!(client.values_at("t", 0, 2).await, ["a"], "{generation:?}");
        assert_eq!(client.values_at("t", 1, 2).await, ["b"], "{generation:?}");
        assert_eq!(
            client.fetch_committed("t", 0).await.aborted_transactions,
            Some(vec![])
        );
    }
}

#[tokio::test]
async fn aborted_records_are_named_to_readers_of_committed_ones() {
    for generation in GENERATIONS {
        let broker = transaction_broker(&[]).await;
        create_topic(&broker, "t", 1).await;
        let mut client = broker.connect().await;
        let mut producer = Producer::new(&broker, "tx", generation).await;
        producer.write("t", 0, "kept").await;
        producer.commit().await;
        client.values_at("t", 0, 2).await;
        producer.write("t", 0, "dropped").await;
        let producer_id = producer.producer_id;
        producer.abort().await;
        client.values_at("t", 0, 4).await;
        producer.write("t", 0, "kept too").await;
        producer.commit().await;

        assert_eq!(client.values_at("t", 0, 6).await, ["kept", "kept too"]);
        let fetched = client.fetch_committed("t", 0).await;
        let aborted = fetched.aborted_transactions.unwrap();
        assert_eq!(aborted.len(), 1, "{generation:?}");
        assert_eq!(
            (aborted[0].producer_id, aborted[0].first_offset),
            (producer_id, 2)
        );
        assert_eq!(
            records(&client.fetch("t", 0).await.records.unwrap()).len(),
            6
        );
    }
}

#[tokio::test]
async fn a_committed_fetch_that_waits_is_woken_by_the_end_of_the_transaction() {
    let broker = transaction_broker(&[]).await;
    create_topic(&broker, "t", 1).await;
    let mut reader = broker.connect().await;
    let mut producer = Producer::new(&broker, "tx", Generation::V2).await;
    producer.write("t", 0, "v").await;
    let mut request = fetch_request("t", 0, 20_000, 1);
    request.isolation_level = READ_COMMITTED;
    reader.send(&request, 12).await;
    producer.commit().await;
    let (_, response) = reader
        .receive::<lastword_protocol::messages::FetchRequest>(12)
        .await;
    assert_eq!(values(&response.responses[0].partitions[0]), ["v"]);
}

#[tokio::test]
async fn the_latest_offset_of_a_committed_reader_is_the_last_stable_one() {
    let broker = transaction_broker(&[]).await;
    create_topic(&broker, "t", 1).await;
    let mut client = broker.connect().await;
    client
        .produce("t", batch(&[(Some("k"), Some("before"))]))
        .await;
    let mut producer = Producer::new(&broker, "tx", Generation::V1).await;
    producer.write("t", 0, "open").await;
    let latest = |isolation_level: i8| {
        message!(ListOffsetsRequest {
            isolation_level,
            topics: vec![message!(ListOffsetsTopic {
                name: "t".into(),
                partitions: vec![message!(ListOffsetsPartition { timestamp: -1 })],
            })],
        })
    };
    let committed = client.call(&latest(READ_COMMITTED), 7).await;
    assert_eq!(committed.topics[0].partitions[0].offset, 1);
    let uncommitted = client.call(&latest(0), 7).await;
    assert_eq!(uncommitted.topics[0].partitions[0].offset, 2);
}

#[tokio::test]
async fn the_new_generation_adds_a_partition_by_writing_to_it() {
    let broker = transaction_broker(&[]).await;
    create_topic(&broker, "t", 3).await;
    let mut client = broker.connect().await;
    let mut producer = Producer::new(&broker, "tx", Generation::V2).await;
    assert_eq!(&*client.describe("tx").await.transaction_state, "Empty");
    producer.write("t", 2, "v").await;
    producer.write("t", 0, "v").await;
    let described = client.describe("tx").await;
    assert_eq!(&*described.transaction_state, "Ongoing");
    assert_eq!(&*described.topics[0].topic, "t");
    assert_eq!(described.topics[0].partitions, [0, 2]);
}

#[tokio::test]
async fn a_partition_that_was_not_added_takes_no_records_of_the_old_generation() {
    let broker = transaction_broker(&[]).await;
    create_topic(&broker, "t", 2).await;
    let mut client = broker.connect().await;
    let mut producer = Producer::new(&broker, "tx", Generation::V1).await;
    producer.write("t", 0, "v").await;
    for (version, code) in [(7, 48), (9, 48), (10, 48), (11, 120)] {
        let refused = producer.produce_in(version, "t", 1, "v").await;
        assert_eq!(refused.error_code, code, "version {version}");
    }
    let fetched = client.fetch_committed("t", 1).await;
    assert_eq!((fetched.high_watermark, fetched.last_stable_offset), (0, 0));
}

#[tokio::test]
async fn without_verification_the_old_generation_may_write_anywhere() {
    let off = ("transaction.partition.verification.enable", "false");
    let broker = transaction_broker(&[off]).await;
    create_topic(&broker, "t", 1).await;
    let mut producer = Producer::new(&broker, "tx", Generation::V1).await;
    assert_eq!(producer.produce_in(9, "t", 0, "v").await.error_code, 0);
}

#[tokio::test]
async fn a_late_record_cannot_open_a_transaction_that_nobody_ends() {
    for generation in GENERATIONS {
        let broker = transaction_broker(&[]).await;
        create_topic(&broker, "t", 1).await;
        let mut client = broker.connect().await;
        let mut producer = Producer::new(&broker, "tx", generation).await;
        producer.write("t", 0, "v").await;
        let epoch = producer.epoch;
        producer.commit().await;
        assert_eq!(client.values_at("t", 0, 2).await, ["v"]);
        client.wait_for_state("tx", "CompleteCommit").await;
        // With the epoch and the sequence of the transaction that is over.
        let request = message!(ProduceRequest {
            transactional_id: Some("tx".into()),
            acks: -1,
            timeout_ms: 20_000,
            topic_data: vec![message!(TopicProduceData {
                name: "t".into(),
                partition_data: vec![message!(PartitionProduceData {
                    records: Some(batch_of(
                        lastword_record::BatchSpec {
                            producer_epoch: epoch,
                            ..producer.spec(1)
                        },
                        &[(Some("k"), Some("late"))],
                    )),
                })],
            })],
        });
        let version = if generation == Generation::V1 { 9 } else { 12 };
        let response = client.call(&request, version).await;
        let code = response.responses[0].partition_responses[0].error_code;
        let wanted = if generation == Generation::V1 { 48 } else { 47 };
        assert_eq!(code, wanted, "{generation:?}");
        assert_eq!(client.fetch_committed("t", 0).await.last_stable_offset, 2);
    }
}

#[tokio::test]
async fn a_request_of_two_producers_is_refused() {
    let broker = transaction_broker(&[]).await;
    create_topic(&broker, "t", 2).await;
    let one = Producer::new(&broker, "one", Generation::V2).await;
    let mut two = Producer::new(&broker, "two", Generation::V2).await;
    let data = |index, producer: &Producer| {
        message!(PartitionProduceData {
            index,
            records: Some(batch_of(producer.spec(0), &[(Some("k"), Some("v"))])),
        })
    };
    let request = message!(ProduceRequest {
        transactional_id: Some("one".into()),
        acks: -1,
        topic_data: vec![message!(TopicProduceData {
            name: "t".into(),
            partition_data: vec![data(0, &one), data(1, &two)],
        })],
    });
    let response = two.client.call(&request, 12).await;
    for partition in &response.responses[0].partition_responses {
        assert_eq!(partition.error_code, 49);
    }
}

#[tokio::test]
async fn a_session_hears_of_aborted_transactions_and_of_the_stable_offset() {
    let broker = transaction_broker(&[]).await;
    create_topic(&broker, "t", 1).await;
    let mut reader = broker.connect().await;
    let mut producer = Producer::new(&broker, "tx", Generation::V2).await;
    let mut request = fetch_request("t", 0, 0, 1);
    request.isolation_level = READ_COMMITTED;
    request.session_epoch = 0;
    let opened = reader.call(&request, 12).await;
    request.session_id = opened.session_id;
    request.topics.clear();
    producer.write("t", 0, "dropped").await;
    let producer_id = producer.producer_id;
    producer.abort().await;
    let reading = async {
        let mut epoch = 0;
        loop {
            epoch += 1;
            request.session_epoch = epoch;
            let response = reader.call(&request, 12).await;
            assert_eq!(response.error_code, 0);
            let partitions = response
                .responses
                .iter()
                .flat_map(|topic| &topic.partitions);
            for partition in partitions {
                if partition.last_stable_offset == 2 {
                    return partition.clone();
                }
            }
            tokio::task::yield_now().await;
        }
    };
    let fetched = tokio::time::timeout(crate::client::DEADLINE, reading)
        .await
        .unwrap();
    let aborted = fetched.aborted_transactions.clone().unwrap();
    assert_eq!(
        (aborted[0].producer_id, aborted[0].first_offset),
        (producer_id, 0)
    );
    assert_eq!(values(&fetched), [""; 0]);
}

// On two threads, because on one the markers are written before anything else is served.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_may_begin_while_the_markers_of_the_one_before_are_being_written() {
    const PARTITIONS: i32 = 40;
    let broker = transaction_broker(&[]).await;
    create_topic(&broker, "t", PARTITIONS).await;
    let mut producer = Producer::new(&broker, "tx", Generation::V2).await;
    for _ in 0..5 {
        for partition in 0..PARTITIONS {
            producer.write("t", partition, "v").await;
        }
        // Answered before the markers are written; the last partition has its marker last.
        producer.commit().await;
        producer.write("t", PARTITIONS - 1, "v").await;
        producer.commit().await;
    }
}
