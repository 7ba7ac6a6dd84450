//! Survivors copied raw are, byte for byte, survivors taken apart and pushed one by one.

use lastword_record::{
    BatchBuilder, BatchHeader, BatchSpec, CompressionType, Decompressor, RecordBatch, RecordError,
    crc32c, set_log_append_time,
};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::round_trip;
use crate::support::{
    LIMIT_BYTES, OwnedRecord, batch_of, build, damage, damaged, fixture, read, record,
};

type Rebuilt = Result<(BatchHeader, Vec<u8>), RecordError>;

/// Which records live, repeated as often as needed.
pub fn is_live(live: &[bool], index: u64) -> bool {
    live[index as usize % live.len()]
}

fn one_by_one(bytes: &[u8], delete_horizon_ms: Option<i64>, live: &[bool]) -> Rebuilt {
    let batch = RecordBatch::parse(bytes)?;
    let mut decompressor = Decompressor::new(LIMIT_BYTES);
    let mut builder = BatchBuilder::rebuild(batch.header(), delete_horizon_ms);
    for (index, record) in (0..).zip(batch.records(&mut decompressor)?) {
        let record = record?;
        if is_live(live, index) {
            builder.push_record(&record);
        }
    }
    let mut out = b"before".to_vec();
    let header = builder.finish(&mut out)?;
    Ok((header, out))
}

/// With a builder that was used before, and behind bytes that must stay.
fn raw(bytes: &[u8], delete_horizon_ms: Option<i64>, live: &[bool]) -> Rebuilt {
    let batch = RecordBatch::parse(bytes)?;
    let mut decompressor = Decompressor::new(LIMIT_BYTES);
    let mut builder = BatchBuilder::new(BatchSpec::default());
    builder.push(5, 77, Some(b"a record of another batch"), None, &[]);
    let mut out = b"before".to_vec();
    let mut asked = 0;
    let live = |index| {
        assert_eq!(index, asked, "asked once for each record, in order");
        asked += 1;
        is_live(live, index)
    };
    let result =
        builder.rebuild_survivors(&batch, delete_horizon_ms, &mut decompressor, live, &mut out);
    match result {
        Ok(header) => {
            assert_eq!(asked, header_count(bytes));
            Ok((header, out))
        }
        Err(error) => {
            assert_eq!(out, b"before");
            Err(error)
        }
    }
}

fn header_count(bytes: &[u8]) -> u64 {
    let batch = RecordBatch::parse(bytes).expect("a whole batch");
    u64::from(batch.header().record_count.unsigned_abs())
}

/// For bytes that lie: where pushing succeeds the bytes are the same, and where copying fails pushing
/// fails. Only a record that goes, or its headers, may hold what copying does not see.
fn compare(bytes: &[u8], delete_horizon_ms: Option<i64>, live: &[bool]) {
    let copied = raw(bytes, delete_horizon_ms, live);
    match (one_by_one(bytes, delete_horizon_ms, live), copied) {
        (Err(_), Err(_)) => {}
        (Err(_), Ok((header, out))) => {
            let rebuilt = RecordBatch::parse(&out[6..]).expect("a whole batch");
            assert_eq!(rebuilt.verify_crc(), Ok(()));
            let survivors = (0..header_count(bytes)).filter(|index| is_live(live, *index));
            assert_eq!(header.record_count as usize, survivors.count());
            let mut decompressor = Decompressor::new(LIMIT_BYTES);
            let keys = rebuilt.keys(&mut decompressor).expect("records");
            assert!(keys.into_iter().all(|key| key.is_ok()));
        }
        (pushed, copied) => assert_eq!(copied, pushed),
    }
}

pub fn live() -> impl Strategy<Value = Vec<bool>> {
    prop_oneof![
        vec(any::<bool>(), 1..40),
        vec(prop::bool::weighted(0.9), 1..40),
        vec(prop::bool::weighted(0.1), 1..40),
    ]
}

/// A delete horizon: none, the base timestamp that is there already, or another one.
#[derive(Debug, Clone, Copy)]
enum Horizon {
    None,
    Kept,
    New(i64),
}

impl Horizon {
    fn of(self, bytes: &[u8]) -> Option<i64> {
        match self {
            Horizon::None => None,
            Horizon::Kept => {
                RecordBatch::parse(bytes).map_or(None, |b| Some(b.header().base_timestamp))
            }
            Horizon::New(horizon_ms) => Some(horizon_ms),
        }
    }
}

fn horizon() -> impl Strategy<Value = Horizon> {
    prop_oneof![
        2 => Just(Horizon::None),
        1 => Just(Horizon::Kept),
        1 => (0..2_000_000_000_000i64).prop_map(Horizon::New),
        1 => any::<i64>().prop_map(Horizon::New),
    ]
}

/// A record whose numbers may be written longer than needed, and whose attributes may be set.
#[derive(Debug, Clone)]
pub struct OddRecord {
    attributes: u8,
    timestamp_delta: i64,
    offset_gap: i32,
    padding: [usize; 3],
    tail: Vec<u8>,
}

pub fn odd_record() -> impl Strategy<Value = OddRecord> {
    let attributes = prop_oneof![4 => Just(0), 1 => any::<u8>()];
    let timestamp_delta = prop_oneof![
        -200..200i64,
        -40_000_000_000..40_000_000_000i64,
        any::<i64>()
    ];
    let padding = prop_oneof![3 => Just([0; 3]), 1 => [0..4usize, 0..9, 0..4]];
    let key = prop_oneof![0..20usize, 0..9_000usize];
    (attributes, timestamp_delta, 0..300, padding, key).prop_map(
        |(attributes, timestamp_delta, offset_gap, padding, key_bytes)| {
            let mut tail = varint(key_bytes as i64, 0, 5);
            tail.resize(tail.len() + key_bytes, b'k');
            tail.extend([1, 0]);
            OddRecord {
                attributes,
                timestamp_delta,
                offset_gap,
                padding,
                tail,
            }
        },
    )
}

/// `value`, in up to `padding` bytes more than needed and at most `most`.
fn varint(value: i64, padding: usize, most: usize) -> Vec<u8> {
    let mut zigzag = ((value << 1) ^ (value >> 63)) as u64;
    let mut bytes = Vec::new();
    while zigzag >= 0x80 {
        bytes.push(zigzag as u8 | 0x80);
        zigzag >>= 7;
    }
    bytes.push(zigzag as u8);
    for _ in 0..padding.min(most - bytes.len()) {
        *bytes.last_mut().expect("a byte") |= 0x80;
        bytes.push(0);
    }
    bytes
}

pub fn odd_batch(attributes: i16, base_timestamp: i64, records: &[OddRecord]) -> Vec<u8> {
    let mut payload = Vec::new();
    let mut offset_delta = 0;
    for record in records {
        offset_delta += record.offset_gap;
        let [length_padding, timestamp_padding, offset_padding] = record.padding;
        let body = [
            &[record.attributes][..],
            &varint(record.timestamp_delta, timestamp_padding, 10),
            &varint(i64::from(offset_delta), offset_padding, 5),
            &record.tail,
        ]
        .concat();
        payload.extend(varint(body.len() as i64, length_padding, 5));
        payload.extend(body);
    }
    let mut bytes = batch_of(attributes, offset_delta, records.len() as i32, &payload);
    bytes[27..35].copy_from_slice(&base_timestamp.to_be_bytes());
    let crc = crc32c(&bytes[21..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    bytes
}

#[test]
fn the_survivors_of_what_kafka_wrote_are_copied_as_they_are_pushed() {
    let masks: [&[bool]; 5] = [
        &[true],
        &[true, false],
        &[false, true],
        &[false, false, true],
        &[true, true, true, false],
    ];
    for name in ["fresh", "dirty", "cleaned-plain", "cleaned-tombstone"] {
        for codec in CompressionType::ALL {
            let bytes = fixture(&format!("{name}-{codec}"));
            for live in masks {
                for horizon in [
                    Horizon::None,
                    Horizon::Kept,
                    Horizon::New(1_800_000_000_000),
                ] {
                    let horizon_ms = horizon.of(&bytes);
                    let pushed = one_by_one(&bytes, horizon_ms, live);
                    assert_eq!(raw(&bytes, horizon_ms, live), pushed, "{name}-{codec}");
                }
            }
        }
    }
}

#[test]
fn records_that_stay_beside_a_first_one_that_stays_are_the_bytes_they_were() {
    let records: Vec<OwnedRecord> = (0..9)
        .map(|i| record(i, 5_000 + i, &format!("k{i}"), Some("v")))
        .collect();
    let bytes = build(BatchSpec::default(), &records);
    let (header, out) = raw(
        &bytes,
        None,
        &[true, true, true, true, true, true, true, true, false],
    )
    .expect("a valid batch");
    let record_bytes = (bytes.len() - 61) / 9;
    assert_eq!(out[6 + 61..], bytes[61..bytes.len() - record_bytes]);
    assert_eq!((header.last_offset(), header.max_timestamp), (8, 5_007));
}

#[test]
fn a_batch_without_survivors_is_refused() {
    let bytes = build(BatchSpec::default(), &[record(0, 0, "k", None)]);
    let error = raw(&bytes, None, &[false]);
    assert!(
        matches!(error, Err(RecordError::InvalidBatch { .. })),
        "{error:?}"
    );
}

#[test]
fn a_record_that_goes_is_only_measured() {
    // The first record has a key longer than itself.
    let records = [12, 0, 0, 0, 90, 1, 0, 12, 0, 0, 2, 1, 1, 0];
    let bytes = batch_of(0, 1, 2, &records);
    assert!(raw(&bytes, None, &[true, true]).is_err());
    let (_, out) = raw(&bytes, None, &[false, true]).expect("a valid batch");
    assert_eq!(read(&out[6..]).map(|records| records.len()), Ok(1));
}

#[test]
fn payloads_that_do_not_fit_their_count_are_refused() {
    let one: &[u8] = &[12, 0, 0, 0, 1, 1, 0];
    let left_over = [one, &[0]].concat();
    for (what, count, records) in [
        ("a record too few", 2, one),
        ("a byte too many", 1, &left_over),
        ("a byte too few", 1, &one[..6]),
        ("two billion records", i32::MAX, one),
    ] {
        let bytes = batch_of(0, i32::MAX - 1, count, records);
        let error = raw(&bytes, None, &[true]);
        assert!(
            matches!(error, Err(RecordError::InvalidRecord { .. })),
            "{what}: {error:?}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn survivors_copied_are_survivors_pushed(
        spec in round_trip::spec(), mut records in round_trip::records(),
        live in live(), horizon in horizon(), log_append_time in prop::option::weighted(0.2, 0..1i64 << 41),
    ) {
        for record in &mut records {
            record.offset += spec.base_offset;
        }
        let mut bytes = build(spec, &records);
        if let Some(timestamp_ms) = log_append_time {
            set_log_append_time(&mut bytes, timestamp_ms);
        }
        let horizon_ms = horizon.of(&bytes);
        prop_assert_eq!(raw(&bytes, horizon_ms, &live), one_by_one(&bytes, horizon_ms, &live));
    }

    #[test]
    fn numbers_longer_than_needed_and_attributes_are_written_as_pushing_writes_them(
        records in vec(odd_record(), 1..20), attributes in prop_oneof![Just(0), Just(8)],
        base_timestamp in prop_oneof![0..1i64 << 41, any::<i64>()],
        live in live(), horizon in horizon(),
    ) {
        let bytes = odd_batch(attributes, base_timestamp, &records);
        let horizon_ms = horizon.of(&bytes);
        prop_assert_eq!(raw(&bytes, horizon_ms, &live), one_by_one(&bytes, horizon_ms, &live));
    }

    #[test]
    fn damaged_batches_are_copied_as_they_are_pushed_or_refused(
        records in round_trip::records(), damages in damaged(),
        live in live(), horizon in horizon(),
    ) {
        let bytes = damage(&build(BatchSpec::default(), &records), &damages);
        compare(&bytes, horizon.of(&bytes), &live);
    }

    #[test]
    fn random_bytes_are_copied_as_they_are_pushed_or_refused(
        attributes in any::<i16>(), delta in 0..100i32, count in 0..20i32,
        records in vec(prop_oneof![any::<u8>(), 0..24u8], 0..300),
        live in live(), horizon in horizon(),
    ) {
        let bytes = batch_of(attributes, delta, count, &records);
        compare(&bytes, horizon.of(&bytes), &live);
    }
}
