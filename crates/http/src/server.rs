//! Listening, connections and their limits, stopping.
//!
//! A connection has ten seconds for a request's head and the same for its body, and is closed when nothing can be
//! written to it for thirty. Beyond [`MAX_CONNECTIONS`] new ones are closed at once: they must not take the file handles
//! of the logs.
//!
//! No lock.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::middleware;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use lastword_broker::Broker;
use lastword_broker::config::HttpSettings;
use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};

use crate::guard::{self, Guard};
use crate::shared::Shared;
use crate::{api, endpoint, feed};

/// Most connections at a time.
pub const MAX_CONNECTIONS: usize = 256;
/// Most bytes of a request's line and headers.
const MAX_HEAD_BYTES: usize = 16 << 10;
/// Most headers of a request.
const MAX_HEADERS: usize = 64;
/// How long the head of a request may take; also how long a connection may be idle.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a client may leave what was sent to it unread.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long requests in work may take once the server stops.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

/// The address could not be listened on.
#[derive(Debug, Error)]
#[error("cannot listen on {address}: {source}")]
pub struct StartError {
    /// Which.
    pub address: String,
    /// Whether somebody asked for this address, or it is the default.
    pub is_named: bool,
    /// Why.
    pub source: io::Error,
}

/// A running HTTP server.
pub struct Http {
    shared: Arc<Shared>,
    local_addr: SocketAddr,
    stop: watch::Sender<bool>,
    accepting: JoinHandle<()>,
}

impl Http {
    /// Listens, if the settings name an address. The broker is shown by [`Http::serve`], once it has started.
    pub async fn start(settings: &HttpSettings) -> Result<Option<Http>, StartError> {
        let Some(listener) = &settings.listener else {
            return Ok(None);
        };
        let failed = |source| StartError {
            address: format!("{}:{}", listener.host, listener.port),
            is_named: settings.is_named,
            source,
        };
        let bound = TcpListener::bind((listener.host.as_str(), listener.port)).await;
        let bound = bound.map_err(failed)?;
        let local_addr = bound.local_addr().map_err(failed)?;
        let shared = Shared::new(settings.is_admin_enabled);
        let router = router(shared.clone(), local_addr);
        let (stop, stopping) = watch::channel(false);
        tokio::spawn(feed::run(Arc::downgrade(&shared)));
        Ok(Some(Http {
            accepting: tokio::spawn(accept(bound, router, stopping)),
            shared,
            local_addr,
            stop,
        }))
    }

    /// Shows this broker from now on.
    pub fn serve(&self, broker: &Arc<Broker>) {
        self.shared.set_broker(broker.clone());
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Lets go of the broker, finishes what was begun, and stops.
    pub async fn stop(self) {
        self.shared.stop();
        let _ = self.stop.send(true);
        let _ = self.accepting.await;
    }
}

/// Every endpoint, behind the guard.
fn router(shared: Arc<Shared>, local_addr: SocketAddr) -> Router {
    let guard = Guard::new(local_addr, shared.clone());
    endpoint::router(&api::endpoints())
        .layer(middleware::from_fn_with_state(guard, guard::check))
        .with_state(shared)
}

async fn accept(listener: TcpListener, router: Router, stop: watch::Receiver<bool>) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    let mut stopping = stop.clone();
    loop {
        let accepted = tokio::select! {
            biased;
            _ = stopping.wait_for(|&stopping| stopping) => break,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                // Dropped without a place: closed.
                if let Ok(place) = places.clone().try_acquire_owned() {
                    let connection = connection(stream, router.clone(), stop.clone());
                    connections.spawn(async move {
                        connection.await;
                        drop(place);
                    });
                }
            }
            Err(error) => {
                tracing::debug!(%error, "http: accept failed");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    drop(listener);
    let drained = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(DRAIN_TIMEOUT, drained).await.is_err() {
        connections.shutdown().await;
    }
}

async fn connection(stream: TcpStream, router: Router, mut stop: watch::Receiver<bool>) {
    let socket = socket2::SockRef::from(&stream);
    let set = socket
        .set_tcp_user_timeout(Some(WRITE_TIMEOUT))
        .and_then(|()| stream.set_nodelay(true));
    if let Err(error) = set {
        tracing::debug!(%error, "http: cannot set up a connection");
        return;
    }
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut connection = std::pin::pin!(connection);
    let has_stopped = async move {
        let _ = stop.wait_for(|&stopping| stopping).await;
    };
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = has_stopped => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "http: a connection ended");
    }
}
