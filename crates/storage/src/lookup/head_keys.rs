//! `HeadKeys`: in which batch of the active segment each key was last written, as far as it is committed.
//!
//! Only what was appended since the last lookup is read. Too many keys are given up, and then every lookup reads the
//! segment; its size is bounded by `segment.bytes`. No lock.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use super::{FoundRecord, Search};
use crate::error::StorageError;
use crate::segment::Segment;

/// Keys of one head; they take about 16 MB.
const MAX_KEYS: usize = 1 << 18;
const BYTES_PER_KEY: u64 = 64;
const READ_BYTES: usize = 64 << 10;

#[derive(Default)]
pub(super) struct HeadKeys {
    segment: Weak<Segment>,
    /// What lies before it was read.
    position: u32,
    /// Position of the last batch with the key.
    places: HashMap<u128, u32>,
    is_given_up: bool,
}

impl HeadKeys {
    pub fn memory_bytes(&self) -> u64 {
        self.places.capacity() as u64 * BYTES_PER_KEY
    }

    pub fn find(
        &mut self,
        segment: &Arc<Segment>,
        search: &mut Search<'_>,
    ) -> Result<Option<FoundRecord>, StorageError> {
        if Weak::as_ptr(&self.segment) != Arc::as_ptr(segment) {
            *self = HeadKeys {
                segment: Arc::downgrade(segment),
                ..HeadKeys::default()
            };
        }
        let mut last = None;
        let start = if self.is_given_up { 0 } else { self.position };
        let mut scan = segment.scan(start, segment.size_bytes(), READ_BYTES.max(512 << 10));
        if start < segment.size_bytes() {
            while let Some((position, batch)) = scan.next_batch()? {
                let header = *batch.header();
                if header.last_offset() >= search.limit {
                    break;
                }
                if search.is_committed(&header)? {
                    self.see(position, &batch, search, &mut last)?;
                }
                self.position = self.position.max(scan.position());
            }
        }
        if self.is_given_up {
            return Ok(last);
        }
        let Some(&position) = self.places.get(&search.hash.bits()) else {
            return Ok(None);
        };
        let mut scan = segment.scan(position, segment.size_bytes(), READ_BYTES);
        match scan.next_batch()? {
            Some((_, batch)) => search.last_in(&batch),
            None => Ok(None),
        }
    }

    fn see(
        &mut self,
        position: u32,
        batch: &lastword_record::RecordBatch<'_>,
        search: &mut Search<'_>,
        last: &mut Option<FoundRecord>,
    ) -> Result<(), StorageError> {
        if self.is_given_up {
            if let Some(found) = search.last_in(batch)? {
                *last = Some(found);
            }
            return Ok(());
        }
        let corrupt = |error: lastword_record::RecordError| StorageError::CorruptBatch {
            reason: error.to_string(),
        };
        batch.verify_crc().map_err(corrupt)?;
        let hasher = search.hasher;
        for record in batch.keys(&mut search.decompressor).map_err(corrupt)? {
            if let Some(key) = record.map_err(corrupt)?.key {
                self.places.insert(hasher.hash(key).bits(), position);
            }
        }
        if self.places.len() > MAX_KEYS {
            self.places = HashMap::new();
            self.is_given_up = true;
            // What came before is read again, with this lookup.
            return Err(StorageError::Stale);
        }
        Ok(())
    }
}
