//! Idempotent and transactional producers, over restarts and crashes.

use lastword_record::BatchSpec;
use lastword_record::control::{EndTxnMarker, end_txn_marker};
use lastword_storage::dir::CrashModel;
use lastword_storage::{AppendOrigin, Appended, Isolation, Log, LogConfig, StorageError};

use super::{NOW_MS, Scene, append_one, batch, read_from, request, small_segments};

fn from_producer(
    log: &Log,
    producer_id: i64,
    base_sequence: i32,
    is_transactional: bool,
    count: usize,
) -> Result<Appended, StorageError> {
    let spec = BatchSpec {
        producer_id,
        producer_epoch: 0,
        base_sequence,
        is_transactional,
        ..BatchSpec::default()
    };
    let records = vec![("k", Some("v")); count];
    log.append(&batch(spec, &records), AppendOrigin::Client, 0)
}

fn end(log: &Log, producer_id: i64, is_commit: bool) -> Appended {
    let marker = EndTxnMarker {
        is_commit,
        base_offset: 0,
        timestamp: NOW_MS,
        leader_epoch: 0,
        producer_id,
        producer_epoch: 0,
        coordinator_epoch: 1,
    };
    let bytes = end_txn_marker(&marker).expect("a marker");
    assert!(
        log.append(&bytes, AppendOrigin::Client, 0).is_err(),
        "clients write no markers"
    );
    log.append(&bytes, AppendOrigin::Coordinator, 0)
        .expect("appended")
}

#[test]
fn a_batch_sent_again_gets_its_first_answer() {
    let scene = Scene::new(LogConfig::default());
    let log = scene.log();
    let first = from_producer(&log, 1, 0, false, 3).expect("appended");
    append_one(&log, "other", "x");
    let again = from_producer(&log, 1, 0, false, 3).expect("answered");
    assert!(again.duplicate && !first.duplicate);
    assert_eq!(
        (again.base_offset, again.last_offset),
        (first.base_offset, first.last_offset)
    );
    assert_eq!(log.offsets().log_end_offset, 4);
    let gap = from_producer(&log, 1, 4, false, 1);
    assert!(matches!(
        gap,
        Err(StorageError::OutOfOrderSequence {
            expected: 3,
            got: 4,
            ..
        })
    ));
}

#[test]
fn producers_are_known_after_a_stop_and_after_any_crash() {
    for model in CrashModel::ALL {
        let scene = Scene::new(small_segments());
        for sequence in 0..20 {
            from_producer(&scene.log(), 7, sequence, false, 1).expect("appended");
        }
        scene.log().sync().expect("synced");
        let scene = scene.crashed(model, 1);
        let again = from_producer(&scene.log(), 7, 19, false, 1).expect("answered");
        assert!(again.duplicate, "{model:?}");
        assert!(
            from_producer(&scene.log(), 7, 21, false, 1).is_err(),
            "{model:?}"
        );
        let scene = scene.reopened();
        assert!(
            from_producer(&scene.log(), 7, 19, false, 1)
                .expect("answered")
                .duplicate
        );
        assert!(
            !from_producer(&scene.log(), 7, 20, false, 1)
                .expect("appended")
                .duplicate
        );
    }
}

#[test]
fn producers_are_known_without_any_snapshot() {
    let scene = Scene::new(small_segments());
    for sequence in 0..20 {
        from_producer(&scene.log(), 7, sequence, false, 1).expect("appended");
    }
    let views = scene.log().active_producers();
    scene.manager.close().expect("closes");
    let Scene {
        dir,
        clock,
        config,
        manager,
    } = scene;
    drop(manager);
    for (path, _) in dir.files() {
        if path.ends_with(".snapshot") {
            lastword_storage::Dir::remove(&dir, &path).expect("removed");
        }
    }
    let scene = Scene::on(dir, clock, config);
    assert_eq!(scene.log().active_producers(), views);
}

#[test]
fn an_open_transaction_is_not_read_committed_until_it_ends() {
    let scene = Scene::new(small_segments());
    let log = scene.log();
    append_one(&log, "a", "1");
    from_producer(&log, 5, 0, true, 2).expect("appended");
    append_one(&log, "b", "2");
    log.sync().expect("synced");
    assert_eq!(log.offsets().last_stable_offset, 1);
    assert_eq!(read_from(&log, 0, Isolation::LastStable).len(), 1);
    assert_eq!(read_from(&log, 0, Isolation::HighWatermark).len(), 4);
    end(&log, 5, true);
    assert_eq!(
        log.offsets().last_stable_offset,
        1,
        "the marker is not durable yet"
    );
    log.sync().expect("synced");
    assert_eq!(log.offsets().last_stable_offset, 5);
    let data = log.read(request(0, Isolation::LastStable)).expect("read");
    assert_eq!(data.aborted_transactions, []);
}

#[test]
fn aborted_transactions_are_listed_after_a_stop_and_after_any_crash() {
    for model in CrashModel::ALL {
        let scene = Scene::new(small_segments());
        let mut expected = Vec::new();
        for round in 0..12 {
            let log = scene.log();
            let data = from_producer(&log, 5, round, true, 1).expect("appended");
            append_one(&log, "noise", "in between");
            let marker = end(&log, 5, round % 3 == 0);
            if round % 3 != 0 {
                expected.push((data.base_offset, marker.base_offset));
            }
        }
        scene.log().sync().expect("synced");
        let crashed = scene.crashed(model, 3);
        for scene in [crashed, scene] {
            let scene = scene.reopened();
            let log = scene.log();
            let end = log.offsets().log_end_offset;
            assert_eq!(log.offsets().last_stable_offset, end);
            let mut found = Vec::new();
            let mut next = 0;
            while next < end {
                let data = log
                    .read(request(next, Isolation::LastStable))
                    .expect("read");
                let aborted = data.aborted_transactions.iter();
                found.extend(aborted.map(|aborted| (aborted.first_offset, aborted.last_offset)));
                let mut bytes = Vec::new();
                data.read_into(&mut bytes).expect("bytes");
                next = super::decode(&bytes, next, &mut Vec::new());
            }
            found.sort_unstable();
            found.dedup();
            assert_eq!(found, expected, "{model:?}");
        }
    }
}

#[test]
fn an_open_transaction_stays_open_over_a_crash() {
    let scene = Scene::new(LogConfig::default());
    from_producer(&scene.log(), 5, 0, true, 1).expect("appended");
    append_one(&scene.log(), "a", "1");
    scene.log().sync().expect("synced");
    let scene = scene.crashed(CrashModel::DurableOnly, 0);
    assert_eq!(scene.log().offsets().last_stable_offset, 0);
    let plain = from_producer(&scene.log(), 5, 1, false, 1);
    assert!(matches!(
        plain,
        Err(StorageError::InvalidTransactionState { .. })
    ));
    end(&scene.log(), 5, false);
    scene.log().sync().expect("synced");
    assert_eq!(scene.log().offsets().last_stable_offset, 3);
}

#[test]
fn a_silent_producer_is_forgotten_and_may_begin_anywhere() {
    let scene = Scene::new(LogConfig::default());
    from_producer(&scene.log(), 5, 0, false, 1).expect("appended");
    assert_eq!(scene.log().producer_pins(NOW_MS).len(), 1);
    let later = NOW_MS + 86_400_000;
    assert_eq!(scene.log().producer_pins(later).len(), 0);
    scene.manager.tick(later);
    assert_eq!(scene.log().active_producers(), []);
    from_producer(&scene.log(), 5, 77, false, 1).expect("appended");
}
