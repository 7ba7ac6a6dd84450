//! JoinGroup: who may join, under which member id, and whether that starts a rebalance.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;

use super::classic::{ClassicGroup, Member};
use super::codec::NAME_BYTES_MAX;
use super::message::{JoinProtocol, JoinReply, JoinRequest};
use super::rebalance;
use super::state::GroupState;
use super::turn::{Effect, StaticRejoin, TimerKey, Turn};
use crate::error::{AppendError, GroupError};
use crate::outcome::{Reply, Ticket};

/// From this version on a dynamic member must join with a member id it was given (KIP-394).
const FIRST_VERSION_REQUIRING_MEMBER_ID: i16 = 4;
/// From this version on a leader can be told not to assign (KIP-814).
const FIRST_VERSION_SKIPPING_ASSIGNMENT: i16 = 9;

/// What can be said against a join without looking at the group.
pub(super) fn validate(request: &JoinRequest, turn: &Turn<'_>) -> Result<(), GroupError> {
    if request.group_id.is_empty() || request.group_id.len() > NAME_BYTES_MAX {
        return Err(GroupError::InvalidGroupId);
    }
    let config = turn.config;
    let allowed = config.group_min_session_timeout_ms..=config.group_max_session_timeout_ms;
    if !allowed.contains(&request.session_timeout_ms) {
        return Err(GroupError::InvalidSessionTimeout);
    }
    let mut names = [
        &request.member_id,
        &request.client_id,
        &request.client_host,
        &request.protocol_type,
        &request.uuid,
    ]
    .into_iter()
    .chain(&request.group_instance_id)
    .chain(request.protocols.iter().map(|protocol| &protocol.name));
    if names.any(|name| name.len() > NAME_BYTES_MAX) {
        return Err(GroupError::InvalidRequest);
    }
    Ok(())
}

/// Keeps the first of protocols that share a name, and settles the rebalance timeout.
pub(super) fn normalize(request: &mut JoinRequest) {
    let mut seen = HashSet::new();
    request
        .protocols
        .retain(|protocol| seen.insert(protocol.name.clone()));
    if request.rebalance_timeout_ms < 0 {
        request.rebalance_timeout_ms = request.session_timeout_ms;
    }
}

pub(super) fn join(
    group: &mut ClassicGroup,
    turn: &mut Turn<'_>,
    request: JoinRequest,
    ticket: Ticket,
) {
    if !accepts(group, turn, &request.member_id) {
        turn.remove_member(group, &request.member_id);
        refuse(turn, ticket, "", GroupError::GroupMaxSizeReached);
        rebalance::maybe_complete_join(group, turn);
        return;
    }
    if !group.supports(&request.protocol_type, &request.protocols) {
        refuse(
            turn,
            ticket,
            &request.member_id,
            GroupError::InconsistentGroupProtocol,
        );
        return;
    }
    if request.member_id.is_empty() {
        join_new(group, turn, request, ticket);
    } else {
        join_existing(group, turn, request, ticket);
    }
}

fn refuse(turn: &mut Turn<'_>, ticket: Ticket, member_id: &str, error: GroupError) {
    turn.reply(ticket, Reply::Join(JoinReply::error(member_id, error)));
}

/// Whether `group.max.size` leaves room.
///
/// During the join phase only those count that have joined: the limit may have been lowered below
/// the size of the group, and then the last to come are out.
fn accepts(group: &ClassicGroup, turn: &Turn<'_>, member_id: &str) -> bool {
    let max = turn.config.group_max_size;
    let member = group.members.get(member_id);
    match group.state() {
        GroupState::PreparingRebalance => {
            member.is_some_and(|member| member.awaiting_join.is_some())
                || group.awaiting_join_count() < max
        }
        GroupState::CompletingRebalance | GroupState::Stable => {
            member.is_some() || group.members.len() < max
        }
        _ => true,
    }
}

fn join_new(group: &mut ClassicGroup, turn: &mut Turn<'_>, request: JoinRequest, ticket: Ticket) {
    let prefix = request
        .group_instance_id
        .as_deref()
        .unwrap_or(&request.client_id);
    let member_id: Arc<str> = Arc::from(format!("{prefix}-{}", request.uuid));
    if let Some(instance_id) = &request.group_instance_id {
        match group.static_members.get(instance_id.as_str()).cloned() {
            Some(old_member_id) => {
                rejoin_static(group, turn, request, ticket, &old_member_id, &member_id);
            }
            None => add_member(group, turn, request, ticket, member_id),
        }
    } else if request.api_version >= FIRST_VERSION_REQUIRING_MEMBER_ID {
        group.pending_members.insert(member_id.clone());
        let key = TimerKey::Session {
            group_id: group.id.clone(),
            member_id: member_id.clone(),
        };
        turn.schedule(key, i64::from(request.session_timeout_ms));
        refuse(turn, ticket, &member_id, GroupError::MemberIdRequired);
    } else {
        add_member(group, turn, request, ticket, member_id);
    }
}

fn join_existing(
    group: &mut ClassicGroup,
    turn: &mut Turn<'_>,
    request: JoinRequest,
    ticket: Ticket,
) {
    let member_id: Arc<str> = Arc::from(request.member_id.as_str());
    // Only dynamic members are ever pending.
    if group.pending_members.contains(&member_id) && request.group_instance_id.is_none() {
        add_member(group, turn, request, ticket, member_id);
        return;
    }
    if let Err(error) = group.validate_member(&member_id, request.group_instance_id.as_deref()) {
        refuse(turn, ticket, &member_id, error);
        return;
    }
    let unchanged = group
        .members
        .get(&member_id)
        .is_some_and(|member| member.protocols == request.protocols);
    match group.state() {
        GroupState::PreparingRebalance => update_member(group, turn, request, ticket, &member_id),
        // The reply to its first join may have been lost: repeat it.
        GroupState::CompletingRebalance if unchanged => {
            let reply = group.join_reply(&member_id);
            turn.reply(ticket, Reply::Join(reply));
        }
        // A leader joins again to force a rebalance, for instance when topics have changed.
        GroupState::Stable if unchanged && !group.is_leader(&member_id) => {
            let reply = group.join_reply(&member_id);
            turn.reply(ticket, Reply::Join(reply));
        }
        GroupState::CompletingRebalance | GroupState::Stable => {
            update_member(group, turn, request, ticket, &member_id);
        }
        _ => {
            refuse(turn, ticket, &member_id, GroupError::UnknownMemberId);
        }
    }
}

fn add_member(
    group: &mut ClassicGroup,
    turn: &mut Turn<'_>,
    request: JoinRequest,
    ticket: Ticket,
    member_id: Arc<str>,
) {
    if group.is_initial_rebalance() {
        group.new_member_added = true;
    }
    if group.members.is_empty() {
        group.protocol_type = Some(request.protocol_type);
    }
    group.add(Member {
        id: member_id.clone(),
        instance_id: request.group_instance_id.map(Arc::from),
        client_id: request.client_id,
        client_host: request.client_host,
        rebalance_timeout_ms: request.rebalance_timeout_ms,
        session_timeout_ms: request.session_timeout_ms,
        protocols: request.protocols,
        assignment: Bytes::new(),
        awaiting_join: Some(ticket),
        awaiting_sync: None,
        is_new: true,
    });
    // A new member does not heartbeat before it knows its id, and a client that gave up and
    // retried leaves a ghost behind: bound how long one can be parked.
    let key = TimerKey::Session {
        group_id: group.id.clone(),
        member_id,
    };
    turn.schedule(key, turn.config.new_member_join_timeout_ms);
    let reason = request.reason.as_deref().unwrap_or("a member joined");
    rebalance::prepare_or_complete(group, turn, reason);
}

fn update_member(
    group: &mut ClassicGroup,
    turn: &mut Turn<'_>,
    request: JoinRequest,
    ticket: Ticket,
    member_id: &Arc<str>,
) {
    take_over(group, turn, &request, ticket, member_id);
    let reason = request.reason.as_deref().unwrap_or("a member joined again");
    rebalance::prepare_or_complete(group, turn, reason);
}

fn take_over(
    group: &mut ClassicGroup,
    turn: &mut Turn<'_>,
    request: &JoinRequest,
    ticket: Ticket,
    member_id: &Arc<str>,
) {
    let (rebalance_ms, session_ms) = (request.rebalance_timeout_ms, request.session_timeout_ms);
    group.update(
        member_id,
        request.protocols.clone(),
        rebalance_ms,
        session_ms,
    );
    if let Some(member) = group.members.get_mut(member_id) {
        turn.park_join(member, ticket);
    }
}

/// A static member came back without its member id: it gets a new one and fences the old.
fn rejoin_static(
    group: &mut ClassicGroup,
    turn: &mut Turn<'_>,
    request: JoinRequest,
    ticket: Ticket,
    old_member_id: &Arc<str>,
    new_member_id: &Arc<str>,
) {
    let old_leader = group.leader_or_empty();
    let Some(parked) = group.replace_static(old_member_id, new_member_id) else {
        return;
    };
    turn.dismiss(old_member_id, parked, GroupError::FencedInstanceId);
    turn.cancel_session(group, old_member_id);
    turn.schedule_session(group, new_member_id);
    let (old_protocols, old_rebalance_timeout_ms, old_session_timeout_ms) =
        match group.members.get(new_member_id) {
            Some(old) => (
                old.protocols.clone(),
                old.rebalance_timeout_ms,
                old.session_timeout_ms,
            ),
            None => return,
        };
    take_over(group, turn, &request, ticket, new_member_id);
    match group.state() {
        GroupState::Stable if group.select_protocol() == group.protocol_name => {
            // Its assignment stays valid, so the generation goes on under the new member id.
            let effect = Effect::StaticRejoin(Box::new(StaticRejoin {
                group_id: group.id.clone(),
                generation_id: group.generation_id,
                ticket,
                api_version: request.api_version,
                new_member_id: new_member_id.clone(),
                old_member_id: old_member_id.clone(),
                old_leader,
                old_protocols,
                old_rebalance_timeout_ms,
                old_session_timeout_ms,
            }));
            turn.append_group(group, |member| member.assignment.clone(), effect);
        }
        // In CompletingRebalance the leader may already be assigning to the old member id.
        GroupState::Stable | GroupState::CompletingRebalance => {
            rebalance::prepare_or_complete(group, turn, "a static member joined again");
        }
        _ => rebalance::maybe_complete_join(group, turn),
    }
}

/// The record of a static member's new id was appended, or not.
pub(super) fn static_rejoined(
    group: &mut ClassicGroup,
    turn: &mut Turn<'_>,
    rejoin: StaticRejoin,
    result: Result<(), AppendError>,
) {
    // A rebalance that began meanwhile has taken the join over.
    let still_parked = group.is_in(GroupState::Stable)
        && group.generation_id == rejoin.generation_id
        && group
            .members
            .get(&rejoin.new_member_id)
            .is_some_and(|member| member.awaiting_join == Some(rejoin.ticket));
    if !still_parked {
        return;
    }
    if let Some(member) = group.members.get_mut(&rejoin.new_member_id) {
        member.awaiting_join = None;
    }
    match result {
        Ok(()) => {
            // Its session may have run out while the join was parked.
            turn.schedule_session(group, &rejoin.new_member_id);
            let mut reply = group.join_reply(&rejoin.new_member_id);
            if rejoin.api_version >= FIRST_VERSION_SKIPPING_ASSIGNMENT {
                reply.skip_assignment = group.is_leader(&rejoin.new_member_id);
            } else {
                // An older client would assign if it found itself the leader, so it is shown the
                // id that it had before.
                reply.leader = rejoin.old_leader;
                reply.members = Vec::new();
            }
            turn.reply(rejoin.ticket, Reply::Join(reply));
        }
        Err(error) => revert_static(group, turn, rejoin, error),
    }
}

fn revert_static(
    group: &mut ClassicGroup,
    turn: &mut Turn<'_>,
    rejoin: StaticRejoin,
    error: AppendError,
) {
    let protocols: Vec<JoinProtocol> = rejoin.old_protocols;
    let (rebalance_ms, session_ms) = (
        rejoin.old_rebalance_timeout_ms,
        rejoin.old_session_timeout_ms,
    );
    group.update(&rejoin.new_member_id, protocols, rebalance_ms, session_ms);
    if let Some(parked) = group.replace_static(&rejoin.new_member_id, &rejoin.old_member_id) {
        turn.dismiss("", parked, error.group_error());
    }
    turn.cancel_session(group, &rejoin.new_member_id);
    turn.schedule_session(group, &rejoin.old_member_id);
    let mut reply = JoinReply::error("", error.group_error());
    reply.generation_id = group.generation_id;
    reply.protocol_type = group.protocol_type.clone();
    reply.protocol_name = group.protocol_name.clone();
    reply.leader = rejoin.old_leader;
    turn.reply(rejoin.ticket, Reply::Join(reply));
}
