//! One builder for many batches, and what it refuses.

use lastword_record::{
    BatchBuilder, BatchSpec, CompressionType, Decompressor, RecordBatch, RecordError,
};

use crate::support::{OwnedRecord, build, push, read, record};

fn records() -> Vec<OwnedRecord> {
    (0..50)
        .map(|i| record(i * 3, 1_000 - i, &format!("k{i}"), Some("some value")))
        .collect()
}

fn spec(compression: CompressionType) -> BatchSpec {
    BatchSpec {
        compression,
        ..BatchSpec::default()
    }
}

#[test]
fn a_builder_used_again_writes_the_same_bytes() {
    let mut builder = BatchBuilder::new(BatchSpec::default());
    for _ in 0..3 {
        for compression in CompressionType::ALL {
            builder.reset(spec(compression));
            for record in &records() {
                push(&mut builder, record);
            }
            assert_eq!(builder.record_count(), 50);
            let mut out = Vec::new();
            builder.finish(&mut out).expect("a valid batch");
            assert_eq!(out, build(spec(compression), &records()));
            assert_eq!(builder.record_count(), 0);
        }
    }
}

#[test]
fn a_writer_appends_what_a_builder_would() {
    for compression in CompressionType::ALL {
        let source = build(spec(compression), &records());
        let batch = RecordBatch::parse(&source).expect("a whole batch");
        let mut decompressor = Decompressor::new(1 << 20);

        let mut by_builder = b"before".to_vec();
        let mut builder = BatchBuilder::rebuild(batch.header(), None);
        for record in batch
            .records(&mut decompressor)
            .expect("records")
            .step_by(2)
        {
            builder.push_record(&record.expect("a valid record"));
        }
        builder.finish(&mut by_builder).expect("a valid batch");

        let mut by_writer = b"before".to_vec();
        builder.reset_rebuild(batch.header(), None);
        let mut writer = builder.writer(&mut by_writer);
        for record in batch
            .records(&mut decompressor)
            .expect("records")
            .step_by(2)
        {
            writer.push_record(&record.expect("a valid record"));
        }
        assert_eq!(writer.record_count(), 25);
        writer.finish().expect("a valid batch");
        assert_eq!(by_writer, by_builder);

        let rebuilt = RecordBatch::parse(&by_writer[6..]).expect("a whole batch");
        rebuilt.verify_crc().expect("a right CRC");
        assert_eq!(
            rebuilt.header().last_offset(),
            147,
            "the last survivor is 144"
        );
        let survivors: Vec<OwnedRecord> = records().into_iter().step_by(2).collect();
        assert_eq!(read(&by_writer[6..]), Ok(survivors));
    }
}

#[test]
fn a_writer_dropped_takes_its_bytes_back() {
    let source = build(BatchSpec::default(), &records());
    let batch = RecordBatch::parse(&source).expect("a whole batch");
    let mut decompressor = Decompressor::new(0);
    let mut out = b"before".to_vec();
    let mut builder = BatchBuilder::rebuild(batch.header(), None);
    let mut writer = builder.writer(&mut out);
    for record in batch.records(&mut decompressor).expect("records") {
        writer.push_record(&record.expect("a valid record"));
    }
    drop(writer);
    assert_eq!(out, b"before");
    let nothing = builder.writer(&mut out).finish();
    assert!(matches!(nothing, Err(RecordError::InvalidBatch { .. })));
    assert_eq!(out, b"before");
}

#[test]
fn what_makes_no_batch_is_refused_and_leaves_the_output_alone() {
    let cases: [&[i64]; 4] = [&[], &[99], &[102, 101], &[100, 100 + (1 << 31)]];
    for offsets in cases {
        let mut builder = BatchBuilder::new(BatchSpec {
            base_offset: 100,
            ..Default::default()
        });
        for &offset in offsets {
            builder.push(offset, 0, None, None, &[]);
        }
        let mut out = b"before".to_vec();
        let result = builder.finish(&mut out);
        assert!(
            matches!(result, Err(RecordError::InvalidBatch { .. })),
            "{offsets:?}"
        );
        assert_eq!(out, b"before");
    }
}

#[test]
fn a_rebuilt_batch_refuses_offsets_it_never_had() {
    let source = build(BatchSpec::default(), &records());
    let header = *RecordBatch::parse(&source).expect("a whole batch").header();
    let mut builder = BatchBuilder::rebuild(&header, None);
    builder.push(header.next_offset(), 0, None, None, &[]);
    assert!(builder.finish(&mut Vec::new()).is_err());
}

#[test]
fn an_unknown_codec_cannot_be_rebuilt() {
    let source = build(BatchSpec::default(), &records());
    let mut header = *RecordBatch::parse(&source).expect("a whole batch").header();
    header.attributes |= 7;
    let mut builder = BatchBuilder::rebuild(&header, None);
    builder.push(0, 0, None, None, &[]);
    assert_eq!(
        builder.finish(&mut Vec::new()),
        Err(RecordError::UnknownCompression(7))
    );
}

#[test]
fn the_estimate_is_the_size_without_compression() {
    let mut builder = BatchBuilder::new(BatchSpec::default());
    for record in &records() {
        push(&mut builder, record);
    }
    let estimated_bytes = builder.estimated_bytes();
    let mut out = Vec::new();
    builder.finish(&mut out).expect("a valid batch");
    assert_eq!(out.len(), estimated_bytes);
}

#[test]
fn sequences_wrap_to_zero() {
    let spec = BatchSpec {
        producer_id: 1,
        base_sequence: i32::MAX - 1,
        ..BatchSpec::default()
    };
    let three: Vec<OwnedRecord> = (0..3).map(|i| record(i, 0, "k", None)).collect();
    let bytes = build(spec, &three);
    let header = *RecordBatch::parse(&bytes).expect("a whole batch").header();
    assert_eq!(header.last_sequence(), 0);
}
