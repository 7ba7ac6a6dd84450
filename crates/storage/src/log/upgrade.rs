//! Segments with messages of magic 0 and 1 are written again in magic 2, once, when their log is loaded.
//!
//! The rest of the engine knows magic 2 only. A directory of an old Kafka may hold older messages; a segment that does
//! is converted as Kafka 4.3's cleaner converts (`lastword_record::LegacyUpgrade`): same offsets, order, keys and
//! values. Batches of magic 2 in the same segment are copied byte for byte. The output is written as `.cleaned`, sealed,
//! synced, given the input's time of change, and put in its place by the journaled swap of `replace`, so a crash leaves
//! the one or the other. One input gives one output, or several when it would exceed 2^31-1 bytes or offsets.
//!
//! How they are found, without reading a normal log
//! - The first bytes of every segment tell its first magic, one small read; a legacy end is found by the opening of
//!   the segment, which reads the last headers anyway. Magic rises with the age of a log, so this finds them all,
//!   unless the format was set back and forth.
//! - Therefore, when one is found so, all other segments of the partition are walked by their headers, once: hidden
//!   ones are converted first, so that a crash leaves one that is found the same way.
//! - And when recovery or the replay of producers meets a legacy message in the middle, all segments are walked, too.
//! - One that is met later, by a cleaning, is converted then ([`upgrade_met`]).
//!
//! Damage: nothing is laundered. A message that fails its checksum, or could not be in a log, is an error with file and
//! position, and the partition is not loaded. Only the end of the last segment can be torn: it is left out when nothing
//! valid follows, or only zeros are there, and the recovery point has not passed it.
//!
//! Takes no lock at load, where nobody else knows the log; `upgrade_met` takes those of the swap.

mod entry_scan;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use lastword_record::{BatchHeader, LEGACY_PREFIX_BYTES, LegacyPrefix, LegacyUpgrade, RecordError};
use tracing::{info, warn};

use self::entry_scan::{Entry, EntryScan};
use super::load::is_lost_write;
use super::{Log, replace};
use crate::dir::Dir;
use crate::error::StorageError;
use crate::file_name;
use crate::segment::{IndexSettings, Segment, find_valid_batch};

/// Bytes collected before they are written.
const WRITE_BYTES: usize = 1 << 20;
/// A log file never exceeds this.
const MAX_SEGMENT_BYTES: u64 = i32::MAX as u64;

/// How thoroughly a segment is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// At its ends.
    AtEnds,
    /// At every header.
    Everywhere,
}

/// What is behind the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Another segment, so it is whole. Offsets are not covered by checksums: one that reaches the next segment's base
    /// offset is damage. An old cleaner may have written more offsets than an index can hold.
    Sealed { next_base_offset: i64 },
    /// Nothing: it may be torn, but nothing below the recovery point is left out. No cleaner wrote it, so an offset that
    /// an index cannot hold is damage.
    Last { recovery_point: i64 },
}

/// What the outputs are made with.
pub(super) struct Upgrade<'a> {
    pub dir: &'a Arc<dyn Dir>,
    pub partition_dir: &'a str,
    pub settings: IndexSettings,
    pub now_ms: i64,
    pub max_decompressed_bytes: usize,
    /// The largest output, less only in tests.
    pub segment_bytes: u64,
}

/// Whether a segment holds messages of magic 0 or 1, as far as a look tells.
pub(super) fn holds_legacy(segment: &Segment, look: Look) -> Result<bool, StorageError> {
    if segment.is_empty() {
        return Ok(false);
    }
    let mut prefix = [0; LEGACY_PREFIX_BYTES];
    let count = read(segment, &mut prefix, 0)?;
    if LegacyPrefix::parse(prefix.get(..count).unwrap_or_default()).is_some() {
        return Ok(true);
    }
    if look == Look::AtEnds && !segment.needs_recovery() {
        return Ok(false);
    }
    let mut scan = segment.scan_headers(0, segment.size_bytes());
    loop {
        match scan.next_batch() {
            Ok(Some(_)) => {}
            Ok(None) => return Ok(false),
            Err(StorageError::CorruptSegment { position, .. }) => {
                return is_legacy_at(segment, position);
            }
            Err(error) => return Err(error),
        }
    }
}

/// Whether a whole message of magic 0 or 1 begins here.
fn is_legacy_at(segment: &Segment, position: u64) -> Result<bool, StorageError> {
    let mut scan = EntryScan::new(segment.log_file(), position, segment.size_bytes().into());
    let entry = scan
        .next_entry()
        .map_err(|error| unreadable(segment, error))?;
    Ok(matches!(entry, Entry::Legacy(_)))
}

/// The offset behind the last record, also of a segment that has not been converted.
pub(super) fn next_offset(segment: &Segment) -> Result<i64, StorageError> {
    if !holds_legacy(segment, Look::AtEnds)? {
        return Ok(segment.next_offset());
    }
    let mut next_offset = segment.base_offset();
    let mut scan = EntryScan::new(segment.log_file(), 0, segment.size_bytes().into());
    loop {
        let position = scan.position();
        let entry = scan.next_entry();
        next_offset = match entry.map_err(|error| unreadable(segment, error))? {
            Entry::End => return Ok(next_offset),
            Entry::Legacy(message) => next_offset.max(message.offset() + 1),
            Entry::Batch { header, .. } => next_offset.max(header.next_offset()),
            Entry::Damage(reason) => {
                let file = segment.log_path();
                return Err(StorageError::corrupt_segment(file, position, reason));
            }
        };
    }
}

impl Upgrade<'_> {
    /// Converts a segment of a log that is being loaded, on disk, and returns the base offsets of what is there in its
    /// place. `None`: there is no legacy message in it, and nothing was changed.
    pub fn in_place(&self, segment: &Segment, end: End) -> Result<Option<Vec<i64>>, StorageError> {
        let Some(outputs) = self.write(segment, end)? else {
            return Ok(None);
        };
        replace::replace_unloaded(
            &**self.dir,
            self.partition_dir,
            segment.base_offset(),
            &outputs,
        )?;
        Ok(Some(outputs.iter().map(Segment::base_offset).collect()))
    }

    /// Writes the outputs, sealed and synced. `None`, and none is left: there is no legacy message.
    fn write(&self, segment: &Segment, end: End) -> Result<Option<Vec<Segment>>, StorageError> {
        let mut outputs = Outputs::new(self, segment.base_offset())?;
        let filled = outputs
            .fill(segment, end)
            .and_then(|found| outputs.complete(segment).map(|()| found));
        match filled {
            Ok(found) if found.messages > 0 => {
                info!(
                    file = segment.log_path(),
                    messages = found.messages,
                    bytes_before = segment.size_bytes(),
                    bytes_after = outputs.bytes,
                    segments = outputs.segments.len(),
                    "converted messages of magic 0 and 1 to magic 2"
                );
                Ok(Some(outputs.segments))
            }
            Ok(_) => {
                outputs.discard();
                Ok(None)
            }
            Err(error) => {
                outputs.discard();
                Err(error)
            }
        }
    }
}

/// See [`Log::upgrade_legacy`].
pub(super) fn upgrade_met(log: &Log, error: &StorageError) -> Result<bool, StorageError> {
    let StorageError::CorruptSegment { file, position, .. } = error else {
        return Ok(false);
    };
    let set = log.segments();
    let Some(segment) = set.iter().find(|segment| segment.log_path() == *file) else {
        return Ok(false);
    };
    let next_base_offset = set
        .floor_index(segment.base_offset())
        .and_then(|index| set.next_base_offset(index));
    let Some(next_base_offset) = next_base_offset else {
        return Ok(false);
    };
    if !is_legacy_at(segment, *position)? {
        return Ok(false);
    }
    let dir = log.dir();
    let upgrade = Upgrade {
        dir: &dir,
        partition_dir: log.partition_dir(),
        settings: log.index_settings(),
        now_ms: log.context.clock.now_ms(),
        max_decompressed_bytes: log.context.max_decompressed_bytes,
        segment_bytes: MAX_SEGMENT_BYTES,
    };
    let Some(outputs) = upgrade.write(segment, End::Sealed { next_base_offset })? else {
        return Ok(false);
    };
    match log.replace_segments(std::slice::from_ref(segment), outputs) {
        // It has left the log meanwhile, and so has the reason of the error.
        Ok(()) | Err(StorageError::Stale) => Ok(true),
        Err(error) => Err(error),
    }
}

impl End {
    /// May a record of this segment have this offset?
    fn check(self, segment: &Segment, offset: i64) -> Result<(), String> {
        match self {
            End::Sealed { next_base_offset } if offset >= next_base_offset => Err(format!(
                "offset {offset} reaches beyond the next segment, {next_base_offset}"
            )),
            End::Last { .. } if !segment.can_hold_offset(offset) => {
                let base_offset = segment.base_offset();
                Err(format!(
                    "offset {offset} does not belong to a segment that begins at {base_offset}"
                ))
            }
            _ => Ok(()),
        }
    }
}

/// What was found on the way.
#[derive(Clone, Copy, Debug, Default)]
struct Found {
    messages: u64,
}

/// The segments being written.
struct Outputs<'a> {
    upgrade: &'a Upgrade<'a>,
    converter: LegacyUpgrade,
    segments: Vec<Segment>,
    /// Batches that are not written yet, and their headers.
    pending: Vec<u8>,
    headers: Vec<BatchHeader>,
    /// No batch may begin below.
    next_offset: i64,
    bytes: u64,
}

impl<'a> Outputs<'a> {
    fn new(upgrade: &'a Upgrade<'a>, base_offset: i64) -> Result<Outputs<'a>, StorageError> {
        let mut outputs = Outputs {
            upgrade,
            converter: LegacyUpgrade::new(upgrade.max_decompressed_bytes),
            segments: Vec::new(),
            pending: Vec::new(),
            headers: Vec::new(),
            next_offset: base_offset,
            bytes: 0,
        };
        outputs.create(base_offset)?;
        Ok(outputs)
    }

    fn create(&mut self, base_offset: i64) -> Result<(), StorageError> {
        self.segments.push(Segment::create(
            Arc::clone(self.upgrade.dir),
            self.upgrade.partition_dir,
            base_offset,
            file_name::CLEANED,
            self.upgrade.settings,
            self.upgrade.now_ms,
        )?);
        Ok(())
    }

    fn fill(&mut self, segment: &Segment, end: End) -> Result<Found, StorageError> {
        let mut found = Found::default();
        let mut scan = EntryScan::new(segment.log_file(), 0, segment.size_bytes().into());
        let corrupt = |position, reason: String| {
            StorageError::corrupt_segment(segment.log_path(), position, reason)
        };
        loop {
            let position = scan.position();
            let entry = scan.next_entry();
            let damage = match entry.map_err(|error| unreadable(segment, error))? {
                Entry::End => break,
                Entry::Damage(reason) => reason,
                Entry::Legacy(message) => {
                    found.messages += 1;
                    // Its checksum is right, so what is wrong with it is no torn write.
                    let refused = |reason| corrupt(position, reason);
                    end.check(segment, message.offset()).map_err(refused)?;
                    let (least_offset, out) = (self.next_offset, &mut self.pending);
                    let pushed = self.converter.push(&message, least_offset, out);
                    if let Some(header) = pushed.map_err(|error| refused(error.to_string()))? {
                        self.added(header)?;
                    }
                    continue;
                }
                Entry::Batch { header, bytes } => {
                    self.finish_message(segment, position)?;
                    let checked = end.check(segment, header.last_offset());
                    match checked.and_then(|()| self.check_rises(&header)) {
                        Ok(()) => {
                            self.pending.extend_from_slice(bytes);
                            self.added(header)?;
                            continue;
                        }
                        Err(reason) => reason,
                    }
                }
            };
            self.finish_message(segment, position)?;
            if !self.is_torn(segment, position, end)? {
                return Err(corrupt(position, damage));
            }
            warn!(
                file = segment.log_path(),
                position, damage, "leaving out a torn tail"
            );
            break;
        }
        self.finish_message(segment, scan.position())?;
        Ok(found)
    }

    fn check_rises(&self, header: &BatchHeader) -> Result<(), String> {
        if header.base_offset < self.next_offset {
            let (base_offset, next_offset) = (header.base_offset, self.next_offset);
            return Err(format!("base offset {base_offset} is below {next_offset}"));
        }
        Ok(())
    }

    /// The message that waits for one of the same offset has become a batch.
    fn finish_message(&mut self, segment: &Segment, position: u64) -> Result<(), StorageError> {
        let failed = |error: RecordError| {
            StorageError::corrupt_segment(segment.log_path(), position, error.to_string())
        };
        match self.converter.finish(&mut self.pending).map_err(failed)? {
            Some(header) => self.added(header),
            None => Ok(()),
        }
    }

    /// A batch now ends `pending`. Goes on to another output if it does not fit into this one.
    fn added(&mut self, header: BatchHeader) -> Result<(), StorageError> {
        let before = self.pending.len().saturating_sub(header.size_bytes());
        if let Some(current) = self.segments.last() {
            let written_bytes = u64::from(current.size_bytes()) + before as u64;
            let end = written_bytes + header.size_bytes() as u64;
            let is_full = written_bytes > 0 && end > self.upgrade.segment_bytes;
            if is_full || !current.can_hold_offset(header.last_offset()) {
                let batch = self.pending.split_off(before);
                self.write()?;
                self.create(header.base_offset)?;
                self.pending = batch;
            }
        }
        self.next_offset = header.next_offset();
        self.headers.push(header);
        if self.pending.len() >= WRITE_BYTES {
            self.write()?;
        }
        Ok(())
    }

    fn write(&mut self) -> Result<(), StorageError> {
        if let Some(current) = self.segments.last() {
            current.append(&self.pending, &self.headers)?;
            self.bytes += self.pending.len() as u64;
        }
        self.pending.clear();
        self.headers.clear();
        Ok(())
    }

    /// As in a log of magic 2; see `docs/recovery.md`.
    fn is_torn(&self, segment: &Segment, position: u64, end: End) -> Result<bool, StorageError> {
        let End::Last { recovery_point } = end else {
            return Ok(false);
        };
        if self.next_offset < recovery_point {
            return Ok(false);
        }
        if is_lost_write(segment, position)? {
            return Ok(true);
        }
        let from = u32::try_from(position).unwrap_or(u32::MAX);
        Ok(find_valid_batch(segment, from..segment.size_bytes())?.is_none())
    }

    /// Writes what is left, and what else a segment has: aborted transactions and the time of change.
    fn complete(&mut self, segment: &Segment) -> Result<(), StorageError> {
        self.write()?;
        // An index that is damaged is built again by recovery.
        if !segment.needs_recovery() {
            for aborted in segment.transaction_index().entries()? {
                let output = self
                    .segments
                    .iter()
                    .rev()
                    .find(|output| output.base_offset() <= aborted.last_offset);
                if let Some(output) = output {
                    output.append_aborted(&aborted)?;
                }
            }
        }
        let modified_ms = segment.modified_ms()?;
        for output in &self.segments {
            output.seal()?;
            output.sync()?;
            output.set_modified_ms(modified_ms)?;
        }
        Ok(())
    }

    /// Whatever stays behind is removed when the log is loaded.
    fn discard(&self) {
        for output in &self.segments {
            if let Err(error) = output.delete_files() {
                warn!(file = output.log_path(), %error, "an unused output stays behind");
            }
        }
    }
}

fn read(segment: &Segment, buf: &mut [u8], position: u64) -> Result<usize, StorageError> {
    let read = segment.log_file().read_full_at(buf, position);
    read.map_err(|error| unreadable(segment, error))
}

fn unreadable(segment: &Segment, error: std::io::Error) -> StorageError {
    StorageError::io("read", segment.log_path(), error)
}
