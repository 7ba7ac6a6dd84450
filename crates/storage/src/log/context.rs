//! What the logs of one log directory share: the directory, the clock, whether the directory is
//! offline, the queue of logs that wait for a sync, and buffers.
//!
//! A directory goes offline once, with a reason, and stays so until the process starts again: after
//! a failed write or sync nobody knows what is on disk, and a second sync that succeeds proves
//! nothing (the kernel marks the lost pages clean).
//!
//! Locks: `log_start_offsets`, held while its file is written, so that files are written in order; `scratches`, for
//! moments. Nothing is taken under either.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use lastword_record::{Decompressor, TopicPartition};
use tracing::error;

use super::validate::Scratch;
use crate::checkpoint::OffsetCheckpointFile;
use crate::clock::Clock;
use crate::dir::Dir;
use crate::engine_stats::EngineStats;
use crate::error::StorageError;
use crate::file_name;
use crate::latency::Latencies;
use crate::lock::lock;
use crate::signal::Signal;
use crate::sync::SyncQueue;

/// Called with a partition and its HighWatermark whenever that may have moved, and once for every
/// partition when the directory has gone offline.
pub type Visibility = Arc<dyn Fn(&TopicPartition, i64) + Send + Sync>;

/// Buffers above this size are not kept for the next append.
const SCRATCH_KEPT_BYTES: usize = 1 << 20;
/// As many buffers are kept as threads may append at once.
const SCRATCHES_KEPT: usize = 16;

/// Shared by all logs of a directory.
pub(crate) struct DirectoryContext {
    pub dir: Arc<dyn Dir>,
    pub clock: Clock,
    pub sync_queue: SyncQueue,
    /// A segment was sealed, or a log has changed its config: key indexes may have to be built.
    pub sealed: Signal,
    pub latencies: Arc<Latencies>,
    pub stats: EngineStats,
    pub visibility: Option<Visibility>,
    pub max_decompressed_bytes: usize,
    producer_id_expiration_ms: AtomicI64,
    /// Appends of clients are refused while fewer bytes than this are free.
    pub min_free_bytes: u64,
    offline: OnceLock<String>,
    is_low_on_space: AtomicBool,
    /// LogStartOffset of every log that has one above 0: the content of its checkpoint file.
    log_start_offsets: Mutex<BTreeMap<TopicPartition, i64>>,
    scratches: Mutex<Vec<Scratch>>,
}

impl DirectoryContext {
    pub fn new(
        dir: Arc<dyn Dir>,
        clock: Clock,
        visibility: Option<Visibility>,
        max_decompressed_bytes: usize,
        producer_id_expiration_ms: i64,
        min_free_bytes: u64,
    ) -> DirectoryContext {
        DirectoryContext {
            dir,
            clock,
            sync_queue: SyncQueue::default(),
            sealed: Signal::default(),
            latencies: Arc::default(),
            stats: EngineStats::default(),
            visibility,
            max_decompressed_bytes,
            producer_id_expiration_ms: AtomicI64::new(producer_id_expiration_ms),
            min_free_bytes,
            offline: OnceLock::new(),
            is_low_on_space: AtomicBool::new(false),
            log_start_offsets: Mutex::default(),
            scratches: Mutex::default(),
        }
    }

    /// `producer.id.expiration.ms`.
    pub fn producer_id_expiration_ms(&self) -> i64 {
        self.producer_id_expiration_ms.load(Ordering::Relaxed)
    }

    /// Acts from the next look on.
    pub fn set_producer_id_expiration_ms(&self, expiration_ms: i64) {
        self.producer_id_expiration_ms
            .store(expiration_ms, Ordering::Relaxed);
    }

    /// Why the directory is offline, if it is.
    pub fn offline_reason(&self) -> Option<&str> {
        self.offline.get().map(String::as_str)
    }

    pub fn check_online(&self) -> Result<(), StorageError> {
        match self.offline_reason() {
            None => Ok(()),
            Some(reason) => Err(StorageError::DirectoryOffline {
                reason: reason.to_string(),
            }),
        }
    }

    /// Takes the directory offline; the first reason stays.
    pub fn take_offline(&self, reason: &str) {
        if self.offline.set(reason.to_string()).is_ok() {
            error!(
                reason,
                "log directory is offline: no more writes until a restart"
            );
            // The sync thread tells everybody who waits for a sync that will not come.
            self.sync_queue.wake();
        }
    }

    /// For the result of a write or a sync: a failure of the disk takes the directory offline.
    pub fn or_offline<T>(&self, result: Result<T, StorageError>) -> Result<T, StorageError> {
        if let Err(error) = &result
            && error.is_io()
        {
            self.take_offline(&error.to_string());
        }
        result
    }

    pub fn is_low_on_space(&self) -> bool {
        self.is_low_on_space.load(Ordering::Relaxed)
    }

    pub fn set_low_on_space(&self, is_low: bool) -> bool {
        self.is_low_on_space.swap(is_low, Ordering::Relaxed)
    }

    pub fn notify(&self, topic_partition: &TopicPartition, high_watermark: i64) {
        if let Some(visibility) = &self.visibility {
            visibility(topic_partition, high_watermark);
        }
    }

    pub fn take_scratch(&self) -> Scratch {
        lock(&self.scratches).pop().unwrap_or_else(|| Scratch {
            decompressor: Decompressor::new(self.max_decompressed_bytes),
            output: Vec::new(),
        })
    }

    pub fn give_back(&self, mut scratch: Scratch) {
        scratch.decompressor.shrink_to(SCRATCH_KEPT_BYTES);
        scratch.output.clear();
        scratch.output.shrink_to(SCRATCH_KEPT_BYTES);
        let mut scratches = lock(&self.scratches);
        if scratches.len() < SCRATCHES_KEPT {
            scratches.push(scratch);
        }
    }

    /// Remembers a LogStartOffset for the next checkpoint. It only rises.
    pub fn note_log_start_offset(&self, topic_partition: &TopicPartition, offset: i64) {
        if offset > 0 {
            let mut offsets = lock(&self.log_start_offsets);
            let entry = offsets.entry(topic_partition.clone()).or_insert(0);
            *entry = (*entry).max(offset);
        }
    }

    pub fn forget_log_start_offset(&self, topic_partition: &TopicPartition) {
        lock(&self.log_start_offsets).remove(topic_partition);
    }

    /// Writes `log-start-offset-checkpoint`. Durable before any file below an offset is removed:
    /// otherwise a power cut could bring back an old segment without the newer one that had
    /// deleted its keys.
    pub fn write_log_start_offsets(&self) -> Result<(), StorageError> {
        let offsets = lock(&self.log_start_offsets);
        let name = file_name::LOG_START_OFFSET_CHECKPOINT;
        self.or_offline(OffsetCheckpointFile::write(&*self.dir, name, &offsets))
    }
}
