//! `/livez` and `/readyz`: for those who restart and those who send traffic.
//!
//! Live is a process that answers. Ready is a broker that takes requests of clients: its directory is loaded and takes
//! writes, its coordinators are loaded, and it does not stop. A damaged segment, a partition that could not be loaded or
//! a dead cleaner thread does not make a broker unready: the others are served, and a restart would change nothing. What
//! could not be loaded is named as a warning; damage and threads are for `/v1/cleaner` and the metrics.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use lastword_broker::Broker;
use serde::Serialize;

use crate::endpoint::Endpoint;
use crate::shared::{Phase, Shared};

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get("/livez", "Whether the process answers.", get(live)),
        Endpoint::get(
            "/readyz",
            "Whether clients are served: 200, or 503 with what is missing.",
            get(ready),
        ),
    ]
}

#[derive(Serialize)]
struct Live {
    status: &'static str,
    uptime_seconds: u64,
}

async fn live(State(shared): State<Arc<Shared>>) -> Json<Live> {
    Json(Live {
        status: "live",
        uptime_seconds: shared.uptime().as_secs(),
    })
}

/// The answer of `/readyz`.
#[derive(Serialize)]
struct Ready {
    status: &'static str,
    checks: Vec<Check>,
    /// What does not keep the broker from serving, and wants to be looked at.
    warnings: Vec<String>,
}

/// One condition.
#[derive(Serialize)]
struct Check {
    name: &'static str,
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
}

async fn ready(State(shared): State<Arc<Shared>>) -> (StatusCode, Json<Ready>) {
    let ready = match shared.phase() {
        Phase::Recovering => not_running("recovery", "the broker is still loading its directory"),
        Phase::Stopping => not_running("running", "the broker is stopping"),
        Phase::Running(broker) => judge(&broker),
    };
    let status = match ready.checks.iter().all(|check| check.ok) {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, Json(ready))
}

fn not_running(name: &'static str, why: &str) -> Ready {
    Ready {
        status: "not ready",
        checks: vec![check(name, Some(why.to_owned()))],
        warnings: Vec::new(),
    }
}

fn check(name: &'static str, why: Option<String>) -> Check {
    Check {
        name,
        ok: why.is_none(),
        why,
    }
}

fn judge(broker: &Broker) -> Ready {
    let offline = broker.logs.is_offline();
    let loading = |is_loading: bool| is_loading.then(|| "still loading".to_owned());
    let checks = vec![
        check("recovery", None),
        check("log_dir", offline),
        check("groups", loading(broker.groups.is_loading())),
        check("transactions", loading(broker.transactions.is_loading())),
        check("running", None),
    ];
    Ready {
        status: match checks.iter().all(|check| check.ok) {
            true => "ready",
            false => "not ready",
        },
        checks,
        warnings: warnings(broker),
    }
}

fn warnings(broker: &Broker) -> Vec<String> {
    let failed = broker.logs.failed();
    let mut warnings: Vec<String> = failed
        .iter()
        .map(|(partition, why)| format!("{partition} could not be loaded: {why}"))
        .collect();
    if broker.logs.is_low_on_space() {
        warnings.push("too little disk space is free: appends are refused".to_owned());
    }
    warnings
}
