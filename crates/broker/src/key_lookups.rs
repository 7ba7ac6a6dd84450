//! Lookup by key in the broker: the partitions of a topic in the order in which a key can be there, and what lookups keep
//! between two of them.
//!
//! What is kept of a partition goes when nobody looks into it for five minutes, or when all of it together takes too much
//! memory: then the least recently used goes first. A task sees to it while something is kept.
//!
//! Locks: `kept` for moments, then that of one partition's [`KeyLookup`] for a lookup. Blocks: callers are on the blocking
//! pool.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use lastword_record::{TopicId, TopicPartition, partition_of_key};
use lastword_storage::StorageError;
use lastword_storage::key_index::KeyHasher;
use lastword_storage::lookup::{FoundRecord, KeyLookup, LookupRequest};

use crate::error_map::ApiError;
use crate::lock::lock;
use crate::partition::{Partition, PartitionTable};

const IDLE: Duration = Duration::from_secs(300);
/// What is kept of all partitions together.
const KEPT_BYTES: u64 = 256 << 20;

/// See the file header.
pub struct KeyLookups {
    hasher: KeyHasher,
    max_decompressed_bytes: usize,
    /// How long something is kept that nobody uses.
    idle: Duration,
    kept: Mutex<AllKept>,
}

#[derive(Default)]
struct AllKept {
    by_partition: HashMap<(TopicId, TopicPartition), Kept>,
    /// A task lets go of what is idle.
    is_watched: bool,
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
            idle: IDLE,
            kept: Mutex::default(),
        }
    }

    /// The last committed record of a key in one partition, or in any: first where the Java client's partitioner puts the
    /// key, then in the others, which other producers may have chosen. Blocks; called within a runtime.
    pub fn find(
        self: &Arc<KeyLookups>,
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
            let home = partition_of_key(key, count);
            all.sort_by_key(|it| (it.topic_partition().partition as usize + count - home) % count);
        }
        for partition in all {
            if let Some(located) = self.find_in(&partition, key)? {
                return Ok(Some(located));
            }
        }
        Ok(None)
    }

    fn find_in(
        self: &Arc<KeyLookups>,
        partition: &Partition,
        key: &[u8],
    ) -> Result<Option<Located>, StorageError> {
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

    fn use_kept(self: &Arc<KeyLookups>, name: &(TopicId, TopicPartition)) -> Arc<Mutex<KeyLookup>> {
        let mut kept = lock(&self.kept);
        if !std::mem::replace(&mut kept.is_watched, true) {
            tokio::spawn(let_go_of_idle(Arc::downgrade(self), self.idle));
        }
        let entry = kept.by_partition.entry(name.clone());
        let entry = entry.or_insert_with(|| Kept {
            lookup: Arc::default(),
            bytes: 0,
            used_at: Instant::now(),
        });
        entry.used_at = Instant::now();
        entry.lookup.clone()
    }

    /// Whether anything is left.
    fn let_go_of_idle(&self) -> bool {
        let mut kept = lock(&self.kept);
        kept.by_partition
            .retain(|_, it| it.used_at.elapsed() < self.idle);
        kept.is_watched = !kept.by_partition.is_empty();
        kept.is_watched
    }

    fn bound(&self, name: &(TopicId, TopicPartition), bytes: u64) {
        let kept = &mut lock(&self.kept).by_partition;
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

async fn let_go_of_idle(lookups: Weak<KeyLookups>, idle: Duration) {
    loop {
        tokio::time::sleep(idle / 5).await;
        let lookups = lookups.upgrade();
        if !lookups.is_some_and(|lookups| lookups.let_go_of_idle()) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use lastword_record::{BatchBuilder, BatchSpec};
    use lastword_storage::cleaner::key_hasher;
    use lastword_storage::{
        AppendOrigin, CleanupPolicy, Clock, LogConfig, LogManager, LogManagerConfig, SimDir,
    };

    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn what_nobody_uses_is_let_go_without_another_lookup() {
        let config = LogConfig {
            cleanup_policy: CleanupPolicy {
                compact: true,
                delete: false,
            },
            ..LogConfig::default()
        };
        let (dir, clock) = (Arc::new(SimDir::new()), Clock::System);
        let manager =
            LogManager::open(LogManagerConfig::default(), dir, clock, &|_| config.clone());
        let manager = manager.unwrap();
        let topic_partition = TopicPartition::new("t", 0);
        let id = TopicId::from_random_bytes([7; 16]);
        let log = manager
            .create(&topic_partition, id, config.clone())
            .unwrap();
        let mut builder = BatchBuilder::new(BatchSpec::default());
        builder.push(0, 1_000, Some(b"key"), Some(b"value"), &[]);
        let mut batch = Vec::new();
        builder.finish(&mut batch).unwrap();
        log.append(&batch, AppendOrigin::Client, 0).unwrap();
        log.roll().unwrap();
        log.sync().unwrap();
        let partitions = PartitionTable::default();
        let partition = Arc::new(Partition::new(log.clone()));
        partitions.insert("t".into(), vec![Some(partition)]);
        let hasher = key_hasher(&*log.dir()).unwrap();
        let lookups = Arc::new(KeyLookups {
            idle: Duration::from_millis(20),
            ..KeyLookups::new(hasher, 1 << 20)
        });
        // Twice: the task that has ended is begun again.
        for _ in 0..2 {
            let found = lookups.find(&partitions, "t", None, b"key").unwrap();
            assert_eq!(found.unwrap().record.offset, 0);
            let until = Instant::now() + Duration::from_secs(60);
            while !lock(&lookups.kept).by_partition.is_empty() {
                assert!(Instant::now() < until, "it is kept for ever");
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    }
}
