//! `LogConfig` and `CleanerConfig`: typed, with Kafka's names and defaults, validated once.
//!
//! [`TOPIC_CONFIGS`] is the one list of topic configs: name, the broker's synonyms, type, default, what is valid, and
//! one line of documentation. Values are Kafka's: plain integers, no units. An unknown name or an invalid value is
//! refused with an error that names it; a rule between two configs is checked after all of them are set.
//! A `LogConfig` is immutable once built; a change of a topic's config makes a new one.

mod table;
mod value;

use std::collections::BTreeMap;

use lastword_record::{CompressionType, TimestampType};

pub use table::{
    BrokerSynonym, CLEANER_CONFIGS, ConfigEntry, ConfigType, TOPIC_CONFIGS, Validator,
};
use value::Value;

/// A config that was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Invalid value {value:?} for configuration {name}: {reason}")]
pub struct ConfigError {
    pub name: String,
    pub value: String,
    pub reason: String,
}

impl ConfigError {
    fn new(name: &str, value: &str, reason: impl Into<String>) -> ConfigError {
        ConfigError {
            name: name.into(),
            value: value.into(),
            reason: reason.into(),
        }
    }
}

/// What happens to old records. Neither: they stay for ever. Both: both, in parallel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CleanupPolicy {
    pub compact: bool,
    pub delete: bool,
}

/// `compression.type` of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TopicCompression {
    /// Batches are stored as the producer compressed them.
    Producer,
    Uncompressed,
    Codec(CompressionType),
}

/// `lastword.fetch.view`: what a fetch of the topic itself is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FetchView {
    /// Every record there is.
    Log,
    /// The state view: without superseded records.
    State,
}

/// The config of one log. `Default` has Kafka's defaults.
#[derive(Clone, Debug, PartialEq)]
pub struct LogConfig {
    pub cleanup_policy: CleanupPolicy,
    pub min_cleanable_dirty_ratio: f64,
    pub min_compaction_lag_ms: i64,
    pub max_compaction_lag_ms: i64,
    pub delete_retention_ms: i64,
    pub segment_ms: i64,
    pub segment_jitter_ms: i64,
    pub segment_bytes: u32,
    /// Overrides `segment_bytes`, below its minimum too: for tests.
    pub internal_segment_bytes: Option<u32>,
    pub segment_index_bytes: u32,
    pub index_interval_bytes: u32,
    pub retention_ms: i64,
    pub retention_bytes: i64,
    pub file_delete_delay_ms: i64,
    pub max_message_bytes: u32,
    pub compression_type: TopicCompression,
    /// Cleaning merges small batches; ours.
    pub compaction_rebatch: bool,
    /// Ours.
    pub fetch_view: FetchView,
    pub compression_gzip_level: i32,
    pub compression_lz4_level: i32,
    pub compression_zstd_level: i32,
    pub message_timestamp_type: TimestampType,
    pub message_timestamp_before_max_ms: i64,
    pub message_timestamp_after_max_ms: i64,
    pub flush_messages: i64,
    pub flush_ms: i64,
    pub preallocate: bool,
    pub min_insync_replicas: i32,
    pub unclean_leader_election_enable: bool,
    pub remote_storage_enable: bool,
    pub local_retention_ms: i64,
    pub local_retention_bytes: i64,
    pub remote_log_copy_disable: bool,
    pub remote_log_delete_on_disable: bool,
    pub leader_replication_throttled_replicas: Vec<String>,
    pub follower_replication_throttled_replicas: Vec<String>,
}

impl Default for LogConfig {
    fn default() -> LogConfig {
        const DAY_MS: i64 = 86_400_000;
        LogConfig {
            cleanup_policy: CleanupPolicy {
                compact: false,
                delete: true,
            },
            min_cleanable_dirty_ratio: 0.5,
            min_compaction_lag_ms: 0,
            max_compaction_lag_ms: i64::MAX,
            delete_retention_ms: DAY_MS,
            segment_ms: 7 * DAY_MS,
            segment_jitter_ms: 0,
            segment_bytes: 1 << 30,
            internal_segment_bytes: None,
            segment_index_bytes: 10 << 20,
            index_interval_bytes: 4096,
            retention_ms: 7 * DAY_MS,
            retention_bytes: -1,
            file_delete_delay_ms: 60_000,
            max_message_bytes: 1_048_588,
            compression_type: TopicCompression::Producer,
            compaction_rebatch: true,
            fetch_view: FetchView::Log,
            compression_gzip_level: -1,
            compression_lz4_level: 9,
            compression_zstd_level: 3,
            message_timestamp_type: TimestampType::CreateTime,
            message_timestamp_before_max_ms: i64::MAX,
            message_timestamp_after_max_ms: 3_600_000,
            flush_messages: i64::MAX,
            flush_ms: i64::MAX,
            preallocate: false,
            min_insync_replicas: 1,
            unclean_leader_election_enable: false,
            remote_storage_enable: false,
            local_retention_ms: -2,
            local_retention_bytes: -2,
            remote_log_copy_disable: false,
            remote_log_delete_on_disable: false,
            leader_replication_throttled_replicas: Vec::new(),
            follower_replication_throttled_replicas: Vec::new(),
        }
    }
}

impl LogConfig {
    /// Kafka's defaults with these topic configs on top.
    pub fn from_properties(
        properties: &BTreeMap<String, String>,
    ) -> Result<LogConfig, ConfigError> {
        LogConfig::default().with_properties(properties)
    }

    /// This config with these topic configs on top: `self` is what the broker's own configs say.
    pub fn with_properties(
        &self,
        properties: &BTreeMap<String, String>,
    ) -> Result<LogConfig, ConfigError> {
        let mut config = self.clone();
        for (name, text) in properties {
            let entry = ConfigEntry::topic(name)
                .ok_or_else(|| ConfigError::new(name, text, "Unknown topic config name"))?;
            config.set(entry.name, entry.parse(text)?);
        }
        config.check(properties)?;
        Ok(config)
    }

    /// The defaults of all topics by the broker's configs: of each config's synonyms the first that is set wins.
    /// Names that are no synonym are left to others.
    pub fn from_broker_properties(
        properties: &BTreeMap<String, String>,
    ) -> Result<LogConfig, ConfigError> {
        let mut topic_properties = BTreeMap::new();
        for entry in TOPIC_CONFIGS {
            if let Some(value) = entry.broker_value(properties)? {
                topic_properties.insert(entry.name.to_owned(), value);
            }
        }
        LogConfig::from_properties(&topic_properties)
    }

    /// The level at which the topic compresses with this codec; none for the codec's own.
    pub fn compression_level(&self, codec: CompressionType) -> Option<i32> {
        match codec {
            CompressionType::Gzip => Some(self.compression_gzip_level),
            CompressionType::Lz4 => Some(self.compression_lz4_level),
            CompressionType::Zstd => Some(self.compression_zstd_level),
            CompressionType::None | CompressionType::Snappy => None,
        }
    }

    /// The size at which a segment is rolled.
    pub fn effective_segment_bytes(&self) -> u32 {
        self.internal_segment_bytes.unwrap_or(self.segment_bytes)
    }

    /// The age at which a segment is rolled: on compacted topics no later than the maximum lag.
    pub fn effective_segment_ms(&self) -> i64 {
        if self.cleanup_policy.compact {
            self.segment_ms.min(self.max_compaction_lag_ms)
        } else {
            self.segment_ms
        }
    }

    /// A config's value in Kafka's text form; `None` for an unknown name or a config without a value.
    pub fn value_of(&self, name: &str) -> Option<String> {
        self.get(name).map(|value| value.to_string())
    }

    /// Rules between two configs. `properties` are those just set, so that the error shows what the user wrote.
    fn check(&self, properties: &BTreeMap<String, String>) -> Result<(), ConfigError> {
        let refuse = |name: &str, reason: String| {
            let value = properties
                .get(name)
                .cloned()
                .or_else(|| self.value_of(name));
            Err(ConfigError::new(name, &value.unwrap_or_default(), reason))
        };
        if self.min_compaction_lag_ms > self.max_compaction_lag_ms {
            let reason = format!(
                "must not be larger than max.compaction.lag.ms ({})",
                self.max_compaction_lag_ms
            );
            return refuse("min.compaction.lag.ms", reason);
        }
        if self.remote_storage_enable {
            return refuse(
                "remote.storage.enable",
                "there is no tiered storage here".into(),
            );
        }
        Ok(())
    }

    fn set(&mut self, name: &'static str, value: Value) {
        match name {
            "cleanup.policy" => {
                let items = value.items();
                let has = |policy: &str| items.iter().any(|item| item == policy);
                self.cleanup_policy = CleanupPolicy {
                    compact: has("compact"),
                    delete: has("delete"),
                };
            }
            "min.cleanable.dirty.ratio" => self.min_cleanable_dirty_ratio = value.double(),
            "min.compaction.lag.ms" => self.min_compaction_lag_ms = value.long(),
            "max.compaction.lag.ms" => self.max_compaction_lag_ms = value.long(),
            "delete.retention.ms" => self.delete_retention_ms = value.long(),
            "segment.ms" => self.segment_ms = value.long(),
            "segment.jitter.ms" => self.segment_jitter_ms = value.long(),
            "segment.bytes" => self.segment_bytes = value.size(),
            "internal.segment.bytes" => self.internal_segment_bytes = Some(value.size()),
            "segment.index.bytes" => self.segment_index_bytes = value.size(),
            "index.interval.bytes" => self.index_interval_bytes = value.size(),
            "retention.ms" => self.retention_ms = value.long(),
            "retention.bytes" => self.retention_bytes = value.long(),
            "file.delete.delay.ms" => self.file_delete_delay_ms = value.long(),
            "max.message.bytes" => self.max_message_bytes = value.size(),
            "compression.type" => self.compression_type = parse_compression(value.text()),
            "lastword.compaction.rebatch" => self.compaction_rebatch = value.boolean(),
            "lastword.fetch.view" => {
                self.fetch_view = match value.text() {
                    "state" => FetchView::State,
                    _ => FetchView::Log,
                }
            }
            "compression.gzip.level" => self.compression_gzip_level = value.int(),
            "compression.lz4.level" => self.compression_lz4_level = value.int(),
            "compression.zstd.level" => self.compression_zstd_level = value.int(),
            "message.timestamp.type" => {
                self.message_timestamp_type = match value.text() {
                    "LogAppendTime" => TimestampType::LogAppendTime,
                    _ => TimestampType::CreateTime,
                }
            }
            "message.timestamp.before.max.ms" => {
                self.message_timestamp_before_max_ms = value.long()
            }
            "message.timestamp.after.max.ms" => self.message_timestamp_after_max_ms = value.long(),
            "flush.messages" => self.flush_messages = value.long(),
            "flush.ms" => self.flush_ms = value.long(),
            "preallocate" => self.preallocate = value.boolean(),
            "min.insync.replicas" => self.min_insync_replicas = value.int(),
            "unclean.leader.election.enable" => {
                self.unclean_leader_election_enable = value.boolean()
            }
            "remote.storage.enable" => self.remote_storage_enable = value.boolean(),
            "local.retention.ms" => self.local_retention_ms = value.long(),
            "local.retention.bytes" => self.local_retention_bytes = value.long(),
            "remote.log.copy.disable" => self.remote_log_copy_disable = value.boolean(),
            "remote.log.delete.on.disable" => self.remote_log_delete_on_disable = value.boolean(),
            "leader.replication.throttled.replicas" => {
                self.leader_replication_throttled_replicas = value.items().to_vec();
            }
            "follower.replication.throttled.replicas" => {
                self.follower_replication_throttled_replicas = value.items().to_vec();
            }
            _ => unreachable!("{name} is in the table but not in LogConfig"),
        }
    }

    fn get(&self, name: &str) -> Option<Value> {
        let list = |items: &[String]| Value::List(items.to_vec());
        Some(match name {
            "cleanup.policy" => {
                let CleanupPolicy { compact, delete } = self.cleanup_policy;
                let items = [(compact, "compact"), (delete, "delete")];
                Value::List(
                    items
                        .iter()
                        .filter(|(on, _)| *on)
                        .map(|(_, item)| (*item).to_owned())
                        .collect(),
                )
            }
            "min.cleanable.dirty.ratio" => Value::Double(self.min_cleanable_dirty_ratio),
            "min.compaction.lag.ms" => Value::Long(self.min_compaction_lag_ms),
            "max.compaction.lag.ms" => Value::Long(self.max_compaction_lag_ms),
            "delete.retention.ms" => Value::Long(self.delete_retention_ms),
            "segment.ms" => Value::Long(self.segment_ms),
            "segment.jitter.ms" => Value::Long(self.segment_jitter_ms),
            "segment.bytes" => Value::Long(self.segment_bytes.into()),
            "internal.segment.bytes" => Value::Long(self.internal_segment_bytes?.into()),
            "segment.index.bytes" => Value::Long(self.segment_index_bytes.into()),
            "index.interval.bytes" => Value::Long(self.index_interval_bytes.into()),
            "retention.ms" => Value::Long(self.retention_ms),
            "retention.bytes" => Value::Long(self.retention_bytes),
            "file.delete.delay.ms" => Value::Long(self.file_delete_delay_ms),
            "max.message.bytes" => Value::Long(self.max_message_bytes.into()),
            "compression.type" => Value::Text(compression_name(self.compression_type).into()),
            "lastword.compaction.rebatch" => Value::Boolean(self.compaction_rebatch),
            "lastword.fetch.view" => Value::Text(match self.fetch_view {
                FetchView::Log => "log".into(),
                FetchView::State => "state".into(),
            }),
            "compression.gzip.level" => Value::Long(self.compression_gzip_level.into()),
            "compression.lz4.level" => Value::Long(self.compression_lz4_level.into()),
            "compression.zstd.level" => Value::Long(self.compression_zstd_level.into()),
            "message.timestamp.type" => Value::Text(match self.message_timestamp_type {
                TimestampType::CreateTime => "CreateTime".into(),
                TimestampType::LogAppendTime => "LogAppendTime".into(),
            }),
            "message.timestamp.before.max.ms" => Value::Long(self.message_timestamp_before_max_ms),
            "message.timestamp.after.max.ms" => Value::Long(self.message_timestamp_after_max_ms),
            "flush.messages" => Value::Long(self.flush_messages),
            "flush.ms" => Value::Long(self.flush_ms),
            "preallocate" => Value::Boolean(self.preallocate),
            "min.insync.replicas" => Value::Long(self.min_insync_replicas.into()),
            "unclean.leader.election.enable" => Value::Boolean(self.unclean_leader_election_enable),
            "remote.storage.enable" => Value::Boolean(self.remote_storage_enable),
            "local.retention.ms" => Value::Long(self.local_retention_ms),
            "local.retention.bytes" => Value::Long(self.local_retention_bytes),
            "remote.log.copy.disable" => Value::Boolean(self.remote_log_copy_disable),
            "remote.log.delete.on.disable" => Value::Boolean(self.remote_log_delete_on_disable),
            "leader.replication.throttled.replicas" => {
                list(&self.leader_replication_throttled_replicas)
            }
            "follower.replication.throttled.replicas" => {
                list(&self.follower_replication_throttled_replicas)
            }
            _ => return None,
        })
    }
}

fn parse_compression(text: &str) -> TopicCompression {
    match text {
        "uncompressed" => TopicCompression::Uncompressed,
        "gzip" => TopicCompression::Codec(CompressionType::Gzip),
        "snappy" => TopicCompression::Codec(CompressionType::Snappy),
        "lz4" => TopicCompression::Codec(CompressionType::Lz4),
        "zstd" => TopicCompression::Codec(CompressionType::Zstd),
        _ => TopicCompression::Producer,
    }
}

fn compression_name(compression: TopicCompression) -> &'static str {
    match compression {
        TopicCompression::Producer => "producer",
        TopicCompression::Uncompressed | TopicCompression::Codec(CompressionType::None) => {
            "uncompressed"
        }
        TopicCompression::Codec(CompressionType::Gzip) => "gzip",
        TopicCompression::Codec(CompressionType::Snappy) => "snappy",
        TopicCompression::Codec(CompressionType::Lz4) => "lz4",
        TopicCompression::Codec(CompressionType::Zstd) => "zstd",
    }
}

/// Which of the logs that are due is cleaned first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CleaningOrder {
    /// The one with the largest dirty share, as in Kafka.
    DirtyRatio,
    /// The one with the most dead bytes per byte that a cleaning would copy; finding out costs a plan of each.
    Benefit,
}

/// The config of the cleaner threads. `Default` has Kafka's defaults.
#[derive(Clone, Debug, PartialEq)]
pub struct CleanerConfig {
    pub enable: bool,
    pub threads: u32,
    /// Memory for joining and building key indexes, shared by all threads and the one that builds indexes.
    pub dedupe_buffer_size_bytes: u64,
    /// Kept to be shown; nothing reads it.
    pub io_buffer_load_factor: f64,
    /// Kept to be shown; nothing reads it.
    pub io_buffer_size_bytes: u32,
    /// Bytes read and written by all threads together.
    pub io_max_bytes_per_second: f64,
    /// How long a thread that found nothing to clean waits.
    pub backoff_ms: i64,
    /// Which log goes first.
    pub order: CleaningOrder,
    /// Cleaning slows down while more than one in a hundred requests and group commits take longer; 0 for never.
    pub latency_target_ms: u64,
}

impl Default for CleanerConfig {
    fn default() -> CleanerConfig {
        CleanerConfig {
            enable: true,
            threads: 1,
            dedupe_buffer_size_bytes: 128 << 20,
            io_buffer_load_factor: 0.9,
            io_buffer_size_bytes: 512 << 10,
            io_max_bytes_per_second: f64::MAX,
            backoff_ms: 15_000,
            order: CleaningOrder::DirtyRatio,
            latency_target_ms: 20,
        }
    }
}

impl CleanerConfig {
    /// Kafka's defaults with the `log.cleaner.*` configs of the broker on top; other names are left to others.
    pub fn from_broker_properties(
        properties: &BTreeMap<String, String>,
    ) -> Result<CleanerConfig, ConfigError> {
        let mut config = CleanerConfig::default();
        for entry in CLEANER_CONFIGS {
            let Some(text) = properties.get(entry.name) else {
                continue;
            };
            let value = entry.parse(text)?;
            match entry.name {
                "log.cleaner.enable" => config.enable = value.boolean(),
                "log.cleaner.threads" => config.threads = value.size(),
                "log.cleaner.dedupe.buffer.size" => {
                    config.dedupe_buffer_size_bytes = value.long().unsigned_abs();
                }
                "log.cleaner.io.buffer.load.factor" => {
                    config.io_buffer_load_factor = value.double()
                }
                "log.cleaner.io.buffer.size" => config.io_buffer_size_bytes = value.size(),
                "log.cleaner.io.max.bytes.per.second" => {
                    config.io_max_bytes_per_second = value.double()
                }
                "log.cleaner.backoff.ms" => config.backoff_ms = value.long(),
                "lastword.cleaner.order" => {
                    config.order = match value.text() {
                        "benefit" => CleaningOrder::Benefit,
                        _ => CleaningOrder::DirtyRatio,
                    }
                }
                "lastword.cleaner.latency.target.ms" => {
                    config.latency_target_ms = value.long().unsigned_abs();
                }
                name => unreachable!("{name} is in the table but not in CleanerConfig"),
            }
        }
        Ok(config)
    }

    /// A config's value in Kafka's text form; `None` for an unknown name.
    pub fn value_of(&self, name: &str) -> Option<String> {
        let value = match name {
            "log.cleaner.enable" => Value::Boolean(self.enable),
            "log.cleaner.threads" => Value::Long(self.threads.into()),
            "log.cleaner.dedupe.buffer.size" => {
                Value::Long(i64::try_from(self.dedupe_buffer_size_bytes).unwrap_or(i64::MAX))
            }
            "log.cleaner.io.buffer.load.factor" => Value::Double(self.io_buffer_load_factor),
            "log.cleaner.io.buffer.size" => Value::Long(self.io_buffer_size_bytes.into()),
            "log.cleaner.io.max.bytes.per.second" => Value::Double(self.io_max_bytes_per_second),
            "log.cleaner.backoff.ms" => Value::Long(self.backoff_ms),
            "lastword.cleaner.order" => Value::Text(match self.order {
                CleaningOrder::DirtyRatio => "dirty-ratio".into(),
                CleaningOrder::Benefit => "benefit".into(),
            }),
            "lastword.cleaner.latency.target.ms" => {
                Value::Long(i64::try_from(self.latency_target_ms).unwrap_or(i64::MAX))
            }
            _ => return None,
        };
        Some(value.to_string())
    }
}

#[cfg(test)]
mod tests;
