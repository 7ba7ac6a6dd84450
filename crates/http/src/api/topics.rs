//! Topics, their partitions and segments. What compaction makes of a partition is in a document of its own; here are the
//! word and the sentence.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::routing::get;
use lastword_broker::Broker;
use lastword_broker::metadata::TopicImage;
use lastword_broker::partition::{CountBudget, Partition};
use lastword_record::TopicPartition;
use lastword_storage::CleanupPolicy;
use lastword_storage::cleaner::{Counts, LogStatus};
use serde::{Deserialize, Serialize};

use super::counts::{COUNTS, Counting, CountsQuery, records};
use crate::endpoint::Endpoint;
use crate::error::HttpError;
use crate::extract::{Param, Query, Running, blocking};

/// Topics in an answer, unless asked for fewer or more.
const DEFAULT_LIMIT: usize = 1_000;
const LARGEST_LIMIT: usize = 10_000;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint {
            query: &[
                (
                    "from",
                    "the first name to list; the answer's `next` goes on",
                ),
                (
                    "limit",
                    "how many at the most: 1000 unless asked, 10000 at the most",
                ),
                COUNTS,
            ],
            ..Endpoint::get(
                "/v1/topics",
                "Every topic by name, with its records, its size and what its partitions are doing.",
                get(list),
            )
        },
        Endpoint {
            query: &[COUNTS],
            ..Endpoint::get(
                "/v1/topics/{topic}",
                "One topic: id, policy, size, records, and the configs set on it.",
                get(one),
            )
        },
        Endpoint {
            query: &[
                ("from", "the first partition to list"),
                (
                    "limit",
                    "how many at the most, 10000 unless asked for fewer",
                ),
                COUNTS,
            ],
            ..Endpoint::get(
                "/v1/topics/{topic}/partitions",
                "The partitions of a topic: offsets, records, sizes, and why each is not being compacted now.",
                get(partitions),
            )
        },
        Endpoint::get(
            "/v1/topics/{topic}/partitions/{partition}/segments",
            "The segments of a partition, the active one last.",
            get(segments),
        ),
    ]
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    #[serde(default)]
    from: String,
    limit: Option<usize>,
    #[serde(default)]
    counts: Counting,
}

#[derive(Serialize)]
struct List {
    topics: Vec<Topic>,
    /// Where the next page begins.
    next: Option<String>,
}

#[derive(Serialize)]
pub(crate) struct Topic {
    name: String,
    topic_id: String,
    is_internal: bool,
    partitions: i32,
    cleanup_policy: String,
    size_bytes: u64,
    /// By producers, since the start; partitions together.
    produced_bytes: u64,
    /// The same for what was read.
    fetched_bytes: u64,
    /// End minus start, summed: in a compacted topic more than the records that exist.
    offsets: i64,
    /// Records that exist below the HighWatermark; null while they are being counted.
    records: Option<u64>,
    /// What a cleaning would leave, once every partition was planned or cleaned.
    live_bytes: Option<u64>,
    /// What a cleaning would remove, as far as it was counted.
    dead_bytes: Option<u64>,
    /// Keys whose last word has a value, once every partition was planned or cleaned.
    live_keys: Option<u64>,
    /// Of the dirtiest partition.
    dirty_ratio: Option<f64>,
    /// Partitions by the reason why they are not being compacted now.
    reasons: BTreeMap<&'static str, u32>,
}

#[derive(Serialize)]
struct TopicDetail {
    #[serde(flatten)]
    topic: Topic,
    /// Those set on the topic; the others have the broker's defaults.
    configs: BTreeMap<String, String>,
}

async fn list(
    Running(broker): Running,
    Query(query): Query<ListQuery>,
) -> Result<Json<List>, HttpError> {
    let limit = query.limit.unwrap_or(DEFAULT_LIMIT).min(LARGEST_LIMIT);
    blocking(move || {
        let budget = query.counts.budget();
        let image = broker.metadata.image();
        let statuses = statuses(&broker);
        let mut topics = image.topics_from(&query.from);
        let shown = topics.by_ref().take(limit);
        let shown = shown.map(|image| {
            let statuses = statuses.get(&image.name).map_or(&[][..], Vec::as_slice);
            topic(&broker, image, statuses, budget)
        });
        let shown = shown.collect();
        Json(List {
            topics: shown,
            next: topics.next().map(|image| image.name.to_string()),
        })
    })
    .await
}

async fn one(
    Running(broker): Running,
    Param(name): Param<String>,
    Query(query): Query<CountsQuery>,
) -> Result<Json<TopicDetail>, HttpError> {
    blocking(move || {
        let budget = query.counts.budget();
        let image = broker.metadata.image();
        let image = image
            .topic(&name)
            .ok_or_else(|| HttpError::unknown_topic(&name))?;
        let slots = broker.partitions.of_topic(&name);
        let statuses = slots
            .iter()
            .filter_map(|partition| broker.cleaner.status_of(partition.topic_partition()));
        let statuses: Vec<LogStatus> = statuses.collect();
        Ok(Json(TopicDetail {
            topic: topic(&broker, image, &statuses, budget),
            configs: image.configs.clone(),
        }))
    })
    .await?
}

/// What the cleaner says of every topic. At once: the place in a queue is among all.
pub(crate) fn statuses(broker: &Broker) -> BTreeMap<Arc<str>, Vec<LogStatus>> {
    let mut statuses: BTreeMap<_, Vec<LogStatus>> = BTreeMap::new();
    for status in broker.cleaner.status() {
        let topic = status.topic_partition.topic.clone();
        statuses.entry(topic).or_default().push(status);
    }
    statuses
}

/// One topic as it is in the list.
pub(crate) fn show(broker: &Broker, image: &TopicImage, budget: CountBudget) -> Topic {
    let partitions = broker.partitions.of_topic(&image.name);
    let statuses = partitions
        .iter()
        .filter_map(|partition| broker.cleaner.status_of(partition.topic_partition()));
    let statuses: Vec<LogStatus> = statuses.collect();
    topic(broker, image, &statuses, budget)
}

/// A topic in words, for a table without a script.
pub(super) struct Row {
    pub name: String,
    pub policy: String,
    pub partitions: String,
    pub records: String,
    pub bytes: String,
    pub reasons: String,
}

pub(super) fn row(broker: &Broker, image: &TopicImage, budget: CountBudget) -> Row {
    let topic = show(broker, image, budget);
    let reasons = topic.reasons.iter();
    let reasons: Vec<String> = reasons
        .map(|(word, count)| format!("{word} {count}"))
        .collect();
    Row {
        name: topic.name,
        policy: topic.cleanup_policy,
        partitions: topic.partitions.to_string(),
        records: topic
            .records
            .map_or_else(String::new, |records| records.to_string()),
        bytes: topic.size_bytes.to_string(),
        reasons: reasons.join(", "),
    }
}

/// The same, with what the cleaner says of its partitions.
pub(crate) fn topic(
    broker: &Broker,
    image: &TopicImage,
    statuses: &[LogStatus],
    budget: CountBudget,
) -> Topic {
    let partitions = broker.partitions.of_topic(&image.name);
    let mut reasons = BTreeMap::new();
    for status in statuses {
        *reasons.entry(status.reason.code().word()).or_default() += 1;
    }
    let known = |count: fn(Counts) -> u64| match statuses.is_empty() {
        true => None,
        false => statuses.iter().map(|it| it.counts.map(count)).sum(),
    };
    let ratios = statuses
        .iter()
        .filter_map(|status| status.bounds.map(|bounds| bounds.dirty_ratio));
    let offsets = partitions.iter().map(|partition| {
        let offsets = partition.offsets();
        offsets.log_end_offset - offsets.log_start_offset
    });
    let traffic = || partitions.iter().map(|it| it.traffic().counts());
    Topic {
        name: image.name.to_string(),
        topic_id: image.id.to_string(),
        is_internal: lastword_storage::cleaner::choose::is_internal(&image.name),
        partitions: image.partition_count,
        cleanup_policy: partitions.first().map_or_else(String::new, |partition| {
            policy(partition.log().config().cleanup_policy)
        }),
        size_bytes: partitions.iter().map(|it| it.size_bytes()).sum(),
        produced_bytes: traffic().map(|counts| counts.produced_bytes).sum(),
        fetched_bytes: traffic().map(|counts| counts.fetched_bytes).sum(),
        offsets: offsets.sum(),
        records: partitions.iter().map(|it| records(it, budget)).sum(),
        live_bytes: known(|counts| counts.live_bytes),
        dead_bytes: known(|counts| counts.dead_bytes),
        live_keys: known(|counts| counts.live_keys),
        dirty_ratio: ratios.reduce(f64::max),
        reasons,
    }
}

/// As the config `cleanup.policy` says it.
fn policy(policy: CleanupPolicy) -> String {
    match (policy.compact, policy.delete) {
        (true, true) => "compact,delete",
        (true, false) => "compact",
        (false, true) => "delete",
        (false, false) => "",
    }
    .to_owned()
}

#[derive(Serialize)]
struct Partitions {
    topic: String,
    partitions: Vec<PartitionDocument>,
}

/// One partition; without offsets when its log could not be loaded.
#[derive(Serialize)]
struct PartitionDocument {
    partition: i32,
    /// Why its log could not be loaded.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    state: Option<PartitionState>,
}

#[derive(Serialize)]
struct PartitionState {
    log_start_offset: i64,
    last_stable_offset: i64,
    high_watermark: i64,
    log_end_offset: i64,
    /// Records that exist below the HighWatermark; null while they are being counted.
    records: Option<u64>,
    size_bytes: u64,
    segments: usize,
    produced_bytes: u64,
    fetched_bytes: u64,
    #[serde(flatten)]
    compaction: Option<Compaction>,
}

#[derive(Serialize)]
struct Compaction {
    first_dirty_offset: Option<i64>,
    first_uncleanable_offset: Option<i64>,
    tail_bytes: u64,
    head_bytes: u64,
    dirty_bytes: u64,
    active_bytes: u64,
    dirty_ratio: Option<f64>,
    live_bytes: Option<u64>,
    dead_bytes: Option<u64>,
    live_keys: Option<u64>,
    tombstones: Option<u64>,
    reason: &'static str,
    why: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PartitionsQuery {
    #[serde(default)]
    from: usize,
    limit: Option<usize>,
    #[serde(default)]
    counts: Counting,
}

async fn partitions(
    Running(broker): Running,
    Param(name): Param<String>,
    Query(query): Query<PartitionsQuery>,
) -> Result<Json<Partitions>, HttpError> {
    blocking(move || {
        let budget = query.counts.budget();
        let limit = query.limit.unwrap_or(LARGEST_LIMIT).min(LARGEST_LIMIT);
        let image = broker.metadata.image();
        let found = image
            .topic(&name)
            .ok_or_else(|| HttpError::unknown_topic(&name))?;
        let failed = broker.logs.failed();
        let slots = broker.partitions.slots_of(&name);
        let documents =
            slots
                .into_iter()
                .zip(0..)
                .skip(query.from)
                .take(limit)
                .map(|(slot, number)| {
                    let id = TopicPartition::new(found.name.clone(), number);
                    PartitionDocument {
                        partition: number,
                        error: failed.get(&id).cloned(),
                        state: slot.map(|partition| state(&broker, &partition, budget)),
                    }
                });
        Ok(Json(Partitions {
            partitions: documents.collect(),
            topic: name,
        }))
    })
    .await?
}

fn state(broker: &Broker, partition: &Partition, budget: CountBudget) -> PartitionState {
    let offsets = partition.offsets();
    let traffic = partition.traffic().counts();
    let status = broker.cleaner.status_of(partition.topic_partition());
    PartitionState {
        log_start_offset: offsets.log_start_offset,
        last_stable_offset: offsets.last_stable_offset,
        high_watermark: offsets.high_watermark,
        log_end_offset: offsets.log_end_offset,
        records: records(partition, budget),
        size_bytes: partition.size_bytes(),
        segments: partition.log().segments().len(),
        produced_bytes: traffic.produced_bytes,
        fetched_bytes: traffic.fetched_bytes,
        compaction: status.map(|status| compaction(&status, broker.clock.now_ms())),
    }
}

fn compaction(status: &LogStatus, now_ms: i64) -> Compaction {
    let counts = status.counts;
    Compaction {
        first_dirty_offset: status.bounds.map(|bounds| bounds.first_dirty_offset),
        first_uncleanable_offset: status.bounds.map(|bounds| bounds.first_uncleanable_offset),
        tail_bytes: status.sizes.tail_bytes,
        head_bytes: status.sizes.head_bytes(),
        dirty_bytes: status.sizes.dirty_bytes,
        active_bytes: status.sizes.active_bytes,
        dirty_ratio: status.bounds.map(|bounds| bounds.dirty_ratio),
        live_bytes: counts.map(|counts| counts.live_bytes),
        dead_bytes: counts.map(|counts| counts.dead_bytes),
        live_keys: counts.map(|counts| counts.live_keys),
        tombstones: counts.map(|counts| counts.tombstones),
        reason: status.reason.code().word(),
        why: status.reason.sentence(now_ms),
    }
}

#[derive(Serialize)]
struct Segments {
    topic: String,
    partition: i32,
    segments: Vec<SegmentDocument>,
}

#[derive(Serialize)]
struct SegmentDocument {
    base_offset: i64,
    /// Exclusive.
    end_offset: i64,
    size_bytes: u32,
    /// -1 when it has no record with a time.
    max_timestamp_ms: i64,
    is_active: bool,
}

async fn segments(
    Running(broker): Running,
    Param((name, number)): Param<(String, i32)>,
) -> Result<Json<Segments>, HttpError> {
    let partition = broker.partitions.find(&name, number)?;
    blocking(move || {
        let set = partition.log().segments();
        let active_offset = set.active().base_offset();
        let documents = set.iter().map(|segment| SegmentDocument {
            base_offset: segment.base_offset(),
            end_offset: segment.next_offset(),
            size_bytes: segment.size_bytes(),
            max_timestamp_ms: segment.max_timestamp(),
            is_active: segment.base_offset() == active_offset,
        });
        Json(Segments {
            segments: documents.collect(),
            topic: name,
            partition: number,
        })
    })
    .await
}
