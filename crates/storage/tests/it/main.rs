//! Behaviour tests of the storage engine, in one binary.

mod cleaner;
mod log;
mod page_cache;
mod segment;
