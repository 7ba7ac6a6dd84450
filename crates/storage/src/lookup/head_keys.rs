//! `HeadKeys`: in which batch of the active segment each key was last written, as far as it is committed.
//!
//! Only what was appended since the last lookup is read. When there are too many keys, what lies behind them is read by
//! every lookup; the segment's size is bounded by `segment.bytes`.
//!
//! A key is one number, its hash and the position of the batch behind it, so that numbers sort by key and then by place.
//! They lie in sorted runs, each less than half as long as the one before, without a key twice in a run. No lock.

use std::sync::{Arc, Weak};

use lastword_record::RecordBatch;

use super::{FoundRecord, Search};
use crate::error::StorageError;
use crate::key_index::KeyHash;
use crate::segment::Segment;

/// So many are sorted at once.
const RUN_KEYS: usize = 64 << 10;
const CATCH_UP_BYTES: usize = 512 << 10;
const READ_BYTES: usize = 64 << 10;
const POSITION_BITS: u32 = 32;

pub(super) struct HeadKeys {
    max_keys: usize,
    segment: Weak<Segment>,
    /// What lies before it was read, and is known.
    position: u32,
    next_offset: i64,
    runs: Vec<Vec<u128>>,
    is_full: bool,
}

impl HeadKeys {
    /// Will know no more keys than this.
    pub fn new(max_keys: usize) -> HeadKeys {
        HeadKeys {
            max_keys,
            segment: Weak::new(),
            position: 0,
            next_offset: 0,
            runs: Vec::new(),
            is_full: false,
        }
    }

    pub fn memory_bytes(&self) -> u64 {
        let capacity = self.runs.iter().map(Vec::capacity).sum::<usize>();
        (capacity * size_of::<u128>()) as u64
    }

    pub fn find(
        &mut self,
        segment: &Arc<Segment>,
        search: &mut Search<'_>,
    ) -> Result<Option<FoundRecord>, StorageError> {
        if Weak::as_ptr(&self.segment) != Arc::as_ptr(segment) {
            *self = HeadKeys {
                segment: Arc::downgrade(segment),
                next_offset: segment.base_offset(),
                ..HeadKeys::new(self.max_keys)
            };
        }
        if let Some(found) = self.catch_up(segment, search)? {
            return Ok(Some(found));
        }
        let Some(position) = self.last_position(search.hash) else {
            return Ok(None);
        };
        let mut scan = segment.scan(position, segment.size_bytes(), READ_BYTES);
        match scan.next_batch()? {
            Some((_, batch)) => search.last_in(&batch),
            None => Ok(None),
        }
    }

    /// Reads what has become visible, and answers what is found in the part of it that cannot be kept.
    fn catch_up(
        &mut self,
        segment: &Segment,
        search: &mut Search<'_>,
    ) -> Result<Option<FoundRecord>, StorageError> {
        let end = segment.size_bytes();
        if self.next_offset >= search.limit || self.position >= end {
            return Ok(None);
        }
        let mut fresh = Vec::new();
        let mut known = (self.position, self.next_offset);
        let mut last = None;
        let mut scan = segment.scan(self.position, end, CATCH_UP_BYTES);
        while let Some((position, batch)) = scan.next_batch()? {
            let header = *batch.header();
            if header.last_offset() >= search.limit {
                break;
            }
            let is_committed = search.is_committed(&header)?;
            if self.is_full {
                if is_committed && let Some(found) = search.last_in(&batch)? {
                    last = Some(found);
                }
                continue;
            }
            if is_committed {
                see_keys(&batch, position, search, &mut fresh)?;
            }
            known = (position + header.size_bytes() as u32, header.next_offset());
            if fresh.len() >= RUN_KEYS {
                self.add_run(std::mem::take(&mut fresh), known);
            }
        }
        self.add_run(fresh, known);
        Ok(last)
    }

    fn last_position(&self, hash: KeyHash) -> Option<u32> {
        let most = hash.bits() << POSITION_BITS | u128::from(u32::MAX);
        let in_run = |run: &Vec<u128>| {
            let before = run.partition_point(|place| *place <= most).checked_sub(1)?;
            let place = run.get(before)?;
            (place >> POSITION_BITS == hash.bits()).then_some(*place as u32)
        };
        self.runs.iter().filter_map(in_run).max()
    }

    /// Adds the keys of what lies before a position and an offset.
    fn add_run(&mut self, run: Vec<u128>, (position, next_offset): (u32, i64)) {
        self.position = position;
        self.next_offset = next_offset;
        if run.is_empty() {
            return;
        }
        self.runs.push(without_repeats(run));
        self.join_runs(|before, last| before < 2 * last);
        let keys = |runs: &[Vec<u128>]| runs.iter().map(Vec::len).sum::<usize>();
        if keys(&self.runs) > self.max_keys {
            self.join_runs(|_, _| true);
            // Not only when the last place is taken: the next run would have all of them joined again.
            self.is_full = keys(&self.runs) > self.max_keys / 4 * 3;
        }
    }

    fn join_runs(&mut self, is_due: impl Fn(usize, usize) -> bool) {
        while let [.., before, last] = self.runs.as_mut_slice()
            && is_due(before.len(), last.len())
        {
            before.reserve_exact(last.len());
            before.append(last);
            let joined = std::mem::take(before);
            self.runs.truncate(self.runs.len() - 2);
            self.runs.push(without_repeats(joined));
        }
    }
}

/// Sorts a run, or two behind each other, and keeps the last place of each key.
fn without_repeats(mut run: Vec<u128>) -> Vec<u128> {
    // Sorts runs that are there already in one pass.
    run.sort();
    run.dedup_by(|next, kept| {
        let is_same = *next >> POSITION_BITS == *kept >> POSITION_BITS;
        if is_same {
            *kept = *next;
        }
        is_same
    });
    run.shrink_to_fit();
    run
}

fn see_keys(
    batch: &RecordBatch<'_>,
    position: u32,
    search: &mut Search<'_>,
    places: &mut Vec<u128>,
) -> Result<(), StorageError> {
    let corrupt = |error: lastword_record::RecordError| StorageError::CorruptBatch {
        reason: error.to_string(),
    };
    batch.verify_crc().map_err(corrupt)?;
    let hasher = search.hasher;
    for record in batch.keys(&mut search.decompressor).map_err(corrupt)? {
        if let Some(key) = record.map_err(corrupt)?.key {
            places.push(hasher.hash(key).bits() << POSITION_BITS | u128::from(position));
        }
    }
    Ok(())
}
