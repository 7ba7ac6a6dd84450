//! When a new segment begins.

use lastword_record::BatchSpec;
use lastword_storage::{AppendOrigin, CleanupPolicy, LogConfig};

use super::{NOW_MS, Scene, append_one, batch_at, small_segments};

fn bases(scene: &Scene) -> Vec<i64> {
    scene
        .log()
        .segments()
        .iter()
        .map(|segment| segment.base_offset())
        .collect()
}

#[test]
fn a_segment_never_exceeds_its_size() {
    let scene = Scene::new(small_segments());
    for i in 0..40 {
        append_one(&scene.log(), "k", &"x".repeat(i * 7 % 60));
    }
    let set = scene.log().segments();
    assert!(set.iter().all(|segment| segment.size_bytes() <= 400));
    assert_eq!(set.size_bytes(), scene.log().size_bytes());
}

#[test]
fn a_batch_whose_time_is_too_far_from_the_first_starts_a_segment() {
    let config = LogConfig {
        segment_ms: 100,
        ..LogConfig::default()
    };
    let scene = Scene::new(config);
    for timestamp in [
        NOW_MS,
        NOW_MS + 100,
        NOW_MS + 101,
        NOW_MS + 150,
        NOW_MS + 300,
    ] {
        let bytes = batch_at(BatchSpec::default(), timestamp, &[("a", Some("1"))]);
        scene
            .log()
            .append(&bytes, AppendOrigin::Client, 0)
            .expect("appended");
    }
    assert_eq!(bases(&scene), [0, 2, 4]);
}

#[test]
fn an_idle_partition_rolls_by_the_clock() {
    let config = LogConfig {
        segment_ms: 1_000,
        ..LogConfig::default()
    };
    let scene = Scene::new(config);
    let log = scene.log();
    assert!(
        !log.roll_if_due(NOW_MS + 5_000).expect("looked"),
        "an empty segment stays"
    );
    append_one(&log, "a", "1");
    assert!(!log.roll_if_due(NOW_MS + 1_000).expect("looked"));
    assert!(log.roll_if_due(NOW_MS + 1_001).expect("looked"));
    assert!(
        !log.roll_if_due(NOW_MS + 9_000).expect("looked"),
        "the new one is empty"
    );
    assert_eq!(bases(&scene), [0, 1]);
}

#[test]
fn the_clock_goes_on_over_a_restart() {
    let config = LogConfig {
        segment_ms: 1_000,
        ..LogConfig::default()
    };
    let scene = Scene::new(config);
    append_one(&scene.log(), "a", "1");
    let scene = scene.reopened();
    scene.clock.advance_ms(1_001);
    scene.manager.tick(scene.clock.now_ms());
    assert_eq!(bases(&scene), [0, 1]);
}

#[test]
fn the_maximum_compaction_lag_caps_the_age_on_compacted_logs_only() {
    for (compact, expected) in [(true, true), (false, false)] {
        let scene = Scene::new(LogConfig {
            max_compaction_lag_ms: 500,
            cleanup_policy: CleanupPolicy {
                compact,
                delete: !compact,
            },
            ..LogConfig::default()
        });
        append_one(&scene.log(), "a", "1");
        let rolled = scene.log().roll_if_due(NOW_MS + 501).expect("looked");
        assert_eq!(rolled, expected);
    }
}

#[test]
fn jitter_makes_segments_roll_earlier_but_never_later() {
    let config = LogConfig {
        segment_ms: 1_000,
        segment_jitter_ms: 900,
        ..LogConfig::default()
    };
    let scene = Scene::new(config);
    append_one(&scene.log(), "a", "1");
    assert!(!scene.log().roll_if_due(NOW_MS + 100).expect("looked"));
    assert!(scene.log().roll_if_due(NOW_MS + 1_001).expect("looked"));
}

#[test]
fn a_full_index_starts_a_segment() {
    let scene = Scene::new(LogConfig {
        segment_index_bytes: 40,
        index_interval_bytes: 0,
        ..LogConfig::default()
    });
    for _ in 0..30 {
        append_one(&scene.log(), "a", "1");
    }
    let set = scene.log().segments();
    assert!(set.len() > 3);
    assert!(set.iter().all(|segment| segment.index_size_bytes() <= 40));
    assert!(
        set.iter()
            .all(|segment| segment.time_index_size_bytes() <= 40)
    );
}

#[test]
fn a_change_of_the_config_counts_at_once() {
    let scene = Scene::new(LogConfig::default());
    append_one(&scene.log(), "a", "1");
    scene.log().update_config(LogConfig {
        segment_ms: 10,
        ..LogConfig::default()
    });
    assert!(scene.log().roll_if_due(NOW_MS + 11).expect("looked"));
}
