//! Committed offsets: commit, fetch, delete and expiry.
//!
//! A commit is visible to a fetch only when its record is in the log and, if it is part of a
//! transaction, when that has been committed (`group_offsets.rs`). The marker that says so is the
//! work of whoever owns the log, which reports it.

use std::sync::Arc;

use super::classic::ClassicGroup;
use super::codec::NAME_BYTES_MAX;
use super::config::GroupConfig;
use super::consumer::commit::{self, Committer};
use super::consumer::state::ConsumerGroup;
use super::group_offsets::Committed;
use super::membership::{self, Group, Membership};
use super::message::{
    CommitPartition, CommitReply, CommitRequest, CommitTopic, CommittedPartition, CommittedTopic,
    DeleteOffsetsReply, DeletedPartition, DeletedTopic, FetchedPartition, FetchedTopic,
    TopicPartitions, TransactionalCommitRequest,
};
use super::record::{self, CoordinatorRecord, OffsetCommitValue};
use super::state::GroupState;
use super::turn::{Effect, OffsetKey, Turn};
use crate::error::GroupError;
use crate::outcome::{Reply, Ticket};

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

/// As [`validate_without_group`]; the request has one error for this in all its versions.
pub(super) fn validate_transactional_without_group(
    request: &TransactionalCommitRequest,
) -> Result<(), GroupError> {
    if request.group_id.is_empty() || request.group_id.len() > NAME_BYTES_MAX {
        Err(GroupError::InvalidGroupId)
    } else if request.generation_id < 0 {
        Ok(())
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

/// A producer that does not name a member (before KIP-447 it could not) is fenced by its epoch
/// alone; one that does must name a member of this generation, whatever the group is doing.
fn validate_transactional_commit(
    group: &ClassicGroup,
    request: &TransactionalCommitRequest,
) -> Result<(), GroupError> {
    if request.generation_id < 0 && group.is_in(GroupState::Empty) {
        return Ok(());
    }
    let instance_id = request.group_instance_id.as_deref();
    if request.generation_id < 0 && request.member_id.is_empty() && instance_id.is_none() {
        return Ok(());
    }
    group.validate_member(&request.member_id, instance_id)?;
    if request.generation_id != group.generation_id {
        return Err(GroupError::IllegalGeneration);
    }
    Ok(())
}

/// A commit by a member of a consumer group, which names its epoch where others name a generation.
fn validate_consumer_commit(
    group: &ConsumerGroup,
    turn: &Turn<'_>,
    committer: &Committer<'_>,
    topics: &[CommitTopic],
) -> Result<(), GroupError> {
    let partitions = topics.iter().flat_map(|topic| {
        let partitions = topic.partitions.iter();
        partitions.map(|each| (topic.name.as_str(), each.partition))
    });
    commit::validate(group, turn.view, committer, partitions)
}

/// The reply that gives every partition of the request the same error.
pub(super) fn refused(topics: &[CommitTopic], error: GroupError) -> Reply {
    let topics = topics.iter().map(|topic| {
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
    group: &mut Group,
    turn: &mut Turn<'_>,
    request: CommitRequest,
    ticket: Ticket,
) {
    let checked = match &group.membership {
        Membership::Classic(classic) => validate_commit(classic, &request),
        Membership::Consumer(consumers) => {
            let committer = Committer {
                member_id: &request.member_id,
                instance_id: request.group_instance_id.as_deref(),
                epoch: request.generation_id,
                api_version: Some(request.api_version),
            };
            validate_consumer_commit(&consumers.group, turn, &committer, &request.topics)
        }
    };
    if let Err(error) = checked {
        turn.reply(ticket, refused(&request.topics, error));
        return;
    }
    if let Some(classic) = group.classic()
        && matches!(
            classic.state(),
            GroupState::Stable | GroupState::PreparingRebalance
        )
    {
        // A commit is a sign of life.
        turn.schedule_session(classic, &request.member_id);
    }
    let expire_timestamp_ms = (request.retention_time_ms >= 0)
        .then(|| turn.now_ms.saturating_add(request.retention_time_ms));
    write(
        group,
        turn,
        request.topics,
        expire_timestamp_ms,
        None,
        ticket,
    );
}

/// Writes offsets that count once the producer's transaction is committed. It is no sign of life.
pub(super) fn commit_transactional(
    group: &mut Group,
    turn: &mut Turn<'_>,
    request: TransactionalCommitRequest,
    ticket: Ticket,
) {
    let checked = match &group.membership {
        Membership::Classic(classic) => validate_transactional_commit(classic, &request),
        Membership::Consumer(consumers) => {
            let committer = Committer {
                member_id: &request.member_id,
                instance_id: request.group_instance_id.as_deref(),
                epoch: request.generation_id,
                api_version: None,
            };
            validate_consumer_commit(&consumers.group, turn, &committer, &request.topics)
                // The API of transactions has one error for this.
                .map_err(|error| match error {
                    GroupError::StaleMemberEpoch => GroupError::IllegalGeneration,
                    other => other,
                })
        }
    };
    if let Err(error) = checked {
        turn.reply(ticket, refused(&request.topics, error));
        return;
    }
    let producer = (request.producer_id, request.producer_epoch);
    write(group, turn, request.topics, None, Some(producer), ticket);
}

/// Writes what is valid of some offsets.
fn write(
    group: &mut Group,
    turn: &mut Turn<'_>,
    committed: Vec<CommitTopic>,
    expire_timestamp_ms: Option<i64>,
    producer: Option<(i64, i16)>,
    ticket: Ticket,
) {
    let mut records = Vec::new();
    let mut offsets = Vec::new();
    let mut topics = Vec::with_capacity(committed.len());
    for topic in committed {
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
        producer_id: producer.map(|(id, _)| id),
        ticket,
        reply,
    };
    turn.append_as(producer, records, effect);
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
/// With `require_stable` an offset that a commit in flight or an open transaction may replace is
/// refused, so that the client asks again.
pub(super) fn fetch(
    group: Option<&Group>,
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
                .map(|value| value.metadata.to_owned())
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
    let Some(group) = group else {
        return Vec::new();
    };
    let topics = group.offsets.committed_topics();
    let fetched = topics.map(|(topic, partitions)| FetchedTopic {
        name: topic.to_owned(),
        partitions: partitions.map(|each| fetch_one(topic, each)).collect(),
    });
    fetched.collect()
}

/// Deletes offsets of topics that the group does not subscribe to.
pub(super) fn delete(
    group: &Group,
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
            if error.is_none() && group.offsets.is_known(&topic.name, partition) {
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
pub(super) fn validate_delete(group: &Group) -> Result<(), GroupError> {
    let Some(classic) = group.classic() else {
        return Ok(());
    };
    if classic.is_in(GroupState::Empty) || classic.uses_consumer_protocol() {
        Ok(())
    } else {
        Err(GroupError::NonEmptyGroup)
    }
}

pub(super) fn offset_key(group: &Group, topic: &str, partition: i32) -> OffsetKey {
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
/// subscribes to any more, and in a group of the consumer protocol always. In all other cases
/// nothing expires.
pub(super) fn expire(group: &mut Group, turn: &mut Turn<'_>) {
    let (since_empty, since_commit, is_awaited) = match &group.membership {
        Membership::Consumer(_) => (false, true, false),
        Membership::Classic(classic) => {
            let since_empty = classic.protocol_type.is_some() && classic.is_in(GroupState::Empty);
            let since_commit = classic.protocol_type.is_none()
                || (classic.is_in(GroupState::Stable)
                    && classic.uses_consumer_protocol()
                    && classic.knows_subscribed_topics());
            (
                since_empty,
                since_commit,
                !classic.pending_members.is_empty(),
            )
        }
    };
    let empty_since_ms = group
        .classic()
        .and_then(ClassicGroup::state_timestamp_ms)
        .filter(|_| since_empty);
    let retention_ms = turn.config.offsets_retention_ms;
    let now_ms = turn.now_ms;
    let expired = |value: Committed<'_>| match value.expire_timestamp_ms {
        Some(expire_timestamp_ms) => now_ms >= expire_timestamp_ms,
        None => {
            let base_ms = empty_since_ms.unwrap_or(value.commit_timestamp_ms);
            now_ms.saturating_sub(base_ms) >= retention_ms
        }
    };
    let mut keys = Vec::new();
    let mut all_expired = !group.offsets.has_pending();
    for (topic, partition, value) in group.offsets.committed() {
        let can_expire = (since_empty || since_commit) && !group.is_subscribed_to(topic);
        if can_expire && expired(value) && !group.offsets.is_pending(topic, partition) {
            keys.push(offset_key(group, topic, partition));
        } else {
            all_expired = false;
        }
    }
    let group_is_over = all_expired && group.is_empty() && !is_awaited;
    let is_consumer_group = group.consumers().is_some();
    let groups = if group_is_over && !is_consumer_group {
        vec![group.id.clone()]
    } else {
        Vec::new()
    };
    if !keys.is_empty() || !groups.is_empty() {
        remove(turn, keys, groups, None);
    }
    if group_is_over && is_consumer_group {
        membership::delete(group, turn, None);
    }
}
