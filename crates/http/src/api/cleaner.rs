//! The cleaner as a whole, and the broker's name tag. What it makes of each partition is asked of the partition.

use std::collections::BTreeMap;

use axum::Json;
use axum::routing::get;
use lastword_storage::cleaner::ReasonCode;
use serde::Serialize;

use crate::endpoint::Endpoint;
use crate::error::HttpError;
use crate::extract::{Running, blocking};

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
}

async fn broker(Running(broker): Running) -> Result<Json<BrokerDocument>, HttpError> {
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
