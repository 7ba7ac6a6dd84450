//! What every request passes first: who may ask, and how much may be sent.
//!
//! There is no authentication, so on loopback the browser of the same machine is the way in for a stranger: a page of
//! another site can send requests to 127.0.0.1, or make its own name point there. Therefore
//! - a listener on a loopback address answers only requests whose `Host` is a loopback name or address;
//! - a request that changes something must not come from a page of another origin (`Origin`, `Sec-Fetch-Site`).
//!
//! A body is read whole here, at most [`MAX_BODY_BYTES`] within [`BODY_TIMEOUT`], so that no handler waits for a client.
//!
//! No lock.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::error::HttpError;
use crate::shared::Shared;

/// Most bytes of a request's body.
pub const MAX_BODY_BYTES: usize = 64 << 10;
/// How long the body of a request may take.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// What `check` needs to know.
#[derive(Clone)]
pub(crate) struct Guard {
    is_loopback: bool,
    shared: Arc<Shared>,
}

impl Guard {
    pub(crate) fn new(local_addr: SocketAddr, shared: Arc<Shared>) -> Guard {
        Guard {
            is_loopback: local_addr.ip().is_loopback(),
            shared,
        }
    }

    fn permits(&self, method: &Method, headers: &HeaderMap) -> Result<(), HttpError> {
        let forbidden = |code, message: &str| HttpError::new(StatusCode::FORBIDDEN, code, message);
        let host = text(headers, &header::HOST);
        if self.is_loopback && !host.is_some_and(is_loopback_host) {
            let message = "this listener is on a loopback address and answers only requests for localhost, \
                           127.0.0.1 or [::1]";
            return Err(forbidden("INVALID_HOST", message));
        }
        if method.is_safe() {
            return Ok(());
        }
        let is_foreign = headers.contains_key(header::ORIGIN)
            && !text(headers, &header::ORIGIN).is_some_and(|origin| is_same_origin(origin, host));
        let site = text(headers, &SEC_FETCH_SITE).unwrap_or("none");
        if is_foreign || !["same-origin", "none"].contains(&site) {
            let message = "a page of another origin must not change anything here";
            return Err(forbidden("FOREIGN_ORIGIN", message));
        }
        if !self.shared.is_admin_enabled {
            let message = "this listener only reads: lastword.http.admin.enable is false";
            return Err(forbidden("READ_ONLY", message));
        }
        Ok(())
    }
}

pub(crate) async fn check(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    if let Err(error) = guard.permits(request.method(), request.headers()) {
        return error.into_response();
    }
    match with_whole_body(request).await {
        Ok(request) => next.run(request).await,
        Err(error) => error.into_response(),
    }
}

async fn with_whole_body(request: Request) -> Result<Request, HttpError> {
    let too_large = || {
        let message = format!("a body may have {MAX_BODY_BYTES} bytes at most");
        HttpError::new(StatusCode::PAYLOAD_TOO_LARGE, "MESSAGE_TOO_LARGE", message)
    };
    let announced = text(request.headers(), &header::CONTENT_LENGTH);
    let announced = announced.and_then(|length| length.parse::<u64>().ok());
    if announced.is_some_and(|length| length > MAX_BODY_BYTES as u64) {
        return Err(too_large());
    }
    let (parts, body) = request.into_parts();
    let read = tokio::time::timeout(BODY_TIMEOUT, to_bytes(body, MAX_BODY_BYTES)).await;
    let read = read.map_err(|_| {
        let message = "the body did not come in time";
        HttpError::new(StatusCode::REQUEST_TIMEOUT, "REQUEST_TIMED_OUT", message)
    })?;
    // A connection that broke is nobody to answer to: what fails here is the length.
    let body = read.map_err(|_| too_large())?;
    Ok(Request::from_parts(parts, Body::from(body)))
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// The origin of the page that this server itself serves.
fn is_same_origin(origin: &str, host: Option<&str>) -> bool {
    origin
        .strip_prefix("http://")
        .is_some_and(|origin| host.is_some_and(|host| origin.eq_ignore_ascii_case(host)))
}

fn is_loopback_host(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split_once(']').map_or("", |(name, _)| name),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    name.eq_ignore_ascii_case("localhost")
        || name
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_loopback_by_name_or_address_and_not_by_what_it_begins_with() {
        for host in [
            "localhost",
            "LOCALHOST:9644",
            "127.0.0.1:1",
            "127.1.2.3",
            "[::1]:9644",
            "[::1]",
        ] {
            assert!(is_loopback_host(host), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "127.0.0.1.evil.example:9644",
            "localhost.evil.example",
            "10.0.0.1",
            "[::2]",
            "[",
        ] {
            assert!(!is_loopback_host(host), "{host}");
        }
    }

    #[test]
    fn an_origin_is_the_same_only_if_host_and_port_are() {
        assert!(is_same_origin(
            "http://localhost:9644",
            Some("localhost:9644")
        ));
        for origin in [
            "null",
            "http://localhost:1",
            "https://localhost:9644",
            "http://evil.example",
        ] {
            assert!(!is_same_origin(origin, Some("localhost:9644")), "{origin}");
        }
        assert!(!is_same_origin("http://localhost", None));
    }
}
