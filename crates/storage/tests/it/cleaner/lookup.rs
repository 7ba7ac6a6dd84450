//! Lookup by key: the same as a consumer that reads everything, and by few reads.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use lastword_record::{BatchBuilder, BatchSpec, TopicId};
use lastword_storage::cleaner::key_hasher;
use lastword_storage::clock::Clock;
use lastword_storage::dir::{CrashModel, Dir, SimDir};
use lastword_storage::log::{AppendOrigin, Log};
use lastword_storage::lookup::{FoundRecord, KeyLookup, LookupRequest};
use lastword_storage::{StorageError, file_name};

use super::hooked_dir::{HookedDir, ReadHook};
use super::random::Model;
use super::scene::{Scene, log_config, open, topic_partition};

fn find(lookup: &mut KeyLookup, dir: &dyn Dir, log: &Log, key: &str) -> Option<FoundRecord> {
    let request = LookupRequest {
        log,
        hasher: &key_hasher(dir).unwrap(),
        key: key.as_bytes(),
        max_decompressed_bytes: 1 << 20,
    };
    lookup.find(&request).unwrap()
}

#[test]
fn a_lookup_finds_what_a_consumer_of_everything_finds() {
    for seed in 0..40 {
        let mut model = Model::new(seed);
        let mut scene = Scene::with_config("", |config| config.segment_bytes = 2_000);
        let mut lookup = KeyLookup::default();
        for round in 0..5 {
            scene.write(&model.write());
            if round % 2 == 1 {
                scene.clean_at(round * 700);
            }
            let map = scene.committed_map();
            let batches = scene.batches();
            let rows = batches.iter().flat_map(|batch| &batch.rows);
            let keys = rows.filter_map(|row| String::from_utf8(row.key.clone()?).ok());
            let keys: BTreeSet<String> = keys.chain(["nowhere".to_owned()]).collect();
            for key in keys {
                let found = find(&mut lookup, &*scene.dir, &scene.log, &key);
                let value = found.and_then(|found| found.value);
                let value = value.map(|value| String::from_utf8(value).unwrap());
                assert_eq!(
                    value.as_ref(),
                    map.get(&key),
                    "seed {seed}, round {round}, {key}"
                );
            }
            if seed % 3 == 0 {
                scene = scene.crashed(CrashModel::DurableOnly, seed);
            }
        }
    }
}

#[test]
fn what_is_found_has_its_offset_time_and_headers_and_a_tombstone_is_told() {
    let mut scene =
        Scene::new("a1@0 b1@1t77 | bT@2 a2@3 [c1@4]{p5 txn} X@5{p5} | A: d1@6 [a3@7]{p6 txn}");
    let mut lookup = KeyLookup::default();
    let mut look = |scene: &Scene, key: &str| find(&mut lookup, &*scene.dir, &scene.log, key);
    let a = look(&scene, "a").unwrap();
    assert_eq!(
        (a.offset, a.timestamp_ms, a.value),
        (3, 1_003, Some(b"2".to_vec()))
    );
    let headers = vec![
        (b"h".to_vec(), Some(b"1".to_vec())),
        (b"null".to_vec(), None),
    ];
    assert_eq!(a.headers, headers);
    let b = look(&scene, "b").unwrap();
    assert_eq!((b.offset, b.value, b.delete_horizon_ms), (2, None, None));
    assert_eq!(look(&scene, "c"), None, "rolled back");
    assert_eq!(look(&scene, "d").unwrap().offset, 6);
    scene.clean_at(500);
    let b = look(&scene, "b").unwrap();
    assert_eq!((b.offset, b.delete_horizon_ms), (2, Some(1_500)));
    scene.write("C@8{p6}");
    assert_eq!(look(&scene, "a").unwrap().offset, 7, "committed meanwhile");
}

const SEGMENTS: i64 = 2;
const RECORDS: i64 = 40_000;

/// A log of so many segments of different keys, and a head.
fn large(dir: Arc<dyn Dir>) -> Arc<Log> {
    let manager = open(dir, &Clock::manual(0), &log_config());
    let log = manager
        .create(&topic_partition(), TopicId([7; 16]), log_config())
        .unwrap();
    for segment in 0..=SEGMENTS {
        for base in (0..RECORDS).step_by(50) {
            let mut builder = BatchBuilder::new(BatchSpec::default());
            for delta in 0..50 {
                let key = format!("key-{}", segment * RECORDS + base + delta);
                builder.push(delta, 1, Some(key.as_bytes()), Some(&[b'v'; 80]), &[]);
            }
            let mut bytes = Vec::new();
            builder.finish(&mut bytes).unwrap();
            log.append(&bytes, AppendOrigin::Client, 0).unwrap();
        }
        if segment < SEGMENTS {
            log.roll().unwrap();
        }
    }
    log.sync().unwrap();
    log
}

#[test]
fn a_lookup_takes_four_reads_at_most_wherever_the_key_is() {
    let hook = ReadHook::default();
    let dir: Arc<dyn Dir> = Arc::new(HookedDir {
        inner: SimDir::new(),
        hooks: vec![("t-0", hook.clone())],
    });
    let log = large(dir.clone());
    let mut lookup = KeyLookup::default();
    find(&mut lookup, &*dir, &log, "to know the segments");
    let reads = Arc::new(AtomicU64::new(0));
    let counter = reads.clone();
    hook.set(move || {
        counter.fetch_add(1, Ordering::SeqCst);
    });
    let mut most = [0; 3];
    for number in (0..(SEGMENTS + 1) * RECORDS).step_by(977) {
        reads.store(0, Ordering::SeqCst);
        let found = find(&mut lookup, &*dir, &log, &format!("key-{number}")).unwrap();
        assert_eq!(found.offset, number);
        let segment = (number / RECORDS) as usize;
        most[segment] = reads.load(Ordering::SeqCst).max(most[segment]);
    }
    // One block of each index from the newest on, and the batch; the head's keys are in memory.
    assert_eq!(most, [3, 2, 1]);
    reads.store(0, Ordering::SeqCst);
    assert_eq!(find(&mut lookup, &*dir, &log, "nowhere"), None);
    assert_eq!(reads.load(Ordering::SeqCst), 2);
    assert!(lookup.memory_bytes() < 8 << 20, "{}", lookup.memory_bytes());
}

#[test]
fn a_damaged_key_index_is_built_again_and_a_topic_that_is_not_compacted_refused() {
    let scene = Scene::new("a1@0 b1@1 | A: c1@2");
    let mut lookup = KeyLookup::default();
    scene.cleaner.dry_run(&topic_partition()).unwrap();
    let path = file_name::segment_path("t-0", 0, file_name::SegmentFile::KeyIndex, "");
    let file = scene.dir.open(&path).unwrap();
    let end = file.len().unwrap();
    file.write_all_at(&[0xff], end - 9).unwrap();
    assert_eq!(
        find(&mut lookup, &*scene.dir, &scene.log, "a")
            .unwrap()
            .offset,
        0
    );
    scene.configure(|config| config.cleanup_policy.compact = false);
    let request = LookupRequest {
        log: &scene.log,
        hasher: &key_hasher(&*scene.dir).unwrap(),
        key: b"a",
        max_decompressed_bytes: 1 << 20,
    };
    let refused = lookup.find(&request);
    assert!(
        matches!(refused, Err(StorageError::NotCompacted { .. })),
        "{refused:?}"
    );
}
