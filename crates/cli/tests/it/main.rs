//! The binary as people use it: a broker of its own on a free port, and the commands beside it.

mod check;
mod compact;
mod compact_interrupted;
mod compact_kafka;
mod demo;
mod directory;
mod dump;
mod first_five_minutes;
mod get;
mod records;
mod serve;
mod steering;
mod support;
mod topics;
mod verify;
