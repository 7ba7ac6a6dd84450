//! The coordinator's side of consumer groups: finding the group, keeping a draft, arming timers.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::draft::{Draft, Refusal, refuse};
use super::heartbeat::{self, Leaving};
use super::message::{ConsumerHeartbeatReply, ConsumerHeartbeatRequest, DescribedConsumerGroup};
use super::record::{Change, MemberState};
use super::state::{LEAVE, LEAVE_STATIC};
use super::topics::MetadataView;
use super::{arm_rebalance, arm_session, commit, describe, disarm};
use crate::error::GroupError;
use crate::group::GroupCoordinator;
use crate::group::membership::{self, Consumers, Group, Membership};
use crate::group::record;
use crate::group::turn::Turn;
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

/// Begins a change of a group. A classic group without members becomes a consumer group with it.
fn begin<'a>(group: &Group, turn: &Turn<'a>, may_convert: bool) -> Result<Draft<'a>, Refusal> {
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
        Membership::Classic(_) => {
            let message = format!("Group {} is not a consumer group.", group.id);
            refuse(GroupError::GroupIdNotFound, message)
        }
    }
}

/// Ends it: what was decided is in force, and the reply follows when it is stored.
fn finish(
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
    let reply = if matches!(request.member_epoch, LEAVE | LEAVE_STATIC) {
        leave(&mut draft, turn, request)?;
        ConsumerHeartbeatReply {
            member_id: Some(request.member_id.clone()),
            member_epoch: request.member_epoch,
            ..ConsumerHeartbeatReply::default()
        }
    } else {
        let reply = heartbeat::heartbeat(&mut draft, request)?;
        let member_id: Arc<str> = Arc::from(reply.member_id.as_deref().unwrap_or_default());
        arm_session(turn, &group.id, &draft.group, &member_id);
        let is_moved = |change: &Change| matches!(change, Change::CurrentMember(id, Some(_)) if *id == member_id);
        if draft.changes.iter().any(is_moved) {
            arm_rebalance(turn, &group.id, &draft.group, &member_id);
        }
        reply
    };
    let reply = Reply::ConsumerHeartbeat(reply);
    finish(group, turn, draft, Some((ticket, reply)));
    Ok(())
}

fn leave(
    draft: &mut Draft<'_>,
    turn: &mut Turn<'_>,
    request: &ConsumerHeartbeatRequest,
) -> Result<(), Refusal> {
    match heartbeat::find_leaving(draft, request)? {
        Leaving::Back(member_id) => heartbeat::leave_for_a_while(draft, &member_id),
        Leaving::Gone(member_id) => {
            disarm(turn, &draft.group_id, &member_id);
            heartbeat::fence(draft, &BTreeSet::from([member_id]));
        }
    }
    Ok(())
}

/// A timer says that a member has to go.
fn remove(group: &mut Group, turn: &mut Turn<'_>, member_id: &Arc<str>, reason: &str) {
    let Ok(mut draft) = begin(group, turn, false) else {
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
    disarm(turn, &group.id, member_id);
    heartbeat::fence(&mut draft, &BTreeSet::from([member_id.clone()]));
    finish(group, turn, draft, None);
}

/// The session timer of a member fired.
pub(in crate::group) fn session_timer(
    group: &mut Group,
    turn: &mut Turn<'_>,
    member_id: &Arc<str>,
) {
    remove(group, turn, member_id, "its session expired");
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
