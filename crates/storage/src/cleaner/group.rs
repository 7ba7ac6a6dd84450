//! Which segments are rewritten together. Pure.
//!
//! Going from old to new, a segment joins the group before it while the survivors of both fit one segment, their index
//! entries fit one index, and their offsets lie within 2^31. Sizes are what the plan says will survive, so that very
//! dirty segments do not leave a row of tiny ones. A segment without anything to change is left alone; a small one joins
//! segments of about its own size: merging then costs each byte a fixed number of copies, not one with every cleaning.
//! A damaged segment is never touched.
//!
//! A group of one segment with nothing to change is not touched at all.

use std::ops::Range;

/// How much larger than its neighbours an unchanged segment may be and still be copied to be merged with them.
const LOPSIDED: u64 = 2;

/// An unchanged segment of at least one in so many parts of `segment.bytes` is left alone.
const LARGE: u64 = 8;

/// What grouping has to know of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupFacts {
    pub base_offset: i64,
    /// Exclusive; the base offset when the segment is empty.
    pub next_offset: i64,
    pub live_bytes: u64,
    pub index_bytes: u64,
    pub time_index_bytes: u64,
    pub is_changed: bool,
    /// Left as it is, alone.
    pub is_isolated: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupLimits {
    pub segment_bytes: u64,
    pub index_bytes: u64,
}

/// Groups of one or more segments, in order, each segment in one of them.
pub fn group(segments: &[GroupFacts], limits: GroupLimits) -> Vec<Range<usize>> {
    let mut groups: Vec<Range<usize>> = Vec::new();
    let mut sum: Option<GroupFacts> = None;
    for (index, segment) in segments.iter().enumerate() {
        match (groups.last_mut(), sum.as_mut()) {
            (Some(last), Some(sum)) if joins(sum, segment, limits) => {
                last.end = index + 1;
                add(sum, segment);
            }
            _ => {
                groups.push(index..index + 1);
                sum = Some(*segment);
            }
        }
    }
    groups
}

fn joins(group: &GroupFacts, next: &GroupFacts, limits: GroupLimits) -> bool {
    let is_empty = next.next_offset == next.base_offset;
    let fits_offsets = is_empty || next.next_offset - 1 - group.base_offset <= i64::from(i32::MAX);
    let fits_bytes = group.live_bytes + next.live_bytes <= limits.segment_bytes
        && group.index_bytes + next.index_bytes <= limits.index_bytes
        && group.time_index_bytes + next.time_index_bytes <= limits.index_bytes;
    let is_large = |it: &GroupFacts| !it.is_changed && it.live_bytes > limits.segment_bytes / LARGE;
    let is_lopsided = !next.is_changed && next.live_bytes > LOPSIDED * group.live_bytes
        || !group.is_changed && group.live_bytes > LOPSIDED * next.live_bytes;
    let is_fixed = |it: &GroupFacts| it.is_isolated || is_large(it);
    fits_offsets && fits_bytes && !is_lopsided && !is_fixed(group) && !is_fixed(next)
}

fn add(group: &mut GroupFacts, next: &GroupFacts) {
    group.next_offset = next.next_offset;
    group.live_bytes += next.live_bytes;
    group.index_bytes += next.index_bytes;
    group.time_index_bytes += next.time_index_bytes;
    group.is_changed |= next.is_changed;
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: GroupLimits = GroupLimits {
        segment_bytes: 100,
        index_bytes: 1_000,
    };

    fn segment(base_offset: i64, live_bytes: u64, is_changed: bool) -> GroupFacts {
        GroupFacts {
            base_offset,
            next_offset: base_offset + 10,
            live_bytes,
            index_bytes: 8,
            time_index_bytes: 12,
            is_changed,
            is_isolated: false,
        }
    }

    #[test]
    fn survivors_that_fit_one_segment_are_put_together() {
        let segments = [40, 40, 20, 1].map(|live_bytes| segment(0, live_bytes, true));
        assert_eq!(group(&segments, LIMITS), [0..3, 3..4]);
    }

    #[test]
    fn a_segment_above_the_limit_is_a_group_of_its_own() {
        let segments = [500, 10, 10].map(|live_bytes| segment(0, live_bytes, true));
        assert_eq!(group(&segments, LIMITS), [0..1, 1..3]);
    }

    #[test]
    fn index_entries_limit_a_group() {
        let mut segments = [1, 1, 1].map(|live_bytes| segment(0, live_bytes, true));
        segments[0].index_bytes = 990;
        segments[1].time_index_bytes = 980;
        assert_eq!(group(&segments, LIMITS), [0..2, 2..3]);
        segments[1].index_bytes = 11;
        assert_eq!(group(&segments, LIMITS), [0..1, 1..3]);
    }

    #[test]
    fn case_13_offsets_of_a_group_lie_within_two_to_the_31() {
        let limit = i64::from(i32::MAX);
        let first = segment(0, 1, true);
        assert_eq!(
            group(&[first, segment(limit - 9, 1, true)], LIMITS).len(),
            1
        );
        assert_eq!(
            group(&[first, segment(limit - 8, 1, true)], LIMITS).len(),
            2
        );
        let empty = GroupFacts {
            next_offset: limit * 2,
            ..segment(limit * 2, 0, true)
        };
        assert_eq!(group(&[first, empty], LIMITS).len(), 1);
    }

    #[test]
    fn an_unchanged_segment_is_not_copied_for_the_sake_of_a_small_one() {
        // A large one, whatever its neighbours are.
        let segments = [
            segment(0, 30, true),
            segment(10, 13, false),
            segment(20, 30, true),
        ];
        assert_eq!(group(&segments, LIMITS), [0..1, 1..2, 2..3]);
        // A small one, unless they have its size.
        let segments = [segment(0, 12, false), segment(10, 5, true)];
        assert_eq!(group(&segments, LIMITS).len(), 2);
        let segments = [
            segment(0, 5, true),
            segment(10, 12, false),
            segment(20, 8, true),
        ];
        assert_eq!(group(&segments, LIMITS), [0..1, 1..3]);
        let segments = [segment(0, 60, true), segment(10, 5, false)];
        assert_eq!(group(&segments, LIMITS).len(), 1);
    }

    #[test]
    fn a_damaged_segment_stays_alone() {
        let damaged = GroupFacts {
            is_isolated: true,
            ..segment(10, 1, false)
        };
        let segments = [segment(0, 1, true), damaged, segment(20, 1, true)];
        assert_eq!(group(&segments, LIMITS), [0..1, 1..2, 2..3]);
    }

    #[test]
    fn small_unchanged_segments_merge_as_they_become_many() {
        // Each round leaves one more segment of 1 byte; what is copied stays within a few times what there is.
        let mut sizes: Vec<u64> = Vec::new();
        let mut copied = 0;
        for _ in 0..1_000 {
            sizes.push(1);
            let limits = GroupLimits {
                segment_bytes: 1_000_000,
                index_bytes: 1_000_000,
            };
            let facts: Vec<_> = sizes
                .iter()
                .map(|bytes| segment(0, *bytes, false))
                .collect();
            let groups = group(&facts, limits);
            let merged = groups.iter().filter(|group| group.len() > 1);
            copied += merged
                .map(|group| sizes[group.clone()].iter().sum::<u64>())
                .sum::<u64>();
            sizes = groups
                .into_iter()
                .map(|group| sizes[group].iter().sum())
                .collect();
            assert!(sizes.len() <= 12, "{sizes:?}");
        }
        assert!(copied < 1_000 * 20, "{copied}");
    }
}
