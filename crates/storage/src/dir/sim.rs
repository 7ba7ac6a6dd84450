//! A log directory in memory that can lose power.
//!
//! It remembers what was synced: per file the durable bytes and the writes since, per directory the durable names and
//! the changes since. [`SimDir::crash`] gives the directory that a machine would find after the power came back,
//! according to a [`CrashModel`] and a seed, so that every run can be repeated. [`SimDir::crash_after`] stops the
//! world at the n-th operation, so that a test can visit every one of them.
//! After a failed sync the un-synced writes are gone for good although reads still see them: this is what kernels do.
//! One mutex around everything; no threads, no clock of its own.

mod crash;
mod state;

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use crash::CrashModel;
use state::{NodeId, State, WriteOperation};

use super::{Dir, DirEntry, File};
use crate::clock::Clock;

/// The operations that change something, or promise to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OperationKind {
    Create,
    CreateDir,
    Rename,
    Remove,
    RemoveDir,
    Write,
    Truncate,
    SyncData,
    SyncDir,
    SyncFileSystem,
    /// Reads are not counted and not traced, but can be made to fail.
    Read,
}

/// An in-memory [`Dir`]. Clones share the same content.
#[derive(Clone)]
pub struct SimDir {
    state: Arc<Mutex<State>>,
}

impl Default for SimDir {
    fn default() -> SimDir {
        SimDir::new()
    }
}

impl SimDir {
    /// An empty directory whose files are modified at time 0.
    pub fn new() -> SimDir {
        SimDir::with_clock(Clock::manual(0))
    }

    /// An empty directory whose files are modified at the clock's time.
    pub fn with_clock(clock: Clock) -> SimDir {
        SimDir::from_state(State::new(clock))
    }

    fn from_state(state: State) -> SimDir {
        SimDir {
            state: Arc::new(Mutex::new(state)),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// What is there after the power failed now. This directory stays as it is.
    pub fn crash(&self, model: CrashModel, seed: u64) -> SimDir {
        SimDir::from_state(crash::crash(&self.state(), model, seed))
    }

    /// Operations so far, without reads.
    pub fn operation_count(&self) -> u64 {
        self.state().operation_count
    }

    /// The next `operations` succeed; the one after them and everything later fails, reads too.
    pub fn crash_after(&self, operations: u64) {
        let mut state = self.state();
        state.crash_at = Some(state.operation_count + operations);
    }

    /// Whether the operation named by [`SimDir::crash_after`] was reached.
    pub fn has_crashed(&self) -> bool {
        self.state().crashed
    }

    /// The next operation of this kind fails with this error number. A failing write has written its first half.
    pub fn fail_next(&self, kind: OperationKind, errno: i32) {
        self.state().failures.push((kind, errno));
    }

    /// Lets the disk be full after `bytes` more.
    pub fn set_free_bytes(&self, bytes: u64) {
        self.state().free_bytes = bytes;
    }

    /// Flips one bit of a file, on disk and in memory. `bit` counts from the first bit of the file.
    pub fn flip_bit(&self, path: &str, bit: u64) -> io::Result<()> {
        self.state().flip_bit(path, bit)
    }

    /// The latest operations, oldest first, for the message of a failed test.
    pub fn trace(&self) -> Vec<String> {
        self.state().trace.iter().cloned().collect()
    }

    /// Every file with its bytes, for comparison of whole directories.
    pub fn files(&self) -> Vec<(String, Vec<u8>)> {
        self.state().files()
    }
}

impl Dir for SimDir {
    fn create(&self, path: &str) -> io::Result<Arc<dyn File>> {
        let node = self.state().create(path)?;
        Ok(Arc::new(SimFile {
            state: Arc::clone(&self.state),
            node,
            path: path.into(),
        }))
    }

    fn open(&self, path: &str) -> io::Result<Arc<dyn File>> {
        let node = self.state().open(path)?;
        Ok(Arc::new(SimFile {
            state: Arc::clone(&self.state),
            node,
            path: path.into(),
        }))
    }

    fn create_dir(&self, path: &str) -> io::Result<()> {
        self.state().create_dir(path)
    }

    fn remove_dir(&self, path: &str) -> io::Result<()> {
        self.state().remove_dir(path)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.state().rename(from, to)
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        self.state().remove(path)
    }

    fn list(&self, path: &str) -> io::Result<Vec<DirEntry>> {
        self.state().list(path)
    }

    fn sync_dir(&self, path: &str) -> io::Result<()> {
        self.state().sync_dir(path)
    }

    fn sync_file_system(&self) -> io::Result<()> {
        self.state().sync_file_system()
    }

    fn free_bytes(&self) -> io::Result<u64> {
        Ok(self.state().free_bytes)
    }

    fn lock(&self) -> io::Result<Box<dyn Send + Sync>> {
        let mut state = self.state();
        if std::mem::replace(&mut state.is_locked, true) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(Box::new(SimLock {
            state: Arc::clone(&self.state),
        }))
    }
}

struct SimLock {
    state: Arc<Mutex<State>>,
}

impl Drop for SimLock {
    fn drop(&mut self) {
        lock(&self.state).is_locked = false;
    }
}

struct SimFile {
    state: Arc<Mutex<State>>,
    node: NodeId,
    /// The name it was opened by, for the trace.
    path: String,
}

impl File for SimFile {
    fn read_at(&self, buf: &mut [u8], position: u64) -> io::Result<usize> {
        lock(&self.state).read(self.node, buf, position)
    }

    fn write_all_at(&self, buf: &[u8], position: u64) -> io::Result<()> {
        let operation = WriteOperation::Write {
            position,
            bytes: buf.to_vec(),
        };
        lock(&self.state).change_file(self.node, &self.path, operation)
    }

    fn len(&self) -> io::Result<u64> {
        lock(&self.state).len(self.node)
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        lock(&self.state).change_file(self.node, &self.path, WriteOperation::Truncate { len })
    }

    fn sync_data(&self) -> io::Result<()> {
        lock(&self.state).sync_data(self.node, &self.path)
    }

    fn modified_ms(&self) -> io::Result<i64> {
        lock(&self.state).modified_ms(self.node)
    }

    fn set_modified_ms(&self, ms: i64) -> io::Result<()> {
        lock(&self.state).set_modified_ms(self.node, ms)
    }

    fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn drop_cache(&self, _position: u64, _len: u64) {}
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    // A panicking test thread leaves the content whole: every operation is applied at once.
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
