//! The key index of a sealed segment, `<base>.keyindex`: which key each of its records has, as a hash, sorted.
//!
//! Built once for a segment, it lets a cleaning be planned without reading the log, and a key be found. It also holds
//! what a plan needs to know of each batch. `docs/format/key_index.md` has its bytes.
//!
//! ```text
//! build  ->  <base>.keyindex  ->  KeyIndex::open  ->  batches (log order), entries (key order)
//! ```
//! Invariants
//! - It can be lost at any time: it is derived from the log, and built again when it is missing or unusable.
//! - It is believed only when it fits the segment, the last batch of the log and the secret of the directory, and what is
//!   read of it only when its checksum holds. One that this process has not built is first compared with headers in the
//!   log; a batch that is copied or rebuilt is compared again, one that is dropped is not read any more.
//! - It is not synced, and a failure to write it concerns nobody else: it never takes the directory offline.
//!
//! Lock: a segment's `key_index_building` lets one thread at a time build its index. The log's writer lock is taken
//! under it, to put the file in its place.

mod batch;
mod build;
mod entry;
mod hash;
mod hash_range;
mod header;
mod read;
mod section;
mod sort;
mod varint;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use lastword_record::Decompressor;

pub(crate) use batch::Before;
pub use batch::{EndOfTransaction, IndexedBatch, OddRecord};
pub(crate) use build::indexed;
pub use build::{BuildRequest, Built, build};
pub use entry::{ENTRY_BYTES, Entry, MAX_RECORDS};
pub use hash::{KeyHash, KeyHasher};
pub use header::Header;
pub use read::{Batches, Entries, EntriesEnd, Found, KeyIndex, RecordSizes};
pub(crate) use sort::sort;

use crate::error::StorageError;
use crate::file_name;
use crate::lock::lock;
use crate::log::Log;
use crate::segment::Segment;

/// The index of a sealed segment, built if need be; then it is said what building took.
///
/// `charge` hears of bytes before they are read or written, and may end the building.
/// Fails with [`StorageError::CorruptSegment`] when the log is damaged.
pub fn open_or_build(
    log: &Log,
    request: &BuildRequest<'_>,
    decompressor: &mut Decompressor,
    mut charge: impl FnMut(u64) -> Result<(), StorageError>,
) -> Result<(KeyIndex, Option<Built>), StorageError> {
    let segment = request.segment;
    if let Found::Index(index) = find(segment, request.hasher)? {
        return Ok((index, None));
    }
    let _building = lock(segment.key_index_building());
    let mut was_unusable = false;
    match find(segment, request.hasher)? {
        Found::Index(index) => return Ok((index, None)),
        Found::Missing => {}
        Found::Unusable(reason) => {
            tracing::warn!(file = %segment.key_index_path(), reason, "a key index is not usable and is built again");
            was_unusable = true;
        }
    }
    let began = Instant::now();
    let path = temporary_path(segment);
    let dir = log.dir();
    let result = dir
        .create(&path)
        .map_err(|source| StorageError::io("create", path.as_str(), source))
        .and_then(|file| build(request, &*file, &path, decompressor, &mut charge))
        .and_then(|built| {
            log.install_key_index(segment, &path)?;
            Ok(built)
        });
    let built = match result {
        Ok(built) => built,
        Err(error) => {
            // Whatever stays behind is removed when the log is loaded.
            let _ = dir.remove(&path);
            return Err(error);
        }
    };
    log.engine_stats().count_index_build(was_unusable);
    log.engine_stats().index_builds.record(began.elapsed());
    match KeyIndex::open(segment, request.hasher)? {
        Found::Index(index) => Ok((index, Some(built))),
        Found::Missing => Err(StorageError::Stale),
        Found::Unusable(reason) => Err(StorageError::corrupt_key_index(
            segment.key_index_path(),
            segment.base_offset(),
            reason,
        )),
    }
}

/// What is there. An index that this process sees for the first time is compared with its log.
fn find(segment: &Segment, hasher: &KeyHasher) -> Result<Found, StorageError> {
    let found = KeyIndex::open(segment, hasher)?;
    if segment.has_key_index() {
        return Ok(found);
    }
    let Found::Index(index) = found else {
        return Ok(found);
    };
    match index.check_batches(segment) {
        Ok(()) => {
            segment.set_has_key_index(true);
            Ok(Found::Index(index))
        }
        Err(StorageError::CorruptKeyIndex { reason, .. }) => Ok(Found::Unusable(reason)),
        Err(error) => Err(error),
    }
}

/// Of this building alone: the segment that replaces this one has the same base offset.
fn temporary_path(segment: &Segment) -> String {
    static BUILDINGS: AtomicU64 = AtomicU64::new(0);
    let building = BUILDINGS.fetch_add(1, Ordering::Relaxed);
    format!(
        "{}.{building}{}",
        segment.key_index_path(),
        file_name::TEMPORARY
    )
}

/// Removes an index that has proved to be damaged.
pub fn discard(log: &Log, segment: &Segment) -> Result<(), StorageError> {
    let _building = lock(segment.key_index_building());
    segment.set_has_key_index(false);
    let path = segment.key_index_path();
    match log.dir().remove(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(StorageError::io("remove", path, error))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
