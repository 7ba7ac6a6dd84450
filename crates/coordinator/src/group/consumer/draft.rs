//! A change of a consumer group while it is being decided.
//!
//! What is written is applied at once to a copy that only the draft sees, so that each decision
//! stands on those before it. A draft that is dropped has changed nothing.

use std::sync::Arc;

use super::assignor::{Assignor, AssignorInput, AssignorMember};
use super::reconcile::{self, Goal};
use super::record::{Change, GroupEpoch, Partitions, TargetEpoch};
use super::state::{ConsumerGroup, Member};
use super::topics::MetadataView;
use crate::error::GroupError;
use crate::group::config::GroupConfig;
use crate::group::record::CoordinatorRecord;

/// Why a request is refused, and what its client is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::group) struct Refusal {
    pub(in crate::group) error: GroupError,
    pub(in crate::group) message: String,
}

pub(in crate::group) fn refuse<T>(error: GroupError, message: String) -> Result<T, Refusal> {
    Err(Refusal { error, message })
}

pub(in crate::group) struct Draft<'a> {
    pub(in crate::group) group_id: Arc<str>,
    pub(in crate::group) group: Arc<ConsumerGroup>,
    /// Records that come before the changes: they end what the group was.
    pub(in crate::group) prefix: Vec<CoordinatorRecord>,
    pub(in crate::group) changes: Vec<Change>,
    pub(in crate::group) view: &'a MetadataView,
    pub(in crate::group) config: &'a GroupConfig,
    pub(in crate::group) now_ms: i64,
    /// The version of the metadata that the group's hash was compared with last.
    pub(in crate::group) checked_version: i64,
    /// From which version on there are topics that no regular expression has seen.
    pub(in crate::group) new_topics_version: i64,
}

impl Draft<'_> {
    pub(in crate::group) fn write(&mut self, change: Change) {
        Arc::make_mut(&mut self.group).apply(&change);
        self.changes.push(change);
    }

    pub(in crate::group) fn member(&self, id: &str) -> Option<&Member> {
        self.group.members.get(id)
    }

    /// Starts a new epoch with the hash of the topics now subscribed to.
    pub(in crate::group) fn bump_epoch(&mut self) {
        let metadata_hash = self.group.compute_metadata_hash(self.view);
        let epoch = self.group.epoch.saturating_add(1);
        self.checked_version = self.view.version();
        self.write(Change::Metadata(Some(GroupEpoch {
            epoch,
            metadata_hash,
        })));
        if self.group.has_partition_metadata {
            self.write(Change::PartitionMetadata(false));
        }
    }

    /// Starts a new epoch if a subscribed topic has changed since the last look.
    pub(in crate::group) fn bump_epoch_if_topics_changed(&mut self) {
        if self.checked_version == self.view.version() {
            return;
        }
        self.checked_version = self.view.version();
        if self.group.compute_metadata_hash(self.view) != self.group.metadata_hash {
            self.bump_epoch();
        } else if self.group.has_partition_metadata {
            self.write(Change::PartitionMetadata(false));
        }
    }

    /// Computes a new target when the group's epoch is past that of the present one.
    ///
    /// Not more often than the assignment interval allows (KIP-1263); a later heartbeat does it.
    pub(in crate::group) fn update_target(&mut self) {
        let assignment = self.group.assignment;
        if self.group.epoch <= assignment.epoch {
            return;
        }
        let overrides = self.view.overrides(&self.group_id);
        let interval_ms = overrides
            .assignment_interval_ms
            .unwrap_or(self.config.consumer_assignment_interval_ms);
        let earliest_ms = assignment
            .timestamp_ms
            .saturating_add(i64::from(interval_ms));
        // A clock that was set back must not stop assignments.
        if self.now_ms >= assignment.timestamp_ms && self.now_ms < earliest_ms {
            return;
        }
        let input = self.assignor_input();
        let targets = self.assignor().assign(&input);
        for (member, target) in input.members.into_iter().zip(targets) {
            let is_known = self.group.targets.contains_key(&member.id);
            if !is_known || *member.target != target {
                self.write(Change::TargetMember(member.id, Some(Arc::new(target))));
            }
        }
        self.write(Change::TargetMetadata(Some(TargetEpoch {
            epoch: self.group.epoch,
            timestamp_ms: self.now_ms,
        })));
    }

    fn assignor(&self) -> Assignor {
        let preferred = self.group.preferred_assignor().and_then(Assignor::by_name);
        preferred
            .filter(|assignor| self.config.consumer_assignors.contains(assignor))
            .or_else(|| self.config.consumer_assignors.first().copied())
            .unwrap_or(Assignor::Uniform)
    }

    fn assignor_input(&self) -> AssignorInput {
        let mut input = AssignorInput::default();
        for (id, member) in &self.group.members {
            let topics = self.group.subscribed_topics(member, self.view);
            for topic in &topics {
                let count = self
                    .view
                    .topic_by_id(*topic)
                    .map_or(0, |topic| topic.partition_count);
                input.partition_counts.insert(*topic, count);
            }
            input.members.push(AssignorMember {
                id: id.clone(),
                instance_id: member.metadata.instance_id.clone(),
                topics,
                target: self.group.target(id),
            });
        }
        input
    }

    /// Takes a member one step towards its target; tells whether that changed anything.
    pub(in crate::group) fn reconcile(
        &mut self,
        member_id: &Arc<str>,
        owned: Option<&Partitions>,
        resubscribed: bool,
    ) -> Result<bool, Refusal> {
        let Some(member) = self.group.members.get(member_id) else {
            return Ok(false);
        };
        if !resubscribed && member.is_reconciled_to(self.group.assignment.epoch) {
            return Ok(false);
        }
        let goal = Goal {
            group: &self.group,
            view: self.view,
            member_id,
            owned,
            resubscribed,
        };
        let Ok(next) = reconcile::next(member, &goal) else {
            return refuse(
                GroupError::FencedMemberEpoch,
                "The consumer group member is in a unknown state. The member must abandon all its \
                 partitions and rejoin."
                    .to_owned(),
            );
        };
        if next == *member.current {
            return Ok(false);
        }
        self.write(Change::CurrentMember(
            member_id.clone(),
            Some(Arc::new(next)),
        ));
        Ok(true)
    }

    /// Removes a member: tombstones in the order that keeps every prefix of them valid.
    pub(in crate::group) fn remove_member(&mut self, member_id: &Arc<str>) {
        self.write(Change::CurrentMember(member_id.clone(), None));
        self.write(Change::TargetMember(member_id.clone(), None));
        self.write(Change::Member(member_id.clone(), None));
    }
}
