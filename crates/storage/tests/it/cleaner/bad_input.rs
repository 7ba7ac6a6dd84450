//! What nobody writes on purpose: extreme keys, offsets, timestamps and batches, damaged batches anywhere, a disk that is
//! full at any write.

use std::collections::{BTreeMap, BTreeSet};

use lastword_record::{BatchBuilder, BatchSpec, CompressionType, crc32c};
use lastword_storage::config::CleanerConfig;
use lastword_storage::dir::{Dir, read_file};
use lastword_storage::error::StorageError;

use super::key_index::stray_files;
use super::scene::{Row, Scene, batches_in, topic_partition};

const CODECS: [CompressionType; 5] = [
    CompressionType::None,
    CompressionType::Gzip,
    CompressionType::Snappy,
    CompressionType::Lz4,
    CompressionType::Zstd,
];

fn rows(scene: &Scene) -> Vec<Row> {
    scene
        .batches()
        .into_iter()
        .flat_map(|batch| batch.rows)
        .collect()
}

fn offsets(scene: &Scene) -> BTreeSet<i64> {
    rows(scene).iter().map(|row| row.offset).collect()
}

type Pair<'a> = (&'a [u8], Option<&'a [u8]>);

fn batch(base_offset: i64, compression: CompressionType, records: &[Pair<'_>]) -> Vec<u8> {
    let mut builder = BatchBuilder::new(BatchSpec {
        base_offset,
        compression,
        leader_epoch: 0,
        ..BatchSpec::default()
    });
    for ((key, value), offset) in records.iter().zip(base_offset..) {
        builder.push(offset, 1_000, Some(key), *value, &[]);
    }
    let mut bytes = Vec::new();
    builder.finish(&mut bytes).unwrap();
    bytes
}

#[test]
fn empty_keys_and_keys_of_one_byte_are_keys() {
    let mut scene = Scene::new("");
    scene.append(&batch(
        0,
        CompressionType::None,
        &[(b"", Some(b"1")), (b"\0", Some(b"1"))],
    ));
    scene.append(&batch(
        2,
        CompressionType::Lz4,
        &[(b"", Some(b"2")), (b"\xff", Some(b""))],
    ));
    scene.append(&batch(
        4,
        CompressionType::None,
        &[(b"\0", None), (b"\0\0", Some(b"1"))],
    ));
    scene.write("|");
    scene.clean_at(0);
    assert_eq!(offsets(&scene), BTreeSet::from([2, 3, 4, 5]));
    scene.clean_at(2_000);
    assert_eq!(offsets(&scene), BTreeSet::from([2, 3, 5]));
}

#[test]
fn keys_and_values_of_10_mib_are_compared_and_copied_whole() {
    let large = vec![b'k'; 10 << 20];
    let mut other = large.clone();
    *other.last_mut().unwrap() = b'l';
    let mut scene = Scene::with_config("", |config| config.max_message_bytes = 64 << 20);
    scene.append(&batch(
        0,
        CompressionType::None,
        &[(&large, Some(b"1")), (&other, Some(b"1"))],
    ));
    scene.append(&batch(
        2,
        CompressionType::Zstd,
        &[(&large, Some(&large)), (b"a", Some(&other))],
    ));
    scene.append(&batch(4, CompressionType::None, &[(b"a", Some(b"2"))]));
    scene.write("|");
    scene.clean();
    let left = rows(&scene);
    assert_eq!(
        left.iter().map(|row| row.offset).collect::<Vec<_>>(),
        [1, 2, 4]
    );
    assert!(left[0].key.as_ref() == Some(&other) && left[1].value.as_ref() == Some(&large));
}

#[test]
fn gaps_of_two_to_the_31_offsets_are_kept() {
    let max = i64::from(i32::MAX);
    let (far, further) = (max + 1, 3 * max);
    let text = format!(
        "[a1@0 b1@{max}] | c1@{far} [a2@{} d1@{}] | b2@{further} e1@{} | A: z1@{}",
        far + 1,
        far + max,
        further + max,
        10 * max
    );
    let mut scene = Scene::new(&text);
    scene.clean();
    let expected = [far, far + 1, far + max, further, further + max, 10 * max];
    assert_eq!(offsets(&scene), BTreeSet::from(expected));
    let mut scene = scene.reopened();
    scene.write(&format!("d2@{} | A: z2@{}", 10 * max + 1, 10 * max + 2));
    scene.clean();
    assert!(!offsets(&scene).contains(&(far + max)));
}

#[test]
fn batches_of_100_000_records_are_rebuilt_whatever_their_codec() {
    let mut scene = Scene::new("");
    let count = 100_000;
    let mut last = BTreeMap::new();
    for (codec, number) in CODECS.into_iter().zip(0..) {
        // Each batch keeps some of its keys.
        let key = |i: i64| format!("k{}", i % 30_000 + number * 5_000);
        let keys: Vec<String> = (0..count).map(key).collect();
        let records: Vec<Pair<'_>> = keys
            .iter()
            .map(|key| (key.as_bytes(), Some(&b"value"[..])))
            .collect();
        scene.append(&batch(number * count, codec, &records));
        last.extend(keys.into_iter().zip(number * count..));
    }
    scene.write("|");
    let stats = scene.clean();
    assert_eq!(stats.keys, last.len() as u64);
    assert_eq!(offsets(&scene), last.into_values().collect());
}

#[test]
fn a_key_with_200_000_updates_needs_no_more_memory_than_its_records() {
    let config = CleanerConfig {
        dedupe_buffer_size_bytes: 32 << 10,
        ..CleanerConfig::default()
    };
    let mut scene = Scene::with("", |_| {}, config);
    for first in (0..200_000).step_by(1_000) {
        let cold = format!("cold{first}");
        let mut records: Vec<Pair<'_>> = vec![(b"hot", Some(b"v")); 999];
        records.push((cold.as_bytes(), Some(b"v")));
        scene.append(&batch(first, CompressionType::None, &records));
    }
    scene.write("|");
    let stats = scene.clean();
    assert_eq!((stats.keys, rows(&scene).len()), (201, 201));
    assert!(
        stats.index_passes > 1 && stats.index_passes < 100,
        "{}",
        stats.index_passes
    );
    assert!(offsets(&scene).contains(&199_998));
}

#[test]
fn timestamps_before_1970_and_far_in_the_future_stay_what_they_are() {
    let far = i64::MAX - 10_000;
    let text = format!(
        "[a1@0t-1 b1@1t-1] [c1@2t0 a2@3t0] | [d1@4t{far} bT@5t{far}] e1@6t{} [fT@7t-1 d2@8t0] | A: z1@9t-1",
        i64::MAX
    );
    let mut scene = Scene::new(&text);
    scene.clean_at(0);
    let times = |scene: &Scene| -> Vec<(i64, i64)> {
        rows(scene)
            .iter()
            .map(|row| (row.offset, row.timestamp))
            .collect()
    };
    assert_eq!(
        times(&scene),
        [
            (2, 0),
            (3, 0),
            (5, far),
            (6, i64::MAX),
            (7, -1),
            (8, 0),
            (9, -1)
        ]
    );
    // The horizon goes by the clock and not by what the records say.
    scene.clean_at(2_000);
    assert_eq!(
        times(&scene),
        [(2, 0), (3, 0), (6, i64::MAX), (8, 0), (9, -1)]
    );
}

#[test]
fn a_log_of_which_nothing_is_left_goes_on() {
    let mut scene = Scene::new("[aT@0 n=x@1] bT@2 | [cT@3 dT@4]{gzip} n=y@5 |");
    scene.clean_at(0);
    scene.clean_at(0);
    scene.clean_at(5_000);
    scene.clean_at(10_000);
    // The header of the last batch stays, which says where the log ended.
    assert_eq!(offsets(&scene), BTreeSet::new(), "{}", scene.layout());
    assert_eq!(scene.log.offsets().log_end_offset, 6);
    let mut scene = scene.reopened();
    scene.write("a2@6 | A: b2@7");
    scene.clean_at(10_000);
    assert_eq!(offsets(&scene), BTreeSet::from([6, 7]));
    assert_eq!(stray_files(&scene.dir, &scene.log), [""; 0]);
}

#[test]
fn a_segment_of_markers_alone_is_cleaned_like_any_other() {
    let mut scene = Scene::new(
        "[a1@0]{p1 txn s0} [b1@1]{p2 txn s0} | C@2{p1} X@3{p2} | C@4{p1} X@5{p2} C@6{p3} | A: z1@7",
    );
    scene.clean_at(0);
    assert_eq!(offsets(&scene), BTreeSet::from([0, 2, 3, 4, 5, 6, 7]));
    scene.clean_at(2_000);
    scene.clean_at(4_000);
    let left = offsets(&scene);
    assert!(
        left.contains(&0) && left.contains(&2) && left.contains(&7),
        "{left:?}"
    );
    assert!(!left.contains(&4) && !left.contains(&5), "{left:?}");
    assert_eq!(scene.committed_map().len(), 2);
}

/// Makes the checksum right again.
fn seal(bytes: &mut [u8]) {
    let crc = crc32c(&bytes[21..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
}

fn add(bytes: &mut [u8], place: usize, change: i32) {
    let number = i32::from_be_bytes(bytes[place..place + 4].try_into().unwrap());
    bytes[place..place + 4].copy_from_slice(&(number + change).to_be_bytes());
}

const SIZE: usize = 8;
const MAGIC: usize = 16;
const ATTRIBUTES: usize = 22;
const LAST_OFFSET_DELTA: usize = 23;
const RECORD_COUNT: usize = 57;
const PAYLOAD: usize = 61;

type Damage = fn(&mut [u8]);

const DAMAGES: [(&str, Damage); 17] = [
    ("a flipped bit in a record", |bytes| bytes[PAYLOAD + 3] ^= 4),
    ("a flipped bit in the checksum", |bytes| bytes[18] ^= 1),
    ("another magic", |bytes| bytes[MAGIC] = 3),
    ("a size that is too large by a little", |bytes| {
        add(bytes, SIZE, 3)
    }),
    ("a size that is too small by a little", |bytes| {
        add(bytes, SIZE, -3)
    }),
    ("a size beyond the file", |bytes| bytes[SIZE] = 0x7f),
    ("a negative size", |bytes| bytes[SIZE] = 0xff),
    ("a record too many", |bytes| {
        add(bytes, RECORD_COUNT, 1);
        seal(bytes);
    }),
    ("a record too few", |bytes| {
        add(bytes, RECORD_COUNT, -1);
        seal(bytes);
    }),
    ("no record, it says", |bytes| {
        bytes[RECORD_COUNT..PAYLOAD].fill(0);
        seal(bytes);
    }),
    ("two billion records", |bytes| {
        bytes[RECORD_COUNT] = 0x7f;
        seal(bytes);
    }),
    ("a negative number of records", |bytes| {
        bytes[RECORD_COUNT] = 0xff;
        seal(bytes);
    }),
    ("a payload that does not decompress", |bytes| {
        bytes[ATTRIBUTES] |= 4;
        seal(bytes);
    }),
    ("an unknown codec", |bytes| {
        bytes[ATTRIBUTES] |= 7;
        seal(bytes);
    }),
    ("a record length that never ends", |bytes| {
        bytes[PAYLOAD..PAYLOAD + 6].fill(0xff);
        seal(bytes);
    }),
    ("a key beyond its record", |bytes| {
        bytes[PAYLOAD + 4] = 0x7e;
        seal(bytes);
    }),
    ("offsets that go back", |bytes| {
        add(bytes, LAST_OFFSET_DELTA, -1);
        seal(bytes);
    }),
];

/// Four segments of four batches: markers and tombstones whose horizon has passed, and keys that go through all of it.
fn layered() -> Scene {
    let mut scene = Scene::with_config(
        "[a1@0 b1@1 c1@2] [xT@3 p1@4] C@5{p9} [d1@6 q1@7] | \
         [e1@8 f1@9 g1@10] [yT@11 r1@12] C@13{p8} [h1@14 s1@15] | \
         [i1@16 j1@17 k1@18] [zT@19 t1@20] C@21{p7} [l1@22 u1@23] |",
        |config| config.segment_bytes = 500,
    );
    scene.clean_at(0);
    let survivors = scene.survivors();
    assert_eq!(survivors.matches("h1000").count(), 6, "{survivors}");
    scene.write(
        "[a2@24 e2@25 i2@26] [b2@27 f2@28 j2@29] [wT@30 v1@31] [d2@32 h2@33 l2@34] | A: o1@35",
    );
    scene.manager.checkpoint().unwrap();
    assert_eq!(scene.log.segments().len(), 5, "{}", scene.layout());
    scene
}

/// The offsets that must be left when the segment of this number says nothing of any key.
fn left_without(scene: &Scene, damaged: usize) -> BTreeSet<i64> {
    let segments = scene.log.segments();
    let sealed = segments.len() - 1;
    let (mut last, mut left) = (BTreeMap::new(), BTreeSet::new());
    for (segment, number) in segments.iter().zip(0..) {
        for batch in super::scene::batches_of(segment) {
            let horizon_has_passed = batch
                .header
                .delete_horizon_ms()
                .is_some_and(|ms| ms <= 2_000);
            for row in batch.rows {
                if number == damaged || number == sealed {
                    left.insert(row.offset);
                    continue;
                }
                let goes = row.value.is_none() || batch.header.is_control();
                if batch.header.is_control() {
                    left.extend((number > damaged || !horizon_has_passed).then_some(row.offset));
                } else {
                    let is_expired = goes && horizon_has_passed && number < damaged;
                    last.insert(row.key.clone(), (row.offset, is_expired));
                }
            }
        }
    }
    let last = last.into_values().filter(|(_, is_expired)| !is_expired);
    left.extend(last.map(|(offset, _)| offset));
    left
}

#[test]
fn a_bad_batch_anywhere_isolates_its_segment_and_nothing_else() {
    let template = layered();
    let segments = template.log.segments();
    for (segment, number) in segments.as_slice()[..segments.len() - 1].iter().zip(0..) {
        let name = segment.log_path();
        let whole = read_file(&*template.dir, &name).unwrap();
        let batches = batches_in(&whole);
        let expected = left_without(&template, number);
        let mut position = 0;
        for (batch, index) in batches.iter().zip(0..) {
            for (what, damage) in DAMAGES {
                let is_single = batch.rows.len() < 2;
                if is_single && matches!(what, "offsets that go back" | "a record too few") {
                    continue;
                }
                let context = format!("{what}, batch {index} of {name}");
                let mut scene = template.copied();
                scene.set_clock(2_000);
                let mut bytes = batch.bytes.clone();
                damage(&mut bytes);
                let file = scene.dir.open(&name).unwrap();
                file.write_all_at(&bytes, position).unwrap();
                let damaged = read_file(&*scene.dir, &name).unwrap();
                assert_ne!(damaged, whole, "{context}");
                let stats = scene.cleaner.clean_now(&topic_partition()).expect(&context);
                assert_eq!(stats.segments_isolated, 1, "{context}");
                assert_eq!(stats.dead.superseded > 0, number < 3, "{context}");
                let status = scene.cleaner.status_of(&topic_partition()).unwrap();
                let [isolated] = status.isolated_segments.as_slice() else {
                    panic!("{context}: {:?}", status.isolated_segments);
                };
                assert_eq!(isolated.file, name, "{context}");
                let place = format!("at position {position}:");
                assert!(
                    isolated.damage.starts_with(&place),
                    "{context}: {isolated:?}"
                );
                assert!(
                    read_file(&*scene.dir, &name).unwrap() == damaged,
                    "{context}"
                );
                // Repaired, everything can be read again.
                file.write_all_at(&batch.bytes, position).unwrap();
                assert_eq!(offsets(&scene), expected, "{context}: {}", scene.layout());
                assert_eq!(stray_files(&scene.dir, &scene.log), [""; 0]);
                scene.clean_at(2_000);
                assert_eq!(scene.committed_map(), template.committed_map(), "{context}");
            }
            position += batch.bytes.len() as u64;
        }
    }
}

#[test]
fn damage_after_a_key_index_was_built_is_never_copied() {
    let template = layered();
    template.cleaner.dry_run(&topic_partition()).unwrap();
    let segments = template.log.segments();
    let mut isolated = 0;
    for segment in &segments.as_slice()[..segments.len() - 1] {
        let name = segment.log_path();
        let mut position = 0;
        for batch in super::scene::batches_of(segment) {
            for (what, damage) in DAMAGES {
                let scene = template.copied();
                scene.set_clock(2_000);
                let mut bytes = batch.bytes.clone();
                damage(&mut bytes);
                let file = scene.dir.open(&name).unwrap();
                file.write_all_at(&bytes, position).unwrap();
                let damaged = read_file(&*scene.dir, &name).unwrap();
                let stats = scene.cleaner.clean_now(&topic_partition()).unwrap();
                isolated += stats.segments_isolated;
                // Either it was met, and its segment is as it was, or all of its records were dead anyway.
                if read_file(&*scene.dir, &name).is_ok_and(|bytes| bytes == damaged) {
                    file.write_all_at(&batch.bytes, position).unwrap();
                }
                assert_eq!(
                    scene.committed_map(),
                    template.committed_map(),
                    "{what}, {name}, {position}"
                );
            }
            position += batch.bytes.len() as u64;
        }
    }
    assert!(isolated > 100, "{isolated}");
}

#[test]
fn a_disk_that_is_full_at_any_write_of_a_cleaning_takes_nothing() {
    for is_indexed in [false, true] {
        let template = layered();
        if is_indexed {
            template.cleaner.dry_run(&topic_partition()).unwrap();
        }
        let (before, map) = (offsets(&template), template.committed_map());
        let mut reference = template.copied();
        reference.clean_at(2_000);
        let after = offsets(&reference);
        let (mut failures, mut appended) = (0, 0);
        for free_bytes in (0..).step_by(11) {
            let mut scene = template.copied();
            scene.set_clock(2_000);
            let context = format!("{free_bytes} bytes, {is_indexed}");
            scene.dir.set_free_bytes(free_bytes);
            let result = scene.cleaner.clean_now(&topic_partition());
            let is_done = result.is_ok();
            if let Err(error) = result {
                assert!(error.is_out_of_space(), "{context}: {error}");
                failures += 1;
            }
            assert_eq!(scene.manager.is_offline(), None, "{context}");
            assert_eq!(stray_files(&scene.dir, &scene.log), [""; 0], "{context}");
            assert_eq!(scene.committed_map(), map, "{context}");
            let left = offsets(&scene);
            assert!(
                left.is_subset(&before) && after.is_subset(&left),
                "{context}"
            );
            // Appends go on while there is room for them.
            if scene.dir.free_bytes().unwrap() > 500 {
                scene.write("o2@36");
                appended += 1;
            }
            scene.dir.set_free_bytes(1 << 40);
            let mut scene = if free_bytes % 2 == 0 {
                scene
            } else {
                scene.reopened()
            };
            scene.clean_at(2_000);
            let left = offsets(&scene)
                .into_iter()
                .filter(|offset| *offset < 36)
                .collect();
            assert_eq!(after, left, "{context}");
            assert_eq!(stray_files(&scene.dir, &scene.log), [""; 0], "{context}");
            if is_done {
                break;
            }
        }
        assert!(failures > 50 && appended > 0, "{failures}, {appended}");
    }
}

#[test]
fn a_disk_without_room_for_anything_still_serves() {
    let scene = layered();
    scene.dir.set_free_bytes(0);
    let map = scene.committed_map();
    let result = scene.cleaner.clean_now(&topic_partition());
    assert!(matches!(result, Err(StorageError::Io { .. })), "{result:?}");
    assert_eq!(scene.committed_map(), map);
    scene.dir.set_free_bytes(1 << 40);
    let scene = scene.reopened();
    assert_eq!(scene.committed_map(), map);
}
