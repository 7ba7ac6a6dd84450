//! `PartitionReader`: the batches of a partition directory in the order of its files, read as bytes.
//!
//! It opens files to read, recovers nothing, trusts no index and takes no lock. Messages of magic 0 and 1 come as the
//! batches that Kafka 4's cleaner would make of them, one for each message. What cannot be read as a batch is a
//! [`ReadError::Damage`] with its place; after one the reader is at its end. Memory: one batch and one buffer.

use std::sync::Arc;

use lastword_record::{
    BATCH_HEADER_BYTES, BatchHeader, Decompressor, LEGACY_PREFIX_BYTES, LegacyMessage,
    LegacyPrefix, LegacyUpgrade, Record, RecordBatch, RecordError,
};

use crate::dir::{Dir, File};
use crate::error::StorageError;
use crate::file_name::{self, LIVE, PartitionFile, SegmentFile};

const BUFFER_BYTES: usize = 512 << 10;
const MAGIC_AT: usize = 16;

/// A segment by the name of its `.log`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentName {
    pub base_offset: i64,
    pub size_bytes: u64,
}

/// The files of a partition directory, by their names.
#[derive(Debug, Clone, Default)]
pub struct PartitionFiles {
    /// By base offset.
    pub segments: Vec<SegmentName>,
    /// Base offsets of the producer snapshots.
    pub snapshots: Vec<i64>,
    /// A file of a swap that was not finished: the directory must be opened once by what wrote it.
    pub unfinished: Option<String>,
}

impl PartitionFiles {
    /// What is in the directory.
    pub fn list(dir: &dyn Dir, partition_dir: &str) -> Result<PartitionFiles, StorageError> {
        let entries = dir
            .list(partition_dir)
            .map_err(|source| StorageError::io("list", partition_dir, source))?;
        let mut files = PartitionFiles::default();
        for entry in entries {
            match file_name::parse_partition_file(&entry.name) {
                PartitionFile::Segment {
                    base_offset,
                    file: SegmentFile::Log,
                    suffix: LIVE,
                } => files.segments.push(SegmentName {
                    base_offset,
                    size_bytes: entry.size_bytes,
                }),
                PartitionFile::Segment {
                    base_offset,
                    file: SegmentFile::ProducerSnapshot,
                    suffix: LIVE,
                } => files.snapshots.push(base_offset),
                PartitionFile::Segment {
                    suffix: file_name::SWAP,
                    ..
                }
                | PartitionFile::ReplaceJournal { .. } => files.unfinished = Some(entry.name),
                _ => {}
            }
        }
        files.segments.sort_by_key(|segment| segment.base_offset);
        files.snapshots.sort_unstable();
        Ok(files)
    }
}

/// Why there is no next batch.
#[derive(Debug)]
pub enum ReadError {
    /// The disk.
    Storage(StorageError),
    Damage(Damage),
}

impl From<StorageError> for ReadError {
    fn from(error: StorageError) -> ReadError {
        ReadError::Storage(error)
    }
}

/// Bytes that are no batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    pub file: String,
    pub position: u64,
    /// The first offset that may be concerned.
    pub offset: i64,
    pub reason: String,
    /// The file ends before the batch does, in the last segment: what a crash leaves.
    pub is_torn_end: bool,
}

/// Where a batch lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchPlace {
    pub header: BatchHeader,
    /// Index of its segment.
    pub segment: usize,
    pub position: u64,
    /// In the file; of a legacy message those of the message.
    pub size_bytes: u64,
    /// It was a message of magic 0 or 1.
    pub is_legacy: bool,
}

/// See the file header.
pub struct PartitionReader {
    dir: Arc<dyn Dir>,
    partition_dir: String,
    segments: Vec<SegmentName>,
    /// Of the open file.
    segment: usize,
    file: Option<Arc<dyn File>>,
    position: u64,
    buffer: Vec<u8>,
    /// Only `buffer[start..]` is not handed out yet; it stands at `position`.
    start: usize,
    batch: Vec<u8>,
    next_offset: i64,
    is_ended: bool,
    decompressor: Decompressor,
    bytes_read: u64,
}

impl PartitionReader {
    pub fn new(
        dir: Arc<dyn Dir>,
        partition_dir: &str,
        segments: Vec<SegmentName>,
        max_decompressed_bytes: usize,
    ) -> PartitionReader {
        PartitionReader {
            next_offset: segments.first().map_or(0, |segment| segment.base_offset),
            dir,
            partition_dir: partition_dir.to_owned(),
            segments,
            segment: 0,
            file: None,
            position: 0,
            buffer: Vec::new(),
            start: 0,
            batch: Vec::new(),
            is_ended: false,
            decompressor: Decompressor::new(max_decompressed_bytes),
            bytes_read: 0,
        }
    }

    /// Bytes read from files so far.
    pub fn bytes_read(&self) -> u64 {
        self.bytes_read
    }

    /// Behind the last batch that was read.
    pub fn next_offset(&self) -> i64 {
        self.next_offset
    }

    /// The bytes of the last batch, in magic 2.
    pub fn bytes(&self) -> &[u8] {
        &self.batch
    }

    /// The name of a segment's `.log`.
    pub fn log_path(&self, segment: usize) -> String {
        let base_offset = self.segments.get(segment).map_or(0, |it| it.base_offset);
        file_name::segment_path(&self.partition_dir, base_offset, SegmentFile::Log, LIVE)
    }

    /// The next batch, of whatever segment; `None` behind the last.
    pub fn next_batch(&mut self) -> Result<Option<BatchPlace>, ReadError> {
        loop {
            let Some(segment) = self.segments.get(self.segment).copied() else {
                return Ok(None);
            };
            if self.is_ended {
                return Ok(None);
            }
            if self.file.is_none() {
                let path = self.log_path(self.segment);
                let file = self.dir.open_to_read(&path);
                self.file = Some(file.map_err(|source| StorageError::io("open", path, source))?);
                (self.position, self.start) = (0, 0);
                self.buffer.clear();
                self.next_offset = self.next_offset.max(segment.base_offset);
            }
            self.fill(BATCH_HEADER_BYTES)?;
            if self.unread().is_empty() {
                self.file = None;
                self.segment += 1;
                continue;
            }
            return self.take().map(Some);
        }
    }

    fn take(&mut self) -> Result<BatchPlace, ReadError> {
        let magic = self.unread().get(MAGIC_AT).copied();
        let legacy = magic
            .filter(|magic| *magic < 2)
            .and_then(|_| LegacyPrefix::parse(self.unread().get(..LEGACY_PREFIX_BYTES)?));
        let size_bytes = match legacy {
            Some(prefix) => prefix.size_bytes,
            None => match BatchHeader::parse(self.unread()) {
                Ok(header) => header.size_bytes(),
                Err(error) => return Err(self.damaged(error)),
            },
        };
        self.fill(size_bytes)?;
        let available = self.unread().len();
        if available < size_bytes {
            return Err(self.damaged(RecordError::Truncated {
                needed: size_bytes,
                available,
            }));
        }
        self.batch.clear();
        match legacy {
            None => {
                let from = self.start;
                let bytes = self.buffer.get(from..from + size_bytes).unwrap_or_default();
                self.batch.extend_from_slice(bytes);
            }
            Some(_) => {
                let mut upgrade = LegacyUpgrade::new(self.decompressor.max_decompressed_bytes());
                let upgraded =
                    LegacyMessage::parse(self.buffer.get(self.start..).unwrap_or_default())
                        .and_then(|message| upgrade.push(&message, 0, &mut self.batch))
                        .and_then(|_| upgrade.finish(&mut self.batch));
                if let Err(error) = upgraded {
                    return Err(self.damaged(error));
                }
            }
        }
        let header = match BatchHeader::parse(&self.batch) {
            Ok(header) => header,
            Err(error) => return Err(self.damaged(error)),
        };
        let place = BatchPlace {
            header,
            segment: self.segment,
            position: self.position,
            size_bytes: size_bytes as u64,
            is_legacy: legacy.is_some(),
        };
        self.start += size_bytes;
        self.position += size_bytes as u64;
        self.next_offset = header.next_offset();
        Ok(place)
    }

    /// Shows the records of the last batch, whose checksum is compared first.
    pub fn for_each_record(&mut self, mut see: impl FnMut(&Record<'_>)) -> Result<(), RecordError> {
        let batch = RecordBatch::parse(&self.batch)?;
        batch.verify_crc()?;
        for record in batch.records(&mut self.decompressor)? {
            see(&record?);
        }
        Ok(())
    }

    /// Damage in the last batch.
    pub fn damage_at(&self, place: &BatchPlace, error: &RecordError) -> Damage {
        Damage {
            file: self.log_path(place.segment),
            position: place.position,
            offset: place.header.base_offset,
            reason: error.to_string(),
            is_torn_end: false,
        }
    }

    fn damaged(&mut self, error: RecordError) -> ReadError {
        self.is_ended = true;
        let is_last = self.segment + 1 == self.segments.len();
        ReadError::Damage(Damage {
            file: self.log_path(self.segment),
            position: self.position,
            offset: self.next_offset,
            is_torn_end: is_last && matches!(error, RecordError::Truncated { .. }),
            reason: error.to_string(),
        })
    }

    fn unread(&self) -> &[u8] {
        self.buffer.get(self.start..).unwrap_or_default()
    }

    /// Makes so many unread bytes available, if the file has them. The file decides how much is allocated, not a field
    /// of a header.
    fn fill(&mut self, wanted: usize) -> Result<(), StorageError> {
        let unread = self.unread().len();
        let Some(file) = self.file.as_ref().filter(|_| unread < wanted) else {
            return Ok(());
        };
        let path = self.log_path(self.segment);
        let failed = |source| StorageError::io("read", path.clone(), source);
        let from = self.position + unread as u64;
        let left = file.len().map_err(failed)?.saturating_sub(from);
        let missing = wanted.max(BUFFER_BYTES) - unread;
        let count = usize::try_from(left).map_or(missing, |left| left.min(missing));
        self.buffer.drain(..self.start);
        self.start = 0;
        self.buffer.resize(unread + count, 0);
        let fresh = self.buffer.get_mut(unread..).unwrap_or_default();
        let read = file.read_full_at(fresh, from).map_err(failed)?;
        self.buffer.truncate(unread + read);
        self.bytes_read += read as u64;
        Ok(())
    }
}
