//! The configs of groups (KIP-848) and of client-metrics subscriptions (KIP-714).
//!
//! A group's configs are looked up by the group coordinator. No telemetry is collected, so a subscription is kept and
//! described, as Kafka without a metrics plug-in does. Configs of share and streams groups are not known: there are no
//! such groups.

use lastword_protocol::ErrorCode;
use lastword_storage::config::{BrokerSynonym, ConfigEntry, ConfigType, Validator};

use super::{ConfigSource, ConfigView, Synonym};
use crate::broker::Broker;
use crate::error_map::ApiError;
use crate::metadata::{ConfigOwner, Properties};

/// What can be kept in all: each has a name that a client chose.
const MAX_OWNERS: usize = 10_000;
/// A value's length, as in Kafka.
const MAX_VALUE_BYTES: usize = 32_767;

const fn entry(
    name: &'static str,
    kind: ConfigType,
    default: &'static str,
    validator: Validator,
    doc: &'static str,
) -> ConfigEntry {
    ConfigEntry {
        name,
        broker_synonyms: &[],
        kind,
        default: Some(default),
        validator,
        doc,
        is_hidden: false,
    }
}

#[rustfmt::skip]
const CLIENT_METRICS: &[ConfigEntry] = &[
    entry("interval.ms", ConfigType::Int, "300000", Validator::Between(100, 3_600_000),
        "How often a client pushes its metrics."),
    entry("match", ConfigType::List, "", Validator::Any,
        "Which clients the subscription is for, as client_id=REGEX and the like; none for all."),
    entry("metrics", ConfigType::List, "", Validator::Any,
        "First parts of the names of the metrics wanted; * for all."),
];

const fn of_group(
    name: &'static str,
    broker_synonyms: &'static [BrokerSynonym],
    default: &'static str,
    validator: Validator,
    doc: &'static str,
) -> ConfigEntry {
    ConfigEntry {
        broker_synonyms,
        ..entry(name, ConfigType::Int, default, validator, doc)
    }
}

const SESSION_TIMEOUT: &[BrokerSynonym] = &[BrokerSynonym {
    name: "group.consumer.session.timeout.ms",
    unit: 1,
}];
const ASSIGNMENT_INTERVAL: &[BrokerSynonym] = &[BrokerSynonym {
    name: "group.consumer.assignment.interval.ms",
    unit: 1,
}];
const HEARTBEAT_INTERVAL: &[BrokerSynonym] = &[BrokerSynonym {
    name: "group.consumer.heartbeat.interval.ms",
    unit: 1,
}];

#[rustfmt::skip]
const GROUP: &[ConfigEntry] = &[
    of_group("consumer.assignment.interval.ms", ASSIGNMENT_INTERVAL, "1000", Validator::AtLeast(0),
        "Shortest time between two target assignments of a group of the consumer protocol."),
    of_group("consumer.heartbeat.interval.ms", HEARTBEAT_INTERVAL, "5000", Validator::AtLeast(1),
        "How often a member of the consumer protocol sends a heartbeat."),
    of_group("consumer.session.timeout.ms", SESSION_TIMEOUT, "45000", Validator::AtLeast(1),
        "How long a member of the consumer protocol may be silent before it is taken out of the group."),
];

/// The broker's limits of a group's config, with their defaults.
type Limits = (&'static str, (&'static str, i64), (&'static str, i64));

const GROUP_LIMITS: &[Limits] = &[
    (
        "consumer.assignment.interval.ms",
        ("group.consumer.min.assignment.interval.ms", 0),
        ("group.consumer.max.assignment.interval.ms", 15_000),
    ),
    (
        "consumer.heartbeat.interval.ms",
        ("group.consumer.min.heartbeat.interval.ms", 5_000),
        ("group.consumer.max.heartbeat.interval.ms", 15_000),
    ),
    (
        "consumer.session.timeout.ms",
        ("group.consumer.min.session.timeout.ms", 45_000),
        ("group.consumer.max.session.timeout.ms", 60_000),
    ),
];

/// What a client may match on.
const MATCH_KEYS: &[&str] = &[
    "client_instance_id",
    "client_id",
    "client_software_name",
    "client_software_version",
    "client_source_address",
    "client_source_port",
];

/// Every config of a group or subscription.
pub fn owned_configs(broker: &Broker, owner: ConfigOwner, name: &str) -> Vec<ConfigView> {
    let image = broker.metadata.image();
    let set = image.owned_configs(owner, name);
    table(owner)
        .iter()
        .map(|entry| {
            let own = set.and_then(|set| set.get(entry.name));
            let mut synonyms = of_broker(broker, entry);
            if let Some(own) = own {
                let source = match owner {
                    ConfigOwner::Group => ConfigSource::Group,
                    ConfigOwner::ClientMetrics => ConfigSource::ClientMetrics,
                };
                let value = Some(entry.canonical(own));
                let name = entry.name;
                synonyms.insert(
                    0,
                    Synonym {
                        name,
                        value,
                        source,
                    },
                );
            }
            let strongest = synonyms.first();
            ConfigView {
                name: entry.name,
                value: strongest.map_or(entry.default.map(str::to_owned), |it| it.value.clone()),
                source: strongest.map_or(ConfigSource::Default, |it| it.source),
                read_only: false,
                kind: entry.kind,
                doc: entry.doc,
                synonyms,
            }
        })
        .collect()
}

/// The config of this name.
pub fn owned_entry(owner: ConfigOwner, name: &str) -> Option<&'static ConfigEntry> {
    table(owner).iter().find(|entry| entry.name == name)
}

/// Checks what a group or subscription would have, all of it.
pub fn check_owned_configs(
    broker: &Broker,
    owner: ConfigOwner,
    owner_name: &str,
    next: &Properties,
) -> Result<(), ApiError> {
    let image = broker.metadata.image();
    if image.owned_configs(owner, owner_name).is_none() && image.owners(owner).count() >= MAX_OWNERS
    {
        return Err(ApiError::new(
            ErrorCode::PolicyViolation,
            format!("There are {MAX_OWNERS} with configs already; delete some."),
        ));
    }
    for (name, value) in next {
        let Some(entry) = owned_entry(owner, name) else {
            return Err(unknown(owner, name));
        };
        if value.len() > MAX_VALUE_BYTES {
            return Err(ApiError::new(
                ErrorCode::InvalidConfig,
                format!("The value of {name} is longer than {MAX_VALUE_BYTES} bytes."),
            ));
        }
        check_value(owner, entry, value)?;
        if let Some(limits) = GROUP_LIMITS.iter().find(|limits| limits.0 == name) {
            check_limits(broker, limits, value)?;
        }
    }
    Ok(())
}

fn check_limits(broker: &Broker, limits: &Limits, value: &str) -> Result<(), ApiError> {
    let (name, (min, default_min), (max, default_max)) = *limits;
    let (min_ms, max_ms) = (
        broker_number(broker, min, default_min),
        broker_number(broker, max, default_max),
    );
    let number: i64 = value.trim().parse().unwrap_or_default();
    if (min_ms..=max_ms).contains(&number) {
        return Ok(());
    }
    Err(ApiError::new(
        ErrorCode::InvalidConfig,
        format!("{name}={number} is not between {min}={min_ms} and {max}={max_ms} of the broker."),
    ))
}

fn check_value(owner: ConfigOwner, entry: &ConfigEntry, value: &str) -> Result<(), ApiError> {
    entry.validate(value).map_err(|error| {
        // Kafka tells a number that is out of range from what is no number.
        let is_number = value.trim().parse::<i32>().is_ok();
        let code = match owner {
            ConfigOwner::ClientMetrics if is_number => ErrorCode::InvalidRequest,
            _ => ErrorCode::InvalidConfig,
        };
        ApiError::new(code, error.to_string())
    })?;
    if entry.name == "match" {
        let mut patterns = value
            .split(',')
            .filter(|pattern| !pattern.trim().is_empty());
        let is_valid = |pattern: &str| {
            pattern
                .split_once('=')
                .is_some_and(|(key, regex)| MATCH_KEYS.contains(&key.trim()) && !regex.is_empty())
        };
        if let Some(wrong) = patterns.find(|pattern| !is_valid(pattern)) {
            return Err(ApiError::new(
                ErrorCode::InvalidConfig,
                format!(
                    "{wrong} is no pattern: write client_id=REGEX, with one of {MATCH_KEYS:?}."
                ),
            ));
        }
    }
    Ok(())
}

fn unknown(owner: ConfigOwner, name: &str) -> ApiError {
    let known: Vec<&str> = table(owner).iter().map(|entry| entry.name).collect();
    let code = match owner {
        ConfigOwner::ClientMetrics => ErrorCode::InvalidRequest,
        ConfigOwner::Group => ErrorCode::InvalidConfig,
    };
    ApiError::new(
        code,
        format!("Unknown config {name}: there are {}.", known.join(", ")),
    )
}

fn table(owner: ConfigOwner) -> &'static [ConfigEntry] {
    match owner {
        ConfigOwner::ClientMetrics => CLIENT_METRICS,
        ConfigOwner::Group => GROUP,
    }
}

/// What the broker says of all groups; nothing of subscriptions.
fn of_broker(broker: &Broker, entry: &'static ConfigEntry) -> Vec<Synonym> {
    let Some(name) = entry.broker_synonyms.first().map(|synonym| synonym.name) else {
        return Vec::new();
    };
    let fixed = broker.config.properties();
    let set = fixed.get(name);
    let set = set.map(|text| (text.trim().to_owned(), ConfigSource::StaticBroker));
    let default = entry
        .default
        .map(|text| (text.to_owned(), ConfigSource::Default));
    let found = set.into_iter().chain(default);
    found
        .map(|(value, source)| Synonym {
            name,
            value: Some(value),
            source,
        })
        .collect()
}

/// A whole number of the broker's settings.
fn broker_number(broker: &Broker, name: &str, default: i64) -> i64 {
    let fixed = broker.config.properties();
    let set = fixed.get(name);
    set.and_then(|text| text.trim().parse().ok())
        .unwrap_or(default)
}
