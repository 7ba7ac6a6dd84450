//! Groups as somebody sees them who only looks: state, members, committed offsets and lag. Nothing here creates
//! `__consumer_offsets`, and nothing waits.
//!
//! A lag is the HighWatermark minus the committed offset, Kafka's measure: in a compacted log fewer records than that may
//! be there.

use std::collections::BTreeMap;

use lastword_coordinator::{DescribedTopic, GroupCoordinator, GroupError, ListedGroup};

use super::groups;
use crate::broker::Broker;
use crate::error_map::ApiError;

/// One group in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupSummary {
    /// Its id.
    pub group_id: String,
    /// `consumer`, `connect` or what its members call it; empty for one that only commits.
    pub protocol_type: String,
    /// As ListGroups says it.
    pub state: &'static str,
    /// `classic` or `consumer`.
    pub group_type: &'static str,
}

/// One group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupView {
    /// What the list says.
    pub summary: GroupSummary,
    /// Generation of a classic group, epoch of a consumer group.
    pub epoch: i32,
    /// The protocol or assignor in use; empty when none is.
    pub assignor: String,
    /// Who is in it.
    pub members: Vec<MemberView>,
    /// What it has committed, by topic and partition.
    pub offsets: Vec<CommittedOffset>,
}

/// One member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberView {
    /// As the coordinator gave it.
    pub member_id: String,
    /// `group.instance.id`.
    pub instance_id: Option<String>,
    /// `client.id`.
    pub client_id: String,
    /// Where it connects from.
    pub client_host: String,
    /// Topics and partitions; none of members of the classic protocol, whose assignments are theirs to read.
    pub assignment: Option<Vec<(String, Vec<i32>)>>,
}

/// One committed offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommittedOffset {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The next offset the group wants.
    pub offset: i64,
    /// HighWatermark of the partition; none when it is gone or cannot be used.
    pub end_offset: Option<i64>,
}

impl CommittedOffset {
    /// Offsets that are left to read, at least 0.
    pub fn lag(&self) -> Option<i64> {
        let end_offset = self.end_offset?;
        Some(end_offset.saturating_sub(self.offset).max(0))
    }
}

/// Every group, by id.
pub fn list(broker: &Broker) -> Result<Vec<GroupSummary>, ApiError> {
    let mut listed: Vec<GroupSummary> = groups::list(broker)?.into_iter().map(summary).collect();
    listed.sort_by(|a, b| a.group_id.cmp(&b.group_id));
    Ok(listed)
}

/// One group; GROUP_ID_NOT_FOUND when there is none of this id.
pub fn describe(broker: &Broker, group_id: &str) -> Result<GroupView, ApiError> {
    let topic = &broker.groups.topic;
    let number = topic.partition_of(group_id);
    let shard = number
        .and_then(|number| topic.of_partition(number))
        .ok_or(GroupError::GroupIdNotFound)?;
    let looked = shard.look(|machine| look(machine, group_id).map(Some))?;
    let mut view = looked.ok_or(GroupError::GroupIdNotFound)?;
    with_ends(broker, &mut view);
    Ok(view)
}

/// The first groups by id, as [`describe`] shows each, and how many there are of each state. Each shard is asked once.
pub fn describe_first(
    broker: &Broker,
    most: usize,
) -> Result<(Vec<GroupView>, BTreeMap<&'static str, usize>), ApiError> {
    let listed = list(broker)?;
    let mut states = BTreeMap::new();
    for group in &listed {
        *states.entry(group.state).or_default() += 1;
    }
    let wanted = listed.get(..most).and_then(<[_]>::last);
    let is_wanted = |id: &str| wanted.is_none_or(|last| id <= last.group_id.as_str());
    let mut views = Vec::new();
    for shard in broker.groups.topic.shards() {
        views.extend(shard.look(|machine| {
            let listed = machine.list()?.into_iter();
            let wanted = listed.filter(|group| is_wanted(&group.group_id));
            let looked = wanted.map(|group| view_of(machine, group));
            looked.collect::<Result<Vec<GroupView>, GroupError>>()
        })?);
    }
    views.sort_by(|a, b| a.summary.group_id.cmp(&b.summary.group_id));
    views.truncate(most);
    for view in &mut views {
        with_ends(broker, view);
    }
    Ok((views, states))
}

fn with_ends(broker: &Broker, view: &mut GroupView) {
    for committed in &mut view.offsets {
        let partition = broker.partitions.get(&committed.topic, committed.partition);
        committed.end_offset = partition.map(|partition| partition.offsets().high_watermark);
    }
}

fn summary(listed: ListedGroup) -> GroupSummary {
    GroupSummary {
        group_id: listed.group_id,
        protocol_type: listed.protocol_type,
        state: listed.state.as_str(),
        group_type: listed.group_type,
    }
}

fn look(machine: &GroupCoordinator, group_id: &str) -> Result<GroupView, GroupError> {
    let listed = machine.list()?;
    let listed = listed.into_iter().find(|group| group.group_id == group_id);
    view_of(machine, listed.ok_or(GroupError::GroupIdNotFound)?)
}

fn view_of(machine: &GroupCoordinator, listed: ListedGroup) -> Result<GroupView, GroupError> {
    let group_id = &*listed.group_id;
    let (epoch, assignor, members) = match machine.describe_consumer(group_id) {
        Ok(group) => {
            let members = group.members.into_iter().map(|member| MemberView {
                member_id: member.member_id,
                instance_id: member.instance_id,
                client_id: member.client_id,
                client_host: member.client_host,
                assignment: Some(member.assignment.into_iter().map(named).collect()),
            });
            (group.epoch, group.assignor, members.collect())
        }
        Err(_) => {
            let group = machine.describe(group_id)?;
            let members = group.members.into_iter().map(|member| MemberView {
                member_id: member.member_id,
                instance_id: member.group_instance_id,
                client_id: member.client_id,
                client_host: member.client_host,
                assignment: None,
            });
            (group.generation_id, group.protocol_data, members.collect())
        }
    };
    let fetched = machine.fetch_offsets(group_id, None, false)?;
    let offsets = fetched.into_iter().flat_map(|topic| {
        let name = topic.name;
        topic
            .partitions
            .into_iter()
            .map(move |each| CommittedOffset {
                topic: name.clone(),
                partition: each.partition,
                offset: each.offset,
                end_offset: None,
            })
    });
    let mut offsets: Vec<CommittedOffset> = offsets.filter(|each| each.offset >= 0).collect();
    offsets.sort_by(|a, b| (&a.topic, a.partition).cmp(&(&b.topic, b.partition)));
    Ok(GroupView {
        summary: summary(listed),
        epoch,
        assignor,
        members,
        offsets,
    })
}

fn named(topic: DescribedTopic) -> (String, Vec<i32>) {
    (topic.name, topic.partitions)
}
