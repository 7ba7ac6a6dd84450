//! Messages of magic 0 and 1 as an old Kafka wrote them, with right checksums.

use lastword_record::{CompressionType, Compressor};

/// One message, or the wrapper of several.
#[derive(Clone, Debug)]
pub struct Message {
    pub magic: u8,
    pub offset: i64,
    pub attributes: u8,
    /// Not written in magic 0.
    pub timestamp: i64,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
}

pub fn message(magic: u8, offset: i64, timestamp: i64, key: &str, value: Option<&str>) -> Message {
    Message {
        magic,
        offset,
        attributes: 0,
        timestamp,
        key: Some(key.into()),
        value: value.map(Into::into),
    }
}

/// A wrapper of `inner`, which have absolute offsets.
pub fn wrapper(codec: CompressionType, inner: &[Message]) -> Message {
    let (first, last) = (&inner[0], &inner[inner.len() - 1]);
    let base_offset = if first.magic == 0 { 0 } else { first.offset };
    let mut plain = Vec::new();
    for message in inner {
        let relative = Message {
            offset: message.offset - base_offset,
            ..message.clone()
        };
        plain.extend(relative.bytes());
    }
    let mut compressed = Vec::new();
    Compressor::new()
        .compress(codec, None, &plain, &mut compressed)
        .expect("compressible");
    Message {
        attributes: codec.id(),
        timestamp: inner.iter().map(|m| m.timestamp).max().unwrap_or(-1),
        key: None,
        value: Some(compressed),
        ..last.clone()
    }
}

impl Message {
    pub fn bytes(&self) -> Vec<u8> {
        let mut body = vec![self.magic, self.attributes];
        if self.magic == 1 {
            body.extend(self.timestamp.to_be_bytes());
        }
        for part in [&self.key, &self.value] {
            match part {
                None => body.extend((-1i32).to_be_bytes()),
                Some(part) => {
                    body.extend((part.len() as i32).to_be_bytes());
                    body.extend(part);
                }
            }
        }
        let mut bytes = self.offset.to_be_bytes().to_vec();
        bytes.extend((body.len() as i32 + 4).to_be_bytes());
        bytes.extend(crc32(&body).to_be_bytes());
        bytes.extend(body);
        bytes
    }
}

pub fn bytes_of(messages: &[Message]) -> Vec<u8> {
    messages.iter().flat_map(Message::bytes).collect()
}

fn crc32(bytes: &[u8]) -> u32 {
    let mut state = u32::MAX;
    for byte in bytes {
        state ^= u32::from(*byte);
        for _ in 0..8 {
            state = (state >> 1) ^ if state & 1 == 1 { 0xedb8_8320 } else { 0 };
        }
    }
    !state
}
