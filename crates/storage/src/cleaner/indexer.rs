//! The thread that builds key indexes before a cleaning needs them: of segments that have just been sealed, of topics
//! that have become compacted, and of directories that came from elsewhere.
//!
//! It builds them one by one, under the cleaner's throttle and with a share of its memory. What it cannot build it leaves
//! to the cleaning, which says why: damage is reported there, once and with what follows from it. No lock of its own.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::control::Control;
use super::progress::Progress;
use super::worker::{Shared, Work, panic_text};
use crate::error::StorageError;
use crate::key_index::{self, BuildRequest};
use crate::log::Log;
use crate::segment::Segment;

/// After a failure that is not the segment's, and now and then anyway.
const LONGEST_WAIT: Duration = Duration::from_secs(15);

/// What the thread does until the cleaner is stopped.
pub(super) fn run(shared: &Shared) {
    let signal = shared.manager.sealed_signal();
    let mut damaged: Vec<Weak<Segment>> = Vec::new();
    while !shared.is_stopped() {
        let seen = signal.count();
        damaged.retain(|segment| segment.strong_count() > 0);
        for log in shared.manager.logs() {
            let index = AssertUnwindSafe(|| index_log(shared, &log, &mut damaged));
            let built = std::panic::catch_unwind(index).unwrap_or_else(|panic| {
                Err(StorageError::CleanerPanicked {
                    reason: panic_text(&*panic),
                })
            });
            if let Err(error) = built
                && !matches!(error, StorageError::Closed | StorageError::Stale)
            {
                tracing::warn!(partition = %log.topic_partition(), %error, "key indexes could not be built; cleaning will try again");
            }
            if shared.is_stopped() {
                return;
            }
        }
        signal.wait_beyond(seen, LONGEST_WAIT);
    }
}

/// Builds what is missing of one log.
fn index_log(
    shared: &Shared,
    log: &Log,
    damaged: &mut Vec<Weak<Segment>>,
) -> Result<(), StorageError> {
    if !log.config().cleanup_policy.compact {
        return Ok(());
    }
    let segments = log.segments();
    let sealed = &segments.as_slice()[..segments.len() - 1];
    let mut missing = sealed.iter().filter(|segment| !segment.has_key_index());
    let Some(mut segment) = missing.next() else {
        return Ok(());
    };
    let mut resources = shared.resources(Work::Index);
    let progress = Progress::default();
    let control: Control<'_> = shared.control(log, &progress);
    loop {
        let is_damaged = damaged
            .iter()
            .any(|it| std::ptr::eq(it.as_ptr(), &**segment));
        if !is_damaged {
            let request = BuildRequest {
                segment,
                hasher: &resources.hasher,
                memory_bytes: resources.memory_bytes,
                leaves_cache_as_found: true,
            };
            let charge = |bytes| control.charge(bytes);
            match key_index::open_or_build(log, &request, &mut resources.decompressor, charge) {
                Ok(_) => {}
                Err(StorageError::CorruptSegment { .. }) => damaged.push(Arc::downgrade(segment)),
                Err(error) => return Err(error),
            }
        }
        match missing.next() {
            Some(next) => segment = next,
            None => return Ok(()),
        }
    }
}
