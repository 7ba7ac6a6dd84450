//! Writes record batches: fresh ones from records, rebuilt ones from the survivors of a cleaning, and
//! fresh ones from the survivors of several batches.
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
use crate::shape::{Shape, Tail};
use crate::survivors::copy_survivors;
use crate::varint::{varlong_size_bytes, write_varlong};
use crate::{
    BATCH_HEADER_BYTES, BatchHeader, CompressionType, Decompressor, NO_PRODUCER_EPOCH,
    NO_PRODUCER_ID, NO_SEQUENCE, Record, RecordBatch, RecordError, TimestampType,
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
        if self.shape.spec.compression == CompressionType::None {
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

    /// Appends the survivors of `batch` to `out` as one batch: what `reset_rebuild`, `push_record` of
    /// every record that is `live`, and `finish` would write, without taking the records apart.
    ///
    /// `live` is asked once for each record, in order, with its index in the batch. Records that stay
    /// are refused for what [`RecordBatch::keys`] refuses, those that go only for a wrong length. The
    /// CRC of `batch` is not looked at. After an error `out` is as it was.
    pub fn rebuild_survivors(
        &mut self,
        batch: &RecordBatch<'_>,
        delete_horizon_ms: Option<i64>,
        decompressor: &mut Decompressor,
        live: impl FnMut(u64) -> bool,
        out: &mut Vec<u8>,
    ) -> Result<BatchHeader, RecordError> {
        self.reset_rebuild(batch.header(), delete_horizon_ms);
        let mut writer = self.writer(out);
        writer.push_survivors(batch, decompressor, live)?;
        writer.finish()
    }

    /// Adds the records of `batch` that are `live`, as [`BatchBuilder::rebuild_survivors`] does. So
    /// neighbouring batches become one: offsets and timestamps stay, the rest is this builder's.
    ///
    /// Refused are a batch of another timestamp type, of another log append time, and a control batch
    /// among others. Whether batches of different producers, of transactions or with a delete horizon
    /// may be one is for the caller to know. After an error none of its records is there, and the
    /// builder can go on.
    pub fn push_survivors(
        &mut self,
        batch: &RecordBatch<'_>,
        decompressor: &mut Decompressor,
        live: impl FnMut(u64) -> bool,
    ) -> Result<(), RecordError> {
        let payload = batch.plain_payload(decompressor)?;
        let (shape, into) = (&mut self.shape, &mut self.records);
        copy_survivors(shape, batch.header(), payload, live, into)
    }

    /// Records pushed so far.
    pub fn record_count(&self) -> usize {
        self.shape.progress.record_count as usize
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

    /// As [`BatchBuilder::finish`], for a batch whose last offset is `last_offset`, whether or not a
    /// record has it.
    pub fn finish_at(
        &mut self,
        last_offset: i64,
        out: &mut Vec<u8>,
    ) -> Result<BatchHeader, RecordError> {
        self.shape.cover(last_offset);
        self.finish(out)
    }

    fn append_records(&mut self, out: &mut Vec<u8>) -> Result<(), RecordError> {
        self.shape.check()?;
        let level = self.shape.spec.compression_level;
        self.compressor
            .compress(self.shape.spec.compression, level, &self.records, out)
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
        if self.builder.shape.spec.compression == CompressionType::None {
            let shape = &mut self.builder.shape;
            shape.encode(self.out, record.offset, record.timestamp, record.tail);
        } else {
            self.builder.push_record(record);
        }
    }

    /// Adds the records of `batch` that are `live`, see [`BatchBuilder::push_survivors`].
    pub fn push_survivors(
        &mut self,
        batch: &RecordBatch<'_>,
        decompressor: &mut Decompressor,
        live: impl FnMut(u64) -> bool,
    ) -> Result<(), RecordError> {
        if self.builder.shape.spec.compression != CompressionType::None {
            return self.builder.push_survivors(batch, decompressor, live);
        }
        let payload = batch.plain_payload(decompressor)?;
        let shape = &mut self.builder.shape;
        copy_survivors(shape, batch.header(), payload, live, self.out)
    }

    /// Records pushed so far.
    pub fn record_count(&self) -> usize {
        self.builder.record_count()
    }

    /// Size of the batch if it were finished now without compression.
    pub fn estimated_bytes(&self) -> usize {
        match self.builder.shape.spec.compression {
            CompressionType::None => self.out.len() - self.start,
            _ => self.builder.estimated_bytes(),
        }
    }

    /// Completes the batch; on an error the output is as it was before.
    pub fn finish(mut self) -> Result<BatchHeader, RecordError> {
        if self.builder.shape.spec.compression != CompressionType::None {
            self.is_finished = true;
            return self.builder.finish(self.out);
        }
        let header = self.builder.shape.seal(self.out, self.start)?;
        self.is_finished = true;
        Ok(header)
    }

    /// See [`BatchBuilder::finish_at`].
    pub fn finish_at(self, last_offset: i64) -> Result<BatchHeader, RecordError> {
        self.builder.shape.cover(last_offset);
        self.finish()
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
