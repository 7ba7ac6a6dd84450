//! The end of a log's life in this process.

use std::sync::atomic::Ordering;

use super::{Log, lock, snapshots};
use crate::error::StorageError;

impl Log {
    /// Takes no more appends; writes what makes the next start fast: the last time index entry and
    /// a producer snapshot at the end of the log. The caller syncs all logs at once.
    pub(crate) fn prepare_close(&self) -> Result<(), StorageError> {
        // A swap in flight ends first.
        let _no_swap = lock(&self.replace_lock);
        let mut writer = lock(&self.writer);
        self.is_closed.store(true, Ordering::Release);
        writer.active.seal()?;
        let log_end_offset = self.published.load().log_end.offset;
        if log_end_offset > 0 {
            snapshots::take(self, &mut writer, log_end_offset)?;
        }
        Ok(())
    }

    /// Takes no more appends; whoever holds a segment finishes reading it.
    pub(crate) fn close_for_deletion(&self) {
        let _no_swap = lock(&self.replace_lock);
        let _writer = lock(&self.writer);
        self.is_closed.store(true, Ordering::Release);
        for segment in self.segments.load().iter() {
            segment.detach();
        }
    }
}
