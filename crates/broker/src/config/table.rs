//! The broker's own configs, and the names of Kafka's that are accepted or refused without effect.

use lastword_storage::config::ConfigType::{self, Boolean, Int, List, Long, Text};

use super::ConfigError;

/// When a config of the broker can be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Update {
    /// Before the broker starts.
    AtStart,
    /// While it runs.
    AtOnce,
    /// At any time, without effect: it means nothing on one broker.
    Idle,
}

/// One config of the broker.
#[derive(Clone, Copy, Debug)]
pub struct BrokerConfigEntry {
    /// Kafka's name.
    pub name: &'static str,
    /// Its type.
    pub kind: ConfigType,
    /// In text form; empty for none.
    pub default: &'static str,
    /// The smallest valid number.
    pub min: i64,
    /// The largest valid number.
    pub max: i64,
    /// When it can be set.
    pub update: Update,
    /// One line for users.
    pub doc: &'static str,
}

impl BrokerConfigEntry {
    /// The config of this name.
    pub fn find(name: &str) -> Option<&'static BrokerConfigEntry> {
        BROKER_CONFIGS.iter().find(|entry| entry.name == name)
    }

    /// Whether this is a valid value.
    pub fn check(&self, text: &str) -> Result<(), ConfigError> {
        match self.kind {
            ConfigType::Int | ConfigType::Long => self.number(text).map(|_| ()),
            ConfigType::Boolean => self.boolean(text).map(|_| ()),
            ConfigType::Text | ConfigType::List | ConfigType::Double => Ok(()),
        }
    }

    pub(super) fn number(&self, text: &str) -> Result<i64, ConfigError> {
        let text = text.trim();
        let value: i64 = text
            .parse()
            .map_err(|_| ConfigError::new(self.name, text, "is not a whole number"))?;
        if value < self.min || value > self.max {
            let reason = format!("must be between {} and {}", self.min, self.max);
            return Err(ConfigError::new(self.name, text, reason));
        }
        Ok(value)
    }

    pub(super) fn boolean(&self, text: &str) -> Result<bool, ConfigError> {
        match text.trim().to_ascii_lowercase().as_str() {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(ConfigError::new(
                self.name,
                text,
                "is neither true nor false",
            )),
        }
    }
}

const INT_MAX: i64 = i32::MAX as i64;

const fn entry(
    name: &'static str,
    kind: ConfigType,
    default: &'static str,
    (min, max): (i64, i64),
    doc: &'static str,
) -> BrokerConfigEntry {
    BrokerConfigEntry {
        name,
        kind,
        default,
        min,
        max,
        update: Update::AtStart,
        doc,
    }
}

const fn dynamic(entry: BrokerConfigEntry) -> BrokerConfigEntry {
    BrokerConfigEntry {
        update: Update::AtOnce,
        ..entry
    }
}

const fn idle(
    name: &'static str,
    kind: ConfigType,
    default: &'static str,
    range: (i64, i64),
) -> BrokerConfigEntry {
    BrokerConfigEntry {
        update: Update::Idle,
        ..entry(
            name,
            kind,
            default,
            range,
            "Accepted for the sake of tools; without effect on a single broker of this kind.",
        )
    }
}

const ANY: (i64, i64) = (i64::MIN, i64::MAX);
const POSITIVE: (i64, i64) = (1, INT_MAX);
const NOT_NEGATIVE: (i64, i64) = (0, INT_MAX);

/// The configs of the broker itself, sorted by name.
#[rustfmt::skip]
pub const BROKER_CONFIGS: &[BrokerConfigEntry] = &[
    entry("add.partitions.to.txn.retry.backoff.max.ms", Int, "100", NOT_NEGATIVE, "How long a produce waits for the end of the previous transaction before its client is told to try again."),
    entry("add.partitions.to.txn.retry.backoff.ms", Int, "20", POSITIVE, "How often it asks meanwhile."),
    entry("advertised.listeners", Text, "", ANY, "Where clients are told to connect."),
    entry("auto.create.topics.enable", Boolean, "true", ANY, "Whether a topic is created when a client asks for its metadata."),
    idle("background.threads", Int, "10", POSITIVE),
    entry("broker.id", Int, "1", NOT_NEGATIVE, "The older name of node.id."),
    entry("broker.rack", Text, "", ANY, "The rack of this broker, for clients."),
    entry("connections.max.idle.ms", Long, "600000", ANY, "A connection without requests for this long is closed; negative for never."),
    entry("delete.topic.enable", Boolean, "true", ANY, "Whether topics can be deleted."),
    entry("fetch.max.bytes", Int, "57671680", (1024, INT_MAX), "Largest answer to one fetch request."),
    idle("follower.replication.throttled.rate", Long, "9223372036854775807", (0, i64::MAX)),
    entry("group.consumer.assignment.interval.ms", Int, "1000", NOT_NEGATIVE, "Shortest time between two target assignments of a consumer group."),
    entry("group.consumer.assignors", List, "uniform,range", ANY, "The server-side assignors of consumer groups, the default first."),
    entry("group.consumer.heartbeat.interval.ms", Int, "5000", POSITIVE, "How often members of consumer groups send heartbeats."),
    entry("group.consumer.max.assignment.interval.ms", Int, "15000", NOT_NEGATIVE, "Largest consumer.assignment.interval.ms of a group."),
    entry("group.consumer.max.heartbeat.interval.ms", Int, "15000", POSITIVE, "Largest consumer.heartbeat.interval.ms of a group."),
    entry("group.consumer.max.session.timeout.ms", Int, "60000", POSITIVE, "Largest consumer.session.timeout.ms of a group."),
    entry("group.consumer.max.size", Int, "2147483647", POSITIVE, "Most members of a consumer group."),
    entry("group.consumer.migration.policy", Text, "bidirectional", ANY, "Between which protocols a group with members may move."),
    entry("group.consumer.min.assignment.interval.ms", Int, "0", NOT_NEGATIVE, "Smallest consumer.assignment.interval.ms of a group."),
    entry("group.consumer.min.heartbeat.interval.ms", Int, "5000", POSITIVE, "Smallest consumer.heartbeat.interval.ms of a group."),
    entry("group.consumer.min.session.timeout.ms", Int, "45000", POSITIVE, "Smallest consumer.session.timeout.ms of a group."),
    entry("group.consumer.regex.refresh.interval.ms", Int, "600000", (10_000, INT_MAX), "How often regular expressions are resolved when no topic is created."),
    entry("group.consumer.session.timeout.ms", Int, "45000", POSITIVE, "How long a member of a consumer group may be silent."),
    entry("group.coordinator.rebalance.protocols", List, "classic,consumer", ANY, "The group protocols that are served: classic, consumer."),
    entry("group.initial.rebalance.delay.ms", Int, "3000", NOT_NEGATIVE, "How long the first rebalance of a group waits for more members."),
    entry("group.max.session.timeout.ms", Int, "1800000", POSITIVE, "Longest session timeout a member may ask for."),
    entry("group.max.size", Int, "2147483647", POSITIVE, "Most members of a group."),
    entry("group.min.session.timeout.ms", Int, "6000", POSITIVE, "Shortest session timeout a member may ask for."),
    entry("lastword.http.admin.enable", Boolean, "true", ANY, "Whether HTTP requests may change anything, such as start a cleaning."),
    entry("lastword.http.listen", Text, "127.0.0.1:9644", ANY, "The address of the HTTP server, host:port; off for none."),
    entry("lastword.insecure.listen", Boolean, "false", ANY, "Allows a listener that is not on a loopback address, without authentication."),
    entry("lastword.metrics.partition.limit", Int, "1000", NOT_NEGATIVE, "Above this many partitions the metrics have no series of single ones; groups beyond as many have none either."),
    idle("leader.replication.throttled.rate", Long, "9223372036854775807", (0, i64::MAX)),
    entry("listeners", Text, "PLAINTEXT://127.0.0.1:9092", ANY, "Where to listen, NAME://host:port, several by commas; clients are told the address in advertised.listeners of the one they came by."),
    entry("log.dir", Text, "", ANY, "The data directory, when log.dirs is not set."),
    entry("log.dirs", Text, "lastword-data", ANY, "The data directory; one."),
    entry("log.retention.check.interval.ms", Long, "300000", (1, i64::MAX), "How often retention is applied."),
    dynamic(entry("max.connections", Int, "10000", NOT_NEGATIVE, "Most connections.")),
    dynamic(entry("max.connections.per.ip", Int, "1000", NOT_NEGATIVE, "Most connections from one address.")),
    entry("max.decompressed.message.bytes", Int, "134217728", POSITIVE, "Largest decompressed batch that is accepted or cleaned."),
    entry("max.incremental.fetch.session.cache.slots", Int, "1000", NOT_NEGATIVE, "Most incremental fetch sessions."),
    entry("max.request.partition.size.limit", Int, "2000", POSITIVE, "Most partitions in one answer to DescribeTopicPartitions."),
    entry("node.id", Int, "1", NOT_NEGATIVE, "The id of this broker."),
    idle("num.io.threads", Int, "8", POSITIVE),
    idle("num.network.threads", Int, "3", POSITIVE),
    entry("num.partitions", Int, "1", POSITIVE, "Partitions of a topic that is created without a number."),
    dynamic(entry("num.recovery.threads.per.data.dir", Int, "2", POSITIVE, "Threads that recover logs at start-up.")),
    idle("num.replica.fetchers", Int, "1", POSITIVE),
    entry("offset.metadata.max.bytes", Int, "4096", NOT_NEGATIVE, "Longest metadata of a committed offset."),
    entry("offsets.retention.check.interval.ms", Long, "600000", (1, i64::MAX), "How often expired offsets are looked for."),
    entry("offsets.retention.minutes", Int, "10080", POSITIVE, "How long the offsets of an empty group are kept."),
    entry("offsets.topic.num.partitions", Int, "50", POSITIVE, "Partitions of __consumer_offsets, when it is created."),
    entry("offsets.topic.segment.bytes", Int, "104857600", (1 << 20, INT_MAX), "Segment size of __consumer_offsets."),
    dynamic(entry("producer.id.expiration.ms", Int, "86400000", POSITIVE, "How long an idle producer's sequence numbers are remembered.")),
    entry("queued.max.request.bytes", Long, "-1", ANY, "Bytes of requests in work over all connections; -1 for 128 MiB."),
    idle("replica.alter.log.dirs.io.max.bytes.per.second", Long, "9223372036854775807", (0, i64::MAX)),
    entry("socket.request.max.bytes", Int, "104857600", (1024, INT_MAX), "Largest request."),
    entry("transaction.abort.timed.out.transaction.cleanup.interval.ms", Int, "10000", POSITIVE, "How often transactions that have been open for too long are looked for and aborted."),
    entry("transaction.max.timeout.ms", Int, "900000", POSITIVE, "Longest transaction timeout a producer may ask for."),
    entry("transaction.partition.verification.enable", Boolean, "true", ANY, "Whether a partition asks the transaction coordinator before a transaction is opened in it."),
    entry("transaction.remove.expired.transaction.cleanup.interval.ms", Int, "3600000", POSITIVE, "How often expired transactional ids are looked for and removed."),
    entry("transaction.state.log.num.partitions", Int, "50", POSITIVE, "Partitions of __transaction_state, when it is created."),
    entry("transaction.state.log.segment.bytes", Int, "104857600", (1 << 20, INT_MAX), "Segment size of __transaction_state."),
    entry("transaction.two.phase.commit.enable", Boolean, "false", ANY, "Kept and shown, without effect: no client can ask for a two-phase commit yet (KIP-939)."),
    entry("transactional.id.expiration.ms", Int, "604800000", POSITIVE, "How long an idle transactional id is remembered."),
];

/// Names of Kafka's that have no meaning on a single broker of this kind.
const IGNORED: &[&str] = &[
    "alter.config.policy.class.name",
    "auto.include.jmx.reporter",
    "auto.leader.rebalance.enable",
    "broker.heartbeat.interval.ms",
    "broker.id.generation.enable",
    "broker.session.timeout.ms",
    "connections.max.reauth.ms",
    "create.topic.policy.class.name",
    "default.replication.factor",
    "early.start.listeners",
    "group.consumer.assignor.offload.enable",
    "initial.broker.registration.timeout.ms",
    "inter.broker.listener.name",
    "inter.broker.protocol.version",
    "leader.imbalance.check.interval.seconds",
    "leader.imbalance.per.broker.percentage",
    "listener.security.protocol.map",
    "log.dir.failure.timeout.ms",
    "log.flush.offset.checkpoint.interval.ms",
    "log.flush.start.offset.checkpoint.interval.ms",
    "log.initial.task.delay.ms",
    "log.message.downconversion.enable",
    "log.message.format.version",
    "max.connection.creation.rate",
    "max.connections.per.ip.overrides",
    "num.replica.alter.log.dirs.threads",
    "offsets.commit.required.acks",
    "offsets.commit.timeout.ms",
    "offsets.load.buffer.size",
    "offsets.topic.compression.codec",
    "offsets.topic.replication.factor",
    "process.roles",
    "producer.id.expiration.check.interval.ms",
    "queued.max.requests",
    "reserved.broker.max.id",
    "server.max.startup.time.ms",
    "socket.listen.backlog.size",
    "socket.receive.buffer.bytes",
    "socket.send.buffer.bytes",
    "telemetry.max.bytes",
    "transaction.state.log.load.buffer.size",
    "transaction.state.log.min.isr",
    "transaction.state.log.replication.factor",
    "unstable.api.versions.enable",
    "unstable.feature.versions.enable",
];

/// First parts of such names.
pub(super) const IGNORED_PREFIXES: &[&str] = &[
    "alter.log.dirs.replication.",
    "client.quota.",
    "confluent.",
    "controlled.shutdown.",
    "controller.",
    "delegation.token.",
    "eligible.leader.",
    "errors.",
    "fetch.purgatory.",
    "group.coordinator.",
    "group.share.",
    "group.streams.",
    "kafka.metrics.",
    "metadata.",
    "metric.",
    "metrics.",
    "producer.purgatory.",
    "quota.",
    "quorum.",
    "remote.",
    "replica.",
    "replication.",
    "request.timeout",
    "share.coordinator.",
    "delete.records.purgatory.",
    "zookeeper.",
];

/// First parts of names that ask for security. Serving without it would fail open.
pub(super) const REFUSED_PREFIXES: &[&str] = &[
    "allow.everyone.if.no.acl.found",
    "authorizer.",
    "listener.name.",
    "password.encoder.",
    "principal.builder.",
    "sasl.",
    "security.",
    "ssl.",
    "super.users",
];

pub(super) fn is_ignored(name: &str) -> bool {
    IGNORED.contains(&name)
        || IGNORED_PREFIXES
            .iter()
            .any(|prefix| name.starts_with(prefix))
}

pub(super) fn is_refused(name: &str) -> bool {
    REFUSED_PREFIXES
        .iter()
        .any(|prefix| name.starts_with(prefix))
}

pub(super) fn ignored_names() -> impl Iterator<Item = &'static str> {
    IGNORED.iter().copied()
}
