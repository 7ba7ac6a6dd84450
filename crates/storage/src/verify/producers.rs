//! What is known of the producers of a log: from its batches alone, and by the broker that opens it.
//!
//! A broker begins with the newest snapshot that can be read and goes on with the batches behind it, so a producer that
//! the snapshot does not have any more is forgotten, whatever older batches of it are left. Kafka passes over a marker
//! without its record (a cleaning has emptied it): where no snapshot knows its producer, it says nothing.
//!
//! Memory follows the producers that were ever there.

use std::collections::HashMap;

use lastword_record::BatchHeader;

use super::Source;
use super::reader::PartitionFiles;
use crate::dir::read_file;
use crate::error::StorageError;
use crate::file_name::{self, LIVE, SegmentFile};
use crate::producer_state::snapshot;

/// The last batch of a producer, by which a repetition is recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProducerEnd {
    pub epoch: i16,
    /// Last offset and last sequence; none when only a marker of this epoch is known.
    pub last_batch: Option<(i64, i32)>,
    pub timestamp_ms: i64,
    /// Of its last batch or marker.
    pub last_offset: i64,
}

impl ProducerEnd {
    /// Whether the next batch of the producer would be judged the same.
    pub fn is_as(&self, other: &ProducerEnd) -> bool {
        (self.epoch, self.last_batch) == (other.epoch, other.last_batch)
    }
}

/// Producers by id. Fed with batches in order.
#[derive(Debug, Default)]
pub struct Producers {
    ends: HashMap<i64, ProducerEnd>,
    /// Batches below are in the snapshot that it began with.
    from_offset: i64,
    passes_over_empty_markers: bool,
}

impl Producers {
    /// What the batches say, every one of them.
    pub fn of_batches() -> Producers {
        Producers::default()
    }

    /// What the batches say to Kafka.
    pub fn of_batches_by_kafka() -> Producers {
        Producers {
            passes_over_empty_markers: true,
            ..Producers::default()
        }
    }

    /// What the broker that opens this log begins with.
    pub fn of_opening(source: &Source, files: &PartitionFiles) -> Result<Producers, StorageError> {
        let mut producers = Producers::of_batches_by_kafka();
        let kind = SegmentFile::ProducerSnapshot;
        for &offset in files.snapshots.iter().rev() {
            let path = file_name::segment_path(&source.partition_dir, offset, kind, LIVE);
            let bytes = read_file(&*source.dir, &path)
                .map_err(|error| StorageError::io("read", path.clone(), error))?;
            let Ok(entries) = snapshot::decode(&bytes) else {
                continue;
            };
            producers.from_offset = offset;
            // Kafka keeps an entry without an epoch for a marker that it has passed over.
            let known = entries
                .iter()
                .filter(|(_, entry)| entry.producer_epoch >= 0);
            producers.ends.extend(known.map(|(id, entry)| {
                let last_batch = entry.last_batch();
                let end = ProducerEnd {
                    epoch: entry.producer_epoch,
                    last_batch: last_batch.map(|batch| (batch.last_offset, batch.last_sequence)),
                    timestamp_ms: entry.last_timestamp,
                    last_offset: last_batch.map_or(-1, |batch| batch.last_offset),
                };
                (*id, end)
            }));
            break;
        }
        Ok(producers)
    }

    /// Takes the next batch.
    pub fn push(&mut self, header: &BatchHeader) {
        let is_empty_marker = header.is_control() && header.record_count == 0;
        let is_passed_over = self.passes_over_empty_markers && is_empty_marker;
        if !header.has_producer_id() || header.base_offset < self.from_offset || is_passed_over {
            return;
        }
        let entry = self.ends.entry(header.producer_id).or_insert(ProducerEnd {
            epoch: header.producer_epoch,
            last_batch: None,
            timestamp_ms: header.max_timestamp,
            last_offset: header.last_offset(),
        });
        if entry.epoch != header.producer_epoch {
            entry.epoch = header.producer_epoch;
            entry.last_batch = None;
        }
        entry.timestamp_ms = header.max_timestamp;
        entry.last_offset = header.last_offset();
        if !header.is_control() {
            entry.last_batch = Some((header.last_offset(), header.last_sequence()));
        }
    }

    /// In no order.
    pub fn iter(&self) -> impl Iterator<Item = (i64, ProducerEnd)> + '_ {
        self.ends.iter().map(|(id, end)| (*id, *end))
    }

    pub fn get(&self, id: i64) -> Option<ProducerEnd> {
        self.ends.get(&id).copied()
    }
}
