//! `PartitionTable`: every partition served, by topic and number.
//!
//! `topics` is held for a lookup or a change of the map, never across I/O or an await.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use lastword_record::TopicPartition;

use super::Partition;

/// The partitions by topic.
#[derive(Default)]
pub struct PartitionTable {
    topics: RwLock<HashMap<Arc<str>, Vec<Arc<Partition>>>>,
}

impl PartitionTable {
    /// The partition, if it is served.
    pub fn get(&self, topic: &str, partition: i32) -> Option<Arc<Partition>> {
        let index = usize::try_from(partition).ok()?;
        let topics = self.topics.read().unwrap_or_else(PoisonError::into_inner);
        topics.get(topic)?.get(index).cloned()
    }

    /// All partitions of a topic, in order; empty when there is no such topic.
    pub fn of_topic(&self, topic: &str) -> Vec<Arc<Partition>> {
        let topics = self.topics.read().unwrap_or_else(PoisonError::into_inner);
        topics.get(topic).cloned().unwrap_or_default()
    }

    /// Serves a topic with these partitions, 0 first, instead of those it had.
    pub fn insert(&self, topic: Arc<str>, partitions: Vec<Arc<Partition>>) {
        let mut topics = self.topics.write().unwrap_or_else(PoisonError::into_inner);
        topics.insert(topic, partitions);
    }

    /// Stops serving a topic. Whoever waits on it is woken and finds it gone.
    pub fn remove(&self, topic: &str) -> Vec<Arc<Partition>> {
        let removed = {
            let mut topics = self.topics.write().unwrap_or_else(PoisonError::into_inner);
            topics.remove(topic).unwrap_or_default()
        };
        for partition in &removed {
            partition.wake_all();
        }
        removed
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
        topics.values().flatten().cloned().collect()
    }
}
