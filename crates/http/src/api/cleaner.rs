//! The cleaner as a whole, and the broker's name tag. What it makes of each partition is asked of the partition.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::routing::get;
use lastword_broker::Broker;
use lastword_storage::cleaner::{PastCleaning, Reason, ReasonCode};
use serde::{Deserialize, Serialize};

use super::compaction::{Cleaning, Running as RunningCleaning};

use crate::endpoint::Endpoint;
use crate::error::HttpError;
use crate::extract::{Query, Running, blocking};
use crate::feed::Point;
use crate::shared::Shared;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get(
            "/v1/broker",
            "The broker: version, cluster, addresses, disk.",
            get(broker),
        ),
        Endpoint::get(
            "/v1/cleaner",
            "The cleaner: threads, what they do, its rate, and partitions by reason.",
            get(cleaner),
        ),
        Endpoint {
            query: &[("topic", "only those of this topic")],
            ..Endpoint::get(
                "/v1/cleanings",
                "The last cleanings that ended well, at most 200, the newest first.",
                get(cleanings),
            )
        },
    ]
}

#[derive(Serialize)]
struct BrokerDocument {
    version: &'static str,
    cluster_id: String,
    node_id: i32,
    listener: String,
    advertised: String,
    log_dir: String,
    log_dir_offline: Option<String>,
    disk_free_bytes: Option<u64>,
    disk_total_bytes: Option<u64>,
    topics: usize,
    partitions: usize,
    partitions_failed: usize,
    connections: u64,
    /// `lastword.http.admin.enable`: whether this listener changes anything.
    is_admin_enabled: bool,
}

async fn broker(
    State(shared): State<Arc<Shared>>,
    Running(broker): Running,
) -> Result<Json<BrokerDocument>, HttpError> {
    let is_admin_enabled = shared.is_admin_enabled;
    blocking(move || {
        let dir = broker.logs.dir();
        Json(BrokerDocument {
            version: env!("CARGO_PKG_VERSION"),
            cluster_id: broker.cluster_id.to_string(),
            node_id: broker.node_id,
            listener: broker.local_addr.to_string(),
            advertised: format!("{}:{}", &*broker.endpoint.host, broker.endpoint.port),
            log_dir: broker.config.log_dir.clone(),
            log_dir_offline: broker.logs.is_offline(),
            disk_free_bytes: dir.free_bytes().ok(),
            disk_total_bytes: dir.total_bytes().ok(),
            topics: broker.metadata.image().topics().len(),
            partitions: broker.partitions.all().len(),
            partitions_failed: broker.logs.failed().len(),
            connections: broker.stats.connections(),
            is_admin_enabled,
        })
    })
    .await
}

#[derive(Serialize)]
struct Cleaner {
    is_enabled: bool,
    threads_configured: u32,
    threads_running: usize,
    busy_with: Vec<String>,
    /// Null for no limit.
    io_limit_bytes_per_second: Option<f64>,
    /// Read and written since the start.
    io_bytes: u64,
    /// When it last looked for work.
    last_look_ms: Option<i64>,
    /// Partitions by the reason why they are not being compacted now; every reason is there.
    reasons: BTreeMap<&'static str, u32>,
}

async fn cleaner(Running(broker): Running) -> Result<Json<Cleaner>, HttpError> {
    blocking(move || {
        let overview = broker.cleaner.overview();
        let mut reasons: BTreeMap<_, u32> = ReasonCode::ALL
            .iter()
            .map(|code| (code.word(), 0))
            .collect();
        for status in broker.cleaner.status() {
            *reasons.entry(status.reason.code().word()).or_default() += 1;
        }
        let rate = overview.bytes_per_second;
        Json(Cleaner {
            is_enabled: overview.is_enabled,
            threads_configured: overview.threads_configured,
            threads_running: overview.threads_running,
            busy_with: overview.busy_with.iter().map(ToString::to_string).collect(),
            io_limit_bytes_per_second: rate.is_finite().then_some(rate),
            io_bytes: overview.throttled_bytes,
            last_look_ms: overview.last_look_ms,
            reasons,
        })
    })
    .await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CleaningsQuery {
    topic: Option<String>,
}

#[derive(Serialize)]
struct Cleanings {
    cleanings: Vec<Past>,
}

/// A cleaning that ended well.
#[derive(Serialize)]
pub(crate) struct Past {
    /// Counts them since the start.
    number: u64,
    topic: String,
    partition: i32,
    #[serde(flatten)]
    cleaning: Cleaning,
}

pub(crate) fn past(past: &PastCleaning) -> Past {
    Past {
        number: past.number,
        topic: past.topic_partition.topic.to_string(),
        partition: past.topic_partition.partition,
        cleaning: (&past.stats).into(),
    }
}

async fn cleanings(
    Running(broker): Running,
    Query(query): Query<CleaningsQuery>,
) -> Json<Cleanings> {
    let mut recent = broker.cleaner.recent();
    if let Some(topic) = &query.topic {
        recent.retain(|it| *it.topic_partition.topic == **topic);
    }
    Json(Cleanings {
        cleanings: recent.iter().rev().map(past).collect(),
    })
}

/// What is told of the whole broker every second.
#[derive(Serialize)]
pub(crate) struct Pulse {
    now_ms: i64,
    rates: Point,
    pub running: Vec<RunningPartition>,
    threads_running: usize,
    threads_configured: u32,
    is_enabled: bool,
    /// Null for no limit.
    io_limit_bytes_per_second: Option<f64>,
    disk_free_bytes: Option<u64>,
    disk_total_bytes: Option<u64>,
    log_dir_offline: Option<String>,
    connections: u64,
    topics: usize,
}

/// A partition that is being cleaned.
#[derive(Serialize)]
pub(crate) struct RunningPartition {
    pub topic: String,
    partition: i32,
    #[serde(flatten)]
    running: RunningCleaning,
}

pub(crate) fn pulse(broker: &Broker, rates: Point) -> Pulse {
    let overview = broker.cleaner.overview();
    let dir = broker.logs.dir();
    let limit = overview.bytes_per_second;
    let busy = overview.busy_with.iter();
    let running = busy.filter_map(|id| match broker.cleaner.status_of(id)?.reason {
        Reason::Running(running) | Reason::Throttled { running, .. } => Some(RunningPartition {
            topic: id.topic.to_string(),
            partition: id.partition,
            running: (&running).into(),
        }),
        _ => None,
    });
    Pulse {
        now_ms: broker.clock.now_ms(),
        rates,
        running: running.collect(),
        threads_running: overview.threads_running,
        threads_configured: overview.threads_configured,
        is_enabled: overview.is_enabled,
        io_limit_bytes_per_second: limit.is_finite().then_some(limit),
        disk_free_bytes: dir.free_bytes().ok(),
        disk_total_bytes: dir.total_bytes().ok(),
        log_dir_offline: broker.logs.is_offline(),
        connections: broker.stats.connections(),
        topics: broker.metadata.image().topics().len(),
    }
}
