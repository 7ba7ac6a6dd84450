//! Members of the classic protocol in a consumer group.
//!
//! They join and sync as ever, but are assigned by the coordinator: a join is a heartbeat that
//! tells everything, its generation the member's epoch, and the sync hands out what the member has.
//! The heartbeat asks it to join again when there is something to do; it has its rebalance timeout
//! for that, and after the join for the sync.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::coordinate::{begin, downgrade, fence_members, finish};
use super::draft::{Draft, Refusal, refuse};
use super::embedded::{Subscription, identify, read_subscription};
use super::heartbeat::{self, replace_static};
use super::record::{ClassicMetadata, MemberMetadata, MemberState};
use super::state::{Member, without_epochs};
use super::{arm_session, migrate, reconcile};
use crate::error::GroupError;
use crate::group::membership::{self, Group};
use crate::group::message::{
    HeartbeatRequest, JoinReply, JoinRequest, LeaveMember, LeaveReply, LeaveRequest, LeftMember,
    SyncReply, SyncRequest,
};
use crate::group::subscription::CONSUMER_PROTOCOL_TYPE;
use crate::group::turn::{TimerKey, Turn};
use crate::outcome::{Reply, Ticket};

/// From this version on a dynamic member must join with a member id it was given (KIP-394).
const FIRST_VERSION_REQUIRING_MEMBER_ID: i16 = 4;

// JoinGroup

pub(in crate::group) fn join(
    group: &mut Group,
    turn: &mut Turn<'_>,
    request: JoinRequest,
    ticket: Ticket,
) {
    if let Err((member_id, error)) = try_join(group, turn, &request, ticket) {
        turn.reply(ticket, Reply::Join(JoinReply::error(&member_id, error)));
    }
}

fn try_join(
    group: &mut Group,
    turn: &mut Turn<'_>,
    request: &JoinRequest,
    ticket: Ticket,
) -> Result<(), (String, GroupError)> {
    let is_unknown = request.member_id.is_empty();
    let member_id: Arc<str> = if is_unknown {
        Arc::from(request.uuid.as_str())
    } else {
        Arc::from(request.member_id.as_str())
    };
    let refused = |refusal: Refusal| (request.member_id.clone(), refusal.error);
    let mut draft = begin(group, turn, false).map_err(refused)?;
    heartbeat::check_size(&draft, &member_id, draft.config.consumer_group_max_size)
        .map_err(refused)?;
    let protocol = request.protocols.first();
    let subscription = protocol.and_then(|protocol| read_subscription(&protocol.metadata).ok());
    let subscription = subscription.filter(|_| supports(&draft, request)).ok_or((
        request.member_id.clone(),
        GroupError::InconsistentGroupProtocol,
    ))?;
    if is_unknown
        && request.group_instance_id.is_none()
        && request.api_version >= FIRST_VERSION_REQUIRING_MEMBER_ID
    {
        return Err((member_id.to_string(), GroupError::MemberIdRequired));
    }
    let falls_back = falls_back(&draft, request);
    let before = find_joining(&mut draft, request, &member_id, is_unknown).map_err(refused)?;
    let metadata = update(&before, request, &subscription);
    let resubscribed =
        heartbeat::subscribe(&mut draft, &before, &member_id, metadata).map_err(refused)?;
    if !falls_back {
        draft.update_target();
    }
    if !falls_back || !resubscribed {
        let owned = identify(&subscription.owned, draft.view);
        draft
            .reconcile(&member_id, Some(&owned), resubscribed)
            .map_err(refused)?;
    }
    let epoch = draft.member(&member_id).map_or(0, Member::epoch);
    let reply = JoinReply {
        error: None,
        generation_id: epoch,
        protocol_type: Some(CONSUMER_PROTOCOL_TYPE.to_owned()),
        protocol_name: protocol.map(|protocol| protocol.name.clone()),
        leader: String::new(),
        skip_assignment: false,
        member_id: member_id.to_string(),
        members: Vec::new(),
    };
    let reply = Some((ticket, Reply::Join(reply)));
    turn.timers.cancel(&join_key(group, &member_id));
    if falls_back {
        let nobody = BTreeSet::new();
        downgrade(group, turn, draft, &nobody, resubscribed, reply);
        return Ok(());
    }
    arm_session(turn, &group.id, &draft.group, &member_id);
    let sync_key = sync_key(group, &member_id);
    turn.schedule(sync_key, i64::from(request.rebalance_timeout_ms));
    finish(group, turn, draft, reply);
    Ok(())
}

/// Whether the classic members still have a protocol in common with this one.
fn supports(draft: &Draft<'_>, request: &JoinRequest) -> bool {
    let classic_members: Vec<&ClassicMetadata> = draft
        .group
        .members
        .iter()
        .filter(|(id, _)| ***id != *request.member_id)
        .filter_map(|(_, member)| member.classic())
        .collect();
    let has = |classic: &&ClassicMetadata, name: &str| {
        classic
            .protocols
            .iter()
            .any(|protocol| protocol.name == name)
    };
    request.protocol_type == CONSUMER_PROTOCOL_TYPE
        && request.protocols.iter().any(|protocol| {
            let mut members = classic_members.iter();
            members.all(|classic| has(classic, &protocol.name))
        })
}

/// Whether the join takes the place of the only member that uses the consumer protocol.
fn falls_back(draft: &Draft<'_>, request: &JoinRequest) -> bool {
    let instance_id = request.group_instance_id.as_deref();
    let Some((id, member)) = instance_id.and_then(|id| draft.group.static_member(id)) else {
        return false;
    };
    let others_are_classic = draft
        .group
        .members
        .iter()
        .all(|(other, member)| other == id || member.classic().is_some());
    member.classic().is_none()
        && others_are_classic
        && draft.config.consumer_migration_policy.may_downgrade()
        && draft.group.members.len() <= draft.config.group_max_size
}

fn find_joining(
    draft: &mut Draft<'_>,
    request: &JoinRequest,
    member_id: &Arc<str>,
    is_unknown: bool,
) -> Result<Member, Refusal> {
    let Some(instance_id) = &request.group_instance_id else {
        return Ok(draft.member(member_id).cloned().unwrap_or_default());
    };
    let existing = draft.group.static_member(instance_id);
    let existing = existing.map(|(id, member)| (id.clone(), member.clone()));
    match existing {
        None if is_unknown => Ok(Member::default()),
        None => heartbeat::unknown_instance(instance_id),
        Some((owner, member)) if is_unknown => {
            Ok(replace_static(draft, &owner, &member, member_id))
        }
        Some((owner, member)) if owner == *member_id => Ok(member),
        Some((owner, _)) => heartbeat::fenced_instance(member_id, instance_id, &owner),
    }
}

fn update(before: &Member, request: &JoinRequest, subscription: &Subscription) -> MemberMetadata {
    let old = &before.metadata;
    MemberMetadata {
        instance_id: request
            .group_instance_id
            .clone()
            .or_else(|| old.instance_id.clone()),
        rack_id: subscription.rack_id.clone().or_else(|| old.rack_id.clone()),
        client_id: request.client_id.clone(),
        client_host: request.client_host.clone(),
        topic_names: subscription.topics.clone(),
        topic_regex: Some(String::new()),
        rebalance_timeout_ms: request.rebalance_timeout_ms,
        server_assignor: old.server_assignor.clone(),
        classic: Some(ClassicMetadata {
            session_timeout_ms: request.session_timeout_ms,
            protocols: request.protocols.clone(),
        }),
    }
}

// SyncGroup and Heartbeat

pub(in crate::group) fn sync(
    group: &mut Group,
    turn: &mut Turn<'_>,
    request: &SyncRequest,
    ticket: Ticket,
) {
    let reply = try_sync(group, turn, request).unwrap_or_else(SyncReply::error);
    membership::reply_when_stored(&group.id, turn, ticket, Reply::Sync(reply));
}

fn try_sync(
    group: &Group,
    turn: &mut Turn<'_>,
    request: &SyncRequest,
) -> Result<SyncReply, GroupError> {
    let draft = begin(group, turn, false).map_err(|refusal| refusal.error)?;
    let instance_id = request.group_instance_id.as_deref();
    let (member_id, member) = find_classic(&draft, &request.member_id, instance_id)?;
    check_generation(member, request.generation_id)?;
    let protocol = member
        .classic()
        .and_then(|classic| classic.protocols.first());
    let protocol_name = protocol.map(|protocol| protocol.name.as_str());
    let other_type = |name: &str| name != CONSUMER_PROTOCOL_TYPE;
    let other_name = |name: &str| Some(name) != protocol_name;
    if request.protocol_type.as_deref().is_some_and(other_type)
        || request.protocol_name.as_deref().is_some_and(other_name)
    {
        return Err(GroupError::InconsistentGroupProtocol);
    }
    // A member that revokes has joined again already, and goes on when it has finished.
    let is_behind = draft.group.epoch > member.epoch()
        && member.current.state != MemberState::UnrevokedPartitions;
    if is_behind {
        await_join(group, turn, &member_id, member);
        return Err(GroupError::RebalanceInProgress);
    }
    turn.timers.cancel(&sync_key(group, &member_id));
    arm_session(turn, &group.id, &draft.group, &member_id);
    Ok(SyncReply {
        error: None,
        protocol_type: request.protocol_type.clone(),
        protocol_name: request.protocol_name.clone(),
        assignment: migrate::assignment_of(
            &draft,
            member,
            &without_epochs(&member.current.assigned),
        ),
    })
}

pub(in crate::group) fn heartbeat(
    group: &Group,
    turn: &mut Turn<'_>,
    request: &HeartbeatRequest,
) -> Result<(), GroupError> {
    let draft = begin(group, turn, false).map_err(|refusal| refusal.error)?;
    let instance_id = request.group_instance_id.as_deref();
    let (member_id, member) = find_classic(&draft, &request.member_id, instance_id)?;
    check_generation(member, request.generation_id)?;
    arm_session(turn, &group.id, &draft.group, &member_id);
    let is_done = member.epoch() >= draft.group.epoch
        && match member.current.state {
            MemberState::UnrevokedPartitions => false,
            MemberState::UnreleasedPartitions => {
                reconcile::waits_for_others(&draft.group, &member_id, member)
            }
            MemberState::Stable | MemberState::Unknown => true,
        };
    if is_done {
        return Ok(());
    }
    await_join(group, turn, &member_id, member);
    Err(GroupError::RebalanceInProgress)
}

fn find_classic<'a>(
    draft: &'a Draft<'_>,
    member_id: &str,
    instance_id: Option<&str>,
) -> Result<(Arc<str>, &'a Member), GroupError> {
    let found = match instance_id {
        None => draft.group.members.get_key_value(member_id),
        Some(instance_id) => match draft.group.static_member(instance_id) {
            Some((owner, _)) if **owner != *member_id => return Err(GroupError::FencedInstanceId),
            found => found,
        },
    };
    found
        .filter(|(_, member)| member.classic().is_some())
        .map(|(id, member)| (id.clone(), member))
        .ok_or(GroupError::UnknownMemberId)
}

fn check_generation(member: &Member, generation_id: i32) -> Result<(), GroupError> {
    if member.epoch() == generation_id {
        Ok(())
    } else {
        Err(GroupError::IllegalGeneration)
    }
}

/// The member is asked to join again and has its rebalance timeout for it.
fn await_join(group: &Group, turn: &mut Turn<'_>, member_id: &Arc<str>, member: &Member) {
    let key = join_key(group, member_id);
    if !turn.timers.contains(&key) {
        turn.schedule(key, i64::from(member.metadata.rebalance_timeout_ms));
    }
}

fn join_key(group: &Group, member_id: &Arc<str>) -> TimerKey {
    TimerKey::ClassicJoin {
        group_id: group.id.clone(),
        member_id: member_id.clone(),
    }
}

fn sync_key(group: &Group, member_id: &Arc<str>) -> TimerKey {
    TimerKey::ClassicSync {
        group_id: group.id.clone(),
        member_id: member_id.clone(),
    }
}

// LeaveGroup

pub(in crate::group) fn leave(
    group: &mut Group,
    turn: &mut Turn<'_>,
    request: LeaveRequest,
    ticket: Ticket,
) {
    let Ok(draft) = begin(group, turn, false) else {
        return;
    };
    let mut leaving = BTreeSet::new();
    let mut members = Vec::with_capacity(request.members.len());
    for member in request.members {
        let found = find_leaving(&draft, &member);
        let error = found.as_ref().err().map(|refusal| refusal.error);
        leaving.extend(found);
        members.push(LeftMember {
            member_id: member.member_id,
            group_instance_id: member.group_instance_id,
            error,
        });
    }
    let reply = LeaveReply {
        error: None,
        members,
    };
    let reply = Some((ticket, Reply::Leave(reply)));
    fence_members(group, turn, draft, &leaving, reply);
}

fn find_leaving(draft: &Draft<'_>, member: &LeaveMember) -> Result<Arc<str>, Refusal> {
    let Some(instance_id) = &member.group_instance_id else {
        let found = draft.group.members.get_key_value(member.member_id.as_str());
        return match found {
            Some((id, _)) => Ok(id.clone()),
            None => heartbeat::unknown_member(draft, &member.member_id),
        };
    };
    match draft.group.static_member(instance_id) {
        None => heartbeat::unknown_instance(instance_id),
        // An administrator names the instance alone.
        Some((owner, _)) if member.member_id.is_empty() || **owner == *member.member_id => {
            Ok(owner.clone())
        }
        Some((owner, _)) => {
            let message = format!("{instance_id} belongs to {owner}");
            refuse(GroupError::FencedInstanceId, message)
        }
    }
}
