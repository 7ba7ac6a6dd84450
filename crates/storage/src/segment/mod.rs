//! `Segment`: a stretch of the log: one `.log` file and its `.index`, `.timeindex` and `.txnindex`.
//!
//! Invariants
//! - `base_offset ≤` every offset in it `< next_offset ≤ base_offset + 2^31`; offsets rise from batch to batch.
//! - Bytes below `size_bytes` are whole batches and never change; `size_bytes` is published after they are written.
//! - Indexes are hints, kept on disk only: an entry is checked against the batch it leads to, and a wrong one costs
//!   time, not the answer.
//!
//! Shared as `Arc<Segment>`. One writer appends (the caller sees to that: the log's writer lock), any number of readers
//! read up to `size_bytes` without a lock.
//!
//! Locks: `writer` guards what the indexes know; under it the indexes' own are taken, and `max`, which guards the
//! largest timestamp. `key_index_building` is held while a key index is built; the log's writer lock is taken under it,
//! never the other way round.
//!
//! Not here: which segment is active, when to roll, what may be deleted, and any sync of the directory. A failed write
//! or sync is reported once; the caller takes the log directory offline.

mod files;
mod header_scan;
mod index_feed;
mod index_file;
mod lookup;
mod offset_index;
mod open;
mod recover;
mod scan;
mod time_index;
mod transaction_index;

use std::io;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use lastword_record::BatchHeader;

use self::files::SegmentFiles;
use self::index_feed::{IndexFeed, NO_TIMESTAMP};
use self::index_file::IndexFile;
use self::time_index::TimeEntry;
use crate::dir::{Dir, File};
use crate::error::StorageError;
use crate::file_name::SegmentFile;
use crate::lock::lock;

pub use self::header_scan::{BatchPosition, HeaderScan};
pub use self::lookup::TimestampedOffset;
pub(crate) use self::recover::find_valid_batch;
pub use self::recover::{Recovered, recover};
pub use self::scan::{BatchScan, DEFAULT_SCAN_BUFFER_BYTES};
pub use self::transaction_index::{AbortedTransaction, CollectedAborts, TransactionIndex};

/// Positions in a file are 32-bit integers with a sign, as in Kafka's index.
const MOST_LOG_BYTES: u64 = i32::MAX as u64;
/// `first_batch_timestamp` was not read yet.
const NOT_READ: i64 = i64::MIN;

/// How densely the indexes are written, and when they count as full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexSettings {
    pub index_interval_bytes: u32,
    pub segment_index_bytes: u32,
}

/// See the module.
pub struct Segment {
    files: Arc<SegmentFiles>,
    log: Arc<dyn File>,
    settings: IndexSettings,
    created_ms: i64,
    offset_index: IndexFile<{ offset_index::ENTRY_BYTES }>,
    time_index: IndexFile<{ time_index::ENTRY_BYTES }>,
    transaction_index: TransactionIndex,
    size_bytes: AtomicU32,
    next_offset: AtomicI64,
    first_batch_timestamp: AtomicI64,
    needs_recovery: AtomicBool,
    /// Largest timestamp and the last offset of its batch: read by anybody, set by the writer.
    max: Mutex<TimeEntry>,
    /// What the indexes know; only the writer takes it.
    writer: Mutex<IndexFeed>,
    key_index_building: Mutex<()>,
    has_key_index: AtomicBool,
    key_index_bytes: AtomicU64,
}

impl Segment {
    /// A new, empty segment: creates `.log`, `.index` and `.timeindex`. Their names are durable after the caller's sync
    /// of the directory.
    pub fn create(
        dir: Arc<dyn Dir>,
        partition_dir: &str,
        base_offset: i64,
        suffix: &str,
        settings: IndexSettings,
        now_ms: i64,
    ) -> Result<Segment, StorageError> {
        let files = Arc::new(SegmentFiles::new(dir, partition_dir, base_offset, suffix));
        let log = files.create(SegmentFile::Log)?;
        let offset_index = IndexFile::create(&files, SegmentFile::OffsetIndex)?;
        let time_index = IndexFile::create(&files, SegmentFile::TimeIndex)?;
        let transaction_index = TransactionIndex::absent(&files);
        // Of an earlier attempt that was given up.
        transaction_index.file().discard()?;
        let feed = IndexFeed::new(base_offset, settings.index_interval_bytes);
        Ok(Segment {
            files,
            log,
            settings,
            created_ms: now_ms,
            offset_index,
            time_index,
            transaction_index,
            size_bytes: AtomicU32::new(0),
            next_offset: AtomicI64::new(base_offset),
            first_batch_timestamp: AtomicI64::new(NOT_READ),
            needs_recovery: AtomicBool::new(false),
            max: Mutex::new(feed.max),
            writer: Mutex::new(feed),
            key_index_building: Mutex::default(),
            has_key_index: AtomicBool::new(false),
            key_index_bytes: AtomicU64::new(0),
        })
    }

    /// An existing segment. Reads the ends of its files, not their content; indexes that are missing or cannot belong
    /// to this log are rebuilt. A log that does not end with a whole batch is opened too, and then
    /// [`Segment::needs_recovery`].
    pub fn open(
        dir: Arc<dyn Dir>,
        partition_dir: &str,
        base_offset: i64,
        suffix: &str,
        settings: IndexSettings,
        now_ms: i64,
    ) -> Result<Segment, StorageError> {
        open::open(
            SegmentFiles::new(dir, partition_dir, base_offset, suffix),
            settings,
            now_ms,
        )
    }

    /// The offset in its name; no record in it is below.
    pub fn base_offset(&self) -> i64 {
        self.files.base_offset
    }

    /// Bytes of whole batches.
    pub fn size_bytes(&self) -> u32 {
        self.size_bytes.load(Ordering::Acquire)
    }

    /// Holds no batch.
    pub fn is_empty(&self) -> bool {
        self.size_bytes() == 0
    }

    /// The last batch's last offset + 1; the base offset of an empty segment.
    pub fn next_offset(&self) -> i64 {
        self.next_offset.load(Ordering::Acquire)
    }

    /// Largest timestamp of a batch; -1 when none has one.
    pub fn max_timestamp(&self) -> i64 {
        lock(&self.max).timestamp
    }

    /// Last offset of the first batch with the largest timestamp.
    pub fn offset_of_max_timestamp(&self) -> i64 {
        lock(&self.max).offset
    }

    /// What retention goes by: the largest timestamp, or when the file was written if no batch has one.
    pub fn largest_timestamp_ms(&self) -> i64 {
        match self.max_timestamp() {
            NO_TIMESTAMP => self.log.modified_ms().unwrap_or(self.created_ms),
            timestamp => timestamp,
        }
    }

    /// The largest timestamp in the first batch; `None` when there is no batch, or it has no timestamp.
    pub fn first_batch_timestamp(&self) -> Option<i64> {
        let mut timestamp = self.first_batch_timestamp.load(Ordering::Relaxed);
        if timestamp == NOT_READ {
            let first = self
                .scan_headers(0, self.size_bytes())
                .next_batch()
                .ok()??;
            timestamp = first.header.max_timestamp;
            self.first_batch_timestamp
                .store(timestamp, Ordering::Relaxed);
        }
        (timestamp >= 0).then_some(timestamp)
    }

    /// When the segment was created; for one that was opened, when it was last written.
    pub fn created_ms(&self) -> i64 {
        self.created_ms
    }

    /// When the `.log` was last written.
    pub fn modified_ms(&self) -> Result<i64, StorageError> {
        self.log
            .modified_ms()
            .map_err(|source| self.io("read", source))
    }

    /// Bytes of the `.index`.
    pub fn index_size_bytes(&self) -> u64 {
        self.offset_index.size_bytes()
    }

    /// Bytes of the `.timeindex`.
    pub fn time_index_size_bytes(&self) -> u64 {
        self.time_index.size_bytes()
    }

    /// Time to roll: an index has reached `segment.index.bytes`; one slot is for the last time entry.
    pub fn is_index_full(&self) -> bool {
        let limit = u64::from(self.settings.segment_index_bytes);
        self.index_size_bytes() + offset_index::ENTRY_BYTES as u64 > limit
            || self.time_index_size_bytes() + 2 * time_index::ENTRY_BYTES as u64 > limit
    }

    /// Whether a batch that ends with this offset may be appended, as far as offsets go.
    pub fn can_hold_offset(&self, last_offset: i64) -> bool {
        last_offset
            .checked_sub(self.base_offset())
            .is_some_and(|relative| (0..=i64::from(i32::MAX)).contains(&relative))
    }

    /// The log does not end with a whole batch, or the transaction index is damaged. Appends are refused until
    /// [`recover`] has run.
    pub fn needs_recovery(&self) -> bool {
        self.needs_recovery.load(Ordering::Acquire)
    }

    /// Reads bytes of the log, none beyond `size_bytes`.
    pub fn read_at(&self, buf: &mut [u8], position: u32) -> io::Result<usize> {
        let available = self.size_bytes().saturating_sub(position) as usize;
        let count = buf.len().min(available);
        self.log
            .read_full_at(buf.get_mut(..count).unwrap_or_default(), position.into())
    }

    /// The `.log` file itself, for calls that move bytes inside the kernel.
    pub fn log_file(&self) -> &Arc<dyn File> {
        &self.log
    }

    /// Path of the `.log`, in the log directory.
    pub fn log_path(&self) -> String {
        self.files.path(SegmentFile::Log)
    }

    /// The suffix of the files now.
    pub fn suffix(&self) -> String {
        self.files.suffix()
    }

    /// Path of the key index, in the log directory.
    pub fn key_index_path(&self) -> String {
        self.files.path(SegmentFile::KeyIndex)
    }

    /// The key index file, if there is one.
    pub(crate) fn open_key_index(&self) -> Result<Option<Arc<dyn File>>, StorageError> {
        self.files.open(SegmentFile::KeyIndex)
    }

    /// A usable key index was there when somebody last looked.
    pub(crate) fn has_key_index(&self) -> bool {
        self.has_key_index.load(Ordering::Relaxed)
    }

    pub(crate) fn set_has_key_index(&self, is_there: bool) {
        self.has_key_index.store(is_there, Ordering::Relaxed);
    }

    /// Bytes of its key index, as it was opened last; 0 while there is none.
    pub fn key_index_bytes(&self) -> u64 {
        match self.has_key_index() {
            true => self.key_index_bytes.load(Ordering::Relaxed),
            false => 0,
        }
    }

    pub(crate) fn note_key_index_bytes(&self, bytes: u64) {
        self.key_index_bytes.store(bytes, Ordering::Relaxed);
    }

    /// See [`key_index`](crate::key_index).
    pub(crate) fn key_index_building(&self) -> &Mutex<()> {
        &self.key_index_building
    }

    /// The aborted transactions whose marker is here.
    pub fn transaction_index(&self) -> &TransactionIndex {
        &self.transaction_index
    }

    /// Adds to the transaction index. For the writer, after the marker is appended.
    pub fn append_aborted(&self, transaction: &AbortedTransaction) -> Result<(), StorageError> {
        self.transaction_index.append(transaction)
    }

    /// Streams the batches that start in `[from_position, to_position)`; both are ends of batches.
    pub fn scan(&self, from_position: u32, to_position: u32, buffer_bytes: usize) -> BatchScan {
        BatchScan::new(self, from_position..to_position, buffer_bytes)
    }

    /// Walks the batch headers in `[from_position, to_position)`; both are ends of batches.
    pub fn scan_headers(&self, from_position: u32, to_position: u32) -> HeaderScan {
        HeaderScan::new(
            Arc::clone(&self.log),
            &self.files,
            from_position..to_position,
        )
    }

    /// Appends whole batches, `headers` being theirs in order, and returns where the first one starts. For the writer.
    /// After an error `size_bytes` is what it was.
    pub fn append(&self, batches: &[u8], headers: &[BatchHeader]) -> Result<u32, StorageError> {
        let len = batches.len();
        self.append_with(len, headers, |log, position| {
            log.write_all_at(batches, position)
        })
    }

    /// The same, and `write` brings the `len` bytes to their position, or will have done so before the segment is
    /// synced.
    pub(crate) fn append_with(
        &self,
        len: usize,
        headers: &[BatchHeader],
        write: impl FnOnce(&Arc<dyn File>, u64) -> io::Result<()>,
    ) -> Result<u32, StorageError> {
        let stated_bytes: usize = headers.iter().map(BatchHeader::size_bytes).sum();
        assert_eq!(
            stated_bytes, len,
            "the headers are not those of the batches"
        );
        let position = self.size_bytes();
        let end = self.check_append(position, len, headers)?;
        let Some(last) = headers.last() else {
            return Ok(position);
        };
        write(&self.log, position.into()).map_err(|source| self.io("write", source))?;
        let mut writer = lock(&self.writer);
        let mut batch_position = position;
        let (mut offset_entries, mut time_entries) = (Vec::new(), Vec::new());
        for header in headers {
            if let Some(entries) = writer.batch(header, batch_position) {
                let offset = entries.offset.encode(self.base_offset());
                offset_entries.extend(offset.into_iter().flatten());
                let time = entries.time.and_then(|it| it.encode(self.base_offset()));
                time_entries.extend(time.into_iter().flatten());
            }
            batch_position += header.size_bytes() as u32;
        }
        if !offset_entries.is_empty() {
            self.offset_index.extend(&offset_entries)?;
        }
        if !time_entries.is_empty() {
            self.time_index.extend(&time_entries)?;
        }
        // Readers see the batches from here on: the size last, behind everything that describes them.
        *lock(&self.max) = writer.max;
        self.next_offset
            .store(last.next_offset(), Ordering::Release);
        self.size_bytes.store(end, Ordering::Release);
        Ok(position)
    }

    fn check_append(
        &self,
        position: u32,
        len: usize,
        headers: &[BatchHeader],
    ) -> Result<u32, StorageError> {
        if self.needs_recovery() {
            let reason = "the segment must be recovered before it is written";
            return Err(StorageError::corrupt_segment(
                self.log_path(),
                position.into(),
                reason,
            ));
        }
        let mut next_offset = self.next_offset();
        for header in headers {
            if header.base_offset < next_offset {
                let reason = format!("base offset {} is below {next_offset}", header.base_offset);
                return Err(StorageError::CorruptBatch { reason });
            }
            next_offset = header.next_offset();
        }
        let end = u64::from(position) + len as u64;
        match u32::try_from(end) {
            Ok(end_position)
                if end <= MOST_LOG_BYTES && self.can_hold_offset(next_offset - 1)
                    || headers.is_empty() =>
            {
                Ok(end_position)
            }
            _ => Err(StorageError::SegmentFull {
                base_offset: self.base_offset(),
                offset: next_offset - 1,
            }),
        }
    }

    fn append_time_entry(&self, entry: Option<TimeEntry>) -> Result<(), StorageError> {
        match entry.and_then(|entry| entry.encode(self.base_offset())) {
            Some(entry) => self.time_index.append(&entry),
            None => Ok(()),
        }
    }

    /// Writes the last time index entry: nothing more will be appended, or the log is being closed. Does not sync.
    pub fn seal(&self) -> Result<(), StorageError> {
        let entry = lock(&self.writer).time_entry();
        self.append_time_entry(entry)
    }

    /// Makes log and indexes durable.
    pub fn sync(&self) -> Result<(), StorageError> {
        self.sync_log_data()?;
        self.offset_index.sync()?;
        self.time_index.sync()?;
        self.transaction_index.file().sync()
    }

    /// Makes the log durable. Enough before an answer: indexes can be rebuilt.
    pub fn sync_log_data(&self) -> Result<(), StorageError> {
        self.log
            .sync_data()
            .map_err(|source| self.io("sync", source))
    }

    /// Sets when the files were last written: a cleaned segment is as old as its newest input.
    pub fn set_modified_ms(&self, ms: i64) -> Result<(), StorageError> {
        self.log
            .set_modified_ms(ms)
            .map_err(|source| self.io("write", source))?;
        self.offset_index.set_modified_ms(ms)?;
        self.time_index.set_modified_ms(ms)
    }

    /// Gives the index files' descriptors back; they are opened again when needed. Sync first: what was written through
    /// a closed handle is not synced by [`Segment::sync`].
    pub fn close_index_files(&self) {
        self.offset_index.close();
        self.time_index.close();
        self.transaction_index.file().close();
    }

    /// Call this before the files are renamed away or removed, or their directory is: from now on nothing is opened by
    /// name, which may soon be another segment's. Readers go on with the descriptors taken here.
    pub fn detach(&self) {
        self.offset_index.detach();
        self.time_index.detach();
        self.transaction_index.file().detach();
    }

    /// Renames the files that are there to another suffix, `.log` first. Durable after the caller's sync of the
    /// directory.
    pub fn rename_suffix(&self, to: &str) -> Result<(), StorageError> {
        self.files.rename_suffix(to)
    }

    /// Removes the files. Open readers keep what they have; see [`Segment::detach`].
    pub fn delete_files(&self) -> Result<(), StorageError> {
        self.files.remove()
    }

    fn io(&self, action: &'static str, source: io::Error) -> StorageError {
        StorageError::io(action, self.log_path(), source)
    }
}

impl std::fmt::Debug for Segment {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Segment")
            .field("log", &self.log_path())
            .field("size_bytes", &self.size_bytes())
            .field("next_offset", &self.next_offset())
            .finish_non_exhaustive()
    }
}
