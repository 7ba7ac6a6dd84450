//! `lastword-metadata.json`: the image on disk.
//!
//! Written whole to a temporary name, synced, renamed over the old one, and the directory synced:
//! after a crash the file is the old one or the new one. Kafka ignores it; without it a data
//! directory is taken over with what Kafka's metadata log says (see `takeover`).

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use lastword_record::TopicId;
use lastword_storage::Dir;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::image::{ConfigOwner, MetadataImage, Properties, TopicImage};

/// The file's name in the log directory.
pub const METADATA_FILE_NAME: &str = "lastword-metadata.json";
const FILE_NAME: &str = METADATA_FILE_NAME;
const TEMPORARY_FILE_NAME: &str = "lastword-metadata.json.tmp";
const FORMAT_VERSION: u32 = 1;

/// Why the metadata could not be read or written.
#[derive(Debug, Error)]
pub enum MetadataFileError {
    /// The disk said no.
    #[error("cannot {action} {FILE_NAME}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// Why it failed.
        source: io::Error,
    },
    /// The file is not what was written.
    #[error("{FILE_NAME} is malformed: {reason}")]
    Malformed {
        /// What is wrong.
        reason: String,
    },
}

/// Reads and writes the file. The caller orders the writes.
pub struct MetadataFile {
    dir: Arc<dyn Dir>,
}

#[derive(Serialize, Deserialize)]
struct Document {
    version: u32,
    #[serde(default)]
    next_producer_id: i64,
    #[serde(default)]
    broker_configs: Properties,
    #[serde(default, skip_serializing_if = "Properties::is_empty")]
    default_broker_configs: Properties,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    client_metrics: BTreeMap<String, Properties>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    groups: BTreeMap<String, Properties>,
    topics: Vec<Topic>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    deleting: Vec<Topic>,
}

#[derive(Serialize, Deserialize)]
struct Topic {
    name: String,
    id: String,
    partitions: i32,
    #[serde(default, skip_serializing_if = "Properties::is_empty")]
    configs: Properties,
}

impl MetadataFile {
    /// The file of this data directory.
    pub fn new(dir: Arc<dyn Dir>) -> MetadataFile {
        MetadataFile { dir }
    }

    /// The image, or nothing when the directory has none yet.
    pub fn load(&self) -> Result<Option<MetadataImage>, MetadataFileError> {
        let file = match self.dir.open_to_read(FILE_NAME) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io_error("open", error)),
        };
        let length = file.len().map_err(|error| io_error("read", error))?;
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
        let mut filled = 0;
        while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match file
                .read_at(rest, filled as u64)
                .map_err(|error| io_error("read", error))?
            {
                0 => break,
                count => filled += count,
            }
        }
        bytes.truncate(filled);
        let document: Document =
            serde_json::from_slice(&bytes).map_err(|error| malformed(error.to_string()))?;
        if document.version != FORMAT_VERSION {
            return Err(malformed(format!(
                "version {} is not {FORMAT_VERSION}: it was written by another release",
                document.version
            )));
        }
        let image = MetadataImage::from_parts(
            document
                .topics
                .into_iter()
                .map(read_topic)
                .collect::<Result<_, _>>()?,
            document.broker_configs,
            document
                .deleting
                .into_iter()
                .map(read_topic)
                .collect::<Result<_, _>>()?,
            document.next_producer_id,
        )
        .with_default_broker_configs(document.default_broker_configs);
        let owned = [
            (ConfigOwner::ClientMetrics, document.client_metrics),
            (ConfigOwner::Group, document.groups),
        ];
        let owned = owned.into_iter().flat_map(|(owner, all)| {
            all.into_iter()
                .map(move |(name, configs)| (owner, name, configs))
        });
        Ok(Some(owned.fold(image, |image, (owner, name, configs)| {
            image.with_owned_configs(owner, &name, configs)
        })))
    }

    /// Makes the image durable.
    pub fn store(&self, image: &MetadataImage) -> Result<(), MetadataFileError> {
        let owned = |owner| {
            let all = image.owners(owner);
            all.map(|(name, configs)| (name.to_owned(), configs.clone()))
                .collect()
        };
        let document = Document {
            version: FORMAT_VERSION,
            next_producer_id: image.next_producer_id(),
            broker_configs: image.own_broker_configs().clone(),
            default_broker_configs: image.default_broker_configs().clone(),
            client_metrics: owned(ConfigOwner::ClientMetrics),
            groups: owned(ConfigOwner::Group),
            topics: image.topics().map(|topic| write_topic(topic)).collect(),
            deleting: image
                .deleting()
                .iter()
                .map(|topic| write_topic(topic))
                .collect(),
        };
        let mut bytes =
            serde_json::to_vec_pretty(&document).map_err(|error| malformed(error.to_string()))?;
        bytes.push(b'\n');
        let file = self
            .dir
            .create(TEMPORARY_FILE_NAME)
            .map_err(|error| io_error("create", error))?;
        file.write_all_at(&bytes, 0)
            .map_err(|error| io_error("write", error))?;
        file.sync_data().map_err(|error| io_error("sync", error))?;
        self.dir
            .rename(TEMPORARY_FILE_NAME, FILE_NAME)
            .map_err(|error| io_error("rename", error))?;
        self.dir
            .sync_dir("")
            .map_err(|error| io_error("sync the directory of", error))
    }
}

fn read_topic(topic: Topic) -> Result<TopicImage, MetadataFileError> {
    let id = TopicId::parse(&topic.id)
        .map_err(|error| malformed(format!("topic {}: id {}: {error}", topic.name, topic.id)))?;
    Ok(TopicImage {
        name: topic.name.into(),
        id,
        partition_count: topic.partitions,
        configs: topic.configs,
    })
}

fn write_topic(topic: &TopicImage) -> Topic {
    Topic {
        name: topic.name.to_string(),
        id: topic.id.to_string(),
        partitions: topic.partition_count,
        configs: topic.configs.clone(),
    }
}

fn io_error(action: &'static str, source: io::Error) -> MetadataFileError {
    MetadataFileError::Io { action, source }
}

fn malformed(reason: String) -> MetadataFileError {
    MetadataFileError::Malformed { reason }
}
