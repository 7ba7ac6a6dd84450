//! Records of a coordinator as batches.
//!
//! One batch per append, as in Kafka: CreateTime, uncompressed, without a producer or, for offsets
//! that a transaction commits, with its producer and no sequence. What would be larger than
//! `max.message.bytes` is split in order; every prefix loads to a valid state.

use lastword_coordinator::{Append, AppendError};
use lastword_record::{BATCH_HEADER_BYTES, BatchBuilder, BatchSpec};
use lastword_storage::StorageError;

/// At most what a record takes beside its key and value: lengths, deltas, attributes.
const RECORD_OVERHEAD_BYTES: usize = 32;

/// The batches to append, one after the other.
pub(super) fn encode(
    append: &Append,
    now_ms: i64,
    max_message_bytes: usize,
) -> Result<Vec<u8>, AppendError> {
    let mut out = Vec::new();
    let spec = spec(append.producer);
    let mut builder = BatchBuilder::new(spec);
    for record in &append.records {
        let value_bytes = record.value.as_ref().map_or(0, Vec::len);
        let record_bytes = record.key.len() + value_bytes + RECORD_OVERHEAD_BYTES;
        if BATCH_HEADER_BYTES + record_bytes > max_message_bytes {
            return Err(AppendError::TooLarge);
        }
        if builder.estimated_bytes() + record_bytes > max_message_bytes {
            finish(&mut builder, spec, &mut out)?;
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
    finish(&mut builder, spec, &mut out)?;
    Ok(out)
}

fn spec(producer: Option<(i64, i16)>) -> BatchSpec {
    match producer {
        None => BatchSpec::default(),
        Some((producer_id, producer_epoch)) => BatchSpec {
            producer_id,
            producer_epoch,
            is_transactional: true,
            ..BatchSpec::default()
        },
    }
}

fn finish(
    builder: &mut BatchBuilder,
    spec: BatchSpec,
    out: &mut Vec<u8>,
) -> Result<(), AppendError> {
    if builder.record_count() > 0 {
        builder.finish(out).map_err(|error| {
            tracing::error!(%error, "a coordinator made records that fit no batch");
            AppendError::TooLarge
        })?;
        builder.reset(spec);
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
    use lastword_coordinator::{AppendId, CoordinatorRecord};
    use lastword_record::{Decompressor, NO_SEQUENCE, RecordBatches};

    use super::*;

    fn record(key: &str, value_bytes: usize) -> CoordinatorRecord {
        CoordinatorRecord {
            key: key.into(),
            value: Some(vec![7; value_bytes]),
        }
    }

    fn append(records: Vec<CoordinatorRecord>) -> Append {
        Append {
            id: AppendId(0),
            records,
            producer: None,
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
        let tombstone = CoordinatorRecord {
            key: b"b".to_vec(),
            value: None,
        };
        let append = append(vec![record("a", 10), tombstone]);
        assert_eq!(batch_sizes(&encode(&append, 5, 1 << 20).unwrap()), [2]);
    }

    #[test]
    fn what_is_too_large_for_a_batch_is_split_in_order() {
        let records = (0..10).map(|n| record(&n.to_string(), 300)).collect();
        let bytes = encode(&append(records), 5, 1024).unwrap();
        assert_eq!(batch_sizes(&bytes), [3, 3, 3, 1]);
        assert!(RecordBatches::new(&bytes).all(|batch| batch.unwrap().bytes().len() <= 1024));
    }

    #[test]
    fn a_single_record_above_the_limit_is_refused() {
        assert_eq!(
            encode(&append(vec![record("a", 2000)]), 5, 1024),
            Err(AppendError::TooLarge)
        );
    }

    #[test]
    fn every_batch_of_a_transaction_names_its_producer_and_has_no_sequence() {
        let records = (0..10).map(|n| record(&n.to_string(), 300)).collect();
        let transactional = Append {
            producer: Some((7, 3)),
            ..append(records)
        };
        let bytes = encode(&transactional, 5, 1024).unwrap();
        assert!(RecordBatches::new(&bytes).count() > 1);
        for batch in RecordBatches::new(&bytes) {
            let header = *batch.unwrap().header();
            assert!(header.is_transactional() && !header.is_control());
            assert_eq!((header.producer_id, header.producer_epoch), (7, 3));
            assert_eq!(header.base_sequence, NO_SEQUENCE);
        }
    }
}
