//! How many records of a log exist between two offsets: what Kafka's tools take end minus start for, and what in a
//! compacted log is far less.
//!
//! A [`RecordCounter`] keeps, for each segment, how many records lie before some of its batches. Batch headers say how many
//! records a batch has, so a segment is walked once, from header to header, and an active one from where the last count
//! ended. A count then costs a walk between two marks at each of its ends, and one batch decompressed where it begins or
//! ends within a batch that a cleaning has thinned.
//!
//! Invariants
//! - Markers are not counted, and records of transactions that were rolled back are, for as long as they are there.
//! - Memory: at most 256 marks of 16 bytes a segment, whatever its size; a segment that is replaced takes its count along.
//!
//! No lock: the caller lets one count at a time use a counter. Values and keys are not read, and a checksum is compared
//! only of a batch that is decompressed.

use std::ops::Range;
use std::sync::{Arc, Weak};

use lastword_record::{BatchHeader, Decompressor, RecordBatch};

use crate::error::StorageError;
use crate::log::{Log, SegmentSet};
use crate::segment::{BatchPosition, Segment};

/// Of one segment. When there are so many, every second one goes.
const MAX_MARKS: usize = 256;
/// Marks are at least so far apart.
const FIRST_MARK_BYTES: u32 = 64 << 10;
/// Batches between two looks at the clock.
const BATCHES_AT_ONCE: u32 = 1_024;

/// See the file header.
#[derive(Default)]
pub struct RecordCounter {
    segments: Vec<SegmentCount>,
}

/// One segment, as far as it was walked.
struct SegmentCount {
    segment: Weak<Segment>,
    /// Batches before it were seen.
    position: u32,
    /// In them.
    records: u64,
    marks: Vec<Mark>,
    mark_bytes: u32,
}

/// A batch, and how many records are before it in its segment.
#[derive(Clone, Copy)]
struct Mark {
    /// Of its first offset, in the segment.
    relative_offset: u32,
    position: u32,
    records: u64,
}

impl RecordCounter {
    /// The records whose offsets are in `offsets`; `None` when `may_go_on` said no before all of it was walked. What was
    /// walked is kept: the next count goes on there.
    ///
    /// Fails with [`StorageError::CorruptSegment`] when the log is damaged.
    pub fn count(
        &mut self,
        log: &Log,
        offsets: Range<i64>,
        decompressor: &mut Decompressor,
        may_go_on: &mut dyn FnMut() -> bool,
    ) -> Result<Option<u64>, StorageError> {
        let set = log.segments();
        self.follow(&set);
        let mut sum = 0u64;
        for (segment, count) in set.iter().zip(&mut self.segments) {
            if segment.base_offset() >= offsets.end || segment.next_offset() <= offsets.start {
                continue;
            }
            if !count.walk(segment, may_go_on)? {
                return Ok(None);
            }
            let below_end = count.below(segment, offsets.end, decompressor)?;
            let below_start = count.below(segment, offsets.start, decompressor)?;
            sum += below_end.saturating_sub(below_start);
        }
        Ok(Some(sum))
    }

    /// One count a segment, in their order; those of segments that are gone go.
    fn follow(&mut self, set: &SegmentSet) {
        let same = |count: &SegmentCount, segment: &Arc<Segment>| {
            Weak::as_ptr(&count.segment) == Arc::as_ptr(segment)
        };
        let is_same = self.segments.len() == set.len()
            && set.iter().zip(&self.segments).all(|(a, b)| same(b, a));
        if is_same {
            return;
        }
        let mut known = std::mem::take(&mut self.segments).into_iter().peekable();
        for segment in set.iter() {
            let base_offset = segment.base_offset();
            let is_before = |count: &SegmentCount| {
                let held = count.segment.upgrade();
                !same(count, segment) && held.is_none_or(|it| it.base_offset() <= base_offset)
            };
            while known.next_if(is_before).is_some() {}
            let count = known.next_if(|count| same(count, segment));
            self.segments
                .push(count.unwrap_or_else(|| SegmentCount::new(segment)));
        }
    }
}

impl SegmentCount {
    fn new(segment: &Arc<Segment>) -> SegmentCount {
        SegmentCount {
            segment: Arc::downgrade(segment),
            position: 0,
            records: 0,
            marks: Vec::new(),
            mark_bytes: FIRST_MARK_BYTES,
        }
    }

    /// Sees what was appended since. False: it was told to stop.
    fn walk(
        &mut self,
        segment: &Segment,
        may_go_on: &mut dyn FnMut() -> bool,
    ) -> Result<bool, StorageError> {
        let end = segment.size_bytes();
        if self.position >= end {
            return Ok(true);
        }
        let mut scan = segment.scan_headers(self.position, end);
        let mut batches = 0u32;
        while let Some(batch) = scan.next_batch()? {
            self.mark(segment, &batch);
            self.records += records(&batch.header);
            self.position = batch.end();
            batches += 1;
            if batches.is_multiple_of(BATCHES_AT_ONCE) && !may_go_on() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn mark(&mut self, segment: &Segment, batch: &BatchPosition) {
        let next = self
            .marks
            .last()
            .map_or(0, |last| last.position.saturating_add(self.mark_bytes));
        if batch.position < next {
            return;
        }
        let relative = batch.header.base_offset.abs_diff(segment.base_offset());
        let Ok(relative_offset) = u32::try_from(relative) else {
            return;
        };
        if self.marks.len() >= MAX_MARKS {
            let mut number = 0u32;
            self.marks.retain(|_| {
                number += 1;
                number % 2 == 1
            });
            self.marks.shrink_to_fit();
            self.mark_bytes = self.mark_bytes.saturating_mul(2);
        }
        self.marks.push(Mark {
            relative_offset,
            position: batch.position,
            records: self.records,
        });
    }

    /// Records below an offset, of those that were seen.
    fn below(
        &self,
        segment: &Segment,
        offset: i64,
        decompressor: &mut Decompressor,
    ) -> Result<u64, StorageError> {
        let Some(relative) = offset.checked_sub(segment.base_offset()) else {
            return Ok(0);
        };
        if offset >= segment.next_offset() && self.position >= segment.size_bytes() {
            return Ok(self.records);
        }
        let before = self
            .marks
            .partition_point(|mark| i64::from(mark.relative_offset) <= relative);
        let Some(mark) = before.checked_sub(1).and_then(|at| self.marks.get(at)) else {
            return Ok(0);
        };
        let mut sum = mark.records;
        let mut scan = segment.scan_headers(mark.position, self.position);
        while let Some(batch) = scan.next_batch()? {
            if batch.header.last_offset() < offset {
                sum += records(&batch.header);
                continue;
            }
            if batch.header.base_offset < offset {
                sum += below_in(segment, &batch, offset, decompressor)?;
            }
            break;
        }
        Ok(sum)
    }
}

/// That consumers could be given.
fn records(header: &BatchHeader) -> u64 {
    match header.is_control() {
        true => 0,
        false => u64::try_from(header.record_count).unwrap_or(0),
    }
}

/// Records below an offset in a batch that has it.
fn below_in(
    segment: &Segment,
    batch: &BatchPosition,
    offset: i64,
    decompressor: &mut Decompressor,
) -> Result<u64, StorageError> {
    let header = &batch.header;
    if header.is_control() || header.record_count == 0 {
        return Ok(0);
    }
    if i64::from(header.record_count) == i64::from(header.last_offset_delta) + 1 {
        return Ok(offset.abs_diff(header.base_offset));
    }
    let damaged = |reason: String| {
        StorageError::corrupt_segment(segment.log_path(), batch.position.into(), reason)
    };
    let mut bytes = vec![0; batch.size_bytes as usize];
    let count = segment
        .read_at(&mut bytes, batch.position)
        .map_err(|source| StorageError::io("read", segment.log_path(), source))?;
    bytes.truncate(count);
    let parsed = RecordBatch::parse(&bytes).map_err(|error| damaged(error.to_string()))?;
    parsed
        .verify_crc()
        .map_err(|error| damaged(error.to_string()))?;
    let mut below = 0;
    let keys = parsed.keys(decompressor);
    for record in keys.map_err(|error| damaged(error.to_string()))? {
        let record = record.map_err(|error| damaged(error.to_string()))?;
        below += u64::from(record.offset < offset);
    }
    Ok(below)
}
