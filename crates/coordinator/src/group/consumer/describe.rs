//! What an administrator sees of a consumer group.

use super::message::{DescribedConsumer, DescribedConsumerGroup, DescribedTopic};
use super::record::Partitions;
use super::state::{ConsumerGroup, Member, without_epochs};
use super::topics::MetadataView;
use crate::group::config::GroupConfig;

pub(super) fn describe(
    group_id: &str,
    group: &ConsumerGroup,
    view: &MetadataView,
    config: &GroupConfig,
) -> DescribedConsumerGroup {
    let default = config.consumer_assignors.first();
    let default = default.map_or("", |assignor| assignor.name());
    let members = group.members.iter();
    DescribedConsumerGroup {
        group_id: group_id.to_owned(),
        state: group.state(),
        epoch: group.epoch,
        assignment_epoch: group.assignment.epoch,
        assignor: group.preferred_assignor().unwrap_or(default).to_owned(),
        members: members
            .map(|(id, member)| describe_member(id, member, &group.target(id), view))
            .collect(),
    }
}

fn describe_member(
    id: &str,
    member: &Member,
    target: &Partitions,
    view: &MetadataView,
) -> DescribedConsumer {
    let metadata = &member.metadata;
    DescribedConsumer {
        member_id: id.to_owned(),
        instance_id: metadata.instance_id.clone(),
        rack_id: metadata.rack_id.clone(),
        member_epoch: member.epoch(),
        client_id: metadata.client_id.clone(),
        client_host: metadata.client_host.clone(),
        topic_names: metadata.topic_names.iter().cloned().collect(),
        topic_regex: metadata.topic_regex.clone(),
        assignment: describe_topics(&without_epochs(&member.current.assigned), view),
        target: describe_topics(target, view),
        uses_classic_protocol: member.classic().is_some(),
    }
}

/// Topics that were deleted have no name and are left out.
fn describe_topics(partitions: &Partitions, view: &MetadataView) -> Vec<DescribedTopic> {
    let known = partitions
        .iter()
        .filter_map(|(id, partitions)| Some((view.topic_by_id(*id)?, partitions)));
    known
        .map(|(topic, partitions)| DescribedTopic {
            id: topic.id,
            name: topic.name.to_string(),
            partitions: partitions.iter().copied().collect(),
        })
        .collect()
}
