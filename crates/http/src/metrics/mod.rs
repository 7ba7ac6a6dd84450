//! `GET /metrics`: the broker in OpenMetrics form, gathered at the moment of the request.
//!
//! Only what is known is said: a metric that nothing has counted yet is absent, never 0 in disguise. Counters begin at 0
//! with each start. Above [`MAX_PARTITIONS`] partitions, series of a partition are left out but for those that are stuck,
//! and `lastword_metrics_aggregated` says so: a scrape must not grow without bound. Groups have the same limit.

pub mod family;
mod gather;
mod scrape;

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::endpoint::Endpoint;
use crate::error::HttpError;
use crate::extract::{Running, blocking};
use crate::shared::Shared;

/// Most partitions, and most groups, that have series of their own.
pub const MAX_PARTITIONS: usize = 1_000;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![Endpoint {
        answers: "application/openmetrics-text",
        ..Endpoint::get(
            "/metrics",
            "Metrics in OpenMetrics form, for Prometheus; docs/metrics.md lists them.",
            get(metrics),
        )
    }]
}

async fn metrics(
    State(shared): State<Arc<Shared>>,
    Running(broker): Running,
) -> Result<Response, HttpError> {
    let gathering = move || gather::gather(&shared, &broker).encode();
    let text = blocking(gathering).await?.map_err(|error| {
        tracing::error!(%error, "the metrics could not be written");
        HttpError::internal()
    })?;
    let content_type = HeaderValue::from_static(OPEN_METRICS);
    Ok(([(header::CONTENT_TYPE, content_type)], text).into_response())
}
