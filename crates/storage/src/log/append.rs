//! The write path: validate → recognise duplicates → assign offsets → roll → write → publish.
//!
//! Validation (the costly part: checksum, decompression, every record) happens before the writer
//! lock is taken. Under it: one look at the producer's state, 12 bytes set in each batch, one
//! write. A refused batch changes nothing. A failed write takes the directory offline.

use std::sync::atomic::Ordering;

use lastword_record::{BatchHeader, NO_TIMESTAMP, TimestampType, assign_offsets};

use super::offsets::LogPosition;
use super::validate::{AppendOrigin, Rules, Scratch, ValidatedBatch, validate};
use super::{Log, LogWriter, lock, roll};
use crate::config::LogConfig;
use crate::error::StorageError;
use crate::producer_state::{BatchMetadata, ProducerStateError, VerificationGuard};

/// What an append answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    pub base_offset: i64,
    /// Inclusive. The append is durable once HighWatermark is above it.
    pub last_offset: i64,
    /// -1 unless the topic stamps records with the time of the append.
    pub log_append_time_ms: i64,
    pub log_start_offset: i64,
    /// The batch had been written before; offsets and time are those of the first time.
    pub duplicate: bool,
}

/// What is checked of a transactional batch beside its producer's epoch and sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TransactionCheck {
    /// Nothing: whoever appends knows that the transaction will be ended.
    Trusted,
    /// That its transaction is open, or that the guard of its verification is in force.
    Verified(Option<VerificationGuard>),
    /// That the epoch of a marker was bumped (transactions v2).
    BumpedMarker,
}

pub(super) fn append(
    log: &Log,
    batches: &[u8],
    origin: AppendOrigin,
    check: TransactionCheck,
    leader_epoch: i32,
) -> Result<Appended, StorageError> {
    log.check_open()?;
    if origin == AppendOrigin::Client && log.context.is_low_on_space() {
        return Err(StorageError::LowOnSpace {
            min_free_bytes: log.context.min_free_bytes,
        });
    }
    let config = log.config.load_full();
    let rules = Rules {
        topic_partition: &log.topic_partition,
        config: &config,
        origin,
        now_ms: log.context.clock.now_ms(),
    };
    let mut scratch = log.context.take_scratch();
    let result = validate(batches, &rules, &mut scratch).and_then(|validated| {
        append_validated(log, validated, &rules, check, leader_epoch, &mut scratch)
    });
    log.context.give_back(scratch);
    result
}

fn append_validated(
    log: &Log,
    mut batches: Vec<ValidatedBatch>,
    rules: &Rules<'_>,
    check: TransactionCheck,
    leader_epoch: i32,
    scratch: &mut Scratch,
) -> Result<Appended, StorageError> {
    let mut writer = lock(&log.writer);
    log.check_open()?;
    if rules.origin == AppendOrigin::Client
        && let Some(batch) = batches.first()
        && let Some(written) = writer.producers.find_duplicate(&batch.header)
    {
        return Ok(duplicate(log, &written, rules.config));
    }
    if let TransactionCheck::Verified(guard) = check {
        check_verified(&writer, &batches, guard)?;
    }
    let bumps_epochs = check == TransactionCheck::BumpedMarker;
    check_producers(&writer, &batches, rules.origin, bumps_epochs)?;

    let log_end_offset = log.published.load().log_end.offset;
    let leader_epoch = match rules.origin {
        AppendOrigin::Replay => {
            check_replayed_offsets(&batches, log_end_offset)?;
            batches.last().map_or(-1, |batch| batch.header.leader_epoch)
        }
        AppendOrigin::Client | AppendOrigin::Coordinator => {
            assign(
                &mut batches,
                log_end_offset,
                leader_epoch,
                &mut scratch.output,
            );
            leader_epoch
        }
    };
    let headers: Vec<BatchHeader> = batches.iter().map(|batch| batch.header).collect();
    let base_offset = headers
        .first()
        .map_or(log_end_offset, |header| header.base_offset);

    note_leader_epoch(log, leader_epoch, base_offset)?;
    roll::roll_before_append(log, &mut writer, rules, &headers, scratch.output.len())?;
    let written = writer.active.append(&scratch.output, &headers);
    log.context.or_offline(written)?;
    if log.first_append_ms().is_none() {
        log.first_append_ms.store(rules.now_ms, Ordering::Relaxed);
    }
    log.context
        .or_offline(update_producers(&mut writer, &batches))?;
    publish(log, &writer, &headers);
    mark_dirty(log);

    let is_stamped = rules.config.message_timestamp_type == TimestampType::LogAppendTime;
    Ok(Appended {
        base_offset,
        last_offset: headers.last().map_or(base_offset, BatchHeader::last_offset),
        log_append_time_ms: if is_stamped {
            rules.now_ms
        } else {
            NO_TIMESTAMP
        },
        log_start_offset: log.published.load().log_start_offset,
        duplicate: false,
    })
}

fn duplicate(log: &Log, written: &BatchMetadata, config: &LogConfig) -> Appended {
    let is_stamped = config.message_timestamp_type == TimestampType::LogAppendTime;
    Appended {
        base_offset: written.first_offset(),
        last_offset: written.last_offset,
        log_append_time_ms: if is_stamped {
            written.timestamp
        } else {
            NO_TIMESTAMP
        },
        log_start_offset: log.published.load().log_start_offset,
        duplicate: true,
    }
}

fn check_verified(
    writer: &LogWriter,
    batches: &[ValidatedBatch],
    guard: Option<VerificationGuard>,
) -> Result<(), StorageError> {
    for ValidatedBatch { header, .. } in batches {
        let producer_id = header.producer_id;
        let producers = &writer.producers;
        if header.is_transactional()
            && !producers.is_verified(producer_id, header.producer_epoch, guard)
        {
            let reason = "the partition is not part of an ongoing transaction".to_string();
            return Err(StorageError::InvalidTransactionState {
                producer_id,
                reason,
            });
        }
    }
    Ok(())
}

fn check_producers(
    writer: &LogWriter,
    batches: &[ValidatedBatch],
    origin: AppendOrigin,
    bumps_epochs: bool,
) -> Result<(), StorageError> {
    if origin == AppendOrigin::Replay {
        return Ok(());
    }
    for batch in batches {
        let checked = match batch.marker {
            Some(marker) => {
                let producers = &writer.producers;
                producers.check_marker(&batch.header, marker, bumps_epochs)
            }
            None if batch.header.is_control() => Ok(()),
            None => {
                let check_sequence = origin == AppendOrigin::Client;
                writer.producers.check_data(&batch.header, check_sequence)
            }
        };
        checked.map_err(producer_error)?;
    }
    Ok(())
}

pub(super) fn producer_error(error: ProducerStateError) -> StorageError {
    match error {
        ProducerStateError::OutOfOrderSequence {
            producer_id,
            expected,
            got,
        } => StorageError::OutOfOrderSequence {
            producer_id,
            expected,
            got,
        },
        ProducerStateError::InvalidProducerEpoch {
            producer_id,
            current,
            got,
        } => StorageError::InvalidProducerEpoch {
            producer_id,
            current,
            got,
        },
        ProducerStateError::InvalidTransactionState { producer_id } => {
            StorageError::InvalidTransactionState {
                producer_id,
                reason: "a batch outside of its open transaction".to_string(),
            }
        }
        ProducerStateError::CoordinatorFenced {
            producer_id,
            current,
            got,
        } => StorageError::TransactionCoordinatorFenced {
            producer_id,
            current,
            got,
        },
    }
}

fn assign(
    batches: &mut [ValidatedBatch],
    log_end_offset: i64,
    leader_epoch: i32,
    output: &mut [u8],
) {
    let mut next_offset = log_end_offset;
    for batch in batches {
        assign_offsets(&mut output[batch.range.clone()], next_offset, leader_epoch);
        batch.header.base_offset = next_offset;
        batch.header.leader_epoch = leader_epoch;
        next_offset = batch.header.next_offset();
    }
}

/// A replay keeps its offsets; they must go on where the log ends, gaps allowed.
fn check_replayed_offsets(
    batches: &[ValidatedBatch],
    log_end_offset: i64,
) -> Result<(), StorageError> {
    let mut next_offset = log_end_offset;
    for batch in batches {
        if batch.header.base_offset < next_offset {
            return Err(StorageError::InvalidRecord {
                batch_index: None,
                reason: format!(
                    "a replayed batch starts at offset {}, the log goes on at {next_offset}",
                    batch.header.base_offset
                ),
            });
        }
        next_offset = batch.header.next_offset();
    }
    Ok(())
}

/// The start of a new leader epoch is on disk before its first record is.
fn note_leader_epoch(log: &Log, leader_epoch: i32, offset: i64) -> Result<(), StorageError> {
    let Some(epochs) = log.leader_epochs.load().with(leader_epoch, offset) else {
        return Ok(());
    };
    let written = epochs.write(&*log.context.dir, &log.partition_dir);
    log.context.or_offline(written)?;
    log.leader_epochs.store(epochs.into());
    Ok(())
}

/// Applies the batches that are now in the log; an abort goes to the transaction index.
fn update_producers(
    writer: &mut LogWriter,
    batches: &[ValidatedBatch],
) -> Result<(), StorageError> {
    for batch in batches {
        let Some(completed) = writer.producers.apply(&batch.header, batch.marker) else {
            continue;
        };
        if completed.is_aborted {
            let entry = super::load::aborted_transaction(&writer.producers, &completed);
            writer.active.append_aborted(&entry)?;
        }
        writer.producers.complete(&completed);
    }
    Ok(())
}

fn publish(log: &Log, writer: &LogWriter, headers: &[BatchHeader]) {
    let log_end = LogPosition {
        offset: headers.last().map_or(0, BatchHeader::next_offset),
        segment_base_offset: writer.active.base_offset(),
        position: writer.active.size_bytes(),
    };
    let first_unstable_offset = writer.producers.first_unstable_offset();
    log.published.update(|published| {
        published.log_end = log_end;
        published.first_unstable_offset = first_unstable_offset;
    });
}

fn mark_dirty(log: &Log) {
    if !log.is_dirty.swap(true, Ordering::AcqRel)
        && let Some(this) = log.this.upgrade()
    {
        log.context.sync_queue.push(this);
    }
}
