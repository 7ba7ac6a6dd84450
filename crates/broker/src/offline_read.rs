//! `ReadOnlyDirectory`: a log directory, or one partition directory, of which nothing is opened as a log and nothing
//! written: for tools that prove and show what lies on disk.
//!
//! Configs are found as by [`OfflineLogs`](crate::offline::OfflineLogs). A topic that nothing describes counts as
//! compacted, unless the caller has set a `cleanup.policy`.
//!
//! Lock: the directory's, where there is a lock file that may be opened, so that no broker serves what is looked at. It
//! is held until the value is dropped.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lastword_record::TopicPartition;
use lastword_storage::checkpoint::parse_offsets;
use lastword_storage::cleaner::existing_key_hasher;
use lastword_storage::dir::read_file;
use lastword_storage::file_name::{self, LIVE, PartitionDir, PartitionFile, SegmentFile};
use lastword_storage::verify::{Rules, Source};
use lastword_storage::{CleanupPolicy, Dir, FsDir, LogConfig};

use crate::metadata::CLUSTER_METADATA_TOPIC;
use crate::offline::{Metadata, OfflineError, OfflineSettings, identity, log_config};

/// See the file header.
pub struct ReadOnlyDirectory {
    root: PathBuf,
    dir: Arc<dyn Dir>,
    /// The names of the partition directories.
    partitions: BTreeMap<TopicPartition, String>,
    is_single: bool,
    metadata: Option<Metadata>,
    log_starts: BTreeMap<TopicPartition, i64>,
    first_dirty: BTreeMap<TopicPartition, i64>,
    _lock: Option<Box<dyn Send + Sync>>,
}

impl ReadOnlyDirectory {
    /// Opens it. `same` is a directory that this process has opened already: its lock is shared. A lock that another
    /// process has is an I/O error of kind `WouldBlock`.
    pub fn open(
        path: &Path,
        same: Option<&ReadOnlyDirectory>,
    ) -> Result<ReadOnlyDirectory, OfflineError> {
        let failed = |source| OfflineError::Directory {
            path: path.to_owned(),
            source,
        };
        let path_here = path.canonicalize().map_err(failed)?;
        let given = FsDir::open_existing(&path_here).map_err(failed)?;
        let is_single = given.list("").map_err(failed)?.iter().any(|entry| {
            let file = file_name::parse_partition_file(&entry.name);
            matches!(
                file,
                PartitionFile::Segment {
                    file: SegmentFile::Log,
                    suffix: LIVE,
                    ..
                }
            )
        });
        let name = path_here.file_name().and_then(|name| name.to_str());
        let (root, dir, partitions) = match (is_single, path_here.parent(), name) {
            (true, Some(parent), Some(name)) => {
                let parsed = match file_name::parse_partition_dir(name) {
                    Some(PartitionDir::Live(topic_partition)) => topic_partition,
                    _ => TopicPartition::new(name, 0),
                };
                let dir = FsDir::open_existing(parent).map_err(failed)?;
                let partitions = BTreeMap::from([(parsed, name.to_owned())]);
                (parent.to_owned(), dir, partitions)
            }
            _ => {
                let partitions = live_partitions(&given).map_err(failed)?;
                (path_here, given, partitions)
            }
        };
        let dir: Arc<dyn Dir> = Arc::new(dir);
        let is_locked_here = same.is_some_and(|same| same.root == root);
        let lock = match is_locked_here {
            true => None,
            false => lock(&*dir).map_err(failed)?,
        };
        let metadata = match is_single {
            true => None,
            false => {
                let node_id = identity(&root, &*dir)?.node_id;
                Some(Metadata::load(&root, dir.clone(), node_id)?)
            }
        };
        let offsets = |name: &str| match read_file(&*dir, name) {
            Ok(bytes) => parse_offsets(name, &bytes).map_err(OfflineError::from),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(BTreeMap::new()),
            Err(error) => Err(failed(error)),
        };
        Ok(ReadOnlyDirectory {
            log_starts: offsets(file_name::LOG_START_OFFSET_CHECKPOINT)?,
            first_dirty: offsets(file_name::CLEANER_OFFSET_CHECKPOINT)?,
            root,
            dir,
            partitions,
            is_single,
            metadata,
            _lock: lock,
        })
    }

    /// The partitions that are there, without Kafka's metadata log.
    pub fn partitions(&self) -> impl Iterator<Item = &TopicPartition> {
        self.partitions.keys()
    }

    /// Whether a partition directory was given, and no log directory.
    pub fn is_single(&self) -> bool {
        self.is_single
    }

    /// The files of a partition.
    pub fn source(&self, topic_partition: &TopicPartition) -> Option<Source> {
        Some(Source {
            dir: self.dir.clone(),
            partition_dir: self.partitions.get(topic_partition)?.clone(),
            log_start_offset: self.log_starts.get(topic_partition).copied(),
            first_dirty_offset: self.first_dirty.get(topic_partition).copied(),
            key_hasher: existing_key_hasher(&*self.dir),
            fetched_aborts: None,
        })
    }

    /// What a cleaning of this topic was allowed to do; or why its configs are not known.
    pub fn rules(
        &self,
        settings: &OfflineSettings,
        topic: &str,
        now_ms: i64,
    ) -> Result<Rules, String> {
        let is_set = settings.topic.contains_key("cleanup.policy");
        let is_described = |metadata: &&Metadata| is_set || metadata.describes(topic);
        let config = match self.metadata.as_ref().filter(is_described) {
            Some(metadata) => log_config(settings, metadata, topic)?,
            None => {
                let defaults = LogConfig::from_broker_properties(&settings.broker.properties());
                let mut config = defaults
                    .and_then(|defaults| defaults.with_properties(&settings.topic))
                    .map_err(|error| error.to_string())?;
                if !is_set {
                    config.cleanup_policy = CleanupPolicy {
                        compact: true,
                        delete: false,
                    };
                }
                config
            }
        };
        Ok(Rules {
            compact: config.cleanup_policy.compact,
            delete: config.cleanup_policy.delete,
            min_compaction_lag_ms: config.min_compaction_lag_ms,
            delete_retention_ms: config.delete_retention_ms,
            producer_id_expiration_ms: settings.broker.producer_id_expiration_ms,
            now_ms,
            since_ms: None,
        })
    }
}

impl OfflineSettings {
    /// Bytes for a table of keys: `log.cleaner.dedupe.buffer.size`.
    pub fn memory_bytes(&self) -> usize {
        usize::try_from(self.broker.cleaner.dedupe_buffer_size_bytes).unwrap_or(usize::MAX)
    }

    /// `max.decompressed.message.bytes`.
    pub fn max_decompressed_bytes(&self) -> usize {
        self.broker.max_decompressed_bytes
    }
}

fn live_partitions(dir: &FsDir) -> io::Result<BTreeMap<TopicPartition, String>> {
    let mut partitions = BTreeMap::new();
    for entry in dir.list("")?.into_iter().filter(|entry| entry.is_dir) {
        if let Some(PartitionDir::Live(topic_partition)) =
            file_name::parse_partition_dir(&entry.name)
            && *topic_partition.topic != *CLUSTER_METADATA_TOPIC
        {
            partitions.insert(topic_partition, entry.name);
        }
    }
    Ok(partitions)
}

/// The lock, where there is one to take. A copy on a medium that cannot be written to needs none.
fn lock(dir: &dyn Dir) -> io::Result<Option<Box<dyn Send + Sync>>> {
    if !dir.exists(file_name::LOCK)? {
        return Ok(None);
    }
    match dir.lock() {
        Ok(lock) => Ok(Some(lock)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(error),
        Err(_) => Ok(None),
    }
}
