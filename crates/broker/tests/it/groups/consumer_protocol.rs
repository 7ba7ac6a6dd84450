//! The consumer group protocol over the wire.

use lastword_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use lastword_protocol::messages::{
    ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse, ConsumerGroupHeartbeatRequest,
    ConsumerGroupHeartbeatResponse, CreatePartitionsRequest, DescribeGroupsRequest,
    ListGroupsRequest, OffsetFetchRequest,
};
use lastword_protocol::{StrBytes, message};

use super::requests::{commit, create_topic, group_broker};
use crate::client::{Client, DEADLINE, TestBroker};

/// Assigns at each change, so that nobody has to wait.
async fn eager_broker() -> TestBroker {
    group_broker(&[("group.consumer.assignment.interval.ms", "0")]).await
}

fn beat(member_id: &str, member_epoch: i32) -> ConsumerGroupHeartbeatRequest {
    message!(ConsumerGroupHeartbeatRequest {
        group_id: StrBytes::from("app"),
        member_id: StrBytes::from(member_id),
        member_epoch,
    })
}

fn joining(member_id: &str, topic: &str) -> ConsumerGroupHeartbeatRequest {
    let mut request = beat(member_id, 0);
    request.rebalance_timeout_ms = 60_000;
    request.subscribed_topic_names = Some(vec![StrBytes::from(topic)]);
    request.topic_partitions = Some(Vec::new());
    request
}

fn assigned(response: &ConsumerGroupHeartbeatResponse) -> Option<Vec<i32>> {
    let assignment = response.assignment.as_ref()?;
    let topics = assignment.topic_partitions.iter();
    Some(topics.flat_map(|topic| topic.partitions.clone()).collect())
}

async fn describe(client: &mut Client, version: i16) -> ConsumerGroupDescribeResponse {
    let request = message!(ConsumerGroupDescribeRequest {
        group_ids: vec![StrBytes::from("app"), StrBytes::from("nobody")],
    });
    client.call(&request, version).await
}

/// Asks for the group until it is loaded.
async fn describe_loaded(client: &mut Client) -> ConsumerGroupDescribeResponse {
    let asking = async {
        loop {
            let described = describe(client, 1).await;
            if described.groups[0].error_code != 14 {
                return described;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, asking).await.unwrap()
}

#[tokio::test]
async fn members_join_are_described_and_outlive_a_restart() {
    let broker = eager_broker().await;
    create_topic(&broker, "orders", 2).await;
    let mut client = broker.connect().await;
    let first = client.call(&joining("a", "orders"), 1).await;
    assert_eq!((first.error_code, first.member_epoch), (0, 2));
    assert_eq!(first.heartbeat_interval_ms, 5_000);
    assert_eq!(assigned(&first), Some(vec![0, 1]));
    let second = client.call(&joining("b", "orders"), 1).await;
    assert_eq!(assigned(&second), Some(Vec::new()));
    let told = client.call(&beat("a", 2), 1).await;
    let kept = assigned(&told).unwrap();
    let mut given_up = beat("a", 2);
    given_up.topic_partitions = Some(
        told.assignment
            .unwrap()
            .topic_partitions
            .into_iter()
            .map(|topic| {
                message!(
                    lastword_protocol::messages::consumer_group_heartbeat_request::TopicPartitions {
                        topic_id: topic.topic_id,
                        partitions: topic.partitions,
                    }
                )
            })
            .collect(),
    );
    assert_eq!(client.call(&given_up, 1).await.member_epoch, 3);
    let given = assigned(&client.call(&beat("b", 3), 1).await).unwrap();
    assert_eq!((kept.len(), given.len()), (1, 1));
    assert_ne!(kept, given);

    let before = describe(&mut client, 1).await;
    let group = &before.groups[0];
    assert_eq!(
        (group.error_code, group.group_state.as_str()),
        (0, "Stable")
    );
    assert_eq!((group.group_epoch, group.assignment_epoch), (3, 3));
    assert_eq!(group.assignor_name.as_str(), "uniform");
    assert_eq!(group.members.len(), 2);
    assert_eq!(group.members[0].member_type, 1);
    let topic = &group.members[0].assignment.topic_partitions[0];
    assert_eq!(
        (topic.topic_name.as_str(), &topic.partitions),
        ("orders", &kept)
    );
    assert_eq!(before.groups[1].error_code, 69);
    assert_eq!(describe(&mut client, 0).await.groups[0].members.len(), 2);

    let broker = broker.restart().await;
    let mut client = broker.connect().await;
    assert_eq!(describe_loaded(&mut client).await, before);
    // The members go on where they were.
    assert_eq!(client.call(&beat("a", 3), 1).await.error_code, 0);
    broker.server.stop().await.unwrap();
}

#[tokio::test]
async fn partitions_that_are_added_are_assigned_with_the_next_heartbeat() {
    let broker = eager_broker().await;
    create_topic(&broker, "orders", 1).await;
    let mut client = broker.connect().await;
    client.call(&joining("a", "orders"), 1).await;
    let grow = message!(CreatePartitionsRequest {
        topics: vec![message!(CreatePartitionsTopic {
            name: StrBytes::from("orders"),
            count: 3,
            assignments: None,
        })],
        timeout_ms: 10_000,
    });
    assert_eq!(client.call(&grow, 3).await.results[0].error_code, 0);
    let reply = client.call(&beat("a", 2), 1).await;
    assert_eq!(
        (reply.member_epoch, assigned(&reply)),
        (3, Some(vec![0, 1, 2]))
    );
    broker.server.stop().await.unwrap();
}

#[tokio::test]
async fn offsets_of_a_consumer_group_are_fenced_by_member_epochs() {
    let broker = eager_broker().await;
    create_topic(&broker, "orders", 1).await;
    let mut client = broker.connect().await;
    client.call(&joining("a", "orders"), 1).await;
    let commit_as = |member: &str, epoch| {
        let mut request = commit("app", "orders", 0, 42);
        request.member_id = StrBytes::from(member);
        request.generation_id_or_member_epoch = epoch;
        request
    };
    for (member, epoch, version, wanted) in [
        ("a", 2, 9, 0),
        ("a", 3, 9, 113),
        ("x", 2, 9, 25),
        ("a", 2, 8, 35),
        ("", -1, 9, 25),
    ] {
        let response = client.call(&commit_as(member, epoch), version).await;
        let error = response.topics[0].partitions[0].error_code;
        assert_eq!(error, wanted, "{member} {epoch} v{version}");
    }
    let fetch_as = |member: Option<&str>, epoch| {
        let group = message!(
            lastword_protocol::messages::offset_fetch_request::OffsetFetchRequestGroup {
                group_id: StrBytes::from("app"),
                member_id: member.map(StrBytes::from),
                member_epoch: epoch,
                topics: None,
            }
        );
        message!(OffsetFetchRequest {
            groups: vec![group]
        })
    };
    for (member, epoch, wanted) in [
        (Some("a"), 2, 0),
        (None, -1, 0),
        (Some("a"), 3, 113),
        (Some("x"), 2, 25),
    ] {
        let response = client.call(&fetch_as(member, epoch), 9).await;
        assert_eq!(response.groups[0].error_code, wanted, "{member:?} {epoch}");
    }
    broker.server.stop().await.unwrap();
}

#[tokio::test]
async fn a_consumer_group_is_listed_by_its_type_and_is_no_classic_group() {
    let broker = eager_broker().await;
    create_topic(&broker, "orders", 1).await;
    let mut client = broker.connect().await;
    client.call(&joining("a", "orders"), 1).await;
    let list = |kind: &str| {
        message!(ListGroupsRequest {
            types_filter: vec![StrBytes::from(kind)]
        })
    };
    let listed = client.call(&list("Consumer"), 5).await.groups;
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].group_type.as_str(), "consumer");
    assert_eq!(listed[0].group_state.as_str(), "Stable");
    assert_eq!(listed[0].protocol_type.as_str(), "consumer");
    assert!(client.call(&list("classic"), 5).await.groups.is_empty());
    let describe = message!(DescribeGroupsRequest {
        groups: vec![StrBytes::from("app")]
    });
    let described = client.call(&describe, 6).await;
    assert_eq!(described.groups[0].error_code, 69);
    assert_eq!(described.groups[0].group_state.as_str(), "Dead");
    broker.server.stop().await.unwrap();
}

#[tokio::test]
async fn a_broker_without_the_protocol_says_so() {
    let broker = group_broker(&[("group.coordinator.rebalance.protocols", "classic")]).await;
    let mut client = broker.connect().await;
    let reply = client.call(&joining("a", "orders"), 1).await;
    assert_eq!(reply.error_code, 35);
    assert!(reply.error_message.unwrap().contains("not enabled"));
    assert_eq!(describe(&mut client, 1).await.groups[0].error_code, 35);
    broker.server.stop().await.unwrap();
}
