//! Opening a segment without reading it, and rebuilding its indexes when they do not belong to it.
//!
//! Trusted of an index at open: nothing but its end. The last entry of the `.index` must lead to a batch, and its
//! offset must be there; from there the headers of the last few batches give the next offset and the newest timestamps. What an
//! index says in between is checked when it is used.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::files::SegmentFiles;
use super::header_scan::HeaderScan;
use super::index_feed::IndexFeed;
use super::index_file::IndexFile;
use super::offset_index::OffsetEntry;
use super::time_index::TimeEntry;
use super::transaction_index::TransactionIndex;
use super::{IndexSettings, MOST_LOG_BYTES, NOT_READ, Segment, offset_index, time_index};
use crate::dir::File;
use crate::error::StorageError;
use crate::file_name::SegmentFile;
use crate::lock::lock;

/// An index that ends further before the end of the log than this (and than sixteen intervals) is incomplete.
const MOST_UNINDEXED_BYTES: u32 = 1 << 20;

type OffsetIndex = IndexFile<{ offset_index::ENTRY_BYTES }>;
type TimeIndex = IndexFile<{ time_index::ENTRY_BYTES }>;

/// What the walk over the last batches found.
struct Tail {
    feed: IndexFeed,
    next_offset: i64,
    /// The end of the last whole batch.
    valid_bytes: u32,
}

pub(super) fn open(
    files: SegmentFiles,
    settings: IndexSettings,
    now_ms: i64,
) -> Result<Segment, StorageError> {
    let files = Arc::new(files);
    let path = files.path(SegmentFile::Log);
    let read = |source| StorageError::io("read", path.clone(), source);
    let log = files.open(SegmentFile::Log)?.ok_or_else(|| {
        StorageError::io("open", path.clone(), std::io::ErrorKind::NotFound.into())
    })?;
    let log_bytes = log.len().map_err(read)?;
    if log_bytes > MOST_LOG_BYTES {
        return Err(StorageError::corrupt_segment(
            path,
            MOST_LOG_BYTES,
            "the file is larger than a segment can be",
        ));
    }
    let log_bytes = log_bytes as u32;
    let modified_ms = log.modified_ms().map_err(read)?;
    let (transaction_index, transactions_are_sane) = TransactionIndex::open(&files)?;
    let (offset_index, time_index, tail) = open_indexes(&files, &log, log_bytes, settings)?;
    offset_index.close();
    time_index.close();
    Ok(Segment {
        log,
        settings,
        // Neither in the future nor at a reset clock's beginning.
        created_ms: if modified_ms > 0 {
            modified_ms.min(now_ms)
        } else {
            now_ms
        },
        offset_index,
        time_index,
        transaction_index,
        size_bytes: AtomicU32::new(log_bytes),
        next_offset: AtomicI64::new(tail.next_offset),
        first_batch_timestamp: AtomicI64::new(NOT_READ),
        needs_recovery: AtomicBool::new(tail.valid_bytes < log_bytes || !transactions_are_sane),
        max: Mutex::new(tail.feed.max),
        writer: Mutex::new(tail.feed),
        key_index_building: Mutex::default(),
        has_key_index: AtomicBool::new(false),
        key_index_bytes: AtomicU64::new(0),
        files,
    })
}

fn open_indexes(
    files: &Arc<SegmentFiles>,
    log: &Arc<dyn File>,
    log_bytes: u32,
    settings: IndexSettings,
) -> Result<(OffsetIndex, TimeIndex, Tail), StorageError> {
    let offset_index: Option<OffsetIndex> = IndexFile::open(files, SegmentFile::OffsetIndex)?;
    let time_index: Option<TimeIndex> = IndexFile::open(files, SegmentFile::TimeIndex)?;
    if let (Some(offset_index), Some(time_index)) = (offset_index, time_index)
        && let Some(tail) = read_tail(files, log, log_bytes, settings, &offset_index, &time_index)?
    {
        return Ok((offset_index, time_index, tail));
    }
    tracing::info!(
        log = files.path(SegmentFile::Log),
        "rebuilding the indexes of a segment"
    );
    let offset_index = IndexFile::create(files, SegmentFile::OffsetIndex)?;
    let time_index = IndexFile::create(files, SegmentFile::TimeIndex)?;
    let tail = build_indexes(files, log, log_bytes, settings, &offset_index, &time_index)?;
    Ok((offset_index, time_index, tail))
}

/// The end of the log by way of its indexes. `None`: they are not this log's, or stop too early.
fn read_tail(
    files: &Arc<SegmentFiles>,
    log: &Arc<dyn File>,
    log_bytes: u32,
    settings: IndexSettings,
    offset_index: &OffsetIndex,
    time_index: &TimeIndex,
) -> Result<Option<Tail>, StorageError> {
    let base_offset = files.base_offset;
    let Some((last_entry, last_time_entry)) = sane_ends(base_offset, offset_index, time_index)?
    else {
        return Ok(None);
    };
    let start = last_entry.map_or(0, |entry| entry.position);
    let mut feed = IndexFeed::new(base_offset, settings.index_interval_bytes);
    feed.resume(start, last_time_entry);
    let mut tail = Tail {
        feed,
        next_offset: base_offset,
        valid_bytes: start,
    };
    if start > log_bytes || start == log_bytes && start > 0 {
        return Ok(None);
    }
    let mut scan = header_scan(files, log, start, log_bytes);
    let mut is_first = true;
    while let Some(batch) = whole_batch(&mut scan)? {
        if is_first && last_entry.is_some_and(|entry| entry.offset < batch.header.last_offset()) {
            return Ok(None);
        }
        is_first = false;
        let unindexed_bytes = batch.position - start;
        let is_too_far = unindexed_bytes > MOST_UNINDEXED_BYTES
            && unindexed_bytes > settings.index_interval_bytes.saturating_mul(16);
        if is_too_far {
            return Ok(None);
        }
        tail.feed.observe(&batch.header);
        tail.next_offset = batch.header.next_offset();
        tail.valid_bytes = batch.end();
    }
    let is_found = last_entry.is_none_or(|entry| entry.offset < tail.next_offset);
    let time_fits = match last_time_entry {
        Some(entry) => {
            entry.offset < tail.next_offset
                && is_timestamp_of_batch(files, log, log_bytes, offset_index, entry)?
        }
        None => true,
    };
    Ok((is_found && time_fits).then_some(tail))
}

/// Whether the batch that a time entry names has its timestamp: the last entry is taken for the segment's largest
/// timestamp, which retention goes by. A damaged log is no reason to give up an index.
fn is_timestamp_of_batch(
    files: &Arc<SegmentFiles>,
    log: &Arc<dyn File>,
    log_bytes: u32,
    offset_index: &OffsetIndex,
    entry: TimeEntry,
) -> Result<bool, StorageError> {
    let count = offset_index::floor_count(offset_index, files.base_offset, entry.offset)?;
    let floor = match count.checked_sub(1) {
        Some(last) => offset_index.entry(last)?,
        None => None,
    };
    let start = floor.map_or(0, |bytes| {
        OffsetEntry::decode(&bytes, files.base_offset).position
    });
    let mut scan = header_scan(files, log, start, log_bytes);
    while let Some(batch) = whole_batch(&mut scan)? {
        if batch.header.last_offset() >= entry.offset {
            return Ok(batch.header.max_timestamp == entry.timestamp);
        }
    }
    Ok(true)
}

/// The last entries of both indexes, when first, last and last but one are in order.
#[expect(
    clippy::type_complexity,
    reason = "two optional entries, or nothing, used once"
)]
fn sane_ends(
    base_offset: i64,
    offset_index: &OffsetIndex,
    time_index: &TimeIndex,
) -> Result<Option<(Option<OffsetEntry>, Option<TimeEntry>)>, StorageError> {
    let mut offsets = Vec::new();
    for index in ends(offset_index.count()) {
        offsets.extend(
            offset_index
                .entry(index)?
                .map(|bytes| OffsetEntry::decode(&bytes, base_offset)),
        );
    }
    let mut times = Vec::new();
    for index in ends(time_index.count()) {
        times.extend(
            time_index
                .entry(index)?
                .map(|bytes| TimeEntry::decode(&bytes, base_offset)),
        );
    }
    let offsets_rise = offsets
        .is_sorted_by(|left, right| left.offset < right.offset && left.position < right.position);
    let times_rise = times.is_sorted_by(|left, right| {
        left.timestamp < right.timestamp && left.offset <= right.offset
    });
    let are_inside = offsets.iter().all(|entry| entry.offset >= base_offset)
        && times
            .iter()
            .all(|entry| entry.offset >= base_offset && entry.timestamp >= 0);
    Ok((offsets_rise && times_rise && are_inside)
        .then(|| (offsets.last().copied(), times.last().copied())))
}

/// First, last but one, and last of `count`, without repetition.
fn ends(count: u32) -> impl Iterator<Item = u32> {
    [
        Some(0),
        count.checked_sub(2).filter(|index| *index > 0),
        count.checked_sub(1).filter(|index| *index > 0),
    ]
    .into_iter()
    .flatten()
    .take_while(move |index| *index < count)
}

/// Writes both indexes anew by the headers of the log, as far as it is whole.
fn build_indexes(
    files: &Arc<SegmentFiles>,
    log: &Arc<dyn File>,
    log_bytes: u32,
    settings: IndexSettings,
    offset_index: &OffsetIndex,
    time_index: &TimeIndex,
) -> Result<Tail, StorageError> {
    let base_offset = files.base_offset;
    let feed = IndexFeed::new(base_offset, settings.index_interval_bytes);
    let mut tail = Tail {
        feed,
        next_offset: base_offset,
        valid_bytes: 0,
    };
    let mut pending = PendingEntries::default();
    let mut scan = header_scan(files, log, 0, log_bytes);
    while let Some(batch) = whole_batch(&mut scan)? {
        pending.feed(&mut tail.feed, &batch, base_offset);
        tail.next_offset = batch.header.next_offset();
        tail.valid_bytes = batch.end();
    }
    // Sealed or not, the entry is right; without it an active segment's would be found by the tail walk as well.
    pending.time_entry(tail.feed.time_entry(), base_offset);
    pending.write(offset_index, time_index)?;
    Ok(tail)
}

/// Index entries that are written in one go.
#[derive(Default)]
pub(super) struct PendingEntries {
    offsets: Vec<u8>,
    times: Vec<u8>,
}

impl PendingEntries {
    pub fn feed(&mut self, feed: &mut IndexFeed, batch: &super::BatchPosition, base_offset: i64) {
        if let Some(entries) = feed.batch(&batch.header, batch.position) {
            self.offsets
                .extend(entries.offset.encode(base_offset).iter().flatten());
            self.time_entry(entries.time, base_offset);
        }
    }

    pub fn time_entry(&mut self, entry: Option<TimeEntry>, base_offset: i64) {
        self.times.extend(
            entry
                .and_then(|entry| entry.encode(base_offset))
                .iter()
                .flatten(),
        );
    }

    pub fn write(
        &self,
        offset_index: &OffsetIndex,
        time_index: &TimeIndex,
    ) -> Result<(), StorageError> {
        offset_index.extend(&self.offsets)?;
        time_index.extend(&self.times)
    }
}

/// The next batch; `None` at the end of the log and where it stops being whole.
fn whole_batch(scan: &mut HeaderScan) -> Result<Option<super::BatchPosition>, StorageError> {
    match scan.next_batch() {
        Err(StorageError::CorruptSegment { .. }) => Ok(None),
        result => result,
    }
}

fn header_scan(files: &Arc<SegmentFiles>, log: &Arc<dyn File>, from: u32, to: u32) -> HeaderScan {
    HeaderScan::new(Arc::clone(log), files, from..to)
}

impl Segment {
    /// Takes over what recovery found. Before the segment is shared.
    pub(super) fn publish_recovered(&self, feed: IndexFeed, next_offset: i64, valid_bytes: u32) {
        *lock(&self.max) = feed.max;
        *lock(&self.writer) = feed;
        self.next_offset.store(next_offset, Ordering::Release);
        self.first_batch_timestamp
            .store(NOT_READ, Ordering::Relaxed);
        self.needs_recovery.store(false, Ordering::Release);
        self.size_bytes.store(valid_bytes, Ordering::Release);
    }
}
