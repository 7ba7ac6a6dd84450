//! All groups of one partition of `__consumer_offsets`.
//!
//! Invariants: before [`loaded`](GroupCoordinator::loaded) no request is served; each ticket is
//! answered once, unless the coordinator is dropped without
//! [`unload`](GroupCoordinator::unload); a group that holds nothing is forgotten.
//! There is no lock: the owner serializes calls. Authorization, the existence of topics and the
//! versions of the wire are the caller's business.

mod classic;
pub(crate) mod config;
pub(crate) mod consumer;
mod effect;
mod group_offsets;
mod join;
mod loading;
mod membership;
pub(crate) mod message;
mod offset_requests;
mod offsets;
mod partition_map;
mod rebalance;
pub(crate) mod record;
mod session;
pub(crate) mod state;
mod subscription;
mod sync;
mod turn;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use self::classic::Member;
use self::config::GroupConfig;
use self::consumer::topics::MetadataView;
use self::consumer::{classic_member, coordinate};
use self::membership::Group;
use self::message::{
    DescribedGroup, DescribedMember, HeartbeatRequest, JoinReply, JoinRequest, LeaveReply,
    LeaveRequest, LeftMember, ListedGroup, SyncReply, SyncRequest,
};
use self::state::GroupState;
use self::turn::{Effect, OpenTransactions, TimerKey, Turn};
use crate::codec;
use crate::error::{AppendError, GroupError};
use crate::in_flight::InFlight;
use crate::outcome::{AppendId, Outcome, Reply, Ticket};
use crate::timers::Timers;

/// The partition of `__consumer_offsets` that a group belongs to, or of `__transaction_state` that
/// a transactional id belongs to: the absolute value of Java's `String.hashCode`, modulo the number
/// of partitions. The one hash without an absolute value counts as 0.
pub fn partition_for(id: &str, partition_count: i32) -> i32 {
    assert!(
        partition_count > 0,
        "a topic has partitions, not {partition_count}"
    );
    let hash = id.encode_utf16().fold(0i32, |hash, unit| {
        hash.wrapping_mul(31).wrapping_add(i32::from(unit))
    });
    hash.checked_abs().unwrap_or(0) % partition_count
}

/// The groups of one partition, one instance per partition that this broker leads.
#[derive(Debug)]
pub struct GroupCoordinator {
    config: GroupConfig,
    groups: BTreeMap<Arc<str>, Group>,
    timers: Timers<TimerKey>,
    in_flight: InFlight<Effect>,
    open_transactions: OpenTransactions,
    view: Arc<MetadataView>,
    /// From which version of the view on there are topics that came later than the first view.
    new_topics_version: i64,
    loaded: bool,
}

impl GroupCoordinator {
    /// A coordinator that serves nothing before [`GroupCoordinator::loaded`].
    pub fn new(config: GroupConfig) -> Self {
        Self {
            config,
            groups: BTreeMap::new(),
            timers: Timers::default(),
            in_flight: InFlight::default(),
            open_transactions: OpenTransactions::new(),
            view: Arc::default(),
            new_topics_version: 0,
            loaded: false,
        }
    }

    /// Splits what a turn may touch from the groups.
    fn turn<'a>(
        &'a mut self,
        now_ms: i64,
        outcome: &'a mut Outcome,
    ) -> (&'a mut BTreeMap<Arc<str>, Group>, Turn<'a>) {
        let turn = Turn {
            now_ms,
            config: &self.config,
            view: &self.view,
            new_topics_version: self.new_topics_version,
            timers: &mut self.timers,
            in_flight: &mut self.in_flight,
            open_transactions: &mut self.open_transactions,
            outcome,
        };
        (&mut self.groups, turn)
    }

    // Membership

    /// Answers later, unless the request is refused or changes nothing.
    pub fn join(&mut self, mut request: JoinRequest, ticket: Ticket, now_ms: i64) -> Outcome {
        let mut outcome = Outcome::default();
        let loaded = self.check_loaded();
        let (groups, mut turn) = self.turn(now_ms, &mut outcome);
        let checked = loaded
            .and_then(|()| join::validate(&request, &turn))
            .and_then(|()| {
                let unknown = !groups.contains_key(request.group_id.as_str());
                if unknown && !request.member_id.is_empty() {
                    return Err(GroupError::UnknownMemberId);
                }
                Ok(())
            });
        if let Err(error) = checked {
            let reply = JoinReply::error(&request.member_id, error);
            return Outcome::reply(ticket, Reply::Join(reply));
        }
        join::normalize(&mut request);
        let group_id: Arc<str> = Arc::from(request.group_id.as_str());
        let new_group = || Group::new(group_id.clone(), Some(now_ms));
        let group = groups.entry(group_id.clone()).or_insert_with(new_group);
        if group.consumers().is_some() && group.is_empty() && request.member_id.is_empty() {
            membership::delete(group, &mut turn, None);
        }
        match group.classic_mut() {
            Some(classic) => join::join(classic, &mut turn, request, ticket),
            None => classic_member::join(group, &mut turn, request, ticket),
        }
        self.forget_if_blank(&group_id);
        outcome
    }

    /// Answers when the leader's assignment is stored.
    pub fn sync(&mut self, request: SyncRequest, ticket: Ticket, now_ms: i64) -> Outcome {
        let mut outcome = Outcome::default();
        let checked = self.check_loaded().and_then(|()| sync::validate(&request));
        let (groups, mut turn) = self.turn(now_ms, &mut outcome);
        let group = checked.and_then(|()| {
            groups
                .get_mut(request.group_id.as_str())
                .ok_or(GroupError::UnknownMemberId)
        });
        match group {
            Ok(group) => match group.classic_mut() {
                Some(classic) => sync::sync(classic, &mut turn, request, ticket),
                None => classic_member::sync(group, &mut turn, &request, ticket),
            },
            Err(error) => turn.reply(ticket, Reply::Sync(SyncReply::error(error))),
        }
        outcome
    }

    /// Heartbeat: the member lives; an error tells it to join again, or that it is none.
    pub fn heartbeat(&mut self, request: &HeartbeatRequest, now_ms: i64) -> Result<(), GroupError> {
        if request.group_id.is_empty() {
            return Err(GroupError::InvalidGroupId);
        }
        if !self.loaded {
            // The member may well be in the part that is still to come: let it live.
            return Ok(());
        }
        let mut outcome = Outcome::default();
        let (groups, mut turn) = self.turn(now_ms, &mut outcome);
        let group = groups
            .get(request.group_id.as_str())
            .ok_or(GroupError::UnknownMemberId)?;
        match group.classic() {
            Some(classic) => session::heartbeat(classic, &mut turn, request),
            None => classic_member::heartbeat(group, &mut turn, request),
        }
    }

    /// Answers at once.
    pub fn leave(&mut self, request: LeaveRequest, ticket: Ticket, now_ms: i64) -> Outcome {
        let mut outcome = Outcome::default();
        let mut checked = self.check_loaded();
        if request.group_id.is_empty() {
            checked = Err(GroupError::InvalidGroupId);
        }
        let (groups, mut turn) = self.turn(now_ms, &mut outcome);
        let reply = match checked {
            Err(error) => LeaveReply {
                error: Some(error),
                members: Vec::new(),
            },
            Ok(()) => match groups.get_mut(request.group_id.as_str()) {
                Some(group) => match group.classic_mut() {
                    Some(classic) => LeaveReply {
                        error: None,
                        members: session::leave(classic, &mut turn, request.members),
                    },
                    None => {
                        classic_member::leave(group, &mut turn, request, ticket);
                        return outcome;
                    }
                },
                None => unknown_leavers(&request),
            },
        };
        turn.reply(ticket, Reply::Leave(reply));
        self.forget_if_blank(&request.group_id);
        outcome
    }

    // Groups

    /// Deletes empty groups with their offsets; answers when the tombstones are stored.
    pub fn delete_groups(&mut self, group_ids: &[String], ticket: Ticket, now_ms: i64) -> Outcome {
        let mut outcome = Outcome::default();
        let loaded = self.check_loaded();
        let (groups, mut turn) = self.turn(now_ms, &mut outcome);
        let mut results = Vec::with_capacity(group_ids.len());
        let mut keys = Vec::new();
        let mut removed = Vec::new();
        let mut consumers = Vec::new();
        for group_id in group_ids {
            let group = loaded.and_then(|()| {
                groups
                    .get(group_id.as_str())
                    .ok_or(GroupError::GroupIdNotFound)
            });
            let result = match group {
                Ok(group) if group.is_empty() => {
                    let offsets = group.offsets.keys();
                    keys.extend(
                        offsets.map(|(topic, each)| offsets::offset_key(group, topic, each)),
                    );
                    if group.consumers().is_some() {
                        consumers.push(group.id.clone());
                    } else {
                        removed.push(group.id.clone());
                    }
                    None
                }
                Ok(_) => Some(GroupError::NonEmptyGroup),
                Err(error) => Some(error),
            };
            results.push((group_id.clone(), result));
        }
        // Appends are settled in order, so the answer waits for the last.
        let mut reply = Some((ticket, Reply::DeleteGroups(results)));
        let is_last = keys.is_empty() && removed.is_empty();
        let last = consumers.len().wrapping_sub(1);
        for (index, group_id) in consumers.iter().enumerate() {
            if let Some(group) = groups.get_mut(group_id) {
                let reply = if is_last && index == last {
                    reply.take()
                } else {
                    None
                };
                membership::delete(group, &mut turn, reply);
            }
        }
        if !is_last {
            offsets::remove(&mut turn, keys, removed, reply.take());
        }
        if let Some((ticket, reply)) = reply {
            turn.reply(ticket, reply);
        }
        outcome
    }

    /// Describes a group. Of one that does not exist, versions of DescribeGroups below 6 say that
    /// it is [`GroupState::Dead`], without an error.
    pub fn describe(&self, group_id: &str) -> Result<DescribedGroup, GroupError> {
        self.check_loaded()?;
        let group = self
            .groups
            .get(group_id)
            .and_then(Group::classic)
            .ok_or(GroupError::GroupIdNotFound)?;
        let protocol_name = group
            .protocol_name
            .as_deref()
            .filter(|_| group.is_in(GroupState::Stable));
        let describe_member = |member: &Member| DescribedMember {
            member_id: member.id.to_string(),
            group_instance_id: member.instance_id.as_deref().map(str::to_owned),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            metadata: protocol_name.map_or_else(Bytes::new, |protocol_name| {
                member.metadata(Some(protocol_name))
            }),
            assignment: member.assignment.clone(),
        };
        Ok(DescribedGroup {
            group_id: group_id.to_owned(),
            state: group.state(),
            generation_id: group.generation_id,
            protocol_type: group.protocol_type.clone().unwrap_or_default(),
            protocol_data: protocol_name.unwrap_or_default().to_owned(),
            members: group.members.values().map(describe_member).collect(),
        })
    }

    /// All groups, for the caller to filter.
    pub fn list(&self) -> Result<Vec<ListedGroup>, GroupError> {
        self.check_loaded()?;
        let listed = self.groups.values().map(|group| ListedGroup {
            group_id: group.id.to_string(),
            protocol_type: match group.classic() {
                Some(classic) => classic.protocol_type.clone().unwrap_or_default(),
                None => subscription::CONSUMER_PROTOCOL_TYPE.to_owned(),
            },
            state: group.state(),
            group_type: match group.classic() {
                Some(_) => "classic",
                None => "consumer",
            },
        });
        Ok(listed.collect())
    }

    // The runtime's side

    /// Reports the fate of an append. Reports may come in any order, but each must come.
    pub fn appended(
        &mut self,
        id: AppendId,
        result: Result<(), AppendError>,
        now_ms: i64,
    ) -> Outcome {
        if !self.in_flight.report(id, result) {
            tracing::warn!(id = id.0, "an append was reported that is not in flight");
        }
        self.settle(now_ms)
    }

    /// Does what had to wait for appends that are now reported, in the order of the log.
    fn settle(&mut self, now_ms: i64) -> Outcome {
        let mut outcome = Outcome::default();
        while let Some((id, effect, result)) = self.in_flight.pop() {
            let (groups, mut turn) = self.turn(now_ms, &mut outcome);
            effect::settle(groups, &mut turn, id, effect, result);
        }
        outcome
    }

    /// Runs the timers that are due.
    pub fn tick(&mut self, now_ms: i64) -> Outcome {
        let mut outcome = Outcome::default();
        while let Some(key) = self.timers.pop_due(now_ms) {
            let (groups, mut turn) = self.turn(now_ms, &mut outcome);
            match key {
                TimerKey::Join(group_id) => {
                    let group = groups.get_mut(&group_id);
                    if let Some(classic) = group.and_then(Group::classic_mut) {
                        rebalance::join_timer(classic, &mut turn);
                    }
                }
                TimerKey::Sync(group_id) => {
                    let group = groups.get_mut(&group_id);
                    if let Some(classic) = group.and_then(Group::classic_mut) {
                        rebalance::sync_timer(classic, &mut turn);
                    }
                }
                TimerKey::ClassicJoin {
                    group_id,
                    member_id,
                }
                | TimerKey::ClassicSync {
                    group_id,
                    member_id,
                } => {
                    if let Some(group) = groups.get_mut(&group_id) {
                        coordinate::classic_timer(group, &mut turn, &member_id);
                    }
                }
                TimerKey::Rebalance {
                    group_id,
                    member_id,
                } => {
                    if let Some(group) = groups.get_mut(&group_id) {
                        coordinate::rebalance_timer(group, &mut turn, &member_id);
                    }
                }
                TimerKey::Session {
                    group_id,
                    member_id,
                } => {
                    if let Some(group) = groups.get_mut(&group_id) {
                        match group.classic_mut() {
                            Some(classic) => {
                                rebalance::session_timer(classic, &mut turn, &member_id);
                            }
                            None => coordinate::session_timer(group, &mut turn, &member_id),
                        }
                    }
                    self.forget_if_blank(&group_id);
                }
                TimerKey::Retention => {
                    groups
                        .values_mut()
                        .for_each(|group| offsets::expire(group, &mut turn));
                    let interval_ms = turn.config.offsets_retention_check_interval_ms;
                    turn.schedule(TimerKey::Retention, interval_ms);
                }
            }
        }
        outcome
    }

    /// When [`tick`](Self::tick) is wanted next. It may be earlier than anything is due.
    pub fn next_deadline_ms(&self) -> Option<i64> {
        self.timers.next_deadline_ms()
    }

    fn check_loaded(&self) -> Result<(), GroupError> {
        if self.loaded {
            Ok(())
        } else {
            Err(GroupError::CoordinatorLoadInProgress)
        }
    }

    fn forget_if_blank(&mut self, group_id: &str) {
        if self.groups.get(group_id).is_some_and(Group::is_blank) {
            self.groups.remove(group_id);
        }
    }
}

/// A group that does not exist is reported per member, not for the request.
fn unknown_leavers(request: &LeaveRequest) -> LeaveReply {
    let members = request.members.iter().map(|member| LeftMember {
        member_id: member.member_id.clone(),
        group_instance_id: member.group_instance_id.clone(),
        error: Some(GroupError::UnknownMemberId),
    });
    LeaveReply {
        error: None,
        members: members.collect(),
    }
}
