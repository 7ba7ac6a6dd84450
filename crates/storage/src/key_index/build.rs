//! Building the key index of a sealed segment.
//!
//! One pass over the log writes the section of batches and collects the entries of all keys, which are then sorted. When
//! they do not fit the memory, the pass gives up the upper part of the hash range it works on, and further passes take
//! what was given up, each behind the one before: the entries come out sorted all the same.
//!
//! Every batch is checked against its CRC: a flipped bit in a key must not kill the record of another key. Damage is an
//! error with its position in the log, and no index comes of it.
//!
//! The file is written beside its place and takes it under the log's writer lock, if the segment is still part of the
//! log (`Log::install_key_index`). It is not synced: it carries checksums, and what is lost is built again.

use lastword_record::control::ControlRecordType;
use lastword_record::{BatchHeader, Crc32c, Decompressor, RecordBatch, RecordError};

use super::batch::{self, Before, EndOfTransaction, IndexedBatch, OddRecord};
use super::entry::{ENTRY_BYTES, Entry, MAX_RECORDS};
use super::hash::KeyHasher;
use super::hash_range::HashRange;
use super::header::{HEADER_BYTES, Header};
use super::sort::sort;
use super::varint::write_varint;
use crate::dir::File;
use crate::error::StorageError;
use crate::segment::{BatchScan, Segment};

/// Bytes collected before they are written.
const WRITE_BYTES: usize = 1 << 20;
const READ_BYTES: usize = 1 << 20;
/// Fewest entries held, whatever the budget.
const LEAST_ENTRIES: usize = 2;

/// What came of a building.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Built {
    pub records: u64,
    /// Bytes of the index.
    pub size_bytes: u64,
    /// Bytes read from the log.
    pub bytes_read: u64,
    /// Passes over the log; more than one when the entries did not fit the memory.
    pub passes: u32,
}

/// What building needs beside the segment.
pub struct BuildRequest<'a> {
    pub segment: &'a Segment,
    pub hasher: &'a KeyHasher,
    /// For the entries; a buffer for reading and one for writing come on top.
    pub memory_bytes: usize,
    /// What was not in the page cache is not left there. A cleaning that reads on wants it to stay.
    pub leaves_cache_as_found: bool,
}

/// Writes the index of a segment into an empty file. `charge` hears of bytes before they are read or written, and may
/// end the building.
pub fn build(
    request: &BuildRequest<'_>,
    file: &dyn File,
    path: &str,
    decompressor: &mut Decompressor,
    mut charge: impl FnMut(u64) -> Result<(), StorageError>,
) -> Result<Built, StorageError> {
    let segment = request.segment;
    let header = Header {
        secret_id: request.hasher.secret_id(),
        base_offset: segment.base_offset(),
        next_offset: segment.next_offset(),
        log_bytes: segment.size_bytes(),
        ..Header::default()
    };
    let mut builder = Builder {
        hasher: request.hasher,
        max_entries: (request.memory_bytes / ENTRY_BYTES).max(LEAST_ENTRIES),
        header,
        range: HashRange::ALL,
        entries: Vec::new(),
        record_sizes: Vec::new(),
        out: Output {
            file,
            path,
            position: HEADER_BYTES as u64,
            pending: Vec::with_capacity(WRITE_BYTES),
            crc: Crc32c::new(),
        },
    };
    let mut built = Built::default();
    loop {
        built.passes += 1;
        let is_first_pass = built.passes == 1;
        let mut scan = segment.scan(0, segment.size_bytes(), READ_BYTES);
        if request.leaves_cache_as_found {
            scan = scan.leaving_cache_as_found();
        }
        built.bytes_read +=
            builder.pass(segment, scan, is_first_pass, decompressor, &mut charge)?;
        if is_first_pass {
            builder.end_batches(&mut charge)?;
        }
        builder.write_entries(&mut charge)?;
        let total = u64::from(builder.header.record_count);
        match builder.range.next(total, builder.max_entries) {
            Some(range) => builder.range = range,
            None => break,
        }
    }
    builder.finish(&mut charge)?;
    built.records = u64::from(builder.header.record_count);
    built.size_bytes = builder.out.position;
    Ok(built)
}

struct Builder<'a> {
    hasher: &'a KeyHasher,
    max_entries: usize,
    header: Header,
    /// The keys that this pass is about.
    range: HashRange,
    entries: Vec<Entry>,
    /// Of the current batch, encoded.
    record_sizes: Vec<u8>,
    out: Output<'a>,
}

impl Builder<'_> {
    /// Reads the log once; answers how many bytes.
    fn pass(
        &mut self,
        segment: &Segment,
        mut scan: BatchScan,
        is_first_pass: bool,
        decompressor: &mut Decompressor,
        charge: &mut impl FnMut(u64) -> Result<(), StorageError>,
    ) -> Result<u64, StorageError> {
        let mut before = Before::first(segment.base_offset());
        while let Some((position, batch)) = scan.next_batch()? {
            charge(batch.bytes().len() as u64)?;
            let corrupt = |reason: String| {
                StorageError::corrupt_segment(segment.log_path(), u64::from(position), reason)
            };
            batch
                .verify_crc()
                .map_err(|error| corrupt(error.to_string()))?;
            let indexed = self
                .see_batch(&batch, &before, decompressor)
                .map_err(corrupt)?;
            if is_first_pass {
                batch::encode(&indexed, &self.record_sizes, &before, &mut self.out.pending);
                self.note(&indexed);
                self.out.write_if_large(charge)?;
            }
            before = Before::after(&indexed);
        }
        self.header.record_count = before.next_ordinal;
        Ok(scan.bytes_read())
    }

    fn note(&mut self, batch: &IndexedBatch) {
        self.header.batch_count = self.header.batch_count.saturating_add(1);
        self.header.last_batch_crc = batch.crc;
        self.header.has_special_batches |= batch.is_special();
    }

    /// Collects the entries of one batch.
    fn see_batch(
        &mut self,
        batch: &RecordBatch<'_>,
        before: &Before,
        decompressor: &mut Decompressor,
    ) -> Result<IndexedBatch, String> {
        let header = batch.header();
        let record_count = header.record_count.unsigned_abs();
        if u64::from(before.next_ordinal) + u64::from(record_count) > MAX_RECORDS {
            return Err("more than 2^31 records in one segment".into());
        }
        self.record_sizes.clear();
        let mut indexed = indexed(header, before);
        if record_count == 0 {
            // What lies there may be the last word on some key.
            let payload_bytes = batch.payload().len();
            return match payload_bytes {
                0 => Ok(indexed),
                _ => Err(format!("no records, but {payload_bytes} bytes of them")),
            };
        }
        let text = |error: RecordError| error.to_string();
        let mut previous_offset = None;
        for (index, record) in (0u32..).zip(batch.keys(decompressor).map_err(text)?) {
            let record = record.map_err(text)?;
            write_varint(&mut self.record_sizes, u64::from(record.size_bytes));
            if header.is_control() {
                if index == 0 {
                    indexed.end_of_transaction =
                        end_of_transaction(record.key.unwrap_or_default())?;
                }
                continue;
            }
            if previous_offset == Some(record.offset) {
                indexed.odd_records.push(OddRecord::SameOffset(index));
            }
            previous_offset = Some(record.offset);
            let Some(key) = record.key else {
                indexed.odd_records.push(OddRecord::Keyless(index));
                continue;
            };
            let is_tombstone = record.has_null_value;
            self.header.has_tombstones |= is_tombstone;
            let hash = self.hasher.hash(key);
            if self.range.contains(hash) {
                self.push(Entry::new(hash, before.next_ordinal + index, is_tombstone));
            }
        }
        Ok(indexed)
    }

    #[inline]
    fn push(&mut self, entry: Entry) {
        if self.entries.len() >= self.max_entries {
            self.narrow();
            if !self.range.contains(entry.hash()) {
                return;
            }
        }
        self.entries.push(entry);
    }

    /// Makes room: this pass gives up an eighth of what it has to a later one. A key that has more records than there is
    /// room for gets a pass of its own, and memory for them.
    #[cold]
    fn narrow(&mut self) {
        while self.entries.len() >= self.max_entries {
            let seven_eighths = self.entries.len() - self.entries.len().div_ceil(8);
            let (_, cut, _) = self.entries.select_nth_unstable(seven_eighths);
            let Some(range) = self.range.below(cut.hash()).or(self.range.first()) else {
                self.max_entries *= 2;
                return;
            };
            self.range = range;
            self.entries.retain(|entry| range.contains(entry.hash()));
        }
    }

    fn end_batches(
        &mut self,
        charge: &mut impl FnMut(u64) -> Result<(), StorageError>,
    ) -> Result<(), StorageError> {
        self.out.write(charge)?;
        self.header.batches_bytes = self.out.position - HEADER_BYTES as u64;
        self.header.batches_crc = self.out.take_crc();
        Ok(())
    }

    fn write_entries(
        &mut self,
        charge: &mut impl FnMut(u64) -> Result<(), StorageError>,
    ) -> Result<(), StorageError> {
        sort(&mut self.entries);
        for entry in self.entries.drain(..) {
            self.out.pending.extend_from_slice(&entry.to_bytes());
            self.header.entry_count += 1;
            if self.out.pending.len() >= WRITE_BYTES {
                self.out.write(charge)?;
            }
        }
        Ok(())
    }

    fn finish(
        &mut self,
        charge: &mut impl FnMut(u64) -> Result<(), StorageError>,
    ) -> Result<(), StorageError> {
        self.out.write(charge)?;
        self.header.entries_crc = self.out.take_crc();
        self.out.write_at(&self.header.encode(), 0)
    }
}

/// What the header of a batch says.
pub(crate) fn indexed(header: &BatchHeader, before: &Before) -> IndexedBatch {
    IndexedBatch {
        position: before.position,
        size_bytes: header.size_bytes() as u32,
        crc: header.crc,
        base_offset: header.base_offset,
        last_offset: header.last_offset(),
        first_ordinal: before.next_ordinal,
        record_count: header.record_count.unsigned_abs(),
        is_transactional: header.is_transactional(),
        is_control: header.is_control(),
        end_of_transaction: None,
        producer: header
            .has_producer_id()
            .then_some((header.producer_id, header.producer_epoch)),
        delete_horizon_ms: header.delete_horizon_ms(),
        odd_records: Vec::new(),
    }
}

/// Control records of other kinds are none, unknown ones too.
fn end_of_transaction(key: &[u8]) -> Result<Option<EndOfTransaction>, String> {
    let kind = ControlRecordType::parse(key).map_err(|error| error.to_string())?;
    Ok(match kind {
        ControlRecordType::Abort => Some(EndOfTransaction::Abort),
        ControlRecordType::Commit => Some(EndOfTransaction::Commit),
        _ => None,
    })
}

/// The file, written from front to back, and the checksum of the current section.
struct Output<'a> {
    file: &'a dyn File,
    path: &'a str,
    position: u64,
    pending: Vec<u8>,
    crc: Crc32c,
}

impl Output<'_> {
    fn write_if_large(
        &mut self,
        charge: &mut impl FnMut(u64) -> Result<(), StorageError>,
    ) -> Result<(), StorageError> {
        match self.pending.len() >= WRITE_BYTES {
            true => self.write(charge),
            false => Ok(()),
        }
    }

    fn write(
        &mut self,
        charge: &mut impl FnMut(u64) -> Result<(), StorageError>,
    ) -> Result<(), StorageError> {
        charge(self.pending.len() as u64)?;
        self.write_at(&self.pending, self.position)?;
        self.crc.update(&self.pending);
        self.position += self.pending.len() as u64;
        self.pending.clear();
        Ok(())
    }

    fn write_at(&self, bytes: &[u8], position: u64) -> Result<(), StorageError> {
        let written = self.file.write_all_at(bytes, position);
        written.map_err(|source| StorageError::io("write", self.path, source))
    }

    fn take_crc(&mut self) -> u32 {
        std::mem::take(&mut self.crc).value()
    }
}
