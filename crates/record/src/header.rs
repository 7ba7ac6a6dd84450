//! The 61-byte header of a record batch, read and written whole. All integers are big-endian.
//!
//! ```text
//!  0  8 baseOffset            23 4 lastOffsetDelta
//!  8  4 length = size - 12    27 8 baseTimestamp, or the delete horizon (attribute bit 6)
//! 12  4 partitionLeaderEpoch  35 8 maxTimestamp
//! 16  1 magic = 2             43 8 producerId        51 2 producerEpoch
//! 17  4 CRC-32C of 21..end    53 4 baseSequence      57 4 record count
//! 21  2 attributes            61 records, one compressed blob if a codec is set
//! ```
//! A [`BatchHeader`] that came from [`BatchHeader::parse`] has a length of at least 49, a count and
//! a last offset delta that are not negative, and a `next_offset` that does not overflow. Nothing
//! here knows whether the records behind the header keep its promises.

use crate::{CompressionType, RecordError};

/// Size of a batch without records.
pub const BATCH_HEADER_BYTES: usize = 61;
/// Bytes before the part that the length field counts.
pub const LOG_OVERHEAD: usize = 12;
/// The only supported magic.
pub const MAGIC_V2: i8 = 2;
/// "No timestamp".
pub const NO_TIMESTAMP: i64 = -1;
/// "No producer id".
pub const NO_PRODUCER_ID: i64 = -1;
/// "No producer epoch".
pub const NO_PRODUCER_EPOCH: i16 = -1;
/// "No sequence".
pub const NO_SEQUENCE: i32 = -1;

/// Where the CRC field starts and where the bytes it covers start.
pub(crate) const CRC_AT: usize = 17;
pub(crate) const ATTRIBUTES_AT: usize = 21;
pub(crate) const MAX_TIMESTAMP_AT: usize = 35;

const MAGIC_AT: usize = 16;
const LEAST_BATCH_LENGTH: i32 = (BATCH_HEADER_BYTES - LOG_OVERHEAD) as i32;
/// Least length field of magic 0; below it the bytes are no batch of any magic.
const LEAST_LEGACY_LENGTH: i32 = 14;

const CODEC_MASK: i16 = 0x07;
const LOG_APPEND_TIME_BIT: i16 = 0x08;
const TRANSACTIONAL_BIT: i16 = 0x10;
const CONTROL_BIT: i16 = 0x20;
const DELETE_HORIZON_BIT: i16 = 0x40;

/// Whose clock the timestamps of a batch are from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum TimestampType {
    /// The producer's, one per record.
    #[default]
    CreateTime,
    /// The broker's, one for the whole batch: its maxTimestamp.
    LogAppendTime,
}

/// The fields of a batch header, in their order on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchHeader {
    /// First offset the batch stands for.
    pub base_offset: i64,
    /// Size of the batch less [`LOG_OVERHEAD`].
    pub batch_length: i32,
    /// Epoch of the leader that appended it; -1 before.
    pub leader_epoch: i32,
    /// CRC-32C from the attributes to the end.
    pub crc: u32,
    /// Codec and flags; ask the methods.
    pub attributes: i16,
    /// `last_offset - base_offset`; also the distance of the last sequence.
    pub last_offset_delta: i32,
    /// What timestamp deltas count from: the first record's timestamp, or the delete horizon.
    pub base_timestamp: i64,
    /// Largest timestamp of a record, or the one of all records for LogAppendTime.
    pub max_timestamp: i64,
    /// -1 without an idempotent producer.
    pub producer_id: i64,
    /// -1 without an idempotent producer.
    pub producer_epoch: i16,
    /// Sequence of the record at `base_offset`; -1 without an idempotent producer and in markers.
    pub base_sequence: i32,
    /// Records that are there, fewer than offsets after a cleaning.
    pub record_count: i32,
}

impl BatchHeader {
    /// Reads the header at the start of `bytes`, which need not hold the rest of the batch.
    pub fn parse(bytes: &[u8]) -> Result<BatchHeader, RecordError> {
        let Some(fixed) = bytes.first_chunk::<BATCH_HEADER_BYTES>() else {
            return Err(short_header(bytes));
        };
        let header = BatchHeader {
            base_offset: i64::from_be_bytes(field(fixed, 0)),
            batch_length: i32::from_be_bytes(field(fixed, 8)),
            leader_epoch: i32::from_be_bytes(field(fixed, 12)),
            crc: u32::from_be_bytes(field(fixed, CRC_AT)),
            attributes: i16::from_be_bytes(field(fixed, ATTRIBUTES_AT)),
            last_offset_delta: i32::from_be_bytes(field(fixed, 23)),
            base_timestamp: i64::from_be_bytes(field(fixed, 27)),
            max_timestamp: i64::from_be_bytes(field(fixed, MAX_TIMESTAMP_AT)),
            producer_id: i64::from_be_bytes(field(fixed, 43)),
            producer_epoch: i16::from_be_bytes(field(fixed, 51)),
            base_sequence: i32::from_be_bytes(field(fixed, 53)),
            record_count: i32::from_be_bytes(field(fixed, 57)),
        };
        check_length_and_magic(header.batch_length, fixed[MAGIC_AT])?;
        header.check()?;
        Ok(header)
    }

    fn check(&self) -> Result<(), RecordError> {
        let reason = if self.record_count < 0 {
            "negative record count"
        } else if self.last_offset_delta < 0 {
            "negative last offset delta"
        } else if self.base_offset > i64::MAX - i64::from(self.last_offset_delta) - 1 {
            "offsets overflow"
        } else {
            return Ok(());
        };
        Err(RecordError::InvalidHeader { reason })
    }

    /// The header as it stands on disk, with the CRC of `self`.
    pub fn to_bytes(&self) -> [u8; BATCH_HEADER_BYTES] {
        let mut bytes = [0; BATCH_HEADER_BYTES];
        bytes[0..8].copy_from_slice(&self.base_offset.to_be_bytes());
        bytes[8..12].copy_from_slice(&self.batch_length.to_be_bytes());
        bytes[12..16].copy_from_slice(&self.leader_epoch.to_be_bytes());
        bytes[MAGIC_AT] = MAGIC_V2 as u8;
        bytes[17..21].copy_from_slice(&self.crc.to_be_bytes());
        bytes[21..23].copy_from_slice(&self.attributes.to_be_bytes());
        bytes[23..27].copy_from_slice(&self.last_offset_delta.to_be_bytes());
        bytes[27..35].copy_from_slice(&self.base_timestamp.to_be_bytes());
        bytes[35..43].copy_from_slice(&self.max_timestamp.to_be_bytes());
        bytes[43..51].copy_from_slice(&self.producer_id.to_be_bytes());
        bytes[51..53].copy_from_slice(&self.producer_epoch.to_be_bytes());
        bytes[53..57].copy_from_slice(&self.base_sequence.to_be_bytes());
        bytes[57..61].copy_from_slice(&self.record_count.to_be_bytes());
        bytes
    }

    /// Size of the whole batch.
    #[inline]
    pub fn size_bytes(&self) -> usize {
        LOG_OVERHEAD + usize::try_from(self.batch_length).unwrap_or(0)
    }

    /// Last offset the batch stands for, inclusive, whether or not a record has it.
    #[inline]
    pub fn last_offset(&self) -> i64 {
        self.base_offset
            .wrapping_add(i64::from(self.last_offset_delta))
    }

    /// First offset after the batch.
    #[inline]
    pub fn next_offset(&self) -> i64 {
        self.last_offset().wrapping_add(1)
    }

    /// Sequence of the last record; after 2^31-1 sequences start at 0 again. -1 without sequences.
    pub fn last_sequence(&self) -> i32 {
        if self.base_sequence == NO_SEQUENCE {
            return NO_SEQUENCE;
        }
        let room = i32::MAX - self.base_sequence.max(0);
        if self.last_offset_delta > room {
            self.last_offset_delta - room - 1
        } else {
            self.base_sequence + self.last_offset_delta
        }
    }

    /// The codec of the records.
    #[inline]
    pub fn compression(&self) -> Result<CompressionType, RecordError> {
        let id = (self.attributes & CODEC_MASK) as u8;
        CompressionType::from_id(id).ok_or(RecordError::UnknownCompression(id))
    }

    /// Whose clock the timestamps are from.
    #[inline]
    pub fn timestamp_type(&self) -> TimestampType {
        if self.attributes & LOG_APPEND_TIME_BIT != 0 {
            TimestampType::LogAppendTime
        } else {
            TimestampType::CreateTime
        }
    }

    /// Whether the batch belongs to a transaction, as data or as its marker.
    #[inline]
    pub fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL_BIT != 0
    }

    /// Whether the record in it is for brokers and not for consumers.
    #[inline]
    pub fn is_control(&self) -> bool {
        self.attributes & CONTROL_BIT != 0
    }

    /// Whether an idempotent producer or a transaction wrote it.
    #[inline]
    pub fn has_producer_id(&self) -> bool {
        self.producer_id > NO_PRODUCER_ID
    }

    /// When tombstones and an emptied marker of this batch may go; `None` while not stamped.
    #[inline]
    pub fn delete_horizon_ms(&self) -> Option<i64> {
        (self.attributes & DELETE_HORIZON_BIT != 0).then_some(self.base_timestamp)
    }
}

/// The attribute field of these properties; bits without a meaning stay 0.
pub(crate) fn attributes(
    compression: CompressionType,
    timestamp_type: TimestampType,
    is_transactional: bool,
    is_control: bool,
    has_delete_horizon: bool,
) -> i16 {
    let bit = |set: bool, bit: i16| if set { bit } else { 0 };
    i16::from(compression.id())
        | bit(
            timestamp_type == TimestampType::LogAppendTime,
            LOG_APPEND_TIME_BIT,
        )
        | bit(is_transactional, TRANSACTIONAL_BIT)
        | bit(is_control, CONTROL_BIT)
        | bit(has_delete_horizon, DELETE_HORIZON_BIT)
}

/// `attributes` with the bit of LogAppendTime.
pub(crate) fn with_log_append_time(attributes: i16) -> i16 {
    attributes | LOG_APPEND_TIME_BIT
}

/// The error for fewer bytes than a header: a wrong length or magic is named before the shortage,
/// because waiting for more bytes would not help.
fn short_header(bytes: &[u8]) -> RecordError {
    let length = bytes
        .get(8..12)
        .and_then(|b| b.first_chunk::<4>())
        .map(|b| i32::from_be_bytes(*b));
    if let (Some(length), Some(&magic)) = (length, bytes.get(MAGIC_AT))
        && let Err(error) = check_length_and_magic(length, magic)
    {
        return error;
    }
    RecordError::Truncated {
        needed: BATCH_HEADER_BYTES,
        available: bytes.len(),
    }
}

#[inline]
fn check_length_and_magic(batch_length: i32, magic: u8) -> Result<(), RecordError> {
    if batch_length < LEAST_LEGACY_LENGTH {
        return Err(RecordError::InvalidLength { batch_length });
    }
    if magic != MAGIC_V2 as u8 {
        return Err(RecordError::UnsupportedMagic(magic as i8));
    }
    if batch_length < LEAST_BATCH_LENGTH {
        return Err(RecordError::InvalidLength { batch_length });
    }
    Ok(())
}

/// `N` bytes of the header from `at`; positions are constants of this file, all inside.
#[inline(always)]
fn field<const N: usize>(fixed: &[u8; BATCH_HEADER_BYTES], at: usize) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.copy_from_slice(&fixed[at..at + N]);
    bytes
}
