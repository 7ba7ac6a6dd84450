//! The endpoints, a file for each subject. To add one: a handler that takes what `extract` offers and answers
//! `Result<Json<_>, HttpError>`, and an entry in its file's `endpoints`.

mod cleaner;
mod compaction;
mod counts;
mod groups;
mod health;
pub mod index;
mod keys;
mod page;
mod topics;

use crate::endpoint::Endpoint;
use crate::metrics;

/// Every endpoint, in the order of the documentation.
pub fn endpoints() -> Vec<Endpoint> {
    [
        page::endpoints(),
        health::endpoints(),
        metrics::endpoints(),
        index::endpoints(),
        cleaner::endpoints(),
        topics::endpoints(),
        compaction::endpoints(),
        groups::endpoints(),
        keys::endpoints(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
