//! AlterPartitionReassignments (key 45), versions 0-1 (KIP-455).
//!
//! Behaviour:
//! - There is one broker, so the only assignment a partition can have is the one it has: that succeeds, any other is
//!   INVALID_REPLICA_ASSIGNMENT (39).
//! - Cancelling is NO_REASSIGNMENT_IN_PROGRESS (85): nothing ever moves.
//!
//! Versions: 1 `allow_replication_factor_change` (KIP-860), which one broker cannot use.

use std::sync::Arc;

use lastword_protocol::messages::alter_partition_reassignments_request::ReassignablePartition;
use lastword_protocol::messages::alter_partition_reassignments_response::{
    ReassignablePartitionResponse, ReassignableTopicResponse,
};
use lastword_protocol::messages::{
    AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse,
};
use lastword_protocol::{ErrorCode, StrBytes, message};

use super::{Reply, RequestContext};
use crate::broker::Broker;
use crate::error_map::ApiError;
use crate::metadata::refuse_view;
use crate::topics;

pub(crate) async fn handle(
    broker: &Arc<Broker>,
    context: &RequestContext,
    request: AlterPartitionReassignmentsRequest,
) -> Reply {
    let responses = request
        .topics
        .into_iter()
        .map(|topic| {
            let partitions = topic
                .partitions
                .iter()
                .map(|partition| {
                    let error = reassign(broker, &topic.name, partition).err();
                    message!(ReassignablePartitionResponse {
                        partition_index: partition.partition_index,
                        error_code: error.as_ref().map_or(0, |error| error.code.code()),
                        error_message: error.map(|error| StrBytes::from(error.message.as_str())),
                    })
                })
                .collect();
            message!(ReassignableTopicResponse {
                name: topic.name,
                partitions
            })
        })
        .collect();
    let mut response = message!(AlterPartitionReassignmentsResponse { responses });
    if context.api_version >= 1 {
        response.allow_replication_factor_change = request.allow_replication_factor_change;
    }
    context.reply(&response)
}

fn reassign(
    broker: &Broker,
    topic: &str,
    partition: &ReassignablePartition,
) -> Result<(), ApiError> {
    refuse_view(topic)?;
    let image = broker.metadata.image();
    let number = partition.partition_index;
    if !image
        .topic(topic)
        .is_some_and(|topic| (0..topic.partition_count).contains(&number))
    {
        return Err(ErrorCode::UnknownTopicOrPartition.into());
    }
    match &partition.replicas {
        Some(replicas) => topics::check_assignment(broker.node_id, replicas),
        None => Err(ErrorCode::NoReassignmentInProgress.into()),
    }
}
