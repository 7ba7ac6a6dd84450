//! The binary as people use it: a broker of its own on a free port, and the commands beside it.

mod check;
mod compact;
mod compact_interrupted;
mod compact_kafka;
mod config;
mod demo;
mod directory;
mod dump;

mod exit_codes;
mod get;
mod obstacles;
mod plain;
mod groups;
mod readme;
mod records;
mod schema;
mod serve;
mod service;
mod shell;
mod spellings;
mod steering;
mod stop_under_load;
mod support;
mod takeover;
mod topics;
mod verify;
mod verify_topic;
