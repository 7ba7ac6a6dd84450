//! The key walk says about every record what the record iterator says, and errs where it errs.

use lastword_record::{BatchSpec, CompressionType, Decompressor, RecordBatch, RecordError};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::round_trip;
use crate::support::{LIMIT_BYTES, batch_of, build, damage, damaged, fixture, record};

/// Offset, key and whether the value is null.
type Seen = (i64, Option<Vec<u8>>, bool);

fn by_records(bytes: &[u8]) -> Result<Vec<Seen>, (Vec<Seen>, RecordError)> {
    let batch = RecordBatch::parse(bytes).expect("a whole batch");
    let mut decompressor = Decompressor::new(LIMIT_BYTES);
    let mut seen = Vec::new();
    let records = batch.records(&mut decompressor);
    for record in records.map_err(|error| (Vec::new(), error))? {
        match record {
            Ok(record) => {
                let key = record.key.map(<[u8]>::to_vec);
                seen.push((record.offset, key, record.value.is_none()));
            }
            Err(error) => return Err((seen, error)),
        }
    }
    Ok(seen)
}

/// The same by the key walk; when it succeeds, the sizes of the records add up to the payload.
fn by_keys(bytes: &[u8]) -> Result<Vec<Seen>, (Vec<Seen>, RecordError)> {
    let batch = RecordBatch::parse(bytes).expect("a whole batch");
    let mut decompressor = Decompressor::new(LIMIT_BYTES);
    let mut seen = Vec::new();
    let mut size_bytes = 0;
    let mut keys = match batch.keys(&mut decompressor) {
        Ok(keys) => keys,
        Err(error) => return Err((Vec::new(), error)),
    };
    while let Some(key) = keys.next() {
        match key {
            Ok(key) => {
                let owned = key.key.map(<[u8]>::to_vec);
                seen.push((key.offset, owned, key.has_null_value));
                size_bytes += key.size_bytes as usize;
            }
            Err(error) => {
                assert!(keys.next().is_none(), "nothing comes after an error");
                return Err((seen, error));
            }
        }
    }
    if batch.header().compression() == Ok(CompressionType::None) {
        assert_eq!(size_bytes, batch.payload().len());
    }
    Ok(seen)
}

/// Whether only a decoder of headers can see what is wrong.
fn is_about_headers(error: &RecordError) -> bool {
    matches!(error, RecordError::InvalidRecord { reason } if reason.contains("header"))
}

fn compare(bytes: &[u8]) {
    match (by_records(bytes), by_keys(bytes)) {
        (Err((records, error)), Err((keys, _))) if is_about_headers(&error) => {
            assert!(keys.starts_with(&records), "{records:?} {keys:?}");
        }
        (Err((records, error)), Ok(keys)) if is_about_headers(&error) => {
            assert!(keys.starts_with(&records), "{records:?} {keys:?}");
        }
        (Err((records, _)), Err((keys, _))) => assert_eq!(keys, records),
        (records, keys) => assert_eq!(keys, records),
    }
}

#[test]
fn the_keys_of_what_kafka_wrote_are_those_of_its_records() {
    for name in ["fresh", "dirty", "large", "cleaned-plain", "cleaned-empty"] {
        for codec in CompressionType::ALL {
            if name == "large" && codec == CompressionType::None {
                continue;
            }
            let bytes = fixture(&format!("{name}-{codec}"));
            assert_eq!(by_keys(&bytes), by_records(&bytes), "{name}-{codec}");
        }
    }
}

#[test]
fn headers_that_no_decoder_could_read_do_not_hide_a_key() {
    // The header count is -1; the record's length is right.
    let bytes = batch_of(0, 0, 1, &[14, 0, 0, 0, 2, b'k', 1, 1]);
    assert!(by_records(&bytes).is_err_and(|(_, error)| is_about_headers(&error)));
    assert_eq!(by_keys(&bytes), Ok(vec![(0, Some(b"k".to_vec()), true)]));
}

#[test]
fn a_value_that_leaves_no_room_for_a_header_count_is_refused() {
    let with_value_length = |length: u8| batch_of(0, 0, 1, &[14, 0, 0, 0, 1, length, b'v', 0]);
    assert!(by_keys(&with_value_length(2)).is_ok());
    for length in [3, 4, 6, 0x7e] {
        let result = by_keys(&with_value_length(length));
        assert!(result.is_err(), "{length}: {result:?}");
    }
    assert!(by_keys(&batch_of(0, 0, 1, &[10, 0, 0, 0, 1, 1])).is_err());
}

#[test]
fn a_compressed_batch_over_the_limit_gives_no_keys() {
    let spec = BatchSpec {
        compression: CompressionType::Lz4,
        ..BatchSpec::default()
    };
    let bytes = build(spec, &[record(0, 0, "k", Some(&"v".repeat(1 << 20)))]);
    let batch = RecordBatch::parse(&bytes).expect("a whole batch");
    let result = batch.keys(&mut Decompressor::new(1 << 20)).map(|_| ());
    let limit = 1 << 20;
    assert_eq!(result, Err(RecordError::DecompressedTooLarge { limit }));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn keys_are_those_of_the_records(
        spec in round_trip::spec(), mut records in round_trip::records(),
    ) {
        for record in &mut records {
            record.offset += spec.base_offset;
        }
        let bytes = build(spec, &records);
        let keys = by_keys(&bytes);
        prop_assert_eq!(&keys, &by_records(&bytes));
        prop_assert_eq!(keys.map(|keys| keys.len()), Ok(records.len()));
    }

    #[test]
    fn damaged_batches_give_the_keys_that_their_records_give(
        records in round_trip::records(), damages in damaged(),
    ) {
        compare(&damage(&build(BatchSpec::default(), &records), &damages));
    }

    #[test]
    fn random_bytes_give_the_keys_that_their_records_give(
        attributes in any::<i16>(), delta in 0..100i32, count in 0..20i32,
        records in vec(prop_oneof![any::<u8>(), 0..24u8], 0..300),
    ) {
        compare(&batch_of(attributes, delta, count, &records));
    }
}
