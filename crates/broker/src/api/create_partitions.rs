//! CreatePartitions (key 37), versions 0-3.
//!
//! Behaviour:
//! - `count` is the new total and must be larger than the present one (INVALID_PARTITIONS).
//! - An assignment may be given, and can only name this broker.
//! - `validate_only` checks and changes nothing.
//!
//! Versions: 2 flexible. 3 same as 2 (KIP-599 throttling).

use std::collections::HashMap;
use std::sync::Arc;

use lastword_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use lastword_protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use lastword_protocol::messages::{CreatePartitionsRequest, CreatePartitionsResponse};
use lastword_protocol::{ErrorCode, StrBytes, message};

use super::{Reply, RequestContext};
use crate::broker::Broker;
use crate::error_map::ApiError;
use crate::metadata::{is_internal, refuse_view};
use crate::topics;

pub(crate) async fn handle(
    broker: &Arc<Broker>,
    context: &RequestContext,
    request: CreatePartitionsRequest,
) -> Reply {
    let broker = broker.clone();
    let work = move || {
        let mut mentions: HashMap<&str, usize> = HashMap::new();
        for topic in &request.topics {
            *mentions.entry(topic.name.as_str()).or_default() += 1;
        }
        let mut results = Vec::with_capacity(mentions.len());
        for topic in &request.topics {
            // A topic that comes twice has one answer.
            let outcome = match mentions.remove(topic.name.as_str()) {
                Some(1) => grow_one(&broker, topic, request.validate_only),
                Some(_) => Err(ApiError::new(
                    ErrorCode::InvalidRequest,
                    "Duplicate topic name.",
                )),
                None => continue,
            };
            results.push(result(topic.name.clone(), outcome));
        }
        message!(CreatePartitionsResponse { results })
    };
    context.reply_blocking(work).await
}

fn grow_one(
    broker: &Broker,
    topic: &CreatePartitionsTopic,
    validate_only: bool,
) -> Result<(), ApiError> {
    refuse_view(&topic.name)?;
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
        topics::validate_growth(present, topic.count)?;
        if i64::try_from(assignments.len()) != Ok(added) {
            return Err(ApiError::new(
                ErrorCode::InvalidReplicaAssignment,
                format!(
                    "{added} new partition(s) need as many assignments, not {}.",
                    assignments.len()
                ),
            ));
        }
        for assignment in assignments {
            topics::check_assignment(broker.node_id, &assignment.broker_ids)?;
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
