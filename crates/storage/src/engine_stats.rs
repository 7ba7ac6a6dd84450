//! What only metrics read of a log directory: how long syncs and the steps of cleanings took, and why key indexes were
//! built. It starts at 0 with the process.
//!
//! No lock: counters.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::histogram::Histogram;

/// Counters of one log directory.
#[derive(Debug, Default)]
pub struct EngineStats {
    /// Group commits that had something to sync, failures included.
    pub syncs: Histogram,
    /// Key indexes that were built, each.
    pub index_builds: Histogram,
    /// Plans of cleanings, what they had to index included.
    pub plans: Histogram,
    /// Rewrites of cleanings, their swaps included.
    pub rewrites: Histogram,
    missing: AtomicU64,
    unusable: AtomicU64,
}

impl EngineStats {
    pub(crate) fn count_index_build(&self, was_unusable: bool) {
        let counter = match was_unusable {
            true => &self.unusable,
            false => &self.missing,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Key indexes that were built because there was none: of a segment that was just sealed, as a rule.
    pub fn missing_indexes_built(&self) -> u64 {
        self.missing.load(Ordering::Relaxed)
    }

    /// Key indexes that were built because the one that was there could not be used.
    pub fn unusable_indexes_built(&self) -> u64 {
        self.unusable.load(Ordering::Relaxed)
    }
}
