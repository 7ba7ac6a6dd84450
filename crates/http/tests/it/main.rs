//! The HTTP server as a client sees it: a real broker, a real socket on loopback.

mod client;
mod docs;
mod health;
mod hostile;
mod kafka;
mod metric_names;
mod metrics;
mod page;
mod v1;
