//! Kafka's own metadata log (KRaft), read for the topics and configs in it. Never written.
//!
//! ```text
//! __cluster_metadata-0/
//!   00000000000000004711-0000000003.checkpoint   a snapshot: everything below offset 4711, at leader epoch 3
//!   00000000000000004096.log                     a segment: record batches, offsets without gaps
//! ```
//! The newest snapshot is read, then the log from its offset on. What Kafka would do with the bytes is done here too:
//! a last batch of the last segment that is not whole is left out, and a metadata transaction counts when its end is
//! there. Everything else that does not fit (a gap, damage, a record of a newer version) is an error and no image at
//! all, because a policy that is half known could clean a log that nobody wants cleaned.
//!
//! On a node of a larger cluster the end of the log may hold records that the quorum never committed; on a single
//! controller all are.
//!
//! Bytes are hostile: lengths are believed when the bytes are there. No lock: the caller holds the directory's.

mod batches;
mod record;

use std::collections::HashMap;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use lastword_record::control::ControlRecordType;
use lastword_record::{Decompressor, RecordBatch, TopicId};
use thiserror::Error;

use super::image::{MetadataImage, Properties, TopicImage};
use super::name::CLUSTER_METADATA_TOPIC;
use batches::{Batches, MAX_BATCH_BYTES, Stop};
use record::MetadataRecord;

const SNAPSHOT: &str = ".checkpoint";
const SEGMENT: &str = ".log";
const OFFSET_DIGITS: usize = 20;
const EPOCH_DIGITS: usize = 10;
/// More than any topic can have; a partition number beyond says that the bytes are no partition.
const MAX_PARTITIONS: i32 = 1 << 24;

/// Why Kafka's metadata log says nothing.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{CLUSTER_METADATA_TOPIC}-0/{file}: {reason}")]
pub struct KraftError {
    /// The file.
    pub file: String,
    /// What is wrong with it.
    pub reason: String,
}

/// What the metadata log in this log directory says; nothing when there is none. The broker configs are those of the
/// node `node_id`, over the cluster's defaults.
pub fn read_kraft_metadata(
    log_dir: &Path,
    node_id: i32,
) -> Result<Option<MetadataImage>, KraftError> {
    let dir = log_dir.join(format!("{CLUSTER_METADATA_TOPIC}-0"));
    let Some(files) = Files::list(&dir)? else {
        return Ok(None);
    };
    let mut replay = Replay::new(node_id);
    let mut start_offset = 0;
    if let Some((offset, name)) = &files.snapshot {
        start_offset = *offset;
        replay.snapshot(&dir, name)?;
    }
    replay.segments(&dir, &files.segments, start_offset)?;
    Ok(Some(replay.into_image()))
}

/// The files that count.
#[derive(Debug, Default)]
struct Files {
    /// The newest, with the offset behind its last record.
    snapshot: Option<(i64, String)>,
    /// In order of base offset.
    segments: Vec<(i64, String)>,
}

impl Files {
    fn list(dir: &Path) -> Result<Option<Files>, KraftError> {
        let failed = |error: std::io::Error| KraftError {
            file: String::new(),
            reason: error.to_string(),
        };
        let entries = match std::fs::read_dir(dir) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            entries => entries.map_err(failed)?,
        };
        let mut names = Vec::new();
        for entry in entries {
            // A name that is not UTF-8 is none of Kafka's.
            names.extend(entry.map_err(failed)?.file_name().into_string());
        }
        let files = Files::among(names);
        Ok((files.snapshot.is_some() || !files.segments.is_empty()).then_some(files))
    }

    fn among(names: Vec<String>) -> Files {
        let mut files = Files::default();
        let mut newest = None;
        for name in names {
            if let Some(id) = snapshot_id(&name) {
                if newest < Some(id) {
                    newest = Some(id);
                    files.snapshot = Some((id.0, name));
                }
            } else if let Some(base_offset) = name
                .strip_suffix(SEGMENT)
                .and_then(|digits| number(digits, OFFSET_DIGITS))
            {
                files.segments.push((base_offset, name));
            }
        }
        files.segments.sort();
        files
    }
}

/// Offset and epoch of a finished snapshot.
fn snapshot_id(name: &str) -> Option<(i64, i64)> {
    let (offset, epoch) = name.strip_suffix(SNAPSHOT)?.split_once('-')?;
    Some((number(offset, OFFSET_DIGITS)?, number(epoch, EPOCH_DIGITS)?))
}

fn number(text: &str, digits: usize) -> Option<i64> {
    let is_number = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok())?
}

/// What the records so far say.
#[derive(Clone, Default)]
struct State {
    topics: HashMap<TopicId, (String, i32)>,
    topic_configs: HashMap<String, Properties>,
    cluster_configs: Properties,
    node_configs: Properties,
}

struct Replay {
    node_name: String,
    state: State,
    /// Before the metadata transaction that is open.
    before_transaction: Option<State>,
    decompressor: Decompressor,
}

impl Replay {
    fn new(node_id: i32) -> Replay {
        Replay {
            node_name: node_id.to_string(),
            state: State::default(),
            before_transaction: None,
            decompressor: Decompressor::new(MAX_BATCH_BYTES),
        }
    }

    /// A snapshot is whole or not used: it has a footer.
    fn snapshot(&mut self, dir: &Path, name: &str) -> Result<(), KraftError> {
        let mut has_footer = false;
        let read = self.file(dir, name, &mut |replay, batch| {
            has_footer |= replay.batch(batch, 0)? == Some(ControlRecordType::SnapshotFooter);
            Ok(())
        });
        let reason = match read {
            Ok(()) if has_footer => return Ok(()),
            Ok(()) => "the snapshot is not finished".to_owned(),
            Err(Stop::Tail(reason) | Stop::Wrong(reason)) => reason,
        };
        Err(error_of(name, reason))
    }

    fn segments(
        &mut self,
        dir: &Path,
        segments: &[(i64, String)],
        start_offset: i64,
    ) -> Result<(), KraftError> {
        let first = segments.partition_point(|(base_offset, _)| *base_offset <= start_offset);
        let segments = &segments[first.saturating_sub(1)..];
        let Some(&(mut next_offset, _)) = segments.first() else {
            return Ok(());
        };
        if next_offset > start_offset {
            let reason = format!("offsets {start_offset} to {next_offset} are missing before it");
            return Err(error_of(&segments[0].1, reason));
        }
        for (index, (_, name)) in segments.iter().enumerate() {
            let read = self.file(dir, name, &mut |replay, batch| {
                let header = batch.header();
                if header.base_offset != next_offset {
                    return Err(format!(
                        "offset {next_offset} is expected, {} is there",
                        header.base_offset
                    ));
                }
                next_offset = header.next_offset();
                if next_offset > start_offset {
                    replay.batch(batch, start_offset)?;
                }
                Ok(())
            });
            match read {
                Ok(()) => {}
                // As Kafka's recovery does: the rest was never acknowledged.
                Err(Stop::Tail(reason)) if index + 1 == segments.len() => {
                    tracing::debug!(file = name, reason, "the metadata log ends early");
                }
                Err(Stop::Tail(reason) | Stop::Wrong(reason)) => {
                    return Err(error_of(name, reason));
                }
            }
        }
        Ok(())
    }

    /// Gives every batch of a file to `visit`.
    fn file(
        &mut self,
        dir: &Path,
        name: &str,
        visit: &mut dyn FnMut(&mut Replay, &RecordBatch<'_>) -> Result<(), String>,
    ) -> Result<(), Stop> {
        let opened = File::open(dir.join(name)).map_err(|error| Stop::Wrong(error.to_string()))?;
        let mut batches = Batches::new(BufReader::new(opened));
        while let Some(batch) = batches.next()? {
            visit(self, &batch).map_err(Stop::Wrong)?;
        }
        Ok(())
    }

    /// Takes in the records from `start_offset` on; the kind of a control batch.
    fn batch(
        &mut self,
        batch: &RecordBatch<'_>,
        start_offset: i64,
    ) -> Result<Option<ControlRecordType>, String> {
        let mut decompressor = std::mem::replace(&mut self.decompressor, Decompressor::new(0));
        let result = self.records(batch, start_offset, &mut decompressor);
        self.decompressor = decompressor;
        result
    }

    fn records(
        &mut self,
        batch: &RecordBatch<'_>,
        start_offset: i64,
        decompressor: &mut Decompressor,
    ) -> Result<Option<ControlRecordType>, String> {
        let records = batch.records(decompressor).map_err(|it| it.to_string())?;
        let mut kind = None;
        for record in records {
            let record = record.map_err(|error| error.to_string())?;
            if batch.header().is_control() {
                let key = record.key.unwrap_or_default();
                kind = Some(ControlRecordType::parse(key).map_err(|error| error.to_string())?);
            } else if record.offset >= start_offset {
                let value = record.value.unwrap_or_default();
                let at = |reason: String| format!("record {}: {reason}", record.offset);
                self.apply(MetadataRecord::parse(value).map_err(at)?);
            }
        }
        Ok(kind)
    }

    fn apply(&mut self, record: MetadataRecord<'_>) {
        match record {
            MetadataRecord::Topic { name, id } => {
                self.state.topics.insert(id, (name.to_owned(), 0));
            }
            MetadataRecord::Partition { topic, number } => {
                if let Some((_, count)) = self.state.topics.get_mut(&topic)
                    && (0..MAX_PARTITIONS).contains(&number)
                {
                    *count = (*count).max(number + 1);
                }
            }
            MetadataRecord::RemoveTopic { id } => {
                if let Some((name, _)) = self.state.topics.remove(&id) {
                    self.state.topic_configs.remove(&name);
                }
            }
            MetadataRecord::TopicConfig { topic, name, value } => {
                let configs = self.state.topic_configs.entry(topic.to_owned());
                set(configs.or_default(), name, value);
            }
            MetadataRecord::BrokerConfig { node, name, value } => {
                if node.is_empty() {
                    set(&mut self.state.cluster_configs, name, value);
                } else if node == self.node_name {
                    set(&mut self.state.node_configs, name, value);
                }
            }
            MetadataRecord::BeginTransaction => {
                self.before_transaction = Some(self.state.clone());
            }
            MetadataRecord::EndTransaction => self.before_transaction = None,
            MetadataRecord::AbortTransaction => self.roll_back(),
            MetadataRecord::Other => {}
        }
    }

    fn roll_back(&mut self) {
        if let Some(before) = self.before_transaction.take() {
            self.state = before;
        }
    }

    fn into_image(mut self) -> MetadataImage {
        // The next controller aborts a transaction that was left open.
        self.roll_back();
        let State {
            topics,
            mut topic_configs,
            cluster_configs,
            node_configs,
        } = self.state;
        let topics = topics.into_iter().map(|(id, (name, partition_count))| {
            let configs = topic_configs.remove(&name).unwrap_or_default();
            TopicImage {
                name: name.into(),
                id,
                partition_count,
                configs,
            }
        });
        MetadataImage::from_parts(topics.collect(), node_configs, Vec::new(), 0)
            .with_default_broker_configs(cluster_configs)
    }
}

/// No value takes a setting away.
fn set(configs: &mut Properties, name: &str, value: Option<&str>) {
    match value {
        Some(value) => configs.insert(name.to_owned(), value.to_owned()),
        None => configs.remove(name),
    };
}

fn error_of(file: &str, reason: String) -> KraftError {
    KraftError {
        file: file.to_owned(),
        reason,
    }
}

#[cfg(test)]
mod tests;
