//! Request headers v1 and v2.
//!
//! | field | type | versions |
//! |---|---|---|
//! | api key | int16 | 1, 2 |
//! | api version | int16 | 1, 2 |
//! | correlation id | int32 | 1, 2 |
//! | client id | nullable string (int16 length) | 1, 2 |
//! | tagged fields | unsigned varint count, then entries | 2 |
//!
//! Header v0 had no client id; no API that is served predates v1. A request is framed with v2
//! when its message version is flexible. A response is framed with v1 when flexible, except
//! ApiVersions: its response header is always v0, so that any client can read error 35.

use bytes::Bytes;
use kafka_wire_core::{DecodeError, DecodeLimits, Decoder, StrBytes};
use thiserror::Error;

use crate::api_key::ApiKey;

/// Tagged fields allowed in a request header. Kafka defines none.
const MAX_HEADER_TAGS: usize = 64;
/// Longest client id; it is kept per connection and written to logs.
const MAX_CLIENT_ID_BYTES: usize = 4096;

/// The decoded header of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestHeader {
    /// The API, as far as it is one Kafka knows.
    pub api_key: ApiKey,
    /// The version of the request body.
    pub api_version: i16,
    /// What the response must carry.
    pub correlation_id: i32,
    /// What the client calls itself. Never a reason to allow anything.
    pub client_id: Option<StrBytes>,
}

/// Why a request header is refused. The connection is closed.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum HeaderError {
    /// A key no Kafka API has.
    #[error("unknown api key {0}")]
    UnknownApiKey(i16),
    /// Malformed bytes.
    #[error("malformed request header: {0}")]
    Malformed(#[from] DecodeError),
}

impl RequestHeader {
    /// Splits a frame (without its length prefix) into header and body.
    pub fn parse(frame: Bytes) -> Result<(RequestHeader, Bytes), HeaderError> {
        let mut limits = DecodeLimits::default();
        limits.max_frame_bytes = usize::MAX;
        limits.max_string_bytes = MAX_CLIENT_ID_BYTES;
        limits.max_tagged_fields = MAX_HEADER_TAGS;
        limits.max_tag_bytes = 4096;
        limits.max_total_tag_bytes = 16 * 1024;
        let mut decoder = Decoder::new(frame.clone(), limits)?;
        let key = decoder.read_i16()?;
        let api_version = decoder.read_i16()?;
        let correlation_id = decoder.read_i32()?;
        let api_key = ApiKey::from_i16(key).ok_or(HeaderError::UnknownApiKey(key))?;
        let client_id = decoder.read_nullable_string()?;
        // The header of an ApiVersions request from the future must be readable: it is answered
        // with the versions we have. Every flexible version has the same header.
        if api_key.is_flexible(api_version) {
            decoder.read_tagged_fields()?;
        }
        let body = frame.slice(decoder.offset().min(frame.len())..);
        Ok((
            RequestHeader {
                api_key,
                api_version,
                correlation_id,
                client_id,
            },
            body,
        ))
    }
}
