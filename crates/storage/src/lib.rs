//! The embeddable log engine: segments, indexes, recovery, retention and the log cleaner.

pub mod checkpoint;
pub mod clock;
pub mod config;
pub mod dir;
pub mod error;
pub mod file_name;
pub mod segment;
