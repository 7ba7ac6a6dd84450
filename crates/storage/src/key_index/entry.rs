//! `Entry`: one keyed record in a key index, as one number that sorts by key and then by place.
//!
//! ```text
//! bits 127..32  KeyHash        bits 31..1  ordinal of the record in its segment        bit 0  null value
//! ```
//! No lock; no I/O.

use super::hash::KeyHash;

/// A segment holds no more records: their ordinals have 31 bits.
pub const MAX_RECORDS: u64 = 1 << 31;
pub const ENTRY_BYTES: usize = 16;

const PLACE_BITS: u32 = 32;

/// One keyed record of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry(u128);

impl Entry {
    /// `ordinal` is below [`MAX_RECORDS`].
    #[inline]
    pub fn new(hash: KeyHash, ordinal: u32, is_tombstone: bool) -> Entry {
        let place = (ordinal << 1) | u32::from(is_tombstone);
        Entry((hash.bits() << PLACE_BITS) | u128::from(place))
    }

    /// No entry of this hash sorts behind it.
    pub fn last_of(hash: KeyHash) -> Entry {
        Entry::new(hash, (MAX_RECORDS - 1) as u32, true)
    }

    #[inline]
    pub fn hash(self) -> KeyHash {
        KeyHash::from_low_bits(self.0 >> PLACE_BITS)
    }

    /// Counts the records of the segment from 0.
    #[inline]
    pub fn ordinal(self) -> u32 {
        self.0 as u32 >> 1
    }

    /// Whether the value is null.
    #[inline]
    pub fn is_tombstone(self) -> bool {
        self.0 & 1 != 0
    }

    #[inline]
    pub fn to_bytes(self) -> [u8; ENTRY_BYTES] {
        self.0.to_le_bytes()
    }

    #[inline]
    pub fn from_bytes(bytes: [u8; ENTRY_BYTES]) -> Entry {
        Entry(u128::from_le_bytes(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_sort_by_key_and_then_by_place() {
        let hash = |bits| KeyHash::from_low_bits(bits);
        let last = (MAX_RECORDS - 1) as u32;
        let entries = [
            Entry::new(hash(0), 0, true),
            Entry::new(hash(0), last, false),
            Entry::new(hash(1), 7, true),
            Entry::new(KeyHash::MAX, 0, false),
            Entry::new(KeyHash::MAX, last, true),
        ];
        assert!(entries.is_sorted());
        for entry in entries {
            let again = Entry::new(entry.hash(), entry.ordinal(), entry.is_tombstone());
            assert_eq!(again, entry);
            assert_eq!(Entry::from_bytes(entry.to_bytes()), entry);
        }
    }
}
