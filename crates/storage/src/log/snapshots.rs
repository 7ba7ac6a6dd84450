//! The producer snapshots of a log: when they are written, found and removed.
//!
//! One is written at every roll and at a clean close. It is not synced on its own: a torn one is
//! recognised by its checksum, removed, and the state rebuilt from an older one and the log.

use std::io;

use tracing::warn;

use super::{Log, LogWriter};
use crate::dir::{self, Dir};
use crate::error::StorageError;
use crate::file_name::{self, LIVE, PartitionFile, SegmentFile};
use crate::producer_state::{ProducerEntry, snapshot};

/// A snapshot that was read.
pub(super) struct Snapshot {
    /// Exclusive.
    pub offset: i64,
    pub entries: Vec<(i64, ProducerEntry)>,
}

/// Writes the snapshot at `offset`, unless it is there.
pub(super) fn take(log: &Log, writer: &mut LogWriter, offset: i64) -> Result<(), StorageError> {
    if offset <= writer.last_snapshot_offset {
        return Ok(());
    }
    let path = path(&log.partition_dir, offset);
    let bytes = snapshot::encode(&writer.producers.entries());
    let failed = |error| StorageError::io("write", path.as_str(), error);
    let file = log.context.dir.create(&path).map_err(failed)?;
    file.write_all_at(&bytes, 0).map_err(failed)?;
    writer.last_snapshot_offset = offset;
    Ok(())
}

/// The newest readable snapshot at or below `limit`. Damaged ones, and those beyond the end of the
/// log, are removed on the way.
pub(super) fn load_newest(
    dir: &dyn Dir,
    partition_dir: &str,
    limit: i64,
    log_end_offset: i64,
) -> Result<Option<Snapshot>, StorageError> {
    let mut offsets = list(dir, partition_dir)?;
    let beyond = offsets.split_off(offsets.partition_point(|offset| *offset <= log_end_offset));
    for offset in &beyond {
        remove(dir, partition_dir, *offset)?;
    }
    if !beyond.is_empty() {
        // Other records will get these offsets: the files must never come back.
        dir.sync_dir(partition_dir)
            .map_err(|error| StorageError::io("sync", partition_dir, error))?;
    }
    while let Some(offset) = offsets.pop() {
        let path = path(partition_dir, offset);
        if offset > limit {
            continue;
        }
        let bytes = dir::read_file(dir, &path)
            .map_err(|error| StorageError::io("read", path.as_str(), error))?;
        match snapshot::decode(&bytes) {
            Ok(entries) => return Ok(Some(Snapshot { offset, entries })),
            Err(reason) => {
                warn!(file = path, reason, "removing a damaged producer snapshot");
                remove(dir, partition_dir, offset)?;
            }
        }
    }
    Ok(None)
}

/// Removes the snapshots that neither belong to a segment nor are the newest.
pub(super) fn remove_strays(
    dir: &dyn Dir,
    partition_dir: &str,
    base_offsets: &[i64],
) -> Result<(), StorageError> {
    let offsets = list(dir, partition_dir)?;
    let newest = offsets.last().copied();
    for offset in offsets {
        if Some(offset) != newest && base_offsets.binary_search(&offset).is_err() {
            remove(dir, partition_dir, offset)?;
        }
    }
    Ok(())
}

/// Offsets of the snapshot files, ascending.
pub(super) fn list(dir: &dyn Dir, partition_dir: &str) -> Result<Vec<i64>, StorageError> {
    let entries = dir
        .list(partition_dir)
        .map_err(|error| StorageError::io("list", partition_dir, error))?;
    let mut offsets: Vec<i64> = entries
        .iter()
        .filter_map(|entry| match file_name::parse_partition_file(&entry.name) {
            PartitionFile::Segment {
                base_offset,
                file: SegmentFile::ProducerSnapshot,
                suffix: LIVE,
            } => Some(base_offset),
            _ => None,
        })
        .collect();
    offsets.sort_unstable();
    Ok(offsets)
}

pub(super) fn remove(dir: &dyn Dir, partition_dir: &str, offset: i64) -> Result<(), StorageError> {
    let path = path(partition_dir, offset);
    match dir.remove(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(StorageError::io("remove", path, error))
        }
        _ => Ok(()),
    }
}

fn path(partition_dir: &str, offset: i64) -> String {
    file_name::segment_path(partition_dir, offset, SegmentFile::ProducerSnapshot, LIVE)
}
