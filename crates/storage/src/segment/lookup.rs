//! Finding a batch by offset, and a record by timestamp.
//!
//! An index gives the place to start, the batches give the answer. An entry that does not lead to its batch, because it
//! or the batch is damaged, is passed over for the one before: so damage hides no more than the batches next to it.

use lastword_record::{Decompressor, RecordBatch};

use super::offset_index::OffsetEntry;
use super::{BatchPosition, HeaderScan, Segment, offset_index, time_index};
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
        if offset >= self.next_offset() {
            return Ok(None);
        }
        let mut scan = self.indexed_scan(offset, self.size_bytes())?;
        while let Some(batch) = scan.next_batch()? {
            if batch.header.last_offset() >= offset {
                return Ok(Some(batch));
            }
        }
        Ok(None)
    }

    /// The checksum in the header of the last batch; 0 when there is no batch.
    pub(crate) fn last_batch_crc(&self) -> Result<u32, StorageError> {
        let last = self.position_of(self.next_offset().saturating_sub(1))?;
        Ok(last.map_or(0, |batch| batch.header.crc))
    }

    /// A walk that begins at a batch not behind the one that has `offset`.
    fn indexed_scan(&self, offset: i64, end: u32) -> Result<HeaderScan, StorageError> {
        if offset <= self.base_offset() {
            return Ok(self.scan_headers(0, end));
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
            if entry.offset <= offset
                && let Some(scan) = self.scan_from_entry(entry, end)?
            {
                return Ok(scan);
            }
            tracing::debug!(
                log = self.log_path(),
                ?entry,
                "an index entry leads to a wrong batch"
            );
        }
        Ok(self.scan_headers(0, end))
    }

    /// A walk from the batch that an entry leads to; `None` when the entry does not tell the truth, as far as a search
    /// needs it. Kafka up to 3.9 wrote one entry for several batches: last offset of the last one, position of the
    /// first one.
    fn scan_from_entry(
        &self,
        entry: OffsetEntry,
        end: u32,
    ) -> Result<Option<HeaderScan>, StorageError> {
        let mut scan = self.scan_headers(entry.position, end);
        match scan.next_batch() {
            Ok(Some(batch)) if batch.header.last_offset() <= entry.offset => {
                scan.back_to(&batch);
                Ok(Some(scan))
            }
            Ok(_) | Err(StorageError::CorruptSegment { .. }) => Ok(None),
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
        let mut scan = self.indexed_scan(start_offset, end)?;
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
