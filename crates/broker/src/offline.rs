//! `OfflineLogs`: a log directory that no broker runs on, opened as at a broker's start, for tools that work on files.
//!
//! Opening takes the directory's lock, recovers what an unclean stop has left, and gives every log the config that the
//! directory says its topic has. No thread runs and no retention is applied. Closing makes everything durable and
//! writes the checkpoints and the clean-shutdown marker.
//!
//! Configs, the strongest first: settings of the caller under a topic config's name, the topic's own, settings under a
//! broker config's name, the dynamic broker configs of the directory, Kafka's defaults. A directory's own are those of
//! `lastword-metadata.json`; where that does not name a topic, those of Kafka's metadata log.
//!
//! A directory that only Kafka has served stays Kafka's: `__cluster_metadata-0` and `meta.properties` are not touched,
//! what is in the clean-shutdown marker and in the checkpoint of HighWatermarks is put back, and nothing above a
//! HighWatermark of Kafka's is cleaned, because another replica may never have seen it.
//!
//! Lock: the directory's, until the value is dropped. Settings that do not fit a topic cost that topic only.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};

use lastword_record::TopicPartition;
use lastword_storage::checkpoint::{parse_offsets, write_atomically};
use lastword_storage::config::{CLEANER_CONFIGS, ConfigEntry, LogConfig, TOPIC_CONFIGS};
use lastword_storage::dir::read_file;
use lastword_storage::file_name::{self, META_PROPERTIES, PartitionDir};
use lastword_storage::{
    CleanupPolicy, Clock, Dir, FsDir, Identity, Log, LogCleaner, LogManager, LogManagerConfig,
    StorageError,
};
use thiserror::Error;

use crate::config::{BrokerConfig, ConfigError, parse_properties};
use crate::lock::lock;
use crate::metadata::{
    KraftError, METADATA_FILE_NAME, MetadataFile, MetadataFileError, MetadataImage, Properties,
    read_kraft_metadata,
};
use crate::topics::default_topic;

/// Broker configs, besides those of the cleaner and the defaults of topics, that mean something without a broker.
const BROKER_SETTINGS: [&str; 3] = [
    "max.decompressed.message.bytes",
    "num.recovery.threads.per.data.dir",
    "producer.id.expiration.ms",
];

/// Why a directory could not be opened or closed.
#[derive(Debug, Error)]
pub enum OfflineError {
    /// There is no such directory, or it cannot be read.
    #[error("cannot open {path}: {source}")]
    Directory {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A directory, but not of logs.
    #[error("{path} has neither a {META_PROPERTIES} nor a partition in it")]
    NoLogDirectory {
        /// Which.
        path: PathBuf,
    },
    /// A setting.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The log engine.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The topics' metadata.
    #[error(transparent)]
    Metadata(#[from] MetadataFileError),
}

/// Settings of the caller, checked.
#[derive(Clone, Debug)]
pub struct OfflineSettings {
    pub(crate) broker: BrokerConfig,
    pub(crate) topic: Properties,
}

impl OfflineSettings {
    /// Every name that means something here.
    pub fn names() -> impl Iterator<Item = &'static str> {
        let synonyms = TOPIC_CONFIGS
            .iter()
            .flat_map(|entry| entry.broker_synonyms.iter().map(|synonym| synonym.name));
        TOPIC_CONFIGS
            .iter()
            .map(|entry| entry.name)
            .chain(CLEANER_CONFIGS.iter().map(|entry| entry.name))
            .chain(synonyms)
            .chain(BROKER_SETTINGS)
    }

    /// Checks names and values. A name that is a topic's and a broker's is taken for the topic's.
    pub fn from_properties(properties: &Properties) -> Result<OfflineSettings, ConfigError> {
        let (mut topic, mut broker) = (Properties::new(), Properties::new());
        for (name, value) in properties {
            if !OfflineSettings::names().any(|known| known == name) {
                return Err(ConfigError {
                    name: name.clone(),
                    value: value.clone(),
                    reason: "means nothing for a stopped directory".to_owned(),
                });
            }
            let is_topic = ConfigEntry::topic(name).is_some();
            let part = if is_topic { &mut topic } else { &mut broker };
            part.insert(name.clone(), value.clone());
        }
        LogConfig::from_properties(&topic)?;
        Ok(OfflineSettings {
            broker: BrokerConfig::from_properties(&broker)?,
            topic,
        })
    }
}

/// An open directory; see the file header.
pub struct OfflineLogs {
    manager: Arc<LogManager>,
    cleaner: Arc<LogCleaner>,
    metadata: Metadata,
    kafka: KafkaFiles,
    unconfigured: BTreeMap<String, String>,
    threads: usize,
}

impl OfflineLogs {
    /// Opens the directory; waits for recovery. A taken lock is an I/O error of kind `WouldBlock`.
    pub fn open(
        path: &Path,
        settings: &OfflineSettings,
        clock: Clock,
    ) -> Result<OfflineLogs, OfflineError> {
        let failed = |source| OfflineError::Directory {
            path: path.to_owned(),
            source,
        };
        // `FsDir` would create it.
        std::fs::metadata(path).map_err(failed)?;
        let dir: Arc<dyn Dir> = Arc::new(FsDir::open(path).map_err(failed)?);
        let identity = identity(path, &*dir)?;
        let node_id = identity.node_id;
        let kafka = KafkaFiles::read(path, &*dir)?;
        let high_watermarks = kafka.high_watermarks()?;
        let metadata = OnceLock::new();
        let unconfigured = Mutex::new(BTreeMap::new());
        let load = || Metadata::load(path, dir.clone(), node_id);
        let config_of = |topic: &str| {
            // Read under the directory's lock; a failure is told below.
            let Ok(metadata) = metadata.get_or_init(load) else {
                return LogConfig::default();
            };
            log_config(settings, metadata, topic).unwrap_or_else(|reason| {
                lock(&unconfigured).insert(topic.to_owned(), reason);
                LogConfig {
                    cleanup_policy: NO_POLICY,
                    ..LogConfig::default()
                }
            })
        };
        let broker = &settings.broker;
        let manager = LogManager::open(
            LogManagerConfig {
                recovery_threads: broker.recovery_threads,
                max_decompressed_bytes: broker.max_decompressed_bytes,
                producer_id_expiration_ms: broker.producer_id_expiration_ms,
                identity,
                ..LogManagerConfig::default()
            },
            dir.clone(),
            clock,
            &config_of,
        )?;
        let metadata = metadata.into_inner().unwrap_or_else(load)?;
        let cleaner = LogCleaner::new(manager.clone(), broker.cleaner.clone())?;
        if let Some(high_watermarks) = high_watermarks {
            for log in manager.logs() {
                // Kafka takes a partition without an entry for one of which nothing is committed.
                let topic_partition = log.topic_partition();
                let known = high_watermarks.get(topic_partition).copied();
                let offset = known.unwrap_or_else(|| log.offsets().log_start_offset);
                cleaner.keep_from(topic_partition, offset);
            }
        }
        let unconfigured = std::mem::take(&mut *lock(&unconfigured));
        Ok(OfflineLogs {
            manager,
            cleaner: Arc::new(cleaner),
            metadata,
            kafka,
            threads: broker.cleaner.threads.max(1) as usize,
            unconfigured,
        })
    }

    /// Every log, in order; without those of topics whose deletion was not finished.
    pub fn logs(&self) -> Vec<Arc<Log>> {
        let is_deleting = |log: &Log| {
            let mut deleting = self.metadata.lastword.deleting().iter();
            deleting.any(|topic| topic.id == log.topic_id())
        };
        let mut logs = self.manager.logs();
        logs.retain(|log| !is_deleting(log));
        logs
    }

    /// Partitions that could not be loaded, and why.
    pub fn failed(&self) -> BTreeMap<TopicPartition, String> {
        self.manager.failed()
    }

    /// Why a topic's configs are not valid, if that is so. Its logs have no policy then.
    pub fn unconfigured(&self, topic: &str) -> Option<&str> {
        self.unconfigured.get(topic).map(String::as_str)
    }

    /// On how many threads to clean: `log.cleaner.threads`, at least 1.
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// The cleaner of these logs. It has no threads.
    pub fn cleaner(&self) -> &Arc<LogCleaner> {
        &self.cleaner
    }

    /// Closes in order; a cleaning that is under way ends at its next batch.
    pub fn close(self) -> Result<(), OfflineError> {
        self.cleaner.stop();
        self.manager.close()?;
        self.kafka.put_back(&*self.manager.dir())?;
        Ok(())
    }
}

const NO_POLICY: CleanupPolicy = CleanupPolicy {
    compact: false,
    delete: false,
};

/// What the directory says about topics.
pub(crate) struct Metadata {
    lastword: MetadataImage,
    /// Kafka's metadata log, if there is one; else why it cannot be read.
    kafka: Result<Option<MetadataImage>, KraftError>,
}

impl Metadata {
    pub(crate) fn load(
        path: &Path,
        dir: Arc<dyn Dir>,
        node_id: i32,
    ) -> Result<Metadata, MetadataFileError> {
        Ok(Metadata {
            lastword: MetadataFile::new(dir).load()?.unwrap_or_default(),
            kafka: read_kraft_metadata(path, node_id),
        })
    }

    /// Whether anything says what this topic is.
    pub(crate) fn describes(&self, topic: &str) -> bool {
        let kafka = self.kafka.as_ref().ok().and_then(Option::as_ref);
        self.lastword.topic(topic).is_some() || kafka.is_some_and(|it| it.topic(topic).is_some())
    }
}

/// Files of a directory that is Kafka's alone, as Kafka has left them.
#[derive(Default)]
struct KafkaFiles {
    /// Tells Kafka's controller in which life of the broker it stopped in order.
    clean_shutdown: Option<Vec<u8>>,
    high_watermarks: Option<Vec<u8>>,
}

impl KafkaFiles {
    fn read(path: &Path, dir: &dyn Dir) -> Result<KafkaFiles, OfflineError> {
        let failed = |source| OfflineError::Directory {
            path: path.to_owned(),
            source,
        };
        if dir.exists(METADATA_FILE_NAME).map_err(failed)? {
            return Ok(KafkaFiles::default());
        }
        let read = |name: &str| match read_file(dir, name) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed(error)),
        };
        Ok(KafkaFiles {
            clean_shutdown: read(file_name::CLEAN_SHUTDOWN)?,
            high_watermarks: read(file_name::HIGH_WATERMARK_CHECKPOINT)?,
        })
    }

    /// None when they are ours to know, or when there is no such file.
    fn high_watermarks(&self) -> Result<Option<BTreeMap<TopicPartition, i64>>, StorageError> {
        let parse = |bytes: &Vec<u8>| parse_offsets(file_name::HIGH_WATERMARK_CHECKPOINT, bytes);
        self.high_watermarks.as_ref().map(parse).transpose()
    }

    /// The directory is closed; without a marker it was not closed in order, and none is put there.
    fn put_back(&self, dir: &dyn Dir) -> Result<(), StorageError> {
        if let Some(bytes) = &self.high_watermarks {
            write_atomically(dir, file_name::HIGH_WATERMARK_CHECKPOINT, bytes)?;
        }
        let is_clean = dir.exists(file_name::CLEAN_SHUTDOWN);
        let is_clean = is_clean
            .map_err(|error| StorageError::io("look for", file_name::CLEAN_SHUTDOWN, error))?;
        match &self.clean_shutdown {
            Some(bytes) if is_clean => write_atomically(dir, file_name::CLEAN_SHUTDOWN, bytes),
            _ => Ok(()),
        }
    }
}

/// Whoever the directory belongs to may be cleaned.
pub(crate) fn identity(path: &Path, dir: &dyn Dir) -> Result<Identity, OfflineError> {
    let failed = |source| OfflineError::Directory {
        path: path.to_owned(),
        source,
    };
    let text = match std::fs::read(path.join(META_PROPERTIES)) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let entries = dir.list("").map_err(failed)?;
            let is_live = |name: &str| {
                matches!(
                    file_name::parse_partition_dir(name),
                    Some(PartitionDir::Live(_))
                )
            };
            if !entries
                .iter()
                .any(|entry| entry.is_dir && is_live(&entry.name))
            {
                return Err(OfflineError::NoLogDirectory {
                    path: path.to_owned(),
                });
            }
            String::new()
        }
        Err(error) => return Err(failed(error)),
    };
    let properties = parse_properties(&text);
    // What cannot be read is refused by the log engine, with a reason.
    let node_id = properties.get("node.id").or(properties.get("broker.id"));
    let node_id = node_id.and_then(|value| value.trim().parse().ok());
    Ok(Identity {
        cluster_id: None,
        node_id: node_id.unwrap_or(1),
    })
}

/// The config of a topic's logs; see the file header.
pub(crate) fn log_config(
    settings: &OfflineSettings,
    metadata: &Metadata,
    topic: &str,
) -> Result<LogConfig, String> {
    let is_policy_set = settings.topic.contains_key("cleanup.policy");
    let (own, mut broker) = match (metadata.lastword.topic(topic), &metadata.kafka) {
        (Some(own), _) => (
            own.configs.clone(),
            metadata.lastword.broker_configs().clone(),
        ),
        (None, Ok(Some(kafka))) => kafka_configs(kafka, topic),
        (None, Err(error)) if !is_policy_set => {
            return Err(format!(
                "its configs are not known: {error}; --set cleanup.policy=compact cleans it"
            ));
        }
        (None, _) => (
            default_topic(&settings.broker, topic).configs,
            metadata.lastword.broker_configs().clone(),
        ),
    };
    broker.extend((*settings.broker.properties()).clone());
    let mut properties = own;
    properties.extend(settings.topic.clone());
    LogConfig::from_broker_properties(&broker)
        .and_then(|defaults| defaults.with_properties(&properties))
        .map_err(|error| error.to_string())
}

/// What Kafka has stored for a topic, and for its broker. Settings of tiered storage, and those that another version of
/// Kafka knows, change nothing about a cleaning.
fn kafka_configs(kafka: &MetadataImage, topic: &str) -> (Properties, Properties) {
    let mut own = kafka
        .topic(topic)
        .map_or_else(Properties::new, |topic| topic.configs.clone());
    own.retain(|name, _| ConfigEntry::topic(name).is_some() && !name.starts_with("remote."));
    (own, kafka.broker_configs().clone())
}
