//! Lookup by key in the broker: the partitions of a topic in the order in which a key can be there, and what lookups keep
//! between two of them.
//!
//! What is kept of a partition goes when nobody looks into it for five minutes, or when all of it together takes too much
//! memory: then the least recently used goes first.
//!
//! Locks: `kept` for moments, then that of one partition's [`KeyLookup`] for a lookup. Blocks: callers are on the blocking
//! pool.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use lastword_record::{TopicId, TopicPartition};
use lastword_storage::StorageError;
use lastword_storage::key_index::KeyHasher;
use lastword_storage::lookup::{FoundRecord, KeyLookup, LookupRequest};

use crate::error_map::ApiError;
use crate::lock::lock;
use crate::partition::{Partition, PartitionTable};

const IDLE: Duration = Duration::from_secs(300);
/// What is kept of all partitions together.
const KEPT_BYTES: u64 = 128 << 20;

/// See the file header.
pub struct KeyLookups {
    hasher: KeyHasher,
    max_decompressed_bytes: usize,
    kept: Mutex<HashMap<(TopicId, TopicPartition), Kept>>,
}

struct Kept {
    lookup: Arc<Mutex<KeyLookup>>,
    bytes: u64,
    used_at: Instant,
}

/// A record, and where it is.
#[derive(Debug)]
pub struct Located {
    /// The partition that has it.
    pub partition: i32,
    /// The record.
    pub record: FoundRecord,
}

impl KeyLookups {
    /// Keeps nothing yet.
    pub fn new(hasher: KeyHasher, max_decompressed_bytes: usize) -> KeyLookups {
        KeyLookups {
            hasher,
            max_decompressed_bytes,
            kept: Mutex::default(),
        }
    }

    /// The last committed record of a key in one partition, or in any: first where the Java client's partitioner puts the
    /// key, then in the others, which other producers may have chosen. Blocks.
    pub fn find(
        &self,
        partitions: &PartitionTable,
        topic: &str,
        partition: Option<i32>,
        key: &[u8],
    ) -> Result<Option<Located>, ApiError> {
        if let Some(partition) = partition {
            let partition = partitions.find(topic, partition)?;
            return Ok(self.find_in(&partition, key)?);
        }
        let mut all = partitions.of_topic(topic);
        let count = all.len();
        if count > 0 {
            let home = (murmur2(key) & 0x7fff_ffff) as usize % count;
            all.sort_by_key(|it| (it.topic_partition().partition as usize + count - home) % count);
        }
        for partition in all {
            if let Some(located) = self.find_in(&partition, key)? {
                return Ok(Some(located));
            }
        }
        Ok(None)
    }

    fn find_in(&self, partition: &Partition, key: &[u8]) -> Result<Option<Located>, StorageError> {
        let log = partition.log();
        let name = (partition.topic_id(), partition.topic_partition().clone());
        let lookup = self.use_kept(&name);
        let mut locked = lock(&lookup);
        let record = locked.find(&LookupRequest {
            log,
            hasher: &self.hasher,
            key,
            max_decompressed_bytes: self.max_decompressed_bytes,
        });
        let bytes = locked.memory_bytes();
        drop(locked);
        self.bound(&name, bytes);
        let partition = name.1.partition;
        Ok(record?.map(|record| Located { partition, record }))
    }

    fn use_kept(&self, name: &(TopicId, TopicPartition)) -> Arc<Mutex<KeyLookup>> {
        let mut kept = lock(&self.kept);
        kept.retain(|_, it| it.used_at.elapsed() < IDLE);
        let entry = kept.entry(name.clone()).or_insert_with(|| Kept {
            lookup: Arc::default(),
            bytes: 0,
            used_at: Instant::now(),
        });
        entry.used_at = Instant::now();
        entry.lookup.clone()
    }

    fn bound(&self, name: &(TopicId, TopicPartition), bytes: u64) {
        let mut kept = lock(&self.kept);
        if let Some(entry) = kept.get_mut(name) {
            entry.bytes = bytes;
        }
        while kept.len() > 1 && kept.values().map(|it| it.bytes).sum::<u64>() > KEPT_BYTES {
            let oldest = kept.iter().min_by_key(|(_, it)| it.used_at);
            let Some(oldest) = oldest.map(|(name, _)| name.clone()) else {
                return;
            };
            kept.remove(&oldest);
        }
    }
}

/// Of the Java client's default partitioner.
fn murmur2(bytes: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let mut hash = 0x9747_b28c ^ bytes.len() as u32;
    let (words, rest) = bytes.as_chunks::<4>();
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k ^= k >> 24;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    if !rest.is_empty() {
        for (at, byte) in rest.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * at);
        }
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ hash >> 15
}

#[cfg(test)]
mod tests {
    use super::murmur2;

    #[test]
    fn murmur2_is_that_of_the_java_client() {
        // Of UtilsTest.testMurmur2.
        let cases: [(&str, i32); 5] = [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("abc", 479_470_107),
        ];
        for (text, expected) in cases {
            assert_eq!(murmur2(text.as_bytes()).cast_signed(), expected, "{text}");
        }
    }
}
