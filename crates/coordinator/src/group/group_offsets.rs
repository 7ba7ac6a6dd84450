//! The offsets of one group: committed, on their way to the log, and waiting for a transaction.
//!
//! A commit that is *in flight* is not in the log yet. One that is *transactional* is in the log
//! and waits for the marker that ends its producer's transaction; neither is visible to a fetch, is
//! expired, or is lost to the expiry of its group. Each of them makes its partition *pending*.
//!
//! Invariant: what is committed is what stands last in the log, not what was decided last. When a
//! transaction commits, an offset in it does not replace one that was written after it; otherwise
//! cleaning, which keeps the record that stands last, would change what a load gives.

use std::collections::BTreeMap;

use super::partition_map::PartitionMap;
use super::record::OffsetCommitValue;

/// A committed offset as it is kept: a broker may have millions, and few have a note or an expiry.
#[derive(Debug, Clone)]
struct Written {
    offset: i64,
    commit_timestamp_ms: i64,
    /// The place in the log among the commits of the group.
    position: u64,
    leader_epoch: i32,
    rare: Option<Box<Rare>>,
}

#[derive(Debug, Clone)]
struct Rare {
    metadata: String,
    expire_timestamp_ms: Option<i64>,
}

/// A look at a committed offset.
#[derive(Debug, Clone, Copy)]
pub(super) struct Committed<'a> {
    pub(super) offset: i64,
    /// -1 when unknown.
    pub(super) leader_epoch: i32,
    pub(super) metadata: &'a str,
    pub(super) commit_timestamp_ms: i64,
    pub(super) expire_timestamp_ms: Option<i64>,
}

impl Written {
    fn new(value: OffsetCommitValue, position: u64) -> Self {
        let is_rare = !value.metadata.is_empty() || value.expire_timestamp_ms.is_some();
        Self {
            offset: value.offset,
            commit_timestamp_ms: value.commit_timestamp_ms,
            position,
            leader_epoch: value.leader_epoch,
            rare: is_rare.then(|| {
                Box::new(Rare {
                    metadata: value.metadata,
                    expire_timestamp_ms: value.expire_timestamp_ms,
                })
            }),
        }
    }

    fn look(&self) -> Committed<'_> {
        let rare = self.rare.as_deref();
        Committed {
            offset: self.offset,
            leader_epoch: self.leader_epoch,
            metadata: rare.map_or("", |rare| rare.metadata.as_str()),
            commit_timestamp_ms: self.commit_timestamp_ms,
            expire_timestamp_ms: rare.and_then(|rare| rare.expire_timestamp_ms),
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct GroupOffsets {
    committed: PartitionMap<Written>,
    /// How many commits of an offset are in flight.
    in_flight: PartitionMap<u32>,
    /// By the id of the producer whose transaction is open.
    transactional: BTreeMap<i64, PartitionMap<Written>>,
    next_position: u64,
}

impl GroupOffsets {
    pub(super) fn is_unused(&self) -> bool {
        self.committed.is_empty() && !self.has_pending()
    }

    pub(super) fn has_pending(&self) -> bool {
        !self.in_flight.is_empty() || !self.transactional.is_empty()
    }

    pub(super) fn get(&self, topic: &str, partition: i32) -> Option<Committed<'_>> {
        self.committed.get(topic, partition).map(Written::look)
    }

    pub(super) fn is_pending(&self, topic: &str, partition: i32) -> bool {
        let mut transactional = self.transactional.values();
        self.in_flight.contains(topic, partition)
            || transactional.any(|offsets| offsets.contains(topic, partition))
    }

    /// Whether a tombstone of this offset would remove something.
    pub(super) fn is_known(&self, topic: &str, partition: i32) -> bool {
        self.committed.contains(topic, partition) || self.is_pending(topic, partition)
    }

    // In the order of the log

    /// An offset stands in the log; within a transaction it waits for its end.
    pub(super) fn put(
        &mut self,
        topic: &str,
        partition: i32,
        value: OffsetCommitValue,
        producer_id: Option<i64>,
    ) {
        let position = self.next_position;
        self.next_position += 1;
        let offsets = match producer_id {
            Some(producer_id) => self.transactional.entry(producer_id).or_default(),
            None => &mut self.committed,
        };
        offsets.insert(topic, partition, Written::new(value, position));
    }

    /// A tombstone stands in the log: it hides transactional offsets before it too.
    pub(super) fn remove(&mut self, topic: &str, partition: i32) {
        self.committed.remove(topic, partition);
        self.transactional.retain(|_, offsets| {
            offsets.remove(topic, partition);
            !offsets.is_empty()
        });
    }

    /// The marker that ends a producer's transaction stands in the log.
    pub(super) fn end_transaction(&mut self, producer_id: i64, is_commit: bool) {
        let Some(offsets) = self.transactional.remove(&producer_id) else {
            return;
        };
        if !is_commit {
            return;
        }
        for (topic, partitions) in offsets.into_topics() {
            for (partition, written) in partitions {
                let existing = self.committed.get(&topic, partition);
                if existing.is_none_or(|existing| existing.position < written.position) {
                    self.committed.insert(&topic, partition, written);
                }
            }
        }
    }

    // On the way to the log

    pub(super) fn begin(&mut self, topic: &str, partition: i32) {
        *self.in_flight.get_or_default(topic, partition) += 1;
    }

    pub(super) fn end(&mut self, topic: &str, partition: i32) {
        if let Some(count) = self.in_flight.get_mut(topic, partition) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.in_flight.remove(topic, partition);
            }
        }
    }

    /// All that is committed, by topic and partition.
    pub(super) fn committed(&self) -> impl Iterator<Item = (&str, i32, Committed<'_>)> {
        let all = self.committed.iter();
        all.map(|(topic, partition, written)| (topic, partition, written.look()))
    }

    /// The topics of which something is committed, with the partitions.
    pub(super) fn committed_topics(
        &self,
    ) -> impl Iterator<Item = (&str, impl Iterator<Item = i32>)> {
        let topics = self.committed.topics();
        topics.map(|(topic, partitions)| (topic, partitions.keys().copied()))
    }

    /// Every topic and partition that is committed or pending, once.
    pub(super) fn keys(&self) -> impl Iterator<Item = (&str, i32)> {
        let committed = self.committed.iter().map(|(topic, each, _)| (topic, each));
        let in_flight = self.in_flight.iter().map(|(topic, each, _)| (topic, each));
        let in_flight = in_flight.filter(|(topic, each)| !self.committed.contains(topic, *each));
        let mut keys: std::collections::BTreeSet<(&str, i32)> = in_flight.collect();
        for offsets in self.transactional.values() {
            keys.extend(offsets.iter().map(|(topic, each, _)| (topic, each)));
        }
        keys.retain(|(topic, each)| !self.committed.contains(topic, *each));
        committed.chain(keys)
    }
}
