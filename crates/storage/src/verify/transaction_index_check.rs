//! `.txnindex` files against what the logs say: every transaction that was rolled back and still has data in NEW has its
//! entry in the segment of its marker, and no entry hides committed data.
//!
//! Memory follows the number of entries. No lock.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::history::{Abort, History};
use super::reader::SegmentName;
use crate::dir::{Dir, read_file};
use crate::error::StorageError;
use crate::file_name::{self, LIVE, SegmentFile};
use crate::segment::AbortedTransaction;

const ENTRY_BYTES: usize = 34;

/// The entries of one index, or what is wrong with it.
pub fn read_entries(
    dir: &dyn Dir,
    partition_dir: &str,
    base_offset: i64,
) -> Result<Result<Vec<AbortedTransaction>, String>, StorageError> {
    let kind = SegmentFile::TransactionIndex;
    let path = file_name::segment_path(partition_dir, base_offset, kind, LIVE);
    let bytes = match read_file(dir, &path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Ok(Vec::new())),
        Err(error) => return Err(StorageError::io("read", path, error)),
    };
    let (entries, rest) = bytes.as_chunks::<ENTRY_BYTES>();
    if !rest.is_empty() {
        let reason = format!("its {} bytes are no whole number of entries", bytes.len());
        return Ok(Err(reason));
    }
    let decoded = entries.iter().map(AbortedTransaction::decode);
    let decoded: Option<Vec<AbortedTransaction>> = decoded.collect();
    Ok(decoded.ok_or_else(|| "unknown version".to_owned()))
}

/// An index that would show rolled back data, or hide committed data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadEntry {
    pub segment: usize,
    pub offset: i64,
    pub reason: String,
}

/// The indexes of OLD, by producer and marker. One that cannot be read says nothing.
pub fn read_all(
    dir: &dyn Dir,
    partition_dir: &str,
    segments: &[SegmentName],
) -> Result<HashMap<(i64, i64), AbortedTransaction>, StorageError> {
    let mut all = HashMap::new();
    for segment in segments {
        let entries = read_entries(dir, partition_dir, segment.base_offset)?;
        for entry in entries.unwrap_or_default() {
            all.insert((entry.producer_id, entry.last_offset), entry);
        }
    }
    Ok(all)
}

/// Checks the indexes of NEW. `needed` are the transactions that were rolled back and have data in NEW, with the first
/// offset of that data, by marker.
pub fn check(
    dir: &dyn Dir,
    partition_dir: &str,
    segments: &[SegmentName],
    old: &HashMap<(i64, i64), AbortedTransaction>,
    history: &History,
    mut needed: BTreeMap<i64, Abort>,
) -> Result<Vec<BadEntry>, StorageError> {
    let mut bad = Vec::new();
    for (index, segment) in segments.iter().enumerate() {
        let mut is_bad = |offset, reason| {
            bad.push(BadEntry {
                segment: index,
                offset,
                reason,
            });
        };
        let entries = match read_entries(dir, partition_dir, segment.base_offset)? {
            Ok(entries) => entries,
            Err(reason) => {
                is_bad(segment.base_offset, reason);
                continue;
            }
        };
        let end = segments
            .get(index + 1)
            .map_or(i64::MAX, |it| it.base_offset);
        let mut last_offset = i64::MIN;
        for entry in entries {
            let marker = entry.last_offset;
            if marker <= last_offset || marker < segment.base_offset || marker >= end {
                is_bad(
                    marker,
                    "its entries are out of order, or of another segment".into(),
                );
                break;
            }
            last_offset = marker;
            let computed = history.abort_at(entry.producer_id, marker);
            let is_right = match (old.get(&(entry.producer_id, marker)), computed) {
                (Some(known), _) => *known == entry,
                (None, Some(known)) => known.first_offset == entry.first_offset,
                (None, None) => false,
            };
            if !is_right {
                let AbortedTransaction {
                    producer_id,
                    first_offset,
                    ..
                } = entry;
                is_bad(
                    marker,
                    format!(
                        "it says that producer {producer_id} rolled back {first_offset} to {marker}, which is not so in \
                         OLD"
                    ),
                );
                continue;
            }
            let covers = |abort: &Abort| {
                abort.producer_id == entry.producer_id && entry.first_offset <= abort.first_offset
            };
            if needed.get(&marker).is_some_and(covers) {
                needed.remove(&marker);
            }
        }
    }
    for abort in needed.values() {
        let segment = segments.partition_point(|it| it.base_offset <= abort.last_offset);
        bad.push(BadEntry {
            segment: segment.saturating_sub(1),
            offset: abort.first_offset,
            reason: format!(
                "data that producer {} rolled back would be read as committed: there is no entry for the marker at {}",
                abort.producer_id, abort.last_offset
            ),
        });
    }
    Ok(bad)
}

/// The same of what fetches have told, by producer and first offset: offsets and what is wrong there.
pub fn check_fetched(
    told: &[(i64, i64)],
    old: &HashMap<(i64, i64), AbortedTransaction>,
    history: &History,
    needed: &BTreeMap<i64, Abort>,
) -> Vec<(i64, String)> {
    let mut bad = Vec::new();
    let known: HashSet<(i64, i64)> = old
        .values()
        .map(|it| (it.producer_id, it.first_offset))
        .collect();
    for &(producer_id, first_offset) in told {
        if !known.contains(&(producer_id, first_offset))
            && !history.has_abort_from(producer_id, first_offset)
        {
            let reason = format!(
                "fetches say that producer {producer_id} rolled back what begins at {first_offset}, which is not so in OLD"
            );
            bad.push((first_offset, reason));
        }
    }
    let told: HashSet<(i64, i64)> = told.iter().copied().collect();
    for (marker, abort) in needed {
        let id = abort.producer_id;
        let indexed = old.get(&(id, *marker)).map(|it| it.first_offset);
        let computed = history.abort_at(id, *marker).map(|it| it.first_offset);
        let mut names = [Some(abort.first_offset), indexed, computed]
            .into_iter()
            .flatten();
        if !names.any(|first_offset| told.contains(&(id, first_offset))) {
            let reason = format!(
                "data that producer {id} rolled back is read as committed: no fetch names the transaction that ends at \
                 {marker}"
            );
            bad.push((abort.first_offset, reason));
        }
    }
    bad
}
