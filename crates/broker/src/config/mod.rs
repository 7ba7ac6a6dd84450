//! `BrokerConfig`: Kafka's `server.properties` names and defaults.
//!
//! Every name is one of: a config of the broker (`table`), a topic default or cleaner config of
//! the log engine, a name that has no meaning on a single broker and is accepted and ignored, or
//! unknown (`names`). What is ignored and what is unknown is for the caller to say: Kafka's files
//! and environments are full of both. Security settings that are not implemented are refused: a
//! broker that is open against its config is worse than one that does not start.

mod consumer_groups;
mod listener;
mod names;
mod problems;
mod properties;
mod reference;
mod table;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use lastword_storage::config::{CleanerConfig, LogConfig};
use thiserror::Error;

pub use consumer_groups::ConsumerGroupSettings;
pub use listener::Listener;
pub use names::{NameKind, is_known, kind_of_name, nearest_name, same_meaning};
pub use problems::{Problem, problems};
pub use properties::{Line, parse_lines, parse_properties};
pub use reference::{Explanation, explain, reference, setting_names};
pub use table::{BROKER_CONFIGS, BrokerConfigEntry, Update};

use crate::metadata::Properties;

/// Why a configuration is refused.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{name}={value}: {reason}")]
pub struct ConfigError {
    /// The config.
    pub name: String,
    /// What it was set to.
    pub value: String,
    /// What is wrong with it.
    pub reason: String,
}

impl ConfigError {
    fn new(name: &str, value: &str, reason: impl Into<String>) -> ConfigError {
        ConfigError {
            name: name.to_owned(),
            value: value.to_owned(),
            reason: reason.into(),
        }
    }
}

impl From<lastword_storage::config::ConfigError> for ConfigError {
    fn from(error: lastword_storage::config::ConfigError) -> ConfigError {
        ConfigError {
            name: error.name,
            value: error.value,
            reason: error.reason,
        }
    }
}

/// The broker's static configuration.
#[derive(Clone, Debug)]
pub struct BrokerConfig {
    /// `node.id`, or the older `broker.id`.
    pub node_id: i32,
    /// The first listener.
    pub listener: Listener,
    /// Where clients are told to connect; port 0 stands for the port that was bound.
    pub advertised: Listener,
    /// Further listeners, each with where clients that came by it are told to connect.
    pub more_listeners: Vec<(Listener, Listener)>,
    /// The HTTP server.
    pub http: HttpSettings,
    /// `log.dirs`, or `log.dir`.
    pub log_dir: String,
    /// `num.partitions`.
    pub num_partitions: i32,
    /// `auto.create.topics.enable`.
    pub auto_create_topics: bool,
    /// `delete.topic.enable`.
    pub delete_topics: bool,
    /// `socket.request.max.bytes`.
    pub max_request_bytes: usize,
    /// `queued.max.request.bytes`: requests in work over all connections.
    pub request_memory_bytes: usize,
    /// `connections.max.idle.ms`.
    pub connections_max_idle: Duration,
    /// `max.connections`.
    pub max_connections: usize,
    /// `max.connections.per.ip`.
    pub max_connections_per_ip: usize,
    /// `fetch.max.bytes`.
    pub fetch_max_bytes: usize,
    /// `max.incremental.fetch.session.cache.slots`.
    pub fetch_session_slots: usize,
    /// `max.request.partition.size.limit`.
    pub max_request_partitions: usize,
    /// `max.decompressed.message.bytes`.
    pub max_decompressed_bytes: usize,
    /// `num.recovery.threads.per.data.dir`.
    pub recovery_threads: usize,
    /// `producer.id.expiration.ms`.
    pub producer_id_expiration_ms: i64,
    /// `log.retention.check.interval.ms`.
    pub retention_check_interval_ms: i64,
    /// `broker.rack`.
    pub rack: Option<String>,
    /// `log.cleaner.*`, without the dynamic ones.
    pub cleaner: CleanerConfig,
    /// Consumer groups.
    pub groups: GroupSettings,
    /// Transactions.
    pub transactions: TransactionSettings,
    /// Names that were accepted and have no effect here.
    pub ignored: Vec<String>,
    /// Names that neither Kafka nor this broker has.
    pub unknown: Vec<String>,
    /// Kafka's cluster id for a directory that has none yet; another one than the directory's is refused.
    pub cluster_id: Option<String>,
    /// Shared by all clones: see [`BrokerConfig::replace_properties`].
    properties: Arc<ArcSwap<Properties>>,
}

/// The configs of the HTTP server, which is a crate of its own.
#[derive(Clone, Debug)]
pub struct HttpSettings {
    /// `lastword.http.listen`; none when it is `off` or empty.
    pub listener: Option<Listener>,
    /// Whether the address was set: only then is it an error that somebody else has it.
    pub is_named: bool,
    /// `lastword.http.admin.enable`.
    pub is_admin_enabled: bool,
    /// `lastword.metrics.partition.limit`.
    pub metrics_partition_limit: usize,
}

/// The configs of consumer groups and their topic.
#[derive(Clone, Debug)]
pub struct GroupSettings {
    /// `offsets.topic.num.partitions`.
    pub topic_partitions: i32,
    /// `offsets.topic.segment.bytes`.
    pub topic_segment_bytes: i64,
    /// `offsets.retention.minutes`, in milliseconds.
    pub offsets_retention_ms: i64,
    /// `offsets.retention.check.interval.ms`.
    pub offsets_retention_check_interval_ms: i64,
    /// `offset.metadata.max.bytes`.
    pub offset_metadata_max_bytes: i32,
    /// `group.min.session.timeout.ms`.
    pub min_session_timeout_ms: i32,
    /// `group.max.session.timeout.ms`.
    pub max_session_timeout_ms: i32,
    /// `group.initial.rebalance.delay.ms`.
    pub initial_rebalance_delay_ms: i32,
    /// `group.max.size`.
    pub max_size: i32,
    /// Groups of the consumer protocol.
    pub consumer: ConsumerGroupSettings,
}

/// The configs of transactions and their topic.
#[derive(Clone, Debug)]
pub struct TransactionSettings {
    /// `transaction.state.log.num.partitions`.
    pub topic_partitions: i32,
    /// `transaction.state.log.segment.bytes`.
    pub topic_segment_bytes: i64,
    /// `transaction.max.timeout.ms`.
    pub max_timeout_ms: i32,
    /// `transactional.id.expiration.ms`.
    pub transactional_id_expiration_ms: i64,
    /// `transaction.abort.timed.out.transaction.cleanup.interval.ms`.
    pub abort_timed_out_interval_ms: i64,
    /// `transaction.remove.expired.transaction.cleanup.interval.ms`.
    pub remove_expired_interval_ms: i64,
    /// `transaction.partition.verification.enable`.
    pub verify_partitions: bool,
    /// `transaction.two.phase.commit.enable`.
    pub two_phase_commit: bool,
    /// `add.partitions.to.txn.retry.backoff.ms`.
    pub add_partitions_backoff: Duration,
    /// `add.partitions.to.txn.retry.backoff.max.ms`: for how long to try again.
    pub add_partitions_patience: Duration,
}

/// Requests in work when `queued.max.request.bytes` is not set.
const DEFAULT_REQUEST_MEMORY_BYTES: usize = 128 << 20;

impl BrokerConfig {
    /// Checks every name and value; see the head of this file.
    pub fn from_properties(properties: &Properties) -> Result<BrokerConfig, ConfigError> {
        let names = names::sort(properties)?;
        let values = Values { properties };
        let mut listeners = Vec::new();
        for listener in listener::client_listeners(properties)? {
            let advertised = listener::advertised_listener(properties, &listener)?;
            listeners.push((listener, advertised));
        }
        // There is at least one.
        let (listener, advertised) = listeners.remove(0);
        let max_request_bytes = values.size("socket.request.max.bytes")?;
        let request_memory_bytes = match values.long("queued.max.request.bytes")? {
            bytes if bytes > 0 => bytes as usize,
            _ => DEFAULT_REQUEST_MEMORY_BYTES,
        };
        refuse_roles(properties)?;
        // The topic defaults are read again with the dynamic configs on top; here they are checked.
        LogConfig::from_broker_properties(properties)?;
        Ok(BrokerConfig {
            node_id: values.int(if properties.contains_key("node.id") {
                "node.id"
            } else {
                "broker.id"
            })?,
            advertised,
            listener,
            more_listeners: listeners,
            http: http_settings(&values)?,
            log_dir: log_dir(properties)?,
            num_partitions: values.int("num.partitions")?,
            auto_create_topics: values.boolean("auto.create.topics.enable")?,
            delete_topics: values.boolean("delete.topic.enable")?,
            max_request_bytes,
            // One request of the largest size must fit, or it would wait for ever.
            request_memory_bytes: request_memory_bytes.max(max_request_bytes),
            connections_max_idle: match values.long("connections.max.idle.ms")? {
                ms if ms >= 0 => Duration::from_millis(ms as u64),
                _ => Duration::from_secs(365 * 86_400),
            },
            max_connections: values.size("max.connections")?,
            max_connections_per_ip: values.size("max.connections.per.ip")?,
            fetch_max_bytes: values.size("fetch.max.bytes")?,
            fetch_session_slots: values.size("max.incremental.fetch.session.cache.slots")?,
            max_request_partitions: values.size("max.request.partition.size.limit")?,
            max_decompressed_bytes: values.size("max.decompressed.message.bytes")?,
            recovery_threads: values.size("num.recovery.threads.per.data.dir")?,
            producer_id_expiration_ms: values.long("producer.id.expiration.ms")?,
            retention_check_interval_ms: values.long("log.retention.check.interval.ms")?,
            rack: values.optional_text("broker.rack"),
            cleaner: CleanerConfig::from_broker_properties(properties)?,
            groups: group_settings(&values)?,
            transactions: transaction_settings(&values)?,
            ignored: names.ignored,
            unknown: names.unknown,
            cluster_id: None,
            properties: Arc::new(ArcSwap::from_pointee(properties.clone())),
        })
    }

    /// What the file and the command line said.
    pub fn properties(&self) -> Arc<Properties> {
        self.properties.load_full()
    }

    /// Other settings of the file, read again: those that can be set on a running broker act from now on, in every place
    /// that asks. What a field here says stays as it is.
    pub(crate) fn replace_properties(&self, properties: Arc<Properties>) -> Arc<Properties> {
        self.properties.swap(properties)
    }

    /// The defaults of all topics: the static configs with the dynamic ones on top.
    pub fn topic_defaults(
        &self,
        dynamic: &Properties,
    ) -> Result<LogConfig, lastword_storage::config::ConfigError> {
        LogConfig::from_broker_properties(&self.with_dynamic(dynamic))
    }

    /// The cleaner's configs: the static ones with the dynamic ones on top.
    pub fn cleaner_config(
        &self,
        dynamic: &Properties,
    ) -> Result<CleanerConfig, lastword_storage::config::ConfigError> {
        CleanerConfig::from_broker_properties(&self.with_dynamic(dynamic))
    }

    /// `max.connections` and `max.connections.per.ip` as they are in force.
    pub fn connection_limits(&self, dynamic: &Properties) -> (usize, usize) {
        let most_per_ip = self.max_connections_per_ip;
        (
            self.number("max.connections", dynamic, self.max_connections),
            self.number("max.connections.per.ip", dynamic, most_per_ip),
        )
    }

    /// `producer.id.expiration.ms` as it is in force.
    pub fn producer_id_expiration_ms(&self, dynamic: &Properties) -> i64 {
        let fixed = self.producer_id_expiration_ms;
        self.number("producer.id.expiration.ms", dynamic, fixed)
    }

    /// `num.recovery.threads.per.data.dir` as it is in force: a dynamic value acts at the next start.
    pub fn recovery_threads(&self, dynamic: &Properties) -> usize {
        let fixed = self.recovery_threads;
        self.number("num.recovery.threads.per.data.dir", dynamic, fixed)
            .max(1)
    }

    /// A dynamic number, or what was set at the start.
    fn number<T: std::str::FromStr>(&self, name: &str, dynamic: &Properties, fixed: T) -> T {
        let properties = self.properties.load();
        let set = dynamic.get(name).or_else(|| properties.get(name));
        let set = set.and_then(|text| text.trim().parse().ok());
        set.unwrap_or(fixed)
    }

    fn with_dynamic(&self, dynamic: &Properties) -> Arc<Properties> {
        let mut properties = self.properties();
        if dynamic.is_empty() {
            return properties;
        }
        Arc::make_mut(&mut properties).extend(
            dynamic
                .iter()
                .map(|(name, value)| (name.clone(), value.clone())),
        );
        properties
    }
}

/// What nobody who says it can mean, of one broker.
fn refuse_roles(properties: &Properties) -> Result<(), ConfigError> {
    const ROLES: &str = "process.roles";
    const TIERED: &str = "remote.log.storage.system.enable";
    let text = |name| properties.get(name).map(|text: &String| text.trim());
    match (text(ROLES), text(TIERED)) {
        (Some("controller"), _) => {
            let reason =
                "a controller alone serves no clients: leave it out, or say broker,controller";
            Err(ConfigError::new(ROLES, "controller", reason))
        }
        (_, Some("true")) => {
            let reason = "there is no tiered storage here: leave it out";
            Err(ConfigError::new(TIERED, "true", reason))
        }
        _ => Ok(()),
    }
}

fn http_settings(values: &Values<'_>) -> Result<HttpSettings, ConfigError> {
    const LISTEN: &str = "lastword.http.listen";
    let (_, text) = values.entry_and_text(LISTEN)?;
    Ok(HttpSettings {
        listener: listener::http_listener(values.properties, &text)?,
        is_named: values.properties.contains_key(LISTEN),
        is_admin_enabled: values.boolean("lastword.http.admin.enable")?,
        metrics_partition_limit: usize::try_from(values.int("lastword.metrics.partition.limit")?)
            .unwrap_or_default(),
    })
}

fn group_settings(values: &Values<'_>) -> Result<GroupSettings, ConfigError> {
    Ok(GroupSettings {
        topic_partitions: values.int("offsets.topic.num.partitions")?,
        topic_segment_bytes: values.long("offsets.topic.segment.bytes")?,
        offsets_retention_ms: values
            .long("offsets.retention.minutes")?
            .saturating_mul(60_000),
        offsets_retention_check_interval_ms: values.long("offsets.retention.check.interval.ms")?,
        offset_metadata_max_bytes: values.int("offset.metadata.max.bytes")?,
        min_session_timeout_ms: values.int("group.min.session.timeout.ms")?,
        max_session_timeout_ms: values.int("group.max.session.timeout.ms")?,
        initial_rebalance_delay_ms: values.int("group.initial.rebalance.delay.ms")?,
        max_size: values.int("group.max.size")?,
        consumer: consumer_groups::consumer_group_settings(values)?,
    })
}

fn transaction_settings(values: &Values<'_>) -> Result<TransactionSettings, ConfigError> {
    let millis = |name| {
        let millis = values.long(name)?;
        Ok::<_, ConfigError>(Duration::from_millis(millis.unsigned_abs()))
    };
    Ok(TransactionSettings {
        topic_partitions: values.int("transaction.state.log.num.partitions")?,
        topic_segment_bytes: values.long("transaction.state.log.segment.bytes")?,
        max_timeout_ms: values.int("transaction.max.timeout.ms")?,
        transactional_id_expiration_ms: values.long("transactional.id.expiration.ms")?,
        abort_timed_out_interval_ms: values
            .long("transaction.abort.timed.out.transaction.cleanup.interval.ms")?,
        remove_expired_interval_ms: values
            .long("transaction.remove.expired.transaction.cleanup.interval.ms")?,
        verify_partitions: values.boolean("transaction.partition.verification.enable")?,
        two_phase_commit: values.boolean("transaction.two.phase.commit.enable")?,
        add_partitions_backoff: millis("add.partitions.to.txn.retry.backoff.ms")?,
        add_partitions_patience: millis("add.partitions.to.txn.retry.backoff.max.ms")?,
    })
}

fn log_dir(properties: &Properties) -> Result<String, ConfigError> {
    let (name, value) = ["log.dirs", "log.dir"]
        .into_iter()
        .find_map(|name| Some((name, properties.get(name)?.as_str())))
        .unwrap_or(("log.dirs", "lastword-data"));
    let value = value.trim();
    if value.is_empty() {
        return Err(ConfigError::new(name, value, "a directory is needed"));
    }
    if value.contains(',') {
        return Err(ConfigError::new(
            name,
            value,
            "one data directory is supported, not several",
        ));
    }
    Ok(value.to_owned())
}

/// Looks values up in the properties, then in the table of defaults.
struct Values<'a> {
    properties: &'a Properties,
}

impl Values<'_> {
    fn entry_and_text(
        &self,
        name: &str,
    ) -> Result<(&'static BrokerConfigEntry, String), ConfigError> {
        let entry = BrokerConfigEntry::find(name)
            .ok_or_else(|| ConfigError::new(name, "", "is not in the table of configs"))?;
        let text = self
            .properties
            .get(name)
            .map_or(entry.default, String::as_str);
        Ok((entry, text.trim().to_owned()))
    }

    fn long(&self, name: &str) -> Result<i64, ConfigError> {
        let (entry, text) = self.entry_and_text(name)?;
        entry.number(&text)
    }

    fn int(&self, name: &str) -> Result<i32, ConfigError> {
        let value = self.long(name)?;
        i32::try_from(value)
            .map_err(|_| ConfigError::new(name, &value.to_string(), "does not fit in 32 bits"))
    }

    fn size(&self, name: &str) -> Result<usize, ConfigError> {
        let value = self.long(name)?;
        usize::try_from(value)
            .map_err(|_| ConfigError::new(name, &value.to_string(), "must not be negative"))
    }

    fn boolean(&self, name: &str) -> Result<bool, ConfigError> {
        let (entry, text) = self.entry_and_text(name)?;
        entry.boolean(&text)
    }

    fn optional_text(&self, name: &str) -> Option<String> {
        self.properties
            .get(name)
            .map(|text| text.trim().to_owned())
            .filter(|text| !text.is_empty())
    }
}

#[cfg(test)]
mod tests;
