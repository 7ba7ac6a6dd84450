//! A partition as the cleaner sees it, as JSON. Times are milliseconds since 1970, sizes bytes.

use lastword_storage::cleaner::{
    CleanStats, Counts, DeadRecords, DeleteHorizon, LogStatus, Phase, Reason, Totals, Trigger,
};
use serde::Serialize;

use super::request::Request;

/// One partition.
#[derive(Serialize)]
pub struct Status {
    topic: String,
    partition: i32,
    /// One of the closed list of words.
    reason: &'static str,
    /// The sentence that goes with it.
    why: String,
    /// Waiting does not help.
    is_stuck: bool,
    /// When the reason can change by the clock alone.
    next_ms: Option<i64>,
    log_start_offset: i64,
    first_dirty_offset: Option<i64>,
    first_uncleanable_offset: Option<i64>,
    last_stable_offset: i64,
    log_end_offset: i64,
    segments: u32,
    size_bytes: u64,
    tail: Tail,
    head: Head,
    dirty_ratio: Option<f64>,
    min_cleanable_dirty_ratio: f64,
    missing_dirty_bytes: Option<u64>,
    counts: Option<CountsDocument>,
    /// When the first of the tombstones that wait may go.
    tombstones_until_ms: Option<i64>,
    last_cleaning: Option<Cleaning>,
    totals: TotalsDocument,
    damaged_segments: Vec<Damaged>,
    last_error: Option<LastError>,
    failures: u32,
    paused: Option<Paused>,
    running: Option<Running>,
    request: Option<Request>,
}

/// Below the first dirty offset.
#[derive(Serialize)]
struct Tail {
    segments: u32,
    bytes: u64,
}

#[derive(Serialize)]
struct Head {
    segments: u32,
    bytes: u64,
    /// What a cleaning would take.
    dirty_bytes: u64,
    /// Sealed, and not to be cleaned yet.
    waiting_bytes: u64,
    active_bytes: u64,
}

/// What the last plan or cleaning counted below `end_offset`.
#[derive(Serialize)]
struct CountsDocument {
    at_ms: i64,
    end_offset: i64,
    records: u64,
    live_keys: u64,
    tombstones: u64,
    dead_records: u64,
    dead_bytes: u64,
    live_bytes: u64,
}

/// Dead records by the reason of their death.
#[derive(Serialize)]
pub(crate) struct Dead {
    superseded: u64,
    expired_tombstones: u64,
    keyless: u64,
    aborted: u64,
    expired_markers: u64,
}

/// What one cleaning did.
#[derive(Serialize)]
pub(crate) struct Cleaning {
    started_ms: i64,
    duration_ms: u64,
    records: u64,
    removed_records: u64,
    dead: Dead,
    read_bytes: u64,
    written_bytes: u64,
    removed_bytes: u64,
    segments_in: u32,
    segments_out: u32,
}

#[derive(Serialize)]
struct TotalsDocument {
    ok: u64,
    failed: u64,
    aborted: u64,
    read_bytes: u64,
    written_bytes: u64,
    removed_bytes: u64,
    removed_records: u64,
    removed_tombstones: u64,
}

/// A segment that is left as it is.
#[derive(Serialize)]
pub(super) struct Damaged {
    pub file: String,
    pub damage: String,
}

#[derive(Serialize)]
struct LastError {
    at_ms: i64,
    message: String,
}

#[derive(Serialize)]
struct Paused {
    by: String,
    since_ms: i64,
}

/// How far a cleaning is.
#[derive(Serialize)]
pub(crate) struct Running {
    trigger: &'static str,
    since_ms: i64,
    phase: &'static str,
    done_bytes: u64,
    expected_bytes: u64,
}

impl Status {
    /// What is shown of a status at a time.
    pub fn new(status: LogStatus, request: Option<Request>, now_ms: i64) -> Status {
        let topic_partition = &status.topic_partition;
        let sizes = status.sizes;
        let bounds = status.bounds;
        let code = status.reason.code();
        Status {
            topic: topic_partition.topic.to_string(),
            partition: topic_partition.partition,
            reason: code.word(),
            why: status.reason.sentence(now_ms),
            is_stuck: code.is_stuck(),
            next_ms: status.next_ms,
            log_start_offset: sizes.log_start_offset,
            first_dirty_offset: bounds.map(|it| it.first_dirty_offset),
            first_uncleanable_offset: bounds.map(|it| it.first_uncleanable_offset),
            last_stable_offset: sizes.last_stable_offset,
            log_end_offset: sizes.log_end_offset,
            segments: sizes.segments(),
            size_bytes: sizes.total_bytes(),
            tail: Tail {
                segments: sizes.tail_segments,
                bytes: sizes.tail_bytes,
            },
            head: Head {
                segments: sizes.segments() - sizes.tail_segments,
                bytes: sizes.head_bytes(),
                dirty_bytes: sizes.dirty_bytes,
                waiting_bytes: sizes.waiting_bytes,
                active_bytes: sizes.active_bytes,
            },
            dirty_ratio: bounds.map(|it| it.dirty_ratio),
            min_cleanable_dirty_ratio: status.min_cleanable_dirty_ratio,
            missing_dirty_bytes: status.missing_dirty_bytes,
            counts: status.counts.map(CountsDocument::from),
            tombstones_until_ms: match status.horizon {
                DeleteHorizon::At(ms) => Some(ms),
                DeleteHorizon::None | DeleteHorizon::Unknown => None,
            },
            last_cleaning: status.last_stats.as_ref().map(Cleaning::from),
            totals: status.totals.into(),
            damaged_segments: status
                .isolated_segments
                .into_iter()
                .map(|isolated| Damaged {
                    file: isolated.file,
                    damage: isolated.damage,
                })
                .collect(),
            last_error: status
                .last_error
                .map(|(at_ms, message)| LastError { at_ms, message }),
            failures: status.failures,
            paused: status.pause.map(|pause| Paused {
                by: pause.by.to_string(),
                since_ms: pause.since_ms,
            }),
            running: match status.reason {
                Reason::Running(running) | Reason::Throttled { running, .. } => {
                    Some((&running).into())
                }
                _ => None,
            },
            request,
        }
    }
}

impl From<&lastword_storage::cleaner::Running> for Running {
    fn from(running: &lastword_storage::cleaner::Running) -> Running {
        Running {
            trigger: match running.trigger {
                Trigger::DirtyRatio => "dirty-ratio",
                Trigger::MaxCompactionLag => "max-compaction-lag",
                Trigger::DeleteHorizon => "delete-horizon",
                Trigger::Request => "request",
            },
            since_ms: running.since_ms,
            phase: phase(running.progress.phase),
            done_bytes: running.progress.done_bytes,
            expected_bytes: running.progress.expected_bytes,
        }
    }
}

/// The step that a cleaning is at, in a word.
pub(super) fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Waiting => "waiting",
        Phase::Indexing => "indexing",
        Phase::Planning => "planning",
        Phase::Rewriting => "rewriting",
    }
}

impl From<Counts> for CountsDocument {
    fn from(counts: Counts) -> CountsDocument {
        CountsDocument {
            at_ms: counts.at_ms,
            end_offset: counts.end_offset,
            records: counts.records,
            live_keys: counts.live_keys,
            tombstones: counts.tombstones,
            dead_records: counts.dead.total(),
            dead_bytes: counts.dead_bytes,
            live_bytes: counts.live_bytes,
        }
    }
}

impl From<DeadRecords> for Dead {
    fn from(dead: DeadRecords) -> Dead {
        Dead {
            superseded: dead.superseded,
            expired_tombstones: dead.expired_tombstones,
            keyless: dead.keyless,
            aborted: dead.aborted,
            expired_markers: dead.expired_markers,
        }
    }
}

impl From<&CleanStats> for Cleaning {
    fn from(stats: &CleanStats) -> Cleaning {
        Cleaning {
            started_ms: stats.started_ms,
            duration_ms: stats.plan_ms + stats.rewrite_ms,
            records: stats.records_planned,
            removed_records: stats.dead.total(),
            dead: stats.dead.into(),
            read_bytes: stats.log_bytes_indexed + stats.bytes_read,
            written_bytes: stats.bytes_written,
            removed_bytes: stats.bytes_in.saturating_sub(stats.bytes_out),
            segments_in: stats.segments_in,
            segments_out: stats.segments_out,
        }
    }
}

impl From<Totals> for TotalsDocument {
    fn from(totals: Totals) -> TotalsDocument {
        TotalsDocument {
            ok: totals.ok,
            failed: totals.failed,
            aborted: totals.aborted,
            read_bytes: totals.bytes_read,
            written_bytes: totals.bytes_written,
            removed_bytes: totals.bytes_removed,
            removed_records: totals.records_removed,
            removed_tombstones: totals.tombstones_removed,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use lastword_record::{TopicId, TopicPartition};
    use lastword_storage::cleaner::{
        OpenTransaction, Pause, ProgressView, ReasonCode, Running as RunningReason,
    };
    use lastword_storage::{
        CleanerConfig, CleanupPolicy, Clock, LogCleaner, LogConfig, LogManager, SimDir,
    };
    use serde_json::Value;

    use super::*;

    /// The status of an empty log.
    fn status() -> LogStatus {
        let dir = Arc::new(SimDir::new());
        let config_of = |_: &str| LogConfig::default();
        let manager = LogManager::open(Default::default(), dir, Clock::manual(0), &config_of);
        let manager = manager.expect("a directory");
        let config = LogConfig {
            cleanup_policy: CleanupPolicy {
                compact: true,
                delete: false,
            },
            ..LogConfig::default()
        };
        let partition = TopicPartition::new("t", 0);
        let created = manager.create(&partition, TopicId([1; 16]), config);
        created.expect("a log");
        let cleaner = LogCleaner::new(manager, CleanerConfig::default()).expect("a cleaner");
        cleaner.status_of(&partition).expect("a status")
    }

    fn reasons() -> Vec<Reason> {
        let running = RunningReason {
            trigger: Trigger::Request,
            since_ms: 0,
            progress: ProgressView::default(),
        };
        vec![
            Reason::Running(running),
            Reason::Throttled {
                running,
                bytes_per_second: 5.0,
            },
            Reason::Queued {
                place: 1,
                of: 2,
                busy_with: Arc::new([]),
            },
            Reason::Clean,
            Reason::BelowRatio {
                ratio: 0.31,
                threshold: 0.5,
            },
            Reason::ActiveSegment {
                rolls_at_ms: Some(10_800_000),
            },
            Reason::MinLag { until_ms: 60_000 },
            Reason::OpenTransaction {
                transaction: Some(OpenTransaction {
                    producer_id: 7,
                    first_offset: 1,
                    since_ms: Some(0),
                }),
                last_stable_offset: 1,
            },
            Reason::Paused(Pause {
                by: "alice".into(),
                since_ms: 0,
            }),
            Reason::NoWorker {
                running: 0,
                configured: 1,
            },
            Reason::NoDisk {
                needs_bytes: 64 << 20,
                free_bytes: 12 << 20,
                retry_at_ms: 60_000,
            },
            Reason::Quarantined {
                error: "torn".into(),
                retry_at_ms: None,
            },
            Reason::DeletePolicy,
            Reason::Disabled,
        ]
    }

    #[test]
    fn every_reason_reads_as_the_engine_says_it() {
        let status = status();
        let mut seen = BTreeSet::new();
        for reason in reasons() {
            let shown = Status::new(
                LogStatus {
                    reason: reason.clone(),
                    ..status.clone()
                },
                None,
                0,
            );
            let shown: Value = serde_json::to_value(shown).expect("JSON");
            assert_eq!(shown["reason"], reason.code().word());
            assert_eq!(shown["why"], reason.sentence(0));
            assert_eq!(shown["is_stuck"], reason.code().is_stuck());
            let is_running = matches!(reason, Reason::Running(_) | Reason::Throttled { .. });
            assert_eq!(shown["running"].is_object(), is_running);
            seen.insert(reason.code());
        }
        assert!(ReasonCode::ALL.iter().all(|code| seen.contains(code)));
    }
}
