//! Waits: until an offset of a partition is visible.
//!
//! Each partition has a list of waiters, so that news of one partition touches only those who wait
//! for it, and a partition without waiters costs one atomic load. A waiter that waits for many
//! partitions (a fetch) registers one `Notify` with each. Produce waits for durability the same
//! way: visible is durable.
//!
//! `entries` is held for pushes and scans only.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use crate::partition::Partition;

/// Who waits on one partition.
#[derive(Default)]
pub struct Waiters {
    entries: Mutex<Vec<Entry>>,
    count: AtomicUsize,
}

struct Entry {
    high_watermark: i64,
    wake: Arc<Notify>,
}

/// A place in the list; dropping it leaves the list.
pub struct Registration {
    partition: Arc<Partition>,
    wake: Arc<Notify>,
}

impl Waiters {
    pub(crate) fn register(
        &self,
        partition: &Arc<Partition>,
        high_watermark: i64,
        wake: &Arc<Notify>,
    ) -> Registration {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.push(Entry {
            high_watermark,
            wake: wake.clone(),
        });
        self.count.store(entries.len(), Ordering::SeqCst);
        Registration {
            partition: partition.clone(),
            wake: wake.clone(),
        }
    }

    /// Wakes those whose offset has come; they leave the list.
    pub(crate) fn wake(&self, high_watermark: i64) {
        if self.count.load(Ordering::SeqCst) == 0 {
            return;
        }
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.retain(|entry| {
            let due = entry.high_watermark <= high_watermark;
            if due {
                entry.wake.notify_one();
            }
            !due
        });
        self.count.store(entries.len(), Ordering::SeqCst);
    }

    fn leave(&self, wake: &Arc<Notify>) {
        if self.count.load(Ordering::SeqCst) == 0 {
            return;
        }
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.retain(|entry| !Arc::ptr_eq(&entry.wake, wake));
        self.count.store(entries.len(), Ordering::SeqCst);
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.partition.waiters().leave(&self.wake);
    }
}
