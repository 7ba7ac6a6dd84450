//! A cleaning that somebody asked for, as JSON.

use lastword_broker::compaction::{Job, JobState, Outcome};
use lastword_broker::error_map::ApiError;
use serde::Serialize;

use super::status::{Cleaning, Damaged, phase};

/// One request.
#[derive(Serialize)]
pub struct Request {
    id: u64,
    topic: String,
    partition: i32,
    roll: bool,
    asked_ms: i64,
    /// `waiting`, `running`, `done` or `failed`.
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    progress: Option<Progress>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<Done>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Failed>,
}

#[derive(Serialize)]
struct Progress {
    phase: &'static str,
    done_bytes: u64,
    expected_bytes: u64,
}

/// What came of it.
#[derive(Serialize)]
struct Done {
    /// Where the new active segment begins, if one was made.
    rolled_at: Option<i64>,
    /// Why there was nothing to clean: a word of the list, and its sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    nothing: Option<Nothing>,
    first_dirty_offset: i64,
    end_offset: i64,
    /// Below the end offset.
    before: Size,
    after: Size,
    cleaning: Cleaning,
    damaged_segments: Vec<Damaged>,
}

#[derive(Serialize)]
struct Nothing {
    reason: &'static str,
    why: String,
}

#[derive(Serialize)]
struct Size {
    records: u64,
    bytes: u64,
}

#[derive(Serialize)]
struct Failed {
    code: &'static str,
    message: String,
}

impl Request {
    /// How far it is at a time.
    pub fn new(job: &Job, now_ms: i64) -> Request {
        let state = job.state();
        let request = Request {
            id: job.id,
            topic: job.topic_partition.topic.to_string(),
            partition: job.topic_partition.partition,
            roll: job.rolls,
            asked_ms: job.asked_ms,
            state: "waiting",
            progress: None,
            result: None,
            error: None,
        };
        match state {
            JobState::Waiting => request,
            JobState::Running => {
                let view = job.progress.view();
                Request {
                    state: "running",
                    progress: Some(Progress {
                        phase: phase(view.phase),
                        done_bytes: view.done_bytes,
                        expected_bytes: view.expected_bytes,
                    }),
                    ..request
                }
            }
            JobState::Done(outcome) => Request {
                state: "done",
                result: Some(Done::new(&outcome, now_ms)),
                ..request
            },
            JobState::Failed(error) => {
                let api = ApiError::from(&*error);
                Request {
                    state: "failed",
                    error: Some(Failed {
                        code: api.code.name(),
                        message: api.message,
                    }),
                    ..request
                }
            }
        }
    }
}

impl Done {
    fn new(outcome: &Outcome, now_ms: i64) -> Done {
        let stats = &outcome.stats;
        let records = stats.records_planned;
        Done {
            rolled_at: outcome.rolled_at,
            nothing: outcome.nothing.as_ref().map(|reason| Nothing {
                reason: reason.code().word(),
                why: reason.sentence(now_ms),
            }),
            first_dirty_offset: outcome.first_dirty_offset,
            end_offset: outcome.end_offset,
            before: Size {
                records,
                bytes: outcome.bytes_before,
            },
            after: Size {
                records: records.saturating_sub(stats.dead.total()),
                bytes: outcome.bytes_after,
            },
            cleaning: stats.into(),
            damaged_segments: outcome
                .isolated
                .iter()
                .map(|isolated| Damaged {
                    file: isolated.file.clone(),
                    damage: isolated.damage.clone(),
                })
                .collect(),
        }
    }
}
