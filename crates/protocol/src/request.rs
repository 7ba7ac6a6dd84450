//! Decoding request bodies.
//!
//! The limits follow from the frame: an array cannot have more elements than the request could
//! carry, and not more than any real client sends. Strings and bytes stay slices of the frame.

use bytes::Bytes;
use kafka_wire_core::{ApiVersion, DecodeError, DecodeLimits, KafkaDecode};

use crate::messages::KafkaRequest;

/// Elements of one array. Nesting is bounded by the body limit of the API.
const MAX_ARRAY_ELEMENTS: usize = 100_000;
/// Unknown tagged fields of one struct.
const MAX_TAGGED_FIELDS: usize = 64;

/// Decodes a whole request body; bytes left over are an error.
pub fn decode<R: KafkaRequest>(body: Bytes, version: i16) -> Result<R, DecodeError> {
    let limits = limits(body.len());
    <R as KafkaDecode>::decode_from_bytes(body, ApiVersion::new(version), limits)
}

fn limits(body_bytes: usize) -> DecodeLimits {
    let mut limits = DecodeLimits::default();
    limits.max_frame_bytes = body_bytes;
    limits.max_string_bytes = body_bytes;
    limits.max_bytes_bytes = body_bytes;
    limits.max_array_elements = MAX_ARRAY_ELEMENTS;
    limits.max_tagged_fields = MAX_TAGGED_FIELDS;
    limits.max_tag_bytes = body_bytes.min(64 * 1024);
    limits.max_total_tag_bytes = body_bytes.min(256 * 1024);
    limits
}
