//! `Log`: one partition's records, as a list of segments that is appended to at its end.
//!
//! `LogStartOffset <= LastStableOffset <= HighWatermark <= LogEndOffset`, at every moment a reader
//! can see (`offsets`). HighWatermark is what is durable; a sync moves it.
//!
//! Invariants
//! - Every segment but the active one is wholly durable, and every segment of the set has a durable
//!   name: a roll syncs the old segment and the directory before the new segment is published. So a
//!   sync is one `fdatasync` of the active segment, and only that one can have a torn tail.
//! - A segment in the set is never changed, except that the active one grows.
//! - Offsets rise strictly; a record keeps its offset for ever.
//!
//! Locks, in the order they are taken: `replace_lock` (one swap at a time) → `sync_lock` (one sync
//! at a time) → `writer` (everything that changes the log). Readers take none of them: they load
//! the published offsets and the published segment set. A caller's own locks come before these.
//!
//! It does not start threads, know other partitions, or decide what is cleaned.

mod append;
mod close;
mod context;
mod delete;
pub mod leader_epochs;
mod leftovers;
mod list_offsets;
pub(crate) mod load;
mod offsets;
mod read;
mod replace;
mod replace_journal;
pub mod retention;
mod roll;
mod segment_set;
mod snapshots;
mod sync_log;
mod upgrade;
pub(crate) mod validate;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, Weak};

use arc_swap::ArcSwap;
use lastword_record::{TopicId, TopicPartition};

use crate::config::LogConfig;
use crate::dir::Dir;
use crate::engine_stats::EngineStats;
use crate::error::StorageError;
use crate::lock::lock;
use crate::producer_state::{
    Opening, ProducerPin, ProducerStateManager, ProducerView, VerificationGuard,
};
use crate::segment::{IndexSettings, Segment, TimestampedOffset};

pub use append::Appended;
use append::TransactionCheck;
pub(crate) use context::DirectoryContext;
pub use context::Visibility;
use leader_epochs::LeaderEpochs;
use offsets::PublishedOffsets;
pub use offsets::{LogOffsets, LogPosition};
pub use read::{FetchData, FetchSlice, Isolation, ReadRequest};
pub use replace_journal::{JournalOutput, ReplaceJournal};
pub use segment_set::SegmentSet;
pub use validate::AppendOrigin;

/// One partition's log. Shared as `Arc<Log>`; every method takes `&self`.
pub struct Log {
    this: Weak<Log>,
    context: Arc<DirectoryContext>,
    topic_partition: TopicPartition,
    topic_id: TopicId,
    partition_dir: String,
    config: ArcSwap<LogConfig>,
    published: PublishedOffsets,
    segments: ArcSwap<SegmentSet>,
    leader_epochs: ArcSwap<LeaderEpochs>,
    /// Guards every change of the log.
    writer: Mutex<LogWriter>,
    /// Held from the capture of LogEndOffset to the publication of HighWatermark.
    sync_lock: Mutex<()>,
    /// Held during a swap of segments.
    replace_lock: Mutex<()>,
    /// Set when something was appended since the last sync began.
    is_dirty: AtomicBool,
    is_closed: AtomicBool,
    /// When the active segment received its first batch, by the wall clock; [`NEVER`] while it is
    /// empty. Written under the writer lock, read by anybody.
    first_append_ms: AtomicI64,
}

/// Of [`Log::first_append_ms`].
const NEVER: i64 = i64::MIN;

/// What the writer lock guards.
struct LogWriter {
    active: Arc<Segment>,
    producers: ProducerStateManager,
    /// Offset of the newest producer snapshot on disk.
    last_snapshot_offset: i64,
}

impl Log {
    /// Its topic and number.
    pub fn topic_partition(&self) -> &TopicPartition {
        &self.topic_partition
    }

    /// The id of its topic, from `partition.metadata`.
    pub fn topic_id(&self) -> TopicId {
        self.topic_id
    }

    /// The config in force.
    pub fn config(&self) -> Arc<LogConfig> {
        self.config.load_full()
    }

    /// Takes effect at once: on the next append, roll, retention and cleaning.
    pub fn update_config(&self, config: LogConfig) {
        self.config.store(Arc::new(config));
        self.context.sealed.raise();
    }

    /// The log directory this partition lives in.
    pub fn dir(&self) -> Arc<dyn Dir> {
        Arc::clone(&self.context.dir)
    }

    /// The counters of the directory.
    pub(crate) fn engine_stats(&self) -> &EngineStats {
        &self.context.stats
    }

    /// Name of the partition's directory in [`Log::dir`].
    pub fn partition_dir(&self) -> &str {
        &self.partition_dir
    }

    /// How the indexes of this log's segments are written.
    pub fn index_settings(&self) -> IndexSettings {
        index_settings(&self.config.load())
    }

    /// Validates and appends; see [`Appended`]. Neither durable nor visible before a sync.
    pub fn append(
        &self,
        batches: &[u8],
        origin: AppendOrigin,
        leader_epoch: i32,
    ) -> Result<Appended, StorageError> {
        append::append(
            self,
            batches,
            origin,
            TransactionCheck::Trusted,
            leader_epoch,
        )
    }

    /// Appends a client's batch that may open a transaction; see [`Log::begin_verification`].
    pub fn append_verified(
        &self,
        batch: &[u8],
        guard: Option<VerificationGuard>,
        leader_epoch: i32,
    ) -> Result<Appended, StorageError> {
        let check = TransactionCheck::Verified(guard);
        append::append(self, batch, AppendOrigin::Client, check, leader_epoch)
    }

    /// Appends the end of a transaction; with `bumps_epochs` (transactions v2) its epoch must be
    /// above that of the transaction, so that a late one cannot end the next.
    pub fn append_marker(
        &self,
        batch: &[u8],
        bumps_epochs: bool,
        leader_epoch: i32,
    ) -> Result<Appended, StorageError> {
        let check = match bumps_epochs {
            true => TransactionCheck::BumpedMarker,
            false => TransactionCheck::Trusted,
        };
        append::append(self, batch, AppendOrigin::Coordinator, check, leader_epoch)
    }

    /// A producer wants to write in a transaction: the guard to append with once the coordinator
    /// of the transaction knows that this log takes part; `None` when that is known already.
    pub fn begin_verification(
        &self,
        opening: Opening,
    ) -> Result<Option<VerificationGuard>, StorageError> {
        let now_ms = self.context.clock.now_ms();
        let mut writer = lock(&self.writer);
        let begun = writer.producers.begin_verification(opening, now_ms);
        begun.map_err(append::producer_error)
    }

    /// The coordinator has refused: nothing will be written under the guard.
    pub fn abandon_verification(&self, producer_id: i64, guard: VerificationGuard) {
        let mut writer = lock(&self.writer);
        writer.producers.abandon_verification(producer_id, guard);
    }

    /// Whether a guard still holds: no marker has ended the transaction since it was handed out.
    pub fn is_verified(
        &self,
        producer_id: i64,
        producer_epoch: i16,
        guard: Option<VerificationGuard>,
    ) -> bool {
        let writer = lock(&self.writer);
        let producers = &writer.producers;
        producers.is_verified(producer_id, producer_epoch, guard)
    }

    /// Finds what to serve from `request.offset` on; takes no lock.
    pub fn read(&self, request: ReadRequest) -> Result<FetchData, StorageError> {
        read::read(self, request)
    }

    /// The four offsets at one moment; takes no lock.
    pub fn offsets(&self) -> LogOffsets {
        self.published.load().offsets()
    }

    /// The first record at or after `timestamp_ms` that is below HighWatermark.
    pub fn offset_for_timestamp(
        &self,
        timestamp_ms: i64,
    ) -> Result<Option<TimestampedOffset>, StorageError> {
        list_offsets::offset_for_timestamp(self, timestamp_ms)
    }

    /// The record with the largest timestamp below HighWatermark.
    pub fn max_timestamp_offset(&self) -> Result<Option<TimestampedOffset>, StorageError> {
        list_offsets::max_timestamp_offset(self)
    }

    /// Raises LogStartOffset to `offset`, -1 meaning HighWatermark; durable when this returns.
    /// Answers the LogStartOffset that holds then.
    pub fn delete_records_before(&self, offset: i64) -> Result<i64, StorageError> {
        delete::delete_records_before(self, offset)
    }

    /// The newest leader epoch, -1 when none was written.
    pub fn leader_epoch(&self) -> i32 {
        self.leader_epochs
            .load()
            .latest()
            .unwrap_or(leader_epochs::UNDEFINED_EPOCH)
    }

    /// The epoch that `epoch`, or the last one before it, is, and the offset where it ended.
    pub fn end_offset_for_epoch(&self, epoch: i32) -> (i32, i64) {
        let log_end_offset = self.offsets().log_end_offset;
        self.leader_epochs
            .load()
            .end_offset_for(epoch, log_end_offset)
    }

    /// Makes everything appended so far durable and answers the new HighWatermark. For those who
    /// run no sync thread.
    pub fn sync(&self) -> Result<i64, StorageError> {
        sync_log::sync(self)
    }

    /// Bytes of all `.log` files.
    pub fn size_bytes(&self) -> u64 {
        self.segments.load().size_bytes()
    }

    /// The producers the log knows, by id.
    pub fn active_producers(&self) -> Vec<ProducerView> {
        lock(&self.writer).producers.views()
    }

    /// The segments at this moment.
    pub fn segments(&self) -> Arc<SegmentSet> {
        self.segments.load_full()
    }

    /// What the cleaner must keep of each producer that has not expired.
    pub fn producer_pins(&self, now_ms: i64) -> HashMap<i64, ProducerPin> {
        let expiration_ms = self.context.producer_id_expiration_ms();
        lock(&self.writer).producers.pins(now_ms, expiration_ms)
    }

    /// Puts `outputs` (suffix `.cleaned`, sealed and synced) in the place of `inputs`, so that a
    /// crash leaves the one or the other. `Stale`, with the outputs removed, when an input is no
    /// longer in the log.
    pub fn replace_segments(
        &self,
        inputs: &[Arc<Segment>],
        outputs: Vec<Segment>,
    ) -> Result<(), StorageError> {
        replace::replace_segments(self, inputs, outputs)
    }

    /// Puts a key index that was written to `path` in its place. `Stale`, and the file stays where it is, when the
    /// segment is no longer part of the log: the place belongs to another one by now.
    pub(crate) fn install_key_index(
        &self,
        segment: &Segment,
        path: &str,
    ) -> Result<(), StorageError> {
        let _writer = lock(&self.writer);
        self.check_open()?;
        let set = self.segments.load();
        if !set.iter().any(|other| std::ptr::eq(&**other, segment)) {
            return Err(StorageError::Stale);
        }
        let renamed = self.context.dir.rename(path, &segment.key_index_path());
        renamed.map_err(|source| StorageError::io("rename", path, source))?;
        segment.set_has_key_index(true);
        Ok(())
    }

    /// Converts the sealed segment in which a scan has met a message of magic 0 or 1, which `error` says. True: what has
    /// failed is worth another try. Only for a cleaning, which alone writes `.cleaned` files of its log.
    pub(crate) fn upgrade_legacy(&self, error: &StorageError) -> Result<bool, StorageError> {
        upgrade::upgrade_met(self, error)
    }

    /// Starts a new segment when the active one has become too old, so that `segment.ms` and
    /// `max.compaction.lag.ms` hold on partitions that nobody writes to. True when it did.
    pub fn roll_if_due(&self, now_ms: i64) -> Result<bool, StorageError> {
        roll::roll_if_due(self, now_ms)
    }

    /// When the active segment is rolled if nobody writes more; none when it is empty, or time does not roll it. Takes
    /// no lock.
    pub fn rolls_at_ms(&self) -> Option<i64> {
        roll::rolls_at_ms(self)
    }

    /// Starts a new segment unless the active one is empty. True when it did.
    pub fn roll(&self) -> Result<bool, StorageError> {
        roll::roll_now(self)
    }

    /// Deletes the segments that retention lets go; answers how many.
    pub fn apply_retention(&self, now_ms: i64) -> Result<usize, StorageError> {
        delete::apply_retention(self, now_ms)
    }

    /// Forgets producers that have been silent for `producer.id.expiration.ms`.
    pub fn expire_producers(&self, now_ms: i64) -> usize {
        let expiration_ms = self.context.producer_id_expiration_ms();
        lock(&self.writer).producers.expire(now_ms, expiration_ms)
    }

    /// Closed or deleted: appends and swaps are refused.
    pub fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    /// Why the log directory takes no more writes, if that is so.
    pub fn offline_reason(&self) -> Option<String> {
        self.context.offline_reason().map(str::to_string)
    }

    fn first_append_ms(&self) -> Option<i64> {
        Some(self.first_append_ms.load(Ordering::Relaxed)).filter(|ms| *ms != NEVER)
    }

    fn check_open(&self) -> Result<(), StorageError> {
        if self.is_closed() {
            return Err(StorageError::Closed);
        }
        self.context.check_online()
    }

    fn path(&self, file: &str) -> String {
        format!("{}/{file}", self.partition_dir)
    }
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Log")
            .field("topic_partition", &self.topic_partition)
            .field("offsets", &self.offsets())
            .finish_non_exhaustive()
    }
}

fn index_settings(config: &LogConfig) -> IndexSettings {
    IndexSettings {
        index_interval_bytes: config.index_interval_bytes,
        segment_index_bytes: config.segment_index_bytes,
    }
}
