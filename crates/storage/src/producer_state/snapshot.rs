//! The producer snapshot `<offset>.snapshot`, byte for byte as Kafka writes it.
//!
//! ```text
//! off len field
//!   0   2 version = 1
//!   2   4 CRC-32C of bytes 6..end
//!   6   4 number of producers
//!  10  46 per producer:
//!           0  8 producer id
//!           8  2 producer epoch
//!          10  4 last sequence               (-1: only a marker is known)
//!          14  8 last offset                 (-1)
//!          22  4 last offset - base offset   (0)
//!          26  8 timestamp
//!          34  4 coordinator epoch           (-1: no marker yet)
//!          38  8 first offset of the open transaction (-1: none)
//! ```
//! All big endian. The offset in the name is exclusive: the state after everything below it.
//! A damaged file is never used; the state is then rebuilt from an older one and the log.

use lastword_record::crc32c;

use super::{BatchMetadata, ProducerEntry};

const VERSION: i16 = 1;
const CRC_END: usize = 6;
const HEADER_BYTES: usize = 10;
const ENTRY_BYTES: usize = 46;

/// The file's bytes for these producers.
pub fn encode(entries: &[(i64, &ProducerEntry)]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER_BYTES + entries.len() * ENTRY_BYTES);
    bytes.extend_from_slice(&VERSION.to_be_bytes());
    bytes.extend_from_slice(&[0; 4]);
    let count = i32::try_from(entries.len()).unwrap_or(i32::MAX);
    bytes.extend_from_slice(&count.to_be_bytes());
    for (producer_id, entry) in entries {
        let batch = entry.last_batch().copied().unwrap_or(BatchMetadata {
            last_sequence: -1,
            last_offset: -1,
            offset_delta: 0,
            timestamp: -1,
        });
        bytes.extend_from_slice(&producer_id.to_be_bytes());
        bytes.extend_from_slice(&entry.producer_epoch.to_be_bytes());
        bytes.extend_from_slice(&batch.last_sequence.to_be_bytes());
        bytes.extend_from_slice(&batch.last_offset.to_be_bytes());
        bytes.extend_from_slice(&batch.offset_delta.to_be_bytes());
        bytes.extend_from_slice(&entry.last_timestamp.to_be_bytes());
        bytes.extend_from_slice(&entry.coordinator_epoch.to_be_bytes());
        let first_offset = entry.current_transaction_first_offset.unwrap_or(-1);
        bytes.extend_from_slice(&first_offset.to_be_bytes());
    }
    let crc = crc32c(&bytes[CRC_END..]);
    bytes[2..CRC_END].copy_from_slice(&crc.to_be_bytes());
    bytes
}

/// The producers of a file, or what is wrong with it.
pub fn decode(bytes: &[u8]) -> Result<Vec<(i64, ProducerEntry)>, &'static str> {
    let mut header = Fields(bytes);
    let version = header.int16().ok_or("shorter than its header")?;
    let stored_crc = header.int32().ok_or("shorter than its header")?;
    let count = header.int32().ok_or("shorter than its header")?;
    if version != VERSION {
        return Err("unknown version");
    }
    let body = bytes.get(CRC_END..).ok_or("shorter than its header")?;
    if crc32c(body) != stored_crc.cast_unsigned() {
        return Err("checksum does not match");
    }
    let entries = bytes.get(HEADER_BYTES..).ok_or("shorter than its header")?;
    let count = usize::try_from(count).map_err(|_| "negative number of producers")?;
    if entries.len() % ENTRY_BYTES != 0 || entries.len() / ENTRY_BYTES != count {
        return Err("size does not match the number of producers");
    }
    entries
        .chunks_exact(ENTRY_BYTES)
        .map(|entry| decode_entry(entry).ok_or("truncated entry"))
        .collect()
}

fn decode_entry(bytes: &[u8]) -> Option<(i64, ProducerEntry)> {
    let mut fields = Fields(bytes);
    let producer_id = fields.int64()?;
    let producer_epoch = fields.int16()?;
    let last_sequence = fields.int32()?;
    let last_offset = fields.int64()?;
    let offset_delta = fields.int32()?;
    let timestamp = fields.int64()?;
    let coordinator_epoch = fields.int32()?;
    let first_offset = fields.int64()?;
    let batch = (last_offset >= 0).then_some(BatchMetadata {
        last_sequence,
        last_offset,
        offset_delta,
        timestamp,
    });
    let mut entry = ProducerEntry::new(producer_epoch).with_batch(batch);
    entry.coordinator_epoch = coordinator_epoch;
    entry.last_timestamp = timestamp;
    entry.current_transaction_first_offset = (first_offset >= 0).then_some(first_offset);
    Some((producer_id, entry))
}

/// Takes big-endian integers off the front.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*first)
    }

    fn int16(&mut self) -> Option<i16> {
        self.take().map(i16::from_be_bytes)
    }

    fn int32(&mut self) -> Option<i32> {
        self.take().map(i32::from_be_bytes)
    }

    fn int64(&mut self) -> Option<i64> {
        self.take().map(i64::from_be_bytes)
    }
}
