//! Transactions over loopback.

mod admin;
mod crash;
mod ending;
mod fencing;
mod many;
mod offsets;
mod producing;
mod requests;
