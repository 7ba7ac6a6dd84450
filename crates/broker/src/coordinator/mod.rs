//! The group coordinator of this broker: the pure state machines of `lastword-coordinator`, bound
//! to the partitions of `__consumer_offsets`.
//!
//! - `groups`: which shard has a group; creating and opening the topic; start and stop.
//! - `machine`: what the runtime asks of a state machine.
//! - `runtime`: one shard, a partition with its state machine.
//! - `loader`: from the partition's records back to the state.
//! - `writer`: from the machine's records to batches.
//!
//! Invariants
//! - A reply that depends on records leaves when they are durable.
//! - The records of a shard are in the log in the order in which its machine made them.
//! - A shard that holds no group costs a few hundred bytes and no work.
//!
//! Versions of the wire are the handlers' business, authorization is nobody's yet.

pub(crate) mod groups;
mod loader;
mod machine;
mod runtime;
mod writer;

pub use groups::Groups;
