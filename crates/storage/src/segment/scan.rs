//! `BatchScan`: streams whole batches through one reused buffer.
//!
//! The buffer starts at the size asked for and grows only for a batch that is larger; a batch's size is believed only
//! as far as the range goes. Checked: headers, sizes and offsets, as in [`HeaderScan`](super::HeaderScan). The checksum
//! is for the caller to verify, who knows whether the bytes will be believed or only copied.

use std::ops::Range;
use std::sync::Arc;

use lastword_record::{BATCH_HEADER_BYTES, BatchHeader, RecordBatch};

use super::Segment;
use super::header_scan::check_batch;
use crate::dir::{DropBehind, File};
use crate::error::StorageError;

/// What a scan reads at a time unless told otherwise.
pub const DEFAULT_SCAN_BUFFER_BYTES: usize = 512 * 1024;

/// A stream of the batches of one segment.
pub struct BatchScan {
    file: Arc<dyn File>,
    path: String,
    /// Where the unread rest of the buffer stands in the file.
    position: u32,
    end: u32,
    least_offset: i64,
    most_offset: i64,
    buffer_bytes: usize,
    /// Only `buffer[start..filled]` holds bytes that are not handed out yet.
    buffer: Vec<u8>,
    start: usize,
    filled: usize,
    drop_behind: Option<DropBehind>,
    bytes_read: u64,
}

impl BatchScan {
    pub(super) fn new(segment: &Segment, range: Range<u32>, buffer_bytes: usize) -> BatchScan {
        let buffer_bytes = buffer_bytes.max(BATCH_HEADER_BYTES);
        BatchScan {
            file: Arc::clone(segment.log_file()),
            path: segment.log_path(),
            position: range.start,
            end: range.end,
            least_offset: segment.base_offset(),
            most_offset: segment.base_offset().saturating_add(i64::from(i32::MAX)),
            buffer_bytes,
            buffer: Vec::new(),
            start: 0,
            filled: 0,
            drop_behind: None,
            bytes_read: 0,
        }
    }

    /// Drops what it reads from the page cache, as far as it was not there before.
    pub fn leaving_cache_as_found(mut self) -> BatchScan {
        self.drop_behind = Some(DropBehind::new(&self.file, self.end.into()));
        self
    }

    /// Goes on with the batches that start in `range`, in this segment and ahead: what lies between is skipped, and not
    /// read unless it has been already. Both ends are ends of batches; a start behind the scan's position is taken for
    /// that position.
    pub fn seek(&mut self, range: Range<u32>) {
        let start = range.start.max(self.position);
        let skipped = (start - self.position) as usize;
        self.start = self.start.saturating_add(skipped).min(self.filled);
        self.position = start;
        self.end = range.end;
    }

    /// Bytes read from the file so far.
    pub fn bytes_read(&self) -> u64 {
        self.bytes_read
    }

    /// Where the next batch is expected. After an error: where the damage begins.
    pub fn position(&self) -> u32 {
        self.position
    }

    /// The next batch and its position; `None` at the end of the range. After an error the scan stays where it is.
    pub fn next_batch(&mut self) -> Result<Option<(u32, RecordBatch<'_>)>, StorageError> {
        let remaining = self.end.saturating_sub(self.position);
        if remaining == 0 {
            return Ok(None);
        }
        if (remaining as usize) < BATCH_HEADER_BYTES {
            return Err(self.corrupt(format!("{remaining} bytes are too few for a batch header")));
        }
        self.fill(BATCH_HEADER_BYTES)?;
        let header =
            BatchHeader::parse(self.unread()).map_err(|error| self.corrupt(error.to_string()))?;
        let size_bytes = check_batch(&header, self.least_offset, self.most_offset, remaining)
            .map_err(|reason| self.corrupt(reason))?;
        self.fill(size_bytes as usize)?;
        let (position, start) = (self.position, self.start);
        let (path, bytes) = (
            &self.path,
            self.buffer
                .get(start..start + size_bytes as usize)
                .unwrap_or_default(),
        );
        let batch = RecordBatch::parse(bytes).map_err(|error| {
            StorageError::corrupt_segment(path.clone(), position.into(), error.to_string())
        })?;
        self.position += size_bytes;
        self.start += size_bytes as usize;
        self.least_offset = header.next_offset();
        Ok(Some((position, batch)))
    }

    /// Makes at least `wanted` unread bytes available, which the range must have.
    fn fill(&mut self, wanted: usize) -> Result<(), StorageError> {
        let unread = self.filled - self.start;
        if unread >= wanted {
            return Ok(());
        }
        self.buffer.copy_within(self.start..self.filled, 0);
        (self.start, self.filled) = (0, unread);
        let range_bytes = (self.end - self.position) as usize;
        let capacity = self.buffer_bytes.max(wanted).min(range_bytes);
        if self.buffer.len() < capacity {
            self.buffer.resize(capacity, 0);
        }
        let free = self.buffer.get_mut(unread..capacity).unwrap_or_default();
        let count = self
            .file
            .read_full_at(free, u64::from(self.position) + unread as u64)
            .map_err(|source| StorageError::unreadable(self.path.clone(), self.position, source))?;
        self.filled += count;
        self.bytes_read += count as u64;
        if let Some(drop_behind) = &mut self.drop_behind {
            drop_behind.passed(u64::from(self.position) + self.filled as u64);
        }
        if self.filled < wanted {
            return Err(self.corrupt("the file is shorter than it was".into()));
        }
        Ok(())
    }

    fn unread(&self) -> &[u8] {
        self.buffer.get(self.start..self.filled).unwrap_or_default()
    }

    fn corrupt(&self, reason: String) -> StorageError {
        StorageError::corrupt_segment(self.path.clone(), self.position.into(), reason)
    }
}
