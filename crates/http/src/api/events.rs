//! `GET /v1/events`: what changes, as Server-Sent Events, and `GET /v1/history`: the rates of the last day.
//!
//! A stream begins with `snapshot` (the broker, once); then every second `rates`, and when there is something to tell
//! `topics` (those that changed, whole), `gone` (names of topics that were deleted) and `cleaning` (cleanings that ended).
//! After a second `snapshot` nothing that was told before counts: the listener was too slow and has missed something.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper::body::Frame;
use serde::Serialize;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;

use super::cleaner;
use crate::endpoint::Endpoint;
use crate::error::HttpError;
use crate::extract::{Running, blocking};
use crate::feed::{History, Point, event};
use crate::shared::Shared;

/// Events between the feed and the socket of one listener.
const IN_FLIGHT: usize = 4;
/// The media type.
pub const EVENTS: &str = "text/event-stream";

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint {
            answers: EVENTS,
            ..Endpoint::get(
                "/v1/events",
                "What changes, as Server-Sent Events: `snapshot`, then every second `rates`, and `topics`, `gone` and \
                 `cleaning` when there are any.",
                get(events),
            )
        },
        Endpoint::get(
            "/v1/history",
            "Rates: ten minutes by the second, a day by the minute.",
            get(history),
        ),
    ]
}

async fn history(State(shared): State<Arc<Shared>>) -> Json<History> {
    Json(shared.feed.history())
}

#[derive(Serialize)]
struct Snapshot {
    version: &'static str,
    #[serde(flatten)]
    pulse: cleaner::Pulse,
}

async fn events(
    State(shared): State<Arc<Shared>>,
    Running(broker): Running,
) -> Result<Response, HttpError> {
    let (place, mut news) = shared.feed.listen().ok_or_else(|| {
        let message = "too many listeners; close other pages of this broker";
        HttpError::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "TOO_MANY_LISTENERS",
            message,
        )
    })?;
    let weak = Arc::downgrade(&broker);
    drop(broker);
    let mut stopped = shared.stopped();
    let (sender, receiver) = mpsc::channel(IN_FLIGHT);
    tokio::spawn(async move {
        let _place = place;
        let send_all = async {
            let mut is_first = true;
            loop {
                if std::mem::take(&mut is_first) {
                    let Some(broker) = weak.upgrade() else { return };
                    let made = blocking(move || Snapshot {
                        version: env!("CARGO_PKG_VERSION"),
                        pulse: cleaner::pulse(&broker, Point::default()),
                    });
                    let Ok(snapshot) = made.await else { return };
                    if sender.send(event("snapshot", &snapshot)).await.is_err() {
                        return;
                    }
                }
                match news.recv().await {
                    Ok(event) => {
                        if sender.send(event).await.is_err() {
                            return;
                        }
                    }
                    Err(RecvError::Lagged(_)) => is_first = true,
                    Err(RecvError::Closed) => return,
                }
            }
        };
        tokio::select! {
            () = send_all => {}
            () = sender.closed() => {}
            _ = stopped.wait_for(|&stopped| stopped) => {}
        }
    });
    let headers = [
        (header::CONTENT_TYPE, EVENTS),
        (header::CACHE_CONTROL, "no-store"),
    ];
    Ok((headers, Body::new(Events(receiver))).into_response())
}

/// The body: what comes out of the channel.
struct Events(mpsc::Receiver<Bytes>);

impl hyper::body::Body for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let event = self.0.poll_recv(context);
        event.map(|event| event.map(|event| Ok(Frame::data(event))))
    }
}
