//! Values by topic and partition, in that order.
//!
//! Invariant: a topic without partitions is not kept, so an empty map holds nothing.

use std::collections::BTreeMap;

#[derive(Debug, Clone)]
pub(super) struct PartitionMap<T> {
    topics: BTreeMap<String, BTreeMap<i32, T>>,
}

impl<T> Default for PartitionMap<T> {
    fn default() -> Self {
        Self {
            topics: BTreeMap::new(),
        }
    }
}

impl<T> PartitionMap<T> {
    pub(super) fn is_empty(&self) -> bool {
        self.topics.is_empty()
    }

    pub(super) fn get(&self, topic: &str, partition: i32) -> Option<&T> {
        self.topics.get(topic)?.get(&partition)
    }

    pub(super) fn contains(&self, topic: &str, partition: i32) -> bool {
        self.get(topic, partition).is_some()
    }

    fn partitions_mut(&mut self, topic: &str) -> &mut BTreeMap<i32, T> {
        // Not `entry`: the topic is nearly always known, and then its name need not be copied.
        if !self.topics.contains_key(topic) {
            self.topics.insert(topic.to_owned(), BTreeMap::new());
        }
        self.topics.get_mut(topic).expect("it was just inserted")
    }

    pub(super) fn insert(&mut self, topic: &str, partition: i32, value: T) {
        self.partitions_mut(topic).insert(partition, value);
    }

    pub(super) fn get_or_default(&mut self, topic: &str, partition: i32) -> &mut T
    where
        T: Default,
    {
        self.partitions_mut(topic).entry(partition).or_default()
    }

    pub(super) fn get_mut(&mut self, topic: &str, partition: i32) -> Option<&mut T> {
        self.topics.get_mut(topic)?.get_mut(&partition)
    }

    pub(super) fn remove(&mut self, topic: &str, partition: i32) -> Option<T> {
        let partitions = self.topics.get_mut(topic)?;
        let removed = partitions.remove(&partition);
        if partitions.is_empty() {
            self.topics.remove(topic);
        }
        removed
    }

    pub(super) fn topics(&self) -> impl Iterator<Item = (&str, &BTreeMap<i32, T>)> {
        let topics = self.topics.iter();
        topics.map(|(topic, partitions)| (topic.as_str(), partitions))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, i32, &T)> {
        self.topics().flat_map(|(topic, partitions)| {
            let each = partitions.iter();
            each.map(move |(partition, value)| (topic, *partition, value))
        })
    }

    pub(super) fn into_topics(self) -> impl Iterator<Item = (String, BTreeMap<i32, T>)> {
        self.topics.into_iter()
    }
}
