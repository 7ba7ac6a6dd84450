//! The broker: sockets, Kafka's APIs, partitions, metadata and group coordination.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use std::collections::BTreeMap;
//! use lastword_broker::{BrokerConfig, Server};
//!
//! let mut properties = BTreeMap::new();
//! properties.insert("listeners".to_owned(), "PLAINTEXT://127.0.0.1:0".to_owned());
//! properties.insert("log.dirs".to_owned(), "lastword-data".to_owned());
//! let server = Server::start(BrokerConfig::from_properties(&properties)?).await?;
//! println!("listening on {}", server.local_addr());
//! server.stop().await?;
//! # Ok(())
//! # }
//! ```
//!
//! Invariants
//! - Responses of a connection leave in the order of its requests.
//! - No record is served, and no `acks=all` answered, before it is durable.
//! - Only `partition/` reads or writes records of the log engine's logs; handlers go through
//!   [`partition::Partition`].
//! - Bytes of a client never panic here; what cannot be read closes that connection only.

pub mod api;
pub mod broker;
pub mod compaction;
pub mod config;
pub mod configs;
mod connection;
pub mod coordinator;
mod dispatch;
pub mod error_map;
mod features;
pub mod fetch_memory;
pub mod fetch_session;
pub mod key_lookups;
mod lock;
pub mod metadata;
pub mod offline;
pub mod offline_read;
pub mod partition;
pub mod producer_ids;
pub mod purgatory;
pub mod server;
pub mod state_views;
pub mod stats;
mod takeover;
pub mod topics;
mod verification;
mod whole_copy;

use std::future::Future;

pub use broker::Broker;
pub use config::BrokerConfig;
pub use dispatch::SERVED;
pub use server::{Server, ServerError};
pub use stats::{Stats, Traffic, TrafficCounts};

/// Serves until `shutdown` is ready, then stops in order: in-flight requests, sync, clean marker.
pub async fn run(
    config: BrokerConfig,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServerError> {
    let server = Server::start(config).await?;
    tracing::info!(address = %server.local_addr(), "serving");
    shutdown.await;
    server.stop().await
}
