//! What an interrupted swap, cleaning or deletion left in a partition's directory.
//!
//! Ours: a valid `<base>.replace` is rolled forward (see `replace`); a torn one was never committed
//! and is removed, and with it every `.cleaned` file.
//!
//! Kafka's, so that a directory of Kafka's can be taken over after a crash:
//! - `.deleted` files go.
//! - A `.swap` whose base is at or above the lowest `.cleaned` base belongs to an unfinished rename
//!   and goes; then every `.cleaned` goes.
//! - The remaining `.log.swap` files are complete: live files with a base between the lowest of
//!   them and the highest next offset in them are inputs and go; then the `.swap` files get their
//!   final names. The directory is synced in between, so that no order of the disk's can bring an
//!   input back beside its replacement.

use std::sync::Arc;

use tracing::{info, warn};

use super::replace_journal::ReplaceJournal;
use super::{replace, upgrade};
use crate::dir::{self, Dir};
use crate::error::StorageError;
use crate::file_name::{self, CLEANED, LIVE, PartitionFile, SWAP, SegmentFile};
use crate::segment::{IndexSettings, Segment};

/// A segment file found in the directory.
struct Found {
    name: String,
    base_offset: i64,
    file: SegmentFile,
    suffix: &'static str,
}

/// Brings the directory to a state in which every live file counts.
pub(super) fn clear(
    dir: &Arc<dyn Dir>,
    partition_dir: &str,
    now_ms: i64,
) -> Result<(), StorageError> {
    finish_journals(&**dir, partition_dir)?;
    let found = list(&**dir, partition_dir)?;
    if found.iter().all(|file| file.suffix == LIVE) {
        return Ok(());
    }
    let lowest_cleaned = found
        .iter()
        .filter(|file| file.suffix == CLEANED)
        .map(|file| file.base_offset)
        .min();
    let (complete, unfinished): (Vec<Found>, Vec<Found>) = found
        .into_iter()
        .filter(|file| file.suffix != LIVE)
        .partition(|file| {
            let is_complete = lowest_cleaned.is_none_or(|lowest| file.base_offset < lowest);
            file.suffix == SWAP && is_complete
        });
    for file in &unfinished {
        info!(partition_dir, file = file.name, "removing a leftover");
        remove(&**dir, partition_dir, &file.name)?;
    }
    // `.cleaned` files must be gone before a `.swap` gets its name: they are what told them apart.
    replace::sync_partition_dir(&**dir, partition_dir)?;
    if !complete.is_empty() {
        complete_swap(dir, partition_dir, &complete, now_ms)?;
    }
    Ok(())
}

fn finish_journals(dir: &dyn Dir, partition_dir: &str) -> Result<(), StorageError> {
    for entry in entries(dir, partition_dir)? {
        let path = format!("{partition_dir}/{}", entry);
        match file_name::parse_partition_file(&entry) {
            PartitionFile::Temporary => replace::remove_file(dir, &path)?,
            PartitionFile::ReplaceJournal { .. } => finish_journal(dir, partition_dir, &path)?,
            _ => {}
        }
    }
    Ok(())
}

fn finish_journal(dir: &dyn Dir, partition_dir: &str, path: &str) -> Result<(), StorageError> {
    let bytes = dir::read_file(dir, path).map_err(|error| StorageError::io("read", path, error))?;
    let journal = ReplaceJournal::decode(&bytes);
    match journal {
        Some(journal) if replace::is_sound(dir, partition_dir, &journal)? => {
            info!(file = path, "rolling a swap of segments forward");
            replace::replay(dir, partition_dir, &journal, path)
        }
        Some(journal) if !has_all_inputs(dir, partition_dir, &journal)? => {
            let reason = "its outputs are damaged, and its inputs are gone";
            Err(StorageError::corrupt_segment(path, 0, reason))
        }
        _ => {
            warn!(
                file = path,
                "removing the journal of a swap that was not committed"
            );
            replace::remove_file(dir, path)?;
            replace::sync_partition_dir(dir, partition_dir)
        }
    }
}

fn has_all_inputs(
    dir: &dyn Dir,
    partition_dir: &str,
    journal: &ReplaceJournal,
) -> Result<bool, StorageError> {
    let names = entries(dir, partition_dir)?;
    Ok(journal.inputs.iter().all(|base_offset| {
        let name = file_name::segment_file(*base_offset, SegmentFile::Log, LIVE);
        names.contains(&name)
    }))
}

fn complete_swap(
    dir: &Arc<dyn Dir>,
    partition_dir: &str,
    swaps: &[Found],
    now_ms: i64,
) -> Result<(), StorageError> {
    let mut range: Option<(i64, i64)> = None;
    for swap in swaps.iter().filter(|swap| swap.file == SegmentFile::Log) {
        let settings = IndexSettings {
            index_interval_bytes: 4096,
            segment_index_bytes: 10 << 20,
        };
        let dir = Arc::clone(dir);
        let segment = Segment::open(dir, partition_dir, swap.base_offset, SWAP, settings, now_ms)?;
        let (low, high) = range.unwrap_or((i64::MAX, i64::MIN));
        let next_offset = upgrade::next_offset(&segment)?;
        range = Some((low.min(swap.base_offset), high.max(next_offset)));
    }
    if let Some((low, high)) = range {
        for file in list(&**dir, partition_dir)? {
            if file.suffix == LIVE && (low..high).contains(&file.base_offset) {
                info!(
                    partition_dir,
                    file = file.name,
                    "removing the input of a finished swap"
                );
                remove(&**dir, partition_dir, &file.name)?;
            }
        }
        replace::sync_partition_dir(&**dir, partition_dir)?;
    }
    // Listed again: opening a `.swap` may have rebuilt its indexes.
    for file in list(&**dir, partition_dir)? {
        if file.suffix == SWAP {
            let from = format!("{partition_dir}/{}", file.name);
            let to = file_name::segment_path(partition_dir, file.base_offset, file.file, LIVE);
            dir.rename(&from, &to)
                .map_err(|error| StorageError::io("rename", from, error))?;
        }
    }
    replace::sync_partition_dir(&**dir, partition_dir)
}

fn remove(dir: &dyn Dir, partition_dir: &str, name: &str) -> Result<(), StorageError> {
    replace::remove_file(dir, &format!("{partition_dir}/{name}"))
}

fn entries(dir: &dyn Dir, partition_dir: &str) -> Result<Vec<String>, StorageError> {
    let entries = dir
        .list(partition_dir)
        .map_err(|error| StorageError::io("list", partition_dir, error))?;
    Ok(entries.into_iter().map(|entry| entry.name).collect())
}

fn list(dir: &dyn Dir, partition_dir: &str) -> Result<Vec<Found>, StorageError> {
    let names = entries(dir, partition_dir)?;
    let found = names
        .into_iter()
        .filter_map(|name| match file_name::parse_partition_file(&name) {
            PartitionFile::Segment {
                base_offset,
                file,
                suffix,
            } => Some(Found {
                name,
                base_offset,
                file,
                suffix,
            }),
            _ => None,
        });
    Ok(found.collect())
}
