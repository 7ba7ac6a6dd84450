//! `HashRange`: a part of all key hashes, for work that goes through them part by part because not all fit the memory.
//! Pure.

use super::hash::KeyHash;

/// Hashes from `low` to `high`, both inclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HashRange {
    low: u128,
    high: u128,
}

impl HashRange {
    pub const ALL: HashRange = HashRange {
        low: 0,
        high: KeyHash::MAX.bits(),
    };

    #[inline]
    pub fn contains(&self, hash: KeyHash) -> bool {
        self.low <= hash.bits() && hash.bits() <= self.high
    }

    /// The lower seven eighths: as much as possible of what is there already is work done. `None` for one hash.
    pub fn narrowed(&self) -> Option<HashRange> {
        let width = self.high - self.low + 1;
        (width > 1).then(|| HashRange {
            low: self.low,
            high: self.low + (width - width.div_ceil(8)) - 1,
        })
    }

    /// The next part, as wide as the memory will take, judged by how many there were in this one.
    pub fn next(&self, count: usize, max_count: usize) -> Option<HashRange> {
        if self.high >= KeyHash::MAX.bits() {
            return None;
        }
        let low = self.high + 1;
        let room = (max_count as u128 * 31 / 32).max(1);
        let width = self.high - self.low + 1;
        let mut next_width = width.saturating_mul(room) / (count as u128).max(1);
        if count <= max_count / 2 {
            // Whatever rounding makes of it: a part that had become narrow for one key's sake must not stay so.
            next_width = next_width.max(width.saturating_mul(2));
        }
        let high = low.saturating_add(next_width.max(1) - 1);
        Some(HashRange {
            low,
            high: high.min(KeyHash::MAX.bits()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_cover_all_hashes_once() {
        for (count, max_count) in [(1, 2), (2, 2), (1_000, 900), (900, 1_000), (5, 5_000_000)] {
            let mut range = HashRange::ALL;
            for _ in 0..3 {
                range = range.narrowed().unwrap();
            }
            let mut parts = 1;
            while let Some(next) = range.next(count, max_count) {
                assert_eq!(next.low, range.high + 1);
                assert!(next.high >= next.low);
                range = next;
                parts += 1;
                if parts % 3 == 0 {
                    range = range.narrowed().unwrap();
                }
                assert!(parts < 1_000);
            }
            assert_eq!(range.high, KeyHash::MAX.bits());
        }
    }

    #[test]
    fn a_part_that_has_become_narrow_grows_again_in_the_smallest_memory() {
        for max_count in 1..10 {
            let mut range = HashRange { low: 7, high: 7 };
            let mut parts = 0;
            while let Some(next) = range.next(max_count / 2, max_count) {
                range = next;
                parts += 1;
                assert!(parts <= 97, "{max_count}");
            }
        }
    }

    #[test]
    fn narrowing_ends_at_one_hash() {
        let mut range = HashRange::ALL;
        for _ in 0..2_000 {
            range = range.narrowed().unwrap_or(range);
        }
        assert_eq!(range, HashRange { low: 0, high: 0 });
    }
}
