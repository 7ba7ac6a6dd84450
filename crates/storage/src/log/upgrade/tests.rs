//! When one segment becomes several. What the limits of a file are cannot be reached in a test from outside.

use lastword_record::{BatchSpec, CompressionType, Compressor, LegacyMessage};

use super::*;
use crate::clock::Clock;
use crate::dir::SimDir;
use crate::file_name::LIVE;
use crate::segment::AbortedTransaction;

const PARTITION: &str = "t-0";
const SETTINGS: IndexSettings = IndexSettings {
    index_interval_bytes: 100,
    segment_index_bytes: 10 << 20,
};

/// A message of magic 0 without a key, by its layout.
fn message(offset: i64, codec: CompressionType, value: &[u8]) -> Vec<u8> {
    let mut body = vec![0, codec.id()];
    body.extend((-1i32).to_be_bytes());
    body.extend((value.len() as i32).to_be_bytes());
    body.extend(value);
    let mut crc = u32::MAX;
    for byte in &body {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ if crc & 1 == 1 { 0xedb8_8320 } else { 0 };
        }
    }
    let mut bytes = offset.to_be_bytes().to_vec();
    bytes.extend((body.len() as i32 + 4).to_be_bytes());
    bytes.extend((!crc).to_be_bytes());
    bytes.extend(body);
    assert!(LegacyMessage::parse(&bytes).is_ok());
    bytes
}

fn plain(offset: i64) -> Vec<u8> {
    message(
        offset,
        CompressionType::None,
        format!("value {offset}").as_bytes(),
    )
}

/// Base offset, size and the offsets in it.
type Output = (i64, u32, Vec<i64>);

fn directory() -> Arc<dyn Dir> {
    let dir = SimDir::with_clock(Clock::manual(1_000));
    dir.create_dir(PARTITION).expect("created");
    Arc::new(dir)
}

fn put(dir: &dyn Dir, base_offset: i64, extension: &str, bytes: &[u8]) {
    let path = format!("{PARTITION}/{base_offset:020}{extension}");
    let file = dir.create(&path).expect("created");
    file.write_all_at(bytes, 0).expect("written");
}

fn open(dir: &Arc<dyn Dir>, base_offset: i64) -> Segment {
    let dir = Arc::clone(dir);
    Segment::open(dir, PARTITION, base_offset, LIVE, SETTINGS, 1_000).expect("opened")
}

/// The outputs, opened.
fn convert_segment(
    dir: &Arc<dyn Dir>,
    input: &Segment,
    segment_bytes: u64,
) -> Result<Vec<Segment>, StorageError> {
    let upgrade = Upgrade {
        dir,
        partition_dir: PARTITION,
        settings: SETTINGS,
        now_ms: 1_000,
        max_decompressed_bytes: 1 << 20,
        segment_bytes,
    };
    let end = End::Sealed {
        next_base_offset: i64::MAX,
    };
    let bases = upgrade.in_place(input, end)?;
    let bases = bases.expect("there are legacy messages").into_iter();
    Ok(bases.map(|base_offset| open(dir, base_offset)).collect())
}

fn convert(
    base_offset: i64,
    bytes: &[u8],
    segment_bytes: u64,
) -> Result<Vec<Output>, StorageError> {
    let dir = directory();
    put(&*dir, base_offset, ".log", bytes);
    let outputs = convert_segment(&dir, &open(&dir, base_offset), segment_bytes)?;
    let outputs = outputs.iter().map(|output| {
        assert!(!output.needs_recovery());
        let mut offsets = Vec::new();
        let mut scan = output.scan_headers(0, output.size_bytes());
        while let Some(batch) = scan.next_batch().expect("magic 2") {
            offsets.extend(batch.header.base_offset..=batch.header.last_offset());
        }
        (output.base_offset(), output.size_bytes(), offsets)
    });
    Ok(outputs.collect())
}

#[test]
fn outputs_end_where_the_next_batch_would_exceed_a_file() {
    let bytes: Vec<u8> = (10..20).flat_map(plain).collect();
    let batch_bytes = 61 + 6 + 9;
    let converted = convert(10, &bytes, 3 * batch_bytes + 1).expect("converted");
    let expected = [
        (10, 3, vec![10, 11, 12]),
        (13, 3, vec![13, 14, 15]),
        (16, 3, vec![16, 17, 18]),
        (19, 1, vec![19]),
    ];
    let expected =
        expected.map(|(base, batches, offsets)| (base, batches * batch_bytes as u32, offsets));
    assert_eq!(converted, expected);
}

#[test]
fn a_batch_that_is_larger_than_the_limit_is_alone() {
    let bytes: Vec<u8> = (0..3).flat_map(plain).collect();
    let converted = convert(0, &bytes, 1).expect("converted");
    let bases: Vec<i64> = converted.iter().map(|(base, ..)| *base).collect();
    assert_eq!(bases, [0, 1, 2]);
}

#[test]
fn offsets_that_an_index_cannot_hold_go_to_another_segment() {
    let far = (1 << 31) + 7;
    let bytes: Vec<u8> = [5, 6, far, far + 1].into_iter().flat_map(plain).collect();
    let converted = convert(5, &bytes, MAX_SEGMENT_BYTES).expect("converted");
    let found: Vec<_> = converted
        .into_iter()
        .map(|(base, _, offsets)| (base, offsets))
        .collect();
    assert_eq!(found, [(5, vec![5, 6]), (far, vec![far, far + 1])]);
}

#[test]
fn a_wrapper_that_spans_more_offsets_than_a_batch_can_is_refused() {
    let far = 1i64 << 33;
    let mut compressed = Vec::new();
    Compressor::new()
        .compress(
            CompressionType::Gzip,
            None,
            &[plain(5), plain(far)].concat(),
            &mut compressed,
        )
        .expect("compressible");
    let wrapper = message(far, CompressionType::Gzip, &compressed);
    let refused = convert(5, &wrapper, MAX_SEGMENT_BYTES).expect_err("refused");
    assert!(refused.to_string().contains("too far apart"), "{refused}");
}

#[test]
fn aborted_transactions_go_with_their_markers() {
    let marker_like = |base_offset| {
        let mut builder = lastword_record::BatchBuilder::new(BatchSpec {
            base_offset,
            ..BatchSpec::default()
        });
        builder.push(base_offset, 1_000, None, Some(b"v"), &[]);
        let mut bytes = Vec::new();
        builder.finish(&mut bytes).expect("a batch");
        bytes
    };
    let aborted = |last_offset| AbortedTransaction {
        producer_id: 9,
        first_offset: last_offset - 1,
        last_offset,
        last_stable_offset: last_offset + 1,
    };
    // Old messages in between, so that the opening finds no fault with the end of the file.
    let bytes = [
        marker_like(0),
        plain(1),
        marker_like(2),
        plain(3),
        marker_like(4),
    ]
    .concat();
    let last = bytes.len() - marker_like(4).len();
    let dir = directory();
    put(&*dir, 0, ".log", &bytes);
    let entry = [4u32.to_be_bytes(), (last as u32).to_be_bytes()].concat();
    put(&*dir, 0, ".index", &entry);
    put(&*dir, 0, ".timeindex", &[]);
    let input = open(&dir, 0);
    assert!(!input.needs_recovery());
    for last_offset in [0, 2, 4] {
        input
            .append_aborted(&aborted(last_offset))
            .expect("written");
    }
    let mut found = Vec::new();
    for output in convert_segment(&dir, &input, 160).expect("converted") {
        let entries = output.transaction_index().entries().expect("read");
        found.extend(
            entries
                .into_iter()
                .map(|entry| (output.base_offset(), entry)),
        );
    }
    assert_eq!(found, [(0, aborted(0)), (2, aborted(2)), (4, aborted(4))]);
}
