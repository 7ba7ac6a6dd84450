//! What happens when the runtime reports an append.
//!
//! Membership lives in memory first and an append only confirms it; offsets and deletions change
//! nothing before their records are in the log.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::classic::ClassicGroup;
use super::membership::{self, Group, Membership};
use super::message::JoinReply;
use super::record::OffsetCommitValue;
use super::state::GroupState;
use super::turn::{Effect, OffsetKey, OpenTransactions, Turn};
use super::{join, sync};
use crate::error::{AppendError, GroupError};
use crate::outcome::{AppendId, Reply};

pub(super) fn settle(
    groups: &mut BTreeMap<Arc<str>, Group>,
    turn: &mut Turn<'_>,
    id: AppendId,
    effect: Effect,
    result: Result<(), AppendError>,
) {
    match effect {
        Effect::EmptyGroup => {
            if let Err(error) = result {
                tracing::warn!(%error, "an empty generation could not be stored");
            }
        }
        Effect::Assign {
            group_id,
            generation_id,
            assignments,
        } => {
            if let Some(classic) = groups.get_mut(&group_id).and_then(Group::classic_mut) {
                sync::assignment_stored(classic, turn, generation_id, assignments, result);
            }
        }
        Effect::StaticRejoin(rejoin) => {
            let group = groups.get_mut(&rejoin.group_id);
            if let Some(classic) = group.and_then(Group::classic_mut) {
                join::static_rejoined(classic, turn, *rejoin, result);
            } else {
                // The group has changed its protocol: the member joins that.
                let error = GroupError::RebalanceInProgress;
                let reply = JoinReply::error(&rejoin.new_member_id, error);
                turn.reply(rejoin.ticket, Reply::Join(reply));
            }
        }
        Effect::Commit {
            group_id,
            offsets,
            producer_id,
            ticket,
            mut reply,
        } => {
            settle_commit(groups, turn, &group_id, offsets, producer_id, result);
            if let Err(error) = result {
                reply.fail(error.commit_error());
            }
            turn.reply(ticket, reply);
        }
        Effect::Membership(stored) => membership::settle(groups, turn, *stored, result),
        Effect::Remove {
            offsets,
            groups: removed,
            reply,
        } => {
            if result.is_ok() {
                settle_remove(groups, id, offsets, removed);
            }
            if let Some((ticket, mut reply)) = reply {
                if let Err(error) = result {
                    reply.fail(error.group_error());
                }
                turn.reply(ticket, reply);
            }
        }
        Effect::EndTransaction {
            producer_id,
            is_commit,
        } => end_transaction(groups, turn.open_transactions, producer_id, is_commit),
    }
}

/// Applies or drops the offsets that a producer's transaction has in this partition.
pub(super) fn end_transaction(
    groups: &mut BTreeMap<Arc<str>, Group>,
    open_transactions: &mut OpenTransactions,
    producer_id: i64,
    is_commit: bool,
) {
    for group_id in open_transactions.remove(&producer_id).unwrap_or_default() {
        let Some(group) = groups.get_mut(&group_id) else {
            continue;
        };
        group.offsets.end_transaction(producer_id, is_commit);
        if group.is_blank() {
            groups.remove(&group_id);
        }
    }
}

fn settle_commit(
    groups: &mut BTreeMap<Arc<str>, Group>,
    turn: &mut Turn<'_>,
    group_id: &Arc<str>,
    offsets: Vec<(String, i32, OffsetCommitValue)>,
    producer_id: Option<i64>,
    result: Result<(), AppendError>,
) {
    let group = groups
        .entry(group_id.clone())
        .or_insert_with(|| Group::new(group_id.clone(), Some(turn.now_ms)));
    for (topic, partition, value) in offsets {
        group.offsets.end(&topic, partition);
        if result.is_ok() {
            group.offsets.put(&topic, partition, value, producer_id);
        }
    }
    if let (Some(producer_id), Ok(())) = (producer_id, result) {
        let open = turn.open_transactions.entry(producer_id).or_default();
        open.insert(group_id.clone());
    }
    if group.is_blank() {
        groups.remove(group_id);
    }
}

fn settle_remove(
    groups: &mut BTreeMap<Arc<str>, Group>,
    id: AppendId,
    offsets: Vec<OffsetKey>,
    removed: Vec<Arc<str>>,
) {
    for key in offsets {
        if let Some(group) = groups.get_mut(&key.group_id) {
            group.offsets.remove(&key.topic, key.partition);
            if group.is_blank() {
                groups.remove(&key.group_id);
            }
        }
    }
    for group_id in removed {
        let Some(group) = groups.get_mut(&group_id) else {
            continue;
        };
        let Some(classic) = group.classic() else {
            // It has become a consumer group meanwhile, which wrote its own records.
            continue;
        };
        if !classic.is_in(GroupState::Empty) || classic.last_append > Some(id) {
            // Members have joined meanwhile; their generation writes the group again, or has.
            continue;
        }
        if group.offsets.is_unused() {
            groups.remove(&group_id);
        } else {
            forget_membership(group);
        }
    }
}

/// What a tombstone of group metadata leaves when there are offsets: a group without a protocol.
///
/// A consumer group has no such metadata and stays.
pub(super) fn forget_membership(group: &mut Group) {
    let Some(classic) = group.classic() else {
        return;
    };
    let since_ms = classic.state_timestamp_ms();
    group.membership = Membership::classic(ClassicGroup::new(group.id.clone(), since_ms));
}
