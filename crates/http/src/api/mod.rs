//! The endpoints, a file for each subject. To add one: a handler that takes what `extract` offers and answers
//! `Result<Json<_>, HttpError>`, and an entry in its file's `endpoints`.

pub(crate) mod cleaner;
mod compaction;
mod counts;
mod events;
mod groups;
mod health;
pub mod index;
mod keys;
mod outline;
mod page;
mod records;
pub(crate) mod topics;

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
        outline::endpoints(),
        compaction::endpoints(),
        groups::endpoints(),
        keys::endpoints(),
        records::endpoints(),
        events::endpoints(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
