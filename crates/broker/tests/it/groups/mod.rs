//! Consumer groups over loopback.

mod admin;
mod loading;
mod membership;
mod offsets;
mod requests;
mod versions;
