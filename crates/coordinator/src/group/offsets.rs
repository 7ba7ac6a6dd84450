//! Committed offsets: commit, fetch, delete and expiry.
//!
//! A commit is visible to a fetch only when its record is in the log; until then it is *pending*.
//! A pending offset is neither expired nor lost to a deletion of its group.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::classic::ClassicGroup;
use super::codec::NAME_BYTES_MAX;
use super::config::GroupConfig;
use super::message::{
    CommitPartition, CommitReply, CommitRequest, CommittedPartition, CommittedTopic,
    DeleteOffsetsReply, DeletedPartition, DeletedTopic, FetchedPartition, FetchedTopic,
    TopicPartitions,
};
use super::record::{self, CoordinatorRecord, OffsetCommitValue};
use super::state::GroupState;
use super::turn::{Effect, OffsetKey, Turn};
use crate::error::GroupError;
use crate::outcome::{Reply, Ticket};

/// The offsets of one group.
#[derive(Debug, Default)]
pub(super) struct GroupOffsets {
    committed: BTreeMap<String, BTreeMap<i32, OffsetCommitValue>>,
    /// How many commits of an offset are in flight.
    pending: BTreeMap<String, BTreeMap<i32, u32>>,
}

impl GroupOffsets {
    pub(super) fn is_unused(&self) -> bool {
        self.committed.is_empty() && self.pending.is_empty()
    }

    pub(super) fn get(&self, topic: &str, partition: i32) -> Option<&OffsetCommitValue> {
        self.committed.get(topic)?.get(&partition)
    }

    pub(super) fn put(&mut self, topic: String, partition: i32, value: OffsetCommitValue) {
        self.committed
            .entry(topic)
            .or_default()
            .insert(partition, value);
    }

    pub(super) fn remove(&mut self, topic: &str, partition: i32) {
        if let Some(partitions) = self.committed.get_mut(topic) {
            partitions.remove(&partition);
            if partitions.is_empty() {
                self.committed.remove(topic);
            }
        }
    }

    pub(super) fn is_pending(&self, topic: &str, partition: i32) -> bool {
        self.pending
            .get(topic)
            .is_some_and(|partitions| partitions.contains_key(&partition))
    }

    fn begin(&mut self, topic: &str, partition: i32) {
        let partitions = match self.pending.get_mut(topic) {
            Some(partitions) => partitions,
            None => self.pending.entry(topic.to_owned()).or_default(),
        };
        *partitions.entry(partition).or_default() += 1;
    }

    pub(super) fn end(&mut self, topic: &str, partition: i32) {
        let Some(partitions) = self.pending.get_mut(topic) else {
            return;
        };
        if let Some(count) = partitions.get_mut(&partition) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                partitions.remove(&partition);
            }
        }
        if partitions.is_empty() {
            self.pending.remove(topic);
        }
    }

    /// Every topic and partition that is committed or about to be.
    pub(super) fn keys(&self) -> impl Iterator<Item = (&str, i32)> {
        let committed = self.committed.iter().flat_map(|(topic, partitions)| {
            partitions
                .keys()
                .map(move |partition| (topic.as_str(), *partition))
        });
        let pending = self.pending.iter().flat_map(|(topic, partitions)| {
            partitions
                .keys()
                .map(move |partition| (topic.as_str(), *partition))
        });
        committed.chain(pending.filter(|(topic, partition)| self.get(topic, *partition).is_none()))
    }
}

/// Whether a group that does not exist may be made by this commit.
pub(super) fn validate_without_group(request: &CommitRequest) -> Result<(), GroupError> {
    const FIRST_VERSION_WITH_GROUP_ID_NOT_FOUND: i16 = 9;
    if request.group_id.len() > NAME_BYTES_MAX {
        Err(GroupError::InvalidGroupId)
    } else if request.generation_id < 0 {
        // A consumer that assigns its own partitions, or an administrator.
        Ok(())
    } else if request.api_version >= FIRST_VERSION_WITH_GROUP_ID_NOT_FOUND {
        Err(GroupError::GroupIdNotFound)
    } else {
        Err(GroupError::IllegalGeneration)
    }
}

fn validate_commit(group: &ClassicGroup, request: &CommitRequest) -> Result<(), GroupError> {
    if request.generation_id < 0 && group.is_in(GroupState::Empty) {
        return Ok(());
    }
    let instance_id = request.group_instance_id.as_deref();
    if request.generation_id < 0 && request.member_id.is_empty() && instance_id.is_none() {
        // Only members may commit in a group that has any.
        return Err(GroupError::UnknownMemberId);
    }
    group.validate_member(&request.member_id, instance_id)?;
    if request.generation_id != group.generation_id {
        return Err(GroupError::IllegalGeneration);
    }
    if group.is_in(GroupState::CompletingRebalance) {
        return Err(GroupError::RebalanceInProgress);
    }
    Ok(())
}

/// The reply that gives every partition of the request the same error.
pub(super) fn refused(request: &CommitRequest, error: GroupError) -> Reply {
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|each| CommittedPartition {
            partition: each.partition,
            error: Some(error),
        });
        CommittedTopic {
            name: topic.name.clone(),
            partitions: partitions.collect(),
        }
    });
    Reply::Commit(CommitReply {
        topics: topics.collect(),
    })
}

pub(super) fn commit(
    group: &mut ClassicGroup,
    turn: &mut Turn<'_>,
    request: CommitRequest,
    ticket: Ticket,
) {
    if let Err(error) = validate_commit(group, &request) {
        turn.reply(ticket, refused(&request, error));
        return;
    }
    if matches!(
        group.state(),
        GroupState::Stable | GroupState::PreparingRebalance
    ) {
        // A commit is a sign of life.
        turn.schedule_session(group, &request.member_id);
    }
    let expire_timestamp_ms = (request.retention_time_ms >= 0)
        .then(|| turn.now_ms.saturating_add(request.retention_time_ms));
    let mut records = Vec::new();
    let mut offsets = Vec::new();
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for each in topic.partitions {
            let partition = each.partition;
            let error = invalid(&topic.name, &each, turn.config);
            partitions.push(CommittedPartition { partition, error });
            if error.is_some() {
                continue;
            }
            let value = OffsetCommitValue {
                offset: each.offset,
                leader_epoch: each.leader_epoch,
                metadata: each.metadata.unwrap_or_default(),
                commit_timestamp_ms: turn.now_ms,
                expire_timestamp_ms,
            };
            records.push(record::offset_commit(
                &group.id,
                &topic.name,
                partition,
                &value,
            ));
            offsets.push((topic.name.clone(), partition, value));
        }
        topics.push(CommittedTopic {
            name: topic.name,
            partitions,
        });
    }
    let reply = Reply::Commit(CommitReply { topics });
    if records.is_empty() {
        turn.reply(ticket, reply);
        return;
    }
    for (topic, partition, _) in &offsets {
        group.offsets.begin(topic, *partition);
    }
    let effect = Effect::Commit {
        group_id: group.id.clone(),
        offsets,
        ticket,
        reply,
    };
    turn.append(records, effect);
}

fn invalid(topic: &str, commit: &CommitPartition, config: &GroupConfig) -> Option<GroupError> {
    let metadata = commit.metadata.as_deref().unwrap_or_default();
    // Kafka's limit counts UTF-16 units; the record's own limit counts bytes.
    if metadata.encode_utf16().count() > config.offset_metadata_max_bytes
        || metadata.len() > NAME_BYTES_MAX
    {
        Some(GroupError::OffsetMetadataTooLarge)
    } else if topic.is_empty() || topic.len() > NAME_BYTES_MAX || commit.partition < 0 {
        Some(GroupError::InvalidRequest)
    } else {
        None
    }
}

/// The offsets of some partitions, or of all that have one.
///
/// With `require_stable` an offset whose commit is in flight is refused, so that the client asks
/// again.
pub(super) fn fetch(
    group: Option<&ClassicGroup>,
    topics: Option<&[TopicPartitions]>,
    require_stable: bool,
) -> Vec<FetchedTopic> {
    let fetch_one = |topic: &str, partition: i32| -> FetchedPartition {
        let unstable =
            require_stable && group.is_some_and(|group| group.offsets.is_pending(topic, partition));
        let value = group.and_then(|group| group.offsets.get(topic, partition));
        let value = value.filter(|_| !unstable);
        FetchedPartition {
            partition,
            offset: value.map_or(-1, |value| value.offset),
            leader_epoch: value.map_or(-1, |value| value.leader_epoch),
            metadata: value
                .map(|value| value.metadata.clone())
                .unwrap_or_default(),
            error: unstable.then_some(GroupError::UnstableOffsetCommit),
        }
    };
    if let Some(topics) = topics {
        let fetch_topic = |topic: &TopicPartitions| FetchedTopic {
            name: topic.name.clone(),
            partitions: topic
                .partitions
                .iter()
                .map(|each| fetch_one(&topic.name, *each))
                .collect(),
        };
        return topics.iter().map(fetch_topic).collect();
    }
    let committed = group.into_iter().flat_map(|group| &group.offsets.committed);
    let fetch_topic = |(topic, partitions): (&String, &BTreeMap<i32, OffsetCommitValue>)| {
        let partitions = partitions
            .keys()
            .map(|partition| fetch_one(topic, *partition));
        FetchedTopic {
            name: topic.clone(),
            partitions: partitions.collect(),
        }
    };
    committed.map(fetch_topic).collect()
}

/// Deletes offsets of topics that the group does not subscribe to.
pub(super) fn delete(
    group: &ClassicGroup,
    turn: &mut Turn<'_>,
    topics: Vec<TopicPartitions>,
    ticket: Ticket,
) {
    let mut keys = Vec::new();
    let mut deleted = Vec::with_capacity(topics.len());
    for topic in topics {
        let error = group
            .is_subscribed_to(&topic.name)
            .then_some(GroupError::GroupSubscribedToTopic);
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for partition in topic.partitions {
            partitions.push(DeletedPartition { partition, error });
            let known = group.offsets.get(&topic.name, partition).is_some()
                || group.offsets.is_pending(&topic.name, partition);
            if error.is_none() && known {
                keys.push(offset_key(group, &topic.name, partition));
            }
        }
        deleted.push(DeletedTopic {
            name: topic.name,
            partitions,
        });
    }
    let reply = Reply::DeleteOffsets(DeleteOffsetsReply {
        error: None,
        topics: deleted,
    });
    if keys.is_empty() {
        turn.reply(ticket, reply);
    } else {
        remove(turn, keys, Vec::new(), Some((ticket, reply)));
    }
}

/// Whether offsets of a group may be deleted at all.
pub(super) fn validate_delete(group: &ClassicGroup) -> Result<(), GroupError> {
    if group.is_in(GroupState::Empty) || group.uses_consumer_protocol() {
        Ok(())
    } else {
        Err(GroupError::NonEmptyGroup)
    }
}

pub(super) fn offset_key(group: &ClassicGroup, topic: &str, partition: i32) -> OffsetKey {
    OffsetKey {
        group_id: group.id.clone(),
        topic: topic.to_owned(),
        partition,
    }
}

/// Writes tombstones of offsets, and after them those of groups.
pub(super) fn remove(
    turn: &mut Turn<'_>,
    offsets: Vec<OffsetKey>,
    groups: Vec<Arc<str>>,
    reply: Option<(Ticket, Reply)>,
) {
    let offset_tombstones = offsets
        .iter()
        .map(|key| record::offset_tombstone(&key.group_id, &key.topic, key.partition));
    let group_tombstones = groups
        .iter()
        .map(|group_id| record::group_tombstone(group_id));
    let records: Vec<CoordinatorRecord> = offset_tombstones.chain(group_tombstones).collect();
    turn.append(
        records,
        Effect::Remove {
            offsets,
            groups,
            reply,
        },
    );
}

/// Removes what `offsets.retention.minutes` has made obsolete in one group, and the group itself
/// when it is empty and nothing else is left.
///
/// What counts as the age of an offset depends on the group. Without a protocol type (a consumer
/// that assigns its own partitions) it is the time since the commit. When the group is Empty it is
/// the time since it became so: a consumer that was stopped keeps offsets that it committed long
/// ago. In a Stable group of consumers it is the time since the commit, for topics that nobody
/// subscribes to any more. In all other cases nothing expires.
pub(super) fn expire(group: &ClassicGroup, turn: &mut Turn<'_>) {
    let since_empty = group.protocol_type.is_some() && group.is_in(GroupState::Empty);
    let since_commit = group.protocol_type.is_none()
        || (group.is_in(GroupState::Stable)
            && group.uses_consumer_protocol()
            && group.knows_subscribed_topics());
    let retention_ms = turn.config.offsets_retention_ms;
    let now_ms = turn.now_ms;
    let expired = |value: &OffsetCommitValue| match value.expire_timestamp_ms {
        Some(expire_timestamp_ms) => now_ms >= expire_timestamp_ms,
        None => {
            let empty_since_ms = group.state_timestamp_ms().filter(|_| since_empty);
            let base_ms = empty_since_ms.unwrap_or(value.commit_timestamp_ms);
            now_ms.saturating_sub(base_ms) >= retention_ms
        }
    };
    let mut keys = Vec::new();
    let mut all_expired = group.offsets.pending.is_empty();
    for (topic, partitions) in &group.offsets.committed {
        let can_expire = (since_empty || since_commit) && !group.is_subscribed_to(topic);
        for (partition, value) in partitions {
            if can_expire && expired(value) && !group.offsets.is_pending(topic, *partition) {
                keys.push(offset_key(group, topic, *partition));
            } else {
                all_expired = false;
            }
        }
    }
    let group_is_over =
        all_expired && group.is_in(GroupState::Empty) && group.pending_members.is_empty();
    let groups = if group_is_over {
        vec![group.id.clone()]
    } else {
        Vec::new()
    };
    if !keys.is_empty() || group_is_over {
        remove(turn, keys, groups, None);
    }
}
