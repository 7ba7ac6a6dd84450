//! What a start after an unclean stop finds and does.

use lastword_storage::dir::{CrashModel, File};
use lastword_storage::{Dir, Isolation, LogConfig};
use std::sync::Arc;

use super::{Scene, append_one, read_all, read_from, small_segments};

const LOG: &str = "orders-0/00000000000000000000.log";

fn file(scene: &Scene, path: &str) -> Arc<dyn File> {
    scene.dir.open(path).expect("the file is there")
}

fn three_records() -> Scene {
    let scene = Scene::new(LogConfig::default());
    for value in ["1", "2", "3"] {
        append_one(&scene.log(), "a", value);
    }
    scene.log().sync().expect("synced");
    scene
}

#[test]
fn a_torn_tail_is_cut_and_the_log_goes_on() {
    let whole = three_records();
    let size = whole.log().size_bytes();
    for torn_bytes in [1, 11, 12, 60, 61, 70] {
        let scene = three_records();
        append_one(&scene.log(), "a", "torn");
        let log = file(&scene, LOG);
        log.truncate(size + torn_bytes).expect("cut");
        let scene = scene.crashed(CrashModel::Killed, 0);
        assert_eq!(read_all(&scene.log()).len(), 3, "{torn_bytes}");
        assert_eq!(scene.log().size_bytes(), size);
        assert_eq!(append_one(&scene.log(), "a", "4"), 3);
        scene.log().sync().expect("synced");
        assert_eq!(read_all(&scene.reopened().log()).len(), 4);
    }
}

#[test]
fn what_a_start_after_a_kill_shows_survives_a_power_cut() {
    let scene = Scene::new(LogConfig::default());
    append_one(&scene.log(), "a", "never synced");
    let Scene {
        dir,
        clock,
        config,
        manager,
    } = scene;
    // The process dies, the page cache stays.
    drop(manager);
    let scene = Scene::on(dir, clock, config);
    let seen = read_all(&scene.log());
    assert_eq!(seen.len(), 1);
    let scene = scene.crashed(CrashModel::DurableOnly, 0);
    assert_eq!(read_all(&scene.log()), seen);
}

#[test]
fn a_tail_of_zeros_is_cut_even_with_whole_batches_behind_it() {
    let scene = three_records();
    let size = scene.log().size_bytes();
    append_one(&scene.log(), "a", "lost");
    let lost_end = scene.log().size_bytes();
    append_one(&scene.log(), "a", "came through");
    let zeros = vec![0; usize::try_from(lost_end - size).expect("small")];
    file(&scene, LOG)
        .write_all_at(&zeros, size)
        .expect("written");
    let scene = scene.crashed(CrashModel::Killed, 0);
    assert_eq!(read_all(&scene.log()).len(), 3);
    assert_eq!(append_one(&scene.log(), "a", "4"), 3);
}

#[test]
fn zeros_where_a_sync_had_been_are_damage_and_nothing_is_cut() {
    let scene = Scene::new(LogConfig::default());
    append_one(&scene.log(), "a", "1");
    let size = scene.log().size_bytes();
    append_one(&scene.log(), "a", "2");
    let zeros = vec![0; usize::try_from(scene.log().size_bytes() - size).expect("small")];
    append_one(&scene.log(), "a", "3");
    scene.log().sync().expect("synced");
    scene.manager.checkpoint().expect("written");
    let log = file(&scene, LOG);
    let whole = log.len().expect("a length");
    log.write_all_at(&zeros, size).expect("written");
    let scene = scene.crashed(CrashModel::Killed, 0);
    assert_eq!(scene.manager.failed().len(), 1);
    assert_eq!(file(&scene, LOG).len().expect("a length"), whole);
}

#[test]
fn damage_in_the_middle_is_never_cut_away() {
    let scene = three_records();
    let size = scene.log().size_bytes();
    scene.dir.flip_bit(LOG, 8 * 30).expect("flipped");
    let scene = scene.crashed(CrashModel::Killed, 0);
    assert_eq!(scene.manager.logs().len(), 0);
    assert_eq!(file(&scene, LOG).len().expect("length"), size);
}

#[test]
fn everything_that_can_be_derived_is_built_again() {
    let scene = Scene::new(small_segments());
    for i in 0..40 {
        append_one(&scene.log(), "k", &format!("value {i}"));
    }
    scene.log().sync().expect("synced");
    let expected = read_all(&scene.log());
    scene.manager.close().expect("closes");
    let Scene {
        dir,
        clock,
        config,
        manager,
    } = scene;
    drop(manager);
    for (path, _) in dir.files() {
        if !path.ends_with(".log") && path.starts_with("orders-0/0") {
            dir.remove(&path).expect("removed");
        }
    }
    let scene = Scene::on(dir, clock, config);
    assert_eq!(read_all(&scene.log()), expected);
    for (index, entry) in expected.iter().enumerate() {
        let read = read_from(&scene.log(), entry.offset, Isolation::HighWatermark);
        assert_eq!(read, &expected[index..]);
    }
}

#[test]
fn a_clean_stop_is_trusted_once_only() {
    let scene = three_records();
    scene.manager.close().expect("closes");
    let Scene {
        dir,
        clock,
        config,
        manager,
    } = scene;
    drop(manager);
    assert!(dir.exists(".kafka_cleanshutdown").expect("looked"));
    let scene = Scene::on(dir, clock, config);
    for model in CrashModel::ALL {
        let dir = scene.dir.crash(model, 7);
        assert!(
            !dir.exists(".kafka_cleanshutdown").expect("looked"),
            "{model:?}"
        );
    }
}

#[test]
fn kafkas_own_leftovers_are_cleared_as_kafka_does() {
    let scene = Scene::new(small_segments());
    for i in 0..12 {
        append_one(&scene.log(), "k", &format!("value {i}"));
    }
    scene.log().sync().expect("synced");
    let bases: Vec<i64> = scene
        .log()
        .segments()
        .iter()
        .map(|s| s.base_offset())
        .collect();
    let expected = read_all(&scene.log());
    scene.manager.close().expect("closes");
    let Scene {
        dir,
        clock,
        config,
        manager,
    } = scene;
    drop(manager);
    let copy = |from: &str, to: &str| {
        let bytes = lastword_storage::dir::read_file(&dir, from).expect("read");
        dir.create(to)
            .expect("created")
            .write_all_at(&bytes, 0)
            .expect("written");
    };
    let name = |base: i64, suffix: &str| format!("orders-0/{base:020}.log{suffix}");
    // Deleted but not unlinked; a swap beside an unfinished output of its base; a finished swap.
    copy(
        &name(bases[0], ""),
        "orders-0/00000000000000000077.log.deleted",
    );
    copy(&name(bases[0], ""), &name(bases[1], ".swap"));
    copy(&name(bases[0], ""), &name(bases[1], ".cleaned"));
    let scene = Scene::on(
        dir.crash(CrashModel::Killed, 0),
        clock.clone(),
        config.clone(),
    );
    assert_eq!(read_all(&scene.log()), expected);
    drop(scene);

    let dir = dir.crash(CrashModel::Killed, 0);
    for suffix in [".cleaned", ".swap"] {
        dir.remove(&name(bases[1], suffix)).expect("removed");
    }
    dir.rename(&name(bases[1], ""), &name(bases[1], ".swap"))
        .expect("renamed");
    let scene = Scene::on(dir, clock, config);
    assert_eq!(
        read_all(&scene.log()),
        expected,
        "a finished swap gets its name"
    );
    let files = scene.dir.files();
    let left = files.iter().find(|(path, _)| {
        [".swap", ".cleaned", ".deleted"]
            .iter()
            .any(|suffix| path.ends_with(suffix))
    });
    assert_eq!(left.map(|(path, _)| path), None);
}
