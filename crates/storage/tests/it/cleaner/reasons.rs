//! Every reason why a log is not being cleaned now, each provoked once. The status and the log line have the same word
//! and the same sentence.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::hooked_dir::{HookedDir, ReadHook};
use super::scene::{Scene, log_config, open, topic_partition};
use crate::log_lines::lines_of;
use lastword_record::{TopicId, TopicPartition};
use lastword_storage::cleaner::{LogCleaner, LogStatus, ReasonCode};
use lastword_storage::clock::Clock;
use lastword_storage::config::{CleanerConfig, CleanupPolicy};
use lastword_storage::dir::{Dir, SimDir};
use lastword_storage::log::AppendOrigin;

/// A sixth of a second per byte: a cleaning does not end by itself.
const SLOW: f64 = 6.0;

/// Asks for the status of `t-0` as a broker would, and holds the log line against it.
fn told(cleaner: &LogCleaner, now_ms: i64) -> (LogStatus, String) {
    let mut status = None;
    let lines = lines_of(|| status = cleaner.status_of(&topic_partition()));
    let status = status.unwrap();
    let word = status.reason.code().word();
    let sentence = status.reason.sentence(now_ms);
    let line = lines
        .iter()
        .find(|line| line.contains("partition=t-0"))
        .unwrap_or_else(|| panic!("no line about t-0 in {lines:?}"));
    assert!(line.contains(&format!(" reason={word}")), "{line}");
    assert!(line.contains(&format!("{word}: {sentence}")), "{line}");
    (status, sentence)
}

fn assert_told(cleaner: &LogCleaner, now_ms: i64, code: ReasonCode, sentence: &str) {
    let (status, told) = told(cleaner, now_ms);
    assert_eq!((status.reason.code(), told.as_str()), (code, sentence));
}

/// A cleaner with a thread over the logs of the scene.
fn with_threads(scene: &Scene, config: CleanerConfig) -> LogCleaner {
    LogCleaner::start(scene.manager.clone(), config).unwrap()
}

fn eventually(mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < deadline, "it did not happen in time");
        std::thread::yield_now();
    }
}

#[test]
fn running_is_told_from_within_a_cleaning() {
    let reads = ReadHook::default();
    let dir = Arc::new(HookedDir {
        inner: SimDir::new(),
        hooks: vec![("t-0", reads.clone())],
    });
    let manager = open(dir, &Clock::manual(60_000), &log_config());
    let log = manager
        .create(&topic_partition(), TopicId([1; 16]), log_config())
        .unwrap();
    for batch in Scene::new("a1@0 a2@1").batches() {
        log.append(&batch.bytes, AppendOrigin::Replay, 0).unwrap();
    }
    log.roll().unwrap();
    log.sync().unwrap();
    let cleaner = Arc::new(LogCleaner::new(manager, CleanerConfig::default()).unwrap());
    let seen = Arc::new(Mutex::new(None));
    let (looking, noted, hook) = (cleaner.clone(), seen.clone(), reads.clone());
    reads.set(move || {
        hook.clear();
        *noted.lock().unwrap() = Some(told(&looking, 60_000));
    });
    cleaner.clean_now(&topic_partition()).unwrap();
    let (status, sentence) = seen.lock().unwrap().take().unwrap();
    assert_eq!(status.reason.code(), ReasonCode::Running);
    assert!(sentence.starts_with("since 00:01 UTC: "), "{sentence}");
}

#[test]
fn throttled_is_told_while_a_cleaning_waits_for_its_share() {
    let scene = Scene::new("a1@0 a2@1 |");
    let slow = CleanerConfig {
        io_max_bytes_per_second: SLOW,
        ..CleanerConfig::default()
    };
    let cleaner = with_threads(&scene, slow);
    let code = || {
        let status = cleaner.status_of(&topic_partition()).unwrap();
        status.reason.code()
    };
    eventually(|| code() == ReasonCode::Throttled);
    let status = cleaner.status_of(&topic_partition()).unwrap();
    let sentence = status.reason.sentence(0);
    let rate = "; all cleanings together may read and write 6 B/s";
    assert!(sentence.ends_with(rate), "{sentence}");
    // Whoever gives it up does not wait for the throttle either.
    cleaner.pause(&topic_partition(), "test").unwrap();
    eventually(|| code() == ReasonCode::Paused);
}

#[test]
fn queued_is_told_with_its_place_and_what_is_in_front() {
    let scene = Scene::new("a1@0 b1@1 |");
    let first = TopicPartition::new("first", 0);
    let log = scene
        .manager
        .create(&first, TopicId([9; 16]), log_config())
        .unwrap();
    for batch in Scene::new("a1@0 a2@1").batches() {
        log.append(&batch.bytes, AppendOrigin::Replay, 0).unwrap();
    }
    log.roll().unwrap();
    log.sync().unwrap();
    let slow = CleanerConfig {
        io_max_bytes_per_second: SLOW,
        ..CleanerConfig::default()
    };
    let cleaner = with_threads(&scene, slow);
    eventually(|| !cleaner.overview().busy_with.is_empty());
    assert_eq!(*cleaner.overview().busy_with, [first]);
    // The log line may have been another thread's.
    let status = cleaner.status_of(&topic_partition()).unwrap();
    assert_eq!(status.reason.code(), ReasonCode::Queued);
    let sentence = status.reason.sentence(0);
    assert_eq!(sentence, "place 1 of 1; first-0 being cleaned");
}

#[test]
fn clean_is_told_when_nothing_is_dirty() {
    let scene = Scene::new("a1@0 a2@1 |");
    // `Scene::clean` asks for the status itself, and only a change is told.
    scene.cleaner.clean_now(&topic_partition()).unwrap();
    assert_told(&scene.cleaner, 0, ReasonCode::Clean, "nothing is dirty");
    let empty = Scene::new("");
    assert_told(&empty.cleaner, 0, ReasonCode::Clean, "nothing is dirty");
}

#[test]
fn below_ratio_is_told_with_both_ratios() {
    let mut scene = Scene::new("a1@0 b1@1 c1@2 d1@3 |");
    scene.clean();
    scene.configure(|config| config.min_cleanable_dirty_ratio = 0.5);
    scene.write("a2@4 |");
    let sentence = "dirty 20 % < 50 %";
    assert_told(&scene.cleaner, 0, ReasonCode::BelowRatio, sentence);
    let status = scene.cleaner.status_of(&topic_partition()).unwrap();
    let batch = scene.batches()[0].bytes.len() as u64;
    // Three more of the same size make it half; one byte more makes it dirty enough.
    assert_eq!(status.missing_dirty_bytes, Some(3 * batch + 1));
}

#[test]
fn active_segment_is_told_with_the_time_of_its_roll() {
    let scene = Scene::with_config("", |config| config.segment_ms = 3 * 3_600_000);
    scene.set_clock(1_000);
    let mut scene = scene;
    scene.write("a1@0 a2@1");
    let sentence = "rolls in 3 h, or when it is full";
    assert_told(&scene.cleaner, 1_000, ReasonCode::ActiveSegment, sentence);
    let status = scene.cleaner.status_of(&topic_partition()).unwrap();
    let rolls_at_ms = status.next_ms.unwrap();
    assert!(!scene.log.roll_if_due(rolls_at_ms - 1).unwrap());
    assert!(scene.log.roll_if_due(rolls_at_ms).unwrap());
}

#[test]
fn min_lag_is_told_with_its_end() {
    let scene = Scene::with_config("a1@0t60000 a2@1t60000 |", |config| {
        config.min_compaction_lag_ms = 60_000;
    });
    scene.set_clock(60_000);
    let sentence = "until 00:02 UTC";
    assert_told(&scene.cleaner, 60_000, ReasonCode::MinLag, sentence);
    scene.set_clock(120_000);
    let status = scene.cleaner.status_of(&topic_partition()).unwrap();
    assert_eq!(status.reason.code(), ReasonCode::NoWorker);
}

#[test]
fn open_transaction_is_told_with_producer_and_time() {
    let mut scene = Scene::new("a1@0 a2@1 |");
    scene.clean();
    scene.write("[b1@2t120000]{p7 txn} | [c1@3t130000]{p8 txn} | A:");
    let sentence = "producer 7 since 00:02 UTC, from offset 2";
    assert_told(&scene.cleaner, 0, ReasonCode::OpenTransaction, sentence);
    scene.write("C@4{p7} |");
    let sentence = "producer 8 since 00:02 UTC, from offset 3";
    let status = scene.cleaner.status_of(&topic_partition()).unwrap();
    // The first segment is free now.
    assert_eq!(status.reason.code(), ReasonCode::NoWorker);
    scene.clean();
    let status = scene.cleaner.status_of(&topic_partition()).unwrap();
    assert_eq!(status.reason.sentence(0), sentence);
}

#[test]
fn paused_is_told_with_who_and_since_when() {
    let scene = Scene::new("a1@0 a2@1 |");
    scene.set_clock(120_000);
    scene.cleaner.pause(&topic_partition(), "alice").unwrap();
    let sentence = "by alice since 00:02 UTC, until resumed or restart";
    assert_told(&scene.cleaner, 120_000, ReasonCode::Paused, sentence);
}

#[test]
fn no_worker_is_told_when_no_thread_is_there() {
    let scene = Scene::new("a1@0 a2@1 |");
    let nobody = CleanerConfig {
        threads: 0,
        ..CleanerConfig::default()
    };
    let cleaner = with_threads(&scene, nobody);
    let sentence = "0 of 0 threads run (log.cleaner.threads)";
    assert_told(&cleaner, 0, ReasonCode::NoWorker, sentence);
}

#[test]
fn no_disk_is_told_with_what_is_needed_and_what_is_free() {
    let scene = Scene::new("a1@0 b1@1 a2@2 |");
    // The key index is there already: the rewriting is what finds no room.
    scene.cleaner.dry_run(&topic_partition()).unwrap();
    scene.dir.set_free_bytes(12);
    scene.cleaner.clean_now(&topic_partition()).unwrap_err();
    let size: usize = scene.batches().iter().map(|it| it.bytes.len()).sum();
    let (status, sentence) = told(&scene.cleaner, 0);
    assert_eq!(status.reason.code(), ReasonCode::NoDisk);
    let free = scene.dir.free_bytes().unwrap();
    assert_eq!(
        sentence,
        format!("needs up to {size} B, has {free} B; next try 00:00 UTC")
    );
    assert_eq!(status.totals.failed, 1);
    scene.dir.set_free_bytes(1 << 40);
    scene.set_clock(1_000);
    let (_, cleaned) = scene.cleaner.clean_next().unwrap();
    cleaned.unwrap();
    assert_told(&scene.cleaner, 0, ReasonCode::Clean, "nothing is dirty");
}

#[test]
fn quarantined_is_told_with_file_and_damage() {
    let scene = Scene::new("a1@0 a2@1 | b1@2 |");
    let name = "t-0/00000000000000000000.log";
    scene.dir.flip_bit(name, 70 * 8).unwrap();
    scene.cleaner.clean_now(&topic_partition()).unwrap();
    let (status, sentence) = told(&scene.cleaner, 0);
    assert_eq!(status.reason.code(), ReasonCode::Quarantined);
    let begin = format!("{name} is damaged at position 0: ");
    assert!(sentence.starts_with(&begin), "{sentence}");
    assert!(sentence.ends_with("; next try with the next cleaning"));
}

#[test]
fn a_failed_cleaning_is_quarantined_until_its_next_try() {
    let reads = ReadHook::default();
    let dir = Arc::new(HookedDir {
        inner: SimDir::new(),
        hooks: vec![("t-0", reads.clone())],
    });
    let clock = Clock::manual(60_000);
    let manager = open(dir, &clock, &log_config());
    let log = manager
        .create(&topic_partition(), TopicId([1; 16]), log_config())
        .unwrap();
    for batch in Scene::new("a1@0 a2@1").batches() {
        log.append(&batch.bytes, AppendOrigin::Replay, 0).unwrap();
    }
    log.roll().unwrap();
    log.sync().unwrap();
    let cleaner = LogCleaner::new(manager, CleanerConfig::default()).unwrap();
    reads.set(|| panic!("a bug"));
    let (_, failed) = cleaner.clean_next().unwrap();
    failed.unwrap_err();
    reads.clear();
    let sentence = "the cleaner panicked: a bug; next try 00:01 UTC";
    assert_told(&cleaner, 60_000, ReasonCode::Quarantined, sentence);
    clock.advance_ms(1_000);
    let (_, cleaned) = cleaner.clean_next().unwrap();
    cleaned.unwrap();
}

#[test]
fn delete_policy_is_told_for_a_topic_that_is_not_compacted() {
    let scene = Scene::with_config("a1@0 a2@1 |", |config| {
        config.cleanup_policy = CleanupPolicy {
            compact: false,
            delete: true,
        };
    });
    let sentence = "cleanup.policy is not compact";
    assert_told(&scene.cleaner, 0, ReasonCode::DeletePolicy, sentence);
}

#[test]
fn disabled_is_told_when_the_cleaner_is() {
    let scene = Scene::new("a1@0 a2@1 |");
    let disabled = CleanerConfig {
        enable: false,
        ..CleanerConfig::default()
    };
    let cleaner = with_threads(&scene, disabled);
    let sentence = "log.cleaner.enable=false";
    assert_told(&cleaner, 0, ReasonCode::Disabled, sentence);
    assert!(cleaner.clean_next().is_none());
    // Whoever asks is served.
    let stats = cleaner.clean_now(&topic_partition()).unwrap();
    assert_eq!(stats.dead.superseded, 1);
}
