//! The last record of every key stays, at its offset, in its batch.

use lastword_record::{BatchBuilder, BatchSpec, TopicId, TopicPartition};
use lastword_storage::cleaner::LogCleaner;
use lastword_storage::config::CleanerConfig;
use lastword_storage::error::StorageError;
use lastword_storage::log::{AppendOrigin, Isolation, ReadRequest};

use super::scene::{Scene, batches_in, log_config, topic_partition};

#[test]
fn case_01_a_superseded_batch_goes_and_a_read_at_its_offset_finds_the_next() {
    let mut scene = Scene::new("[a1@0][a2@1] | A:");
    let stats = scene.clean();
    assert_eq!(scene.survivors(), "[a2@1]");
    assert_eq!(
        (stats.dead.superseded, stats.keys, stats.index_passes),
        (1, 1, 1)
    );
    assert_eq!(scene.log.offsets().log_start_offset, 0);
    let request = ReadRequest {
        offset: 0,
        max_bytes: 1 << 20,
        min_one_batch: true,
        isolation: Isolation::HighWatermark,
    };
    let mut bytes = Vec::new();
    scene
        .log
        .read(request)
        .unwrap()
        .read_into(&mut bytes)
        .unwrap();
    assert_eq!(batches_in(&bytes)[0].header.base_offset, 1);
}

#[test]
fn case_02_a_batch_keeps_its_base_and_last_offset() {
    let mut scene = Scene::new("[a1@0 b1@1 a2@2] |");
    scene.clean();
    assert_eq!(scene.survivors(), "0..2[b1@1 a2@2]");
    assert_eq!(scene.batches()[0].header.record_count, 2);
}

#[test]
fn case_03_of_four_values_the_last_one_stays() {
    let mut scene = Scene::new("[a1@0 a2@1 b1@2 a3@3] |");
    scene.clean();
    assert_eq!(scene.survivors(), "0..3[b1@2 a3@3]");
    let mut scene = Scene::new("[a1@0 a2@1] [a3@2] |");
    scene.clean();
    assert_eq!(scene.survivors(), "[a3@2]");
}

#[test]
fn case_04_a_batch_keeps_its_last_offset_when_the_last_record_dies() {
    let mut scene = Scene::new("[a1@0 b1@1][b2@2] |");
    scene.clean();
    assert_eq!(scene.survivors(), "0..1[a1@0] [b2@2]");
}

#[test]
fn case_05_the_active_segment_kills_nothing_and_loses_nothing() {
    let mut scene = Scene::new("a1@0 | a2@1 | A: a3@2 a4@3");
    scene.clean();
    assert_eq!(scene.survivors(), "[a2@1] [a3@2] [a4@3]");
}

#[test]
fn case_06_the_same_key_in_two_partitions_is_two_keys() {
    let mut scene = Scene::new("a1@0 |");
    let other = TopicPartition {
        topic: "t".into(),
        partition: 1,
    };
    let log = scene
        .manager
        .create(&other, TopicId([8; 16]), log_config())
        .unwrap();
    let mut builder = BatchBuilder::new(BatchSpec::default());
    builder.push(0, 0, Some(b"a"), Some(b"2"), &[]);
    let mut bytes = Vec::new();
    builder.finish(&mut bytes).unwrap();
    log.append(&bytes, AppendOrigin::Replay, 0).unwrap();
    log.roll().unwrap();
    log.sync().unwrap();
    assert_eq!(scene.cleaner.clean_now(&other).unwrap().dead.total(), 0);
    assert_eq!(scene.clean().dead.total(), 0);
}

#[test]
fn case_07_an_empty_key_is_a_key_and_trailing_zeros_count() {
    let mut scene = Scene::new("=1@0 =2@1 a\0=1@2 a=1@3 |");
    scene.clean();
    assert_eq!(scene.survivors(), "[2@1] [a\0=1@2] [a1@3]");
}

#[test]
fn case_08_an_empty_value_is_not_a_tombstone() {
    let mut scene = Scene::new("a=@0 b1@1 |");
    scene.clean();
    assert_eq!(scene.survivors(), "[a@0] [b1@1]");
    assert_eq!(scene.batches()[0].header.delete_horizon_ms(), None);
    scene.write("c1@2 |");
    scene.clean_at(i64::from(i32::MAX));
    assert_eq!(scene.survivors(), "[a@0] [b1@1] [c1@2]");
}

#[test]
fn case_09_records_without_a_key_from_before_the_switch_to_compaction_go() {
    let mut scene = Scene::new("n1@0 a1@1 n2@2 b1@3 |");
    let stats = scene.clean();
    assert_eq!(scene.survivors(), "[a1@1] [b1@3]");
    assert_eq!(stats.dead.keyless, 2);
}

#[test]
fn case_10_the_last_batch_below_the_dirty_end_stays_as_a_bare_header() {
    let mut scene = Scene::new("a1@0 | n1@1 | A:");
    scene.clean();
    assert_eq!(scene.survivors(), "[a1@0] 1..1[]");
    scene.write("b1@2 |");
    scene.clean();
    assert_eq!(scene.survivors(), "[a1@0] [b1@2]");
}

#[test]
fn case_11_headers_and_null_header_values_survive_a_rewrite() {
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let mut scene = Scene::new(&format!("[a1@0 b1@1 a2@2]{{{codec}}} |"));
        scene.clean();
        assert_eq!(scene.survivors(), "0..2[b1@1 a2@2]");
        // `Scene` compares the encoded headers with what was written; they hold a null.
        assert!(
            scene.batches()[0].rows[0].headers.ends_with(b"null\x01"),
            "{codec}"
        );
    }
}

#[test]
fn case_12_a_produce_without_a_key_is_refused_whole() {
    let scene = Scene::new("");
    let mut builder = BatchBuilder::new(BatchSpec::default());
    builder.push(0, 0, Some(b"a"), Some(b"1"), &[]);
    builder.push(1, 0, None, Some(b"1"), &[]);
    let mut bytes = Vec::new();
    builder.finish(&mut bytes).unwrap();
    let refused = scene.log.append(&bytes, AppendOrigin::Client, 0);
    assert!(
        matches!(
            refused,
            Err(StorageError::KeylessRecord { batch_index: 1, .. })
        ),
        "{refused:?}"
    );
    assert_eq!(scene.log.offsets().log_end_offset, 0);
}

#[test]
fn case_13_segments_with_offsets_far_apart_are_not_put_together() {
    let mut scene = Scene::new("a1@0 | b1@10 | c1@3000000000 b2@3000000001 | A:");
    scene.clean();
    assert_eq!(
        scene.layout(),
        "[a1@0] | [c1@3000000000] [b2@3000000001] | "
    );
    scene.write("a2@3000000002 |");
    scene.clean();
    assert_eq!(
        scene.survivors(),
        "[c1@3000000000] [b2@3000000001] [a2@3000000002]"
    );
    let scene = scene.reopened();
    assert_eq!(
        scene.survivors(),
        "[c1@3000000000] [b2@3000000001] [a2@3000000002]"
    );
    assert_eq!(scene.log.offsets().log_end_offset, 3_000_000_003);
}

#[test]
fn case_14_a_second_cleaning_changes_no_byte() {
    let mut scene = Scene::new(
        "[a1@0 b1@1 a2@2] [aT@3 c1@4]{zstd} | [b2@5 d1@6]{p9 s0} | [d2@7 n1@8] | A: e1@9",
    );
    scene.clean();
    let files = |scene: &Scene| -> Vec<(String, Vec<u8>)> {
        let files = scene.dir.files().into_iter();
        files
            .filter(|(name, _)| name.ends_with(".log") || name.ends_with("index"))
            // Derived, and built when it is needed.
            .filter(|(name, _)| !name.ends_with(".keyindex"))
            .collect()
    };
    let first = files(&scene);
    let stats = scene.clean();
    assert_eq!(first, files(&scene));
    assert_eq!(
        (stats.bytes_read, stats.bytes_written, stats.segments_in),
        (0, 0, 0)
    );
}

#[test]
fn survivors_of_many_segments_share_one() {
    let mut scene = Scene::new("[a1@0 b1@1] | [a2@2 c1@3] | [a3@4 d1@5] | A:");
    scene.clean();
    assert_eq!(scene.layout(), "0..1[b1@1] 2..3[c1@3] [a3@4 d1@5] | ");
}

#[test]
fn a_later_value_kills_one_in_the_clean_section() {
    let mut scene = Scene::new("[a1@0 b1@1] c1@2 |");
    scene.clean();
    scene.write("b2@3 | c2@4 |");
    let stats = scene.clean();
    assert_eq!(scene.survivors(), "0..1[a1@0] [b2@3] [c2@4]");
    assert_eq!((stats.dead.superseded, stats.keys), (2, 3));
}

#[test]
fn a_segment_without_a_dead_record_is_not_rewritten() {
    let mut scene = Scene::with_config("a1@0 b1@1 | c1@2 d1@3 |", |config| {
        config.segment_bytes = 200
    });
    let stats = scene.clean();
    assert_eq!(
        (stats.segments_in, stats.bytes_read, stats.bytes_written),
        (0, 0, 0)
    );
    scene.write("d2@4 |");
    let before = scene.log.segments();
    scene.clean();
    let after = scene.log.segments();
    assert_eq!(before.first().base_offset(), 0);
    assert!(
        after.contains(before.first()),
        "the first segment was rewritten"
    );
    assert_eq!(scene.survivors(), "[a1@0] [b1@1] [c1@2] [d2@4]");
}

#[test]
fn a_segment_that_loses_everything_leaves_no_empty_file_behind() {
    let mut scene = Scene::with_config("z1@0 | a1@1 b1@2 | a2@3 b2@4 |", |config| {
        config.segment_bytes = 200
    });
    scene.clean();
    assert_eq!(scene.layout(), "[z1@0] | [a2@3] [b2@4] | ");
    let mut scene = Scene::with_config("a1@0 b1@1 | a2@2 b2@3 |", |config| {
        config.segment_bytes = 200
    });
    scene.clean();
    // The first segment's name is where the log begins.
    assert_eq!(scene.log.segments().first().base_offset(), 0);
    assert_eq!(scene.survivors(), "[a2@2] [b2@3]");
    assert_eq!(scene.reopened().survivors(), "[a2@2] [b2@3]");
}

#[test]
fn output_segments_keep_to_the_segment_size() {
    let text: Vec<String> = (0..40)
        .map(|offset| format!("k{offset}={}@{offset}", "x".repeat(100)))
        .collect();
    let mut scene = Scene::new(&format!("{} | n1@40 z1@41 |", text.join(" ")));
    scene.configure(|config| config.segment_bytes = 1_000);
    scene.write("k0=y@42 |");
    scene.clean();
    let segments = scene.log.segments();
    assert!(segments.len() > 5);
    assert!(segments.iter().all(|segment| segment.size_bytes() <= 1_000));
    assert!(scene.survivors().ends_with("[z1@41] [k0=y@42]"));
}

#[test]
fn a_dry_run_counts_the_dead_and_changes_nothing_but_key_indexes() {
    let scene = Scene::new("[a1@0 b1@1 a2@2] n1@3 b2@4 |");
    let files = || -> Vec<_> {
        let files = scene.dir.files().into_iter();
        files
            .filter(|(name, _)| !name.ends_with(".keyindex"))
            .collect()
    };
    let before = files();
    let dry = scene.cleaner.dry_run(&topic_partition()).unwrap();
    assert_eq!(
        (dry.records, dry.dead.superseded, dry.dead.keyless),
        (5, 2, 1)
    );
    // Two records of 19 bytes, and one without a key with the header of its batch.
    assert_eq!(dry.dead_bytes, 2 * 19 + 18 + 61);
    assert_eq!(before, files());
}

#[test]
fn case_52_indexes_built_in_several_passes_give_the_same_result() {
    let text = "[a1@0 b1@1 c1@2 d1@3 e1@4] [f1@5 g1@6 h1@7 i1@8 j1@9] | [a2@10 c2@11 e2@12 g2@13 i2@14] | A:";
    let mut large = Scene::new(text);
    large.clean();
    let mut small = Scene::with_memory_for(text, 3);
    let stats = small.clean();
    assert!(stats.index_passes > 1, "{stats:?}");
    assert_eq!(stats.keys, 10);
    assert_eq!(small.survivors(), large.survivors());
    let first_dirty = |scene: &Scene| {
        scene
            .cleaner
            .status_of(&topic_partition())
            .unwrap()
            .first_dirty_offset
    };
    assert_eq!(first_dirty(&small), Some(15));
    small.write("b2@15 j2@16 k1@17 l1@18 |");
    small.clean();
    assert_eq!(first_dirty(&small), Some(19));
    let expected = "0..4[d1@3] 5..9[f1@5 h1@7] [a2@10 c2@11 e2@12 g2@13 i2@14] [b2@15] [j2@16] [k1@17] [l1@18]";
    assert_eq!(small.survivors(), expected);
}

#[test]
fn a_compacted_log_survives_a_restart_with_its_checkpoint() {
    let mut scene = Scene::new("a1@0 a2@1 b1@2 |");
    scene.clean();
    let mut scene = scene.reopened();
    assert_eq!(scene.survivors(), "[a2@1] [b1@2]");
    assert_eq!(
        scene
            .cleaner
            .status_of(&topic_partition())
            .unwrap()
            .first_dirty_offset,
        Some(3)
    );
    assert!(!scene.clean_if_due());
    scene.write("b2@3 |");
    assert!(scene.clean_if_due());
    assert_eq!(scene.survivors(), "[a2@1] [b2@3]");
}

#[test]
fn threads_clean_what_becomes_dirty() {
    let scene = Scene::new("a1@0 a2@1 b1@2 |");
    let config = CleanerConfig {
        threads: 2,
        backoff_ms: 60_000,
        ..CleanerConfig::default()
    };
    let cleaner = LogCleaner::start(scene.manager.clone(), config).unwrap();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while scene.survivors() != "[a2@1] [b1@2]" {
        assert!(
            std::time::Instant::now() < deadline,
            "{:?}",
            cleaner.status()
        );
        std::thread::yield_now();
    }
    let mut scene = scene;
    scene.write("b2@3 |");
    cleaner.wake();
    while scene.survivors() != "[a2@1] [b2@3]" {
        assert!(
            std::time::Instant::now() < deadline,
            "{:?}",
            cleaner.status()
        );
        std::thread::yield_now();
    }
    assert_eq!(cleaner.running_threads(), 2);
    cleaner.stop();
    assert_eq!(cleaner.running_threads(), 0);
}
