//! `WriteBehind`: makes an output durable while it is still being written, so that the disk works at the same time as
//! the processor, and a group commit that syncs the whole file system finds little of the cleaner's to write.
//!
//! A thread, started with the first stretch of bytes that is worth it, syncs the file whenever it is free. That promises
//! nothing: the writer syncs at the end all the same. But a failure here counts: the kernel reports it once, and a later
//! sync that succeeds proves nothing.
//!
//! Files of a simulated directory are left alone, so that simulations stay repeatable. No lock.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

use crate::dir::File;

/// Bytes between two syncs, at least.
const STRETCH_BYTES: u64 = 16 << 20;

#[derive(Default)]
pub struct WriteBehind {
    /// What is on disk leaves the page cache, as far as this thread brings it there: nobody had the inputs in it either.
    pub drops_cache: bool,
    unsynced_bytes: u64,
    thread: Option<SyncThread>,
}

/// A file to sync, and whether to drop its pages then.
type Stretch = (Arc<dyn File>, bool);

struct SyncThread {
    files: SyncSender<Stretch>,
    handle: JoinHandle<io::Result<()>>,
}

impl WriteBehind {
    /// Notes that bytes were written to the file.
    pub fn written(&mut self, file: &Arc<dyn File>, bytes: u64) {
        self.unsynced_bytes += bytes;
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

impl Drop for WriteBehind {
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
