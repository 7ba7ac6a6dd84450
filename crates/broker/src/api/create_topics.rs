//! CreateTopics (key 19), versions 2-7.
//!
//! Behaviour:
//! - Each topic of the request succeeds or fails on its own; a name that comes twice fails for both
//!   with INVALID_REQUEST.
//! - There is one broker: a replication factor above 1, or an assignment that names another
//!   broker, is refused with words that say so.
//! - `validate_only` checks everything and creates nothing.
//! - Answered when the logs exist and the metadata is durable.
//!
//! Versions: 4 partition count and replication factor -1 (KIP-464). 5 flexible, returns the configs
//! (KIP-525). 7 returns the topic id (KIP-516).

use std::collections::HashMap;
use std::sync::Arc;

use lastword_protocol::messages::create_topics_request::CreatableTopic;
use lastword_protocol::messages::create_topics_response::{
    CreatableTopicConfigs, CreatableTopicResult,
};
use lastword_protocol::messages::{CreateTopicsRequest, CreateTopicsResponse};
use lastword_protocol::{ErrorCode, StrBytes, Uuid, message};

use super::{Reply, RequestContext};
use crate::broker::Broker;
use crate::configs;
use crate::error_map::ApiError;
use crate::metadata::{Properties, TopicImage, is_internal};
use crate::topics::{self, NewTopic};

/// Topics of one request; each costs directories and syncs.
const MAX_TOPICS_PER_REQUEST: usize = 10_000;

pub(crate) async fn handle(
    broker: &Arc<Broker>,
    context: &RequestContext,
    request: CreateTopicsRequest,
) -> Reply {
    let version = context.api_version;
    let broker = broker.clone();
    let work = move || {
        let topics = create_all(&broker, version, &request);
        message!(CreateTopicsResponse { topics })
    };
    context.reply_blocking(work).await
}

fn create_all(
    broker: &Broker,
    version: i16,
    request: &CreateTopicsRequest,
) -> Vec<CreatableTopicResult> {
    let mut mentions: HashMap<&str, usize> = HashMap::new();
    for topic in &request.topics {
        *mentions.entry(&topic.name).or_default() += 1;
    }
    let refused = |topic: &CreatableTopic| {
        if request.topics.len() > MAX_TOPICS_PER_REQUEST {
            return Some(ApiError::new(
                ErrorCode::PolicyViolation,
                format!("More than {MAX_TOPICS_PER_REQUEST} topics in one request."),
            ));
        }
        (mentions.get(topic.name.as_str()) != Some(&1))
            .then(|| ApiError::new(ErrorCode::InvalidRequest, "Duplicate topic name."))
    };
    let mut results = Vec::with_capacity(request.topics.len());
    for topic in &request.topics {
        let outcome = match refused(topic) {
            Some(error) => Err(error),
            None => create_one(broker, topic, request.validate_only),
        };
        results.push(match outcome {
            Ok(image) => created(broker, version, &image),
            Err(error) => failed(&topic.name, version, &error),
        });
    }
    results
}

fn create_one(
    broker: &Broker,
    topic: &CreatableTopic,
    validate_only: bool,
) -> Result<TopicImage, ApiError> {
    // The name and whether it is taken are told first, as Kafka does.
    let count = partition_count(broker, topic);
    let configs = configs(topic);
    let new_topic = NewTopic {
        name: topic.name.as_str().to_owned(),
        partition_count: count.clone().unwrap_or(Some(1)),
        configs: configs.clone().unwrap_or_default(),
    };
    if is_internal(&new_topic.name) {
        return Err(ApiError::new(
            ErrorCode::InvalidTopicException,
            format!(
                "{} is the broker's own topic; it is created when it is needed.",
                topic.name.as_str()
            ),
        ));
    }
    if validate_only || count.is_err() || configs.is_err() {
        let image = broker.metadata.image();
        let validated = topics::validate_new_topic(&broker.config, &image, &new_topic)?;
        configs?;
        count?;
        return Ok(validated);
    }
    topics::create_topic(broker, &new_topic).map(|image| TopicImage::clone(&image))
}

fn partition_count(broker: &Broker, topic: &CreatableTopic) -> Result<Option<i32>, ApiError> {
    if topic.assignments.is_empty() {
        if !matches!(topic.replication_factor, -1 | 1) {
            return Err(ApiError::new(
                ErrorCode::InvalidReplicationFactor,
                format!(
                    "Replication factor {} is not possible: there is one broker. Use 1.",
                    topic.replication_factor
                ),
            ));
        }
        return match topic.num_partitions {
            -1 => Ok(None),
            count => Ok(Some(count)),
        };
    }
    if topic.num_partitions != -1 || topic.replication_factor != -1 {
        return Err(ApiError::new(
            ErrorCode::InvalidRequest,
            "With a manual assignment, partition count and replication factor must be -1.",
        ));
    }
    let assignments = topic.assignments.iter();
    let mut numbers: Vec<i32> = assignments.map(|it| it.partition_index).collect();
    numbers.sort_unstable();
    let mut expected = numbers.iter().enumerate();
    if !expected.all(|(index, &number)| i32::try_from(index) == Ok(number)) {
        return Err(ApiError::new(
            ErrorCode::InvalidReplicaAssignment,
            "The assignment must name every partition once, from 0 on.",
        ));
    }
    for assignment in &topic.assignments {
        topics::check_assignment(broker.node_id, &assignment.broker_ids)?;
    }
    Ok(i32::try_from(numbers.len()).ok())
}

fn configs(topic: &CreatableTopic) -> Result<Properties, ApiError> {
    let mut properties = Properties::new();
    for config in &topic.configs {
        let Some(value) = &config.value else {
            return Err(ApiError::new(
                ErrorCode::InvalidConfig,
                format!(
                    "Null value not supported for topic configs: {}",
                    config.name.as_str()
                ),
            ));
        };
        properties.insert(config.name.as_str().to_owned(), value.as_str().to_owned());
    }
    Ok(properties)
}

fn created(broker: &Broker, version: i16, topic: &TopicImage) -> CreatableTopicResult {
    let mut result = message!(CreatableTopicResult {
        name: StrBytes::from(&*topic.name)
    });
    if version >= 5 {
        result.num_partitions = topic.partition_count;
        result.replication_factor = 1;
        result.configs = Some(
            configs::topic_configs(broker, &topic.configs)
                .into_iter()
                .map(|config| {
                    message!(CreatableTopicConfigs {
                        name: StrBytes::from(config.name),
                        value: config.value.as_deref().map(StrBytes::from),
                        config_source: config.source.id(),
                    })
                })
                .collect(),
        );
    }
    if version >= 7 {
        result.topic_id = Uuid::from_bytes(topic.id.0);
    }
    result
}

fn failed(name: &StrBytes, version: i16, error: &ApiError) -> CreatableTopicResult {
    let mut result = message!(CreatableTopicResult {
        name: name.clone(),
        error_code: error.code.code(),
        error_message: Some(StrBytes::from(error.message.as_str())),
    });
    if version >= 5 {
        result.num_partitions = -1;
        result.replication_factor = -1;
        result.configs = Some(Vec::new());
    }
    result
}
