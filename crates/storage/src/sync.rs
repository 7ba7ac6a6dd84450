//! Group commit: one sync covers every append that waits for one.
//!
//! An append marks its log dirty and returns. The sync thread takes all dirty logs at once,
//! captures their ends, makes them durable, and moves their HighWatermarks. What is appended
//! meanwhile waits for the next round: the busier the disk, the more a round carries.
//!
//! Up to [`SYNC_ONE_BY_ONE_MAX`] logs are synced file by file; more of them with one `syncfs`, which
//! costs a fraction (100 dirty files on ext4: 18 ms one by one, 1.8 ms at once).
//!
//! A failed sync takes the directory offline and is never repeated: the kernel has marked the lost
//! pages clean, a second sync would succeed and prove nothing. Then everybody who waits is told:
//! the visibility hook is called once for every log, with the HighWatermark it had.
//!
//! Lock: the queue's own, held for moments. The hook is called without any lock of the engine: those
//! of the logs whose sync just ended are released first.

use std::collections::HashSet;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::error::StorageError;
use crate::log::{DirectoryContext, Log};

/// With more dirty logs than this, the whole file system is synced at once.
pub const SYNC_ONE_BY_ONE_MAX: usize = 8;

/// The logs with unsynced data.
#[derive(Default)]
pub(crate) struct SyncQueue {
    state: Mutex<QueueState>,
    changed: Condvar,
}

#[derive(Default)]
struct QueueState {
    dirty: Vec<Arc<Log>>,
    is_woken: bool,
    is_stopped: bool,
}

impl SyncQueue {
    pub fn push(&self, log: Arc<Log>) {
        self.state().dirty.push(log);
        self.changed.notify_one();
    }

    /// Lets a waiting thread look around: the directory has gone offline.
    pub fn wake(&self) {
        self.state().is_woken = true;
        self.changed.notify_all();
    }

    pub fn stop(&self) {
        self.state().is_stopped = true;
        self.changed.notify_all();
    }

    pub fn restart(&self) {
        self.state().is_stopped = false;
    }

    /// Everything that is dirty now.
    pub fn take(&self) -> Vec<Arc<Log>> {
        std::mem::take(&mut self.state().dirty)
    }

    /// Waits for something to do; none once stopped and empty.
    fn wait(&self) -> Option<Vec<Arc<Log>>> {
        let mut state = self.state();
        loop {
            if !state.dirty.is_empty() || state.is_woken {
                state.is_woken = false;
                return Some(std::mem::take(&mut state.dirty));
            }
            if state.is_stopped {
                return None;
            }
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn state(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The sync thread: runs until the queue is stopped and empty.
pub(crate) fn run(context: &DirectoryContext, all_logs: &dyn Fn() -> Vec<Arc<Log>>) {
    let mut is_offline_told = false;
    while let Some(dirty) = context.sync_queue.wait() {
        let synced = sync_logs(context, &dirty);
        if synced.is_err() && !is_offline_told {
            is_offline_told = true;
            for log in all_logs() {
                context.notify(log.topic_partition(), log.offsets().high_watermark);
            }
        } else if synced.is_err() {
            // Appended while the directory went offline.
            for log in &dirty {
                context.notify(log.topic_partition(), log.offsets().high_watermark);
            }
        }
    }
}

/// Makes these logs durable as far as they reach now, and tells who waits.
pub(crate) fn sync_logs(context: &DirectoryContext, logs: &[Arc<Log>]) -> Result<(), StorageError> {
    context.check_online()?;
    // A log is queued twice when somebody has synced it by hand between two appends; beginning twice
    // would wait for itself.
    let mut seen = HashSet::with_capacity(logs.len());
    let logs = logs.iter().filter(|log| seen.insert(Arc::as_ptr(log)));
    let logs: Vec<&Arc<Log>> = logs.collect();
    let mut pending = Vec::with_capacity(logs.len());
    for log in &logs {
        pending.push(log.begin_sync());
    }
    let needed = pending.iter().filter(|sync| sync.is_needed()).count();
    let began = Instant::now();
    if needed > 0 {
        context.latencies.commit_begins();
    }
    let synced = if needed > SYNC_ONE_BY_ONE_MAX {
        let synced = context.dir.sync_file_system();
        synced.map_err(|error| StorageError::io("sync", "the file system", error))
    } else {
        pending
            .iter()
            .filter(|sync| sync.is_needed())
            .try_for_each(|sync| sync.sync_file())
    };
    if needed > 0 {
        context.latencies.commit_ends();
        context.stats.syncs.record(began.elapsed());
    }
    context.or_offline(synced)?;
    let mut high_watermarks = Vec::with_capacity(logs.len());
    for sync in pending {
        high_watermarks.push(sync.finish()?);
    }
    for (log, high_watermark) in logs.iter().zip(high_watermarks) {
        context.notify(log.topic_partition(), high_watermark);
    }
    Ok(())
}
