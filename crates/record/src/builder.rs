//! Writes record batches: fresh ones from records, and rebuilt ones from the survivors of a
//! cleaning.
//!
//! Invariants
//! - Offsets pushed never descend, from the base offset on, at most 2^31-1 above it. Equal ones are
//!   those of an upgraded legacy log.
//! - A rebuilt batch keeps base offset, last offset, sequence and everything else that says which
//!   records it stood for; only count, base and max timestamp, length and CRC follow the survivors.
//! - Nothing is appended to the output unless the whole batch could be written.
//!
//! A [`BatchBuilder`] keeps its buffers and codec contexts from batch to batch; through a
//! [`BatchWriter`] uncompressed records go straight into the output. `push` cannot fail at once: the
//! first mistake is kept and `finish` returns it.

use crate::compression::Compressor;
use crate::header::{ATTRIBUTES_AT, attributes};
use crate::varint::{varlong_size_bytes, write_varint, write_varlong};
use crate::{
    BATCH_HEADER_BYTES, BatchHeader, CompressionType, LOG_OVERHEAD, NO_PRODUCER_EPOCH,
    NO_PRODUCER_ID, NO_SEQUENCE, NO_TIMESTAMP, Record, RecordError, TimestampType, crc32c,
};

/// What a fresh batch is to be. The default is an uncompressed CreateTime batch at offset 0
/// without producer, sequence or leader epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchSpec {
    pub base_offset: i64,
    pub compression: CompressionType,
    /// `None` is the codec's default: gzip -1, zstd 3. LZ4 and Snappy have one level here.
    pub compression_level: Option<i32>,
    pub timestamp_type: TimestampType,
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub base_sequence: i32,
    pub leader_epoch: i32,
    pub is_transactional: bool,
    pub is_control: bool,
}

impl Default for BatchSpec {
    fn default() -> BatchSpec {
        BatchSpec {
            base_offset: 0,
            compression: CompressionType::None,
            compression_level: None,
            timestamp_type: TimestampType::CreateTime,
            producer_id: NO_PRODUCER_ID,
            producer_epoch: NO_PRODUCER_EPOCH,
            base_sequence: NO_SEQUENCE,
            leader_epoch: -1,
            is_transactional: false,
            is_control: false,
        }
    }
}

/// Collects records and appends them as one batch.
#[derive(Debug)]
pub struct BatchBuilder {
    shape: Shape,
    records: Vec<u8>,
    compressor: Compressor,
}

impl BatchBuilder {
    /// A builder for a fresh batch; its last offset will be that of the last record.
    pub fn new(spec: BatchSpec) -> BatchBuilder {
        let shape = Shape::fresh(spec);
        BatchBuilder {
            shape,
            records: Vec::new(),
            compressor: Compressor::new(),
        }
    }

    /// A builder for the survivors of the batch of `header`, at its codec's default level.
    ///
    /// With a delete horizon the batch is stamped with it (bit 6, baseTimestamp); without, the base
    /// timestamp is the first survivor's. Record timestamps stay what they were either way.
    pub fn rebuild(header: &BatchHeader, delete_horizon_ms: Option<i64>) -> BatchBuilder {
        let mut builder = BatchBuilder::new(BatchSpec::default());
        builder.reset_rebuild(header, delete_horizon_ms);
        builder
    }

    /// Starts another fresh batch with the buffers of the last.
    pub fn reset(&mut self, spec: BatchSpec) {
        self.records.clear();
        self.shape = Shape::fresh(spec);
    }

    /// Starts another rebuilt batch with the buffers of the last.
    pub fn reset_rebuild(&mut self, header: &BatchHeader, delete_horizon_ms: Option<i64>) {
        self.records.clear();
        self.shape = Shape::rebuild(header, delete_horizon_ms);
    }

    /// Writes the batch that was just started into `out` while its records are pushed.
    pub fn writer<'w>(&'w mut self, out: &'w mut Vec<u8>) -> BatchWriter<'w> {
        let start = out.len();
        self.records.clear();
        self.shape.rewind();
        if self.shape.compression == CompressionType::None {
            out.extend_from_slice(&[0; BATCH_HEADER_BYTES]);
        }
        BatchWriter {
            builder: self,
            out,
            start,
            is_finished: false,
        }
    }

    /// Adds a record.
    pub fn push(
        &mut self,
        offset: i64,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[(&[u8], Option<&[u8]>)],
    ) {
        let parts = Parts {
            key,
            value,
            headers,
        };
        self.shape
            .encode(&mut self.records, offset, timestamp, &parts);
    }

    /// Adds a record as it was read.
    #[inline]
    pub fn push_record(&mut self, record: &Record<'_>) {
        self.shape.encode(
            &mut self.records,
            record.offset,
            record.timestamp,
            record.tail,
        );
    }

    /// Records pushed so far.
    pub fn record_count(&self) -> usize {
        self.shape.record_count as usize
    }

    /// Size of the batch if it were finished now without compression.
    pub fn estimated_bytes(&self) -> usize {
        BATCH_HEADER_BYTES + self.records.len()
    }

    /// Appends the batch to `out`, which is left as it was on an error. The builder must be
    /// [`reset`](BatchBuilder::reset) before it takes another batch.
    pub fn finish(&mut self, out: &mut Vec<u8>) -> Result<BatchHeader, RecordError> {
        let start = out.len();
        out.extend_from_slice(&[0; BATCH_HEADER_BYTES]);
        let result = self
            .append_records(out)
            .and_then(|()| self.shape.seal(out, start));
        if result.is_err() {
            out.truncate(start);
        }
        self.records.clear();
        self.shape.rewind();
        result
    }

    fn append_records(&mut self, out: &mut Vec<u8>) -> Result<(), RecordError> {
        self.shape.check()?;
        let level = self.shape.compression_level;
        self.compressor
            .compress(self.shape.compression, level, &self.records, out)
    }
}

/// A batch being written into an output buffer. Dropped unfinished it takes its bytes back.
#[derive(Debug)]
pub struct BatchWriter<'w> {
    builder: &'w mut BatchBuilder,
    out: &'w mut Vec<u8>,
    start: usize,
    is_finished: bool,
}

impl BatchWriter<'_> {
    /// Adds a record as it was read.
    #[inline]
    pub fn push_record(&mut self, record: &Record<'_>) {
        if self.builder.shape.compression == CompressionType::None {
            let shape = &mut self.builder.shape;
            shape.encode(self.out, record.offset, record.timestamp, record.tail);
        } else {
            self.builder.push_record(record);
        }
    }

    /// Records pushed so far.
    pub fn record_count(&self) -> usize {
        self.builder.record_count()
    }

    /// Completes the batch; on an error the output is as it was before.
    pub fn finish(mut self) -> Result<BatchHeader, RecordError> {
        if self.builder.shape.compression != CompressionType::None {
            self.is_finished = true;
            return self.builder.finish(self.out);
        }
        let header = self.builder.shape.seal(self.out, self.start)?;
        self.is_finished = true;
        Ok(header)
    }
}

impl Drop for BatchWriter<'_> {
    fn drop(&mut self) {
        if !self.is_finished {
            self.out.truncate(self.start);
        }
        self.builder.shape.rewind();
    }
}

/// The header in the making: what is fixed from the start, then what the records add.
#[derive(Debug)]
struct Shape {
    base_offset: i64,
    compression: CompressionType,
    compression_level: Option<i32>,
    timestamp_type: TimestampType,
    producer_id: i64,
    producer_epoch: i16,
    base_sequence: i32,
    leader_epoch: i32,
    is_transactional: bool,
    is_control: bool,
    delete_horizon_ms: Option<i64>,
    /// Of a rebuilt batch: the last offset it always had.
    kept_last_offset_delta: Option<i32>,
    /// Of a rebuilt LogAppendTime batch: the time of all its records.
    kept_max_timestamp: Option<i64>,

    base_timestamp: i64,
    max_timestamp: i64,
    previous_offset_delta: i32,
    record_count: i32,
    mistake: Option<RecordError>,
}

impl Shape {
    fn fresh(spec: BatchSpec) -> Shape {
        Shape {
            base_offset: spec.base_offset,
            compression: spec.compression,
            compression_level: spec.compression_level,
            timestamp_type: spec.timestamp_type,
            producer_id: spec.producer_id,
            producer_epoch: spec.producer_epoch,
            base_sequence: spec.base_sequence,
            leader_epoch: spec.leader_epoch,
            is_transactional: spec.is_transactional,
            is_control: spec.is_control,
            delete_horizon_ms: None,
            kept_last_offset_delta: None,
            kept_max_timestamp: None,
            base_timestamp: NO_TIMESTAMP,
            max_timestamp: NO_TIMESTAMP,
            previous_offset_delta: -1,
            record_count: 0,
            mistake: None,
        }
    }

    fn rebuild(header: &BatchHeader, delete_horizon_ms: Option<i64>) -> Shape {
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
        shape.kept_last_offset_delta = Some(header.last_offset_delta);
        shape.kept_max_timestamp = is_log_append_time.then_some(header.max_timestamp);
        shape.mistake = compression.err();
        shape
    }

    /// Forgets the records, keeps what was fixed from the start.
    fn rewind(&mut self) {
        self.base_timestamp = NO_TIMESTAMP;
        self.max_timestamp = NO_TIMESTAMP;
        self.previous_offset_delta = -1;
        self.record_count = 0;
        self.mistake = self
            .mistake
            .take()
            .filter(|m| matches!(m, RecordError::UnknownCompression(_)));
    }

    /// Appends one record to `into`.
    #[inline]
    fn encode<T: Tail + ?Sized>(
        &mut self,
        into: &mut Vec<u8>,
        offset: i64,
        timestamp: i64,
        tail: &T,
    ) {
        if self.record_count == 0 {
            self.base_timestamp = self.delete_horizon_ms.unwrap_or(timestamp);
        }
        let offset_delta = match self.offset_delta(offset) {
            Ok(offset_delta) => offset_delta,
            Err(reason) => return self.keep_mistake(reason),
        };
        let timestamp_delta = timestamp.wrapping_sub(self.base_timestamp);
        let length = 1
            + varlong_size_bytes(timestamp_delta)
            + varlong_size_bytes(i64::from(offset_delta))
            + tail.size_bytes();
        let Ok(length) = i32::try_from(length) else {
            return self.keep_mistake("a record exceeds 2^31-1 bytes");
        };

        into.reserve(length as usize + crate::varint::MAX_VARINT_BYTES);
        write_varint(into, length);
        into.push(0);
        write_varlong(into, timestamp_delta);
        write_varint(into, offset_delta);
        tail.append_to(into);

        self.previous_offset_delta = offset_delta;
        self.max_timestamp = self.max_timestamp.max(timestamp);
        self.record_count += 1;
    }

    #[inline]
    fn offset_delta(&self, offset: i64) -> Result<i32, &'static str> {
        let delta = offset
            .checked_sub(self.base_offset)
            .and_then(|delta| i32::try_from(delta).ok());
        let delta = delta.ok_or("an offset is too far from the base offset")?;
        if delta < self.previous_offset_delta.max(0) {
            return Err("offsets descend, or begin below the base offset");
        }
        if self.kept_last_offset_delta.is_some_and(|last| delta > last) {
            return Err("an offset lies beyond the last offset of the batch");
        }
        if self.record_count == i32::MAX {
            return Err("too many records");
        }
        Ok(delta)
    }

    #[cold]
    fn keep_mistake(&mut self, reason: &'static str) {
        self.mistake
            .get_or_insert(RecordError::InvalidBatch { reason });
    }

    fn check(&self) -> Result<(), RecordError> {
        if let Some(mistake) = &self.mistake {
            return Err(mistake.clone());
        }
        if self.record_count == 0 {
            return Err(RecordError::InvalidBatch {
                reason: "it has no records",
            });
        }
        Ok(())
    }

    /// Writes the header in front of the records that end `out`; the batch begins at `start`.
    fn seal(&self, out: &mut [u8], start: usize) -> Result<BatchHeader, RecordError> {
        self.check()?;
        let too_large = RecordError::InvalidBatch {
            reason: "it exceeds 2^31-1 bytes",
        };
        let batch = out.get_mut(start..).unwrap_or_default();
        let batch_length = i32::try_from(batch.len() - LOG_OVERHEAD).map_err(|_| too_large)?;
        let mut header = BatchHeader {
            base_offset: self.base_offset,
            batch_length,
            leader_epoch: self.leader_epoch,
            crc: 0,
            attributes: attributes(
                self.compression,
                self.timestamp_type,
                self.is_transactional,
                self.is_control,
                self.delete_horizon_ms.is_some(),
            ),
            last_offset_delta: self
                .kept_last_offset_delta
                .unwrap_or(self.previous_offset_delta),
            base_timestamp: self.base_timestamp,
            max_timestamp: self.kept_max_timestamp.unwrap_or(self.max_timestamp),
            producer_id: self.producer_id,
            producer_epoch: self.producer_epoch,
            base_sequence: self.base_sequence,
            record_count: self.record_count,
        };
        batch[..BATCH_HEADER_BYTES].copy_from_slice(&header.to_bytes());
        header.crc = crc32c(&batch[ATTRIBUTES_AT..]);
        batch[..BATCH_HEADER_BYTES].copy_from_slice(&header.to_bytes());
        Ok(header)
    }
}

/// What follows the offset delta in a record: key, value and headers.
trait Tail {
    fn size_bytes(&self) -> usize;
    fn append_to(&self, into: &mut Vec<u8>);
}

/// Already encoded.
impl Tail for [u8] {
    #[inline]
    fn size_bytes(&self) -> usize {
        self.len()
    }

    #[inline]
    fn append_to(&self, into: &mut Vec<u8>) {
        into.extend_from_slice(self);
    }
}

struct Parts<'p> {
    key: Option<&'p [u8]>,
    value: Option<&'p [u8]>,
    headers: &'p [(&'p [u8], Option<&'p [u8]>)],
}

impl Tail for Parts<'_> {
    fn size_bytes(&self) -> usize {
        let headers = self.headers.iter();
        let headers = headers.map(|(key, value)| bytes_size(Some(key)) + bytes_size(*value));
        bytes_size(self.key)
            + bytes_size(self.value)
            + varlong_size_bytes(self.headers.len() as i64)
            + headers.sum::<usize>()
    }

    fn append_to(&self, into: &mut Vec<u8>) {
        append_bytes(into, self.key);
        append_bytes(into, self.value);
        write_varlong(into, self.headers.len() as i64);
        for (key, value) in self.headers {
            append_bytes(into, Some(key));
            append_bytes(into, *value);
        }
    }
}

fn bytes_size(bytes: Option<&[u8]>) -> usize {
    bytes.map_or(1, |bytes| {
        varlong_size_bytes(bytes.len() as i64) + bytes.len()
    })
}

fn append_bytes(into: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        None => write_varlong(into, -1),
        Some(bytes) => {
            write_varlong(into, bytes.len() as i64);
            into.extend_from_slice(bytes);
        }
    }
}
