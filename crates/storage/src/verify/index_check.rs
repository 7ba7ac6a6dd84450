//! The indexes of one segment, held against its batches while these go by.
//!
//! What is checked is what a lookup relies on, not how dense an index is:
//! - `.index`: an entry points to the start of a batch, and no batch before it reaches the entry's offset.
//! - `.timeindex`: no record up to an entry's offset is newer than the entry says, and one is as new.
//! - both rise. Zeros at the end of the last segment's are room that was set aside.
//!
//! A missing index is no damage: it is built when the log is opened. No lock.

use std::sync::Arc;

use super::reader::BatchPlace;
use crate::dir::{Dir, File};
use crate::error::StorageError;
use crate::file_name::{self, LIVE, SegmentFile};

const BUFFER_ENTRIES: usize = 4096;

/// A file of entries of N bytes, read from front to back.
struct EntryStream<const N: usize> {
    file: Arc<dyn File>,
    path: String,
    position: u64,
    size_bytes: u64,
    buffer: Vec<u8>,
    start: usize,
}

impl<const N: usize> EntryStream<N> {
    fn open(
        dir: &dyn Dir,
        partition_dir: &str,
        base_offset: i64,
        kind: SegmentFile,
    ) -> Result<Option<EntryStream<N>>, StorageError> {
        let path = file_name::segment_path(partition_dir, base_offset, kind, LIVE);
        let file = match dir.open_to_read(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StorageError::io("open", path, error)),
        };
        let size_bytes = file
            .len()
            .map_err(|source| StorageError::io("read", path.clone(), source))?;
        Ok(Some(EntryStream {
            file,
            path,
            position: 0,
            size_bytes,
            buffer: Vec::new(),
            start: 0,
        }))
    }

    /// The next entry; `None` at the end or at a last entry that is cut off.
    fn next(&mut self) -> Result<Option<[u8; N]>, StorageError> {
        if self.start + N > self.buffer.len() {
            let left = self.size_bytes.saturating_sub(self.position);
            let wanted = left.min((BUFFER_ENTRIES * N) as u64) as usize;
            self.buffer.resize(wanted, 0);
            self.start = 0;
            let read = self
                .file
                .read_full_at(&mut self.buffer, self.position)
                .map_err(|source| StorageError::io("read", self.path.clone(), source))?;
            self.buffer.truncate(read);
            self.position += read as u64;
        }
        let entry = self.buffer.get(self.start..).unwrap_or_default();
        let entry = entry.first_chunk::<N>().copied();
        self.start += N;
        Ok(entry)
    }

    /// Whether only zeros are left.
    fn is_zero_to_the_end(&mut self) -> Result<bool, StorageError> {
        while let Some(entry) = self.next()? {
            if entry != [0; N] {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// An index that leads readers astray.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadIndex {
    pub kind: SegmentFile,
    pub offset: i64,
    pub reason: String,
}

/// Both indexes of one segment.
pub struct IndexCheck {
    base_offset: i64,
    is_last_segment: bool,
    offsets: Option<EntryStream<8>>,
    offset_entry: Option<(i64, u64)>,
    times: Option<EntryStream<12>>,
    time_entry: Option<(i64, i64)>,
    /// Last offset and newest timestamp up to the last batch, and before it.
    last_offset: i64,
    newest_ms: i64,
    newest_before_ms: i64,
    /// Which indexes are missing.
    pub missing: Vec<SegmentFile>,
    pub bad: Vec<BadIndex>,
}

impl IndexCheck {
    pub fn open(
        dir: &dyn Dir,
        partition_dir: &str,
        base_offset: i64,
        is_last_segment: bool,
    ) -> Result<IndexCheck, StorageError> {
        let offsets = EntryStream::open(dir, partition_dir, base_offset, SegmentFile::OffsetIndex)?;
        let times = EntryStream::open(dir, partition_dir, base_offset, SegmentFile::TimeIndex)?;
        let mut check = IndexCheck {
            base_offset,
            is_last_segment,
            missing: Vec::new(),
            bad: Vec::new(),
            offset_entry: None,
            time_entry: None,
            last_offset: i64::MIN,
            newest_ms: i64::MIN,
            newest_before_ms: i64::MIN,
            offsets,
            times,
        };
        if check.offsets.is_none() {
            check.missing.push(SegmentFile::OffsetIndex);
        }
        if check.times.is_none() {
            check.missing.push(SegmentFile::TimeIndex);
        }
        check.check_length(SegmentFile::OffsetIndex, 8);
        check.check_length(SegmentFile::TimeIndex, 12);
        check.next_offset_entry()?;
        check.next_time_entry()?;
        Ok(check)
    }

    fn check_length(&mut self, kind: SegmentFile, entry_bytes: u64) {
        let size_bytes = match kind {
            SegmentFile::OffsetIndex => self.offsets.as_ref().map(|it| it.size_bytes),
            _ => self.times.as_ref().map(|it| it.size_bytes),
        };
        if let Some(size_bytes) = size_bytes.filter(|size| size % entry_bytes != 0) {
            let reason = format!("its {size_bytes} bytes are no whole number of entries");
            self.is_bad(kind, self.base_offset, reason);
        }
    }

    fn is_bad(&mut self, kind: SegmentFile, offset: i64, reason: String) {
        // One finding an index is enough, and what follows from it is not worth telling.
        match kind {
            SegmentFile::OffsetIndex => (self.offsets, self.offset_entry) = (None, None),
            _ => (self.times, self.time_entry) = (None, None),
        }
        self.bad.push(BadIndex {
            kind,
            offset,
            reason,
        });
    }

    fn next_offset_entry(&mut self) -> Result<(), StorageError> {
        let Some(stream) = &mut self.offsets else {
            return Ok(());
        };
        let Some(bytes) = stream.next()? else {
            self.offset_entry = None;
            return Ok(());
        };
        if bytes == [0; 8] && self.is_last_segment && stream.is_zero_to_the_end()? {
            self.offset_entry = None;
            return Ok(());
        }
        let (relative, position) = bytes.split_at(4);
        let number = |bytes: &[u8]| i32::from_be_bytes(bytes.try_into().unwrap_or_default());
        let (relative, position) = (number(relative), number(position));
        let offset = self.base_offset.saturating_add(i64::from(relative));
        let last = self.offset_entry;
        let is_first = last.is_none();
        let rises =
            last.is_none_or(|(at, place)| offset > at && i64::from(position) > place as i64);
        if relative < 0 || position < 0 || !rises {
            let reason = if is_first {
                "an entry is negative"
            } else {
                "its entries do not rise"
            };
            self.is_bad(SegmentFile::OffsetIndex, offset, reason.into());
            return Ok(());
        }
        self.offset_entry = Some((offset, position as u64));
        Ok(())
    }

    fn next_time_entry(&mut self) -> Result<(), StorageError> {
        let Some(stream) = &mut self.times else {
            return Ok(());
        };
        let Some(bytes) = stream.next()? else {
            self.time_entry = None;
            return Ok(());
        };
        if bytes == [0; 12] && self.is_last_segment && stream.is_zero_to_the_end()? {
            self.time_entry = None;
            return Ok(());
        }
        let (timestamp, relative) = bytes.split_at(8);
        let timestamp_ms = i64::from_be_bytes(timestamp.try_into().unwrap_or_default());
        let relative = i32::from_be_bytes(relative.try_into().unwrap_or_default());
        let offset = self.base_offset.saturating_add(i64::from(relative));
        let rises = self
            .time_entry
            .is_none_or(|(ms, at)| timestamp_ms > ms && offset >= at);
        if relative < 0 || !rises {
            self.is_bad(
                SegmentFile::TimeIndex,
                offset,
                "its entries do not rise".into(),
            );
            return Ok(());
        }
        self.time_entry = Some((timestamp_ms, offset));
        Ok(())
    }

    /// The next batch of the segment.
    pub fn push(&mut self, place: &BatchPlace) -> Result<(), StorageError> {
        while let Some((offset, position)) = self.offset_entry.filter(|it| it.1 <= place.position) {
            if position < place.position {
                let reason = format!("position {position} is not the start of a batch");
                self.is_bad(SegmentFile::OffsetIndex, offset, reason);
            } else if self.last_offset >= offset {
                let reason =
                    format!("a reader of offset {offset} would be led behind it, to {position}");
                self.is_bad(SegmentFile::OffsetIndex, offset, reason);
            }
            self.next_offset_entry()?;
        }
        self.settle_times(place.header.base_offset)?;
        self.last_offset = place.header.last_offset();
        self.newest_before_ms = self.newest_ms;
        self.newest_ms = self.newest_ms.max(place.header.max_timestamp);
        Ok(())
    }

    /// Judges the entries below an offset: the batches up to there have gone by.
    fn settle_times(&mut self, below: i64) -> Result<(), StorageError> {
        while let Some((timestamp_ms, offset)) = self.time_entry.filter(|it| it.1 < below) {
            let newest_complete_ms = match offset >= self.last_offset {
                true => self.newest_ms,
                false => self.newest_before_ms,
            };
            if newest_complete_ms > timestamp_ms {
                let reason = format!(
                    "records up to offset {offset} are as new as {newest_complete_ms}, the entry says {timestamp_ms}"
                );
                self.is_bad(SegmentFile::TimeIndex, offset, reason);
            } else if self.newest_ms < timestamp_ms {
                let reason = format!(
                    "no record up to offset {offset} is as new as the entry says, {timestamp_ms}"
                );
                self.is_bad(SegmentFile::TimeIndex, offset, reason);
            }
            self.next_time_entry()?;
        }
        Ok(())
    }

    /// The segment is over.
    pub fn finish(&mut self) -> Result<(), StorageError> {
        self.settle_times(i64::MAX)?;
        if let Some((offset, position)) = self.offset_entry {
            let reason = format!("position {position} is not the start of a batch");
            self.is_bad(SegmentFile::OffsetIndex, offset, reason);
        }
        Ok(())
    }
}
