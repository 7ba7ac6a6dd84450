//! The log cleaner: keeps the last record of every key of compacted logs, and removes the others.
//!
//! ```text
//! choose  ->  plan  ->  group  ->  rewrite  ->  Log::replace_segments  ->  checkpoints
//! which log   what is   which      the          the swap, journaled        first dirty offset,
//! is next     dead      together   survivors                               next delete horizon
//! ```
//! `choose`, `group` and `retain` are pure; `clean` runs one cleaning on the calling thread; `worker` is what a
//! thread does, and this file owns the threads.
//! `docs/cleaning.md` says what is kept, what goes and when.
//!
//! Invariants: a log is cleaned by one thread at a time. A failed log is tried again later, each time after a longer
//! wait, and nothing else waits for it; a panic counts as a failure of its log.
//!
//! Locks: `threads` -> `running` -> `config`, the latter two of `worker`, which has the others; `indexer` for moments.
//! None is held while a log is planned or cleaned.
//!
//! Not here: retention, rolling and the deletion of logs, which are `LogManager`'s.

pub(crate) mod checkpoints;
pub mod choose;
mod clean;
mod control;
mod feedback;
mod finishing;
mod group;
mod indexer;
mod indexes;
pub(crate) mod join;
pub(crate) mod ordinal_set;
mod output_writer;
pub(crate) mod plan;
mod progress;
mod range_reader;
mod reason;
mod rebatch;
mod retain;
mod rewrite;
mod secret;
mod stats;
mod status;
mod throttle;
pub(crate) mod transactions;
mod worker;

use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use lastword_record::TopicPartition;

pub use choose::{Bounds, DeleteHorizon, Limit, Sizes, Trigger};
pub use clean::{CleanRequest, Cleaned, CleanerResources, clean_log, plan_log};
pub use control::Control;
pub use plan::{Plan, SegmentPlan};
pub use progress::{Phase, Progress, ProgressView};
pub use reason::{OpenTransaction, Pause, Reason, ReasonCode, Running};
pub use secret::{existing_key_hasher, key_hasher};
pub use stats::{CleanStats, DeadRecords};
pub use status::{
    CleanerOverview, CleanerState, Counts, IsolatedSegment, LogStatus, PastCleaning, Totals,
};
pub use throttle::Throttle;

use worker::{Shared, Work};

use crate::config::CleanerConfig;
use crate::error::StorageError;
use crate::lock::lock;
use crate::manager::LogManager;

/// Cleans the compacted logs of one log directory. Dropped, it stops.
pub struct LogCleaner {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    indexer: Mutex<Option<JoinHandle<()>>>,
}

/// What a cleaning would drop.
#[derive(Debug, Clone, PartialEq)]
pub struct DryRun {
    pub bounds: Bounds,
    pub dead: DeadRecords,
    pub records: u64,
    /// What the dead records take uncompressed, and the batches that go with them.
    pub dead_bytes: u64,
    /// Bytes of the segments afterwards, estimated where batches are compressed.
    pub live_bytes: u64,
    /// Keys whose last word has a value.
    pub live_keys: u64,
    /// Tombstones that stay, because their horizon has not passed.
    pub tombstones: u64,
    /// Those below the first uncleanable offset, in order.
    pub segments: Vec<SegmentDryRun>,
}

/// What a cleaning would do with one segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentDryRun {
    pub base_offset: i64,
    /// Exclusive.
    pub end_offset: i64,
    pub size_bytes: u64,
    pub records: u64,
    pub dead_records: u64,
    /// Tombstones that stay.
    pub tombstones: u64,
    /// Estimated where batches are compressed.
    pub live_bytes: u64,
    /// It would not stay as it is.
    pub is_changed: bool,
    /// It is damaged, and stays as it is.
    pub damage: Option<String>,
}

impl DryRun {
    fn new(bounds: Bounds, plan: &Plan) -> DryRun {
        let counts = Counts::of_plan(plan, &bounds, 0);
        let segments = plan.segments.iter().map(|planned| SegmentDryRun {
            base_offset: planned.segment.base_offset(),
            end_offset: planned.segment.next_offset(),
            size_bytes: planned.size_bytes.into(),
            records: planned.records,
            dead_records: planned.dead.len(),
            tombstones: planned.waiting_tombstones(),
            live_bytes: planned.live_bytes(),
            is_changed: planned.is_changed(),
            damage: planned.damage.clone(),
        });
        DryRun {
            bounds,
            dead: counts.dead,
            records: counts.records,
            dead_bytes: counts.dead_bytes,
            live_bytes: counts.live_bytes,
            live_keys: counts.live_keys,
            tombstones: counts.tombstones,
            segments: segments.collect(),
        }
    }
}

impl LogCleaner {
    /// A cleaner with its threads running; none when it is disabled or has no threads.
    pub fn start(
        manager: Arc<LogManager>,
        config: CleanerConfig,
    ) -> Result<LogCleaner, StorageError> {
        let threads = if config.enable { config.threads } else { 0 };
        let cleaner = LogCleaner::new(manager, config)?;
        cleaner.start_threads(threads)?;
        if threads > 0 {
            let shared = cleaner.shared.clone();
            let thread = std::thread::Builder::new()
                .name("log-cleaner-index".to_string())
                .spawn(move || indexer::run(&shared))
                .map_err(|source| StorageError::io("start", "the key index thread", source))?;
            *lock(&cleaner.indexer) = Some(thread);
        }
        Ok(cleaner)
    }

    /// A cleaner without threads: it cleans when it is told to.
    pub fn new(
        manager: Arc<LogManager>,
        config: CleanerConfig,
    ) -> Result<LogCleaner, StorageError> {
        let shared = Arc::new(Shared::new(manager, config)?);
        Ok(LogCleaner {
            shared,
            threads: Mutex::new(Vec::new()),
            indexer: Mutex::new(None),
        })
    }

    /// Ends every cleaning at its next batch and waits for the threads. Nothing is lost: what was swapped in stays, the
    /// rest is done again. A stopped cleaner does not start again.
    pub fn stop(&self) {
        self.shared.stop();
        let threads = std::mem::take(&mut *lock(&self.threads));
        let indexer = lock(&self.indexer).take();
        for thread in threads.into_iter().chain(indexer) {
            if thread.join().is_err() {
                tracing::error!("a cleaner thread panicked");
            }
        }
    }

    /// Starts threads until so many run. Those of a higher number end by themselves, after their cleaning.
    fn start_threads(&self, wanted: u32) -> Result<(), StorageError> {
        let mut threads = lock(&self.threads);
        if self.shared.is_stopped() {
            return Ok(());
        }
        for number in 0..wanted as usize {
            let is_dead = threads.get(number).is_some_and(JoinHandle::is_finished);
            if !self.shared.enter(number) && !is_dead {
                continue;
            }
            let shared = self.shared.clone();
            let thread = std::thread::Builder::new()
                .name(format!("log-cleaner-{number}"))
                .spawn(move || shared.run(number))
                .map_err(|source| StorageError::io("start", "a cleaner thread", source))?;
            match threads.get_mut(number) {
                Some(ended) => *ended = thread,
                None => threads.push(thread),
            }
        }
        Ok(())
    }

    /// Makes idle threads look for work now.
    pub fn wake(&self) {
        self.shared.wake();
    }

    /// Takes over a config, at once also for who waits in the throttle. Threads that are too many end after their
    /// cleaning; new ones start if this cleaner has threads at all. What is being cleaned keeps its memory.
    pub fn update_config(&self, config: CleanerConfig) -> Result<(), StorageError> {
        let wanted = if config.enable { config.threads } else { 0 };
        let has_threads = !lock(&self.threads).is_empty();
        self.shared.update_config(config);
        if has_threads {
            self.start_threads(wanted)?;
        }
        Ok(())
    }

    /// Cleans a log on the calling thread, whatever its dirty ratio and earlier failures. Waits for a cleaning of the
    /// same log that is under way.
    pub fn clean_now(&self, topic_partition: &TopicPartition) -> Result<CleanStats, StorageError> {
        self.clean_and_show(topic_partition, &Arc::default())
    }

    /// The same, and `progress` shows how far it is.
    pub fn clean_and_show(
        &self,
        topic_partition: &TopicPartition,
        progress: &Arc<Progress>,
    ) -> Result<CleanStats, StorageError> {
        let log = self.shared.compacted_log(topic_partition)?;
        let bounds = self.shared.claim_unpaused(&log, progress)?;
        self.shared.clean(&log, &bounds, Work::Asked, progress)
    }

    /// Keeps what lies at or above `offset` from being cleaned, as if it were not committed: another program's
    /// HighWatermark.
    pub fn keep_from(&self, topic_partition: &TopicPartition, offset: i64) {
        self.shared.keep_from(topic_partition, offset);
    }

    /// Looks once for a log to clean, as a thread does, and cleans it on the calling thread.
    pub fn clean_next(&self) -> Option<(TopicPartition, Result<CleanStats, StorageError>)> {
        self.shared.clean_next()
    }

    /// Finds what a cleaning of a log would drop. No record goes; key indexes that are missing are built.
    /// Waits for a cleaning of the same log that is under way.
    pub fn dry_run(&self, topic_partition: &TopicPartition) -> Result<DryRun, StorageError> {
        let log = self.shared.compacted_log(topic_partition)?;
        let (bounds, plan) = self.shared.plan(&log)?;
        Ok(DryRun::new(bounds, &plan))
    }

    /// Every log of the directory as the cleaner sees it, judged anew.
    pub fn status(&self) -> Vec<LogStatus> {
        self.shared.status(&self.shared.manager.logs())
    }

    /// One log as the cleaner sees it, judged anew.
    pub fn status_of(&self, topic_partition: &TopicPartition) -> Option<LogStatus> {
        let log = self.shared.manager.get(topic_partition)?;
        self.shared.status_of(&log)
    }

    /// Keeps a log from being cleaned, by its threads and on request, until it is resumed, deleted, or this cleaner ends.
    /// A cleaning of it that is under way ends at its next batch. Answers the pause that holds: a first one stays.
    pub fn pause(&self, topic_partition: &TopicPartition, by: &str) -> Result<Pause, StorageError> {
        let log = self.shared.compacted_log(topic_partition)?;
        let since_ms = self.shared.manager.clock().now_ms();
        let by = by.into();
        Ok(self
            .shared
            .pause(log.topic_partition(), Pause { by, since_ms }))
    }

    /// Ends a pause; none when there was none.
    pub fn resume(&self, topic_partition: &TopicPartition) -> Option<Pause> {
        self.shared.resume(topic_partition)
    }

    /// The cleaner as a whole.
    pub fn overview(&self) -> CleanerOverview {
        self.shared.overview()
    }

    /// The last cleanings that ended well, at most 200, oldest first.
    pub fn recent(&self) -> Vec<PastCleaning> {
        self.shared.recent()
    }

    /// Threads that run; fewer than configured means that one died.
    pub fn running_threads(&self) -> usize {
        lock(&self.threads)
            .iter()
            .filter(|thread| !thread.is_finished())
            .count()
    }

    /// Bytes read and written since the start.
    pub fn throttled_bytes(&self) -> u64 {
        self.shared.throttle.total_bytes()
    }
}

impl Drop for LogCleaner {
    fn drop(&mut self) {
        self.stop();
    }
}

impl std::fmt::Debug for LogCleaner {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("LogCleaner")
            .field("running_threads", &self.running_threads())
            .finish_non_exhaustive()
    }
}
