//! Requests of the consumer group protocol (KIP-848) and their replies, free of wire versions.

use std::collections::{BTreeMap, BTreeSet};

use super::topics::TopicId;
use crate::error::GroupError;
use crate::group::state::GroupState;

/// One heartbeat. What is `None` has not changed since the last one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerHeartbeatRequest {
    pub group_id: String,
    /// Made by the consumer; version 0 may leave it empty in its first request.
    pub member_id: String,
    /// 0 joins, -1 leaves, -2 leaves as a static member that comes back.
    pub member_epoch: i32,
    pub instance_id: Option<String>,
    pub rack_id: Option<String>,
    /// -1 when it has not changed.
    pub rebalance_timeout_ms: i32,
    pub topic_names: Option<Vec<String>>,
    pub topic_regex: Option<String>,
    pub server_assignor: Option<String>,
    /// What the member has, each partition once.
    pub owned: Option<BTreeMap<TopicId, BTreeSet<i32>>>,
    pub client_id: String,
    /// As Kafka stores it: a slash and the address.
    pub client_host: String,
    pub api_version: i16,
    /// A fresh random uuid, the id of a member that brought none.
    pub uuid: String,
}

/// The answer to a heartbeat.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConsumerHeartbeatReply {
    pub error: Option<GroupError>,
    /// Says what to do, with an error.
    pub error_message: Option<String>,
    pub member_id: Option<String>,
    pub member_epoch: i32,
    pub heartbeat_interval_ms: i32,
    /// What the member may use now; `None` when that is what it knows.
    pub assignment: Option<BTreeMap<TopicId, BTreeSet<i32>>>,
}

impl ConsumerHeartbeatReply {
    pub fn error(error: GroupError, message: Option<String>) -> Self {
        Self {
            error: Some(error),
            error_message: message,
            ..Self::default()
        }
    }
}

/// Partitions of a topic, for a description.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescribedTopic {
    pub id: TopicId,
    pub name: String,
    pub partitions: Vec<i32>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescribedConsumer {
    pub member_id: String,
    pub instance_id: Option<String>,
    pub rack_id: Option<String>,
    pub member_epoch: i32,
    pub client_id: String,
    pub client_host: String,
    pub topic_names: Vec<String>,
    pub topic_regex: Option<String>,
    pub assignment: Vec<DescribedTopic>,
    pub target: Vec<DescribedTopic>,
    pub uses_classic_protocol: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescribedConsumerGroup {
    pub group_id: String,
    pub state: GroupState,
    pub epoch: i32,
    pub assignment_epoch: i32,
    pub assignor: String,
    pub members: Vec<DescribedConsumer>,
}
