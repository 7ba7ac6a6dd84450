//! `GET /metrics`: the broker in Prometheus' form, or in that of OpenMetrics for who asks for it, gathered at the moment
//! of the request.
//!
//! Only what is known is said: a metric that nothing has counted yet is absent, never 0 in disguise. Counters begin at 0
//! with each start. Above `lastword.metrics.partition.limit` partitions, series of a partition are left out but for those
//! that are stuck, and `lastword_metrics_aggregated` says so: a scrape must not grow without bound. Groups have the same
//! limit. The cost of a scrape grows with partitions and groups, and with neither's square.

pub mod family;
mod gather;
mod process;
mod scrape;

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::endpoint::Endpoint;
use crate::error::HttpError;
use crate::extract::{Running, blocking};
use crate::shared::Shared;

use scrape::Format;

pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![Endpoint {
        answers: "text/plain",
        ..Endpoint::get(
            "/metrics",
            "Metrics for Prometheus, in its own form or in that of OpenMetrics; docs/metrics.md lists them.",
            get(metrics),
        )
    }]
}

async fn metrics(
    State(shared): State<Arc<Shared>>,
    Running(broker): Running,
    headers: HeaderMap,
) -> Result<Response, HttpError> {
    let accept = headers.get(header::ACCEPT);
    let format = Format::of_accept(accept.and_then(|accept| accept.to_str().ok()));
    let gathering = move || gather::gather(&shared, &broker).encode(format);
    let text = blocking(gathering).await?.map_err(|error| {
        tracing::error!(%error, "the metrics could not be written");
        HttpError::internal()
    })?;
    let content_type = HeaderValue::from_static(format.content_type());
    Ok(([(header::CONTENT_TYPE, content_type)], text).into_response())
}
