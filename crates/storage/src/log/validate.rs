//! What a batch must be before it may enter the log. Pure: bytes and a configuration in, the bytes
//! to write out; offsets are assigned later, under the lock.
//!
//! A client's produce holds exactly one batch of version 2 whose checksum is right, whose records
//! can all be read, are numbered 0, 1, 2 ... without a gap, carry timestamps within the topic's
//! bounds and, on a compacted topic, a key each. Clients write no control records. Coordinators
//! and replays write what they must: their batches are checked for shape and checksum only.
//!
//! Bytes are hostile here: nothing is believed before it is compared, and decompression stops at
//! the decompressor's limit. Records of an uncompressed batch are read in place.

use std::ops::Range;

use lastword_record::{
    BatchBuilder, BatchHeader, BatchSpec, CompressionType, Decompressor, NO_TIMESTAMP, Record,
    RecordBatch, RecordBatches, RecordError, TimestampType, TopicPartition, control, crc32c,
    set_log_append_time,
};

use crate::config::{LogConfig, TopicCompression};
use crate::error::StorageError;
use crate::producer_state::EndTransactionMarker;

/// Who wrote the batches that are appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppendOrigin {
    /// A producer over the wire: trust nothing.
    Client,
    /// A group or transaction coordinator of this process: may write control batches.
    Coordinator,
    /// Batches that already have their offsets, from another log.
    Replay,
}

/// One batch that may be written.
#[derive(Clone, Debug)]
pub(crate) struct ValidatedBatch {
    /// Before offsets are assigned, except for a replay.
    pub header: BatchHeader,
    /// Its bytes in the output buffer.
    pub range: Range<usize>,
    /// The record of an end-of-transaction batch.
    pub marker: Option<EndTransactionMarker>,
}

/// What the checks need to know.
pub(crate) struct Rules<'a> {
    pub topic_partition: &'a TopicPartition,
    pub config: &'a LogConfig,
    pub origin: AppendOrigin,
    pub now_ms: i64,
}

/// Buffers that are used again by the next append.
pub(crate) struct Scratch {
    pub decompressor: Decompressor,
    pub output: Vec<u8>,
}

/// Checks `batches` and copies what is to be written to `scratch.output`.
pub(crate) fn validate(
    batches: &[u8],
    rules: &Rules<'_>,
    scratch: &mut Scratch,
) -> Result<Vec<ValidatedBatch>, StorageError> {
    scratch.output.clear();
    let mut validated = Vec::with_capacity(1);
    for batch in RecordBatches::new(batches) {
        let batch = batch.map_err(refused)?;
        if rules.origin == AppendOrigin::Client && !validated.is_empty() {
            return Err(invalid("a produce holds exactly one batch per partition"));
        }
        check_size(batch.bytes().len(), rules)?;
        batch.verify_crc().map_err(refused)?;
        validated.push(match rules.origin {
            AppendOrigin::Client => validate_client_batch(batch, rules, scratch)?,
            AppendOrigin::Coordinator | AppendOrigin::Replay => {
                take_trusted_batch(batch, rules, scratch)?
            }
        });
    }
    if validated.is_empty() {
        return Err(invalid("there is no batch to append"));
    }
    Ok(validated)
}

fn validate_client_batch(
    batch: RecordBatch<'_>,
    rules: &Rules<'_>,
    scratch: &mut Scratch,
) -> Result<ValidatedBatch, StorageError> {
    let header = batch.header();
    check_client_header(header, rules)?;
    let source = header.compression().map_err(refused)?;
    let target = target_compression(rules.config, source);
    let start = scratch.output.len();
    let max_timestamp = if target == source {
        let max_timestamp = check_records(batch, rules, &mut scratch.decompressor)?;
        scratch.output.extend_from_slice(batch.bytes());
        max_timestamp
    } else {
        recompress(batch, target, rules, scratch)?
    };
    check_size(scratch.output.len() - start, rules)?;
    finish_batch(start, max_timestamp, rules, scratch)
}

/// The rules a header alone can break.
fn check_client_header(header: &BatchHeader, rules: &Rules<'_>) -> Result<(), StorageError> {
    if header.is_control() {
        return Err(invalid("clients may not write control records"));
    }
    if header.delete_horizon_ms().is_some() {
        return Err(invalid("clients may not set a delete horizon"));
    }
    if header.record_count <= 0 {
        return Err(invalid("a batch holds at least one record"));
    }
    if i64::from(header.record_count) != i64::from(header.last_offset_delta) + 1 {
        return Err(invalid(
            "the record count does not match the last offset delta",
        ));
    }
    if header.has_producer_id() && (header.base_sequence < 0 || header.producer_epoch < 0) {
        return Err(invalid(
            "a batch with a producer id has a sequence and an epoch",
        ));
    }
    if header.is_transactional() && !header.has_producer_id() {
        return Err(invalid("a transactional batch has a producer id"));
    }
    let is_create_time = rules.config.message_timestamp_type == TimestampType::CreateTime;
    if is_create_time && header.timestamp_type() == TimestampType::LogAppendTime {
        return Err(timestamp_error(0, header.max_timestamp, rules));
    }
    Ok(())
}

/// Reads every record once; the largest timestamp is the batch's.
fn check_records(
    batch: RecordBatch<'_>,
    rules: &Rules<'_>,
    decompressor: &mut Decompressor,
) -> Result<i64, StorageError> {
    let mut max_timestamp = NO_TIMESTAMP;
    let bounds = TimestampBounds::of(rules);
    for (index, record) in (0..).zip(batch.records(decompressor).map_err(refused)?) {
        let record = record.map_err(refused)?;
        check_offset(&record, index, batch.header())?;
        check_record(&record, index, bounds, rules)?;
        max_timestamp = max_timestamp.max(record.timestamp);
    }
    Ok(max_timestamp)
}

/// A producer numbers its records one by one. Equal offsets can be read, but are only written by an upgrade of a
/// legacy segment.
#[inline]
fn check_offset(record: &Record<'_>, index: i32, header: &BatchHeader) -> Result<(), StorageError> {
    if record.offset.wrapping_sub(header.base_offset) != i64::from(index) {
        return Err(invalid(
            "the records of a batch are not numbered one by one",
        ));
    }
    Ok(())
}

#[inline]
fn check_record(
    record: &Record<'_>,
    index: i32,
    bounds: TimestampBounds,
    rules: &Rules<'_>,
) -> Result<(), StorageError> {
    if record.key.is_none() && rules.config.cleanup_policy.compact {
        return Err(StorageError::KeylessRecord {
            topic_partition: rules.topic_partition.clone(),
            batch_index: index,
        });
    }
    if !bounds.contains(record.timestamp) {
        return Err(timestamp_error(index, record.timestamp, rules));
    }
    Ok(())
}

/// Writes the batch again with the topic's codec; the records are checked on the way.
fn recompress(
    batch: RecordBatch<'_>,
    target: CompressionType,
    rules: &Rules<'_>,
    scratch: &mut Scratch,
) -> Result<i64, StorageError> {
    let header = batch.header();
    let mut builder = BatchBuilder::new(BatchSpec {
        base_offset: header.base_offset,
        compression: target,
        compression_level: rules.config.compression_level(target),
        timestamp_type: TimestampType::CreateTime,
        producer_id: header.producer_id,
        producer_epoch: header.producer_epoch,
        base_sequence: header.base_sequence,
        leader_epoch: header.leader_epoch,
        is_transactional: header.is_transactional(),
        is_control: false,
    });
    let mut max_timestamp = NO_TIMESTAMP;
    let bounds = TimestampBounds::of(rules);
    let records = batch.records(&mut scratch.decompressor).map_err(refused)?;
    for (index, record) in (0..).zip(records) {
        let record = record.map_err(refused)?;
        check_offset(&record, index, header)?;
        check_record(&record, index, bounds, rules)?;
        max_timestamp = max_timestamp.max(record.timestamp);
        builder.push_record(&record);
    }
    builder.finish(&mut scratch.output).map_err(refused)?;
    Ok(max_timestamp)
}

/// Sets the fields that the log decides: the timestamp type and the largest timestamp.
fn finish_batch(
    start: usize,
    max_timestamp: i64,
    rules: &Rules<'_>,
    scratch: &mut Scratch,
) -> Result<ValidatedBatch, StorageError> {
    let range = start..scratch.output.len();
    let bytes = &mut scratch.output[range.clone()];
    if rules.config.message_timestamp_type == TimestampType::LogAppendTime {
        set_log_append_time(bytes, rules.now_ms);
    } else {
        set_max_timestamp(bytes, max_timestamp);
    }
    let header = BatchHeader::parse(bytes).map_err(refused)?;
    Ok(ValidatedBatch {
        header,
        range,
        marker: None,
    })
}

/// Position of maxTimestamp and of the checksum in a batch, and where the checksummed part starts.
const MAX_TIMESTAMP_AT: usize = 35;
const CRC_AT: usize = 17;
const CRC_COVERS_FROM: usize = 21;

/// A producer may state a wrong maximum; time index and retention rely on it, so it is set right.
fn set_max_timestamp(batch: &mut [u8], max_timestamp: i64) {
    let stored = &mut batch[MAX_TIMESTAMP_AT..MAX_TIMESTAMP_AT + 8];
    if *stored == max_timestamp.to_be_bytes() {
        return;
    }
    stored.copy_from_slice(&max_timestamp.to_be_bytes());
    let crc = crc32c(&batch[CRC_COVERS_FROM..]);
    batch[CRC_AT..CRC_AT + 4].copy_from_slice(&crc.to_be_bytes());
}

fn take_trusted_batch(
    batch: RecordBatch<'_>,
    rules: &Rules<'_>,
    scratch: &mut Scratch,
) -> Result<ValidatedBatch, StorageError> {
    let marker = end_transaction_marker(batch, &mut scratch.decompressor)?;
    let start = scratch.output.len();
    scratch.output.extend_from_slice(batch.bytes());
    let range = start..scratch.output.len();
    let stamps = rules.origin == AppendOrigin::Coordinator
        && rules.config.message_timestamp_type == TimestampType::LogAppendTime;
    if stamps {
        set_log_append_time(&mut scratch.output[range.clone()], rules.now_ms);
    }
    let header = BatchHeader::parse(&scratch.output[range.clone()]).map_err(refused)?;
    Ok(ValidatedBatch {
        header,
        range,
        marker,
    })
}

/// What the record of a control batch says about a transaction; none for any other batch, and for
/// a control batch that cleaning has emptied.
pub(crate) fn end_transaction_marker(
    batch: RecordBatch<'_>,
    decompressor: &mut Decompressor,
) -> Result<Option<EndTransactionMarker>, StorageError> {
    let header = batch.header();
    if !header.is_control() || !header.has_producer_id() || header.record_count == 0 {
        return Ok(None);
    }
    let mut records = batch.records(decompressor).map_err(refused)?;
    let Some(record) = records.next() else {
        return Ok(None);
    };
    let record = record.map_err(refused)?;
    let kind = control::ControlRecordType::parse(record.key.unwrap_or(&[])).map_err(refused)?;
    let is_abort = match kind {
        control::ControlRecordType::Abort => true,
        control::ControlRecordType::Commit => false,
        _ => return Ok(None),
    };
    let coordinator_epoch =
        control::coordinator_epoch(record.value.unwrap_or(&[])).map_err(refused)?;
    Ok(Some(EndTransactionMarker {
        is_abort,
        coordinator_epoch,
    }))
}

fn target_compression(config: &LogConfig, source: CompressionType) -> CompressionType {
    match config.compression_type {
        TopicCompression::Producer => source,
        TopicCompression::Uncompressed => CompressionType::None,
        TopicCompression::Codec(codec) => codec,
    }
}

/// A batch never exceeds the topic's limit, nor a segment.
fn check_size(size_bytes: usize, rules: &Rules<'_>) -> Result<(), StorageError> {
    let mut limit_bytes = u64::from(rules.config.effective_segment_bytes());
    if rules.origin == AppendOrigin::Client {
        limit_bytes = limit_bytes.min(u64::from(rules.config.max_message_bytes));
    }
    let size_bytes = size_bytes as u64;
    if size_bytes > limit_bytes && rules.origin != AppendOrigin::Replay {
        return Err(StorageError::RecordTooLarge {
            size_bytes,
            limit_bytes,
        });
    }
    Ok(())
}

/// Which record timestamps the topic takes.
#[derive(Clone, Copy)]
struct TimestampBounds {
    earliest_ms: i64,
    latest_ms: i64,
}

impl TimestampBounds {
    fn of(rules: &Rules<'_>) -> TimestampBounds {
        if rules.config.message_timestamp_type == TimestampType::LogAppendTime {
            return TimestampBounds {
                earliest_ms: i64::MIN,
                latest_ms: i64::MAX,
            };
        }
        let config = rules.config;
        TimestampBounds {
            earliest_ms: rules
                .now_ms
                .saturating_sub(config.message_timestamp_before_max_ms),
            latest_ms: rules
                .now_ms
                .saturating_add(config.message_timestamp_after_max_ms),
        }
    }

    /// A record may have no timestamp at all.
    #[inline]
    fn contains(self, timestamp_ms: i64) -> bool {
        (self.earliest_ms <= timestamp_ms && timestamp_ms <= self.latest_ms)
            || timestamp_ms == NO_TIMESTAMP
    }
}

fn timestamp_error(batch_index: i32, timestamp_ms: i64, rules: &Rules<'_>) -> StorageError {
    let bounds = TimestampBounds::of(rules);
    StorageError::InvalidTimestamp {
        batch_index,
        timestamp_ms,
        earliest_ms: bounds.earliest_ms,
        latest_ms: bounds.latest_ms,
    }
}

fn invalid(reason: &str) -> StorageError {
    StorageError::InvalidRecord {
        batch_index: None,
        reason: reason.to_string(),
    }
}

/// A decoding error as the caller's mistake it is.
fn refused(error: RecordError) -> StorageError {
    match error {
        RecordError::UnsupportedMagic(magic) => StorageError::UnsupportedMagic { magic },
        RecordError::DecompressedTooLarge { limit } => StorageError::RecordTooLarge {
            size_bytes: limit as u64 + 1,
            limit_bytes: limit as u64,
        },
        RecordError::InvalidRecord { reason } => invalid(reason),
        other => StorageError::from(other),
    }
}

#[cfg(test)]
mod tests;
