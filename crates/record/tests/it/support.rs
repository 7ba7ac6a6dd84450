//! What the tests share: owned records, fixtures by name, collecting.

use proptest::collection::vec;
use proptest::prelude::*;

use lastword_record::{
    BATCH_HEADER_BYTES, BatchBuilder, BatchHeader, BatchSpec, Decompressor, RecordBatch,
    RecordError, crc32c,
};

pub const LIMIT_BYTES: usize = 64 << 20;

pub type OwnedHeader = (Vec<u8>, Option<Vec<u8>>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnedRecord {
    pub offset: i64,
    pub timestamp: i64,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<OwnedHeader>,
}

pub fn record(offset: i64, timestamp: i64, key: &str, value: Option<&str>) -> OwnedRecord {
    OwnedRecord {
        offset,
        timestamp,
        key: Some(key.into()),
        value: value.map(Into::into),
        headers: Vec::new(),
    }
}

pub fn fixture(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/fixtures/{name}.bin", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

pub fn read(bytes: &[u8]) -> Result<Vec<OwnedRecord>, RecordError> {
    read_limited(bytes, LIMIT_BYTES)
}

pub fn read_limited(bytes: &[u8], limit_bytes: usize) -> Result<Vec<OwnedRecord>, RecordError> {
    let batch = RecordBatch::parse(bytes)?;
    let mut decompressor = Decompressor::new(limit_bytes);
    let records = batch.records(&mut decompressor)?;
    records
        .map(|record| {
            let record = record?;
            let headers = record.headers.iter();
            let headers: Vec<OwnedHeader> = headers
                .map(|(key, value)| (key.to_vec(), value.map(<[u8]>::to_vec)))
                .collect();
            assert_eq!(headers.len(), record.headers.count());
            Ok(OwnedRecord {
                offset: record.offset,
                timestamp: record.timestamp,
                key: record.key.map(<[u8]>::to_vec),
                value: record.value.map(<[u8]>::to_vec),
                headers,
            })
        })
        .collect()
}

pub fn push(builder: &mut BatchBuilder, record: &OwnedRecord) {
    let headers: Vec<(&[u8], Option<&[u8]>)> = record
        .headers
        .iter()
        .map(|(key, value)| (key.as_slice(), value.as_deref()))
        .collect();
    let (key, value) = (record.key.as_deref(), record.value.as_deref());
    builder.push(record.offset, record.timestamp, key, value, &headers);
}

pub fn build(spec: BatchSpec, records: &[OwnedRecord]) -> Vec<u8> {
    let mut builder = BatchBuilder::new(spec);
    for record in records {
        push(&mut builder, record);
    }
    let mut bytes = Vec::new();
    let header = builder.finish(&mut bytes).expect("a valid batch");
    assert_eq!(
        RecordBatch::parse(&bytes).map(|batch| *batch.header()),
        Ok(header)
    );
    bytes
}

/// A batch around `records`, which are taken as they are.
pub fn batch_of(
    attributes: i16,
    last_offset_delta: i32,
    record_count: i32,
    records: &[u8],
) -> Vec<u8> {
    let mut header = BatchHeader {
        base_offset: 0,
        batch_length: 49 + records.len() as i32,
        leader_epoch: 0,
        crc: 0,
        attributes,
        last_offset_delta,
        base_timestamp: 0,
        max_timestamp: 0,
        producer_id: -1,
        producer_epoch: -1,
        base_sequence: -1,
        record_count,
    };
    let bytes = [&header.to_bytes()[..], records].concat();
    header.crc = crc32c(&bytes[21..]);
    [&header.to_bytes()[..], records].concat()
}

/// Where in the bytes behind the header, and what to write there; the place wraps around.
pub fn damaged() -> impl Strategy<Value = Vec<(usize, u8)>> {
    let byte = prop_oneof![any::<u8>(), 0..16u8, Just(0x80), Just(0xff)];
    vec((any::<usize>(), byte), 1..4)
}

/// `bytes`, one batch without a codec, with other records.
pub fn damage(bytes: &[u8], damages: &[(usize, u8)]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let header = *RecordBatch::parse(&bytes).expect("a whole batch").header();
    let payload = &mut bytes[BATCH_HEADER_BYTES..];
    for &(at, byte) in damages {
        let at = at % payload.len();
        payload[at] = byte;
    }
    batch_of(
        header.attributes,
        header.last_offset_delta,
        header.record_count,
        payload,
    )
}
