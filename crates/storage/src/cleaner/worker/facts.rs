//! What is known of the logs: gathered for `choose`, and shown to whoever asks.
//!
//! Locks: `notes` and `config`, neither held while a segment is asked or a checkpoint written; `status` looks into the
//! checkpoints under `notes`.

use std::collections::HashMap;
use std::sync::Arc;

use lastword_record::TopicPartition;

use super::{Shared, Work};
use crate::cleaner::choose::{
    Bounds, Choice, CleanerFacts, InProgress, LogFacts, SegmentFacts, choose, missing_dirty_bytes,
    next_ms, sizes,
};
use crate::cleaner::reason::{OpenTransaction, Reason, ReasonCode, Running};
use crate::cleaner::status::{CleanerOverview, LogStatus, Notes, PastCleaning};
use crate::config::CleaningOrder;
use crate::lock::lock;
use crate::log::Log;
use crate::segment::Segment;

impl Shared {
    /// Judges logs; whoever reads the broker's log is told why each is not being cleaned.
    pub(super) fn look(&self, logs: &[Arc<Log>]) -> Choice {
        self.look_closely(logs).1
    }

    fn look_closely(&self, logs: &[Arc<Log>]) -> (Vec<LogFacts>, Choice) {
        let facts: Vec<LogFacts> = logs.iter().map(|log| self.facts(log)).collect();
        let now_ms = self.now_ms();
        let choice = choose(&facts, &self.cleaner_facts(), now_ms);
        if !choice.checkpoint_resets.is_empty() {
            for (topic_partition, offset) in &choice.checkpoint_resets {
                tracing::warn!(
                    partition = %topic_partition,
                    offset,
                    "the first dirty offset lay outside of the log and is reset"
                );
            }
            let is_there =
                |topic_partition: &TopicPartition| self.manager.get(topic_partition).is_some();
            if let Err(error) = self
                .checkpoints
                .set_first_dirty_offsets(&choice.checkpoint_resets, is_there)
            {
                tracing::error!(%error, "the cleaner's checkpoint could not be written");
            }
        }
        let said = choice
            .not_now
            .iter()
            .map(|(topic_partition, reason, _)| (topic_partition, reason));
        let due = choice.eligible.iter();
        let due = due.map(|eligible| (&eligible.topic_partition, &eligible.reason));
        self.say_changes(said.chain(due), now_ms);
        (facts, choice)
    }

    /// Writes a log line for each log whose word has changed.
    fn say_changes<'a>(
        &self,
        reasons: impl Iterator<Item = (&'a TopicPartition, &'a Reason)>,
        now_ms: i64,
    ) {
        let mut changed = Vec::new();
        let mut notes = lock(&self.notes);
        for (topic_partition, reason) in reasons {
            // Forgotten meanwhile: nothing to remember.
            let Some(notes) = notes.by_log.get_mut(topic_partition) else {
                continue;
            };
            if notes.reason.replace(reason.code()) != Some(reason.code()) {
                changed.push((topic_partition, reason));
            }
        }
        drop(notes);
        for (topic_partition, reason) in changed {
            let (code, why) = (reason.code(), reason.sentence(now_ms));
            let word = code.word();
            if code.is_stuck() || code == ReasonCode::Paused {
                tracing::info!(event = "compaction.reason", partition = %topic_partition, reason = word, "{word}: {why}");
            } else {
                tracing::debug!(event = "compaction.reason", partition = %topic_partition, reason = word, "{word}: {why}");
            }
        }
    }

    /// What `choose` has to know of the cleaner.
    pub(super) fn cleaner_facts(&self) -> CleanerFacts {
        let threads_running = lock(&self.running).len();
        let (is_enabled, threads_configured) = {
            let config = lock(&self.config);
            (config.enable, config.threads)
        };
        CleanerFacts {
            is_enabled,
            threads_configured,
            threads_running,
            busy_with: self.busy_with(),
        }
    }

    /// What is being cleaned, in order.
    fn busy_with(&self) -> Arc<[TopicPartition]> {
        let notes = lock(&self.notes);
        let busy = notes.by_log.iter();
        let busy = busy.filter(|(_, notes)| notes.in_progress.is_some());
        let mut busy: Vec<TopicPartition> = busy.map(|(name, _)| name.clone()).collect();
        drop(notes);
        busy.sort();
        busy.into()
    }

    pub fn overview(&self) -> CleanerOverview {
        let facts = self.cleaner_facts();
        CleanerOverview {
            is_enabled: facts.is_enabled,
            threads_configured: facts.threads_configured,
            threads_running: facts.threads_running,
            busy_with: facts.busy_with,
            bytes_per_second: self.throttle.bytes_per_second(),
            throttled_bytes: self.throttle.total_bytes(),
            throttled: self.throttle.waited(),
            memory_bytes: self.memory_bytes(Work::Thread),
            last_look_ms: lock(&self.notes).last_look_ms,
        }
    }

    /// The last cleanings that ended well, oldest first.
    pub fn recent(&self) -> Vec<PastCleaning> {
        lock(&self.notes).recent.iter().cloned().collect()
    }

    pub(super) fn facts(&self, log: &Log) -> LogFacts {
        let topic_partition = log.topic_partition();
        self.recognise(log);
        let config = log.config();
        let offsets = log.offsets();
        let segments = log.segments();
        let notes = lock(&self.notes)
            .by_log
            .get(topic_partition)
            .cloned()
            .unwrap_or_default();
        let last_stable_offset = offsets
            .last_stable_offset
            .min(offsets.high_watermark)
            .min(notes.ceiling_offset.unwrap_or(i64::MAX));
        let active = segments.as_slice().last();
        let is_held = active.is_some_and(|active| last_stable_offset < active.base_offset());
        let open_transaction = match is_held {
            true => open_transaction(log),
            false => None,
        };
        let has_min_lag = config.min_compaction_lag_ms > 0;
        let has_max_lag = config.max_compaction_lag_ms < i64::MAX;
        let segment_facts = |segment: &Arc<Segment>| SegmentFacts {
            base_offset: segment.base_offset(),
            size_bytes: u64::from(segment.size_bytes()),
            largest_timestamp_ms: if has_min_lag {
                segment.largest_timestamp_ms()
            } else {
                0
            },
            first_batch_timestamp_ms: if has_max_lag {
                // Records without a time must not stay for ever.
                let first = segment.first_batch_timestamp();
                first
                    .filter(|ms| *ms > 0)
                    .or_else(|| segment.modified_ms().ok())
            } else {
                None
            },
        };
        LogFacts {
            topic_partition: topic_partition.clone(),
            is_compacted: config.cleanup_policy.compact,
            is_closed: log.is_closed(),
            in_progress: notes.in_progress.as_ref().map(|claim| InProgress {
                running: Running {
                    trigger: claim.trigger,
                    since_ms: claim.since_ms,
                    progress: claim.progress.view(),
                },
                throttled_to: claim
                    .progress
                    .is_throttled()
                    .then(|| self.throttle.bytes_per_second()),
            }),
            pause: notes.pause,
            failure: notes.failure,
            damage: notes.isolated_segments.first().map(|isolated| {
                let text = format!("{} is damaged {}", isolated.file, isolated.damage);
                text.into()
            }),
            log_start_offset: offsets.log_start_offset,
            last_stable_offset,
            open_transaction,
            active_rolls_at_ms: log.rolls_at_ms(),
            log_end_offset: offsets.log_end_offset,
            checkpoint_offset: self.checkpoints.first_dirty_offset(topic_partition),
            segments: segments.iter().map(segment_facts).collect(),
            min_cleanable_dirty_ratio: config.min_cleanable_dirty_ratio,
            min_compaction_lag_ms: config.min_compaction_lag_ms,
            max_compaction_lag_ms: config.max_compaction_lag_ms,
            delete_retention_ms: config.delete_retention_ms,
            horizon: self.checkpoints.horizon(topic_partition),
            benefit: match lock(&self.config).order {
                CleaningOrder::Benefit => notes.benefit.and_then(|known| known.benefit),
                CleaningOrder::DirtyRatio => None,
            },
            last_cleaned_ms: notes.last_stats.map(|stats| stats.started_ms),
        }
    }

    /// Forgets a log of the same name that was deleted: its checkpoint says nothing about this one.
    pub(super) fn recognise(&self, log: &Log) {
        let topic_partition = log.topic_partition();
        let mut is_another = false;
        self.note(topic_partition, |notes| {
            is_another = notes
                .topic_id
                .is_some_and(|topic_id| topic_id != log.topic_id());
            if is_another && notes.in_progress.is_none() {
                *notes = Notes::default();
            }
            notes.topic_id = Some(log.topic_id());
        });
        if is_another && let Err(error) = self.checkpoints.retain(|other| other != topic_partition)
        {
            tracing::error!(%error, "the cleaner's checkpoint could not be written");
        }
    }

    pub(super) fn forget_all_but(&self, logs: &[Arc<Log>]) {
        let is_there = |topic_partition: &TopicPartition| {
            logs.iter()
                .any(|log| log.topic_partition() == topic_partition)
        };
        let gone = {
            let mut notes = lock(&self.notes);
            let len = notes.by_log.len();
            if len > logs.len() {
                notes.by_log.retain(|topic_partition, notes| {
                    notes.in_progress.is_some() || is_there(topic_partition)
                });
            }
            notes.by_log.len() < len
        };
        if gone
            && let Err(error) = self
                .checkpoints
                .retain(|topic_partition| self.manager.get(topic_partition).is_some())
        {
            tracing::error!(%error, "the cleaner's checkpoint could not be written");
        }
    }

    /// Logs as the cleaner sees them now, in order; without those that are closed.
    pub fn status(&self, logs: &[Arc<Log>]) -> Vec<LogStatus> {
        let (facts, choice) = self.look_closely(logs);
        let now_ms = self.now_ms();
        let due = choice.eligible.into_iter();
        let due = due.map(|log| (log.topic_partition, (log.reason, Some(log.bounds))));
        let not_now = choice.not_now.into_iter();
        let not_now = not_now.map(|(log, reason, bounds)| (log, (reason, bounds)));
        let mut judged: HashMap<TopicPartition, _> = due.chain(not_now).collect();
        let mut status: Vec<LogStatus> = facts
            .iter()
            .filter_map(|facts| {
                let (reason, bounds) = judged.remove(&facts.topic_partition)?;
                Some(self.status_from(facts, reason, bounds, now_ms))
            })
            .collect();
        status.sort_by(|a, b| a.topic_partition.cmp(&b.topic_partition));
        status
    }

    /// One log as the cleaner sees it now. Its place in the queue is among all.
    pub fn status_of(&self, log: &Arc<Log>) -> Option<LogStatus> {
        let alone = self.status(std::slice::from_ref(log)).pop()?;
        if alone.reason.code() != ReasonCode::Queued {
            return Some(alone);
        }
        let all = self.status(&self.manager.logs());
        let topic_partition = log.topic_partition();
        all.into_iter()
            .find(|status| status.topic_partition == *topic_partition)
    }

    fn status_from(
        &self,
        facts: &LogFacts,
        reason: Reason,
        bounds: Option<Bounds>,
        now_ms: i64,
    ) -> LogStatus {
        let topic_partition = facts.topic_partition.clone();
        let notes = lock(&self.notes)
            .by_log
            .get(&topic_partition)
            .cloned()
            .unwrap_or_default();
        let bounds_of_compacted = bounds.as_ref();
        LogStatus {
            state: notes.state(),
            sizes: sizes(facts, bounds_of_compacted),
            min_cleanable_dirty_ratio: facts.min_cleanable_dirty_ratio,
            missing_dirty_bytes: bounds_of_compacted
                .and_then(|bounds| missing_dirty_bytes(facts, bounds)),
            next_ms: bounds_of_compacted.and_then(|bounds| next_ms(facts, bounds, &reason, now_ms)),
            counts: notes.counts,
            pause: notes.pause,
            totals: notes.totals,
            reason,
            bounds,
            benefit: notes.benefit.and_then(|known| known.benefit),
            first_dirty_offset: facts.checkpoint_offset,
            horizon: facts.horizon,
            last_stats: notes.last_stats,
            isolated_segments: notes.isolated_segments,
            last_error: notes.last_error,
            failures: notes.failures,
            cleanings: notes.cleanings,
            topic_partition,
        }
    }
}

/// The one that began first.
fn open_transaction(log: &Log) -> Option<OpenTransaction> {
    let producers = log.active_producers().into_iter();
    let open = producers.filter_map(|producer| {
        let first_offset = producer.current_transaction_start_offset?;
        Some((first_offset, producer.producer_id))
    });
    let (first_offset, producer_id) = open.min()?;
    let segments = log.segments();
    let holds = |segment: &&Arc<Segment>| segment.base_offset() <= first_offset;
    let segment = segments.iter().rev().find(holds);
    // A time that cannot be read is no reason not to answer.
    let batch = segment.and_then(|segment| segment.position_of(first_offset).ok().flatten());
    let since_ms = batch.map(|batch| batch.header.max_timestamp);
    Some(OpenTransaction {
        producer_id,
        first_offset,
        since_ms: since_ms.filter(|ms| *ms >= 0),
    })
}
