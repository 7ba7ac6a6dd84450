//! What is known of the logs: gathered for `choose`, and shown to whoever asks.
//!
//! Locks: `notes` and `config`, neither held while a segment is asked or a checkpoint written; `status` looks into the
//! checkpoints under `notes`.

use std::sync::Arc;

use lastword_record::TopicPartition;

use super::Shared;
use crate::cleaner::choose::{Choice, LogFacts, Reason, SegmentFacts, choose};
use crate::cleaner::status::{LogStatus, Notes};
use crate::config::CleaningOrder;
use crate::lock::lock;
use crate::log::Log;
use crate::segment::Segment;

impl Shared {
    /// Judges logs, and notes why each is not being cleaned.
    pub(super) fn look(&self, logs: &[Arc<Log>]) -> Choice {
        let facts: Vec<LogFacts> = logs.iter().map(|log| self.facts(log)).collect();
        let choice = choose(&facts, self.now_ms());
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
        let mut notes = lock(&self.notes);
        for (topic_partition, reason, bounds) in &choice.not_now {
            let notes = notes.by_log.entry(topic_partition.clone()).or_default();
            notes.reason = notes.in_progress.is_none().then_some(*reason);
            notes.bounds = *bounds;
        }
        for eligible in &choice.eligible {
            let notes = notes
                .by_log
                .entry(eligible.topic_partition.clone())
                .or_default();
            notes.reason = notes.in_progress.is_none().then_some(Reason::Queued);
            notes.bounds = Some(eligible.bounds);
        }
        choice
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
            is_in_progress: notes.in_progress.is_some(),
            retry_at_ms: notes.retry_at_ms,
            log_start_offset: offsets.log_start_offset,
            last_stable_offset: offsets
                .last_stable_offset
                .min(offsets.high_watermark)
                .min(notes.ceiling_offset.unwrap_or(i64::MAX)),
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

    /// Logs as the cleaner sees them now, in order.
    pub fn status(&self, logs: &[Arc<Log>]) -> Vec<LogStatus> {
        self.look(logs);
        let notes = lock(&self.notes);
        let mut status: Vec<LogStatus> = logs
            .iter()
            .map(|log| {
                let topic_partition = log.topic_partition().clone();
                let notes = notes
                    .by_log
                    .get(&topic_partition)
                    .cloned()
                    .unwrap_or_default();
                LogStatus {
                    state: notes.state(),
                    reason: notes.reason,
                    bounds: notes.bounds,
                    benefit: notes.benefit.and_then(|known| known.benefit),
                    first_dirty_offset: self.checkpoints.first_dirty_offset(&topic_partition),
                    horizon: self.checkpoints.horizon(&topic_partition),
                    last_stats: notes.last_stats,
                    isolated_segments: notes.isolated_segments,
                    last_error: notes.last_error,
                    failures: notes.failures,
                    cleanings: notes.cleanings,
                    topic_partition,
                }
            })
            .collect();
        status.sort_by(|a, b| a.topic_partition.cmp(&b.topic_partition));
        status
    }
}
