//! Behaviour tests of the storage engine, in one binary.

mod cleaner;
mod legacy_messages;
mod log;
mod log_lines;
mod page_cache;
mod segment;
