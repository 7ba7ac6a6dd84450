//! Writes what survives of a group of segments into new ones.
//!
//! The key index says where each batch is and which of its records are dead, so batches without a survivor are not read
//! at all. Batches without a dead record are copied byte for byte; the others are rebuilt from their survivors and keep
//! base offset, last offset, sequences, codec and timestamp type. Small ones may become one (`rebatch`). Every batch that
//! is read, copied or rebuilt, is first checked against its CRC and compared with the index: bit rot is reported with its
//! place and never gets a valid checksum, and an index that is not of this log removes no record.
//!
//! Outputs are written in slices of a megabyte; `finishing` has them sealed and synced, and given the time of change of
//! the last input, by which retention judges records without timestamps. They are named `.cleaned` until the log takes
//! them over. A group gives one output, named by its first input, or further ones when the estimate was wrong and a
//! segment would exceed its limits. No lock.

use std::collections::HashSet;

use lastword_record::{BATCH_HEADER_BYTES, BatchHeader, RecordBatch, RecordError, empty_batch};

use super::clean::CleanerResources;
use super::control::Control;
use super::finishing::Finishing;
use super::output_writer::OutputWriter;
use super::plan::{BATCHES_BUFFER_BYTES, SegmentPlan};
use super::range_reader::RangeReader;
use super::rebatch::{self, Merger, Rebatching};
use super::retain::{self, BatchPlan, Fate, Rules, fate};
use super::stats::CleanStats;
use crate::error::StorageError;
use crate::file_name;
use crate::key_index::{Batches, IndexedBatch};
use crate::log::Log;
use crate::segment::{AbortedTransaction, Segment};

/// Batches that are decided on before any of them is read.
const WINDOW_BATCHES: usize = 4096;
const WINDOW_BYTES: u64 = 1 << 20;
/// Bytes collected before they are written.
const WRITE_BYTES: usize = 1 << 20;
/// A log file never exceeds 2^31-1 bytes, whatever the configuration; a batch that is rebuilt may have grown.
const MAX_SEGMENT_BYTES: u64 = i32::MAX as u64 - (64 << 20);

/// Which transactions lost all their data in this cleaning; their markers can be stamped by the next.
#[derive(Debug, Default)]
pub struct VanishedTransactions {
    dropped: HashSet<i64>,
    survived: HashSet<i64>,
    /// A marker was kept whose data is gone by now.
    any: bool,
}

impl VanishedTransactions {
    /// Some marker may have lost its data: one that was seen, or one in a segment that was not rewritten.
    pub fn has_any(&self) -> bool {
        self.any || !self.dropped.is_empty()
    }

    fn see(&mut self, batch: &IndexedBatch, fate: Fate) {
        let (true, Some((producer_id, _))) = (batch.is_transactional, batch.producer) else {
            return;
        };
        if batch.is_control {
            let is_dropped = self.dropped.remove(&producer_id);
            let has_survived = self.survived.remove(&producer_id);
            self.any |= is_dropped && !has_survived && fate != Fate::Drop;
        } else if fate == Fate::Drop {
            self.dropped.insert(producer_id);
        } else {
            self.survived.insert(producer_id);
        }
    }
}

/// What a rewriting needs beside the group itself.
pub struct Rewrite<'a> {
    pub log: &'a Log,
    pub rules: Rules<'a>,
    pub now_ms: i64,
    pub segment_bytes: u64,
    /// None: every batch stays for itself.
    pub rebatching: Option<Rebatching>,
}

/// What was written of a group: whole, but neither sealed nor durable.
pub struct Written {
    pub segments: Vec<Segment>,
    modified_ms: Option<i64>,
    drops_cache: bool,
}

impl Written {
    /// Completes the outputs and makes their bytes durable; their names are the first that `Log::replace_segments`
    /// syncs. On an error none is left.
    pub fn sync(self) -> Result<Vec<Segment>, StorageError> {
        match self.segments.iter().try_for_each(|it| self.sync_one(it)) {
            Ok(()) => Ok(self.segments),
            Err(error) => {
                discard(self.segments);
                Err(error)
            }
        }
    }

    fn sync_one(&self, segment: &Segment) -> Result<(), StorageError> {
        segment.seal()?;
        segment.sync()?;
        if self.drops_cache {
            segment.log_file().drop_cache(0, 0);
        }
        match self.modified_ms {
            Some(modified_ms) => segment.set_modified_ms(modified_ms),
            None => Ok(()),
        }
    }

    pub fn bytes(&self) -> u64 {
        let sizes = self.segments.iter().map(|it| u64::from(it.size_bytes()));
        sizes.sum()
    }

    /// Simulations are repeatable because nothing happens at the same time.
    pub fn is_simulated(&self) -> bool {
        let mut segments = self.segments.iter();
        segments.any(|it| it.log_file().as_fd().is_none())
    }
}

/// Rewrites the segments of one group, while the one before it may still be finished. On an error no output is left.
pub fn rewrite(
    rewrite: &Rewrite<'_>,
    group: &[SegmentPlan],
    resources: &mut CleanerResources,
    control: &Control<'_>,
    before: &mut Finishing<'_, '_>,
    vanished: &mut VanishedTransactions,
    stats: &mut CleanStats,
) -> Result<Written, StorageError> {
    let mut outputs = Outputs::new(
        rewrite,
        control,
        before,
        std::mem::take(&mut resources.write_buffer),
    );
    let result = fill(
        rewrite,
        group,
        resources,
        control,
        &mut outputs,
        vanished,
        stats,
    )
    .and_then(|()| outputs.finish(group));
    resources.write_buffer = std::mem::take(&mut outputs.pending);
    match result {
        Ok(modified_ms) => {
            stats.bytes_written += outputs.bytes;
            Ok(Written {
                segments: outputs.segments,
                modified_ms,
                drops_cache: outputs.writer.drops_cache,
            })
        }
        Err(error) => {
            discard(outputs.segments);
            Err(error)
        }
    }
}

/// Removes outputs that are not wanted; whatever stays behind is removed when the log is loaded.
pub fn discard(outputs: Vec<Segment>) {
    for output in outputs {
        if let Err(error) = output.delete_files() {
            tracing::warn!(file = %output.log_path(), %error, "an unused output of the cleaner stays behind");
        }
    }
}

/// A batch, and what becomes of it.
struct Step {
    batch: IndexedBatch,
    live_records: u64,
    /// What the live records take uncompressed; 0 when nobody asks, because nothing is merged.
    live_bytes: u64,
    fate: Fate,
}

fn fill(
    rewrite: &Rewrite<'_>,
    group: &[SegmentPlan],
    resources: &mut CleanerResources,
    control: &Control<'_>,
    outputs: &mut Outputs<'_, '_, '_>,
    vanished: &mut VanishedTransactions,
    stats: &mut CleanStats,
) -> Result<(), StorageError> {
    let mut steps = Vec::new();
    for planned in group {
        outputs.begin_input(planned)?;
        let Some(index) = &planned.index else {
            continue;
        };
        let mut batches = index.batches(BATCHES_BUFFER_BYTES);
        let mut reader = RangeReader::new(planned, std::mem::take(&mut resources.read_buffer));
        outputs.writer.drops_cache = reader.was_cold();
        while next_steps(&mut batches, planned, rewrite, &mut steps)? {
            for step in &steps {
                vanished.see(&step.batch, step.fate);
            }
            let wanted = steps.iter().filter(|step| step.fate != Fate::Drop);
            reader.expect(wanted.map(|step| step.batch.position..step.batch.end()));
            for step in &steps {
                if step.fate == Fate::Drop {
                    stats.batches_dropped += 1;
                    continue;
                }
                let batch = reader.batch(&step.batch, control)?;
                let written = write(rewrite, step, &batch, planned, resources, outputs, stats)?;
                written.map_err(|error| {
                    let position = u64::from(step.batch.position);
                    let path = planned.segment.log_path();
                    StorageError::corrupt_segment(path, position, error.to_string())
                })?;
            }
        }
        stats.bytes_read += reader.bytes_read();
        resources.read_buffer = reader.into_buffer();
    }
    outputs.end_merge(stats)
}

/// Decides on the batches that come next; none are left when it answers false.
fn next_steps(
    batches: &mut Batches,
    planned: &SegmentPlan,
    rewrite: &Rewrite<'_>,
    steps: &mut Vec<Step>,
) -> Result<bool, StorageError> {
    steps.clear();
    let mut bytes = 0;
    while steps.len() < WINDOW_BATCHES && bytes < WINDOW_BYTES {
        let Some(batch) = batches.next_batch()? else {
            break;
        };
        let ordinals = batch.ordinals();
        let dead_records = planned.dead.count_in(ordinals.clone());
        let live_records = u64::from(batch.record_count) - dead_records;
        let batch_plan = BatchPlan {
            live_records,
            needs_horizon: planned.to_stamp.count_in_without(ordinals, &planned.dead) > 0,
        };
        let fate = fate(&batch, batch_plan, &rewrite.rules);
        if fate != Fate::Drop {
            bytes += u64::from(batch.size_bytes);
        }
        let sizes = batch.ordinals().zip(batches.record_sizes());
        let live =
            sizes.filter(|(ordinal, _)| dead_records == 0 || !planned.dead.contains(*ordinal));
        let live_bytes = match fate {
            Fate::Copy | Fate::Rebuild { .. } if rewrite.rebatching.is_some() => {
                live.map(|(_, bytes)| bytes).sum()
            }
            _ => 0,
        };
        steps.push(Step {
            batch,
            live_records,
            live_bytes,
            fate,
        });
    }
    Ok(!steps.is_empty())
}

/// Writes what becomes of a batch. The inner error says that its records are damaged.
fn write(
    rewrite: &Rewrite<'_>,
    step: &Step,
    batch: &RecordBatch<'_>,
    planned: &SegmentPlan,
    resources: &mut CleanerResources,
    outputs: &mut Outputs<'_, '_, '_>,
    stats: &mut CleanStats,
) -> Result<Result<(), RecordError>, StorageError> {
    let header = batch.header();
    let first_ordinal = u64::from(step.batch.first_ordinal);
    let live = |index| !planned.dead.contains(first_ordinal + index);
    stats.records_written += step.live_records;
    match step.fate {
        Fate::Drop => {}
        Fate::KeepEmpty => stats.batches_emptied += 1,
        Fate::Copy => stats.batches_copied += 1,
        Fate::Rebuild { delete_horizon_ms } => {
            stats.batches_rebuilt += 1;
            if header.delete_horizon_ms().is_none() && delete_horizon_ms.is_some() {
                let to_stamp = &planned.to_stamp;
                stats.horizons_stamped +=
                    to_stamp.count_in_without(step.batch.ordinals(), &planned.dead);
            }
        }
    }

    let kind = rewrite.rebatching.as_ref().and_then(|rebatching| {
        let is_last = retain::is_last_of_producer(&step.batch, rewrite.rules.pins);
        let kind = rebatch::kind(header, step.fate, step.live_bytes, is_last, rebatching)?;
        Some((kind, rebatching))
    });
    let out = match kind {
        Some((kind, rebatching))
            if outputs
                .merger
                .takes(kind, header, step.live_bytes, rebatching) =>
        {
            let added =
                outputs
                    .merger
                    .add(batch, step.live_bytes, &mut resources.decompressor, live);
            return Ok(added);
        }
        Some((kind, _)) => {
            outputs.end_merge(stats)?;
            outputs.merger.begin(kind, header, step.live_bytes)
        }
        None => {
            outputs.end_merge(stats)?;
            outputs.make_room(batch.bytes().len(), header)?;
            &mut outputs.pending
        }
    };
    let written = match step.fate {
        Fate::Drop => return Ok(Ok(())),
        Fate::KeepEmpty => {
            let bytes = empty_batch(header);
            out.extend_from_slice(&bytes);
            BatchHeader::parse(&bytes)
        }
        Fate::Copy => {
            out.extend_from_slice(batch.bytes());
            Ok(*header)
        }
        Fate::Rebuild { delete_horizon_ms } => {
            let CleanerResources {
                decompressor,
                builder,
                ..
            } = resources;
            builder.rebuild_survivors(batch, delete_horizon_ms, decompressor, live, out)
        }
    };
    match (written, kind) {
        (Ok(header), None) => outputs.added(header).map(Ok),
        (written, _) => Ok(written.map(drop)),
    }
}

/// The segments being written.
struct Outputs<'a, 'scope, 'env> {
    log: &'a Log,
    control: &'a Control<'a>,
    before: &'a mut Finishing<'scope, 'env>,
    limit_bytes: u64,
    now_ms: i64,
    segments: Vec<Segment>,
    /// Batches that are not written yet, and their headers.
    pending: Vec<u8>,
    headers: Vec<BatchHeader>,
    /// Entries of aborted transactions that wait for their marker to be written.
    aborted: std::collections::VecDeque<AbortedTransaction>,
    bytes: u64,
    writer: OutputWriter,
    merger: Merger,
}

impl<'a, 'scope, 'env> Outputs<'a, 'scope, 'env> {
    fn new(
        rewrite: &Rewrite<'a>,
        control: &'a Control<'a>,
        before: &'a mut Finishing<'scope, 'env>,
        mut pending: Vec<u8>,
    ) -> Outputs<'a, 'scope, 'env> {
        pending.clear();
        Outputs {
            log: rewrite.log,
            control,
            before,
            limit_bytes: rewrite.segment_bytes.min(MAX_SEGMENT_BYTES),
            now_ms: rewrite.now_ms,
            segments: Vec::new(),
            pending,
            headers: Vec::new(),
            aborted: std::collections::VecDeque::new(),
            bytes: 0,
            writer: OutputWriter::default(),
            merger: Merger::new(),
        }
    }

    /// Starts reading an input; the first names the output.
    fn begin_input(&mut self, planned: &SegmentPlan) -> Result<(), StorageError> {
        self.aborted.extend(planned.kept_aborted.iter().copied());
        if self.segments.is_empty() {
            self.create(planned.segment.base_offset())?;
        }
        Ok(())
    }

    fn create(&mut self, base_offset: i64) -> Result<(), StorageError> {
        let segment = Segment::create(
            self.log.dir(),
            self.log.partition_dir(),
            base_offset,
            file_name::CLEANED,
            self.log.index_settings(),
            self.now_ms,
        )?;
        self.segments.push(segment);
        Ok(())
    }

    fn current(&self) -> &Segment {
        // `begin_input` comes before everything else.
        self.segments.last().expect("an output is open")
    }

    /// Writes what the merger has collected.
    fn end_merge(&mut self, stats: &mut CleanStats) -> Result<(), StorageError> {
        let merged = self.merger.take();
        let merged = merged.map_err(|error| StorageError::CorruptBatch {
            reason: error.to_string(),
        })?;
        let Some(merged) = merged else {
            return Ok(());
        };
        if merged.sources > 1 {
            stats.batches_merged += merged.sources;
        }
        self.make_room(merged.bytes.len(), &merged.header)?;
        self.pending.extend_from_slice(&merged.bytes);
        self.merger.give_back(merged.bytes);
        self.added(merged.header)
    }

    /// Goes on to another output if a batch of this size does not belong into the current one any more.
    fn make_room(&mut self, size_bytes: usize, header: &BatchHeader) -> Result<(), StorageError> {
        let base_offset = self.current().base_offset();
        let written_bytes = u64::from(self.current().size_bytes()) + self.pending.len() as u64;
        let is_too_far = header.last_offset() - base_offset > i64::from(i32::MAX);
        let is_full = written_bytes > 0 && written_bytes + size_bytes as u64 > self.limit_bytes;
        if !is_too_far && !is_full {
            return Ok(());
        }
        self.write()?;
        self.create(header.base_offset)
    }

    /// A batch now ends `pending`.
    fn added(&mut self, header: BatchHeader) -> Result<(), StorageError> {
        self.headers.push(header);
        if self.pending.len() >= WRITE_BYTES {
            self.write()?;
        }
        Ok(())
    }

    /// Writes what is pending into the current output.
    fn write(&mut self) -> Result<(), StorageError> {
        let Some(last) = self.headers.last() else {
            return Ok(());
        };
        let last_offset = last.last_offset();
        self.control.charge(self.pending.len() as u64)?;
        let len = self.pending.len();
        let grown_bytes = self.bytes + len as u64;
        self.before.make_room(grown_bytes, self.limit_bytes)?;
        if let Some(segment) = self.segments.last() {
            let (writer, pending) = (&mut self.writer, &mut self.pending);
            segment.append_with(len, &self.headers, |log, position| {
                writer.write(log, pending, position)
            })?;
        }
        self.bytes += len as u64;
        self.headers.clear();
        while let Some(entry) = self
            .aborted
            .front()
            .copied()
            .filter(|entry| entry.last_offset <= last_offset)
        {
            self.current().append_aborted(&entry)?;
            self.aborted.pop_front();
        }
        Ok(())
    }

    /// Writes the rest; answers when the last input was written.
    fn finish(&mut self, group: &[SegmentPlan]) -> Result<Option<i64>, StorageError> {
        self.write()?;
        while let Some(entry) = self.aborted.pop_front() {
            self.current().append_aborted(&entry)?;
        }
        let written = self.writer.finish();
        written.map_err(|source| StorageError::io("write", self.current().log_path(), source))?;
        group
            .last()
            .map(|last| last.segment.modified_ms())
            .transpose()
    }
}

const _: () = assert!(WRITE_BYTES > BATCH_HEADER_BYTES);
