//! Names: a partition of a topic, and the 128-bit id of a topic in Kafka's text form.

use std::fmt;
use std::sync::Arc;

use crate::RecordError;

/// A partition of a topic. Cloning shares the name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicPartition {
    /// Name of the topic.
    pub topic: Arc<str>,
    /// Number of the partition, from 0.
    pub partition: i32,
}

impl TopicPartition {
    /// Pass an `Arc<str>` that is at hand to share it.
    pub fn new(topic: impl Into<Arc<str>>, partition: i32) -> TopicPartition {
        TopicPartition {
            topic: topic.into(),
            partition,
        }
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

/// A topic's id: survives a rename, does not survive deletion and re-creation.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct TopicId(pub [u8; 16]);

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const TEXT_LENGTH: usize = 22;

impl TopicId {
    /// "No id", as requests that name topics carry it.
    pub const ZERO: TopicId = TopicId([0; 16]);

    /// Whether this is [`TopicId::ZERO`].
    pub fn is_zero(&self) -> bool {
        *self == TopicId::ZERO
    }

    /// A version 4 UUID from 16 random bytes of the caller. Its text never begins with a dash,
    /// which would look like an option on a command line; Kafka avoids that as well.
    pub fn from_random_bytes(random: [u8; 16]) -> TopicId {
        let mut id = random;
        id[6] = (id[6] & 0x0f) | 0x40;
        id[8] = (id[8] & 0x3f) | 0x80;
        if id[0] >> 2 == 62 {
            id[0] ^= 0x80;
        }
        TopicId(id)
    }

    /// Reads the 22 characters that [`TopicId`] displays as.
    pub fn parse(text: &str) -> Result<TopicId, RecordError> {
        if text.len() != TEXT_LENGTH {
            return Err(RecordError::InvalidTopicId {
                reason: "it must have 22 characters",
            });
        }
        let mut value: u128 = 0;
        for (index, byte) in text.bytes().enumerate() {
            let digit = ALPHABET.iter().position(|&letter| letter == byte).ok_or(
                RecordError::InvalidTopicId {
                    reason: "a character is not base64url",
                },
            )?;
            let digit = digit as u128;
            // 21 characters carry 126 bits, the last one two bits and four zeros.
            if index == TEXT_LENGTH - 1 {
                if digit & 0x0f != 0 {
                    return Err(RecordError::InvalidTopicId {
                        reason: "stray bits at its end",
                    });
                }
                value = value << 2 | digit >> 4;
            } else {
                value = value << 6 | digit;
            }
        }
        Ok(TopicId(value.to_be_bytes()))
    }
}

impl fmt::Display for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = u128::from_be_bytes(self.0);
        let mut text = String::with_capacity(TEXT_LENGTH);
        for index in 0..TEXT_LENGTH - 1 {
            let digit = (value >> (122 - 6 * index)) & 0x3f;
            text.push(char::from(ALPHABET[digit as usize]));
        }
        text.push(char::from(ALPHABET[((value & 0x03) << 4) as usize]));
        f.pad(&text)
    }
}

impl fmt::Debug for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TopicId({self})")
    }
}

impl std::str::FromStr for TopicId {
    type Err = RecordError;

    fn from_str(text: &str) -> Result<TopicId, RecordError> {
        TopicId::parse(text)
    }
}
