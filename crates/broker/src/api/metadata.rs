//! Metadata (key 3), versions 0-13.
//!
//! Behaviour:
//! - One broker leads every partition, with leader epoch 0, and is the controller.
//! - A topic that does not exist is created when request and broker allow it; it can be used as
//!   soon as it is answered. At most `MAX_CREATED` topics are created by one request.
//! - State views are answered as topics when they are asked for by name or id; they are not listed.
//! - Unknown names are UNKNOWN_TOPIC_OR_PARTITION (3), unknown ids UNKNOWN_TOPIC_ID (100), names
//!   that cannot exist INVALID_TOPIC_EXCEPTION (17).
//!
//! Versions: 0 an empty list means all topics; from 1 null does. 4 auto-creation is the client's
//! choice. 8 authorized operations. 10 topic ids; 12 lookup by id. 13 top-level error.

use std::sync::Arc;

use lastword_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use lastword_protocol::messages::{MetadataRequest, MetadataResponse};
use lastword_protocol::{ErrorCode, StrBytes, Uuid, message};
use lastword_record::TopicId;

use super::{CLUSTER_OPERATIONS, Reply, RequestContext, TOPIC_OPERATIONS};
use crate::broker::Broker;
use crate::error_map::ApiError;
use crate::metadata::{
    InvalidTopicName, MetadataImage, TopicImage, is_internal, validate_topic_name,
};
use crate::partition::{LEADER_EPOCH, run_blocking};
use crate::topics;

/// Topics that one request may create: a client with random names must not fill the disk at once.
const MAX_CREATED: usize = 100;

pub(crate) async fn handle(
    broker: &Arc<Broker>,
    context: &RequestContext,
    request: MetadataRequest,
) -> Reply {
    let image = broker.metadata.image();
    let with_operations = request.include_topic_authorized_operations;
    let all = match &request.topics {
        None => true,
        Some(topics) => context.api_version == 0 && topics.is_empty(),
    };
    let mut response = message!(MetadataResponse {
        brokers: vec![message!(MetadataResponseBroker {
            node_id: broker.node_id,
            host: context.endpoint.host.clone(),
            port: context.endpoint.port,
            rack: broker.config.rack.as_deref().map(StrBytes::from),
        })],
        cluster_id: Some(broker.cluster_id.clone()),
        controller_id: broker.node_id,
    });
    if all {
        response.topics = image
            .topics()
            .map(|topic| topic_response(broker, topic, with_operations))
            .collect();
    } else {
        let may_create = broker.config.auto_create_topics && request.allow_auto_topic_creation;
        let mut creatable = if may_create { MAX_CREATED } else { 0 };
        for asked in request.topics.unwrap_or_default() {
            let topic = if asked.topic_id.is_zero() {
                let name = asked.name.unwrap_or_default();
                by_name(broker, &image, name, &mut creatable, with_operations).await
            } else {
                by_id(
                    broker,
                    &image,
                    asked.topic_id,
                    context.api_version,
                    with_operations,
                )
            };
            response.topics.push(topic);
        }
    }
    if request.include_cluster_authorized_operations {
        response.cluster_authorized_operations = CLUSTER_OPERATIONS;
    }
    context.reply(&response)
}

async fn by_name(
    broker: &Arc<Broker>,
    image: &MetadataImage,
    name: StrBytes,
    creatable: &mut usize,
    with_operations: bool,
) -> MetadataResponseTopic {
    if let Some(topic) = image.readable(&name) {
        return topic_response(broker, &topic, with_operations);
    }
    let code = match validate_topic_name(&name) {
        // Its topic may be created any time, but not by a reader of the view.
        Err(InvalidTopicName::StateView { .. }) => ErrorCode::UnknownTopicOrPartition,
        Err(_) => ErrorCode::InvalidTopicException,
        Ok(()) if *creatable == 0 => ErrorCode::UnknownTopicOrPartition,
        Ok(()) => {
            *creatable -= 1;
            match create(broker, &name).await {
                Ok(topic) => return topic_response(broker, &topic, with_operations),
                Err(error) => error.code,
            }
        }
    };
    let mut response = message!(MetadataResponseTopic {
        error_code: code.code(),
        is_internal: is_internal(&name),
        name: Some(name),
    });
    if with_operations {
        response.topic_authorized_operations = TOPIC_OPERATIONS;
    }
    response
}

/// Creates a topic as `num.partitions` says, or finds that somebody else just did.
async fn create(broker: &Arc<Broker>, name: &str) -> Result<Arc<TopicImage>, ApiError> {
    let new_topic = topics::default_topic(&broker.config, name);
    let creating = broker.clone();
    let created = run_blocking(move || topics::create_topic(&creating, &new_topic)).await?;
    match created {
        Err(error) if error.code == ErrorCode::TopicAlreadyExists => {
            let image = broker.metadata.image();
            image
                .topic(name)
                .cloned()
                .ok_or_else(|| ErrorCode::UnknownTopicOrPartition.into())
        }
        created => created,
    }
}

fn by_id(
    broker: &Broker,
    image: &MetadataImage,
    id: Uuid,
    version: i16,
    with_operations: bool,
) -> MetadataResponseTopic {
    match image.readable_by_id(TopicId(id.to_bytes())) {
        Some(topic) => topic_response(broker, &topic, with_operations),
        None => message!(MetadataResponseTopic {
            error_code: ErrorCode::UnknownTopicId.code(),
            name: (version < 12).then(StrBytes::default),
            topic_id: id,
        }),
    }
}

fn topic_response(broker: &Broker, topic: &TopicImage, operations: bool) -> MetadataResponseTopic {
    let node = broker.node_id;
    let partitions = (0..topic.partition_count)
        .map(|index| {
            message!(MetadataResponsePartition {
                partition_index: index,
                leader_id: node,
                leader_epoch: LEADER_EPOCH,
                replica_nodes: vec![node],
                isr_nodes: vec![node],
            })
        })
        .collect();
    let mut response = message!(MetadataResponseTopic {
        name: Some(StrBytes::from(&*topic.name)),
        topic_id: Uuid::from_bytes(topic.id.0),
        is_internal: is_internal(&topic.name),
        partitions,
    });
    if operations {
        response.topic_authorized_operations = TOPIC_OPERATIONS;
    }
    response
}
