//! Swapping segments: "these inputs become these outputs", wholly or not at all.
//!
//! The outputs come in with suffix `.cleaned`, sealed and synced. Their names need not be durable.
//!
//! | # | step | a crash after it, and what the loader does |
//! |---|---|---|
//! | 1 | sync the directory: the names of the outputs | `.cleaned` files are removed, before-state |
//! | 2 | write `<first base>.replace`, sync it | its name is lost or torn: as 1. It is there: rolled forward |
//! | 3 | sync the directory: the journal's name | rolled forward from here on |
//! | 4 | under the writer lock: every input still in the set, and below HighWatermark? | no: the journal is removed durably, then the outputs; `Stale` |
//! | 5 | rename the outputs over, file by file | the rest is renamed |
//! | 6 | publish the new set, release the lock | the same |
//! | 7 | remove the inputs that were not overwritten, and their producer snapshots | the rest is removed |
//! | 8 | sync the directory | the same, nothing is left to do |
//! | 9 | remove the journal | it may come back: replayed, which changes nothing |
//! | 10 | sync the directory | after-state |
//!
//! Step 1 before step 2: a journal on disk says that its outputs are there, so that a missing
//! `.cleaned` name means "renamed already" and never "lost".
//!
//! The journal is the commit point; the order in which the disk does the renames and removals does
//! not matter. Bases of inputs are never used again by new segments, and the next swap starts after
//! step 10, so a replay can never hit a file that it does not mean. If retention removes an output
//! between 6 and 10, its log start offset is durable first, so nothing old can come back.
//!
//! Readers who hold an input go on reading it; an input's indexes are opened before its name goes
//! to somebody else.

use std::io;
use std::sync::Arc;

use tracing::debug;

use super::replace_journal::{JournalOutput, ReplaceJournal};
use super::{Log, SegmentSet, lock, snapshots};
use crate::dir::Dir;
use crate::error::StorageError;
use crate::file_name::{self, CLEANED, LIVE, SegmentFile};
use crate::segment::Segment;

pub(super) fn replace_segments(
    log: &Log,
    inputs: &[Arc<Segment>],
    outputs: Vec<Segment>,
) -> Result<(), StorageError> {
    let _one_at_a_time = lock(&log.replace_lock);
    log.check_open()?;
    let outputs: Vec<Arc<Segment>> = outputs.into_iter().map(Arc::new).collect();
    let Some(first) = inputs.first() else {
        return Err(StorageError::Stale);
    };
    let dir = &*log.context.dir;
    let journal = journal_of(
        dir,
        &log.partition_dir,
        inputs.iter().map(|input| input.base_offset()).collect(),
        outputs.iter().map(|output| output.base_offset()),
    )?;
    let journal_path = log.path(&file_name::replace_journal(first.base_offset()));
    if let Err(error) = commit(dir, &log.partition_dir, &journal, &journal_path) {
        if !error.is_out_of_space() {
            return log.context.or_offline(Err(error));
        }
        // No room for the journal: nothing was renamed, and without it nothing will be.
        let undone = undo(dir, &log.partition_dir, &journal_path, &outputs);
        log.context.or_offline(undone)?;
        return Err(error);
    }

    match swap(log, inputs, &outputs, &journal) {
        Ok(()) => {}
        Err(StorageError::Stale) => {
            let undone = undo(dir, &log.partition_dir, &journal_path, &outputs);
            log.context.or_offline(undone)?;
            return Err(StorageError::Stale);
        }
        Err(error) => return log.context.or_offline(Err(error)),
    }
    let finished = finish(log, inputs, &journal, &journal_path);
    log.context.or_offline(finished)?;
    log.context.sealed.raise();
    debug!(partition = %log.topic_partition, ?journal, "replaced segments");
    Ok(())
}

/// The same for a segment of a log that is being loaded, which nobody else knows yet: nothing can be `Stale`, and steps
/// 5 to 10 are those of a journal that was found. When there is no room for the journal the outputs are removed.
pub(super) fn replace_unloaded(
    dir: &dyn Dir,
    partition_dir: &str,
    input: i64,
    outputs: &[Segment],
) -> Result<(), StorageError> {
    let bases = outputs.iter().map(Segment::base_offset);
    let journal = journal_of(dir, partition_dir, vec![input], bases)?;
    let journal_path = format!("{partition_dir}/{}", file_name::replace_journal(input));
    match commit(dir, partition_dir, &journal, &journal_path) {
        Err(error) if error.is_out_of_space() => {
            undo(dir, partition_dir, &journal_path, outputs)?;
            Err(error)
        }
        Err(error) => Err(error),
        Ok(()) => replay(dir, partition_dir, &journal, &journal_path),
    }
}

/// What the journal will say: the outputs' files as they are in the directory.
fn journal_of(
    dir: &dyn Dir,
    partition_dir: &str,
    inputs: Vec<i64>,
    outputs: impl Iterator<Item = i64>,
) -> Result<ReplaceJournal, StorageError> {
    let entries = dir
        .list(partition_dir)
        .map_err(|error| StorageError::io("list", partition_dir, error))?;
    let size_of = |base_offset, file| {
        let name = file_name::segment_file(base_offset, file, CLEANED);
        let entry = entries.iter().find(|entry| entry.name == name);
        entry.map(|entry| entry.size_bytes)
    };
    let outputs = outputs.map(|base_offset| JournalOutput {
        base_offset,
        file_bytes: SegmentFile::OF_SEGMENT.map(|file| size_of(base_offset, file)),
    });
    Ok(ReplaceJournal {
        inputs,
        outputs: outputs.collect(),
    })
}

/// Steps 1 to 3.
fn commit(
    dir: &dyn Dir,
    partition_dir: &str,
    journal: &ReplaceJournal,
    path: &str,
) -> Result<(), StorageError> {
    sync_partition_dir(dir, partition_dir)?;
    let failed = |error| StorageError::io("write", path, error);
    let file = dir.create(path).map_err(failed)?;
    file.write_all_at(&journal.encode(), 0).map_err(failed)?;
    file.sync_data().map_err(failed)?;
    sync_partition_dir(dir, partition_dir)
}

/// Steps 4 to 6.
fn swap(
    log: &Log,
    inputs: &[Arc<Segment>],
    outputs: &[Arc<Segment>],
    journal: &ReplaceJournal,
) -> Result<(), StorageError> {
    let _writer = lock(&log.writer);
    log.check_open()?;
    let set = log.segments.load_full();
    let high_watermark = log.published.load().high_watermark.offset;
    let next = set_after(&set, inputs, outputs, high_watermark).ok_or(StorageError::Stale)?;
    for input in inputs {
        input.detach();
    }
    let dir = &*log.context.dir;
    for (output, entry) in outputs.iter().zip(&journal.outputs) {
        output.rename_suffix(LIVE)?;
        remove_absent_files(dir, &log.partition_dir, entry)?;
    }
    log.segments.store(Arc::new(next));
    Ok(())
}

/// The set with the inputs replaced; none when an input has gone, is the active segment or not
/// wholly below HighWatermark, or when the outputs do not fit into the place of the inputs.
fn set_after(
    set: &SegmentSet,
    inputs: &[Arc<Segment>],
    outputs: &[Arc<Segment>],
    high_watermark: i64,
) -> Option<SegmentSet> {
    let first = inputs.first()?;
    let start = set.floor_index(first.base_offset())?;
    let end = start + inputs.len();
    let current = set.as_slice().get(start..end)?;
    let is_here = current.iter().zip(inputs).all(|(a, b)| Arc::ptr_eq(a, b));
    if !is_here || end >= set.len() {
        return None;
    }
    let upper = set.next_base_offset(end - 1)?;
    let fits = outputs
        .iter()
        .all(|output| (first.base_offset()..upper).contains(&output.base_offset()));
    if !fits || upper > high_watermark {
        return None;
    }
    let mut segments = set.as_slice().get(..start)?.to_vec();
    segments.extend(outputs.iter().cloned());
    segments.extend_from_slice(set.as_slice().get(end..)?);
    Some(set.with_segments(segments))
}

/// Steps 7 to 10; the loader replays the same steps from the journal.
fn finish(
    log: &Log,
    inputs: &[Arc<Segment>],
    journal: &ReplaceJournal,
    journal_path: &str,
) -> Result<(), StorageError> {
    let dir = &*log.context.dir;
    for input in inputs {
        if !journal.has_output(input.base_offset()) {
            remove_segment(dir, &log.partition_dir, input.base_offset())?;
        }
    }
    sync_partition_dir(dir, &log.partition_dir)?;
    remove_file(dir, journal_path)?;
    sync_partition_dir(dir, &log.partition_dir)
}

/// Nothing was renamed yet. The journal goes first, durably, or a crash would roll the swap forward.
fn undo<S: std::borrow::Borrow<Segment>>(
    dir: &dyn Dir,
    partition_dir: &str,
    journal_path: &str,
    outputs: &[S],
) -> Result<(), StorageError> {
    remove_file(dir, journal_path)?;
    sync_partition_dir(dir, partition_dir)?;
    for output in outputs {
        output.borrow().delete_files()?;
    }
    Ok(())
}

/// Can this journal be rolled forward? Only if every output that still has its first name is whole.
/// It always is, unless the outputs were not synced before they came here.
pub(super) fn is_sound(
    dir: &dyn Dir,
    partition_dir: &str,
    journal: &ReplaceJournal,
) -> Result<bool, StorageError> {
    let entries = dir
        .list(partition_dir)
        .map_err(|error| StorageError::io("list", partition_dir, error))?;
    let is_whole = |base_offset, file, size| {
        let name = file_name::segment_file(base_offset, file, CLEANED);
        entries
            .iter()
            .filter(|entry| entry.name == name)
            .all(|entry| Some(entry.size_bytes) == size)
    };
    Ok(journal.outputs.iter().all(|output| {
        output
            .files()
            .all(|(file, size)| is_whole(output.base_offset, file, size))
    }))
}

/// Rolls a journal that was found at load forward: steps 5 and 7 to 10.
pub(super) fn replay(
    dir: &dyn Dir,
    partition_dir: &str,
    journal: &ReplaceJournal,
    journal_path: &str,
) -> Result<(), StorageError> {
    for output in &journal.outputs {
        for (file, size) in output.files() {
            if size.is_some() {
                rename_cleaned(dir, partition_dir, output.base_offset, file)?;
            }
        }
        remove_absent_files(dir, partition_dir, output)?;
    }
    for base_offset in &journal.inputs {
        if !journal.has_output(*base_offset) {
            remove_segment(dir, partition_dir, *base_offset)?;
        }
    }
    sync_partition_dir(dir, partition_dir)?;
    remove_file(dir, journal_path)?;
    sync_partition_dir(dir, partition_dir)
}

/// Done already when there is no `.cleaned` file.
fn rename_cleaned(
    dir: &dyn Dir,
    partition_dir: &str,
    base_offset: i64,
    file: SegmentFile,
) -> Result<(), StorageError> {
    let from = file_name::segment_path(partition_dir, base_offset, file, CLEANED);
    let to = file_name::segment_path(partition_dir, base_offset, file, LIVE);
    match dir.rename(&from, &to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(StorageError::io("rename", from, error))
        }
        _ => Ok(()),
    }
}

/// An input of the same base may have had a file that the output does not have, and a key index, which is never part of
/// an output.
fn remove_absent_files(
    dir: &dyn Dir,
    partition_dir: &str,
    output: &JournalOutput,
) -> Result<(), StorageError> {
    let absent = output.files().filter(|(_, size)| size.is_none());
    for file in absent.map(|(file, _)| file).chain([SegmentFile::KeyIndex]) {
        let path = file_name::segment_path(partition_dir, output.base_offset, file, LIVE);
        remove_file(dir, &path)?;
    }
    Ok(())
}

/// All files of a base offset, its producer snapshot too.
pub(super) fn remove_segment(
    dir: &dyn Dir,
    partition_dir: &str,
    base_offset: i64,
) -> Result<(), StorageError> {
    for file in SegmentFile::ALL_OF_SEGMENT {
        let path = file_name::segment_path(partition_dir, base_offset, file, LIVE);
        remove_file(dir, &path)?;
    }
    snapshots::remove(dir, partition_dir, base_offset)
}

pub(super) fn remove_file(dir: &dyn Dir, path: &str) -> Result<(), StorageError> {
    match dir.remove(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(StorageError::io("remove", path, error))
        }
        _ => Ok(()),
    }
}

pub(super) fn sync_partition_dir(dir: &dyn Dir, partition_dir: &str) -> Result<(), StorageError> {
    dir.sync_dir(partition_dir)
        .map_err(|error| StorageError::io("sync", partition_dir, error))
}
