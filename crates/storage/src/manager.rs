//! `LogManager`: all logs of one log directory.
//!
//! Opening takes the directory's lock, notes whether the last process stopped in order, removes the
//! marker that says so (durably, before anything is written), and loads the partitions on several
//! threads. A partition that cannot be loaded does not stop the others: it is listed with its
//! reason. Closing makes everything durable, writes the checkpoints, and last the marker.
//!
//! Locks, in the order they are taken: `timers` (one tick at a time), `changes` (one creation or
//! deletion at a time), `checkpoint` (one writer of the checkpoint files), then a log's own; `logs`
//! and the other maps are held for moments only, and never while something else is locked.
//!
//! It starts no thread by itself: see [`start_background`].

mod background;
mod meta_properties;
mod open;
mod tick;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};

use lastword_record::{TopicId, TopicPartition};
use tracing::{info, warn};

use crate::checkpoint::OffsetCheckpointFile;
use crate::cleaner::checkpoints::Checkpoints;
use crate::clock::Clock;
use crate::config::LogConfig;
use crate::dir::Dir;
use crate::engine_stats::EngineStats;
use crate::error::StorageError;
use crate::file_name;
use crate::latency::Latencies;
use crate::lock::lock;
use crate::log::{DirectoryContext, Log, Visibility, load};
use crate::signal::Signal;
use crate::sync;

pub use background::{Background, start_background, start_sync_thread};
pub use meta_properties::{Identity, MetaProperties};
use tick::Timers;

/// How a log directory is served.
#[derive(Clone)]
pub struct LogManagerConfig {
    /// `num.recovery.threads.per.data.dir`
    pub recovery_threads: usize,
    /// Called with a partition and its HighWatermark after every sync, from the sync thread.
    pub visibility: Option<Visibility>,
    /// No batch is decompressed beyond this.
    pub max_decompressed_bytes: usize,
    /// `producer.id.expiration.ms`
    pub producer_id_expiration_ms: i64,
    /// How often the tick thread ticks: rolls by time happen at this pace.
    pub tick_interval_ms: u64,
    /// `log.retention.check.interval.ms`
    pub retention_check_interval_ms: i64,
    /// How long retention waits after the clock has jumped forward by more than an hour between
    /// two ticks; 0: not at all.
    pub clock_jump_cooling_ms: i64,
    /// `log.flush.offset.checkpoint.interval.ms`
    pub checkpoint_interval_ms: i64,
    /// How often silent producers are looked for.
    pub producer_expiration_check_interval_ms: i64,
    /// Appends are refused while fewer bytes than this are free; everything else goes on.
    pub min_free_bytes: u64,
    pub identity: Identity,
}

impl Default for LogManagerConfig {
    fn default() -> LogManagerConfig {
        LogManagerConfig {
            recovery_threads: 2,
            visibility: None,
            max_decompressed_bytes: 128 << 20,
            producer_id_expiration_ms: 86_400_000,
            tick_interval_ms: 1_000,
            retention_check_interval_ms: 300_000,
            clock_jump_cooling_ms: 600_000,
            checkpoint_interval_ms: 60_000,
            producer_expiration_check_interval_ms: 600_000,
            min_free_bytes: 64 << 20,
            identity: Identity::default(),
        }
    }
}

/// What the checkpoint files hold.
#[derive(Default)]
struct CheckpointState {
    /// They are written when this changes.
    written: Option<BTreeMap<TopicPartition, i64>>,
    /// Partitions that the files speak of but that are gone. One of the same name must not be
    /// created before the files have forgotten the old one.
    stale: BTreeSet<TopicPartition>,
}

/// All logs of one directory.
pub struct LogManager {
    context: Arc<DirectoryContext>,
    config: LogManagerConfig,
    cluster: MetaProperties,
    logs: RwLock<HashMap<TopicPartition, Arc<Log>>>,
    /// One creation or deletion at a time; they wait for the disk, and nobody else shall.
    changes: Mutex<()>,
    /// Partitions that could not be loaded, and why.
    failed: Mutex<BTreeMap<TopicPartition, String>>,
    /// Directories renamed by a deletion, to be removed by a tick.
    deleting: Mutex<Vec<String>>,
    timers: Mutex<Timers>,
    checkpoint: Mutex<CheckpointState>,
    /// Those of the cleaners of this directory.
    cleaner_checkpoints: Mutex<Vec<Weak<Checkpoints>>>,
    is_closed: AtomicBool,
    /// Given back when the manager is dropped.
    _directory_lock: Box<dyn Send + Sync>,
}

impl LogManager {
    /// Opens a log directory and every log in it. `configs` gives the config of a topic.
    pub fn open(
        config: LogManagerConfig,
        dir: Arc<dyn Dir>,
        clock: Clock,
        configs: &dyn Fn(&str) -> LogConfig,
    ) -> Result<Arc<LogManager>, StorageError> {
        open::open(config, dir, clock, configs)
    }

    /// Whose directory this is.
    pub fn cluster(&self) -> &MetaProperties {
        &self.cluster
    }

    /// What it was opened with.
    pub fn config(&self) -> &LogManagerConfig {
        &self.config
    }

    /// Where group commits are reported, and requests should be.
    pub fn latencies(&self) -> &Arc<Latencies> {
        &self.context.latencies
    }

    /// What only metrics read.
    pub fn stats(&self) -> &EngineStats {
        &self.context.stats
    }

    /// The clock of all its logs.
    pub fn clock(&self) -> &Clock {
        &self.context.clock
    }

    /// The log directory.
    pub fn dir(&self) -> Arc<dyn Dir> {
        Arc::clone(&self.context.dir)
    }

    /// Creates a partition; durable when this returns.
    pub fn create(
        &self,
        topic_partition: &TopicPartition,
        topic_id: TopicId,
        config: LogConfig,
    ) -> Result<Arc<Log>, StorageError> {
        let mut created =
            self.create_all(std::slice::from_ref(topic_partition), topic_id, &config)?;
        created.pop().ok_or(StorageError::Closed)
    }

    /// Creates partitions of a topic, all or none; durable when this returns. Many cost hardly more
    /// syncs than one.
    pub fn create_all(
        &self,
        topic_partitions: &[TopicPartition],
        topic_id: TopicId,
        config: &LogConfig,
    ) -> Result<Vec<Arc<Log>>, StorageError> {
        self.check_open()?;
        if self.context.is_low_on_space() {
            return Err(StorageError::LowOnSpace {
                min_free_bytes: self.context.min_free_bytes,
            });
        }
        let _one_at_a_time = lock(&self.changes);
        for topic_partition in topic_partitions {
            if self.get(topic_partition).is_some()
                || lock(&self.failed).contains_key(topic_partition)
            {
                return Err(StorageError::PartitionExists {
                    topic_partition: topic_partition.clone(),
                });
            }
        }
        let is_stale = {
            let checkpoint = lock(&self.checkpoint);
            topic_partitions
                .iter()
                .any(|it| checkpoint.stale.contains(it))
        };
        if is_stale {
            self.checkpoint()?;
        }
        self.forget_cleanings(topic_partitions)?;
        let created = match self.create_files(topic_partitions, topic_id, config) {
            Ok(created) => created,
            // Nothing relies on these files yet: without room for them the others still serve.
            Err(error) if error.is_out_of_space() => return Err(error),
            Err(error) => return self.context.or_offline(Err(error)),
        };
        let mut logs = self.logs.write().unwrap_or_else(PoisonError::into_inner);
        for log in &created {
            logs.insert(log.topic_partition().clone(), Arc::clone(log));
        }
        Ok(created)
    }

    /// `producer.id.expiration.ms` as it is now.
    pub fn producer_id_expiration_ms(&self) -> i64 {
        self.context.producer_id_expiration_ms()
    }

    /// Changes `producer.id.expiration.ms`; acts from the next look on.
    pub fn set_producer_id_expiration_ms(&self, expiration_ms: i64) {
        self.context.set_producer_id_expiration_ms(expiration_ms);
    }

    /// Raised when key indexes may have to be built.
    pub(crate) fn sealed_signal(&self) -> &Signal {
        &self.context.sealed
    }

    /// For a cleaner that starts.
    pub(crate) fn attach_cleaner(&self, checkpoints: &Arc<Checkpoints>) {
        let mut attached = lock(&self.cleaner_checkpoints);
        attached.retain(|checkpoints| checkpoints.strong_count() > 0);
        attached.push(Arc::downgrade(checkpoints));
    }

    /// What the cleaner knows of a name is of a log that is gone. Without a cleaner its files must
    /// forget it too: the next cleaner cannot tell.
    fn forget_cleanings(&self, topic_partitions: &[TopicPartition]) -> Result<(), StorageError> {
        let attached = lock(&self.cleaner_checkpoints).clone();
        let mut attached: Vec<_> = attached.iter().filter_map(Weak::upgrade).collect();
        if attached.is_empty() {
            attached.push(Arc::new(Checkpoints::open(self.dir())));
        }
        let mut attached = attached.iter();
        attached.try_for_each(|it| self.context.or_offline(it.forget(topic_partitions)))
    }

    /// All files, durable; or none of them.
    fn create_files(
        &self,
        topic_partitions: &[TopicPartition],
        topic_id: TopicId,
        config: &LogConfig,
    ) -> Result<Vec<Arc<Log>>, StorageError> {
        let mut created = Vec::with_capacity(topic_partitions.len());
        let mut made = || {
            for topic_partition in topic_partitions {
                let config = config.clone();
                let log = load::create(&self.context, topic_partition, topic_id, config)?;
                created.push(log);
            }
            load::sync_created(&self.context, &created)
        };
        if let Err(error) = made() {
            // The one that failed has files too, unless they are somebody else's.
            let is_foreign = matches!(error, StorageError::PartitionExists { .. });
            let count = created.len() + usize::from(!is_foreign);
            for topic_partition in topic_partitions.iter().take(count) {
                let name = file_name::partition_dir(topic_partition);
                if let Err(error) = tick::remove_tree(&*self.context.dir, &name) {
                    warn!(dir = name, %error, "cannot remove a new partition again");
                }
            }
            return Err(error);
        }
        Ok(created)
    }

    /// The log of a partition, if it is here and was loaded.
    pub fn get(&self, topic_partition: &TopicPartition) -> Option<Arc<Log>> {
        let logs = self.logs.read().unwrap_or_else(PoisonError::into_inner);
        logs.get(topic_partition).cloned()
    }

    /// Every log, in the order of topic and partition.
    pub fn logs(&self) -> Vec<Arc<Log>> {
        let logs = self.logs.read().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<Arc<Log>> = logs.values().cloned().collect();
        drop(logs);
        all.sort_by(|a, b| a.topic_partition().cmp(b.topic_partition()));
        all
    }

    /// The partitions that could not be loaded, and why. Their files are left as they are.
    pub fn failed(&self) -> BTreeMap<TopicPartition, String> {
        lock(&self.failed).clone()
    }

    /// Deletes a partition: gone from the directory's names, durably, when this returns; its files
    /// are removed by a tick. Readers who hold segments finish. One that could not be loaded can be
    /// deleted too.
    pub fn delete(&self, topic_partition: &TopicPartition) -> Result<(), StorageError> {
        self.check_open()?;
        let _one_at_a_time = lock(&self.changes);
        let mut logs = self.logs.write().unwrap_or_else(PoisonError::into_inner);
        let removed = logs.remove(topic_partition);
        drop(logs);
        match removed {
            Some(log) => log.close_for_deletion(),
            None if lock(&self.failed).remove(topic_partition).is_some() => {}
            None => {
                return Err(StorageError::UnknownPartition {
                    topic_partition: topic_partition.clone(),
                });
            }
        }
        let mut id = [0; 16];
        getrandom::fill(&mut id).map_err(|error| {
            let error = std::io::Error::other(error.to_string());
            StorageError::io("read", "random bytes", error)
        })?;
        let from = file_name::partition_dir(topic_partition);
        let to = file_name::deleting_dir(topic_partition, u128::from_be_bytes(id));
        let dir = &self.context.dir;
        let renamed = dir
            .rename(&from, &to)
            .and_then(|()| dir.sync_dir(""))
            .map_err(|error| StorageError::io("rename", from, error));
        self.context.or_offline(renamed)?;
        self.context.forget_log_start_offset(topic_partition);
        lock(&self.checkpoint).stale.insert(topic_partition.clone());
        lock(&self.deleting).push(to);
        info!(partition = %topic_partition, "deleted");
        Ok(())
    }

    /// What is due: rolls by time, retention, checkpoints, producer expiry, deferred deletion, and
    /// a look at the free space.
    pub fn tick(&self, now_ms: i64) {
        tick::tick(self, now_ms);
    }

    /// Writes the recovery points, HighWatermarks and LogStartOffsets.
    pub fn checkpoint(&self) -> Result<(), StorageError> {
        self.context.check_online()?;
        let mut state = lock(&self.checkpoint);
        let high_watermarks: BTreeMap<TopicPartition, i64> = self
            .logs()
            .iter()
            .map(|log| (log.topic_partition().clone(), log.offsets().high_watermark))
            .collect();
        if state.written.as_ref() == Some(&high_watermarks) && state.stale.is_empty() {
            return Ok(());
        }
        // HighWatermark is what is on disk, so the two files say the same.
        for name in [
            file_name::RECOVERY_POINT_CHECKPOINT,
            file_name::HIGH_WATERMARK_CHECKPOINT,
        ] {
            let result = OffsetCheckpointFile::write(&*self.context.dir, name, &high_watermarks);
            self.context.or_offline(result)?;
        }
        self.context.write_log_start_offsets()?;
        state.written = Some(high_watermarks);
        state.stale.clear();
        Ok(())
    }

    /// Makes every log durable as far as it reaches now: for those who run no sync thread.
    pub fn sync_all(&self) -> Result<(), StorageError> {
        let dirty = self.context.sync_queue.take();
        sync::sync_logs(&self.context, &dirty)
    }

    /// Stops in order: everything durable, checkpoints, and last the marker that lets the next
    /// start trust it. Stop the background threads first. A second call does nothing.
    pub fn close(&self) -> Result<(), StorageError> {
        if self.is_closed.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        self.context.check_online()?;
        let logs = self.logs();
        for log in &logs {
            let prepared = log.prepare_close();
            self.context.or_offline(prepared)?;
        }
        // One call for all logs: data, indexes, snapshots and names.
        let synced = self.context.dir.sync_file_system();
        let synced = synced.map_err(|error| StorageError::io("sync", "the file system", error));
        self.context.or_offline(synced)?;
        for log in &logs {
            log.begin_sync().finish()?;
        }
        self.checkpoint()?;
        // A partition that could not be loaded must be verified again by the next start.
        if lock(&self.failed).is_empty() {
            let written = open::write_clean_marker(&*self.context.dir);
            self.context.or_offline(written)?;
        }
        info!(partitions = logs.len(), "log directory closed");
        Ok(())
    }

    /// Why the directory takes no more writes, if that is so.
    pub fn is_offline(&self) -> Option<String> {
        self.context.offline_reason().map(str::to_string)
    }

    /// True while too little space is left to take appends.
    pub fn is_low_on_space(&self) -> bool {
        self.context.is_low_on_space()
    }

    fn check_open(&self) -> Result<(), StorageError> {
        if self.is_closed.load(Ordering::Acquire) {
            return Err(StorageError::Closed);
        }
        self.context.check_online()
    }
}
