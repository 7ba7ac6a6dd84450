//! One log's turn: it is cleaned or planned under the caller's claim, and what came of it is noted, written to the
//! checkpoints and told.
//!
//! Locks: `notes` and the checkpoints', one after the other and none during the work. A panic is a failure of the log.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use lastword_record::TopicPartition;

use super::{Shared, Work, panic_text};
use crate::cleaner::choose::{Bounds, DeleteHorizon};
use crate::cleaner::clean::{CleanRequest, Cleaned, CleanerResources, clean_log, plan_log};
use crate::cleaner::control::Control;
use crate::cleaner::plan::Plan;
use crate::cleaner::progress::Progress;
use crate::cleaner::reason::ReasonCode;
use crate::cleaner::stats::CleanStats;
use crate::cleaner::status::{Counts, IsolatedSegment};
use crate::error::StorageError;
use crate::lock::lock;
use crate::log::Log;

impl Shared {
    /// Cleans a log that the caller has claimed, and gives the claim back.
    pub fn clean(
        &self,
        log: &Log,
        bounds: &Bounds,
        work: Work,
        progress: &Progress,
    ) -> Result<CleanStats, StorageError> {
        let result = self.within(log, work, progress, |resources, control| {
            clean_log(log, self.request(bounds), resources, control)
        });
        let result = result.and_then(|cleaned| self.remember(log, cleaned));
        match &result {
            Ok(Cleaned {
                stats, isolated, ..
            }) => {
                for IsolatedSegment { file, damage } in isolated {
                    tracing::error!(
                        partition = %log.topic_partition(),
                        file,
                        damage,
                        "a damaged segment is left as it is, everything else was cleaned"
                    );
                }
                let live_bytes = bytes_below(log, bounds.first_uncleanable_offset);
                let counts = Counts::of_cleaning(stats, bounds, live_bytes);
                self.note(log.topic_partition(), |notes| {
                    notes.counts = Some(counts);
                    notes.succeed(*stats, isolated.clone())
                });
                lock(&self.notes).succeed(log.topic_partition(), *stats);
                report(log, bounds, stats);
            }
            // Stopped, deleted or paused: nobody's fault, and nothing to wait for.
            Err(StorageError::Closed | StorageError::Paused { .. }) => {
                self.note(log.topic_partition(), |notes| {
                    notes.totals.aborted += 1;
                    notes.in_progress = None;
                });
            }
            Err(error) => {
                let text = error.to_string();
                let now_ms = self.now_ms();
                let no_disk = error
                    .is_out_of_space()
                    .then(|| (self.needed_bytes(log, bounds), self.free_bytes()));
                let code = match no_disk {
                    Some(_) => ReasonCode::NoDisk,
                    None => ReasonCode::Quarantined,
                };
                let mut retry_at_ms = 0;
                self.note(log.topic_partition(), |notes| {
                    retry_at_ms = notes.fail(text, no_disk, now_ms);
                });
                let wait_ms = retry_at_ms - now_ms;
                tracing::error!(
                    partition = %log.topic_partition(),
                    %error,
                    reason = code.word(),
                    wait_ms,
                    "cleaning failed and is tried again later"
                );
            }
        }
        result.map(|cleaned| cleaned.stats)
    }

    /// Finds what a cleaning would drop, under a claim: it waits for a cleaning of the same log that is under way. Of
    /// what it meets it may write key indexes, and convert segments with messages of magic 0 or 1.
    pub fn plan(&self, log: &Log) -> Result<(Bounds, Plan), StorageError> {
        let progress = Arc::default();
        let bounds = self.claim_when_free(log, &progress)?;
        let plan = self.plan_within(log, &bounds, Work::Asked, &progress);
        self.give_back(log);
        Ok((bounds, plan?))
    }

    /// Plans a log that the caller has claimed. The claim stays.
    pub(super) fn plan_within(
        &self,
        log: &Log,
        bounds: &Bounds,
        work: Work,
        progress: &Progress,
    ) -> Result<Plan, StorageError> {
        let plan = self.within(log, work, progress, |resources, control| {
            plan_log(log, self.request(bounds), resources, control)
        })?;
        let counts = Counts::of_plan(&plan, bounds, self.now_ms());
        self.note(log.topic_partition(), |notes| notes.counts = Some(counts));
        Ok(plan)
    }

    /// What a cleaning takes of the disk until the old segments go, at the most: about one segment.
    fn needed_bytes(&self, log: &Log, bounds: &Bounds) -> u64 {
        let below = bytes_below(log, bounds.first_uncleanable_offset);
        below.min(u64::from(log.config().effective_segment_bytes()))
    }

    fn free_bytes(&self) -> u64 {
        self.manager.dir().free_bytes().unwrap_or(0)
    }

    /// Does something with a log that the caller has claimed, with memory and under control. A panic is an error.
    fn within<T>(
        &self,
        log: &Log,
        work: Work,
        progress: &Progress,
        run: impl FnOnce(&mut CleanerResources, &Control<'_>) -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        let clean_internal_logs = || self.clean_internal_logs_that_are_due();
        let control = Control {
            between_steps: work
                .gives_way_to_internal_logs(log)
                .then_some(&clean_internal_logs as &(dyn Fn() + Sync)),
            ..self.control(log, progress)
        };
        let result = std::panic::catch_unwind(AssertUnwindSafe(|| {
            run(&mut self.resources(work), &control)
        }));
        result.unwrap_or_else(|panic| {
            Err(StorageError::CleanerPanicked {
                reason: panic_text(&*panic),
            })
        })
    }

    /// Writes the checkpoints of a log that was cleaned.
    fn remember(&self, log: &Log, cleaned: Cleaned) -> Result<Cleaned, StorageError> {
        let topic_partition = log.topic_partition();
        // Deleted and created anew since, the name is another log's.
        let is_there = |other: &TopicPartition| {
            let current = self.manager.get(other);
            current.is_some_and(|it| other != topic_partition || std::ptr::eq(&*it, log))
        };
        let offset = (topic_partition.clone(), cleaned.first_dirty_offset);
        self.checkpoints
            .set_first_dirty_offsets(&[offset], is_there)?;
        let horizon = self.with_expiry_of_producers(log, &cleaned);
        self.checkpoints
            .set_horizon(topic_partition, horizon, is_there)?;
        Ok(cleaned)
    }

    /// An empty batch stays for its producer's sake, and a marker for that batch's: when the last producer has expired,
    /// both may go, also if nobody writes to the log again.
    fn with_expiry_of_producers(&self, log: &Log, cleaned: &Cleaned) -> DeleteHorizon {
        let expiration_ms = self.manager.producer_id_expiration_ms();
        let last_ms = match cleaned.stats.batches_emptied {
            0 => None,
            _ => log
                .active_producers()
                .iter()
                .map(|producer| producer.last_timestamp)
                .max(),
        };
        match (
            cleaned.horizon,
            last_ms.map(|ms| ms.saturating_add(expiration_ms)),
        ) {
            (DeleteHorizon::At(ms), Some(expiry_ms)) => DeleteHorizon::At(ms.min(expiry_ms)),
            (DeleteHorizon::None, Some(expiry_ms)) => DeleteHorizon::At(expiry_ms),
            (horizon, _) => horizon,
        }
    }

    fn request(&self, bounds: &Bounds) -> CleanRequest {
        CleanRequest {
            first_dirty_offset: bounds.first_dirty_offset,
            first_uncleanable_offset: bounds.first_uncleanable_offset,
            now_ms: self.now_ms(),
        }
    }
}

/// Of the segments.
fn bytes_below(log: &Log, end_offset: i64) -> u64 {
    let segments = log.segments();
    let below = segments.iter().filter(|it| it.base_offset() < end_offset);
    below.map(|segment| u64::from(segment.size_bytes())).sum()
}

fn report(log: &Log, bounds: &Bounds, stats: &CleanStats) {
    tracing::info!(
        event = "compaction.done",
        partition = %log.topic_partition(),
        from = bounds.first_dirty_offset,
        to = bounds.first_uncleanable_offset,
        dead = stats.dead.total(),
        dead_bytes = stats.dead_bytes,
        bytes_read = stats.bytes_read,
        bytes_written = stats.bytes_written,
        indexes_built = stats.indexes_built,
        index_bytes = stats.index_bytes,
        memory_bytes = stats.memory_bytes,
        plan_ms = stats.plan_ms,
        rewrite_ms = stats.rewrite_ms,
        "cleaned"
    );
}
