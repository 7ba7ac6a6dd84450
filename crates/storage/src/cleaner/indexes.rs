//! Opens the key indexes that a plan needs, and builds those that are missing: where much is missing, on two threads with
//! half of the memory each, because a segment's index says nothing of any other's.
//!
//! An error ends both threads; that of the earliest segment is the answer. What was built stays. No lock: the threads
//! share a counter.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use lastword_record::Decompressor;

use super::clean::CleanerResources;
use super::control::Control;
use crate::error::StorageError;
use crate::key_index::{self, BuildRequest, Built, KeyIndex};
use crate::segment::Segment;

/// Bytes of logs without an index; less is read sooner than it is worth a thread.
const LEAST_SHARED_BYTES: u64 = 1 << 20;

/// The number of a segment, its index, and what building it took.
pub type Opened = (usize, KeyIndex, Option<Built>);

/// The indexes of these segments, in their order; segments come with a number.
pub fn open(
    segments: &[(usize, Arc<Segment>)],
    resources: &mut CleanerResources,
    control: &Control<'_>,
) -> Result<Vec<Opened>, StorageError> {
    let missing = segments
        .iter()
        .filter(|(_, segment)| !segment.has_key_index());
    let sizes: Vec<u64> = missing.map(|(_, it)| u64::from(it.size_bytes())).collect();
    let is_shared = sizes.len() > 1
        && sizes.iter().sum::<u64>() >= LEAST_SHARED_BYTES
        && std::thread::available_parallelism().is_ok_and(|threads| threads.get() > 1);
    let work = Work {
        segments,
        next: AtomicUsize::new(0),
        is_failed: AtomicBool::new(false),
        hasher: &resources.hasher,
        memory_bytes: resources.memory_bytes / if is_shared { 2 } else { 1 },
    };
    let mut results = match is_shared {
        true => open_on_two_threads(&work, &mut resources.decompressor, control),
        false => open_some(&work, &mut resources.decompressor, control),
    };
    results.sort_by_key(|(index, _)| *index);
    let opened = results.into_iter().map(|(index, result)| {
        let (key_index, built) = result?;
        Ok((index, key_index, built))
    });
    opened.collect()
}

struct Work<'a> {
    segments: &'a [(usize, Arc<Segment>)],
    /// In `segments`.
    next: AtomicUsize,
    is_failed: AtomicBool,
    hasher: &'a key_index::KeyHasher,
    memory_bytes: usize,
}

/// The number of a segment, and what came of it.
type Attempt = (usize, Result<(KeyIndex, Option<Built>), StorageError>);

/// The second thread never gives way to other cleanings: that is for the one that has the log.
fn open_on_two_threads(
    work: &Work<'_>,
    decompressor: &mut Decompressor,
    control: &Control<'_>,
) -> Vec<Attempt> {
    let mut second = Decompressor::new(decompressor.max_decompressed_bytes());
    let second_control = Control {
        between_steps: None,
        ..*control
    };
    std::thread::scope(|scope| {
        // Without a second thread it takes longer.
        let helper = std::thread::Builder::new()
            .name("log-cleaner-helper".into())
            .spawn_scoped(scope, || open_some(work, &mut second, &second_control));
        let mut attempts = open_some(work, decompressor, control);
        if let Ok(helper) = helper {
            let others = helper.join();
            attempts.extend(others.unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        attempts
    })
}

/// Takes segments until none is left or one has failed.
fn open_some(
    work: &Work<'_>,
    decompressor: &mut Decompressor,
    control: &Control<'_>,
) -> Vec<Attempt> {
    let mut results = Vec::new();
    while !work.is_failed.load(Ordering::Relaxed) {
        let next = work.next.fetch_add(1, Ordering::Relaxed);
        let Some((index, segment)) = work.segments.get(next) else {
            break;
        };
        let request = BuildRequest {
            segment,
            hasher: work.hasher,
            memory_bytes: work.memory_bytes,
            leaves_cache_as_found: false,
        };
        let charge = |bytes| control.charge(bytes);
        let result = control
            .between_steps()
            .and_then(|()| key_index::open_or_build(control.log, &request, decompressor, charge));
        if result.is_err() {
            work.is_failed.store(true, Ordering::Relaxed);
        }
        results.push((*index, result));
    }
    results
}
