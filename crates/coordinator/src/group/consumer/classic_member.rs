//! Members of the classic protocol in a consumer group (KIP-848's online migration).

use super::super::turn::Turn;
use crate::error::GroupError;
use crate::group::membership::Group;
use crate::group::message::{
    HeartbeatRequest, JoinReply, JoinRequest, LeaveReply, LeaveRequest, LeftMember, SyncReply,
    SyncRequest,
};
use crate::outcome::{Reply, Ticket};

pub(in crate::group) fn join(
    _group: &mut Group,
    turn: &mut Turn<'_>,
    request: JoinRequest,
    ticket: Ticket,
) {
    let reply = JoinReply::error(&request.member_id, GroupError::InconsistentGroupProtocol);
    turn.reply(ticket, Reply::Join(reply));
}

pub(in crate::group) fn sync(
    _group: &mut Group,
    turn: &mut Turn<'_>,
    _request: &SyncRequest,
    ticket: Ticket,
) {
    let reply = SyncReply::error(GroupError::UnknownMemberId);
    turn.reply(ticket, Reply::Sync(reply));
}

pub(in crate::group) fn heartbeat(
    _group: &Group,
    _turn: &mut Turn<'_>,
    _request: &HeartbeatRequest,
) -> Result<(), GroupError> {
    Err(GroupError::UnknownMemberId)
}

pub(in crate::group) fn leave(
    _group: &mut Group,
    turn: &mut Turn<'_>,
    request: LeaveRequest,
    ticket: Ticket,
) {
    let members = request.members.into_iter().map(|member| LeftMember {
        member_id: member.member_id,
        group_instance_id: member.group_instance_id,
        error: Some(GroupError::UnknownMemberId),
    });
    let reply = LeaveReply {
        error: None,
        members: members.collect(),
    };
    turn.reply(ticket, Reply::Leave(reply));
}
