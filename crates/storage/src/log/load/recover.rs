//! Recovery: what may not have reached the disk is verified, batch by batch.
//!
//! After an unclean stop that is everything from the recovery point on; after a clean one only what did not look whole
//! when it was opened. Only the end of the last segment is ever cut: a torn batch, or what lies behind a write that was
//! lost. Damage anywhere else is an error, and nothing is changed.
//!
//! Takes no lock: nobody else knows the log yet. Not here: the sync that must follow an unclean stop, which the manager
//! does once for all logs.

use std::sync::Arc;

use lastword_record::{BATCH_HEADER_BYTES, RecordBatch};
use tracing::warn;

use super::Loader;
use crate::error::StorageError;
use crate::segment::{DEFAULT_SCAN_BUFFER_BYTES, Segment, recover};

impl Loader<'_> {
    /// Verifies what may not have reached the disk.
    pub(super) fn recover_segments(
        &mut self,
        segments: &[Arc<Segment>],
    ) -> Result<(), StorageError> {
        let Some((last, sealed)) = segments.split_last() else {
            return Ok(());
        };
        // A recovery point beyond the end says nothing about what is here.
        if self.recovery_point > last.next_offset() {
            self.recovery_point = 0;
        }
        for (index, segment) in sealed.iter().enumerate() {
            let next_base_offset = segments[index + 1].base_offset();
            if segment.next_offset() > next_base_offset {
                let reason = format!("it reaches beyond the next segment, {next_base_offset}");
                return Err(StorageError::corrupt_segment(segment.log_path(), 0, reason));
            }
            let is_suspect = !self.request.is_clean && next_base_offset > self.recovery_point;
            if is_suspect || segment.needs_recovery() {
                // Its successor exists, so it was whole once: a missing end is damage, not a tear.
                verify(segment)?;
                self.recover_segment(segment)?;
            }
        }
        if !self.request.is_clean || last.needs_recovery() {
            self.recover_tail(last)?;
        }
        Ok(())
    }

    /// Recovers the segment that was written to. Writes may reach the disk in any order, so a hole
    /// of zeros may have whole batches behind it. A write that is not on disk was never covered by
    /// a sync, and neither was anything behind it: nobody was told of it, nobody has read it.
    /// Damage of any other kind is not a lost write, and nothing is cut.
    fn recover_tail(&mut self, segment: &Segment) -> Result<(), StorageError> {
        match self.recover_segment(segment) {
            Err(StorageError::CorruptSegment { position, .. })
                if is_lost_write(segment, position)?
                    && !self.is_below_recovery_point(segment, position)? =>
            {
                let path = segment.log_path();
                warn!(
                    file = path,
                    position, "cutting what lies behind a write that was lost"
                );
                let failed = |error| StorageError::io("truncate", path.as_str(), error);
                segment.log_file().truncate(position).map_err(failed)?;
                self.recover_segment(segment)
            }
            result => result,
        }
    }

    /// What begins here was on disk once: the recovery point has passed it.
    fn is_below_recovery_point(
        &self,
        segment: &Segment,
        position: u64,
    ) -> Result<bool, StorageError> {
        let mut next_offset = segment.base_offset();
        let mut scan = segment.scan_headers(0, u32::try_from(position).unwrap_or(u32::MAX));
        while let Some(batch) = scan.next_batch()? {
            next_offset = batch.header.next_offset();
        }
        // As it was read: `recover_segments` disregards one beyond a log that ends in damage.
        Ok(next_offset < self.request.recovery_point)
    }

    fn recover_segment(&mut self, segment: &Segment) -> Result<(), StorageError> {
        let from_position = self.first_suspect_position(segment);
        // What the page cache holds may never have reached the disk: after a failed sync the kernel
        // calls such pages clean. The disk itself is asked.
        segment.log_file().drop_cache(u64::from(from_position), 0);
        let mut first_offset = None;
        let epochs = &mut self.leader_epochs;
        let recovered = recover(segment, from_position, &mut |_, batch: &RecordBatch<'_>| {
            let header = batch.header();
            first_offset.get_or_insert(header.base_offset);
            if let Some(next) = epochs.with(header.leader_epoch, header.base_offset) {
                *epochs = next;
            }
            Ok(())
        })?;
        if let Some(first_offset) = first_offset {
            let from = self.transactions_from.get_or_insert(first_offset);
            *from = (*from).min(first_offset);
        }
        if recovered.truncated_bytes > 0 {
            warn!(file = segment.log_path(), ?recovered, "cut a torn tail");
        }
        // After an unclean stop one sync of everything follows, when all logs are loaded.
        if self.request.is_clean {
            segment.sync()?;
        }
        Ok(())
    }

    /// The batch of the recovery point; the start of the segment when that cannot be told.
    fn first_suspect_position(&self, segment: &Segment) -> u32 {
        if segment.base_offset() > self.recovery_point || segment.needs_recovery() {
            return 0;
        }
        match segment.position_of(self.recovery_point) {
            Ok(Some(batch)) => batch.position,
            Ok(None) => segment.size_bytes(),
            Err(_) => 0,
        }
    }
}

/// Are there only zeros where a batch header should be?
pub(in crate::log) fn is_lost_write(
    segment: &Segment,
    position: u64,
) -> Result<bool, StorageError> {
    let mut header = [0xff; BATCH_HEADER_BYTES];
    let count = segment
        .log_file()
        .read_full_at(&mut header, position)
        .map_err(|error| StorageError::io("read", segment.log_path(), error))?;
    Ok(count > 0 && header.iter().take(count).all(|byte| *byte == 0))
}

/// Reads a sealed segment to its end; an error tells where it is damaged. Changes nothing.
fn verify(segment: &Segment) -> Result<(), StorageError> {
    let mut scan = segment.scan(0, segment.size_bytes(), DEFAULT_SCAN_BUFFER_BYTES);
    while let Some((position, batch)) = scan.next_batch()? {
        batch.verify_crc().map_err(|error| {
            StorageError::corrupt_segment(
                segment.log_path(),
                u64::from(position),
                error.to_string(),
            )
        })?;
    }
    Ok(())
}
