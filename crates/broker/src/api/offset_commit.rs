//! OffsetCommit (key 8), versions 2-10.
//!
//! Behaviour:
//! - Answered when the offsets are durable. Partitions succeed or fail on their own.
//! - A partition that does not exist is UNKNOWN_TOPIC_OR_PARTITION, an unknown id
//!   UNKNOWN_TOPIC_ID; the others are committed all the same.
//! - Without a generation (-1) anybody may commit for a group that has no members.
//!
//! Versions: 2-4 retention time. 6 leader epoch (KIP-320). 7 static members (KIP-345). 8 flexible.
//! 9 GROUP_ID_NOT_FOUND and member epochs (KIP-848). 10 topic ids.

use std::sync::Arc;

use lastword_coordinator::{
    self as coordinator, CommitPartition, CommitReply, CommitRequest, CommitTopic, GroupError,
};
use lastword_protocol::messages::offset_commit_request::OffsetCommitRequestTopic;
use lastword_protocol::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use lastword_protocol::messages::{OffsetCommitRequest, OffsetCommitResponse};
use lastword_protocol::{ErrorCode, message};
use lastword_record::TopicId;

use super::{Reply, RequestContext};
use crate::broker::Broker;
use crate::coordinator::groups;
use crate::error_map::group_code;
use crate::metadata::{MetadataImage, TopicImage};

const FIRST_VERSION_WITH_TOPIC_IDS: i16 = 10;

pub(crate) async fn handle(
    broker: &Arc<Broker>,
    context: &RequestContext,
    request: OffsetCommitRequest,
) -> Reply {
    let image = broker.metadata.image();
    let version = context.api_version;
    let mut topics = Vec::with_capacity(request.topics.len());
    let mut response = Vec::with_capacity(request.topics.len());
    for topic in &request.topics {
        let (known, answer) = split(&image, version, topic);
        response.push(answer);
        topics.extend(known);
    }
    let mut response = message!(OffsetCommitResponse { topics: response });
    if topics.is_empty() {
        return context.reply(&response);
    }
    let wanted = CommitRequest {
        group_id: request.group_id.to_string(),
        generation_id: request.generation_id_or_member_epoch,
        member_id: request.member_id.to_string(),
        group_instance_id: request.group_instance_id.as_deref().map(str::to_owned),
        retention_time_ms: request.retention_time_ms,
        topics,
        api_version: version,
    };
    let pending = groups::submit(broker, &request.group_id, |machine, ticket, now_ms| {
        machine.commit_offsets(wanted, ticket, now_ms)
    })
    .await;
    let context = context.clone();
    RequestContext::later(async move {
        match groups::wait(pending).await {
            Ok(coordinator::Reply::Commit(reply)) => fill(&mut response, errors(&reply)),
            other => {
                let error = groups::error_of(other);
                fill(&mut response, std::iter::repeat(Some(error)));
            }
        }
        context.reply(&response)
    })
}

/// What can be committed of a topic, and its part of the response, where the rest has its error.
fn split(
    image: &MetadataImage,
    version: i16,
    topic: &OffsetCommitRequestTopic,
) -> (Option<CommitTopic>, OffsetCommitResponseTopic) {
    let (found, missing) = if version >= FIRST_VERSION_WITH_TOPIC_IDS {
        let id = TopicId(topic.topic_id.to_bytes());
        (image.readable_by_id(id), ErrorCode::UnknownTopicId)
    } else {
        (
            image.readable(&topic.name),
            ErrorCode::UnknownTopicOrPartition,
        )
    };
    let mut known = Vec::new();
    let mut answers = Vec::with_capacity(topic.partitions.len());
    for each in &topic.partitions {
        let partition = each.partition_index;
        let error = match &found {
            None => missing,
            Some(found) if has_partition(found, partition) => {
                known.push(CommitPartition {
                    partition,
                    offset: each.committed_offset,
                    leader_epoch: each.committed_leader_epoch,
                    metadata: each.committed_metadata.as_deref().map(str::to_owned),
                });
                ErrorCode::None
            }
            Some(_) => ErrorCode::UnknownTopicOrPartition,
        };
        answers.push(message!(OffsetCommitResponsePartition {
            partition_index: partition,
            error_code: error.code(),
        }));
    }
    let answer = message!(OffsetCommitResponseTopic {
        name: topic.name.clone(),
        topic_id: topic.topic_id,
        partitions: answers,
    });
    let known = found
        .filter(|_| !known.is_empty())
        .map(|found| CommitTopic {
            name: found.name.to_string(),
            partitions: known,
        });
    (known, answer)
}

fn has_partition(topic: &TopicImage, partition: i32) -> bool {
    (0..topic.partition_count).contains(&partition)
}

fn errors(reply: &CommitReply) -> impl Iterator<Item = Option<GroupError>> {
    reply
        .topics
        .iter()
        .flat_map(|topic| &topic.partitions)
        .map(|partition| partition.error)
}

/// Gives the partitions that were passed on their errors; they come in the order of the request.
fn fill(response: &mut OffsetCommitResponse, errors: impl Iterator<Item = Option<GroupError>>) {
    let partitions = response
        .topics
        .iter_mut()
        .flat_map(|topic| &mut topic.partitions);
    let passed_on = partitions.filter(|each| each.error_code == ErrorCode::None.code());
    for (partition, error) in passed_on.zip(errors) {
        partition.error_code = group_code(error);
    }
}
