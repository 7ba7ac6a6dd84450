//! The fetch path: published offsets → segment → position → slices.
//!
//! Takes no lock. A reader works on the offsets and the segment set it loaded; whatever a roll, a
//! retention or a cleaning does meanwhile, the segments it holds stay readable, and every answer is
//! right by offset: a read at an offset that was compacted away starts with the next batch.
//!
//! It returns slices, not bytes: the caller decides when and how they are read. Checksums are not
//! verified here; the consumer does that.

use std::io;
use std::sync::Arc;

use super::offsets::{LogPosition, Published};
use super::{Log, SegmentSet};
use crate::error::StorageError;
use crate::segment::{AbortedTransaction, CollectedAborts, Segment};

/// How far a reader may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// Everything that was appended, durable or not: for those who wrote it.
    LogEnd,
    /// What is durable: `read_uncommitted`.
    HighWatermark,
    /// What is decided: `read_committed`. The answer lists the aborted transactions.
    LastStable,
}

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct ReadRequest {
    pub offset: i64,
    pub max_bytes: usize,
    /// Give the first batch whole even if it is larger than `max_bytes`.
    pub min_one_batch: bool,
    pub isolation: Isolation,
}

/// A range of bytes of one segment: whole batches, but the last may be cut off.
#[derive(Clone)]
pub struct FetchSlice {
    pub segment: Arc<Segment>,
    pub position: u32,
    pub len: u32,
}

/// What a read found.
#[derive(Clone)]
pub struct FetchData {
    /// The offset that was asked for.
    pub offset: i64,
    pub slices: Vec<FetchSlice>,
    pub high_watermark: i64,
    pub last_stable_offset: i64,
    pub log_start_offset: i64,
    /// Only for [`Isolation::LastStable`].
    pub aborted_transactions: Vec<AbortedTransaction>,
}

impl FetchData {
    /// Bytes of all slices.
    pub fn len_bytes(&self) -> usize {
        self.slices.iter().map(|slice| slice.len as usize).sum()
    }

    /// Nothing to read: the offset is at the end, or the first batch is larger than allowed.
    pub fn is_empty(&self) -> bool {
        self.slices.is_empty()
    }

    /// Appends the bytes of all slices to `out`; answers how many.
    pub fn read_into(&self, out: &mut Vec<u8>) -> io::Result<usize> {
        let start = out.len();
        for slice in &self.slices {
            let mut filled = out.len();
            let end = filled + slice.len as usize;
            out.resize(end, 0);
            let mut position = slice.position;
            while filled < end {
                let count = slice.segment.read_at(&mut out[filled..end], position)?;
                if count == 0 {
                    out.truncate(start);
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                filled += count;
                position += u32::try_from(count).unwrap_or(u32::MAX);
            }
        }
        Ok(out.len() - start)
    }
}

pub(super) fn read(log: &Log, request: ReadRequest) -> Result<FetchData, StorageError> {
    let published = log.published.load();
    check_range(request.offset, &published)?;
    let limit = limit_of(&published, request.isolation);
    let mut data = FetchData {
        offset: request.offset,
        slices: Vec::new(),
        high_watermark: published.high_watermark.offset,
        last_stable_offset: published.last_stable_offset(),
        log_start_offset: published.log_start_offset,
        aborted_transactions: Vec::new(),
    };
    if request.offset >= limit.offset {
        return Ok(data);
    }
    let set = log.segments.load_full();
    // Segments may have been deleted between the two loads; then the offset is gone.
    let log_start_offset = log.published.load().log_start_offset;
    if request.offset < log_start_offset {
        return Err(out_of_range(request.offset, &published));
    }
    let Some((index, slice)) = find_slice(&set, &request, limit)? else {
        return Ok(data);
    };
    if request.isolation == Isolation::LastStable {
        // Everything in the slice lies below the next segment. Aborts beyond the slice do no harm.
        let upper = set.next_base_offset(index).unwrap_or(limit.offset);
        let upper = upper.min(limit.offset);
        data.aborted_transactions = aborted_transactions(&set, index, request.offset, upper)?;
    }
    if slice.len > 0 {
        data.slices.push(slice);
    }
    Ok(data)
}

fn check_range(offset: i64, published: &Published) -> Result<(), StorageError> {
    if offset < published.log_start_offset || offset > published.log_end.offset {
        return Err(out_of_range(offset, published));
    }
    Ok(())
}

fn out_of_range(requested: i64, published: &Published) -> StorageError {
    StorageError::OffsetOutOfRange {
        requested,
        log_start_offset: published.log_start_offset,
        high_watermark: published.high_watermark.offset,
    }
}

fn limit_of(published: &Published, isolation: Isolation) -> LogPosition {
    match isolation {
        Isolation::LogEnd => published.log_end,
        Isolation::HighWatermark => published.high_watermark,
        Isolation::LastStable => {
            let offset = published.last_stable_offset();
            if offset == published.high_watermark.offset {
                published.high_watermark
            } else {
                // No segment has this base offset: the place is looked up.
                LogPosition {
                    offset,
                    segment_base_offset: -1,
                    position: 0,
                }
            }
        }
    }
}

/// The first batch at or after the offset and what follows it in the same segment.
fn find_slice(
    set: &SegmentSet,
    request: &ReadRequest,
    limit: LogPosition,
) -> Result<Option<(usize, FetchSlice)>, StorageError> {
    let start = set.floor_index(request.offset).unwrap_or(0);
    for (index, segment) in set.iter().enumerate().skip(start) {
        if segment.base_offset() >= limit.offset {
            break;
        }
        let end = end_position(set, index, limit)?;
        let Some(batch) = segment.position_of(request.offset)? else {
            continue;
        };
        if batch.position >= end {
            continue;
        }
        let available = (end - batch.position) as usize;
        let wanted = if request.min_one_batch {
            request.max_bytes.max(batch.size_bytes as usize)
        } else {
            request.max_bytes
        };
        let mut len = wanted.min(available);
        if len < batch.size_bytes as usize {
            len = 0;
        }
        let slice = FetchSlice {
            segment: Arc::clone(segment),
            position: batch.position,
            len: u32::try_from(len).unwrap_or(u32::MAX),
        };
        return Ok(Some((index, slice)));
    }
    Ok(None)
}

/// Where the readable part of a segment ends. A segment that lies wholly below the limit is
/// readable to its end; the limit's own position only counts in the segment it was taken in.
fn end_position(set: &SegmentSet, index: usize, limit: LogPosition) -> Result<u32, StorageError> {
    let segment = &set.as_slice()[index];
    let is_below = set
        .next_base_offset(index)
        .is_some_and(|next| next <= limit.offset);
    if is_below {
        return Ok(segment.size_bytes());
    }
    if segment.base_offset() == limit.segment_base_offset {
        return Ok(limit.position.min(segment.size_bytes()));
    }
    let position = segment.position_of(limit.offset)?;
    Ok(position.map_or(segment.size_bytes(), |batch| batch.position))
}

/// Aborted transactions with records in `[from, to)`. An abort's entry lies in the segment of its
/// marker, so the search goes on until an entry proves that nothing later can reach below `to`.
fn aborted_transactions(
    set: &SegmentSet,
    index: usize,
    from: i64,
    to: i64,
) -> Result<Vec<AbortedTransaction>, StorageError> {
    let mut collected = CollectedAborts::default();
    for segment in set.as_slice().iter().skip(index) {
        segment
            .transaction_index()
            .collect(from, to, &mut collected)?;
        if collected.is_complete {
            break;
        }
    }
    Ok(collected.transactions)
}
