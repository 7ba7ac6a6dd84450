//! Lookups by timestamp: the first record at or after a time, and the newest record by time.
//!
//! Only records below HighWatermark are answered. Takes no lock.

use lastword_record::Decompressor;

use super::offsets::Published;
use super::{Log, SegmentSet};
use crate::error::StorageError;
use crate::segment::TimestampedOffset;

pub(super) fn offset_for_timestamp(
    log: &Log,
    timestamp_ms: i64,
) -> Result<Option<TimestampedOffset>, StorageError> {
    let published = log.published.load();
    let set = log.segments.load_full();
    let mut scratch = log.context.take_scratch();
    let result = search(&set, &published, timestamp_ms, &mut scratch.decompressor);
    log.context.give_back(scratch);
    result
}

fn search(
    set: &SegmentSet,
    published: &Published,
    timestamp_ms: i64,
    decompressor: &mut Decompressor,
) -> Result<Option<TimestampedOffset>, StorageError> {
    for segment in set.iter() {
        if segment.base_offset() >= published.high_watermark.offset {
            break;
        }
        if segment.max_timestamp() < timestamp_ms {
            continue;
        }
        let from = published.log_start_offset;
        if let Some(found) = segment.offset_for_timestamp(timestamp_ms, from, decompressor)? {
            let is_visible = found.offset < published.high_watermark.offset;
            return Ok(is_visible.then_some(found));
        }
    }
    Ok(None)
}

pub(super) fn max_timestamp_offset(log: &Log) -> Result<Option<TimestampedOffset>, StorageError> {
    let published = log.published.load();
    let set = log.segments.load_full();
    // The first segment that holds the largest timestamp: `max_by_key` would give the last.
    let newest = set
        .iter()
        .filter(|segment| segment.max_timestamp() >= 0)
        .rev()
        .max_by_key(|segment| segment.max_timestamp());
    let Some(segment) = newest else {
        return Ok(None);
    };
    let newest_ms = segment.max_timestamp();
    let from = published.log_start_offset;
    let mut scratch = log.context.take_scratch();
    let found = segment.offset_for_timestamp(newest_ms, from, &mut scratch.decompressor);
    log.context.give_back(scratch);
    Ok(found?.filter(|found| found.offset < published.high_watermark.offset))
}
