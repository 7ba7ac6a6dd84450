//! Decoding request bodies.
//!
//! The limits follow from the frame: an array cannot have more elements than the request could
//! carry, and not more than any real client sends. Strings and bytes stay slices of the frame.
//! A Produce request may be large because of its records, not because of its partitions: those
//! are counted before anything is built for them.

use bytes::Bytes;
use kafka_wire_core::{ApiVersion, BoundedCount, DecodeError, DecodeLimits, Decoder, KafkaDecode};

use crate::api_key::ApiKey;
use crate::messages::{KafkaRequest, ProduceRequest};

/// Elements of one array. Nesting is bounded by the body limit of the API.
const MAX_ARRAY_ELEMENTS: usize = 100_000;
/// Unknown tagged fields of one struct.
const MAX_TAGGED_FIELDS: usize = 64;

/// Topics and partitions of one Produce request together.
const MAX_PRODUCE_ENTRIES: usize = 20_000;

/// Decodes a request body.
///
/// Bytes left over are ignored, as Kafka ignores them: librdkafka's admin client sends three with
/// Metadata v13. They were charged like the rest of the frame.
pub fn decode<R: KafkaRequest>(body: Bytes, version: i16) -> Result<R, DecodeError> {
    let limits = limits(body.len());
    if R::API_KEY == ProduceRequest::API_KEY {
        check_produce_entries(&body, version, limits)?;
    }
    let mut decoder = Decoder::new(body, limits)?;
    <R as KafkaDecode>::decode(&mut decoder, ApiVersion::new(version))
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

/// Walks over a Produce request without building it, and counts.
fn check_produce_entries(
    body: &Bytes,
    version: i16,
    limits: DecodeLimits,
) -> Result<(), DecodeError> {
    let flexible = ApiKey::Produce.is_flexible(version);
    let mut decoder = Decoder::new(body.clone(), limits)?;
    let array = |decoder: &mut Decoder| -> Result<BoundedCount, DecodeError> {
        if flexible {
            decoder.read_compact_array_len()
        } else {
            decoder.read_array_len()
        }
    };
    if flexible {
        decoder.read_compact_nullable_string()?;
    } else {
        decoder.read_nullable_string()?;
    }
    decoder.read_i16()?;
    decoder.read_i32()?;
    let mut entries = 0;
    for _ in 0..array(&mut decoder)?.get() {
        if version >= 13 {
            decoder.read_uuid()?;
        } else if flexible {
            decoder.read_compact_string()?;
        } else {
            decoder.read_string()?;
        }
        let partitions = array(&mut decoder)?.get();
        entries += 1 + partitions;
        if entries > MAX_PRODUCE_ENTRIES {
            return Err(DecodeError::LimitExceeded {
                kind: "topics and partitions",
                length: entries,
                limit: MAX_PRODUCE_ENTRIES,
                offset: decoder.offset(),
            });
        }
        for _ in 0..partitions {
            decoder.read_i32()?;
            if flexible {
                decoder.read_compact_nullable_bytes()?;
                decoder.read_tagged_fields()?;
            } else {
                decoder.read_nullable_bytes()?;
            }
        }
        if flexible {
            decoder.read_tagged_fields()?;
        }
    }
    Ok(())
}
