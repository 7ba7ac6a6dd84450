//! `GET /v1/topics/{topic}/outline`: the partitions of a topic as the page draws them, a few at a time: the sections of
//! each, segment by segment, what is known to be live and dead, and why it is not being cleaned now.
//!
//! Bounded: at most 200 partitions in an answer and 200 stretches in each; a log with more segments has neighbours of the
//! same section drawn as one.

use axum::Json;
use axum::routing::get;
use lastword_broker::Broker;
use lastword_record::TopicPartition;
use lastword_storage::cleaner::LogStatus;
use lastword_storage::log::Log;
use serde::{Deserialize, Serialize};

use super::compaction::Status;
use crate::endpoint::Endpoint;
use crate::error::HttpError;
use crate::extract::{Param, Query, Running, blocking};

const DEFAULT_LIMIT: usize = 32;
const LARGEST_LIMIT: usize = 200;
const MOST_STRETCHES: usize = 200;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![Endpoint {
        query: &[
            ("from", "the first partition; the answer's `next` goes on"),
            (
                "limit",
                "how many partitions at the most: 32 unless asked, 200 at the most",
            ),
        ],
        ..Endpoint::get(
            "/v1/topics/{topic}/outline",
            "Partitions of a topic as they are drawn: head and tail, segment by segment, and the status of each.",
            get(outline),
        )
    }]
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    #[serde(default)]
    from: usize,
    limit: Option<usize>,
}

#[derive(Serialize)]
struct Outline {
    topic: String,
    now_ms: i64,
    /// Of the topic.
    partition_count: usize,
    partitions: Vec<Drawn>,
    /// Where the next request goes on.
    next: Option<usize>,
}

#[derive(Serialize)]
struct Drawn {
    partition: i32,
    /// Why its log could not be loaded.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Status>,
    stretches: Vec<Stretch>,
}

/// One segment, or neighbours.
#[derive(Serialize)]
struct Stretch {
    base_offset: i64,
    /// Exclusive.
    end_offset: i64,
    bytes: u64,
    segments: u32,
    /// `tail`, `dirty`, `waiting` or `active`; `plain` in a log that is not compacted.
    section: &'static str,
    /// -1 when no record has a time.
    max_timestamp_ms: i64,
}

async fn outline(
    Running(broker): Running,
    Param(name): Param<String>,
    Query(options): Query<Options>,
) -> Result<Json<Outline>, HttpError> {
    blocking(move || {
        let image = broker.metadata.image();
        let found = image.topic(&name);
        let found = found.ok_or_else(|| HttpError::unknown_topic(&name))?;
        let failed = broker.logs.failed();
        let slots = broker.partitions.slots_of(&name);
        let partition_count = slots.len();
        let limit = options
            .limit
            .unwrap_or(DEFAULT_LIMIT)
            .clamp(1, LARGEST_LIMIT);
        let page = slots.into_iter().zip(0..).skip(options.from).take(limit);
        let now_ms = broker.clock.now_ms();
        let partitions = page.map(|(slot, number)| {
            let id = TopicPartition::new(found.name.clone(), number);
            let drawn = slot.and_then(|slot| draw(&broker, slot.log(), now_ms));
            let (status, stretches) = drawn.unzip();
            Drawn {
                partition: number,
                error: failed.get(&id).cloned(),
                status,
                stretches: stretches.unwrap_or_default(),
            }
        });
        let partitions = partitions.collect();
        let next = options.from.saturating_add(limit);
        Ok(Json(Outline {
            topic: name,
            now_ms,
            partition_count,
            partitions,
            next: (next < partition_count).then_some(next),
        }))
    })
    .await?
}

fn draw(broker: &Broker, log: &Log, now_ms: i64) -> Option<(Status, Vec<Stretch>)> {
    let status = broker.cleaner.status_of(log.topic_partition())?;
    let stretches = stretches(log, &status);
    let request = super::compaction::last_request(broker, &status, now_ms);
    Some((Status::new(status, request, now_ms), stretches))
}

fn stretches(log: &Log, status: &LogStatus) -> Vec<Stretch> {
    let set = log.segments();
    let active = set.active().base_offset();
    let count = set.as_slice().len();
    let most = count.div_ceil(MOST_STRETCHES).max(1);
    let mut all: Vec<Stretch> = Vec::with_capacity(count.min(MOST_STRETCHES));
    for segment in set.iter() {
        let base_offset = segment.base_offset();
        let section = match status.bounds {
            None => "plain",
            Some(_) if base_offset == active => "active",
            Some(bounds) if base_offset < bounds.first_dirty_offset => "tail",
            Some(bounds) if base_offset < bounds.first_uncleanable_offset => "dirty",
            Some(_) => "waiting",
        };
        match all.last_mut() {
            Some(last) if last.section == section && (last.segments as usize) < most => {
                last.end_offset = segment.next_offset();
                last.bytes += u64::from(segment.size_bytes());
                last.segments += 1;
                last.max_timestamp_ms = last.max_timestamp_ms.max(segment.max_timestamp());
            }
            _ => all.push(Stretch {
                base_offset,
                end_offset: segment.next_offset(),
                bytes: segment.size_bytes().into(),
                segments: 1,
                section,
                max_timestamp_ms: segment.max_timestamp(),
            }),
        }
    }
    all
}
