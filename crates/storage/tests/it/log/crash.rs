//! Losing power at every single operation.
//!
//! Each test runs the same work again and again, lets the disk stop at operation 0, 1, 2, ... until
//! the work gets through, and opens what every crash model leaves.

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
