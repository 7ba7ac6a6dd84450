//! What a name of a setting is: one of the broker, one of Kafka's that means nothing on one broker, one that is refused,
//! or none that anybody knows.

use lastword_storage::config::{CLEANER_CONFIGS, TOPIC_CONFIGS};

use super::ConfigError;
use super::table::{self, BROKER_CONFIGS, BrokerConfigEntry, Update};
use crate::metadata::Properties;

/// See the file header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameKind {
    /// It does something here.
    Honoured,
    /// Kafka has it; on one broker it means nothing.
    WithoutMeaning,
    /// Serving without what it asks for would fail open.
    Refused,
    /// Nobody has it.
    Unknown,
}

/// Names without effect, of some settings.
pub(super) struct Sorted {
    pub ignored: Vec<String>,
    pub unknown: Vec<String>,
}

/// Which of them it is.
pub fn kind_of_name(name: &str) -> NameKind {
    if BrokerConfigEntry::find(name).is_some_and(|entry| entry.update == Update::Idle) {
        NameKind::WithoutMeaning
    } else if effective_names().any(|known| known == name) {
        NameKind::Honoured
    } else if table::is_refused(name) {
        NameKind::Refused
    } else if table::is_ignored(name) {
        NameKind::WithoutMeaning
    } else {
        NameKind::Unknown
    }
}

/// Whether the name means something here or in Kafka.
pub fn is_known(name: &str) -> bool {
    kind_of_name(name) != NameKind::Unknown
}

/// Names that say the same in another unit or spelling: of two that come from different places, only the stronger one's
/// may stay.
pub fn same_meaning(name: &str) -> Vec<&'static str> {
    const PAIRS: [[&str; 2]; 2] = [["log.dir", "log.dirs"], ["broker.id", "node.id"]];
    let topics = TOPIC_CONFIGS.iter().map(|entry| {
        let names = entry.broker_synonyms.iter();
        names.map(|it| it.name).collect::<Vec<_>>()
    });
    let pairs = PAIRS.iter().map(|pair| pair.to_vec());
    let family = topics.chain(pairs).find(|names| names.contains(&name));
    let others = family.into_iter().flatten();
    others.filter(|other| *other != name).collect()
}

/// The known name that is written most like this one, if any is.
pub fn nearest_name(name: &str) -> Option<&'static str> {
    effective_names()
        .chain(table::ignored_names())
        .map(|known| (edit_distance(name, known), known))
        .min()
        .filter(|&(distance, _)| distance <= (name.len() / 3).max(2))
        .map(|(_, known)| known)
}

/// Refuses what asks for security that is not there, and sorts what has no effect.
pub(super) fn sort(properties: &Properties) -> Result<Sorted, ConfigError> {
    let mut sorted = Sorted {
        ignored: Vec::new(),
        unknown: Vec::new(),
    };
    for (name, value) in properties {
        match kind_of_name(name) {
            NameKind::Honoured => {}
            NameKind::WithoutMeaning => sorted.ignored.push(name.clone()),
            NameKind::Unknown => sorted.unknown.push(name.clone()),
            NameKind::Refused => return Err(refused(name, value)),
        }
    }
    Ok(sorted)
}

pub(super) fn refused(name: &str, value: &str) -> ConfigError {
    ConfigError::new(
        name,
        value,
        "is not supported; the broker does not start without what it asks for",
    )
}

pub(super) fn effective_names() -> impl Iterator<Item = &'static str> {
    let own = BROKER_CONFIGS.iter().map(|entry| entry.name);
    let topics = TOPIC_CONFIGS
        .iter()
        .flat_map(|entry| entry.broker_synonyms.iter().map(|synonym| synonym.name));
    own.chain(topics)
        .chain(CLEANER_CONFIGS.iter().map(|entry| entry.name))
}

fn edit_distance(left: &str, right: &str) -> usize {
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.bytes().enumerate() {
        let mut diagonal = i;
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
        for (j, b) in right.bytes().enumerate() {
            let substituted = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row.last().copied().unwrap_or(0)
}
