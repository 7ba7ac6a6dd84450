//! The segments of a log at one moment: immutable, sorted by base offset, never empty.
//!
//! A reader takes an `Arc<SegmentSet>` and keeps it for as long as it reads. Whoever changes the
//! log (roll, retention, cleaning) builds another set under the writer lock and publishes it; a
//! segment that has left the set stays readable for those who hold it.
//!
//! Invariants: base offsets rise strictly; the last segment is the active one; `version` grows by
//! one with every change.

use std::sync::Arc;

use crate::segment::Segment;

/// An immutable list of segments.
pub struct SegmentSet {
    segments: Vec<Arc<Segment>>,
    version: u64,
}

impl SegmentSet {
    /// `segments` sorted by base offset, at least one.
    pub(crate) fn new(segments: Vec<Arc<Segment>>, version: u64) -> SegmentSet {
        assert!(
            !segments.is_empty(),
            "a log has at least its active segment"
        );
        let rising = segments
            .windows(2)
            .all(|pair| pair[0].base_offset() < pair[1].base_offset());
        assert!(rising, "segments must rise by base offset");
        SegmentSet { segments, version }
    }

    /// The set after this one.
    pub(crate) fn with_segments(&self, segments: Vec<Arc<Segment>>) -> SegmentSet {
        SegmentSet::new(segments, self.version + 1)
    }

    /// In order of base offset; the active segment is the last.
    pub fn iter(&self) -> std::slice::Iter<'_, Arc<Segment>> {
        self.segments.iter()
    }

    /// The same as a slice.
    pub fn as_slice(&self) -> &[Arc<Segment>] {
        &self.segments
    }

    /// How many; at least one.
    pub fn len(&self) -> usize {
        self.segments.len()
    }

    /// Never true; clippy wants it beside `len`.
    pub fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    /// Grows with every change of the set.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The oldest segment.
    pub fn first(&self) -> &Arc<Segment> {
        &self.segments[0]
    }

    /// The segment that is written to; never cleaned.
    pub fn active(&self) -> &Arc<Segment> {
        &self.segments[self.segments.len() - 1]
    }

    /// Index of the segment with the greatest base offset at or below `offset`.
    pub fn floor_index(&self, offset: i64) -> Option<usize> {
        self.segments
            .partition_point(|segment| segment.base_offset() <= offset)
            .checked_sub(1)
    }

    /// The segment with the greatest base offset at or below `offset`.
    pub fn floor(&self, offset: i64) -> Option<&Arc<Segment>> {
        self.floor_index(offset).map(|index| &self.segments[index])
    }

    /// "Segments in [from, to)" as Kafka means it: from the segment whose base is the greatest at
    /// or below `from`, up to those whose base is below `to`. Empty when `from >= to`.
    pub fn range(&self, from: i64, to: i64) -> &[Arc<Segment>] {
        if from >= to {
            return &[];
        }
        let start = self.floor_index(from).unwrap_or(0);
        let end = self
            .segments
            .partition_point(|segment| segment.base_offset() < to);
        self.segments.get(start..end).unwrap_or(&[])
    }

    /// Where the segment at `index` ends: the next one's base offset, none for the active one.
    pub fn next_base_offset(&self, index: usize) -> Option<i64> {
        self.segments
            .get(index + 1)
            .map(|segment| segment.base_offset())
    }

    /// Bytes of all `.log` files.
    pub fn size_bytes(&self) -> u64 {
        self.segments
            .iter()
            .map(|segment| u64::from(segment.size_bytes()))
            .sum()
    }

    /// Is this very segment (not merely one of the same name) still here?
    pub fn contains(&self, segment: &Arc<Segment>) -> bool {
        self.floor(segment.base_offset())
            .is_some_and(|found| Arc::ptr_eq(found, segment))
    }
}
