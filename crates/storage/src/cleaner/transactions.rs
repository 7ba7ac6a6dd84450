//! What cleaning has to know about transactions: which data is aborted, and which markers may go.
//!
//! - Data is aborted when an entry of some `.txnindex` covers it. The entry lies in the segment of its marker, which may
//!   be far behind the data, so the indexes of the whole log are read first. The question has no state: it cannot go
//!   wrong because a scan began in the middle.
//! - A marker may go when its transaction has no data left *at the start of this cleaning*. So it outlives its data by
//!   one pass; that pass stamps it with a delete horizon, and the first pass after the horizon drops it. A batch kept as
//!   a bare header still counts as data. While an abort marker has data, its `.txnindex` entry goes into the output.
//!
//! Whether a marker has data depends on all that comes before it, and the planner reads the dirty section before the
//! clean one. Each segment is therefore summed up for itself (`SegmentTransactions`), and the sums are joined in log
//! order at the end (`OpenTransactions`). Their size follows the producers, not the records.
//!
//! No lock, no I/O.

use std::collections::{HashMap, HashSet};

use lastword_record::BatchHeader;

use crate::segment::AbortedTransaction;

/// All aborted transactions of a log.
#[derive(Debug, Default)]
pub struct AbortedTransactions {
    /// First offset and offset of the marker, both inclusive, ascending; those of one producer cannot overlap.
    by_producer: HashMap<i64, Vec<(i64, i64)>>,
}

impl AbortedTransactions {
    pub fn new(entries: impl IntoIterator<Item = AbortedTransaction>) -> AbortedTransactions {
        let mut by_producer: HashMap<i64, Vec<(i64, i64)>> = HashMap::new();
        for entry in entries {
            let ranges = by_producer.entry(entry.producer_id).or_default();
            ranges.push((entry.first_offset, entry.last_offset));
        }
        for ranges in by_producer.values_mut() {
            ranges.sort_unstable_by_key(|(_, last_offset)| *last_offset);
        }
        AbortedTransactions { by_producer }
    }

    /// Whether this batch is data of an aborted transaction.
    pub fn contains(&self, header: &BatchHeader) -> bool {
        if self.by_producer.is_empty() || !header.is_transactional() || header.is_control() {
            return false;
        }
        let Some(ranges) = self.by_producer.get(&header.producer_id) else {
            return false;
        };
        let last_offset = header.last_offset();
        let next = ranges.partition_point(|(_, marker_offset)| *marker_offset < last_offset);
        ranges
            .get(next)
            .is_some_and(|(first_offset, _)| *first_offset <= last_offset)
    }
}

/// An end marker that has a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Marker {
    pub producer_id: i64,
    pub is_abort: bool,
    pub ordinal: u64,
    pub last_offset: i64,
    pub delete_horizon_ms: Option<i64>,
}

/// Data and markers of one segment, seen in order.
#[derive(Debug, Default)]
pub struct SegmentTransactions {
    /// Producers with data behind their last marker, if they have one here.
    open: HashSet<i64>,
    /// Producers with a marker here.
    ended: HashSet<i64>,
    /// First markers of their producers, without data before them in this segment.
    undecided: Vec<Marker>,
}

impl SegmentTransactions {
    /// Notes a batch of transactional data.
    pub fn see_data(&mut self, producer_id: i64) {
        self.open.insert(producer_id);
    }

    /// Notes a marker; answers whether its transaction has data, if this segment alone can tell.
    pub fn see_marker(&mut self, marker: Marker) -> Option<bool> {
        let has_data = self.open.remove(&marker.producer_id);
        let is_first = self.ended.insert(marker.producer_id);
        if is_first && !has_data {
            self.undecided.push(marker);
            return None;
        }
        Some(has_data)
    }
}

/// Transactions with data and without a marker yet, at a segment boundary.
#[derive(Debug, Default)]
pub struct OpenTransactions(HashSet<i64>);

impl OpenTransactions {
    /// Passes a segment; answers its undecided markers, each with whether its transaction has data.
    pub fn pass(&mut self, segment: SegmentTransactions) -> Vec<(Marker, bool)> {
        let decided = segment.undecided.into_iter();
        let decided = decided
            .map(|marker| (marker, self.0.contains(&marker.producer_id)))
            .collect();
        self.0
            .retain(|producer_id| !segment.ended.contains(producer_id));
        self.0.extend(segment.open);
        decided
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marker(producer_id: i64, ordinal: u64) -> Marker {
        Marker {
            producer_id,
            is_abort: false,
            ordinal,
            last_offset: 0,
            delete_horizon_ms: None,
        }
    }

    #[test]
    fn a_marker_is_decided_by_the_data_before_it_in_any_segment() {
        let mut first = SegmentTransactions::default();
        first.see_data(1);
        first.see_data(2);
        assert_eq!(first.see_marker(marker(2, 5)), Some(true));
        assert_eq!(first.see_marker(marker(2, 6)), Some(false));
        assert_eq!(first.see_marker(marker(3, 7)), None);

        let mut second = SegmentTransactions::default();
        assert_eq!(second.see_marker(marker(1, 0)), None);
        assert_eq!(second.see_marker(marker(2, 1)), None);
        assert_eq!(second.see_marker(marker(1, 2)), Some(false));

        let mut open = OpenTransactions::default();
        assert_eq!(open.pass(first), [(marker(3, 7), false)]);
        assert_eq!(
            open.pass(second),
            [(marker(1, 0), true), (marker(2, 1), false)]
        );
        assert!(open.0.is_empty());
    }

    #[test]
    fn aborted_data_is_what_an_entry_covers() {
        let entry = |producer_id, first_offset, last_offset| AbortedTransaction {
            producer_id,
            first_offset,
            last_offset,
            last_stable_offset: 0,
        };
        let aborted =
            AbortedTransactions::new([entry(1, 30, 40), entry(1, 10, 20), entry(2, 0, 99)]);
        let batch = |producer_id, base_offset, attributes| BatchHeader {
            base_offset,
            batch_length: 49,
            leader_epoch: 0,
            crc: 0,
            attributes,
            last_offset_delta: 1,
            base_timestamp: 0,
            max_timestamp: 0,
            producer_id,
            producer_epoch: 0,
            base_sequence: 0,
            record_count: 1,
        };
        const TRANSACTIONAL: i16 = 0x10;
        for (base_offset, expected) in [
            (5, false),
            (10, true),
            (18, true),
            (20, false),
            (25, false),
            (35, true),
        ] {
            assert_eq!(
                aborted.contains(&batch(1, base_offset, TRANSACTIONAL)),
                expected,
                "{base_offset}"
            );
        }
        assert!(!aborted.contains(&batch(1, 10, 0)));
        assert!(!aborted.contains(&batch(1, 10, 0x30)));
        assert!(!aborted.contains(&batch(3, 10, TRANSACTIONAL)));
    }
}
