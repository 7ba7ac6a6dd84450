//! `OrdinalSet`: a set of record ordinals of one segment, as a bitmap that grows to its highest
//! member.
//!
//! An ordinal counts the records of a segment from 0, through all of its batches; the header of a
//! batch holds its record count, so a batch covers a known range of ordinals and the question "has
//! this batch a dead record?" needs no decompression.
//!
//! Invariant: `count` is the number of bits set. No lock; no I/O.

use std::ops::Range;

/// Ordinals from one segment; at most 2^32 of them, which the planner checks.
#[derive(Debug, Default, Clone)]
pub struct OrdinalSet {
    words: Vec<u64>,
    count: u64,
}

impl OrdinalSet {
    /// An empty set with room for ordinals below this, where many of them may come.
    pub fn with_room_for(ordinals: u64) -> OrdinalSet {
        OrdinalSet {
            words: vec![0; ordinals.div_ceil(64) as usize],
            count: 0,
        }
    }

    /// Adds an ordinal; answers whether it is new.
    #[inline]
    pub fn insert(&mut self, ordinal: u64) -> bool {
        let index = (ordinal >> 6) as usize;
        if index >= self.words.len() {
            self.grow(index);
        }
        let mask = 1u64 << (ordinal & 63);
        let is_new = self.words[index] & mask == 0;
        self.words[index] |= mask;
        self.count += u64::from(is_new);
        is_new
    }

    #[cold]
    fn grow(&mut self, index: usize) {
        // Double, so that ordinals that arrive in order cost amortised constant time.
        let len = (index + 1).max(self.words.len() * 2);
        self.words.resize(len, 0);
    }

    /// Adds the members of another set.
    pub fn insert_those_of(&mut self, mut other: OrdinalSet) {
        if self.words.len() < other.words.len() {
            std::mem::swap(self, &mut other);
        }
        for (word, more) in self.words.iter_mut().zip(&other.words) {
            self.count += u64::from((more & !*word).count_ones());
            *word |= more;
        }
    }

    /// Adds all ordinals of the range; answers how many are new.
    pub fn insert_all(&mut self, range: Range<u64>) -> u64 {
        range.map(|ordinal| u64::from(self.insert(ordinal))).sum()
    }

    /// Takes all members of `other` out.
    pub fn remove_all(&mut self, other: &OrdinalSet) {
        for (word, other) in self.words.iter_mut().zip(&other.words) {
            self.count -= u64::from((*word & other).count_ones());
            *word &= !other;
        }
    }

    /// Bytes of memory.
    pub fn memory_bytes(&self) -> u64 {
        (self.words.len() * 8) as u64
    }

    pub fn contains(&self, ordinal: u64) -> bool {
        self.words
            .get((ordinal >> 6) as usize)
            .is_some_and(|word| word & (1 << (ordinal & 63)) != 0)
    }

    /// How many members the set has.
    pub fn len(&self) -> u64 {
        self.count
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// How many members lie in the range.
    pub fn count_in(&self, range: Range<u64>) -> u64 {
        self.words_in(range)
            .map(|word| u64::from(word.count_ones()))
            .sum()
    }

    /// How many ordinals of the range are members of this set and not of `other`.
    pub fn count_in_without(&self, range: Range<u64>, other: &OrdinalSet) -> u64 {
        if self.is_empty() {
            return 0;
        }
        let first = (range.start >> 6) as usize;
        self.words_in(range)
            .zip(first..)
            .map(|(word, index)| {
                let without = word & !other.words.get(index).copied().unwrap_or(0);
                u64::from(without.count_ones())
            })
            .sum()
    }

    /// How many members are not members of `other`.
    pub fn count_without(&self, other: &OrdinalSet) -> u64 {
        self.count_in_without(0..(self.words.len() as u64) << 6, other)
    }

    /// The members in the range, ascending.
    pub fn iter_in(&self, range: Range<u64>) -> impl Iterator<Item = u64> + '_ {
        let first = range.start >> 6;
        self.words_in(range)
            .zip(first..)
            .flat_map(|(mut word, index)| {
                std::iter::from_fn(move || {
                    let bit = word.trailing_zeros();
                    word &= word.wrapping_sub(1);
                    (bit < 64).then_some((index << 6) + u64::from(bit))
                })
            })
    }

    /// The words that the range touches, with the bits outside it cleared.
    fn words_in(&self, range: Range<u64>) -> impl Iterator<Item = u64> + '_ {
        let first = (range.start >> 6) as usize;
        let end = (range.end.div_ceil(64) as usize).min(self.words.len());
        let words = self.words.get(first..end.max(first)).unwrap_or(&[]);
        words.iter().zip(first as u64..).map(move |(word, index)| {
            let start = index << 6;
            let mut mask = u64::MAX;
            if range.start > start {
                mask &= u64::MAX << (range.start - start);
            }
            if range.end < start + 64 {
                mask &= !(u64::MAX << (range.end - start));
            }
            word & mask
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_count_only_their_own_members() {
        let mut set = OrdinalSet::default();
        for ordinal in [0, 1, 63, 64, 127, 128, 1000] {
            assert!(set.insert(ordinal));
            assert!(!set.insert(ordinal));
        }
        assert_eq!(set.len(), 7);
        assert_eq!(set.count_in(0..1), 1);
        assert_eq!(set.count_in(0..64), 3);
        assert_eq!(set.count_in(63..65), 2);
        assert_eq!(set.count_in(64..128), 2);
        assert_eq!(set.count_in(2..63), 0);
        assert_eq!(set.count_in(5..5), 0);
        assert_eq!(set.count_in(129..100_000), 1);
        assert_eq!(set.count_in(90_000..100_000), 0);
        assert!(set.contains(1000) && !set.contains(999) && !set.contains(1 << 31));
    }

    #[test]
    fn the_members_of_two_sets_are_counted_once() {
        for (one, other) in [
            (0..70, 60..200),
            (60..200, 0..70),
            (0..0, 5..9),
            (5..9, 0..0),
        ] {
            let (mut set, mut more) = (OrdinalSet::default(), OrdinalSet::default());
            set.insert_all(one.clone());
            more.insert_all(other.clone());
            set.insert_those_of(more);
            let members: Vec<u64> = (0..300)
                .filter(|o| one.contains(o) || other.contains(o))
                .collect();
            assert_eq!(set.iter_in(0..300).collect::<Vec<_>>(), members);
            assert_eq!(set.len(), members.len() as u64);
        }
    }

    #[test]
    fn members_of_a_range_come_in_order() {
        let mut set = OrdinalSet::default();
        assert_eq!(set.insert_all(60..70), 10);
        assert_eq!(set.insert_all(65..72), 2);
        assert_eq!(
            set.iter_in(0..1_000).collect::<Vec<_>>(),
            (60..72).collect::<Vec<_>>()
        );
        assert_eq!(set.iter_in(63..65).collect::<Vec<_>>(), [63, 64]);
        assert_eq!(set.iter_in(100..200).count(), 0);
    }

    #[test]
    fn members_of_another_set_can_be_left_out() {
        let (mut set, mut other) = (OrdinalSet::default(), OrdinalSet::default());
        for ordinal in 0..200 {
            set.insert(ordinal);
        }
        for ordinal in 100..110 {
            other.insert(ordinal);
        }
        assert_eq!(set.count_in_without(95..115, &other), 10);
        assert_eq!(set.count_without(&other), 190);
        assert_eq!(other.count_without(&set), 0);
        set.remove_all(&other);
        assert_eq!((set.len(), set.count_in(95..115)), (190, 10));
    }
}
