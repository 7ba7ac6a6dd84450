//! Making one log durable and moving its HighWatermark.
//!
//! Only the active segment can hold unsynced bytes (see the parent), so a sync captures
//! LogEndOffset, syncs that one file, and publishes what it captured: HighWatermark never passes
//! what is on disk. A failed sync takes the directory offline and is never repeated.

use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard};

use super::offsets::LogPosition;
use super::{Log, lock};
use crate::error::StorageError;
use crate::segment::Segment;

/// A sync that has begun: LogEndOffset is captured, HighWatermark not yet moved.
pub(crate) struct PendingSync<'a> {
    log: &'a Log,
    log_end: LogPosition,
    active: Arc<Segment>,
    _one_at_a_time: MutexGuard<'a, ()>,
}

impl Log {
    /// Captures what is to be synced.
    pub(crate) fn begin_sync(&self) -> PendingSync<'_> {
        let guard = lock(&self.sync_lock);
        // Cleared first: an append after the capture marks the log again. Read and cleared in one:
        // an append that found the log marked has published what is captured below.
        self.is_dirty.swap(false, Ordering::AcqRel);
        let log_end = self.published.load().log_end;
        // The set is at least as new as the offsets. If a roll came in between, the segment of
        // `log_end` was synced by it, and syncing the newer one does no harm.
        let active = Arc::clone(self.segments.load().active());
        PendingSync {
            log: self,
            log_end,
            active,
            _one_at_a_time: guard,
        }
    }
}

impl PendingSync<'_> {
    pub fn is_needed(&self) -> bool {
        self.log.published.load().high_watermark.offset < self.log_end.offset
    }

    pub fn sync_file(&self) -> Result<(), StorageError> {
        self.active.sync_log_data()
    }

    /// The bytes are durable: publishes them. The writer lock is taken so that a roll whose sync
    /// has failed meanwhile is seen: the kernel reports such a failure once only.
    pub fn finish(self) -> Result<i64, StorageError> {
        let mut writer = lock(&self.log.writer);
        self.log.context.check_online()?;
        let log_end = self.log_end;
        let published = self.log.published.update(|published| {
            if published.high_watermark.offset < log_end.offset {
                published.high_watermark = log_end;
            }
        });
        if published.first_unstable_offset.is_some() {
            // A transaction is decided for readers once its marker is durable.
            let high_watermark = published.high_watermark.offset;
            writer.producers.on_high_watermark(high_watermark);
            let first_unstable_offset = writer.producers.first_unstable_offset();
            self.log
                .published
                .update(|published| published.first_unstable_offset = first_unstable_offset);
        }
        Ok(published.high_watermark.offset)
    }
}

pub(super) fn sync(log: &Log) -> Result<i64, StorageError> {
    log.context.check_online()?;
    let pending = log.begin_sync();
    // Another sync may have failed while this one waited for it.
    log.context.check_online()?;
    if pending.is_needed() {
        log.context.or_offline(pending.sync_file())?;
    }
    let high_watermark = pending.finish()?;
    log.context.notify(&log.topic_partition, high_watermark);
    Ok(high_watermark)
}
