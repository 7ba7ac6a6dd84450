//! The topics in a consumer's subscription, which the broker otherwise treats as opaque.
//!
//! ```text
//! int16 version  array of string topics  ...what later versions add
//! ```
//! Version 0 is a prefix of every later one, so that is all we parse.

use std::collections::BTreeSet;

use super::codec::Reader;
use crate::error::CoordinatorError;

/// The protocol type of groups of consumers.
pub(super) const CONSUMER_PROTOCOL_TYPE: &str = "consumer";

pub(super) fn add_topics(
    subscription: &[u8],
    topics: &mut BTreeSet<String>,
) -> Result<(), CoordinatorError> {
    let mut reader = Reader::new("ConsumerProtocolSubscription", subscription);
    if reader.int16("version")? < 0 {
        return Err(reader.malformed("version"));
    }
    for _ in 0..reader.array_length("topics", false)? {
        topics.insert(reader.string("topics", false)?);
    }
    Ok(())
}
