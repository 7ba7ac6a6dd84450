//! One step of a member towards its target assignment.
//!
//! A member first gives up what the target takes from it (UnrevokedPartitions, at its old epoch),
//! then moves to the target's epoch with what is free (UnreleasedPartitions while others still have
//! some of it), and is Stable when it has all. A partition is never handed to one member before the
//! other has said that it no longer has it; that is what makes this safe.

use std::collections::{BTreeMap, BTreeSet};

use super::record::{CurrentAssignment, MemberState, OwnedPartitions, Partitions};
use super::state::{ConsumerGroup, Member};
use super::topics::{MetadataView, TopicId};

/// What the member said and what it is to become.
pub(in crate::group) struct Goal<'a> {
    pub(in crate::group) group: &'a ConsumerGroup,
    pub(in crate::group) view: &'a MetadataView,
    pub(in crate::group) member_id: &'a str,
    /// What the member says it has; `None` when it did not say.
    pub(in crate::group) owned: Option<&'a Partitions>,
    /// Whether its subscription has just changed.
    pub(in crate::group) resubscribed: bool,
}

/// The member is in a state of a later version and must start over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::group) struct MustRejoin;

/// What the member has next, at most one step from what it has.
pub(in crate::group) fn next(
    member: &Member,
    goal: &Goal<'_>,
) -> Result<CurrentAssignment, MustRejoin> {
    let current = &*member.current;
    let target_epoch = goal.group.assignment.epoch;
    match current.state {
        MemberState::Stable if current.epoch != target_epoch => {
            Ok(step(member, goal, current.epoch))
        }
        MemberState::Stable if goal.resubscribed => Ok(drop_unsubscribed(member, goal)),
        MemberState::Stable => Ok(current.clone()),
        MemberState::UnrevokedPartitions if goal.still_owns(&current.pending_revocation) => {
            if goal.resubscribed {
                Ok(drop_unsubscribed(member, goal))
            } else {
                Ok(current.clone())
            }
        }
        MemberState::UnrevokedPartitions => {
            // A change of the subscription takes partitions before there is a new target, and then
            // the epoch has nowhere to go.
            let epoch = current.epoch.saturating_add(1).min(target_epoch);
            Ok(step(member, goal, epoch))
        }
        MemberState::UnreleasedPartitions => Ok(step(member, goal, current.epoch)),
        MemberState::Unknown if goal.owned.is_some_and(BTreeMap::is_empty) => {
            Ok(step(member, goal, target_epoch))
        }
        MemberState::Unknown => Err(MustRejoin),
    }
}

impl Goal<'_> {
    /// A member that does not say what it has may have all of it.
    fn still_owns(&self, revoked: &OwnedPartitions) -> bool {
        let Some(owned) = self.owned else { return true };
        owned.iter().any(|(topic, partitions)| {
            revoked
                .get(topic)
                .is_some_and(|revoked| partitions.iter().any(|each| revoked.contains_key(each)))
        })
    }
}

/// Takes away what the member no longer subscribes to, without waiting for a new target.
fn drop_unsubscribed(member: &Member, goal: &Goal<'_>) -> CurrentAssignment {
    let subscribed = goal.group.subscribed_topics(member, goal.view);
    let mut next = (*member.current).clone();
    let dropped: OwnedPartitions = std::mem::take(&mut next.assigned)
        .into_iter()
        .filter_map(|(topic, partitions)| {
            if subscribed.contains(&topic) {
                next.assigned.insert(topic, partitions);
                None
            } else {
                Some((topic, partitions))
            }
        })
        .collect();
    if dropped.is_empty() {
        return next;
    }
    let mut pending = next.pending_revocation.clone();
    for (topic, partitions) in dropped {
        pending.entry(topic).or_default().extend(partitions);
    }
    if goal.still_owns(&pending) {
        next.state = MemberState::UnrevokedPartitions;
        next.pending_revocation = pending;
    }
    next
}

/// Moves on from `epoch`, which may be past the member's own.
fn step(member: &Member, goal: &Goal<'_>, epoch: i32) -> CurrentAssignment {
    let current = &*member.current;
    let subscribed = goal.group.subscribed_topics(member, goal.view);
    let target_epoch = goal.group.assignment.epoch;
    let target = goal.group.target(goal.member_id);
    let target_of = |topic: &TopicId| {
        let partitions = target.get(topic).filter(|_| subscribed.contains(topic));
        partitions.cloned().unwrap_or_default()
    };
    let mut assigned = OwnedPartitions::new();
    let mut revoked = OwnedPartitions::new();
    for (topic, partitions) in &current.assigned {
        let wanted = target_of(topic);
        for (partition, since) in partitions {
            let side = if wanted.contains(partition) {
                &mut assigned
            } else {
                &mut revoked
            };
            side.entry(*topic).or_default().insert(*partition, *since);
        }
    }
    if !revoked.is_empty() && goal.still_owns(&revoked) {
        return CurrentAssignment {
            epoch,
            previous_epoch: current.epoch,
            state: MemberState::UnrevokedPartitions,
            assigned,
            pending_revocation: revoked,
        };
    }
    let mut unreleased = false;
    for topic in target.keys() {
        let missing: BTreeSet<i32> = target_of(topic)
            .into_iter()
            .filter(|each| !has(&current.assigned, topic, *each))
            .collect();
        if missing.is_empty() {
            continue;
        }
        let taken = goal.group.owned_partitions(*topic);
        for partition in missing {
            // What the member itself has just given up is free again.
            if taken.contains(&partition) && !has(&current.pending_revocation, topic, partition) {
                unreleased = true;
            } else {
                let topic = assigned.entry(*topic).or_default();
                topic.insert(partition, target_epoch);
            }
        }
    }
    CurrentAssignment {
        epoch: target_epoch,
        previous_epoch: current.epoch,
        state: if unreleased {
            MemberState::UnreleasedPartitions
        } else {
            MemberState::Stable
        },
        assigned,
        pending_revocation: OwnedPartitions::new(),
    }
}

fn has(owned: &OwnedPartitions, topic: &TopicId, partition: i32) -> bool {
    owned
        .get(topic)
        .is_some_and(|partitions| partitions.contains_key(&partition))
}

/// Whether a member in UnreleasedPartitions would get nothing more if it came now.
pub(in crate::group) fn waits_for_others(
    group: &ConsumerGroup,
    member_id: &str,
    member: &Member,
) -> bool {
    if member.current.state != MemberState::UnreleasedPartitions {
        return false;
    }
    group.target(member_id).iter().any(|(topic, partitions)| {
        let taken = group.owned_partitions(*topic);
        let mut missing = partitions
            .iter()
            .filter(|each| !has(&member.current.assigned, topic, **each));
        missing.any(|each| taken.contains(each))
    })
}
