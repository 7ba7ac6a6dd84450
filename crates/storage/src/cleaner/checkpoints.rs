//! What the cleaner remembers across restarts: two small files of the log directory, both in Kafka's checkpoint format.
//!
//! - `cleaner-offset-checkpoint`: the first dirty offset of every log, as Kafka keeps it.
//! - `lastword-delete-horizon-checkpoint`: when each log's earliest tombstone or marker may go, -1 for none; Kafka ignores
//!   it. A log without an entry is looked at once.
//!
//! An entry is of a log, not of a name: whoever creates a log calls [`Checkpoints::forget`] first. A log that took a
//! predecessor's entry for its own would count as clean what never was, and lose tombstones before what they delete.
//!
//! Losing either costs work, never data, so a damaged file is reported and taken as empty. Entries of logs that are gone
//! are dropped with every write.
//!
//! Lock: `entries`. It is held while a file is written, so that the newest content is the last on disk. The caller's
//! `is_there` runs under it and takes `LogManager`'s `logs` for a look-up: nobody may come here with that one held.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lastword_record::TopicPartition;

use super::choose::DeleteHorizon;
use crate::checkpoint::OffsetCheckpointFile;
use crate::dir::Dir;
use crate::error::StorageError;
use crate::file_name;

const NO_HORIZON: i64 = -1;

pub struct Checkpoints {
    dir: Arc<dyn Dir>,
    entries: Mutex<Entries>,
}

struct Entries {
    first_dirty_offsets: BTreeMap<TopicPartition, i64>,
    horizons_ms: BTreeMap<TopicPartition, i64>,
}

impl Checkpoints {
    pub fn open(dir: Arc<dyn Dir>) -> Checkpoints {
        let entries = Entries {
            first_dirty_offsets: read(&*dir, file_name::CLEANER_OFFSET_CHECKPOINT),
            horizons_ms: read(&*dir, file_name::DELETE_HORIZON_CHECKPOINT),
        };
        Checkpoints {
            dir,
            entries: Mutex::new(entries),
        }
    }

    pub fn first_dirty_offset(&self, topic_partition: &TopicPartition) -> Option<i64> {
        self.lock()
            .first_dirty_offsets
            .get(topic_partition)
            .copied()
    }

    pub fn horizon(&self, topic_partition: &TopicPartition) -> DeleteHorizon {
        match self.lock().horizons_ms.get(topic_partition).copied() {
            None => DeleteHorizon::Unknown,
            Some(NO_HORIZON) => DeleteHorizon::None,
            Some(ms) => DeleteHorizon::At(ms),
        }
    }

    /// Sets first dirty offsets, and drops the entries of logs that are gone.
    pub fn set_first_dirty_offsets(
        &self,
        offsets: &[(TopicPartition, i64)],
        is_there: impl Fn(&TopicPartition) -> bool,
    ) -> Result<(), StorageError> {
        let mut entries = self.lock();
        entries.first_dirty_offsets.extend(offsets.iter().cloned());
        entries
            .first_dirty_offsets
            .retain(|topic_partition, _| is_there(topic_partition));
        OffsetCheckpointFile::write(
            &*self.dir,
            file_name::CLEANER_OFFSET_CHECKPOINT,
            &entries.first_dirty_offsets,
        )
    }

    /// Sets when a log's earliest tombstone or marker may go.
    pub fn set_horizon(
        &self,
        topic_partition: &TopicPartition,
        horizon: DeleteHorizon,
        is_there: impl Fn(&TopicPartition) -> bool,
    ) -> Result<(), StorageError> {
        let mut entries = self.lock();
        if !is_there(topic_partition) {
            return Ok(());
        }
        let old = match horizon {
            DeleteHorizon::Unknown => entries.horizons_ms.remove(topic_partition),
            DeleteHorizon::None => entries
                .horizons_ms
                .insert(topic_partition.clone(), NO_HORIZON),
            DeleteHorizon::At(ms) => entries.horizons_ms.insert(topic_partition.clone(), ms),
        };
        if old == entries.horizons_ms.get(topic_partition).copied() {
            return Ok(());
        }
        entries
            .horizons_ms
            .retain(|topic_partition, _| is_there(topic_partition));
        OffsetCheckpointFile::write(
            &*self.dir,
            file_name::DELETE_HORIZON_CHECKPOINT,
            &entries.horizons_ms,
        )
    }

    /// Drops what is left of logs of these names.
    pub fn forget(&self, topic_partitions: &[TopicPartition]) -> Result<(), StorageError> {
        let gone: HashSet<&TopicPartition> = topic_partitions.iter().collect();
        self.retain(|topic_partition| !gone.contains(topic_partition))
    }

    /// Drops the entries of logs that are gone; writes only what has changed.
    pub fn retain(&self, is_there: impl Fn(&TopicPartition) -> bool) -> Result<(), StorageError> {
        let mut entries = self.lock();
        let Entries {
            first_dirty_offsets,
            horizons_ms,
        } = &mut *entries;
        for (name, offsets) in [
            (file_name::CLEANER_OFFSET_CHECKPOINT, first_dirty_offsets),
            (file_name::DELETE_HORIZON_CHECKPOINT, horizons_ms),
        ] {
            let len = offsets.len();
            offsets.retain(|topic_partition, _| is_there(topic_partition));
            if offsets.len() < len {
                OffsetCheckpointFile::write(&*self.dir, name, offsets)?;
            }
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read(dir: &dyn Dir, name: &str) -> BTreeMap<TopicPartition, i64> {
    OffsetCheckpointFile::read(dir, name).unwrap_or_else(|error| {
        tracing::warn!(%error, "{name} is not readable; logs are cleaned from their start");
        BTreeMap::new()
    })
}
