//! Transactions over loopback.

mod producing;
mod requests;
