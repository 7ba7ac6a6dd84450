//! Cleanings of real files: what a thread does beside the rewriting makes no difference.

use std::collections::BTreeMap;
use std::sync::Arc;

use lastword_record::{BatchBuilder, BatchSpec, Decompressor, RecordBatches, TopicId};
use lastword_storage::cleaner::LogCleaner;
use lastword_storage::config::CleanerConfig;
use lastword_storage::dir::{Dir, FsDir, SimDir};
use lastword_storage::key_index::ENTRY_BYTES;
use lastword_storage::log::{AppendOrigin, Log};
use lastword_storage::manager::{LogManager, LogManagerConfig};
use lastword_storage::{Clock, StorageError};

use super::scene::{log_config, topic_partition};

const SEGMENTS: i64 = 24;
const BATCHES_PER_SEGMENT: i64 = 40;
const RECORDS_PER_BATCH: i64 = 10;
const OFFSETS_PER_SEGMENT: i64 = BATCHES_PER_SEGMENT * RECORDS_PER_BATCH;
const KEYS: i64 = SEGMENTS * OFFSETS_PER_SEGMENT / 2;

struct OnDisk {
    log: Arc<Log>,
    cleaner: LogCleaner,
}

/// A log whose groups are single segments.
fn on_disk(dir: Arc<dyn Dir>) -> OnDisk {
    let mut config = log_config();
    config.segment_bytes = 64 << 10;
    let manager = LogManager::open(LogManagerConfig::default(), dir, Clock::manual(0), &|_| {
        config.clone()
    })
    .unwrap();
    let log = manager
        .create(&topic_partition(), TopicId([7; 16]), config.clone())
        .unwrap();
    for segment in 0..SEGMENTS {
        for batch in 0..BATCHES_PER_SEGMENT {
            append(&log, segment * BATCHES_PER_SEGMENT + batch);
        }
        log.roll().unwrap();
    }
    log.sync().unwrap();
    let cleaner = LogCleaner::new(manager, CleanerConfig::default()).unwrap();
    OnDisk { log, cleaner }
}

fn append(log: &Log, number: i64) {
    let mut builder = BatchBuilder::new(BatchSpec::default());
    for offset in 0..RECORDS_PER_BATCH {
        let at = number * RECORDS_PER_BATCH + offset;
        let key = key_of(at);
        builder.push(
            offset,
            1_000 + at,
            Some(key.as_bytes()),
            Some(&[b'v'; 100]),
            &[],
        );
    }
    let mut bytes = Vec::new();
    builder.finish(&mut bytes).unwrap();
    log.append(&bytes, AppendOrigin::Coordinator, 0).unwrap();
}

/// Spread over all segments.
fn key_of(offset: i64) -> String {
    format!("key-{}", ((offset * 2_654_435_761) >> 7) % KEYS)
}

/// Each key, where it was written last.
fn last_of_keys() -> BTreeMap<String, i64> {
    (0..SEGMENTS * OFFSETS_PER_SEGMENT)
        .map(|offset| (key_of(offset), offset))
        .collect()
}

/// Keys and offsets of what is in the log.
fn records(log: &Log) -> Vec<(i64, String)> {
    let mut decompressor = Decompressor::new(1 << 20);
    let mut found = Vec::new();
    for segment in log.segments().iter() {
        let mut bytes = vec![0; segment.size_bytes() as usize];
        let count = segment.read_at(&mut bytes, 0).unwrap();
        assert_eq!(count, bytes.len());
        for batch in RecordBatches::new(&bytes) {
            let batch = batch.unwrap();
            batch.verify_crc().unwrap();
            for record in batch.records(&mut decompressor).unwrap() {
                let record = record.unwrap();
                let key = String::from_utf8(record.key.unwrap().to_vec()).unwrap();
                found.push((record.offset, key));
            }
        }
    }
    assert!(found.is_sorted_by(|a, b| a.0 < b.0));
    found
}

#[test]
fn a_real_directory_is_cleaned_to_the_same_bytes_as_a_simulated_one() {
    let temporary = tempfile::tempdir().unwrap();
    let real = on_disk(Arc::new(FsDir::open(temporary.path()).unwrap()));
    let simulated = on_disk(Arc::new(SimDir::new()));
    let segments = |it: &OnDisk| -> Vec<(i64, Vec<u8>)> {
        let all = it.log.segments();
        let with_bytes = all.iter().map(|segment| {
            let mut bytes = vec![0; segment.size_bytes() as usize];
            segment.read_at(&mut bytes, 0).unwrap();
            (segment.base_offset(), bytes)
        });
        with_bytes.collect()
    };
    assert!(
        segments(&real) == segments(&simulated),
        "they begin with the same"
    );
    let stats = real.cleaner.clean_now(&topic_partition()).unwrap();
    let simulated_stats = simulated.cleaner.clean_now(&topic_partition()).unwrap();
    assert!(segments(&real) == segments(&simulated));
    assert_eq!(
        (stats.segments_in, stats.segments_out, stats.bytes_written),
        (
            simulated_stats.segments_in,
            simulated_stats.segments_out,
            simulated_stats.bytes_written
        )
    );
    assert!(stats.segments_out > 2, "{stats:?}");
    assert_eq!(records(&real.log).len(), last_of_keys().len());
}

/// There are enough entries for a second thread, which has the upper half of the hashes.
#[test]
fn damage_in_either_half_of_the_entries_is_found_and_the_index_built_again() {
    // Where in the entries, in parts of a thousand.
    for place in [0, 1, 250, 495, 500, 505, 750, 999] {
        let dir = Arc::new(SimDir::new());
        let it = on_disk(dir.clone());
        it.cleaner.dry_run(&topic_partition()).unwrap();
        let path = it.log.segments().as_slice()[3].key_index_path();
        let index_bytes = dir.open(&path).unwrap().len().unwrap();
        let entries_bytes = OFFSETS_PER_SEGMENT as u64 * ENTRY_BYTES as u64;
        let entry = entries_bytes / ENTRY_BYTES as u64 * place / 1_000;
        let byte =
            index_bytes - entries_bytes + entry * ENTRY_BYTES as u64 + place % ENTRY_BYTES as u64;
        dir.flip_bit(&path, byte * 8 + place % 8).unwrap();
        let stats = it.cleaner.clean_now(&topic_partition()).unwrap();
        assert_eq!(stats.indexes_built, 1, "entry {entry}: {stats:?}");
        let expected: BTreeMap<String, i64> = last_of_keys();
        let found = records(&it.log);
        assert_eq!(found.len(), expected.len(), "entry {entry}");
        assert!(found.iter().all(|(offset, key)| expected[key] == *offset));
    }
}

#[test]
fn records_deleted_while_groups_are_swapped_in_take_nothing_else_with_them() {
    let temporary = tempfile::tempdir().unwrap();
    let OnDisk { log, cleaner } = on_disk(Arc::new(FsDir::open(temporary.path()).unwrap()));
    std::thread::scope(|scope| {
        let cleaning = scope.spawn(|| {
            // A cleaning can meet more deletions than it tries again for.
            for _ in 0..SEGMENTS {
                match cleaner.clean_now(&topic_partition()) {
                    Err(StorageError::Stale) => {}
                    cleaned => return cleaned.map(drop),
                }
            }
            Err(StorageError::Stale)
        });
        for segment in 1..SEGMENTS / 2 {
            log.delete_records_before(segment * OFFSETS_PER_SEGMENT)
                .unwrap();
            std::thread::yield_now();
        }
        cleaning.join().unwrap().unwrap();
    });
    cleaner.clean_now(&topic_partition()).unwrap();
    let start = log.offsets().log_start_offset;
    assert_eq!(start, (SEGMENTS / 2 - 1) * OFFSETS_PER_SEGMENT);
    let expected = last_of_keys()
        .into_iter()
        .filter(|(_, offset)| *offset >= start);
    let mut expected: Vec<(i64, String)> = expected.map(|(key, offset)| (offset, key)).collect();
    expected.sort();
    // A segment that begins before the start keeps what is below it until it is cleaned again.
    let mut left = records(&log);
    left.retain(|(offset, _)| *offset >= start);
    assert!(
        left == expected,
        "{} left, {} expected",
        left.len(),
        expected.len()
    );
    let names = std::fs::read_dir(temporary.path().join("t-0")).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let left: Vec<String> = names
        .filter(|name| name.contains(".cleaned") || name.contains(".replace"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}
