//! `Endpoint`: one entry of the HTTP API. The router and the OpenAPI document are made from the same list, so that
//! neither has what the other lacks.

use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::MethodRouter;

use crate::error::HttpError;
use crate::shared::Shared;

/// One method on one path.
pub struct Endpoint {
    /// `GET` or `POST`.
    pub method: &'static str,
    /// With its parameters in braces.
    pub path: &'static str,
    /// One sentence.
    pub summary: &'static str,
    /// The names in the query, each with what it does.
    pub query: &'static [(&'static str, &'static str)],
    /// The media type of a good answer.
    pub answers: &'static str,
    /// The handler.
    pub route: MethodRouter<Arc<Shared>>,
}

/// The media type of most answers.
pub const JSON: &str = "application/json";

impl Endpoint {
    /// A `GET` without a query that answers with JSON.
    pub fn get(
        path: &'static str,
        summary: &'static str,
        route: MethodRouter<Arc<Shared>>,
    ) -> Endpoint {
        Endpoint {
            method: "GET",
            path,
            summary,
            query: &[],
            answers: JSON,
            route,
        }
    }
}

/// The router of these endpoints; everything else is an error as JSON.
pub fn router(endpoints: &[Endpoint]) -> Router<Arc<Shared>> {
    let mut router = Router::new();
    for endpoint in endpoints {
        router = router.route(endpoint.path, endpoint.route.clone());
    }
    router
        .fallback(|| async {
            HttpError::not_found(
                "NOT_FOUND",
                "there is nothing here; GET /v1 lists what there is",
            )
        })
        .method_not_allowed_fallback(|| async {
            let message = "this path does not take this method; GET /v1 lists what there is";
            HttpError::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "METHOD_NOT_ALLOWED",
                message,
            )
        })
}
