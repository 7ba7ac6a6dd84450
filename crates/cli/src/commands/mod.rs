//! One file per command: its arguments, and a function that runs it.

pub mod check;
pub mod compact;
pub mod completions;
pub mod config;
pub mod consume;
pub mod demo;
pub mod dump;
pub mod generate;
pub mod get;
pub mod group;
pub mod man;
pub mod produce;
pub mod serve;
pub mod topic;
pub mod verify;
pub mod version;
