//! Heartbeat and LeaveGroup: how members stay and how they go.

use super::classic::ClassicGroup;
use super::message::{HeartbeatRequest, LeaveMember, LeftMember};
use super::rebalance;
use super::state::GroupState;
use super::turn::Turn;
use crate::error::GroupError;

pub(super) fn heartbeat(
    group: &ClassicGroup,
    turn: &mut Turn<'_>,
    request: &HeartbeatRequest,
) -> Result<(), GroupError> {
    group.validate_member(&request.member_id, request.group_instance_id.as_deref())?;
    if request.generation_id != group.generation_id {
        return Err(GroupError::IllegalGeneration);
    }
    turn.schedule_session(group, &request.member_id);
    match group.state() {
        GroupState::PreparingRebalance => Err(GroupError::RebalanceInProgress),
        GroupState::CompletingRebalance | GroupState::Stable => Ok(()),
        _ => Err(GroupError::UnknownMemberId),
    }
}

/// Removes the members that may leave, then rebalances once.
pub(super) fn leave(
    group: &mut ClassicGroup,
    turn: &mut Turn<'_>,
    members: Vec<LeaveMember>,
) -> Vec<LeftMember> {
    let left: Vec<LeftMember> = members
        .into_iter()
        .map(|member| leave_one(group, turn, member))
        .collect();
    if left.iter().any(|member| member.error.is_none()) {
        match group.state() {
            GroupState::Stable | GroupState::CompletingRebalance => {
                rebalance::prepare_or_complete(group, turn, "a member left");
            }
            GroupState::PreparingRebalance => rebalance::maybe_complete_join(group, turn),
            _ => {}
        }
    }
    left
}

fn leave_one(group: &mut ClassicGroup, turn: &mut Turn<'_>, member: LeaveMember) -> LeftMember {
    let found = find_leaving(group, &member);
    if let Ok(member_id) = &found {
        turn.remove_member(group, member_id);
        let reason = member.reason.as_deref();
        tracing::debug!(group = &*group.id, member = %member_id, reason, "a member left");
    }
    LeftMember {
        member_id: member.member_id,
        group_instance_id: member.group_instance_id,
        error: found.err(),
    }
}

fn find_leaving(group: &ClassicGroup, member: &LeaveMember) -> Result<String, GroupError> {
    let instance_id = member.group_instance_id.as_deref();
    if member.member_id.is_empty() {
        let owner = instance_id.and_then(|instance_id| group.static_members.get(instance_id));
        return owner
            .map(|owner| owner.to_string())
            .ok_or(GroupError::UnknownMemberId);
    }
    if !group.pending_members.contains(member.member_id.as_str()) {
        group.validate_member(&member.member_id, instance_id)?;
    }
    Ok(member.member_id.clone())
}
