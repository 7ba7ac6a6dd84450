//! `StorageError`: everything the engine can refuse or fail at, in the domain's words.
//!
//! Three kinds, three treatments. A caller's mistake is returned. The world's failures ([`StorageError::Io`]) are
//! returned with what was done to which file; after a failed write or sync the caller takes the log directory offline
//! and never tries again in place. Our own bugs are assertions. Kafka's error codes are not known here.

use std::io;

use lastword_record::{RecordError, TopicPartition};

use crate::config::ConfigError;

/// The medium cannot give the bytes back.
const EIO: i32 = rustix::io::Errno::IO.raw_os_error();

/// What the storage engine refused or failed at.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    #[error(
        "offset {requested} is outside of [{log_start_offset}, {high_watermark}]: it was deleted or is not there yet"
    )]
    OffsetOutOfRange {
        requested: i64,
        log_start_offset: i64,
        high_watermark: i64,
    },
    #[error("corrupt batch: {reason}")]
    CorruptBatch { reason: String },
    #[error("invalid record: {reason}")]
    InvalidRecord {
        /// Which record of the batch, counted from 0, when one is to blame.
        batch_index: Option<i32>,
        reason: String,
    },
    #[error("{topic_partition} is compacted, and record {batch_index} has no key")]
    KeylessRecord {
        topic_partition: TopicPartition,
        batch_index: i32,
    },
    #[error("a batch of {size_bytes} bytes is larger than the limit of {limit_bytes}")]
    RecordTooLarge { size_bytes: u64, limit_bytes: u64 },
    #[error(
        "record {batch_index} has timestamp {timestamp_ms}, outside of [{earliest_ms}, {latest_ms}]"
    )]
    InvalidTimestamp {
        batch_index: i32,
        timestamp_ms: i64,
        earliest_ms: i64,
        latest_ms: i64,
    },
    #[error("magic {magic} is not supported: only record batch version 2 is written")]
    UnsupportedMagic { magic: i8 },
    #[error("producer {producer_id} sent sequence {got}, expected {expected}")]
    OutOfOrderSequence {
        producer_id: i64,
        expected: i32,
        got: i32,
    },
    #[error("producer {producer_id} has epoch {got}, but epoch {current} is known")]
    InvalidProducerEpoch {
        producer_id: i64,
        current: i16,
        got: i16,
    },
    #[error("producer {producer_id} is not known in this partition")]
    UnknownProducerId { producer_id: i64 },
    #[error("producer {producer_id}: {reason}")]
    InvalidTransactionState { producer_id: i64, reason: String },
    #[error(
        "a marker of coordinator epoch {got} for producer {producer_id}, but epoch {current} has written already"
    )]
    TransactionCoordinatorFenced {
        producer_id: i64,
        current: i32,
        got: i32,
    },
    #[error("unknown partition {topic_partition}")]
    UnknownPartition { topic_partition: TopicPartition },
    #[error("partition {topic_partition} exists already")]
    PartitionExists { topic_partition: TopicPartition },
    #[error(
        "offset {offset} does not fit into the segment with base offset {base_offset}, or its file is full"
    )]
    SegmentFull { base_offset: i64, offset: i64 },
    #[error("log directory offline: {reason}")]
    DirectoryOffline { reason: String },
    /// Appends stop before the disk is full; reads, retention and cleaning go on.
    #[error("fewer than {min_free_bytes} bytes are free in the log directory: appends are refused")]
    LowOnSpace { min_free_bytes: u64 },
    #[error("cannot {action} {file}: {source}")]
    Io {
        action: &'static str,
        file: String,
        source: io::Error,
    },
    #[error("{file} is corrupt at position {position}: {reason}")]
    CorruptSegment {
        file: String,
        position: u64,
        reason: String,
    },
    /// A key index that can be thrown away and built again.
    #[error("{file} is corrupt: {reason}")]
    CorruptKeyIndex {
        file: String,
        /// Of its segment.
        base_offset: i64,
        reason: String,
    },
    #[error("{file} is malformed in line {line}: {reason}")]
    CorruptCheckpoint {
        file: String,
        line: usize,
        reason: String,
    },
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A segment that was to be replaced is no longer in the log. Throw the output away and begin anew.
    #[error("the segments to replace have changed meanwhile")]
    Stale,
    #[error("the log is closed")]
    Closed,
    #[error("{topic_partition} is not compacted")]
    NotCompacted { topic_partition: TopicPartition },
    #[error("cleaning of {topic_partition} is paused: resume it first")]
    Paused { topic_partition: TopicPartition },
    /// A bug: the thread goes on with other logs.
    #[error("the cleaner panicked: {reason}")]
    CleanerPanicked { reason: String },
}

impl StorageError {
    /// An I/O failure: `action` as in "cannot {action} {file}".
    pub fn io(action: &'static str, file: impl Into<String>, source: io::Error) -> StorageError {
        StorageError::Io {
            action,
            file: file.into(),
            source,
        }
    }

    /// Damage at one position of a file.
    pub fn corrupt_segment(
        file: impl Into<String>,
        position: u64,
        reason: impl Into<String>,
    ) -> StorageError {
        StorageError::CorruptSegment {
            file: file.into(),
            position,
            reason: reason.into(),
        }
    }

    /// A log file could not be read. Bytes that the disk cannot give back (EIO) are damage at their place; everything
    /// else is a failure of the moment.
    pub fn unreadable(file: impl Into<String>, position: u32, source: io::Error) -> StorageError {
        match source.raw_os_error() {
            Some(EIO) => StorageError::corrupt_segment(file, position.into(), source.to_string()),
            _ => StorageError::io("read", file, source),
        }
    }

    /// Damage of the key index of a segment.
    pub fn corrupt_key_index(
        file: impl Into<String>,
        base_offset: i64,
        reason: impl Into<String>,
    ) -> StorageError {
        StorageError::CorruptKeyIndex {
            file: file.into(),
            base_offset,
            reason: reason.into(),
        }
    }

    /// Whether there was no room left on the disk.
    pub fn is_out_of_space(&self) -> bool {
        matches!(self, StorageError::Io { source, .. } if source.kind() == std::io::ErrorKind::StorageFull)
    }

    /// Whether the disk failed. Then the log directory must go offline; everything else concerns one request.
    pub fn is_io(&self) -> bool {
        matches!(self, StorageError::Io { .. })
    }
}

impl From<RecordError> for StorageError {
    fn from(error: RecordError) -> StorageError {
        StorageError::CorruptBatch {
            reason: error.to_string(),
        }
    }
}
