//! The endpoints, a file for each subject. To add one: a handler that takes what `extract` offers and answers
//! `Result<Json<_>, HttpError>`, and an entry in its file's `endpoints`.

mod compaction;
mod health;

use crate::endpoint::Endpoint;

/// Every endpoint, in the order of the documentation.
pub fn endpoints() -> Vec<Endpoint> {
    [health::endpoints(), compaction::endpoints()]
        .into_iter()
        .flatten()
        .collect()
}
