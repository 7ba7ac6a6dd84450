//! Unfinished outputs, bit rot, and a disk that is full.

use std::collections::BTreeSet;

use lastword_record::{TopicId, TopicPartition};
use lastword_storage::cleaner::CleanerState;
use lastword_storage::dir::Dir;
use lastword_storage::error::StorageError;
use lastword_storage::log::AppendOrigin;

use super::scene::{Batch, Scene, batches_of, log_config, topic_partition};

fn rows(batches: &[Batch]) -> BTreeSet<i64> {
    batches
        .iter()
        .flat_map(|batch| &batch.rows)
        .map(|row| row.offset)
        .collect()
}

#[test]
fn case_58_an_unfinished_output_loses_against_the_old_segment() {
    let scene = Scene::new("a1@0 a2@1 | A: b1@2");
    for name in ["log", "index", "timeindex"] {
        let file = scene
            .dir
            .create(&format!("t-0/00000000000000000000.{name}.cleaned"))
            .unwrap();
        file.write_all_at(b"half", 0).unwrap();
    }
    let scene = scene.reopened();
    assert_eq!(scene.survivors(), "[a1@0] [a2@1] [b1@2]");
    assert!(
        !scene
            .dir
            .files()
            .iter()
            .any(|(name, _)| name.ends_with(".cleaned"))
    );
}

#[test]
fn case_59_indexes_of_a_cleaned_segment_are_rebuilt_the_same() {
    let value = "x".repeat(2_000);
    let text: Vec<String> = (0..40)
        .map(|i| format!("k{}={value}@{i}t{}", i % 25, 5_000 + i))
        .collect();
    let mut scene = Scene::new(&format!("{} z1@40 | A:", text.join(" ")));
    scene.clean();
    let indexes = |scene: &Scene| -> Vec<(String, Vec<u8>)> {
        let files = scene.dir.files().into_iter();
        files
            .filter(|(name, _)| name.contains("00000000000000000000.") && name.ends_with("index"))
            .collect()
    };
    let built = indexes(&scene);
    assert!(
        built
            .iter()
            .any(|(name, bytes)| name.ends_with(".index") && bytes.len() > 8)
    );
    for (name, _) in &built {
        scene.dir.remove(name).unwrap();
    }
    let scene = scene.reopened();
    assert_eq!(indexes(&scene), built);
}

#[test]
fn case_62_a_large_batch_is_cleaned_whatever_the_limit_says_by_now() {
    let value = "x".repeat(6 << 20);
    let mut scene = Scene::with_config("", |config| config.max_message_bytes = 64 << 20);
    scene.write(&format!("[a={value}@0 b={value}@1 a={value}@2] c1@3 |"));
    scene.configure(|config| config.max_message_bytes = 1 << 20);
    scene.clean();
    assert_eq!(
        rows(&scene.batches()).into_iter().collect::<Vec<_>>(),
        [1, 2, 3]
    );
}

#[test]
fn case_62_a_broken_segment_is_isolated_and_everything_else_is_cleaned() {
    let scene = Scene::new("a1@0 a2@1 b1@2 |");
    let other = TopicPartition {
        topic: "z".into(),
        partition: 0,
    };
    let log = scene
        .manager
        .create(&other, TopicId([8; 16]), log_config())
        .unwrap();
    for batch in scene.batches() {
        log.append(&batch.bytes, AppendOrigin::Replay, 0).unwrap();
    }
    log.roll().unwrap();
    log.sync().unwrap();
    // The second batch says that it is longer than the file.
    let first_bytes = scene.batches()[0].bytes.len() as u64;
    scene
        .dir
        .flip_bit("t-0/00000000000000000000.log", (first_bytes + 8) * 8 + 4)
        .unwrap();

    let (cleaned, result) = scene.cleaner.clean_next().unwrap();
    assert_eq!(
        (cleaned, result.unwrap().segments_isolated),
        (topic_partition(), 1)
    );
    let (cleaned, result) = scene.cleaner.clean_next().unwrap();
    assert_eq!((cleaned, result.unwrap().dead.superseded), (other, 1));
    assert!(scene.cleaner.clean_next().is_none());

    let status = scene.cleaner.status_of(&topic_partition()).unwrap();
    assert_eq!((status.state, status.failures), (CleanerState::Idle, 0));
    let [isolated] = status.isolated_segments.as_slice() else {
        panic!("{:?}", status.isolated_segments);
    };
    assert!(isolated.file.ends_with("t-0/00000000000000000000.log"));
    assert!(
        isolated
            .damage
            .contains(&format!("position {first_bytes}:")),
        "{isolated:?}"
    );
    // The damage is repaired, and the log is cleaned again.
    scene
        .dir
        .flip_bit("t-0/00000000000000000000.log", (first_bytes + 8) * 8 + 4)
        .unwrap();
    assert_eq!(
        scene
            .cleaner
            .clean_now(&topic_partition())
            .unwrap()
            .segments_isolated,
        0
    );
    assert_eq!(scene.survivors(), "[a2@1] [b1@2]");
}

#[test]
fn case_64_a_flipped_bit_never_gets_a_valid_checksum() {
    // Once in a batch that would be rebuilt, once in one that would be copied; once before its keys are indexed, once
    // after.
    for (damaged, is_indexed) in [(0, false), (1, false), (0, true), (2, true)] {
        let scene = Scene::new("[a1@0 b1@1 c1@2] [d1@3] [a2@4] | A:");
        if is_indexed {
            scene.cleaner.dry_run(&topic_partition()).unwrap();
        }
        let position: usize = scene
            .batches()
            .iter()
            .take(damaged)
            .map(|batch| batch.bytes.len())
            .sum();
        let last = position + scene.batches()[damaged].bytes.len() - 1;
        let name = "t-0/00000000000000000000.log";
        scene.dir.flip_bit(name, last as u64 * 8).unwrap();
        let logs = |scene: &Scene| -> Vec<_> {
            let files = scene.dir.files().into_iter();
            files.filter(|(name, _)| name.ends_with(".log")).collect()
        };
        let before = logs(&scene);
        let stats = scene.cleaner.clean_now(&topic_partition()).unwrap();
        assert_eq!((stats.segments_isolated, stats.bytes_written), (1, 0));
        let status = scene.cleaner.status_of(&topic_partition()).unwrap();
        let isolated = &status.isolated_segments[0];
        assert_eq!(isolated.file, name);
        assert!(
            isolated
                .damage
                .starts_with(&format!("at position {position}:")),
            "{isolated:?}"
        );
        assert_eq!(before, logs(&scene));
    }
}

#[test]
fn everything_around_a_damaged_segment_is_cleaned() {
    // The damaged one may hold the only newer record of `b`, and an older one of `c`, whose tombstone must stay.
    let text = "a1@0 b1@1 c1@2 | a2@3 b2@4 cT@5 | a3@6 d1@7 | a4@8 d2@9 |";
    let mut scene = Scene::with_config(text, |config| config.segment_bytes = 250);
    scene.clean_at(0);
    assert_eq!(scene.survivors(), "[b2@4] [cT@5]h1000 [a4@8] [d2@9]");
    let mut scene = Scene::with_config(text, |config| config.segment_bytes = 250);
    scene
        .dir
        .flip_bit("t-0/00000000000000000003.log", 70 * 8)
        .unwrap();
    let stats = scene.cleaner.clean_now(&topic_partition()).unwrap();
    assert_eq!((stats.segments_isolated, stats.dead.superseded), (1, 3));
    scene
        .dir
        .flip_bit("t-0/00000000000000000003.log", 70 * 8)
        .unwrap();
    assert_eq!(
        scene.survivors(),
        "[b1@1] [c1@2] [a2@3] [b2@4] [cT@5] [a4@8] [d2@9]"
    );
    // Repaired, it is cleaned like the others.
    scene.clean_at(0);
    assert_eq!(scene.survivors(), "[b2@4] [cT@5]h1000 [a4@8] [d2@9]");
}

#[test]
fn no_tombstone_goes_behind_a_damaged_segment() {
    // The value of `a` lies where nobody can read it: without the tombstone it would come back with a repair.
    let mut scene = Scene::with_config("a1@0 b1@1 | c1@2 d1@3 | aT@4 e1@5 |", |config| {
        config.segment_bytes = 250;
    });
    scene
        .dir
        .flip_bit("t-0/00000000000000000000.log", 70 * 8)
        .unwrap();
    for now_ms in [0, 5_000, 10_000] {
        scene.set_clock(now_ms);
        scene.cleaner.clean_now(&topic_partition()).unwrap();
    }
    scene
        .dir
        .flip_bit("t-0/00000000000000000000.log", 70 * 8)
        .unwrap();
    assert!(
        scene.survivors().contains("[aT@4]h1000"),
        "{}",
        scene.survivors()
    );
    scene.clean_at(10_000);
    assert_eq!(scene.survivors(), "[b1@1] [c1@2] [d1@3] [e1@5]");
}

#[test]
fn case_65_a_lookup_by_time_finds_the_first_survivor() {
    let mut scene = Scene::new("[a1@0t100 b1@1t200 a2@2t300] [c1@3t400] [b2@4t500] | A:");
    let find = |scene: &Scene, timestamp| {
        scene
            .log
            .offset_for_timestamp(timestamp)
            .unwrap()
            .map(|found| found.offset)
    };
    assert_eq!(find(&scene, 150), Some(1));
    assert_eq!(find(&scene, 250), Some(2));
    scene.clean();
    assert_eq!(find(&scene, 0), Some(2));
    assert_eq!(find(&scene, 150), Some(2));
    assert_eq!(find(&scene, 301), Some(3));
    assert_eq!(find(&scene, 401), Some(4));
    assert_eq!(find(&scene, 501), None);
}

#[test]
fn a_full_disk_fails_the_cleaning_and_takes_nothing() {
    let mut scene = Scene::new("a1@0 b1@1 a2@2 |");
    scene.dir.set_free_bytes(100);
    let result = scene.cleaner.clean_now(&topic_partition());
    assert!(matches!(result, Err(StorageError::Io { .. })), "{result:?}");
    assert_eq!(scene.manager.is_offline(), None);
    assert!(
        !scene
            .dir
            .files()
            .iter()
            .any(|(name, _)| name.ends_with(".cleaned"))
    );
    scene.dir.set_free_bytes(u64::MAX);
    scene.write("b2@3 |");
    scene.clean();
    assert_eq!(scene.survivors(), "[a2@2] [b2@3]");
}

#[test]
fn a_reader_finishes_on_the_segments_it_holds() {
    let mut scene = Scene::new("[a1@0 b1@1] | a2@2 | b2@3 |");
    let held = scene.log.segments();
    scene.clean();
    assert_eq!(scene.survivors(), "[a2@2] [b2@3]");
    let offsets: Vec<i64> = held
        .iter()
        .flat_map(|segment| rows(&batches_of(segment)))
        .collect();
    assert_eq!(offsets, [0, 1, 2, 3]);
}
