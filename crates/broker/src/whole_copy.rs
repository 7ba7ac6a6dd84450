//! Whether a directory that is taken over is all there, before anything in it is opened to write: a copy that stopped
//! half-way looks like a log with a torn end, which recovery would cut off.
//!
//! Told from what Kafka has written beside the segments: `meta.properties`, the recovery points, and the indexes of
//! segments. A segment that is missing from the middle with all its files cannot be told from one that was cleaned away.
//!
//! Reads headers of the last segment of each partition from its last index entry on; bytes are hostile. No lock: the
//! caller holds the directory's.

use std::collections::BTreeSet;
use std::io;

use lastword_record::{BATCH_HEADER_BYTES, BatchHeader, TopicPartition};
use lastword_storage::checkpoint::parse_offsets;
use lastword_storage::dir::{Dir, File, read_file};
use lastword_storage::file_name::{
    self, CLEAN_SHUTDOWN, LIVE, META_PROPERTIES, PartitionDir, PartitionFile,
    RECOVERY_POINT_CHECKPOINT, SegmentFile,
};

use crate::metadata::CLUSTER_METADATA_TOPIC;

/// Findings that are told; more are counted.
const TOLD: usize = 3;
/// Base offset and length: what every format of messages begins with.
const PREFIX_BYTES: usize = 12;
const MAGIC_AT: usize = 16;
const INDEX_ENTRY_BYTES: usize = 8;

/// What is missing, in one sentence; none when nothing is known to be.
pub(crate) fn missing(dir: &dyn Dir) -> io::Result<Option<String>> {
    let mut partitions = BTreeSet::new();
    for entry in dir.list("")?.into_iter().filter(|entry| entry.is_dir) {
        if let Some(PartitionDir::Live(topic_partition)) =
            file_name::parse_partition_dir(&entry.name)
            && *topic_partition.topic != *CLUSTER_METADATA_TOPIC
        {
            partitions.insert(topic_partition);
        }
    }
    if !partitions.is_empty() && !dir.exists(META_PROPERTIES)? {
        return Ok(Some(format!("it has partitions and no {META_PROPERTIES}")));
    }
    let mut found = Vec::new();
    for topic_partition in &partitions {
        found.extend(index_without_log(dir, topic_partition)?);
    }
    let points = match read_file(dir, RECOVERY_POINT_CHECKPOINT) {
        // One that cannot be read is told by whoever opens the logs.
        Ok(bytes) => parse_offsets(RECOVERY_POINT_CHECKPOINT, &bytes).unwrap_or_default(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Default::default(),
        Err(error) => return Err(error),
    };
    // After a crash it may name a topic that was deleted.
    let is_exact = dir.exists(CLEAN_SHUTDOWN)?;
    for (topic_partition, point) in points {
        if *topic_partition.topic == *CLUSTER_METADATA_TOPIC {
            continue;
        }
        if !partitions.contains(&topic_partition) {
            if is_exact {
                found.push(format!(
                    "{topic_partition} is in {RECOVERY_POINT_CHECKPOINT} and has no directory"
                ));
            }
            continue;
        }
        if let Some(end) = log_end(dir, &topic_partition)?.filter(|end| *end < point) {
            found.push(format!(
                "{topic_partition} ends at offset {end}, and {RECOVERY_POINT_CHECKPOINT} says that it went up to {point}"
            ));
        }
    }
    Ok(match found.len() {
        0 => None,
        count => {
            let more = match count.saturating_sub(TOLD) {
                0 => String::new(),
                more => format!("; and {more} more"),
            };
            found.truncate(TOLD);
            Some(found.join("; ") + &more)
        }
    })
}

/// Kafka writes an index with its segment and renames both before it deletes them.
fn index_without_log(
    dir: &dyn Dir,
    topic_partition: &TopicPartition,
) -> io::Result<Option<String>> {
    let partition_dir = file_name::partition_dir(topic_partition);
    let (mut logs, mut indexes) = (BTreeSet::new(), BTreeSet::new());
    for entry in dir.list(&partition_dir)? {
        let PartitionFile::Segment {
            base_offset,
            file,
            suffix,
        } = file_name::parse_partition_file(&entry.name)
        else {
            continue;
        };
        match file {
            SegmentFile::Log => {
                logs.insert(base_offset);
            }
            SegmentFile::OffsetIndex | SegmentFile::TimeIndex if suffix == LIVE => {
                indexes.insert((base_offset, entry.name));
            }
            _ => {}
        }
    }
    let alone = indexes.into_iter().find(|(base, _)| !logs.contains(base));
    Ok(alone.map(|(base_offset, index)| {
        let log = file_name::segment_file(base_offset, SegmentFile::Log, LIVE);
        format!("{partition_dir} has {index} and no {log}")
    }))
}

/// Where the whole batches of the last segment end. None when segments were just being replaced: a start decides then.
fn log_end(dir: &dyn Dir, topic_partition: &TopicPartition) -> io::Result<Option<i64>> {
    let partition_dir = file_name::partition_dir(topic_partition);
    let mut last = None;
    for entry in dir.list(&partition_dir)? {
        match file_name::parse_partition_file(&entry.name) {
            PartitionFile::ReplaceJournal { .. } => return Ok(None),
            PartitionFile::Segment {
                base_offset,
                file: SegmentFile::Log,
                suffix,
            } => match suffix {
                LIVE => last = last.max(Some(base_offset)),
                file_name::SWAP => return Ok(None),
                _ => {}
            },
            _ => {}
        }
    }
    let Some(base_offset) = last else {
        return Ok(Some(0));
    };
    let path = |file| file_name::segment_path(&partition_dir, base_offset, file, LIVE);
    let log = dir.open_to_read(&path(SegmentFile::Log))?;
    let size = log.len()?;
    let index = match read_file(dir, &path(SegmentFile::OffsetIndex)) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error),
    };
    let (entries, _) = index.as_chunks::<INDEX_ENTRY_BYTES>();
    // Zeros at the end are room that was set aside. An entry behind the end of the log leads nowhere.
    let positions = entries.iter().rev().filter_map(|entry| {
        let [_, _, _, _, position @ ..] = entry;
        let position = u64::from(u32::from_be_bytes(*position));
        (position > 0 && position < size).then_some(position)
    });
    for position in positions.chain([0]) {
        if let Some(end) = end_from(&*log, size, position)? {
            return Ok(Some(end));
        }
    }
    Ok(Some(base_offset))
}

/// Where the whole batches from this position on end; none when there is none.
fn end_from(log: &dyn File, size: u64, mut position: u64) -> io::Result<Option<i64>> {
    let mut end = None;
    loop {
        let mut bytes = [0; BATCH_HEADER_BYTES];
        let read = log.read_full_at(&mut bytes, position)?;
        let bytes = bytes.get(..read).unwrap_or_default();
        let Some((offset, length)) = prefix(bytes) else {
            return Ok(end);
        };
        let next = position + PREFIX_BYTES as u64 + length;
        if next > size {
            return Ok(end);
        }
        let last_offset = match bytes.get(MAGIC_AT) {
            Some(2) => BatchHeader::parse(bytes).map_or(offset, |header| header.last_offset()),
            _ => offset,
        };
        end = end.max(Some(last_offset.saturating_add(1)));
        position = next;
    }
}

/// Base offset and length of what follows; none at the end, and where nothing follows that could be a batch.
fn prefix(bytes: &[u8]) -> Option<(i64, u64)> {
    let offset = i64::from_be_bytes(*bytes.first_chunk()?);
    let length = i32::from_be_bytes(*bytes.get(8..)?.first_chunk()?);
    let length = u64::try_from(length).ok().filter(|length| *length > 0)?;
    (offset >= 0).then_some((offset, length))
}
