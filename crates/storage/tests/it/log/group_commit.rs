//! The sync thread: every append becomes durable and visible, and nobody waits for ever.

use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use lastword_record::{TopicId, TopicPartition};
use lastword_storage::dir::OperationKind;
use lastword_storage::{
    AppendOrigin, Clock, LogConfig, LogManager, LogManagerConfig, SimDir, start_background,
};

use super::{append_one, batch};

/// Long enough for the slowest machine; nothing waits for it when all is well.
const DEADLINE: Duration = Duration::from_secs(60);

struct Engine {
    dir: SimDir,
    manager: Arc<LogManager>,
    told: mpsc::Receiver<(TopicPartition, i64)>,
}

fn engine(partitions: i32) -> Engine {
    let (sender, told) = mpsc::channel();
    let dir = SimDir::new();
    let config = LogManagerConfig {
        visibility: Some(Arc::new(
            move |topic_partition: &TopicPartition, high_watermark| {
                let _ = sender.send((topic_partition.clone(), high_watermark));
            },
        )),
        ..LogManagerConfig::default()
    };
    let shared = Arc::new(dir.clone());
    let manager = LogManager::open(config, shared, Clock::manual(super::NOW_MS), &|_| {
        LogConfig::default()
    })
    .expect("opened");
    for partition in 0..partitions {
        let topic_partition = TopicPartition::new("t", partition);
        let id = TopicId::from_random_bytes([1; 16]);
        manager
            .create(&topic_partition, id, LogConfig::default())
            .expect("created");
    }
    Engine { dir, manager, told }
}

#[test]
fn one_partition_or_many_become_visible_by_themselves() {
    for partitions in [1, 8, 30] {
        let Engine { manager, told, .. } = engine(partitions);
        let background = start_background(&manager).expect("started");
        for round in 1..=5 {
            for log in manager.logs() {
                append_one(&log, "k", "v");
            }
            let mut waiting: Vec<i32> = (0..partitions).collect();
            while !waiting.is_empty() {
                let (topic_partition, high_watermark) =
                    told.recv_timeout(DEADLINE).expect("told in time");
                if high_watermark >= round {
                    waiting.retain(|partition| *partition != topic_partition.partition);
                }
            }
        }
        background.stop();
        for log in manager.logs() {
            assert_eq!(log.offsets().high_watermark, 5);
        }
    }
}

#[test]
fn appends_from_many_threads_are_all_committed() {
    let Engine { manager, told, .. } = engine(3);
    let background = start_background(&manager).expect("started");
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let logs = manager.logs();
            scope.spawn(move || {
                for i in 0..100 {
                    append_one(&logs[(i + thread) % 3], "k", "v");
                }
            });
        }
    });
    let mut ends = [0; 3];
    while ends.iter().sum::<i64>() < 400 {
        let (topic_partition, high_watermark) = told.recv_timeout(DEADLINE).expect("told in time");
        ends[usize::try_from(topic_partition.partition).expect("small")] = high_watermark;
    }
    drop(background);
}

#[test]
fn a_log_that_was_synced_by_hand_in_between_is_synced_once() {
    let Engine { manager, told, .. } = engine(1);
    let log = &manager.logs()[0];
    append_one(log, "k", "1");
    log.sync().expect("synced");
    append_one(log, "k", "2");
    let background = start_background(&manager).expect("started");
    while told.recv_timeout(DEADLINE).expect("told in time").1 < 2 {}
    append_one(log, "k", "3");
    while told.recv_timeout(DEADLINE).expect("told in time").1 < 3 {}
    background.stop();
}

#[test]
fn everybody_is_told_when_the_directory_goes_offline() {
    let Engine { dir, manager, told } = engine(4);
    // Before the threads start: the first append also writes the leader epoch.
    append_one(&manager.logs()[2], "k", "v");
    dir.fail_next(OperationKind::SyncData, 5);
    let background = start_background(&manager).expect("started");
    let mut waiting: Vec<i32> = (0..4).collect();
    while !waiting.is_empty() {
        let (topic_partition, high_watermark) = told.recv_timeout(DEADLINE).expect("told in time");
        assert_eq!(high_watermark, 0, "nothing became visible");
        assert!(manager.is_offline().is_some());
        waiting.retain(|partition| *partition != topic_partition.partition);
    }
    let bytes = batch(Default::default(), &[("a", Some("1"))]);
    assert!(
        manager.logs()[0]
            .append(&bytes, AppendOrigin::Client, 0)
            .is_err()
    );
    background.stop();
}
