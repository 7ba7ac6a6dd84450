//! `Partition`: the broker's view of one log, and the only one that reads or writes records of the log
//! engine's `Log`. Handlers reach through [`Partition::log`] for its config and its producers alone.
//!
//! One broker leads every partition, with leader epoch 0. A partition adds to its log the waiters
//! that want to hear of new visible offsets, its state view, and what was counted of its records. It has no lock of its
//! own beside theirs.

mod blocking;
mod record_count;
mod table;
mod view;

use std::sync::Arc;
use std::time::Duration;

use lastword_protocol::ErrorCode;
use lastword_record::{TopicId, TopicPartition};
use lastword_storage::config::FetchView;
use lastword_storage::{
    AppendOrigin, Appended, FetchData, Isolation, Log, LogOffsets, ReadRequest, StorageError,
    TimestampedOffset, VerificationGuard,
};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::error_map::ApiError;
use crate::purgatory::{Registration, Waiters};
use crate::stats::Traffic;

pub use blocking::run_blocking;
pub use record_count::CountBudget;
use record_count::RecordCountSlot;
pub use table::PartitionTable;
pub use view::{ViewFetch, ViewSlot};

/// The epoch of the one leader there is.
pub const LEADER_EPOCH: i32 = 0;
/// How often a wait looks whether the log is still usable.
const HEALTH_CHECK_INTERVAL: Duration = Duration::from_millis(250);

/// One partition that is served.
pub struct Partition {
    log: Arc<Log>,
    waiters: Waiters,
    traffic: Traffic,
    view: ViewSlot,
    records: RecordCountSlot,
}

/// What a fetch found in one partition: a plan, no record bytes yet.
pub struct Fetched {
    /// The offsets at that moment.
    pub offsets: LogOffsets,
    /// Where the records are; nothing when the fetch offset is at the end.
    pub data: Option<FetchData>,
    /// Instead: a read through the state view.
    pub view: Option<ViewFetch>,
    /// Nothing is there because the state view is still being built.
    pub waits_for_view: bool,
}

impl Partition {
    /// A partition over its log.
    pub fn new(log: Arc<Log>) -> Partition {
        Partition {
            log,
            waiters: Waiters::default(),
            traffic: Traffic::default(),
            view: ViewSlot::default(),
            records: RecordCountSlot::default(),
        }
    }

    /// Its topic and number.
    pub fn topic_partition(&self) -> &TopicPartition {
        self.log.topic_partition()
    }

    /// The id of its topic.
    pub fn topic_id(&self) -> TopicId {
        self.log.topic_id()
    }

    /// The log, for its config and its producers; records go through the methods here.
    pub fn log(&self) -> &Arc<Log> {
        &self.log
    }

    /// The place of its state view.
    pub fn view(&self) -> &ViewSlot {
        &self.view
    }

    /// Whether fetches of the topic itself are served its state: `lastword.fetch.view`.
    pub fn serves_state(&self) -> bool {
        self.log.config().fetch_view == FetchView::State
    }

    /// The offsets at this moment.
    pub fn offsets(&self) -> LogOffsets {
        self.log.offsets()
    }

    /// Refuses a request that knows another leader epoch.
    pub fn check_leader_epoch(&self, current_leader_epoch: i32) -> Result<(), ApiError> {
        match current_leader_epoch {
            i32::MIN..0 | LEADER_EPOCH => Ok(()),
            _ => Err(ErrorCode::UnknownLeaderEpoch.into()),
        }
    }

    /// Appends one client batch. Neither durable nor visible yet: see [`Partition::wait_visible`].
    pub fn append_as_leader(&self, batch: &[u8]) -> Result<Appended, StorageError> {
        let appended = self.log.append(batch, AppendOrigin::Client, LEADER_EPOCH)?;
        Ok(self.counted(batch, appended))
    }

    /// As [`Partition::append_as_leader`], for a batch that may open a transaction: it shows the guard
    /// that was taken before its transaction was verified.
    pub fn append_verified(
        &self,
        batch: &[u8],
        guard: Option<VerificationGuard>,
    ) -> Result<Appended, StorageError> {
        let appended = self.log.append_verified(batch, guard, LEADER_EPOCH)?;
        Ok(self.counted(batch, appended))
    }

    fn counted(&self, batch: &[u8], appended: Appended) -> Appended {
        if !appended.duplicate {
            let records = appended.last_offset.abs_diff(appended.base_offset) + 1;
            self.traffic.produced(batch.len(), records);
        }
        appended
    }

    /// What clients wrote and read.
    pub fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    /// Appends the end of a transaction; see [`Log::append_marker`].
    pub fn append_marker(
        &self,
        batch: &[u8],
        bumps_epochs: bool,
    ) -> Result<Appended, StorageError> {
        self.log.append_marker(batch, bumps_epochs, LEADER_EPOCH)
    }

    /// Appends batches the broker itself made.
    pub fn append_as_coordinator(&self, batches: &[u8]) -> Result<Appended, StorageError> {
        self.log
            .append(batches, AppendOrigin::Coordinator, LEADER_EPOCH)
    }

    /// Bytes of its segments.
    pub fn size_bytes(&self) -> u64 {
        self.log.size_bytes()
    }

    /// Plans a read. Takes no lock of the writer and reads no record data.
    pub fn fetch(
        &self,
        offset: i64,
        max_bytes: usize,
        min_one_batch: bool,
        isolation: Isolation,
    ) -> Result<Fetched, StorageError> {
        let offsets = self.log.offsets();
        let end = match isolation {
            Isolation::LogEnd => offsets.log_end_offset,
            Isolation::HighWatermark => offsets.high_watermark,
            Isolation::LastStable => offsets.last_stable_offset,
        };
        // The common case of a consumer that has read everything, or may not read further.
        let caught_up = offset >= end && offset <= offsets.log_end_offset;
        if caught_up || (max_bytes == 0 && !min_one_batch && offset >= offsets.log_start_offset) {
            return Ok(Fetched {
                offsets,
                data: None,
                view: None,
                waits_for_view: false,
            });
        }
        let request = ReadRequest {
            offset,
            max_bytes,
            min_one_batch,
            isolation,
        };
        let data = self.log.read(request)?;
        let offsets = LogOffsets {
            log_start_offset: data.log_start_offset,
            last_stable_offset: data.last_stable_offset,
            high_watermark: data.high_watermark,
            log_end_offset: offsets.log_end_offset.max(data.high_watermark),
        };
        Ok(Fetched {
            offsets,
            data: Some(data),
            view: None,
            waits_for_view: false,
        })
    }

    /// The first record at or after a time.
    pub fn offset_for_timestamp(
        &self,
        timestamp_ms: i64,
    ) -> Result<Option<TimestampedOffset>, StorageError> {
        self.log.offset_for_timestamp(timestamp_ms)
    }

    /// The record with the highest timestamp.
    pub fn max_timestamp_offset(&self) -> Result<Option<TimestampedOffset>, StorageError> {
        self.log.max_timestamp_offset()
    }

    /// Moves the log start; -1 stands for the high watermark. Returns the new log start.
    pub fn delete_records_before(&self, offset: i64) -> Result<i64, StorageError> {
        self.log.delete_records_before(offset)
    }

    /// The last epoch at or below this one, and where it ends.
    pub fn end_offset_for_epoch(&self, leader_epoch: i32) -> (i32, i64) {
        self.log.end_offset_for_epoch(leader_epoch)
    }

    /// Called by the engine when more has become visible.
    pub fn visible_up_to(&self, high_watermark: i64) {
        self.waiters.wake(high_watermark);
    }

    /// Wakes everybody: the partition is going away.
    pub fn wake_all(&self) {
        self.waiters.wake(i64::MAX);
    }

    /// Wakes `wake` once the high watermark reaches `high_watermark`, at once if it has.
    pub fn register(
        self: &Arc<Partition>,
        high_watermark: i64,
        wake: &Arc<Notify>,
    ) -> Registration {
        let registration = self.waiters.register(self, high_watermark, wake);
        // Registered first, looked second: what became visible in between is not missed.
        if self.log.offsets().high_watermark >= high_watermark {
            wake.notify_one();
        }
        registration
    }

    /// Whether waiting for the log still makes sense.
    fn check_usable(&self) -> Result<(), StorageError> {
        if let Some(reason) = self.log.offline_reason() {
            return Err(StorageError::DirectoryOffline { reason });
        }
        if self.log.is_closed() {
            Err(StorageError::Closed)
        } else {
            Ok(())
        }
    }

    pub(crate) fn waiters(&self) -> &Waiters {
        &self.waiters
    }

    /// Waits until everything below `next_offset` is durable and visible.
    pub async fn wait_visible(
        self: &Arc<Partition>,
        next_offset: i64,
        deadline: Instant,
    ) -> Result<(), ApiError> {
        if self.log.offsets().high_watermark >= next_offset {
            return Ok(());
        }
        let wake = Arc::new(Notify::new());
        let _registration = self.register(next_offset, &wake);
        loop {
            let check = deadline.min(Instant::now() + HEALTH_CHECK_INTERVAL);
            let _ = tokio::time::timeout_at(check, wake.notified()).await;
            if self.log.offsets().high_watermark >= next_offset {
                return Ok(());
            }
            self.check_usable()?;
            if Instant::now() >= deadline {
                return Err(ErrorCode::RequestTimedOut.into());
            }
        }
    }
}
