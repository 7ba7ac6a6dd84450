//! All that is wrong with some settings, where [`BrokerConfig::from_properties`] stops at the first.

use std::collections::BTreeSet;

use lastword_storage::config::{CLEANER_CONFIGS, CleanerConfig, LogConfig, TOPIC_CONFIGS};

use super::names::{self, NameKind};
use super::{BrokerConfig, BrokerConfigEntry, ConfigError, kind_of_name, nearest_name};
use crate::metadata::Properties;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The setting to look at.
    pub name: String,
    /// What is wrong with it.
    pub reason: String,
    /// Otherwise the broker starts all the same.
    pub is_error: bool,
}

/// Kafka's default, for rules between two settings.
const DEFAULT_MAX_MESSAGE_BYTES: i64 = 1_048_588;
const DEFAULT_SEGMENT_BYTES: i64 = 1 << 30;

/// Everything, by name. An unknown name is an error here, as it is to nobody's benefit.
pub fn problems(properties: &Properties) -> Vec<Problem> {
    let mut found = Vec::new();
    for (name, value) in properties {
        if let Some(error) = of_one(name, value) {
            found.push(error);
        }
    }
    found.extend(between(properties));
    let seen: BTreeSet<String> = found.iter().map(|it| it.name.clone()).collect();
    // What only shows when all of it is put together.
    let mut valid: Properties = properties
        .iter()
        .filter(|(name, _)| !seen.contains(*name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    while let Err(error) = BrokerConfig::from_properties(&valid) {
        let name = as_written(&error.name, properties);
        found.push(problem(&name, error.reason));
        // It stops at the first; without that one it tells the next. One that was not written cannot be left out.
        if valid.remove(&name).is_none() {
            break;
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

fn problem(name: &str, reason: impl Into<String>) -> Problem {
    Problem {
        name: name.to_owned(),
        reason: reason.into(),
        is_error: true,
    }
}

fn of_one(name: &str, value: &str) -> Option<Problem> {
    match kind_of_name(name) {
        NameKind::Honoured => {}
        NameKind::WithoutMeaning => return None,
        NameKind::Refused => {
            return Some(problem(name, names::refused(name, value).reason));
        }
        NameKind::Unknown => {
            let reason = match nearest_name(name) {
                Some(nearest) => format!("unknown setting; did you mean {nearest}?"),
                None => "unknown setting".to_owned(),
            };
            return Some(problem(name, reason));
        }
    }
    let checked = if let Some(entry) = BrokerConfigEntry::find(name) {
        entry.check(value)
    } else {
        let alone = Properties::from([(name.to_owned(), value.to_owned())]);
        let is_cleaners = CLEANER_CONFIGS.iter().any(|entry| entry.name == name);
        match is_cleaners {
            true => CleanerConfig::from_broker_properties(&alone).map(|_| ()),
            false => LogConfig::from_broker_properties(&alone).map(|_| ()),
        }
        .map_err(ConfigError::from)
    };
    let error = checked.err()?;
    Some(problem(name, error.reason))
}

/// Rules between settings, and values that say nothing here.
fn between(properties: &Properties) -> Vec<Problem> {
    let mut found = Vec::new();
    let number = |name: &str| properties.get(name)?.trim().parse::<i64>().ok();
    for (least, most) in [
        (
            "group.min.session.timeout.ms",
            "group.max.session.timeout.ms",
        ),
        (
            "log.cleaner.min.compaction.lag.ms",
            "log.cleaner.max.compaction.lag.ms",
        ),
    ] {
        if let (Some(low), Some(high)) = (number(least), number(most))
            && low > high
        {
            let reason = format!("must not be larger than {most} ({high})");
            found.push(problem(least, reason));
        }
    }
    let segment = number("log.segment.bytes");
    let message = number("message.max.bytes");
    let both = (
        segment.unwrap_or(DEFAULT_SEGMENT_BYTES),
        message.unwrap_or(DEFAULT_MAX_MESSAGE_BYTES),
    );
    if (segment.is_some() || message.is_some()) && both.0 < both.1 {
        let name = match segment {
            Some(_) => "log.segment.bytes",
            None => "message.max.bytes",
        };
        found.push(Problem {
            is_error: false,
            ..problem(
                name,
                format!(
                    "a batch may have {} bytes, and no segment has more than {}: larger ones are refused",
                    both.1, both.0
                ),
            )
        });
    }
    for name in [
        "default.replication.factor",
        "min.insync.replicas",
        "offsets.topic.replication.factor",
        "transaction.state.log.min.isr",
        "transaction.state.log.replication.factor",
    ] {
        if number(name).is_some_and(|copies| copies > 1) {
            found.push(Problem {
                is_error: false,
                ..problem(name, "there is one broker, and so one copy")
            });
        }
    }
    found
}

/// A rule names the topic's setting; what was written is the broker's.
fn as_written(name: &str, properties: &Properties) -> String {
    if properties.contains_key(name) {
        return name.to_owned();
    }
    let entry = TOPIC_CONFIGS.iter().find(|entry| entry.name == name);
    let names = entry.into_iter().flat_map(|entry| entry.broker_synonyms);
    let mut names = names.map(|synonym| synonym.name);
    let written = names.find(|name| properties.contains_key(*name));
    written.unwrap_or(name).to_owned()
}
