//! What handlers take out of a request: the running broker, parts of the path, the query. What cannot be had is answered
//! with an [`HttpError`].

use std::sync::Arc;

use axum::extract::{FromRequestParts, Path};
use axum::http::StatusCode;
use axum::http::request::Parts;
use lastword_broker::Broker;
use serde::de::DeserializeOwned;

use crate::error::HttpError;
use crate::shared::{Phase, Shared};

/// The broker; 503 before it runs and once it stops.
pub struct Running(pub Arc<Broker>);

impl FromRequestParts<Arc<Shared>> for Running {
    type Rejection = HttpError;

    async fn from_request_parts(_: &mut Parts, shared: &Arc<Shared>) -> Result<Running, HttpError> {
        let unavailable = |message| {
            HttpError::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "BROKER_NOT_AVAILABLE",
                message,
            )
        };
        match shared.phase() {
            Phase::Running(broker) => Ok(Running(broker)),
            Phase::Recovering => Err(unavailable("the broker is still loading its directory")),
            Phase::Stopping => Err(unavailable("the broker is stopping")),
        }
    }
}

/// The parts of the path in braces, in order: one value, or a tuple.
pub struct Param<T>(pub T);

impl<T: DeserializeOwned + Send> FromRequestParts<Arc<Shared>> for Param<T> {
    type Rejection = HttpError;

    async fn from_request_parts(
        parts: &mut Parts,
        shared: &Arc<Shared>,
    ) -> Result<Param<T>, HttpError> {
        match Path::<T>::from_request_parts(parts, shared).await {
            Ok(Path(value)) => Ok(Param(value)),
            Err(error) => Err(HttpError::invalid(error.body_text())),
        }
    }
}

/// The query, into a struct that says `#[serde(deny_unknown_fields)]`: a slip in a name must not be taken for silence.
pub struct Query<T>(pub T);

impl<T: DeserializeOwned + Send> FromRequestParts<Arc<Shared>> for Query<T> {
    type Rejection = HttpError;

    async fn from_request_parts(
        parts: &mut Parts,
        shared: &Arc<Shared>,
    ) -> Result<Query<T>, HttpError> {
        match axum::extract::Query::<T>::from_request_parts(parts, shared).await {
            Ok(axum::extract::Query(value)) => Ok(Query(value)),
            Err(error) => Err(HttpError::invalid(error.body_text())),
        }
    }
}

/// Runs what may wait for the disk or for a lock that is held long, on the blocking pool.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, HttpError> {
    Ok(lastword_broker::partition::run_blocking(work).await?)
}
