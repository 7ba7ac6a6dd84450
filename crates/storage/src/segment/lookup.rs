//! Finding a batch by offset, and a record by timestamp.
//!
//! An index gives the place to start, the batches give the answer. An entry that does not lead to its batch, because it
//! or the batch is damaged, is passed over for the one before: so damage hides no more than the batches next to it.

use lastword_record::{Decompressor, RecordBatch};

use super::offset_index::OffsetEntry;
use super::{BatchPosition, Segment, offset_index, time_index};
use crate::error::StorageError;

/// After so many wrong entries the search begins at the start of the segment.
const MOST_ENTRIES_TRIED: usize = 8;

/// A record found by its timestamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimestampedOffset {
    pub timestamp: i64,
    pub offset: i64,
    pub leader_epoch: i32,
}

impl Segment {
    /// The first batch whose last offset is not below `offset`; `None` when there is none.
    pub fn position_of(&self, offset: i64) -> Result<Option<BatchPosition>, StorageError> {
        let end = self.size_bytes();
        let start = self.indexed_start(offset, end)?;
        let mut scan = self.scan_headers(start, end);
        while let Some(batch) = scan.next_batch()? {
            if batch.header.last_offset() >= offset {
                return Ok(Some(batch));
            }
        }
        Ok(None)
    }

    /// Where to begin a search for `offset`: the start of a batch not behind the one that has it.
    fn indexed_start(&self, offset: i64, end: u32) -> Result<u32, StorageError> {
        if offset <= self.base_offset() {
            return Ok(0);
        }
        let mut count = offset_index::floor_count(&self.offset_index, self.base_offset(), offset)?;
        for _ in 0..MOST_ENTRIES_TRIED {
            let Some(last) = count.checked_sub(1) else {
                break;
            };
            count = last;
            let Some(entry) = self.offset_index.entry(last)? else {
                break;
            };
            let entry = OffsetEntry::decode(&entry, self.base_offset());
            if entry.offset <= offset && self.leads_to_its_batch(entry, end)? {
                return Ok(entry.position);
            }
            tracing::debug!(
                log = self.log_path(),
                ?entry,
                "an index entry leads to a wrong batch"
            );
        }
        Ok(0)
    }

    /// Whether an entry tells the truth as far as a search needs it. Kafka up to 3.9 wrote one entry for several
    /// batches: the last offset of the last one, the position of the first one.
    fn leads_to_its_batch(&self, entry: OffsetEntry, end: u32) -> Result<bool, StorageError> {
        match self.scan_headers(entry.position, end).next_batch() {
            Ok(Some(batch)) => Ok(batch.header.last_offset() <= entry.offset),
            Ok(None) | Err(StorageError::CorruptSegment { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The first record, at `from_offset` or above, whose timestamp is not below `timestamp`. Decompresses batches, as
    /// far as the decompressor's limit allows; their checksums are verified first.
    pub fn offset_for_timestamp(
        &self,
        timestamp: i64,
        from_offset: i64,
        decompressor: &mut Decompressor,
    ) -> Result<Option<TimestampedOffset>, StorageError> {
        if timestamp > self.max_timestamp() {
            return Ok(None);
        }
        let end = self.size_bytes();
        let start_offset = self.time_indexed_offset(timestamp)?.max(from_offset);
        let start = self.indexed_start(start_offset, end)?;
        let mut scan = self.scan_headers(start, end);
        while let Some(batch) = scan.next_batch()? {
            if batch.header.max_timestamp >= timestamp
                && batch.header.last_offset() >= from_offset
                && let Some(found) =
                    self.search_batch(&batch, timestamp, from_offset, decompressor)?
            {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// An offset below which no record has a timestamp as large as this.
    fn time_indexed_offset(&self, timestamp: i64) -> Result<i64, StorageError> {
        let Some(entry) = time_index::floor(&self.time_index, self.base_offset(), timestamp)?
        else {
            return Ok(self.base_offset());
        };
        // A damaged entry would hide records; the batch it was written for tells.
        match self.position_of(entry.offset)? {
            Some(batch) if batch.header.max_timestamp == entry.timestamp => Ok(entry.offset),
            _ => Ok(self.base_offset()),
        }
    }

    fn search_batch(
        &self,
        batch: &BatchPosition,
        timestamp: i64,
        from_offset: i64,
        decompressor: &mut Decompressor,
    ) -> Result<Option<TimestampedOffset>, StorageError> {
        let mut bytes = vec![0; batch.size_bytes as usize];
        let count = self
            .read_at(&mut bytes, batch.position)
            .map_err(|source| self.io("read", source))?;
        bytes.truncate(count);
        let mut search = || {
            let batch = RecordBatch::parse(&bytes)?;
            batch.verify_crc()?;
            let leader_epoch = batch.header().leader_epoch;
            for record in batch.records(decompressor)? {
                let record = record?;
                if record.timestamp >= timestamp && record.offset >= from_offset {
                    let found = TimestampedOffset {
                        timestamp: record.timestamp,
                        offset: record.offset,
                        leader_epoch,
                    };
                    return Ok(Some(found));
                }
            }
            Ok(None)
        };
        search().map_err(|error: lastword_record::RecordError| {
            StorageError::corrupt_segment(self.log_path(), batch.position.into(), error.to_string())
        })
    }
}
