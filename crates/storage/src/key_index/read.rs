//! Reading a key index: is it there, does it belong to this log, and its two sections as streams.
//!
//! [`KeyIndex::open`] compares the header with the segment and with the last batch of its log, and reads nothing else.
//! [`KeyIndex::check_batches`] compares further batches, for an index that this process has not built.
//! The sections carry checksums that are known only at their ends: whoever reads a section to its end has it verified,
//! and acts on it only then. Structure is checked on the way all the same, so that damage never panics and never
//! decides how much is allocated. No lock.

use std::ops::Range;
use std::sync::Arc;

use lastword_record::Crc32c;

use super::batch::{self, Before, IndexedBatch};
use super::entry::{ENTRY_BYTES, Entry};
use super::hash::KeyHasher;
use super::header::{HEADER_BYTES, Header};
use super::section::SectionReader;
use super::varint::read_varint;
use crate::dir::File;
use crate::error::StorageError;
use crate::segment::Segment;

/// Batches that are compared with the log when an index is first seen.
const CHECKED_BATCHES: u32 = 64;
const CHECK_BUFFER_BYTES: usize = 64 << 10;

/// An open key index that belongs to its segment.
#[derive(Clone)]
pub struct KeyIndex {
    file: Arc<dyn File>,
    path: String,
    header: Header,
    size_bytes: u64,
}

/// What was found where a key index should be.
pub enum Found {
    Index(KeyIndex),
    Missing,
    /// It is damaged or another log's, or was made under another secret; this is how one can tell.
    Unusable(String),
}

impl KeyIndex {
    /// Looks for the index of a sealed segment.
    pub fn open(segment: &Segment, hasher: &KeyHasher) -> Result<Found, StorageError> {
        let Some(file) = segment.open_key_index()? else {
            return Ok(Found::Missing);
        };
        let path = segment.key_index_path();
        let failed = |source| StorageError::io("read", path.clone(), source);
        let size_bytes = file.len().map_err(failed)?;
        let mut bytes = [0; HEADER_BYTES];
        if file.read_full_at(&mut bytes, 0).map_err(failed)? < HEADER_BYTES {
            return Ok(Found::Unusable("it ends within its header".into()));
        }
        let header = match Header::decode(&bytes) {
            Ok(header) => header,
            Err(reason) => return Ok(Found::Unusable(reason)),
        };
        if let Some(reason) = mismatch(&header, size_bytes, segment, hasher)? {
            return Ok(Found::Unusable(reason.into()));
        }
        segment.note_key_index_bytes(size_bytes);
        Ok(Found::Index(KeyIndex {
            file,
            path,
            header,
            size_bytes,
        }))
    }

    /// The file as it is, compared with nothing but its own length and the secret.
    pub fn open_alone(
        file: Arc<dyn File>,
        path: String,
        hasher: Option<&KeyHasher>,
    ) -> Result<Result<KeyIndex, String>, StorageError> {
        let failed = |source| StorageError::io("read", path.clone(), source);
        let size_bytes = file.len().map_err(failed)?;
        let mut bytes = [0; HEADER_BYTES];
        if file.read_full_at(&mut bytes, 0).map_err(failed)? < HEADER_BYTES {
            return Ok(Err("it ends within its header".into()));
        }
        let header = match Header::decode(&bytes) {
            Ok(header) => header,
            Err(reason) => return Ok(Err(reason)),
        };
        if hasher.is_some_and(|hasher| hasher.secret_id() != header.secret_id) {
            return Ok(Err("it was made under another secret".into()));
        }
        if stated_bytes(&header) != Some(size_bytes) {
            return Ok(Err(
                "it does not have the length that its header states".into()
            ));
        }
        Ok(Ok(KeyIndex {
            file,
            path,
            header,
            size_bytes,
        }))
    }

    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Compares batches with the headers in the log, evenly spaced, all when they are few: another log of the same size
    /// can end with the same batch. A record may die because of an index although nothing of that segment is ever read,
    /// so this comes before an index from elsewhere is believed. Fails with [`StorageError::CorruptKeyIndex`].
    pub fn check_batches(&self, segment: &Segment) -> Result<(), StorageError> {
        let every = self.header.batch_count.div_ceil(CHECKED_BATCHES).max(1);
        let mut batches = self.batches(CHECK_BUFFER_BYTES);
        let mut number = 0u32;
        while let Some(batch) = batches.next_batch()? {
            if number.is_multiple_of(every) {
                let mut scan = segment.scan_headers(batch.position, batch.end());
                let is_described = match scan.next_batch() {
                    Ok(Some(found)) => batch.is_described_by(&found.header),
                    Ok(None) | Err(StorageError::CorruptSegment { .. }) => false,
                    Err(error) => return Err(error),
                };
                if !is_described {
                    let reason =
                        format!("it describes another batch at position {}", batch.position);
                    return Err(batches.corrupt(&reason));
                }
            }
            number = number.saturating_add(1);
        }
        Ok(())
    }

    /// How many entries come before those of keys above `most`; of a damaged index any number.
    pub fn entries_up_to(&self, most: Entry) -> Result<u32, StorageError> {
        let (mut low, mut high) = (0, self.header.entry_count);
        while low < high {
            let middle = low + (high - low) / 2;
            let mut bytes = [0; ENTRY_BYTES];
            let read = self
                .file
                .read_full_at(&mut bytes, self.entry_position(middle));
            let count =
                read.map_err(|error| read_failed(&self.path, self.header.base_offset, error))?;
            if count < ENTRY_BYTES {
                let error = std::io::ErrorKind::UnexpectedEof.into();
                return Err(read_failed(&self.path, self.header.base_offset, error));
            }
            match Entry::from_bytes(bytes) <= most {
                true => low = middle + 1,
                false => high = middle,
            }
        }
        Ok(low)
    }

    fn entry_position(&self, number: u32) -> u64 {
        let start = HEADER_BYTES as u64 + self.header.batches_bytes;
        start + u64::from(number) * ENTRY_BYTES as u64
    }

    /// To be asked with the ends of all parts, in order, when all entries have been read: is the section whole?
    pub fn check_entries<'a>(
        &self,
        parts: impl Iterator<Item = &'a EntriesEnd>,
    ) -> Result<(), StorageError> {
        let mut crc = Crc32c::new();
        let mut is_whole = true;
        for part in parts {
            is_whole &= part.is_at_end;
            crc.append(&part.crc);
        }
        match is_whole && crc.value() == self.header.entries_crc {
            true => Ok(()),
            false => Err(StorageError::corrupt_key_index(
                &self.path,
                self.header.base_offset,
                "the checksum of its entries is wrong",
            )),
        }
    }

    /// Bytes of the file.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// The batches of the log, in order.
    pub fn batches(&self, buffer_bytes: usize) -> Batches {
        let start = HEADER_BYTES as u64;
        let range = start..start + self.header.batches_bytes;
        Batches {
            section: SectionReader::new(self.file.clone(), range, buffer_bytes),
            path: self.path.clone(),
            header: self.header,
            before: Before::first(self.header.base_offset),
            sizes: Vec::new(),
        }
    }

    /// Where the entries begin in the file.
    pub(crate) fn entries_position(&self) -> u64 {
        self.entry_position(0)
    }

    /// These of the keyed records, which are sorted by key and then by place. Their numbers count from 0.
    pub fn entries(&self, numbers: Range<u32>, buffer_bytes: usize) -> Entries {
        let range = self.entry_position(numbers.start)..self.entry_position(numbers.end);
        Entries {
            section: SectionReader::new(
                self.file.clone(),
                range,
                buffer_bytes.next_multiple_of(ENTRY_BYTES),
            ),
            path: self.path.clone(),
            header: self.header,
            last: None,
        }
    }
}

/// The length of a file with this header.
fn stated_bytes(header: &Header) -> Option<u64> {
    let fixed = u64::from(header.entry_count) * ENTRY_BYTES as u64 + HEADER_BYTES as u64;
    header.batches_bytes.checked_add(fixed)
}

/// Why a header cannot be that of the segment's index.
fn mismatch(
    header: &Header,
    size_bytes: u64,
    segment: &Segment,
    hasher: &KeyHasher,
) -> Result<Option<&'static str>, StorageError> {
    Ok(if header.secret_id != hasher.secret_id() {
        Some("it was made under another secret")
    } else if stated_bytes(header) != Some(size_bytes) {
        Some("it does not have the length that its header states")
    } else if header.base_offset != segment.base_offset()
        || header.log_bytes != segment.size_bytes()
        || header.next_offset != segment.next_offset()
    {
        Some("it belongs to another log")
    } else if header.last_batch_crc != segment.last_batch_crc()? {
        Some("the last batch of its log is another one")
    } else {
        None
    })
}

/// The batches of an index; see [`KeyIndex::batches`].
pub struct Batches {
    section: SectionReader,
    path: String,
    header: Header,
    before: Before,
    sizes: Vec<u8>,
}

impl Batches {
    /// The next batch. At the end the section has proved to be whole.
    pub fn next_batch(&mut self) -> Result<Option<IndexedBatch>, StorageError> {
        loop {
            let mut rest = self.section.unread();
            let available = rest.len();
            if let Some((batch, sizes)) = batch::decode(&mut rest, &self.before) {
                let consumed = available - rest.len();
                // Both ends are known to be right before the checksum is: damage never decides how large a bitmap is.
                let after = Before::after(&batch);
                if after.next_ordinal > self.header.record_count
                    || after.position > self.header.log_bytes
                {
                    return Err(self.corrupt("a batch lies behind the end of the log"));
                }
                self.sizes.clear();
                self.sizes.extend_from_slice(sizes);
                self.section.consume(consumed);
                self.before = after;
                return Ok(Some(batch));
            }
            if self.section.is_at_end() {
                return self.check_end().map(|()| None);
            }
            if self
                .section
                .fill(true)
                .map_err(|error| self.failed(error))?
                == 0
            {
                return Err(self.corrupt("a batch is cut off"));
            }
        }
    }

    /// Bytes that each record of the last batch takes, in order.
    pub fn record_sizes(&self) -> RecordSizes<'_> {
        RecordSizes(&self.sizes)
    }

    fn check_end(&self) -> Result<(), StorageError> {
        let is_whole = self.section.crc().value() == self.header.batches_crc
            && self.before.position == self.header.log_bytes
            && self.before.next_ordinal == self.header.record_count;
        match is_whole {
            true => Ok(()),
            false => Err(self.corrupt("the checksum of its batches is wrong")),
        }
    }

    fn corrupt(&self, reason: &str) -> StorageError {
        StorageError::corrupt_key_index(&self.path, self.header.base_offset, reason)
    }

    fn failed(&self, error: std::io::Error) -> StorageError {
        read_failed(&self.path, self.header.base_offset, error)
    }
}

/// See [`Batches::record_sizes`].
pub struct RecordSizes<'b>(&'b [u8]);

impl Iterator for RecordSizes<'_> {
    type Item = u64;

    #[inline]
    fn next(&mut self) -> Option<u64> {
        read_varint(&mut self.0)
    }
}

/// What is known behind the last of some entries.
pub struct EntriesEnd {
    is_at_end: bool,
    crc: Crc32c,
}

/// Keyed records of an index; see [`KeyIndex::entries`].
pub struct Entries {
    section: SectionReader,
    path: String,
    header: Header,
    last: Option<Entry>,
}

impl Entries {
    /// Hands out the entries up to and with this one, in order.
    #[inline]
    pub fn for_each_up_to(
        &mut self,
        most: Entry,
        mut see: impl FnMut(Entry),
    ) -> Result<(), StorageError> {
        loop {
            let mut consumed = 0;
            let mut is_done = false;
            let mut last = self.last;
            for bytes in self.section.unread().chunks_exact(ENTRY_BYTES) {
                let entry = Entry::from_bytes(bytes.try_into().unwrap_or_default());
                if entry > most {
                    is_done = true;
                    break;
                }
                if Some(entry) <= last || entry.ordinal() >= self.header.record_count {
                    return Err(self.corrupt("its entries are out of order"));
                }
                last = Some(entry);
                consumed += ENTRY_BYTES;
                see(entry);
            }
            self.last = last;
            self.section.consume(consumed);
            if is_done || self.section.is_at_end() {
                return Ok(());
            }
            let filled = self.section.fill(false);
            filled.map_err(|error| read_failed(&self.path, self.header.base_offset, error))?;
        }
    }

    /// What is to be known of it when the last entry has been read.
    pub fn end(&self) -> EntriesEnd {
        EntriesEnd {
            is_at_end: self.section.is_at_end(),
            crc: self.section.crc().clone(),
        }
    }

    fn corrupt(&self, reason: &str) -> StorageError {
        StorageError::corrupt_key_index(&self.path, self.header.base_offset, reason)
    }
}

/// A file that has become shorter is damaged; any other failure is the disk's.
fn read_failed(path: &str, base_offset: i64, error: std::io::Error) -> StorageError {
    match error.kind() {
        std::io::ErrorKind::UnexpectedEof => {
            StorageError::corrupt_key_index(path, base_offset, "it has become shorter")
        }
        _ => StorageError::io("read", path, error),
    }
}
