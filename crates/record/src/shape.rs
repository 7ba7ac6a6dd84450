//! The header of a batch in the making: what is fixed from the start, and what its records add.
//!
//! Invariants
//! - Offset deltas never descend, are not negative and do not exceed a last offset that is fixed.
//! - Nothing is written for a record that is refused; the first refusal is kept and ends the batch.

use crate::header::{ATTRIBUTES_AT, attributes};
use crate::varint::{
    MAX_VARINT_BYTES, MAX_VARLONG_BYTES, encoded_short, varlong_size_bytes, write_varlong,
};
use crate::{
    BATCH_HEADER_BYTES, BatchHeader, BatchSpec, CompressionType, LOG_OVERHEAD, NO_TIMESTAMP,
    RecordError, TimestampType, crc32c,
};

/// Most bytes before the key's length: length, attributes, timestamp delta, offset delta.
pub(crate) const MAX_PREFIX_BYTES: usize = 2 * MAX_VARINT_BYTES + 1 + MAX_VARLONG_BYTES;

/// What is fixed from the start, and the [`Progress`].
#[derive(Debug)]
pub(crate) struct Shape {
    pub spec: BatchSpec,
    pub delete_horizon_ms: Option<i64>,
    /// The last offset delta whatever the last record's is.
    pub fixed_last_offset_delta: Option<i32>,
    /// Of a rebuilt LogAppendTime batch: the time of all its records.
    pub fixed_max_timestamp: Option<i64>,
    pub progress: Progress,
    mistake: Option<RecordError>,
}

/// What the records so far have made of the header.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Progress {
    pub base_timestamp: i64,
    pub max_timestamp: i64,
    /// -1 before the first record.
    pub previous_offset_delta: i32,
    pub record_count: i32,
}

impl Progress {
    const NONE: Progress = Progress {
        base_timestamp: NO_TIMESTAMP,
        max_timestamp: NO_TIMESTAMP,
        previous_offset_delta: -1,
        record_count: 0,
    };
}

impl Shape {
    pub fn fresh(spec: BatchSpec) -> Shape {
        Shape {
            spec,
            delete_horizon_ms: None,
            fixed_last_offset_delta: None,
            fixed_max_timestamp: None,
            progress: Progress::NONE,
            mistake: None,
        }
    }

    pub fn rebuild(header: &BatchHeader, delete_horizon_ms: Option<i64>) -> Shape {
        let compression = header.compression();
        let is_log_append_time = header.timestamp_type() == TimestampType::LogAppendTime;
        let mut shape = Shape::fresh(BatchSpec {
            base_offset: header.base_offset,
            compression: *compression.as_ref().unwrap_or(&CompressionType::None),
            compression_level: None,
            timestamp_type: header.timestamp_type(),
            producer_id: header.producer_id,
            producer_epoch: header.producer_epoch,
            base_sequence: header.base_sequence,
            leader_epoch: header.leader_epoch,
            is_transactional: header.is_transactional(),
            is_control: header.is_control(),
        });
        shape.delete_horizon_ms = delete_horizon_ms;
        shape.fixed_last_offset_delta = Some(header.last_offset_delta);
        shape.fixed_max_timestamp = is_log_append_time.then_some(header.max_timestamp);
        shape.mistake = compression.err();
        shape
    }

    /// Forgets the records, keeps what was fixed from the start.
    pub fn rewind(&mut self) {
        self.progress = Progress::NONE;
        self.mistake = self
            .mistake
            .take()
            .filter(|m| matches!(m, RecordError::UnknownCompression(_)));
    }

    /// Appends one record to `into`.
    #[inline]
    pub fn encode<T: Tail + ?Sized>(
        &mut self,
        into: &mut Vec<u8>,
        offset: i64,
        timestamp: i64,
        tail: &T,
    ) {
        let result =
            self.add_record(offset, timestamp)
                .and_then(|(timestamp_delta, offset_delta)| {
                    append_record(into, timestamp_delta, offset_delta, tail)
                });
        if let Err(reason) = result {
            self.keep_mistake(reason);
        }
    }

    /// Counts a record in and answers its timestamp delta and its offset delta.
    #[inline(always)]
    fn add_record(&mut self, offset: i64, timestamp: i64) -> Result<(i64, i64), &'static str> {
        let offset_delta = offset
            .checked_sub(self.spec.base_offset)
            .and_then(|delta| i32::try_from(delta).ok())
            .ok_or("an offset is too far from the base offset")?;
        let progress = &mut self.progress;
        if offset_delta < progress.previous_offset_delta.max(0) {
            return Err("offsets descend, or begin below the base offset");
        }
        if self
            .fixed_last_offset_delta
            .is_some_and(|last| offset_delta > last)
        {
            return Err("an offset lies beyond the last offset of the batch");
        }
        if progress.record_count == 0 {
            progress.base_timestamp = self.delete_horizon_ms.unwrap_or(timestamp);
        }
        let record_count = progress.record_count.checked_add(1);
        progress.record_count = record_count.ok_or("too many records")?;
        progress.previous_offset_delta = offset_delta;
        progress.max_timestamp = progress.max_timestamp.max(timestamp);
        let timestamp_delta = timestamp.wrapping_sub(progress.base_timestamp);
        Ok((timestamp_delta, i64::from(offset_delta)))
    }

    /// Makes `last_offset` the last offset, whether or not a record has it.
    pub fn cover(&mut self, last_offset: i64) {
        let delta = last_offset.checked_sub(self.spec.base_offset);
        match delta.and_then(|delta| i32::try_from(delta).ok()) {
            Some(delta) if delta >= self.progress.previous_offset_delta => {
                self.progress.previous_offset_delta = delta;
            }
            Some(_) => self.keep_mistake("the last offset lies before that of a record"),
            None => self.keep_mistake("the last offset is too far from the base offset"),
        }
    }

    /// Whether records of the batch of `header` may be in this one.
    pub fn check_source(&self, header: &BatchHeader) -> Result<(), RecordError> {
        let refused = |reason| Err(RecordError::InvalidBatch { reason });
        if header.timestamp_type() != self.spec.timestamp_type {
            return refused("batches of different timestamp types cannot be one");
        }
        if header.is_control() != self.spec.is_control {
            return refused("control batches and others cannot be one");
        }
        if self.spec.timestamp_type == TimestampType::LogAppendTime
            && self.progress.record_count > 0
            && self.progress.max_timestamp != header.max_timestamp
        {
            return refused("batches of different log append times cannot be one");
        }
        Ok(())
    }

    #[cold]
    fn keep_mistake(&mut self, reason: &'static str) {
        self.mistake
            .get_or_insert(RecordError::InvalidBatch { reason });
    }

    pub fn check(&self) -> Result<(), RecordError> {
        if let Some(mistake) = &self.mistake {
            return Err(mistake.clone());
        }
        if self.progress.record_count == 0 {
            return Err(RecordError::InvalidBatch {
                reason: "it has no records",
            });
        }
        Ok(())
    }

    /// Writes the header in front of the records that end `out`; the batch begins at `start`.
    pub fn seal(&self, out: &mut [u8], start: usize) -> Result<BatchHeader, RecordError> {
        self.check()?;
        let too_large = RecordError::InvalidBatch {
            reason: "it exceeds 2^31-1 bytes",
        };
        let batch = out.get_mut(start..).unwrap_or_default();
        let batch_length = i32::try_from(batch.len() - LOG_OVERHEAD).map_err(|_| too_large)?;
        let Shape { spec, progress, .. } = self;
        let mut header = BatchHeader {
            base_offset: spec.base_offset,
            batch_length,
            leader_epoch: spec.leader_epoch,
            crc: 0,
            attributes: attributes(
                spec.compression,
                spec.timestamp_type,
                spec.is_transactional,
                spec.is_control,
                self.delete_horizon_ms.is_some(),
            ),
            last_offset_delta: self
                .fixed_last_offset_delta
                .unwrap_or(progress.previous_offset_delta),
            base_timestamp: progress.base_timestamp,
            max_timestamp: self.fixed_max_timestamp.unwrap_or(progress.max_timestamp),
            producer_id: spec.producer_id,
            producer_epoch: spec.producer_epoch,
            base_sequence: spec.base_sequence,
            record_count: progress.record_count,
        };
        batch[..BATCH_HEADER_BYTES].copy_from_slice(&header.to_bytes());
        header.crc = crc32c(&batch[ATTRIBUTES_AT..]);
        batch[..BATCH_HEADER_BYTES].copy_from_slice(&header.to_bytes());
        Ok(header)
    }
}

/// What follows the offset delta in a record: key, value and headers.
pub(crate) trait Tail {
    fn size_bytes(&self) -> usize;
    fn append_to(&self, into: &mut Vec<u8>);
}

/// Already encoded.
impl Tail for [u8] {
    #[inline(always)]
    fn size_bytes(&self) -> usize {
        self.len()
    }

    #[inline(always)]
    fn append_to(&self, into: &mut Vec<u8>) {
        into.extend_from_slice(self);
    }
}

/// Appends a record, its length first, to `into`. The offset delta has 32 bits.
#[inline(always)]
pub(crate) fn append_record<T: Tail + ?Sized>(
    into: &mut Vec<u8>,
    timestamp_delta: i64,
    offset_delta: i64,
    tail: &T,
) -> Result<(), &'static str> {
    let deltas = (encoded_short(timestamp_delta), encoded_short(offset_delta));
    // Put together in a register and written at once; what is too much is cut off again.
    if let (Some(timestamp_delta), Some(offset_delta)) = deltas {
        let tail_bytes = tail.size_bytes();
        let length = 1 + (timestamp_delta.bits + offset_delta.bits) as usize / 8 + tail_bytes;
        if let Ok(length) = i32::try_from(length)
            && let Some(length) = encoded_short(i64::from(length))
            && length.bits + timestamp_delta.bits + offset_delta.bits <= 56
        {
            let timestamp_at = length.bits + 8;
            let offset_at = timestamp_at + timestamp_delta.bits;
            let prefix = length.groups
                | timestamp_delta.groups << timestamp_at
                | offset_delta.groups << offset_at;
            let end = into.len() + (offset_at + offset_delta.bits) as usize / 8;
            into.reserve(8 + tail_bytes);
            into.extend_from_slice(&prefix.to_le_bytes());
            into.truncate(end);
            tail.append_to(into);
            return Ok(());
        }
    }
    append_long_record(into, timestamp_delta, offset_delta, tail)
}

#[inline(never)]
fn append_long_record<T: Tail + ?Sized>(
    into: &mut Vec<u8>,
    timestamp_delta: i64,
    offset_delta: i64,
    tail: &T,
) -> Result<(), &'static str> {
    let length = 1
        + varlong_size_bytes(timestamp_delta)
        + varlong_size_bytes(offset_delta)
        + tail.size_bytes();
    let length = i32::try_from(length).map_err(|_| "a record exceeds 2^31-1 bytes")?;
    into.reserve(MAX_PREFIX_BYTES + length as usize);
    write_varlong(into, i64::from(length));
    into.push(0);
    write_varlong(into, timestamp_delta);
    write_varlong(into, offset_delta);
    tail.append_to(into);
    Ok(())
}
