//! The embeddable log engine: partitions of records on disk, in Kafka's own directory format, with
//! log compaction that never makes a reader wait.
//!
//! ```
//! use std::sync::Arc;
//!
//! use lastword_record::{BatchBuilder, BatchSpec, TopicId, TopicPartition};
//! use lastword_storage::dir::SimDir;
//! use lastword_storage::{AppendOrigin, Clock, Isolation, LogConfig, LogManager, ReadRequest};
//!
//! // A directory in memory; `FsDir::open(path)` is the one on disk.
//! let dir = Arc::new(SimDir::new());
//! let manager = LogManager::open(Default::default(), dir, Clock::System, &|_| LogConfig::default())?;
//! let colours = TopicPartition::new("colours", 0);
//! let log = manager.create(&colours, TopicId::from_random_bytes([7; 16]), LogConfig::default())?;
//!
//! let mut batch = Vec::new();
//! let mut builder = BatchBuilder::new(BatchSpec::default());
//! builder.push(0, 1_000, Some(b"sky"), Some(b"blue"), &[]);
//! builder.finish(&mut batch)?;
//! log.append(&batch, AppendOrigin::Client, 0)?;
//! log.sync()?; // now it is durable, and only now can it be read
//!
//! let isolation = Isolation::HighWatermark;
//! let request = ReadRequest { offset: 0, max_bytes: 1 << 20, min_one_batch: true, isolation };
//! let mut bytes = Vec::new();
//! log.read(request)?.read_into(&mut bytes)?;
//! assert_eq!(bytes.len(), batch.len());
//! manager.close()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is here
//! - [`LogManager`]: a log directory: opens, creates and deletes logs, ticks, closes.
//! - [`Log`]: one partition: append, read, sync, retention, and the swap of segments.
//! - [`segment`]: a stretch of a log: one file of batches and its indexes.
//! - [`key_index`]: which key each record of a sealed segment has, so that cleanings read no values.
//! - `cleaner`: log compaction: what may go is decided by pure functions, and done through two calls
//!   of the log.
//! - [`state_view`]: a log read without what is superseded, before it is cleaned.
//! - [`lookup`]: the last record of a key, by a few reads.
//! - [`record_count`]: how many records exist between two offsets.
//! - [`verify`]: proof that one directory is a right cleaning of another, without opening either as a log.
//! - [`dir`]: the only door to the disk, with a simulated disk that can lose power beside the real
//!   one.
//!
//! # What it promises
//! - What HighWatermark has passed is on disk: data, and the names of the files that hold it.
//! - `LogStartOffset <= LastStableOffset <= HighWatermark <= LogEndOffset`, always.
//! - A record keeps its offset; order never changes; a read at an offset that is gone gives the
//!   next record.
//! - Readers take no lock, and finish on the segments they hold whatever is swapped or deleted.
//! - A failed write or sync takes the directory offline; it is never tried again.
//! - A crash at any moment leaves a directory that opens by itself; only a torn tail that nobody was
//!   told is durable is cut.
//!
//! # What it does not do
//! No network, no async runtime, no consumer groups, no topics: a topic is a name that partitions
//! share. No thread runs unless asked for: [`start_background`] starts two, and whoever wants none
//! calls [`Log::sync`] and [`LogManager::tick`].

pub mod checkpoint;
pub mod cleaner;
pub mod clock;
pub mod config;
pub mod dir;
mod engine_stats;
pub mod error;
pub mod file_name;
pub mod histogram;
pub mod key_index;
mod latency;
mod lock;
pub mod log;
pub mod lookup;
pub mod manager;
pub mod producer_state;
pub mod record_count;
pub mod segment;
mod signal;
pub mod state_view;
pub mod sync;
pub mod verify;

pub use cleaner::LogCleaner;
pub use clock::Clock;
pub use config::{CleanerConfig, CleanupPolicy, ConfigError, LogConfig, TopicCompression};
pub use dir::{Dir, FsDir, SimDir};
pub use engine_stats::EngineStats;
pub use error::StorageError;
pub use histogram::{Histogram, HistogramView};
pub use latency::Latencies;
pub use log::{
    AppendOrigin, Appended, FetchData, FetchSlice, Isolation, Log, LogOffsets, ReadRequest,
    SegmentSet, Visibility,
};
pub use manager::{
    Background, Identity, LogManager, LogManagerConfig, MetaProperties, start_background,
    start_sync_thread,
};
pub use producer_state::{Opening, ProducerPin, ProducerView, VerificationGuard};
pub use segment::{AbortedTransaction, Segment, TimestampedOffset};
