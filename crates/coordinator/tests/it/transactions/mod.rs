//! Behaviour of the transaction coordinator, one module per subject.

mod adding_partitions;
mod ending;
mod expiration;
mod failed_appends;
mod harness;
mod initializing;
mod listing;
mod loading;
mod marking;
mod model;
mod record_format;
mod timeouts;
mod transitions;
