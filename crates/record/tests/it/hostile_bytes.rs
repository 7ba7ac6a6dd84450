//! Bytes that lie: never a panic, never a huge allocation, always one error and then the end.

use lastword_record::{
    BatchBuilder, BatchSpec, CompressionType, Decompressor, RecordBatch, RecordBatches, RecordError,
};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::support::{batch_of, build, fixture, read, read_limited, record};

fn walk_everything(bytes: &[u8]) {
    let mut decompressor = Decompressor::new(1 << 20);
    for batch in RecordBatches::new(bytes) {
        let Ok(batch) = batch else { break };
        let _ = batch.verify_crc();
        if let Ok(records) = batch.records(&mut decompressor) {
            for record in records.flatten() {
                assert!(record.offset <= batch.header().last_offset());
                assert_eq!(record.headers.iter().count(), record.headers.count());
            }
        }
    }
}

#[test]
fn malformed_records_are_refused() {
    // length, attributes, timestamp delta, offset delta, key length, value length, header count
    let good: &[u8] = &[12, 0, 0, 0, 1, 1, 0];
    assert_eq!(
        read(&batch_of(0, 0, 1, good)).map(|records| records.len()),
        Ok(1)
    );

    let cases: &[(&str, i32, i32, &[u8])] = &[
        ("no bytes at all", 0, 1, &[]),
        ("fewer records than stated", 1, 2, good),
        ("bytes left over", 0, 1, &[12, 0, 0, 0, 1, 1, 0, 0]),
        ("records where none are stated", 0, 0, good),
        ("negative length", 0, 1, &[1, 0, 0, 0, 1, 1, 0]),
        ("length zero", 0, 1, &[0, 0, 0, 0, 1, 1, 0]),
        ("length beyond the end", 0, 1, &[14, 0, 0, 0, 1, 1, 0]),
        (
            "length of gigabytes",
            0,
            1,
            &[0xfe, 0xff, 0xff, 0xff, 0x0f, 0, 0],
        ),
        ("length that never ends", 0, 1, &[0x80; 16]),
        ("left over inside", 0, 1, &[14, 0, 0, 0, 1, 1, 0, 0]),
        (
            "offset delta beyond the last",
            0,
            1,
            &[12, 0, 0, 2, 1, 1, 0],
        ),
        ("negative offset delta", 0, 1, &[12, 0, 0, 1, 1, 1, 0]),
        (
            "descending offset deltas",
            5,
            2,
            &[12, 0, 0, 4, 1, 1, 0, 12, 0, 0, 2, 1, 1, 0],
        ),
        ("key length -2", 0, 1, &[12, 0, 0, 0, 3, 1, 0]),
        (
            "key length beyond the record",
            0,
            1,
            &[12, 0, 0, 0, 40, 1, 0],
        ),
        ("value length -2", 0, 1, &[12, 0, 0, 0, 1, 3, 0]),
        ("value over the header count", 0, 1, &[12, 0, 0, 0, 1, 2, 0]),
        ("negative header count", 0, 1, &[12, 0, 0, 0, 1, 1, 1]),
        ("more headers than bytes", 0, 1, &[12, 0, 0, 0, 1, 1, 2]),
        (
            "billions of headers",
            0,
            1,
            &[20, 0, 0, 0, 1, 1, 0xfe, 0xff, 0xff, 0xff, 0x0f],
        ),
        ("null header key", 0, 1, &[16, 0, 0, 0, 1, 1, 2, 1, 1]),
        (
            "header value length -2",
            0,
            1,
            &[16, 0, 0, 0, 1, 1, 2, 0, 3],
        ),
    ];
    for (what, last_offset_delta, record_count, records) in cases {
        let bytes = batch_of(0, *last_offset_delta, *record_count, records);
        let result = read(&bytes);
        assert!(
            matches!(result, Err(RecordError::InvalidRecord { .. })),
            "{what}: {result:?}"
        );
    }
}

#[test]
fn equal_offsets_can_be_read_and_rebuilt() {
    let records = [12, 0, 0, 2, 1, 1, 0, 12, 0, 0, 2, 1, 1, 0];
    let bytes = batch_of(0, 1, 2, &records);
    let found = read(&bytes).expect("an upgraded legacy log has such batches");
    assert_eq!(
        found.iter().map(|record| record.offset).collect::<Vec<_>>(),
        [1, 1]
    );

    let batch = RecordBatch::parse(&bytes).expect("a whole batch");
    let mut decompressor = Decompressor::new(0);
    let mut builder = BatchBuilder::rebuild(batch.header(), None);
    for record in batch
        .records(&mut decompressor)
        .expect("uncompressed records")
    {
        builder.push_record(&record.expect("a valid record"));
    }
    let mut rebuilt = Vec::new();
    builder.finish(&mut rebuilt).expect("a batch");
    assert_eq!(read(&rebuilt), Ok(found));
}

#[test]
fn after_an_error_the_iterator_ends() {
    let bytes = batch_of(0, 9, 3, &[12, 0, 0, 2, 1, 1, 0, 12, 0, 0, 0, 1, 1, 0]);
    let batch = RecordBatch::parse(&bytes).expect("a whole batch");
    let mut decompressor = Decompressor::new(0);
    let mut records = batch
        .records(&mut decompressor)
        .expect("uncompressed records");
    assert!(records.next().is_some_and(|record| record.is_ok()));
    assert!(records.next().is_some_and(|record| record.is_err()));
    assert!(records.next().is_none());
}

#[test]
fn a_count_of_two_billion_reserves_nothing() {
    let bytes = batch_of(0, i32::MAX, i32::MAX, &[]);
    let batch = RecordBatch::parse(&bytes).expect("a whole batch");
    let mut decompressor = Decompressor::new(0);
    let records = batch
        .records(&mut decompressor)
        .expect("uncompressed records");
    assert_eq!(records.size_hint().0, 0);
    assert_eq!(records.count(), 1, "one error");
}

#[test]
fn malformed_headers_are_refused() {
    let good = fixture("fresh-none");
    let with = |at: usize, bytes: &[u8]| {
        let mut bad = good.clone();
        bad[at..at + bytes.len()].copy_from_slice(bytes);
        RecordBatch::parse(&bad).map(|batch| *batch.header())
    };
    for magic in [0u8, 1, 3, 0xff] {
        assert_eq!(
            with(16, &[magic]),
            Err(RecordError::UnsupportedMagic(magic as i8))
        );
    }
    for batch_length in [i32::MIN, -1, 0, 13, 48] {
        let error = RecordError::InvalidLength { batch_length };
        assert_eq!(with(8, &batch_length.to_be_bytes()), Err(error));
    }
    for (at, bytes) in [(23, [0xff; 4]), (57, [0xff; 4])] {
        assert!(matches!(
            with(at, &bytes),
            Err(RecordError::InvalidHeader { .. })
        ));
    }
    let overflow = with(0, &i64::MAX.to_be_bytes());
    assert!(matches!(overflow, Err(RecordError::InvalidHeader { .. })));
    let huge = with(8, &i32::MAX.to_be_bytes());
    let needed = 12 + i32::MAX as usize;
    assert_eq!(
        huge,
        Err(RecordError::Truncated {
            needed,
            available: good.len()
        })
    );
}

#[test]
fn zeros_of_a_preallocated_file_are_no_batch() {
    let error = RecordError::InvalidLength { batch_length: 0 };
    assert_eq!(
        RecordBatch::parse(&[0; 4096]).map(|_| ()),
        Err(error.clone())
    );
    assert_eq!(RecordBatch::parse(&[0; 20]).map(|_| ()), Err(error));
}

#[test]
fn a_torn_tail_is_one_error_and_then_the_end() {
    let mut log = fixture("fresh-none");
    let first_bytes = log.len();
    log.extend(fixture("fresh-zstd"));
    for cut in 1..log.len() - first_bytes {
        let torn = &log[..first_bytes + cut];
        let mut walk = RecordBatches::new(torn);
        assert!(walk.next().is_some_and(|batch| batch.is_ok()));
        assert_eq!(walk.position(), first_bytes);
        let error = walk.next().expect("the torn batch").map(|_| ());
        let needed = if cut < 61 {
            61
        } else {
            log.len() - first_bytes
        };
        assert_eq!(
            error,
            Err(RecordError::Truncated {
                needed,
                available: cut
            })
        );
        assert!(walk.next().is_none());
        assert_eq!(walk.position(), first_bytes);
    }
}

#[test]
fn unknown_codecs_are_named() {
    for codec in 5..8 {
        let bytes = batch_of(codec, 0, 1, &[12, 0, 0, 0, 1, 1, 0]);
        assert_eq!(
            read(&bytes),
            Err(RecordError::UnknownCompression(codec as u8))
        );
    }
}

#[test]
fn a_single_flipped_bit_is_detected() {
    for codec in CompressionType::ALL {
        let mut bytes = fixture(&format!("dirty-{codec}"));
        for bit in 21 * 8..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            if let Ok(batch) = RecordBatch::parse(&bytes) {
                let result = batch.verify_crc();
                assert!(
                    matches!(result, Err(RecordError::CorruptCrc { .. })),
                    "{codec} {bit}"
                );
            }
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }
}

#[test]
fn every_damaged_byte_of_a_compressed_batch_is_survived() {
    for codec in CompressionType::ALL {
        let mut bytes = fixture(&format!("fresh-{codec}"));
        for at in 0..bytes.len() {
            let before = bytes[at];
            for value in [
                0,
                1,
                0x7f,
                0x80,
                0xff,
                before ^ 0x10,
                before.wrapping_add(1),
            ] {
                bytes[at] = value;
                walk_everything(&bytes);
            }
            bytes[at] = before;
            walk_everything(&bytes[..at]);
        }
    }
}

#[test]
fn a_compressed_batch_over_the_limit_is_refused() {
    for compression in &CompressionType::ALL[1..] {
        let spec = BatchSpec {
            compression: *compression,
            ..BatchSpec::default()
        };
        let bytes = build(spec, &[record(0, 0, "k", Some(&"v".repeat(1 << 20)))]);
        let result = read_limited(&bytes, 1 << 20);
        assert_eq!(
            result,
            Err(RecordError::DecompressedTooLarge { limit: 1 << 20 })
        );
        assert!(read_limited(&bytes, (1 << 20) + 100).is_ok());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn random_bytes_never_panic(bytes in vec(any::<u8>(), 0..300)) {
        walk_everything(&bytes);
    }

    #[test]
    fn random_records_never_panic(
        attributes in any::<i16>(), delta in 0..100i32, count in 0..100i32,
        records in vec(prop_oneof![any::<u8>(), 0..24u8], 0..300),
    ) {
        walk_everything(&batch_of(attributes, delta, count, &records));
    }

    #[test]
    fn random_compressed_bytes_never_panic(codec in 0..5u8, bytes in vec(any::<u8>(), 0..200)) {
        let codec = CompressionType::from_id(codec).unwrap_or_default();
        let mut decompressor = Decompressor::new(1 << 16);
        let _ = decompressor.decompress(codec, &bytes);
    }
}
