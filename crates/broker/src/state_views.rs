//! `StateViews`: what serving state views takes, for all partitions: the directory's key hasher, places to build in,
//! buffers, and a bound on what is kept. What one partition has is in `partition/view.rs`.
//!
//! Locks: `buffers` and `kept`, each for a push or a pop; under `kept` those of the partitions' slots.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, Weak};

use lastword_storage::StorageError;
use lastword_storage::key_index::KeyHasher;
use lastword_storage::log::Log;
use lastword_storage::state_view::{StateView, ViewBuffers, ViewRequest, build_view};
use tokio::sync::Semaphore;

use crate::lock::lock;
use crate::partition::Partition;

/// Views that are built at the same time; others wait for their turn.
const BUILDS: usize = 2;
/// For the join of a build, and for the keys of the head, each.
const BUILD_BYTES: usize = 64 << 20;
/// What all views together may take; the one that nobody has read for longest goes first.
const KEPT_BYTES: u64 = 256 << 20;
/// Buffers that are kept.
const KEPT_BUFFERS: usize = 4;

/// What state views share.
pub struct StateViews {
    hasher: KeyHasher,
    max_decompressed_bytes: usize,
    pub(crate) builds: Semaphore,
    buffers: Mutex<Vec<ViewBuffers>>,
    kept: Mutex<Vec<Weak<Partition>>>,
}

impl StateViews {
    /// Without any view.
    pub fn new(hasher: KeyHasher, max_decompressed_bytes: usize) -> StateViews {
        StateViews {
            hasher,
            max_decompressed_bytes,
            builds: Semaphore::new(BUILDS),
            buffers: Mutex::default(),
            kept: Mutex::default(),
        }
    }

    /// Builds the view of a log. Blocks.
    pub(crate) fn build(&self, log: &Log) -> Result<StateView, StorageError> {
        build_view(&ViewRequest {
            log,
            hasher: &self.hasher,
            memory_bytes: BUILD_BYTES,
            max_decompressed_bytes: self.max_decompressed_bytes,
            // A log that is closed ends it, too.
            is_stopped: &AtomicBool::new(false),
        })
    }

    /// Reads with buffers that are used again.
    pub(crate) fn with_buffers<T>(&self, read: impl FnOnce(&mut ViewBuffers) -> T) -> T {
        let kept = lock(&self.buffers).pop();
        let mut buffers = kept.unwrap_or_else(|| ViewBuffers::new(self.max_decompressed_bytes));
        let result = read(&mut buffers);
        let mut kept = lock(&self.buffers);
        if kept.len() < KEPT_BUFFERS {
            kept.push(buffers);
        }
        result
    }

    /// Counts the view of a partition among those that are kept, and gives others up for it.
    pub(crate) fn keep(&self, partition: &Arc<Partition>) {
        let mut kept = lock(&self.kept);
        kept.retain(|it| it.strong_count() > 0 && it.as_ptr() != Arc::as_ptr(partition));
        kept.push(Arc::downgrade(partition));
        let mut used: Vec<_> = kept
            .iter()
            .filter_map(Weak::upgrade)
            .filter_map(|it| it.view().usage().map(|usage| (usage, it)))
            .collect();
        used.sort_by_key(|((used_at, _), _)| *used_at);
        let mut bytes: u64 = used.iter().map(|((_, bytes), _)| bytes).sum();
        for ((_, view_bytes), other) in used {
            if bytes <= KEPT_BYTES {
                break;
            }
            if !Arc::ptr_eq(&other, partition) {
                other.view().give_up();
                bytes -= view_bytes;
            }
        }
    }
}
