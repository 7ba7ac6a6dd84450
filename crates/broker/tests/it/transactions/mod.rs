//! Transactions over loopback.

mod ending;
mod producing;
mod requests;
