//! What is appended is read, once it is durable.

use lastword_record::BatchSpec;
use lastword_storage::{AppendOrigin, Isolation, LogConfig, ReadRequest, StorageError};

use super::{
    Scene, append, append_one, batch, entry, read_all, read_from, request, small_segments,
};

#[test]
fn a_record_is_visible_after_the_sync_and_not_before() {
    let scene = Scene::new(LogConfig::default());
    let log = scene.log();
    append(&log, &[("a", Some("1")), ("b", Some("2"))]);
    assert_eq!(read_all(&log), []);
    assert_eq!(read_from(&log, 0, Isolation::LogEnd).len(), 2);
    assert_eq!(log.offsets().high_watermark, 0);
    assert_eq!(log.sync().expect("synced"), 2);
    assert_eq!(read_all(&log), [entry(0, "a", "1"), entry(1, "b", "2")]);
    assert_eq!(append_one(&log, "c", "3"), 2);
    assert_eq!(
        read_all(&log).len(),
        2,
        "a read stops at the high watermark inside a segment"
    );
}

#[test]
fn a_read_goes_on_over_segments_from_any_offset() {
    let scene = Scene::new(small_segments());
    let log = scene.log();
    let mut expected = Vec::new();
    for i in 0..50 {
        let value = format!("value {i}");
        let offset = append_one(&log, "k", &value);
        expected.push(entry(offset, "k", &value));
    }
    log.sync().expect("synced");
    assert!(log.segments().len() > 5);
    for from in 0..50 {
        let from = i64::from(from);
        let expected = &expected[usize::try_from(from).expect("small")..];
        assert_eq!(read_from(&log, from, Isolation::HighWatermark), expected);
    }
}

#[test]
fn offsets_outside_of_the_log_are_refused_and_its_end_is_empty() {
    let scene = Scene::new(LogConfig::default());
    let log = scene.log();
    append_one(&log, "a", "1");
    log.sync().expect("synced");
    assert!(
        log.read(request(1, Isolation::HighWatermark))
            .expect("read")
            .is_empty()
    );
    for offset in [-1, 2, i64::MAX, i64::MIN] {
        let result = log.read(request(offset, Isolation::HighWatermark));
        let is_refused = matches!(
            result,
            Err(StorageError::OffsetOutOfRange {
                log_start_offset: 0,
                high_watermark: 1,
                ..
            })
        );
        assert!(is_refused, "{offset}");
    }
}

#[test]
fn max_bytes_is_kept_unless_one_batch_is_wanted() {
    let scene = Scene::new(LogConfig::default());
    let log = scene.log();
    let one = batch(BatchSpec::default(), &[("a", Some("1"))]).len();
    for _ in 0..3 {
        append_one(&log, "a", "1");
    }
    log.sync().expect("synced");
    for (max_bytes, min_one_batch, expected) in [
        (0, false, 0),
        (one - 1, false, 0),
        (0, true, one),
        (one, false, one),
        (2 * one, true, 2 * one),
        (usize::MAX, true, 3 * one),
    ] {
        let request = ReadRequest {
            offset: 0,
            max_bytes,
            min_one_batch,
            isolation: Isolation::HighWatermark,
        };
        assert_eq!(
            log.read(request).expect("read").len_bytes(),
            expected,
            "{max_bytes}"
        );
    }
}

#[test]
fn a_refused_batch_leaves_no_trace() {
    let scene = Scene::new(LogConfig::default());
    let log = scene.log();
    let mut damaged = batch(BatchSpec::default(), &[("a", Some("1"))]);
    let last = damaged.len() - 1;
    damaged[last] ^= 1;
    assert!(log.append(&damaged, AppendOrigin::Client, 0).is_err());
    assert_eq!(log.offsets().log_end_offset, 0);
    assert_eq!(log.size_bytes(), 0);
    assert_eq!(append_one(&log, "a", "1"), 0);
}

#[test]
fn a_replay_keeps_its_offsets_and_leaves_gaps() {
    let scene = Scene::new(LogConfig::default());
    let log = scene.log();
    for base_offset in [10, 3_000_000_000] {
        let spec = BatchSpec {
            base_offset,
            leader_epoch: 4,
            ..BatchSpec::default()
        };
        let bytes = batch(spec, &[("a", Some("1"))]);
        let appended = log
            .append(&bytes, AppendOrigin::Replay, 0)
            .expect("appended");
        assert_eq!(appended.base_offset, base_offset);
        assert!(
            log.append(&bytes, AppendOrigin::Replay, 0).is_err(),
            "not a second time"
        );
    }
    log.sync().expect("synced");
    assert_eq!(
        read_all(&log),
        [entry(10, "a", "1"), entry(3_000_000_000, "a", "1")]
    );
    assert_eq!(
        log.segments().len(),
        2,
        "an offset too far from its base starts a segment"
    );
    assert_eq!(log.leader_epoch(), 4);
    let scene = scene.reopened();
    assert_eq!(read_all(&scene.log()).len(), 2);
    assert_eq!(append_one(&scene.log(), "b", "2"), 3_000_000_001);
}

#[test]
fn leader_epochs_are_remembered_over_a_restart() {
    let scene = Scene::new(LogConfig::default());
    let bytes = batch(BatchSpec::default(), &[("a", Some("1"))]);
    for leader_epoch in [0, 0, 3, 3, 7] {
        let appended = scene
            .log()
            .append(&bytes, AppendOrigin::Client, leader_epoch);
        appended.expect("appended");
    }
    let scene = scene.reopened();
    let log = scene.log();
    assert_eq!(log.leader_epoch(), 7);
    assert_eq!(log.end_offset_for_epoch(0), (0, 2));
    assert_eq!(log.end_offset_for_epoch(5), (3, 4));
    assert_eq!(log.end_offset_for_epoch(7), (7, 5));
}
