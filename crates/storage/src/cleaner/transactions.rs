//! What cleaning has to know about transactions: which data is aborted, and which markers may go.
//!
//! - Data is aborted when an entry of some `.txnindex` covers it. The entry lies in the segment of its marker, which may
//!   be far behind the data, so the indexes of the whole log are read first. The question has no state: it cannot go
//!   wrong because a scan began in the middle.
//! - A marker may go when its transaction has no data left *at the start of this cleaning*. So it outlives its data by
//!   one pass; that pass stamps it with a delete horizon, and the first pass after the horizon drops it. A batch kept as
//!   a bare header still counts as data. While an abort marker has data, its `.txnindex` entry goes into the output.
//!
//! No lock, no I/O.

use std::collections::HashMap;

use crate::key_index::IndexedBatch;
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
    pub fn contains(&self, batch: &IndexedBatch) -> bool {
        if !batch.is_transactional || batch.is_control {
            return false;
        }
        let ranges = batch.producer.and_then(|(id, _)| self.by_producer.get(&id));
        let Some(ranges) = ranges else {
            return false;
        };
        let last_offset = batch.last_offset;
        let next = ranges.partition_point(|(_, marker_offset)| *marker_offset < last_offset);
        ranges
            .get(next)
            .is_some_and(|(first_offset, _)| *first_offset <= last_offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let batch = |producer_id, base_offset| IndexedBatch {
            position: 0,
            size_bytes: 61,
            crc: 0,
            base_offset,
            last_offset: base_offset + 1,
            first_ordinal: 0,
            record_count: 1,
            is_transactional: true,
            is_control: false,
            end_of_transaction: None,
            producer: Some((producer_id, 0)),
            delete_horizon_ms: None,
            odd_records: Vec::new(),
        };
        let cases = [
            (5, false),
            (10, true),
            (18, true),
            (20, false),
            (25, false),
            (35, true),
        ];
        for (base_offset, expected) in cases {
            assert_eq!(
                aborted.contains(&batch(1, base_offset)),
                expected,
                "{base_offset}"
            );
        }
        let not_transactional = IndexedBatch {
            is_transactional: false,
            ..batch(1, 10)
        };
        assert!(!aborted.contains(&not_transactional));
        let control = IndexedBatch {
            is_control: true,
            ..batch(1, 10)
        };
        assert!(!aborted.contains(&control));
        assert!(!aborted.contains(&batch(3, 10)));
    }
}
