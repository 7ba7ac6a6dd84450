//! The log directory as a whole.

use std::sync::Arc;

use lastword_record::{TopicId, TopicPartition};
use lastword_storage::dir::{CrashModel, OperationKind};
use lastword_storage::{
    AppendOrigin, Clock, Dir, FsDir, Identity, LogConfig, LogManager, LogManagerConfig, SimDir,
    StorageError,
};

use super::{Scene, append_one, batch, open, read_all, small_segments, topic_partition};

const EIO: i32 = 5;

fn id(byte: u8) -> TopicId {
    TopicId::from_random_bytes([byte; 16])
}

#[test]
fn a_partition_keeps_its_topic_id_and_its_records_over_a_restart() {
    let scene = Scene::new(small_segments());
    append_one(&scene.log(), "a", "1");
    let topic_id = scene.log().topic_id();
    scene.log().sync().expect("synced");
    let before = read_all(&scene.log());
    let scene = scene.reopened();
    assert_eq!(scene.log().topic_id(), topic_id);
    assert_eq!(read_all(&scene.log()), before);
}

#[test]
fn a_creation_without_room_leaves_nothing_behind_and_the_others_serve() {
    const ENOSPC: i32 = 28;
    let kinds = [
        OperationKind::CreateDir,
        OperationKind::Create,
        OperationKind::Write,
        OperationKind::SyncData,
        OperationKind::SyncDir,
    ];
    for kind in kinds {
        let scene = Scene::new(small_segments());
        let many: Vec<TopicPartition> = (0..3).map(|n| TopicPartition::new("many", n)).collect();
        scene.dir.fail_next(kind, ENOSPC);
        let created = scene.manager.create_all(&many, id(3), &scene.config);
        assert!(created.is_err(), "{kind:?}");
        assert_eq!(scene.manager.is_offline(), None, "{kind:?}");
        append_one(&scene.log(), "a", "1");
        let again = scene.manager.create_all(&many, id(3), &scene.config);
        assert_eq!(again.expect("there is room again").len(), 3, "{kind:?}");
    }
}

#[test]
fn a_start_without_the_log_start_offsets_is_refused_because_deleted_records_would_come_back() {
    const CHECKPOINT: &str = "log-start-offset-checkpoint";
    let scene = Scene::new(LogConfig::default());
    for n in 0..4 {
        append_one(&scene.log(), &format!("k{n}"), "v");
    }
    scene.log().sync().expect("synced");
    assert_eq!(scene.log().delete_records_before(2).expect("deleted"), 2);
    scene.manager.close().expect("closes");
    let Scene {
        dir,
        clock,
        config,
        manager,
    } = scene;
    drop(manager);
    dir.flip_bit(CHECKPOINT, 3).expect("flipped");
    let refused = open(&dir, &clock, &config);
    let refused = refused
        .err()
        .map(|error| error.to_string())
        .unwrap_or_default();
    assert!(refused.contains(CHECKPOINT), "{refused}");
    dir.flip_bit(CHECKPOINT, 3).expect("flipped back");
    let manager = open(&dir, &clock, &config).expect("opened");
    let log = manager.get(&topic_partition()).expect("there");
    assert_eq!(log.offsets().log_start_offset, 2);
}

#[test]
fn only_one_process_has_the_directory() {
    let scene = Scene::new(LogConfig::default());
    let second = open(&scene.dir, &scene.clock, &scene.config);
    assert!(second.is_err());
}

#[test]
fn a_created_partition_survives_any_crash() {
    for model in CrashModel::ALL {
        let scene = Scene::new(LogConfig::default());
        let crashed = scene.crashed(model, 5);
        assert_eq!(
            crashed.log().topic_id(),
            scene.log().topic_id(),
            "{model:?}"
        );
        assert_eq!(crashed.manager.cluster(), scene.manager.cluster());
    }
}

#[test]
fn a_partition_is_created_once_and_deleted_once() {
    let scene = Scene::new(LogConfig::default());
    let again = scene
        .manager
        .create(&topic_partition(), id(1), LogConfig::default());
    assert!(matches!(again, Err(StorageError::PartitionExists { .. })));
    let log = scene.log();
    scene.manager.delete(&topic_partition()).expect("deleted");
    assert!(scene.manager.get(&topic_partition()).is_none());
    let bytes = batch(Default::default(), &[("a", Some("1"))]);
    let late = log.append(&bytes, AppendOrigin::Client, 0);
    assert!(matches!(late, Err(StorageError::Closed)));
    let unknown = scene.manager.delete(&topic_partition());
    assert!(matches!(
        unknown,
        Err(StorageError::UnknownPartition { .. })
    ));
    scene.manager.tick(scene.clock.now_ms());
    let left: Vec<String> = scene
        .dir
        .files()
        .into_iter()
        .map(|(path, _)| path)
        .collect();
    assert!(
        left.iter().all(|path| !path.contains("orders-0")),
        "{left:?}"
    );
}

#[test]
fn a_deleted_partition_stays_deleted_and_a_new_one_of_its_name_is_new() {
    for model in CrashModel::ALL {
        let scene = Scene::new(small_segments());
        for _ in 0..20 {
            append_one(&scene.log(), "a", "old");
        }
        scene.log().sync().expect("synced");
        scene.log().delete_records_before(15).expect("deleted");
        scene.manager.checkpoint().expect("written");
        scene.manager.delete(&topic_partition()).expect("deleted");
        let gone = scene.crashed(model, 2);
        assert!(gone.manager.get(&topic_partition()).is_none(), "{model:?}");

        for scene in [gone, scene] {
            let config = scene.config.clone();
            let log = scene
                .manager
                .create(&topic_partition(), id(9), config)
                .expect("created");
            append_one(&log, "b", "new");
            log.sync().expect("synced");
            let crashed = scene.crashed(model, 2);
            assert_eq!(crashed.log().topic_id(), id(9));
            assert_eq!(crashed.log().offsets().log_start_offset, 0);
            assert_eq!(read_all(&crashed.log()).len(), 1);
        }
    }
}

#[test]
fn a_failed_sync_takes_the_directory_offline_for_good() {
    let scene = Scene::new(LogConfig::default());
    let log = scene.log();
    append_one(&log, "a", "1");
    log.sync().expect("synced");
    append_one(&log, "b", "2");
    scene.dir.fail_next(OperationKind::SyncData, EIO);
    assert!(log.sync().is_err());
    assert!(scene.manager.is_offline().is_some());
    // The disk would say yes now; nobody may believe it.
    assert!(matches!(
        log.sync(),
        Err(StorageError::DirectoryOffline { .. })
    ));
    let bytes = batch(Default::default(), &[("c", Some("3"))]);
    let refused = log.append(&bytes, AppendOrigin::Client, 0);
    assert!(matches!(
        refused,
        Err(StorageError::DirectoryOffline { .. })
    ));
    assert_eq!(log.offsets().high_watermark, 1);
    assert_eq!(read_all(&log).len(), 1, "what was durable is still served");
    assert!(scene.manager.close().is_err(), "and it is not a clean stop");
}

#[test]
fn a_failed_write_takes_the_directory_offline() {
    let scene = Scene::new(LogConfig::default());
    let log = scene.log();
    append_one(&log, "a", "1");
    log.sync().expect("synced");
    scene.dir.fail_next(OperationKind::Write, EIO);
    let bytes = batch(Default::default(), &[("b", Some("2"))]);
    assert!(matches!(
        log.append(&bytes, AppendOrigin::Client, 0),
        Err(StorageError::Io { .. })
    ));
    assert!(scene.manager.is_offline().is_some());
    let crashed = scene.crashed(CrashModel::Killed, 0);
    assert_eq!(
        read_all(&crashed.log()).len(),
        1,
        "the half-written batch is cut"
    );
}

#[test]
fn appends_stop_before_the_disk_is_full_and_come_back_by_themselves() {
    let scene = Scene::new(LogConfig::default());
    let log = scene.log();
    append_one(&log, "a", "1");
    scene.dir.set_free_bytes(1_000_000);
    scene.manager.tick(scene.clock.now_ms());
    assert!(scene.manager.is_low_on_space());
    let bytes = batch(Default::default(), &[("b", Some("2"))]);
    let refused = log.append(&bytes, AppendOrigin::Client, 0);
    assert!(matches!(refused, Err(StorageError::LowOnSpace { .. })));
    assert!(
        log.append(&bytes, AppendOrigin::Coordinator, 0).is_ok(),
        "commits go on"
    );
    log.sync().expect("synced");
    scene.dir.set_free_bytes(1 << 40);
    scene.manager.tick(scene.clock.now_ms());
    append_one(&log, "b", "2");
}

#[test]
fn a_damaged_partition_does_not_stop_the_others() {
    let scene = Scene::new(small_segments());
    let other = TopicPartition::new("other", 3);
    let config = scene.config.clone();
    let log = scene
        .manager
        .create(&other, id(4), config)
        .expect("created");
    append_one(&log, "a", "1");
    for _ in 0..20 {
        append_one(&scene.log(), "a", "1");
    }
    log.sync().expect("synced");
    scene.log().sync().expect("synced");
    // A value byte of the second batch of a segment with more behind it.
    scene
        .dir
        .flip_bit("orders-0/00000000000000000000.log", 8 * 140)
        .expect("flipped");
    let crashed = scene.crashed(CrashModel::Killed, 0);
    assert!(crashed.manager.get(&other).is_some());
    assert!(crashed.manager.get(&topic_partition()).is_none());
    let failed = crashed.manager.failed();
    let reason = failed.get(&topic_partition()).expect("a reason");
    assert!(reason.contains("00000000000000000000.log"), "{reason}");
    // Nothing was cut, and the next start looks again.
    let crashed = crashed.reopened();
    assert!(crashed.manager.failed().contains_key(&topic_partition()));
    crashed.manager.delete(&topic_partition()).expect("deleted");
    let config = crashed.config.clone();
    crashed
        .manager
        .create(&topic_partition(), id(5), config)
        .expect("created anew");
    assert_eq!(read_all(&crashed.log()), []);
}

#[test]
fn the_identity_of_a_directory_is_checked() {
    let dir = SimDir::new();
    let open = |cluster_id: &str, node_id| {
        let config = LogManagerConfig {
            identity: Identity {
                cluster_id: Some(cluster_id.to_string()),
                node_id,
            },
            ..LogManagerConfig::default()
        };
        let dir = Arc::new(dir.clone());
        LogManager::open(config, dir, Clock::System, &|_| LogConfig::default())
    };
    let first = open("cluster-a", 2).expect("opened");
    assert_eq!(first.cluster().cluster_id, "cluster-a");
    drop(first);
    assert!(open("cluster-b", 2).is_err());
    assert!(open("cluster-a", 3).is_err());
    assert!(open("cluster-a", 2).is_ok());
}

#[test]
fn a_real_directory_works_like_the_simulated_one() {
    let root = tempfile::tempdir().expect("a directory");
    let config = small_segments();
    let open = || {
        let dir: Arc<dyn Dir> = Arc::new(FsDir::open(root.path()).expect("opened"));
        let config = config.clone();
        LogManager::open(Default::default(), dir, Clock::System, &move |_| {
            config.clone()
        })
        .expect("the directory opens")
    };
    let manager = open();
    let log = manager
        .create(&topic_partition(), id(1), config.clone())
        .expect("created");
    for i in 0..30 {
        append_one(&log, "k", &format!("value {i}"));
    }
    log.sync().expect("synced");
    let before = read_all(&log);
    assert_eq!(before.len(), 30);
    manager.close().expect("closes");
    drop((log, manager));
    let manager = open();
    let log = manager.get(&topic_partition()).expect("there");
    assert_eq!(read_all(&log), before);
    // Without a close: an unclean stop.
    append_one(&log, "k", "last");
    log.sync().expect("synced");
    drop((log, manager));
    let manager = open();
    assert_eq!(
        read_all(&manager.get(&topic_partition()).expect("there")).len(),
        31
    );
}

#[test]
fn many_partitions_open_and_close() {
    let clock = Clock::manual(super::NOW_MS);
    let dir = SimDir::with_clock(clock.clone());
    let manager = open(&dir, &clock, &LogConfig::default()).expect("opened");
    for partition in 0..200 {
        let topic_partition = TopicPartition::new("many", partition);
        let log = manager
            .create(&topic_partition, id(1), LogConfig::default())
            .expect("created");
        append_one(&log, "k", "v");
    }
    manager.close().expect("closes");
    drop(manager);
    let manager = open(&dir, &clock, &LogConfig::default()).expect("opened");
    assert_eq!(manager.logs().len(), 200);
    assert!(manager.logs().iter().all(|log| read_all(log).len() == 1));
}
