//! A panic in one cleaning is a failure of its log and of nothing else.

use std::sync::Arc;

use lastword_record::{TopicId, TopicPartition};
use lastword_storage::cleaner::{CleanerState, LogCleaner};
use lastword_storage::clock::Clock;
use lastword_storage::config::CleanerConfig;
use lastword_storage::dir::SimDir;
use lastword_storage::error::StorageError;
use lastword_storage::log::AppendOrigin;

use super::hooked_dir::{HookedDir, ReadHook};
use super::scene::{Scene, log_config, open};

#[test]
fn a_panic_fails_its_log_and_the_others_are_cleaned() {
    let bad_reads = ReadHook::default();
    let dir = Arc::new(HookedDir {
        inner: SimDir::new(),
        hooks: vec![("bad-0", bad_reads.clone())],
    });
    let clock = Clock::manual(0);
    let manager = open(dir, &clock, &log_config());
    let source = Scene::new("a1@0 a2@1 b1@2 |");
    let partition = |topic: &str| TopicPartition {
        topic: topic.into(),
        partition: 0,
    };
    for (id, topic) in [(1, "bad"), (2, "good")] {
        let log = manager
            .create(&partition(topic), TopicId([id; 16]), log_config())
            .unwrap();
        for batch in source.batches() {
            log.append(&batch.bytes, AppendOrigin::Replay, 0).unwrap();
        }
        log.roll().unwrap();
        log.sync().unwrap();
    }
    let cleaner = LogCleaner::new(manager, CleanerConfig::default()).unwrap();
    bad_reads.set(|| panic!("a panic for the test"));
    let (failed, result) = cleaner.clean_next().unwrap();
    assert_eq!(failed, partition("bad"));
    assert!(
        matches!(result, Err(StorageError::CleanerPanicked { .. })),
        "{result:?}"
    );
    let (cleaned, result) = cleaner.clean_next().unwrap();
    assert_eq!(
        (cleaned, result.unwrap().dead.superseded),
        (partition("good"), 1)
    );
    assert!(cleaner.clean_next().is_none());
    let status = cleaner.status_of(&partition("bad")).unwrap();
    assert_eq!(status.state, CleanerState::Failed { retry_at_ms: 1_000 });
    assert!(
        status
            .last_error
            .unwrap()
            .1
            .contains("a panic for the test")
    );

    bad_reads.clear();
    clock.advance_ms(1_000);
    assert_eq!(cleaner.clean_next().unwrap().1.unwrap().dead.superseded, 1);
}
