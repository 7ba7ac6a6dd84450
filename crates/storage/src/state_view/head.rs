//! The head: keys of the segment that is still written to, or whose end is not decided yet, read from the log itself.
//!
//! It ends where the view ends, at the first batch that is damaged, or when the memory is used up; what lies behind it
//! is served as it is and supersedes nothing. No lock.

use std::sync::Arc;

use lastword_record::Decompressor;

use super::pieces::Pieces;
use crate::cleaner::ordinal_set::OrdinalSet;
use crate::cleaner::transactions::AbortedTransactions;
use crate::error::StorageError;
use crate::key_index::{self, Before, ENTRY_BYTES, Entry, KeyHasher, MAX_RECORDS};
use crate::segment::{DEFAULT_SCAN_BUFFER_BYTES, Segment};

const BATCH_BYTES: usize = size_of::<HeadBatch>();

struct HeadBatch {
    end: u32,
    record_count: u32,
}

/// The keys of the head.
#[derive(Default)]
pub struct Head {
    /// Sorted by key and then by place; none of aborted data.
    pub entries: Vec<Entry>,
    pub records: u64,
    /// Records with the offset of the record before them.
    pub same_offset: OrdinalSet,
    batches: Vec<HeadBatch>,
}

/// What a scan of the head needs beside the segment.
pub struct HeadRequest<'a> {
    pub limit: i64,
    pub hasher: &'a KeyHasher,
    pub aborted: &'a AbortedTransactions,
    pub memory_bytes: usize,
}

impl Head {
    /// Reads a segment up to the limit. `charge` may end it.
    pub fn scan(
        segment: &Arc<Segment>,
        request: &HeadRequest<'_>,
        decompressor: &mut Decompressor,
        mut charge: impl FnMut(u64) -> Result<(), StorageError>,
    ) -> Result<Head, StorageError> {
        let mut head = Head::default();
        let mut before = Before::first(segment.base_offset());
        let mut scan = segment.scan(0, segment.size_bytes(), DEFAULT_SCAN_BUFFER_BYTES);
        loop {
            let batch = match scan.next_batch() {
                Ok(Some((_, batch))) if batch.header().last_offset() < request.limit => batch,
                Ok(_) | Err(StorageError::CorruptSegment { .. }) => break,
                Err(error) => return Err(error),
            };
            charge(batch.bytes().len() as u64)?;
            let indexed = key_index::indexed(batch.header(), &before);
            let records_after = head.records + u64::from(indexed.record_count);
            let memory_bytes = (head.entries.len() + indexed.record_count as usize) * ENTRY_BYTES
                + head.batches.len() * BATCH_BYTES;
            if records_after > MAX_RECORDS || memory_bytes > request.memory_bytes {
                break;
            }
            let has_keys = !indexed.is_control
                && indexed.record_count > 0
                && !request.aborted.contains(&indexed);
            if has_keys {
                let known = head.entries.len();
                if batch.verify_crc().is_err()
                    || head.see_keys(&batch, request.hasher, decompressor).is_err()
                {
                    head.entries.truncate(known);
                    break;
                }
            }
            head.records = records_after;
            head.batches.push(HeadBatch {
                end: indexed.end(),
                record_count: indexed.record_count,
            });
            before = Before::after(&indexed);
        }
        key_index::sort(&mut head.entries);
        Ok(head)
    }

    fn see_keys(
        &mut self,
        batch: &lastword_record::RecordBatch<'_>,
        hasher: &KeyHasher,
        decompressor: &mut Decompressor,
    ) -> Result<(), lastword_record::RecordError> {
        let mut previous_offset = None;
        for (ordinal, record) in (self.records..).zip(batch.keys(decompressor)?) {
            let record = record?;
            if previous_offset == Some(record.offset) {
                self.same_offset.insert(ordinal);
            }
            previous_offset = Some(record.offset);
            if let Some(key) = record.key {
                let entry = Entry::new(hasher.hash(key), ordinal as u32, record.has_null_value);
                self.entries.push(entry);
            }
        }
        Ok(())
    }

    /// What becomes of its batches.
    pub fn pieces(&self, dead: &OrdinalSet) -> Pieces {
        let mut pieces = Pieces::default();
        let (mut position, mut ordinal) = (0, 0u32);
        for batch in &self.batches {
            let first = u64::from(ordinal);
            let records = u64::from(batch.record_count);
            let dead = dead.count_in(first..first + records);
            pieces.push(position..batch.end, ordinal, records, dead);
            position = batch.end;
            ordinal += batch.record_count;
        }
        pieces
    }
}
