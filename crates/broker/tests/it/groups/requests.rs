//! The requests of a consumer.

use lastword_protocol::messages::create_topics_request::CreatableTopic;
use lastword_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use lastword_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use lastword_protocol::messages::offset_fetch_request::OffsetFetchRequestGroup;
use lastword_protocol::messages::offset_fetch_request::OffsetFetchRequestTopics;
use lastword_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use lastword_protocol::messages::{
    CreateTopicsRequest, HeartbeatRequest, JoinGroupRequest, JoinGroupResponse,
    OffsetCommitRequest, OffsetFetchRequest, SyncGroupRequest, SyncGroupResponse,
};
use lastword_protocol::{Bytes, StrBytes, message};

use crate::client::{Client, DEADLINE, TestBroker};

/// A broker with few partitions of groups, and no delay before the first rebalance.
pub async fn group_broker(settings: &[(&str, &str)]) -> TestBroker {
    let mut all = vec![
        ("offsets.topic.num.partitions", "3"),
        ("group.initial.rebalance.delay.ms", "0"),
    ];
    all.extend_from_slice(settings);
    TestBroker::start(&all).await
}

pub async fn create_topic(broker: &TestBroker, name: &str, partitions: i32) {
    let topic = message!(CreatableTopic {
        name: StrBytes::from(name),
        num_partitions: partitions,
        replication_factor: 1,
    });
    let request = message!(CreateTopicsRequest {
        topics: vec![topic],
        timeout_ms: 10_000,
    });
    let response = broker.connect().await.call(&request, 7).await;
    assert_eq!(response.topics[0].error_code, 0, "{response:?}");
}

impl Client {
    /// Joins with the id that the first answer gives.
    pub async fn join_new(&mut self, group: &str) -> JoinGroupResponse {
        let first = self.call(&join(group, ""), 9).await;
        assert_eq!(first.error_code, 79, "a new member needs an id: {first:?}");
        self.call(&join(group, &first.member_id), 9).await
    }

    pub async fn sync(
        &mut self,
        group: &str,
        joined: &JoinGroupResponse,
        assignments: &[(&str, &str)],
    ) -> SyncGroupResponse {
        self.call(&sync(group, joined, assignments), 5).await
    }

    pub async fn heartbeat(&mut self, group: &str, joined: &JoinGroupResponse) -> i16 {
        let request = message!(HeartbeatRequest {
            group_id: StrBytes::from(group),
            generation_id: joined.generation_id,
            member_id: joined.member_id.clone(),
        });
        self.call(&request, 4).await.error_code
    }

    /// Commits without being a member; the error of the partition.
    pub async fn commit(&mut self, group: &str, topic: &str, partition: i32, offset: i64) -> i16 {
        let request = commit(group, topic, partition, offset);
        let response = self.call(&request, 9).await;
        response.topics[0].partitions[0].error_code
    }

    /// The committed offset; asks again while the group is being loaded.
    pub async fn committed(&mut self, group: &str, topic: &str, partition: i32) -> i64 {
        let asked = message!(OffsetFetchRequestTopics {
            name: StrBytes::from(topic),
            partition_indexes: vec![partition],
        });
        let group = message!(OffsetFetchRequestGroup {
            group_id: StrBytes::from(group),
            topics: Some(vec![asked]),
        });
        let request = message!(OffsetFetchRequest {
            groups: vec![group],
        });
        let asking = async {
            loop {
                let response = self.call(&request, 9).await;
                let group = &response.groups[0];
                if group.error_code != 14 {
                    assert_eq!(group.error_code, 0, "{response:?}");
                    return group.topics[0].partitions[0].committed_offset;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(DEADLINE, asking).await.unwrap()
    }
}

pub fn join(group: &str, member_id: &str) -> JoinGroupRequest {
    let range = message!(JoinGroupRequestProtocol {
        name: StrBytes::from("range"),
        metadata: subscription("orders"),
    });
    message!(JoinGroupRequest {
        group_id: StrBytes::from(group),
        session_timeout_ms: 30_000,
        rebalance_timeout_ms: 30_000,
        member_id: StrBytes::from(member_id),
        protocol_type: StrBytes::from("consumer"),
        protocols: vec![range],
    })
}

pub fn sync(
    group: &str,
    joined: &JoinGroupResponse,
    assignments: &[(&str, &str)],
) -> SyncGroupRequest {
    let assignments = assignments.iter().map(|(member_id, assignment)| {
        message!(SyncGroupRequestAssignment {
            member_id: StrBytes::from(*member_id),
            assignment: Bytes::copy_from_slice(assignment.as_bytes()),
        })
    });
    message!(SyncGroupRequest {
        group_id: StrBytes::from(group),
        generation_id: joined.generation_id,
        member_id: joined.member_id.clone(),
        protocol_type: Some(StrBytes::from("consumer")),
        protocol_name: Some(StrBytes::from("range")),
        assignments: assignments.collect(),
    })
}

pub fn commit(group: &str, topic: &str, partition: i32, offset: i64) -> OffsetCommitRequest {
    let partition = message!(OffsetCommitRequestPartition {
        partition_index: partition,
        committed_offset: offset,
        committed_metadata: Some(StrBytes::from("note")),
    });
    let topic = message!(OffsetCommitRequestTopic {
        name: StrBytes::from(topic),
        partitions: vec![partition],
    });
    message!(OffsetCommitRequest {
        group_id: StrBytes::from(group),
        topics: vec![topic],
    })
}

/// A consumer's subscription, version 0.
pub fn subscription(topic: &str) -> Bytes {
    let mut bytes = vec![0, 0, 0, 0, 0, 1];
    bytes.extend_from_slice(&(topic.len() as i16).to_be_bytes());
    bytes.extend_from_slice(topic.as_bytes());
    bytes.extend_from_slice(&(-1i32).to_be_bytes());
    Bytes::from(bytes)
}
