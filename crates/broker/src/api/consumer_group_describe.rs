//! ConsumerGroupDescribe (key 69), versions 0-1 (KIP-848).
//!
//! Behaviour:
//! - Groups of the consumer protocol; any other is GROUP_ID_NOT_FOUND, and tools then ask
//!   DescribeGroups.
//! - Topics that were deleted are left out of the assignments.
//! - Nobody is refused anything here, so the authorized operations are all there are.
//!
//! Versions: 1 type of each member, for groups on their way between protocols (KIP-1099).

use std::sync::Arc;

use lastword_coordinator::{
    DescribedConsumer, DescribedConsumerGroup, DescribedTopic as Topic, GroupError,
};
use lastword_protocol::messages::consumer_group_describe_response::{
    Assignment, DescribedGroup, Member, TopicPartitions,
};
use lastword_protocol::messages::{ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse};
use lastword_protocol::{StrBytes, Uuid, message};

use super::{GROUP_OPERATIONS, Reply, RequestContext};
use crate::broker::Broker;
use crate::coordinator::groups;

pub(crate) async fn handle(
    broker: &Arc<Broker>,
    context: &RequestContext,
    request: ConsumerGroupDescribeRequest,
) -> Reply {
    let mut described = Vec::with_capacity(request.group_ids.len());
    for group_id in request.group_ids {
        let found = describe(broker, &group_id).await;
        let mut group = match found {
            Ok(group) => describe_group(context.api_version, group),
            Err(error) => undescribed(group_id, error),
        };
        if request.include_authorized_operations && group.error_code == 0 {
            group.authorized_operations = GROUP_OPERATIONS;
        }
        described.push(group);
    }
    context.reply(&message!(ConsumerGroupDescribeResponse {
        groups: described
    }))
}

async fn describe(
    broker: &Arc<Broker>,
    group_id: &str,
) -> Result<DescribedConsumerGroup, GroupError> {
    if group_id.is_empty() {
        return Err(GroupError::InvalidGroupId);
    }
    if !broker.config.groups.consumer.is_enabled {
        return Err(GroupError::UnsupportedVersion);
    }
    groups::query(broker, group_id, |machine, _| {
        machine.describe_consumer(group_id)
    })
    .await
}

fn undescribed(group_id: StrBytes, error: GroupError) -> DescribedGroup {
    let message = match error {
        GroupError::GroupIdNotFound => format!("Group {} not found.", group_id.as_str()),
        other => other.to_string(),
    };
    message!(DescribedGroup {
        group_id,
        error_code: error.code(),
        error_message: Some(StrBytes::from(message)),
    })
}

fn describe_group(version: i16, group: DescribedConsumerGroup) -> DescribedGroup {
    let members = group.members.into_iter();
    message!(DescribedGroup {
        group_id: StrBytes::from(group.group_id),
        group_state: StrBytes::from(group.state.as_str()),
        group_epoch: group.epoch,
        assignment_epoch: group.assignment_epoch,
        assignor_name: StrBytes::from(group.assignor),
        members: members
            .map(|member| describe_member(version, member))
            .collect(),
    })
}

fn describe_member(version: i16, member: DescribedConsumer) -> Member {
    let mut described = message!(Member {
        member_id: StrBytes::from(member.member_id),
        instance_id: member.instance_id.map(StrBytes::from),
        rack_id: member.rack_id.map(StrBytes::from),
        member_epoch: member.member_epoch,
        client_id: StrBytes::from(member.client_id),
        client_host: StrBytes::from(member.client_host),
        subscribed_topic_names: member.topic_names.into_iter().map(StrBytes::from).collect(),
        subscribed_topic_regex: member.topic_regex.map(StrBytes::from),
        assignment: assignment(member.assignment),
        target_assignment: assignment(member.target),
    });
    if version >= 1 {
        described.member_type = i8::from(!member.uses_classic_protocol);
    }
    described
}

fn assignment(topics: Vec<Topic>) -> Assignment {
    let topics = topics.into_iter().map(|topic| {
        message!(TopicPartitions {
            topic_id: Uuid::from_bytes(topic.id.0),
            topic_name: StrBytes::from(topic.name),
            partitions: topic.partitions,
        })
    });
    message!(Assignment {
        topic_partitions: topics.collect()
    })
}
