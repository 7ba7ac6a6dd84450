//! A panic in one cleaning is a failure of its log and of nothing else.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use lastword_record::{TopicId, TopicPartition};
use lastword_storage::cleaner::{CleanerState, LogCleaner};
use lastword_storage::clock::Clock;
use lastword_storage::config::CleanerConfig;
use lastword_storage::dir::{Dir, DirEntry, File, SimDir};
use lastword_storage::error::StorageError;
use lastword_storage::log::AppendOrigin;

use super::scene::{Scene, log_config, open};

/// A directory whose files of partition `bad-0` panic when they are read while it is armed.
struct PanickingDir {
    inner: SimDir,
    is_armed: Arc<AtomicBool>,
}

struct PanickingFile {
    inner: Arc<dyn File>,
    is_armed: Arc<AtomicBool>,
}

impl PanickingDir {
    fn wrap(&self, path: &str, file: Arc<dyn File>) -> Arc<dyn File> {
        if !path.starts_with("bad-0") {
            return file;
        }
        Arc::new(PanickingFile {
            inner: file,
            is_armed: self.is_armed.clone(),
        })
    }
}

impl Dir for PanickingDir {
    fn create(&self, path: &str) -> io::Result<Arc<dyn File>> {
        Ok(self.wrap(path, self.inner.create(path)?))
    }
    fn open(&self, path: &str) -> io::Result<Arc<dyn File>> {
        Ok(self.wrap(path, self.inner.open(path)?))
    }
    fn create_dir(&self, path: &str) -> io::Result<()> {
        self.inner.create_dir(path)
    }
    fn remove_dir(&self, path: &str) -> io::Result<()> {
        self.inner.remove_dir(path)
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.inner.rename(from, to)
    }
    fn remove(&self, path: &str) -> io::Result<()> {
        self.inner.remove(path)
    }
    fn list(&self, path: &str) -> io::Result<Vec<DirEntry>> {
        self.inner.list(path)
    }
    fn sync_dir(&self, path: &str) -> io::Result<()> {
        self.inner.sync_dir(path)
    }
    fn sync_file_system(&self) -> io::Result<()> {
        self.inner.sync_file_system()
    }
    fn free_bytes(&self) -> io::Result<u64> {
        self.inner.free_bytes()
    }
    fn lock(&self) -> io::Result<Box<dyn Send + Sync>> {
        self.inner.lock()
    }
}

impl File for PanickingFile {
    fn read_at(&self, buf: &mut [u8], position: u64) -> io::Result<usize> {
        assert!(
            !self.is_armed.load(Ordering::SeqCst),
            "a panic for the test"
        );
        self.inner.read_at(buf, position)
    }
    fn write_all_at(&self, buf: &[u8], position: u64) -> io::Result<()> {
        self.inner.write_all_at(buf, position)
    }
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }
    fn truncate(&self, len: u64) -> io::Result<()> {
        self.inner.truncate(len)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.inner.sync_data()
    }
    fn modified_ms(&self) -> io::Result<i64> {
        self.inner.modified_ms()
    }
    fn set_modified_ms(&self, ms: i64) -> io::Result<()> {
        self.inner.set_modified_ms(ms)
    }
    fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }
    fn drop_cache(&self, position: u64, len: u64) {
        self.inner.drop_cache(position, len);
    }
}

#[test]
fn a_panic_fails_its_log_and_the_others_are_cleaned() {
    let is_armed = Arc::new(AtomicBool::new(false));
    let dir = Arc::new(PanickingDir {
        inner: SimDir::new(),
        is_armed: is_armed.clone(),
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
    is_armed.store(true, Ordering::SeqCst);
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

    is_armed.store(false, Ordering::SeqCst);
    clock.advance_ms(1_000);
    assert_eq!(cleaner.clean_next().unwrap().1.unwrap().dead.superseded, 1);
}
