//! `Progress`: how far one cleaning is, for whoever looks on from another thread, and the wish that it ends.
//!
//! The cleaning counts bytes and never waits for a look; what is seen may be a batch old. What a step expects is an
//! estimate: an index that is built in several passes reads more, so a look never shows more than all of it. A cleaning
//! that is given up ends at its next batch.
//!
//! No lock: atomics. `begin` belongs to the cleaning's own thread.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

/// The step that a cleaning is at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Phase {
    /// Not begun.
    #[default]
    Waiting,
    /// Building the key indexes that are missing.
    Indexing,
    /// Finding out what is dead.
    Planning,
    /// Writing and swapping segments.
    Rewriting,
}

/// Counts of one cleaning; see the file header.
#[derive(Debug, Default)]
pub struct Progress {
    phase: AtomicU8,
    done_bytes: AtomicU64,
    expected_bytes: AtomicU64,
    is_throttled: AtomicBool,
    is_given_up: AtomicBool,
}

/// A look at a cleaning.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ProgressView {
    pub phase: Phase,
    /// Bytes of this step read and written, never more than expected.
    pub done_bytes: u64,
    pub expected_bytes: u64,
}

impl Progress {
    /// A step begins; the count starts again.
    pub fn begin(&self, phase: Phase, expected_bytes: u64) {
        self.done_bytes.store(0, Ordering::Relaxed);
        self.expected_bytes.store(expected_bytes, Ordering::Relaxed);
        self.phase.store(phase as u8, Ordering::Relaxed);
    }

    /// Bytes were read or written.
    pub fn advance(&self, bytes: u64) {
        self.done_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Whether the last bytes had to wait for the rate.
    pub fn is_throttled(&self) -> bool {
        self.is_throttled.load(Ordering::Relaxed)
    }

    pub(super) fn set_throttled(&self, is_throttled: bool) {
        self.is_throttled.store(is_throttled, Ordering::Relaxed);
    }

    /// Ends the cleaning soon: what was swapped in stays.
    pub fn give_up(&self) {
        self.is_given_up.store(true, Ordering::Relaxed);
    }

    /// Whether the cleaning is to end.
    pub fn is_given_up(&self) -> bool {
        self.is_given_up.load(Ordering::Relaxed)
    }

    /// How far it is.
    pub fn view(&self) -> ProgressView {
        let expected_bytes = self.expected_bytes.load(Ordering::Relaxed);
        ProgressView {
            phase: match self.phase.load(Ordering::Relaxed) {
                0 => Phase::Waiting,
                1 => Phase::Indexing,
                2 => Phase::Planning,
                _ => Phase::Rewriting,
            },
            done_bytes: self.done_bytes.load(Ordering::Relaxed).min(expected_bytes),
            expected_bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_that_reads_more_than_expected_is_not_more_than_done() {
        let progress = Progress::default();
        assert_eq!(progress.view(), ProgressView::default());
        progress.begin(Phase::Planning, 100);
        progress.advance(30);
        progress.advance(30);
        assert_eq!(progress.view().done_bytes, 60);
        progress.advance(60);
        assert_eq!(progress.view().done_bytes, 100);
        progress.begin(Phase::Rewriting, 40);
        let view = ProgressView {
            phase: Phase::Rewriting,
            done_bytes: 0,
            expected_bytes: 40,
        };
        assert_eq!(progress.view(), view);
    }
}
