use lastword_broker::topics::{NewTopic, create_topic};
use lastword_protocol::messages::delete_records_request::{
    DeleteRecordsPartition, DeleteRecordsTopic,
};
use lastword_protocol::messages::describe_topic_partitions_request::{Cursor, TopicRequest};
use lastword_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use lastword_protocol::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use lastword_protocol::messages::{
    ApiVersionsRequest, DeleteRecordsRequest, DescribeClusterRequest,
    DescribeTopicPartitionsRequest, FindCoordinatorRequest, ListOffsetsRequest, MetadataRequest,
    OffsetForLeaderEpochRequest,
};
use lastword_protocol::{ErrorCode, message};
use lastword_record::{BatchBuilder, BatchSpec};

use crate::client::{Client, TestBroker, batch, metadata_request, now_ms, produce_request};

#[tokio::test]
async fn every_version_of_the_small_apis_is_answered() {
    let broker = TestBroker::start(&[("offsets.topic.num.partitions", "1")]).await;
    let mut client = broker.connect().await;
    for version in 0..=4 {
        let response = client.call(&ApiVersionsRequest::default(), version).await;
        let named = version >= 3;
        // An empty software name is invalid, as in Kafka; the list comes all the same.
        let expected = if named {
            ErrorCode::InvalidRequest
        } else {
            ErrorCode::None
        };
        assert_eq!(response.error_code, expected.code());
        assert!(
            response
                .api_keys
                .iter()
                .any(|key| (key.api_key, key.max_version) == (1, 18))
        );
    }
    for version in 0..=13 {
        let response = client.call(&metadata_request(&["t"]), version).await;
        assert_eq!(response.brokers.len(), 1);
        assert_eq!(response.brokers[0].port, i32::from(broker.address().port()));
        assert_eq!(response.topics[0].error_code, 0, "v{version}");
        assert_eq!(
            response.topics[0].partitions[0].leader_id,
            response.brokers[0].node_id
        );
    }
    for version in 0..=2 {
        let response = client
            .call(&DescribeClusterRequest::default(), version)
            .await;
        assert_eq!((response.error_code, response.brokers.len()), (0, 1));
    }
    for version in 0..=6 {
        let request = match version {
            0..4 => message!(FindCoordinatorRequest { key: "g".into() }),
            _ => message!(FindCoordinatorRequest {
                coordinator_keys: vec!["g".into()]
            }),
        };
        let response = client.call(&request, version).await;
        let port = response
            .coordinators
            .first()
            .map_or(response.port, |found| found.port);
        assert_eq!(port, i32::from(broker.address().port()), "v{version}");
    }
}

#[tokio::test]
async fn metadata_lists_all_topics_or_none_as_the_version_says() {
    let broker = TestBroker::start(&[]).await;
    let mut client = broker.connect().await;
    client.create("a").await;
    client.create("b").await;
    let none = message!(MetadataRequest {
        topics: Some(Vec::new())
    });
    let all = message!(MetadataRequest { topics: None });
    assert_eq!(client.call(&none, 0).await.topics.len(), 2);
    assert_eq!(client.call(&none, 1).await.topics.len(), 0);
    assert_eq!(client.call(&all, 1).await.topics.len(), 2);
    let mut not_created = metadata_request(&["c"]);
    not_created.allow_auto_topic_creation = false;
    let response = client.call(&not_created, 12).await;
    assert_eq!(
        response.topics[0].error_code,
        ErrorCode::UnknownTopicOrPartition.code()
    );
}

async fn list(client: &mut Client, timestamp: i64, version: i16) -> (i16, i64, i64) {
    let request = message!(ListOffsetsRequest {
        replica_id: -1,
        topics: vec![message!(ListOffsetsTopic {
            name: "t".into(),
            partitions: vec![message!(ListOffsetsPartition {
                partition_index: 0,
                timestamp
            })],
        })],
    });
    let response = client.call(&request, version).await;
    let answer = &response.topics[0].partitions[0];
    (answer.error_code, answer.offset, answer.timestamp)
}

#[tokio::test]
async fn offsets_are_listed_by_time_and_by_name() {
    let broker = TestBroker::start(&[]).await;
    let mut client = broker.connect().await;
    client.create("t").await;
    assert_eq!(list(&mut client, -1, 11).await, (0, 0, -1));
    let start = now_ms() - 10_000;
    for (index, time) in [start, start + 2000, start + 1000].into_iter().enumerate() {
        let mut builder = BatchBuilder::new(BatchSpec::default());
        builder.push(0, time, None, Some(b"v"), &[]);
        let mut bytes = Vec::new();
        builder.finish(&mut bytes).unwrap();
        assert_eq!(
            client.produce("t", bytes.into()).await.base_offset,
            index as i64
        );
    }
    for version in 1..=11 {
        assert_eq!(list(&mut client, -1, version).await, (0, 3, -1));
        assert_eq!(list(&mut client, -2, version).await, (0, 0, -1));
        assert_eq!(
            list(&mut client, start + 1, version).await,
            (0, 1, start + 2000)
        );
        assert_eq!(list(&mut client, start + 5000, version).await, (0, -1, -1));
    }
    assert_eq!(list(&mut client, -3, 7).await, (0, 1, start + 2000));
    assert_eq!(
        list(&mut client, -3, 6).await.0,
        ErrorCode::UnsupportedVersion.code()
    );
    assert_eq!(list(&mut client, -4, 8).await, (0, 0, -1));
    assert_eq!(list(&mut client, -5, 9).await, (0, -1, -1));
    assert_eq!(
        list(&mut client, i64::MIN, 11).await.0,
        ErrorCode::UnsupportedVersion.code()
    );
    assert_eq!(list(&mut client, i64::MAX, 11).await, (0, -1, -1));
}

async fn delete_records(client: &mut Client, offset: i64) -> (i16, i64) {
    let request = message!(DeleteRecordsRequest {
        timeout_ms: 1000,
        topics: vec![message!(DeleteRecordsTopic {
            name: "t".into(),
            partitions: vec![message!(DeleteRecordsPartition {
                partition_index: 0,
                offset
            })],
        })],
    });
    let response = client.call(&request, 2).await;
    let answer = &response.topics[0].partitions[0];
    (answer.error_code, answer.low_watermark)
}

#[tokio::test]
async fn deleted_records_are_gone_and_the_log_starts_later() {
    let broker = TestBroker::start(&[]).await;
    let mut client = broker.connect().await;
    client.create("t").await;
    for _ in 0..4 {
        client.produce("t", batch(&[(None, Some("v"))])).await;
    }
    assert_eq!(delete_records(&mut client, 2).await, (0, 2));
    assert_eq!(
        client.fetch("t", 1).await.error_code,
        ErrorCode::OffsetOutOfRange.code()
    );
    assert_eq!(list(&mut client, -2, 5).await, (0, 2, -1));
    assert_eq!(
        delete_records(&mut client, 5).await,
        (ErrorCode::OffsetOutOfRange.code(), -1)
    );
    assert_eq!(delete_records(&mut client, -1).await, (0, 4));
    let broker = broker.restart().await;
    let mut client = broker.connect().await;
    assert_eq!(list(&mut client, -2, 5).await, (0, 4, -1));
}

#[tokio::test]
async fn records_of_acks_1_can_be_deleted_as_soon_as_they_are_answered() {
    let broker = TestBroker::start(&[]).await;
    let mut client = broker.connect().await;
    client.create("t").await;
    for end in 1..=30 {
        let request = produce_request("t", 1, batch(&[(None, Some("v"))]));
        client.call(&request, 9).await;
        let offset = if end % 2 == 0 { end } else { -1 };
        assert_eq!(delete_records(&mut client, offset).await, (0, end));
    }
}

#[tokio::test]
async fn records_of_a_compacted_topic_cannot_be_deleted() {
    let broker = TestBroker::start(&[("log.cleanup.policy", "compact")]).await;
    let mut client = broker.connect().await;
    client.create("t").await;
    assert_eq!(
        delete_records(&mut client, 0).await.0,
        ErrorCode::PolicyViolation.code()
    );
}

#[tokio::test]
async fn a_consumer_learns_that_no_epoch_was_truncated() {
    let broker = TestBroker::start(&[]).await;
    let mut client = broker.connect().await;
    client.create("t").await;
    client.produce("t", batch(&[(None, Some("v"))])).await;
    let ask = |current_leader_epoch, leader_epoch| {
        message!(OffsetForLeaderEpochRequest {
            topics: vec![message!(OffsetForLeaderTopic {
                topic: "t".into(),
                partitions: vec![message!(OffsetForLeaderPartition {
                    partition: 0,
                    current_leader_epoch,
                    leader_epoch,
                })],
            })],
        })
    };
    let known = client.call(&ask(0, 0), 4).await.topics[0].partitions[0].clone();
    assert_eq!(
        (known.error_code, known.leader_epoch, known.end_offset),
        (0, 0, 1)
    );
    let unknown = client.call(&ask(-1, 3), 4).await.topics[0].partitions[0].clone();
    assert_eq!(
        (unknown.error_code, unknown.leader_epoch, unknown.end_offset),
        (0, -1, -1)
    );
    let newer = client.call(&ask(4, 0), 4).await.topics[0].partitions[0].clone();
    assert_eq!(newer.error_code, ErrorCode::UnknownLeaderEpoch.code());
}

#[tokio::test]
async fn long_descriptions_of_partitions_come_in_pages() {
    let broker = TestBroker::start(&[]).await;
    for (name, partitions) in [("a", 3), ("b", 4)] {
        let new_topic = NewTopic {
            name: name.to_owned(),
            partition_count: Some(partitions),
            configs: Default::default(),
        };
        let handles = broker.server.broker().clone();
        let creating = move || create_topic(&handles, &new_topic);
        tokio::task::spawn_blocking(creating)
            .await
            .unwrap()
            .unwrap();
    }
    let mut client = broker.connect().await;
    let mut cursor = None;
    let mut pages = Vec::new();
    loop {
        let request = message!(DescribeTopicPartitionsRequest {
            response_partition_limit: 2,
            cursor: cursor.take(),
        });
        let response = client.call(&request, 0).await;
        let page: Vec<(String, i32)> = response
            .topics
            .iter()
            .flat_map(|topic| {
                let name = topic.name.as_deref().unwrap_or_default().to_owned();
                topic
                    .partitions
                    .iter()
                    .map(move |p| (name.clone(), p.partition_index))
            })
            .collect();
        pages.push(page);
        match response.next_cursor {
            Some(next) => {
                cursor = Some(message!(Cursor {
                    topic_name: next.topic_name,
                    partition_index: next.partition_index,
                }));
            }
            None => break,
        }
    }
    let all: Vec<(String, i32)> = pages.concat();
    let expected: Vec<(String, i32)> = (0..3)
        .map(|index| ("a".to_owned(), index))
        .chain((0..4).map(|index| ("b".to_owned(), index)))
        .collect();
    assert_eq!(all, expected);
    assert!(pages.iter().all(|page| page.len() <= 2), "{pages:?}");
    let missing = message!(DescribeTopicPartitionsRequest {
        topics: vec![message!(TopicRequest {
            name: "missing".into()
        })],
        response_partition_limit: 10,
    });
    let response = client.call(&missing, 0).await;
    assert_eq!(
        response.topics[0].error_code,
        ErrorCode::UnknownTopicOrPartition.code()
    );
}
