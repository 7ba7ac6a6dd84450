//! Opening a log directory.
//!
//! 1. take the directory's lock
//! 2. `meta.properties`: is it ours?
//! 3. the clean-shutdown marker: note it, remove it, sync the directory. Before anything is
//!    written, so that a crash from here on is never mistaken for a clean stop
//! 4. checkpoints; damaged recovery points count as missing, which costs time. Damaged log start
//!    offsets end the opening: without them deleted records that are still in the files come back
//! 5. load the partitions, several at a time; after an unclean stop sync once for all of them

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, RwLock};

use lastword_record::TopicPartition;
use tracing::{error, info, warn};

use super::meta_properties::load_or_create;
use super::tick::Timers;
use super::{CheckpointState, LogManager, LogManagerConfig};
use crate::checkpoint::OffsetCheckpointFile;
use crate::clock::Clock;
use crate::config::LogConfig;
use crate::dir::Dir;
use crate::error::StorageError;
use crate::file_name::{self, PartitionDir, PartitionFile, SegmentFile};
use crate::lock::lock;
use crate::log::load::LoadRequest;
use crate::log::{DirectoryContext, Log, load};

/// Kafka's content of the marker; nothing but its existence counts.
const CLEAN_MARKER: &[u8] = br#"{"version":0,"brokerEpoch":-1}"#;

pub(super) fn open(
    config: LogManagerConfig,
    dir: Arc<dyn Dir>,
    clock: Clock,
    configs: &dyn Fn(&str) -> LogConfig,
) -> Result<Arc<LogManager>, StorageError> {
    let directory_lock = dir
        .lock()
        .map_err(|error| StorageError::io("lock", file_name::LOCK, error))?;
    let cluster = load_or_create(&*dir, &config.identity)?;
    let is_clean = take_clean_marker(&*dir)?;
    let recovery_points = read_recovery_points(&*dir)?;
    // Without it records that were deleted would come back: that is for a human to accept.
    let log_start_offsets =
        OffsetCheckpointFile::read(&*dir, file_name::LOG_START_OFFSET_CHECKPOINT)?;

    let (mut live, deleting) = list_partitions(&*dir)?;
    if !is_clean {
        remove_half_created(&*dir, &mut live, &log_start_offsets)?;
    }
    let requests: Vec<LoadRequest> = live
        .into_iter()
        .map(|topic_partition| LoadRequest {
            config: configs(&topic_partition.topic),
            recovery_point: recovery_points.get(&topic_partition).copied().unwrap_or(0),
            log_start_offset: log_start_offsets
                .get(&topic_partition)
                .copied()
                .unwrap_or(0),
            is_clean,
            is_synced_by_caller: false,
            topic_partition,
        })
        .collect();
    let mut stale: BTreeSet<TopicPartition> = recovery_points.into_keys().collect();
    stale.extend(log_start_offsets.into_keys());
    for request in &requests {
        stale.remove(&request.topic_partition);
    }
    let context = Arc::new(DirectoryContext::new(
        dir,
        clock,
        config.visibility.clone(),
        config.max_decompressed_bytes,
        config.producer_id_expiration_ms,
        config.min_free_bytes,
    ));
    // Of every partition, whether it can be loaded or not: the file must not forget one.
    for request in &requests {
        context.note_log_start_offset(&request.topic_partition, request.log_start_offset);
    }
    let (logs, failed) = load_all(&context, &requests, config.recovery_threads)?;
    if !is_clean && !requests.is_empty() {
        // What was found may be in the page cache only, and every HighWatermark stands behind it.
        let synced = context.dir.sync_file_system();
        synced.map_err(|error| StorageError::io("sync", "the file system", error))?;
    }
    info!(
        partitions = logs.len(),
        failed = failed.len(),
        is_clean,
        "log directory opened"
    );
    Ok(Arc::new(LogManager {
        context,
        config,
        cluster,
        logs: RwLock::new(logs),
        changes: Mutex::new(()),
        failed: Mutex::new(failed),
        deleting: Mutex::new(deleting),
        timers: Mutex::new(Timers::default()),
        checkpoint: Mutex::new(CheckpointState {
            written: None,
            stale,
        }),
        cleaner_checkpoints: Mutex::default(),
        is_closed: AtomicBool::new(false),
        _directory_lock: directory_lock,
    }))
}

/// True when the last process stopped in order.
fn take_clean_marker(dir: &dyn Dir) -> Result<bool, StorageError> {
    let failed = |error| StorageError::io("remove", file_name::CLEAN_SHUTDOWN, error);
    match dir.remove(file_name::CLEAN_SHUTDOWN) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(failed(error)),
    }
    dir.sync_dir("").map_err(failed)?;
    Ok(true)
}

pub(super) fn write_clean_marker(dir: &dyn Dir) -> Result<(), StorageError> {
    crate::checkpoint::write_atomically(dir, file_name::CLEAN_SHUTDOWN, CLEAN_MARKER)
}

/// Without it everything is recovered, which costs time and nothing else.
fn read_recovery_points(dir: &dyn Dir) -> Result<BTreeMap<TopicPartition, i64>, StorageError> {
    match OffsetCheckpointFile::read(dir, file_name::RECOVERY_POINT_CHECKPOINT) {
        Err(error @ StorageError::CorruptCheckpoint { .. }) => {
            warn!(%error, "a checkpoint cannot be read and counts as missing");
            Ok(BTreeMap::new())
        }
        result => result,
    }
}

/// The partitions, and the directories that wait for removal.
fn list_partitions(dir: &dyn Dir) -> Result<(Vec<TopicPartition>, Vec<String>), StorageError> {
    let entries = dir
        .list("")
        .map_err(|error| StorageError::io("list", "log directory", error))?;
    let mut live = Vec::new();
    let mut deleting = Vec::new();
    for entry in entries {
        if !entry.is_dir {
            remove_half_written(dir, &entry.name)?;
            continue;
        }
        match file_name::parse_partition_dir(&entry.name) {
            Some(PartitionDir::Live(topic_partition)) => {
                // Kafka's metadata log is not a partition that anybody may write to.
                if &*topic_partition.topic != "__cluster_metadata" {
                    live.push(topic_partition);
                }
            }
            Some(PartitionDir::Deleting(_)) => deleting.push(entry.name),
            Some(PartitionDir::Future(_) | PartitionDir::Stray(_)) | None => {}
        }
    }
    Ok((live, deleting))
}

/// A power cut during a creation leaves a partition that nobody was told of: no topic id that can
/// be read, no records, no start offset. It goes, so that the creation can be done again.
fn remove_half_created(
    dir: &dyn Dir,
    live: &mut Vec<TopicPartition>,
    log_start_offsets: &BTreeMap<TopicPartition, i64>,
) -> Result<(), StorageError> {
    let mut kept = Vec::with_capacity(live.len());
    for topic_partition in live.drain(..) {
        let name = file_name::partition_dir(&topic_partition);
        let is_old = log_start_offsets.contains_key(&topic_partition);
        if is_old || has_topic_id(dir, &name)? || has_records(dir, &name)? {
            kept.push(topic_partition);
            continue;
        }
        info!(partition = %topic_partition, "removing a partition whose creation was interrupted");
        super::tick::remove_tree(dir, &name)
            .map_err(|error| StorageError::io("remove", name, error))?;
    }
    *live = kept;
    Ok(())
}

fn has_topic_id(dir: &dyn Dir, partition_dir: &str) -> Result<bool, StorageError> {
    match load::read_topic_id(dir, partition_dir) {
        Ok(topic_id) => Ok(!topic_id.is_zero()),
        Err(StorageError::CorruptCheckpoint { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

fn has_records(dir: &dyn Dir, partition_dir: &str) -> Result<bool, StorageError> {
    let entries = dir
        .list(partition_dir)
        .map_err(|error| StorageError::io("list", partition_dir, error))?;
    Ok(entries.iter().any(|entry| {
        let file = file_name::parse_partition_file(&entry.name);
        let is_log = matches!(
            file,
            PartitionFile::Segment {
                file: SegmentFile::Log,
                ..
            }
        );
        is_log && entry.size_bytes > 0
    }))
}

/// Removes `<name>.tmp` of the files that are replaced as a whole. Foreign files stay.
fn remove_half_written(dir: &dyn Dir, name: &str) -> Result<(), StorageError> {
    const REPLACED: [&str; 8] = [
        file_name::RECOVERY_POINT_CHECKPOINT,
        file_name::HIGH_WATERMARK_CHECKPOINT,
        file_name::LOG_START_OFFSET_CHECKPOINT,
        file_name::CLEANER_OFFSET_CHECKPOINT,
        file_name::DELETE_HORIZON_CHECKPOINT,
        file_name::KEY_SECRET,
        file_name::META_PROPERTIES,
        file_name::CLEAN_SHUTDOWN,
    ];
    match name.strip_suffix(file_name::TEMPORARY) {
        Some(stem) if REPLACED.contains(&stem) => dir
            .remove(name)
            .map_err(|error| StorageError::io("remove", name, error)),
        _ => Ok(()),
    }
}

type Loaded = (
    HashMap<TopicPartition, Arc<Log>>,
    BTreeMap<TopicPartition, String>,
);

/// A partition that there is no room to load, or to upgrade, waits for room; the others can be served.
fn is_disk_failure(error: &StorageError) -> bool {
    error.is_io() && !error.is_out_of_space()
}

/// Loads on `threads` threads, each taking the next partition. A failing disk ends it all; any other
/// error concerns its partition.
fn load_all(
    context: &Arc<DirectoryContext>,
    requests: &[LoadRequest],
    threads: usize,
) -> Result<Loaded, StorageError> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::with_capacity(requests.len()));
    let work = || {
        while let Some(request) = requests.get(next.fetch_add(1, Ordering::Relaxed)) {
            let result = load::load(context, request.clone());
            let has_failed_disk = result.as_ref().is_err_and(is_disk_failure);
            lock(&results).push((request.topic_partition.clone(), result));
            if has_failed_disk {
                next.store(requests.len(), Ordering::Relaxed);
            }
        }
    };
    let threads = threads.clamp(1, requests.len().max(1));
    std::thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(work);
        }
        work();
    });
    let mut logs = HashMap::with_capacity(requests.len());
    let mut failed = BTreeMap::new();
    for (topic_partition, result) in results.into_inner().unwrap_or_default() {
        match result {
            Ok(log) => {
                logs.insert(topic_partition, log);
            }
            Err(error) if is_disk_failure(&error) => return Err(error),
            Err(error) => {
                error!(partition = %topic_partition, %error, "cannot load a partition");
                failed.insert(topic_partition, error.to_string());
            }
        }
    }
    Ok((logs, failed))
}
