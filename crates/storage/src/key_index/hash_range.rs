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

    /// What of the range lies below a hash in it; `None` for nothing.
    pub fn below(&self, hash: KeyHash) -> Option<HashRange> {
        (hash.bits() > self.low).then(|| HashRange {
            low: self.low,
            high: hash.bits() - 1,
        })
    }

    /// Its first hash alone; `None` when there is no other.
    pub fn first(&self) -> Option<HashRange> {
        (self.high > self.low).then_some(HashRange {
            low: self.low,
            high: self.low,
        })
    }

    /// The next part, as wide as the memory will take when `total` of them are spread evenly over all hashes.
    pub fn next(&self, total: u64, max_count: usize) -> Option<HashRange> {
        if self.high >= KeyHash::MAX.bits() {
            return None;
        }
        let low = self.high + 1;
        let room = (max_count as u128 * 31 / 32).max(1);
        let width = (KeyHash::MAX.bits() / u128::from(total.max(1))).saturating_mul(room);
        let high = low.saturating_add(width.max(1) - 1);
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
        for (total, max_count) in [
            (0, 2),
            (2, 2),
            (1_000, 900),
            (90_000, 1_000),
            (5, 5_000_000),
        ] {
            let middle = KeyHash::from_low_bits(KeyHash::MAX.bits() / 1_000);
            let mut range = HashRange::ALL.below(middle).unwrap();
            let mut parts = 1;
            while let Some(next) = range.next(total, max_count) {
                assert_eq!(next.low, range.high + 1);
                assert!(next.high >= next.low);
                range = match parts % 3 {
                    0 => next.first().unwrap_or(next),
                    _ => next,
                };
                parts += 1;
                assert!(parts < 1_000);
            }
            assert_eq!(range.high, KeyHash::MAX.bits());
        }
    }

    #[test]
    fn narrowing_ends_at_one_hash() {
        let hash = KeyHash::from_low_bits(7);
        let range = HashRange::ALL.below(hash).unwrap();
        assert!(range.contains(KeyHash::from_low_bits(6)) && !range.contains(hash));
        let first = range.first().unwrap();
        assert_eq!(
            (first.first(), first.below(KeyHash::from_low_bits(0))),
            (None, None)
        );
    }
}
