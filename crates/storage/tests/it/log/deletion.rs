//! Retention and DeleteRecords: what goes, what stays, and that nothing comes back.

use lastword_storage::dir::CrashModel;
use lastword_storage::{CleanupPolicy, Isolation, LogConfig, StorageError};

use super::{NOW_MS, Scene, append_one, read_all, request, small_segments};

fn filled(config: LogConfig) -> Scene {
    let scene = Scene::new(config);
    for i in 0..40 {
        append_one(&scene.log(), "k", &format!("value {i}"));
    }
    scene.log().sync().expect("synced");
    scene
}

#[test]
fn time_retention_deletes_all_but_an_empty_active_segment() {
    let scene = filled(LogConfig {
        retention_ms: 1_000,
        ..small_segments()
    });
    let log = scene.log();
    assert_eq!(log.apply_retention(NOW_MS + 1_000).expect("applied"), 0);
    let before = log.segments().len();
    assert_eq!(
        log.apply_retention(NOW_MS + 1_001).expect("applied"),
        before
    );
    let offsets = log.offsets();
    assert_eq!((offsets.log_start_offset, offsets.log_end_offset), (40, 40));
    assert_eq!(log.size_bytes(), 0);
    assert_eq!(append_one(&log, "k", "next"), 40);
    let files = scene.dir.files();
    let logs = files
        .iter()
        .filter(|(path, _)| path.ends_with(".log"))
        .count();
    assert_eq!(logs, 1, "the files are gone: {files:?}");
}

#[test]
fn size_retention_keeps_at_least_the_limit() {
    let scene = filled(LogConfig {
        retention_bytes: 1_000,
        ..small_segments()
    });
    let log = scene.log();
    assert!(log.apply_retention(NOW_MS).expect("applied") > 0);
    assert!(log.size_bytes() >= 1_000 && log.size_bytes() < 1_400);
    let start = log.offsets().log_start_offset;
    assert_eq!(log.segments().first().base_offset(), start);
    let gone = log.read(request(start - 1, Isolation::HighWatermark));
    assert!(matches!(gone, Err(StorageError::OffsetOutOfRange { .. })));
    assert_eq!(
        read_all(&log).first().map(|entry| entry.offset),
        Some(start)
    );
}

#[test]
fn retention_does_not_touch_a_log_that_is_only_compacted() {
    let scene = filled(LogConfig {
        retention_ms: 0,
        retention_bytes: 0,
        cleanup_policy: CleanupPolicy {
            compact: true,
            delete: false,
        },
        ..small_segments()
    });
    assert_eq!(
        scene
            .log()
            .apply_retention(NOW_MS + 5_000)
            .expect("applied"),
        0
    );
    let start = scene.log().delete_records_before(20).expect("deleted");
    assert_eq!(start, 20);
    assert!(
        scene.log().segments().first().base_offset() > 0,
        "whole segments below it are gone"
    );
}

#[test]
fn retention_never_deletes_what_is_not_durable() {
    let scene = Scene::new(LogConfig {
        retention_ms: 0,
        ..small_segments()
    });
    let log = scene.log();
    for _ in 0..20 {
        append_one(&log, "k", "value");
    }
    assert_eq!(log.apply_retention(NOW_MS + 5_000).expect("applied"), 0);
    log.sync().expect("synced");
    assert!(log.apply_retention(NOW_MS + 5_000).expect("applied") > 0);
}

#[test]
fn deleted_records_do_not_come_back() {
    for model in CrashModel::ALL {
        let scene = filled(small_segments());
        assert_eq!(scene.log().delete_records_before(17).expect("deleted"), 17);
        assert_eq!(
            scene.log().delete_records_before(5).expect("kept"),
            17,
            "it only rises"
        );
        for seed in 0..4 {
            let crashed = scene.crashed(model, seed);
            let log = crashed.log();
            assert_eq!(log.offsets().log_start_offset, 17, "{model:?}");
            assert_eq!(read_all(&log).len(), 23);
        }
    }
}

#[test]
fn delete_records_takes_the_high_watermark_and_nothing_beyond() {
    let scene = filled(small_segments());
    let log = scene.log();
    append_one(&log, "k", "not durable");
    assert!(log.delete_records_before(41).is_err());
    assert_eq!(log.delete_records_before(-1).expect("deleted"), 40);
    assert_eq!(read_all(&log), []);
    log.sync().expect("synced");
    assert_eq!(read_all(&log).len(), 1);
}

#[test]
fn a_reader_finishes_on_a_segment_that_is_deleted_under_it() {
    let scene = filled(LogConfig {
        retention_ms: 0,
        ..small_segments()
    });
    let log = scene.log();
    let data = log
        .read(request(0, Isolation::HighWatermark))
        .expect("read");
    let mut before = Vec::new();
    data.read_into(&mut before).expect("bytes");
    assert!(log.apply_retention(NOW_MS + 1).expect("applied") > 0);
    let mut after = Vec::new();
    data.read_into(&mut after).expect("bytes");
    assert_eq!(before, after);
}

#[test]
fn retention_waits_after_the_clock_has_jumped() {
    const DAY_MS: i64 = 86_400_000;
    let scene = filled(LogConfig {
        retention_ms: DAY_MS,
        ..small_segments()
    });
    let log = scene.log();
    let starts_at = |now_ms: i64| {
        scene.manager.tick(now_ms);
        log.offsets().log_start_offset
    };
    assert_eq!(starts_at(NOW_MS), 0);
    assert_eq!(
        starts_at(NOW_MS + 30 * DAY_MS),
        0,
        "a month in one step is not believed"
    );
    assert_eq!(starts_at(NOW_MS + 1_000), 0, "the clock was set right");
    assert_eq!(starts_at(NOW_MS + 30 * DAY_MS), 0);
    assert_eq!(starts_at(NOW_MS + 30 * DAY_MS + 599_999), 0);
    assert_eq!(
        starts_at(NOW_MS + 30 * DAY_MS + 600_000),
        40,
        "it really was a month"
    );
}
