//! What happens from time to time, each at its own pace. A failure of one log concerns that log;
//! a failure of the disk takes the directory offline, which ends the tick.

use std::io;
use std::sync::Arc;

use tracing::{error, info, warn};

use super::LogManager;
use crate::dir::Dir;
use crate::error::StorageError;
use crate::lock::lock;
use crate::log::Log;
use crate::segment::Segment;

/// When each task ran last; none before its first run.
#[derive(Default)]
pub(super) struct Timers {
    tick_ms: Option<i64>,
    /// Retention waits until then: the clock has jumped.
    suspicious_until_ms: Option<i64>,
    retention_ms: Option<i64>,
    checkpoint_ms: Option<i64>,
    producers_ms: Option<i64>,
}

pub(super) fn tick(manager: &LogManager, now_ms: i64) {
    let mut timers = lock(&manager.timers);
    if manager.check_open().is_err() {
        return;
    }
    watch_free_space(manager);
    for log in manager.logs() {
        report(&log, "roll", log.roll_if_due(now_ms));
    }
    let config = &manager.config;
    let interval_ms = config.retention_check_interval_ms;
    if trusts_clock(&mut timers, config.clock_jump_cooling_ms, now_ms)
        && is_due(&mut timers.retention_ms, interval_ms, now_ms)
    {
        retain(manager, now_ms);
    }
    if is_due(
        &mut timers.producers_ms,
        config.producer_expiration_check_interval_ms,
        now_ms,
    ) {
        for log in manager.logs() {
            log.expire_producers(now_ms);
        }
    }
    if is_due(
        &mut timers.checkpoint_ms,
        config.checkpoint_interval_ms,
        now_ms,
    ) && let Err(error) = manager.checkpoint()
    {
        warn!(%error, "cannot write the checkpoints");
    }
    remove_deleted(manager);
}

/// A clock that runs ahead makes everything look old. After a jump forward, retention waits for
/// a while, so that somebody can set the clock right; a machine that slept loses only that while.
fn trusts_clock(timers: &mut Timers, cooling_ms: i64, now_ms: i64) -> bool {
    const JUMP_MS: i64 = 3_600_000;
    let last_ms = timers.tick_ms.replace(now_ms);
    if last_ms.is_some_and(|last_ms| now_ms - last_ms > JUMP_MS) && cooling_ms > 0 {
        warn!(
            ?last_ms,
            now_ms, cooling_ms, "the clock has jumped forward: retention waits"
        );
        timers.suspicious_until_ms = Some(now_ms.saturating_add(cooling_ms));
    }
    timers
        .suspicious_until_ms
        .is_none_or(|until_ms| now_ms >= until_ms)
}

/// A clock that was set back makes everything due.
fn is_due(last_ms: &mut Option<i64>, interval_ms: i64, now_ms: i64) -> bool {
    let is_due = last_ms.is_none_or(|last| now_ms < last || now_ms - last >= interval_ms);
    if is_due {
        *last_ms = Some(now_ms);
    }
    is_due
}

fn report<T>(log: &Log, task: &str, result: Result<T, StorageError>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        // Closed or deleted meanwhile, or already said when the directory went offline.
        Err(StorageError::Closed | StorageError::DirectoryOffline { .. }) => None,
        Err(error) => {
            error!(partition = %log.topic_partition(), task, %error, "a task of a log has failed");
            None
        }
    }
}

/// Takes segments out of all logs, writes one checkpoint for all, then removes the files.
fn retain(manager: &LogManager, now_ms: i64) {
    let mut retired: Vec<(Arc<Log>, Vec<Arc<Segment>>)> = Vec::new();
    for log in manager.logs() {
        let segments = report(&log, "retention", log.retire_segments(now_ms));
        if let Some(segments) = segments.filter(|segments| !segments.is_empty()) {
            retired.push((log, segments));
        }
    }
    if retired.is_empty() || manager.context.write_log_start_offsets().is_err() {
        return;
    }
    for (log, segments) in retired {
        report(&log, "retention", log.remove_segment_files(&segments));
    }
}

/// Appends stop before the disk is full: a full disk would stop cleaning and retention as well,
/// which are what makes room.
fn watch_free_space(manager: &LogManager) {
    let Ok(free_bytes) = manager.context.dir.free_bytes() else {
        return;
    };
    let min_free_bytes = manager.context.min_free_bytes;
    let is_low = free_bytes < min_free_bytes;
    let was_low = manager.context.set_low_on_space(is_low);
    if is_low && !was_low {
        error!(
            free_bytes,
            min_free_bytes, "low on space: appends are refused"
        );
    } else if was_low && !is_low {
        info!(free_bytes, "space is free again: appends are taken");
    }
}

fn remove_deleted(manager: &LogManager) {
    let waiting = std::mem::take(&mut *lock(&manager.deleting));
    let dir = &*manager.context.dir;
    for name in waiting {
        if let Err(error) = remove_tree(dir, &name) {
            warn!(dir = name, %error, "cannot remove a deleted partition yet");
            lock(&manager.deleting).push(name);
        }
    }
}

pub(super) fn remove_tree(dir: &dyn Dir, path: &str) -> io::Result<()> {
    let entries = match dir.list(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        result => result?,
    };
    for entry in entries {
        let inner = format!("{path}/{}", entry.name);
        if entry.is_dir {
            remove_tree(dir, &inner)?;
        } else {
            dir.remove(&inner)?;
        }
    }
    dir.remove_dir(path)
}
