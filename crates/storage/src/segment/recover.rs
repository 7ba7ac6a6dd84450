//! Recovery of a segment after an unclean stop: verify every batch, cut a torn tail, rebuild the indexes.
//!
//! A torn tail is what a write in flight leaves behind: from some position to the end of the file there is no valid
//! batch. Only that is cut. When a valid batch follows the damage, records were lost in the middle: nothing is cut, and
//! the error says where, because the good records behind it may be all that is left of them.
//!
//! Crash during recovery: nothing was changed that a second run does not find or change again. Does not sync: the
//! caller syncs once for all segments, before it believes the result to be durable.

use lastword_record::{
    BATCH_HEADER_BYTES, BatchHeader, LegacyMessage, LegacyPrefix, RecordBatch, RecordError,
};

use super::header_scan::{BatchPosition, check_batch};
use super::index_feed::IndexFeed;
use super::offset_index::OffsetEntry;
use super::open::PendingEntries;
use super::time_index::TimeEntry;
use super::{DEFAULT_SCAN_BUFFER_BYTES, Segment};
use crate::error::StorageError;
use crate::file_name::SegmentFile;

/// Bytes searched at a time behind a damage.
const SEARCH_BLOCK_BYTES: usize = 64 * 1024;
/// The search may checksum this many times the bytes it searches. Crafted bytes could make it take for ever.
const MOST_CHECKSUM_ROUNDS: u64 = 16;
const MAGIC_AT: usize = 16;

/// What recovery found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// Size of the log now.
    pub valid_bytes: u32,
    /// Bytes of the torn tail that was cut; 0 when the log was whole.
    pub truncated_bytes: u32,
    /// Valid batches from the starting position on.
    pub batches: u64,
    pub next_offset: i64,
}

/// Verifies the batches from `from_position` on (the start of a batch) and passes each to `on_batch`, which rebuilds
/// producer state and the transaction index: entries of markers from there on are forgotten before the first call.
/// Before the segment is shared.
pub fn recover(
    segment: &Segment,
    from_position: u32,
    on_batch: &mut dyn FnMut(u32, &RecordBatch<'_>) -> Result<(), StorageError>,
) -> Result<Recovered, StorageError> {
    let log_bytes = segment
        .log
        .len()
        .map_err(|source| segment.io("read", source))?;
    let log_bytes = u32::try_from(log_bytes)
        .unwrap_or(u32::MAX)
        .min(super::MOST_LOG_BYTES as u32);
    let from_position = from_position.min(log_bytes);
    let mut pending = PendingEntries::default();
    let (mut feed, mut next_offset) = resume_indexes(segment, from_position, &mut pending)?;
    reset_transaction_index(segment, from_position, next_offset)?;

    let mut scan = segment.scan(from_position, log_bytes, DEFAULT_SCAN_BUFFER_BYTES);
    let (mut valid_bytes, mut batches) = (from_position, 0);
    let damage = loop {
        let batch = match scan.next_batch() {
            Ok(Some((position, batch))) => match batch.verify_crc() {
                Ok(()) if batch.header().base_offset >= next_offset => (position, batch),
                Ok(()) => break Some(format!("base offset {} again", batch.header().base_offset)),
                Err(error) => break Some(error.to_string()),
            },
            Ok(None) => break None,
            Err(StorageError::CorruptSegment { reason, .. }) => break Some(reason),
            Err(error) => return Err(error),
        };
        let (position, batch) = batch;
        let (header, size_bytes) = (*batch.header(), batch.bytes().len() as u32);
        on_batch(position, &batch)?;
        pending.feed(
            &mut feed,
            &BatchPosition {
                position,
                size_bytes,
                header,
            },
            segment.base_offset(),
        );
        (valid_bytes, next_offset, batches) =
            (position + size_bytes, header.next_offset(), batches + 1);
    };
    drop(scan);
    if let Some(reason) = damage {
        refuse_damage_in_the_middle(segment, valid_bytes..log_bytes, &reason)?;
        tracing::warn!(
            log = segment.log_path(),
            valid_bytes,
            log_bytes,
            reason,
            "cutting a torn tail"
        );
        segment
            .log
            .truncate(valid_bytes.into())
            .map_err(|source| segment.io("truncate", source))?;
    }
    // As a segment that was closed in order has it.
    pending.time_entry(feed.time_entry(), segment.base_offset());
    pending.write(&segment.offset_index, &segment.time_index)?;
    segment.publish_recovered(feed, next_offset, valid_bytes);
    Ok(Recovered {
        valid_bytes,
        truncated_bytes: log_bytes - valid_bytes,
        batches,
        next_offset,
    })
}

/// Keeps the index entries of the batches before `from_position` if they are sound, or finds them again by the headers
/// there; forgets the rest. Returns the state of the feed and the next offset at that position.
fn resume_indexes(
    segment: &Segment,
    from_position: u32,
    pending: &mut PendingEntries,
) -> Result<(IndexFeed, i64), StorageError> {
    if from_position > 0
        && let Some(resumed) = keep_sound_entries(segment, from_position)?
    {
        return Ok(resumed);
    }
    segment.offset_index.truncate(0)?;
    segment.time_index.truncate(0)?;
    let mut feed = IndexFeed::new(segment.base_offset(), segment.settings.index_interval_bytes);
    let mut next_offset = segment.base_offset();
    let mut scan = segment.scan_headers(0, from_position);
    while let Some(batch) = scan.next_batch()? {
        pending.feed(&mut feed, &batch, segment.base_offset());
        next_offset = batch.header.next_offset();
    }
    Ok((feed, next_offset))
}

fn keep_sound_entries(
    segment: &Segment,
    from_position: u32,
) -> Result<Option<(IndexFeed, i64)>, StorageError> {
    let base_offset = segment.base_offset();
    // An index that lost its blocks in the crash has zeros in it, and does not rise everywhere.
    let mut last_entry: Option<OffsetEntry> = None;
    let (mut kept, mut is_sound) = (0, true);
    segment.offset_index.for_each(0, |bytes| {
        let entry = OffsetEntry::decode(bytes, base_offset);
        is_sound = entry.offset >= base_offset
            && last_entry
                .is_none_or(|last| entry.offset > last.offset && entry.position > last.position);
        let is_kept = is_sound && entry.position < from_position;
        if is_kept {
            (kept, last_entry) = (kept + 1, Some(entry));
        }
        is_kept
    })?;
    let Some(last_entry) = last_entry.filter(|_| is_sound) else {
        return Ok(None);
    };

    let mut feed = IndexFeed::new(base_offset, segment.settings.index_interval_bytes);
    let mut tail = Vec::new();
    let mut scan = segment.scan_headers(last_entry.position, from_position);
    loop {
        match scan.next_batch() {
            Ok(Some(batch)) => tail.push(batch.header),
            Ok(None) => break,
            Err(StorageError::CorruptSegment { .. }) => return Ok(None),
            Err(error) => return Err(error),
        }
    }
    let (Some(first), Some(last)) = (tail.first(), tail.last()) else {
        return Ok(None);
    };
    if first.last_offset() > last_entry.offset || last.last_offset() < last_entry.offset {
        return Ok(None);
    }
    // Time entries are written with offset entries: those up to the last kept batch stay.
    let mut last_time: Option<TimeEntry> = None;
    let mut kept_times = 0;
    segment.time_index.for_each(0, |bytes| {
        let entry = TimeEntry::decode(bytes, base_offset);
        is_sound = entry.offset >= base_offset
            && entry.timestamp >= 0
            && last_time
                .is_none_or(|last| entry.timestamp > last.timestamp && entry.offset >= last.offset);
        let is_kept = is_sound && entry.offset <= last_entry.offset;
        if is_kept {
            (kept_times, last_time) = (kept_times + 1, Some(entry));
        }
        is_kept
    })?;
    if !is_sound {
        return Ok(None);
    }
    segment.offset_index.truncate(kept)?;
    segment.time_index.truncate(kept_times)?;
    feed.resume(last_entry.position, last_time);
    tail.iter().for_each(|header| feed.observe(header));
    Ok(Some((feed, last.next_offset())))
}

fn reset_transaction_index(
    segment: &Segment,
    from_position: u32,
    next_offset: i64,
) -> Result<(), StorageError> {
    if from_position == 0 {
        segment.transaction_index.file().discard()
    } else {
        segment.transaction_index.truncate_from(next_offset)
    }
}

/// An error when `range`, which begins with the damage, has a valid batch in it.
fn refuse_damage_in_the_middle(
    segment: &Segment,
    range: std::ops::Range<u32>,
    reason: &str,
) -> Result<(), StorageError> {
    let start = range.start;
    let Some(position) = find_valid_batch(segment, range)? else {
        return Ok(());
    };
    let reason = format!(
        "{reason}; a valid batch follows at position {position}, so this is not a torn tail"
    );
    Err(StorageError::corrupt_segment(
        segment.log_path(),
        start.into(),
        reason,
    ))
}

/// The position of a batch that could belong to this log and has a valid checksum; a message of magic 0 or 1 counts as
/// one. When the search would take too long, the position where it was given up: not cutting is the safe answer.
pub(crate) fn find_valid_batch(
    segment: &Segment,
    range: std::ops::Range<u32>,
) -> Result<Option<u32>, StorageError> {
    let mut budget_bytes = u64::from(range.end.saturating_sub(range.start)) * MOST_CHECKSUM_ROUNDS;
    let mut block = vec![0; SEARCH_BLOCK_BYTES];
    let mut block_position = range.start;
    while block_position < range.end {
        let wanted = SEARCH_BLOCK_BYTES.min((range.end - block_position) as usize);
        let block = block.get_mut(..wanted).unwrap_or_default();
        let count = read(segment, block, block_position)?;
        let block = block.get(..count).unwrap_or_default();
        let is_last = count < SEARCH_BLOCK_BYTES || block_position + count as u32 >= range.end;
        // The next block begins with the first header that did not fit into this one.
        let starts = if is_last {
            count
        } else {
            count - (BATCH_HEADER_BYTES - 1)
        };
        for start in 0..starts {
            let position = block_position + start as u32;
            let candidate = block.get(start..).unwrap_or_default();
            let Some(size_bytes) = plausible_size(segment, candidate, range.end - position) else {
                continue;
            };
            if u64::from(size_bytes) > budget_bytes {
                return Ok(Some(position));
            }
            budget_bytes -= u64::from(size_bytes);
            if is_valid_batch(segment, position, size_bytes)? {
                return Ok(Some(position));
            }
        }
        if is_last {
            break;
        }
        block_position += starts as u32;
    }
    Ok(None)
}

/// The size of the batch or legacy message that may begin `candidate`, as far as its first bytes tell.
fn plausible_size(segment: &Segment, candidate: &[u8], remaining: u32) -> Option<u32> {
    // Any offset of the segment will do: a base offset is outside of the checksum, so it may be the very thing that is
    // damaged, here or in the batch before.
    let least_offset = segment.base_offset();
    let most_offset = least_offset.saturating_add(i64::from(i32::MAX));
    match candidate.get(MAGIC_AT)? {
        2 => {
            let header = BatchHeader::parse(candidate).ok()?;
            check_batch(&header, least_offset, most_offset, remaining).ok()
        }
        0 | 1 => {
            let prefix = LegacyPrefix::parse(candidate)?;
            let size_bytes = u32::try_from(prefix.size_bytes).ok()?;
            let is_plausible = (least_offset..=most_offset).contains(&prefix.offset);
            (is_plausible && size_bytes <= remaining).then_some(size_bytes)
        }
        _ => None,
    }
}

fn is_valid_batch(segment: &Segment, position: u32, size_bytes: u32) -> Result<bool, StorageError> {
    let mut bytes = vec![0; size_bytes as usize];
    let count = read(segment, &mut bytes, position)?;
    let verify = |bytes: &[u8]| -> Result<(), RecordError> {
        match bytes.get(MAGIC_AT) {
            Some(2) => RecordBatch::parse(bytes)?.verify_crc(),
            _ => LegacyMessage::parse(bytes).map(|_| ()),
        }
    };
    Ok(bytes
        .get(..count)
        .is_some_and(|bytes| verify(bytes).is_ok()))
}

/// Reads beyond what is published: nobody has decided yet what is valid.
fn read(segment: &Segment, buf: &mut [u8], position: u32) -> Result<usize, StorageError> {
    let path = || segment.files.path(SegmentFile::Log);
    segment
        .log
        .read_full_at(buf, position.into())
        .map_err(|source| StorageError::io("read", path(), source))
}
