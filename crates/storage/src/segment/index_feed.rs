//! When a batch gets index entries. Pure: appending, rebuilding and recovery all ask here, so a rebuilt index equals the
//! one that was lost.

use lastword_record::BatchHeader;

use super::offset_index::OffsetEntry;
use super::time_index::TimeEntry;

/// What appending a batch adds to the indexes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NewEntries {
    pub offset: OffsetEntry,
    /// Only when a larger timestamp was seen since the last entry.
    pub time: Option<TimeEntry>,
}

/// What the indexes know of the log so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct IndexFeed {
    interval_bytes: u32,
    /// Start of the batch that got the last entry; 0 before there is one.
    last_indexed_position: u32,
    /// Largest timestamp, and the last offset of the first batch that has it.
    pub max: TimeEntry,
    last_time_entry: i64,
}

/// Before any batch with a timestamp.
pub(super) const NO_TIMESTAMP: i64 = -1;

impl IndexFeed {
    pub fn new(base_offset: i64, interval_bytes: u32) -> IndexFeed {
        let max = TimeEntry {
            timestamp: NO_TIMESTAMP,
            offset: base_offset,
        };
        IndexFeed {
            interval_bytes,
            last_indexed_position: 0,
            max,
            last_time_entry: NO_TIMESTAMP,
        }
    }

    /// The state after these entries were the last ones.
    pub fn resume(&mut self, last_indexed_position: u32, last_time_entry: Option<TimeEntry>) {
        self.last_indexed_position = last_indexed_position;
        if let Some(entry) = last_time_entry {
            self.last_time_entry = entry.timestamp;
            self.max = entry;
        }
    }

    /// Notes a batch that is in the indexes already, as far as it belongs there.
    pub fn observe(&mut self, header: &BatchHeader) {
        if header.max_timestamp > self.max.timestamp {
            self.max = TimeEntry {
                timestamp: header.max_timestamp,
                offset: header.last_offset(),
            };
        }
    }

    /// Takes the next batch, which starts at `position`.
    pub fn batch(&mut self, header: &BatchHeader, position: u32) -> Option<NewEntries> {
        self.observe(header);
        if position - self.last_indexed_position <= self.interval_bytes {
            return None;
        }
        self.last_indexed_position = position;
        let offset = OffsetEntry {
            offset: header.last_offset(),
            position,
        };
        Some(NewEntries {
            offset,
            time: self.time_entry(),
        })
    }

    /// The last time index entry of a sealed segment, unless it is there already.
    pub fn time_entry(&mut self) -> Option<TimeEntry> {
        let is_new = self.max.timestamp > self.last_time_entry;
        self.last_time_entry = self.last_time_entry.max(self.max.timestamp);
        is_new.then_some(self.max)
    }
}
