//! Every file name and suffix in a log directory, formatted and parsed in one place.
//!
//! ```text
//! <log dir>/
//!   .lock  .kafka_cleanshutdown  meta.properties
//!   cleaner-offset-checkpoint  recovery-point-offset-checkpoint  log-start-offset-checkpoint
//!   replication-offset-checkpoint
//!   lastword-delete-horizon-checkpoint  lastword.secret    ours; Kafka ignores them. A broker adds its own
//!                                                   (lastword-metadata.json), which the engine leaves alone
//!   orders-0/                                       a partition
//!     00000000000000000042.log .index .timeindex .txnindex .snapshot
//!     00000000000000000042.log.cleaned .swap .deleted   being written, swapped in, removed
//!     00000000000000000042.keyindex                 our index of its keys; Kafka ignores it
//!     00000000000000000042.replace                  our journal of a swap; Kafka ignores it
//!     leader-epoch-checkpoint  partition.metadata
//!   orders-1.9f8d…-delete/                          a partition being deleted
//! ```
//! Names are Kafka's. Parsing accepts only what formatting writes, so a foreign file is never taken for ours.

use lastword_record::TopicPartition;

/// Locked by the process that serves the log directory.
pub const LOCK: &str = ".lock";
/// There when the last process stopped in order.
pub const CLEAN_SHUTDOWN: &str = ".kafka_cleanshutdown";
/// Whose directory this is: cluster, node and directory id.
pub const META_PROPERTIES: &str = "meta.properties";
/// First dirty offset of every compacted partition.
pub const CLEANER_OFFSET_CHECKPOINT: &str = "cleaner-offset-checkpoint";
/// First offset that is not known to be on disk.
pub const RECOVERY_POINT_CHECKPOINT: &str = "recovery-point-offset-checkpoint";
/// LogStartOffset, where it is above the first segment's base offset.
pub const LOG_START_OFFSET_CHECKPOINT: &str = "log-start-offset-checkpoint";
/// High watermarks.
pub const HIGH_WATERMARK_CHECKPOINT: &str = "replication-offset-checkpoint";
/// When each compacted partition's earliest tombstone or marker may go; ours, in the format of the ones above.
pub const DELETE_HORIZON_CHECKPOINT: &str = "lastword-delete-horizon-checkpoint";
/// Sixteen random bytes under which the cleaner hashes keys; ours.
pub const KEY_SECRET: &str = "lastword.secret";
/// In a partition: where each leader epoch starts.
pub const LEADER_EPOCH_CHECKPOINT: &str = "leader-epoch-checkpoint";
/// In a partition: the topic id.
pub const PARTITION_METADATA: &str = "partition.metadata";

/// No suffix: the file is in use.
pub const LIVE: &str = "";
/// An output of the cleaner that is not complete.
pub const CLEANED: &str = ".cleaned";
/// An output of the cleaner that is complete and on its way to its final name.
pub const SWAP: &str = ".swap";
/// To be removed.
pub const DELETED: &str = ".deleted";
/// A file that is written beside its old version, to be renamed over it.
pub const TEMPORARY: &str = ".tmp";

const REPLACE_JOURNAL: &str = ".replace";
const DELETE_DIR: &str = "-delete";
const FUTURE_DIR: &str = "-future";
const STRAY_DIR: &str = "-stray";
/// Digits of a base offset in a file name.
const OFFSET_DIGITS: usize = 20;
/// Longest name that every file system takes.
const NAME_LIMIT_BYTES: usize = 255;

/// The files named by a base offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SegmentFile {
    Log,
    OffsetIndex,
    TimeIndex,
    TransactionIndex,
    /// Producer state up to the offset in the name, exclusive.
    ProducerSnapshot,
    /// Which key each record has; ours.
    KeyIndex,
}

impl SegmentFile {
    /// The files of one segment that are swapped with it, in the order in which they are renamed.
    pub const OF_SEGMENT: [SegmentFile; 4] = [
        SegmentFile::Log,
        SegmentFile::OffsetIndex,
        SegmentFile::TimeIndex,
        SegmentFile::TransactionIndex,
    ];

    /// What goes with a segment: its files, and what is derived from them.
    pub const ALL_OF_SEGMENT: [SegmentFile; 5] = [
        SegmentFile::Log,
        SegmentFile::OffsetIndex,
        SegmentFile::TimeIndex,
        SegmentFile::TransactionIndex,
        SegmentFile::KeyIndex,
    ];

    /// With its dot.
    pub fn extension(self) -> &'static str {
        match self {
            SegmentFile::Log => ".log",
            SegmentFile::OffsetIndex => ".index",
            SegmentFile::TimeIndex => ".timeindex",
            SegmentFile::TransactionIndex => ".txnindex",
            SegmentFile::ProducerSnapshot => ".snapshot",
            SegmentFile::KeyIndex => ".keyindex",
        }
    }
}

/// What a name in a partition directory stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PartitionFile {
    /// `suffix` is one of [`LIVE`], [`CLEANED`], [`SWAP`], [`DELETED`].
    Segment {
        base_offset: i64,
        file: SegmentFile,
        suffix: &'static str,
    },
    ReplaceJournal {
        base_offset: i64,
    },
    LeaderEpochCheckpoint,
    PartitionMetadata,
    /// A half-written version of some file.
    Temporary,
    /// Not ours: left alone.
    Unknown,
}

/// What a directory in the log directory stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PartitionDir {
    Live(TopicPartition),
    /// Renamed by a deletion; its files are removed later.
    Deleting(TopicPartition),
    /// Kafka's target of a move between directories.
    Future(TopicPartition),
    /// Found by Kafka without metadata.
    Stray(TopicPartition),
}

/// `00000000000000000042.log.cleaned` and its kind.
pub fn segment_file(base_offset: i64, file: SegmentFile, suffix: &str) -> String {
    format!("{base_offset:0OFFSET_DIGITS$}{}{suffix}", file.extension())
}

/// [`segment_file`] inside of its partition directory.
pub fn segment_path(
    partition_dir: &str,
    base_offset: i64,
    file: SegmentFile,
    suffix: &str,
) -> String {
    format!(
        "{partition_dir}/{}",
        segment_file(base_offset, file, suffix)
    )
}

/// `00000000000000000042.replace`
pub fn replace_journal(base_offset: i64) -> String {
    format!("{base_offset:0OFFSET_DIGITS$}{REPLACE_JOURNAL}")
}

/// `orders-0`
pub fn partition_dir(topic_partition: &TopicPartition) -> String {
    format!("{}-{}", topic_partition.topic, topic_partition.partition)
}

/// `orders-0.<32 hex digits>-delete`. A topic name too long for that is cut, as Kafka does: the id makes it unique.
pub fn deleting_dir(topic_partition: &TopicPartition, id: u128) -> String {
    let suffix = format!(".{id:032x}{DELETE_DIR}");
    let mut name = partition_dir(topic_partition);
    // Topic names are ASCII, so any byte is a character boundary; a foreign name is cut before the boundary.
    let mut limit = NAME_LIMIT_BYTES - suffix.len();
    while limit < name.len() && !name.is_char_boundary(limit) {
        limit -= 1;
    }
    name.truncate(limit);
    name + &suffix
}

/// What a file in a partition directory is.
pub fn parse_partition_file(name: &str) -> PartitionFile {
    match name {
        LEADER_EPOCH_CHECKPOINT => return PartitionFile::LeaderEpochCheckpoint,
        PARTITION_METADATA => return PartitionFile::PartitionMetadata,
        _ if name.ends_with(TEMPORARY) => return PartitionFile::Temporary,
        _ => {}
    }
    let Some((base_offset, rest)) = split_base_offset(name) else {
        return PartitionFile::Unknown;
    };
    if rest == REPLACE_JOURNAL {
        return PartitionFile::ReplaceJournal { base_offset };
    }
    let files = [SegmentFile::ProducerSnapshot]
        .into_iter()
        .chain(SegmentFile::ALL_OF_SEGMENT);
    for file in files {
        let Some(rest) = rest.strip_prefix(file.extension()) else {
            continue;
        };
        for suffix in [LIVE, CLEANED, SWAP, DELETED] {
            if rest == suffix {
                return PartitionFile::Segment {
                    base_offset,
                    file,
                    suffix,
                };
            }
        }
    }
    PartitionFile::Unknown
}

/// What a directory in the log directory is; `None` when it is not a partition's.
pub fn parse_partition_dir(name: &str) -> Option<PartitionDir> {
    type Variant = fn(TopicPartition) -> PartitionDir;
    let suffixes: [(&str, Variant); 3] = [
        (DELETE_DIR, PartitionDir::Deleting),
        (FUTURE_DIR, PartitionDir::Future),
        (STRAY_DIR, PartitionDir::Stray),
    ];
    for (suffix, variant) in suffixes {
        let Some(name) = name.strip_suffix(suffix) else {
            continue;
        };
        let (name, id) = name.rsplit_once('.')?;
        let is_id = id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        // A cut name has lost its partition number: any will do for a directory that only waits to be removed.
        let topic_partition = parse_topic_partition(name).or_else(|| {
            (suffix == DELETE_DIR).then(|| TopicPartition {
                topic: name.into(),
                partition: 0,
            })
        })?;
        return is_id.then(|| variant(topic_partition));
    }
    parse_topic_partition(name).map(PartitionDir::Live)
}

/// `orders-0`, as [`partition_dir`] writes it.
pub fn parse_topic_partition(name: &str) -> Option<TopicPartition> {
    let (topic, partition) = name.rsplit_once('-')?;
    let is_canonical = partition.bytes().all(|byte| byte.is_ascii_digit())
        && !partition.is_empty()
        && (partition == "0" || !partition.starts_with('0'));
    if topic.is_empty() || topic.starts_with('.') && topic.len() <= 2 || !is_canonical {
        return None;
    }
    Some(TopicPartition {
        topic: topic.into(),
        partition: partition.parse().ok()?,
    })
}

fn split_base_offset(name: &str) -> Option<(i64, &str)> {
    let (digits, rest) = name.split_at_checked(OFFSET_DIGITS)?;
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some((digits.parse().ok()?, rest))
}

#[cfg(test)]
mod tests;
