//! Kafka record batches (magic 2): a checked view over bytes, an iterator over records, a builder,
//! five codecs with bounded decompression, control records and the names of partitions.
//!
//! Invariants
//! - Bytes from disk or network never panic here and never decide how much is allocated: a length
//!   is believed only after it was compared with the bytes at hand or with a limit of the caller.
//! - Reading copies nothing unless the batch is compressed; iterating allocates nothing.
//! - Offsets are absolute outside and deltas inside; `last_offset` is inclusive, `next_offset`
//!   exclusive.
//!
//! Messages of magic 0 and 1 are not read as they are ([`RecordError::UnsupportedMagic`]); they can
//! be turned into batches ([`LegacyUpgrade`]).
//!
//! No locks and no I/O. Not here: any decision about which record stays.
//!
//! ```
//! use lastword_record::{BatchBuilder, BatchSpec, Decompressor, RecordBatch};
//!
//! let mut builder = BatchBuilder::new(BatchSpec { base_offset: 100, ..BatchSpec::default() });
//! builder.push(100, 1_000, Some(b"colour"), Some(b"green"), &[]);
//! builder.push(101, 1_001, Some(b"colour"), None, &[]);
//! let mut bytes = Vec::new();
//! builder.finish(&mut bytes)?;
//!
//! let batch = RecordBatch::parse(&bytes)?;
//! batch.verify_crc()?;
//! let mut decompressor = Decompressor::new(1 << 20);
//! let mut records = batch.records(&mut decompressor)?;
//! assert_eq!(records.next().transpose()?.and_then(|r| r.value), Some(&b"green"[..]));
//! assert!(records.next().transpose()?.is_some_and(|r| r.value.is_none() && r.offset == 101));
//! # Ok::<(), lastword_record::RecordError>(())
//! ```

mod batch;
mod builder;
mod compression;
pub mod control;
mod crc;
mod error;
mod header;
mod keys;
mod legacy;
mod partitioner;
mod record;
mod shape;
mod survivors;
mod topic;
mod varint;

pub use batch::{RecordBatch, RecordBatches, assign_offsets, empty_batch, set_log_append_time};
pub use builder::{BatchBuilder, BatchSpec, BatchWriter};
pub use compression::{CompressionType, Compressor, Decompressor};
pub use crc::{Crc32c, crc32c, crc32c_known_answer};
pub use error::RecordError;
pub use header::{
    BATCH_HEADER_BYTES, BatchHeader, LOG_OVERHEAD, MAGIC_V2, NO_PRODUCER_EPOCH, NO_PRODUCER_ID,
    NO_SEQUENCE, NO_TIMESTAMP, TimestampType,
};
pub use keys::{RecordKey, RecordKeys};
pub use legacy::{LEGACY_PREFIX_BYTES, LegacyMessage, LegacyPrefix, LegacyUpgrade};
pub use partitioner::partition_of_key;
pub use record::{Headers, HeadersIter, Record, Records};
pub use topic::{TopicId, TopicPartition};
