//! One group: its offsets, and who its members are, by whichever protocol.
//!
//! Offsets outlive every change of the membership. A group without a protocol is a classic group
//! that is Empty and has no protocol type.
//!
//! A change of a consumer group is in force when it is decided, and told when it is in the log
//! ([`store`]). An append that fails takes back its change ([`settle`]); what later appends of the
//! group say is then applied again to what is left, as a load would.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::classic::ClassicGroup;
use super::consumer::record::{self as consumer_record, Change};
use super::consumer::state::ConsumerGroup;
use super::group_offsets::GroupOffsets;
use super::record::{self, CoordinatorRecord};
use super::state::GroupState;
use super::turn::{Effect, Turn};
use crate::error::AppendError;
use crate::outcome::{Reply, Ticket};

#[derive(Debug)]
pub(super) struct Group {
    pub(super) id: Arc<str>,
    pub(super) membership: Membership,
    pub(super) offsets: GroupOffsets,
}

#[derive(Debug, Clone)]
pub(super) enum Membership {
    Classic(Box<ClassicGroup>),
    Consumer(Consumers),
}

/// The members of a group of the consumer protocol.
#[derive(Debug, Clone, Default)]
pub(super) struct Consumers {
    pub(super) group: Arc<ConsumerGroup>,
    /// The version of the metadata that the group's hash was compared with last.
    pub(super) checked_version: i64,
}

impl Membership {
    pub(super) fn classic(group: ClassicGroup) -> Self {
        Self::Classic(Box::new(group))
    }
}

impl Group {
    /// A group without members and offsets.
    pub(super) fn new(id: Arc<str>, now_ms: Option<i64>) -> Self {
        Self {
            membership: Membership::classic(ClassicGroup::new(id.clone(), now_ms)),
            id,
            offsets: GroupOffsets::default(),
        }
    }

    pub(super) fn classic(&self) -> Option<&ClassicGroup> {
        match &self.membership {
            Membership::Classic(classic) => Some(classic),
            Membership::Consumer(_) => None,
        }
    }

    pub(super) fn classic_mut(&mut self) -> Option<&mut ClassicGroup> {
        match &mut self.membership {
            Membership::Classic(classic) => Some(classic),
            Membership::Consumer(_) => None,
        }
    }

    pub(super) fn consumers(&self) -> Option<&Consumers> {
        match &self.membership {
            Membership::Classic(_) => None,
            Membership::Consumer(consumers) => Some(consumers),
        }
    }

    pub(super) fn state(&self) -> GroupState {
        match &self.membership {
            Membership::Classic(classic) => classic.state(),
            Membership::Consumer(consumers) => consumers.group.state(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.state() == GroupState::Empty
    }

    /// When in doubt a group of consumers counts as subscribed, which keeps its offsets.
    pub(super) fn is_subscribed_to(&self, topic: &str) -> bool {
        match &self.membership {
            Membership::Classic(classic) => classic.is_subscribed_to(topic),
            Membership::Consumer(consumers) => consumers.group.is_subscribed_to(topic),
        }
    }

    /// Nothing would be lost with this group.
    pub(super) fn is_blank(&self) -> bool {
        self.classic().is_some_and(ClassicGroup::is_blank) && self.offsets.is_unused()
    }

    /// Carries out a record of a consumer group. The last record wins: one with a value makes the
    /// group a consumer group whatever it was.
    pub(super) fn apply(&mut self, change: &Change) {
        if self.classic().is_some() {
            if !change.has_value() {
                return;
            }
            self.membership = Membership::Consumer(Consumers::default());
        }
        let Membership::Consumer(consumers) = &mut self.membership else {
            return;
        };
        Arc::make_mut(&mut consumers.group).apply(change);
        if !change.has_value() && consumers.group.is_gone() {
            self.membership = Membership::classic(ClassicGroup::new(self.id.clone(), None));
        }
    }
}

/// What an append says of a membership.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) group_id: Arc<str>,
    before: Membership,
    step: Step,
    /// Sent when the append is settled.
    pub(super) replies: Vec<(Ticket, Reply)>,
}

#[derive(Debug)]
enum Step {
    Changes(Vec<Change>),
    /// A group that changes its protocol is written whole.
    Become(Membership),
}

/// Appends the changes of a consumer group that have led to `after`; `prefix` comes before them.
pub(super) fn store(
    group: &mut Group,
    turn: &mut Turn<'_>,
    after: Consumers,
    prefix: Vec<CoordinatorRecord>,
    changes: Vec<Change>,
    reply: Option<(Ticket, Reply)>,
) {
    let mut records = prefix;
    let encode = |change| consumer_record::encode(&group.id, change);
    records.extend(changes.iter().map(encode));
    let after = Membership::Consumer(after);
    append(group, turn, after, Step::Changes(changes), records, reply);
}

/// Appends a membership of another protocol; `records` end the one before and write this.
pub(super) fn convert(
    group: &mut Group,
    turn: &mut Turn<'_>,
    after: Membership,
    records: Vec<CoordinatorRecord>,
    reply: Option<(Ticket, Reply)>,
) {
    let step = Step::Become(after.clone());
    append(group, turn, after, step, records, reply);
}

fn append(
    group: &mut Group,
    turn: &mut Turn<'_>,
    after: Membership,
    step: Step,
    records: Vec<CoordinatorRecord>,
    reply: Option<(Ticket, Reply)>,
) {
    let before = std::mem::replace(&mut group.membership, after);
    let stored = Stored {
        group_id: group.id.clone(),
        before,
        step,
        replies: reply.into_iter().collect(),
    };
    turn.append(records, Effect::Membership(Box::new(stored)));
}

/// Answers when everything that the group's state rests on is in the log.
pub(super) fn reply_when_stored(
    group_id: &Arc<str>,
    turn: &mut Turn<'_>,
    ticket: Ticket,
    reply: Reply,
) {
    let last = turn
        .in_flight
        .effects_mut()
        .rev()
        .find_map(|effect| match effect {
            Effect::Membership(stored) if stored.group_id == *group_id => Some(stored),
            _ => None,
        });
    match last {
        Some(stored) => stored.replies.push((ticket, reply)),
        None => turn.reply(ticket, reply),
    }
}

/// The tombstones of a consumer group, in the order that keeps every prefix valid.
pub(super) fn consumer_tombstones(group_id: &str, group: &ConsumerGroup) -> Vec<CoordinatorRecord> {
    let members = || group.members.keys().cloned();
    let mut changes: Vec<Change> = members()
        .map(|id| Change::CurrentMember(id, None))
        .collect();
    changes.extend(
        group
            .targets
            .keys()
            .map(|id| Change::TargetMember(id.clone(), None)),
    );
    changes.push(Change::TargetMetadata(None));
    changes.extend(members().map(|id| Change::Member(id, None)));
    let regexes = group.regexes.keys().cloned();
    changes.extend(regexes.map(|regex| Change::RegularExpression(regex, None)));
    changes.push(Change::PartitionMetadata(false));
    changes.push(Change::Metadata(None));
    changes
        .iter()
        .map(|change| consumer_record::encode(group_id, change))
        .collect()
}

/// Ends a membership that has no members: nothing of it stays, offsets do.
pub(super) fn delete(group: &mut Group, turn: &mut Turn<'_>, reply: Option<(Ticket, Reply)>) {
    let records = match &group.membership {
        Membership::Classic(classic) if classic.is_blank() => Vec::new(),
        Membership::Classic(_) => vec![record::group_tombstone(&group.id)],
        Membership::Consumer(consumers) => consumer_tombstones(&group.id, &consumers.group),
    };
    let blank = ClassicGroup::new(group.id.clone(), Some(turn.now_ms));
    convert(group, turn, Membership::classic(blank), records, reply);
}

/// The fate of an append is known.
pub(super) fn settle(
    groups: &mut BTreeMap<Arc<str>, Group>,
    turn: &mut Turn<'_>,
    stored: Stored,
    result: Result<(), AppendError>,
) {
    let group_id = stored.group_id;
    if result.is_err() {
        take_back(groups, turn, &group_id, stored.before);
    }
    for (ticket, mut reply) in stored.replies {
        if let Err(error) = result {
            reply.fail(error.group_error());
        }
        turn.reply(ticket, reply);
    }
    if groups.get(&group_id).is_some_and(Group::is_blank) {
        groups.remove(&group_id);
    }
}

fn take_back(
    groups: &mut BTreeMap<Arc<str>, Group>,
    turn: &mut Turn<'_>,
    group_id: &Arc<str>,
    before: Membership,
) {
    let new_group = || Group::new(group_id.clone(), Some(turn.now_ms));
    let group = groups.entry(group_id.clone()).or_insert_with(new_group);
    group.membership = before;
    for effect in turn.in_flight.effects_mut() {
        let Effect::Membership(later) = effect else {
            continue;
        };
        if later.group_id != *group_id {
            continue;
        }
        later.before = group.membership.clone();
        match &later.step {
            Step::Changes(changes) => changes.iter().for_each(|change| group.apply(change)),
            Step::Become(membership) => group.membership = membership.clone(),
        }
    }
    turn.schedule_sessions(group);
}
