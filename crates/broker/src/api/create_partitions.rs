//! CreatePartitions (key 37), versions 0-3.
//!
//! Behaviour:
//! - `count` is the new total and must be larger than the present one (INVALID_PARTITIONS).
//! - An assignment may be given, and can only name this broker.
//! - `validate_only` checks and changes nothing.
//!
//! Versions: 2 flexible. 3 same as 2 (KIP-599 throttling).

use std::collections::HashSet;
use std::sync::Arc;

use lastword_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use lastword_protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use lastword_protocol::messages::{CreatePartitionsRequest, CreatePartitionsResponse};
use lastword_protocol::{ErrorCode, StrBytes, message};

use super::{Reply, RequestContext};
use crate::broker::Broker;
use crate::error_map::ApiError;
use crate::metadata::is_internal;
use crate::topics;

pub(crate) async fn handle(
    broker: &Arc<Broker>,
    context: &RequestContext,
    request: CreatePartitionsRequest,
) -> Reply {
    let broker = broker.clone();
    let work = move || {
        let mut seen = HashSet::new();
        let grow = |topic: &CreatePartitionsTopic| {
            let outcome = if seen.insert(topic.name.clone()) {
                grow_one(&broker, topic, request.validate_only)
            } else {
                Err(ApiError::new(
                    ErrorCode::InvalidRequest,
                    "Duplicate topic name.",
                ))
            };
            result(topic.name.clone(), outcome)
        };
        let results = request.topics.iter().map(grow).collect();
        message!(CreatePartitionsResponse { results })
    };
    context.reply_blocking(work).await
}

fn grow_one(
    broker: &Broker,
    topic: &CreatePartitionsTopic,
    validate_only: bool,
) -> Result<(), ApiError> {
    let image = broker.metadata.image();
    let present = image
        .topic(&topic.name)
        .ok_or(ErrorCode::UnknownTopicOrPartition)?;
    if is_internal(&topic.name) {
        return Err(ApiError::new(
            ErrorCode::InvalidTopicException,
            format!("{} is the broker's own topic.", topic.name.as_str()),
        ));
    }
    if let Some(assignments) = &topic.assignments {
        let added = i64::from(topic.count) - i64::from(present.partition_count);
        let here = assignments.iter().all(|a| a.broker_ids == [broker.node_id]);
        if i64::try_from(assignments.len()) != Ok(added) || !here {
            return Err(ApiError::new(
                ErrorCode::InvalidReplicaAssignment,
                format!(
                    "The assignment must name broker {} for each of the {added} new partition(s).",
                    broker.node_id
                ),
            ));
        }
    }
    if validate_only {
        topics::validate_growth(present, topic.count)
    } else {
        topics::create_partitions(broker, &topic.name, topic.count)
    }
}

fn result(name: StrBytes, outcome: Result<(), ApiError>) -> CreatePartitionsTopicResult {
    match outcome {
        Ok(()) => message!(CreatePartitionsTopicResult { name }),
        Err(error) => message!(CreatePartitionsTopicResult {
            name,
            error_code: error.code.code(),
            error_message: Some(StrBytes::from(error.message.as_str())),
        }),
    }
}
