//! `.index`: from an offset to a position in the `.log`.
//!
//! ```text
//! off len field             big endian
//!   0   4 offset - base     last offset of a batch, strictly rising
//!   4   4 position          where that batch starts in the .log
//! ```
//! Sparse: a batch gets an entry when more than `index.interval.bytes` were written since the last batch that got one.
//! An entry is a hint: whoever uses it checks the batch it leads to.

use super::index_file::IndexFile;
use crate::error::StorageError;

pub(super) const ENTRY_BYTES: usize = 8;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OffsetEntry {
    pub offset: i64,
    pub position: u32,
}

impl OffsetEntry {
    /// `None` when the offset is too far from the base; then it does not belong into the segment at all.
    pub fn encode(self, base_offset: i64) -> Option<[u8; ENTRY_BYTES]> {
        let relative = i32::try_from(self.offset.checked_sub(base_offset)?).ok()?;
        let mut bytes = [0; ENTRY_BYTES];
        bytes[..4].copy_from_slice(&relative.to_be_bytes());
        bytes[4..].copy_from_slice(&self.position.to_be_bytes());
        Some(bytes)
    }

    pub fn decode(bytes: &[u8; ENTRY_BYTES], base_offset: i64) -> OffsetEntry {
        let [o0, o1, o2, o3, position @ ..] = *bytes;
        let relative = i32::from_be_bytes([o0, o1, o2, o3]);
        OffsetEntry {
            offset: base_offset.saturating_add(i64::from(relative)),
            position: u32::from_be_bytes(position),
        }
    }
}

/// How many entries have an offset that is not above `offset`.
pub(super) fn floor_count(
    index: &IndexFile<ENTRY_BYTES>,
    base_offset: i64,
    offset: i64,
) -> Result<u32, StorageError> {
    index.partition_point(|entry| OffsetEntry::decode(entry, base_offset).offset <= offset)
}
