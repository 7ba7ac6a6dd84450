//! What is known of each log from the cleaner's side: for its own decisions, and for whoever asks why a log is not
//! being cleaned. Plain data; the lock is `notes` of `worker::Shared`.

use std::sync::{Arc, Weak};
use std::time::Duration;

use lastword_record::{TopicId, TopicPartition};

use super::choose::{Bounds, DeleteHorizon, Failure, Sizes, Trigger};
use super::plan::{Plan, SegmentPlan};
use super::progress::Progress;
use super::reason::{Pause, Reason, ReasonCode};
use super::stats::{CleanStats, DeadRecords};
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
    /// Why it is not being cleaned, or that it is.
    pub reason: Reason,
    /// What is clean and dirty; none of a log that is not compacted.
    pub bounds: Option<Bounds>,
    pub sizes: Sizes,
    pub min_cleanable_dirty_ratio: f64,
    /// Bytes that have to become dirty until the ratio says that the log is cleaned; none when it never will.
    pub missing_dirty_bytes: Option<u64>,
    /// When the reason can change by the clock alone.
    pub next_ms: Option<i64>,
    /// What the last plan or cleaning counted.
    pub counts: Option<Counts>,
    pub pause: Option<Pause>,
    /// Bytes that a cleaning would give back per byte that it would copy, when the cleaner last planned this log to
    /// find its place in the order; infinite when nothing would be copied. Estimated where batches are compressed.
    pub benefit: Option<f64>,
    /// In the checkpoint file.
    pub first_dirty_offset: Option<i64>,
    pub horizon: DeleteHorizon,
    pub last_stats: Option<CleanStats>,
    /// What all cleanings did since the start.
    pub totals: Totals,
    /// Damaged segments that the last cleaning left as they are.
    pub isolated_segments: Vec<IsolatedSegment>,
    /// What failed last, and when; none after a success.
    pub last_error: Option<(i64, String)>,
    /// Failures without a success between them.
    pub failures: u32,
    pub cleanings: u64,
}

/// Exact counts, as a plan or a cleaning found them: of what is below an offset, at a time. What is written later makes
/// more of it dead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    pub at_ms: i64,
    /// Exclusive; nothing at or above it was looked at.
    pub end_offset: i64,
    pub records: u64,
    /// Keys whose last word has a value.
    pub live_keys: u64,
    /// Tombstones that are the last word, and wait for their horizon.
    pub tombstones: u64,
    pub dead: DeadRecords,
    /// What the dead records take uncompressed, and the batches that go with them.
    pub dead_bytes: u64,
    /// Of the files; estimated where batches are compressed and something is dead.
    pub live_bytes: u64,
}

impl Counts {
    pub(super) fn of_plan(plan: &Plan, bounds: &Bounds, now_ms: i64) -> Counts {
        Counts {
            at_ms: now_ms,
            end_offset: bounds.first_uncleanable_offset,
            records: plan.records,
            live_keys: plan
                .keys
                .saturating_sub(plan.tombstones + plan.dead.expired_tombstones),
            tombstones: plan.tombstones,
            dead: plan.dead,
            dead_bytes: plan.dead_bytes(),
            live_bytes: plan.segments.iter().map(SegmentPlan::live_bytes).sum(),
        }
    }

    /// After a cleaning nothing is dead.
    pub(super) fn of_cleaning(stats: &CleanStats, bounds: &Bounds, live_bytes: u64) -> Counts {
        let gone = stats.tombstones + stats.dead.expired_tombstones;
        Counts {
            at_ms: stats.started_ms,
            end_offset: bounds.first_uncleanable_offset,
            records: stats.records_planned.saturating_sub(stats.dead.total()),
            live_keys: stats.keys.saturating_sub(gone),
            tombstones: stats.tombstones,
            dead: DeadRecords::default(),
            dead_bytes: 0,
            live_bytes,
        }
    }
}

/// What the cleanings of a log did since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    pub ok: u64,
    pub failed: u64,
    /// Paused, or stopped.
    pub aborted: u64,
    pub bytes_read: u64,
    pub bytes_written: u64,
    pub bytes_removed: u64,
    pub records_removed: u64,
    pub tombstones_removed: u64,
}

/// A cleaning that ended well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastCleaning {
    /// Counts the cleanings since the start, from 1.
    pub number: u64,
    pub topic_partition: TopicPartition,
    pub stats: CleanStats,
}

/// The cleaner as a whole.
#[derive(Debug, Clone, PartialEq)]
pub struct CleanerOverview {
    pub is_enabled: bool,
    pub threads_configured: u32,
    pub threads_running: usize,
    /// What is being cleaned, or planned.
    pub busy_with: Arc<[TopicPartition]>,
    /// What all cleanings may read and write now; infinite for no limit.
    pub bytes_per_second: f64,
    /// Read and written since the start.
    pub throttled_bytes: u64,
    /// How long cleanings have waited for their share since the start, all together.
    pub throttled: Duration,
    /// What one cleaning may take for planning.
    pub memory_bytes: usize,
    /// When a thread last looked for work; none before the first time.
    pub last_look_ms: Option<i64>,
}

/// Who has a log, and how far it is.
#[derive(Debug, Clone)]
pub(super) struct Claim {
    pub trigger: Trigger,
    pub since_ms: i64,
    pub progress: Arc<Progress>,
}

/// The cleaner's own notes on a log.
#[derive(Debug, Clone, Default)]
pub(super) struct Notes {
    /// A log of the same name and another id is another log.
    pub topic_id: Option<TopicId>,
    pub in_progress: Option<Claim>,
    pub pause: Option<Pause>,
    pub failure: Option<Failure>,
    pub counts: Option<Counts>,
    pub totals: Totals,
    pub failures: u32,
    pub last_error: Option<(i64, String)>,
    pub last_stats: Option<CleanStats>,
    pub isolated_segments: Vec<IsolatedSegment>,
    pub cleanings: u64,
    /// What was said last.
    pub reason: Option<ReasonCode>,
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
        self.failure = None;
        self.failures = 0;
        self.totals.ok += 1;
        self.totals.bytes_read += stats.log_bytes_indexed + stats.bytes_read;
        self.totals.bytes_written += stats.bytes_written;
        self.totals.bytes_removed += stats.bytes_in.saturating_sub(stats.bytes_out);
        self.totals.records_removed += stats.dead.total();
        self.totals.tombstones_removed += stats.dead.expired_tombstones;
        self.last_error = None;
        self.last_stats = Some(stats);
        self.cleanings += 1;
    }

    /// Answers when to try again. `no_disk`: what a cleaning takes at the most, and what is free.
    pub fn fail(&mut self, error: String, no_disk: Option<(u64, u64)>, now_ms: i64) -> i64 {
        self.in_progress = None;
        self.totals.failed += 1;
        let wait_ms = FIRST_RETRY_MS
            .checked_shl(self.failures)
            .unwrap_or(LAST_RETRY_MS);
        let wait_ms = if wait_ms <= 0 {
            LAST_RETRY_MS
        } else {
            wait_ms.min(LAST_RETRY_MS)
        };
        self.failures = self.failures.saturating_add(1);
        let retry_at_ms = now_ms.saturating_add(wait_ms);
        self.failure = Some(Failure {
            error: error.as_str().into(),
            retry_at_ms,
            no_disk,
        });
        self.last_error = Some((now_ms, error));
        retry_at_ms
    }

    pub fn state(&self) -> CleanerState {
        match (&self.in_progress, &self.failure) {
            (Some(claim), _) => CleanerState::Cleaning(claim.trigger),
            (None, Some(failure)) => CleanerState::Failed {
                retry_at_ms: failure.retry_at_ms,
            },
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
            waits.push(notes.fail("no".to_string(), None, 0));
        }
        assert_eq!(waits[..4], [1_000, 2_000, 4_000, 8_000]);
        assert!(waits[12..].iter().all(|wait_ms| *wait_ms == LAST_RETRY_MS));
        notes.succeed(CleanStats::default(), Vec::new());
        assert_eq!(notes.state(), CleanerState::Idle);
        assert_eq!(notes.fail("no".to_string(), None, 5), 1_005);
    }
}
