//! Removing the beginning of a log: retention and DeleteRecords.
//!
//! | # | step | a crash after it |
//! |---|---|---|
//! | 1 | LogStartOffset rises in memory, the segments leave the set | nothing: all is as before |
//! | 2 | `log-start-offset-checkpoint` is written, durably | the loader removes the files below it |
//! | 3 | the files are removed | the same |
//!
//! Step 2 before step 3, because removals may reach the disk in any order: a segment that came back
//! alone could hold a key that a removed one had deleted. Readers who hold a removed segment go on
//! reading it; its files vanish when the last of them is done.

use std::sync::Arc;

use tracing::info;

use super::retention::{RetentionBounds, RetentionReason, SegmentFacts, deletable};
use super::{Log, LogWriter, SegmentSet, lock, roll, snapshots};
use crate::error::StorageError;
use crate::segment::Segment;

pub(super) fn delete_records_before(log: &Log, offset: i64) -> Result<i64, StorageError> {
    log.check_open()?;
    let retired = {
        let mut writer = lock(&log.writer);
        log.check_open()?;
        let published = log.published.load();
        let high_watermark = published.high_watermark.offset;
        let offset = if offset == -1 { high_watermark } else { offset };
        if offset < 0 || offset > high_watermark {
            return Err(StorageError::OffsetOutOfRange {
                requested: offset,
                log_start_offset: published.log_start_offset,
                high_watermark,
            });
        }
        raise_log_start_offset(log, &mut writer, offset);
        let set = log.segments.load_full();
        let count = deletable(&facts(&set, log), bounds(log, 0), &log.config.load())
            .iter()
            .take_while(|reason| **reason == RetentionReason::BelowLogStartOffset)
            .count();
        retire(log, &mut writer, &set, count)
    };
    log.context.write_log_start_offsets()?;
    remove_files(log, &retired)?;
    Ok(log.published.load().log_start_offset)
}

pub(super) fn apply_retention(log: &Log, now_ms: i64) -> Result<usize, StorageError> {
    let retired = log.retire_segments(now_ms)?;
    if !retired.is_empty() {
        log.context.write_log_start_offsets()?;
        remove_files(log, &retired)?;
    }
    Ok(retired.len())
}

impl Log {
    /// Step 1 of a retention: what it takes out of the log. The caller writes the checkpoint once
    /// for many logs, and then removes the files.
    pub(crate) fn retire_segments(&self, now_ms: i64) -> Result<Vec<Arc<Segment>>, StorageError> {
        let mut writer = lock(&self.writer);
        self.check_open()?;
        let config = self.config.load_full();
        let set = self.segments.load_full();
        let reasons = deletable(&facts(&set, self), bounds(self, now_ms), &config);
        if reasons.is_empty() {
            return Ok(Vec::new());
        }
        info!(partition = %self.topic_partition, segments = reasons.len(), ?reasons, "retention");
        if reasons.len() == set.len() {
            // Everything may go: an active segment must remain.
            let log_end_offset = self.published.load().log_end.offset;
            roll::roll_to(self, &mut writer, log_end_offset, now_ms)?;
        }
        let set = self.segments.load_full();
        Ok(retire(self, &mut writer, &set, reasons.len()))
    }

    /// Step 3 of a retention.
    pub(crate) fn remove_segment_files(
        &self,
        segments: &[Arc<Segment>],
    ) -> Result<(), StorageError> {
        remove_files(self, segments)
    }
}

fn bounds(log: &Log, now_ms: i64) -> RetentionBounds {
    let published = log.published.load();
    RetentionBounds {
        log_start_offset: published.log_start_offset,
        high_watermark: published.high_watermark.offset,
        now_ms,
    }
}

fn facts(set: &SegmentSet, log: &Log) -> Vec<SegmentFacts> {
    let log_end_offset = log.published.load().log_end.offset;
    let last = set.len() - 1;
    set.iter()
        .enumerate()
        .map(|(index, segment)| SegmentFacts {
            size_bytes: u64::from(segment.size_bytes()),
            largest_timestamp_ms: segment.largest_timestamp_ms(),
            upper_bound_offset: set.next_base_offset(index).unwrap_or(log_end_offset),
            is_active: index == last,
        })
        .collect()
}

/// Takes the first `count` segments out of the set.
fn retire(log: &Log, writer: &mut LogWriter, set: &SegmentSet, count: usize) -> Vec<Arc<Segment>> {
    let (retired, kept) = set.as_slice().split_at(count);
    let Some(first) = kept.first().filter(|_| count > 0) else {
        return Vec::new();
    };
    // Offsets first: a reader that still sees the old offsets finds the old segments.
    raise_log_start_offset(log, writer, first.base_offset());
    log.segments
        .store(Arc::new(set.with_segments(kept.to_vec())));
    retired.to_vec()
}

fn raise_log_start_offset(log: &Log, writer: &mut LogWriter, offset: i64) {
    let log_start_offset = log.published.load().log_start_offset;
    if offset <= log_start_offset {
        return;
    }
    writer.producers.on_log_start_offset(offset);
    let first_unstable_offset = writer.producers.first_unstable_offset();
    log.published.update(|published| {
        published.log_start_offset = offset;
        published.first_unstable_offset = first_unstable_offset;
    });
    log.context
        .note_log_start_offset(&log.topic_partition, offset);
}

fn remove_files(log: &Log, segments: &[Arc<Segment>]) -> Result<(), StorageError> {
    let dir = &*log.context.dir;
    // A deletion of the log waits for this, or has been: then the names may belong to another log by now.
    let _no_deletion = lock(&log.replace_lock);
    if log.is_closed() {
        return Ok(());
    }
    for segment in segments {
        segment.detach();
        log.context.or_offline(segment.delete_files())?;
        let removed = snapshots::remove(dir, &log.partition_dir, segment.base_offset());
        log.context.or_offline(removed)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use lastword_record::{BatchBuilder, BatchSpec, TopicId, TopicPartition};

    use super::*;
    use crate::clock::Clock;
    use crate::config::{CleanupPolicy, LogConfig};
    use crate::dir::SimDir;
    use crate::log::AppendOrigin;
    use crate::manager::LogManager;

    fn append(log: &Log) {
        let mut builder = BatchBuilder::new(BatchSpec::default());
        builder.push(0, 1_000, Some(b"k"), Some(b"v"), &[]);
        let mut bytes = Vec::new();
        builder.finish(&mut bytes).unwrap();
        log.append(&bytes, AppendOrigin::Client, 0).unwrap();
        log.sync().unwrap();
    }

    #[test]
    fn a_removal_that_comes_late_leaves_a_new_log_of_the_same_name_alone() {
        let config = LogConfig {
            cleanup_policy: CleanupPolicy {
                compact: false,
                delete: true,
            },
            retention_ms: 0,
            ..LogConfig::default()
        };
        let clock = Clock::manual(10_000);
        let dir = Arc::new(SimDir::with_clock(clock.clone()));
        let manager =
            LogManager::open(Default::default(), dir.clone(), clock, &|_| config.clone()).unwrap();
        let topic_partition = TopicPartition {
            topic: "t".into(),
            partition: 0,
        };
        let old = manager
            .create(&topic_partition, TopicId([1; 16]), config.clone())
            .unwrap();
        append(&old);
        old.roll().unwrap();
        let retired = old.retire_segments(1_000_000).unwrap();
        assert!(!retired.is_empty());
        manager.delete(&topic_partition).unwrap();
        let new = manager
            .create(&topic_partition, TopicId([2; 16]), config.clone())
            .unwrap();
        append(&new);
        old.remove_segment_files(&retired).unwrap();
        let files = dir.files();
        assert!(
            files.iter().any(|(name, bytes)| {
                name == "t-0/00000000000000000000.log" && !bytes.is_empty()
            })
        );
    }
}
