//! Opening a log: finish or undo a swap, recover the tail, rebuild what is derived.
//!
//! 1. leftovers: a valid replace journal is rolled forward, a torn one and its outputs removed;
//!    Kafka's own `.swap`, `.cleaned` and `.deleted` files are treated as Kafka does (`leftovers`)
//! 2. segments are opened; those below LogStartOffset, and indexes without a log, are removed. One
//!    that holds messages of magic 0 or 1 is converted (`upgrade`)
//! 3. after an unclean stop: every batch from the recovery point on is verified. Only a torn tail of
//!    the last segment is cut; damage anywhere else is an error, and nothing is changed
//! 4. what was recovered must be synced before anybody sees the log, because HighWatermark stands at
//!    its end: the manager does that once for all logs
//! 5. producer state: newest usable snapshot, then the batches after it
//!
//! Every step can be interrupted and done again. Nothing is ever cut because of damage in the
//! middle: the good records behind it may be all that is left of them.
//!
//! Takes no lock: nobody else knows the log yet. `recover` is step 3, `producers` step 5.

mod producers;
mod recover;

use std::io;
use std::sync::atomic::{AtomicBool, AtomicI64};
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;
use lastword_record::{Decompressor, TopicId, TopicPartition};
use tracing::{info, warn};

pub(super) use self::producers::aborted_transaction;
pub(super) use self::recover::is_lost_write;

use super::leader_epochs::LeaderEpochs;
use super::offsets::{LogPosition, Published, PublishedOffsets};
use super::upgrade::{End, Look, Upgrade, holds_legacy};
use super::{
    DirectoryContext, Log, LogWriter, NEVER, SegmentSet, index_settings, leftovers, replace,
    snapshots,
};
use crate::config::LogConfig;
use crate::dir::{self, Dir};
use crate::error::StorageError;
use crate::file_name::{self, LIVE, PartitionFile, SegmentFile};
use crate::producer_state::ProducerStateManager;
use crate::segment::Segment;

/// What the manager knows of a log before it is opened.
#[derive(Clone, Debug)]
pub(crate) struct LoadRequest {
    pub topic_partition: TopicPartition,
    pub config: LogConfig,
    /// Everything below is known to be on disk.
    pub recovery_point: i64,
    pub log_start_offset: i64,
    /// The last process stopped in order.
    pub is_clean: bool,
    /// The caller makes new files and their names durable before anybody relies on them.
    pub is_synced_by_caller: bool,
}

struct Loader<'a> {
    context: &'a DirectoryContext,
    request: &'a LoadRequest,
    partition_dir: String,
    recovery_point: i64,
    decompressor: Decompressor,
    leader_epochs: LeaderEpochs,
    /// The first offset whose transaction index entries were forgotten by recovery.
    transactions_from: Option<i64>,
}

/// Makes the files of a new log and opens it. Nothing is durable before [`sync_created`].
pub(crate) fn create(
    context: &Arc<DirectoryContext>,
    topic_partition: &TopicPartition,
    topic_id: TopicId,
    config: LogConfig,
) -> Result<Arc<Log>, StorageError> {
    let partition_dir = file_name::partition_dir(topic_partition);
    context.dir.create_dir(&partition_dir).map_err(|error| {
        if error.kind() == io::ErrorKind::AlreadyExists {
            return StorageError::PartitionExists {
                topic_partition: topic_partition.clone(),
            };
        }
        StorageError::io("create", partition_dir.as_str(), error)
    })?;
    write_topic_id(&*context.dir, &partition_dir, topic_id)?;
    let request = LoadRequest {
        topic_partition: topic_partition.clone(),
        config,
        recovery_point: 0,
        log_start_offset: 0,
        is_clean: true,
        is_synced_by_caller: true,
    };
    load(context, request)
}

/// Makes new logs durable with their names: few one by one, many with one sync of the file system.
/// A crash before leaves partitions without records, which the next start removes.
pub(crate) fn sync_created(
    context: &DirectoryContext,
    created: &[Arc<Log>],
) -> Result<(), StorageError> {
    let dir = &*context.dir;
    let failed = |file: &str, error| StorageError::io("sync", file, error);
    if created.len() > crate::sync::SYNC_ONE_BY_ONE_MAX {
        return dir
            .sync_file_system()
            .map_err(|error| failed("log directory", error));
    }
    for log in created {
        let partition_dir = log.partition_dir();
        let path = format!("{partition_dir}/{}", file_name::PARTITION_METADATA);
        dir.open(&path)
            .and_then(|file| file.sync_data())
            .map_err(|error| failed(&path, error))?;
        replace::sync_partition_dir(dir, partition_dir)?;
    }
    dir.sync_dir("")
        .map_err(|error| failed("log directory", error))
}

/// Writes `partition.metadata`.
fn write_topic_id(
    dir: &dyn Dir,
    partition_dir: &str,
    topic_id: TopicId,
) -> Result<(), StorageError> {
    let path = format!("{partition_dir}/{}", file_name::PARTITION_METADATA);
    let metadata = format!("version: 0\ntopic_id: {topic_id}");
    let failed = |error| StorageError::io("write", path.as_str(), error);
    let file = dir.create(&path).map_err(failed)?;
    file.write_all_at(metadata.as_bytes(), 0).map_err(failed)
}

/// Opens a log that is on disk.
pub(crate) fn load(
    context: &Arc<DirectoryContext>,
    request: LoadRequest,
) -> Result<Arc<Log>, StorageError> {
    let mut loader = Loader {
        context,
        request: &request,
        recovery_point: request.recovery_point,
        partition_dir: file_name::partition_dir(&request.topic_partition),
        decompressor: Decompressor::new(context.max_decompressed_bytes),
        leader_epochs: LeaderEpochs::default(),
        transactions_from: None,
    };
    leftovers::clear(&context.dir, &loader.partition_dir, loader.now_ms())?;
    let stored = LeaderEpochs::read(&*context.dir, &loader.partition_dir)?;
    loader.leader_epochs = stored.clone().unwrap_or_default();

    let mut segments = loader.open_segments()?;
    loader.upgrade_legacy(&mut segments, Look::AtEnds)?;
    let mut recovered = loader.recover_log(&mut segments);
    if let Err(StorageError::CorruptSegment { .. }) = recovered
        && loader.upgrade_legacy(&mut segments, Look::Everywhere)?
    {
        recovered = loader.recover_log(&mut segments);
    }
    let producers = recovered?;

    let base_offset = segments.first().map_or(0, |segment| segment.base_offset());
    let log_start_offset = request.log_start_offset.max(base_offset);
    let log_end_offset = segments.last().map_or(0, |segment| segment.next_offset());
    let leader_epochs = loader
        .leader_epochs
        .clipped(log_start_offset, log_end_offset);
    if stored.unwrap_or_default() != leader_epochs {
        leader_epochs.write(&*context.dir, &loader.partition_dir)?;
    }
    let topic_id = read_topic_id(&*context.dir, &loader.partition_dir)?;
    let partition_dir = loader.partition_dir;
    let last_snapshot_offset = snapshots::list(&*context.dir, &partition_dir)?;
    let parts = Parts {
        segments,
        producers,
        leader_epochs,
        log_start_offset,
        topic_id,
        last_snapshot_offset: last_snapshot_offset.last().copied().unwrap_or(-1),
    };
    Ok(assemble(context, request, partition_dir, parts))
}

struct Parts {
    segments: Vec<Arc<Segment>>,
    producers: ProducerStateManager,
    leader_epochs: LeaderEpochs,
    log_start_offset: i64,
    topic_id: TopicId,
    last_snapshot_offset: i64,
}

fn assemble(
    context: &Arc<DirectoryContext>,
    request: LoadRequest,
    partition_dir: String,
    parts: Parts,
) -> Arc<Log> {
    let set = SegmentSet::new(parts.segments, 0);
    let active = Arc::clone(set.active());
    let log_end = LogPosition {
        offset: active.next_offset().max(parts.log_start_offset),
        segment_base_offset: active.base_offset(),
        position: active.size_bytes(),
    };
    let published = Published {
        log_start_offset: parts.log_start_offset,
        high_watermark: log_end,
        log_end,
        first_unstable_offset: parts.producers.first_unstable_offset(),
    };
    let now_ms = context.clock.now_ms();
    let first_append_ms = (!active.is_empty()).then(|| {
        let first = active.first_batch_timestamp();
        first
            .filter(|timestamp| (1..=now_ms).contains(timestamp))
            .unwrap_or(active.created_ms())
    });
    Arc::new_cyclic(|this| Log {
        this: this.clone(),
        context: Arc::clone(context),
        topic_partition: request.topic_partition,
        topic_id: parts.topic_id,
        partition_dir,
        config: ArcSwap::from_pointee(request.config),
        published: PublishedOffsets::new(published),
        segments: ArcSwap::from_pointee(set),
        leader_epochs: ArcSwap::from_pointee(parts.leader_epochs),
        writer: Mutex::new(LogWriter {
            active,
            producers: parts.producers,
            last_snapshot_offset: parts.last_snapshot_offset,
        }),
        sync_lock: Mutex::new(()),
        replace_lock: Mutex::new(()),
        is_dirty: AtomicBool::new(false),
        is_closed: AtomicBool::new(false),
        first_append_ms: AtomicI64::new(first_append_ms.unwrap_or(NEVER)),
    })
}

impl Loader<'_> {
    fn now_ms(&self) -> i64 {
        self.context.clock.now_ms()
    }

    /// The segments of the directory, ascending. Removes what lies wholly below LogStartOffset (a
    /// deletion that a crash interrupted) and indexes without a log.
    fn open_segments(&self) -> Result<Vec<Arc<Segment>>, StorageError> {
        let dir = &*self.context.dir;
        let entries = dir
            .list(&self.partition_dir)
            .map_err(|error| StorageError::io("list", self.partition_dir.as_str(), error))?;
        let live: Vec<(i64, SegmentFile)> = entries
            .iter()
            .filter_map(|entry| match file_name::parse_partition_file(&entry.name) {
                PartitionFile::Segment {
                    base_offset,
                    file,
                    suffix: LIVE,
                } => Some((base_offset, file)),
                _ => None,
            })
            .collect();
        let mut bases: Vec<i64> = live
            .iter()
            .filter(|(_, file)| *file == SegmentFile::Log)
            .map(|(base_offset, _)| *base_offset)
            .collect();
        bases.sort_unstable();
        let below_start = bases
            .partition_point(|base_offset| *base_offset <= self.request.log_start_offset)
            .saturating_sub(1);
        for base_offset in bases.drain(..below_start) {
            info!(
                partition_dir = self.partition_dir,
                base_offset, "removing a segment below the log start"
            );
            replace::remove_segment(dir, &self.partition_dir, base_offset)?;
        }
        for (base_offset, file) in live {
            let is_index = file != SegmentFile::Log && file != SegmentFile::ProducerSnapshot;
            if is_index && bases.binary_search(&base_offset).is_err() {
                let path = file_name::segment_path(&self.partition_dir, base_offset, file, LIVE);
                replace::remove_file(dir, &path)?;
            }
        }
        bases
            .iter()
            .map(|base_offset| self.open_segment(*base_offset))
            .collect()
    }

    fn open_segment(&self, base_offset: i64) -> Result<Arc<Segment>, StorageError> {
        let segment = Segment::open(
            Arc::clone(&self.context.dir),
            &self.partition_dir,
            base_offset,
            LIVE,
            index_settings(&self.request.config),
            self.now_ms(),
        )?;
        Ok(Arc::new(segment))
    }

    /// Converts the segments that hold messages of magic 0 or 1; false when there is none. One that was found at its
    /// ends says that there may be more.
    fn upgrade_legacy(
        &mut self,
        segments: &mut Vec<Arc<Segment>>,
        look: Look,
    ) -> Result<bool, StorageError> {
        let bases_of = |look| -> Result<Vec<i64>, StorageError> {
            let mut bases = Vec::new();
            for segment in segments.iter() {
                if holds_legacy(segment, look)? {
                    bases.push(segment.base_offset());
                }
            }
            Ok(bases)
        };
        let at_ends = bases_of(Look::AtEnds)?;
        if at_ends.is_empty() && look == Look::AtEnds {
            return Ok(false);
        }
        let mut bases = bases_of(Look::Everywhere)?;
        // Those that will be found again come last.
        bases.sort_by_key(|base_offset| at_ends.binary_search(base_offset).is_ok());
        let mut is_changed = false;
        for base_offset in bases {
            is_changed |= self.upgrade_segment(segments, base_offset)?;
        }
        Ok(is_changed)
    }

    fn upgrade_segment(
        &mut self,
        segments: &mut Vec<Arc<Segment>>,
        base_offset: i64,
    ) -> Result<bool, StorageError> {
        let Ok(index) = segments.binary_search_by_key(&base_offset, |s| s.base_offset()) else {
            return Ok(false);
        };
        let upgrade = Upgrade {
            dir: &self.context.dir,
            partition_dir: &self.partition_dir,
            settings: index_settings(&self.request.config),
            now_ms: self.now_ms(),
            max_decompressed_bytes: self.context.max_decompressed_bytes,
            segment_bytes: i32::MAX as u64,
        };
        let end = match segments.get(index + 1) {
            Some(next) => End::Sealed {
                next_base_offset: next.base_offset(),
            },
            None => End::Last {
                recovery_point: self.request.recovery_point,
            },
        };
        let Some(bases) = upgrade.in_place(&segments[index], end)? else {
            return Ok(false);
        };
        if segments[index].needs_recovery() {
            let from = self.transactions_from.get_or_insert(base_offset);
            *from = (*from).min(base_offset);
        }
        let outputs: Result<Vec<_>, _> = bases
            .into_iter()
            .map(|base_offset| self.open_segment(base_offset))
            .collect();
        segments.splice(index..=index, outputs?);
        Ok(true)
    }

    /// Everything between the opening of the segments and the publication of the log.
    fn recover_log(
        &mut self,
        segments: &mut Vec<Arc<Segment>>,
    ) -> Result<ProducerStateManager, StorageError> {
        self.recover_segments(segments)?;
        self.ensure_active(segments)?;
        self.load_producers(segments)
    }

    /// A log has at least one segment, and does not end below its start.
    fn ensure_active(&self, segments: &mut Vec<Arc<Segment>>) -> Result<(), StorageError> {
        let log_start_offset = self.request.log_start_offset;
        let ends_at = segments.last().map(|segment| segment.next_offset());
        if ends_at.is_some_and(|offset| offset >= log_start_offset) {
            return Ok(());
        }
        let dir = &self.context.dir;
        let segment = Segment::create(
            Arc::clone(dir),
            &self.partition_dir,
            log_start_offset,
            LIVE,
            index_settings(&self.request.config),
            self.now_ms(),
        )?;
        if !self.request.is_synced_by_caller {
            replace::sync_partition_dir(&**dir, &self.partition_dir)?;
        }
        for old in segments.drain(..) {
            warn!(
                file = old.log_path(),
                log_start_offset, "the log ended below its start"
            );
            replace::remove_segment(&**dir, &self.partition_dir, old.base_offset())?;
        }
        segments.push(Arc::new(segment));
        Ok(())
    }
}

/// The topic id of `partition.metadata`; zero when there is no such file.
pub(crate) fn read_topic_id(dir: &dyn Dir, partition_dir: &str) -> Result<TopicId, StorageError> {
    let path = format!("{partition_dir}/{}", file_name::PARTITION_METADATA);
    let bytes = match dir::read_file(dir, &path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(TopicId::ZERO),
        Err(error) => return Err(StorageError::io("read", path, error)),
    };
    let text = String::from_utf8_lossy(&bytes);
    let id = text.lines().find_map(|line| line.strip_prefix("topic_id:"));
    let id = id.and_then(|id| TopicId::parse(id.trim()).ok());
    id.ok_or_else(|| StorageError::CorruptCheckpoint {
        file: path,
        line: 2,
        reason: "there is no topic id in it".to_string(),
    })
}
