//! ElectLeaders (key 43), versions 0-2.
//!
//! Behaviour:
//! - This broker leads every partition, so each one asked for is ELECTION_NOT_NEEDED, or unknown.
//!   When all partitions are meant, nothing is listed, as Kafka leaves out those that needed none.
//!
//! Versions: 1 unclean elections and a top-level error (KIP-460). 2 flexible.

use std::sync::Arc;

use lastword_protocol::messages::elect_leaders_response::{PartitionResult, ReplicaElectionResult};
use lastword_protocol::messages::{ElectLeadersRequest, ElectLeadersResponse};
use lastword_protocol::{ErrorCode, StrBytes, message};

use super::{Reply, RequestContext};
use crate::broker::Broker;

pub(crate) async fn handle(
    broker: &Arc<Broker>,
    context: &RequestContext,
    request: ElectLeadersRequest,
) -> Reply {
    let asked = request.topic_partitions.unwrap_or_default();
    let replica_election_results = asked
        .into_iter()
        .map(|topic| {
            let partition_result = topic
                .partitions
                .iter()
                .map(|&n| elect(broker, &topic.topic, n))
                .collect();
            message!(ReplicaElectionResult {
                topic: topic.topic,
                partition_result
            })
        })
        .collect();
    context.reply(&message!(ElectLeadersResponse {
        replica_election_results
    }))
}

fn elect(broker: &Broker, topic: &StrBytes, partition_id: i32) -> PartitionResult {
    let code = match broker.partitions.get(topic, partition_id) {
        Some(_) => ErrorCode::ElectionNotNeeded,
        None => ErrorCode::UnknownTopicOrPartition,
    };
    message!(PartitionResult {
        partition_id,
        error_code: code.code(),
        error_message: Some(StrBytes::from(code.message())),
    })
}
