//! The tables of configs: Kafka 4.3's names, defaults and ranges.

/// One config.
#[derive(Clone, Copy, Debug)]
pub struct ConfigEntry {
    pub name: &'static str,
    /// Broker configs that give the default for all topics, the first that is set wins.
    pub broker_synonyms: &'static [BrokerSynonym],
    pub kind: ConfigType,
    /// In text form; `None` for a config without a default.
    pub default: Option<&'static str>,
    pub validator: Validator,
    /// One line for users.
    pub doc: &'static str,
    /// Accepted, but not shown.
    pub is_hidden: bool,
}

/// A broker config that gives a topic config its default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BrokerSynonym {
    pub name: &'static str,
    /// How many units of the topic config one unit of this one is: 3,600,000 for hours of a config in milliseconds.
    pub unit: i64,
}

/// Types of values, as DescribeConfigs reports them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigType {
    Boolean,
    Text,
    Int,
    Long,
    Double,
    List,
}

/// What values are valid beyond their type.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Validator {
    Any,
    AtLeast(i64),
    /// Both inclusive.
    Between(i64, i64),
    /// Both inclusive.
    RatioBetween(f64, f64),
    /// 1 to 9, or -1 for the codec's default.
    GzipLevel,
    OneOf(&'static [&'static str]),
    /// Every item of a list is one of these; the empty list is valid.
    ItemsOf(&'static [&'static str]),
}

impl ConfigEntry {
    /// The topic config of this name.
    pub fn topic(name: &str) -> Option<&'static ConfigEntry> {
        TOPIC_CONFIGS.iter().find(|entry| entry.name == name)
    }
}

const MINUTES: i64 = 60_000;
const HOURS: i64 = 3_600_000;

const fn same_unit(name: &'static str) -> BrokerSynonym {
    BrokerSynonym { name, unit: 1 }
}

const fn entry(
    name: &'static str,
    kind: ConfigType,
    default: &'static str,
    validator: Validator,
    broker_synonyms: &'static [BrokerSynonym],
    doc: &'static str,
) -> ConfigEntry {
    ConfigEntry {
        name,
        broker_synonyms,
        kind,
        default: Some(default),
        validator,
        doc,
        is_hidden: false,
    }
}

use ConfigType::{Boolean, Double, Int, List, Long, Text};
use Validator::{Any, AtLeast, Between, GzipLevel, ItemsOf, OneOf, RatioBetween};

/// All topic configs, sorted by name.
#[rustfmt::skip]
pub const TOPIC_CONFIGS: &[ConfigEntry] = &[
    entry("cleanup.policy", List, "delete", ItemsOf(&["compact", "delete"]), &[same_unit("log.cleanup.policy")],
        "What happens to old records: compact keeps the last value of every key, delete drops old segments, both do both, and none keeps everything."),
    entry("compression.gzip.level", Int, "-1", GzipLevel, &[same_unit("compression.gzip.level")],
        "Level of gzip when compression.type is gzip."),
    entry("compression.lz4.level", Int, "9", Between(1, 17), &[same_unit("compression.lz4.level")],
        "Level of lz4 when compression.type is lz4."),
    entry("compression.type", Text, "producer", OneOf(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]), &[same_unit("compression.type")],
        "Codec of the batches on disk; producer keeps the codec that the producer chose."),
    entry("compression.zstd.level", Int, "3", Between(-131_072, 22), &[same_unit("compression.zstd.level")],
        "Level of zstd when compression.type is zstd."),
    entry("delete.retention.ms", Long, "86400000", AtLeast(0), &[same_unit("log.cleaner.delete.retention.ms")],
        "How long a tombstone of a compacted topic can still be read after the cleaning that first kept it."),
    entry("file.delete.delay.ms", Long, "60000", AtLeast(0), &[same_unit("log.segment.delete.delay.ms")],
        "Kept and shown, without effect: the files of a removed segment go at once, and who reads them reads on."),
    entry("flush.messages", Long, "9223372036854775807", AtLeast(1), &[same_unit("log.flush.interval.messages")],
        "Kept and shown, without effect: every append is synced before readers see it."),
    entry("flush.ms", Long, "9223372036854775807", AtLeast(0), &[same_unit("log.flush.interval.ms"), same_unit("log.flush.scheduler.interval.ms")],
        "Kept and shown, without effect: every append is synced before readers see it."),
    entry("follower.replication.throttled.replicas", List, "", Any, &[],
        "Accepted for the sake of tools; a single broker does not replicate."),
    entry("index.interval.bytes", Int, "4096", AtLeast(0), &[same_unit("log.index.interval.bytes")],
        "Bytes of log between two index entries."),
    ConfigEntry { name: "internal.segment.bytes", broker_synonyms: &[], kind: Int, default: None, validator: AtLeast(1), is_hidden: true,
        doc: "Overrides segment.bytes without its minimum, for tests." },
    entry("lastword.compaction.rebatch", Boolean, "true", Any, &[same_unit("lastword.compaction.rebatch")],
        "Cleaning puts what survives in small batches together into large ones, compressed as compression.type says."),
    entry("lastword.fetch.view", Text, "log", OneOf(&["log", "state"]), &[same_unit("lastword.fetch.view")],
        "What fetches of the topic are served: log is every record, state leaves out those that a newer one of the same key has superseded."),
    entry("leader.replication.throttled.replicas", List, "", Any, &[],
        "Accepted for the sake of tools; a single broker does not replicate."),
    entry("local.retention.bytes", Long, "-2", AtLeast(-2), &[same_unit("log.local.retention.bytes")],
        "Accepted for the sake of tools; there is no tiered storage."),
    entry("local.retention.ms", Long, "-2", AtLeast(-2), &[same_unit("log.local.retention.ms")],
        "Accepted for the sake of tools; there is no tiered storage."),
    entry("max.compaction.lag.ms", Long, "9223372036854775807", AtLeast(1), &[same_unit("log.cleaner.max.compaction.lag.ms")],
        "A record is considered for cleaning at the latest after this time, whatever the dirty ratio."),
    entry("max.message.bytes", Int, "1048588", AtLeast(0), &[same_unit("message.max.bytes")],
        "Largest record batch that a producer may send."),
    entry("message.timestamp.after.max.ms", Long, "3600000", AtLeast(0), &[same_unit("log.message.timestamp.after.max.ms")],
        "How far ahead of the broker's clock a record's timestamp may be."),
    entry("message.timestamp.before.max.ms", Long, "9223372036854775807", AtLeast(0), &[same_unit("log.message.timestamp.before.max.ms")],
        "How far behind the broker's clock a record's timestamp may be."),
    entry("message.timestamp.type", Text, "CreateTime", OneOf(&["CreateTime", "LogAppendTime"]), &[same_unit("log.message.timestamp.type")],
        "Whether a record's timestamp is set by its producer or by the broker."),
    entry("min.cleanable.dirty.ratio", Double, "0.5", RatioBetween(0.0, 1.0), &[same_unit("log.cleaner.min.cleanable.ratio")],
        "A log is cleaned when more than this share of it was written since it was last cleaned."),
    entry("min.compaction.lag.ms", Long, "0", AtLeast(0), &[same_unit("log.cleaner.min.compaction.lag.ms")],
        "A record stays uncompacted for at least this time."),
    entry("min.insync.replicas", Int, "1", AtLeast(1), &[same_unit("min.insync.replicas")],
        "Accepted for the sake of tools; a single broker has one replica."),
    entry("preallocate", Boolean, "false", Any, &[same_unit("log.preallocate")],
        "Accepted for the sake of tools; files grow as they are written."),
    entry("remote.log.copy.disable", Boolean, "false", Any, &[],
        "Accepted for the sake of tools; there is no tiered storage."),
    entry("remote.log.delete.on.disable", Boolean, "false", Any, &[],
        "Accepted for the sake of tools; there is no tiered storage."),
    entry("remote.storage.enable", Boolean, "false", Any, &[],
        "There is no tiered storage: only false is accepted."),
    entry("retention.bytes", Long, "-1", Any, &[same_unit("log.retention.bytes")],
        "Size of a partition above which its oldest segments are deleted, if the policy has delete; -1 for no limit."),
    entry("retention.ms", Long, "604800000", AtLeast(-1), &[same_unit("log.retention.ms"), BrokerSynonym { name: "log.retention.minutes", unit: MINUTES }, BrokerSynonym { name: "log.retention.hours", unit: HOURS }],
        "Age at which a segment is deleted, if the policy has delete; -1 for no limit."),
    entry("segment.bytes", Int, "1073741824", AtLeast(1 << 20), &[same_unit("log.segment.bytes")],
        "Size at which a new segment is rolled."),
    entry("segment.index.bytes", Int, "10485760", AtLeast(4), &[same_unit("log.index.size.max.bytes")],
        "Size of an index at which a new segment is rolled."),
    entry("segment.jitter.ms", Long, "0", AtLeast(0), &[same_unit("log.roll.jitter.ms"), BrokerSynonym { name: "log.roll.jitter.hours", unit: HOURS }],
        "Upper limit of a random time by which a segment is rolled early, so that many do not roll at once."),
    entry("segment.ms", Long, "604800000", AtLeast(1), &[same_unit("log.roll.ms"), BrokerSynonym { name: "log.roll.hours", unit: HOURS }],
        "Age at which a new segment is rolled."),
    entry("unclean.leader.election.enable", Boolean, "false", Any, &[same_unit("unclean.leader.election.enable")],
        "Accepted for the sake of tools; a single broker has one replica."),
];

/// The broker's configs of the cleaner, sorted by name. Those that are defaults of topic configs are synonyms above.
#[rustfmt::skip]
pub const CLEANER_CONFIGS: &[ConfigEntry] = &[
    entry("lastword.cleaner.latency.target.ms", Long, "20", AtLeast(0), &[],
        "Cleaning slows down while more than one in a hundred produce and fetch requests and syncs take longer than this; 0 for never."),
    entry("lastword.cleaner.order", Text, "dirty-ratio", OneOf(&["dirty-ratio", "benefit"]), &[],
        "Which log is cleaned first: the one with the largest dirty share, or the one with the most dead bytes per byte to copy."),
    entry("log.cleaner.backoff.ms", Long, "15000", AtLeast(0), &[],
        "How long a cleaner thread waits when there was nothing to clean."),
    entry("log.cleaner.dedupe.buffer.size", Long, "134217728", AtLeast(0), &[],
        "Memory for joining and building key indexes, shared by all cleaner threads and the one that builds indexes."),
    entry("log.cleaner.enable", Boolean, "true", Any, &[],
        "Whether compacted topics are cleaned."),
    entry("log.cleaner.io.buffer.load.factor", Double, "0.9", Any, &[],
        "Accepted for the sake of tools; a plan has no hash table of all keys that could fill."),
    entry("log.cleaner.io.buffer.size", Int, "524288", AtLeast(0), &[],
        "Accepted for the sake of tools; buffers for reading and writing have fixed sizes."),
    entry("log.cleaner.io.max.bytes.per.second", Double, "1.7976931348623157E308", Any, &[],
        "Bytes that all cleaner threads together read and write in a second."),
    entry("log.cleaner.threads", Int, "1", AtLeast(0), &[],
        "Number of cleaner threads."),
];
