//! Lookup by key: the same as a consumer that reads everything, and by few reads.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use lastword_record::{BatchBuilder, BatchSpec, TopicId};
use lastword_storage::cleaner::key_hasher;
use lastword_storage::clock::Clock;
use lastword_storage::dir::{CrashModel, Dir, FsDir, SimDir};
use lastword_storage::log::{AppendOrigin, Log};
use lastword_storage::lookup::{FoundRecord, KeyLookup, LookupLimits, LookupRequest};
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
        // Of every second model nearly nothing is kept: then more is read, and the same is found.
        let limits = [(4 << 20, 96 << 20), (5, 20)][(seed % 2) as usize];
        let (head_keys, print_bytes) = limits;
        let mut lookup = KeyLookup::new(LookupLimits {
            head_keys,
            print_bytes,
        });
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

const SEGMENTS: i64 = 30;
const RECORDS: i64 = 4_000;
const MOST_READ_BYTES: u64 = 64 << 10;

/// Records of a batch: the batches are of about 5 KiB, 60 KiB or 120 KiB.
fn batch_records(segment: i64) -> i64 {
    [50, 500, 1_000][segment as usize % 3]
}

/// A log of so many segments of different keys, and a head of as many.
fn large(dir: Arc<dyn Dir>) -> Arc<Log> {
    let manager = open(dir, &Clock::manual(0), &log_config());
    let log = manager
        .create(&topic_partition(), TopicId([7; 16]), log_config())
        .unwrap();
    for segment in 0..=SEGMENTS {
        let count = batch_records(segment);
        for base in (0..RECORDS).step_by(count as usize) {
            let mut builder = BatchBuilder::new(BatchSpec::default());
            for delta in 0..count {
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

/// How many reads there were, and how large the largest was.
#[derive(Clone, Default)]
struct Reads {
    count: Arc<AtomicU64>,
    most_bytes: Arc<AtomicU64>,
}

impl Reads {
    fn watch(&self, hook: &ReadHook) {
        let reads = self.clone();
        hook.set_for_bytes(move |bytes| {
            reads.count.fetch_add(1, Ordering::SeqCst);
            reads.most_bytes.fetch_max(bytes as u64, Ordering::SeqCst);
        });
    }

    fn take(&self) -> u64 {
        self.count.swap(0, Ordering::SeqCst)
    }
}

fn watched() -> (Arc<dyn Dir>, Arc<Log>, ReadHook) {
    let hook = ReadHook::default();
    let dir: Arc<dyn Dir> = Arc::new(HookedDir {
        inner: SimDir::new(),
        hooks: vec![("t-0", hook.clone())],
    });
    let log = large(dir.clone());
    (dir, log, hook)
}

#[test]
fn a_lookup_takes_four_reads_of_64_kib_at_most_wherever_the_key_is() {
    let (dir, log, hook) = watched();
    let mut lookup = KeyLookup::default();
    find(&mut lookup, &*dir, &log, "to know the segments");
    let reads = Reads::default();
    reads.watch(&hook);
    // A block of the index, and the batch.
    let usual = [2, 2, 3];
    let (mut most, mut by_chance) = (0, 0);
    for number in (0..(SEGMENTS + 1) * RECORDS).step_by(97) {
        let found = find(&mut lookup, &*dir, &log, &format!("key-{number}")).unwrap();
        assert_eq!(found.offset, number);
        let segment = number / RECORDS;
        let count = reads.take();
        if segment == SEGMENTS {
            assert_eq!(count, 1, "the keys of the head are in memory");
        } else {
            most = most.max(count);
            by_chance += count - usual[segment as usize % 3];
        }
    }
    assert!(most <= 4);
    assert!(reads.most_bytes.load(Ordering::SeqCst) <= MOST_READ_BYTES);
    for number in 0..1_000 {
        let key = format!("nowhere-{number}");
        assert_eq!(find(&mut lookup, &*dir, &log, &key), None);
    }
    by_chance += reads.take();
    // Of a hash that is not there one in a million looks as if it were; here 0.05 are to be expected.
    assert!(by_chance < 4);
    assert!(reads.most_bytes.load(Ordering::SeqCst) <= MOST_READ_BYTES);
    assert_eq!(find(&mut lookup, &*dir, &log, "nowhere"), None);
    assert_eq!(
        reads.take(),
        0,
        "a key that is not there is told from memory"
    );
    let records = ((SEGMENTS + 1) * RECORDS) as u64;
    assert!(lookup.memory_bytes() < records * 4 + RECORDS as u64 * 16);
}

/// Work C of the benchmarks: `cargo test --release -p lastword-storage --test it twenty_million -- --ignored --nocapture`.
#[test]
#[ignore = "writes 2 GB"]
fn a_lookup_in_twenty_million_records_takes_four_reads_of_64_kib_at_most() {
    const RECORDS: u64 = 20_000_000;
    let place = tempfile::tempdir().unwrap();
    let hook = ReadHook::default();
    let dir: Arc<dyn Dir> = Arc::new(HookedDir {
        inner: FsDir::open(place.path()).unwrap(),
        hooks: vec![("t-0", hook.clone())],
    });
    let mut config = log_config();
    config.segment_bytes = 64 << 20;
    let manager = open(dir.clone(), &Clock::manual(0), &config);
    let log = manager
        .create(&topic_partition(), TopicId([7; 16]), config)
        .unwrap();
    let mut last = vec![-1; RECORDS as usize];
    let mut builder = BatchBuilder::new(BatchSpec::default());
    let mut delta = 0;
    for offset in 0..RECORDS {
        let key = splitmix64(offset) % RECORDS;
        last[key as usize] = offset as i64;
        let value = format!("{:060}", offset);
        builder.push(
            delta,
            1,
            Some(format!("user-{key:011}").as_bytes()),
            Some(value.as_bytes()),
            &[],
        );
        delta += 1;
        if builder.estimated_bytes() > 128_000 || offset + 1 == RECORDS {
            let mut bytes = Vec::new();
            builder.finish(&mut bytes).unwrap();
            builder.reset(BatchSpec::default());
            log.append(&bytes, AppendOrigin::Client, 0).unwrap();
            delta = 0;
        }
    }
    log.sync().unwrap();
    let mut lookup = KeyLookup::default();
    let begin = std::time::Instant::now();
    find(&mut lookup, &*dir, &log, "to know the segments");
    println!(
        "{} segments; the first lookup builds and reads all key indexes: {:.1?}; kept: {} MB",
        log.segments().len(),
        begin.elapsed(),
        lookup.memory_bytes() / 1_000_000
    );
    let mut again = KeyLookup::default();
    let begin = std::time::Instant::now();
    find(&mut again, &*dir, &log, "to know the segments");
    println!(
        "the first lookup reads all key indexes: {:.1?}",
        begin.elapsed()
    );
    let reads = Reads::default();
    reads.watch(&hook);
    let mut by_count = std::collections::BTreeMap::new();
    let mut times = Vec::new();
    for number in 0..200_000 {
        let key = splitmix64(number ^ 0xffff_0000_0000) % RECORDS;
        let begin = std::time::Instant::now();
        let found = find(&mut lookup, &*dir, &log, &format!("user-{key:011}"));
        times.push(begin.elapsed());
        let offset = found.map_or(-1, |found| found.offset);
        assert_eq!(offset, last[key as usize], "key {key}");
        *by_count.entry((offset >= 0, reads.take())).or_insert(0) += 1;
    }
    times.sort();
    println!("(is there, reads): lookups {by_count:?}");
    println!("half in {:?}, 99 % in {:?}", times[100_000], times[198_000]);
    let most = by_count.keys().map(|(_, count)| *count).max();
    assert!(most <= Some(4));
    assert!(reads.most_bytes.load(Ordering::SeqCst) <= MOST_READ_BYTES);
}

fn splitmix64(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}

#[test]
fn with_little_memory_a_lookup_takes_a_small_read_for_each_newer_segment() {
    let (dir, log, hook) = watched();
    let mut lookup = KeyLookup::new(LookupLimits {
        head_keys: 1,
        print_bytes: 0,
    });
    find(&mut lookup, &*dir, &log, "to know the segments");
    let reads = Reads::default();
    reads.watch(&hook);
    let found = find(&mut lookup, &*dir, &log, "key-1").unwrap();
    assert_eq!(found.offset, 1);
    // The head is read, two blocks where the keys that come into question lie across their border, and the batch.
    let most = 2 + 2 * SEGMENTS as u64 + 2;
    assert!((SEGMENTS as u64..most).contains(&reads.take()));
    let head_bytes = RECORDS as u64 * 16;
    assert!(lookup.memory_bytes() < (SEGMENTS * RECORDS) as u64 / 2 + head_bytes);
}

fn key_index_path(base_offset: i64) -> String {
    file_name::segment_path("t-0", base_offset, file_name::SegmentFile::KeyIndex, "")
}

#[test]
fn what_is_kept_never_gives_a_wrong_answer_when_the_key_index_changes_under_it() {
    let scene = Scene::new("a1@0 b1@1 a2@2 | A: c1@3");
    let expected = [("a", Some(2)), ("b", Some(1)), ("c", Some(3)), ("d", None)];
    let check = |lookup: &mut KeyLookup, what: &str| {
        for (key, offset) in expected {
            let found = find(lookup, &*scene.dir, &scene.log, key);
            assert_eq!(found.map(|it| it.offset), offset, "{what}: {key}");
        }
    };
    let mut lookup = KeyLookup::default();
    check(&mut lookup, "whole");
    let path = key_index_path(0);
    let size = scene.dir.open(&path).unwrap().len().unwrap();
    for position in 0..size {
        let file = scene.dir.open(&path).unwrap();
        let mut byte = [0];
        file.read_exact_at(&mut byte, position).unwrap();
        file.write_all_at(&[byte[0] ^ 0x41], position).unwrap();
        check(&mut lookup, &format!("byte {position}, known before"));
        check(&mut KeyLookup::default(), &format!("byte {position}"));
        // Without prints every key of a bucket is looked at, the damaged ones too.
        let little = LookupLimits {
            head_keys: 0,
            print_bytes: 0,
        };
        check(&mut KeyLookup::new(little), &format!("byte {position}"));
    }
    for cut in 0..size {
        scene.dir.open(&path).unwrap().truncate(cut).unwrap();
        check(&mut lookup, &format!("cut at {cut}"));
    }
    scene.dir.remove(&path).unwrap();
    check(&mut lookup, "gone");
}

#[test]
fn an_empty_key_is_a_key() {
    let scene = Scene::new("a1@0");
    let mut builder = BatchBuilder::new(BatchSpec::default());
    builder.push(0, 1, Some(b""), Some(b"empty"), &[]);
    let mut bytes = Vec::new();
    builder.finish(&mut bytes).unwrap();
    let mut lookup = KeyLookup::default();
    assert_eq!(find(&mut lookup, &*scene.dir, &scene.log, ""), None);
    scene.log.append(&bytes, AppendOrigin::Client, 0).unwrap();
    scene.log.sync().unwrap();
    for _ in 0..2 {
        let found = find(&mut lookup, &*scene.dir, &scene.log, "").unwrap();
        assert_eq!((found.offset, found.value), (1, Some(b"empty".to_vec())));
        scene.log.roll().unwrap();
    }
}

#[test]
fn a_damaged_key_index_is_built_again_and_a_topic_that_is_not_compacted_refused() {
    let scene = Scene::new("a1@0 b1@1 | A: c1@2");
    let mut lookup = KeyLookup::default();
    scene.cleaner.dry_run(&topic_partition()).unwrap();
    let path = key_index_path(0);
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
