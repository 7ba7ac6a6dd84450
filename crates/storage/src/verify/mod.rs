//! Proof that one partition directory, NEW, is a right cleaning of another one, OLD.
//!
//! ```text
//! history     OLD, headers and markers   what was rolled back, what is open; from that the cleanable bound
//! last words  OLD and NEW, keys          one bit a record: the last of its key below the bound
//! walk        OLD and NEW side by side   every record of OLD is in NEW as it was, or may be gone
//! ```
//! Nothing of the cleaner is used, so that a mistake of the cleaner is not made again here, and nothing of a log: files
//! are opened to read, and none is written. `docs/verify.md` has the rules.
//!
//! Invariants: values are never held, only hashes of them under a secret of this run (128 bits; keys 96). Memory: a
//! table for keys as large as allowed (more keys need more passes over OLD), a bit a record, and what transactions and
//! producers need. Bytes are hostile: damage is told with its place, and never panics.
//!
//! No lock: whoever calls sees to it that nothing changes the directories meanwhile.

mod history;
mod index_check;
mod key_index_check;
mod last_words;
mod producers;
mod reader;
mod side;
mod transaction_index_check;
mod walk;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub use history::marker_of;
pub use reader::{BatchPlace, Damage, PartitionFiles, PartitionReader, ReadError, SegmentName};

use crate::dir::Dir;
use crate::error::StorageError;
use crate::key_index::KeyHasher;
use history::History;
use last_words::LastWords;
use producers::Producers;

/// Findings that are kept; behind them a proof is over.
const MAX_VIOLATIONS: usize = 20;

/// One partition directory.
#[derive(Clone)]
pub struct Source {
    pub dir: Arc<dyn Dir>,
    pub partition_dir: String,
    /// LogStartOffset, where a checkpoint tells one: what lies below cannot be read any more.
    pub log_start_offset: Option<i64>,
    /// Of OLD: up to here it was clean; the minimum lag is not asked below.
    pub first_dirty_offset: Option<i64>,
    /// Of NEW: what its key indexes are made under. Without it they are not checked.
    pub key_hasher: Option<KeyHasher>,
    /// Of NEW, when it was fetched: the transactions that fetches called rolled back, by producer and first offset. They
    /// stand for its transaction indexes.
    pub fetched_aborts: Option<Vec<(i64, i64)>>,
}

/// What a cleaning was allowed to do.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// Without it nothing may go from between other records.
    pub compact: bool,
    /// Old segments may go from the front.
    pub delete: bool,
    pub min_compaction_lag_ms: i64,
    pub delete_retention_ms: i64,
    pub producer_id_expiration_ms: i64,
    pub now_ms: i64,
    /// NEW may be the work of several cleanings, the first at or after this time; else of one.
    pub since_ms: Option<i64>,
}

/// What to prove, and with how much.
pub struct Request<'a> {
    pub old: &'a Source,
    pub new: &'a Source,
    pub rules: Rules,
    /// For the table of keys.
    pub memory_bytes: usize,
    pub max_decompressed_bytes: usize,
    /// Counts bytes that were read.
    pub progress: &'a AtomicU64,
}

/// How NEW can be wrong. The names are part of the command's answers. Of several at one offset
/// the first in this order is told first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    Order,
    Damaged,
    OldDamaged,
    LogStart,
    LogEnd,
    Lost,
    AboveBound,
    Changed,
    Invented,
    TombstoneEarly,
    MarkerEarly,
    Horizon,
    Resurrected,
    Transaction,
    Producer,
    OffsetIndex,
    TimeIndex,
    TransactionIndex,
    KeyIndex,
    Snapshot,
}

impl Kind {
    pub const ALL: [Kind; 20] = [
        Kind::Order,
        Kind::Damaged,
        Kind::OldDamaged,
        Kind::LogStart,
        Kind::LogEnd,
        Kind::Lost,
        Kind::AboveBound,
        Kind::Changed,
        Kind::Invented,
        Kind::TombstoneEarly,
        Kind::MarkerEarly,
        Kind::Horizon,
        Kind::Resurrected,
        Kind::Transaction,
        Kind::Producer,
        Kind::OffsetIndex,
        Kind::TimeIndex,
        Kind::TransactionIndex,
        Kind::KeyIndex,
        Kind::Snapshot,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Kind::Lost => "lost",
            Kind::AboveBound => "above-bound",
            Kind::Changed => "changed",
            Kind::Invented => "invented",
            Kind::Order => "order",
            Kind::TombstoneEarly => "tombstone-early",
            Kind::MarkerEarly => "marker-early",
            Kind::Horizon => "horizon",
            Kind::Resurrected => "resurrected",
            Kind::Transaction => "transaction",
            Kind::Producer => "producer",
            Kind::LogStart => "log-start",
            Kind::LogEnd => "log-end",
            Kind::Damaged => "damaged",
            Kind::OldDamaged => "old-damaged",
            Kind::OffsetIndex => "offset-index",
            Kind::TimeIndex => "time-index",
            Kind::TransactionIndex => "transaction-index",
            Kind::KeyIndex => "key-index",
            Kind::Snapshot => "snapshot",
        }
    }
}

/// One way in which NEW is not a right cleaning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    pub offset: i64,
    pub kind: Kind,
    pub message: String,
}

/// Records of OLD that are not in NEW, by what allows it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Gone {
    pub superseded: u64,
    pub aborted: u64,
    pub keyless: u64,
    pub expired_tombstones: u64,
    pub expired_markers: u64,
    /// Below the log start.
    pub retention: u64,
}

impl Gone {
    pub fn total(&self) -> u64 {
        self.superseded
            + self.aborted
            + self.keyless
            + self.expired_tombstones
            + self.expired_markers
            + self.retention
    }
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verified {
    pub old_records: u64,
    pub new_records: u64,
    /// Different keys below the bound.
    pub keys: u64,
    pub gone: Gone,
    /// Records of NEW below the bound that a next cleaning would drop.
    pub not_cleaned: u64,
    /// Tombstones of NEW below the bound.
    pub tombstones: u64,
    /// At and above it nothing may be gone.
    pub bound_offset: i64,
    pub log_end_offset: i64,
    /// Passes over OLD for the last words.
    pub passes: u32,
    /// By offset. The first is the first offset that breaks the proof.
    pub violations: Vec<Violation>,
    /// What is odd and breaks nothing.
    pub notes: Vec<String>,
}

impl Verified {
    pub fn is_right(&self) -> bool {
        self.violations.is_empty()
    }

    fn violate(&mut self, offset: i64, kind: Kind, message: impl Into<String>) {
        if self.violations.len() < MAX_VIOLATIONS {
            self.violations.push(Violation {
                offset,
                kind,
                message: message.into(),
            });
        }
    }

    fn is_full(&self) -> bool {
        self.violations.len() >= MAX_VIOLATIONS
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error("{partition_dir} holds {file}, which a swap of segments has left half done")]
    Unfinished { partition_dir: String, file: String },
}

/// Proves, or says what is wrong.
pub fn verify(request: &Request<'_>) -> Result<Verified, VerifyError> {
    let list = |source: &Source| {
        let files = PartitionFiles::list(&*source.dir, &source.partition_dir)?;
        match files.unfinished {
            Some(file) => Err(VerifyError::Unfinished {
                partition_dir: source.partition_dir.clone(),
                file,
            }),
            None => Ok(files),
        }
    };
    let (old, new) = (list(request.old)?, list(request.new)?);
    let mut verified = Verified::default();
    let first = match read_history(request, &old, &mut verified) {
        Ok(first) => first,
        Err(error) => return stopped(verified, error),
    };
    let last_segment = new.segments.last().map_or(0, |it| it.base_offset);
    verified.bound_offset = first.bound(request, last_segment);
    let bound = verified.bound_offset;
    let read_words = |source, files| last_words_of(request, source, files, &first.history, bound);
    let words = match read_words(request.old, &old) {
        Ok((words, passes)) => {
            verified.passes = passes;
            words
        }
        Err(error) => return stopped(verified, error),
    };
    verified.keys = words.keys();
    // Damage in NEW is told by the walk.
    let new_words = match read_words(request.new, &new) {
        Ok((words, _)) => Some(words),
        Err(ReadError::Damage(_)) => None,
        Err(ReadError::Storage(error)) => return Err(error.into()),
    };
    walk::walk(
        request,
        (&old, &new),
        &first,
        (&words, new_words.as_ref()),
        &mut verified,
    )?;
    verified
        .violations
        .sort_by_key(|violation| (violation.offset, violation.kind));
    Ok(verified)
}

fn stopped(mut verified: Verified, error: ReadError) -> Result<Verified, VerifyError> {
    match error {
        ReadError::Storage(error) => Err(error.into()),
        ReadError::Damage(damage) => {
            verified.violate(damage.offset, Kind::OldDamaged, damage.to_string());
            Ok(verified)
        }
    }
}

impl std::fmt::Display for Damage {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Damage {
            file,
            position,
            reason,
            ..
        } = self;
        write!(formatter, "{file} at position {position}: {reason}")
    }
}

/// What a first look at OLD gives.
struct FirstLook {
    history: History,
    /// By the batches alone.
    producers: Producers,
    /// As the broker that opens OLD knows them.
    known_producers: Producers,
    log_end_offset: i64,
    /// Base offset and newest timestamp of each segment.
    segments: Vec<(i64, i64)>,
    /// There are messages of magic 0 or 1, of which several can have one offset.
    has_legacy: bool,
}

impl FirstLook {
    /// Where a cleaning had to stop: at the segment with an open transaction, at the active segment of NEW, at the first dirty segment
    /// that was too young.
    fn bound(&self, request: &Request<'_>, active_base_offset: i64) -> i64 {
        let rules = &request.rules;
        if !rules.compact {
            return i64::MIN;
        }
        let stable = self.history.first_open_offset().unwrap_or(i64::MAX);
        let first_dirty_offset = request.old.first_dirty_offset.unwrap_or(i64::MIN);
        let ends = self.segments.iter().skip(1).map(|(base, _)| *base);
        let mut dirty = self
            .segments
            .iter()
            .zip(ends.chain([i64::MAX]))
            .filter(|(_, end)| *end > first_dirty_offset);
        let young = dirty.find(|((_, newest_ms), _)| {
            rules.min_compaction_lag_ms > 0
                && *newest_ms > rules.now_ms.saturating_sub(rules.min_compaction_lag_ms)
        });
        let young = young.map_or(i64::MAX, |((base_offset, _), _)| *base_offset);
        let bound = stable.min(young).min(active_base_offset);
        // Whole segments are cleaned, those of OLD.
        let segments = self.segments.iter().map(|(base_offset, _)| *base_offset);
        let started = segments.take_while(|base_offset| *base_offset <= bound);
        match bound == stable {
            true => started.last().unwrap_or(bound),
            false => bound,
        }
    }
}

fn reader_of(request: &Request<'_>, source: &Source, files: &PartitionFiles) -> PartitionReader {
    PartitionReader::new(
        source.dir.clone(),
        &source.partition_dir,
        files.segments.clone(),
        request.max_decompressed_bytes,
    )
}

/// The next batch; a torn end, as a crash leaves it, is an end.
fn next_of(
    reader: &mut PartitionReader,
    progress: &AtomicU64,
) -> Result<Option<BatchPlace>, ReadError> {
    let before = reader.bytes_read();
    let next = match reader.next_batch() {
        Err(ReadError::Damage(damage)) if damage.is_torn_end => Ok(None),
        next => next,
    };
    progress.fetch_add(reader.bytes_read() - before, Ordering::Relaxed);
    next
}

fn read_history(
    request: &Request<'_>,
    old: &PartitionFiles,
    verified: &mut Verified,
) -> Result<FirstLook, ReadError> {
    let mut reader = reader_of(request, request.old, old);
    let mut first = FirstLook {
        history: History::default(),
        producers: Producers::of_batches(),
        known_producers: Producers::of_opening(request.old, old)?,
        has_legacy: false,
        log_end_offset: old.segments.last().map_or(0, |it| it.base_offset),
        segments: old
            .segments
            .iter()
            .map(|it| (it.base_offset, i64::MIN))
            .collect(),
    };
    while let Some(place) = next_of(&mut reader, request.progress)? {
        let header = place.header;
        let mut marker = None;
        if header.is_control() {
            reader
                .for_each_record(|record| marker = marker_of(&header, record))
                .map_err(|error| ReadError::Damage(reader.damage_at(&place, &error)))?;
        }
        first.history.push(&header, marker);
        first.producers.push(&header);
        first.known_producers.push(&header);
        first.has_legacy |= place.is_legacy;
        if let Some((_, newest_ms)) = first.segments.get_mut(place.segment) {
            *newest_ms = header.max_timestamp.max(*newest_ms);
        }
        first.log_end_offset = first.log_end_offset.max(header.next_offset());
    }
    verified.log_end_offset = first.log_end_offset;
    Ok(first)
}

/// The last words of a log below the bound, and how many passes it took.
fn last_words_of(
    request: &Request<'_>,
    source: &Source,
    files: &PartitionFiles,
    history: &History,
    bound_offset: i64,
) -> Result<(LastWords, u32), ReadError> {
    let mut words = LastWords::new(request.memory_bytes);
    if !request.rules.compact {
        return Ok((words, 0));
    }
    let hasher = KeyHasher::new(&random_secret()?);
    let mut passes = 0;
    loop {
        let mut reader = reader_of(request, source, files);
        let mut ordinal = 0u64;
        passes += 1;
        while let Some(place) = next_of(&mut reader, request.progress)? {
            let header = place.header;
            let counts = !header.is_control() && !history.is_aborted(&header);
            let shown = reader.for_each_record(|record| {
                if let (true, Some(key)) = (counts, record.key)
                    && record.offset < bound_offset
                {
                    words.see(hasher.hash(key), ordinal);
                }
                ordinal += 1;
            });
            shown.map_err(|error| ReadError::Damage(reader.damage_at(&place, &error)))?;
            if header.base_offset >= bound_offset {
                break;
            }
        }
        if !words.end_pass() {
            return Ok((words, passes));
        }
    }
}

fn random_secret() -> Result<[u8; 16], StorageError> {
    let mut secret = [0; 16];
    getrandom::fill(&mut secret).map_err(|error| {
        let error = std::io::Error::other(error.to_string());
        StorageError::io("make", "a secret", error)
    })?;
    Ok(secret)
}
