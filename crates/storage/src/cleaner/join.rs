//! The join of the key indexes: for every key, all but its newest record are dead.
//!
//! All indexes are sorted by hash, so the hashes are gone through part by part: for each part every index, in log order,
//! hands out its entries of that part, and a small table holds the newest place of each key. A record that is pushed out
//! of the table is dead. The table stays in the processor's cache, every index is read once from front to back, and
//! memory does not grow with the number of keys.
//!
//! Nothing is to be done with what was found before all indexes have proved whole: damage is an error at the end.

use std::collections::HashMap;

use super::control::Control;
use super::plan::SegmentPlan;
use crate::error::StorageError;
use crate::key_index::{ENTRY_BYTES, Entries, Entry, KeyHash};

/// Entries of one part, about: their table fits the second cache of a processor.
const PART_ENTRIES: u64 = 4096;
const LEAST_PART_ENTRIES: u64 = 4;
/// Of table and entry, for each entry of a part.
const PART_ENTRY_BYTES: u64 = 64;
const LEAST_BUFFER_BYTES: u64 = 4 << 10;
const MOST_BUFFER_BYTES: u64 = 256 << 10;

/// What the join counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Joined {
    /// Different keys.
    pub keys: u64,
    pub superseded: u64,
    pub bytes_read: u64,
    /// Of buffers and table.
    pub memory_bytes: u64,
}

/// Marks superseded records in `segments`, and notes where the tombstones are. What is dead already stands for nothing.
///
/// `head` are the entries of the last segment, sorted, when it has no index: it is still written to.
pub fn join(
    segments: &mut [SegmentPlan],
    mut head: &[Entry],
    memory_bytes: u64,
    control: &Control<'_>,
) -> Result<Joined, StorageError> {
    let mut joined = Joined::default();
    let mut entry_count = head.len() as u64;
    let share_bytes = memory_bytes / 2 / segments.len().max(1) as u64;
    let buffer_bytes = share_bytes.clamp(LEAST_BUFFER_BYTES, MOST_BUFFER_BYTES);
    let mut streams: Vec<Option<Entries>> = Vec::with_capacity(segments.len());
    for segment in segments.iter() {
        streams.push(segment.index.as_ref().map(|index| {
            entry_count += u64::from(index.header().entry_count);
            joined.memory_bytes += buffer_bytes.min(index.size_bytes());
            index.entries(buffer_bytes as usize)
        }));
    }
    joined.bytes_read = entry_count * ENTRY_BYTES as u64;
    let part_entries = (memory_bytes / PART_ENTRY_BYTES).clamp(LEAST_PART_ENTRIES, PART_ENTRIES);
    let mut table = Table::new(part_entries as usize);
    // A power of two, so that its bounds are those of leading bits.
    let part_bits = entry_count
        .div_ceil(part_entries)
        .next_power_of_two()
        .ilog2();
    let mut same_offset = SameOffset::default();
    for part in 0..1u128 << part_bits {
        let most = last_of_part(part, part_bits);
        table.clear();
        for (index, stream) in streams.iter_mut().enumerate() {
            let Some(stream) = stream else { continue };
            stream.for_each_up_to(most, |entry| {
                see(
                    entry,
                    index,
                    segments,
                    &mut table,
                    &mut same_offset,
                    &mut joined,
                );
            })?;
        }
        let (part_of_head, rest) = head.split_at(head.partition_point(|entry| *entry <= most));
        head = rest;
        for entry in part_of_head {
            let last = segments.len().saturating_sub(1);
            see(
                *entry,
                last,
                segments,
                &mut table,
                &mut same_offset,
                &mut joined,
            );
        }
        joined.keys += table.len as u64;
        if part % 64 == 0 {
            control.charge((joined.bytes_read * 64) >> part_bits.max(6))?;
        }
    }
    for stream in streams.iter().flatten() {
        stream.check_end()?;
    }
    joined.memory_bytes += table.memory_bytes();
    Ok(joined)
}

/// The last entry whose hash has these leading bits.
fn last_of_part(part: u128, part_bits: u32) -> Entry {
    let below = KeyHash::MAX.bits() >> part_bits;
    let hash = part << (KeyHash::BITS - part_bits) | below;
    Entry::last_of(KeyHash::from_low_bits(hash))
}

#[inline]
fn see(
    entry: Entry,
    index: usize,
    segments: &mut [SegmentPlan],
    table: &mut Table,
    same_offset: &mut SameOffset,
    joined: &mut Joined,
) {
    let ordinal = entry.ordinal();
    let Some(segment) = segments.get_mut(index) else {
        return;
    };
    if segment.has_aborted && segment.dead.contains(u64::from(ordinal)) {
        return;
    }
    if entry.is_tombstone() {
        segment.tombstones.insert(u64::from(ordinal));
    }
    let Some((earlier_index, earlier)) = table.put(entry, index as u32) else {
        return;
    };
    let is_twin = !segment.same_offset.is_empty()
        && earlier_index as usize == index
        && (earlier + 1..=ordinal).all(|o| segment.same_offset.contains(u64::from(o)));
    if is_twin {
        same_offset
            .earlier
            .insert((earlier_index, ordinal), earlier);
        return;
    }
    let mut next = Some(earlier);
    while let Some(ordinal) = next {
        if let Some(segment) = segments.get_mut(earlier_index as usize) {
            joined.superseded += u64::from(segment.dead.insert(u64::from(ordinal)));
        }
        next = same_offset.earlier_than(earlier_index, ordinal);
    }
}

/// Records of one key and one offset, which only logs of old formats have: none of them supersedes another, and what
/// supersedes one supersedes all.
#[derive(Default)]
struct SameOffset {
    earlier: HashMap<(u32, u32), u32>,
}

impl SameOffset {
    #[inline]
    fn earlier_than(&self, index: u32, ordinal: u32) -> Option<u32> {
        if self.earlier.is_empty() {
            return None;
        }
        self.earlier.get(&(index, ordinal)).copied()
    }
}

/// The newest place of each key of one part: open addressing with linear probing.
struct Table {
    entries: Vec<Entry>,
    /// Which segment; `FREE` for a slot without an entry.
    segments: Vec<u32>,
    len: usize,
}

const FREE: u32 = u32::MAX;

impl Table {
    fn new(keys: usize) -> Table {
        let slots = (keys * 2).next_power_of_two();
        Table {
            entries: vec![Entry::last_of(KeyHash::MAX); slots],
            segments: vec![FREE; slots],
            len: 0,
        }
    }

    fn clear(&mut self) {
        self.segments.fill(FREE);
        self.len = 0;
    }

    fn memory_bytes(&self) -> u64 {
        (self.entries.len() * (ENTRY_BYTES + size_of::<u32>())) as u64
    }

    /// Puts the newest place of a key; answers the one it had, as segment and ordinal.
    #[inline]
    fn put(&mut self, entry: Entry, segment: u32) -> Option<(u32, u32)> {
        let slot = self.slot(entry.hash());
        let (Some(held), Some(held_segment)) =
            (self.entries.get_mut(slot), self.segments.get_mut(slot))
        else {
            return None;
        };
        let earlier = (*held_segment != FREE).then_some((*held_segment, held.ordinal()));
        *held = entry;
        *held_segment = segment;
        if earlier.is_none() {
            self.len += 1;
            if self.len * 4 > self.segments.len() * 3 {
                self.grow();
            }
        }
        earlier
    }

    /// Where a key is, or would be.
    #[inline]
    fn slot(&self, hash: KeyHash) -> usize {
        let mask = self.segments.len() - 1;
        // The leading bits are the same for all keys of a part.
        let mut slot = hash.bits() as usize & mask;
        while self.segments[slot] != FREE && self.entries[slot].hash() != hash {
            slot = (slot + 1) & mask;
        }
        slot
    }

    #[cold]
    fn grow(&mut self) {
        let mut larger = Table::new(self.segments.len());
        for (entry, segment) in self.entries.iter().zip(&self.segments) {
            if *segment != FREE {
                larger.put(*entry, *segment);
            }
        }
        *self = larger;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::key_index::KeyHasher;

    #[test]
    fn the_parts_cover_all_entries_once_and_in_order() {
        for part_bits in [0, 1, 5] {
            let parts = 1u128 << part_bits;
            let ends: Vec<Entry> = (0..parts)
                .map(|part| last_of_part(part, part_bits))
                .collect();
            assert!(ends.is_sorted());
            assert_eq!(ends.last(), Some(&Entry::last_of(KeyHash::MAX)));
            assert_eq!(ends[0].hash().bits(), KeyHash::MAX.bits() >> part_bits);
        }
    }

    #[test]
    fn the_table_answers_the_earlier_place_through_growth() {
        let hasher = KeyHasher::new(&[7; 16]);
        let mut table = Table::new(16);
        let mut model = HashMap::new();
        for ordinal in 0..20_000u32 {
            let key = ordinal.wrapping_mul(2_654_435_761) % 5_000;
            let entry = Entry::new(hasher.hash(&key.to_be_bytes()), ordinal, ordinal % 3 == 0);
            let earlier = table.put(entry, ordinal % 7);
            assert_eq!(earlier, model.insert(key, (ordinal % 7, ordinal)));
        }
        assert_eq!(table.len, model.len());
        table.clear();
        assert_eq!(table.put(Entry::new(KeyHash::MAX, 0, false), 0), None);
    }
}
