//! `LastWords`: which records of a log are the last of their key, as a bit for each record.
//!
//! A table holds the newest place of each key. When it is full, the upper half of the key hashes is left for another
//! pass over the log, and so on: memory is bounded whatever the number of keys, and time grows with it. Keys are told
//! apart by 96 bits of a hash under a secret of this run. No lock, no I/O.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use crate::key_index::KeyHash;

/// What a key takes in the table, with the room that is free.
const BYTES_PER_KEY: usize = 80;

/// Takes the hash for what it is.
#[derive(Default)]
pub struct AsIs(u64);

impl Hasher for AsIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u128(&mut self, number: u128) {
        self.0 = number as u64;
    }
}

/// See the file header.
pub struct LastWords {
    bits: Vec<u64>,
    table: HashMap<u128, u64, BuildHasherDefault<AsIs>>,
    max_keys: usize,
    low: u128,
    high: u128,
    keys: u64,
}

impl LastWords {
    pub fn new(memory_bytes: usize) -> LastWords {
        LastWords {
            bits: Vec::new(),
            table: HashMap::default(),
            max_keys: (memory_bytes / BYTES_PER_KEY).max(2),
            low: 0,
            high: KeyHash::MAX.bits(),
            keys: 0,
        }
    }

    /// A record that counts, in the order of the log. Ordinals count all records of the log.
    pub fn see(&mut self, hash: KeyHash, ordinal: u64) {
        let hash = hash.bits();
        if hash < self.low || hash > self.high {
            return;
        }
        self.table.insert(hash, ordinal);
        if self.table.len() > self.max_keys {
            self.narrow();
        }
    }

    fn narrow(&mut self) {
        let mut hashes: Vec<u128> = self.table.keys().copied().collect();
        let middle = hashes.len() / 2;
        let (_, middle, _) = hashes.select_nth_unstable(middle);
        // Of two different hashes or more, the middle one is above the lowest.
        self.high = middle.saturating_sub(1);
        let high = self.high;
        self.table.retain(|hash, _| *hash <= high);
    }

    /// A pass over the log is over. Answers whether another one is needed.
    pub fn end_pass(&mut self) -> bool {
        self.keys += self.table.len() as u64;
        for ordinal in self.table.values() {
            let index = (ordinal >> 6) as usize;
            if index >= self.bits.len() {
                self.bits.resize((index + 1).max(self.bits.len() * 2), 0);
            }
            if let Some(word) = self.bits.get_mut(index) {
                *word |= 1 << (ordinal & 63);
            }
        }
        self.table.clear();
        if self.high >= KeyHash::MAX.bits() {
            self.table = HashMap::default();
            return false;
        }
        self.low = self.high + 1;
        self.high = KeyHash::MAX.bits();
        true
    }

    pub fn contains(&self, ordinal: u64) -> bool {
        let word = self.bits.get((ordinal >> 6) as usize).copied();
        word.unwrap_or(0) & (1 << (ordinal & 63)) != 0
    }

    /// Different keys.
    pub fn keys(&self) -> u64 {
        self.keys
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_memory_needs_more_passes_and_says_the_same() {
        let hash = |key: u64| {
            KeyHash::from_low_bits(
                u128::from(key.wrapping_mul(0x9e37_79b9_7f4a_7c15)) << 32 | u128::from(key),
            )
        };
        let log: Vec<u64> = (0..2_000u64).map(|index| index * index % 701).collect();
        let find = |memory_bytes| {
            let mut words = LastWords::new(memory_bytes);
            let mut passes = 1;
            loop {
                for (ordinal, key) in log.iter().enumerate() {
                    words.see(hash(*key), ordinal as u64);
                }
                if !words.end_pass() {
                    break;
                }
                passes += 1;
            }
            let last: Vec<bool> = (0..log.len() as u64).map(|it| words.contains(it)).collect();
            (last, words.keys(), passes)
        };
        let (expected, keys, passes) = find(1 << 20);
        assert_eq!(
            (passes, expected.iter().filter(|it| **it).count() as u64),
            (1, keys)
        );
        let (found, same_keys, passes) = find(BYTES_PER_KEY * 20);
        assert!(passes > 10, "{passes}");
        assert_eq!((found, same_keys), (expected, keys));
    }
}
