//! One classic group and its members: the data and the rules that concern nothing else.
//!
//! Invariants: `static_members` maps each instance id to the member that carries it;
//! `protocol_support` counts the members that support each protocol; a group in the Empty state has
//! no members; every member of a group has the group's protocol type. Timers, replies and records
//! are the business of `rebalance.rs` and its siblings.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;

use super::message::{JoinMember, JoinProtocol, JoinReply};
use super::record::{GroupMetadataMember, GroupMetadataValue};
use super::state::GroupState;
use super::subscription::{self, CONSUMER_PROTOCOL_TYPE};
use crate::error::GroupError;
use crate::outcome::{AppendId, Ticket};

#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) id: Arc<str>,
    pub(super) instance_id: Option<Arc<str>>,
    pub(super) client_id: String,
    pub(super) client_host: String,
    pub(super) rebalance_timeout_ms: i32,
    pub(super) session_timeout_ms: i32,
    /// In the member's order of preference, each name once.
    pub(super) protocols: Vec<JoinProtocol>,
    pub(super) assignment: Bytes,
    pub(super) awaiting_join: Option<Ticket>,
    pub(super) awaiting_sync: Option<Ticket>,
    /// Joined and not yet told its generation; such a member can expire while it waits.
    pub(super) is_new: bool,
}

impl Member {
    pub(super) fn metadata(&self, protocol_name: Option<&str>) -> Bytes {
        let protocol = self
            .protocols
            .iter()
            .find(|each| Some(each.name.as_str()) == protocol_name);
        protocol
            .map(|protocol| protocol.metadata.clone())
            .unwrap_or_default()
    }

    /// Members that wait for the group cannot send heartbeats, and need not.
    pub(super) fn has_satisfied_heartbeat(&self) -> bool {
        !self.is_new && (self.awaiting_join.is_some() || self.awaiting_sync.is_some())
    }
}

/// How much longer the first rebalance of a group may wait for more members.
#[derive(Debug, Clone, Copy)]
pub(super) struct InitialDelay {
    pub(super) delay_ms: i64,
    pub(super) remaining_ms: i64,
}

#[derive(Debug, Clone)]
pub(super) struct ClassicGroup {
    pub(super) id: Arc<str>,
    state: GroupState,
    previous_state: GroupState,
    state_timestamp_ms: Option<i64>,
    pub(super) protocol_type: Option<String>,
    pub(super) protocol_name: Option<String>,
    pub(super) generation_id: i32,
    pub(super) leader_id: Option<Arc<str>>,
    pub(super) members: BTreeMap<Arc<str>, Member>,
    pub(super) static_members: BTreeMap<Arc<str>, Arc<str>>,
    /// Given a member id (KIP-394) and expected to join with it.
    pub(super) pending_members: BTreeSet<Arc<str>>,
    /// Told the new generation and expected to sync.
    pub(super) pending_sync: BTreeSet<Arc<str>>,
    protocol_support: BTreeMap<String, usize>,
    /// `None` when the subscriptions cannot be read.
    subscribed_topics: Option<BTreeSet<String>>,
    pub(super) new_member_added: bool,
    pub(super) initial_delay: Option<InitialDelay>,
    /// The latest append of this group's metadata, which outlives deletions that came before it.
    pub(super) last_append: Option<AppendId>,
}

impl ClassicGroup {
    pub(super) fn new(id: Arc<str>, now_ms: Option<i64>) -> Self {
        Self {
            id,
            state: GroupState::Empty,
            previous_state: GroupState::Dead,
            state_timestamp_ms: now_ms,
            protocol_type: None,
            protocol_name: None,
            generation_id: 0,
            leader_id: None,
            members: BTreeMap::new(),
            static_members: BTreeMap::new(),
            pending_members: BTreeSet::new(),
            pending_sync: BTreeSet::new(),
            protocol_support: BTreeMap::new(),
            subscribed_topics: None,
            new_member_added: false,
            initial_delay: None,
            last_append: None,
        }
    }

    /// A Stable group of consumers in this generation, each with its assignment.
    pub(super) fn stable(
        id: Arc<str>,
        generation_id: i32,
        members: Vec<Member>,
        now_ms: i64,
    ) -> Self {
        let mut group = Self::new(id, Some(now_ms));
        group.protocol_type = Some(CONSUMER_PROTOCOL_TYPE.to_owned());
        group.generation_id = generation_id;
        members.into_iter().for_each(|member| group.add(member));
        group.protocol_name = group.select_protocol();
        group.subscribed_topics = group.compute_subscribed_topics();
        group.state = GroupState::Stable;
        group
    }

    /// The membership as a record tells it; offsets are separate records.
    ///
    /// A member that the record repeats is returned as the error.
    pub(super) fn from_record(id: Arc<str>, value: GroupMetadataValue) -> Result<Self, String> {
        let mut group = Self::new(id, value.current_state_timestamp_ms);
        group.generation_id = value.generation_id;
        group.protocol_type = Some(value.protocol_type).filter(|name| !name.is_empty());
        group.leader_id = value.leader.map(Arc::from);
        for member in value.members {
            let instance_id = member.group_instance_id.map(Arc::from);
            let repeated = group.members.contains_key(member.member_id.as_str())
                || instance_id
                    .as_ref()
                    .is_some_and(|id| group.static_members.contains_key(id));
            if repeated {
                return Err(member.member_id);
            }
            let protocols = value.protocol.iter().map(|name| JoinProtocol {
                name: name.clone(),
                metadata: member.subscription.clone(),
            });
            group.add(Member {
                id: Arc::from(member.member_id),
                instance_id,
                client_id: member.client_id,
                client_host: member.client_host,
                rebalance_timeout_ms: member.rebalance_timeout_ms,
                session_timeout_ms: member.session_timeout_ms,
                protocols: protocols.collect(),
                assignment: member.assignment,
                awaiting_join: None,
                awaiting_sync: None,
                is_new: false,
            });
        }
        group.protocol_name = value.protocol;
        if !group.members.is_empty() {
            group.state = GroupState::Stable;
        }
        group.subscribed_topics = group.compute_subscribed_topics();
        Ok(group)
    }

    /// The record of this group, with the assignments it is about to have.
    pub(super) fn to_record(&self, assignment: impl Fn(&Member) -> Bytes) -> GroupMetadataValue {
        let members = self.members.values().map(|member| GroupMetadataMember {
            member_id: member.id.to_string(),
            group_instance_id: member.instance_id.as_deref().map(str::to_owned),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            rebalance_timeout_ms: member.rebalance_timeout_ms,
            session_timeout_ms: member.session_timeout_ms,
            subscription: member.metadata(self.protocol_name.as_deref()),
            assignment: assignment(member),
        });
        GroupMetadataValue {
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            generation_id: self.generation_id,
            protocol: self.protocol_name.clone(),
            leader: self.leader_id.as_deref().map(str::to_owned),
            current_state_timestamp_ms: self.state_timestamp_ms,
            members: members.collect(),
        }
    }

    pub(super) fn state(&self) -> GroupState {
        self.state
    }

    pub(super) fn is_in(&self, state: GroupState) -> bool {
        self.state == state
    }

    /// Whether the running rebalance is the group's first one after being empty.
    pub(super) fn is_initial_rebalance(&self) -> bool {
        self.state == GroupState::PreparingRebalance && self.previous_state == GroupState::Empty
    }

    pub(super) fn can_rebalance(&self) -> bool {
        self.state != GroupState::PreparingRebalance
    }

    pub(super) fn transition_to(&mut self, state: GroupState, now_ms: i64) {
        self.previous_state = self.state;
        self.state = state;
        self.state_timestamp_ms = Some(now_ms);
    }

    pub(super) fn state_timestamp_ms(&self) -> Option<i64> {
        self.state_timestamp_ms
    }

    pub(super) fn is_leader(&self, member_id: &str) -> bool {
        self.leader_id.as_deref() == Some(member_id)
    }

    pub(super) fn leader_or_empty(&self) -> String {
        self.leader_id.as_deref().unwrap_or_default().to_owned()
    }

    pub(super) fn uses_consumer_protocol(&self) -> bool {
        self.protocol_type.as_deref() == Some(CONSUMER_PROTOCOL_TYPE)
    }

    /// Nothing would be lost with this membership.
    pub(super) fn is_blank(&self) -> bool {
        self.state == GroupState::Empty
            && self.protocol_type.is_none()
            && self.pending_members.is_empty()
    }

    /// Adds a member that is in neither of the maps.
    pub(super) fn add(&mut self, member: Member) {
        if let Some(instance_id) = &member.instance_id {
            self.static_members
                .insert(instance_id.clone(), member.id.clone());
        }
        if self.leader_id.is_none() {
            self.leader_id = Some(member.id.clone());
        }
        self.count_protocols(&member.protocols, true);
        self.pending_members.remove(&member.id);
        self.members.insert(member.id.clone(), member);
    }

    /// Forgets a member or a pending member. The caller answers the requests it had parked.
    pub(super) fn remove(&mut self, member_id: &str) -> Option<Member> {
        let removed = self.members.remove(member_id);
        if let Some(member) = &removed {
            self.count_protocols(&member.protocols, false);
            if let Some(instance_id) = &member.instance_id {
                self.static_members.remove(instance_id);
            }
        }
        if self.is_leader(member_id) {
            self.leader_id = self.members.keys().next().cloned();
        }
        self.pending_members.remove(member_id);
        self.pending_sync.remove(member_id);
        removed
    }

    /// Gives a static member another member id, keeping all else but its parked requests.
    ///
    /// Returns those of the old member id: its join and its sync.
    pub(super) fn replace_static(
        &mut self,
        old_member_id: &str,
        new_member_id: &Arc<str>,
    ) -> Option<(Option<Ticket>, Option<Ticket>)> {
        let mut member = self.members.remove(old_member_id)?;
        let parked = (member.awaiting_join.take(), member.awaiting_sync.take());
        member.id = new_member_id.clone();
        member.is_new = false;
        if let Some(instance_id) = &member.instance_id {
            self.static_members
                .insert(instance_id.clone(), new_member_id.clone());
        }
        if self.is_leader(old_member_id) {
            self.leader_id = Some(new_member_id.clone());
        }
        if self.pending_sync.remove(old_member_id) {
            self.pending_sync.insert(new_member_id.clone());
        }
        self.members.insert(new_member_id.clone(), member);
        Some(parked)
    }

    /// Takes over what a member said in its latest join.
    pub(super) fn update(
        &mut self,
        member_id: &str,
        protocols: Vec<JoinProtocol>,
        rebalance_timeout_ms: i32,
        session_timeout_ms: i32,
    ) {
        let Some(member) = self.members.get_mut(member_id) else {
            return;
        };
        member.rebalance_timeout_ms = rebalance_timeout_ms;
        member.session_timeout_ms = session_timeout_ms;
        let old_protocols = std::mem::replace(&mut member.protocols, protocols.clone());
        self.count_protocols(&old_protocols, false);
        self.count_protocols(&protocols, true);
    }

    fn count_protocols(&mut self, protocols: &[JoinProtocol], added: bool) {
        for protocol in protocols {
            let count = self
                .protocol_support
                .entry(protocol.name.clone())
                .or_default();
            *count = if added {
                *count + 1
            } else {
                count.saturating_sub(1)
            };
            if *count == 0 {
                self.protocol_support.remove(&protocol.name);
            }
        }
    }

    /// Whether a member could join without leaving the group with no common protocol.
    pub(super) fn supports(&self, protocol_type: &str, protocols: &[JoinProtocol]) -> bool {
        if self.state == GroupState::Empty {
            return !protocol_type.is_empty() && !protocols.is_empty();
        }
        let supported_by_all = |name: &String| {
            self.protocol_support.get(name).copied().unwrap_or(0) == self.members.len()
        };
        self.protocol_type.as_deref() == Some(protocol_type)
            && protocols
                .iter()
                .any(|protocol| supported_by_all(&protocol.name))
    }

    /// The protocol with the most votes among those that all members support.
    ///
    /// Each member votes for its first; between equals the leader's order decides.
    pub(super) fn select_protocol(&self) -> Option<String> {
        let is_candidate =
            |name: &str| self.protocol_support.get(name).copied() == Some(self.members.len());
        let mut votes: BTreeMap<&str, usize> = BTreeMap::new();
        for member in self.members.values() {
            let vote = member.protocols.iter().map(|each| each.name.as_str());
            if let Some(name) = vote.into_iter().find(|name| is_candidate(name)) {
                *votes.entry(name).or_default() += 1;
            }
        }
        let leader = self.leader_id.as_ref().and_then(|id| self.members.get(id));
        let rank = |name: &str| {
            let protocols = leader
                .map(|leader| leader.protocols.as_slice())
                .unwrap_or_default();
            protocols
                .iter()
                .position(|protocol| protocol.name == name)
                .unwrap_or(usize::MAX)
        };
        votes
            .into_iter()
            .max_by_key(|(name, count)| (*count, std::cmp::Reverse(rank(name))))
            .map(|(name, _)| name.to_owned())
    }

    pub(super) fn awaiting_join_count(&self) -> usize {
        self.members
            .values()
            .filter(|member| member.awaiting_join.is_some())
            .count()
    }

    pub(super) fn has_all_members_joined(&self) -> bool {
        self.pending_members.is_empty()
            && self
                .members
                .values()
                .all(|member| member.awaiting_join.is_some())
    }

    /// The longest time any member asks for to join again.
    pub(super) fn rebalance_timeout_ms(&self) -> i64 {
        let timeouts = self
            .members
            .values()
            .map(|member| i64::from(member.rebalance_timeout_ms));
        timeouts.max().unwrap_or(0).max(0)
    }

    /// Passes the lead to a member that joined, if the leader did not; `false` if nobody did.
    pub(super) fn elect_joined_leader(&mut self) -> bool {
        let joined = |member: &Member| member.awaiting_join.is_some();
        let leader = self.leader_id.as_ref().and_then(|id| self.members.get(id));
        if leader.is_some_and(joined) {
            return true;
        }
        let Some(new_leader) = self.members.values().find(|member| joined(member)) else {
            return false;
        };
        self.leader_id = Some(new_leader.id.clone());
        true
    }

    /// Starts the next generation with the members there are.
    pub(super) fn start_next_generation(&mut self, now_ms: i64) {
        self.generation_id = self.generation_id.checked_add(1).unwrap_or(1);
        self.protocol_name = self.select_protocol();
        self.subscribed_topics = self.compute_subscribed_topics();
        self.pending_sync.clear();
        let next = if self.members.is_empty() {
            GroupState::Empty
        } else {
            GroupState::CompletingRebalance
        };
        self.transition_to(next, now_ms);
    }

    fn compute_subscribed_topics(&self) -> Option<BTreeSet<String>> {
        let mut topics = BTreeSet::new();
        if !self.uses_consumer_protocol() {
            return None;
        }
        for member in self.members.values() {
            let subscription = member.metadata(self.protocol_name.as_deref());
            if let Err(error) = subscription::add_topics(&subscription, &mut topics) {
                tracing::warn!(group = &*self.id, %error, "the subscribed topics are not known");
                return None;
            }
        }
        Some(topics)
    }

    pub(super) fn knows_subscribed_topics(&self) -> bool {
        self.subscribed_topics.is_some()
    }

    /// When in doubt a group of consumers counts as subscribed, which keeps its offsets.
    pub(super) fn is_subscribed_to(&self, topic: &str) -> bool {
        match &self.subscribed_topics {
            Some(topics) => topics.contains(topic),
            None => self.uses_consumer_protocol(),
        }
    }

    /// Checks that a request comes from a member, and from the current owner of its instance id.
    pub(super) fn validate_member(
        &self,
        member_id: &str,
        instance_id: Option<&str>,
    ) -> Result<(), GroupError> {
        if let Some(instance_id) = instance_id {
            match self.static_members.get(instance_id) {
                None => return Err(GroupError::UnknownMemberId),
                Some(owner) if **owner != *member_id => return Err(GroupError::FencedInstanceId),
                Some(_) => {}
            }
        }
        if self.members.contains_key(member_id) {
            Ok(())
        } else {
            Err(GroupError::UnknownMemberId)
        }
    }

    /// What a member is told about the current generation; the leader also learns the members.
    pub(super) fn join_reply(&self, member_id: &str) -> JoinReply {
        let is_leader = self.is_leader(member_id);
        let members = self.members.values().map(|member| JoinMember {
            member_id: member.id.to_string(),
            group_instance_id: member.instance_id.as_deref().map(str::to_owned),
            metadata: member.metadata(self.protocol_name.as_deref()),
        });
        JoinReply {
            error: None,
            generation_id: self.generation_id,
            protocol_type: self.protocol_type.clone(),
            protocol_name: self.protocol_name.clone(),
            leader: self.leader_or_empty(),
            skip_assignment: false,
            member_id: member_id.to_owned(),
            members: if is_leader {
                members.collect()
            } else {
                Vec::new()
            },
        }
    }
}
