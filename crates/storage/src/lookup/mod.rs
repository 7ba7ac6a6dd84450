//! Lookup by key: the last committed record of a key, found by a few reads whatever the size of the log.
//!
//! ```text
//! head      the keys of the active segment, read once, and what was appended since with every lookup
//! sealed    newest to oldest: is the key here? From memory; where it is, a block of 4 KiB of the key index, and one read of
//!           64 KiB of the log
//! ```
//! [`KeyLookup`] is what one log has for it: for each sealed segment a directory (`directory`) of its key index, and for every
//! 32 KiB of its log a place, by which one read is enough. Both come from one pass over the key index, at the first lookup
//! that comes to that segment, whose checksums are compared on the way; an index that is missing is built.
//! [`LookupLimits`] bound the memory. Beyond them a lookup reads more: a block for each segment whose prints had to go, or
//! the end of the head. No file stays open between two lookups.
//!
//! Invariants
//! - What is found is the record with the highest offset below the LastStableOffset whose key is equal, byte for byte,
//!   and which was not rolled back; a tombstone is found as one. Nothing below the LogStartOffset is found.
//! - No answer comes from bytes whose checksum was not compared, then and now.
//!
//! No lock: the caller lets one lookup at a time use a `KeyLookup`. Not here: which partition has a key.

mod directory;
mod head_keys;
mod segment_keys;

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use lastword_record::{BatchHeader, Decompressor, Record, RecordBatch};

use crate::cleaner::plan::read_aborted;
use crate::cleaner::transactions::AbortedTransactions;
use crate::error::StorageError;
use crate::key_index::{self, Before, KeyHasher};
use crate::log::{Log, SegmentSet};
use crate::segment::Segment;
use head_keys::HeadKeys;
use segment_keys::SegmentKeys;

/// A lookup whose segments are replaced meanwhile, or that meets a damaged key index, begins again so often.
const ATTEMPTS: u32 = 8;

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundRecord {
    pub offset: i64,
    pub timestamp_ms: i64,
    /// None: the key was deleted.
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    /// Of a tombstone: when it may go; none while no cleaning has kept it.
    pub delete_horizon_ms: Option<i64>,
}

/// What one lookup needs.
pub struct LookupRequest<'a> {
    pub log: &'a Log,
    /// Of the log directory: see [`key_hasher`](crate::cleaner::key_hasher).
    pub hasher: &'a KeyHasher,
    pub key: &'a [u8],
    pub max_decompressed_bytes: usize,
}

/// What may be kept of one log.
#[derive(Clone, Copy, Debug)]
pub struct LookupLimits {
    /// Keys of the active segment, about: up to 65,536 more. They take 16 bytes each, and up to three times that while they
    /// are put together.
    pub head_keys: usize,
    /// Prints of sealed segments, 3 bytes a record. What else is kept of a record takes a quarter of a byte and has no
    /// bound.
    pub print_bytes: u64,
}

impl Default for LookupLimits {
    fn default() -> LookupLimits {
        LookupLimits {
            head_keys: 4 << 20,
            print_bytes: 96 << 20,
        }
    }
}

/// What is kept of one log between lookups; see the file header.
pub struct KeyLookup {
    limits: LookupLimits,
    head: HeadKeys,
    /// By base offset.
    sealed: BTreeMap<i64, (Weak<Segment>, SegmentKeys)>,
}

impl Default for KeyLookup {
    fn default() -> KeyLookup {
        KeyLookup::new(LookupLimits::default())
    }
}

impl KeyLookup {
    /// Keeps nothing yet.
    pub fn new(limits: LookupLimits) -> KeyLookup {
        KeyLookup {
            limits,
            head: HeadKeys::new(limits.head_keys),
            sealed: BTreeMap::new(),
        }
    }

    /// The last committed record of a key. Fails with [`StorageError::NotCompacted`] when the log has no key indexes.
    pub fn find(
        &mut self,
        request: &LookupRequest<'_>,
    ) -> Result<Option<FoundRecord>, StorageError> {
        let log = request.log;
        if !log.config().cleanup_policy.compact {
            let topic_partition = log.topic_partition().clone();
            return Err(StorageError::NotCompacted { topic_partition });
        }
        let mut attempt = 1;
        loop {
            let error = match self.find_once(request) {
                Err(error) if attempt < ATTEMPTS => error,
                result => return result,
            };
            attempt += 1;
            match error {
                StorageError::Stale => {}
                StorageError::CorruptKeyIndex { base_offset, .. } => {
                    tracing::warn!(%error, "a key index is damaged and is built again");
                    self.sealed.remove(&base_offset);
                    let segments = log.segments();
                    let damaged = segments.iter().find(|it| it.base_offset() == base_offset);
                    if let Some(segment) = damaged {
                        key_index::discard(log, segment)?;
                    }
                }
                error => return Err(error),
            }
        }
    }

    /// Bytes of memory, about.
    pub fn memory_bytes(&self) -> u64 {
        let sealed = self.sealed.values().map(|(_, keys)| keys.memory_bytes());
        self.head.memory_bytes() + sealed.sum::<u64>()
    }

    fn find_once(
        &mut self,
        request: &LookupRequest<'_>,
    ) -> Result<Option<FoundRecord>, StorageError> {
        // First the limit: what is decided below it is in the transaction indexes that are read after it.
        let offsets = request.log.offsets();
        let set = request.log.segments();
        let mut search = Search {
            key: request.key,
            hash: request.hasher.hash(request.key),
            hasher: request.hasher,
            limit: offsets.last_stable_offset,
            set: &set,
            aborted: None,
            decompressor: Decompressor::new(request.max_decompressed_bytes),
        };
        self.sealed
            .retain(|_, (segment, _)| segment.strong_count() > 0);
        let is_visible = |found: &FoundRecord| found.offset >= offsets.log_start_offset;
        if let Some(found) = self.head.find(set.active(), &mut search)? {
            return Ok(Some(found).filter(is_visible));
        }
        let sealed = set
            .as_slice()
            .split_last()
            .map_or(&[][..], |(_, sealed)| sealed);
        for segment in sealed.iter().rev() {
            if segment.base_offset() >= search.limit {
                continue;
            }
            let base_offset = segment.base_offset();
            let is_known = |(it, _): &(Weak<Segment>, _)| Weak::as_ptr(it) == Arc::as_ptr(segment);
            let known = self.sealed.get(&base_offset).filter(|it| is_known(it));
            let found = match known {
                Some((_, keys)) => keys.find(segment, &mut search),
                None => {
                    let keys = SegmentKeys::open(request.log, segment, &mut search)?;
                    let found = keys.find(segment, &mut search);
                    let kept = (Arc::downgrade(segment), keys);
                    self.sealed.insert(base_offset, kept);
                    self.bound_prints();
                    found
                }
            };
            if matches!(found, Err(StorageError::Stale)) {
                self.sealed.remove(&base_offset);
            }
            let found = found?;
            if found.is_some() {
                return Ok(found.filter(is_visible));
            }
        }
        Ok(None)
    }

    /// The oldest segments lose theirs first: fewer keys are looked for behind them.
    fn bound_prints(&mut self) {
        let keys = self.sealed.values();
        let mut bytes = keys.map(|(_, keys)| keys.print_bytes()).sum::<u64>();
        for (_, keys) in self.sealed.values_mut() {
            if bytes <= self.limits.print_bytes {
                break;
            }
            bytes -= keys.print_bytes();
            keys.let_go_of_prints();
        }
    }
}

/// One search.
struct Search<'a> {
    key: &'a [u8],
    hash: key_index::KeyHash,
    hasher: &'a KeyHasher,
    limit: i64,
    set: &'a SegmentSet,
    /// Read when a batch of a transaction is met.
    aborted: Option<AbortedTransactions>,
    decompressor: Decompressor,
}

impl Search<'_> {
    /// Whether this batch is data that everyone may see.
    fn is_committed(&mut self, header: &BatchHeader) -> Result<bool, StorageError> {
        if header.is_control() {
            return Ok(false);
        }
        if !header.is_transactional() {
            return Ok(true);
        }
        let aborted = match &mut self.aborted {
            Some(aborted) => aborted,
            None => {
                let entries = read_aborted(self.set.as_slice())?;
                let entries = entries.into_iter().flatten();
                self.aborted.insert(AbortedTransactions::new(entries))
            }
        };
        let batch = key_index::indexed(header, &Before::first(header.base_offset));
        Ok(!aborted.contains(&batch))
    }

    /// The last record of the key in a batch below the limit.
    fn last_in(&mut self, batch: &RecordBatch<'_>) -> Result<Option<FoundRecord>, StorageError> {
        let corrupt = |error: lastword_record::RecordError| StorageError::CorruptBatch {
            reason: error.to_string(),
        };
        batch.verify_crc().map_err(corrupt)?;
        let horizon_ms = batch.header().delete_horizon_ms();
        let mut last = None;
        for record in batch.records(&mut self.decompressor).map_err(corrupt)? {
            let record = record.map_err(corrupt)?;
            if record.key == Some(self.key) && record.offset < self.limit {
                last = Some(found(&record, horizon_ms));
            }
        }
        Ok(last)
    }
}

fn found(record: &Record<'_>, horizon_ms: Option<i64>) -> FoundRecord {
    let headers = record.headers.iter();
    FoundRecord {
        offset: record.offset,
        timestamp_ms: record.timestamp,
        value: record.value.map(<[u8]>::to_vec),
        headers: headers
            .map(|(name, value)| (name.to_vec(), value.map(<[u8]>::to_vec)))
            .collect(),
        delete_horizon_ms: horizon_ms.filter(|_| record.value.is_none()),
    }
}
