//! The coordinator's side of consumer groups: finding the group, keeping a draft, arming timers.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::draft::{Draft, Refusal, refuse};
use super::heartbeat::{self, Leaving};
use super::message::{ConsumerHeartbeatReply, ConsumerHeartbeatRequest, DescribedConsumerGroup};
use super::record::{self as consumer_record, Change, MemberState};
use super::state::{ConsumerGroup, LEAVE, LEAVE_STATIC};
use super::topics::MetadataView;
use super::{arm_rebalance, arm_session, commit, describe, disarm, migrate};
use crate::error::GroupError;
use crate::group::GroupCoordinator;
use crate::group::membership::{self, Consumers, Group, Membership};
use crate::group::turn::{TimerKey, Turn};
use crate::group::{rebalance, record};
use crate::outcome::{Outcome, Reply, Ticket};

impl GroupCoordinator {
    /// ConsumerGroupHeartbeat; answers when everything that the answer rests on is stored.
    pub fn consumer_heartbeat(
        &mut self,
        request: &ConsumerHeartbeatRequest,
        ticket: Ticket,
        now_ms: i64,
    ) -> Outcome {
        let mut outcome = Outcome::default();
        let checked = self.check_loaded().map_err(|error| Refusal {
            error,
            message: error.to_string(),
        });
        let (groups, mut turn) = self.turn(now_ms, &mut outcome);
        let checked = checked.and_then(|()| heartbeat::validate(request, turn.config));
        let group_id: Arc<str> = Arc::from(request.group_id.as_str());
        let refused = checked.and_then(|()| {
            if request.member_epoch == 0 {
                let new_group = || Group::new(group_id.clone(), Some(now_ms));
                groups.entry(group_id.clone()).or_insert_with(new_group);
            }
            let Some(group) = groups.get_mut(&group_id) else {
                let message = format!("Group {group_id} not found.");
                return refuse(GroupError::GroupIdNotFound, message);
            };
            serve(group, &mut turn, request, ticket)
        });
        if let Err(refusal) = refused {
            let message = Some(refusal.message);
            let reply = ConsumerHeartbeatReply::error(refusal.error, message);
            turn.reply(ticket, Reply::ConsumerHeartbeat(reply));
        }
        self.forget_if_blank(&group_id);
        outcome
    }

    /// Whether a client may read the offsets of a group under this member epoch (OffsetFetch v9).
    /// Members of classic groups may at any time, and a group that does not exist has no offsets.
    pub fn check_fetch(
        &self,
        group_id: &str,
        member_id: Option<&str>,
        member_epoch: i32,
    ) -> Result<(), GroupError> {
        self.check_loaded()?;
        match self.groups.get(group_id).and_then(Group::consumers) {
            Some(consumers) => commit::validate_fetch(&consumers.group, member_id, member_epoch),
            None => Ok(()),
        }
    }

    /// Takes a newer view of topics and settings. Groups look at it with their next heartbeats.
    pub fn metadata_changed(&mut self, view: Arc<MetadataView>) {
        if view.version() <= self.view.version() {
            return;
        }
        let is_first = self.view.version() == 0;
        if is_first || view.has_new_topics_since(&self.view) {
            self.new_topics_version = view.version();
        }
        self.view = view;
    }

    /// ConsumerGroupDescribe. A classic group is not one.
    pub fn describe_consumer(&self, group_id: &str) -> Result<DescribedConsumerGroup, GroupError> {
        self.check_loaded()?;
        let group = self.groups.get(group_id).and_then(Group::consumers);
        let group = group.ok_or(GroupError::GroupIdNotFound)?;
        Ok(describe::describe(
            group_id,
            &group.group,
            &self.view,
            &self.config,
        ))
    }
}

/// Begins a change of a group. A classic group may become a consumer group with it.
pub(super) fn begin<'a>(
    group: &Group,
    turn: &Turn<'a>,
    may_convert: bool,
) -> Result<Draft<'a>, Refusal> {
    let mut draft = Draft {
        group_id: group.id.clone(),
        group: Arc::default(),
        prefix: Vec::new(),
        changes: Vec::new(),
        view: turn.view,
        config: turn.config,
        now_ms: turn.now_ms,
        checked_version: 0,
        new_topics_version: turn.new_topics_version,
    };
    match &group.membership {
        Membership::Consumer(consumers) => {
            draft.group = consumers.group.clone();
            draft.checked_version = consumers.checked_version;
            Ok(draft)
        }
        Membership::Classic(classic) if may_convert && group.is_empty() => {
            if !classic.is_blank() {
                draft.prefix.push(record::group_tombstone(&group.id));
            }
            Ok(draft)
        }
        Membership::Classic(classic) if may_convert => {
            migrate::upgrade(&mut draft, classic)?;
            Ok(draft)
        }
        Membership::Classic(_) => {
            let message = format!("Group {} is not a consumer group.", group.id);
            refuse(GroupError::GroupIdNotFound, message)
        }
    }
}

/// Ends it: what was decided is in force, and the reply follows when it is stored.
pub(super) fn finish(
    group: &mut Group,
    turn: &mut Turn<'_>,
    draft: Draft<'_>,
    reply: Option<(Ticket, Reply)>,
) {
    let after = Consumers {
        group: draft.group,
        checked_version: draft.checked_version,
    };
    if !draft.changes.is_empty() {
        leave_classic(group, turn, &after.group);
        membership::store(group, turn, after, draft.prefix, draft.changes, reply);
        return;
    }
    if group.consumers().is_some() {
        group.membership = Membership::Consumer(after);
    }
    if let Some((ticket, reply)) = reply {
        membership::reply_when_stored(&group.id, turn, ticket, reply);
    }
}

fn serve(
    group: &mut Group,
    turn: &mut Turn<'_>,
    request: &ConsumerHeartbeatRequest,
    ticket: Ticket,
) -> Result<(), Refusal> {
    let mut draft = begin(group, turn, request.member_epoch == 0)?;
    if matches!(request.member_epoch, LEAVE | LEAVE_STATIC) {
        return leave(group, turn, draft, request, ticket);
    }
    let reply = heartbeat::heartbeat(&mut draft, request)?;
    let member_id: Arc<str> = Arc::from(reply.member_id.as_deref().unwrap_or_default());
    arm_session(turn, &group.id, &draft.group, &member_id);
    let is_moved =
        |change: &Change| matches!(change, Change::CurrentMember(id, Some(_)) if *id == member_id);
    if draft.changes.iter().any(is_moved) {
        arm_rebalance(turn, &group.id, &draft.group, &member_id);
    }
    let reply = Reply::ConsumerHeartbeat(reply);
    finish(group, turn, draft, Some((ticket, reply)));
    Ok(())
}

fn leave(
    group: &mut Group,
    turn: &mut Turn<'_>,
    mut draft: Draft<'_>,
    request: &ConsumerHeartbeatRequest,
    ticket: Ticket,
) -> Result<(), Refusal> {
    let reply = Reply::ConsumerHeartbeat(ConsumerHeartbeatReply {
        member_id: Some(request.member_id.clone()),
        member_epoch: request.member_epoch,
        ..ConsumerHeartbeatReply::default()
    });
    let reply = Some((ticket, reply));
    match heartbeat::find_leaving(&draft, request)? {
        Leaving::Back(member_id) => {
            heartbeat::leave_for_a_while(&mut draft, &member_id);
            finish(group, turn, draft, reply);
        }
        Leaving::Gone(member_id) => {
            fence_members(group, turn, draft, &BTreeSet::from([member_id]), reply);
        }
    }
    Ok(())
}

/// Removes members. When only members of the classic protocol are left, the group is theirs again.
pub(super) fn fence_members(
    group: &mut Group,
    turn: &mut Turn<'_>,
    mut draft: Draft<'_>,
    member_ids: &BTreeSet<Arc<str>>,
    reply: Option<(Ticket, Reply)>,
) {
    for member_id in member_ids {
        disarm(turn, &group.id, member_id);
    }
    if !member_ids.is_empty() && migrate::may_downgrade(&draft, member_ids) {
        downgrade(group, turn, draft, member_ids, true, reply);
        return;
    }
    heartbeat::fence(&mut draft, member_ids);
    finish(group, turn, draft, reply);
}

/// Gives the group back to its members of the classic protocol.
pub(super) fn downgrade(
    group: &mut Group,
    turn: &mut Turn<'_>,
    draft: Draft<'_>,
    leaving: &BTreeSet<Arc<str>>,
    must_rebalance: bool,
    reply: Option<(Ticket, Reply)>,
) {
    for member_id in draft.group.members.keys() {
        disarm(turn, &group.id, member_id);
    }
    let classic = migrate::classic_group(&draft, leaving);
    let encode = |change| consumer_record::encode(&group.id, change);
    let mut records: Vec<_> = draft.changes.iter().map(encode).collect();
    records.extend(membership::consumer_tombstones(&group.id, &draft.group));
    let value = classic.to_record(|member| member.assignment.clone());
    records.push(record::group_metadata(&group.id, &value));
    tracing::info!(
        group = &*group.id,
        "the group uses the classic protocol again"
    );
    membership::convert(group, turn, Membership::classic(classic), records, reply);
    turn.schedule_sessions(group);
    if must_rebalance && let Some(classic) = group.classic_mut() {
        rebalance::prepare(
            classic,
            turn,
            "the last consumer of the new protocol has left",
        );
    }
}

/// Ends what a classic group with members was doing when it becomes a consumer group: its members
/// are told to join again, and their sessions go on.
fn leave_classic(group: &mut Group, turn: &mut Turn<'_>, after: &ConsumerGroup) {
    let group_id = group.id.clone();
    let Some(classic) = group.classic_mut() else {
        return;
    };
    turn.timers.cancel(&TimerKey::Join(group_id.clone()));
    turn.timers.cancel(&TimerKey::Sync(group_id.clone()));
    for member_id in std::mem::take(&mut classic.pending_members) {
        disarm(turn, &group_id, &member_id);
    }
    for member in classic.members.values_mut() {
        let parked = (member.awaiting_join.take(), member.awaiting_sync.take());
        turn.dismiss(&member.id, parked, GroupError::RebalanceInProgress);
        if let Some((id, _)) = after.members.get_key_value(&member.id) {
            arm_session(turn, &group_id, after, id);
        }
    }
    if !classic.members.is_empty() {
        tracing::info!(
            group = &*group_id,
            "the group uses the consumer protocol from now on"
        );
    }
}

/// A timer says that a member has to go.
fn remove(group: &mut Group, turn: &mut Turn<'_>, member_id: &Arc<str>, reason: &str) {
    let Ok(draft) = begin(group, turn, false) else {
        return;
    };
    if draft.member(member_id).is_none() {
        return;
    }
    tracing::info!(
        group = &*group.id,
        member = &**member_id,
        reason,
        "a member was removed"
    );
    fence_members(
        group,
        turn,
        draft,
        &BTreeSet::from([member_id.clone()]),
        None,
    );
}

/// The session timer of a member fired.
pub(in crate::group) fn session_timer(
    group: &mut Group,
    turn: &mut Turn<'_>,
    member_id: &Arc<str>,
) {
    remove(group, turn, member_id, "its session expired");
}

/// A member of the classic protocol was asked to join again, or to sync, and has not.
pub(in crate::group) fn classic_timer(
    group: &mut Group,
    turn: &mut Turn<'_>,
    member_id: &Arc<str>,
) {
    remove(
        group,
        turn,
        member_id,
        "it did not join or sync within the rebalance timeout",
    );
}

/// The rebalance timer of a member fired.
pub(in crate::group) fn rebalance_timer(
    group: &mut Group,
    turn: &mut Turn<'_>,
    member_id: &Arc<str>,
) {
    let revokes = group.consumers().is_some_and(|consumers| {
        let member = consumers.group.members.get(member_id);
        member.is_some_and(|member| member.current.state == MemberState::UnrevokedPartitions)
    });
    if revokes {
        let reason = "it did not give up its partitions within the rebalance timeout";
        remove(group, turn, member_id, reason);
    }
}
