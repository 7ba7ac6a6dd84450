//! `Histogram`: how long something took, in buckets that never change. What it counts starts at 0 with the process.
//!
//! No lock: relaxed atomics. A look that meets a record may see its bucket before its sum.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper ends of the buckets, inclusive, in microseconds. From the page cache to a disk that hangs.
pub const BOUNDS_US: [u64; 17] = [
    50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
    1_000_000, 2_500_000, 10_000_000, 60_000_000,
];
const BUCKETS: usize = BOUNDS_US.len() + 1;

/// Counts of durations; see the file header.
#[derive(Debug)]
pub struct Histogram {
    /// The last is of what is longer than every bound.
    counts: [AtomicU64; BUCKETS],
    sum_us: AtomicU64,
}

/// A histogram at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistogramView {
    /// Of each bucket alone; the last is of what is longer than every bound.
    pub counts: [u64; BUCKETS],
    /// Of all durations.
    pub sum_us: u64,
}

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram::new()
    }
}

impl Histogram {
    /// An empty one.
    pub const fn new() -> Histogram {
        Histogram {
            counts: [const { AtomicU64::new(0) }; BUCKETS],
            sum_us: AtomicU64::new(0),
        }
    }

    /// Counts one duration.
    pub fn record(&self, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS_US.partition_point(|bound| *bound < us);
        if let Some(count) = self.counts.get(bucket) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.sum_us.fetch_add(us, Ordering::Relaxed);
    }

    /// What was counted so far.
    pub fn view(&self) -> HistogramView {
        HistogramView {
            counts: std::array::from_fn(|bucket| self.counts[bucket].load(Ordering::Relaxed)),
            sum_us: self.sum_us.load(Ordering::Relaxed),
        }
    }
}

impl HistogramView {
    /// Durations that were counted.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_counted_in_the_first_bucket_that_reaches_it() {
        let histogram = Histogram::new();
        for us in [0, 50, 51, 60_000_000, 60_000_001] {
            histogram.record(Duration::from_micros(us));
        }
        let view = histogram.view();
        assert_eq!(view.counts[..3], [2, 1, 0]);
        assert_eq!(view.counts[BUCKETS - 2..], [1, 1]);
        assert_eq!((view.count(), view.sum_us), (5, 120_000_102));
    }
}
