//! Tail re-batching: neighbouring survivors that would lie in small batches become one large batch, compressed with the
//! topic's codec. `docs/cleaning.md` says when that is safe, and why.
//!
//! ```text
//! [a@0] [b@7] [c@9 d@10]    ->   [a@0 b@7 c@9 d@10], base offset 0, last offset 10
//! ```
//! Offsets, timestamps, keys, values and headers stay. Producer ids go, and so the last batch of a known producer is
//! never merged, nor is one of a transaction; control batches, batches with a delete horizon and batches of other leader
//! epochs or timestamp types stay apart as well.
//!
//! What to merge is decided by pure functions; [`Merger`] holds one batch back until it is known whether another joins
//! it. No lock; no I/O.

use lastword_record::{
    BATCH_HEADER_BYTES, BatchBuilder, BatchHeader, BatchSpec, CompressionType, Decompressor,
    RecordBatch, RecordError, TimestampType,
};

use super::retain::Fate;
use crate::config::{LogConfig, TopicCompression};

/// A merged batch grows to this, uncompressed.
const TARGET_BYTES: u64 = 64 << 10;
/// A batch with so many live bytes, uncompressed, is large enough by itself.
const LARGE_BYTES: u64 = 32 << 10;
/// A batch that nothing has died in is left as it is from this size on: taking it apart would cost more than it gives.
const LARGE_UNTOUCHED_BYTES: u64 = 4 << 10;

/// How a log's survivors are merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rebatching {
    /// With its level. None: each batch keeps its own.
    codec: Option<(CompressionType, Option<i32>)>,
    target_bytes: u64,
}

impl Rebatching {
    /// None when the topic does not want it.
    pub fn of(config: &LogConfig) -> Option<Rebatching> {
        config.compaction_rebatch.then(|| Rebatching {
            codec: match config.compression_type {
                TopicCompression::Producer => None,
                TopicCompression::Uncompressed => Some((CompressionType::None, None)),
                TopicCompression::Codec(codec) => Some((codec, config.compression_level(codec))),
            },
            target_bytes: TARGET_BYTES.min(u64::from(config.max_message_bytes)),
        })
    }
}

/// What batches must have in common to become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    compression: CompressionType,
    compression_level: Option<i32>,
    timestamp_type: TimestampType,
    /// Of LogAppendTime: the time of all records.
    log_append_time: Option<i64>,
    leader_epoch: i32,
}

/// Whether a batch may be merged with others, and with which. `live_bytes` are what its live records take uncompressed,
/// `is_last_of_producer` goes by the producers that are known.
pub fn kind(
    header: &BatchHeader,
    fate: Fate,
    live_bytes: u64,
    is_last_of_producer: bool,
    rebatching: &Rebatching,
) -> Option<Kind> {
    let is_apart = header.is_control()
        || header.is_transactional()
        || header.delete_horizon_ms().is_some()
        || is_last_of_producer;
    let is_small = match fate {
        Fate::Copy => live_bytes < LARGE_UNTOUCHED_BYTES,
        Fate::Rebuild {
            delete_horizon_ms: None,
        } => live_bytes < LARGE_BYTES,
        Fate::Rebuild { .. } | Fate::KeepEmpty | Fate::Drop => false,
    };
    if is_apart || !is_small {
        return None;
    }
    let timestamp_type = header.timestamp_type();
    let own = header.compression().ok().map(|codec| (codec, None));
    let (compression, compression_level) = rebatching.codec.or(own)?;
    Some(Kind {
        compression,
        compression_level,
        timestamp_type,
        log_append_time: (timestamp_type == TimestampType::LogAppendTime)
            .then_some(header.max_timestamp),
        leader_epoch: header.leader_epoch,
    })
}

/// A batch to be written, and of how many it was made. The bytes are for [`Merger::give_back`].
pub struct Merged {
    pub bytes: Vec<u8>,
    pub header: BatchHeader,
    pub sources: u64,
}

/// Collects neighbours of one kind.
pub struct Merger {
    builder: BatchBuilder,
    /// The first batch as it is written if none joins it, or the merged one.
    bytes: Vec<u8>,
    open: Option<Open>,
}

#[derive(Clone, Copy)]
struct Open {
    kind: Kind,
    base_offset: i64,
    last_offset: i64,
    sources: u64,
    /// Uncompressed, about: what stands before a key is encoded anew.
    size_bytes: u64,
}

impl Merger {
    pub fn new() -> Merger {
        Merger {
            builder: BatchBuilder::new(BatchSpec::default()),
            bytes: Vec::new(),
            open: None,
        }
    }

    /// Whether a batch can join what is collected.
    pub fn takes(
        &self,
        kind: Kind,
        header: &BatchHeader,
        live_bytes: u64,
        rebatching: &Rebatching,
    ) -> bool {
        let Some(open) = self.open else {
            return false;
        };
        open.kind == kind
            && header.last_offset() - open.base_offset <= i64::from(i32::MAX)
            && open.size_bytes + live_bytes <= rebatching.target_bytes
    }

    /// Begins with a batch, as it would be written alone. What was collected has been taken.
    pub fn begin(&mut self, kind: Kind, header: &BatchHeader, live_bytes: u64) -> &mut Vec<u8> {
        self.open = Some(Open {
            kind,
            base_offset: header.base_offset,
            last_offset: header.last_offset(),
            sources: 1,
            size_bytes: BATCH_HEADER_BYTES as u64 + live_bytes,
        });
        self.bytes.clear();
        &mut self.bytes
    }

    /// Adds the live records of a batch that [`Merger::takes`] takes.
    pub fn add(
        &mut self,
        batch: &RecordBatch<'_>,
        live_bytes: u64,
        decompressor: &mut Decompressor,
        live: impl FnMut(u64) -> bool,
    ) -> Result<(), RecordError> {
        let Some(open) = &mut self.open else {
            return Ok(());
        };
        if open.sources == 1 {
            self.builder.reset(BatchSpec {
                base_offset: open.base_offset,
                compression: open.kind.compression,
                compression_level: open.kind.compression_level,
                timestamp_type: open.kind.timestamp_type,
                leader_epoch: open.kind.leader_epoch,
                ..BatchSpec::default()
            });
            let first = RecordBatch::parse(&self.bytes)?;
            self.builder
                .push_survivors(&first, decompressor, |_| true)?;
        }
        self.builder.push_survivors(batch, decompressor, live)?;
        open.last_offset = batch.header().last_offset();
        open.size_bytes += live_bytes;
        open.sources += 1;
        Ok(())
    }

    /// What was collected, as one batch.
    pub fn take(&mut self) -> Result<Option<Merged>, RecordError> {
        let Some(open) = self.open.take() else {
            return Ok(None);
        };
        let header = match open.sources {
            1 => BatchHeader::parse(&self.bytes)?,
            _ => {
                self.bytes.clear();
                self.builder.finish_at(open.last_offset, &mut self.bytes)?
            }
        };
        Ok(Some(Merged {
            bytes: std::mem::take(&mut self.bytes),
            header,
            sources: open.sources,
        }))
    }

    /// A buffer to use again.
    pub fn give_back(&mut self, bytes: Vec<u8>) {
        self.bytes = bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> BatchHeader {
        let mut builder = BatchBuilder::new(BatchSpec::default());
        builder.push(0, 1_000, Some(b"k"), Some(b"v"), &[]);
        let mut bytes = Vec::new();
        builder.finish(&mut bytes).unwrap()
    }

    const KEEP: Rebatching = Rebatching {
        codec: None,
        target_bytes: TARGET_BYTES,
    };
    const REBUILD: Fate = Fate::Rebuild {
        delete_horizon_ms: None,
    };

    #[test]
    fn only_small_plain_batches_that_nobody_needs_as_they_are_merge() {
        let may = |header: &BatchHeader, fate, live_bytes, is_last| {
            kind(header, fate, live_bytes, is_last, &KEEP).is_some()
        };
        assert!(may(&header(), Fate::Copy, 20, false));
        assert!(may(&header(), REBUILD, 20, false));
        assert!(!may(&header(), REBUILD, 20, true));
        let stamp = Fate::Rebuild {
            delete_horizon_ms: Some(1),
        };
        for fate in [Fate::Drop, Fate::KeepEmpty, stamp] {
            assert!(!may(&header(), fate, 20, false));
        }
        for attributes in [0x10, 0x20, 0x30, 0x40] {
            let apart = BatchHeader {
                attributes,
                ..header()
            };
            assert!(!may(&apart, REBUILD, 20, false), "{attributes:x}");
        }
        assert!(!may(&header(), Fate::Copy, 5_000, false));
        assert!(may(&header(), REBUILD, 5_000, false));
        assert!(!may(&header(), REBUILD, 40_000, false));
    }

    #[test]
    fn a_merged_batch_stays_within_its_limit_uncompressed() {
        let limited = Rebatching {
            target_bytes: 1_000,
            ..KEEP
        };
        let kind = kind(&header(), REBUILD, 400, false, &limited).unwrap();
        let mut merger = Merger::new();
        assert!(!merger.takes(kind, &header(), 1, &limited));
        merger.begin(kind, &header(), 400);
        assert!(merger.takes(kind, &header(), 539, &limited));
        assert!(!merger.takes(kind, &header(), 540, &limited));
    }

    #[test]
    fn kinds_tell_apart_what_a_batch_says_of_all_its_records() {
        let of = |header: &BatchHeader, rebatching: &Rebatching| {
            kind(header, REBUILD, 1, false, rebatching)
        };
        let plain = of(&header(), &KEEP);
        let log_append = |max_timestamp| BatchHeader {
            attributes: 8,
            max_timestamp,
            ..header()
        };
        assert_ne!(of(&log_append(5), &KEEP), plain);
        assert_ne!(of(&log_append(5), &KEEP), of(&log_append(6), &KEEP));
        assert_ne!(
            of(
                &BatchHeader {
                    leader_epoch: 9,
                    ..header()
                },
                &KEEP
            ),
            plain
        );
        let lz4 = BatchHeader {
            attributes: 3,
            ..header()
        };
        assert_ne!(of(&lz4, &KEEP), plain);
        let one_codec = Rebatching {
            codec: Some((CompressionType::Zstd, Some(3))),
            ..KEEP
        };
        assert_eq!(of(&lz4, &one_codec), of(&header(), &one_codec));
    }
}
