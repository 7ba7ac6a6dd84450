use super::*;
use crate::cleaner::progress::ProgressView;
use crate::cleaner::reason::ReasonCode;

const ACTIVE_SEGMENT: Reason = Reason::ActiveSegment { rolls_at_ms: None };

fn cleaner() -> CleanerFacts {
    CleanerFacts {
        is_enabled: true,
        threads_configured: 1,
        threads_running: 1,
        busy_with: Arc::new([]),
    }
}

/// A log of segments of 100 bytes and ten offsets each; the last is active.
fn log(segments: i64) -> LogFacts {
    let segments: Vec<SegmentFacts> = (0..segments)
        .map(|index| SegmentFacts {
            base_offset: index * 10,
            size_bytes: 100,
            largest_timestamp_ms: 1_000 + index,
            first_batch_timestamp_ms: Some(1_000 + index),
        })
        .collect();
    let end = segments.len() as i64 * 10;
    LogFacts {
        topic_partition: topic_partition("t"),
        is_compacted: true,
        is_closed: false,
        in_progress: None,
        pause: None,
        failure: None,
        damage: None,
        log_start_offset: 0,
        last_stable_offset: end,
        open_transaction: None,
        log_end_offset: end,
        checkpoint_offset: None,
        segments,
        active_rolls_at_ms: None,
        min_cleanable_dirty_ratio: 0.5,
        min_compaction_lag_ms: 0,
        max_compaction_lag_ms: i64::MAX,
        delete_retention_ms: 0,
        horizon: DeleteHorizon::None,
        last_cleaned_ms: None,
        benefit: None,
    }
}

fn topic_partition(topic: &str) -> TopicPartition {
    TopicPartition {
        topic: topic.into(),
        partition: 0,
    }
}

fn reason(log: LogFacts, now_ms: i64) -> Reason {
    choose(&[log], &cleaner(), now_ms)
        .not_now
        .pop()
        .expect("chosen")
        .1
}

fn triggered(log: LogFacts, now_ms: i64) -> Trigger {
    choose(&[log], &cleaner(), now_ms)
        .eligible
        .pop()
        .expect("not chosen")
        .trigger
}

#[test]
fn the_dirty_section_ends_at_the_active_segment() {
    let bounds = bounds(&log(4), 0);
    assert_eq!(
        (bounds.first_dirty_offset, bounds.first_uncleanable_offset),
        (0, 30)
    );
    assert_eq!((bounds.clean_bytes, bounds.dirty_bytes), (0, 300));
    assert_eq!(bounds.limit, Limit::ActiveSegment);
}

#[test]
fn a_clean_log_waits_for_its_active_segment() {
    let log = LogFacts {
        checkpoint_offset: Some(30),
        ..log(4)
    };
    assert_eq!(reason(log, 0), ACTIVE_SEGMENT);
}

#[test]
fn a_log_with_one_segment_has_nothing_to_clean() {
    assert_eq!(reason(log(1), 0), ACTIVE_SEGMENT);
    let mut empty = log(1);
    empty.segments[0].size_bytes = 0;
    assert_eq!(reason(empty, 0), Reason::Clean);
}

#[test]
fn case_39_nothing_at_or_above_the_last_stable_offset_is_cleaned() {
    let open = LogFacts {
        last_stable_offset: 17,
        ..log(4)
    };
    let bounds = bounds(&open, 0);
    assert_eq!(
        (bounds.first_uncleanable_offset, bounds.limit),
        (10, Limit::LastStableOffset)
    );
    let open = LogFacts {
        last_stable_offset: 0,
        ..open
    };
    assert_eq!(reason(open, 0).code(), ReasonCode::OpenTransaction);
}

#[test]
fn case_47_min_lag_blocks_a_young_segment_and_all_behind_it() {
    let mut log = log(5);
    log.min_compaction_lag_ms = 100;
    log.segments[1].largest_timestamp_ms = 5_001;
    log.segments[2].largest_timestamp_ms = 10;
    let young = bounds(&log, 5_100);
    assert_eq!(young.first_uncleanable_offset, 10);
    assert_eq!(young.limit, Limit::MinCompactionLag { until_ms: 5_101 });
    assert_eq!(bounds(&log, 5_101).first_uncleanable_offset, 40);
}

#[test]
fn case_48_max_lag_overrides_the_ratio() {
    let mut log = log(11);
    log.checkpoint_offset = Some(90);
    log.min_cleanable_dirty_ratio = 0.9;
    log.max_compaction_lag_ms = 500;
    log.segments[9].first_batch_timestamp_ms = Some(2_000);
    let before = choose(&[log.clone()], &cleaner(), 2_500);
    let below = Reason::BelowRatio {
        ratio: 0.1,
        threshold: 0.9,
    };
    assert_eq!(before.not_now[0].1, below);
    let after = choose(&[log.clone()], &cleaner(), 2_501);
    assert_eq!(after.eligible[0].trigger, Trigger::MaxCompactionLag);
    assert_eq!(after.eligible[0].bounds.overdue_ms, 1);
    log.segments[9].first_batch_timestamp_ms = None;
    assert_eq!(reason(log, 10_000), below);
}

#[test]
fn case_49_a_ratio_equal_to_the_threshold_is_not_enough() {
    let mut log = log(3);
    log.checkpoint_offset = Some(10);
    let equal = Reason::BelowRatio {
        ratio: 0.5,
        threshold: 0.5,
    };
    assert_eq!(reason(log.clone(), 0), equal);
    log.segments[1].size_bytes += 1;
    assert_eq!(triggered(log.clone(), 0), Trigger::DirtyRatio);
    log.checkpoint_offset = None;
    log.min_cleanable_dirty_ratio = 1.0;
    let never = Reason::BelowRatio {
        ratio: 1.0,
        threshold: 1.0,
    };
    assert_eq!(reason(log.clone(), 0), never);
    log.min_cleanable_dirty_ratio = 0.0;
    assert_eq!(triggered(log, 0), Trigger::DirtyRatio);
}

#[test]
fn case_50_a_segment_that_reaches_above_the_high_watermark_is_not_touched() {
    let log = LogFacts {
        last_stable_offset: 19,
        ..log(4)
    };
    assert_eq!(bounds(&log, 0).first_uncleanable_offset, 10);
    let log = LogFacts {
        last_stable_offset: 20,
        ..log
    };
    assert_eq!(bounds(&log, 0).first_uncleanable_offset, 20);
}

#[test]
fn case_51_a_checkpoint_outside_of_the_log_is_reset_to_its_start() {
    for offset in [4, 41] {
        let log = LogFacts {
            checkpoint_offset: Some(offset),
            log_start_offset: 5,
            min_cleanable_dirty_ratio: 1.0,
            ..log(4)
        };
        let choice = choose(&[log], &cleaner(), 0);
        assert_eq!(choice.checkpoint_resets, [(topic_partition("t"), 5)]);
        assert!(choice.eligible.is_empty());
        assert_eq!(choice.not_now[0].2.unwrap().first_dirty_offset, 5);
    }
}

#[test]
fn a_checkpoint_inside_of_a_segment_counts_it_on_both_sides() {
    let bounds = bounds(
        &LogFacts {
            checkpoint_offset: Some(15),
            ..log(4)
        },
        0,
    );
    assert_eq!((bounds.clean_bytes, bounds.dirty_bytes), (200, 200));
}

#[test]
fn an_uncleanable_offset_below_the_dirty_one_leaves_nothing_to_clean() {
    let log = LogFacts {
        checkpoint_offset: Some(25),
        last_stable_offset: 26,
        ..log(4)
    };
    let bounds = bounds(&log, 0);
    assert_eq!(
        (bounds.first_uncleanable_offset, bounds.dirty_bytes),
        (20, 0)
    );
    assert_eq!(
        reason(log, 0),
        Reason::OpenTransaction {
            transaction: None,
            last_stable_offset: 26
        }
    );
}

#[test]
fn a_passed_horizon_needs_no_dirty_bytes() {
    let clean = LogFacts {
        checkpoint_offset: Some(30),
        horizon: DeleteHorizon::At(700),
        ..log(4)
    };
    assert_eq!(reason(clean.clone(), 699), ACTIVE_SEGMENT);
    assert_eq!(triggered(clean.clone(), 700), Trigger::DeleteHorizon);
    let unknown = LogFacts {
        horizon: DeleteHorizon::Unknown,
        ..clean.clone()
    };
    assert_eq!(triggered(unknown, 0), Trigger::DeleteHorizon);
    let spaced = LogFacts {
        delete_retention_ms: 32_000,
        last_cleaned_ms: Some(650),
        ..clean
    };
    assert_eq!(reason(spaced.clone(), 2_649), ACTIVE_SEGMENT);
    assert_eq!(triggered(spaced.clone(), 2_650), Trigger::DeleteHorizon);
    let at_once = LogFacts {
        delete_retention_ms: 0,
        ..spaced
    };
    assert_eq!(reason(at_once.clone(), 1_649), ACTIVE_SEGMENT);
    assert_eq!(triggered(at_once, 1_650), Trigger::DeleteHorizon);
}

#[test]
fn what_a_damaged_segment_keeps_from_expiring_is_not_looked_at_all_the_time() {
    let damaged = LogFacts {
        checkpoint_offset: Some(30),
        horizon: DeleteHorizon::At(700),
        last_cleaned_ms: Some(5_000),
        damage: Some("segment 10 is damaged".into()),
        ..log(4)
    };
    let quarantined = Reason::Quarantined {
        error: "segment 10 is damaged".into(),
        retry_at_ms: None,
    };
    assert_eq!(reason(damaged.clone(), 604_999), quarantined);
    assert_eq!(triggered(damaged, 605_000), Trigger::DeleteHorizon);
}

#[test]
fn the_dirtiest_log_goes_first() {
    let with = |topic: &str, checkpoint| LogFacts {
        topic_partition: topic_partition(topic),
        checkpoint_offset: checkpoint,
        min_cleanable_dirty_ratio: 0.1,
        ..log(4)
    };
    let choice = choose(
        &[with("b", Some(20)), with("c", None), with("a", Some(20))],
        &cleaner(),
        0,
    );
    let order: Vec<String> = choice
        .eligible
        .iter()
        .map(|log| log.topic_partition.to_string())
        .collect();
    assert_eq!(order, ["c-0", "a-0", "b-0"]);
}

#[test]
fn a_log_that_cannot_be_cleaned_says_why() {
    let uncompacted = LogFacts {
        is_compacted: false,
        ..log(4)
    };
    assert_eq!(reason(uncompacted, 0), Reason::DeletePolicy);
    let failed = LogFacts {
        failure: Some(Failure {
            error: "no".into(),
            retry_at_ms: 10,
            no_disk: None,
        }),
        ..log(4)
    };
    let quarantined = Reason::Quarantined {
        error: "no".into(),
        retry_at_ms: Some(10),
    };
    assert_eq!(reason(failed.clone(), 9), quarantined);
    assert_eq!(triggered(failed.clone(), 10), Trigger::DirtyRatio);
    let paused = LogFacts {
        pause: Some(Pause {
            by: "me".into(),
            since_ms: 3,
        }),
        ..failed
    };
    assert_eq!(reason(paused.clone(), 0).code(), ReasonCode::Paused);
    let disabled = CleanerFacts {
        is_enabled: false,
        ..cleaner()
    };
    let reason_of = |log: &LogFacts| {
        let choice = choose(std::slice::from_ref(log), &disabled, 0);
        choice.not_now[0].1.clone()
    };
    assert_eq!(reason_of(&paused), Reason::Disabled);
    let running = Running {
        trigger: Trigger::Request,
        since_ms: 1,
        progress: ProgressView::default(),
    };
    let in_progress = LogFacts {
        in_progress: Some(InProgress {
            running,
            throttled_to: None,
        }),
        ..paused
    };
    assert_eq!(reason_of(&in_progress), Reason::Running(running));
}

#[test]
fn a_closed_log_is_not_judged() {
    let closed = LogFacts {
        is_closed: true,
        ..log(4)
    };
    let choice = choose(&[closed], &cleaner(), 0);
    assert!(choice.eligible.is_empty() && choice.not_now.is_empty());
}

#[test]
fn a_log_that_is_due_knows_its_place_and_whether_anybody_will_come() {
    let logs = ["a", "b"].map(|topic| LogFacts {
        topic_partition: topic_partition(topic),
        ..log(4)
    });
    let reasons = |cleaner: &CleanerFacts| {
        let eligible = choose(&logs, cleaner, 0).eligible.into_iter();
        eligible.map(|log| log.reason).collect::<Vec<_>>()
    };
    let place = |place| Reason::Queued {
        place,
        of: 2,
        busy_with: Arc::new([]),
    };
    assert_eq!(reasons(&cleaner()), [place(1), place(2)]);
    let nobody = CleanerFacts {
        threads_running: 0,
        ..cleaner()
    };
    let no_worker = Reason::NoWorker {
        running: 0,
        configured: 1,
    };
    assert_eq!(reasons(&nobody), [no_worker.clone(), no_worker]);
}

#[test]
fn a_damaged_segment_is_why_when_nothing_else_is_dirty() {
    let damaged = LogFacts {
        checkpoint_offset: Some(30),
        damage: Some("here".into()),
        ..log(4)
    };
    let quarantined = Reason::Quarantined {
        error: "here".into(),
        retry_at_ms: None,
    };
    assert_eq!(reason(damaged.clone(), 0), quarantined);
    let dirty = LogFacts {
        checkpoint_offset: None,
        ..damaged
    };
    assert_eq!(triggered(dirty, 0), Trigger::DirtyRatio);
}

#[test]
fn the_next_change_is_the_earliest_deadline() {
    let next = |log: &LogFacts| {
        let bounds = bounds(log, 500);
        let reason = reason(log.clone(), 500);
        next_ms(log, &bounds, &reason, 500)
    };
    let mut log = LogFacts {
        checkpoint_offset: Some(20),
        ..log(4)
    };
    assert_eq!(next(&log), None);
    log.horizon = DeleteHorizon::At(9_000);
    assert_eq!(next(&log), Some(9_000));
    // The oldest dirty segment is of 1,002.
    log.max_compaction_lag_ms = 5_000;
    assert_eq!(next(&log), Some(6_002));
    log.checkpoint_offset = Some(30);
    log.active_rolls_at_ms = Some(700);
    assert_eq!(next(&log), Some(700));
}

#[test]
fn missing_dirty_bytes_are_what_makes_the_ratio_exceed_the_threshold() {
    let mut log = log(11);
    log.checkpoint_offset = Some(80);
    let before = bounds(&log, 0);
    assert_eq!((before.clean_bytes, before.dirty_bytes), (800, 200));
    let missing = missing_dirty_bytes(&log, &before).expect("a threshold below one");
    log.segments[9].size_bytes += missing - 1;
    assert_eq!(reason(log.clone(), 0).code(), ReasonCode::BelowRatio);
    log.segments[9].size_bytes += 1;
    assert_eq!(triggered(log.clone(), 0), Trigger::DirtyRatio);
    log.min_cleanable_dirty_ratio = 1.0;
    assert_eq!(missing_dirty_bytes(&log, &before), None);
}

#[test]
fn bounds_hold_for_every_checkpoint_and_stable_offset() {
    for checkpoint in 0..=40 {
        for last_stable_offset in 0..=40 {
            let log = LogFacts {
                checkpoint_offset: Some(checkpoint),
                last_stable_offset,
                ..log(4)
            };
            let bounds = bounds(&log, 0);
            assert!(bounds.first_uncleanable_offset <= last_stable_offset.max(checkpoint));
            assert!(bounds.first_uncleanable_offset <= 30);
            assert!(
                log.segments
                    .iter()
                    .any(|s| s.base_offset == bounds.first_uncleanable_offset)
            );
            // A cleaning that is scheduled for dirt always moves the first dirty offset.
            if bounds.dirty_bytes > 0 {
                assert!(bounds.first_uncleanable_offset > bounds.first_dirty_offset);
            }
        }
    }
}

#[test]
fn internal_topics_go_before_dirtier_ones() {
    let named = |topic: &str, segments: i64| LogFacts {
        topic_partition: topic_partition(topic),
        checkpoint_offset: Some(10),
        ..log(segments)
    };
    let logs = [
        named("a", 9),
        named("__consumer_offsets", 5),
        named("z", 20),
        named("__transaction_state", 7),
    ];
    let order: Vec<String> = choose(&logs, &cleaner(), 0)
        .eligible
        .into_iter()
        .map(|log| log.topic_partition.topic.to_string())
        .collect();
    assert_eq!(
        order,
        ["__transaction_state", "__consumer_offsets", "z", "a"]
    );
}

fn order_of(logs: &[LogFacts], now_ms: i64) -> Vec<String> {
    let eligible = choose(logs, &cleaner(), now_ms).eligible;
    eligible
        .into_iter()
        .map(|log| log.topic_partition.topic.to_string())
        .collect()
}

#[test]
fn a_log_beyond_its_maximum_lag_goes_before_dirtier_ones() {
    let named = |topic: &str, max_lag_ms: i64| LogFacts {
        topic_partition: topic_partition(topic),
        checkpoint_offset: Some(if max_lag_ms < i64::MAX { 30 } else { 0 }),
        max_compaction_lag_ms: max_lag_ms,
        ..log(5)
    };
    let logs = [
        named("dirty", i64::MAX),
        named("late", 500),
        named("later", 400),
    ];
    // The oldest dirty segments of the two are of 1,003.
    assert_eq!(order_of(&logs, 1_400), ["dirty"]);
    assert_eq!(order_of(&logs, 1_404), ["later", "dirty"]);
    assert_eq!(order_of(&logs, 1_504), ["later", "late", "dirty"]);
}

#[test]
fn tombstones_that_could_have_gone_for_long_go_before_dirtier_logs() {
    let quiet = LogFacts {
        topic_partition: topic_partition("quiet"),
        checkpoint_offset: Some(40),
        horizon: DeleteHorizon::At(5_000),
        delete_retention_ms: 16_000,
        ..log(5)
    };
    let logs = [log(5), quiet];
    assert_eq!(order_of(&logs, 4_999), ["t"]);
    assert_eq!(order_of(&logs, 5_000), ["t", "quiet"]);
    assert_eq!(order_of(&logs, 6_000), ["t", "quiet"]);
    assert_eq!(order_of(&logs, 6_001), ["quiet", "t"]);
}

#[test]
fn benefit_drives_the_order_when_it_is_known() {
    let named = |topic: &str, segments: i64, benefit: Option<f64>| LogFacts {
        topic_partition: topic_partition(topic),
        checkpoint_offset: Some(10),
        benefit,
        ..log(segments)
    };
    let logs = [
        named("dirtiest", 30, Some(0.1)),
        named("best", 5, Some(2.0)),
        named("free", 6, Some(f64::INFINITY)),
        named("none", 29, Some(0.0)),
        named("unknown", 31, None),
        named("__consumer_offsets", 4, Some(0.01)),
    ];
    let expected = [
        "__consumer_offsets",
        "free",
        "best",
        "dirtiest",
        "none",
        "unknown",
    ];
    assert_eq!(order_of(&logs, 0), expected);
}
