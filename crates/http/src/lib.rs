//! The broker over HTTP: health, metrics, its state as JSON, cleanings on request, lookup by key, and a page.
//!
//! ```no_run
//! # async fn example(config: lastword_broker::BrokerConfig) -> Result<(), Box<dyn std::error::Error>> {
//! use lastword_broker::Server;
//! use lastword_http::Http;
//!
//! let http = Http::start(&config.http).await?.expect("lastword.http.listen is not off");
//! let server = Server::start(config).await?;
//! http.serve(server.broker());
//! server.stop().await?;
//! http.stop().await;
//! # Ok(())
//! # }
//! ```
//!
//! It listens before the broker is there, so that a probe hears `recovering` while a large directory is loaded.
//!
//! Invariants
//! - An endpoint is one entry of `api::endpoints`; the router, the OpenAPI document and `docs/http.md` are made from it.
//! - Every error is `{"code", "message"}`, also those of routing, of bodies that are too long and of requests for another
//!   host.
//! - What a client sends is bounded: connections, bytes of a head, bytes of a body, and the time for both. No handler
//!   sees a body that was not read whole.
//! - A page of another site cannot use a browser to read or to steer: see `guard`.
//!
//! What only looks is asked of the broker at the moment of the request; nothing is cached here but the
//! rates of the last day: see `feed`.

pub mod api;
pub mod client;
pub mod docs;
pub mod endpoint;
pub mod error;
pub mod extract;
mod feed;
mod guard;
pub mod metrics;
mod server;
mod shared;

pub use endpoint::Endpoint;
pub use error::HttpError;
pub use extract::{Param, Query, Running};
pub use server::{Http, StartError};
pub use shared::{Phase, Shared};
