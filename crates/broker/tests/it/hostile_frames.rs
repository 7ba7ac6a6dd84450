use bytes::{BufMut, Bytes, BytesMut};
use lastword_protocol::messages::{ApiVersionsRequest, ApiVersionsResponse};
use lastword_protocol::{ApiKey, ErrorCode, client as codec};
use lastword_record::crc32c;
use tokio::io::AsyncWriteExt;

use crate::client::{TestBroker, batch, metadata_request, produce_request};

fn frame(body: &[u8]) -> Vec<u8> {
    let mut frame = i32::try_from(body.len()).unwrap().to_be_bytes().to_vec();
    frame.extend_from_slice(body);
    frame
}

fn header(key: i16, version: i16) -> BytesMut {
    let mut header = BytesMut::new();
    header.put_i16(key);
    header.put_i16(version);
    header.put_i32(7);
    header.put_i16(-1);
    header
}

/// A request of Metadata v12 with this instead of its tagged fields and body.
fn metadata_v12(rest: &[u8]) -> Vec<u8> {
    let mut body = header(ApiKey::Metadata.as_i16(), 12);
    body.put_slice(rest);
    frame(&body)
}

/// A request of Metadata v4 with this body.
fn metadata_v4(rest: &[u8]) -> Vec<u8> {
    let mut body = header(ApiKey::Metadata.as_i16(), 4);
    body.put_slice(rest);
    frame(&body)
}

fn many_empty_names() -> Vec<u8> {
    let mut rest = vec![0, 0xc1, 0xb8, 0x02]; // no header tags; an array of 40,000
    rest.resize(rest.len() + 40_000, 1);
    metadata_v12(&rest)
}

#[tokio::test]
async fn hostile_frames_close_their_connection_and_nothing_else() {
    let cases: Vec<(&str, Vec<u8>)> = vec![
        (
            "length 0x7fffffff",
            vec![0x7f, 0xff, 0xff, 0xff, 0, 18, 0, 0],
        ),
        ("length -1", vec![0xff, 0xff, 0xff, 0xff, 0, 18, 0, 0]),
        ("length 0x80000000", vec![0x80, 0, 0, 0, 0, 18, 0, 0]),
        ("length 0", vec![0, 0, 0, 0, 0, 18, 0, 0]),
        (
            "length 2^31-1 and nothing more",
            vec![0x7f, 0xff, 0xff, 0xff],
        ),
        ("length over the limit", {
            let mut bytes = 104_857_601i32.to_be_bytes().to_vec();
            bytes.extend_from_slice(&[0, 0, 0, 9]);
            bytes
        }),
        ("a large request of an API of names", {
            let mut bytes = 50_000_000i32.to_be_bytes().to_vec();
            bytes.extend_from_slice(&[0, 3, 0, 12]);
            bytes
        }),
        ("HTTP", b"GET / HTTP/1.1\r\nHost: kafka\r\n\r\n".to_vec()),
        (
            "TLS",
            vec![
                0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03,
            ],
        ),
        ("unknown api key", frame(&header(32_767, 0))),
        ("negative api key", frame(&header(-1, 0))),
        (
            "known api that is not served",
            frame(&header(ApiKey::SaslHandshake.as_i16(), 1)),
        ),
        (
            "unsupported version",
            frame(&header(ApiKey::Metadata.as_i16(), 99)),
        ),
        (
            "negative version",
            frame(&header(ApiKey::Metadata.as_i16(), -1)),
        ),
        ("produce v2", frame(&header(ApiKey::Produce.as_i16(), 2))),
        (
            "header with 2^31-1 tags",
            metadata_v12(&[0xff, 0xff, 0xff, 0xff, 0x07, 0, 0, 0]),
        ),
        ("header with 1000 tags", {
            let mut rest = vec![0xe8, 0x07];
            (0..1000u16).for_each(|_| rest.extend_from_slice(&[1, 0]));
            metadata_v12(&rest)
        }),
        (
            "varint of six bytes",
            metadata_v12(&[0x80, 0x80, 0x80, 0x80, 0x80, 0x01]),
        ),
        ("array of 2^31-1", metadata_v4(&[0x7f, 0xff, 0xff, 0xff])),
        ("array of -2", metadata_v4(&[0xff, 0xff, 0xff, 0xfe])),
        ("names of zero length beyond the frame", many_empty_names()),
        (
            "string longer than the frame",
            metadata_v4(&[0, 0, 0, 1, 0x7f, 0xff, b'x']),
        ),
        (
            "string that is not UTF-8",
            metadata_v4(&[0, 0, 0, 1, 0, 2, 0xff, 0xfe, 1]),
        ),
        (
            "string of negative length",
            metadata_v4(&[0, 0, 0, 1, 0x80, 0, 1]),
        ),
        ("client id that is not UTF-8", {
            let mut body = BytesMut::new();
            body.put_slice(&[0, 3, 0, 4, 0, 0, 0, 1, 0, 2, 0xff, 0xfe]);
            frame(&body)
        }),
        ("empty body", metadata_v12(&[])),
    ];
    let broker = TestBroker::start(&[]).await;
    let mut healthy = broker.connect().await;
    for (name, bytes) in cases {
        let mut hostile = broker.connect().await;
        hostile.stream.write_all(&bytes).await.unwrap();
        assert!(hostile.receive_frame().await.is_none(), "{name}");
        healthy.call(&ApiVersionsRequest::default(), 0).await;
    }
}

#[tokio::test]
async fn an_unknown_version_of_api_versions_is_answered_in_version_0() {
    let broker = TestBroker::start(&[]).await;
    let mut client = broker.connect().await;
    let mut body = header(ApiKey::ApiVersions.as_i16(), 99);
    body.put_slice(&[0, 1, 2, 3]);
    client.stream.write_all(&frame(&body)).await.unwrap();
    let answer = client.receive_frame().await.unwrap();
    let (_, response): (i32, ApiVersionsResponse) =
        codec::decode_response::<ApiVersionsRequest>(answer, 0).unwrap();
    assert_eq!(response.error_code, ErrorCode::UnsupportedVersion.code());
    let own = response
        .api_keys
        .iter()
        .find(|key| key.api_key == 18)
        .unwrap();
    assert_eq!((own.min_version, own.max_version), (0, 4));
    // The connection goes on with a version that is known.
    let response = client.call(&ApiVersionsRequest::default(), 2).await;
    assert_eq!(response.error_code, 0);
}

/// Byte positions in a batch of version 2.
const LENGTH: usize = 8;
const MAGIC: usize = 16;
const CRC: usize = 17;
const ATTRIBUTES: usize = 21;
const LAST_OFFSET_DELTA: usize = 23;
const RECORD_COUNT: usize = 57;

fn altered(change: impl Fn(&mut Vec<u8>), with_valid_crc: bool) -> Bytes {
    let mut bytes = batch(&[(Some("a"), Some("1")), (Some("b"), Some("2"))]).to_vec();
    change(&mut bytes);
    if with_valid_crc {
        let crc = crc32c(&bytes[ATTRIBUTES..]);
        bytes[CRC..ATTRIBUTES].copy_from_slice(&crc.to_be_bytes());
    }
    bytes.into()
}

fn put(bytes: &mut [u8], position: usize, value: i32) {
    bytes[position..position + 4].copy_from_slice(&value.to_be_bytes());
}

#[tokio::test]
async fn hostile_batches_are_refused_and_nothing_is_appended() {
    let two = [batch(&[(None, Some("1"))]), batch(&[(None, Some("2"))])].concat();
    let cases: Vec<(&str, Bytes)> = vec![
        ("wrong checksum", altered(|b| b[CRC] ^= 1, false)),
        (
            "flipped bit in a record",
            altered(|b| *b.last_mut().unwrap() ^= 4, false),
        ),
        (
            "2^31-1 records",
            altered(|b| put(b, RECORD_COUNT, i32::MAX), true),
        ),
        (
            "one record less than said",
            altered(|b| put(b, RECORD_COUNT, 3), true),
        ),
        (
            "one record more than said",
            altered(|b| put(b, RECORD_COUNT, 1), true),
        ),
        ("no records", altered(|b| put(b, RECORD_COUNT, 0), true)),
        (
            "negative count",
            altered(|b| put(b, RECORD_COUNT, -1), true),
        ),
        (
            "wrong last offset delta",
            altered(|b| put(b, LAST_OFFSET_DELTA, 9), true),
        ),
        (
            "negative last offset delta",
            altered(|b| put(b, LAST_OFFSET_DELTA, -1), true),
        ),
        (
            "control batch",
            altered(|b| b[ATTRIBUTES + 1] |= 0x20, true),
        ),
        ("codec 7", altered(|b| b[ATTRIBUTES + 1] |= 7, true)),
        (
            "gzip that is none",
            altered(|b| b[ATTRIBUTES + 1] |= 1, true),
        ),
        ("magic 3", altered(|b| b[MAGIC] = 3, false)),
        ("magic 1", altered(|b| b[MAGIC] = 1, false)),
        (
            "length beyond the request",
            altered(|b| put(b, LENGTH, 1 << 20), false),
        ),
        (
            "length of 2^31-1",
            altered(|b| put(b, LENGTH, i32::MAX), false),
        ),
        ("negative length", altered(|b| put(b, LENGTH, -1), false)),
        ("cut short", altered(|b| b.truncate(70), false)),
        (
            "only a part of the header",
            altered(|b| b.truncate(20), false),
        ),
        ("two batches", two.into()),
        ("nothing", Bytes::new()),
    ];
    let broker = TestBroker::start(&[]).await;
    let mut client = broker.connect().await;
    client.create("t").await;
    for (name, bytes) in cases {
        let response = client.call(&produce_request("t", -1, bytes), 9).await;
        let code = response.responses[0].partition_responses[0].error_code;
        let refused = [
            ErrorCode::CorruptMessage,
            ErrorCode::InvalidRecord,
            ErrorCode::UnsupportedForMessageFormat,
            ErrorCode::UnsupportedCompressionType,
        ];
        assert!(
            refused.iter().any(|refused| refused.code() == code),
            "{name}: {code}"
        );
    }
    assert_eq!(client.fetch("t", 0).await.high_watermark, 0);
}

#[tokio::test]
async fn topic_names_that_are_paths_create_nothing() {
    let broker = TestBroker::start(&[]).await;
    let mut client = broker.connect().await;
    let long = "x".repeat(250);
    let names = [
        "",
        ".",
        "..",
        "../../etc/x",
        "a/b",
        "a\0b",
        &long,
        "é",
        "%2e%2e",
        "a b",
        "@",
    ];
    for name in names {
        let response = client.call(&metadata_request(&[name]), 12).await;
        let code = response.topics[0].error_code;
        assert_eq!(code, ErrorCode::InvalidTopicException.code(), "{name:?}");
    }
    client.create("a.b").await;
    let collision = client.call(&metadata_request(&["a_b"]), 12).await;
    assert_eq!(
        collision.topics[0].error_code,
        ErrorCode::InvalidTopicException.code()
    );
    let all = client
        .call(&lastword_protocol::messages::MetadataRequest::default(), 12)
        .await;
    let named = all.topics.iter().filter_map(|topic| topic.name.as_deref());
    assert_eq!(named.collect::<Vec<_>>(), Vec::<&str>::new());
}
