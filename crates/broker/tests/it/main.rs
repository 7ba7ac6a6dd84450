//! Behaviour of the broker as a client sees it: a real server on loopback, a raw client.

mod client;

mod admin;
mod compacted_topics;
mod compaction;
mod connections;
mod fetch_waits;
mod groups;
mod hostile_frames;
mod listeners;
mod metadata_and_offsets;
mod pipelining;
mod produce_and_fetch;
mod restart;
mod state_view;
mod takeover;
mod transactions;
