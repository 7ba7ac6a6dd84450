use lastword_protocol::messages::create_partitions_request::{
    CreatePartitionsAssignment, CreatePartitionsTopic,
};
use lastword_protocol::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use lastword_protocol::messages::delete_topics_request::DeleteTopicState;
use lastword_protocol::messages::describe_topic_partitions_request::{Cursor, TopicRequest};
use lastword_protocol::messages::{
    CreatePartitionsRequest, CreateTopicsRequest, DeleteTopicsRequest,
    DescribeTopicPartitionsRequest,
};
use lastword_protocol::{ErrorCode, StrBytes, Uuid, message};

use crate::client::{Client, TestBroker};

fn topic(name: &str, num_partitions: i32, replication_factor: i16) -> CreatableTopic {
    message!(CreatableTopic {
        name: name.into(),
        num_partitions,
        replication_factor
    })
}

fn assigned(mut topic: CreatableTopic, assignments: &[(i32, &[i32])]) -> CreatableTopic {
    let assignments = assignments.iter().map(|&(partition_index, broker_ids)| {
        message!(CreatableReplicaAssignment {
            partition_index,
            broker_ids: broker_ids.to_vec(),
        })
    });
    topic.assignments = assignments.collect();
    topic
}

fn configured(mut topic: CreatableTopic, name: &str, value: Option<&str>) -> CreatableTopic {
    topic.configs = vec![message!(CreatableTopicConfig {
        name: name.into(),
        value: value.map(StrBytes::from),
    })];
    topic
}

async fn create(client: &mut Client, topics: Vec<CreatableTopic>, validate_only: bool) -> Vec<i16> {
    let request = message!(CreateTopicsRequest {
        topics,
        validate_only
    });
    let response = client.call(&request, 7).await;
    response.topics.iter().map(|it| it.error_code).collect()
}

#[tokio::test]
async fn a_topic_that_cannot_be_is_refused_with_kafkas_code() {
    let broker = TestBroker::start(&[]).await;
    let mut client = broker.connect().await;
    assert_eq!(
        create(&mut client, vec![topic("a.b", 1, 1)], false).await,
        [0]
    );
    let new = || topic("new", -1, -1);
    for (one, code) in [
        (topic("a_b", 1, 1), ErrorCode::InvalidTopicException),
        (topic("a.b", 1, 1), ErrorCode::TopicAlreadyExists),
        // Told before what else is wrong with it.
        (topic("a.b", 0, 9), ErrorCode::TopicAlreadyExists),
        (topic("a/b", 0, 9), ErrorCode::InvalidTopicException),
        (topic("new", 0, 1), ErrorCode::InvalidPartitions),
        (topic("new", -2, 1), ErrorCode::InvalidPartitions),
        (topic("new", 1, 2), ErrorCode::InvalidReplicationFactor),
        (topic("new", 1, 0), ErrorCode::InvalidReplicationFactor),
        (
            assigned(topic("new", 1, -1), &[(0, &[1])]),
            ErrorCode::InvalidRequest,
        ),
        (
            assigned(topic("new", -1, 1), &[(0, &[1])]),
            ErrorCode::InvalidRequest,
        ),
        (
            assigned(new(), &[(0, &[2])]),
            ErrorCode::InvalidReplicaAssignment,
        ),
        (
            assigned(new(), &[(0, &[1, 1])]),
            ErrorCode::InvalidReplicaAssignment,
        ),
        (
            assigned(new(), &[(0, &[])]),
            ErrorCode::InvalidReplicaAssignment,
        ),
        (
            assigned(new(), &[(1, &[1])]),
            ErrorCode::InvalidReplicaAssignment,
        ),
        (
            assigned(new(), &[(0, &[1]), (0, &[1])]),
            ErrorCode::InvalidReplicaAssignment,
        ),
        (
            configured(new(), "no.such", Some("1")),
            ErrorCode::InvalidConfig,
        ),
        (
            configured(new(), "retention.ms", None),
            ErrorCode::InvalidConfig,
        ),
        (
            configured(new(), "retention.ms", Some("x")),
            ErrorCode::InvalidConfig,
        ),
    ] {
        for validate_only in [true, false] {
            let found = create(&mut client, vec![one.clone()], validate_only).await;
            assert_eq!(found, [code.code()], "{one:?}");
        }
    }
    let one = assigned(new(), &[(1, &[1]), (0, &[1])]);
    assert_eq!(create(&mut client, vec![one.clone()], true).await, [0]);
    assert_eq!(create(&mut client, vec![one], false).await, [0]);
}

async fn grow(client: &mut Client, count: i32, assignments: Option<&[&[i32]]>) -> i16 {
    let assignments = assignments.map(|all| {
        let all = all.iter().map(|ids| {
            message!(CreatePartitionsAssignment {
                broker_ids: ids.to_vec()
            })
        });
        all.collect()
    });
    let request = message!(CreatePartitionsRequest {
        topics: vec![message!(CreatePartitionsTopic {
            name: "t".into(),
            count,
            assignments,
        })],
    });
    client.call(&request, 3).await.results[0].error_code
}

#[tokio::test]
async fn new_partitions_need_one_assignment_each_to_this_broker() {
    let broker = TestBroker::start(&[("num.partitions", "2")]).await;
    let mut client = broker.connect().await;
    client.create("t").await;
    let count = ErrorCode::InvalidPartitions.code();
    let assignment = ErrorCode::InvalidReplicaAssignment.code();
    assert_eq!(grow(&mut client, 2, None).await, count);
    assert_eq!(grow(&mut client, 1, Some(&[])).await, count);
    assert_eq!(grow(&mut client, 4, Some(&[&[1]])).await, assignment);
    assert_eq!(grow(&mut client, 3, Some(&[&[2]])).await, assignment);
    assert_eq!(grow(&mut client, 3, Some(&[&[]])).await, assignment);
    assert_eq!(grow(&mut client, 4, Some(&[&[1], &[1]])).await, 0);
    let one = message!(CreatePartitionsTopic {
        name: "t".into(),
        count: 9
    });
    let request = message!(CreatePartitionsRequest {
        topics: vec![one.clone(), one]
    });
    let results = client.call(&request, 3).await.results;
    let codes: Vec<i16> = results.iter().map(|it| it.error_code).collect();
    assert_eq!(
        codes,
        [ErrorCode::InvalidRequest.code()],
        "twice in a request"
    );
}

#[tokio::test]
async fn a_topic_that_comes_twice_is_not_deleted() {
    let broker = TestBroker::start(&[]).await;
    let mut client = broker.connect().await;
    client.create("t").await;
    client.create("u").await;
    let image = broker.server.broker().metadata.image();
    let id = Uuid::from_bytes(image.topic("t").unwrap().id.0);
    let by_name = |name: &str| {
        message!(DeleteTopicState {
            name: Some(name.into())
        })
    };
    let by_id = message!(DeleteTopicState { topic_id: id });
    let refused = ErrorCode::InvalidRequest.code();
    for (topics, codes) in [
        (vec![by_name("t"), by_name("t")], vec![refused]),
        (vec![by_id.clone(), by_id.clone()], vec![refused]),
        (vec![by_name("t"), by_id.clone()], vec![refused]),
        (vec![by_name("u"), by_id], vec![0, 0]),
    ] {
        let request = message!(DeleteTopicsRequest { topics });
        let responses = client.call(&request, 6).await.responses;
        let found: Vec<i16> = responses.iter().map(|it| it.error_code).collect();
        assert_eq!(found, codes, "{request:?}");
    }
    assert_eq!(broker.server.broker().metadata.image().topics().len(), 0);
}

#[tokio::test]
async fn a_cursor_that_names_no_topic_asked_for_is_refused() {
    let broker = TestBroker::start(&[("num.partitions", "3")]).await;
    let mut client = broker.connect().await;
    for name in ["a", "b"] {
        client.create(name).await;
    }
    let asked = |topics: &[&str], topic: &str, partition_index: i32| {
        let topics = topics
            .iter()
            .map(|&name| message!(TopicRequest { name: name.into() }));
        message!(DescribeTopicPartitionsRequest {
            topics: topics.collect(),
            response_partition_limit: 10,
            cursor: Some(message!(Cursor {
                topic_name: topic.into(),
                partition_index
            })),
        })
    };
    for (request, expected) in [
        (asked(&["a", "b"], "a", 2), vec![(0, 1), (0, 3)]),
        (asked(&[], "aa", 1), vec![(0, 3)]),
        (asked(&["a", "b"], "gone", 0), vec![(42, 0), (42, 0)]),
        (asked(&["a", "b"], "b", -1), vec![(42, 0), (42, 0)]),
    ] {
        let topics = client.call(&request, 0).await.topics;
        let found: Vec<(i16, usize)> = topics
            .iter()
            .map(|topic| (topic.error_code, topic.partitions.len()))
            .collect();
        assert_eq!(found, expected, "{request:?}");
    }
}
