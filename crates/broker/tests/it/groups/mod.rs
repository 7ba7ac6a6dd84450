//! Consumer groups over loopback.

mod admin;
mod consumer_protocol;
mod loading;
mod membership;
mod offsets;
mod requests;
mod versions;
