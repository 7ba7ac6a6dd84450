//! `RangeReader`: reads the batches of one segment that are wanted, and as little as possible between them.
//!
//! The caller says which ranges come next; those that lie close together are read with one call. What is handed out was
//! checked: its CRC holds, and it is the batch that the key index describes. Damage of the log and an index of another
//! log are told apart. What was not in the page cache before is not left there. No lock.

use std::ops::Range;

use lastword_record::RecordBatch;

use super::control::Control;
use super::plan::SegmentPlan;
use crate::dir::DropBehind;
use crate::error::StorageError;
use crate::key_index::IndexedBatch;

/// Reading so many bytes in vain costs less than another call.
const GAP_BYTES: u32 = 16 << 10;
/// What is read is looked at while it is in the second cache of a processor.
const MOST_READ_BYTES: u32 = 256 << 10;
/// A larger buffer is not kept.
const KEPT_BUFFER_BYTES: usize = 4 << 20;

pub struct RangeReader<'a> {
    planned: &'a SegmentPlan,
    /// What to read, in order, ascending.
    extents: std::collections::VecDeque<Range<u32>>,
    buffer: Vec<u8>,
    /// What of the file is in the buffer.
    held: Range<u32>,
    bytes_read: u64,
    drop_behind: DropBehind,
}

impl<'a> RangeReader<'a> {
    /// Of a planned segment, with a buffer to use again.
    pub fn new(planned: &'a SegmentPlan, buffer: Vec<u8>) -> RangeReader<'a> {
        RangeReader {
            planned,
            extents: Default::default(),
            buffer,
            held: 0..0,
            bytes_read: 0,
            drop_behind: DropBehind::new(planned.segment.log_file(), planned.size_bytes.into()),
        }
    }

    /// These ranges come next, ascending.
    pub fn expect(&mut self, ranges: impl Iterator<Item = Range<u32>>) {
        self.extents.clear();
        for range in ranges {
            match self.extents.back_mut() {
                Some(last)
                    if range.start - last.end <= GAP_BYTES
                        && range.end - last.start <= MOST_READ_BYTES =>
                {
                    last.end = range.end;
                }
                _ => self.extents.push_back(range),
            }
        }
    }

    /// An expected batch, checked.
    pub fn batch(
        &mut self,
        indexed: &IndexedBatch,
        control: &Control<'_>,
    ) -> Result<RecordBatch<'_>, StorageError> {
        let range = indexed.position..indexed.end();
        if range.start < self.held.start || range.end > self.held.end {
            self.read(&range, control)?;
        }
        let start = (range.start - self.held.start) as usize;
        let bytes = self
            .buffer
            .get(start..start + range.len())
            .unwrap_or_default();
        let corrupt = |reason: String| {
            let path = self.planned.segment.log_path();
            StorageError::corrupt_segment(path, u64::from(range.start), reason)
        };
        let batch = RecordBatch::parse(bytes).map_err(|error| corrupt(error.to_string()))?;
        batch
            .verify_crc()
            .map_err(|error| corrupt(error.to_string()))?;
        if !indexed.is_described_by(batch.header()) {
            let segment = &self.planned.segment;
            let reason = format!("it describes another batch at position {}", range.start);
            return Err(StorageError::corrupt_key_index(
                segment.key_index_path(),
                segment.base_offset(),
                reason,
            ));
        }
        Ok(batch)
    }

    fn read(&mut self, wanted: &Range<u32>, control: &Control<'_>) -> Result<(), StorageError> {
        while self
            .extents
            .front()
            .is_some_and(|extent| extent.end < wanted.end)
        {
            self.extents.pop_front();
        }
        let extent = match self.extents.pop_front() {
            Some(extent) if extent.start <= wanted.start => extent,
            _ => wanted.clone(),
        };
        let segment = &self.planned.segment;
        if extent.end > self.planned.size_bytes {
            return Err(StorageError::corrupt_key_index(
                segment.key_index_path(),
                segment.base_offset(),
                "it describes a batch behind the end of the log",
            ));
        }
        let len = extent.len();
        control.charge(len as u64)?;
        self.held = 0..0;
        if self.buffer.len() < len {
            self.buffer.resize(len, 0);
        }
        let buffer = self.buffer.get_mut(..len).unwrap_or_default();
        let count = segment
            .read_at(buffer, extent.start)
            .map_err(|source| StorageError::unreadable(segment.log_path(), extent.start, source))?;
        if count < len {
            return Err(StorageError::corrupt_segment(
                segment.log_path(),
                u64::from(extent.start) + count as u64,
                "the file is shorter than it was",
            ));
        }
        self.bytes_read += len as u64;
        self.drop_behind.passed(extent.start.into());
        self.held = extent;
        Ok(())
    }

    /// Most of the segment was not in the page cache before it was read.
    pub fn was_cold(&self) -> bool {
        let residency = self.drop_behind.residency();
        residency.is_cold(0..self.planned.size_bytes.into())
    }

    pub fn bytes_read(&self) -> u64 {
        self.bytes_read
    }

    /// The buffer, for the next reader.
    pub fn into_buffer(mut self) -> Vec<u8> {
        self.buffer.truncate(KEPT_BUFFER_BYTES);
        self.buffer.shrink_to(KEPT_BUFFER_BYTES);
        self.buffer
    }
}
