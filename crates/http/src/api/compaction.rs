//! Compaction, seen and steered: status with the reason why not now, a plan, a cleaning now, pause and resume.
//!
//! What a person asks for waits its turn in `lastword_broker::compaction`; so do plans, which read every key index of a
//! log. Parameters are in the query; no request has a body.

mod plan;
mod request;
mod status;

use axum::Json;
use axum::http::StatusCode;
use axum::routing::{get, post};
use lastword_broker::{Broker, compaction};
use lastword_record::TopicPartition;
use lastword_storage::StorageError;
use lastword_storage::cleaner::LogStatus;
use serde::{Deserialize, Serialize};

use crate::endpoint::{Endpoint, JSON};
use crate::error::HttpError;
use crate::extract::{self, Param, Query, blocking};
use plan::Plan;
use request::Request;
pub use status::Status;
pub(crate) use status::{Cleaning, Running};

/// Of every document here.
const SCHEMA_VERSION: u32 = 1;
/// Partitions that a list has at the most, unless asked.
const DEFAULT_LIMIT: usize = 1_000;
const LARGEST_LIMIT: usize = 10_000;
/// Of who pauses.
const MAX_NAME_CHARS: usize = 64;

const STATUS_PATH: &str = "/v1/topics/{topic}/partitions/{partition}/compaction";
const PLAN_PATH: &str = "/v1/topics/{topic}/partitions/{partition}/compaction/plan";
const COMPACT_PATH: &str = "/v1/topics/{topic}/partitions/{partition}/compact";
const PAUSE_PATH: &str = "/v1/topics/{topic}/partitions/{partition}/compaction/pause";
const RESUME_PATH: &str = "/v1/topics/{topic}/partitions/{partition}/compaction/resume";

pub(super) fn endpoints() -> Vec<Endpoint> {
    let change = |path, summary, query, route| Endpoint {
        method: "POST",
        path,
        summary,
        query,
        answers: JSON,
        route,
    };
    vec![
        Endpoint {
            query: &[
                ("topic", "only the partitions of this topic"),
                ("all", "true: topics that are not compacted too"),
                (
                    "limit",
                    "how many partitions at the most, 1000 unless said, 10000 at the most",
                ),
            ],
            ..Endpoint::get(
                "/v1/compaction",
                "Every compacted partition: head and tail, and why it is not being cleaned now.",
                get(list),
            )
        },
        Endpoint::get(
            STATUS_PATH,
            "One partition: head and tail, what is known to be dead, the last cleaning, and why it is not being cleaned \
             now.",
            get(one),
        ),
        Endpoint::get(
            PLAN_PATH,
            "What a cleaning would remove, segment by segment. Nothing is removed.",
            get(look),
        ),
        change(
            COMPACT_PATH,
            "Cleans a partition now. 202 while it goes on: `request` of the status tells how far it is.",
            &[
                (
                    "roll",
                    "true: rolls the active segment first, so that all records can be cleaned",
                ),
                ("wait", "true: answers when it is done"),
            ],
            post(compact),
        ),
        change(
            PAUSE_PATH,
            "Keeps a partition from being cleaned until it is resumed, the broker restarts, or the topic is deleted.",
            &[("by", "who asks, for whoever wonders")],
            post(pause),
        ),
        change(RESUME_PATH, "Ends a pause.", &[], post(resume)),
    ]
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    topic: Option<String>,
    #[serde(default)]
    all: bool,
    limit: Option<usize>,
}

/// Partitions in order.
#[derive(Serialize)]
struct List {
    schema_version: u32,
    now_ms: i64,
    partitions: Vec<Status>,
    /// Partitions beyond the limit.
    left_off: usize,
}

async fn list(
    extract::Running(broker): extract::Running,
    Query(query): Query<ListQuery>,
) -> Result<Json<List>, HttpError> {
    let limit = query.limit.unwrap_or(DEFAULT_LIMIT).min(LARGEST_LIMIT);
    blocking(move || {
        let now_ms = broker.clock.now_ms();
        let mut partitions = broker.cleaner.status();
        if let Some(topic) = &query.topic {
            partitions.retain(|status| *status.topic_partition.topic == **topic);
            if partitions.is_empty() {
                return Err(HttpError::unknown_topic(topic));
            }
        } else if !query.all {
            partitions.retain(|status| status.bounds.is_some());
        }
        let left_off = partitions.len().saturating_sub(limit);
        let kept = partitions.into_iter().take(limit);
        Ok(Json(List {
            schema_version: SCHEMA_VERSION,
            now_ms,
            partitions: kept.map(|status| shown(&broker, status, now_ms)).collect(),
            left_off,
        }))
    })
    .await?
}

/// One partition.
#[derive(Serialize)]
struct One {
    schema_version: u32,
    now_ms: i64,
    #[serde(flatten)]
    status: Status,
}

async fn one(
    extract::Running(broker): extract::Running,
    Param((topic, partition)): Param<(String, i32)>,
) -> Result<Json<One>, HttpError> {
    let topic_partition = TopicPartition::new(topic, partition);
    blocking(move || one_now(&broker, &topic_partition)).await?
}

fn one_now(broker: &Broker, topic_partition: &TopicPartition) -> Result<Json<One>, HttpError> {
    let status = broker.cleaner.status_of(topic_partition);
    let status = status.ok_or_else(|| unknown_partition(topic_partition))?;
    let now_ms = broker.clock.now_ms();
    Ok(Json(One {
        schema_version: SCHEMA_VERSION,
        now_ms,
        status: shown(broker, status, now_ms),
    }))
}

/// With the last request for it.
fn shown(broker: &Broker, status: LogStatus, now_ms: i64) -> Status {
    let request = last_request(broker, &status, now_ms);
    Status::new(status, request, now_ms)
}

/// The last cleaning of a partition that somebody asked for.
pub(super) fn last_request(broker: &Broker, status: &LogStatus, now_ms: i64) -> Option<Request> {
    let job = broker.compactions.last(&status.topic_partition)?;
    Some(Request::new(&job, now_ms))
}

async fn look(
    extract::Running(broker): extract::Running,
    Param((topic, partition)): Param<(String, i32)>,
) -> Result<Json<Plan>, HttpError> {
    let topic_partition = TopicPartition::new(topic, partition);
    let planned = compaction::plan(&broker, &topic_partition).await;
    let planned = planned.map_err(|error| refused(&topic_partition, &error))?;
    let log = broker.logs.get(&topic_partition);
    let log = log.ok_or_else(|| unknown_partition(&topic_partition))?;
    let status = broker.cleaner.status_of(&topic_partition);
    let status = status.ok_or_else(|| unknown_partition(&topic_partition))?;
    Ok(Json(Plan::new(
        &log,
        planned,
        &status,
        broker.clock.now_ms(),
    )))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CompactQuery {
    #[serde(default)]
    roll: bool,
    #[serde(default)]
    wait: bool,
}

/// A request, as far as it is.
#[derive(Serialize)]
struct Asked {
    schema_version: u32,
    #[serde(flatten)]
    request: Request,
}

async fn compact(
    extract::Running(broker): extract::Running,
    Param((topic, partition)): Param<(String, i32)>,
    Query(query): Query<CompactQuery>,
) -> Result<(StatusCode, Json<Asked>), HttpError> {
    let topic_partition = TopicPartition::new(topic, partition);
    let job = compaction::request(&broker, &topic_partition, query.roll)
        .map_err(|error| refused(&topic_partition, &error))?;
    if query.wait {
        job.ended().await;
    }
    let status = match job.state().is_ended() {
        true => StatusCode::OK,
        false => StatusCode::ACCEPTED,
    };
    let request = Request::new(&job, broker.clock.now_ms());
    let asked = Asked {
        schema_version: SCHEMA_VERSION,
        request,
    };
    Ok((status, Json(asked)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PauseQuery {
    by: Option<String>,
}

async fn pause(
    extract::Running(broker): extract::Running,
    Param((topic, partition)): Param<(String, i32)>,
    Query(query): Query<PauseQuery>,
) -> Result<Json<One>, HttpError> {
    let topic_partition = TopicPartition::new(topic, partition);
    let by = query.by.unwrap_or_else(|| "somebody over HTTP".to_owned());
    if by.chars().count() > MAX_NAME_CHARS || by.chars().any(char::is_control) || by.is_empty() {
        let message = format!("`by` is a name of 1 to {MAX_NAME_CHARS} characters in one line");
        return Err(HttpError::invalid(message));
    }
    let paused = broker.cleaner.pause(&topic_partition, &by);
    paused.map_err(|error| refused(&topic_partition, &error))?;
    blocking(move || one_now(&broker, &topic_partition)).await?
}

async fn resume(
    extract::Running(broker): extract::Running,
    Param((topic, partition)): Param<(String, i32)>,
) -> Result<Json<One>, HttpError> {
    let topic_partition = TopicPartition::new(topic, partition);
    if broker.logs.get(&topic_partition).is_none() {
        return Err(unknown_partition(&topic_partition));
    }
    broker.cleaner.resume(&topic_partition);
    blocking(move || one_now(&broker, &topic_partition)).await?
}

fn unknown_partition(topic_partition: &TopicPartition) -> HttpError {
    let message =
        format!("there is no partition {topic_partition}; GET /v1/topics lists the topics");
    HttpError::not_found("UNKNOWN_TOPIC_OR_PARTITION", message)
}

fn refused(topic_partition: &TopicPartition, error: &StorageError) -> HttpError {
    match error {
        StorageError::UnknownPartition { .. } => unknown_partition(topic_partition),
        StorageError::Paused { .. } => {
            HttpError::new(StatusCode::CONFLICT, "COMPACTION_PAUSED", error.to_string())
        }
        StorageError::NotCompacted { .. } => {
            let message = format!("{error}: its cleanup.policy has to say so");
            HttpError::new(StatusCode::CONFLICT, "NOT_COMPACTED", message)
        }
        other => HttpError::from(lastword_broker::error_map::ApiError::from(other)),
    }
}
