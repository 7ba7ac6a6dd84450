//! `PartitionTable`: every partition served, by topic and number.
//!
//! A partition whose log could not be loaded has a place without a log: it is known, and answers
//! with a storage error until somebody has looked at its files.
//!
//! `topics` is held for a lookup or a change of the map, never across I/O or an await.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use lastword_protocol::ErrorCode;
use lastword_record::TopicPartition;

use super::Partition;
use crate::error_map::ApiError;
use crate::metadata::topic_of_view;

/// A partition, or `None` when its log could not be loaded.
pub type Slot = Option<Arc<Partition>>;

/// The partitions by topic.
#[derive(Default)]
pub struct PartitionTable {
    topics: RwLock<HashMap<Arc<str>, Vec<Slot>>>,
}

impl PartitionTable {
    /// The partition, if it is served.
    pub fn get(&self, topic: &str, partition: i32) -> Option<Arc<Partition>> {
        self.find(topic, partition).ok()
    }

    /// The partition, or the error a client gets instead.
    pub fn find(&self, topic: &str, partition: i32) -> Result<Arc<Partition>, ApiError> {
        let topics = self.topics.read().unwrap_or_else(PoisonError::into_inner);
        let slots = topics
            .get(topic)
            .ok_or(ErrorCode::UnknownTopicOrPartition)?;
        let slot = usize::try_from(partition)
            .ok()
            .and_then(|index| slots.get(index));
        let slot = slot.ok_or(ErrorCode::UnknownTopicOrPartition)?;
        slot.clone()
            .ok_or_else(|| ErrorCode::KafkaStorageError.into())
    }

    /// What is read under this name, a topic's or that of its state view; and whether it is a view.
    pub fn find_readable(
        &self,
        name: &str,
        partition: i32,
    ) -> Result<(Arc<Partition>, bool), ApiError> {
        match topic_of_view(name) {
            Some(topic) => Ok((self.find(topic, partition)?, true)),
            None => Ok((self.find(name, partition)?, false)),
        }
    }

    /// The partitions of a topic that can be used, in order; none when there is no such topic.
    pub fn of_topic(&self, topic: &str) -> Vec<Arc<Partition>> {
        self.slots_of(topic).into_iter().flatten().collect()
    }

    /// The places of a topic's partitions, 0 first.
    pub fn slots_of(&self, topic: &str) -> Vec<Slot> {
        let topics = self.topics.read().unwrap_or_else(PoisonError::into_inner);
        topics.get(topic).cloned().unwrap_or_default()
    }

    /// Serves a topic with these partitions, 0 first, instead of those it had.
    pub fn insert(&self, topic: Arc<str>, partitions: Vec<Slot>) {
        let mut topics = self.topics.write().unwrap_or_else(PoisonError::into_inner);
        topics.insert(topic, partitions);
    }

    /// Stops serving a topic. Whoever waits on it is woken and finds it gone.
    pub fn remove(&self, topic: &str) -> Vec<Arc<Partition>> {
        let removed = {
            let mut topics = self.topics.write().unwrap_or_else(PoisonError::into_inner);
            topics.remove(topic).unwrap_or_default()
        };
        let removed: Vec<_> = removed.into_iter().flatten().collect();
        for partition in &removed {
            partition.wake_all();
        }
        removed
    }

    /// Lets go of every partition. The engine's news hold this table and its logs hold the engine,
    /// so without this a stopped broker would keep itself alive.
    pub fn clear(&self) {
        self.topics
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    /// The engine's news: more of this partition is visible.
    pub fn visible_up_to(&self, topic_partition: &TopicPartition, high_watermark: i64) {
        if let Some(partition) = self.get(&topic_partition.topic, topic_partition.partition) {
            partition.visible_up_to(high_watermark);
        }
    }

    /// Every partition, in no order.
    pub fn all(&self) -> Vec<Arc<Partition>> {
        let topics = self.topics.read().unwrap_or_else(PoisonError::into_inner);
        topics.values().flatten().flatten().cloned().collect()
    }
}
