//! SyncGroup: the leader's assignment is stored, then handed to all members.
//!
//! The state becomes Stable only when the record with the assignment is in the log. If it cannot be
//! written, every parked sync is answered with the error and the group rebalances.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::classic::{ClassicGroup, Member};
use super::message::{SyncReply, SyncRequest};
use super::rebalance;
use super::state::GroupState;
use super::turn::{Effect, TimerKey, Turn};
use crate::error::{AppendError, GroupError};
use crate::outcome::{Reply, Ticket};

/// From this version on the protocol type and name must be present.
const FIRST_VERSION_NAMING_PROTOCOL: i16 = 5;

/// What can be said against a sync without looking at the group.
pub(super) fn validate(request: &SyncRequest) -> Result<(), GroupError> {
    if request.group_id.is_empty() {
        return Err(GroupError::InvalidGroupId);
    }
    let named = request.protocol_type.is_some() && request.protocol_name.is_some();
    if request.api_version >= FIRST_VERSION_NAMING_PROTOCOL && !named {
        return Err(GroupError::InconsistentGroupProtocol);
    }
    Ok(())
}

pub(super) fn sync(
    group: &mut ClassicGroup,
    turn: &mut Turn<'_>,
    request: SyncRequest,
    ticket: Ticket,
) {
    if let Err(error) = validate_in_group(group, &request) {
        turn.reply(ticket, Reply::Sync(SyncReply::error(error)));
        return;
    }
    let member_id = request.member_id.as_str();
    group.pending_sync.remove(member_id);
    if group.pending_sync.is_empty() {
        turn.timers.cancel(&TimerKey::Sync(group.id.clone()));
    }
    let is_leader = group.is_leader(member_id);
    let state = group.state();
    let Some(member) = group.members.get_mut(member_id) else {
        return;
    };
    if state == GroupState::Stable {
        let reply = SyncReply {
            error: None,
            protocol_type: group.protocol_type.clone(),
            protocol_name: group.protocol_name.clone(),
            assignment: member.assignment.clone(),
        };
        turn.reply(ticket, Reply::Sync(reply));
        return;
    }
    turn.park_sync(member, ticket);
    if is_leader {
        store_assignment(group, turn, request);
    }
}

fn validate_in_group(group: &ClassicGroup, request: &SyncRequest) -> Result<(), GroupError> {
    if group.is_in(GroupState::Empty) {
        return Err(GroupError::UnknownMemberId);
    }
    group.validate_member(&request.member_id, request.group_instance_id.as_deref())?;
    if request.generation_id != group.generation_id {
        return Err(GroupError::IllegalGeneration);
    }
    let differ = |said: &Option<String>, known: &Option<String>| {
        said.is_some() && known.is_some() && said != known
    };
    if differ(&request.protocol_type, &group.protocol_type)
        || differ(&request.protocol_name, &group.protocol_name)
    {
        return Err(GroupError::InconsistentGroupProtocol);
    }
    if group.is_in(GroupState::PreparingRebalance) {
        return Err(GroupError::RebalanceInProgress);
    }
    Ok(())
}

fn store_assignment(group: &mut ClassicGroup, turn: &mut Turn<'_>, request: SyncRequest) {
    let assignments: BTreeMap<String, Bytes> = request
        .assignments
        .into_iter()
        .map(|assigned| (assigned.member_id, assigned.assignment))
        .collect();
    let effect = Effect::Assign {
        group_id: group.id.clone(),
        generation_id: group.generation_id,
        assignments: assignments.clone(),
    };
    let assigned = |member: &Member| assignments.get(&*member.id).cloned().unwrap_or_default();
    turn.append_group(group, assigned, effect);
}

/// The record of an assignment was appended, or not.
pub(super) fn assignment_stored(
    group: &mut ClassicGroup,
    turn: &mut Turn<'_>,
    generation_id: i32,
    assignments: BTreeMap<String, Bytes>,
    result: Result<(), AppendError>,
) {
    // Another member may have joined while the record was on its way.
    if !group.is_in(GroupState::CompletingRebalance) || group.generation_id != generation_id {
        return;
    }
    match result {
        Ok(()) => {
            rebalance::assign(group, turn, assignments);
            group.transition_to(GroupState::Stable, turn.now_ms);
        }
        Err(error) => {
            rebalance::reset_assignment(group, turn, error.group_error());
            rebalance::prepare_or_complete(group, turn, "the assignment could not be stored");
        }
    }
}
