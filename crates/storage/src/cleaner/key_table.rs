//! `KeyTable`: key hash -> the position of the newest record of that key, in one flat array.
//!
//! ```text
//! slot, 24 bytes:  | home 8 B | range 8 B | position + 1, 8 B; 0 = free |
//!                  '--- SipHash-2-4-128 -'
//! position:        | segment index, 31 bits | ordinal of the record, 32 bits |
//! ```
//! Open addressing with linear probing; the slot comes from `home` alone. Keys are compared by
//! their 128-bit hash under a secret of the log directory, so nobody can make two keys collide on
//! purpose, and by chance it takes 10^13 keys for a probability of 10^-13.
//!
//! The table grows with its need up to its budget. A table at its limit says so and is never
//! over-filled: the planner then keeps a lower part of the `range` halves (`evict_above`), and
//! plans the rest in a further pass. `range` and `home` are independent, so an eviction thins the
//! table evenly.
//!
//! Invariants: no free slot lies between an entry's home and its slot; at least one slot is free.
//! No lock; no I/O.

use siphasher::sip128::SipHasher24;

pub const SLOT_BYTES: usize = 24;
const SMALLEST_SLOTS: usize = 1 << 12;

/// The two halves of a key's 128-bit hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyHash {
    pub home: u64,
    pub range: u64,
}

/// Hashes keys under the secret of a log directory.
#[derive(Clone)]
pub struct KeyHasher(SipHasher24);

impl KeyHasher {
    /// Hashes under this secret.
    pub fn new(secret: &[u8; 16]) -> KeyHasher {
        KeyHasher(SipHasher24::new_with_key(secret))
    }

    /// The 128 bits that stand for a key.
    #[inline]
    pub fn hash(&self, key: &[u8]) -> KeyHash {
        let hash = self.0.hash(key);
        KeyHash {
            home: hash.h1,
            range: hash.h2,
        }
    }
}

impl std::fmt::Debug for KeyHasher {
    // The state would give the secret away.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("KeyHasher")
    }
}

/// Where a record is: which segment of the plan, and which record of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordPosition {
    pub segment: u32,
    pub ordinal: u32,
}

impl RecordPosition {
    fn pack(self) -> u64 {
        ((u64::from(self.segment) << 32) | u64::from(self.ordinal)) + 1
    }

    fn unpack(packed: u64) -> RecordPosition {
        let packed = packed - 1;
        RecordPosition {
            segment: (packed >> 32) as u32,
            ordinal: packed as u32,
        }
    }
}

/// What came of an insertion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inserted {
    New,
    /// The key was there; this is the position it had.
    Superseded(RecordPosition),
    /// A new key, and no room for it; the table is unchanged.
    Full,
}

pub struct KeyTable {
    slots: Vec<[u64; 3]>,
    len: usize,
    /// A new key beyond this many makes the table grow, or is refused at the largest size.
    limit: usize,
    max_slots: usize,
    load_factor: f64,
}

impl KeyTable {
    /// A table that never takes more than `max_bytes`; two slots are the least it needs.
    pub fn new(max_bytes: usize, load_factor: f64) -> KeyTable {
        let max_slots = (max_bytes / SLOT_BYTES).max(2);
        let mut table = KeyTable {
            slots: Vec::new(),
            len: 0,
            limit: 0,
            max_slots,
            load_factor,
        };
        table.clear();
        table
    }

    /// Forgets every key and the memory beyond the smallest table.
    pub fn clear(&mut self) {
        self.resize(SMALLEST_SLOTS.min(self.max_slots));
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The number of keys that the largest table takes.
    pub fn max_keys(&self) -> usize {
        limit_of(self.max_slots, self.max_slots, self.load_factor)
    }

    /// Loads the first slot of a key. Called for a run of keys before they are looked up, so that
    /// their cache misses overlap; the answer only keeps the load from being optimised away.
    #[inline]
    pub fn touch(&self, hash: KeyHash) -> u64 {
        self.slots[self.home(hash.home)][2]
    }

    #[inline]
    pub fn get(&self, hash: KeyHash) -> Option<RecordPosition> {
        let mut index = self.home(hash.home);
        loop {
            let slot = &self.slots[index];
            if slot[2] == 0 {
                return None;
            }
            if slot[0] == hash.home && slot[1] == hash.range {
                return Some(RecordPosition::unpack(slot[2]));
            }
            index = self.next(index);
        }
    }

    /// Sets the position of a key; the caller goes through the log in order, so the new position is
    /// always the newer.
    #[inline]
    pub fn insert(&mut self, hash: KeyHash, position: RecordPosition) -> Inserted {
        let mut index = self.home(hash.home);
        loop {
            let slot = &mut self.slots[index];
            if slot[2] == 0 {
                break;
            }
            if slot[0] == hash.home && slot[1] == hash.range {
                let earlier = RecordPosition::unpack(slot[2]);
                slot[2] = position.pack();
                return Inserted::Superseded(earlier);
            }
            index = self.next(index);
        }
        if self.len >= self.limit {
            if self.slots.len() >= self.max_slots {
                return Inserted::Full;
            }
            self.grow();
            index = self.free_slot(hash.home);
        }
        self.slots[index] = [hash.home, hash.range, position.pack()];
        self.len += 1;
        Inserted::New
    }

    /// Drops every key whose `range` half is above `high`, in place.
    ///
    /// Every entry is taken out and put back at the first free slot from its home. The walk starts
    /// behind a free slot, so whatever lies between an entry's home and its slot has already been
    /// put back, and no entry moves forward.
    pub fn evict_above(&mut self, high: u64) {
        let slots = self.slots.len();
        let Some(start) = self.slots.iter().position(|slot| slot[2] == 0) else {
            return;
        };
        for step in 1..slots {
            let index = (start + step) % slots;
            let slot = self.slots[index];
            if slot[2] == 0 {
                continue;
            }
            self.slots[index] = [0; 3];
            if slot[1] > high {
                self.len -= 1;
            } else {
                let index = self.free_slot(slot[0]);
                self.slots[index] = slot;
            }
        }
    }

    fn grow(&mut self) {
        let old = std::mem::take(&mut self.slots);
        // Fourfold or more, so that old and new together stay within five quarters of the new.
        let slots = old.len().saturating_mul(4);
        self.resize(if slots > self.max_slots / 4 {
            self.max_slots
        } else {
            slots
        });
        for slot in old.into_iter().filter(|slot| slot[2] != 0) {
            let index = self.free_slot(slot[0]);
            self.slots[index] = slot;
            self.len += 1;
        }
    }

    fn resize(&mut self, slots: usize) {
        // All zero: the pages come from the kernel when they are first written.
        self.slots = vec![[0; 3]; slots];
        self.len = 0;
        self.limit = limit_of(slots, self.max_slots, self.load_factor);
    }

    #[inline]
    fn free_slot(&self, home: u64) -> usize {
        let mut index = self.home(home);
        while self.slots[index][2] != 0 {
            index = self.next(index);
        }
        index
    }

    #[inline]
    fn home(&self, home: u64) -> usize {
        ((u128::from(home) * self.slots.len() as u128) >> 64) as usize
    }

    #[inline]
    fn next(&self, index: usize) -> usize {
        if index + 1 == self.slots.len() {
            0
        } else {
            index + 1
        }
    }
}

/// A table that can still grow stays at 0.7, where probes are short; the largest is filled to the
/// configured load, and always keeps one slot free.
fn limit_of(slots: usize, max_slots: usize, load_factor: f64) -> usize {
    let load = if slots < max_slots {
        load_factor.min(0.7)
    } else {
        load_factor
    };
    ((slots as f64 * load) as usize).clamp(1, slots - 1)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn position(ordinal: u32) -> RecordPosition {
        RecordPosition {
            segment: ordinal % 7,
            ordinal,
        }
    }

    #[test]
    fn the_newest_position_wins_through_growth_and_eviction() {
        let hasher = KeyHasher::new(&[7; 16]);
        let mut table = KeyTable::new(60_000 * SLOT_BYTES, 0.9);
        let mut model: HashMap<u32, RecordPosition> = HashMap::new();
        for ordinal in 0..80_000u32 {
            let key = ordinal.wrapping_mul(2_654_435_761) % 50_000;
            let inserted = table.insert(hasher.hash(&key.to_be_bytes()), position(ordinal));
            match model.insert(key, position(ordinal)) {
                None => assert_eq!(inserted, Inserted::New),
                Some(earlier) => assert_eq!(inserted, Inserted::Superseded(earlier)),
            }
        }
        assert_eq!(table.len(), model.len());
        table.evict_above(u64::MAX / 3);
        let mut kept = 0;
        for (key, position) in &model {
            let hash = hasher.hash(&key.to_be_bytes());
            let expected = (hash.range <= u64::MAX / 3).then_some(*position);
            kept += usize::from(expected.is_some());
            assert_eq!(table.get(hash), expected);
        }
        assert_eq!(table.len(), kept);
    }

    #[test]
    fn a_full_table_refuses_new_keys_and_still_takes_known_ones() {
        let hasher = KeyHasher::new(&[9; 16]);
        let mut table = KeyTable::new(3 * SLOT_BYTES, 0.9);
        assert_eq!(table.max_keys(), 2);
        let hashes: Vec<KeyHash> = (0..3u8).map(|key| hasher.hash(&[key])).collect();
        assert_eq!(table.insert(hashes[0], position(0)), Inserted::New);
        assert_eq!(table.insert(hashes[1], position(1)), Inserted::New);
        assert_eq!(table.insert(hashes[2], position(2)), Inserted::Full);
        assert_eq!(
            table.insert(hashes[0], position(3)),
            Inserted::Superseded(position(0))
        );
        assert_eq!(table.get(hashes[2]), None);
        assert_eq!(table.get(hashes[0]), Some(position(3)));
    }

    #[test]
    fn an_empty_key_is_a_key_and_trailing_zeros_count() {
        let hasher = KeyHasher::new(&[1; 16]);
        assert_ne!(hasher.hash(b""), hasher.hash(b"\0"));
        assert_ne!(hasher.hash(b"a"), hasher.hash(b"a\0"));
        assert_ne!(hasher.hash(b"a"), KeyHasher::new(&[2; 16]).hash(b"a"));
    }
}
