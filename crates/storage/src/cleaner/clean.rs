//! One cleaning of one log, on the calling thread: plan, then group by group rewrite and replace.
//!
//! Groups go from old to new. An expired tombstone is dropped no earlier than every value it covers, so a crash between
//! two groups, or a cleaning that stops there, never brings a deleted key back. For the same reason a group that cannot
//! be replaced ends the cleaning; a group whose inputs have partly gone meanwhile (retention, DeleteRecords) is written
//! again from the ones that are left.
//!
//! The segments of the log are immutable and held by their `Arc`, so the plan stays true while the log goes on.
//! This file takes no lock; `Log::replace_segments` takes the log's.

use std::sync::Arc;

use lastword_record::{BatchBuilder, BatchSpec, Decompressor};

use super::choose::DeleteHorizon;
use super::control::Control;
use super::group::{GroupFacts, GroupLimits, group};
use super::key_table::{KeyHasher, KeyTable};
use super::plan::{Plan, PlanRequest, SegmentPlan, plan};
use super::progress::Phase;
use super::retain::Rules;
use super::rewrite::{Rewrite, VanishedTransactions, discard, rewrite};
use super::stats::CleanStats;
use crate::error::StorageError;
use crate::log::Log;
use crate::segment::Segment;

/// How often a group is written again because an input went away under it.
const STALE_LIMIT: u32 = 8;

/// Buffers and tables of a cleaning; they can be kept for the next one.
pub struct CleanerResources {
    pub hasher: KeyHasher,
    pub table: KeyTable,
    pub decompressor: Decompressor,
    pub builder: BatchBuilder,
    /// Bytes of one read.
    pub buffer_bytes: usize,
    pub write_buffer: Vec<u8>,
}

impl CleanerResources {
    /// The table grows with its need, up to `table_bytes`.
    pub fn new(
        hasher: KeyHasher,
        table_bytes: usize,
        load_factor: f64,
        max_decompressed_bytes: usize,
    ) -> CleanerResources {
        CleanerResources {
            hasher,
            table: KeyTable::new(table_bytes, load_factor),
            decompressor: Decompressor::new(max_decompressed_bytes),
            builder: BatchBuilder::new(BatchSpec::default()),
            buffer_bytes: 1 << 20,
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
#[derive(Debug, Clone, Copy)]
pub struct Cleaned {
    pub stats: CleanStats,
    /// The next first dirty offset, for the checkpoint.
    pub first_dirty_offset: i64,
    /// When the log has something to drop again.
    pub horizon: DeleteHorizon,
}

/// Finds what a cleaning would drop, and changes nothing.
pub fn plan_log(
    log: &Log,
    request: CleanRequest,
    resources: &mut CleanerResources,
    control: &Control<'_>,
) -> Result<Plan, StorageError> {
    let all_segments = log.segments();
    let first_uncleanable_offset = request.first_uncleanable_offset;
    let segments = all_segments.as_slice();
    let end = segments.partition_point(|segment| segment.base_offset() < first_uncleanable_offset);
    // Whatever the caller says, the active segment is never cleaned.
    let sealed = &segments[..end.min(segments.len() - 1)];
    let sizes = sealed.iter().map(|it| u64::from(it.size_bytes()));
    control.progress.begin(Phase::Planning, sizes.sum());
    let pins = log.producer_pins(request.now_ms);
    let new_horizon_ms = new_horizon_ms(log, request.now_ms);
    plan(
        &PlanRequest {
            segments: sealed,
            all_segments: segments,
            first_dirty_offset: request.first_dirty_offset,
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

/// Cleans a log once.
pub fn clean_log(
    log: &Log,
    request: CleanRequest,
    resources: &mut CleanerResources,
    control: &Control<'_>,
) -> Result<Cleaned, StorageError> {
    let mut timer = Timer::start();
    let plan = plan_log(log, request, resources, control)?;
    let mut stats = CleanStats {
        started_ms: request.now_ms,
        plan_ms: timer.lap_ms(),
        passes: plan.passes,
        keys: plan.keys,
        records_planned: plan.records,
        dead: plan.dead,
        bytes_planned: plan.bytes,
        ..CleanStats::default()
    };
    let changed = plan.segments.iter().filter(|it| it.is_changed());
    // Read whole, and what lives is written.
    let bytes = changed.map(|it| (2 * u64::from(it.size_bytes)).saturating_sub(it.dead_bytes()));
    control.progress.begin(Phase::Rewriting, bytes.sum());
    let mut vanished = VanishedTransactions::default();
    for range in groups(log, &plan) {
        control.between_steps()?;
        let planned: Vec<&SegmentPlan> = plan.segments[range].iter().collect();
        if let [segment] = planned.as_slice()
            && !segment.is_changed()
        {
            stats.segments_untouched += 1;
            continue;
        }
        clean_group(
            log,
            request,
            &plan,
            planned,
            resources,
            control,
            &mut vanished,
            &mut stats,
        )?;
    }
    stats.rewrite_ms = timer.lap_ms();

    let new_horizon_ms = new_horizon_ms(log, request.now_ms);
    let is_new_needed = stats.horizons_stamped > 0 || vanished.any;
    let horizons = plan
        .earliest_horizon_ms
        .into_iter()
        .chain(is_new_needed.then_some(new_horizon_ms));
    Ok(Cleaned {
        stats,
        first_dirty_offset: request
            .first_dirty_offset
            .max(request.first_uncleanable_offset),
        horizon: horizons
            .min()
            .map_or(DeleteHorizon::None, DeleteHorizon::At),
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
            live_bytes: u64::from(planned.size_bytes) - planned.dead_bytes(),
            index_bytes: planned.segment.index_size_bytes(),
            time_index_bytes: planned.segment.time_index_size_bytes(),
            is_changed: planned.is_changed(),
        })
        .collect();
    let limits = GroupLimits {
        segment_bytes: u64::from(config.effective_segment_bytes()),
        index_bytes: u64::from(config.segment_index_bytes),
    };
    group(&facts, limits)
}

#[expect(
    clippy::too_many_arguments,
    reason = "the state of one cleaning, handed down one level"
)]
fn clean_group(
    log: &Log,
    request: CleanRequest,
    plan: &Plan,
    mut planned: Vec<&SegmentPlan>,
    resources: &mut CleanerResources,
    control: &Control<'_>,
    vanished: &mut VanishedTransactions,
    stats: &mut CleanStats,
) -> Result<(), StorageError> {
    let mut attempts = 0;
    loop {
        let current = log.segments();
        planned.retain(|planned| current.contains(&planned.segment));
        if planned.is_empty() {
            return Ok(());
        }
        // As late as possible: a producer that has written meanwhile pins less.
        let pins = log.producer_pins(request.now_ms);
        let rewriting = Rewrite {
            log,
            plan,
            rules: Rules {
                pins: &pins,
                first_uncleanable_offset: request.first_uncleanable_offset,
                new_horizon_ms: new_horizon_ms(log, request.now_ms),
            },
            now_ms: request.now_ms,
            segment_bytes: u64::from(log.config().effective_segment_bytes()),
        };
        let mut group_stats = *stats;
        let outputs = rewrite(
            &rewriting,
            &planned,
            resources,
            control,
            vanished,
            &mut group_stats,
        )?;
        // The first segment's name is where the log begins; elsewhere an empty file would only be in the way.
        let is_first = current.first().base_offset() == planned[0].segment.base_offset();
        let outputs = if is_first {
            outputs
        } else {
            without_empty(outputs)
        };
        let inputs: Vec<Arc<Segment>> = planned
            .iter()
            .map(|planned| planned.segment.clone())
            .collect();
        group_stats.segments_out += outputs.len() as u32;
        match log.replace_segments(&inputs, outputs) {
            Ok(()) => {
                *stats = group_stats;
                stats.segments_in += inputs.len() as u32;
                return Ok(());
            }
            Err(StorageError::Stale) if attempts < STALE_LIMIT => attempts += 1,
            Err(error) => return Err(error),
        }
    }
}

fn without_empty(outputs: Vec<Segment>) -> Vec<Segment> {
    let (empty, outputs) = outputs.into_iter().partition(Segment::is_empty);
    discard(empty);
    outputs
}

/// Measures how long the steps take; decides nothing.
struct Timer(std::time::Instant);

impl Timer {
    fn start() -> Timer {
        Timer(std::time::Instant::now())
    }

    fn lap_ms(&mut self) -> u64 {
        let elapsed = self.0.elapsed();
        self.0 = std::time::Instant::now();
        elapsed.as_millis() as u64
    }
}
