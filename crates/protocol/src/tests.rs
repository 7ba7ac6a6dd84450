use bytes::{BufMut, Bytes, BytesMut};
use kafka_wire_core::{ApiVersion, KafkaEncode, Uuid};

use crate::frame::{FrameError, request_length};
use crate::header::{HeaderError, RequestHeader};
use crate::messages::fetch_response::{AbortedTransaction, FetchableTopicResponse, PartitionData};
use crate::messages::produce_request::{PartitionProduceData, TopicProduceData};
use crate::messages::{ApiVersionsRequest, FetchResponse, MetadataRequest, ProduceRequest};
use crate::{ApiKey, ErrorCode, client, message, request, response};

fn joined(frame: response::ResponseFrame) -> Vec<u8> {
    frame.into_parts().concat()
}

#[test]
fn shared_fetch_encoding_equals_the_generated_one_for_every_version() {
    for version in 4..=18 {
        for record_bytes in [0, 1, 2047, 2048, 100_000] {
            let partition = |index: i32, records: Vec<u8>| {
                message!(PartitionData {
                    partition_index: index,
                    high_watermark: 77,
                    last_stable_offset: 70,
                    aborted_transactions: Some(vec![message!(AbortedTransaction {
                        producer_id: 9,
                        first_offset: 3,
                    })]),
                    records: Some(Bytes::from(records)),
                })
            };
            let mut topic = FetchableTopicResponse::default();
            if version >= 13 {
                topic.topic_id = Uuid::from_bytes([7; 16]);
            } else {
                topic.topic = "orders".into();
            }
            topic.partitions = vec![
                partition(0, vec![1; record_bytes]),
                partition(1, vec![2; record_bytes]),
            ];
            let mut body = message!(FetchResponse {
                responses: vec![topic.clone(), topic]
            });
            if version >= 7 {
                body.session_id = 5;
            }
            let generated = response::encode(ApiKey::Fetch, version, 42, &body).unwrap();
            let shared = response::encode_fetch(version, 42, body).unwrap();
            assert_eq!(
                joined(generated),
                joined(shared),
                "v{version}, {record_bytes} B"
            );
        }
    }
}

#[test]
fn every_version_of_the_table_is_one_the_codec_knows() {
    for &key in ApiKey::ALL {
        let (min, max) = key.versions();
        let descriptor = crate::messages::API_DESCRIPTORS
            .iter()
            .find(|descriptor| descriptor.api_key.value() == key.as_i16())
            .unwrap_or_else(|| panic!("{} has no descriptor", key.name()));
        let supported = descriptor.supported_versions;
        assert!(
            supported.contains(ApiVersion::new(min)),
            "{} v{min}",
            key.name()
        );
        assert!(
            supported.contains(ApiVersion::new(max)),
            "{} v{max}",
            key.name()
        );
    }
}

#[test]
fn a_request_survives_the_round_trip_through_header_and_body() {
    for version in 0..=13 {
        let frame =
            client::encode_request(&MetadataRequest::default(), version, 11, "tester").unwrap();
        let (header, body) = RequestHeader::parse(frame.slice(4..)).unwrap();
        assert_eq!(header.api_key, ApiKey::Metadata);
        assert_eq!((header.api_version, header.correlation_id), (version, 11));
        assert_eq!(header.client_id.as_deref(), Some("tester"));
        request::decode::<MetadataRequest>(body, version).unwrap();
    }
}

#[test]
fn hostile_lengths_are_refused_before_anything_is_read() {
    let limit = 100 * 1024 * 1024;
    assert_eq!(
        request_length([0xff; 4], limit),
        Err(FrameError::NegativeLength(-1))
    );
    assert!(matches!(
        request_length([0x80, 0, 0, 0], limit),
        Err(FrameError::NegativeLength(_))
    ));
    assert_eq!(request_length([0; 4], limit), Err(FrameError::TooSmall(0)));
    let http = request_length(*b"GET ", limit).unwrap_err().to_string();
    assert!(http.contains("HTTP"), "{http}");
    let tls = request_length([0x16, 0x03, 0x01, 0x00], limit)
        .unwrap_err()
        .to_string();
    assert!(tls.contains("TLS"), "{tls}");
}

#[test]
fn a_header_with_more_tags_than_bytes_is_malformed() {
    let mut header = BytesMut::new();
    header.put_i16(ApiKey::Metadata.as_i16());
    header.put_i16(12);
    header.put_i32(1);
    header.put_i16(-1);
    header.put_slice(&[0xff, 0xff, 0xff, 0xff, 0x07]);
    header.put_slice(&[0; 4]);
    assert!(matches!(
        RequestHeader::parse(header.freeze()),
        Err(HeaderError::Malformed(_))
    ));
}

#[test]
fn an_array_count_beyond_the_frame_is_malformed() {
    let mut body = BytesMut::new();
    body.put_i32(i32::MAX);
    assert!(request::decode::<MetadataRequest>(body.freeze(), 4).is_err());
    let mut body = BytesMut::new();
    body.put_i32(-2);
    assert!(request::decode::<MetadataRequest>(body.freeze(), 4).is_err());
}

#[test]
fn bytes_left_over_are_ignored_as_kafka_ignores_them() {
    let mut body = BytesMut::new();
    ProduceRequest::default()
        .encode_into(&mut body, ApiVersion::new(9))
        .unwrap();
    assert!(request::decode::<ProduceRequest>(body.clone().freeze(), 9).is_ok());
    body.put_slice(&[0, 1, 2]);
    assert!(request::decode::<ProduceRequest>(body.freeze(), 9).is_ok());
}

#[test]
fn api_versions_is_always_framed_with_response_header_v0() {
    for version in 0..=4 {
        assert_eq!(ApiKey::ApiVersions.response_header_version(version), 0);
        let frame =
            client::encode_request(&ApiVersionsRequest::default(), version, 3, "t").unwrap();
        let (_, body) = RequestHeader::parse(frame.slice(4..)).unwrap();
        request::decode::<ApiVersionsRequest>(body, version).unwrap();
    }
}

#[test]
fn error_codes_are_named_once_and_found_by_number() {
    for &code in ErrorCode::ALL {
        assert_eq!(ErrorCode::from_code(code.code()), Some(code));
    }
    assert_eq!(ErrorCode::InvalidRecord.code(), 87);
    assert_eq!(ErrorCode::InvalidRecord.name(), "INVALID_RECORD");
    assert_eq!(ErrorCode::from_code(999), None);
}

#[test]
fn a_produce_request_of_very_many_partitions_is_refused_before_it_is_built() {
    let request = |partitions: usize| {
        message!(ProduceRequest {
            topic_data: vec![message!(TopicProduceData {
                name: "t".into(),
                partition_data: vec![PartitionProduceData::default(); partitions],
            })],
        })
    };
    for version in 3..=12 {
        for (partitions, accepted) in [(1, true), (19_000, true), (30_000, false)] {
            let mut body = BytesMut::new();
            request(partitions)
                .encode_into(&mut body, ApiVersion::new(version))
                .unwrap();
            let decoded = request::decode::<ProduceRequest>(body.freeze(), version);
            assert_eq!(
                decoded.is_ok(),
                accepted,
                "v{version}, {partitions} partitions"
            );
        }
    }
}
