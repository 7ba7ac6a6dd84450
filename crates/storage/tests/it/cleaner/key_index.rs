//! Key indexes through the engine: damaged, foreign, stale, missing, or built while everything else happens. None of it
//! may change what survives.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use lastword_record::{BatchBuilder, BatchHeader, BatchSpec, Decompressor, RecordBatch, TopicId};
use lastword_storage::cleaner::{LogCleaner, key_hasher};
use lastword_storage::config::CleanerConfig;
use lastword_storage::dir::{Dir, SimDir};
use lastword_storage::error::StorageError;
use lastword_storage::key_index::{
    BuildRequest, EndOfTransaction, Found, KeyHasher, KeyIndex, OddRecord, open_or_build,
};
use lastword_storage::log::{AppendOrigin, Log};
use lastword_storage::segment::Segment;

use super::hooked_dir::{HookedDir, ReadHook};
use super::random::Model;
use super::scene::{Batch, Scene, batches_of, log_config, open, topic_partition};
use crate::log_lines::lines_of;

/// Something of everything: several segments and groups, codecs, no key, a transaction that aborts, tombstones.
const TEXT: &str = "[a1@0 b1@1 c1@2] [d1@3 a2@4]{gzip} | [e1@5 f1@6]{p1 txn s0} X@7{p1} [n=x@8 g1@9] | \
                    bT@10 [h1@20 a3@21]{lz4} | i1@22 j1@23 k1@24 l1@25 | A: z1@30";

/// Cleaned once, so that there are horizons, and then written to; all indexes are there.
fn indexed() -> Scene {
    let mut scene = Scene::with_config(TEXT, |config| config.segment_bytes = 300);
    scene.clean_at(0);
    scene.write("cT@31 [d2@32 e2@33]{zstd} | [m1@34 a4@35] | A: z2@36");
    scene.cleaner.dry_run(&topic_partition()).unwrap();
    scene
}

const NOW_MS: i64 = 2_000;

pub fn key_indexes(dir: &SimDir) -> BTreeMap<String, Vec<u8>> {
    let files = dir.files().into_iter();
    files
        .filter(|(name, _)| name.ends_with(".keyindex"))
        .collect()
}

fn put(dir: &SimDir, path: &str, bytes: &[u8]) {
    let file = dir.create(path).unwrap();
    file.write_all_at(bytes, 0).unwrap();
    file.sync_data().unwrap();
}

/// Everything that survives and how it lies, without the secret and what depends on it.
fn logs(dir: &SimDir) -> BTreeMap<String, Vec<u8>> {
    let files = dir.files().into_iter();
    files.filter(|(name, _)| name.ends_with(".log")).collect()
}

/// Files that no live segment and no log has a use for.
pub fn stray_files(dir: &SimDir, log: &Log) -> Vec<String> {
    let mut known: BTreeSet<String> = [
        ".lock",
        ".kafka_cleanshutdown",
        "meta.properties",
        "cleaner-offset-checkpoint",
        "recovery-point-offset-checkpoint",
        "log-start-offset-checkpoint",
        "replication-offset-checkpoint",
        "lastword-delete-horizon-checkpoint",
        "lastword.secret",
        "t-0/partition.metadata",
        "t-0/leader-epoch-checkpoint",
    ]
    .map(String::from)
    .into();
    known.insert(format!("t-0/{:020}.snapshot", log.offsets().log_end_offset));
    let segments = log.segments();
    let active = segments.active().base_offset();
    for segment in segments.iter() {
        let base_offset = segment.base_offset();
        for extension in ["log", "index", "timeindex", "txnindex", "snapshot"] {
            known.insert(format!("t-0/{base_offset:020}.{extension}"));
        }
        if base_offset != active {
            known.insert(format!("t-0/{base_offset:020}.keyindex"));
        }
    }
    let files = dir.files().into_iter().map(|(name, _)| name);
    files.filter(|name| !known.contains(name)).collect()
}

/// Damages a copy, and cleans it: what survives is what survives without the damage, byte for byte, and the index that was
/// rebuilt is the one that was there.
struct Damage {
    template: Scene,
    whole: BTreeMap<String, Vec<u8>>,
    expected: BTreeMap<String, Vec<u8>>,
}

impl Damage {
    fn new(template: Scene) -> Damage {
        let mut reference = template.copied();
        assert_eq!(reference.clean_at(NOW_MS).indexes_built, 0);
        Damage {
            whole: key_indexes(&template.dir),
            expected: logs(&reference.dir),
            template,
        }
    }

    fn check(&self, what: &str, damage: impl Fn(&SimDir)) {
        let copy = self.template.copied();
        damage(&copy.dir);
        copy.cleaner.dry_run(&topic_partition()).unwrap();
        assert_eq!(key_indexes(&copy.dir), self.whole, "{what}");
        let mut copy = self.template.copied();
        damage(&copy.dir);
        let stats = copy.clean_at(NOW_MS);
        assert_eq!(stats.indexes_built, 1, "{what}");
        assert_eq!(stats.segments_isolated, 0, "{what}");
        assert_eq!(logs(&copy.dir), self.expected, "{what}");
        assert_eq!(stray_files(&copy.dir, &copy.log), Vec::<String>::new());
    }
}

#[test]
fn a_flipped_bit_at_any_byte_of_an_index_changes_nothing() {
    let damage = Damage::new(indexed());
    for (name, bytes) in &damage.whole {
        for byte in 0..bytes.len() as u64 {
            let bit = byte * 8 + byte % 8;
            damage.check(&format!("{name}, bit {bit}"), |dir| {
                dir.flip_bit(name, bit).unwrap();
            });
        }
    }
}

#[test]
fn an_index_of_any_other_length_changes_nothing() {
    let damage = Damage::new(indexed());
    for (name, bytes) in &damage.whole {
        for len in (0..bytes.len() as u64).chain([bytes.len() as u64 + 1, 1 << 20]) {
            damage.check(&format!("{name}, {len} bytes"), |dir| {
                dir.open(name).unwrap().truncate(len).unwrap();
            });
        }
    }
}

#[test]
fn an_index_of_another_version_is_built_again() {
    let damage = Damage::new(indexed());
    for (name, bytes) in &damage.whole {
        damage.check(name, |dir| {
            let mut bytes = bytes.clone();
            bytes[8..12].copy_from_slice(&2u32.to_le_bytes());
            put(dir, name, &bytes);
        });
    }
}

#[test]
fn a_stale_index_beside_a_segment_that_was_replaced_changes_nothing() {
    // Those of before the first cleaning, beside the segments that came of it.
    let before = Scene::with_config(TEXT, |config| config.segment_bytes = 300);
    before.cleaner.dry_run(&topic_partition()).unwrap();
    let stale = key_indexes(&before.dir);
    let mut after = before.copied();
    after.clean_at(0);
    after.cleaner.dry_run(&topic_partition()).unwrap();
    let damage = Damage::new(after);
    let mut replaced = 0;
    for (name, bytes) in &damage.whole {
        let Some(stale) = stale.get(name).filter(|stale| *stale != bytes) else {
            continue;
        };
        replaced += 1;
        damage.check(name, |dir| put(dir, name, stale));
    }
    assert!(replaced > 0);
}

#[test]
fn indexes_of_another_secret_are_built_again() {
    let template = indexed();
    let expected = Damage::new(template.copied()).expected;
    let count = key_indexes(&template.dir).len() as u32;
    let is_gone = |dir: &SimDir| dir.remove("lastword.secret").unwrap();
    let is_another = |dir: &SimDir| put(dir, "lastword.secret", &[7; 16]);
    let is_too_short = |dir: &SimDir| put(dir, "lastword.secret", b"short");
    for change in [&is_gone as &dyn Fn(&SimDir), &is_another, &is_too_short] {
        let copy = template.copied();
        change(&copy.dir);
        let mut copy = copy.copied();
        assert_eq!(copy.clean_at(NOW_MS).indexes_built, count);
        assert_eq!(logs(&copy.dir), expected);
    }
}

#[test]
fn the_index_of_another_log_removes_no_record() {
    // Of the same base offset, next offset, size, last batch and secret: nothing in the header tells them apart.
    let text = "a1@0 b1@1 | [c1@2 d1@3] z1@4 | a2@5 e1@6 | A: y1@7";
    let others = [
        "b1@0 b2@1 | [c1@2 d1@3] z1@4 | a2@5 e1@6 | A: y1@7",
        "a1@0 b1@1 | [b1@2 a1@3] z1@4 | a2@5 e1@6 | A: y1@7",
        "a1@0 b1@1 | [c1@2 d1@3] z1@4 | b2@5 e1@6 | A: y1@7",
    ];
    let mine = Scene::new(text);
    mine.cleaner.dry_run(&topic_partition()).unwrap();
    let secret = lastword_storage::dir::read_file(&*mine.dir, "lastword.secret").unwrap();
    let damage = Damage::new(mine.copied());
    for other in others {
        let other = Scene::new(other);
        put(&other.dir, "lastword.secret", &secret);
        let other = other.copied();
        other.cleaner.dry_run(&topic_partition()).unwrap();
        let foreign = key_indexes(&other.dir);
        let mut differ = 0;
        for (name, bytes) in &damage.whole {
            assert_eq!(foreign[name].len(), bytes.len());
            if foreign[name] == *bytes {
                continue;
            }
            differ += 1;
            damage.check(name, |dir| put(dir, name, &foreign[name]));
        }
        assert_eq!(differ, 1);
    }
}

#[test]
fn an_index_goes_with_its_segment() {
    let is_clean = |scene: &Scene| assert_eq!(stray_files(&scene.dir, &scene.log), [""; 0]);
    // A swap.
    let mut scene = indexed();
    let before = key_indexes(&scene.dir);
    let stats = scene.clean_at(NOW_MS);
    assert!(stats.segments_untouched > 0 && stats.segments_out > 0);
    is_clean(&scene);
    let left = key_indexes(&scene.dir);
    assert_eq!(left.len() as u32, stats.segments_untouched);
    assert!(left.iter().all(|(name, bytes)| before[name] == *bytes));
    // DeleteRecords.
    let scene = indexed();
    let second = scene.log.segments().as_slice()[1].base_offset();
    scene.log.delete_records_before(second).unwrap();
    is_clean(&scene);
    assert_eq!(key_indexes(&scene.dir).len(), before.len() - 1);
    // Retention.
    let scene = indexed();
    scene.configure(|config| {
        config.cleanup_policy.delete = true;
        config.retention_bytes = 200;
    });
    assert!(scene.log.apply_retention(NOW_MS).unwrap() > 0);
    is_clean(&scene);
    assert!(key_indexes(&scene.dir).len() < before.len());
    // The topic itself.
    let scene = indexed();
    scene.manager.delete(&topic_partition()).unwrap();
    scene.manager.tick(i64::from(u32::MAX));
    assert!(key_indexes(&scene.dir).is_empty());
}

#[test]
fn what_an_interrupted_building_leaves_is_gone_after_the_next_start() {
    let scene = indexed();
    let names = [
        "t-0/00000000000000000099.keyindex",
        "t-0/00000000000000000000.keyindex.tmp",
        "t-0/00000000000000000099.keyindex.tmp",
        "t-0/00000000000000000000.keyindex.cleaned",
        "t-0/00000000000000000099.keyindex.swap",
        "t-0/00000000000000000000.keyindex.deleted",
    ];
    for name in names {
        put(&scene.dir, name, b"half");
    }
    assert_eq!(stray_files(&scene.dir, &scene.log).len(), names.len());
    let again = scene.copied();
    assert_eq!(stray_files(&again.dir, &again.log), [""; 0]);
    assert_eq!(key_indexes(&again.dir), key_indexes(&scene.copied().dir));
    let again = scene.reopened();
    assert_eq!(stray_files(&again.dir, &again.log), [""; 0]);
}

#[test]
fn an_index_built_in_many_passes_is_the_same() {
    // The second of them: a key with more records than there is room for.
    for (keys, hot, memories) in [(12, 9, [0, 64, 128]), (200, 150, [300, 1_000, 4_000])] {
        let mut text = String::new();
        for first in (0..keys).step_by(50) {
            let record = |i| format!("key{}=value{i}@{i}", i * 7 % keys);
            let records: Vec<String> = (first..keys.min(first + 50)).map(record).collect();
            text += &format!("[{}]{{lz4}} ", records.join(" "));
        }
        for offset in keys..keys + hot {
            text += &format!("hot={offset}@{offset} ");
        }
        let mut scene = Scene::new(&format!("{text} |"));
        let bytes_of = |scene: &Scene| {
            scene.cleaner.dry_run(&topic_partition()).unwrap();
            key_indexes(&scene.dir)
        };
        let in_one = bytes_of(&scene.copied());
        assert_eq!(in_one.len(), 1);
        for memory_bytes in memories {
            scene.cleaner_config.dedupe_buffer_size_bytes = memory_bytes;
            assert_eq!(bytes_of(&scene.copied()), in_one, "{memory_bytes}");
            let mut copy = scene.copied();
            let stats = copy.clean_at(0);
            assert!(stats.index_passes > 1, "{memory_bytes}");
            let left: usize = copy.batches().iter().map(|batch| batch.rows.len()).sum();
            assert_eq!((stats.keys, left), (keys + 1, keys as usize + 1));
        }
    }
}

/// What an index says of every record: what stands for its key, and whether it is a tombstone.
type Keys = BTreeMap<u32, (u128, bool)>;

fn keys_of_index(index: &KeyIndex) -> Keys {
    let mut keys = Keys::new();
    let mut entries = index.entries(0..index.header().entry_count, 64);
    let last = lastword_storage::key_index::Entry::from_bytes([0xff; 16]);
    let mut previous = None;
    entries
        .for_each_up_to(last, |entry| {
            assert!(Some(entry) > previous, "sorted");
            previous = Some(entry);
            let known = keys.insert(entry.ordinal(), (entry.hash().bits(), entry.is_tombstone()));
            assert_eq!(known, None);
        })
        .unwrap();
    index.check_entries([entries.end()].iter()).unwrap();
    keys
}

/// Compares the index of a segment with its log.
fn check_index(segment: &Segment, hasher: &KeyHasher, context: &str) {
    let Found::Index(index) = KeyIndex::open(segment, hasher).unwrap() else {
        panic!("{context}: no index");
    };
    let (mut position, mut ordinal) = (0u32, 0u32);
    let mut keys = Keys::new();
    let mut batches = index.batches(100);
    for Batch {
        header,
        rows,
        bytes,
    } in batches_of(segment)
    {
        let indexed = batches.next_batch().unwrap().expect(context);
        assert_eq!(
            (indexed.position, indexed.first_ordinal),
            (position, ordinal),
            "{context}"
        );
        assert_eq!(indexed.size_bytes as usize, bytes.len());
        assert_eq!(indexed.crc, header.crc);
        assert_eq!(indexed.base_offset, header.base_offset);
        assert_eq!(indexed.last_offset, header.last_offset());
        assert_eq!(indexed.record_count as usize, rows.len());
        assert_eq!(indexed.is_transactional, header.is_transactional());
        assert_eq!(indexed.is_control, header.is_control());
        assert_eq!(indexed.delete_horizon_ms, header.delete_horizon_ms());
        let producer =
            (header.producer_id >= 0).then_some((header.producer_id, header.producer_epoch));
        assert_eq!(indexed.producer, producer);
        // A batch that was emptied does not say any more which end it was.
        let end = rows.first().filter(|_| header.is_control());
        let end = end.map(|row| match row.key.as_deref().unwrap()[3] {
            0 => EndOfTransaction::Abort,
            _ => EndOfTransaction::Commit,
        });
        assert_eq!(indexed.end_of_transaction, end, "{context}");
        let sizes: Vec<u64> = batches.record_sizes().collect();
        assert_eq!(sizes.len(), rows.len());
        if header.attributes & 7 == 0 {
            let payload = bytes.len() - lastword_record::BATCH_HEADER_BYTES;
            assert_eq!(sizes.iter().sum::<u64>(), payload as u64, "{context}");
        }
        let mut odd = Vec::new();
        for (row, number) in rows.iter().zip(0..) {
            match &row.key {
                _ if header.is_control() => {}
                None => odd.push(OddRecord::Keyless(number)),
                Some(key) => {
                    let is_tombstone = row.value.is_none();
                    keys.insert(ordinal + number, (hasher.hash(key).bits(), is_tombstone));
                }
            }
        }
        assert_eq!(indexed.odd_records, odd, "{context}");
        position += indexed.size_bytes;
        ordinal += indexed.record_count;
    }
    assert_eq!(batches.next_batch().unwrap(), None);
    assert_eq!(keys_of_index(&index), keys, "{context}");
    assert_eq!(index.header().record_count, ordinal);
    assert_eq!(
        index.header().has_tombstones,
        keys.values().any(|(_, is_tombstone)| *is_tombstone)
    );
}

#[test]
fn an_index_says_exactly_what_is_in_its_log() {
    let mut decompressor = Decompressor::new(1 << 20);
    for seed in 0..40 {
        let mut model = Model::new(seed);
        let mut scene = Scene::with_config("", |config| config.segment_bytes = 2_000);
        let mut segments = 0;
        for round in 0..4 {
            scene.write(&model.write());
            scene.log.roll().unwrap();
            // What a cleaning leaves is indexed too: horizons, gaps, batches without records.
            scene.clean_at(round * 700);
            let hasher = key_hasher(&*scene.dir).unwrap();
            let set = scene.log.segments();
            for segment in &set.as_slice()[..set.len() - 1] {
                let request = BuildRequest {
                    segment,
                    hasher: &hasher,
                    memory_bytes: 1 << 10,
                    leaves_cache_as_found: false,
                };
                open_or_build(&scene.log, &request, &mut decompressor, |_| Ok(())).unwrap();
                check_index(segment, &hasher, &format!("seed {seed}, round {round}"));
                segments += 1;
            }
        }
        assert!(segments > 0, "seed {seed}");
    }
}

/// Waits until every sealed segment has a usable index.
fn wait_for_indexes(dir: &SimDir, log: &Log) {
    let deadline = Instant::now() + Duration::from_secs(60);
    let hasher = key_hasher(dir).unwrap();
    loop {
        let segments = log.segments();
        let sealed = &segments.as_slice()[..segments.len() - 1];
        let is_indexed = |segment: &Arc<Segment>| {
            matches!(KeyIndex::open(segment, &hasher).unwrap(), Found::Index(_))
        };
        if !sealed.is_empty() && sealed.iter().all(is_indexed) {
            return;
        }
        assert!(Instant::now() < deadline, "{sealed:?} have no indexes");
        std::thread::yield_now();
    }
}

/// Threads run, but nothing is ever dirty enough.
fn never_cleaned(text: &str) -> Scene {
    Scene::with_config(text, |config| config.min_cleanable_dirty_ratio = 1.0)
}

fn start(scene: &Scene) -> LogCleaner {
    let config = CleanerConfig {
        threads: 1,
        backoff_ms: 10,
        ..CleanerConfig::default()
    };
    LogCleaner::start(scene.manager.clone(), config).unwrap()
}

#[test]
fn a_segment_gets_its_index_in_the_background_when_it_is_sealed() {
    let mut scene = never_cleaned("a1@0 b1@1");
    let cleaner = start(&scene);
    for i in 1..20 {
        scene.write(&format!("| a{i}@{}", i + 1));
        wait_for_indexes(&scene.dir, &scene.log);
    }
    assert_eq!(key_indexes(&scene.dir).len(), 19);
    cleaner.stop();
}

#[test]
fn a_topic_that_becomes_compacted_gets_its_indexes_in_the_background() {
    let scene = Scene::with_config("a1@0 | b1@1 | c1@2 | A: d1@3", |config| {
        config.min_cleanable_dirty_ratio = 1.0;
        config.cleanup_policy.compact = false;
    });
    let cleaner = start(&scene);
    assert!(key_indexes(&scene.dir).is_empty());
    scene.configure(|config| config.cleanup_policy.compact = true);
    wait_for_indexes(&scene.dir, &scene.log);
    assert_eq!(key_indexes(&scene.dir).len(), 3);
    cleaner.stop();
}

#[test]
fn a_directory_without_indexes_gets_them_in_the_background() {
    let scene = never_cleaned("a1@0 | b1@1 | c1@2 | A: d1@3").reopened();
    assert!(key_indexes(&scene.dir).is_empty());
    let cleaner = start(&scene);
    wait_for_indexes(&scene.dir, &scene.log);
    drop(cleaner);
    // A damaged one counts as none.
    let scene = scene.reopened();
    let (name, whole) = key_indexes(&scene.dir).pop_first().unwrap();
    scene.dir.flip_bit(&name, 8 * 84).unwrap();
    let cleaner = start(&scene);
    wait_for_indexes(&scene.dir, &scene.log);
    let deadline = Instant::now() + Duration::from_secs(60);
    while key_indexes(&scene.dir).get(&name) != Some(&whole) {
        assert!(Instant::now() < deadline, "{name} stays damaged");
        std::thread::yield_now();
    }
    cleaner.stop();
}

#[test]
fn an_index_that_two_threads_want_is_built_once() {
    let template = indexed();
    let expected = Damage::new(template.copied()).expected;
    for round in 0..30 {
        let scene = template.copied();
        for name in key_indexes(&scene.dir).into_keys() {
            scene.dir.remove(&name).unwrap();
        }
        scene.set_clock(NOW_MS);
        let cleaner = start(&scene);
        std::thread::scope(|scope| {
            let cleanings = scope.spawn(|| cleaner.clean_now(&topic_partition()).map(drop));
            let plans = scope.spawn(|| cleaner.dry_run(&topic_partition()).map(drop));
            cleanings.join().unwrap().unwrap();
            plans.join().unwrap().unwrap();
        });
        wait_for_indexes(&scene.dir, &scene.log);
        cleaner.stop();
        assert_eq!(logs(&scene.dir), expected, "round {round}");
        assert_eq!(stray_files(&scene.dir, &scene.log), [""; 0]);
        let hasher = key_hasher(&*scene.dir).unwrap();
        let segments = scene.log.segments();
        for segment in &segments.as_slice()[..segments.len() - 1] {
            check_index(segment, &hasher, "after the race");
        }
    }
}

#[test]
fn an_index_of_a_segment_that_is_replaced_meanwhile_is_not_installed() {
    let hook = ReadHook::default();
    let inner = SimDir::new();
    let dir = Arc::new(HookedDir {
        inner: inner.clone(),
        hooks: vec![("t-0", hook.clone())],
    });
    let manager = open(
        dir,
        &lastword_storage::clock::Clock::manual(0),
        &log_config(),
    );
    let log = manager
        .create(&topic_partition(), TopicId([7; 16]), log_config())
        .unwrap();
    for batch in Scene::new("a1@0 b1@1 a2@2").batches() {
        log.append(&batch.bytes, AppendOrigin::Replay, 0).unwrap();
    }
    log.roll().unwrap();
    log.sync().unwrap();
    let segment = log.segments().first().clone();
    let reads = Arc::new(AtomicU64::new(0));
    hook.set({
        let (log, segment, hook, reads) =
            (log.clone(), segment.clone(), hook.clone(), reads.clone());
        move || {
            hook.clear();
            reads.fetch_add(1, Ordering::SeqCst);
            replace_without_first(&log, &segment);
        }
    });
    let hasher = key_hasher(&inner).unwrap();
    let request = BuildRequest {
        segment: &segment,
        hasher: &hasher,
        memory_bytes: 1 << 20,
        leaves_cache_as_found: false,
    };
    let mut decompressor = Decompressor::new(1 << 20);
    let built = open_or_build(&log, &request, &mut decompressor, |_| Ok(()));
    assert!(matches!(built, Err(StorageError::Stale)));
    assert_eq!(reads.load(Ordering::SeqCst), 1);
    assert!(key_indexes(&inner).is_empty());
    assert_eq!(stray_files(&inner, &log), [""; 0]);
    // The new one gets its own.
    let current = log.segments().first().clone();
    let request = BuildRequest {
        segment: &current,
        ..request
    };
    open_or_build(&log, &request, &mut decompressor, |_| Ok(())).unwrap();
    check_index(&current, &hasher, "the new one");
}

/// Puts a segment without the first batch in its place, as a cleaning does.
fn replace_without_first(log: &Log, segment: &Arc<Segment>) {
    let output = Segment::create(
        log.dir(),
        log.partition_dir(),
        segment.base_offset(),
        ".cleaned",
        log.index_settings(),
        0,
    )
    .unwrap();
    for batch in batches_of(segment).into_iter().skip(1) {
        let header: BatchHeader = *RecordBatch::parse(&batch.bytes).unwrap().header();
        output.append(&batch.bytes, &[header]).unwrap();
    }
    output.seal().unwrap();
    output.sync().unwrap();
    log.replace_segments(std::slice::from_ref(segment), vec![output])
        .unwrap();
}

#[test]
fn an_index_takes_little_more_than_its_entries() {
    // Records of 60 and 200 bytes in batches of 16 KiB.
    for (record_bytes, most_per_record) in [(60, 17.2), (200, 18.2)] {
        let mut scene = Scene::new("");
        let per_batch = (16 << 10) / record_bytes;
        for batch in 0..20 {
            let mut builder = BatchBuilder::new(BatchSpec {
                base_offset: batch * per_batch,
                leader_epoch: 0,
                ..BatchSpec::default()
            });
            for offset in batch * per_batch..(batch + 1) * per_batch {
                let value = vec![b'x'; record_bytes as usize - 18];
                builder.push(
                    offset,
                    1_000,
                    Some(&offset.to_be_bytes()),
                    Some(&value),
                    &[],
                );
            }
            let mut bytes = Vec::new();
            builder.finish(&mut bytes).unwrap();
            scene.append(&bytes);
        }
        scene.write("|");
        scene.cleaner.dry_run(&topic_partition()).unwrap();
        let [index] = key_indexes(&scene.dir)
            .into_values()
            .collect::<Vec<_>>()
            .try_into()
            .unwrap();
        let per_record = index.len() as f64 / (20 * per_batch) as f64;
        println!("{record_bytes} bytes: {per_record:.2} bytes a record");
        assert!(per_record < most_per_record, "{per_record}");
    }
}

#[test]
fn a_warning_says_that_an_index_is_built_again() {
    let template = indexed();
    let (name, bytes) = key_indexes(&template.dir).pop_first().unwrap();
    // In the header, in the batches, in the entries.
    for byte in [20, 84, bytes.len() as u64 - 1] {
        let copy = template.copied();
        copy.dir.flip_bit(&name, byte * 8).unwrap();
        let lines = lines_of(|| {
            copy.cleaner.dry_run(&topic_partition()).unwrap();
        });
        let is_about =
            |line: &&String| line.contains("key index") && line.contains("is built again");
        let warnings = lines.iter().filter(|line| line.starts_with("WARN"));
        assert_eq!(warnings.filter(is_about).count(), 1, "byte {byte}");
    }
}
