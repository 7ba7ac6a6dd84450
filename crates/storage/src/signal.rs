//! `Signal`: says that something has happened, to a thread that looks after it now and then.
//!
//! Lock: `count`, for arithmetic only; no other lock is taken under it, so it may be raised under any.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::lock::lock;

/// Counts events, so that none is missed between two looks.
#[derive(Debug, Default)]
pub(crate) struct Signal {
    count: Mutex<u64>,
    changed: Condvar,
}

impl Signal {
    pub fn raise(&self) {
        *lock(&self.count) += 1;
        self.changed.notify_all();
    }

    /// How often it was raised.
    pub fn count(&self) -> u64 {
        *lock(&self.count)
    }

    /// Waits until it was raised more often than `seen`, but not longer than this.
    pub fn wait_beyond(&self, seen: u64, longest: Duration) {
        let waited = self
            .changed
            .wait_timeout_while(lock(&self.count), longest, |count| *count == seen);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }
}
