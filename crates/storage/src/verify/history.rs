//! What a log says of its transactions when it is read from the start: which data was rolled back, and what is still
//! open. From the batches alone, no index is asked.
//!
//! Memory follows the transactions that were rolled back and those that are open. No I/O.

use std::collections::HashMap;

use lastword_record::control::ControlRecordType;
use lastword_record::{BatchHeader, Record};

/// A transaction that was rolled back; both offsets inclusive, the last one is the marker's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Abort {
    pub producer_id: i64,
    pub first_offset: i64,
    pub last_offset: i64,
}

/// Fed with batches in order.
#[derive(Debug, Default)]
pub struct History {
    aborts: HashMap<i64, Vec<(i64, i64)>>,
    open: HashMap<i64, i64>,
}

impl History {
    /// Takes the next batch; `marker` is what its control record says, if it has one.
    pub fn push(&mut self, header: &BatchHeader, marker: Option<ControlRecordType>) {
        if !header.has_producer_id() {
            return;
        }
        let id = header.producer_id;
        if !header.is_control() {
            if header.is_transactional() {
                self.open.entry(id).or_insert(header.base_offset);
            }
            return;
        }
        let first_offset = match marker {
            Some(ControlRecordType::Commit | ControlRecordType::Abort) => self.open.remove(&id),
            _ => None,
        };
        if let (Some(ControlRecordType::Abort), Some(first_offset)) = (marker, first_offset) {
            let ranges = self.aborts.entry(id).or_default();
            ranges.push((first_offset, header.last_offset()));
        }
    }

    /// First offset of the earliest transaction without an end.
    pub fn first_open_offset(&self) -> Option<i64> {
        self.open.values().copied().min()
    }

    /// Whether this producer has a transaction without an end.
    pub fn is_open(&self, producer_id: i64) -> bool {
        self.open.contains_key(&producer_id)
    }

    /// Whether a batch is data of a transaction that was rolled back.
    pub fn is_aborted(&self, header: &BatchHeader) -> bool {
        if !header.is_transactional() || header.is_control() {
            return false;
        }
        let Some(ranges) = self.aborts.get(&header.producer_id) else {
            return false;
        };
        let last_offset = header.last_offset();
        let next = ranges.partition_point(|(_, marker_offset)| *marker_offset < last_offset);
        ranges
            .get(next)
            .is_some_and(|(first_offset, _)| *first_offset <= last_offset)
    }

    /// Whether a transaction that was rolled back begins here.
    pub fn has_abort_from(&self, producer_id: i64, first_offset: i64) -> bool {
        let ranges = self.aborts.get(&producer_id);
        let at = ranges.map(|ranges| ranges.binary_search_by_key(&first_offset, |range| range.0));
        at.is_some_and(|found| found.is_ok())
    }

    /// The transaction that this marker rolled back, if there was data of it.
    pub fn abort_at(&self, producer_id: i64, marker_offset: i64) -> Option<Abort> {
        let ranges = self.aborts.get(&producer_id)?;
        let index = ranges.partition_point(|(_, last_offset)| *last_offset < marker_offset);
        let (first_offset, last_offset) = *ranges.get(index)?;
        (last_offset == marker_offset).then_some(Abort {
            producer_id,
            first_offset,
            last_offset,
        })
    }
}

/// What a control record says.
pub fn marker_of(header: &BatchHeader, record: &Record<'_>) -> Option<ControlRecordType> {
    if !header.is_control() {
        return None;
    }
    ControlRecordType::parse(record.key?).ok()
}
