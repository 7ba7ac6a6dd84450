//! DescribeQuorum (key 55), versions 0-2 (KIP-595).
//!
//! Behaviour:
//! - This node is the quorum: the leader and only voter of `__cluster_metadata`, and there are no observers. It keeps
//!   its metadata in a file and not in a log, so the positions are 0.
//! - Asked for anything but partition 0 of that topic alone, UNKNOWN_TOPIC_OR_PARTITION (3).
//!
//! Versions: 1 times of the replicas (KIP-836). 2 messages, directory ids and the nodes' endpoints (KIP-853).

use std::sync::Arc;

use lastword_protocol::messages::describe_quorum_response::{
    Listener, Node, PartitionData, ReplicaState, TopicData,
};
use lastword_protocol::messages::{DescribeQuorumRequest, DescribeQuorumResponse};
use lastword_protocol::{ErrorCode, Uuid, message};
use lastword_record::TopicId;

use super::{Reply, RequestContext};
use crate::broker::Broker;
use crate::metadata::CLUSTER_METADATA_TOPIC;

/// The epoch of a node that was always its own controller.
const CONTROLLER_EPOCH: i32 = 1;

pub(crate) async fn handle(
    broker: &Arc<Broker>,
    context: &RequestContext,
    request: DescribeQuorumRequest,
) -> Reply {
    let version = context.api_version;
    let describe = |name: &str, index: i32| {
        if name == CLUSTER_METADATA_TOPIC && index == 0 {
            quorum(broker, version)
        } else {
            unknown(version, index)
        }
    };
    let topics = request
        .topics
        .into_iter()
        .map(|topic| {
            let partitions = topic
                .partitions
                .iter()
                .map(|asked| describe(&topic.topic_name, asked.partition_index))
                .collect();
            message!(TopicData {
                topic_name: topic.topic_name,
                partitions
            })
        })
        .collect();
    let mut response = message!(DescribeQuorumResponse { topics });
    let has_quorum = |topic: &TopicData| topic.partitions.iter().any(|it| it.error_code == 0);
    if version >= 2 && response.topics.iter().any(has_quorum) {
        response.nodes = vec![message!(Node {
            node_id: broker.node_id,
            listeners: vec![message!(Listener {
                // The listener serves clients and is the controller's too.
                name: "CONTROLLER".into(),
                host: context.endpoint.host.clone(),
                port: u16::try_from(context.endpoint.port).unwrap_or(0),
            })],
        })];
    }
    context.reply(&response)
}

fn quorum(broker: &Broker, version: i16) -> PartitionData {
    let mut voter = message!(ReplicaState {
        replica_id: broker.node_id
    });
    if version >= 2 {
        let id = TopicId::parse(&broker.logs.cluster().directory_id);
        voter.replica_directory_id = Uuid::from_bytes(id.unwrap_or_default().0);
    }
    if version >= 1 {
        voter.last_fetch_timestamp = broker.clock.now_ms();
        voter.last_caught_up_timestamp = broker.clock.now_ms();
    }
    message!(PartitionData {
        leader_id: broker.node_id,
        leader_epoch: CONTROLLER_EPOCH,
        current_voters: vec![voter],
    })
}

fn unknown(version: i16, partition_index: i32) -> PartitionData {
    let code = ErrorCode::UnknownTopicOrPartition;
    let mut partition = message!(PartitionData {
        partition_index,
        error_code: code.code(),
    });
    if version >= 2 {
        partition.error_message = Some(code.message().into());
    }
    partition
}
