//! Losing power at every single operation.
//!
//! Each test runs the same work again and again, lets the disk stop at operation 0, 1, 2, ... until
//! the work gets through, and opens what every crash model leaves.

use lastword_record::{TopicId, TopicPartition};
use lastword_storage::dir::CrashModel;
use lastword_storage::{AppendOrigin, Isolation, StorageError};

use super::swap::{cleaned, fill, inputs, survivors};
use super::{Entry, Scene, batch, read_all, read_from, small_segments};

/// Seeds tried for the models that choose.
fn seeds(model: CrashModel) -> std::ops::Range<u64> {
    match model {
        CrashModel::Killed | CrashModel::DurableOnly => 0..1,
        CrashModel::Ordered | CrashModel::Torn => 0..6,
        CrashModel::Weak => 0..24,
    }
}

fn each_crash(scene: &Scene, operation: u64, check: &mut dyn FnMut(Scene, &str)) {
    for model in CrashModel::ALL {
        for seed in seeds(model) {
            let what = format!("operation {operation} {model:?} seed {seed}");
            check(scene.crashed(model, seed), &what);
        }
    }
}

fn assert_no_leftovers(scene: &Scene, what: &str) {
    for (path, _) in scene.dir.files() {
        let is_leftover = [".cleaned", ".swap", ".deleted", ".replace", ".tmp"]
            .iter()
            .any(|suffix| path.ends_with(suffix));
        assert!(!is_leftover, "{what}: {path}");
    }
}

#[test]
fn a_swap_happens_wholly_or_not_at_all() {
    for operation in 0.. {
        let scene = Scene::new(small_segments());
        fill(&scene, 30);
        let log = scene.log();
        let before = read_all(&log);
        let inputs = inputs(&log);
        let after = survivors(&before, log.segments().active().base_offset());
        let output = cleaned(&log, &inputs).expect("cleaned");
        scene.dir.crash_after(operation);
        let result = log.replace_segments(&inputs, vec![output]);
        each_crash(&scene, operation, &mut |crashed, what| {
            let found = read_all(&crashed.log());
            assert!(found == before || found == after, "{what}: {found:?}");
            if result.is_ok() {
                assert_eq!(found, after, "{what}: it had returned");
            }
            assert_no_leftovers(&crashed, what);
            assert_eq!(crashed.log().offsets().log_end_offset, 30, "{what}");
            // And the state it is in now is final.
            let again = crashed.crashed(CrashModel::DurableOnly, 0);
            assert_eq!(read_all(&again.log()), found, "{what}, and again");
        });
        if !scene.dir.has_crashed() {
            assert!(operation > 8, "the swap has that many operations at least");
            return;
        }
    }
}

#[test]
fn a_swap_survives_a_crash_of_its_recovery() {
    for operation in 0.. {
        let scene = Scene::new(small_segments());
        fill(&scene, 30);
        let log = scene.log();
        let before = read_all(&log);
        let inputs = inputs(&log);
        let after = survivors(&before, log.segments().active().base_offset());
        let output = cleaned(&log, &inputs).expect("cleaned");
        scene.dir.crash_after(operation);
        let _ = log.replace_segments(&inputs, vec![output]);
        for model in [
            CrashModel::DurableOnly,
            CrashModel::Killed,
            CrashModel::Weak,
        ] {
            for second in 0.. {
                let dir = scene.dir.crash(model, operation);
                dir.crash_after(second);
                let opened = super::open(&dir, &scene.clock, &scene.config);
                drop(opened);
                let what = format!("operations {operation} {second} {model:?}");
                let dir_again = dir.crash(model, second);
                let crashed = Scene::on(dir_again, scene.clock.clone(), scene.config.clone());
                let found = read_all(&crashed.log());
                assert!(found == before || found == after, "{what}: {found:?}");
                assert_no_leftovers(&crashed, &what);
                if !dir.has_crashed() {
                    break;
                }
            }
        }
        if !scene.dir.has_crashed() {
            return;
        }
    }
}

/// What the world was told while the work ran.
#[derive(Default)]
struct Told {
    appended: Vec<Entry>,
    /// Everything below is durable, so the world was told.
    high_watermark: i64,
    /// What a reader has seen.
    read: usize,
    log_start_offset: i64,
}

fn work(scene: &Scene, told: &mut Told) -> Result<(), StorageError> {
    let log = scene.log();
    for i in 0..24 {
        let (key, value) = (format!("key {}", i % 3), format!("value {i}"));
        let bytes = batch(Default::default(), &[(&key, Some(&value))]);
        // Known before the append: a failed append may be on disk all the same.
        told.appended.push(Entry {
            offset: i,
            key,
            value: Some(value),
        });
        log.append(&bytes, AppendOrigin::Client, 0)?;
        if i % 4 == 3 {
            told.high_watermark = log.sync()?;
        }
        if i == 13 {
            told.log_start_offset = log.delete_records_before(5)?;
        }
        if i == 17 {
            scene.manager.checkpoint()?;
        }
        let start = told.log_start_offset;
        told.read = read_from(&log, start, Isolation::HighWatermark).len();
    }
    scene.manager.close()
}

#[test]
fn what_was_acknowledged_or_read_is_there_after_any_crash() {
    for operation in 0.. {
        let scene = Scene::new(small_segments());
        let mut told = Told::default();
        scene.dir.crash_after(operation);
        let result = work(&scene, &mut told);
        each_crash(&scene, operation, &mut |crashed, what| {
            let log = crashed.log();
            let offsets = log.offsets();
            assert!(
                offsets.high_watermark >= told.high_watermark,
                "{what}: {offsets:?}"
            );
            assert!(
                offsets.log_start_offset >= told.log_start_offset,
                "{what}: {offsets:?}"
            );
            let start = usize::try_from(offsets.log_start_offset).expect("small");
            let end = usize::try_from(offsets.log_end_offset).expect("small");
            assert_eq!(read_all(&log), told.appended[start..end], "{what}");
            assert!(end >= start + told.read.min(end - start), "{what}");
            assert_no_leftovers(&crashed, what);
            // What is shown now is final as well.
            let again = crashed.crashed(CrashModel::DurableOnly, 0);
            assert_eq!(read_all(&again.log()), read_all(&log), "{what}, and again");
            assert_eq!(
                super::append_one(&log, "k", "goes on"),
                offsets.log_end_offset
            );
            log.sync().expect("synced");
        });
        if !scene.dir.has_crashed() {
            result.expect("the work got through");
            return;
        }
    }
}

#[test]
fn a_creation_happens_or_can_be_done_again() {
    let id = TopicId::from_random_bytes([9; 16]);
    let other = TopicPartition::new("other", 0);
    for operation in 0.. {
        let scene = Scene::new(small_segments());
        scene.dir.crash_after(operation);
        let created = scene.manager.create(&other, id, scene.config.clone());
        each_crash(&scene, operation, &mut |crashed, what| {
            assert_eq!(crashed.manager.failed().len(), 0, "{what}");
            let log = match crashed.manager.get(&other) {
                Some(log) => log,
                None => {
                    assert!(created.is_err(), "{what}: it had returned");
                    let config = crashed.config.clone();
                    crashed.manager.create(&other, id, config).expect("created")
                }
            };
            assert_eq!(log.topic_id(), id, "{what}");
            assert_eq!(super::append_one(&log, "k", "v"), 0, "{what}");
        });
        if !scene.dir.has_crashed() {
            return;
        }
    }
}

#[test]
fn each_of_many_creations_happens_or_can_be_done_again() {
    let id = TopicId::from_random_bytes([9; 16]);
    let many: Vec<TopicPartition> = (0..12).map(|n| TopicPartition::new("many", n)).collect();
    for operation in 0.. {
        let scene = Scene::new(small_segments());
        scene.dir.crash_after(operation);
        let created = scene.manager.create_all(&many, id, &scene.config);
        each_crash(&scene, operation, &mut |crashed, what| {
            assert_eq!(crashed.manager.failed().len(), 0, "{what}");
            for topic_partition in &many {
                if crashed.manager.get(topic_partition).is_none() {
                    assert!(created.is_err(), "{what}: it had returned");
                    let config = crashed.config.clone();
                    let again = crashed.manager.create(topic_partition, id, config);
                    again.expect("created");
                }
            }
        });
        if !scene.dir.has_crashed() {
            return;
        }
    }
}

#[test]
fn a_deletion_happens_or_does_not() {
    for operation in 0.. {
        let scene = Scene::new(small_segments());
        fill(&scene, 20);
        let before = read_all(&scene.log());
        scene.dir.crash_after(operation);
        let deleted = scene.manager.delete(&super::topic_partition());
        scene.manager.tick(scene.clock.now_ms());
        each_crash(&scene, operation, &mut |crashed, what| match crashed
            .manager
            .get(&super::topic_partition())
        {
            Some(log) => {
                assert!(deleted.is_err(), "{what}: it had returned");
                assert_eq!(read_all(&log), before, "{what}");
            }
            None => crashed.manager.tick(crashed.clock.now_ms()),
        });
        if !scene.dir.has_crashed() {
            return;
        }
    }
}

#[test]
fn retention_leaves_the_end_of_the_log_and_brings_nothing_back() {
    for operation in 0.. {
        let config = lastword_storage::LogConfig {
            retention_bytes: 900,
            ..small_segments()
        };
        let scene = Scene::new(config);
        fill(&scene, 40);
        let before = read_all(&scene.log());
        scene.dir.crash_after(operation);
        let applied = scene.log().apply_retention(scene.clock.now_ms());
        let start = scene.log().offsets().log_start_offset;
        each_crash(&scene, operation, &mut |crashed, what| {
            let offsets = crashed.log().offsets();
            let is_old = offsets.log_start_offset == 0;
            assert!(
                is_old || offsets.log_start_offset == start,
                "{what}: {offsets:?}"
            );
            assert!(!(is_old && applied.is_ok()), "{what}: it had returned");
            let from = usize::try_from(offsets.log_start_offset).expect("small");
            assert_eq!(read_all(&crashed.log()), before[from..], "{what}");
        });
        if !scene.dir.has_crashed() {
            assert!(start > 0);
            return;
        }
    }
}
