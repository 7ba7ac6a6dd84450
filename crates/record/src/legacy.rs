//! Messages of magic 0 and 1, as Kafka wrote them before 0.11: read, checked, and turned into record batches.
//!
//! ```text
//!  0  8 offset                          16  1 magic, 0 or 1
//!  8  4 size = bytes from 12 on         17  1 attributes: bits 0-2 codec, bit 3 LogAppendTime (magic 1)
//! 12  4 CRC-32 (IEEE) of 16..end        18  8 timestamp, only in magic 1
//!                                       ..  4 key length, key, 4 value length, value; -1 is null
//! ```
//! A message with a codec is a wrapper: its value is a compressed row of messages, its offset that of the last one.
//! Inside, magic 1 counts offsets from 0, magic 0 has absolute ones.
//!
//! What becomes of them, as Kafka 4.3's cleaner does it: a wrapper is one batch with the same codec, from its first
//! record to its last; any other message is a batch of its own. Offsets, order, keys and values stay. Magic 0 becomes
//! CreateTime with timestamp -1; magic 1 keeps timestamps and their type. Messages of equal offset, which Kafka would
//! make neighbouring batches of equal offset, share one batch, because offsets rise from batch to batch here.
//!
//! Invariants
//! - Nothing is believed before the checksum of its message was compared, of the inner ones too.
//! - Refused: a wrapper in a wrapper, no inner message, bytes that are left over, offsets that descend, are negative or
//!   lie beyond their wrapper's, and more plain bytes than the caller allows.
//! - A batch is written from whole messages or not at all.

use crate::builder::{BatchBuilder, BatchSpec};
use crate::{BatchHeader, CompressionType, Decompressor, NO_TIMESTAMP, RecordError, TimestampType};

/// Bytes that say whether a legacy message may begin here, and how long it is.
pub const LEGACY_PREFIX_BYTES: usize = 17;

const CRC_COVERS_FROM: usize = 16;
const MAGIC_AT: usize = 16;
const LEAST_SIZE_V0: i32 = 14;
const LEAST_SIZE_V1: i32 = 22;
const OFFSET_AND_SIZE_BYTES: usize = 12;
const CODEC_MASK: u8 = 0x07;
const LOG_APPEND_TIME_BIT: u8 = 0x08;

/// The part of a legacy message that can be read without the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LegacyPrefix {
    /// Of a wrapper: the offset of its last record.
    pub offset: i64,
    /// The whole message, offset and size included.
    pub size_bytes: usize,
    /// 0 or 1.
    pub magic: u8,
}

impl LegacyPrefix {
    /// `None` when no message of magic 0 or 1 begins here. Zeros are none.
    pub fn parse(bytes: &[u8]) -> Option<LegacyPrefix> {
        let fixed = bytes.first_chunk::<LEGACY_PREFIX_BYTES>()?;
        let magic = fixed[MAGIC_AT];
        let least_size = match magic {
            0 => LEAST_SIZE_V0,
            1 => LEAST_SIZE_V1,
            _ => return None,
        };
        let size = i32::from_be_bytes([fixed[8], fixed[9], fixed[10], fixed[11]]);
        if size < least_size {
            return None;
        }
        let (offset, _) = fixed.split_first_chunk::<8>()?;
        Some(LegacyPrefix {
            offset: i64::from_be_bytes(*offset),
            size_bytes: OFFSET_AND_SIZE_BYTES + usize::try_from(size).ok()?,
            magic,
        })
    }
}

/// One message whose checksum was right, a wrapper or a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LegacyMessage<'a> {
    offset: i64,
    magic: u8,
    compression: CompressionType,
    timestamp_type: TimestampType,
    timestamp: i64,
    key: Option<&'a [u8]>,
    value: Option<&'a [u8]>,
    size_bytes: usize,
}

impl<'a> LegacyMessage<'a> {
    /// The first message in `bytes`, which need not end with it.
    pub fn parse(bytes: &'a [u8]) -> Result<LegacyMessage<'a>, RecordError> {
        let invalid = |reason| RecordError::InvalidLegacyMessage { reason };
        let prefix = LegacyPrefix::parse(bytes)
            .ok_or_else(|| invalid("size or magic are not those of a message"))?;
        let (needed, available) = (prefix.size_bytes, bytes.len());
        let bytes = bytes
            .get(..needed)
            .ok_or(RecordError::Truncated { needed, available })?;
        check_crc(bytes)?;

        let mut rest = bytes.get(MAGIC_AT + 1..).unwrap_or_default();
        let [attributes] = take(&mut rest).ok_or_else(|| invalid("attributes are cut off"))?;
        let mut timestamp = NO_TIMESTAMP;
        let mut timestamp_type = TimestampType::CreateTime;
        if prefix.magic == 1 {
            let bytes = take(&mut rest).ok_or_else(|| invalid("the timestamp is cut off"))?;
            timestamp = i64::from_be_bytes(bytes);
            if attributes & LOG_APPEND_TIME_BIT != 0 {
                timestamp_type = TimestampType::LogAppendTime;
            }
        }
        let key = take_bytes(&mut rest).ok_or_else(|| invalid("bad key length"))?;
        let value = take_bytes(&mut rest).ok_or_else(|| invalid("bad value length"))?;
        if !rest.is_empty() {
            return Err(invalid("bytes are left over behind the value"));
        }
        // An offset has one behind it, the next.
        if prefix.offset < 0 || prefix.offset == i64::MAX {
            return Err(invalid("the offset is out of range"));
        }
        let codec = attributes & CODEC_MASK;
        let compression = CompressionType::from_id(codec)
            .filter(|compression| *compression != CompressionType::Zstd)
            .ok_or(RecordError::UnknownCompression(codec))?;
        Ok(LegacyMessage {
            offset: prefix.offset,
            magic: prefix.magic,
            compression,
            timestamp_type,
            timestamp,
            key,
            value,
            size_bytes: bytes.len(),
        })
    }

    /// Of a wrapper: the offset of its last record.
    pub fn offset(&self) -> i64 {
        self.offset
    }

    /// The whole message.
    pub fn size_bytes(&self) -> usize {
        self.size_bytes
    }
}

/// Turns messages, given in the order of the log, into record batches. Keeps its buffers from message to message.
#[derive(Debug)]
pub struct LegacyUpgrade {
    decompressor: Decompressor,
    builder: BatchBuilder,
    open: Option<OpenBatch>,
}

/// The batch in the builder. It waits for the next message, which may have the same offset.
#[derive(Debug, Clone, Copy)]
struct OpenBatch {
    base_offset: i64,
    last_offset: i64,
    timestamp_type: TimestampType,
    /// Of LogAppendTime: the time of all its records.
    timestamp: i64,
}

impl LegacyUpgrade {
    /// A wrapper may not hold more plain bytes than this, nor may messages of equal offset together.
    pub fn new(max_decompressed_bytes: usize) -> LegacyUpgrade {
        LegacyUpgrade {
            decompressor: Decompressor::new(max_decompressed_bytes),
            builder: BatchBuilder::new(BatchSpec::default()),
            open: None,
        }
    }

    /// Takes the next message; no record may be below `least_offset`, nor below the message before. Appends the batch of
    /// the messages before to `out`, when this one does not belong to it. A message that is refused leaves no trace:
    /// [`LegacyUpgrade::finish`] writes the batch before it.
    pub fn push(
        &mut self,
        message: &LegacyMessage<'_>,
        least_offset: i64,
        out: &mut Vec<u8>,
    ) -> Result<Option<BatchHeader>, RecordError> {
        let limit = self.decompressor.max_decompressed_bytes();
        let LegacyUpgrade {
            decompressor,
            builder,
            open,
        } = self;
        let Inner { records, shift } = if message.compression == CompressionType::None {
            Inner::alone()
        } else {
            Inner::of(message, decompressor)?
        };
        let (first_offset, last_offset) = match records {
            None => (message.offset, message.offset),
            Some(records) => (first_offset(records, shift)?, last_offset(records, shift)?),
        };
        let previous_offset = open.map_or(least_offset, |open| open.last_offset);
        if first_offset < previous_offset.max(least_offset) {
            return Err(invalid("offsets descend"));
        }
        check_inner(message, records, shift)?;

        let joins = open.filter(|open| open.last_offset == first_offset);
        let base_offset = joins.map_or(first_offset, |open| open.base_offset);
        if last_offset - base_offset > i64::from(i32::MAX) {
            return Err(invalid("offsets are too far apart for one batch"));
        }
        let finished = match joins {
            Some(open) => {
                check_joins(&open, message, builder.estimated_bytes(), limit)?;
                None
            }
            None => finish(builder, open, out)?,
        };
        if joins.is_none() {
            builder.reset(BatchSpec {
                base_offset,
                compression: message.compression,
                timestamp_type: message.timestamp_type,
                ..BatchSpec::default()
            });
        }
        match records {
            None => builder.push(
                message.offset,
                message.timestamp,
                message.key,
                message.value,
                &[],
            ),
            Some(records) => {
                for inner in Messages(records) {
                    let inner = inner?;
                    let offset = absolute(inner.offset, shift)?;
                    let timestamp = inner.timestamp_in(message);
                    builder.push(offset, timestamp, inner.key, inner.value, &[]);
                }
            }
        }
        *open = Some(OpenBatch {
            base_offset,
            last_offset,
            timestamp_type: message.timestamp_type,
            timestamp: message.timestamp,
        });
        Ok(finished)
    }

    /// Appends the last batch to `out`, if there is one.
    pub fn finish(&mut self, out: &mut Vec<u8>) -> Result<Option<BatchHeader>, RecordError> {
        finish(&mut self.builder, &mut self.open, out)
    }
}

fn finish(
    builder: &mut BatchBuilder,
    open: &mut Option<OpenBatch>,
    out: &mut Vec<u8>,
) -> Result<Option<BatchHeader>, RecordError> {
    match open.take() {
        None => Ok(None),
        Some(_) => builder.finish(out).map(Some),
    }
}

/// May a message be added to a batch that ends with its offset? A batch has one timestamp type, and with LogAppendTime
/// one time.
fn check_joins(
    open: &OpenBatch,
    message: &LegacyMessage<'_>,
    batch_bytes: usize,
    limit: usize,
) -> Result<(), RecordError> {
    let is_one_time =
        open.timestamp_type == TimestampType::CreateTime || open.timestamp == message.timestamp;
    if open.timestamp_type != message.timestamp_type || !is_one_time {
        return Err(invalid(
            "messages of equal offset have timestamps of different types or appends",
        ));
    }
    if batch_bytes > limit {
        return Err(RecordError::DecompressedTooLarge { limit });
    }
    Ok(())
}

/// The row of messages inside a wrapper, and what is to be added to their offsets.
struct Inner<'b> {
    records: Option<&'b [u8]>,
    shift: i64,
}

impl<'b> Inner<'b> {
    fn alone() -> Inner<'b> {
        Inner {
            records: None,
            shift: 0,
        }
    }

    fn of(
        wrapper: &LegacyMessage<'_>,
        decompressor: &'b mut Decompressor,
    ) -> Result<Inner<'b>, RecordError> {
        let compressed = wrapper
            .value
            .ok_or_else(|| invalid("a wrapper without a value"))?;
        let records = if wrapper.magic == 0 {
            decompressor.decompress_v0(wrapper.compression, compressed)?
        } else {
            decompressor.decompress(wrapper.compression, compressed)?
        };
        let last_inner = last_offset(records, 0)?;
        let shift = if wrapper.magic == 0 {
            0
        } else {
            wrapper.offset.saturating_sub(last_inner)
        };
        if shift < 0 || last_inner > wrapper.offset {
            return Err(invalid("inner offsets lie beyond the wrapper's"));
        }
        Ok(Inner {
            records: Some(records),
            shift,
        })
    }
}

/// Everything that can be wrong inside, so that no half of a wrapper gets into a batch.
fn check_inner(
    message: &LegacyMessage<'_>,
    records: Option<&[u8]>,
    shift: i64,
) -> Result<(), RecordError> {
    let mut previous_offset = 0;
    for inner in Messages(records.unwrap_or_default()) {
        let inner = inner?;
        if inner.compression != CompressionType::None {
            return Err(invalid("a compressed message inside of a compressed one"));
        }
        let offset = absolute(inner.offset, shift)?;
        if offset < previous_offset || offset > message.offset {
            return Err(invalid("inner offsets descend or lie beyond the wrapper's"));
        }
        previous_offset = offset;
    }
    Ok(())
}

impl LegacyMessage<'_> {
    /// The timestamp of a record inside of `wrapper`.
    fn timestamp_in(&self, wrapper: &LegacyMessage<'_>) -> i64 {
        match wrapper.timestamp_type {
            TimestampType::LogAppendTime => wrapper.timestamp,
            TimestampType::CreateTime => self.timestamp,
        }
    }
}

fn first_offset(records: &[u8], shift: i64) -> Result<i64, RecordError> {
    let first = LegacyPrefix::parse(records).ok_or_else(|| invalid("no inner message"))?;
    absolute(first.offset, shift)
}

/// Steps from prefix to prefix.
fn last_offset(records: &[u8], shift: i64) -> Result<i64, RecordError> {
    let (mut rest, mut last) = (records, None);
    while !rest.is_empty() {
        let prefix = LegacyPrefix::parse(rest)
            .ok_or_else(|| invalid("size or magic of an inner message are wrong"))?;
        rest = rest
            .get(prefix.size_bytes..)
            .ok_or_else(|| invalid("an inner message reaches beyond its wrapper"))?;
        last = Some(prefix.offset);
    }
    absolute(last.ok_or_else(|| invalid("no inner message"))?, shift)
}

fn absolute(offset: i64, shift: i64) -> Result<i64, RecordError> {
    offset
        .checked_add(shift)
        .filter(|offset| (0..i64::MAX).contains(offset))
        .ok_or_else(|| invalid("an inner offset is out of range"))
}

/// The messages in a row of them; ends after the first error.
struct Messages<'a>(&'a [u8]);

impl<'a> Iterator for Messages<'a> {
    type Item = Result<LegacyMessage<'a>, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let message = LegacyMessage::parse(self.0);
        self.0 = match &message {
            Ok(message) => self.0.get(message.size_bytes..).unwrap_or_default(),
            Err(_) => &[],
        };
        Some(message)
    }
}

fn check_crc(message: &[u8]) -> Result<(), RecordError> {
    let stored = message.get(OFFSET_AND_SIZE_BYTES..).unwrap_or_default();
    let stored = stored
        .first_chunk::<4>()
        .map_or(0, |b| u32::from_be_bytes(*b));
    let computed = crate::crc::crc32(message.get(CRC_COVERS_FROM..).unwrap_or_default());
    if stored == computed {
        return Ok(());
    }
    Err(RecordError::CorruptLegacyCrc { stored, computed })
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (bytes, after) = rest.split_first_chunk::<N>()?;
    *rest = after;
    Some(*bytes)
}

/// The outer `None` is a length that lies.
fn take_bytes<'a>(rest: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    let length = i32::from_be_bytes(take(rest)?);
    if length == -1 {
        return Some(None);
    }
    let (bytes, after) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    *rest = after;
    Some(Some(bytes))
}

fn invalid(reason: &'static str) -> RecordError {
    RecordError::InvalidLegacyMessage { reason }
}
