//! `WriteBehind`: gets an output to the disk while it is still being written, so that the disk works at the same time as
//! the processor, and a group commit that syncs the same file system finds little of the cleaner's to write.
//!
//! Two ways, both of them promises of nothing: the writer syncs at the end all the same.
//! - Nobody else uses the disk: a thread, started with the first stretch of bytes that is worth it, syncs the file
//!   whenever it is free. A failure there counts: the kernel reports it once, and a later sync that succeeds proves
//!   nothing.
//! - Beside traffic: every small stretch is handed to the disk as it comes. No sync: each one would be a commit of the
//!   file system's journal, for which the group commits of the broker would have to wait.
//!
//! Files of a simulated directory are left alone, so that simulations stay repeatable. No lock.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

use super::throttle::Throttle;
use crate::dir::File;

/// Bytes between two syncs, at least.
const STRETCH_BYTES: u64 = 16 << 20;
/// Bytes beside traffic that are handed to the disk at once.
const SHORT_STRETCH_BYTES: u64 = 1 << 20;

pub struct WriteBehind<'a> {
    /// What is on disk leaves the page cache, as far as it is brought there here: nobody had the inputs in it either.
    pub drops_cache: bool,
    throttle: &'a Throttle,
    unsynced_bytes: u64,
    /// Of those, the ones that the disk was not told of.
    unstarted_bytes: u64,
    thread: Option<SyncThread>,
}

/// A file to sync, and whether to drop its pages then.
type Stretch = (Arc<dyn File>, bool);

struct SyncThread {
    files: SyncSender<Stretch>,
    handle: JoinHandle<io::Result<()>>,
}

impl<'a> WriteBehind<'a> {
    pub fn new(throttle: &'a Throttle) -> WriteBehind<'a> {
        WriteBehind {
            drops_cache: false,
            throttle,
            unsynced_bytes: 0,
            unstarted_bytes: 0,
            thread: None,
        }
    }

    /// Notes that bytes were written to the end of the file.
    pub fn written(&mut self, file: &Arc<dyn File>, bytes: u64) {
        self.unsynced_bytes += bytes;
        self.unstarted_bytes += bytes;
        if self.throttle.has_traffic() {
            if self.unstarted_bytes >= SHORT_STRETCH_BYTES {
                let end = file.len().unwrap_or(0);
                // From the start: what has come to disk meanwhile is dropped.
                let begin = match self.drops_cache {
                    true => 0,
                    false => end.saturating_sub(self.unstarted_bytes),
                };
                file.start_write_back(begin, end - begin);
                self.unstarted_bytes = 0;
            }
            return;
        }
        if self.unsynced_bytes < STRETCH_BYTES || file.as_fd().is_none() {
            return;
        }
        if self.thread.is_none() {
            self.thread = SyncThread::start();
        }
        // Busy: the bytes wait for the next stretch.
        if let Some(thread) = &self.thread
            && thread
                .files
                .try_send((file.clone(), self.drops_cache))
                .is_ok()
        {
            self.unsynced_bytes = 0;
            self.unstarted_bytes = 0;
        }
    }

    /// Waits for the last sync; fails if any failed.
    pub fn finish(&mut self) -> io::Result<()> {
        let Some(SyncThread { files, handle }) = self.thread.take() else {
            return Ok(());
        };
        drop(files);
        handle
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("the write-behind thread panicked")))
    }
}

impl Drop for WriteBehind<'_> {
    fn drop(&mut self) {
        // The outputs are given up, and what could not be synced with them.
        let _ = self.finish();
    }
}

impl SyncThread {
    /// None when there can be no thread: then everything is synced at the end.
    fn start() -> Option<SyncThread> {
        let (files, receiver) = sync_channel::<Stretch>(0);
        let sync_all = move || {
            receiver.iter().try_for_each(|(file, drops_cache)| {
                file.sync_data()?;
                if drops_cache {
                    file.drop_cache(0, 0);
                }
                Ok(())
            })
        };
        let builder = std::thread::Builder::new().name("log-cleaner-sync".to_string());
        builder
            .spawn(sync_all)
            .ok()
            .map(|handle| SyncThread { files, handle })
    }
}
