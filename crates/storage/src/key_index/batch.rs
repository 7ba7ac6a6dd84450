//! `IndexedBatch`: what a key index holds of a batch, so that a cleaning is planned without reading the log.
//!
//! ```text
//! flags 1 B   [0 transactional, 1 control, 2 producer, 3 horizon, 4 offsets, 5 abort, 6 commit, 7 odd records]
//! varint size in bytes, 4 B its CRC, varint record count
//! offsets:     varint base offset - next offset of the batch before, varint last offset delta
//! producer:    varint producer id, 2 B epoch
//! horizon:     8 B
//! odd records: varint count, then varint index << 1 | kind, indexes ascending; kind 0: no key,
//!              kind 1: same offset as the record before it
//! varint bytes of what follows: per record a varint, the bytes it takes uncompressed
//! ```
//! Without "offsets" a batch begins where the one before it ended and has an offset for every record.
//! Bytes from disk are hostile: decoding answers `None` for what encoding never writes. No lock; no I/O.

use lastword_record::BatchHeader;

use super::varint::{read_fixed, read_varint, write_varint};

const TRANSACTIONAL: u8 = 1;
const CONTROL: u8 = 1 << 1;
const PRODUCER: u8 = 1 << 2;
const HORIZON: u8 = 1 << 3;
const OFFSETS: u8 = 1 << 4;
const ABORT: u8 = 1 << 5;
const COMMIT: u8 = 1 << 6;
const ODD_RECORDS: u8 = 1 << 7;

/// How the transaction ended whose marker a control batch holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndOfTransaction {
    Abort,
    Commit,
}

/// A record that has no entry like others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OddRecord {
    /// It has no key. By its index in the batch.
    Keyless(u32),
    /// It has the offset of the record before it, which only logs of old formats have.
    SameOffset(u32),
}

/// A batch as a key index knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexedBatch {
    /// Where it starts in the log.
    pub position: u32,
    pub size_bytes: u32,
    pub crc: u32,
    pub base_offset: i64,
    pub last_offset: i64,
    /// Of its first record, counted through the segment.
    pub first_ordinal: u32,
    pub record_count: u32,
    pub is_transactional: bool,
    pub is_control: bool,
    /// Of a transaction's marker.
    pub end_of_transaction: Option<EndOfTransaction>,
    /// Id and epoch.
    pub producer: Option<(i64, i16)>,
    pub delete_horizon_ms: Option<i64>,
    pub odd_records: Vec<OddRecord>,
}

impl IndexedBatch {
    /// Where the next batch starts.
    pub fn end(&self) -> u32 {
        self.position.saturating_add(self.size_bytes)
    }

    /// The ordinals of its records.
    pub fn ordinals(&self) -> std::ops::Range<u64> {
        let first = u64::from(self.first_ordinal);
        first..first + u64::from(self.record_count)
    }

    /// Whether this is the header of the batch in the log.
    pub fn is_described_by(&self, header: &BatchHeader) -> bool {
        header.crc == self.crc
            && header.size_bytes() == self.size_bytes as usize
            && header.base_offset == self.base_offset
            && header.last_offset() == self.last_offset
            && header.record_count.unsigned_abs() == self.record_count
    }

    /// Whether its keys alone do not say what becomes of it.
    pub fn is_special(&self) -> bool {
        self.record_count == 0
            || self.is_transactional
            || self.is_control
            || self.delete_horizon_ms.is_some()
            || !self.odd_records.is_empty()
    }
}

/// What a batch follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Before {
    pub position: u32,
    pub next_offset: i64,
    pub next_ordinal: u32,
}

impl Before {
    /// At the beginning of a segment.
    pub fn first(base_offset: i64) -> Before {
        Before {
            position: 0,
            next_offset: base_offset,
            next_ordinal: 0,
        }
    }

    /// Behind this batch.
    pub fn after(batch: &IndexedBatch) -> Before {
        Before {
            position: batch.end(),
            next_offset: batch.last_offset.saturating_add(1),
            next_ordinal: batch.first_ordinal.saturating_add(batch.record_count),
        }
    }
}

/// Appends a batch and the sizes of its records, encoded as [`write_varint`] does it.
pub fn encode(batch: &IndexedBatch, record_sizes: &[u8], before: &Before, out: &mut Vec<u8>) {
    let last_offset_delta = batch.last_offset.wrapping_sub(batch.base_offset);
    let is_plain = batch.base_offset == before.next_offset
        && last_offset_delta == i64::from(batch.record_count) - 1;
    let flag = |set: bool, flag: u8| if set { flag } else { 0 };
    out.push(
        flag(batch.is_transactional, TRANSACTIONAL)
            | flag(batch.is_control, CONTROL)
            | flag(batch.producer.is_some(), PRODUCER)
            | flag(batch.delete_horizon_ms.is_some(), HORIZON)
            | flag(!is_plain, OFFSETS)
            | flag(
                batch.end_of_transaction == Some(EndOfTransaction::Abort),
                ABORT,
            )
            | flag(
                batch.end_of_transaction == Some(EndOfTransaction::Commit),
                COMMIT,
            )
            | flag(!batch.odd_records.is_empty(), ODD_RECORDS),
    );
    write_varint(out, u64::from(batch.size_bytes));
    out.extend(batch.crc.to_le_bytes());
    write_varint(out, u64::from(batch.record_count));
    if !is_plain {
        let gap = batch.base_offset.wrapping_sub(before.next_offset);
        write_varint(out, gap.cast_unsigned());
        write_varint(out, last_offset_delta.cast_unsigned());
    }
    if let Some((producer_id, epoch)) = batch.producer {
        write_varint(out, producer_id.cast_unsigned());
        out.extend(epoch.to_le_bytes());
    }
    if let Some(horizon_ms) = batch.delete_horizon_ms {
        out.extend(horizon_ms.to_le_bytes());
    }
    if !batch.odd_records.is_empty() {
        write_varint(out, batch.odd_records.len() as u64);
        for record in &batch.odd_records {
            let (index, kind) = match record {
                OddRecord::Keyless(index) => (*index, 0),
                OddRecord::SameOffset(index) => (*index, 1),
            };
            write_varint(out, u64::from(index) << 1 | kind);
        }
    }
    write_varint(out, record_sizes.len() as u64);
    out.extend_from_slice(record_sizes);
}

/// Takes the next batch from `bytes`, and the encoded sizes of its records. `None`: it is not all there, or it is none.
pub fn decode<'b>(bytes: &mut &'b [u8], before: &Before) -> Option<(IndexedBatch, &'b [u8])> {
    let mut rest = *bytes;
    let [flags] = read_fixed::<1>(&mut rest)?;
    let has = |flag: u8| flags & flag != 0;
    let size_bytes = u32::try_from(read_varint(&mut rest)?).ok()?;
    let crc = u32::from_le_bytes(read_fixed(&mut rest)?);
    let record_count = u32::try_from(read_varint(&mut rest)?).ok()?;
    let (mut base_offset, mut last_offset_delta) =
        (before.next_offset, i64::from(record_count) - 1);
    if has(OFFSETS) {
        base_offset = base_offset.checked_add_unsigned(read_varint(&mut rest)?)?;
        last_offset_delta = i64::from(i32::try_from(read_varint(&mut rest)?).ok()?);
    }
    let producer = match has(PRODUCER) {
        true => {
            let producer_id = read_varint(&mut rest)?.cast_signed();
            Some((producer_id, i16::from_le_bytes(read_fixed(&mut rest)?)))
        }
        false => None,
    };
    let delete_horizon_ms = match has(HORIZON) {
        true => Some(i64::from_le_bytes(read_fixed(&mut rest)?)),
        false => None,
    };
    let mut odd_records = Vec::new();
    if has(ODD_RECORDS) {
        for _ in 0..read_varint(&mut rest)? {
            let odd = read_varint(&mut rest)?;
            let index = u32::try_from(odd >> 1).ok().filter(|i| *i < record_count)?;
            odd_records.push(match odd & 1 {
                0 => OddRecord::Keyless(index),
                _ => OddRecord::SameOffset(index),
            });
        }
    }
    let sizes_bytes = usize::try_from(read_varint(&mut rest)?).ok()?;
    let (record_sizes, rest) = rest.split_at_checked(sizes_bytes)?;
    let batch = IndexedBatch {
        position: before.position,
        size_bytes,
        crc,
        base_offset,
        last_offset: base_offset.checked_add(last_offset_delta)?,
        first_ordinal: before.next_ordinal,
        record_count,
        is_transactional: has(TRANSACTIONAL),
        is_control: has(CONTROL),
        end_of_transaction: match (has(ABORT), has(COMMIT)) {
            (true, false) => Some(EndOfTransaction::Abort),
            (false, true) => Some(EndOfTransaction::Commit),
            (false, false) => None,
            (true, true) => return None,
        },
        producer,
        delete_horizon_ms,
        odd_records,
    };
    before.position.checked_add(size_bytes)?;
    before.next_ordinal.checked_add(record_count)?;
    *bytes = rest;
    Some((batch, record_sizes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch() -> IndexedBatch {
        IndexedBatch {
            position: 100,
            size_bytes: 300,
            crc: 0xdead_beef,
            base_offset: 42,
            last_offset: 44,
            first_ordinal: 7,
            record_count: 3,
            is_transactional: false,
            is_control: false,
            end_of_transaction: None,
            producer: None,
            delete_horizon_ms: None,
            odd_records: Vec::new(),
        }
    }

    const BEFORE: Before = Before {
        position: 100,
        next_offset: 42,
        next_ordinal: 7,
    };

    fn variants() -> Vec<IndexedBatch> {
        let producer = Some((i64::MAX, -1));
        vec![
            batch(),
            IndexedBatch {
                base_offset: 50,
                last_offset: 99,
                ..batch()
            },
            IndexedBatch {
                is_transactional: true,
                producer,
                ..batch()
            },
            IndexedBatch {
                is_transactional: true,
                is_control: true,
                producer: Some((0, 3)),
                end_of_transaction: Some(EndOfTransaction::Abort),
                delete_horizon_ms: Some(-5),
                ..batch()
            },
            IndexedBatch {
                record_count: 0,
                ..batch()
            },
            IndexedBatch {
                odd_records: vec![
                    OddRecord::Keyless(0),
                    OddRecord::SameOffset(1),
                    OddRecord::Keyless(2),
                ],
                ..batch()
            },
        ]
    }

    #[test]
    fn a_batch_comes_back_as_it_was() {
        for batch in variants() {
            let mut bytes = Vec::new();
            encode(&batch, &[9, 8, 7], &BEFORE, &mut bytes);
            let mut rest = bytes.as_slice();
            assert_eq!(decode(&mut rest, &BEFORE), Some((batch, &[9, 8, 7][..])));
            assert!(rest.is_empty());
        }
    }

    #[test]
    fn a_batch_that_is_cut_off_is_none_and_takes_nothing() {
        for batch in variants() {
            let mut bytes = Vec::new();
            encode(&batch, &[1, 2], &BEFORE, &mut bytes);
            for len in 0..bytes.len() {
                let mut rest = &bytes[..len];
                assert_eq!(decode(&mut rest, &BEFORE), None);
                assert_eq!(rest.len(), len);
            }
        }
    }

    #[test]
    fn ordinary_batches_take_few_bytes() {
        let mut bytes = Vec::new();
        encode(&batch(), &[], &BEFORE, &mut bytes);
        assert_eq!(bytes.len(), 1 + 2 + 4 + 1 + 1);
    }
}
