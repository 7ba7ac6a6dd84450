//! The survivors of several batches as one batch.

use lastword_record::{
    BatchBuilder, BatchHeader, BatchSpec, CompressionType, Decompressor, RecordBatch, RecordError,
    TimestampType, set_log_append_time,
};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::round_trip;
use crate::support::{LIMIT_BYTES, OwnedRecord, batch_of, build, fixture, read, record};
use crate::survivors::{OddRecord, is_live, live, odd_batch, odd_record};

fn merge(
    spec: BatchSpec,
    sources: &[Vec<u8>],
    live: &[bool],
    last_offset: i64,
) -> Result<(BatchHeader, Vec<u8>), RecordError> {
    let mut decompressor = Decompressor::new(LIMIT_BYTES);
    let mut builder = BatchBuilder::new(spec);
    let mut by_writer = b"before".to_vec();
    let mut writer = builder.writer(&mut by_writer);
    for source in sources {
        let batch = RecordBatch::parse(source)?;
        writer.push_survivors(&batch, &mut decompressor, |index| is_live(live, index))?;
    }
    let estimated_bytes = writer.estimated_bytes();
    let written = writer.finish_at(last_offset);

    builder.reset(spec);
    for source in sources {
        let batch = RecordBatch::parse(source)?;
        builder.push_survivors(&batch, &mut decompressor, |index| is_live(live, index))?;
    }
    assert_eq!(builder.estimated_bytes(), estimated_bytes);
    let mut out = b"before".to_vec();
    let result = builder.finish_at(last_offset, &mut out);
    assert_eq!((&result, &out), (&written, &by_writer));
    let header = result.inspect_err(|_| assert_eq!(out, b"before"))?;
    if spec.compression == CompressionType::None {
        assert_eq!(out.len() - 6, estimated_bytes);
    }
    Ok((header, out))
}

fn one_by_one(
    spec: BatchSpec,
    sources: &[Vec<u8>],
    live: &[bool],
    last_offset: i64,
) -> Result<(BatchHeader, Vec<u8>), RecordError> {
    let mut decompressor = Decompressor::new(LIMIT_BYTES);
    let mut builder = BatchBuilder::new(spec);
    for source in sources {
        let batch = RecordBatch::parse(source)?;
        for (index, record) in (0..).zip(batch.records(&mut decompressor)?) {
            let record = record?;
            if is_live(live, index) {
                builder.push_record(&record);
            }
        }
    }
    let mut out = b"before".to_vec();
    let header = builder.finish_at(last_offset, &mut out)?;
    Ok((header, out))
}

fn survivors(sources: &[Vec<u8>], live: &[bool]) -> Vec<OwnedRecord> {
    let of_batch = |source: &Vec<u8>| {
        let records = (0..).zip(read(source).expect("valid records"));
        let records = records.filter(|(index, _)| is_live(live, *index));
        records.map(|(_, record)| record).collect::<Vec<_>>()
    };
    sources.iter().flat_map(of_batch).collect()
}

/// Batches one behind the other, from `base_offset` on, in all codecs.
fn sources() -> impl Strategy<Value = (i64, Vec<Vec<u8>>)> {
    let batch = (0..5u8, 0..1_000i64, -1..9i64, round_trip::records());
    (0..1i64 << 50, vec(batch, 1..5)).prop_map(|(base_offset, batches)| {
        let mut next_offset = base_offset;
        let mut sources = Vec::new();
        for (codec, gap, producer_id, mut records) in batches {
            let spec = BatchSpec {
                base_offset: next_offset + gap,
                compression: CompressionType::from_id(codec).unwrap_or_default(),
                producer_id,
                producer_epoch: 3,
                base_sequence: 7,
                leader_epoch: 2,
                is_transactional: producer_id > 4,
                ..BatchSpec::default()
            };
            for record in &mut records {
                record.offset += spec.base_offset;
            }
            next_offset = records.last().map_or(next_offset, |last| last.offset + 1);
            sources.push(build(spec, &records));
        }
        (base_offset, sources)
    })
}

fn spec(base_offset: i64, compression: CompressionType) -> BatchSpec {
    BatchSpec {
        base_offset,
        compression,
        leader_epoch: 4,
        ..BatchSpec::default()
    }
}

#[test]
fn survivors_of_batches_kafka_wrote_become_one_batch() {
    let sources: Vec<Vec<u8>> = ["none", "gzip", "snappy", "lz4", "zstd"]
        .iter()
        .scan(0, |next_offset, codec| {
            let mut bytes = fixture(&format!("dirty-{codec}"));
            lastword_record::assign_offsets(&mut bytes, *next_offset, 0);
            let batch = RecordBatch::parse(&bytes).expect("a whole batch");
            *next_offset = batch.header().next_offset();
            Some(bytes)
        })
        .collect();
    let last = RecordBatch::parse(&sources[4]).expect("a whole batch");
    let last_offset = last.header().last_offset();
    let live = [true, false, true];
    let expected = survivors(&sources, &live);
    for compression in CompressionType::ALL {
        let (header, out) =
            merge(spec(0, compression), &sources, &live, last_offset).expect("a valid batch");
        assert_eq!(read(&out[6..]), Ok(expected.clone()));
        assert_eq!(header.last_offset(), last_offset);
        assert_eq!(header.compression(), Ok(compression));
        let none = (
            header.producer_id,
            header.producer_epoch,
            header.base_sequence,
        );
        assert_eq!(none, (-1, -1, -1));
        assert!(!header.is_transactional() && header.delete_horizon_ms().is_none());
        assert_eq!(header.base_timestamp, expected[0].timestamp);
    }
}

#[test]
fn a_stamped_source_keeps_the_timestamps_of_its_records() {
    let bytes = fixture("cleaned-tombstone-none");
    let batch = RecordBatch::parse(&bytes).expect("a whole batch");
    assert!(batch.header().delete_horizon_ms().is_some());
    let spec = spec(batch.header().base_offset, CompressionType::None);
    let last_offset = batch.header().last_offset();
    let sources = [bytes];
    let (header, out) = merge(spec, &sources, &[true], last_offset).expect("a valid batch");
    assert_eq!(header.delete_horizon_ms(), None);
    assert_eq!(read(&out[6..]), Ok(survivors(&sources, &[true])));
}

#[test]
fn what_cannot_be_one_batch_is_refused_and_the_builder_goes_on() {
    let at = |offset: i64| {
        let spec = spec(offset, CompressionType::None);
        build(spec, &[record(offset, 9, "k", Some("v"))])
    };
    let mut log_append_time = at(5);
    set_log_append_time(&mut log_append_time, 9);
    let control = build(
        BatchSpec {
            is_control: true,
            ..spec(5, CompressionType::None)
        },
        &[record(5, 9, "k", None)],
    );
    let mut far = at(5);
    lastword_record::assign_offsets(&mut far, 1 << 33, 0);
    let half = batch_of(0, 9, 2, &[12, 0, 0, 8, 1, 1, 0, 12, 0, 0, 2, 1, 1, 0]);

    for refused in [log_append_time, control, far, at(3), half] {
        let mut decompressor = Decompressor::new(LIMIT_BYTES);
        let mut builder = BatchBuilder::new(spec(4, CompressionType::None));
        let mut push = |bytes: &[u8]| {
            let batch = RecordBatch::parse(bytes).expect("a whole batch");
            builder.push_survivors(&batch, &mut decompressor, |_| true)
        };
        assert_eq!(push(&at(4)), Ok(()));
        let error = push(&refused);
        assert!(error.is_err());
        assert_eq!(push(&at(6)), Ok(()));
        let mut out = Vec::new();
        builder.finish_at(6, &mut out).expect("a valid batch");
        let (_, expected) =
            merge(spec(4, CompressionType::None), &[at(4), at(6)], &[true], 6).expect("two");
        assert_eq!(out, expected[6..]);
    }
}

#[test]
fn batches_of_one_log_append_time_become_one_and_others_do_not() {
    let spec = BatchSpec {
        timestamp_type: TimestampType::LogAppendTime,
        ..BatchSpec::default()
    };
    let at = |offset: i64, timestamp_ms| {
        let records = [
            record(offset, 1, "k", None),
            record(offset + 1, 5, "l", None),
        ];
        let base_offset = offset;
        let mut bytes = build(
            BatchSpec {
                base_offset,
                ..spec
            },
            &records,
        );
        set_log_append_time(&mut bytes, timestamp_ms);
        bytes
    };
    let sources = [at(0, 70), at(2, 70)];
    let (header, out) = merge(spec, &sources, &[true], 3).expect("a valid batch");
    assert_eq!((header.base_timestamp, header.max_timestamp), (70, 70));
    assert_eq!(read(&out[6..]), Ok(survivors(&sources, &[true])));
    let error = merge(spec, &[at(0, 70), at(2, 71)], &[true], 3);
    assert!(
        matches!(error, Err(RecordError::InvalidBatch { .. })),
        "{error:?}"
    );
}

#[test]
fn a_last_offset_before_a_record_or_too_far_is_refused() {
    let source = build(
        BatchSpec::default(),
        &[record(0, 0, "k", None), record(7, 0, "l", None)],
    );
    let merge_to = |last_offset| {
        let merged = merge(
            BatchSpec::default(),
            std::slice::from_ref(&source),
            &[true],
            last_offset,
        );
        merged.map(|(header, _)| header.last_offset())
    };
    for last_offset in [7, 8, i64::from(i32::MAX)] {
        assert_eq!(merge_to(last_offset), Ok(last_offset));
    }
    for last_offset in [i64::MIN, -1, 6, 1 << 31, i64::MAX] {
        let error = merge_to(last_offset);
        assert!(
            matches!(error, Err(RecordError::InvalidBatch { .. })),
            "{last_offset}: {error:?}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..Default::default() })]

    #[test]
    fn merged_survivors_are_the_survivors(
        (base_offset, sources) in sources(), live in live(), codec in 0..5u8, room in 0..99i64,
    ) {
        let spec = spec(base_offset, CompressionType::from_id(codec).unwrap_or_default());
        let last = sources.last().expect("a source");
        let last = RecordBatch::parse(last).expect("a whole batch");
        let last_offset = last.header().last_offset() + room;
        let merged = merge(spec, &sources, &live, last_offset);
        prop_assert_eq!(&merged, &one_by_one(spec, &sources, &live, last_offset));

        let expected = survivors(&sources, &live);
        if let Ok((header, out)) = merged {
            let batch = RecordBatch::parse(&out[6..]).expect("a whole batch");
            prop_assert_eq!(batch.verify_crc(), Ok(()));
            prop_assert_eq!(header.last_offset(), last_offset);
            prop_assert_eq!(header.base_offset, base_offset);
            prop_assert_eq!(header.base_timestamp, expected[0].timestamp);
            prop_assert_eq!(Some(header.max_timestamp), expected.iter().map(|r| r.timestamp).max());
            prop_assert_eq!(read(&out[6..]), Ok(expected));
        } else {
            prop_assert!(expected.is_empty());
        }
    }

    #[test]
    fn odd_sources_are_merged_as_they_are_pushed(
        batches in vec((vec(odd_record(), 1..8), any::<i64>()), 1..4), live in live(),
    ) {
        let mut next_offset = 0;
        let of_batch = |(records, base_timestamp): (Vec<OddRecord>, i64)| {
            let mut bytes = odd_batch(0, base_timestamp, &records);
            lastword_record::assign_offsets(&mut bytes, next_offset, 0);
            let batch = RecordBatch::parse(&bytes).expect("a whole batch");
            next_offset = batch.header().next_offset();
            bytes
        };
        let sources: Vec<Vec<u8>> = batches.into_iter().map(of_batch).collect();
        let merged = merge(BatchSpec::default(), &sources, &live, next_offset);
        prop_assert_eq!(merged, one_by_one(BatchSpec::default(), &sources, &live, next_offset));
    }
}
