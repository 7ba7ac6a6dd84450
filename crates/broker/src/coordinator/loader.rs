//! Loading: the records of a coordinator's partition, replayed in the order of the log.
//!
//! What can be read is used. A batch with a wrong checksum, or a record that makes no sense, is
//! reported and skipped; only where the next batch begins cannot be guessed, so a broken batch
//! header or a read that fails ends the load with an error. Which records of a transaction
//! count is the machine's business: it hears of the markers as well.
//!
//! Blocks on the disk. Holds no lock; the state machine belongs to the load until it is done.

use lastword_record::control::ControlRecordType;
use lastword_record::{Decompressor, RecordBatch, RecordBatches, RecordError};
use lastword_storage::{Isolation, StorageError};
use thiserror::Error;

use super::runtime::Machine;
use crate::partition::Partition;

/// Read from the log at a time, or one batch if that is larger.
const READ_BYTES: usize = 1 << 20;

/// What was loaded.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Loaded {
    pub(super) records: u64,
    pub(super) bytes: u64,
    /// Batches and records that could not be used.
    pub(super) skipped: u64,
}

/// Why a partition could not be loaded.
#[derive(Debug, Error)]
pub(super) enum LoadError {
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error("cannot read at offset {offset}: {source}")]
    Read { offset: i64, source: std::io::Error },
    #[error("no batch can be found at offset {offset}: {source}")]
    Batch { offset: i64, source: RecordError },
    #[error("the broker is stopping")]
    Stopped,
}

struct Load<'a, M> {
    partition: &'a Partition,
    machine: &'a mut M,
    decompressor: Decompressor,
    next_offset: i64,
    loaded: Loaded,
}

/// Replays everything from LogStartOffset to LogEndOffset into `machine`.
pub(super) fn load<M: Machine>(
    partition: &Partition,
    machine: &mut M,
    max_decompressed_bytes: usize,
    is_stopped: &dyn Fn() -> bool,
) -> Result<Loaded, LoadError> {
    let mut load = Load {
        partition,
        machine,
        decompressor: Decompressor::new(max_decompressed_bytes),
        next_offset: partition.offsets().log_start_offset,
        loaded: Loaded::default(),
    };
    let mut buffer = Vec::new();
    loop {
        if is_stopped() {
            return Err(LoadError::Stopped);
        }
        let offset = load.next_offset;
        let fetched = partition.fetch(offset, READ_BYTES, true, Isolation::LogEnd)?;
        let Some(data) = fetched.data else { break };
        buffer.clear();
        data.read_into(&mut buffer)
            .map_err(|source| LoadError::Read { offset, source })?;
        if buffer.is_empty() {
            break;
        }
        replay_batches(&mut load, &buffer)?;
    }
    Ok(load.loaded)
}

/// The last batch may be cut off; it comes again with the next read.
fn replay_batches<M: Machine>(load: &mut Load<'_, M>, buffer: &[u8]) -> Result<(), LoadError> {
    let offset = load.next_offset;
    for batch in RecordBatches::new(buffer) {
        let batch = match batch {
            Ok(batch) => batch,
            Err(RecordError::Truncated { .. }) if load.next_offset > offset => break,
            Err(source) => {
                return Err(LoadError::Batch {
                    offset: load.next_offset,
                    source,
                });
            }
        };
        load.loaded.bytes += batch.bytes().len() as u64;
        if let Err(error) = replay_batch(load, &batch) {
            skip(load, batch.header().base_offset, &error);
        }
        load.next_offset = batch.header().next_offset().max(load.next_offset);
    }
    Ok(())
}

fn replay_batch<M: Machine>(
    load: &mut Load<'_, M>,
    batch: &RecordBatch<'_>,
) -> Result<(), RecordError> {
    batch.verify_crc()?;
    let header = *batch.header();
    let from_offset = load.next_offset;
    // The records borrow the decompressor, so it leaves the load for as long as they live.
    let mut decompressor = std::mem::replace(&mut load.decompressor, Decompressor::new(0));
    let mut replay_all = || {
        for record in batch.records(&mut decompressor)? {
            let record = record?;
            if record.offset < from_offset {
                continue;
            }
            load.loaded.records += 1;
            let Some(key) = record.key else {
                skip(load, record.offset, &"a record without a key");
                continue;
            };
            if header.is_control() {
                end_transaction(load, header.producer_id, key)?;
                continue;
            }
            let producer_id = header.is_transactional().then_some(header.producer_id);
            if let Err(error) = load.machine.replay(producer_id, key, record.value) {
                skip(load, record.offset, &error);
            }
        }
        Ok(())
    };
    let result = replay_all();
    load.decompressor = decompressor;
    result
}

fn end_transaction<M: Machine>(
    load: &mut Load<'_, M>,
    producer_id: i64,
    key: &[u8],
) -> Result<(), RecordError> {
    match ControlRecordType::parse(key)? {
        ControlRecordType::Commit => load.machine.replay_marker(producer_id, true),
        ControlRecordType::Abort => load.machine.replay_marker(producer_id, false),
        _ => {}
    }
    Ok(())
}

fn skip<M: Machine>(load: &mut Load<'_, M>, offset: i64, reason: &dyn std::fmt::Display) {
    load.loaded.skipped += 1;
    tracing::error!(
        partition = %load.partition.topic_partition(),
        offset,
        %reason,
        "skipped what cannot be read while loading {}",
        M::WHAT
    );
}
