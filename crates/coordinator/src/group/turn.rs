//! One call to the coordinator: the time it happens at, and what it may touch beside its group.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;

use super::classic::{ClassicGroup, Member};
use super::config::GroupConfig;
use super::consumer;
use super::consumer::topics::MetadataView;
use super::membership::{Group, Membership, Stored};
use super::message::{JoinProtocol, JoinReply, SyncReply};
use super::record::{self, CoordinatorRecord, OffsetCommitValue};
use crate::error::GroupError;
use crate::in_flight::InFlight;
use crate::outcome::{Append, AppendId, Outcome, Reply, Ticket};
use crate::timers::Timers;

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum TimerKey {
    /// The join phase of a group ends.
    Join(Arc<str>),
    /// The sync phase of a group ends.
    Sync(Arc<str>),
    /// The session of a member or a pending member ends.
    Session {
        group_id: Arc<str>,
        member_id: Arc<str>,
    },
    /// A consumer had its time to give partitions up.
    Rebalance {
        group_id: Arc<str>,
        member_id: Arc<str>,
    },
    /// A classic member of a consumer group had its time to join again.
    ClassicJoin {
        group_id: Arc<str>,
        member_id: Arc<str>,
    },
    /// A classic member of a consumer group had its time to sync.
    ClassicSync {
        group_id: Arc<str>,
        member_id: Arc<str>,
    },
    /// Expired offsets are looked for.
    Retention,
}

/// Which groups have offsets in an open transaction, by producer id. It may name a group that has
/// none any more; what a transaction left behind goes with its end.
pub(super) type OpenTransactions = BTreeMap<i64, BTreeSet<Arc<str>>>;

/// One offset of one group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OffsetKey {
    pub(super) group_id: Arc<str>,
    pub(super) topic: String,
    pub(super) partition: i32,
}

/// What happens when an append is reported.
#[derive(Debug)]
pub(super) enum Effect {
    /// An empty generation was written. Should that fail, the previous generation comes back on
    /// the next load and times out, which is safe.
    EmptyGroup,
    /// The leader's assignment was written: hand it out.
    Assign {
        group_id: Arc<str>,
        generation_id: i32,
        assignments: BTreeMap<String, Bytes>,
    },
    /// A static member came back under a new member id, without a rebalance.
    StaticRejoin(Box<StaticRejoin>),
    /// Offsets were written: make them visible, or let them wait for the producer's transaction.
    Commit {
        group_id: Arc<str>,
        offsets: Vec<(String, i32, OffsetCommitValue)>,
        producer_id: Option<i64>,
        ticket: Ticket,
        reply: Reply,
    },
    /// Changes of a consumer group were written, or a group that changes its protocol.
    Membership(Box<Stored>),
    /// Tombstones of offsets, then of groups, were written.
    Remove {
        offsets: Vec<OffsetKey>,
        groups: Vec<Arc<str>>,
        reply: Option<(Ticket, Reply)>,
    },
    /// The marker of a transaction was written, behind all appends before it.
    EndTransaction { producer_id: i64, is_commit: bool },
}

#[derive(Debug)]
pub(super) struct StaticRejoin {
    pub(super) group_id: Arc<str>,
    pub(super) generation_id: i32,
    pub(super) ticket: Ticket,
    pub(super) api_version: i16,
    pub(super) new_member_id: Arc<str>,
    pub(super) old_member_id: Arc<str>,
    pub(super) old_leader: String,
    pub(super) old_protocols: Vec<JoinProtocol>,
    pub(super) old_rebalance_timeout_ms: i32,
    pub(super) old_session_timeout_ms: i32,
}

pub(super) struct Turn<'a> {
    pub(super) now_ms: i64,
    pub(super) config: &'a GroupConfig,
    pub(super) view: &'a MetadataView,
    /// From which version of the view on there are topics that came later than the first view.
    pub(super) new_topics_version: i64,
    pub(super) timers: &'a mut Timers<TimerKey>,
    pub(super) in_flight: &'a mut InFlight<Effect>,
    pub(super) open_transactions: &'a mut OpenTransactions,
    pub(super) outcome: &'a mut Outcome,
}

impl Turn<'_> {
    pub(super) fn reply(&mut self, ticket: Ticket, reply: Reply) {
        self.outcome.replies.push((ticket, reply));
    }

    pub(super) fn append(&mut self, records: Vec<CoordinatorRecord>, effect: Effect) -> AppendId {
        self.append_as(None, records, effect)
    }

    /// Appends records, as part of a producer's transaction if there is a producer.
    pub(super) fn append_as(
        &mut self,
        producer: Option<(i64, i16)>,
        records: Vec<CoordinatorRecord>,
        effect: Effect,
    ) -> AppendId {
        let id = self.in_flight.push(effect);
        self.outcome.appends.push(Append {
            id,
            producer,
            records,
        });
        id
    }

    /// Appends the group's metadata, with the assignments it is about to have.
    pub(super) fn append_group(
        &mut self,
        group: &mut ClassicGroup,
        assignment: impl Fn(&Member) -> Bytes,
        effect: Effect,
    ) {
        let value = group.to_record(assignment);
        let id = self.append(vec![record::group_metadata(&group.id, &value)], effect);
        group.last_append = Some(id);
    }

    /// At least a millisecond ahead, so that a handler which schedules itself again cannot keep
    /// one tick busy for ever.
    pub(super) fn schedule(&mut self, key: TimerKey, timeout_ms: i64) {
        self.timers
            .schedule(key, self.now_ms.saturating_add(timeout_ms.max(1)));
    }

    pub(super) fn schedule_session(&mut self, group: &ClassicGroup, member_id: &str) {
        if let Some(member) = group.members.get(member_id) {
            let timeout_ms = i64::from(member.session_timeout_ms);
            self.schedule(session_key(group, &member.id), timeout_ms);
        }
    }

    pub(super) fn cancel_session(&mut self, group: &ClassicGroup, member_id: &str) {
        self.timers
            .cancel(&session_key(group, &Arc::from(member_id)));
    }

    /// Starts the sessions of all members, of either protocol.
    pub(super) fn schedule_sessions(&mut self, group: &Group) {
        match &group.membership {
            Membership::Classic(classic) => {
                for member_id in classic.members.keys() {
                    self.schedule_session(classic, member_id);
                }
            }
            Membership::Consumer(consumers) => {
                for member_id in consumers.group.members.keys() {
                    consumer::arm_session(self, &group.id, &consumers.group, member_id);
                    consumer::arm_rebalance(self, &group.id, &consumers.group, member_id);
                }
            }
        }
    }

    /// Parks a join; a request that the client has given up is told to start over.
    pub(super) fn park_join(&mut self, member: &mut Member, ticket: Ticket) {
        if let Some(forgotten) = member.awaiting_join.replace(ticket) {
            let reply = JoinReply::error(&member.id, GroupError::RebalanceInProgress);
            self.reply(forgotten, Reply::Join(reply));
        }
    }

    pub(super) fn park_sync(&mut self, member: &mut Member, ticket: Ticket) {
        if let Some(forgotten) = member.awaiting_sync.replace(ticket) {
            let reply = SyncReply::error(GroupError::RebalanceInProgress);
            self.reply(forgotten, Reply::Sync(reply));
        }
    }

    /// Answers what a member had parked before it was removed or replaced.
    pub(super) fn dismiss(
        &mut self,
        member_id: &str,
        parked: (Option<Ticket>, Option<Ticket>),
        error: GroupError,
    ) {
        if let Some(ticket) = parked.0 {
            self.reply(ticket, Reply::Join(JoinReply::error(member_id, error)));
        }
        if let Some(ticket) = parked.1 {
            self.reply(ticket, Reply::Sync(SyncReply::error(error)));
        }
    }

    /// Removes a member or a pending member, with its timer and its parked requests.
    pub(super) fn remove_member(&mut self, group: &mut ClassicGroup, member_id: &str) {
        self.cancel_session(group, member_id);
        if let Some(member) = group.remove(member_id) {
            let parked = (member.awaiting_join, member.awaiting_sync);
            self.dismiss("", parked, GroupError::UnknownMemberId);
        }
    }
}

pub(super) fn session_key(group: &ClassicGroup, member_id: &Arc<str>) -> TimerKey {
    TimerKey::Session {
        group_id: group.id.clone(),
        member_id: member_id.clone(),
    }
}
