//! `.timeindex`: from a timestamp to an offset.
//!
//! ```text
//! off len field             big endian
//!   0   8 timestamp         the largest up to that offset, strictly rising
//!   8   4 offset - base     last offset of the batch that has it
//! ```
//! Gets an entry together with the `.index`, if a larger timestamp was seen since, and a last one when the segment is
//! sealed: so the last entry of a sealed segment is its largest timestamp. An entry is a hint, as in the `.index`.

use super::index_file::IndexFile;
use crate::error::StorageError;

pub(super) const ENTRY_BYTES: usize = 12;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TimeEntry {
    pub timestamp: i64,
    pub offset: i64,
}

impl TimeEntry {
    /// `None` when the offset is too far from the base.
    pub fn encode(self, base_offset: i64) -> Option<[u8; ENTRY_BYTES]> {
        let relative = i32::try_from(self.offset.checked_sub(base_offset)?).ok()?;
        let mut bytes = [0; ENTRY_BYTES];
        bytes[..8].copy_from_slice(&self.timestamp.to_be_bytes());
        bytes[8..].copy_from_slice(&relative.to_be_bytes());
        Some(bytes)
    }

    pub fn decode(bytes: &[u8; ENTRY_BYTES], base_offset: i64) -> TimeEntry {
        let [t0, t1, t2, t3, t4, t5, t6, t7, relative @ ..] = *bytes;
        TimeEntry {
            timestamp: i64::from_be_bytes([t0, t1, t2, t3, t4, t5, t6, t7]),
            offset: base_offset.saturating_add(i64::from(i32::from_be_bytes(relative))),
        }
    }
}

/// The last entry whose timestamp is not above `timestamp`.
pub(super) fn floor(
    index: &IndexFile<ENTRY_BYTES>,
    base_offset: i64,
    timestamp: i64,
) -> Result<Option<TimeEntry>, StorageError> {
    let count = index
        .partition_point(|entry| TimeEntry::decode(entry, base_offset).timestamp <= timestamp)?;
    let Some(last) = count.checked_sub(1) else {
        return Ok(None);
    };
    Ok(index
        .entry(last)?
        .map(|entry| TimeEntry::decode(&entry, base_offset)))
}
