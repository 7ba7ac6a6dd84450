//! The rebalance itself: when it starts, when its join phase ends, and what its timers do.
//!
//! A rebalance runs in two phases. In PreparingRebalance all members are asked (by the error of
//! their heartbeat) to join again and their joins are parked, until all are there or the longest
//! rebalance timeout is over. Then a generation starts, in CompletingRebalance, which ends with the
//! leader's assignment (`sync.rs`).

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use super::classic::{ClassicGroup, InitialDelay};
use super::message::SyncReply;
use super::state::GroupState;
use super::turn::{Effect, TimerKey, Turn};
use crate::error::GroupError;
use crate::outcome::Reply;

pub(super) fn prepare_or_complete(group: &mut ClassicGroup, turn: &mut Turn<'_>, reason: &str) {
    if group.can_rebalance() {
        prepare(group, turn, reason);
    } else {
        maybe_complete_join(group, turn);
    }
}

/// Ends the join phase early when everybody is there; the first rebalance always waits.
pub(super) fn maybe_complete_join(group: &mut ClassicGroup, turn: &mut Turn<'_>) {
    if group.is_in(GroupState::PreparingRebalance)
        && !group.is_initial_rebalance()
        && group.has_all_members_joined()
    {
        complete_join(group, turn);
    }
}

pub(super) fn prepare(group: &mut ClassicGroup, turn: &mut Turn<'_>, reason: &str) {
    if group.is_in(GroupState::CompletingRebalance) {
        reset_assignment(group, turn, GroupError::RebalanceInProgress);
    }
    group.pending_sync.clear();
    turn.timers.cancel(&TimerKey::Sync(group.id.clone()));
    tracing::debug!(
        group = &*group.id,
        from = %group.state(),
        generation = group.generation_id,
        reason,
        "preparing a rebalance"
    );
    if group.is_in(GroupState::Empty) {
        // The group is new: wait for more members than the first, so that a fleet that starts
        // together does not rebalance once a member.
        let delay_ms = i64::from(turn.config.group_initial_rebalance_delay_ms).max(0);
        let remaining_ms = (group.rebalance_timeout_ms() - delay_ms).max(0);
        group.new_member_added = false;
        group.initial_delay = Some(InitialDelay {
            delay_ms,
            remaining_ms,
        });
        turn.schedule(TimerKey::Join(group.id.clone()), delay_ms);
        group.transition_to(GroupState::PreparingRebalance, turn.now_ms);
        return;
    }
    group.initial_delay = None;
    group.transition_to(GroupState::PreparingRebalance, turn.now_ms);
    if group.has_all_members_joined() {
        complete_join(group, turn);
    } else {
        schedule_join_timeout(group, turn);
    }
}

fn schedule_join_timeout(group: &ClassicGroup, turn: &mut Turn<'_>) {
    let timeout_ms = group.rebalance_timeout_ms();
    turn.schedule(TimerKey::Join(group.id.clone()), timeout_ms);
}

/// The join timer of a group fired.
pub(super) fn join_timer(group: &mut ClassicGroup, turn: &mut Turn<'_>) {
    if !group.is_in(GroupState::PreparingRebalance) {
        return;
    }
    match group.initial_delay {
        Some(InitialDelay {
            delay_ms,
            remaining_ms,
        }) if group.new_member_added && remaining_ms != 0 => {
            let initial_delay_ms = i64::from(turn.config.group_initial_rebalance_delay_ms).max(0);
            let next_delay_ms = initial_delay_ms.min(remaining_ms);
            group.new_member_added = false;
            group.initial_delay = Some(InitialDelay {
                delay_ms: next_delay_ms,
                remaining_ms: (remaining_ms - delay_ms).max(0),
            });
            turn.schedule(TimerKey::Join(group.id.clone()), next_delay_ms);
        }
        _ => complete_join(group, turn),
    }
}

/// Ends the join phase: who has not joined is out, static members excepted.
pub(super) fn complete_join(group: &mut ClassicGroup, turn: &mut Turn<'_>) {
    turn.timers.cancel(&TimerKey::Join(group.id.clone()));
    group.initial_delay = None;
    let absent: Vec<Arc<str>> = group
        .members
        .values()
        .filter(|member| member.awaiting_join.is_none() && member.instance_id.is_none())
        .map(|member| member.id.clone())
        .collect();
    for member_id in absent {
        turn.remove_member(group, &member_id);
    }
    if !group.elect_joined_leader() && !group.members.is_empty() {
        // Only static members are left and none has joined. Wait for one, or for the end of
        // their sessions.
        schedule_join_timeout(group, turn);
        return;
    }
    group.start_next_generation(turn.now_ms);
    if group.is_in(GroupState::Empty) {
        turn.append_group(group, |_| Bytes::new(), Effect::EmptyGroup);
        return;
    }
    announce_generation(group, turn);
}

fn announce_generation(group: &mut ClassicGroup, turn: &mut Turn<'_>) {
    let member_ids: Vec<Arc<str>> = group.members.keys().cloned().collect();
    for member_id in member_ids {
        let Some(member) = group.members.get_mut(&member_id) else {
            continue;
        };
        let ticket = member.awaiting_join.take();
        member.is_new = false;
        if let Some(ticket) = ticket {
            let reply = group.join_reply(&member_id);
            turn.reply(ticket, Reply::Join(reply));
        }
        turn.schedule_session(group, &member_id);
        group.pending_sync.insert(member_id);
    }
    let timeout_ms = group.rebalance_timeout_ms();
    turn.schedule(TimerKey::Sync(group.id.clone()), timeout_ms);
}

/// The sync timer of a group fired: who has not synced is out.
pub(super) fn sync_timer(group: &mut ClassicGroup, turn: &mut Turn<'_>) {
    let syncing = group.is_in(GroupState::CompletingRebalance) || group.is_in(GroupState::Stable);
    if !syncing || group.pending_sync.is_empty() {
        return;
    }
    for member_id in std::mem::take(&mut group.pending_sync) {
        turn.remove_member(group, &member_id);
    }
    prepare(group, turn, "members did not sync in time");
}

/// The session timer of a member or a pending member fired.
pub(super) fn session_timer(group: &mut ClassicGroup, turn: &mut Turn<'_>, member_id: &str) {
    if group.pending_members.contains(member_id) {
        turn.remove_member(group, member_id);
        if group.is_in(GroupState::PreparingRebalance) && group.has_all_members_joined() {
            complete_join(group, turn);
        }
        return;
    }
    let Some(member) = group.members.get(member_id) else {
        return;
    };
    if member.has_satisfied_heartbeat() {
        return;
    }
    tracing::debug!(
        group = &*group.id,
        member = member_id,
        "the member's session expired"
    );
    turn.remove_member(group, member_id);
    match group.state() {
        GroupState::Stable | GroupState::CompletingRebalance => {
            prepare_or_complete(group, turn, "a member's session expired");
        }
        GroupState::PreparingRebalance if group.has_all_members_joined() => {
            complete_join(group, turn);
        }
        _ => {}
    }
}

/// Takes all assignments back and answers parked syncs with an error.
pub(super) fn reset_assignment(group: &mut ClassicGroup, turn: &mut Turn<'_>, error: GroupError) {
    for member in group.members.values_mut() {
        member.assignment = Bytes::new();
    }
    answer_syncs(group, turn, Some(error));
}

/// Gives all members their assignments and answers parked syncs with them.
pub(super) fn assign(
    group: &mut ClassicGroup,
    turn: &mut Turn<'_>,
    mut assignments: BTreeMap<String, Bytes>,
) {
    for member in group.members.values_mut() {
        member.assignment = assignments.remove(&*member.id).unwrap_or_default();
    }
    answer_syncs(group, turn, None);
}

fn answer_syncs(group: &mut ClassicGroup, turn: &mut Turn<'_>, error: Option<GroupError>) {
    let mut answered = Vec::new();
    for member in group.members.values_mut() {
        let Some(ticket) = member.awaiting_sync.take() else {
            continue;
        };
        let reply = match error {
            Some(error) => SyncReply::error(error),
            None => SyncReply {
                error: None,
                protocol_type: group.protocol_type.clone(),
                protocol_name: group.protocol_name.clone(),
                assignment: member.assignment.clone(),
            },
        };
        turn.reply(ticket, Reply::Sync(reply));
        answered.push(member.id.clone());
    }
    // A session that ended while its member waited was let pass without a new deadline.
    for member_id in answered {
        turn.schedule_session(group, &member_id);
    }
}
