//! Encoding responses.
//!
//! A response leaves as a list of parts. Record data read from a log is a part of its own, handed
//! through by reference: it is not copied into the frame.

use bytes::{BufMut, Bytes, BytesMut};
use kafka_wire_core::{ApiVersion, EncodeError, KafkaEncode, StrBytes};

use crate::api_key::ApiKey;
use crate::frame::LENGTH_PREFIX_BYTES;
use crate::messages::{FetchResponse, KafkaResponse};

/// A response ready for the socket: length prefix, header and body, in order.
#[derive(Clone, Debug, Default)]
pub struct ResponseFrame {
    parts: Vec<Bytes>,
}

impl ResponseFrame {
    /// The parts in the order they go out. None is empty.
    pub fn into_parts(self) -> Vec<Bytes> {
        self.parts
    }

    /// Bytes on the wire.
    pub fn size_bytes(&self) -> usize {
        self.parts.iter().map(Bytes::len).sum()
    }
}

/// Encodes a response with its header and length prefix into one buffer.
pub fn encode<R: KafkaResponse>(
    api_key: ApiKey,
    version: i16,
    correlation_id: i32,
    response: &R,
) -> Result<ResponseFrame, EncodeError> {
    let mut buffer = BytesMut::with_capacity(128);
    put_header(&mut buffer, api_key, version, correlation_id);
    response.encode_into(&mut buffer, ApiVersion::new(version))?;
    let bytes = buffer.len();
    set_length(&mut buffer, bytes)?;
    Ok(ResponseFrame {
        parts: vec![buffer.freeze()],
    })
}

/// Records below this size are copied into the head: a part of its own would cost more.
const COPIED_RECORDS_BYTES: usize = 2048;

/// Encodes a Fetch response whose records leave as parts of their own.
///
/// The generated encoder would copy every record byte once more. Here the generated code encodes
/// each partition with empty records, which are the last field before the tagged fields; that
/// tail is replaced by the real length, and the records follow by reference.
pub fn encode_fetch(
    version: i16,
    correlation_id: i32,
    response: FetchResponse,
) -> Result<ResponseFrame, EncodeError> {
    let flexible = ApiKey::Fetch.is_flexible(version);
    let mut writer = FetchWriter {
        head: BytesMut::with_capacity(256),
        parts: Vec::new(),
        flexible,
    };
    put_header(&mut writer.head, ApiKey::Fetch, version, correlation_id);
    writer.head.put_i32(response.throttle_time_ms);
    if version >= 7 {
        writer.head.put_i16(response.error_code);
        writer.head.put_i32(response.session_id);
    }
    writer.put_array_length(response.responses.len())?;
    for topic in response.responses {
        if version >= 13 {
            writer.head.put_slice(topic.topic_id.as_bytes());
        } else {
            writer.put_string(&topic.topic)?;
        }
        writer.put_array_length(topic.partitions.len())?;
        for mut partition in topic.partitions {
            let records = partition.records.replace(Bytes::new()).unwrap_or_default();
            partition.encode_into(&mut writer.head, ApiVersion::new(version))?;
            writer.put_records(records)?;
        }
        writer.put_no_tags();
    }
    writer.put_no_tags();
    writer.finish()
}

struct FetchWriter {
    head: BytesMut,
    parts: Vec<Bytes>,
    flexible: bool,
}

impl FetchWriter {
    fn put_array_length(&mut self, length: usize) -> Result<(), EncodeError> {
        if self.flexible {
            self.put_varint(length + 1)
        } else {
            self.put_i32_length(length)
        }
    }

    fn put_string(&mut self, value: &StrBytes) -> Result<(), EncodeError> {
        if self.flexible {
            self.put_varint(value.len() + 1)?;
        } else {
            let length = i16::try_from(value.len())
                .map_err(|_| EncodeError::FrameTooLarge { bytes: value.len() })?;
            self.head.put_i16(length);
        }
        self.head.put_slice(value.as_bytes());
        Ok(())
    }

    /// Replaces the encoded empty records at the end of the head.
    fn put_records(&mut self, records: Bytes) -> Result<(), EncodeError> {
        // Flexible: varint 1 (length 0) and no tagged fields; else an int32 length of 0.
        let tail_bytes = if self.flexible { 2 } else { 4 };
        self.head
            .truncate(self.head.len().saturating_sub(tail_bytes));
        self.put_array_length(records.len())?;
        if records.len() < COPIED_RECORDS_BYTES {
            self.head.put_slice(&records);
        } else {
            self.parts.push(self.head.split().freeze());
            self.parts.push(records);
        }
        self.put_no_tags();
        Ok(())
    }

    fn put_no_tags(&mut self) {
        if self.flexible {
            self.head.put_u8(0);
        }
    }

    fn put_i32_length(&mut self, length: usize) -> Result<(), EncodeError> {
        let value =
            i32::try_from(length).map_err(|_| EncodeError::FrameTooLarge { bytes: length })?;
        self.head.put_i32(value);
        Ok(())
    }

    fn put_varint(&mut self, value: usize) -> Result<(), EncodeError> {
        let mut rest =
            u32::try_from(value).map_err(|_| EncodeError::FrameTooLarge { bytes: value })?;
        while rest >= 0x80 {
            self.head.put_u8((rest & 0x7f) as u8 | 0x80);
            rest >>= 7;
        }
        self.head.put_u8(rest as u8);
        Ok(())
    }

    fn finish(mut self) -> Result<ResponseFrame, EncodeError> {
        let bytes = self.head.len() + self.parts.iter().map(Bytes::len).sum::<usize>();
        if self.parts.is_empty() {
            set_length(&mut self.head, bytes)?;
            return Ok(ResponseFrame {
                parts: vec![self.head.freeze()],
            });
        }
        if !self.head.is_empty() {
            self.parts.push(self.head.split().freeze());
        }
        // The first part was frozen with a zero prefix; it is small, so it is rewritten.
        if let Some(first) = self.parts.first_mut() {
            let mut rewritten = BytesMut::from(&first[..]);
            set_length(&mut rewritten, bytes)?;
            *first = rewritten.freeze();
        }
        Ok(ResponseFrame { parts: self.parts })
    }
}

fn put_header(buffer: &mut BytesMut, api_key: ApiKey, version: i16, correlation_id: i32) {
    buffer.put_i32(0);
    buffer.put_i32(correlation_id);
    if api_key.response_header_version(version) >= 1 {
        // No tagged fields.
        buffer.put_u8(0);
    }
}

fn set_length(buffer: &mut BytesMut, frame_bytes: usize) -> Result<(), EncodeError> {
    let length = frame_bytes - LENGTH_PREFIX_BYTES;
    let prefix = i32::try_from(length).map_err(|_| EncodeError::FrameTooLarge { bytes: length })?;
    buffer[..LENGTH_PREFIX_BYTES].copy_from_slice(&prefix.to_be_bytes());
    Ok(())
}
