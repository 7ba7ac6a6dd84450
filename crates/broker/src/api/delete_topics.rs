//! DeleteTopics (key 20), versions 1-6.
//!
//! Behaviour:
//! - Each topic succeeds or fails on its own. By name, or from version 6 by name or id; both at once
//!   is INVALID_REQUEST.
//! - An unknown name is UNKNOWN_TOPIC_OR_PARTITION, an unknown id UNKNOWN_TOPIC_ID. The broker's own
//!   topics cannot be deleted.
//! - Answered when no client can reach the topic any more; its files go in the background.
//!
//! Versions: 4 flexible. 5 error messages (KIP-599). 6 topic ids (KIP-516).

use std::sync::Arc;

use lastword_protocol::messages::delete_topics_request::DeleteTopicState;
use lastword_protocol::messages::delete_topics_response::DeletableTopicResult;
use lastword_protocol::messages::{DeleteTopicsRequest, DeleteTopicsResponse};
use lastword_protocol::{ErrorCode, StrBytes, Uuid, message};
use lastword_record::TopicId;

use super::{Reply, RequestContext};
use crate::broker::Broker;
use crate::error_map::ApiError;
use crate::metadata::is_internal;
use crate::topics;

pub(crate) async fn handle(
    broker: &Arc<Broker>,
    context: &RequestContext,
    request: DeleteTopicsRequest,
) -> Reply {
    let version = context.api_version;
    let wanted: Vec<DeleteTopicState> = if version >= 6 {
        request.topics
    } else {
        let by_name = |name| message!(DeleteTopicState { name: Some(name) });
        request.topic_names.into_iter().map(by_name).collect()
    };
    let broker = broker.clone();
    let work = move || {
        let responses = wanted
            .into_iter()
            .map(|topic| delete_one(&broker, version, topic))
            .collect();
        message!(DeleteTopicsResponse { responses })
    };
    context.reply_blocking(work).await
}

fn delete_one(broker: &Broker, version: i16, topic: DeleteTopicState) -> DeletableTopicResult {
    let mut result = message!(DeletableTopicResult {
        name: topic.name.clone()
    });
    if version >= 6 {
        result.topic_id = topic.topic_id;
    }
    let outcome = resolve(broker, &topic).and_then(|(name, id)| {
        result.name = Some(StrBytes::from(name.as_str()));
        if version >= 6 {
            result.topic_id = Uuid::from_bytes(id.0);
        }
        if is_internal(&name) {
            return Err(ApiError::new(
                ErrorCode::InvalidTopicException,
                format!("{name} is the broker's own topic and cannot be deleted."),
            ));
        }
        topics::delete_topic(broker, &name)
    });
    if let Err(error) = outcome {
        result.error_code = error.code.code();
        if version >= 5 {
            result.error_message = Some(StrBytes::from(error.message.as_str()));
        }
    }
    result
}

/// The name and id of the topic that is meant.
fn resolve(broker: &Broker, topic: &DeleteTopicState) -> Result<(String, TopicId), ApiError> {
    let image = broker.metadata.image();
    let (found, missing) = match (&topic.name, topic.topic_id.is_zero()) {
        (Some(name), true) => (image.topic(name), ErrorCode::UnknownTopicOrPartition),
        (None, false) => {
            let id = TopicId(topic.topic_id.to_bytes());
            (image.topic_by_id(id), ErrorCode::UnknownTopicId)
        }
        _ => {
            return Err(ApiError::new(
                ErrorCode::InvalidRequest,
                "A topic to delete is given either by name or by id.",
            ));
        }
    };
    let found = found.ok_or_else(|| ApiError::from(missing))?;
    Ok((found.name.to_string(), found.id))
}
