//! Messages of magic 0 and 1 become batches as Kafka's cleaner makes them, and bytes that lie are refused.

use lastword_record::{
    BatchHeader, CompressionType, Compressor, Decompressor, LegacyMessage, LegacyUpgrade,
    RecordBatches, RecordError, TimestampType,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use crate::support::{OwnedRecord, fixture, read};

const LIMIT_BYTES: usize = 1 << 20;
const CODECS: [CompressionType; 3] = [
    CompressionType::Gzip,
    CompressionType::Snappy,
    CompressionType::Lz4,
];

/// One message as it is written: what its fields say, with a right checksum.
#[derive(Debug, Clone, Default)]
struct Message {
    magic: u8,
    offset: i64,
    attributes: u8,
    timestamp: i64,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
}

impl Message {
    fn new(magic: u8, offset: i64, timestamp: i64, key: &str, value: &str) -> Message {
        Message {
            magic,
            offset,
            attributes: 0,
            timestamp,
            key: Some(key.into()),
            value: Some(value.into()),
        }
    }

    fn bytes(&self) -> Vec<u8> {
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
        with_header(self.offset, &body)
    }
}

/// Offset, size and a right checksum in front of what begins with the magic.
fn with_header(offset: i64, body: &[u8]) -> Vec<u8> {
    let size = body.len() as i32 + 4;
    let mut bytes = offset.to_be_bytes().to_vec();
    bytes.extend(size.to_be_bytes());
    bytes.extend(crc32(body).to_be_bytes());
    bytes.extend(body);
    bytes
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

/// A wrapper around `inner`, whose offsets are written as they are.
fn wrapper(magic: u8, offset: i64, codec: CompressionType, inner: &[Message]) -> Message {
    let plain: Vec<u8> = inner.iter().flat_map(Message::bytes).collect();
    wrapper_of(magic, offset, codec, &plain)
}

fn wrapper_of(magic: u8, offset: i64, codec: CompressionType, plain: &[u8]) -> Message {
    let mut compressed = Vec::new();
    Compressor::new()
        .compress(codec, None, plain, &mut compressed)
        .expect("compressible");
    Message {
        magic,
        offset,
        attributes: codec.id(),
        timestamp: 9_000,
        key: None,
        value: Some(compressed),
    }
}

fn upgrade(messages: &[u8]) -> Result<Vec<u8>, RecordError> {
    upgrade_limited(messages, LIMIT_BYTES)
}

fn upgrade_limited(mut messages: &[u8], limit_bytes: usize) -> Result<Vec<u8>, RecordError> {
    let mut upgrade = LegacyUpgrade::new(limit_bytes);
    let (mut out, mut headers) = (Vec::new(), Vec::new());
    while !messages.is_empty() {
        let message = LegacyMessage::parse(messages)?;
        headers.extend(upgrade.push(&message, 0, &mut out)?);
        messages = &messages[message.size_bytes()..];
    }
    headers.extend(upgrade.finish(&mut out)?);
    assert_eq!(headers, self::headers(&out));
    Ok(out)
}

fn headers(batches: &[u8]) -> Vec<BatchHeader> {
    let batches = RecordBatches::new(batches).map(|batch| batch.expect("a whole batch"));
    batches
        .map(|batch| {
            batch.verify_crc().expect("a right checksum");
            *batch.header()
        })
        .collect()
}

fn records(batches: &[u8]) -> Vec<OwnedRecord> {
    RecordBatches::new(batches)
        .flat_map(|batch| read(batch.expect("a whole batch").bytes()).expect("records"))
        .collect()
}

#[test]
fn what_kafka_wrote_becomes_what_kafkas_cleaner_makes_of_it() {
    for kind in ["v0", "v1", "v1-lat"] {
        for codec in ["none", "gzip", "snappy", "lz4"] {
            let name = format!("legacy-{kind}-{codec}");
            let ours = upgrade(&fixture(&name)).expect(&name);
            let kafkas = fixture(&format!("{name}-upgraded"));
            if codec == "none" {
                assert_eq!(ours, kafkas, "{name}");
            }
            assert_eq!(records(&ours), records(&kafkas), "{name}");
            // Length and checksum follow the compressed bytes, which differ from library to library.
            let plain = |bytes: &[u8]| -> Vec<BatchHeader> {
                let headers = headers(bytes).into_iter();
                headers
                    .map(|header| BatchHeader {
                        batch_length: 0,
                        crc: 0,
                        ..header
                    })
                    .collect()
            };
            assert_eq!(plain(&ours), plain(&kafkas), "{name}");
        }
    }
}

#[test]
fn a_wrapper_is_one_batch_and_messages_are_one_each() {
    let inner = |magic| {
        let offset = |relative: i64| if magic == 0 { 40 + relative } else { relative };
        [
            Message::new(magic, offset(0), 5_000, "a", "1"),
            Message::new(magic, offset(3), 6_000, "b", "2"),
        ]
    };
    for magic in [0, 1] {
        let alone = Message::new(magic, 39, 4_000, "z", "0");
        for codec in CODECS {
            // The frames of magic 0 written here have the right checksum; Kafka's wrong one is in the fixtures.
            let wrapped = wrapper(magic, 43, codec, &inner(magic));
            let bytes = [alone.bytes(), wrapped.bytes()].concat();
            let upgraded = upgrade(&bytes).expect("legacy messages");
            let [first, second] = headers(&upgraded)[..] else {
                panic!("two batches, {magic} {codec}");
            };
            assert_eq!((first.base_offset, first.last_offset()), (39, 39));
            assert_eq!((second.base_offset, second.last_offset()), (40, 43));
            assert_eq!(second.compression(), Ok(codec));
            for header in [first, second] {
                assert_eq!(header.timestamp_type(), TimestampType::CreateTime);
                assert_eq!(header.producer_id, -1);
                assert_eq!(header.producer_epoch, -1);
                assert_eq!(header.base_sequence, -1);
                assert_eq!(header.leader_epoch, -1);
            }
            let times: Vec<i64> = records(&upgraded).iter().map(|r| r.timestamp).collect();
            let expected = if magic == 0 {
                [-1; 3]
            } else {
                [4_000, 5_000, 6_000]
            };
            assert_eq!(times, expected);
        }
    }
}

#[test]
fn messages_of_equal_offset_share_a_batch() {
    let messages = [
        Message::new(0, 7, 0, "k", "before"),
        Message::new(0, 8, 0, "k", "first"),
        Message::new(0, 8, 0, "k", "second"),
        Message::new(0, 9, 0, "k", "after"),
    ];
    let bytes: Vec<u8> = messages.iter().flat_map(Message::bytes).collect();
    let upgraded = upgrade(&bytes).expect("legacy messages");
    let ranges: Vec<_> = headers(&upgraded)
        .iter()
        .map(|header| {
            (
                header.base_offset,
                header.last_offset(),
                header.record_count,
            )
        })
        .collect();
    assert_eq!(ranges, [(7, 7, 1), (8, 8, 2), (9, 9, 1)]);
    let values: Vec<_> = records(&upgraded).into_iter().map(|r| r.value).collect();
    let expected = ["before", "first", "second", "after"].map(|value| Some(value.into()));
    assert_eq!(values, expected);
}

#[test]
fn messages_of_equal_offset_and_different_appends_are_refused() {
    let mut first = Message::new(1, 8, 1_000, "k", "first");
    first.attributes = 8;
    let mut second = Message::new(1, 8, 2_000, "k", "second");
    second.attributes = 8;
    let join = |a: &Message, b: &Message| upgrade(&[a.bytes(), b.bytes()].concat());
    assert!(matches!(
        join(&first, &second),
        Err(RecordError::InvalidLegacyMessage { .. })
    ));
    second.timestamp = 1_000;
    assert!(join(&first, &second).is_ok());
    second.attributes = 0;
    assert!(join(&first, &second).is_err());
}

#[test]
fn a_refused_message_leaves_the_batch_before_it_whole() {
    let good = Message::new(1, 8, 1_000, "k", "good").bytes();
    let bad = wrapper(
        1,
        3,
        CompressionType::Gzip,
        &[Message::new(1, 0, 0, "k", "old")],
    )
    .bytes();
    let mut upgrade = LegacyUpgrade::new(LIMIT_BYTES);
    let mut out = Vec::new();
    let good = LegacyMessage::parse(&good).expect("a message");
    assert_eq!(upgrade.push(&good, 0, &mut out), Ok(None));
    let bad = LegacyMessage::parse(&bad).expect("a message");
    assert!(upgrade.push(&bad, 0, &mut out).is_err());
    assert!(matches!(upgrade.finish(&mut out), Ok(Some(header)) if header.record_count == 1));
    assert_eq!(records(&out)[0].value, Some(b"good".to_vec()));
}

#[test]
fn every_flipped_bit_is_found() {
    for name in ["legacy-v0-none", "legacy-v1-none", "legacy-v1-gzip"] {
        let mut bytes = fixture(name);
        let size_bytes = LegacyMessage::parse(&bytes)
            .expect("a message")
            .size_bytes();
        // Offset and size are outside of the checksum; a wrong size moves its end.
        for bit in 8 * 8..size_bytes * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(LegacyMessage::parse(&bytes).is_err(), "{name} bit {bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }
}

#[test]
fn a_flipped_bit_inside_a_wrapper_is_found() {
    let inner = Message::new(1, 0, 1_000, "key", "value").bytes();
    for bit in 12 * 8..inner.len() * 8 {
        let mut damaged = inner.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let outer = wrapper_of(1, 5, CompressionType::Snappy, &damaged).bytes();
        assert!(upgrade(&outer).is_err(), "bit {bit}");
    }
}

#[test]
fn hostile_messages_are_refused() {
    let inner = |offset| Message::new(1, offset, 0, "k", "v");
    let gzip = CompressionType::Gzip;
    let mut no_value = wrapper(1, 5, gzip, &[inner(0)]);
    no_value.value = None;
    let mut zstd = wrapper(1, 5, CompressionType::Zstd, &[inner(0)]);
    zstd.attributes = 4;
    let mut cut = Message::new(1, 0, 0, "k", "v").bytes();
    cut.truncate(cut.len() - 1);
    let mut left_over = Message::new(1, 0, 0, "k", "v").bytes();
    left_over.push(0);
    let mut zero_size = inner(0).bytes();
    zero_size[8..12].copy_from_slice(&[0; 4]);
    let cases = [
        ("offset -1", Message::new(0, -1, 0, "k", "v").bytes()),
        (
            "the last offset there is",
            Message::new(0, i64::MAX, 0, "k", "v").bytes(),
        ),
        ("no value in a wrapper", no_value.bytes()),
        ("a codec of magic 2", zstd.bytes()),
        (
            "an unknown codec",
            Message {
                attributes: 7,
                ..inner(0)
            }
            .bytes(),
        ),
        ("nothing inside", wrapper(1, 5, gzip, &[]).bytes()),
        (
            "nested",
            wrapper(1, 5, gzip, &[wrapper(1, 0, gzip, &[inner(0)])]).bytes(),
        ),
        (
            "fewer offsets than the wrapper's says",
            wrapper(1, 1, gzip, &[inner(0), inner(2)]).bytes(),
        ),
        (
            "wrapper at 0 with several inside",
            wrapper(1, 0, gzip, &[inner(0), inner(1)]).bytes(),
        ),
        (
            "inner offsets descend",
            wrapper(1, 9, gzip, &[inner(3), inner(2)]).bytes(),
        ),
        (
            "inner offset beyond the wrapper's",
            wrapper(0, 1, gzip, &[Message::new(0, 2, 0, "k", "v")]).bytes(),
        ),
        (
            "a middle one beyond the last",
            wrapper(1, 9, gzip, &[inner(0), inner(7), inner(3)]).bytes(),
        ),
        (
            "negative inner offset",
            wrapper(1, 5, gzip, &[inner(-3), inner(0)]).bytes(),
        ),
        (
            "inner offsets overflow",
            wrapper(1, i64::MAX - 1, gzip, &[inner(i64::MIN), inner(0)]).bytes(),
        ),
        (
            "inner offsets too far apart",
            wrapper(
                0,
                1 << 40,
                gzip,
                &[
                    Message::new(0, 1, 0, "k", "v"),
                    Message::new(0, 1 << 40, 0, "k", "v"),
                ],
            )
            .bytes(),
        ),
        (
            "an inner message cut off",
            wrapper_of(1, 5, gzip, &cut).bytes(),
        ),
        (
            "bytes left over inside",
            wrapper_of(1, 5, gzip, &left_over).bytes(),
        ),
        (
            "an inner size of 0",
            wrapper_of(1, 5, gzip, &zero_size).bytes(),
        ),
        (
            "not compressed at all",
            Message {
                attributes: 1,
                ..inner(0)
            }
            .bytes(),
        ),
        ("descending", [inner(5).bytes(), inner(4).bytes()].concat()),
        (
            "key length -2",
            with_header(0, &[0, 0, 255, 255, 255, 254, 0, 0, 0, 0]),
        ),
        (
            "value length beyond the end",
            with_header(0, &[0, 0, 0, 0, 0, 0, 0, 0, 0, 1]),
        ),
        (
            "bytes behind the value",
            with_header(0, &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9]),
        ),
        (
            "no room for a timestamp",
            with_header(0, &[1, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        ),
        ("magic 3", with_header(0, &[3, 0, 0, 0, 0, 0, 0, 0, 0, 0])),
    ];
    for (what, bytes) in cases {
        let result = upgrade(&bytes);
        assert!(result.is_err(), "{what}: {result:?}");
    }
}

#[test]
fn a_wrapper_over_the_limit_is_refused() {
    let big = Message::new(1, 0, 0, "k", &"v".repeat(100_000));
    for codec in CODECS {
        let bytes = wrapper(1, 0, codec, std::slice::from_ref(&big)).bytes();
        let result = upgrade_limited(&bytes, 50_000);
        assert_eq!(
            result,
            Err(RecordError::DecompressedTooLarge { limit: 50_000 }),
            "{codec}"
        );
    }
    // Without end, each below the limit, all with one offset.
    let row: Vec<u8> = (0..3).flat_map(|_| big.bytes()).collect();
    let result = upgrade_limited(&row, 150_000);
    assert_eq!(
        result,
        Err(RecordError::DecompressedTooLarge { limit: 150_000 })
    );
}

#[test]
fn only_wrappers_of_magic_0_may_have_a_wrong_lz4_header_checksum() {
    let old = fixture("legacy-v0-lz4");
    // Offset, size, CRC, magic, attributes, key length, value length: the value follows.
    let frame = &old[26..];
    let strict = Decompressor::new(LIMIT_BYTES)
        .decompress(CompressionType::Lz4, frame)
        .map(<[u8]>::len);
    assert!(
        matches!(strict, Err(RecordError::Decompression { .. })),
        "{strict:?}"
    );
    let new = Message {
        magic: 1,
        offset: 107,
        attributes: CompressionType::Lz4.id(),
        timestamp: 0,
        key: None,
        value: Some(frame.to_vec()),
    };
    assert!(upgrade(&new.bytes()).is_err());
    assert!(upgrade(&old).is_ok());
}

type Plain = (i64, i64, Option<Vec<u8>>, Option<Vec<u8>>);

/// What is written, and what is to come out.
#[derive(Debug, Clone)]
struct Generated {
    bytes: Vec<u8>,
    records: Vec<Plain>,
    batches: usize,
}

#[derive(Debug, Clone)]
struct Group {
    magic: u8,
    codec: Option<CompressionType>,
    is_log_append_time: bool,
    gap: i64,
    /// Step from the offset before, timestamp, key, value.
    records: Vec<Plain>,
}

fn groups() -> impl Strategy<Value = Vec<Group>> {
    let bytes = || option::of(vec(any::<u8>(), 0..40));
    let record = (1..4i64, 0..1_000_000i64, bytes(), bytes());
    let codec = option::of(proptest::sample::select(CODECS.to_vec()));
    let group = (0..2u8, codec, any::<bool>(), 0..5i64, vec(record, 1..6));
    vec(
        group.prop_map(|(magic, codec, is_log_append_time, gap, records)| Group {
            magic,
            codec,
            is_log_append_time,
            gap,
            records,
        }),
        0..8,
    )
}

fn generate(groups: &[Group]) -> Generated {
    let (mut bytes, mut all, mut batches) = (Vec::new(), Vec::new(), 0);
    let mut offset = -1;
    for (number, group) in groups.iter().enumerate() {
        let Group { magic, codec, .. } = *group;
        let append_ms = 5_000_000 + number as i64;
        let is_log_append_time = magic == 1 && group.is_log_append_time;
        let attributes = if is_log_append_time { 8 } else { 0 };
        offset += group.gap;
        let mut messages = Vec::new();
        for (step, timestamp, key, value) in &group.records {
            offset += step;
            let time = if is_log_append_time && codec.is_none() {
                append_ms
            } else {
                *timestamp
            };
            messages.push(Message {
                magic,
                offset,
                attributes,
                timestamp: time,
                key: key.clone(),
                value: value.clone(),
            });
            let time = match (magic, is_log_append_time) {
                (0, _) => -1,
                (_, true) => append_ms,
                (_, false) => *timestamp,
            };
            all.push((offset, time, key.clone(), value.clone()));
        }
        let Some(codec) = codec else {
            batches += messages.len();
            bytes.extend(messages.iter().flat_map(Message::bytes));
            continue;
        };
        batches += 1;
        let base = messages[0].offset;
        for message in &mut messages {
            message.attributes = 0;
            message.offset -= if magic == 0 { 0 } else { base };
        }
        let mut outer = wrapper(magic, offset, codec, &messages);
        outer.attributes |= attributes;
        outer.timestamp = append_ms;
        bytes.extend(outer.bytes());
    }
    Generated {
        bytes,
        records: all,
        batches,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_messages_come_out_as_the_same_records(groups in groups()) {
        let generated = generate(&groups);
        let upgraded = upgrade(&generated.bytes).expect("legacy messages");
        prop_assert_eq!(headers(&upgraded).len(), generated.batches);
        let found: Vec<Plain> = records(&upgraded)
            .into_iter()
            .map(|record| (record.offset, record.timestamp, record.key, record.value))
            .collect();
        prop_assert_eq!(found, generated.records);
    }

    #[test]
    fn mutated_messages_never_panic(
        groups in groups(),
        changes in vec((any::<proptest::sample::Index>(), any::<u8>()), 1..8),
        repair in any::<bool>(),
    ) {
        let mut bytes = generate(&groups).bytes;
        if bytes.is_empty() {
            return Ok(());
        }
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if repair {
            repair_checksums(&mut bytes);
        }
        if let Ok(upgraded) = upgrade_limited(&bytes, 1 << 16) {
            let mut last = 0;
            for record in records(&upgraded) {
                prop_assert!(record.offset >= last);
                last = record.offset;
            }
        }
    }
}

/// Makes the checksums of the outer messages right, so that lies behind them are reached.
fn repair_checksums(bytes: &mut [u8]) {
    let mut at = 0;
    while let Some(size) = bytes.get(at + 8..at + 12) {
        let size = i32::from_be_bytes(size.try_into().expect("four bytes"));
        let end = usize::try_from(size).unwrap_or(0).saturating_add(at + 12);
        let Some(body) = bytes.get(at + 16..end) else {
            return;
        };
        let crc = crc32(body);
        bytes[at + 12..at + 16].copy_from_slice(&crc.to_be_bytes());
        at = end;
    }
}
