//! Which segments retention lets go. Pure: sizes, times and offsets in, a number out.
//!
//! | policy | may delete |
//! |---|---|
//! | contains `delete` | below LogStartOffset, then by size, then by time |
//! | `compact` only, or none | below LogStartOffset |
//!
//! Always the oldest first, never one that is not wholly below HighWatermark, and never the
//! active segment while it is empty. When everything may go, the log rolls first so that an
//! active segment remains.

use crate::config::LogConfig;

/// What retention knows of a segment.
#[derive(Clone, Copy, Debug)]
pub struct SegmentFacts {
    pub size_bytes: u64,
    /// Largest record timestamp, or the file's time when records have none.
    pub largest_timestamp_ms: i64,
    /// The next segment's base offset, LogEndOffset for the active one.
    pub upper_bound_offset: i64,
    pub is_active: bool,
}

/// Why a segment was deleted: for the log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetentionReason {
    BelowLogStartOffset,
    Size,
    Time,
}

/// The offsets retention must respect.
#[derive(Clone, Copy, Debug)]
pub struct RetentionBounds {
    pub log_start_offset: i64,
    pub high_watermark: i64,
    pub now_ms: i64,
}

/// The reasons to delete the first segments, one per segment, oldest first.
pub fn deletable(
    segments: &[SegmentFacts],
    bounds: RetentionBounds,
    config: &LogConfig,
) -> Vec<RetentionReason> {
    let below_start = count_below_log_start(segments, bounds);
    let mut reasons = vec![RetentionReason::BelowLogStartOffset; below_start];
    if !config.cleanup_policy.delete {
        return reasons;
    }
    let by_size = count_by_size(&segments[below_start..], bounds, config.retention_bytes);
    reasons.extend(std::iter::repeat_n(RetentionReason::Size, by_size));
    let rest = &segments[below_start + by_size..];
    let by_time = count_by_time(rest, bounds, config.retention_ms);
    reasons.extend(std::iter::repeat_n(RetentionReason::Time, by_time));
    reasons
}

fn may_go(segment: &SegmentFacts, bounds: RetentionBounds) -> bool {
    let is_empty_active = segment.is_active && segment.size_bytes == 0;
    segment.upper_bound_offset <= bounds.high_watermark && !is_empty_active
}

fn count_below_log_start(segments: &[SegmentFacts], bounds: RetentionBounds) -> usize {
    segments
        .iter()
        .take_while(|segment| {
            !segment.is_active
                && may_go(segment, bounds)
                && segment.upper_bound_offset <= bounds.log_start_offset
        })
        .count()
}

fn count_by_size(segments: &[SegmentFacts], bounds: RetentionBounds, limit_bytes: i64) -> usize {
    let Ok(limit_bytes) = u64::try_from(limit_bytes) else {
        return 0;
    };
    let total: u64 = segments.iter().map(|segment| segment.size_bytes).sum();
    let Some(mut excess) = total.checked_sub(limit_bytes) else {
        return 0;
    };
    let mut count = 0;
    for segment in segments {
        let Some(rest) = excess.checked_sub(segment.size_bytes) else {
            break;
        };
        if !may_go(segment, bounds) {
            break;
        }
        excess = rest;
        count += 1;
    }
    count
}

fn count_by_time(segments: &[SegmentFacts], bounds: RetentionBounds, retention_ms: i64) -> usize {
    if retention_ms < 0 {
        return 0;
    }
    segments
        .iter()
        .take_while(|segment| {
            let age_ms = bounds.now_ms.saturating_sub(segment.largest_timestamp_ms);
            may_go(segment, bounds) && age_ms > retention_ms
        })
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::CleanupPolicy;

    const BOUNDS: RetentionBounds = RetentionBounds {
        log_start_offset: 0,
        high_watermark: 40,
        now_ms: 1_000,
    };

    /// Four segments of ten offsets and 100 bytes; the last is active.
    fn segments() -> Vec<SegmentFacts> {
        (1..=4)
            .map(|i| SegmentFacts {
                size_bytes: 100,
                largest_timestamp_ms: i * 100,
                upper_bound_offset: i * 10,
                is_active: i == 4,
            })
            .collect()
    }

    fn config(compact: bool, delete: bool, retention_ms: i64, retention_bytes: i64) -> LogConfig {
        LogConfig {
            cleanup_policy: CleanupPolicy { compact, delete },
            retention_ms,
            retention_bytes,
            ..LogConfig::default()
        }
    }

    fn count(bounds: RetentionBounds, config: &LogConfig) -> usize {
        deletable(&segments(), bounds, config).len()
    }

    #[test]
    fn time_takes_segments_older_than_the_limit() {
        for (retention_ms, expected) in [(-1, 0), (900, 0), (899, 1), (700, 2), (699, 3), (0, 4)] {
            assert_eq!(
                count(BOUNDS, &config(false, true, retention_ms, -1)),
                expected
            );
        }
    }

    #[test]
    fn size_takes_segments_while_the_rest_still_reaches_the_limit() {
        for (retention_bytes, expected) in [(-1, 0), (400, 0), (301, 0), (300, 1), (150, 2), (0, 4)]
        {
            assert_eq!(
                count(BOUNDS, &config(false, true, -1, retention_bytes)),
                expected
            );
        }
    }

    #[test]
    fn compact_only_loses_nothing_but_what_lies_below_the_log_start() {
        let raised = RetentionBounds {
            log_start_offset: 25,
            ..BOUNDS
        };
        assert_eq!(count(BOUNDS, &config(true, false, 0, 0)), 0);
        assert_eq!(count(raised, &config(true, false, 0, 0)), 2);
        assert_eq!(count(raised, &config(false, false, 0, 0)), 2);
        assert_eq!(count(raised, &config(true, true, -1, -1)), 2);
    }

    #[test]
    fn nothing_at_or_above_the_high_watermark_goes() {
        let low = RetentionBounds {
            high_watermark: 29,
            ..BOUNDS
        };
        assert_eq!(count(low, &config(false, true, 0, 0)), 2);
    }

    #[test]
    fn an_empty_active_segment_stays() {
        let mut facts = segments();
        facts[3].size_bytes = 0;
        let config = config(false, true, 0, -1);
        assert_eq!(deletable(&facts, BOUNDS, &config).len(), 3);
    }

    #[test]
    fn both_limits_together_give_each_segment_its_first_reason() {
        let config = config(true, true, 650, 300);
        assert_eq!(
            deletable(&segments(), BOUNDS, &config),
            [
                RetentionReason::Size,
                RetentionReason::Time,
                RetentionReason::Time
            ]
        );
    }
}
