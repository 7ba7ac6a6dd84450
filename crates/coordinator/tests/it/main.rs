//! Behaviour of the coordinators, one module per subject; those of transactions have a folder.

mod committed_offsets;
mod consumer_heartbeats;
mod consumer_migration;
mod consumer_random_walks;
mod consumer_regex;
mod consumer_static;
mod consumers;
mod deleting_and_listing;
mod failed_appends;
mod harness;
mod heartbeat_and_leave;
mod joining;
mod loading;
mod partitioning;
mod random_walks;
mod record_format;
mod static_membership;
mod syncing;
mod transactional_model;
mod transactional_offsets;
mod transactions;
