//! Batches written by Kafka: read, written again to the same bytes, cleaned as Kafka cleans.

use lastword_record::{
    BatchBuilder, BatchHeader, BatchSpec, CompressionType, Decompressor, RecordBatch,
    TimestampType, assign_offsets, empty_batch, set_log_append_time,
};

use crate::support::{OwnedRecord, build, fixture, read, record};

const HORIZON_MS: i64 = 86_450_000;

fn fresh_records() -> Vec<OwnedRecord> {
    let mut first = record(100, 1_000, "colour", Some("green"));
    first.headers = vec![
        (b"trace".to_vec(), Some(b"one".to_vec())),
        (b"trace".to_vec(), Some(b"two".to_vec())),
        (b"none".to_vec(), None),
    ];
    let mut no_key = record(102, 1_500, "", Some("no key"));
    no_key.key = None;
    let mut empty = record(105, 900, "", Some(""));
    empty.headers = vec![(Vec::new(), Some(Vec::new()))];
    vec![first, record(101, 2_000, "colour", None), no_key, empty]
}

fn large_records() -> Vec<OwnedRecord> {
    (0..3_000)
        .map(|i| {
            let value = format!("value of record number {i} and some more text");
            record(i, 1_000_000 + i, &format!("key-{}", i % 97), Some(&value))
        })
        .collect()
}

fn dirty_spec(compression: CompressionType) -> BatchSpec {
    BatchSpec {
        base_offset: 100,
        compression,
        producer_id: 4242,
        producer_epoch: 3,
        base_sequence: 17,
        leader_epoch: 9,
        is_transactional: true,
        ..BatchSpec::default()
    }
}

fn header_of(bytes: &[u8]) -> BatchHeader {
    let batch = RecordBatch::parse(bytes).expect("a whole batch");
    batch.verify_crc().expect("the CRC that Kafka computed");
    *batch.header()
}

/// The survivors of `source`, rebuilt.
fn clean(source: &[u8], delete_horizon_ms: Option<i64>, kept: &[&str]) -> Vec<u8> {
    let batch = RecordBatch::parse(source).expect("a whole batch");
    let mut decompressor = Decompressor::new(1 << 20);
    let mut builder = BatchBuilder::rebuild(batch.header(), delete_horizon_ms);
    let mut out = Vec::new();
    let mut writer = builder.writer(&mut out);
    for record in batch.records(&mut decompressor).expect("readable records") {
        let record = record.expect("a valid record");
        let is_kept = kept.iter().any(|key| record.key == Some(key.as_bytes()));
        if is_kept || batch.header().is_control() {
            writer.push_record(&record);
        }
    }
    writer.finish().expect("a batch of survivors");
    out
}

/// Compressed bytes depend on the library; everything else has to agree.
fn assert_same_batch(ours: &[u8], kafkas: &[u8]) {
    let mut our_header = header_of(ours);
    let kafkas_header = header_of(kafkas);
    if our_header.compression() == Ok(CompressionType::None) {
        assert_eq!(ours, kafkas);
    }
    our_header.batch_length = kafkas_header.batch_length;
    our_header.crc = kafkas_header.crc;
    assert_eq!(our_header, kafkas_header);
    assert_eq!(read(ours), read(kafkas));
}

#[test]
fn fresh_batches_of_every_codec_are_read() {
    for codec in CompressionType::ALL {
        let bytes = fixture(&format!("fresh-{codec}"));
        let header = header_of(&bytes);
        assert_eq!(header.compression(), Ok(codec));
        assert_eq!(
            (
                header.base_offset,
                header.last_offset(),
                header.record_count
            ),
            (100, 105, 4)
        );
        assert_eq!(
            (header.base_timestamp, header.max_timestamp),
            (1_000, 2_000)
        );
        assert!(!header.has_producer_id() && !header.is_transactional() && !header.is_control());
        assert_eq!(header.last_sequence(), -1);
        assert_eq!(header.to_bytes(), bytes[..61]);
        assert_eq!(read(&bytes), Ok(fresh_records()), "{codec}");
    }
}

#[test]
fn several_blocks_of_every_codec_are_read() {
    for codec in &CompressionType::ALL[1..] {
        let bytes = fixture(&format!("large-{codec}"));
        let header = header_of(&bytes);
        assert_eq!((header.producer_id, header.producer_epoch), (4242, 3));
        assert_eq!((header.base_sequence, header.last_sequence()), (17, 3_016));
        assert!(header.is_transactional());
        assert_eq!(read(&bytes), Ok(large_records()), "{codec}");
    }
}

#[test]
fn fresh_batches_are_written_like_kafka_does() {
    for compression in CompressionType::ALL {
        let spec = BatchSpec {
            base_offset: 100,
            compression,
            leader_epoch: 9,
            ..BatchSpec::default()
        };
        let kafkas = fixture(&format!("fresh-{compression}"));
        assert_same_batch(&build(spec, &fresh_records()), &kafkas);
    }
}

/// Kafka's own encoders and ours need not agree; for Snappy and LZ4 the frames around the blocks do.
#[test]
fn snappy_and_lz4_frames_begin_like_kafkas() {
    for (compression, frame_header_bytes) in
        [(CompressionType::Snappy, 16), (CompressionType::Lz4, 7)]
    {
        let ours = build(dirty_spec(compression), &[record(100, 1, "a", Some("b"))]);
        let kafkas = fixture(&format!("dirty-{compression}"));
        let frame = 61..61 + frame_header_bytes;
        assert_eq!(ours[frame.clone()], kafkas[frame]);
    }
}

#[test]
fn a_cleaned_tombstone_is_stamped_like_kafka_does() {
    for codec in CompressionType::ALL {
        let dirty = fixture(&format!("dirty-{codec}"));
        let ours = clean(&dirty, Some(HORIZON_MS), &["a", "b"]);
        assert_same_batch(&ours, &fixture(&format!("cleaned-tombstone-{codec}")));

        let header = header_of(&ours);
        assert_eq!(
            (
                header.base_offset,
                header.last_offset(),
                header.record_count
            ),
            (100, 102, 2)
        );
        assert_eq!(
            header.attributes & !7,
            0x50,
            "delete horizon and transactional"
        );
        assert_eq!(
            (header.base_timestamp, header.max_timestamp),
            (HORIZON_MS, 2_000)
        );
        assert_eq!(header.delete_horizon_ms(), Some(HORIZON_MS));
        let expected = vec![
            record(100, 1_000, "a", Some("kept")),
            record(101, 2_000, "b", None),
        ];
        assert_eq!(read(&ours), Ok(expected));
    }
}

#[test]
fn survivors_without_tombstones_have_no_horizon() {
    for codec in CompressionType::ALL {
        let dirty = fixture(&format!("dirty-{codec}"));
        let ours = clean(&dirty, None, &["c"]);
        assert_same_batch(&ours, &fixture(&format!("cleaned-plain-{codec}")));
        let header = header_of(&ours);
        assert_eq!(
            (header.base_timestamp, header.max_timestamp),
            (1_500, 1_500)
        );
        assert_eq!(header.delete_horizon_ms(), None);
    }
}

#[test]
fn a_horizon_that_is_set_is_carried_on() {
    let stamped = fixture("cleaned-tombstone-none");
    let horizon_ms = header_of(&stamped).delete_horizon_ms();
    let again = clean(&stamped, horizon_ms, &["a", "b"]);
    assert_eq!(again, stamped);
}

#[test]
fn empty_batches_are_those_of_kafka() {
    for codec in CompressionType::ALL {
        let dirty = header_of(&fixture(&format!("dirty-{codec}")));
        assert_eq!(
            empty_batch(&dirty).to_vec(),
            fixture(&format!("cleaned-empty-{codec}"))
        );
        let stamped = header_of(&fixture(&format!("cleaned-tombstone-{codec}")));
        let empty = fixture(&format!("cleaned-empty-after-horizon-{codec}"));
        assert_eq!(empty_batch(&stamped).to_vec(), empty);

        let header = header_of(&empty);
        assert_eq!(
            (
                header.record_count,
                header.size_bytes(),
                header.last_offset()
            ),
            (0, 61, 102)
        );
        assert_eq!(header.delete_horizon_ms(), None);
        assert_eq!(read(&empty), Ok(Vec::new()));
    }
}

#[test]
fn log_append_time_outlives_cleaning() {
    let bytes = fixture("log-append-time");
    let header = header_of(&bytes);
    assert_eq!(header.timestamp_type(), TimestampType::LogAppendTime);
    let timestamps: Vec<i64> = read(&bytes)
        .expect("records")
        .iter()
        .map(|r| r.timestamp)
        .collect();
    assert_eq!(timestamps, [7_777; 3]);

    let ours = clean(&bytes, Some(HORIZON_MS), &["a", "b"]);
    assert_same_batch(&ours, &fixture("log-append-time-cleaned"));
    assert_eq!(
        empty_batch(&header).to_vec(),
        fixture("log-append-time-empty")
    );
}

#[test]
fn an_appended_batch_is_edited_like_kafka_does() {
    let mut bytes = fixture("dirty-lz4");
    assign_offsets(&mut bytes, 5_000, 77);
    RecordBatch::parse(&bytes)
        .and_then(|batch| batch.verify_crc())
        .expect("outside the CRC");
    set_log_append_time(&mut bytes, 123_456_789);
    assert_eq!(bytes, fixture("dirty-lz4-appended"));
}

#[test]
fn an_emptied_marker_is_stamped_like_kafka_does() {
    for name in ["marker-commit", "marker-abort"] {
        let stamped = clean(&fixture(name), Some(HORIZON_MS), &[]);
        assert_eq!(stamped, fixture(&format!("{name}-stamped")));
    }
}
