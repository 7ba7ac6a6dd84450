//! The server-side assignors: who gets which partition, as pure functions.
//!
//! Each takes the members with their subscriptions and present targets and returns the new target
//! of every member. Every partition of a subscribed topic goes to exactly one of its subscribers.
//! `uniform` balances and keeps what it can; `range` gives each member the same range of every
//! topic, so that topics with equally many partitions are co-partitioned.

mod range;
mod uniform;
mod uniform_mixed;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::record::Partitions;
use super::topics::TopicId;

/// The assignors by name, the default first (`group.consumer.assignors`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Assignor {
    Uniform,
    Range,
}

/// A member as an assignor sees it.
#[derive(Debug, Clone)]
pub(in crate::group) struct AssignorMember {
    pub(in crate::group) id: Arc<str>,
    pub(in crate::group) instance_id: Option<String>,
    /// Existing topics only.
    pub(in crate::group) topics: BTreeSet<TopicId>,
    /// What it was to get until now.
    pub(in crate::group) target: Arc<Partitions>,
}

/// Members in the order of their ids, and how many partitions the topics have.
#[derive(Debug, Clone, Default)]
pub(in crate::group) struct AssignorInput {
    pub(in crate::group) members: Vec<AssignorMember>,
    /// Of every topic that is subscribed to.
    pub(in crate::group) partition_counts: BTreeMap<TopicId, i32>,
}

impl Assignor {
    /// Kafka's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Uniform => "uniform",
            Self::Range => "range",
        }
    }

    /// The assignor of this name.
    pub fn by_name(name: &str) -> Option<Self> {
        [Self::Uniform, Self::Range]
            .into_iter()
            .find(|each| each.name() == name)
    }

    /// The new target of each member, in the order of the input.
    pub(in crate::group) fn assign(self, input: &AssignorInput) -> Vec<Partitions> {
        match self {
            Self::Range => range::assign(input),
            Self::Uniform if input.is_homogeneous() => uniform::assign(input),
            Self::Uniform => uniform_mixed::assign(input),
        }
    }
}

impl AssignorInput {
    /// Whether all members subscribe to the same topics.
    fn is_homogeneous(&self) -> bool {
        let mut members = self.members.iter();
        members.next().is_none_or(|first| {
            let mut rest = members;
            rest.all(|member| member.topics == first.topics)
        })
    }

    fn partition_count(&self, topic: TopicId) -> i32 {
        self.partition_counts.get(&topic).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests;
