//! `SegmentKeys`: where in a sealed segment a key is, by one read of its key index and one of its log.
//!
//! Memory: that of its [`Directory`], and 8 bytes for 32 KiB of the log. No file stays open: an index that has been replaced
//! or has gone meanwhile shows when its blocks are read. No lock.

use std::sync::Arc;

use super::directory::{BLOCK_ENTRIES, Directory};
use super::{FoundRecord, Search};
use crate::error::StorageError;
use crate::key_index::{self, BuildRequest, ENTRY_BYTES, Entry, KeyHash};
use crate::log::Log;
use crate::segment::Segment;

const READ_BYTES: u32 = 64 << 10;
/// Places in the log are at least so far apart, but for batches that would not end within a read.
const PLACE_BYTES: u32 = READ_BYTES / 2;
/// For building an index that is missing, and for reading it through.
const BUILD_BYTES: usize = 16 << 20;
const SECTION_BUFFER_BYTES: usize = 256 << 10;

pub(super) struct SegmentKeys {
    directory: Directory,
    /// Of the entries, in the index.
    entries_position: u64,
    /// First ordinal and position of some batches.
    places: Vec<(u32, u32)>,
}

/// What became of a record that was looked at.
enum Seen {
    Found(FoundRecord),
    /// It is of another key with the same hash, or behind the limit.
    Another,
    /// Its batch was rolled back; these are its ordinals.
    RolledBack(std::ops::Range<u32>),
}

impl SegmentKeys {
    /// Reads a key index through, and builds it if it is missing.
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
            let is_far = |position: u32| {
                batch.position - position >= PLACE_BYTES || batch.end() - position > READ_BYTES
            };
            if places.last().is_none_or(|(_, position)| is_far(*position)) {
                places.push((batch.first_ordinal, batch.position));
            }
        }
        let count = index.header().entry_count;
        let mut directory = Directory::new(count);
        let mut entries = index.entries(0..count, SECTION_BUFFER_BYTES);
        entries.for_each_up_to(Entry::last_of(KeyHash::MAX), |entry| directory.push(entry))?;
        index.check_entries([&entries.end()].into_iter())?;
        directory.finish();
        places.shrink_to_fit();
        Ok(SegmentKeys {
            directory,
            entries_position: index.entries_position(),
            places,
        })
    }

    pub fn memory_bytes(&self) -> u64 {
        self.directory.memory_bytes() + (self.places.capacity() * size_of::<(u32, u32)>()) as u64
    }

    /// What [`let_go_of_prints`](Self::let_go_of_prints) would save.
    pub fn print_bytes(&self) -> u64 {
        self.directory.print_bytes()
    }

    /// From now on a key that is not here costs a read too.
    pub fn let_go_of_prints(&mut self) {
        self.directory.let_go_of_prints();
    }

    /// The newest committed record of the key below the limit. [`StorageError::Stale`]: the index is not the one that was
    /// opened, or is damaged; opening it again says which.
    pub fn find(
        &self,
        segment: &Segment,
        search: &mut Search<'_>,
    ) -> Result<Option<FoundRecord>, StorageError> {
        let candidates = self.directory.candidates(search.hash);
        let Some(last) = candidates.end.checked_sub(1) else {
            return Ok(None);
        };
        if candidates.is_empty() {
            return Ok(None);
        }
        let file = segment.open_key_index()?.ok_or(StorageError::Stale)?;
        let mut rolled_back = 0..0;
        let blocks = candidates.start / BLOCK_ENTRIES..=last / BLOCK_ENTRIES;
        for block in blocks.rev() {
            let range = self.directory.block_bytes(block);
            let mut bytes = vec![0; (range.end - range.start) as usize];
            let count = file
                .read_full_at(&mut bytes, self.entries_position + range.start)
                .map_err(|source| StorageError::io("read", segment.key_index_path(), source))?;
            if count < bytes.len() || !self.directory.is_block(block, &bytes) {
                return Err(StorageError::Stale);
            }
            let (entries, _) = bytes.as_chunks::<ENTRY_BYTES>();
            for entry in entries.iter().rev().map(|bytes| Entry::from_bytes(*bytes)) {
                let is_seen = rolled_back.contains(&entry.ordinal());
                if entry.hash() < search.hash {
                    return Ok(None);
                } else if entry.hash() > search.hash || is_seen {
                    continue;
                }
                match self.see(segment, entry.ordinal(), search)? {
                    Seen::Found(found) => return Ok(Some(found)),
                    Seen::Another => {}
                    Seen::RolledBack(ordinals) => rolled_back = ordinals,
                }
            }
        }
        Ok(None)
    }

    /// Looks at the batch of a record.
    fn see(
        &self,
        segment: &Segment,
        ordinal: u32,
        search: &mut Search<'_>,
    ) -> Result<Seen, StorageError> {
        let wrong = || {
            let path = segment.key_index_path();
            StorageError::corrupt_key_index(path, segment.base_offset(), "it is not of this log")
        };
        let place = self.places.partition_point(|(first, _)| *first <= ordinal);
        let place = place
            .checked_sub(1)
            .and_then(|place| self.places.get(place));
        let &(mut first, position) = place.ok_or_else(wrong)?;
        let mut scan = segment.scan(position, segment.size_bytes(), READ_BYTES as usize);
        while let Some((_, batch)) = scan.next_batch()? {
            let header = *batch.header();
            let count = header.record_count.unsigned_abs();
            if ordinal - first >= count {
                first = first.checked_add(count).ok_or_else(wrong)?;
                continue;
            }
            if !search.is_committed(&header)? {
                return Ok(Seen::RolledBack(first..first.saturating_add(count)));
            }
            return Ok(match search.last_in(&batch)? {
                Some(found) => Seen::Found(found),
                None => Seen::Another,
            });
        }
        Err(wrong())
    }
}
