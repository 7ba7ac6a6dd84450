//! The HTTP server as a client sees it: a real broker, a real socket on loopback.

mod client;
mod health;
mod hostile;
