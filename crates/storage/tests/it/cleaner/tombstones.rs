//! A tombstone stays for delete.retention.ms after the cleaning that first kept it, then goes, on quiet logs too.

use lastword_storage::cleaner::{DeleteHorizon, Trigger};

use super::scene::{RETENTION_MS, Scene, topic_partition};

#[test]
fn case_16_a_kept_tombstone_gets_a_horizon() {
    let mut scene = Scene::new("a1@0 aT@1 |");
    let stats = scene.clean_at(0);
    assert_eq!(scene.survivors(), "[aT@1]h1000");
    assert_eq!(stats.horizons_stamped, 1);
}

#[test]
fn case_17_a_tombstone_goes_when_its_horizon_is_reached_and_not_before() {
    let mut scene = Scene::new("a1@0 aT@1 |");
    scene.clean_at(0);
    scene.write("b1@2 |");
    scene.clean_at(999);
    assert_eq!(scene.survivors(), "[aT@1]h1000 [b1@2]");
    scene.write("c1@3 |");
    let stats = scene.clean_at(1_000);
    assert_eq!(scene.survivors(), "[b1@2] [c1@3]");
    assert_eq!(stats.dead.expired_tombstones, 1);
}

#[test]
fn case_18_a_tombstone_without_an_earlier_value_stays_as_long() {
    let mut scene = Scene::new("aT@0 z1@1 |");
    scene.clean_at(0);
    assert_eq!(scene.survivors(), "[aT@0]h1000 [z1@1]");
    scene.clean_at(999);
    assert_eq!(scene.survivors(), "[aT@0]h1000 [z1@1]");
    scene.clean_at(1_000);
    assert_eq!(scene.survivors(), "[z1@1]");
}

#[test]
fn case_19_a_horizon_is_set_once() {
    for retention_ms in [1, 1_000_000] {
        let mut scene = Scene::new("aT@0 z1@1 |");
        scene.clean_at(0);
        scene.configure(|config| config.delete_retention_ms = retention_ms);
        scene.write("[z2@2 b1@3] |");
        scene.clean_at(500);
        assert_eq!(scene.survivors(), "[aT@0]h1000 [z2@2 b1@3]");
        scene.clean_at(1_000);
        assert_eq!(scene.survivors(), "[z2@2 b1@3]");
    }
}

#[test]
fn case_20_values_beside_an_expired_tombstone_keep_the_batch_and_its_horizon() {
    let mut scene = Scene::new("[aT@0 b1@1] |");
    scene.clean_at(0);
    assert_eq!(scene.survivors(), "[aT@0 b1@1]h1000");
    scene.clean_at(1_000);
    assert_eq!(scene.survivors(), "0..1[b1@1]h1000");
    let batch = &scene.batches()[0];
    assert_eq!(batch.header.base_timestamp, 1_000);
    assert_eq!(batch.rows[0].timestamp, 1_001);
    // A batch whose horizon has passed is no reason to come back.
    assert!(!scene.clean_if_due());
}

#[test]
fn case_21_a_log_append_time_batch_keeps_its_time() {
    let mut scene = Scene::new("[aT@0 b1@1]{lat} |");
    scene.clean_at(0);
    let batch = &scene.batches()[0];
    assert_eq!(batch.header.attributes & 0x48, 0x48);
    assert_eq!(
        (batch.header.base_timestamp, batch.header.max_timestamp),
        (1_000, 1_001)
    );
    assert!(batch.rows.iter().all(|row| row.timestamp == 1_001));
}

#[test]
fn case_22_a_superseded_tombstone_goes_at_once() {
    let mut scene = Scene::new("aT@0 | a2@1 |");
    scene.clean();
    assert_eq!(scene.survivors(), "[a2@1]");
}

#[test]
fn case_23_without_retention_a_tombstone_survives_one_pass() {
    let mut scene = Scene::with_config("a1@0 aT@1 z1@2 |", |config| config.delete_retention_ms = 0);
    scene.clean_at(0);
    assert_eq!(scene.survivors(), "[aT@1]h0 [z1@2]");
    scene.clean_at(0);
    assert_eq!(scene.survivors(), "[z1@2]");
}

#[test]
fn case_24_a_stamped_batch_keeps_its_codec() {
    for (codec, id) in [("gzip", 1), ("snappy", 2), ("lz4", 3), ("zstd", 4)] {
        let mut scene = Scene::new(&format!("[a1@0 aT@1 b1@2]{{{codec}}} |"));
        scene.clean_at(0);
        assert_eq!(scene.survivors(), "0..2[aT@1 b1@2]h1000");
        assert_eq!(scene.batches()[0].header.attributes, 0x40 | id);
        scene.clean_at(1_000);
        assert_eq!(scene.survivors(), "0..2[b1@2]h1000");
        assert_eq!(scene.batches()[0].header.attributes, 0x40 | id);
    }
}

#[test]
fn case_25_a_horizon_depends_on_the_brokers_clock_alone() {
    let mut scene = Scene::new("aT@0t9999999999999 bT@1t-1 z1@2 |");
    scene.clean_at(0);
    assert_eq!(scene.survivors(), "[aT@0]h1000 [bT@1]h1000 [z1@2]");
    scene.clean_at(1_000);
    assert_eq!(scene.survivors(), "[z1@2]");
}

#[test]
fn expired_tombstones_leave_a_quiet_log() {
    let mut scene = Scene::new("a1@0 aT@1 z1@2 |");
    assert!(scene.clean_if_due());
    let status = scene.cleaner.status_of(&topic_partition()).unwrap();
    assert_eq!(status.horizon, DeleteHorizon::At(RETENTION_MS));
    scene.set_clock(999);
    assert!(!scene.clean_if_due());
    scene.set_clock(1_000);
    assert!(scene.clean_if_due());
    assert_eq!(scene.survivors(), "[z1@2]");
    assert!(!scene.clean_if_due());
    assert_eq!(
        scene.cleaner.status_of(&topic_partition()).unwrap().horizon,
        DeleteHorizon::None
    );
}

#[test]
fn a_horizon_is_remembered_across_a_restart() {
    let mut scene = Scene::new("a1@0 aT@1 z1@2 |");
    scene.clean();
    let mut scene = scene.reopened();
    scene.set_clock(999);
    assert!(!scene.clean_if_due());
    scene.set_clock(1_000);
    assert!(scene.clean_if_due());
    assert_eq!(scene.survivors(), "[z1@2]");
}

#[test]
fn a_log_that_another_program_cleaned_is_looked_at_once() {
    let mut scene = Scene::new("a1@0 aT@1 z1@2 |");
    scene.clean();
    use lastword_storage::dir::Dir;
    scene
        .dir
        .remove(lastword_storage::file_name::DELETE_HORIZON_CHECKPOINT)
        .unwrap();
    let mut scene = scene.reopened();
    assert!(scene.clean_if_due());
    assert_eq!(scene.survivors(), "[aT@1]h1000 [z1@2]");
    assert!(!scene.clean_if_due());
    scene.set_clock(1_000);
    assert!(scene.clean_if_due());
    assert_eq!(scene.survivors(), "[z1@2]");
}

#[test]
fn an_expired_tombstone_takes_every_older_value_with_it() {
    // The value lies in a segment before, and the table holds two keys.
    let mut scene = Scene::with_memory_for("a1@0 b1@1 c1@2 | d1@3 e1@4 | aT@5 z1@6 |", 3);
    scene.clean_at(0);
    assert_eq!(
        scene.survivors(),
        "[b1@1] [c1@2] [d1@3] [e1@4] [aT@5]h1000 [z1@6]"
    );
    scene.write("b2@7 c2@8 d2@9 e2@10 |");
    scene.clean_at(1_000);
    assert_eq!(scene.survivors(), "[z1@6] [b2@7] [c2@8] [d2@9] [e2@10]");
}

#[test]
fn the_trigger_of_a_quiet_pass_is_the_horizon() {
    let mut scene = Scene::new("aT@0 z1@1 |");
    scene.clean();
    scene.set_clock(1_000);
    let status = scene.cleaner.status_of(&topic_partition()).unwrap();
    // Due, and this cleaner has no threads.
    assert_eq!(
        status.reason.code(),
        lastword_storage::cleaner::ReasonCode::NoWorker
    );
    assert_ne!(Trigger::DeleteHorizon, Trigger::DirtyRatio);
}
