//! What a consumer group knows of the world outside its records: topics, racks, settings.
//!
//! The caller hands over a [`MetadataView`] whenever metadata changes; it is never edited. Its
//! version ascends, over restarts too, because resolved regular expressions remember it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// The id of a topic: 16 random bytes, another for each topic that is created.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicId(pub [u8; 16]);

impl fmt::Debug for TopicId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:032x}", u128::from_be_bytes(self.0))
    }
}

/// A topic as assignors see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicView {
    pub name: Arc<str>,
    pub id: TopicId,
    /// Partitions 0 to this, exclusive.
    pub partition_count: i32,
}

/// The settings of one group that override those of the broker (KIP-848's GROUP configs).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GroupOverrides {
    /// `consumer.session.timeout.ms`
    pub session_timeout_ms: Option<i32>,
    /// `consumer.heartbeat.interval.ms`
    pub heartbeat_interval_ms: Option<i32>,
    /// `consumer.assignment.interval.ms`
    pub assignment_interval_ms: Option<i32>,
}

/// Topics and settings of groups at one moment.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct MetadataView {
    version: i64,
    topics: BTreeMap<Arc<str>, TopicView>,
    names: BTreeMap<TopicId, Arc<str>>,
    /// The rack of the broker that has every replica, if it has one.
    rack: Option<String>,
    overrides: BTreeMap<String, GroupOverrides>,
}

impl MetadataView {
    /// A view of these topics. Versions ascend with every view.
    pub fn new(
        version: i64,
        topics: impl IntoIterator<Item = TopicView>,
        rack: Option<String>,
        overrides: BTreeMap<String, GroupOverrides>,
    ) -> Self {
        let topics: BTreeMap<_, _> = topics
            .into_iter()
            .map(|topic| (topic.name.clone(), topic))
            .collect();
        let names = topics.values().map(|topic| (topic.id, topic.name.clone()));
        Self {
            version,
            names: names.collect(),
            topics,
            rack,
            overrides,
        }
    }

    /// Ascends with every view.
    pub fn version(&self) -> i64 {
        self.version
    }

    /// Whether only the versions differ.
    pub fn shows_the_same_as(&self, other: &MetadataView) -> bool {
        self.topics == other.topics && self.rack == other.rack && self.overrides == other.overrides
    }

    pub(crate) fn topic(&self, name: &str) -> Option<&TopicView> {
        self.topics.get(name)
    }

    pub(crate) fn topic_by_id(&self, id: TopicId) -> Option<&TopicView> {
        self.topics.get(self.names.get(&id)?)
    }

    /// Every topic, by name. Not what is a view of another one, which nobody gets who has not asked for it by name: its
    /// name has an `@`, which that of a topic cannot have.
    pub(crate) fn topics(&self) -> impl Iterator<Item = &TopicView> {
        self.topics
            .values()
            .filter(|topic| !topic.name.contains('@'))
    }

    pub(crate) fn rack(&self) -> Option<&str> {
        self.rack.as_deref()
    }

    pub(crate) fn overrides(&self, group_id: &str) -> GroupOverrides {
        self.overrides.get(group_id).copied().unwrap_or_default()
    }

    /// Whether there is a topic here that `before` does not have.
    pub(crate) fn has_new_topics_since(&self, before: &MetadataView) -> bool {
        self.names.keys().any(|id| !before.names.contains_key(id))
    }
}
