//! One cleaning of one log, on the calling thread: plan, then group by group rewrite and replace.
//!
//! Groups go from old to new. An expired tombstone is dropped no earlier than every value it covers, so a crash between
//! two groups, or a cleaning that stops there, never brings a deleted key back. For the same reason a group that cannot
//! be replaced ends the cleaning; when its inputs have partly gone meanwhile (retention, DeleteRecords), the rest is
//! planned again.
//!
//! The segments of the log are immutable and held by their `Arc`, so the plan stays true while the log goes on.
//! This file takes no lock; `Log::replace_segments` takes the log's.

use std::sync::Arc;

use lastword_record::{BatchBuilder, BatchSpec, Decompressor};

use super::choose::DeleteHorizon;
use super::control::Control;
use super::finishing::{Finishing, WrittenGroup};
use super::group::{GroupFacts, GroupLimits, group};
use super::plan::{Plan, PlanRequest, SegmentPlan, plan};
use super::progress::Phase;
use super::rebatch::Rebatching;
use super::retain::Rules;
use super::rewrite::{Rewrite, VanishedTransactions, rewrite};
use super::stats::CleanStats;
use super::status::IsolatedSegment;
use crate::error::StorageError;
use crate::key_index::{self, KeyHasher};
use crate::log::Log;
use crate::segment::Segment;

/// Buffers of a cleaning; they can be kept for the next one.
pub struct CleanerResources {
    pub hasher: KeyHasher,
    /// For the join of key indexes, and for building one.
    pub memory_bytes: usize,
    pub decompressor: Decompressor,
    pub builder: BatchBuilder,
    pub read_buffer: Vec<u8>,
    pub write_buffer: Vec<u8>,
}

impl CleanerResources {
    /// Memory for plans comes on top of that for a batch, decompressed.
    pub fn new(
        hasher: KeyHasher,
        memory_bytes: usize,
        max_decompressed_bytes: usize,
    ) -> CleanerResources {
        CleanerResources {
            hasher,
            memory_bytes,
            decompressor: Decompressor::new(max_decompressed_bytes),
            builder: BatchBuilder::new(BatchSpec::default()),
            read_buffer: Vec::new(),
            write_buffer: Vec::new(),
        }
    }
}

/// What to clean.
#[derive(Debug, Clone, Copy)]
pub struct CleanRequest {
    pub first_dirty_offset: i64,
    /// The base offset of a segment; that segment and all behind it are left alone.
    pub first_uncleanable_offset: i64,
    pub now_ms: i64,
}

/// What came of it.
#[derive(Debug, Clone)]
pub struct Cleaned {
    pub stats: CleanStats,
    /// The next first dirty offset, for the checkpoint.
    pub first_dirty_offset: i64,
    /// When the log has something to drop again.
    pub horizon: DeleteHorizon,
    /// Damaged segments that were left as they are.
    pub isolated: Vec<IsolatedSegment>,
}

/// Finds what a cleaning would drop, and changes nothing but key indexes and the format of old segments.
pub fn plan_log(
    log: &Log,
    request: CleanRequest,
    resources: &mut CleanerResources,
    control: &Control<'_>,
) -> Result<Plan, StorageError> {
    let mut isolated = Vec::new();
    let mut attempts = Attempts::default();
    loop {
        let result = plan_once(log, request, &isolated, resources, control);
        match result {
            Err(error) => attempts.repair(log, error, &mut isolated)?,
            plan => return plan,
        }
    }
}

fn plan_once(
    log: &Log,
    request: CleanRequest,
    isolated: &[(Arc<Segment>, String)],
    resources: &mut CleanerResources,
    control: &Control<'_>,
) -> Result<Plan, StorageError> {
    let all_segments = log.segments();
    let first_uncleanable_offset = request.first_uncleanable_offset;
    let segments = all_segments.as_slice();
    let end = segments.partition_point(|segment| segment.base_offset() < first_uncleanable_offset);
    // Whatever the caller says, the active segment is never cleaned.
    let sealed = &segments[..end.min(segments.len() - 1)];
    let missing = sealed.iter().filter(|it| !it.has_key_index());
    let bytes = missing.map(|it| u64::from(it.size_bytes()));
    control.progress.begin(Phase::Indexing, bytes.sum());
    let pins = log.producer_pins(request.now_ms);
    let new_horizon_ms = new_horizon_ms(log, request.now_ms);
    plan(
        &PlanRequest {
            segments: sealed,
            all_segments: segments,
            isolated,
            rules: Rules {
                pins: &pins,
                first_uncleanable_offset,
                new_horizon_ms,
            },
            now_ms: request.now_ms,
        },
        resources,
        control,
    )
}

/// Cleans a log once. A damaged segment is isolated, and everything else is cleaned.
pub fn clean_log(
    log: &Log,
    request: CleanRequest,
    resources: &mut CleanerResources,
    control: &Control<'_>,
) -> Result<Cleaned, StorageError> {
    let mut stats = CleanStats {
        started_ms: request.now_ms,
        ..CleanStats::default()
    };
    let mut isolated = Vec::new();
    let mut attempts = Attempts::default();
    loop {
        match clean_once(log, request, &isolated, resources, control, &mut stats) {
            Err(error) => attempts.repair(log, error, &mut isolated)?,
            cleaned => return cleaned,
        }
    }
}

/// How often a cleaning was begun again.
#[derive(Default)]
struct Attempts(u32);

impl Attempts {
    /// Takes what was in the way out of the way: a segment with messages of magic 0 or 1 is converted, a damaged one
    /// isolated, a damaged key index removed. Any other error is answered.
    fn repair(
        &mut self,
        log: &Log,
        error: StorageError,
        isolated: &mut Vec<(Arc<Segment>, String)>,
    ) -> Result<(), StorageError> {
        let segments = log.segments();
        self.0 += 1;
        if self.0 as usize > 2 * segments.len() + 2 {
            return Err(error);
        }
        match &error {
            StorageError::CorruptSegment {
                file,
                position,
                reason,
            } => {
                match log.upgrade_legacy(&error) {
                    Ok(true) => return Ok(()),
                    // Damaged itself, or not old at all.
                    Ok(false) | Err(StorageError::CorruptSegment { .. }) => {}
                    Err(failed) => return Err(failed),
                }
                let is_known =
                    |it: &&Arc<Segment>| isolated.iter().any(|(known, _)| Arc::ptr_eq(known, it));
                let damaged = segments
                    .iter()
                    .find(|it| it.log_path() == *file && !is_known(it));
                let Some(segment) = damaged else {
                    return Err(error);
                };
                isolated.push((segment.clone(), format!("at position {position}: {reason}")));
                Ok(())
            }
            StorageError::CorruptKeyIndex { base_offset, .. } => {
                tracing::warn!(%error, "a key index is damaged and is built again");
                match segments.iter().find(|it| it.base_offset() == *base_offset) {
                    Some(segment) => key_index::discard(log, segment),
                    None => Err(error),
                }
            }
            // A segment has left the log under the cleaning: retention, or DeleteRecords.
            StorageError::Stale => Ok(()),
            _ => Err(error),
        }
    }
}

fn clean_once(
    log: &Log,
    request: CleanRequest,
    isolated: &[(Arc<Segment>, String)],
    resources: &mut CleanerResources,
    control: &Control<'_>,
    stats: &mut CleanStats,
) -> Result<Cleaned, StorageError> {
    let mut timer = Timer::start();
    let plan = plan_once(log, request, isolated, resources, control)?;
    let took = timer.lap();
    stats.plan_ms += took.as_millis() as u64;
    log.engine_stats().plans.record(took);
    stats.keys = plan.keys;
    stats.records_planned = plan.records;
    stats.tombstones = plan.tombstones;
    stats.dead = plan.dead;
    stats.dead_bytes = plan.dead_bytes();
    stats.indexes_built += plan.indexes_built;
    stats.log_bytes_indexed += plan.log_bytes_read;
    stats.index_passes = stats.index_passes.max(plan.index_passes);
    stats.index_bytes = plan.index_bytes;
    stats.memory_bytes = stats.memory_bytes.max(plan.memory_bytes);
    let isolated = plan.segments.iter().filter_map(|planned| {
        Some(IsolatedSegment {
            file: planned.segment.log_path(),
            damage: planned.damage.clone()?,
        })
    });
    let isolated: Vec<IsolatedSegment> = isolated.collect();
    stats.segments_isolated = isolated.len() as u32;
    let changed = plan.segments.iter().filter(|it| it.is_changed());
    // At most: read whole, and what lives is written.
    let bytes = changed.map(|it| u64::from(it.size_bytes) + it.live_bytes());
    control.progress.begin(Phase::Rewriting, bytes.sum());
    let mut vanished = VanishedTransactions::default();
    let groups = groups(log, &plan);
    let untouched = groups.iter().map(|range| &plan.segments[range.clone()]);
    let untouched = untouched.filter(|group| is_untouched(group) && !group[0].is_isolated());
    stats.segments_untouched += untouched.count() as u32;
    let rewritten = std::thread::scope(|scope| {
        let mut finishing = Finishing::new(scope, log, *stats);
        let segments = plan.segments.into_iter();
        let rewritten = rewrite_groups(
            log,
            request,
            (segments, groups),
            resources,
            control,
            &mut vanished,
            &mut finishing,
        );
        // A group that could not be swapped in says more than what came of it.
        let finished = finishing.wait();
        *stats = finishing.stats;
        finished.and(rewritten)
    });
    rewritten?;
    let took = timer.lap();
    stats.rewrite_ms += took.as_millis() as u64;
    log.engine_stats().rewrites.record(took);

    let new_horizon_ms = new_horizon_ms(log, request.now_ms);
    // Behind a damaged segment something may have been held back: whoever repairs it does not write to the log.
    let is_new_needed =
        stats.horizons_stamped > 0 || vanished.has_any() || stats.segments_isolated > 0;
    let horizons = plan
        .earliest_horizon_ms
        .into_iter()
        .chain(is_new_needed.then_some(new_horizon_ms));
    Ok(Cleaned {
        stats: *stats,
        first_dirty_offset: request
            .first_dirty_offset
            .max(request.first_uncleanable_offset),
        horizon: horizons
            .min()
            .map_or(DeleteHorizon::None, DeleteHorizon::At),
        isolated,
    })
}

fn new_horizon_ms(log: &Log, now_ms: i64) -> i64 {
    now_ms.saturating_add(log.config().delete_retention_ms)
}

/// Which segments are rewritten together.
fn groups(log: &Log, plan: &Plan) -> Vec<std::ops::Range<usize>> {
    let config = log.config();
    let facts: Vec<GroupFacts> = plan
        .segments
        .iter()
        .map(|planned| GroupFacts {
            base_offset: planned.segment.base_offset(),
            next_offset: planned.segment.next_offset(),
            live_bytes: planned.live_bytes(),
            index_bytes: planned.segment.index_size_bytes(),
            time_index_bytes: planned.segment.time_index_size_bytes(),
            is_changed: planned.is_changed(),
            is_isolated: planned.is_isolated(),
        })
        .collect();
    let limits = GroupLimits {
        segment_bytes: u64::from(config.effective_segment_bytes()),
        index_bytes: u64::from(config.segment_index_bytes),
    };
    group(&facts, limits)
}

/// A segment that stays as it is.
fn is_untouched(group: &[SegmentPlan]) -> bool {
    matches!(group, [segment] if !segment.is_changed())
}

/// Rewrites one group after the other; while one is made durable and swapped in the next is being rewritten.
fn rewrite_groups(
    log: &Log,
    request: CleanRequest,
    (mut segments, groups): (std::vec::IntoIter<SegmentPlan>, Vec<std::ops::Range<usize>>),
    resources: &mut CleanerResources,
    control: &Control<'_>,
    vanished: &mut VanishedTransactions,
    finishing: &mut Finishing<'_, '_>,
) -> Result<(), StorageError> {
    let mut stats = finishing.stats;
    for range in groups {
        control.between_steps()?;
        let mut planned: Vec<SegmentPlan> = segments.by_ref().take(range.len()).collect();
        if is_untouched(&planned) {
            continue;
        }
        let current = log.segments();
        planned.retain(|planned| current.contains(&planned.segment));
        if planned.is_empty() {
            continue;
        }
        // As late as possible: a producer that has written meanwhile pins less.
        let pins = log.producer_pins(request.now_ms);
        let rewriting = Rewrite {
            log,
            rules: Rules {
                pins: &pins,
                first_uncleanable_offset: request.first_uncleanable_offset,
                new_horizon_ms: new_horizon_ms(log, request.now_ms),
            },
            now_ms: request.now_ms,
            segment_bytes: u64::from(log.config().effective_segment_bytes()),
            rebatching: Rebatching::of(&log.config()),
        };
        let written = rewrite(
            &rewriting, &planned, resources, control, finishing, vanished, &mut stats,
        )?;
        finishing.begin(WrittenGroup {
            planned,
            written,
            stats,
        })?;
    }
    Ok(())
}

/// Measures how long the steps take; decides nothing.
struct Timer(std::time::Instant);

impl Timer {
    fn start() -> Timer {
        Timer(std::time::Instant::now())
    }

    fn lap(&mut self) -> std::time::Duration {
        let elapsed = self.0.elapsed();
        self.0 = std::time::Instant::now();
        elapsed
    }
}
