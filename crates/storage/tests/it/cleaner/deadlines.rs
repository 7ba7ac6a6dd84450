//! Deadlines on a partition that nobody writes to any more: only the clock moves, and what threads do is done here in
//! turn: the manager's tick, and the cleaner's look for work.

use lastword_storage::cleaner::DeleteHorizon;

use super::scene::{RETENTION_MS, Scene, topic_partition};

const LAG_MS: i64 = 500;

/// A partition with this content in its active segment, a ratio that is never reached and a maximum lag.
fn idle(text: &str) -> Scene {
    Scene::with_config(text, |config| {
        config.min_cleanable_dirty_ratio = 1.0;
        config.max_compaction_lag_ms = LAG_MS;
    })
}

/// What happens within a moment of this time; whether the log was cleaned.
fn at(scene: &mut Scene, now_ms: i64) -> bool {
    scene.set_clock(now_ms);
    scene.manager.tick(now_ms);
    let is_cleaned = scene.clean_if_due();
    // Once is enough.
    assert!(!scene.clean_if_due(), "cleaned twice at {now_ms}");
    is_cleaned
}

#[test]
fn the_active_segment_of_an_idle_partition_is_cleaned_at_the_maximum_lag() {
    let mut scene = idle("a1@0t1 b1@1t2 a2@2t3");
    assert!(!at(&mut scene, LAG_MS));
    assert_eq!(scene.survivors(), "[a1@0] [b1@1] [a2@2]");
    assert!(at(&mut scene, LAG_MS + 2));
    assert_eq!(scene.survivors(), "[b1@1] [a2@2]");
    assert!(!at(&mut scene, i64::MAX / 4));
}

#[test]
fn a_tombstone_in_the_active_segment_of_an_idle_partition_goes_without_a_write() {
    let mut scene = idle("a1@0t1 b1@1t2 aT@2t3 c1@3t4");
    let cleaned_ms = LAG_MS + 2;
    assert!(at(&mut scene, cleaned_ms));
    let horizon_ms = cleaned_ms + RETENTION_MS;
    assert_eq!(
        scene.survivors(),
        format!("[b1@1] [aT@2]h{horizon_ms} [c1@3]")
    );
    assert!(!at(&mut scene, horizon_ms - 1));
    assert!(at(&mut scene, horizon_ms));
    assert_eq!(scene.survivors(), "[b1@1] [c1@3]");
    assert!(!at(&mut scene, i64::MAX / 4));
}

#[test]
fn a_restart_does_not_put_a_deadline_off() {
    let mut scene = idle("a1@0t1 aT@1t2 b1@2t3").reopened();
    let cleaned_ms = LAG_MS + 2;
    assert!(at(&mut scene, cleaned_ms));
    let mut scene = scene.reopened();
    let horizon_ms = cleaned_ms + RETENTION_MS;
    let status = scene.cleaner.status_of(&topic_partition()).unwrap();
    assert_eq!(status.horizon, DeleteHorizon::At(horizon_ms));
    assert!(!at(&mut scene, horizon_ms - 1));
    let mut scene = scene.reopened();
    assert!(at(&mut scene, horizon_ms));
    assert_eq!(scene.survivors(), "[b1@2]");
}

#[test]
fn markers_of_an_idle_partition_go_without_a_write() {
    let text = "[a1@0t1]{p1 txn} X@1{p1} [b1@2t1]{p2 txn} C@3{p2} [b2@4t1]{p3 txn} C@5{p3} c1@6t1";
    let mut scene = idle(text);
    // Markers have the time 1,000 + offset.
    assert!(at(&mut scene, 1_000 + LAG_MS));
    assert_eq!(scene.survivors(), "0..0[] X@1 2..2[] C@3 [b2@4] C@5 [c1@6]");
    let mut cleanings = 0;
    let horizon = |scene: &Scene| scene.cleaner.status_of(&topic_partition()).unwrap().horizon;
    while let DeleteHorizon::At(ms) = horizon(&scene) {
        assert!(!at(&mut scene, ms - 1));
        assert!(at(&mut scene, ms));
        cleanings += 1;
    }
    // The last marker is that of a record that is still there.
    assert_eq!(scene.survivors(), "[b2@4] C@5 [c1@6]");
    assert!(cleanings <= 5, "{cleanings}");
}

#[test]
fn tombstones_that_expire_one_by_one_all_go_and_are_not_all_visited() {
    let mut scene = Scene::new("");
    // One tombstone a segment, each stamped in its own cleaning.
    for offset in 0..40 {
        scene.write(&format!(
            "k{offset}=v@{} | k{offset}=T@{} | ",
            2 * offset,
            2 * offset + 1
        ));
        scene.clean_at(offset * 10);
    }
    let mut cleanings = 0;
    for now_ms in (400..3 * RETENTION_MS).step_by(5) {
        cleanings += u32::from(at(&mut scene, now_ms));
    }
    assert_eq!(scene.survivors().matches("=T@").count(), 0);
    assert!((1..=16).contains(&cleanings), "{cleanings}");
}

#[test]
fn records_without_a_time_meet_the_maximum_lag_by_the_time_of_their_file() {
    let mut scene = idle("");
    scene.set_clock(100);
    scene.write("a1@0t-1 a2@1t-1 b1@2t-1");
    assert!(!at(&mut scene, 100 + LAG_MS));
    assert!(at(&mut scene, 100 + LAG_MS + 1));
    assert_eq!(scene.survivors(), "[a2@1] [b1@2]");
}
