//! Lookups by time.

use lastword_record::BatchSpec;
use lastword_storage::{AppendOrigin, Log};

use super::{NOW_MS, Scene, append_one, batch_at, small_segments};

fn append_at(log: &Log, timestamp: i64) {
    let bytes = batch_at(
        BatchSpec::default(),
        timestamp,
        &[("a", Some("value")), ("b", None)],
    );
    log.append(&bytes, AppendOrigin::Client, 0)
        .expect("appended");
}

#[test]
fn the_first_record_at_or_after_a_time_is_found_in_any_segment() {
    let scene = Scene::new(small_segments());
    let log = scene.log();
    let times: Vec<i64> = (0..30)
        .map(|i| NOW_MS - 10_000 + i * 37 % 11 * 100 + i * 10)
        .collect();
    for time in &times {
        append_at(&log, *time);
    }
    log.sync().expect("synced");
    assert!(log.segments().len() > 3);
    for target in (NOW_MS - 10_100..NOW_MS - 8_000).step_by(10) {
        let expected = (0..).zip(&times).find(|(_, time)| **time >= target);
        let expected = expected.map(|(index, time)| (index * 2_i64, *time));
        let found = log.offset_for_timestamp(target).expect("looked");
        assert_eq!(
            found.map(|found| (found.offset, found.timestamp)),
            expected,
            "{target}"
        );
    }
}

#[test]
fn the_largest_time_wins_and_the_first_of_equals() {
    let scene = Scene::new(small_segments());
    let log = scene.log();
    assert_eq!(
        log.max_timestamp_offset()
            .expect("looked")
            .map(|found| found.offset),
        None
    );
    for time in [5, 90, 20, 90, 10, 90] {
        append_at(&log, time);
    }
    log.sync().expect("synced");
    let found = log.max_timestamp_offset().expect("looked").expect("found");
    assert_eq!((found.offset, found.timestamp), (2, 90));
}

#[test]
fn what_is_not_durable_is_not_found() {
    let scene = Scene::new(small_segments());
    let log = scene.log();
    append_one(&log, "a", "1");
    assert!(log.offset_for_timestamp(0).expect("looked").is_none());
    log.sync().expect("synced");
    assert!(log.offset_for_timestamp(0).expect("looked").is_some());
}
