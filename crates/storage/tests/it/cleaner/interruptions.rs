//! While a big log is cleaned, an internal log that becomes dirty is cleaned in between, whatever comes of it.
//!
//! One thread, no clock: the first read of the big log's cleaning is what makes the internal log dirty.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use lastword_record::{TopicId, TopicPartition};
use lastword_storage::cleaner::{CleanStats, CleanerState, LogCleaner, LogStatus};
use lastword_storage::clock::Clock;
use lastword_storage::config::CleanerConfig;
use lastword_storage::dir::SimDir;
use lastword_storage::error::StorageError;
use lastword_storage::log::{AppendOrigin, Log};
use lastword_storage::manager::LogManager;

use super::hooked_dir::{HookedDir, ReadHook};
use super::scene::{Scene, log_config, open};

struct Two {
    _manager: Arc<LogManager>,
    cleaner: Arc<LogCleaner>,
    internal_reads: ReadHook,
    is_internal_dirty: Arc<AtomicBool>,
}

fn partition(topic: &str) -> TopicPartition {
    TopicPartition {
        topic: topic.into(),
        partition: 0,
    }
}

fn fill(log: &Log, text: &str) {
    for batch in Scene::new(text).batches() {
        log.append(&batch.bytes, AppendOrigin::Replay, 0).unwrap();
    }
    log.roll().unwrap();
    log.sync().unwrap();
}

impl Two {
    /// A big log, dirty, of several segments, and an internal one that becomes dirty with the first read of the big one.
    fn new(internal: &str) -> Two {
        let (big_reads, internal_reads) = (ReadHook::default(), ReadHook::default());
        let hooks = vec![("big-0", big_reads.clone()), ("__", internal_reads.clone())];
        let inner = SimDir::new();
        let dir = Arc::new(HookedDir { inner, hooks });
        let manager = open(dir, &Clock::manual(0), &log_config());
        let create = |id: u8, topic: &str| {
            manager
                .create(&partition(topic), TopicId([id; 16]), log_config())
                .unwrap()
        };
        let (big, internal) = (create(1, "big"), create(2, internal));
        for text in ["a1@0 b1@1 c1@2", "a2@3 b2@4", "a3@5"] {
            fill(&big, text);
        }
        let is_internal_dirty = Arc::new(AtomicBool::new(false));
        let is_dirty = is_internal_dirty.clone();
        big_reads.set(move || {
            if !is_dirty.load(Ordering::SeqCst) {
                fill(&internal, "k1@0 k2@1 k3@2");
                is_dirty.store(true, Ordering::SeqCst);
            }
        });
        Two {
            cleaner: Arc::new(LogCleaner::new(manager.clone(), CleanerConfig::default()).unwrap()),
            _manager: manager,
            internal_reads,
            is_internal_dirty,
        }
    }

    /// Does something when the internal log's cleaning reads it.
    fn on_internal_read(&self, action: impl Fn() + Send + Sync + 'static) {
        let is_dirty = self.is_internal_dirty.clone();
        self.internal_reads.set(move || {
            if is_dirty.load(Ordering::SeqCst) {
                action();
            }
        });
    }

    /// Cleans the big log, as a thread does.
    fn clean_big(&self) -> Result<CleanStats, StorageError> {
        let (cleaned, result) = self.cleaner.clean_next().unwrap();
        assert_eq!(cleaned, partition("big"));
        result
    }

    fn status(&self, topic: &str) -> LogStatus {
        self.cleaner.status_of(&partition(topic)).unwrap()
    }
}

#[test]
fn an_internal_log_that_becomes_dirty_is_cleaned_before_the_big_one_ends() {
    for topic in ["__consumer_offsets", "__transaction_state"] {
        let two = Two::new(topic);
        assert_eq!(two.clean_big().unwrap().dead.superseded, 3);
        let status = two.status(topic);
        assert_eq!((status.state, status.cleanings), (CleanerState::Idle, 1));
        assert_eq!(status.last_stats.unwrap().dead.superseded, 2);
        assert_eq!(two.status("big").cleanings, 1);
        assert!(two.cleaner.clean_next().is_none());
    }
}

#[test]
fn another_log_that_becomes_dirty_waits_for_its_turn() {
    let two = Two::new("__mine");
    two.clean_big().unwrap();
    assert_eq!(two.status("__mine").cleanings, 0);
    assert_eq!(two.cleaner.clean_next().unwrap().0, partition("__mine"));
}

#[test]
fn the_big_one_goes_on_when_the_internal_log_cannot_be_cleaned() {
    let two = Two::new("__consumer_offsets");
    two.on_internal_read(|| panic!("a panic for the test"));
    assert_eq!(two.clean_big().unwrap().dead.superseded, 3);
    two.internal_reads.clear();
    let status = two.status("__consumer_offsets");
    assert_eq!(status.state, CleanerState::Failed { retry_at_ms: 1_000 });
    assert_eq!((status.failures, status.cleanings), (1, 0));
}

#[test]
fn a_cleaner_that_is_stopped_in_between_leaves_no_claim_behind() {
    let two = Two::new("__consumer_offsets");
    let cleaner = two.cleaner.clone();
    two.on_internal_read(move || cleaner.stop());
    assert!(matches!(two.clean_big(), Err(StorageError::Closed)));
    two.internal_reads.clear();
    for topic in ["big", "__consumer_offsets"] {
        let status = two.status(topic);
        assert_eq!((status.state, status.cleanings), (CleanerState::Idle, 0));
        assert_eq!(status.failures, 0);
    }
}
