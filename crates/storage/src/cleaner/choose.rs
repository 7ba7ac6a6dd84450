//! Which log is cleaned next, and why each other one is not. Pure: facts in, an answer out. The answer is a `Reason`,
//! which is what everybody is shown.
//!
//! Terms, for one log:
//! ```text
//! first segment        first dirty            first uncleanable          active segment
//! |  clean section      |  dirty section       |  not yet                 |  never
//! ```
//! - *First dirty offset*: the checkpoint, or LogStartOffset when there is none or it lies outside of the log.
//! - *First uncleanable offset*: the lowest of LastStableOffset (never above HighWatermark), the active segment and
//!   the first dirty segment within `min.compaction.lag.ms`, rounded down to the segment that holds it: cleaning works
//!   on whole segments.
//!
//! A log is cleaned when its dirty share is above `min.cleanable.dirty.ratio`, when its oldest dirty segment is older
//! than `max.compaction.lag.ms`, or when a delete horizon has passed; the last needs no dirty byte, so tombstones leave
//! a quiet log as well.
//!
//! The order: logs of internal topics; then those that are late, the latest first; then the dirtiest, or with
//! `lastword.cleaner.order=benefit` those that gain the most for what they cost. Late is a log beyond its maximum lag,
//! and one whose tombstones could have gone for a while: such logs have little dirt, so behind a queue that never
//! empties they would miss their deadlines for ever.

use std::cmp::Ordering;
use std::sync::Arc;

use lastword_record::TopicPartition;

use super::reason::{OpenTransaction, Pause, Reason, Running};

/// Of the time between a horizon's pass and the next, so that a log whose tombstones expire one by one is not read once
/// for each of them.
const HORIZON_SPACING: i64 = 16;
/// The least of it.
const LEAST_SPACING_MS: i64 = 1_000;
/// The same behind a damaged segment, which keeps what could expire for as long as it is there.
const DAMAGED_SPACING_MS: i64 = 600_000;

/// What `choose` has to know of one log.
#[derive(Debug, Clone)]
pub struct LogFacts {
    pub topic_partition: TopicPartition,
    pub is_compacted: bool,
    pub is_closed: bool,
    pub in_progress: Option<InProgress>,
    pub pause: Option<Pause>,
    /// A failed log rests for a while.
    pub failure: Option<Failure>,
    /// A damaged segment that the last cleaning left as it is.
    pub damage: Option<Arc<str>>,
    pub log_start_offset: i64,
    /// LastStableOffset, at most HighWatermark.
    pub last_stable_offset: i64,
    /// The oldest one. Asked for only when it could be in the way.
    pub open_transaction: Option<OpenTransaction>,
    pub log_end_offset: i64,
    /// The first dirty offset in the checkpoint file.
    pub checkpoint_offset: Option<i64>,
    /// In order of base offset; the last is the active one.
    pub segments: Vec<SegmentFacts>,
    /// When the active segment is rolled by the clock.
    pub active_rolls_at_ms: Option<i64>,
    pub min_cleanable_dirty_ratio: f64,
    pub min_compaction_lag_ms: i64,
    pub max_compaction_lag_ms: i64,
    pub delete_retention_ms: i64,
    pub horizon: DeleteHorizon,
    pub last_cleaned_ms: Option<i64>,
    /// Bytes that a cleaning would give back per byte that it would copy, when that drives the order.
    pub benefit: Option<f64>,
}

/// What `choose` has to know of one segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentFacts {
    pub base_offset: i64,
    pub size_bytes: u64,
    /// Largest record timestamp, or the file's time of change when records have none. Asked for only with a minimum
    /// lag.
    pub largest_timestamp_ms: i64,
    /// The maximum timestamp of the first batch, or the file's time of change when it has none. Asked for only with a
    /// maximum lag.
    pub first_batch_timestamp_ms: Option<i64>,
}

/// A cleaning under way.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct InProgress {
    pub running: Running,
    /// What it waits for its share of.
    pub throttled_to: Option<f64>,
}

/// The last cleaning failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub error: Arc<str>,
    pub retry_at_ms: i64,
    /// There was no room on the disk: what a cleaning takes at the most, and what there was.
    pub no_disk: Option<(u64, u64)>,
}

/// What `choose` has to know of the cleaner.
#[derive(Debug, Clone)]
pub struct CleanerFacts {
    pub is_enabled: bool,
    pub threads_configured: u32,
    pub threads_running: usize,
    /// What is being cleaned.
    pub busy_with: Arc<[TopicPartition]>,
}

/// The earliest delete horizon among the tombstones and markers of a log's clean section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeleteHorizon {
    /// Never looked at: a log that another program has cleaned.
    Unknown,
    /// Nothing waits to expire.
    None,
    At(i64),
}

/// Why a log is to be cleaned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Trigger {
    /// Its dirty ratio is above the topic's.
    DirtyRatio,
    /// Its oldest dirty segment is older than the topic's maximum lag.
    MaxCompactionLag,
    /// A tombstone or marker may go.
    DeleteHorizon,
    /// Somebody asked.
    Request,
}

/// What is clean, what is dirty, and where cleaning stops.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bounds {
    pub first_dirty_offset: i64,
    pub first_uncleanable_offset: i64,
    pub clean_bytes: u64,
    pub dirty_bytes: u64,
    /// Dirty share; 0 when there is nothing.
    pub dirty_ratio: f64,
    /// By how much the oldest dirty segment is beyond the maximum lag; 0 when it is not.
    pub overdue_ms: i64,
    /// What keeps the first uncleanable offset down.
    pub limit: Limit,
    /// The checkpoint lay outside of the log and must be written anew.
    pub resets_checkpoint: bool,
}

/// What keeps cleaning from going further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Limit {
    ActiveSegment,
    /// An open transaction, or records that are not yet visible.
    LastStableOffset,
    /// A segment is younger than the minimum lag, until then.
    MinCompactionLag {
        until_ms: i64,
    },
}

/// A log to clean now.
#[derive(Debug, Clone, PartialEq)]
pub struct LogToClean {
    pub topic_partition: TopicPartition,
    pub bounds: Bounds,
    pub trigger: Trigger,
    /// By how much a deadline was missed; 0 for not.
    pub late_ms: i64,
    pub benefit: Option<f64>,
    /// Why it is not being cleaned yet.
    pub reason: Reason,
}

/// The eligible logs in the order of their turn, and every other log with its reason. A closed log is in neither.
#[derive(Debug, Default)]
pub struct Choice {
    pub eligible: Vec<LogToClean>,
    pub not_now: Vec<(TopicPartition, Reason, Option<Bounds>)>,
    /// Partitions whose checkpoint must be written anew, with the first dirty offset to write.
    pub checkpoint_resets: Vec<(TopicPartition, i64)>,
}

/// Whether a topic is one of the broker's own. Their logs are small, are read whole at a start, and never wait for the
/// cleaning of another log.
pub fn is_internal(topic: &str) -> bool {
    matches!(topic, "__consumer_offsets" | "__transaction_state")
}

/// One log, if it is to be cleaned now.
pub fn due(log: &LogFacts, cleaner: &CleanerFacts, now_ms: i64) -> Option<LogToClean> {
    choose(std::slice::from_ref(log), cleaner, now_ms)
        .eligible
        .pop()
}

/// Sorts logs into those to clean, in the order of their turn, and those to leave alone.
pub fn choose(logs: &[LogFacts], cleaner: &CleanerFacts, now_ms: i64) -> Choice {
    let mut choice = Choice::default();
    for log in logs.iter().filter(|log| !log.is_closed) {
        let topic_partition = log.topic_partition.clone();
        if !log.is_compacted {
            let not_now = (topic_partition, Reason::DeletePolicy, None);
            choice.not_now.push(not_now);
            continue;
        }
        let bounds = bounds(log, now_ms);
        if bounds.resets_checkpoint {
            choice
                .checkpoint_resets
                .push((topic_partition.clone(), bounds.first_dirty_offset));
        }
        match trigger(log, &bounds, cleaner, now_ms) {
            Ok(trigger) => choice.eligible.push(LogToClean {
                topic_partition,
                late_ms: late_ms(log, &bounds, now_ms),
                bounds,
                trigger,
                benefit: log.benefit,
                reason: Reason::Clean,
            }),
            Err(reason) => choice.not_now.push((topic_partition, reason, Some(bounds))),
        }
    }
    choice.eligible.sort_by(order);
    let of = choice.eligible.len();
    for (index, log) in choice.eligible.iter_mut().enumerate() {
        log.reason = match cleaner.threads_running {
            0 => Reason::NoWorker {
                running: 0,
                configured: cleaner.threads_configured,
            },
            _ => Reason::Queued {
                place: index + 1,
                of,
                busy_with: cleaner.busy_with.clone(),
            },
        };
    }
    choice
}

/// Whose turn is first.
fn order(a: &LogToClean, b: &LogToClean) -> Ordering {
    let class = |log: &LogToClean| !is_internal(&log.topic_partition.topic);
    let benefit = |log: &LogToClean| log.benefit.unwrap_or(-1.0);
    let by_class = class(a).cmp(&class(b));
    by_class
        .then_with(|| b.late_ms.cmp(&a.late_ms))
        .then_with(|| benefit(b).total_cmp(&benefit(a)))
        .then_with(|| b.bounds.dirty_ratio.total_cmp(&a.bounds.dirty_ratio))
        .then_with(|| a.topic_partition.cmp(&b.topic_partition))
}

fn late_ms(log: &LogFacts, bounds: &Bounds, now_ms: i64) -> i64 {
    let behind_horizon_ms = match log.horizon {
        // No promise says when a tombstone goes at the latest: dirtier logs may go before for a while.
        DeleteHorizon::At(ms) => now_ms.saturating_sub(ms.saturating_add(spacing_ms(log))),
        DeleteHorizon::Unknown | DeleteHorizon::None => 0,
    };
    let behind_lag_ms = match bounds.dirty_bytes {
        0 => 0,
        _ => bounds.overdue_ms,
    };
    behind_lag_ms.max(behind_horizon_ms).max(0)
}

fn spacing_ms(log: &LogFacts) -> i64 {
    let least_ms = match log.damage {
        Some(_) => DAMAGED_SPACING_MS,
        None => LEAST_SPACING_MS,
    };
    (log.delete_retention_ms / HORIZON_SPACING).max(least_ms)
}

/// Why this log is to be cleaned, or why not.
fn trigger(
    log: &LogFacts,
    bounds: &Bounds,
    cleaner: &CleanerFacts,
    now_ms: i64,
) -> Result<Trigger, Reason> {
    if let Some(in_progress) = log.in_progress {
        let running = in_progress.running;
        return Err(match in_progress.throttled_to {
            Some(bytes_per_second) => Reason::Throttled {
                running,
                bytes_per_second,
            },
            None => Reason::Running(running),
        });
    }
    if !cleaner.is_enabled {
        return Err(Reason::Disabled);
    }
    if let Some(pause) = &log.pause {
        return Err(Reason::Paused(pause.clone()));
    }
    let failure = log.failure.as_ref();
    if let Some(failure) = failure.filter(|failure| now_ms < failure.retry_at_ms) {
        return Err(rests(failure));
    }
    if bounds.clean_bytes + bounds.dirty_bytes == 0 {
        return Err(nothing_dirty(log, bounds));
    }
    if bounds.dirty_ratio > log.min_cleanable_dirty_ratio {
        return Ok(Trigger::DirtyRatio);
    }
    if bounds.overdue_ms > 0 && bounds.dirty_bytes > 0 {
        return Ok(Trigger::MaxCompactionLag);
    }
    if horizon_has_passed(log, now_ms) && has_clean_segment(log, bounds) {
        return Ok(Trigger::DeleteHorizon);
    }
    if bounds.dirty_bytes == 0 {
        return Err(nothing_dirty(log, bounds));
    }
    Err(Reason::BelowRatio {
        ratio: bounds.dirty_ratio,
        threshold: log.min_cleanable_dirty_ratio,
    })
}

fn rests(failure: &Failure) -> Reason {
    let retry_at_ms = failure.retry_at_ms;
    match failure.no_disk {
        Some((needs_bytes, free_bytes)) => Reason::NoDisk {
            needs_bytes,
            free_bytes,
            retry_at_ms,
        },
        None => Reason::Quarantined {
            error: failure.error.clone(),
            retry_at_ms: Some(retry_at_ms),
        },
    }
}

/// What keeps the rest of a log from being dirty, whose section that can be cleaned is clean.
fn nothing_dirty(log: &LogFacts, bounds: &Bounds) -> Reason {
    let first_uncleanable_offset = bounds.first_uncleanable_offset;
    let rest = log.segments.iter();
    let mut rest = rest.filter(|segment| segment.base_offset >= first_uncleanable_offset);
    if let Some(damage) = &log.damage {
        return Reason::Quarantined {
            error: damage.clone(),
            retry_at_ms: None,
        };
    }
    if rest.all(|segment| segment.size_bytes == 0) {
        return Reason::Clean;
    }
    match bounds.limit {
        Limit::ActiveSegment => Reason::ActiveSegment {
            rolls_at_ms: log.active_rolls_at_ms,
        },
        Limit::MinCompactionLag { until_ms } => Reason::MinLag { until_ms },
        Limit::LastStableOffset => Reason::OpenTransaction {
            transaction: log.open_transaction,
            last_stable_offset: log.last_stable_offset,
        },
    }
}

/// When the answer can change by the clock alone: a deadline, a retry, a roll. None: only by what is written, or done.
pub fn next_ms(log: &LogFacts, bounds: &Bounds, reason: &Reason, now_ms: i64) -> Option<i64> {
    let by_reason = match reason {
        Reason::Running(_) | Reason::Throttled { .. } | Reason::Queued { .. } => Some(now_ms),
        Reason::NoDisk { retry_at_ms, .. } => Some(*retry_at_ms),
        Reason::Quarantined { retry_at_ms, .. } => *retry_at_ms,
        Reason::ActiveSegment { rolls_at_ms } => *rolls_at_ms,
        Reason::MinLag { until_ms } => Some(*until_ms),
        Reason::Paused(_) | Reason::NoWorker { .. } | Reason::DeletePolicy | Reason::Disabled => {
            return None;
        }
        Reason::Clean | Reason::BelowRatio { .. } | Reason::OpenTransaction { .. } => None,
    };
    let horizon_ms = match log.horizon {
        DeleteHorizon::At(ms) if has_clean_segment(log, bounds) => {
            let last_ms = log.last_cleaned_ms.unwrap_or(i64::MIN);
            Some(ms.max(last_ms.saturating_add(spacing_ms(log))))
        }
        _ => None,
    };
    let first_uncleanable_offset = bounds.first_uncleanable_offset;
    let dirty = log.segments.iter().filter(|segment| {
        (bounds.first_dirty_offset..first_uncleanable_offset).contains(&segment.base_offset)
    });
    let oldest_ms = dirty.filter_map(|it| it.first_batch_timestamp_ms).min();
    let lag_ms = oldest_ms.and_then(|ms| ms.checked_add(log.max_compaction_lag_ms));
    let times = by_reason.into_iter().chain(horizon_ms).chain(lag_ms);
    times.min().map(|ms| ms.max(now_ms))
}

/// Bytes that have to become dirty until the ratio is above the topic's; none when it never will be.
pub fn missing_dirty_bytes(log: &LogFacts, bounds: &Bounds) -> Option<u64> {
    let threshold = log.min_cleanable_dirty_ratio;
    if bounds.dirty_ratio > threshold {
        return Some(0);
    }
    if threshold >= 1.0 {
        return None;
    }
    let total_bytes = (bounds.clean_bytes + bounds.dirty_bytes) as f64;
    let missing = (threshold * total_bytes - bounds.dirty_bytes as f64) / (1.0 - threshold);
    Some(missing.max(0.0) as u64 + 1)
}

fn horizon_has_passed(log: &LogFacts, now_ms: i64) -> bool {
    let is_spaced = log
        .last_cleaned_ms
        .is_none_or(|ms| now_ms.saturating_sub(ms) >= spacing_ms(log));
    match log.horizon {
        DeleteHorizon::Unknown => log.checkpoint_offset.is_some(),
        DeleteHorizon::None => false,
        DeleteHorizon::At(ms) => ms <= now_ms && is_spaced,
    }
}

/// Whether a pass without dirty bytes would look at any segment.
fn has_clean_segment(log: &LogFacts, bounds: &Bounds) -> bool {
    let first = log.segments.first();
    bounds.clean_bytes > 0
        && first.is_some_and(|first| first.base_offset < bounds.first_uncleanable_offset)
}

/// Where this log's clean and dirty sections begin and end.
pub fn bounds(log: &LogFacts, now_ms: i64) -> Bounds {
    let in_log = log.log_start_offset..=log.log_end_offset;
    let checkpoint_offset = log
        .checkpoint_offset
        .filter(|offset| in_log.contains(offset));
    let resets_checkpoint = log.checkpoint_offset.is_some() && checkpoint_offset.is_none();
    let first_dirty_offset = checkpoint_offset.unwrap_or(log.log_start_offset);

    let sealed = log
        .segments
        .split_last()
        .map_or(&[][..], |(_, sealed)| sealed);
    let active_base_offset = log
        .segments
        .last()
        .map_or(log.log_end_offset, |active| active.base_offset);
    let dirty_start = floor(&log.segments, first_dirty_offset).min(sealed.len());
    let too_young = sealed[dirty_start..].iter().find(|segment| {
        log.min_compaction_lag_ms > 0
            && segment.largest_timestamp_ms > now_ms.saturating_sub(log.min_compaction_lag_ms)
    });

    let mut raw = (active_base_offset, Limit::ActiveSegment);
    if let Some(segment) = too_young.filter(|segment| segment.base_offset < raw.0) {
        let until_ms = segment
            .largest_timestamp_ms
            .saturating_add(log.min_compaction_lag_ms);
        raw = (segment.base_offset, Limit::MinCompactionLag { until_ms });
    }
    if log.last_stable_offset < raw.0 {
        raw = (log.last_stable_offset, Limit::LastStableOffset);
    }
    let raw_offset = raw.0.max(first_dirty_offset);
    let first_uncleanable_offset = match log.segments.get(floor(&log.segments, raw_offset)) {
        Some(segment) => segment.base_offset,
        None => first_dirty_offset,
    };

    let sizes = |segments: &[SegmentFacts]| {
        segments
            .iter()
            .map(|segment| segment.size_bytes)
            .sum::<u64>()
    };
    let dirty_end =
        sealed.partition_point(|segment| segment.base_offset < first_uncleanable_offset);
    let dirty_bytes = sizes(sealed.get(dirty_start..dirty_end).unwrap_or(&[]));
    let clean_end = log
        .segments
        .partition_point(|segment| segment.base_offset < first_dirty_offset);
    let clean_bytes = sizes(&log.segments[..clean_end]);
    let total_bytes = clean_bytes + dirty_bytes;
    Bounds {
        first_dirty_offset,
        first_uncleanable_offset,
        clean_bytes,
        dirty_bytes,
        dirty_ratio: if total_bytes == 0 {
            0.0
        } else {
            dirty_bytes as f64 / total_bytes as f64
        },
        overdue_ms: overdue_ms(log, &sealed[dirty_start..], now_ms),
        limit: raw.1,
        resets_checkpoint,
    }
}

/// What a log's bytes and segments are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sizes {
    pub log_start_offset: i64,
    pub last_stable_offset: i64,
    pub log_end_offset: i64,
    /// Below the first dirty offset.
    pub tail_segments: u32,
    pub tail_bytes: u64,
    /// Dirty, and a cleaning takes them.
    pub dirty_segments: u32,
    pub dirty_bytes: u64,
    /// Sealed, and not to be cleaned yet.
    pub waiting_segments: u32,
    pub waiting_bytes: u64,
    pub active_bytes: u64,
}

impl Sizes {
    /// All but the tail.
    pub fn head_bytes(&self) -> u64 {
        self.dirty_bytes + self.waiting_bytes + self.active_bytes
    }

    /// With the active one.
    pub fn segments(&self) -> u32 {
        self.tail_segments + self.dirty_segments + self.waiting_segments + 1
    }

    pub fn total_bytes(&self) -> u64 {
        self.tail_bytes + self.head_bytes()
    }
}

/// Sorts the segments of a log; all of one that is not compacted wait.
pub fn sizes(log: &LogFacts, bounds: Option<&Bounds>) -> Sizes {
    let mut sizes = Sizes {
        log_start_offset: log.log_start_offset,
        last_stable_offset: log.last_stable_offset,
        log_end_offset: log.log_end_offset,
        ..Sizes::default()
    };
    let Some((active, sealed)) = log.segments.split_last() else {
        return sizes;
    };
    sizes.active_bytes = active.size_bytes;
    for segment in sealed {
        let is_below = |offset: Option<i64>| offset.is_some_and(|it| segment.base_offset < it);
        let (count, bytes) = if is_below(bounds.map(|it| it.first_dirty_offset)) {
            (&mut sizes.tail_segments, &mut sizes.tail_bytes)
        } else if is_below(bounds.map(|it| it.first_uncleanable_offset)) {
            (&mut sizes.dirty_segments, &mut sizes.dirty_bytes)
        } else {
            (&mut sizes.waiting_segments, &mut sizes.waiting_bytes)
        };
        *count += 1;
        *bytes += segment.size_bytes;
    }
    sizes
}

/// By how much the oldest dirty segment is beyond the maximum lag. It counts from the first batch of each segment that
/// is not active, cleanable or not.
fn overdue_ms(log: &LogFacts, dirty: &[SegmentFacts], now_ms: i64) -> i64 {
    let timestamps = dirty
        .iter()
        .filter_map(|segment| segment.first_batch_timestamp_ms);
    let Some(oldest_ms) = timestamps.filter(|ms| *ms > 0).min() else {
        return 0;
    };
    now_ms
        .saturating_sub(log.max_compaction_lag_ms)
        .saturating_sub(oldest_ms)
        .max(0)
}

/// The index of the segment that holds the offset: the last one that does not start behind it, else the first.
fn floor(segments: &[SegmentFacts], offset: i64) -> usize {
    segments
        .partition_point(|segment| segment.base_offset <= offset)
        .saturating_sub(1)
}

#[cfg(test)]
mod tests;
