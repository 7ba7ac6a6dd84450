//! `SegmentKeys`: where in a sealed segment a key is, by one read of its key index and one of its log.
//!
//! Memory: 16 bytes for 4096 entries of the index, and 8 for 32 KiB of the log. No lock.

use std::sync::Arc;

use super::{FoundRecord, Search};
use crate::error::StorageError;
use crate::key_index::{self, BuildRequest, Entry, KeyHash, KeyIndex};
use crate::log::Log;
use crate::segment::Segment;

/// Entries that are read at once: 64 KiB.
const BLOCK: u32 = 4096;
const READ_BYTES: usize = 64 << 10;
/// Places in the log are at least so far apart. A batch behind one is in the same read, unless it is large.
const PLACE_BYTES: u32 = 32 << 10;
/// For building an index that is missing, and for reading it through.
const BUILD_BYTES: usize = 16 << 20;
const SECTION_BUFFER_BYTES: usize = 256 << 10;

pub(super) struct SegmentKeys {
    index: KeyIndex,
    /// The first hash of each block.
    firsts: Vec<u128>,
    /// First ordinal and position of some batches.
    places: Vec<(u32, u32)>,
}

impl SegmentKeys {
    pub fn open(
        log: &Log,
        segment: &Arc<Segment>,
        search: &mut Search<'_>,
    ) -> Result<SegmentKeys, StorageError> {
        let build = BuildRequest {
            segment,
            hasher: search.hasher,
            memory_bytes: BUILD_BYTES,
            leaves_cache_as_found: false,
        };
        let (index, _) =
            key_index::open_or_build(log, &build, &mut search.decompressor, |_| Ok(()))?;
        let mut places: Vec<(u32, u32)> = Vec::new();
        let mut batches = index.batches(SECTION_BUFFER_BYTES);
        while let Some(batch) = batches.next_batch()? {
            let last = places.last().map(|(_, position)| position + PLACE_BYTES);
            if last.is_none_or(|next| batch.position >= next) {
                places.push((batch.first_ordinal, batch.position));
            }
        }
        let mut firsts = Vec::new();
        let mut count = 0u32;
        let mut entries = index.entries(0..index.header().entry_count, SECTION_BUFFER_BYTES);
        entries.for_each_up_to(Entry::last_of(KeyHash::MAX), |entry| {
            if count.is_multiple_of(BLOCK) {
                firsts.push(entry.hash().bits());
            }
            count += 1;
        })?;
        index.check_entries([&entries.end()].into_iter())?;
        Ok(SegmentKeys {
            index,
            firsts,
            places,
        })
    }

    pub fn memory_bytes(&self) -> u64 {
        (self.firsts.capacity() * 16 + self.places.capacity() * 8) as u64
    }

    /// The newest committed record of the key below the limit.
    pub fn find(
        &self,
        segment: &Segment,
        search: &mut Search<'_>,
    ) -> Result<Option<FoundRecord>, StorageError> {
        let hash = search.hash.bits();
        let blocks = self.firsts.partition_point(|first| *first <= hash);
        let mut entries = Vec::new();
        for block in (0..blocks).rev() {
            self.index
                .read_entries(block as u32 * BLOCK, BLOCK, &mut entries)?;
            for entry in entries.iter().rev().filter(|it| it.hash().bits() <= hash) {
                if entry.hash().bits() < hash {
                    return Ok(None);
                }
                if let Some(found) = self.read(segment, entry.ordinal(), search)? {
                    return Ok(Some(found));
                }
            }
        }
        Ok(None)
    }

    /// The record of an ordinal; none when it is not committed, or another key has its hash.
    fn read(
        &self,
        segment: &Segment,
        ordinal: u32,
        search: &mut Search<'_>,
    ) -> Result<Option<FoundRecord>, StorageError> {
        let wrong = || {
            let path = segment.key_index_path();
            StorageError::corrupt_key_index(path, segment.base_offset(), "it is not of this log")
        };
        let place = self.places.partition_point(|(first, _)| *first <= ordinal);
        let place = place
            .checked_sub(1)
            .and_then(|place| self.places.get(place));
        let &(mut first, position) = place.ok_or_else(wrong)?;
        let mut scan = segment.scan(position, segment.size_bytes(), READ_BYTES);
        while let Some((_, batch)) = scan.next_batch()? {
            let header = *batch.header();
            let count = header.record_count.unsigned_abs();
            if ordinal - first < count {
                return match search.is_committed(&header)? {
                    true => search.last_in(&batch),
                    false => Ok(None),
                };
            }
            first += count;
        }
        Err(wrong())
    }
}
