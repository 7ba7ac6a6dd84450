//! The join of the key indexes: for every key, all but its newest record are dead.
//!
//! All indexes are sorted by hash, so the hashes are gone through part by part: for each part every index, in log order,
//! hands out its entries of that part, and a small table holds the newest place of each key. A record that is pushed out
//! of the table is dead. The table stays in the processor's cache, every index is read once from front to back, and
//! memory does not grow with the number of keys.
//!
//! A key has one hash, so the halves of the hashes have nothing to do with each other: where there are many entries, a
//! second thread takes the upper half. Both mark in bitmaps of their own.
//!
//! Nothing is to be done with what was found before all indexes have proved whole: damage is an error at the end.

use std::collections::HashMap;
use std::ops::Range;

use super::control::Control;
use super::ordinal_set::OrdinalSet;
use super::plan::SegmentPlan;
use crate::error::StorageError;
use crate::key_index::{ENTRY_BYTES, Entries, EntriesEnd, Entry, KeyHash, KeyIndex};

/// Entries of one part, about: their table fits the second cache of a processor.
const PART_ENTRIES: u64 = 4096;
const LEAST_PART_ENTRIES: u64 = 4;
/// Of table and entry, for each entry of a part.
const PART_ENTRY_BYTES: u64 = 64;
/// Fewer entries are joined sooner than a thread is there.
const LEAST_SHARED_ENTRIES: u64 = 1 << 13;
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
    head: &[Entry],
    memory_bytes: u64,
    control: &Control<'_>,
) -> Result<Joined, StorageError> {
    let indexes = segments.iter().filter_map(|it| it.index.as_ref());
    let indexed: u64 = indexes.map(|it| u64::from(it.header().entry_count)).sum();
    let entry_count = indexed + head.len() as u64;
    let threads = match entry_count >= LEAST_SHARED_ENTRIES {
        true => std::thread::available_parallelism().map_or(1, |threads| threads.get().min(2)),
        false => 1,
    };
    let part_entries = (memory_bytes / PART_ENTRY_BYTES).clamp(LEAST_PART_ENTRIES, PART_ENTRIES);
    let share_bytes = memory_bytes / 2 / (segments.len() * threads).max(1) as u64;
    let work = Work {
        segments,
        head,
        entry_count,
        // A power of two, so that its bounds are those of leading bits.
        part_bits: (entry_count.div_ceil(part_entries))
            .next_power_of_two()
            .ilog2(),
        part_entries: part_entries as usize,
        buffer_bytes: share_bytes.clamp(LEAST_BUFFER_BYTES, MOST_BUFFER_BYTES),
        control,
    };
    let parts = 1u128 << work.part_bits;
    let shares = match threads {
        1 => vec![join_parts(&work, 0..parts)?],
        _ => std::thread::scope(|scope| {
            // Without a second thread it takes longer.
            let spawned = std::thread::Builder::new()
                .name("log-cleaner-join".into())
                .spawn_scoped(scope, || join_parts(&work, parts / 2..parts));
            let lower = join_parts(&work, 0..parts / 2);
            let upper = match spawned {
                Ok(thread) => thread
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
                Err(_) => join_parts(&work, parts / 2..parts),
            };
            Ok::<_, StorageError>(vec![lower?, upper?])
        })?,
    };
    for (index, segment) in segments.iter().enumerate() {
        if let Some(key_index) = &segment.index {
            key_index
                .check_entries(shares.iter().filter_map(|share| share.ends[index].as_ref()))?;
        }
    }
    let mut joined = Joined {
        bytes_read: entry_count * ENTRY_BYTES as u64,
        ..Joined::default()
    };
    for share in shares {
        joined.keys += share.keys;
        joined.superseded += share.superseded;
        joined.memory_bytes += share.memory_bytes;
        for (segment, marks) in segments.iter_mut().zip(share.marks) {
            segment.dead.insert_those_of(marks.dead);
            segment.tombstones.insert_those_of(marks.tombstones);
        }
    }
    Ok(joined)
}

/// What all threads of a join look at.
struct Work<'a> {
    segments: &'a [SegmentPlan],
    head: &'a [Entry],
    entry_count: u64,
    part_bits: u32,
    part_entries: usize,
    buffer_bytes: u64,
    control: &'a Control<'a>,
}

/// What came of some parts of the hashes.
#[derive(Default)]
struct Share {
    marks: Vec<Marks>,
    /// Of each segment's entries; none where there is no index.
    ends: Vec<Option<EntriesEnd>>,
    keys: u64,
    superseded: u64,
    memory_bytes: u64,
}

/// Found in one segment.
#[derive(Default)]
struct Marks {
    dead: OrdinalSet,
    tombstones: OrdinalSet,
}

/// Goes through these parts.
fn join_parts(work: &Work<'_>, parts: Range<u128>) -> Result<Share, StorageError> {
    let mut share = Share::default();
    let mut streams: Vec<Option<Entries>> = Vec::with_capacity(work.segments.len());
    for segment in work.segments {
        let stream = match &segment.index {
            Some(index) => Some(entries_of_parts(work, index, &parts)?),
            None => None,
        };
        if let Some(index) = &segment.index {
            share.memory_bytes += work.buffer_bytes.min(index.size_bytes());
        }
        streams.push(stream);
        share.marks.push(Marks {
            dead: OrdinalSet::with_room_for(segment.records),
            tombstones: OrdinalSet::default(),
        });
    }
    let is_below = |entry: &Entry| match parts.start {
        0 => false,
        start => *entry <= last_of_part(start - 1, work.part_bits),
    };
    let mut head = &work.head[work.head.partition_point(is_below)..];
    let mut table = Table::new(work.part_entries);
    let mut same_offset = SameOffset::default();
    for part in parts {
        let most = last_of_part(part, work.part_bits);
        table.clear();
        for (index, stream) in streams.iter_mut().enumerate() {
            let Some(stream) = stream else { continue };
            stream.for_each_up_to(most, |entry| {
                let (table, same_offset) = (&mut table, &mut same_offset);
                see(entry, index, work.segments, table, same_offset, &mut share);
            })?;
        }
        let (part_of_head, rest) = head.split_at(head.partition_point(|entry| *entry <= most));
        head = rest;
        for entry in part_of_head {
            let last = work.segments.len().saturating_sub(1);
            let (table, same_offset) = (&mut table, &mut same_offset);
            see(*entry, last, work.segments, table, same_offset, &mut share);
        }
        share.keys += table.len as u64;
        if part % 64 == 0 {
            let entry_bytes = work.entry_count * ENTRY_BYTES as u64;
            work.control
                .charge((entry_bytes * 64) >> work.part_bits.max(6))?;
        }
    }
    let ends = streams
        .iter()
        .map(|stream| stream.as_ref().map(Entries::end));
    share.ends = ends.collect();
    share.memory_bytes += table.memory_bytes();
    share.memory_bytes += share
        .marks
        .iter()
        .map(|marks| marks.dead.memory_bytes())
        .sum::<u64>();
    Ok(share)
}

/// Those of one index that are in these parts.
fn entries_of_parts(
    work: &Work<'_>,
    index: &KeyIndex,
    parts: &Range<u128>,
) -> Result<Entries, StorageError> {
    let count = index.header().entry_count;
    let before = |part: u128| match part {
        0 => Ok(0),
        part if part >> work.part_bits > 0 => Ok(count),
        part => index.entries_up_to(last_of_part(part - 1, work.part_bits)),
    };
    let numbers = before(parts.start)?..before(parts.end)?;
    Ok(index.entries(numbers, work.buffer_bytes as usize))
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
    segments: &[SegmentPlan],
    table: &mut Table,
    same_offset: &mut SameOffset,
    share: &mut Share,
) {
    let ordinal = entry.ordinal();
    let Some(segment) = segments.get(index) else {
        return;
    };
    if segment.has_aborted && segment.dead.contains(u64::from(ordinal)) {
        return;
    }
    if entry.is_tombstone()
        && let Some(marks) = share.marks.get_mut(index)
    {
        marks.tombstones.insert(u64::from(ordinal));
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
        if let Some(marks) = share.marks.get_mut(earlier_index as usize) {
            share.superseded += u64::from(marks.dead.insert(u64::from(ordinal)));
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
