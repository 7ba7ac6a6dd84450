//! DescribeTopicPartitions (key 75), version 0.
//!
//! Behaviour:
//! - Topics by name, in order; no names means all topics.
//! - An answer has at most `max.request.partition.size.limit` partitions and then a cursor: the
//!   topic and partition to go on with.
//! - Of all topics, a cursor's topic that is gone is skipped. A cursor that names none of the topics asked for is
//!   INVALID_REQUEST. Unknown names are UNKNOWN_TOPIC_OR_PARTITION.

use std::sync::Arc;

use lastword_protocol::messages::describe_topic_partitions_request::TopicRequest;
use lastword_protocol::messages::describe_topic_partitions_response::{
    Cursor, DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
};
use lastword_protocol::messages::{
    DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse,
};
use lastword_protocol::{ErrorCode, StrBytes, Uuid, message};

use super::{Reply, RequestContext, TOPIC_OPERATIONS};
use crate::broker::Broker;
use crate::metadata::{InvalidTopicName, TopicImage, is_internal, validate_topic_name};
use crate::partition::LEADER_EPOCH;

pub(crate) async fn handle(
    broker: &Arc<Broker>,
    context: &RequestContext,
    request: DescribeTopicPartitionsRequest,
) -> Reply {
    let image = broker.metadata.image();
    let (start_topic, start_partition) = match &request.cursor {
        Some(cursor) => (cursor.topic_name.as_str(), cursor.partition_index.max(0)),
        None => ("", 0),
    };
    if let Some(cursor) = &request.cursor {
        let names_topic = |topic: &TopicRequest| topic.name == cursor.topic_name;
        let is_known = request.topics.is_empty() || request.topics.iter().any(names_topic);
        if !is_known || cursor.partition_index < 0 {
            return context.reply(&refused(request.topics));
        }
    }
    let limit = usize::try_from(request.response_partition_limit)
        .unwrap_or(0)
        .max(1);
    let mut room = limit.min(broker.config.max_request_partitions);

    let mut names: Vec<StrBytes> = if request.topics.is_empty() {
        image
            .topics_from(start_topic)
            .map(|topic| StrBytes::from(&*topic.name))
            .collect()
    } else {
        request.topics.into_iter().map(|topic| topic.name).collect()
    };
    names.retain(|name| name.as_str() >= start_topic);
    names.sort();
    names.dedup();

    let mut response = DescribeTopicPartitionsResponse::default();
    for name in names {
        let first = if name.as_str() == start_topic {
            start_partition
        } else {
            0
        };
        if room == 0 {
            response.next_cursor = Some(message!(Cursor {
                topic_name: name,
                partition_index: first
            }));
            break;
        }
        let Some(topic) = image.readable(&name) else {
            response.topics.push(unknown(name));
            continue;
        };
        let (described, next) = describe(broker, &topic, first, room);
        room -= described.partitions.len().min(room);
        response.topics.push(described);
        if let Some(partition_index) = next {
            response.next_cursor = Some(message!(Cursor {
                topic_name: name,
                partition_index
            }));
            break;
        }
    }
    context.reply(&response)
}

fn unknown(name: StrBytes) -> DescribeTopicPartitionsResponseTopic {
    let code = match validate_topic_name(&name) {
        Ok(()) | Err(InvalidTopicName::StateView { .. }) => ErrorCode::UnknownTopicOrPartition,
        Err(_) => ErrorCode::InvalidTopicException,
    };
    message!(DescribeTopicPartitionsResponseTopic {
        error_code: code.code(),
        is_internal: is_internal(&name),
        name: Some(name),
        topic_authorized_operations: TOPIC_OPERATIONS,
    })
}

/// What a cursor that names no topic of the request, or no partition, is answered with.
fn refused(topics: Vec<TopicRequest>) -> DescribeTopicPartitionsResponse {
    let topics = topics.into_iter().map(|topic| {
        message!(DescribeTopicPartitionsResponseTopic {
            error_code: ErrorCode::InvalidRequest.code(),
            name: Some(topic.name),
        })
    });
    message!(DescribeTopicPartitionsResponse {
        topics: topics.collect()
    })
}

/// Up to `room` partitions from `first` on, and the first one that did not fit.
fn describe(
    broker: &Broker,
    topic: &TopicImage,
    first: i32,
    room: usize,
) -> (DescribeTopicPartitionsResponseTopic, Option<i32>) {
    let node = broker.node_id;
    let end = topic
        .partition_count
        .min(first.saturating_add(i32::try_from(room).unwrap_or(i32::MAX)));
    let partitions = (first..end)
        .map(|index| {
            message!(DescribeTopicPartitionsResponsePartition {
                partition_index: index,
                leader_id: node,
                leader_epoch: LEADER_EPOCH,
                replica_nodes: vec![node],
                isr_nodes: vec![node],
                eligible_leader_replicas: Some(Vec::new()),
                last_known_elr: Some(Vec::new()),
            })
        })
        .collect();
    let described = message!(DescribeTopicPartitionsResponseTopic {
        name: Some(StrBytes::from(&*topic.name)),
        topic_id: Uuid::from_bytes(topic.id.0),
        is_internal: is_internal(&topic.name),
        partitions,
        topic_authorized_operations: TOPIC_OPERATIONS,
    });
    (described, (end < topic.partition_count).then_some(end))
}
