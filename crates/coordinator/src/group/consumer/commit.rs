//! Whether a member of a consumer group may commit or fetch offsets.
//!
//! A member that has moved on may still commit for partitions that it had before, as long as it
//! got them at or before the epoch it commits with (KIP-1251): nobody else has had them since.

use super::state::{ConsumerGroup, Member};
use super::topics::{MetadataView, TopicId};
use crate::error::GroupError;

/// From this version on OffsetCommit carries member epochs.
const FIRST_VERSION_WITH_MEMBER_EPOCHS: i16 = 9;

/// A commit, as far as it concerns who makes it.
pub(in crate::group) struct Committer<'a> {
    pub(in crate::group) member_id: &'a str,
    pub(in crate::group) instance_id: Option<&'a str>,
    /// -1 of consumers that assign their own partitions, and of administrators.
    pub(in crate::group) epoch: i32,
    /// Of OffsetCommit; `None` for a commit in a transaction.
    pub(in crate::group) api_version: Option<i16>,
}

/// Whether all of these partitions may be committed.
pub(in crate::group) fn validate<'a>(
    group: &ConsumerGroup,
    view: &MetadataView,
    committer: &Committer<'_>,
    mut partitions: impl Iterator<Item = (&'a str, i32)>,
) -> Result<(), GroupError> {
    let epoch = committer.epoch;
    if epoch < 0 && group.members.is_empty() {
        return Ok(());
    }
    let is_transactional = committer.api_version.is_none();
    let is_anonymous = committer.member_id.is_empty() && committer.instance_id.is_none();
    if is_transactional && epoch == -1 && is_anonymous {
        return Ok(());
    }
    let member = group.members.get(committer.member_id);
    let member = member.ok_or(GroupError::UnknownMemberId)?;
    let is_old = |version| version < FIRST_VERSION_WITH_MEMBER_EPOCHS;
    if member.classic().is_none() && committer.api_version.is_some_and(is_old) {
        return Err(GroupError::UnsupportedVersion);
    }
    let is_allowed = match epoch.cmp(&member.epoch()) {
        std::cmp::Ordering::Equal => true,
        std::cmp::Ordering::Greater => false,
        std::cmp::Ordering::Less => partitions.all(|(topic, partition)| {
            view.topic(topic)
                .and_then(|topic| assigned_since(member, topic.id, partition))
                .is_some_and(|since| epoch >= since)
        }),
    };
    if is_allowed {
        Ok(())
    } else {
        Err(stale(member))
    }
}

/// Whether the offsets of a group may be read under this epoch.
pub(in crate::group) fn validate_fetch(
    group: &ConsumerGroup,
    member_id: Option<&str>,
    epoch: i32,
) -> Result<(), GroupError> {
    let Some(member_id) = member_id else {
        return if epoch < 0 {
            Ok(())
        } else {
            Err(GroupError::UnknownMemberId)
        };
    };
    let member = group.members.get(member_id);
    let member = member.ok_or(GroupError::UnknownMemberId)?;
    if epoch == member.epoch() {
        Ok(())
    } else {
        Err(stale(member))
    }
}

fn stale(member: &Member) -> GroupError {
    match member.classic() {
        Some(_) => GroupError::IllegalGeneration,
        None => GroupError::StaleMemberEpoch,
    }
}

fn assigned_since(member: &Member, topic: TopicId, partition: i32) -> Option<i32> {
    let current = &member.current;
    let owned = [&current.assigned, &current.pending_revocation];
    owned
        .into_iter()
        .find_map(|owned| owned.get(&topic)?.get(&partition))
        .copied()
}
