//! What is known of each log from the cleaner's side: for its own decisions, and for whoever asks why a log is not
//! being cleaned. Plain data; the lock is `notes` of `worker::Shared`.

use std::sync::Weak;

use lastword_record::{TopicId, TopicPartition};

use super::choose::{Bounds, DeleteHorizon, Reason, Trigger};
use super::stats::CleanStats;
use crate::log::SegmentSet;

/// First wait after a failure; it doubles with every further one.
const FIRST_RETRY_MS: i64 = 1_000;
const LAST_RETRY_MS: i64 = 3_600_000;

/// A log's state with the cleaner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CleanerState {
    Idle,
    /// It is claimed: being cleaned, or planned to find its place in the order or for a dry run.
    Cleaning(Trigger),
    /// The last cleaning failed; it is tried again at this time.
    Failed {
        retry_at_ms: i64,
    },
}

/// A damaged segment that is left as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IsolatedSegment {
    /// Its `.log`, in the log directory.
    pub file: String,
    /// What is wrong, and at which position.
    pub damage: String,
}

/// A log as the cleaner sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct LogStatus {
    pub topic_partition: TopicPartition,
    pub state: CleanerState,
    /// Why it is not being cleaned; none while it is, or before it was first looked at.
    pub reason: Option<Reason>,
    /// What was clean and dirty when the cleaner last looked.
    pub bounds: Option<Bounds>,
    /// Bytes that a cleaning would give back per byte that it would copy, when the cleaner last planned this log to
    /// find its place in the order; infinite when nothing would be copied. Estimated where batches are compressed.
    pub benefit: Option<f64>,
    /// In the checkpoint file.
    pub first_dirty_offset: Option<i64>,
    pub horizon: DeleteHorizon,
    pub last_stats: Option<CleanStats>,
    /// Damaged segments that the last cleaning left as they are.
    pub isolated_segments: Vec<IsolatedSegment>,
    /// What failed last, and when; none after a success.
    pub last_error: Option<(i64, String)>,
    /// Failures without a success between them.
    pub failures: u32,
    pub cleanings: u64,
}

/// The cleaner's own notes on a log.
#[derive(Debug, Clone, Default)]
pub(super) struct Notes {
    /// A log of the same name and another id is another log.
    pub topic_id: Option<TopicId>,
    pub in_progress: Option<Trigger>,
    pub retry_at_ms: Option<i64>,
    pub failures: u32,
    pub last_error: Option<(i64, String)>,
    pub last_stats: Option<CleanStats>,
    pub isolated_segments: Vec<IsolatedSegment>,
    pub cleanings: u64,
    pub reason: Option<Reason>,
    pub bounds: Option<Bounds>,
    /// Nothing at or above it is cleaned.
    pub ceiling_offset: Option<i64>,
    pub benefit: Option<KnownBenefit>,
}

/// What a plan said, and what it depends on: while that is the same, the answer is.
#[derive(Debug, Clone)]
pub(super) struct KnownBenefit {
    /// None: the plan failed.
    pub benefit: Option<f64>,
    pub first_dirty_offset: i64,
    pub first_uncleanable_offset: i64,
    /// Weak is enough: its allocation is not used again while this is here.
    pub segments: Weak<SegmentSet>,
    /// Tombstones that may go are dead.
    pub has_horizon_passed: bool,
}

impl KnownBenefit {
    /// Whether it is of a log like this one.
    pub fn holds_for(&self, other: &KnownBenefit) -> bool {
        self.first_dirty_offset == other.first_dirty_offset
            && self.first_uncleanable_offset == other.first_uncleanable_offset
            && self.segments.ptr_eq(&other.segments)
            && self.has_horizon_passed == other.has_horizon_passed
    }
}

impl Notes {
    pub fn succeed(&mut self, stats: CleanStats, isolated_segments: Vec<IsolatedSegment>) {
        self.isolated_segments = isolated_segments;
        self.in_progress = None;
        self.retry_at_ms = None;
        self.failures = 0;
        self.last_error = None;
        self.last_stats = Some(stats);
        self.cleanings += 1;
    }

    /// Answers when to try again.
    pub fn fail(&mut self, error: String, now_ms: i64) -> i64 {
        self.in_progress = None;
        let wait_ms = FIRST_RETRY_MS
            .checked_shl(self.failures)
            .unwrap_or(LAST_RETRY_MS);
        let wait_ms = if wait_ms <= 0 {
            LAST_RETRY_MS
        } else {
            wait_ms.min(LAST_RETRY_MS)
        };
        self.failures = self.failures.saturating_add(1);
        self.last_error = Some((now_ms, error));
        let retry_at_ms = now_ms.saturating_add(wait_ms);
        self.retry_at_ms = Some(retry_at_ms);
        retry_at_ms
    }

    pub fn state(&self) -> CleanerState {
        match (self.in_progress, self.retry_at_ms) {
            (Some(trigger), _) => CleanerState::Cleaning(trigger),
            (None, Some(retry_at_ms)) => CleanerState::Failed { retry_at_ms },
            (None, None) => CleanerState::Idle,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_wait_twice_as_long_each_time_up_to_an_hour() {
        let mut notes = Notes::default();
        let mut waits = Vec::new();
        for _ in 0..70 {
            waits.push(notes.fail("no".to_string(), 0));
        }
        assert_eq!(waits[..4], [1_000, 2_000, 4_000, 8_000]);
        assert!(waits[12..].iter().all(|wait_ms| *wait_ms == LAST_RETRY_MS));
        notes.succeed(CleanStats::default(), Vec::new());
        assert_eq!(notes.state(), CleanerState::Idle);
        assert_eq!(notes.fail("no".to_string(), 5), 1_005);
    }
}
