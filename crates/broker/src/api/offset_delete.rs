//! OffsetDelete (key 47), version 0.
//!
//! Behaviour:
//! - Answered when the tombstones are durable.
//! - Offsets of a topic that the group still subscribes to are kept: GROUP_SUBSCRIBED_TO_TOPIC.
//! - A partition that does not exist is UNKNOWN_TOPIC_OR_PARTITION; the others are deleted all the
//!   same. An error of the group leaves the topics out.

use std::sync::Arc;

use lastword_coordinator::{self as coordinator, DeleteOffsetsReply, GroupError, TopicPartitions};
use lastword_protocol::messages::offset_delete_response::{
    OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};
use lastword_protocol::messages::{OffsetDeleteRequest, OffsetDeleteResponse};
use lastword_protocol::{ErrorCode, message};

use super::{Reply, RequestContext};
use crate::broker::Broker;
use crate::coordinator::groups;
use crate::error_map::group_code;

pub(crate) async fn handle(
    broker: &Arc<Broker>,
    context: &RequestContext,
    request: OffsetDeleteRequest,
) -> Reply {
    let image = broker.metadata.image();
    let mut wanted = Vec::with_capacity(request.topics.len());
    let mut answers = Vec::with_capacity(request.topics.len());
    for topic in &request.topics {
        let partition_count = image
            .readable(&topic.name)
            .map_or(0, |found| found.partition_count);
        let mut known = Vec::new();
        let partitions = topic.partitions.iter().map(|each| {
            let is_known = (0..partition_count).contains(&each.partition_index);
            if is_known {
                known.push(each.partition_index);
            }
            let error = if is_known {
                ErrorCode::None
            } else {
                ErrorCode::UnknownTopicOrPartition
            };
            message!(OffsetDeleteResponsePartition {
                partition_index: each.partition_index,
                error_code: error.code(),
            })
        });
        answers.push(message!(OffsetDeleteResponseTopic {
            name: topic.name.clone(),
            partitions: partitions.collect(),
        }));
        wanted.push(TopicPartitions {
            name: topic.name.to_string(),
            partitions: known,
        });
    }
    // Passed on even when nothing is left: the group has to be there.
    let pending = groups::submit(broker, &request.group_id, |machine, ticket, now_ms| {
        machine.delete_offsets(&request.group_id, wanted, ticket, now_ms)
    })
    .await;
    let context = context.clone();
    RequestContext::later(async move {
        let mut response = message!(OffsetDeleteResponse { topics: answers });
        let reply = match groups::wait(pending).await {
            Ok(coordinator::Reply::DeleteOffsets(reply)) => reply,
            other => DeleteOffsetsReply {
                error: Some(groups::error_of(other)),
                topics: Vec::new(),
            },
        };
        match reply.error {
            Some(error) => {
                response.error_code = error.code();
                response.topics = Vec::new();
            }
            None => fill(&mut response, errors(&reply)),
        }
        context.reply(&response)
    })
}

fn errors(reply: &DeleteOffsetsReply) -> impl Iterator<Item = Option<GroupError>> {
    reply
        .topics
        .iter()
        .flat_map(|topic| &topic.partitions)
        .map(|partition| partition.error)
}

/// Gives the partitions that were passed on their errors; they come in the order of the request.
fn fill(response: &mut OffsetDeleteResponse, errors: impl Iterator<Item = Option<GroupError>>) {
    let partitions = response
        .topics
        .iter_mut()
        .flat_map(|topic| &mut topic.partitions);
    let passed_on = partitions.filter(|each| each.error_code == ErrorCode::None.code());
    for (partition, error) in passed_on.zip(errors) {
        partition.error_code = group_code(error);
    }
}
