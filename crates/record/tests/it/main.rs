//! Behaviour of the record crate, seen from outside: one file per subject.

mod builder_reuse;
mod control_records;
mod hostile_bytes;
mod kafka_fixtures;
mod keys;
mod legacy;
mod limits;
mod merge;
mod names;
mod round_trip;
mod support;
mod survivors;
