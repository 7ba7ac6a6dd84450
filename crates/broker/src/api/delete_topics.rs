//! DeleteTopics (key 20), versions 1-6.
//!
//! Behaviour:
//! - Each topic succeeds or fails on its own. By name, or from version 6 by name or id; both at once
//!   is INVALID_REQUEST.
//!   A topic that comes twice is INVALID_REQUEST and stays.
//! - An unknown name is UNKNOWN_TOPIC_OR_PARTITION, an unknown id UNKNOWN_TOPIC_ID. The broker's own
//!   topics cannot be deleted.
//! - Answered when no client can reach the topic any more; its files go in the background.
//!
//! Versions: 4 flexible. 5 error messages (KIP-599). 6 topic ids (KIP-516).

use std::collections::HashMap;
use std::sync::Arc;

use lastword_protocol::messages::delete_topics_request::DeleteTopicState;
use lastword_protocol::messages::delete_topics_response::DeletableTopicResult;
use lastword_protocol::messages::{DeleteTopicsRequest, DeleteTopicsResponse};
use lastword_protocol::{ErrorCode, StrBytes, Uuid, message};
use lastword_record::TopicId;

use super::{Reply, RequestContext};
use crate::broker::Broker;
use crate::error_map::ApiError;
use crate::metadata::{is_internal, refuse_view};
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
        let responses = delete_all(&broker, version, &wanted);
        message!(DeleteTopicsResponse { responses })
    };
    context.reply_blocking(work).await
}

fn delete_all(
    broker: &Broker,
    version: i16,
    wanted: &[DeleteTopicState],
) -> Vec<DeletableTopicResult> {
    let resolved: Vec<_> = wanted.iter().map(|topic| resolve(broker, topic)).collect();
    let mut mentions: HashMap<TopicKey, usize> = HashMap::new();
    for (topic, found) in wanted.iter().zip(&resolved) {
        *mentions.entry(TopicKey::of(topic, found)).or_default() += 1;
    }
    let mut results = Vec::with_capacity(mentions.len());
    for (topic, found) in wanted.iter().zip(resolved) {
        let is_both = topic.name.is_some() && !topic.topic_id.is_zero();
        // A topic that comes twice, by name or by id, is not deleted and has one answer.
        match mentions.remove(&TopicKey::of(topic, &found)) {
            Some(times) if times > 1 && !is_both => {
                let twice = ApiError::new(
                    ErrorCode::InvalidRequest,
                    "The topic comes more than once in the request.",
                );
                let mut refused = result(version, topic, Err(twice));
                if let Ok((name, id)) = found
                    && wanted.iter().any(|it| it.topic_id.to_bytes() == id.0)
                {
                    refused.name = Some(StrBytes::from(name.as_str()));
                    refused.topic_id = Uuid::from_bytes(id.0);
                }
                results.push(refused);
            }
            Some(_) => results.push(delete_one(broker, version, topic, found)),
            None => {}
        }
    }
    results
}

/// What tells two topics of a request apart.
#[derive(PartialEq, Eq, Hash)]
struct TopicKey {
    name: Option<String>,
    id: [u8; 16],
}

impl TopicKey {
    fn of(topic: &DeleteTopicState, found: &Result<(String, TopicId), ApiError>) -> TopicKey {
        let given = || topic.name.as_ref().map(|name| name.as_str().to_owned());
        match found {
            Ok((name, id)) => TopicKey {
                name: Some(name.clone()),
                id: id.0,
            },
            Err(_) => TopicKey {
                name: given(),
                id: topic.topic_id.to_bytes(),
            },
        }
    }
}

fn delete_one(
    broker: &Broker,
    version: i16,
    topic: &DeleteTopicState,
    found: Result<(String, TopicId), ApiError>,
) -> DeletableTopicResult {
    let outcome = found.and_then(|(name, id)| {
        refuse_view(&name)?;
        if is_internal(&name) {
            return Err(ApiError::new(
                ErrorCode::InvalidTopicException,
                format!("{name} is the broker's own topic and cannot be deleted."),
            ));
        }
        topics::delete_topic(broker, &name)?;
        Ok((name, id))
    });
    result(version, topic, outcome)
}

fn result(
    version: i16,
    topic: &DeleteTopicState,
    outcome: Result<(String, TopicId), ApiError>,
) -> DeletableTopicResult {
    let mut result = message!(DeletableTopicResult {
        name: topic.name.clone()
    });
    if version >= 6 {
        result.topic_id = topic.topic_id;
    }
    match outcome {
        Ok((name, id)) => {
            result.name = Some(StrBytes::from(name.as_str()));
            if version >= 6 {
                result.topic_id = Uuid::from_bytes(id.0);
            }
        }
        Err(error) => {
            result.error_code = error.code.code();
            if version >= 5 {
                result.error_message = Some(StrBytes::from(error.message.as_str()));
            }
        }
    }
    result
}

/// The name and id of the topic that is meant.
fn resolve(broker: &Broker, topic: &DeleteTopicState) -> Result<(String, TopicId), ApiError> {
    let image = broker.metadata.image();
    let (found, missing) = match (&topic.name, topic.topic_id.is_zero()) {
        (Some(name), true) => (image.readable(name), ErrorCode::UnknownTopicOrPartition),
        (None, false) => {
            let id = TopicId(topic.topic_id.to_bytes());
            (image.readable_by_id(id), ErrorCode::UnknownTopicId)
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
