//! Which topic names are allowed.
//!
//! A name becomes a directory name (`name-0`) and, with `.` and `_` made equal, a metric label.

use thiserror::Error;

use super::state_view::topic_of_view;

/// Kafka's limit: the directory name adds a partition number and, on deletion, an id.
pub const MAX_TOPIC_NAME_BYTES: usize = 249;

/// Topics of the broker's own.
pub const GROUP_METADATA_TOPIC: &str = "__consumer_offsets";
/// Kafka's topic of transactions; reserved.
pub const TRANSACTION_STATE_TOPIC: &str = "__transaction_state";
/// Kafka's own metadata log; never a topic here.
pub const CLUSTER_METADATA_TOPIC: &str = "__cluster_metadata";

/// Why a name is refused.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum InvalidTopicName {
    /// No name at all.
    #[error("the topic name is empty")]
    Empty,
    /// `.` and `..` are directories.
    #[error("the topic name cannot be '.' or '..'")]
    Dots,
    /// Too long.
    #[error("the topic name has {0} characters, the longest allowed is {MAX_TOPIC_NAME_BYTES}")]
    TooLong(usize),
    /// The name of a state view.
    #[error("{}", super::state_view::view_refusal(.name, .topic))]
    StateView {
        /// The name itself.
        name: String,
        /// The topic that it is a view of.
        topic: String,
    },
    /// A character that is not allowed.
    #[error(
        "the topic name contains {0:?}: only ASCII letters, digits, '.', '_' and '-' are allowed"
    )]
    Character(char),
    /// Kafka's metadata log.
    #[error("the topic name {CLUSTER_METADATA_TOPIC} is reserved")]
    Reserved,
}

/// Checks a name that a client wants to create or write to.
pub fn validate_topic_name(name: &str) -> Result<(), InvalidTopicName> {
    if name.is_empty() {
        return Err(InvalidTopicName::Empty);
    }
    if name == "." || name == ".." {
        return Err(InvalidTopicName::Dots);
    }
    if name.len() > MAX_TOPIC_NAME_BYTES {
        return Err(InvalidTopicName::TooLong(name.chars().count()));
    }
    if let Some(topic) = topic_of_view(name) {
        return Err(InvalidTopicName::StateView {
            name: name.into(),
            topic: topic.into(),
        });
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if let Some(character) = name.chars().find(|&c| !allowed(c)) {
        return Err(InvalidTopicName::Character(character));
    }
    if name == CLUSTER_METADATA_TOPIC {
        return Err(InvalidTopicName::Reserved);
    }
    Ok(())
}

/// Whether the topic belongs to the broker: clients may read it, not write it.
pub fn is_internal(name: &str) -> bool {
    name == GROUP_METADATA_TOPIC || name == TRANSACTION_STATE_TOPIC
}

/// Whether two names differ only in `.` and `_`, which metrics cannot tell apart.
pub fn collides_with(left: &str, right: &str) -> bool {
    left != right
        && left.len() == right.len()
        && left.bytes().zip(right.bytes()).all(|(a, b)| {
            let same = |byte: u8| if byte == b'.' { b'_' } else { byte };
            same(a) == same(b)
        })
}
