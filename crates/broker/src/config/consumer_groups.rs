//! The `group.consumer.*` configs and `group.coordinator.rebalance.protocols`.

use lastword_coordinator::{ConsumerAssignor, MigrationPolicy};

use super::{ConfigError, Values};

/// The configs of groups of the consumer protocol (KIP-848).
#[derive(Clone, Debug)]
pub struct ConsumerGroupSettings {
    /// Whether `group.coordinator.rebalance.protocols` has `consumer`.
    pub is_enabled: bool,
    /// `group.consumer.session.timeout.ms`.
    pub session_timeout_ms: i32,
    /// `group.consumer.min.session.timeout.ms` and `group.consumer.max.session.timeout.ms`.
    pub session_timeout_range_ms: (i32, i32),
    /// `group.consumer.heartbeat.interval.ms`.
    pub heartbeat_interval_ms: i32,
    /// `group.consumer.min.heartbeat.interval.ms` and `group.consumer.max.heartbeat.interval.ms`.
    pub heartbeat_interval_range_ms: (i32, i32),
    /// `group.consumer.assignment.interval.ms`.
    pub assignment_interval_ms: i32,
    /// `group.consumer.min.assignment.interval.ms` and `group.consumer.max.assignment.interval.ms`.
    pub assignment_interval_range_ms: (i32, i32),
    /// `group.consumer.max.size`.
    pub max_size: i32,
    /// `group.consumer.assignors`, the default first.
    pub assignors: Vec<ConsumerAssignor>,
    /// `group.consumer.migration.policy`.
    pub migration_policy: MigrationPolicy,
    /// `group.consumer.regex.refresh.interval.ms`.
    pub regex_refresh_interval_ms: i32,
}

pub(super) fn consumer_group_settings(
    values: &Values<'_>,
) -> Result<ConsumerGroupSettings, ConfigError> {
    let (session_timeout_ms, session_timeout_range_ms) = ranged(values, "session.timeout.ms")?;
    let (heartbeat_interval_ms, heartbeat_interval_range_ms) =
        ranged(values, "heartbeat.interval.ms")?;
    let (assignment_interval_ms, assignment_interval_range_ms) =
        ranged(values, "assignment.interval.ms")?;
    if heartbeat_interval_ms >= session_timeout_ms {
        return Err(ConfigError::new(
            "group.consumer.heartbeat.interval.ms",
            &heartbeat_interval_ms.to_string(),
            "must be less than group.consumer.session.timeout.ms",
        ));
    }
    Ok(ConsumerGroupSettings {
        is_enabled: is_enabled(values)?,
        session_timeout_ms,
        session_timeout_range_ms,
        heartbeat_interval_ms,
        heartbeat_interval_range_ms,
        assignment_interval_ms,
        assignment_interval_range_ms,
        max_size: values.int("group.consumer.max.size")?,
        assignors: assignors(values)?,
        migration_policy: migration_policy(values)?,
        regex_refresh_interval_ms: values.int("group.consumer.regex.refresh.interval.ms")?,
    })
}

/// A config with the range that it and the configs of groups must stay in.
fn ranged(values: &Values<'_>, name: &str) -> Result<(i32, (i32, i32)), ConfigError> {
    let own = format!("group.consumer.{name}");
    let value = values.int(&own)?;
    let min = values.int(&format!("group.consumer.min.{name}"))?;
    let max = values.int(&format!("group.consumer.max.{name}"))?;
    if (min..=max).contains(&value) {
        return Ok((value, (min, max)));
    }
    let reason = format!(
        "must be between group.consumer.min.{name}={min} and group.consumer.max.{name}={max}"
    );
    Err(ConfigError::new(&own, &value.to_string(), reason))
}

fn list(values: &Values<'_>, name: &str) -> Result<Vec<String>, ConfigError> {
    let (_, text) = values.entry_and_text(name)?;
    let names = text.split(',').map(|name| name.trim().to_lowercase());
    Ok(names.filter(|name| !name.is_empty()).collect())
}

fn is_enabled(values: &Values<'_>) -> Result<bool, ConfigError> {
    const NAME: &str = "group.coordinator.rebalance.protocols";
    let protocols = list(values, NAME)?;
    let invalid = |reason| Err(ConfigError::new(NAME, &protocols.join(","), reason));
    for protocol in &protocols {
        // Kafka's own default names the last two; groups of those kinds are not served.
        if !["classic", "consumer", "streams", "share"].contains(&protocol.as_str()) {
            return invalid("knows classic, consumer, streams and share");
        }
    }
    if !protocols.iter().any(|protocol| protocol == "classic") {
        return invalid("must contain classic");
    }
    Ok(protocols.iter().any(|protocol| protocol == "consumer"))
}

fn assignors(values: &Values<'_>) -> Result<Vec<ConsumerAssignor>, ConfigError> {
    const NAME: &str = "group.consumer.assignors";
    let names = list(values, NAME)?;
    let mut assignors = Vec::new();
    for name in &names {
        match ConsumerAssignor::by_name(name) {
            Some(assignor) if !assignors.contains(&assignor) => assignors.push(assignor),
            Some(_) => return Err(ConfigError::new(NAME, name, "is named twice")),
            None => return Err(ConfigError::new(NAME, name, "knows uniform and range")),
        }
    }
    if assignors.is_empty() {
        return Err(ConfigError::new(NAME, "", "must name an assignor"));
    }
    Ok(assignors)
}

fn migration_policy(values: &Values<'_>) -> Result<MigrationPolicy, ConfigError> {
    const NAME: &str = "group.consumer.migration.policy";
    let (_, text) = values.entry_and_text(NAME)?;
    match text.to_lowercase().as_str() {
        "bidirectional" => Ok(MigrationPolicy::Bidirectional),
        "upgrade" => Ok(MigrationPolicy::Upgrade),
        "downgrade" => Ok(MigrationPolicy::Downgrade),
        "disabled" => Ok(MigrationPolicy::Disabled),
        _ => Err(ConfigError::new(
            NAME,
            &text,
            "must be bidirectional, upgrade, downgrade or disabled",
        )),
    }
}
