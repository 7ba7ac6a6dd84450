use bytes::Bytes;
use lastword_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use lastword_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use lastword_protocol::messages::{
    FetchRequest, InitProducerIdRequest, MetadataRequest, ProduceRequest,
};
use lastword_protocol::{ErrorCode, message};
use lastword_record::{BatchSpec, CompressionType};

use crate::client::{
    TestBroker, batch, batch_of, fetch_request, metadata_request, produce_request, records,
};

fn init_producer_id() -> InitProducerIdRequest {
    message!(InitProducerIdRequest {
        transactional_id: None
    })
}

#[tokio::test]
async fn what_was_produced_is_fetched_with_its_offsets() {
    let broker = TestBroker::start(&[]).await;
    let mut client = broker.connect().await;
    client.create("t").await;
    let first = client
        .produce("t", batch(&[(Some("a"), Some("1")), (Some("b"), None)]))
        .await;
    assert_eq!((first.error_code, first.base_offset), (0, 0));
    let second = client.produce("t", batch(&[(Some("a"), Some("2"))])).await;
    assert_eq!((second.error_code, second.base_offset), (0, 2));

    let fetched = client.fetch("t", 0).await;
    assert_eq!((fetched.error_code, fetched.high_watermark), (0, 3));
    let read = records(&fetched.records.unwrap());
    let key = |key: &str| Some(key.to_owned());
    assert_eq!(
        read,
        [
            (0, key("a"), key("1")),
            (1, key("b"), None),
            (2, key("a"), key("2"))
        ]
    );
}

#[tokio::test]
async fn every_served_version_of_produce_and_fetch_works() {
    let broker = TestBroker::start(&[]).await;
    let mut client = broker.connect().await;
    client.create("t").await;
    let topics = client.call(&metadata_request(&["t"]), 12).await.topics;
    let topic_id = topics[0].topic_id;
    for version in 3..=13 {
        let mut request = produce_request("t", -1, batch(&[(Some("k"), Some("v"))]));
        if version >= 13 {
            request.topic_data[0].name = Default::default();
            request.topic_data[0].topic_id = topic_id;
        }
        let response = client.call(&request, version).await;
        let partition = &response.responses[0].partition_responses[0];
        assert_eq!(
            (partition.error_code, partition.base_offset),
            (0, (version - 3).into())
        );
    }
    for version in 4..=18 {
        let mut request = fetch_request("t", 0, 0, 1);
        if version >= 13 {
            request.topics[0].topic = Default::default();
            request.topics[0].topic_id = topic_id;
        }
        if version < 7 {
            request.session_epoch = -1;
        }
        let response = client.call(&request, version).await;
        let partition = &response.responses[0].partitions[0];
        assert_eq!(partition.error_code, 0, "v{version}");
        assert_eq!(
            records(partition.records.as_ref().unwrap()).len(),
            11,
            "v{version}"
        );
    }
}

#[tokio::test]
async fn compressed_batches_are_served_as_they_came() {
    let broker = TestBroker::start(&[]).await;
    let mut client = broker.connect().await;
    client.create("t").await;
    let codecs = [
        CompressionType::None,
        CompressionType::Gzip,
        CompressionType::Snappy,
        CompressionType::Lz4,
        CompressionType::Zstd,
    ];
    for (index, compression) in codecs.into_iter().enumerate() {
        let spec = BatchSpec {
            compression,
            ..BatchSpec::default()
        };
        let produced = batch_of(spec, &[(Some("k"), Some("value value value value"))]);
        let answer = client.produce("t", produced.clone()).await;
        assert_eq!((answer.error_code, answer.base_offset), (0, index as i64));
        let fetched = client.fetch("t", index as i64).await.records.unwrap();
        // Everything behind base offset and leader epoch is the producer's.
        assert_eq!(fetched[17..], produced[17..]);
    }
}

#[tokio::test]
async fn zstd_needs_produce_version_7() {
    let broker = TestBroker::start(&[]).await;
    let mut client = broker.connect().await;
    client.create("t").await;
    let spec = BatchSpec {
        compression: CompressionType::Zstd,
        ..BatchSpec::default()
    };
    let request = produce_request("t", 1, batch_of(spec, &[(None, Some("v"))]));
    let response = client.call(&request, 6).await;
    let code = response.responses[0].partition_responses[0].error_code;
    assert_eq!(code, ErrorCode::UnsupportedCompressionType.code());
}

#[tokio::test]
async fn a_transactional_batch_without_a_transaction_is_refused_and_holds_nothing_up() {
    let broker = TestBroker::start(&[]).await;
    let mut client = broker.connect().await;
    client.create("t").await;
    let spec = BatchSpec {
        is_transactional: true,
        producer_id: 4242,
        producer_epoch: 0,
        base_sequence: 0,
        ..BatchSpec::default()
    };
    let refused = client
        .produce("t", batch_of(spec, &[(Some("k"), Some("v"))]))
        .await;
    let code = ErrorCode::TransactionalIdAuthorizationFailed.code();
    assert_eq!(
        refused.error_code, code,
        "the request names no transactional id"
    );
    client.produce("t", batch(&[(Some("k"), Some("v"))])).await;
    let fetched = client.fetch("t", 0).await;
    assert_eq!((fetched.high_watermark, fetched.last_stable_offset), (1, 1));
}

#[tokio::test]
async fn a_batch_sent_twice_is_stored_once_and_answered_with_its_first_offset() {
    let broker = TestBroker::start(&[]).await;
    let mut client = broker.connect().await;
    client.create("t").await;
    let producer = client.call(&init_producer_id(), 4).await;
    assert_eq!((producer.error_code, producer.producer_epoch), (0, 0));
    let numbered = |base_sequence| {
        let spec = BatchSpec {
            producer_id: producer.producer_id,
            producer_epoch: 0,
            base_sequence,
            ..BatchSpec::default()
        };
        batch_of(spec, &[(None, Some("v"))])
    };
    assert_eq!(client.produce("t", numbered(0)).await.base_offset, 0);
    assert_eq!(client.produce("t", numbered(1)).await.base_offset, 1);
    let again = client.produce("t", numbered(0)).await;
    assert_eq!((again.error_code, again.base_offset), (0, 0));
    let gap = client.produce("t", numbered(5)).await;
    assert_eq!(gap.error_code, ErrorCode::OutOfOrderSequenceNumber.code());
    assert_eq!(client.fetch("t", 0).await.high_watermark, 2);
}

#[tokio::test]
async fn producer_ids_are_never_repeated_across_a_restart() {
    let broker = TestBroker::start(&[]).await;
    let mut client = broker.connect().await;
    let first = client.call(&init_producer_id(), 4).await.producer_id;
    let second = client.call(&init_producer_id(), 0).await.producer_id;
    assert!(second > first);
    let broker = broker.restart().await;
    let third = broker.connect().await.call(&init_producer_id(), 5).await;
    assert!(third.producer_id > second);
}

#[tokio::test]
async fn partitions_of_one_request_succeed_and_fail_one_by_one() {
    let broker = TestBroker::start(&[("num.partitions", "2")]).await;
    let mut client = broker.connect().await;
    client.create("t").await;
    let data = |index, records: Option<Bytes>| message!(PartitionProduceData { index, records });
    let good = batch(&[(None, Some("v"))]);
    let mut corrupt = good.to_vec();
    *corrupt.last_mut().unwrap() ^= 1;
    let request = message!(ProduceRequest {
        acks: -1,
        timeout_ms: 20_000,
        topic_data: vec![
            message!(TopicProduceData {
                name: "t".into(),
                partition_data: vec![
                    data(0, Some(corrupt.into())),
                    data(1, Some(good.clone())),
                    data(2, Some(good.clone())),
                    data(0, None),
                ],
            }),
            message!(TopicProduceData {
                name: "missing".into(),
                partition_data: vec![data(0, Some(good))],
            }),
        ],
    });
    let response = client.call(&request, 9).await;
    let codes: Vec<i16> = response
        .responses
        .iter()
        .flat_map(|topic| {
            topic
                .partition_responses
                .iter()
                .map(|answer| answer.error_code)
        })
        .collect();
    assert_eq!(
        codes,
        [
            ErrorCode::CorruptMessage.code(),
            0,
            ErrorCode::UnknownTopicOrPartition.code(),
            ErrorCode::InvalidRecord.code(),
            ErrorCode::UnknownTopicOrPartition.code(),
        ]
    );
    assert_eq!(client.fetch("t", 0).await.high_watermark, 0);
}

#[tokio::test]
async fn acks_that_do_not_exist_are_refused() {
    let broker = TestBroker::start(&[]).await;
    let mut client = broker.connect().await;
    client.create("t").await;
    let response = client
        .call(&produce_request("t", 2, batch(&[(None, Some("v"))])), 9)
        .await;
    let code = response.responses[0].partition_responses[0].error_code;
    assert_eq!(code, ErrorCode::InvalidRequiredAcks.code());
}

#[tokio::test]
async fn acks_0_is_not_answered_and_its_error_closes_the_connection() {
    let broker = TestBroker::start(&[]).await;
    let mut client = broker.connect().await;
    client.create("t").await;
    client
        .send(&produce_request("t", 0, batch(&[(None, Some("v"))])), 9)
        .await;
    // The next answer on the wire belongs to the next request.
    let answer = client.produce("t", batch(&[(None, Some("w"))])).await;
    assert_eq!(answer.base_offset, 1);
    client
        .send(
            &produce_request("missing", 0, batch(&[(None, Some("v"))])),
            9,
        )
        .await;
    assert!(client.receive_frame().await.is_none());
}

#[tokio::test]
async fn clients_cannot_write_to_the_brokers_own_topics() {
    let broker = TestBroker::start(&[("offsets.topic.num.partitions", "1")]).await;
    let mut client = broker.connect().await;
    client.create("__consumer_offsets").await;
    let answer = client
        .produce("__consumer_offsets", batch(&[(Some("k"), Some("v"))]))
        .await;
    assert_eq!(answer.error_code, ErrorCode::InvalidTopicException.code());
}

#[tokio::test]
async fn an_answer_keeps_to_the_limits_but_serves_at_least_one_batch() {
    let broker = TestBroker::start(&[("num.partitions", "2")]).await;
    let mut client = broker.connect().await;
    client.create("t").await;
    let big = "x".repeat(10_000);
    for _ in 0..5 {
        for index in 0..2 {
            let mut request = produce_request("t", -1, batch(&[(None, Some(&big))]));
            request.topic_data[0].partition_data[0].index = index;
            client.call(&request, 9).await;
        }
    }
    let ask = |max_bytes, partition_max_bytes| {
        let partition = |partition| {
            message!(FetchPartition {
                partition,
                fetch_offset: 0,
                partition_max_bytes
            })
        };
        message!(FetchRequest {
            min_bytes: 1,
            max_bytes,
            session_epoch: -1,
            topics: vec![message!(FetchTopic {
                topic: "t".into(),
                partitions: vec![partition(0), partition(1)],
            })],
        })
    };
    let mut counts = Vec::new();
    for (max_bytes, partition_max_bytes) in [(1, 1), (25_000, 1 << 20), (1 << 20, 15_000)] {
        let response = client.call(&ask(max_bytes, partition_max_bytes), 12).await;
        let partitions = &response.responses[0].partitions;
        let count = |index: usize| records(partitions[index].records.as_ref().unwrap()).len();
        counts.push((count(0), count(1)));
    }
    assert_eq!(counts, [(1, 0), (2, 0), (1, 1)]);
}

#[tokio::test]
async fn offsets_outside_of_the_log_are_refused() {
    let broker = TestBroker::start(&[]).await;
    let mut client = broker.connect().await;
    client.create("t").await;
    client.produce("t", batch(&[(None, Some("v"))])).await;
    for offset in [-1, 2, i64::MAX, i64::MIN] {
        let fetched = client.fetch("t", offset).await;
        assert_eq!(
            fetched.error_code,
            ErrorCode::OffsetOutOfRange.code(),
            "{offset}"
        );
    }
    assert_eq!(client.fetch("t", 1).await.error_code, 0);
}

#[tokio::test]
async fn unknown_topics_and_ids_are_named_as_such() {
    let broker = TestBroker::start(&[("auto.create.topics.enable", "false")]).await;
    let mut client = broker.connect().await;
    let response = client.call(&metadata_request(&["nobody"]), 12).await;
    let unknown = ErrorCode::UnknownTopicOrPartition.code();
    assert_eq!(response.topics[0].error_code, unknown);
    assert_eq!(client.fetch("nobody", 0).await.error_code, unknown);
    let mut request = fetch_request("", 0, 0, 1);
    request.topics[0].topic_id = lastword_protocol::Uuid::from_bytes([9; 16]);
    let response = client.call(&request, 13).await;
    let code = response.responses[0].partitions[0].error_code;
    assert_eq!(code, ErrorCode::UnknownTopicId.code());
    let all = client
        .call(&message!(MetadataRequest { topics: None }), 12)
        .await;
    assert!(all.topics.is_empty());
}
