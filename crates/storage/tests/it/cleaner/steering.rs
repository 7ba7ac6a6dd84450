//! What a person may do to the cleaner: look first, clean now, pause, resume.

use std::sync::Arc;
use std::time::{Duration, Instant};

use lastword_record::TopicId;
use lastword_storage::cleaner::{DeadRecords, LogCleaner, ReasonCode, SegmentDryRun, Trigger};
use lastword_storage::config::CleanerConfig;
use lastword_storage::error::StorageError;

use super::scene::{Scene, log_config, topic_partition};

#[test]
fn a_dry_run_says_exactly_what_the_next_cleaning_removes() {
    // Every way to die: superseded, an expired tombstone, aborted data, a marker without data, a record without a key.
    let text =
        "a1@0 b1@1 cT@2 | [d1@3 e1@4]{p1 txn} X@5{p1} | a2@6 n1@7 fT@8 | g1@9 g2@10 | A: b2@11";
    let mut scene = Scene::with_config(text, |config| config.compaction_rebatch = false);
    for now_ms in [0, 500, 1_000, 2_500] {
        scene.set_clock(now_ms);
        let before = (scene.layout(), bytes_below_active(&scene));
        let dry_run = scene.cleaner.dry_run(&topic_partition()).unwrap();
        assert_eq!(before, (scene.layout(), bytes_below_active(&scene)));
        let records_before = records_below_active(&scene);
        let stats = scene.clean();
        assert_eq!(stats.dead, dry_run.dead, "at {now_ms}");
        assert_eq!(stats.tombstones, dry_run.tombstones, "at {now_ms}");
        assert_eq!(records_before, dry_run.records);
        let records_after = records_below_active(&scene);
        assert_eq!(records_after, dry_run.records - dry_run.dead.total());
        assert_eq!(
            bytes_below_active(&scene),
            dry_run.live_bytes,
            "at {now_ms}"
        );
        let by_segment =
            |value: fn(&SegmentDryRun) -> u64| -> u64 { dry_run.segments.iter().map(value).sum() };
        assert_eq!(by_segment(|it| it.dead_records), dry_run.dead.total());
        assert_eq!(by_segment(|it| it.size_bytes), before.1);
        assert_eq!(by_segment(|it| it.live_bytes), dry_run.live_bytes);
        // Now nothing is left to remove.
        let again = scene.cleaner.dry_run(&topic_partition()).unwrap();
        assert_eq!(again.dead, DeadRecords::default());
        assert_eq!(again.live_keys, dry_run.live_keys);
    }
}

fn records_below_active(scene: &Scene) -> u64 {
    let active = scene
        .log
        .segments()
        .as_slice()
        .last()
        .unwrap()
        .base_offset();
    let batches = scene.batches().into_iter();
    let sealed = batches.filter(|batch| batch.header.base_offset < active);
    sealed.map(|batch| batch.rows.len() as u64).sum()
}

fn bytes_below_active(scene: &Scene) -> u64 {
    let segments = scene.log.segments();
    let (_, sealed) = segments.as_slice().split_last().unwrap();
    sealed.iter().map(|it| u64::from(it.size_bytes())).sum()
}

#[test]
fn the_status_counts_what_the_last_plan_or_cleaning_found() {
    let mut scene = Scene::new("a1@0 b1@1 a2@2 cT@3 | A: d1@4");
    let counts = |scene: &Scene| scene.cleaner.status_of(&topic_partition()).unwrap().counts;
    assert_eq!(counts(&scene), None);
    scene.cleaner.dry_run(&topic_partition()).unwrap();
    let planned = counts(&scene).unwrap();
    assert_eq!((planned.records, planned.live_keys), (4, 2));
    assert_eq!((planned.dead.superseded, planned.tombstones), (1, 1));
    assert_eq!(planned.end_offset, 4);
    scene.clean();
    let cleaned = counts(&scene).unwrap();
    assert_eq!((cleaned.records, cleaned.live_keys), (3, 2));
    assert_eq!((cleaned.dead.total(), cleaned.tombstones), (0, 1));
    assert_eq!(cleaned.live_bytes, bytes_below_active(&scene));
    let status = scene.cleaner.status_of(&topic_partition()).unwrap();
    assert_eq!(
        (status.sizes.tail_segments, status.sizes.segments()),
        (1, 2)
    );
    assert_eq!(status.sizes.tail_bytes, cleaned.live_bytes);
    assert_eq!(status.sizes.total_bytes(), scene.log.size_bytes());
    assert_eq!((status.totals.ok, status.totals.records_removed), (1, 1));
    let stats = status.last_stats.unwrap();
    assert_eq!(
        status.totals.bytes_removed,
        stats.bytes_in - stats.bytes_out
    );
    // The tombstone may go at 1,000, and goes.
    assert_eq!(status.next_ms, Some(1_000));
    scene.clean_at(1_000);
    let cleaned = counts(&scene).unwrap();
    assert_eq!((cleaned.records, cleaned.live_keys), (2, 2));
    assert_eq!(cleaned.tombstones, 0);
}

#[test]
fn a_paused_log_is_not_cleaned_until_it_is_resumed() {
    let scene = Scene::new("a1@0 a2@1 |");
    let partition = topic_partition();
    let first = scene.cleaner.pause(&partition, "alice").unwrap();
    scene.set_clock(500);
    let second = scene.cleaner.pause(&partition, "bob").unwrap();
    assert_eq!(first, second);
    assert!(scene.cleaner.clean_next().is_none());
    let refused = scene.cleaner.clean_now(&partition);
    assert!(
        matches!(refused, Err(StorageError::Paused { .. })),
        "{refused:?}"
    );
    // A look is allowed.
    let dry_run = scene.cleaner.dry_run(&partition).unwrap();
    assert_eq!(dry_run.dead.superseded, 1);
    assert_eq!(scene.survivors(), "[a1@0] [a2@1]");
    assert_eq!(scene.cleaner.resume(&partition), Some(first));
    assert_eq!(scene.cleaner.resume(&partition), None);
    let (_, cleaned) = scene.cleaner.clean_next().unwrap();
    cleaned.unwrap();
    assert_eq!(scene.survivors(), "[a2@1]");
}

#[test]
fn a_pause_ends_a_cleaning_that_is_under_way_and_leaves_the_log_whole() {
    let mut scene = Scene::new("a1@0 a2@1 | b1@2 b2@3 |");
    let partition = topic_partition();
    let slow = CleanerConfig {
        io_max_bytes_per_second: 10.0,
        ..CleanerConfig::default()
    };
    let cleaner = LogCleaner::new(scene.manager.clone(), slow).unwrap();
    let result = std::thread::scope(|scope| {
        let cleaning = scope.spawn(|| cleaner.clean_now(&partition));
        let deadline = Instant::now() + Duration::from_secs(30);
        while cleaner.throttled_bytes() == 0 {
            assert!(Instant::now() < deadline);
            std::thread::yield_now();
        }
        cleaner.pause(&partition, "test").unwrap();
        cleaning.join().unwrap()
    });
    assert!(
        matches!(result, Err(StorageError::Paused { .. })),
        "{result:?}"
    );
    let status = cleaner.status_of(&partition).unwrap();
    assert_eq!(status.reason.code(), ReasonCode::Paused);
    assert_eq!((status.failures, status.totals.aborted), (0, 1));
    drop(cleaner);
    scene.clean();
    assert_eq!(scene.survivors(), "[a2@1] [b2@3]");
}

#[test]
fn a_log_of_the_same_name_is_not_paused() {
    let mut scene = Scene::new("a1@0 a2@1 |");
    scene.cleaner.pause(&topic_partition(), "test").unwrap();
    scene.manager.delete(&topic_partition()).unwrap();
    scene.log = scene
        .manager
        .create(&topic_partition(), TopicId([9; 16]), log_config())
        .unwrap();
    scene.write("b1@0 b2@1 |");
    assert!(scene.clean_if_due());
    assert_eq!(scene.survivors(), "[b2@1]");
}

#[test]
fn whoever_asks_for_a_cleaning_sees_it_from_outside() {
    let scene = Scene::new("a1@0 a2@1 |");
    let slow = CleanerConfig {
        io_max_bytes_per_second: 10.0,
        ..CleanerConfig::default()
    };
    let cleaner = LogCleaner::new(scene.manager.clone(), slow).unwrap();
    let progress = Arc::default();
    std::thread::scope(|scope| {
        let cleaning = scope.spawn(|| cleaner.clean_and_show(&topic_partition(), &progress));
        let deadline = Instant::now() + Duration::from_secs(30);
        let running = loop {
            assert!(Instant::now() < deadline);
            match cleaner.status_of(&topic_partition()).unwrap().reason {
                lastword_storage::cleaner::Reason::Throttled { running, .. } => break running,
                _ => std::thread::yield_now(),
            }
        };
        assert_eq!(running.trigger, Trigger::Request);
        assert_eq!(running.progress.phase, progress.view().phase);
        cleaner.update_config(CleanerConfig::default()).unwrap();
        cleaning.join().unwrap().unwrap();
    });
}
