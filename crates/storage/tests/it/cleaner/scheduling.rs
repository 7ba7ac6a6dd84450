//! What is cleaned when, and what is left alone. The arithmetic has its own table tests beside `choose`.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use lastword_record::{TopicId, TopicPartition};
use lastword_storage::checkpoint::OffsetCheckpointFile;
use lastword_storage::cleaner::{
    CleanerState, DeleteHorizon, Limit, LogCleaner, Phase, Progress, Reason, Trigger,
};
use lastword_storage::clock::Clock;
use lastword_storage::config::{CleanerConfig, CleaningOrder, CleanupPolicy};
use lastword_storage::dir::SimDir;
use lastword_storage::error::StorageError;
use lastword_storage::file_name;
use lastword_storage::log::AppendOrigin;

use super::hooked_dir::{HookedDir, ReadHook};
use super::scene::{Scene, batches_in, log_config, open, topic_partition};

fn first_dirty_in_file(scene: &Scene) -> Option<i64> {
    let offsets =
        OffsetCheckpointFile::read(&*scene.dir, file_name::CLEANER_OFFSET_CHECKPOINT).unwrap();
    offsets.get(&topic_partition()).copied()
}

#[test]
fn case_47_a_segment_within_the_minimum_lag_blocks_itself_and_all_later_ones() {
    let mut scene = Scene::new("a1@0t10 | a2@1t901 | a3@2t20 | a4@3t20 | A:");
    scene.configure(|config| config.min_compaction_lag_ms = 100);
    scene.clean_at(1_000);
    assert_eq!(scene.survivors(), "[a1@0] [a2@1] [a3@2] [a4@3]");
    let status = scene.cleaner.status_of(&topic_partition()).unwrap();
    assert_eq!(
        status.bounds.unwrap().limit,
        Limit::MinCompactionLag { until_ms: 1_001 }
    );
    scene.clean_at(1_001);
    assert_eq!(scene.survivors(), "[a4@3]");
}

#[test]
fn case_48_a_segment_beyond_the_maximum_lag_is_cleaned_below_the_ratio() {
    let mut scene = Scene::new("a1@0t10 b1@1t10 c1@2t10 d1@3t10 |");
    scene.clean_at(0);
    scene.configure(|config| {
        config.min_cleanable_dirty_ratio = 0.9;
        config.max_compaction_lag_ms = 500;
    });
    scene.write("a2@4t2000 |");
    scene.set_clock(2_500);
    assert!(!scene.clean_if_due());
    scene.set_clock(2_501);
    assert!(scene.clean_if_due());
    assert_eq!(scene.survivors(), "[b1@1] [c1@2] [d1@3] [a2@4]");
}

#[test]
fn case_49_a_ratio_of_one_is_never_exceeded() {
    let mut scene = Scene::new("a1@0 a2@1 |");
    scene.configure(|config| config.min_cleanable_dirty_ratio = 1.0);
    assert!(!scene.clean_if_due());
    scene.configure(|config| config.min_cleanable_dirty_ratio = 0.99);
    assert!(scene.clean_if_due());
}

#[test]
fn case_50_what_is_not_yet_visible_is_not_cleaned() {
    let mut scene = Scene::new("a1@0 a2@1 |");
    let batch = batches_in(&scene.batches()[0].bytes).remove(0);
    let mut bytes = batch.bytes;
    lastword_record::assign_offsets(&mut bytes, 2, 0);
    scene.append(&bytes);
    // Neither synced nor rolled: HighWatermark stays at 2.
    assert_eq!(scene.log.offsets().high_watermark, 2);
    scene.clean();
    assert_eq!(scene.survivors(), "[a2@1] [a1@2]");
    assert_eq!(first_dirty_in_file(&scene), Some(2));
}

#[test]
fn case_51_a_checkpoint_outside_of_the_log_is_reset() {
    for offset in [99, 0] {
        let mut scene = Scene::new("a1@0 | a2@1 b1@2 | b2@3 |");
        scene.log.delete_records_before(1).unwrap();
        scene.configure(|config| config.min_cleanable_dirty_ratio = 1.0);
        let offsets = BTreeMap::from([(topic_partition(), offset)]);
        OffsetCheckpointFile::write(&*scene.dir, file_name::CLEANER_OFFSET_CHECKPOINT, &offsets)
            .unwrap();
        scene.cleaner = LogCleaner::new(scene.manager.clone(), CleanerConfig::default()).unwrap();
        assert!(!scene.clean_if_due());
        assert_eq!(first_dirty_in_file(&scene), Some(1));
        scene.clean();
        assert_eq!(scene.survivors(), "[a2@1] [b2@3]");
        assert_eq!(first_dirty_in_file(&scene), Some(4));
    }
}

#[test]
fn a_damaged_checkpoint_costs_a_cleaning_and_nothing_else() {
    use lastword_storage::dir::Dir;
    let mut scene = Scene::new("a1@0 a2@1 |");
    let file = scene
        .dir
        .create(file_name::CLEANER_OFFSET_CHECKPOINT)
        .unwrap();
    file.write_all_at(b"nonsense", 0).unwrap();
    scene.cleaner = LogCleaner::new(scene.manager.clone(), CleanerConfig::default()).unwrap();
    assert!(scene.clean_if_due());
    assert_eq!(scene.survivors(), "[a2@1]");
}

/// Starts a cleaning that waits in the throttle, does something, and lets it go on.
fn during_a_cleaning(scene: &Scene, action: impl FnOnce()) -> Result<(), StorageError> {
    let slow = CleanerConfig {
        io_max_bytes_per_second: 10.0,
        ..CleanerConfig::default()
    };
    let cleaner = LogCleaner::new(scene.manager.clone(), slow).unwrap();
    std::thread::scope(|scope| {
        let cleaning = scope.spawn(|| cleaner.clean_now(&topic_partition()));
        let deadline = Instant::now() + Duration::from_secs(30);
        while cleaner.throttled_bytes() == 0 {
            assert!(Instant::now() < deadline);
            std::thread::yield_now();
        }
        assert!(matches!(
            cleaner.status()[0].state,
            CleanerState::Cleaning(_)
        ));
        action();
        cleaner.update_config(CleanerConfig::default()).unwrap();
        cleaning.join().unwrap().map(drop)
    })
}

#[test]
fn case_53_a_cleaning_goes_on_with_what_delete_records_leaves() {
    let scene = Scene::new("a1@0 b1@1 | a2@2 c1@3 | c2@4 d1@5 | A:");
    during_a_cleaning(&scene, || {
        scene.log.delete_records_before(2).unwrap();
    })
    .unwrap();
    assert_eq!(scene.log.offsets().log_start_offset, 2);
    assert_eq!(scene.survivors(), "[a2@2] [c2@4] [d1@5]");
    assert_eq!(first_dirty_in_file(&scene), Some(6));
    let scene = scene.reopened();
    assert_eq!(scene.survivors(), "[a2@2] [c2@4] [d1@5]");
}

#[test]
fn case_54_a_log_can_be_deleted_while_it_is_cleaned() {
    let mut scene = Scene::new("a1@0 a2@1 b1@2 |");
    scene.clean();
    scene.write("b2@3 | a3@4 |");
    let cleaned = during_a_cleaning(&scene, || scene.manager.delete(&topic_partition()).unwrap());
    assert!(matches!(cleaned, Err(StorageError::Closed)), "{cleaned:?}");
    scene.manager.tick(1_000_000);
    let files: Vec<String> = scene
        .dir
        .files()
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert!(!files.iter().any(|name| name.contains("t-0")), "{files:?}");
    assert!(scene.cleaner.clean_next().is_none());
    assert_eq!(first_dirty_in_file(&scene), None);
}

#[test]
fn a_log_of_the_same_name_does_not_inherit_a_checkpoint() {
    let mut scene = Scene::new("a1@0 a2@1 b1@2 |");
    scene.clean();
    scene.manager.delete(&topic_partition()).unwrap();
    scene.log = scene
        .manager
        .create(&topic_partition(), TopicId([9; 16]), log_config())
        .unwrap();
    scene.write("c1@0 c2@1 c3@2 d1@3 |");
    let status = scene.cleaner.status_of(&topic_partition()).unwrap();
    assert_eq!(status.bounds.unwrap().first_dirty_offset, 0);
    scene.clean();
    assert_eq!(scene.survivors(), "[c3@2] [d1@3]");
}

#[test]
fn a_log_of_the_same_name_inherits_nothing_across_a_restart() {
    let mut scene = Scene::new("a1@0 a2@1 b1@2 |");
    scene.clean();
    scene.manager.delete(&topic_partition()).unwrap();
    scene.log = scene
        .manager
        .create(&topic_partition(), TopicId([9; 16]), log_config())
        .unwrap();
    scene.write("c1@0 | c2@1 cT@2 | d1@3 |");
    let scene = scene.reopened();
    let status = scene.cleaner.status_of(&topic_partition()).unwrap();
    assert_eq!(status.bounds.unwrap().first_dirty_offset, 0);
    assert_eq!(status.horizon, DeleteHorizon::Unknown);
}

#[test]
fn case_55_retention_takes_the_only_value_of_a_key_if_the_policy_says_delete() {
    for delete in [true, false] {
        let mut scene = Scene::with_config("a1@0 | b1@1 | c1@2 |", |config| {
            config.cleanup_policy = CleanupPolicy {
                compact: true,
                delete,
            };
            config.retention_ms = 10_000;
            config.segment_bytes = 100;
        });
        scene.clean();
        scene.log.apply_retention(11_001).unwrap();
        let expected = if delete {
            "[b1@1] [c1@2]"
        } else {
            "[a1@0] [b1@1] [c1@2]"
        };
        assert_eq!(scene.survivors(), expected);
        scene.write("b2@3 |");
        scene.clean();
        assert!(scene.survivors().ends_with("[c1@2] [b2@3]"));
    }
}

#[test]
fn case_56_without_a_policy_nothing_is_cleaned() {
    let mut scene = Scene::with_config("a1@0 | a2@1 | A: b1@2", |config| {
        config.cleanup_policy = CleanupPolicy {
            compact: false,
            delete: false,
        };
    });
    assert!(!scene.clean_if_due());
    let refused = scene.cleaner.clean_now(&topic_partition());
    assert!(matches!(refused, Err(StorageError::NotCompacted { .. })));
    assert_eq!(scene.cleaner.status()[0].reason, Reason::DeletePolicy);
    scene.log.apply_retention(i64::MAX / 2).unwrap();
    assert_eq!(scene.survivors(), "[a1@0] [a2@1] [b1@2]");
    scene.log.delete_records_before(1).unwrap();
    assert_eq!(scene.survivors(), "[a2@1] [b1@2]");
}

#[test]
fn the_dirtiest_log_is_cleaned_first() {
    let mut scene = Scene::new("a1@0 b1@1 c1@2 |");
    scene.clean();
    scene.write("a2@3 |");
    let other = TopicPartition {
        topic: "z".into(),
        partition: 0,
    };
    let log = scene
        .manager
        .create(&other, TopicId([8; 16]), log_config())
        .unwrap();
    for batch in scene.batches().into_iter().take(2) {
        log.append(&batch.bytes, AppendOrigin::Replay, 0).unwrap();
    }
    log.roll().unwrap();
    log.sync().unwrap();
    let order: Vec<TopicPartition> = std::iter::from_fn(|| scene.cleaner.clean_next())
        .map(|(log, _)| log)
        .collect();
    assert_eq!(order, [other, topic_partition()]);
}

#[test]
fn the_progress_of_a_cleaning_can_be_looked_at() {
    let scene = Scene::new("a1@0 b1@1 | a2@2 | A:");
    let progress = Arc::new(Progress::default());
    let stats = scene
        .cleaner
        .clean_and_show(&topic_partition(), &progress)
        .unwrap();
    let view = progress.view();
    assert_eq!(view.phase, Phase::Rewriting);
    // What the rewriting expected to read and write, it counted; the estimate of what lives may be a little off.
    assert!(view.expected_bytes >= stats.bytes_read);
    assert!(view.done_bytes >= stats.bytes_read);
}

/// A log of another name with this content.
fn another(scene: &Scene, id: u8, topic: &str, text: &str) -> TopicPartition {
    let topic_partition = TopicPartition {
        topic: topic.into(),
        partition: 0,
    };
    let log = scene
        .manager
        .create(&topic_partition, TopicId([id; 16]), log_config())
        .unwrap();
    for batch in Scene::new(text).batches() {
        log.append(&batch.bytes, AppendOrigin::Replay, 0).unwrap();
    }
    log.roll().unwrap();
    log.sync().unwrap();
    topic_partition
}

#[test]
fn the_log_that_gains_the_most_is_cleaned_first_if_that_is_asked_for() {
    for order in [CleaningOrder::DirtyRatio, CleaningOrder::Benefit] {
        let config = CleanerConfig {
            order,
            ..CleanerConfig::default()
        };
        let scene = Scene::with("a1@0 b1@1 c1@2 d1@3 |", |_| {}, config);
        let half = another(&scene, 1, "u", "a1@0 a2@1 b1@2 b2@3");
        let most = another(&scene, 2, "v", "a1@0 a2@1 a3@2 a4@3");
        let cleaned: Vec<TopicPartition> = std::iter::from_fn(|| scene.cleaner.clean_next())
            .map(|(log, _)| log)
            .collect();
        // All of them are wholly dirty: then Kafka's order says nothing, and names decide.
        let expected = match order {
            CleaningOrder::DirtyRatio => [topic_partition(), half, most],
            CleaningOrder::Benefit => [most, half, topic_partition()],
        };
        assert_eq!(cleaned, expected);
    }
}

#[test]
fn a_log_is_planned_once_to_find_its_place() {
    let reads = ReadHook::default();
    let dir = Arc::new(HookedDir {
        inner: SimDir::new(),
        hooks: vec![("t-0", reads.clone())],
    });
    let clock = Clock::manual(0);
    let mut scene = Scene::new("");
    scene.manager = open(dir, &clock, &log_config());
    let config = CleanerConfig {
        order: CleaningOrder::Benefit,
        ..CleanerConfig::default()
    };
    scene.cleaner = LogCleaner::new(scene.manager.clone(), config).unwrap();
    another(&scene, 1, "t", "a1@0 b1@1");
    another(&scene, 2, "u", "a1@0 a2@1");
    another(&scene, 3, "v", "a1@0 a2@1 a3@2");
    let is_read = Arc::new(AtomicBool::new(false));
    let read = is_read.clone();
    reads.set(move || read.store(true, Ordering::SeqCst));
    let benefit = |scene: &Scene| scene.cleaner.status_of(&topic_partition()).unwrap().benefit;
    let next = |scene: &Scene| {
        is_read.store(false, Ordering::SeqCst);
        let next = scene.cleaner.clean_next().unwrap().0.topic;
        (next.to_string(), is_read.load(Ordering::SeqCst))
    };
    assert_eq!(benefit(&scene), None);
    assert_eq!(next(&scene), ("v".to_string(), true));
    assert_eq!(benefit(&scene), Some(0.0));
    assert_eq!(next(&scene), ("u".to_string(), false));
    // What the figure depends on has changed.
    another(&scene, 4, "w", "a1@0 b1@1 c1@2 d1@3 e1@4 e2@5");
    let log = scene.manager.get(&topic_partition()).unwrap();
    let batch = Scene::new("a2@2").batches().remove(0);
    log.append(&batch.bytes, AppendOrigin::Replay, 0).unwrap();
    log.roll().unwrap();
    log.sync().unwrap();
    assert_eq!(next(&scene).0, "t");
    assert!(benefit(&scene).unwrap() > 0.0);
}

/// The scene, with a directory that runs the hook before the reads of `t-0`, and its logs.
fn hooked(order: CleaningOrder, logs: &[(&str, &str)]) -> (Scene, Arc<LogCleaner>, ReadHook) {
    let reads = ReadHook::default();
    let dir = Arc::new(HookedDir {
        inner: SimDir::new(),
        hooks: vec![("t-0", reads.clone())],
    });
    let mut scene = Scene::new("");
    scene.manager = open(dir, &Clock::manual(0), &log_config());
    for (id, (topic, text)) in logs.iter().enumerate() {
        another(&scene, id as u8 + 1, topic, text);
    }
    let config = CleanerConfig {
        order,
        ..CleanerConfig::default()
    };
    let cleaner = Arc::new(LogCleaner::new(scene.manager.clone(), config).unwrap());
    (scene, cleaner, reads)
}

#[test]
fn while_a_log_is_planned_for_the_order_others_are_cleaned() {
    let logs = [("t", "a1@0 a2@1 a3@2"), ("u", "a1@0 a2@1")];
    let (_scene, cleaner, reads) = hooked(CleaningOrder::Benefit, &logs);
    let (seen, states) = mpsc::channel();
    let (planning, hook) = (cleaner.clone(), reads.clone());
    reads.set(move || {
        hook.clear();
        let state = planning.status_of(&topic_partition()).unwrap().state;
        let (other, (done, next)) = (planning.clone(), mpsc::channel());
        std::thread::spawn(move || done.send(other.clean_next().map(|(log, _)| log.topic)));
        let next = next.recv_timeout(Duration::from_secs(30));
        seen.send((state, next)).unwrap();
    });
    assert_eq!(cleaner.clean_next().unwrap().0, topic_partition());
    let (state, next) = states.try_recv().unwrap();
    assert_eq!(state, CleanerState::Cleaning(Trigger::DirtyRatio));
    assert_eq!(next.unwrap().as_deref(), Some("u"));
}

#[test]
fn a_dry_run_claims_its_log_and_gives_it_back_also_when_it_fails() {
    let (_scene, cleaner, reads) = hooked(CleaningOrder::DirtyRatio, &[("t", "a1@0 a2@1")]);
    let status = |cleaner: &LogCleaner| cleaner.status_of(&topic_partition()).unwrap();
    let (seen, states) = mpsc::channel();
    let (planning, hook) = (cleaner.clone(), reads.clone());
    reads.set(move || {
        hook.clear();
        seen.send(status(&planning).state).unwrap();
        panic!("a panic for the test");
    });
    let failed = cleaner.dry_run(&topic_partition()).unwrap_err();
    assert!(
        matches!(failed, StorageError::CleanerPanicked { .. }),
        "{failed}"
    );
    let claimed = CleanerState::Cleaning(Trigger::Request);
    assert_eq!(states.try_recv().unwrap(), claimed);
    // Nobody's cleaning has failed, so nothing waits.
    assert_eq!(status(&cleaner).state, CleanerState::Idle);
    assert_eq!(status(&cleaner).failures, 0);
    let dry = cleaner.dry_run(&topic_partition()).unwrap();
    assert_eq!(dry.dead.superseded, 1);
    assert_eq!(status(&cleaner).state, CleanerState::Idle);
    let stats = cleaner.clean_now(&topic_partition()).unwrap();
    assert_eq!(stats.dead, dry.dead);
}

#[test]
fn the_benefit_of_a_log_is_what_its_files_would_lose_compressed_or_not() {
    let config = CleanerConfig {
        order: CleaningOrder::Benefit,
        ..CleanerConfig::default()
    };
    let scene = Scene::with("", |_| {}, config);
    // Words that do not compress, and repeat.
    let value = |number: u64| format!("{:016x}", number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let value = |number: u64| (4 * number..4 * number + 4).map(value).collect::<String>();
    let record = |number: u64| format!("k{}={}@{number}", number / 2, value(number + 1).repeat(16));
    let records: Vec<String> = (0..80).map(record).collect();
    let records = records.join(" ");
    let logs = [
        another(&scene, 1, "plain", &format!("[{records}]")),
        another(&scene, 2, "compressed", &format!("[{records}]{{lz4}}")),
        // Goes first, unless dead bytes as they are uncompressed are held against a compressed file.
        another(&scene, 3, "most", "a1@0 a2@1 a3@2 a4@3"),
    ];
    let size_bytes = |topic_partition: &TopicPartition| -> u64 {
        let segments = scene.manager.get(topic_partition).unwrap().segments();
        segments.iter().map(|it| u64::from(it.size_bytes())).sum()
    };
    let sizes_before = logs.clone().map(|log| size_bytes(&log));
    let order: Vec<TopicPartition> = std::iter::from_fn(|| scene.cleaner.clean_next())
        .map(|(log, _)| log)
        .collect();
    assert_eq!(order.len(), 3);
    assert_eq!(order[0], logs[2]);
    let [plain, compressed, most] = std::array::from_fn(|index| {
        let (before, after) = (sizes_before[index], size_bytes(&logs[index]));
        let benefit = scene.cleaner.status_of(&logs[index]).unwrap().benefit;
        (benefit.unwrap(), (before - after) as f64 / after as f64)
    });
    assert_eq!(plain.0, plain.1);
    assert_eq!(most, (3.0, 3.0));
    let error = compressed.0 / compressed.1 - 1.0;
    assert!(error.abs() < 0.1, "{compressed:?}");
}

#[test]
fn the_number_of_threads_follows_the_config() {
    let scene = Scene::new("");
    let with_threads = |threads| CleanerConfig {
        threads,
        backoff_ms: 1,
        ..CleanerConfig::default()
    };
    let cleaner = LogCleaner::start(scene.manager.clone(), with_threads(2)).unwrap();
    for threads in [2, 4, 1, 3, 0, 2] {
        cleaner.update_config(with_threads(threads)).unwrap();
        let deadline = Instant::now() + Duration::from_secs(30);
        while cleaner.running_threads() != threads as usize {
            assert!(Instant::now() < deadline, "{}", cleaner.running_threads());
            std::thread::yield_now();
        }
    }
    let other = another(&scene, 1, "u", "a1@0 a2@1");
    let deadline = Instant::now() + Duration::from_secs(30);
    while cleaner.status_of(&other).unwrap().cleanings == 0 {
        assert!(Instant::now() < deadline);
        std::thread::yield_now();
    }
    cleaner.stop();
    cleaner.update_config(with_threads(3)).unwrap();
    assert_eq!(cleaner.running_threads(), 0);
}
