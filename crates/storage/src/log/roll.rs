//! Starting a new segment.
//!
//! A segment is rolled when the next batch would make it too large, when it is too old (by the
//! timestamps of its batches on append, by the wall clock on the timer), when an index is full, and
//! when an offset is too far from its base. On compacted topics `max.compaction.lag.ms` caps the
//! age, because the active segment is never cleaned.
//!
//! Steps, under the writer lock:
//!
//! | # | step | a crash after it leaves |
//! |---|---|---|
//! | 1 | seal the old segment, sync it with its indexes | nothing new: it is recovered as the tail |
//! | 2 | write the producer snapshot | a snapshot at the log's end, maybe torn |
//! | 3 | create the new segment's files | empty files, or none |
//! | 4 | sync the directory | empty files |
//! | 5 | publish | |
//!
//! So everything but the active segment is durable, always: no sync has to look back.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use lastword_record::BatchHeader;
use tracing::debug;

use super::offsets::LogPosition;
use super::validate::Rules;
use super::{Log, LogWriter, NEVER, index_settings, lock, snapshots};
use crate::config::LogConfig;
use crate::error::StorageError;
use crate::file_name;
use crate::segment::Segment;

/// Rolls if these batches may not go to the active segment.
pub(super) fn roll_before_append(
    log: &Log,
    writer: &mut LogWriter,
    rules: &Rules<'_>,
    headers: &[BatchHeader],
    size_bytes: usize,
) -> Result<(), StorageError> {
    let (Some(first), Some(last)) = (headers.first(), headers.last()) else {
        return Ok(());
    };
    let max_timestamp = headers.iter().map(|header| header.max_timestamp).max();
    let incoming = Incoming {
        size_bytes: size_bytes as u64,
        last_offset: last.last_offset(),
        max_timestamp: max_timestamp.unwrap_or(-1),
        now_ms: rules.now_ms,
    };
    if must_roll(log, writer, rules.config, &incoming) {
        roll_to(log, writer, first.base_offset, rules.now_ms)?;
    }
    Ok(())
}

struct Incoming {
    size_bytes: u64,
    last_offset: i64,
    max_timestamp: i64,
    now_ms: i64,
}

fn must_roll(log: &Log, writer: &LogWriter, config: &LogConfig, incoming: &Incoming) -> bool {
    let active = &writer.active;
    let size_bytes = u64::from(active.size_bytes());
    let is_far = !active.can_hold_offset(incoming.last_offset);
    if size_bytes == 0 {
        // A batch alone in its segment fits whatever its size; only its offset can be too far.
        return is_far;
    }
    let age_ms = match active.first_batch_timestamp() {
        Some(first) if first >= 0 && incoming.max_timestamp >= 0 => incoming.max_timestamp - first,
        _ => incoming.now_ms - log.first_append_ms().unwrap_or(incoming.now_ms),
    };
    is_far
        || size_bytes + incoming.size_bytes > u64::from(config.effective_segment_bytes())
        || age_ms > roll_age_ms(log, active.base_offset(), config)
        || active.is_index_full()
}

/// `segment.ms` less the segment's share of `segment.jitter.ms`.
fn roll_age_ms(log: &Log, base_offset: i64, config: &LogConfig) -> i64 {
    let segment_ms = config.effective_segment_ms();
    let limit_ms = config.segment_jitter_ms.min(segment_ms);
    if limit_ms <= 0 {
        return segment_ms;
    }
    // Spreads the rolls of many partitions; the same segment always gets the same share.
    let mut seed = base_offset.cast_unsigned();
    for byte in log.partition_dir.bytes() {
        seed = (seed ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    let mixed = (seed ^ (seed >> 31)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 1;
    segment_ms - mixed.cast_signed() % limit_ms
}

/// When `roll_if_due` rolls.
pub(super) fn rolls_at_ms(log: &Log) -> Option<i64> {
    let config = log.config.load();
    let segments = log.segments.load();
    let base_offset = segments.as_slice().last()?.base_offset();
    let age_ms = roll_age_ms(log, base_offset, &config);
    let at_ms = log.first_append_ms()?.checked_add(age_ms)?;
    at_ms.checked_add(1)
}

/// Rolls if the active segment has been written to for too long by the wall clock.
pub(super) fn roll_if_due(log: &Log, now_ms: i64) -> Result<bool, StorageError> {
    let config = log.config.load_full();
    let mut writer = lock(&log.writer);
    log.check_open()?;
    let Some(first_append_ms) = log.first_append_ms() else {
        return Ok(false);
    };
    let age_ms = now_ms.saturating_sub(first_append_ms);
    let roll_age_ms = roll_age_ms(log, writer.active.base_offset(), &config);
    if writer.active.size_bytes() == 0 || age_ms <= roll_age_ms {
        return Ok(false);
    }
    let log_end_offset = log.published.load().log_end.offset;
    roll_to(log, &mut writer, log_end_offset, now_ms)?;
    Ok(true)
}

/// Rolls unless the active segment is empty.
pub(super) fn roll_now(log: &Log) -> Result<bool, StorageError> {
    let mut writer = lock(&log.writer);
    log.check_open()?;
    if writer.active.size_bytes() == 0 {
        return Ok(false);
    }
    let log_end_offset = log.published.load().log_end.offset;
    let now_ms = log.context.clock.now_ms();
    roll_to(log, &mut writer, log_end_offset, now_ms)?;
    Ok(true)
}

/// The new segment begins at `base_offset`: LogEndOffset, or above it when a replay leaves a gap.
pub(super) fn roll_to(
    log: &Log,
    writer: &mut LogWriter,
    base_offset: i64,
    now_ms: i64,
) -> Result<(), StorageError> {
    let segment = log
        .context
        .or_offline(new_segment(log, writer, base_offset, now_ms))?;
    let segment = Arc::new(segment);
    debug!(partition = %log.topic_partition, base_offset, "rolled a new segment");

    let set = log.segments.load();
    let mut segments = set.as_slice().to_vec();
    // An empty active segment whose base is too far below is left behind as an empty file.
    segments.push(Arc::clone(&segment));
    log.segments.store(Arc::new(set.with_segments(segments)));
    log.context.sealed.raise();
    writer.active.close_index_files();
    writer.active = segment;
    log.first_append_ms.store(NEVER, Ordering::Relaxed);
    log.published.update(|published| {
        published.log_end = LogPosition {
            offset: base_offset,
            segment_base_offset: base_offset,
            position: 0,
        };
    });
    Ok(())
}

fn new_segment(
    log: &Log,
    writer: &mut LogWriter,
    base_offset: i64,
    now_ms: i64,
) -> Result<Segment, StorageError> {
    writer.active.seal()?;
    writer.active.sync()?;
    writer.producers.advance_to(base_offset);
    snapshots::take(log, writer, base_offset)?;
    let config = log.config.load();
    let segment = Segment::create(
        Arc::clone(&log.context.dir),
        &log.partition_dir,
        base_offset,
        file_name::LIVE,
        index_settings(&config),
        now_ms,
    )?;
    log.context
        .dir
        .sync_dir(&log.partition_dir)
        .map_err(|error| StorageError::io("sync", log.partition_dir.as_str(), error))?;
    Ok(segment)
}
