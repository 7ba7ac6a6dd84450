//! A consumer group: what replaying its records gives, and nothing else.
//!
//! Every change goes through [`ConsumerGroup::apply`], whether it was just decided or comes from
//! the log, so that the state in memory is the state that a load rebuilds. Members and assignments
//! are shared between copies: a copy costs two maps of pointers.
//!
//! Invariants: the group epoch never goes back; the assignment epoch is at most the group epoch;
//! `static_members` maps each instance id to the member that carries it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::hash::metadata_hash;
use super::record::{
    Change, ClassicMetadata, CurrentAssignment, MemberMetadata, MemberState, OwnedPartitions,
    Partitions, ResolvedRegex, TargetEpoch,
};
use super::topics::{MetadataView, TopicId};
use crate::group::state::GroupState;

/// The epoch of a member that wants to leave.
pub(in crate::group) const LEAVE: i32 = -1;
/// The epoch of a static member that wants to come back.
pub(in crate::group) const LEAVE_STATIC: i32 = -2;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::group) struct Member {
    pub(in crate::group) metadata: Arc<MemberMetadata>,
    pub(in crate::group) current: Arc<CurrentAssignment>,
}

impl Member {
    pub(in crate::group) fn epoch(&self) -> i32 {
        self.current.epoch
    }

    pub(in crate::group) fn classic(&self) -> Option<&ClassicMetadata> {
        self.metadata.classic.as_ref()
    }

    pub(in crate::group) fn regex(&self) -> Option<&str> {
        self.metadata
            .topic_regex
            .as_deref()
            .filter(|regex| !regex.is_empty())
    }

    pub(in crate::group) fn is_reconciled_to(&self, epoch: i32) -> bool {
        self.current.state == MemberState::Stable && self.current.epoch == epoch
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::group) struct ConsumerGroup {
    pub(in crate::group) epoch: i32,
    /// Whether a record says so.
    is_epoch_stored: bool,
    pub(in crate::group) metadata_hash: i64,
    /// Its record of before Kafka 4.1 is in the log and wants a tombstone.
    pub(in crate::group) has_partition_metadata: bool,
    pub(in crate::group) members: BTreeMap<Arc<str>, Member>,
    pub(in crate::group) static_members: BTreeMap<String, Arc<str>>,
    pub(in crate::group) assignment: TargetEpochs,
    pub(in crate::group) targets: BTreeMap<Arc<str>, Arc<Partitions>>,
    pub(in crate::group) regexes: BTreeMap<String, Arc<ResolvedRegex>>,
}

/// The epoch of the target assignment and when it was computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::group) struct TargetEpochs {
    pub(in crate::group) epoch: i32,
    pub(in crate::group) timestamp_ms: i64,
}

/// The epoch of a group and its target before the first change; 0 is that of a member that joins.
const INITIAL_EPOCH: i32 = 1;

impl Default for TargetEpochs {
    fn default() -> Self {
        Self {
            epoch: INITIAL_EPOCH,
            timestamp_ms: 0,
        }
    }
}

impl Default for ConsumerGroup {
    fn default() -> Self {
        Self {
            epoch: INITIAL_EPOCH,
            is_epoch_stored: false,
            metadata_hash: 0,
            has_partition_metadata: false,
            members: BTreeMap::new(),
            static_members: BTreeMap::new(),
            assignment: TargetEpochs::default(),
            targets: BTreeMap::new(),
            regexes: BTreeMap::new(),
        }
    }
}

impl ConsumerGroup {
    /// Carries out a change; tombstones of what is not there change nothing.
    pub(in crate::group) fn apply(&mut self, change: &Change) {
        match change {
            Change::Metadata(Some(value)) => {
                self.epoch = value.epoch;
                self.is_epoch_stored = true;
                self.metadata_hash = value.metadata_hash;
            }
            Change::Metadata(None) => {
                self.epoch = INITIAL_EPOCH;
                self.is_epoch_stored = false;
                self.metadata_hash = 0;
            }
            Change::PartitionMetadata(is_there) => self.has_partition_metadata = *is_there,
            Change::Member(id, Some(metadata)) => self.put_metadata(id, metadata),
            Change::Member(id, None) => {
                if let Some(member) = self.members.remove(id) {
                    self.forget_instance(id, &member);
                }
            }
            Change::TargetMetadata(value) => {
                let stored = |value: TargetEpoch| TargetEpochs {
                    epoch: value.epoch,
                    timestamp_ms: value.timestamp_ms,
                };
                self.assignment = value.map_or_else(TargetEpochs::default, stored);
            }
            Change::TargetMember(id, Some(target)) => {
                self.targets.insert(id.clone(), target.clone());
            }
            Change::TargetMember(id, None) => {
                self.targets.remove(id);
            }
            Change::CurrentMember(id, Some(current)) => {
                self.members.entry(id.clone()).or_default().current = current.clone();
            }
            Change::CurrentMember(id, None) => {
                if let Some(member) = self.members.get_mut(id) {
                    member.current = Arc::default();
                }
            }
            Change::RegularExpression(regex, Some(resolved)) => {
                self.regexes.insert(regex.clone(), resolved.clone());
            }
            Change::RegularExpression(regex, None) => {
                self.regexes.remove(regex);
            }
        }
    }

    fn put_metadata(&mut self, id: &Arc<str>, metadata: &Arc<MemberMetadata>) {
        if let Some(old) = self.members.get(id).cloned() {
            self.forget_instance(id, &old);
        }
        if let Some(instance_id) = &metadata.instance_id {
            self.static_members.insert(instance_id.clone(), id.clone());
        }
        self.members.entry(id.clone()).or_default().metadata = metadata.clone();
    }

    fn forget_instance(&mut self, id: &Arc<str>, member: &Member) {
        if let Some(instance_id) = &member.metadata.instance_id
            && self.static_members.get(instance_id) == Some(id)
        {
            self.static_members.remove(instance_id);
        }
    }

    /// Whether no record of the group is left in the log.
    pub(in crate::group) fn is_gone(&self) -> bool {
        !self.is_epoch_stored
            && self.members.is_empty()
            && self.targets.is_empty()
            && self.assignment == TargetEpochs::default()
    }

    pub(in crate::group) fn state(&self) -> GroupState {
        if self.members.is_empty() {
            GroupState::Empty
        } else if self.epoch > self.assignment.epoch {
            GroupState::Assigning
        } else if self
            .members
            .values()
            .all(|member| member.is_reconciled_to(self.assignment.epoch))
        {
            GroupState::Stable
        } else {
            GroupState::Reconciling
        }
    }

    pub(in crate::group) fn static_member(
        &self,
        instance_id: &str,
    ) -> Option<(&Arc<str>, &Member)> {
        let id = self.static_members.get(instance_id)?;
        self.members.get(id).map(|member| (id, member))
    }

    pub(in crate::group) fn target(&self, member_id: &str) -> Arc<Partitions> {
        self.targets.get(member_id).cloned().unwrap_or_default()
    }

    /// How many members subscribe to a regular expression.
    pub(in crate::group) fn regex_subscribers(&self, regex: &str) -> usize {
        let members = self.members.values();
        members
            .filter(|member| member.regex() == Some(regex))
            .count()
    }

    /// The topics a member subscribes to by name or by its regular expression, existing or not.
    ///
    /// An expression that is not resolved yet stands for nothing.
    pub(in crate::group) fn subscribed_names<'a>(
        &'a self,
        member: &'a Member,
    ) -> impl Iterator<Item = &'a str> {
        let resolved = member.regex().and_then(|regex| self.regexes.get(regex));
        let by_regex = resolved.into_iter().flat_map(|resolved| &resolved.topics);
        member
            .metadata
            .topic_names
            .iter()
            .chain(by_regex)
            .map(String::as_str)
    }

    /// The existing topics a member subscribes to.
    pub(in crate::group) fn subscribed_topics(
        &self,
        member: &Member,
        view: &MetadataView,
    ) -> BTreeSet<TopicId> {
        self.subscribed_names(member)
            .filter_map(|name| view.topic(name))
            .map(|topic| topic.id)
            .collect()
    }

    pub(in crate::group) fn is_subscribed_to(&self, topic: &str) -> bool {
        self.members
            .values()
            .any(|member| self.subscribed_names(member).any(|name| name == topic))
    }

    /// The metadata hash that the group should have.
    pub(in crate::group) fn compute_metadata_hash(&self, view: &MetadataView) -> i64 {
        let names: BTreeSet<&str> = self
            .members
            .values()
            .flat_map(|member| self.subscribed_names(member))
            .collect();
        metadata_hash(names, view)
    }

    /// The partitions of a topic that some member has, or has not given up yet.
    pub(in crate::group) fn owned_partitions(&self, topic: TopicId) -> BTreeSet<i32> {
        let owned = self.members.values().flat_map(|member| {
            let current = &member.current;
            [&current.assigned, &current.pending_revocation]
        });
        owned
            .filter_map(|owned| owned.get(&topic))
            .flat_map(BTreeMap::keys)
            .copied()
            .collect()
    }

    /// The assignor that most members name; the first by name between equals.
    pub(in crate::group) fn preferred_assignor(&self) -> Option<&str> {
        let mut votes: BTreeMap<&str, usize> = BTreeMap::new();
        for member in self.members.values() {
            if let Some(name) = &member.metadata.server_assignor {
                *votes.entry(name).or_default() += 1;
            }
        }
        let best = votes
            .into_iter()
            .max_by_key(|(name, count)| (*count, std::cmp::Reverse(*name)));
        best.map(|(name, _)| name)
    }
}

/// Partitions without their epochs.
pub(in crate::group) fn without_epochs(owned: &OwnedPartitions) -> Partitions {
    owned
        .iter()
        .map(|(topic, partitions)| (*topic, partitions.keys().copied().collect()))
        .collect()
}
