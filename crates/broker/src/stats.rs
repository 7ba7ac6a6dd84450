//! Counters that only metrics read: connections, requests by API, and what each partition took and gave.
//!
//! No lock: relaxed atomics. A reader may see one counter of a request before another.

use std::sync::atomic::{AtomicU64, Ordering};

use lastword_protocol::ApiKey;

/// Keys below this have a counter; Kafka's are below 100.
const KEYS: usize = 128;

/// The broker's own.
#[derive(Debug)]
pub struct Stats {
    connections_opened: AtomicU64,
    connections_closed: AtomicU64,
    connections_refused: AtomicU64,
    requests: [AtomicU64; KEYS],
}

impl Default for Stats {
    fn default() -> Stats {
        Stats {
            connections_opened: AtomicU64::new(0),
            connections_closed: AtomicU64::new(0),
            connections_refused: AtomicU64::new(0),
            requests: [const { AtomicU64::new(0) }; KEYS],
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
