//! The records of `__transaction_state`, byte for byte as Kafka writes them.
//!
//! ```text
//! key    int16 version 0  string transactionalId
//!
//! TransactionLogValue v0  int64 producerId  int16 producerEpoch  int32 transactionTimeoutMs
//!                         int8 transactionStatus  nullable array transactionPartitions:
//!   partitions            string topic  array of int32 partitionIds
//!                         int64 transactionLastUpdateTimestampMs  int64 transactionStartTimestampMs
//!                     v1  v0 with compact types and tagged fields, of which the value has
//!                         0 int64 previousProducerId  1 int64 nextProducerId
//!                         2 int16 clientTransactionVersion
//! ```
//! The partitions are null in the state Empty, and only there. A value of null is a tombstone. We
//! write version 0 below `transaction.version` 1 and version 1 from there on, and read both; tags
//! with their default are not written, and unknown ones are skipped. Keys of other versions are not
//! ours to judge.

use std::collections::{BTreeMap, BTreeSet};

use super::message::{NO_PRODUCER_EPOCH, NO_PRODUCER_ID};
use super::state::{TransactionState, TransactionVersion};
use crate::codec::{
    Reader, put_compact_string, put_int16, put_int32, put_int64, put_length, put_string,
    put_unsigned_varint,
};
use crate::error::CoordinatorError;
use crate::group::record::CoordinatorRecord;

/// Partitions by topic, each once, in order.
pub type PartitionSet = BTreeMap<String, BTreeSet<i32>>;

/// What is durable of a transactional id, whatever version it was written in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionLogValue {
    pub producer_id: i64,
    /// The producer id before the last transition, or -1.
    pub previous_producer_id: i64,
    /// The producer id after the transaction that is being ended, when its epochs are used up,
    /// else -1.
    pub next_producer_id: i64,
    pub producer_epoch: i16,
    pub transaction_timeout_ms: i32,
    pub state: TransactionState,
    pub partitions: PartitionSet,
    pub last_update_timestamp_ms: i64,
    /// -1 when there is no transaction.
    pub start_timestamp_ms: i64,
    pub client_transaction_version: TransactionVersion,
}

const KEY_VERSION: i16 = 0;
const VALUE_VERSION_NEWEST: i16 = 1;
const FIRST_FLEXIBLE_VERSION: i16 = 1;
const TAG_PREVIOUS_PRODUCER_ID: usize = 0;
const TAG_NEXT_PRODUCER_ID: usize = 1;
const TAG_CLIENT_TRANSACTION_VERSION: usize = 2;

/// Reads the key of a record; `None` when it is of a kind that we do not know.
pub fn decode_transaction_log_key(bytes: &[u8]) -> Result<Option<String>, CoordinatorError> {
    let mut reader = Reader::new("TransactionLogKey", bytes);
    match reader.int16("version")? {
        KEY_VERSION => reader.string("transactionalId", false).map(Some),
        _ => Ok(None),
    }
}

/// Reads the state of a transactional id, versions 0 and 1.
pub fn decode_transaction_log_value(bytes: &[u8]) -> Result<TransactionLogValue, CoordinatorError> {
    const WHAT: &str = "TransactionLogValue";
    let mut reader = Reader::new(WHAT, bytes);
    let version = reader.int16("version")?;
    if !(0..=VALUE_VERSION_NEWEST).contains(&version) {
        return Err(CoordinatorError::UnsupportedVersion {
            what: WHAT,
            version,
            newest: VALUE_VERSION_NEWEST,
        });
    }
    let flexible = version >= FIRST_FLEXIBLE_VERSION;
    let producer_id = reader.int64("producerId")?;
    let producer_epoch = reader.int16("producerEpoch")?;
    // Kafka never stores an id that has no producer yet.
    if producer_id <= NO_PRODUCER_ID || producer_epoch <= NO_PRODUCER_EPOCH {
        return Err(reader.malformed("producerId or producerEpoch"));
    }
    let transaction_timeout_ms = reader.int32("transactionTimeoutMs")?;
    let state = TransactionState::from_id(reader.int8("transactionStatus")?)
        .filter(|state| *state != TransactionState::Dead)
        .filter(|state| *state != TransactionState::PrepareEpochFence)
        .ok_or_else(|| reader.malformed("transactionStatus"))?;
    let mut partitions = decode_partitions(&mut reader, flexible)?;
    if state != TransactionState::Ongoing && !state.is_prepared() {
        partitions.clear();
    }
    let last_update_timestamp_ms = reader.int64("transactionLastUpdateTimestampMs")?;
    let start_timestamp_ms = reader.int64("transactionStartTimestampMs")?;
    let mut value = TransactionLogValue {
        producer_id,
        previous_producer_id: NO_PRODUCER_ID,
        next_producer_id: NO_PRODUCER_ID,
        producer_epoch,
        transaction_timeout_ms,
        state,
        partitions,
        last_update_timestamp_ms,
        start_timestamp_ms,
        client_transaction_version: TransactionVersion::V0,
    };
    if flexible {
        decode_tags(&mut reader, &mut value)?;
    }
    Ok(value)
}

fn decode_partitions(
    reader: &mut Reader<'_>,
    flexible: bool,
) -> Result<PartitionSet, CoordinatorError> {
    let mut partitions = PartitionSet::new();
    let topics = reader.nullable_array_length("transactionPartitions", flexible)?;
    for _ in 0..topics.unwrap_or_default() {
        let topic = reader.string("topic", flexible)?;
        if topic.len() > i16::MAX as usize {
            return Err(reader.malformed("topic"));
        }
        let ids: &mut BTreeSet<i32> = partitions.entry(topic).or_default();
        for _ in 0..reader.array_length("partitionIds", flexible)? {
            ids.insert(reader.int32("partitionId")?);
        }
        if flexible {
            reader.tagged_fields()?;
        }
    }
    partitions.retain(|_, ids| !ids.is_empty());
    Ok(partitions)
}

fn decode_tags(
    reader: &mut Reader<'_>,
    value: &mut TransactionLogValue,
) -> Result<(), CoordinatorError> {
    for _ in 0..reader.unsigned_varint("tagged fields")? {
        let (tag, mut field) = reader.tagged_field()?;
        match tag {
            TAG_PREVIOUS_PRODUCER_ID => {
                value.previous_producer_id = field.int64("previousProducerId")?;
            }
            TAG_NEXT_PRODUCER_ID => value.next_producer_id = field.int64("nextProducerId")?,
            TAG_CLIENT_TRANSACTION_VERSION => {
                let level = field.int16("clientTransactionVersion")?;
                value.client_transaction_version = TransactionVersion::from_level(level);
            }
            _ => {}
        }
    }
    if value.previous_producer_id < NO_PRODUCER_ID || value.next_producer_id < NO_PRODUCER_ID {
        return Err(reader.malformed("previousProducerId or nextProducerId"));
    }
    Ok(())
}

fn transaction_log_key(transactional_id: &str) -> Vec<u8> {
    let mut key = Vec::with_capacity(4 + transactional_id.len());
    put_int16(&mut key, KEY_VERSION);
    put_string(&mut key, transactional_id);
    key
}

pub(crate) fn transaction_log(
    transactional_id: &str,
    value: &TransactionLogValue,
    version: TransactionVersion,
) -> CoordinatorRecord {
    CoordinatorRecord {
        key: transaction_log_key(transactional_id),
        value: Some(encode_transaction_log_value(value, version)),
    }
}

pub(crate) fn transaction_tombstone(transactional_id: &str) -> CoordinatorRecord {
    CoordinatorRecord {
        key: transaction_log_key(transactional_id),
        value: None,
    }
}

/// The value of a record, in the version that `transaction.version` asks for.
pub fn encode_transaction_log_value(
    value: &TransactionLogValue,
    version: TransactionVersion,
) -> Vec<u8> {
    let flexible = version.value_version() >= FIRST_FLEXIBLE_VERSION;
    let mut out = Vec::with_capacity(64 + 32 * value.partitions.len());
    put_int16(&mut out, version.value_version());
    put_int64(&mut out, value.producer_id);
    put_int16(&mut out, value.producer_epoch);
    put_int32(&mut out, value.transaction_timeout_ms);
    out.extend_from_slice(&value.state.id().to_be_bytes());
    put_partitions(&mut out, value, flexible);
    put_int64(&mut out, value.last_update_timestamp_ms);
    put_int64(&mut out, value.start_timestamp_ms);
    if flexible {
        put_tags(&mut out, value);
    }
    out
}

fn put_partitions(out: &mut Vec<u8>, value: &TransactionLogValue, flexible: bool) {
    if value.state == TransactionState::Empty {
        match flexible {
            true => put_unsigned_varint(out, 0),
            false => put_int32(out, -1),
        }
        return;
    }
    let put_count = |out: &mut Vec<u8>, count: usize| match flexible {
        true => put_unsigned_varint(out, count + 1),
        false => put_length(out, count),
    };
    put_count(out, value.partitions.len());
    for (topic, ids) in &value.partitions {
        match flexible {
            true => put_compact_string(out, topic),
            false => put_string(out, topic),
        }
        put_count(out, ids.len());
        ids.iter().for_each(|id| put_int32(out, *id));
        if flexible {
            put_unsigned_varint(out, 0);
        }
    }
}

fn put_tags(out: &mut Vec<u8>, value: &TransactionLogValue) {
    let mut tags: Vec<(usize, Vec<u8>)> = Vec::new();
    let producer_ids = [
        (TAG_PREVIOUS_PRODUCER_ID, value.previous_producer_id),
        (TAG_NEXT_PRODUCER_ID, value.next_producer_id),
    ];
    for (tag, id) in producer_ids {
        if id != NO_PRODUCER_ID {
            tags.push((tag, id.to_be_bytes().to_vec()));
        }
    }
    let level = value.client_transaction_version.level();
    if level != 0 {
        tags.push((TAG_CLIENT_TRANSACTION_VERSION, level.to_be_bytes().to_vec()));
    }
    put_unsigned_varint(out, tags.len());
    for (tag, bytes) in tags {
        put_unsigned_varint(out, tag);
        put_unsigned_varint(out, bytes.len());
        out.extend_from_slice(&bytes);
    }
}
