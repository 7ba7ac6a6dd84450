//! Consumer groups over loopback.

mod admin;
mod client;
mod loading;
mod membership;
mod offsets;
mod versions;
