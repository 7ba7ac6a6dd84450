//! `Finishing`: makes the outputs of one group durable and swaps them in, while the next group is rewritten.
//!
//! Invariants
//! - Groups are swapped in one after the other, in the order of the log: the next one begins when this one is done.
//! - Outputs of two groups together stay within one segment, or within the first group's where that is more.
//! - What went wrong is answered by the next call of `wait` or `make_room`, and nothing is begun after it.
//!
//! With a simulated directory, or when no thread can be had, `begin` does all of it before it returns. The one lock
//! hands a group over.

use std::sync::{Arc, Mutex};
use std::thread::{Scope, ScopedJoinHandle};

use super::plan::SegmentPlan;
use super::rewrite::{Written, discard};
use super::stats::CleanStats;
use crate::error::StorageError;
use crate::lock::lock;
use crate::log::Log;
use crate::segment::Segment;

/// A group whose outputs are written.
pub struct WrittenGroup {
    pub planned: Vec<SegmentPlan>,
    pub written: Written,
    /// What the cleaning has done when this group is swapped in; the segments are counted then.
    pub stats: CleanStats,
}

/// At most one group that is being finished.
pub struct Finishing<'scope, 'env> {
    scope: &'scope Scope<'scope, 'env>,
    log: &'scope Log,
    running: Option<Running<'scope>>,
    /// What the cleaning has done, of what is swapped in.
    pub stats: CleanStats,
}

struct Running<'scope> {
    thread: ScopedJoinHandle<'scope, Result<Swapped, StorageError>>,
    stats: CleanStats,
    output_bytes: u64,
}

/// Which segments became which.
struct Swapped {
    inputs: u32,
    outputs: u32,
    bytes_in: u64,
    bytes_out: u64,
}

impl<'scope, 'env> Finishing<'scope, 'env> {
    pub fn new(
        scope: &'scope Scope<'scope, 'env>,
        log: &'scope Log,
        stats: CleanStats,
    ) -> Finishing<'scope, 'env> {
        Finishing {
            scope,
            log,
            running: None,
            stats,
        }
    }

    /// Finishes a group, now or soon. The one before it is done when this begins, or failed, and then no output of this
    /// one is left.
    pub fn begin(&mut self, group: WrittenGroup) -> Result<(), StorageError> {
        if let Err(error) = self.wait() {
            discard(group.written.segments);
            return Err(error);
        }
        let (log, stats) = (self.log, group.stats);
        if group.written.is_simulated() {
            let swapped = finish(log, group)?;
            self.count(stats, swapped);
            return Ok(());
        }
        let output_bytes = group.written.bytes();
        // Whoever takes the group finishes it: a thread that could not be had would take it with it.
        let handed = Arc::new(Mutex::new(Some(group)));
        let theirs = handed.clone();
        let take = |from: &Mutex<Option<WrittenGroup>>| lock(from).take().expect("one finishes");
        let builder = std::thread::Builder::new().name("log-cleaner-swap".to_string());
        match builder.spawn_scoped(self.scope, move || finish(log, take(&theirs))) {
            Ok(thread) => {
                self.running = Some(Running {
                    thread,
                    stats,
                    output_bytes,
                });
            }
            Err(_) => {
                let swapped = finish(log, take(&handed))?;
                self.count(stats, swapped);
            }
        }
        Ok(())
    }

    /// Called before the outputs of the next group grow to `bytes`.
    pub fn make_room(&mut self, bytes: u64, segment_bytes: u64) -> Result<(), StorageError> {
        match &self.running {
            Some(running) if running.output_bytes + bytes > segment_bytes => self.wait(),
            _ => Ok(()),
        }
    }

    /// Waits for the group that is being finished.
    pub fn wait(&mut self) -> Result<(), StorageError> {
        let Some(Running { thread, stats, .. }) = self.running.take() else {
            return Ok(());
        };
        let swapped = thread.join().unwrap_or_else(|_| {
            let panicked = std::io::Error::other("the thread that swaps segments panicked");
            Err(StorageError::io("swap", self.log.partition_dir(), panicked))
        })?;
        self.count(stats, swapped);
        Ok(())
    }

    fn count(&mut self, stats: CleanStats, swapped: Swapped) {
        self.stats = CleanStats {
            segments_in: self.stats.segments_in + swapped.inputs,
            segments_out: self.stats.segments_out + swapped.outputs,
            bytes_in: self.stats.bytes_in + swapped.bytes_in,
            bytes_out: self.stats.bytes_out + swapped.bytes_out,
            ..stats
        };
    }
}

fn finish(log: &Log, group: WrittenGroup) -> Result<Swapped, StorageError> {
    let WrittenGroup {
        planned, written, ..
    } = group;
    let outputs = written.sync()?;
    // The first segment's name is where the log begins; elsewhere an empty file would only be in the way.
    let begins_log =
        |it: &SegmentPlan| it.segment.base_offset() == log.segments().first().base_offset();
    let outputs = if planned.first().is_some_and(begins_log) {
        outputs
    } else {
        without_empty(outputs)
    };
    let inputs: Vec<Arc<Segment>> = planned.iter().map(|it| it.segment.clone()).collect();
    let swapped = Swapped {
        inputs: inputs.len() as u32,
        outputs: outputs.len() as u32,
        bytes_in: inputs.iter().map(|it| u64::from(it.size_bytes())).sum(),
        bytes_out: outputs.iter().map(|it| u64::from(it.size_bytes())).sum(),
    };
    log.replace_segments(&inputs, outputs)?;
    retire(planned, inputs);
    Ok(swapped)
}

/// Lets go of segments that were replaced. When the last reader does, the disk gets their bytes back: the file system
/// takes its time for that, and nobody has to wait for it.
fn retire(planned: Vec<SegmentPlan>, inputs: Vec<Arc<Segment>>) {
    let thread = std::thread::Builder::new().name("log-cleaner-free".to_string());
    // Without a thread they are let go here: the closure is dropped.
    drop(thread.spawn(move || drop((planned, inputs))));
}

fn without_empty(outputs: Vec<Segment>) -> Vec<Segment> {
    let (empty, outputs) = outputs.into_iter().partition(Segment::is_empty);
    discard(empty);
    outputs
}
