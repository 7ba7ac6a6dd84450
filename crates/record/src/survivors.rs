//! The records of a batch that stay, copied without being taken apart.
//!
//! A record that goes is skipped by its length. Of one that stays only what stands before its key is
//! read; if the new batch would say the same there, it is copied as it is, together with its
//! neighbours, otherwise length and deltas are written anew and the rest is copied.
//!
//! The bytes are those that [`BatchBuilder::push_record`](crate::BatchBuilder::push_record) would
//! write. What it takes for granted about records that stay is checked here too, except that headers
//! are not decoded; of records that go only the bounds are checked.

use crate::record::{take_body, take_deltas, take_key_and_value};
use crate::shape::{Progress, Shape, append_record};
use crate::varint::varlong_size_bytes;
use crate::{BatchHeader, RecordError, TimestampType};

/// Appends those of the records in `payload`, the uncompressed records behind `header`, to `into`
/// that are `live`, which is asked once for each record, in order, with its index in the batch.
/// After an error `into` and `shape` are as they were.
pub(crate) fn copy_survivors(
    shape: &mut Shape,
    header: &BatchHeader,
    payload: &[u8],
    live: impl FnMut(u64) -> bool,
    into: &mut Vec<u8>,
) -> Result<(), RecordError> {
    shape.check_source(header)?;
    let start = into.len();
    into.reserve(payload.len());
    match copy(shape, header, payload, live, into) {
        Ok(progress) => {
            shape.progress = progress;
            Ok(())
        }
        Err(reason) => {
            into.truncate(start);
            Err(RecordError::InvalidRecord { reason })
        }
    }
}

fn copy(
    shape: &Shape,
    header: &BatchHeader,
    payload: &[u8],
    mut live: impl FnMut(u64) -> bool,
    into: &mut Vec<u8>,
) -> Result<Progress, &'static str> {
    let log_append_time = match header.timestamp_type() {
        TimestampType::CreateTime => None,
        TimestampType::LogAppendTime => Some(header.max_timestamp),
    };
    // What the source's offset deltas must lie between to fit both batches.
    let offset_shift = header
        .base_offset
        .checked_sub(shape.spec.base_offset)
        .ok_or("the base offsets are too far apart")?;
    let last_offset_delta = shape.fixed_last_offset_delta.unwrap_or(i32::MAX);
    let most_offset_delta = i64::from(last_offset_delta)
        .saturating_sub(offset_shift)
        .min(i64::from(header.last_offset_delta));
    let mut least_offset_delta = i64::from(shape.progress.previous_offset_delta.max(0))
        .saturating_sub(offset_shift)
        .max(0);

    let mut progress = shape.progress;
    let count_before = progress.record_count;
    if count_before.checked_add(header.record_count).is_none() {
        return Err("too many records");
    }
    let mut rest = payload;
    // Records that lie side by side and are copied as they are.
    let mut run = 0..0;

    for index in 0..u64::from(header.record_count.unsigned_abs()) {
        let start = payload.len() - rest.len();
        let mut body = take_body(&mut rest)?;
        if !live(index) {
            continue;
        }
        let end = payload.len() - rest.len();
        let length = body.len();
        let has_attributes = body.first() != Some(&0);
        let (old_timestamp_delta, old_offset_delta) = take_deltas(&mut body)?;
        let old_offset_delta = i64::from(old_offset_delta);
        if old_offset_delta < least_offset_delta {
            return Err("offset deltas descend");
        }
        if old_offset_delta > most_offset_delta {
            return Err("offset delta beyond the last offset delta of the batch");
        }
        least_offset_delta = old_offset_delta;
        let tail = body;
        take_key_and_value(&mut body)?;

        let timestamp = match log_append_time {
            None => header.base_timestamp.wrapping_add(old_timestamp_delta),
            Some(log_append_time) => log_append_time,
        };
        if progress.record_count == 0 {
            progress.base_timestamp = shape.delete_horizon_ms.unwrap_or(timestamp);
        }
        progress.record_count += 1;
        progress.max_timestamp = progress.max_timestamp.max(timestamp);
        let timestamp_delta = timestamp.wrapping_sub(progress.base_timestamp);

        let prefix_bytes = end - start - tail.len();
        let is_same = timestamp_delta == old_timestamp_delta
            && offset_shift == 0
            && !has_attributes
            && prefix_bytes == least_prefix_bytes(length, timestamp_delta, old_offset_delta);
        if is_same {
            if run.end != start {
                into.extend_from_slice(payload.get(run.clone()).unwrap_or_default());
                run.start = start;
            }
            run.end = end;
        } else {
            if !run.is_empty() {
                into.extend_from_slice(payload.get(run).unwrap_or_default());
            }
            run = end..end;
            append_record(into, timestamp_delta, old_offset_delta + offset_shift, tail)?;
        }
    }
    if !rest.is_empty() {
        return Err("bytes left over behind the last record");
    }
    into.extend_from_slice(payload.get(run).unwrap_or_default());
    if progress.record_count > count_before {
        let offset_delta = i32::try_from(least_offset_delta + offset_shift);
        progress.previous_offset_delta = offset_delta.map_err(|_| "offsets overflow")?;
    }
    Ok(progress)
}

/// Size of what stands before the key's length, if no number is written longer than needed.
#[inline(always)]
fn least_prefix_bytes(length: usize, timestamp_delta: i64, offset_delta: i64) -> usize {
    varlong_size_bytes(length as i64)
        + 1
        + varlong_size_bytes(timestamp_delta)
        + varlong_size_bytes(offset_delta)
}
