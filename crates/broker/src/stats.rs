//! Counters that only metrics read: connections, requests by API, and what each partition took and gave.
//!
//! Relaxed atomics: a reader may see one counter of a request before another. Lock: `errors`, for one map operation, and
//! only for requests that fail.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use lastword_protocol::{ApiKey, ErrorCode};
use lastword_storage::{Histogram, HistogramView};

use crate::lock::lock;

/// Keys below this have a counter; Kafka's are below 100.
const KEYS: usize = 128;

/// The broker's own.
#[derive(Debug)]
pub struct Stats {
    connections_opened: AtomicU64,
    connections_closed: AtomicU64,
    connections_refused: AtomicU64,
    requests: [AtomicU64; KEYS],
    durations: [Histogram; KEYS],
    fetch_reads: Histogram,
    lookups: [Histogram; 3],
    errors: Mutex<BTreeMap<(ApiKey, &'static str), u64>>,
}

/// What came of a lookup by key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LookupResult {
    /// The key has a value.
    Hit,
    /// There is no record of it.
    Miss,
    /// It was deleted, and the tombstone is still there.
    Tombstone,
}

impl LookupResult {
    /// All of them.
    pub const ALL: [LookupResult; 3] = [
        LookupResult::Hit,
        LookupResult::Miss,
        LookupResult::Tombstone,
    ];

    /// One word.
    pub fn word(self) -> &'static str {
        match self {
            LookupResult::Hit => "hit",
            LookupResult::Miss => "miss",
            LookupResult::Tombstone => "tombstone",
        }
    }
}

impl Default for Stats {
    fn default() -> Stats {
        Stats {
            connections_opened: AtomicU64::new(0),
            connections_closed: AtomicU64::new(0),
            connections_refused: AtomicU64::new(0),
            requests: [const { AtomicU64::new(0) }; KEYS],
            durations: [const { Histogram::new() }; KEYS],
            fetch_reads: Histogram::new(),
            lookups: [const { Histogram::new() }; 3],
            errors: Mutex::default(),
        }
    }
}

impl Stats {
    pub(crate) fn connection_opened(&self) {
        self.connections_opened.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn connection_closed(&self) {
        self.connections_closed.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn connection_refused(&self) {
        self.connections_refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn request(&self, api_key: ApiKey) {
        let counter = usize::try_from(api_key.as_i16()).ok();
        if let Some(counter) = counter.and_then(|key| self.requests.get(key)) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A response is ready to be written, this long after its request was decoded.
    pub(crate) fn answered(&self, api_key: ApiKey, took: Duration) {
        let histogram = usize::try_from(api_key.as_i16()).ok();
        if let Some(histogram) = histogram.and_then(|key| self.durations.get(key)) {
            histogram.record(took);
        }
    }

    /// The records of a fetch were read, once there was something to read.
    pub(crate) fn fetch_read(&self, took: Duration) {
        self.fetch_reads.record(took);
    }

    /// An item of a request was refused: a partition of a produce or a fetch.
    pub(crate) fn error(&self, api_key: ApiKey, code: i16) {
        let name = ErrorCode::from_code(code).map_or("UNKNOWN_SERVER_ERROR", ErrorCode::name);
        self.named_error(api_key, name);
    }

    /// The connection was closed for what a request was.
    pub(crate) fn closed(&self, api_key: ApiKey) {
        self.named_error(api_key, "CONNECTION_CLOSED");
    }

    fn named_error(&self, api_key: ApiKey, name: &'static str) {
        *lock(&self.errors).entry((api_key, name)).or_default() += 1;
    }

    /// A lookup by key was answered.
    pub fn looked_up(&self, result: LookupResult, took: Duration) {
        self.lookups[result as usize].record(took);
    }

    /// How long lookups by key took, by what came of them.
    pub fn lookups(&self) -> impl Iterator<Item = (LookupResult, HistogramView)> {
        LookupResult::ALL
            .into_iter()
            .map(|result| (result, self.lookups[result as usize].view()))
    }

    /// How long reading for fetches took; what they waited for records is not in it.
    pub fn fetch_reads(&self) -> HistogramView {
        self.fetch_reads.view()
    }

    /// Errors by API and Kafka's name.
    pub fn errors(&self) -> Vec<(ApiKey, &'static str, u64)> {
        let errors = lock(&self.errors);
        let named = errors
            .iter()
            .map(|((key, name), count)| (*key, *name, *count));
        named.collect()
    }

    /// How long requests took, of each API that was asked at all.
    pub fn durations(&self) -> impl Iterator<Item = (ApiKey, HistogramView)> {
        self.durations
            .iter()
            .enumerate()
            .filter_map(|(key, histogram)| {
                let api_key = ApiKey::from_i16(i16::try_from(key).ok()?)?;
                let view = histogram.view();
                (view.count() > 0).then_some((api_key, view))
            })
    }

    /// Connections now.
    pub fn connections(&self) -> u64 {
        let closed = self.connections_closed.load(Ordering::Relaxed);
        self.connections_opened().saturating_sub(closed)
    }

    /// Connections accepted since the start.
    pub fn connections_opened(&self) -> u64 {
        self.connections_opened.load(Ordering::Relaxed)
    }

    /// Connections beyond the limits since the start.
    pub fn connections_refused(&self) -> u64 {
        self.connections_refused.load(Ordering::Relaxed)
    }

    /// Requests since the start, of each API that was asked at all.
    pub fn requests(&self) -> impl Iterator<Item = (ApiKey, u64)> {
        self.requests.iter().enumerate().filter_map(|(key, count)| {
            let count = count.load(Ordering::Relaxed);
            let api_key = ApiKey::from_i16(i16::try_from(key).ok()?)?;
            (count > 0).then_some((api_key, count))
        })
    }
}

/// What clients wrote to a partition and read from it since it is served.
#[derive(Debug, Default)]
pub struct Traffic {
    produced_bytes: AtomicU64,
    produced_records: AtomicU64,
    produced_batches: AtomicU64,
    fetched_bytes: AtomicU64,
}

/// The same at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TrafficCounts {
    /// Bytes of batches appended.
    pub produced_bytes: u64,
    /// Offsets that they took.
    pub produced_records: u64,
    /// Batches appended.
    pub produced_batches: u64,
    /// Bytes of records that fetches were answered with.
    pub fetched_bytes: u64,
}

impl Traffic {
    pub(crate) fn produced(&self, bytes: usize, records: u64) {
        self.produced_bytes
            .fetch_add(bytes as u64, Ordering::Relaxed);
        self.produced_records.fetch_add(records, Ordering::Relaxed);
        self.produced_batches.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn fetched(&self, bytes: usize) {
        self.fetched_bytes
            .fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// The counts now.
    pub fn counts(&self) -> TrafficCounts {
        TrafficCounts {
            produced_bytes: self.produced_bytes.load(Ordering::Relaxed),
            produced_records: self.produced_records.load(Ordering::Relaxed),
            produced_batches: self.produced_batches.load(Ordering::Relaxed),
            fetched_bytes: self.fetched_bytes.load(Ordering::Relaxed),
        }
    }
}
