//! Lookups give what a walk over all records gives, with good indexes and with damaged ones.

use lastword_record::Decompressor;
use lastword_storage::segment::{BatchPosition, IndexSettings};

use super::*;

fn all_batches(segment: &Segment) -> Vec<BatchPosition> {
    let mut scan = segment.scan_headers(0, segment.size_bytes());
    std::iter::from_fn(|| scan.next_batch().unwrap()).collect()
}

fn check_lookups(segment: &Segment, records: &[(i64, i64)], context: &str) {
    let batches = all_batches(segment);
    for offset in BASE_OFFSET - 2..segment.next_offset() + 2 {
        let expected = batches
            .iter()
            .find(|batch| batch.header.last_offset() >= offset);
        assert_eq!(
            segment.position_of(offset).unwrap().as_ref(),
            expected,
            "{context}, offset {offset}"
        );
    }
    let mut decompressor = Decompressor::new(1 << 20);
    for timestamp in (990..1_310).step_by(7) {
        for from_offset in [0, BASE_OFFSET + 10, segment.next_offset()] {
            let expected = records
                .iter()
                .find(|(offset, at)| *at >= timestamp && *offset >= from_offset);
            let found = segment
                .offset_for_timestamp(timestamp, from_offset, &mut decompressor)
                .unwrap();
            let found_record = found.map(|found| (found.offset, found.timestamp));
            assert_eq!(
                found_record,
                expected.copied(),
                "{context}, timestamp {timestamp} from {from_offset}"
            );
            assert!(found.is_none_or(|found| found.leader_epoch == 3));
        }
    }
}

#[test]
fn lookups_agree_with_a_walk_over_all_records() {
    for seed in 0..20 {
        let mut random = Random(seed);
        let dir = partition();
        let settings = IndexSettings {
            index_interval_bytes: random.below(1_000) as u32,
            ..DENSE
        };
        let segment = create(&dir, settings);
        let records = random_records(&segment, &mut random, 60);
        check_lookups(&segment, &records, &format!("seed {seed}"));
        segment.seal().unwrap();
        check_lookups(
            &open(&dir, settings),
            &records,
            &format!("seed {seed}, opened again"),
        );
    }
}

#[test]
fn a_flipped_bit_in_an_index_never_changes_an_answer() {
    let dir = partition();
    let mut random = Random(7);
    let segment = create(
        &dir,
        IndexSettings {
            index_interval_bytes: 300,
            ..DENSE
        },
    );
    let records = random_records(&segment, &mut random, 40);
    segment.seal().unwrap();
    for path in [INDEX, TIME_INDEX] {
        for bit in 0..bytes_of(&dir, path).len() as u64 * 8 {
            // In a running segment, and in one that is opened with the damage.
            dir.flip_bit(path, bit).unwrap();
            check_lookups(&segment, &records, &format!("{path}, bit {bit}"));
            dir.flip_bit(path, bit).unwrap();
        }
    }
}

#[test]
fn a_flipped_bit_in_an_index_is_survived_by_opening() {
    let dir = partition();
    let mut random = Random(8);
    let settings = IndexSettings {
        index_interval_bytes: 300,
        ..DENSE
    };
    let segment = create(&dir, settings);
    let records = random_records(&segment, &mut random, 40);
    segment.seal().unwrap();
    dir.sync_file_system().unwrap();
    for path in [INDEX, TIME_INDEX] {
        for bit in 0..bytes_of(&dir, path).len() as u64 * 8 {
            let damaged = dir.crash(lastword_storage::dir::CrashModel::Killed, 0);
            damaged.flip_bit(path, bit).unwrap();
            let opened = open(&damaged, settings);
            assert_eq!(opened.next_offset(), segment.next_offset());
            check_lookups(&opened, &records, &format!("{path}, bit {bit}"));
        }
    }
}

#[test]
fn a_damaged_batch_hides_no_more_than_the_batches_up_to_the_next_entry() {
    let dir = partition();
    let segment = create(&dir, DENSE);
    for offset in 100..120 {
        append(&segment, &single(offset, offset, 50));
    }
    let batches = all_batches(&segment);
    // The magic byte of the batch at offset 110.
    dir.flip_bit(LOG, (u64::from(batches[10].position) + 16) * 8)
        .unwrap();
    for offset in (100..110).chain(111..120) {
        let found = segment.position_of(offset).unwrap().unwrap();
        assert_eq!(found.header.base_offset, offset);
    }
    match segment.position_of(110) {
        Err(StorageError::CorruptSegment { file, position, .. }) => {
            assert_eq!(
                (file.as_str(), position),
                (LOG, u64::from(batches[10].position))
            );
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_timestamp_is_not_looked_up_in_a_batch_with_a_bad_checksum() {
    let dir = partition();
    let segment = create(&dir, DENSE);
    append(&segment, &single(100, 50, 50));
    dir.flip_bit(LOG, 100 * 8).unwrap();
    let found = segment.offset_for_timestamp(10, 0, &mut Decompressor::new(1 << 20));
    assert!(
        matches!(found, Err(StorageError::CorruptSegment { position: 0, .. })),
        "{found:?}"
    );
}

#[test]
fn a_scan_gives_every_batch_whatever_its_buffer() {
    let mut random = Random(3);
    let dir = partition();
    let segment = create(&dir, DENSE);
    random_records(&segment, &mut random, 50);
    let big = vec![(segment.next_offset(), 1)];
    append(&segment, &batch(&big, 100_000, CompressionType::None));
    append(&segment, &single(segment.next_offset(), 1, 10));
    let expected: Vec<_> = all_batches(&segment)
        .iter()
        .map(|batch| (batch.position, batch.header))
        .collect();
    for buffer_bytes in [1, 61, 100, 1_000, 50_000, 1 << 20] {
        let mut scan = segment
            .scan(0, segment.size_bytes(), buffer_bytes)
            .leaving_cache_as_found();
        let mut found = Vec::new();
        while let Some((position, batch)) = scan.next_batch().unwrap() {
            batch.verify_crc().unwrap();
            found.push((position, *batch.header()));
        }
        assert_eq!(found, expected, "buffer {buffer_bytes}");
        let size_bytes = u64::from(segment.size_bytes());
        assert_eq!(scan.bytes_read(), size_bytes, "no byte is read twice");
    }
}

#[test]
fn a_scan_skips_batches_without_reading_them() {
    let mut random = Random(5);
    let dir = partition();
    let segment = create(&dir, DENSE);
    random_records(&segment, &mut random, 50);
    let batches = all_batches(&segment);
    let end = segment.size_bytes();
    for buffer_bytes in [100, 1_000, 1 << 20] {
        let mut scan = segment.scan(0, end, buffer_bytes);
        let (mut index, mut wanted_bytes) = (0, 0);
        while index < batches.len() {
            let run = 1 + random.below(4) as usize;
            let last = (index + run).min(batches.len()) - 1;
            scan.seek(batches[index].position..batches[last].end());
            for batch in &batches[index..=last] {
                let (position, found) = scan.next_batch().unwrap().unwrap();
                found.verify_crc().unwrap();
                assert_eq!((position, *found.header()), (batch.position, batch.header));
                wanted_bytes += u64::from(batch.size_bytes);
            }
            assert!(scan.next_batch().unwrap().is_none());
            index = last + 1 + random.below(6) as usize;
        }
        assert_eq!(scan.bytes_read(), wanted_bytes, "buffer {buffer_bytes}");
    }

    // What the buffer holds already is not read again, and there is no way back.
    let mut scan = segment.scan(0, end, 1 << 20);
    scan.next_batch().unwrap();
    let third = &batches[3];
    scan.seek(third.position..end);
    scan.seek(0..end);
    assert_eq!(scan.next_batch().unwrap().unwrap().0, third.position);
    assert_eq!(scan.bytes_read(), u64::from(end));
}

#[test]
fn a_scan_that_has_skipped_still_checks_the_order_of_offsets() {
    let dir = partition();
    let segment = create(&dir, DENSE);
    let (first, skipped) = (single(100, 1, 10), single(101, 1, 10));
    append(&segment, &first);
    append(&segment, &skipped);
    append(&segment, &single(102, 1, 10));
    let end = segment.size_bytes();
    let third = (first.len() + skipped.len()) as u32;
    // The last batch says that it begins where the first one did.
    let log = dir.open(LOG).unwrap();
    log.write_all_at(&100_i64.to_be_bytes(), third.into())
        .unwrap();
    let mut scan = segment.scan(0, end, 1);
    scan.next_batch().unwrap();
    scan.seek(third..end);
    let error = scan.next_batch().unwrap_err();
    assert!(error.to_string().contains("offsets 100 to 100"), "{error}");
    assert_eq!(scan.position(), third);
}

#[test]
fn a_reader_sees_no_byte_beyond_the_published_size() {
    let dir = partition();
    let segment = create(&dir, DENSE);
    let batch = single(100, 1, 10);
    append(&segment, &batch);
    let mut buf = vec![0; 1_000];
    dir.open(LOG)
        .unwrap()
        .write_all_at(&[9; 100], batch.len() as u64)
        .unwrap();
    assert_eq!(segment.read_at(&mut buf, 0).unwrap(), batch.len());
    assert_eq!(segment.read_at(&mut buf, 10).unwrap(), batch.len() - 10);
    assert_eq!(segment.read_at(&mut buf, 5_000).unwrap(), 0);
}

#[test]
fn a_detached_segment_never_reads_the_files_of_its_successor() {
    let dir = partition();
    let old = create(&dir, DENSE);
    for offset in 100..200 {
        append(&old, &single(offset, offset, 20));
    }
    old.seal().unwrap();
    drop(old);
    let old = open(&dir, DENSE);
    old.detach();
    // A cleaned segment takes the names: fewer and larger batches.
    for name in [LOG, INDEX, TIME_INDEX] {
        dir.remove(name).unwrap();
    }
    let new = create(&dir, DENSE);
    append(&new, &single(150, 150, 900));
    append(&new, &single(199, 199, 900));
    for offset in 100..200 {
        let found = old.position_of(offset).unwrap().unwrap();
        assert_eq!(found.header.base_offset, offset);
    }
    assert_eq!(scan_all(&old).len(), 100);
}
