//! The client half: encode a request, decode its response.
//!
//! Enough for tools of our own. It owns no socket and negotiates nothing.

use bytes::{Bytes, BytesMut};
use kafka_wire_core::{ApiVersion, DecodeError, DecodeLimits, Decoder, EncodeError, StrBytes};

use crate::messages::{
    self, KafkaRequest, OutboundFrameLimits, RequestResponsePair, ResponseHeader,
};

/// Encodes a request as a whole frame, its length prefix included.
pub fn encode_request<R: KafkaRequest>(
    request: &R,
    version: i16,
    correlation_id: i32,
    client_id: &str,
) -> Result<Bytes, EncodeError> {
    let mut buffer = BytesMut::new();
    messages::encode_request(
        &mut buffer,
        correlation_id,
        Some(StrBytes::from(client_id)),
        request,
        ApiVersion::new(version),
        OutboundFrameLimits::new(i32::MAX as usize),
    )?;
    Ok(buffer.freeze())
}

/// Decodes a response frame (without its length prefix): the correlation id and the body.
pub fn decode_response<R: RequestResponsePair>(
    frame: Bytes,
    version: i16,
) -> Result<(i32, R::Response), DecodeError> {
    let mut limits = DecodeLimits::default();
    limits.max_frame_bytes = frame.len();
    limits.max_bytes_bytes = frame.len();
    let version = ApiVersion::new(version);
    let mut decoder = Decoder::new(frame, limits)?;
    let header_version =
        messages::response_header_version(R::API_KEY, version, R::is_flexible(version));
    let header = decode_part::<ResponseHeader>(&mut decoder, ApiVersion::new(header_version))?;
    let response = decode_part::<R::Response>(&mut decoder, version)?;
    decoder.finish()?;
    Ok((header.correlation_id, response))
}

fn decode_part<M: kafka_wire_core::KafkaDecode>(
    decoder: &mut Decoder,
    version: ApiVersion,
) -> Result<M, DecodeError> {
    M::decode(decoder, version)
}
