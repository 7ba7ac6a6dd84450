//! The coordinators of this broker: the pure state machines of `lastword-coordinator`, bound to the
//! partitions of `__consumer_offsets` and `__transaction_state`.
//!
//! - `groups`, `transactions`: what the handlers ask.
//! - `group_view`: groups for whoever only looks.
//! - `internal_topic`: which shard has a key; creating and opening the topic; start and stop.
//! - `machine`: what the runtime asks of a state machine.
//! - `metadata_view`: what the machines see of topics.
//! - `runtime`: one shard, a partition with its state machine.
//! - `markers`: the ends of transactions, written into the partitions that took part.
//! - `loader`: from the partition's records back to the state.
//! - `writer`: from the machine's records to batches.
//!
//! Invariants
//! - A reply that depends on records leaves when they are durable.
//! - The records of a shard are in the log in the order in which its machine made them.
//! - A shard that holds nothing costs a few hundred bytes and no work.
//!
//! Versions of the wire are the handlers' business, authorization is nobody's yet.

pub mod group_view;
pub(crate) mod groups;
mod internal_topic;
mod loader;
mod machine;
pub(crate) mod markers;
mod metadata_view;
mod runtime;
pub(crate) mod transactions;
mod writer;

pub use groups::Groups;
pub use transactions::Transactions;
