//! `GET /`: the page, in the binary, without a build step and without a request to anybody else. It is drawn from `/v1`.
//!
//! Its policy lets it load and ask this server alone, and nobody frame it; what a topic or a group is called is set as text.

use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::endpoint::Endpoint;

const HTML: &str = include_str!("../page/index.html");
const CSS: &str = include_str!("../page/page.css");
const SCRIPT: &str = include_str!("../page/page.js");
/// The icon is an empty `data:` URL, so that no browser asks for one.
const POLICY: &str = "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

pub(super) fn endpoints() -> Vec<Endpoint> {
    let file = |path, summary, answers, body: &'static str| Endpoint {
        answers,
        ..Endpoint::get(
            path,
            summary,
            get(move || async move { answer(answers, body) }),
        )
    };
    vec![
        file(
            "/",
            "The page: topics, partitions, groups and the cleaner.",
            "text/html",
            HTML,
        ),
        file("/page.css", "Its style.", "text/css", CSS),
        file("/page.js", "Its script.", "text/javascript", SCRIPT),
    ]
}

fn answer(media_type: &'static str, body: &'static str) -> Response {
    let headers: [(HeaderName, HeaderValue); 5] = [
        (header::CONTENT_TYPE, with_charset(media_type)),
        (
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static(POLICY),
        ),
        (
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        ),
        (
            header::REFERRER_POLICY,
            HeaderValue::from_static("no-referrer"),
        ),
        // Another version of the broker may serve another page.
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ];
    (headers, body).into_response()
}

fn with_charset(media_type: &'static str) -> HeaderValue {
    match media_type {
        "text/html" => HeaderValue::from_static("text/html; charset=utf-8"),
        "text/css" => HeaderValue::from_static("text/css; charset=utf-8"),
        _ => HeaderValue::from_static("text/javascript; charset=utf-8"),
    }
}
