//! Records of the group coordinator as batches.
//!
//! One batch per append, as in Kafka: CreateTime, uncompressed, no producer. What would be larger
//! than `max.message.bytes` is split in order; every prefix loads to a valid state.

use lastword_coordinator::{AppendError, CoordinatorRecord};
use lastword_record::{BATCH_HEADER_BYTES, BatchBuilder, BatchSpec};
use lastword_storage::StorageError;

/// At most what a record takes beside its key and value: lengths, deltas, attributes.
const RECORD_OVERHEAD_BYTES: usize = 32;

/// The batches to append, one after the other.
pub(super) fn encode(
    records: &[CoordinatorRecord],
    now_ms: i64,
    max_message_bytes: usize,
) -> Result<Vec<u8>, AppendError> {
    let mut out = Vec::new();
    let mut builder = BatchBuilder::new(BatchSpec::default());
    for record in records {
        let value_bytes = record.value.as_ref().map_or(0, Vec::len);
        let record_bytes = record.key.len() + value_bytes + RECORD_OVERHEAD_BYTES;
        if BATCH_HEADER_BYTES + record_bytes > max_message_bytes {
            return Err(AppendError::TooLarge);
        }
        if builder.estimated_bytes() + record_bytes > max_message_bytes {
            finish(&mut builder, &mut out)?;
        }
        let offset = builder.record_count() as i64;
        builder.push(
            offset,
            now_ms,
            Some(&record.key),
            record.value.as_deref(),
            &[],
        );
    }
    finish(&mut builder, &mut out)?;
    Ok(out)
}

fn finish(builder: &mut BatchBuilder, out: &mut Vec<u8>) -> Result<(), AppendError> {
    if builder.record_count() > 0 {
        builder.finish(out).map_err(|error| {
            tracing::error!(%error, "the group coordinator made records that fit no batch");
            AppendError::TooLarge
        })?;
        builder.reset(BatchSpec::default());
    }
    Ok(())
}

/// What the state machine needs to know of a failed append.
pub(super) fn append_error(error: &StorageError) -> AppendError {
    match error {
        StorageError::RecordTooLarge { .. } => AppendError::TooLarge,
        StorageError::UnknownPartition { .. } => AppendError::UnknownPartition,
        StorageError::Closed => AppendError::NotLeader,
        _ => AppendError::Storage,
    }
}

#[cfg(test)]
mod tests {
    use lastword_record::{Decompressor, RecordBatches};

    use super::*;

    fn record(key: &str, value_bytes: usize) -> CoordinatorRecord {
        CoordinatorRecord {
            key: key.into(),
            value: Some(vec![7; value_bytes]),
        }
    }

    fn batch_sizes(bytes: &[u8]) -> Vec<usize> {
        RecordBatches::new(bytes)
            .map(|batch| {
                let batch = batch.unwrap();
                batch.verify_crc().unwrap();
                let mut decompressor = Decompressor::new(1 << 20);
                batch
                    .records(&mut decompressor)
                    .unwrap()
                    .map(Result::unwrap)
                    .count()
            })
            .collect()
    }

    #[test]
    fn records_that_fit_are_one_batch() {
        let records = [
            record("a", 10),
            CoordinatorRecord {
                key: b"b".to_vec(),
                value: None,
            },
        ];
        assert_eq!(batch_sizes(&encode(&records, 5, 1 << 20).unwrap()), [2]);
    }

    #[test]
    fn what_is_too_large_for_a_batch_is_split_in_order() {
        let records: Vec<_> = (0..10).map(|n| record(&n.to_string(), 300)).collect();
        let bytes = encode(&records, 5, 1024).unwrap();
        assert_eq!(batch_sizes(&bytes), [3, 3, 3, 1]);
        assert!(RecordBatches::new(&bytes).all(|batch| batch.unwrap().bytes().len() <= 1024));
    }

    #[test]
    fn a_single_record_above_the_limit_is_refused() {
        assert_eq!(
            encode(&[record("a", 2000)], 5, 1024),
            Err(AppendError::TooLarge)
        );
    }
}
