//! `Directory`: which entries of a key index can be those of a hash, in memory.
//!
//! Entries are sorted by hashes that are spread evenly. So a hash, taken as a fraction of all hashes, times the number of
//! buckets is its bucket, and the 24 bits behind the point are its print: both grow with the hash, and the prints of a
//! bucket are sorted. A hash that is not there has a print of its bucket with a probability of about 16 / 2^24.
//!
//! Memory: 4 bytes for 16 entries, 3 for each while there are prints, and 4 for each block's checksum.
//!
//! Invariant: nothing of a block is believed before its checksum is compared with the one that was taken when the whole
//! section was. No lock; no I/O.

use std::ops::Range;

use lastword_record::Crc32c;

use crate::key_index::{ENTRY_BYTES, Entry, KeyHash};

/// Entries that are read and checked at once: 4 KiB.
pub(super) const BLOCK_ENTRIES: u32 = 256;
const ENTRIES_PER_BUCKET: u32 = 16;

type Print = [u8; 3];

/// See the file header.
pub(super) struct Directory {
    entry_count: u32,
    bucket_count: u32,
    /// The first entry of each bucket.
    starts: Vec<u32>,
    prints: Vec<Print>,
    block_crcs: Vec<u32>,
    block: Vec<u8>,
}

impl Directory {
    /// For so many entries, of a file that is as long.
    pub fn new(entry_count: u32) -> Directory {
        let bucket_count = entry_count.div_ceil(ENTRIES_PER_BUCKET).max(1);
        let block_count = entry_count.div_ceil(BLOCK_ENTRIES);
        Directory {
            entry_count,
            bucket_count,
            starts: Vec::with_capacity(bucket_count as usize),
            prints: Vec::with_capacity(entry_count as usize),
            block_crcs: Vec::with_capacity(block_count as usize),
            block: Vec::with_capacity(BLOCK_ENTRIES as usize * ENTRY_BYTES),
        }
    }

    /// The next entry.
    #[inline]
    pub fn push(&mut self, entry: Entry) {
        let (bucket, print) = self.place(entry.hash());
        let number = self.prints.len() as u32;
        if self.starts.len() <= bucket as usize {
            self.starts.resize(bucket as usize + 1, number);
        }
        self.prints.push(print);
        self.block.extend_from_slice(&entry.to_bytes());
        if self.block.len() == BLOCK_ENTRIES as usize * ENTRY_BYTES {
            self.end_block();
        }
    }

    /// After the last entry.
    pub fn finish(&mut self) {
        if !self.block.is_empty() {
            self.end_block();
        }
        self.block = Vec::new();
    }

    fn end_block(&mut self) {
        self.block_crcs.push(crc(&self.block));
        self.block.clear();
    }

    /// Saves most of the memory; then every hash has a few candidates.
    pub fn let_go_of_prints(&mut self) {
        self.prints = Vec::new();
    }

    pub fn print_bytes(&self) -> u64 {
        (self.prints.capacity() * size_of::<Print>()) as u64
    }

    pub fn memory_bytes(&self) -> u64 {
        self.print_bytes() + (self.starts.capacity() + self.block_crcs.capacity()) as u64 * 4
    }

    /// The entries that can be of this hash, by number. They lie side by side.
    pub fn candidates(&self, hash: KeyHash) -> Range<u32> {
        let (bucket, print) = self.place(hash);
        let start = |bucket: u32| self.starts.get(bucket as usize).copied();
        let first = start(bucket).unwrap_or(self.entry_count);
        let end = start(bucket + 1).unwrap_or(self.entry_count);
        let Some(prints) = self.prints.get(first as usize..end as usize) else {
            return first..end;
        };
        let below = prints.partition_point(|it| *it < print) as u32;
        let up_to = prints.partition_point(|it| *it <= print) as u32;
        first + below..first + up_to
    }

    /// Where a block is in the section of entries.
    pub fn block_bytes(&self, block: u32) -> Range<u64> {
        let end = (u64::from(block) + 1) * u64::from(BLOCK_ENTRIES);
        let first = u64::from(block) * u64::from(BLOCK_ENTRIES);
        let end = end.min(self.entry_count.into());
        first * ENTRY_BYTES as u64..end * ENTRY_BYTES as u64
    }

    /// Whether these are the bytes that a block had.
    pub fn is_block(&self, block: u32, bytes: &[u8]) -> bool {
        self.block_crcs.get(block as usize) == Some(&crc(bytes))
    }

    #[inline]
    fn place(&self, hash: KeyHash) -> (u32, Print) {
        let fraction = (hash.bits() >> (KeyHash::BITS - 64)) as u64;
        let product = u128::from(fraction) * u128::from(self.bucket_count);
        let [a, b, c, ..] = (product as u64).to_be_bytes();
        ((product >> 64) as u32, [a, b, c])
    }
}

fn crc(bytes: &[u8]) -> u32 {
    let mut crc = Crc32c::new();
    crc.update(bytes);
    crc.value()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key_index::{KeyHasher, sort};

    fn directory(entries: &[Entry]) -> Directory {
        let mut directory = Directory::new(entries.len() as u32);
        entries.iter().for_each(|entry| directory.push(*entry));
        directory.finish();
        directory
    }

    fn entries(hasher: &KeyHasher, keys: impl Iterator<Item = u32>) -> Vec<Entry> {
        let hashes = keys.map(|key| hasher.hash(&key.to_be_bytes()));
        let entries = (0..).zip(hashes);
        let entries = entries.map(|(ordinal, hash)| Entry::new(hash, ordinal, false));
        let mut entries: Vec<Entry> = entries.collect();
        sort(&mut entries);
        entries
    }

    #[test]
    fn every_entry_of_a_hash_is_a_candidate_with_and_without_prints() {
        let hasher = KeyHasher::new(&[3; 16]);
        for (count, keys) in [
            (0, 1),
            (1, 1),
            (255, 300),
            (256, 40),
            (5_000, 1),
            (5_000, 5_000),
        ] {
            let entries = entries(&hasher, (0..count).map(|number| number % keys));
            let mut directory = directory(&entries);
            for _ in 0..2 {
                for key in 0..keys.min(count) {
                    let hash = hasher.hash(&key.to_be_bytes());
                    let of_hash = |it: &Entry| it.hash() == hash;
                    let range = directory.candidates(hash);
                    let range = range.start as usize..range.end as usize;
                    let found = entries[range].iter().filter(|it| of_hash(it)).count();
                    let all = entries.iter().filter(|it| of_hash(it)).count();
                    assert_eq!(found, all, "{count} entries of {keys} keys: key {key}");
                }
                directory.let_go_of_prints();
            }
        }
    }

    #[test]
    fn a_hash_that_is_not_there_has_no_candidate_but_by_a_rare_chance() {
        let hasher = KeyHasher::new(&[4; 16]);
        let mut directory = directory(&entries(&hasher, 0..100_000));
        let absent = 100_000..300_000u32;
        let count_met = |directory: &Directory| {
            let hashes = absent.clone().map(|key| hasher.hash(&key.to_be_bytes()));
            hashes
                .filter(|it| !directory.candidates(*it).is_empty())
                .count()
        };
        // 0.2 are to be expected.
        assert!(count_met(&directory) < 8);
        assert!(directory.memory_bytes() < 100_000 * 7 / 2);
        directory.let_go_of_prints();
        assert!(count_met(&directory) > 199_000);
        assert!(directory.memory_bytes() < 100_000 / 3);
    }

    #[test]
    fn a_block_with_another_byte_is_not_the_block() {
        let entries = entries(&KeyHasher::new(&[5; 16]), 0..300);
        let directory = directory(&entries);
        let mut bytes: Vec<u8> = entries.iter().flat_map(|it| it.to_bytes()).collect();
        for block in 0..2 {
            let range = directory.block_bytes(block);
            let bytes = &mut bytes[range.start as usize..range.end as usize];
            assert!(directory.is_block(block, bytes));
            bytes[17] ^= 1;
            assert!(!directory.is_block(block, bytes));
        }
        assert!(!directory.is_block(2, &[]));
    }
}
