//! What a config's value is, and where it comes from.
//!
//! A topic config is looked up in this order: the topic's own setting, a dynamic setting of the
//! broker, the broker's start-up settings (file and `--set`), the default. Broker settings go by
//! their own names, the synonyms; of several the first in the table wins.
//!
//! Dynamic broker settings are the defaults of topic configs. Everything else is read when the
//! broker starts and shown as read-only.

use lastword_protocol::ErrorCode;
use lastword_storage::config::{CLEANER_CONFIGS, ConfigEntry, ConfigType, TOPIC_CONFIGS};

use crate::broker::Broker;
use crate::config::BROKER_CONFIGS;
use crate::error_map::ApiError;
use crate::metadata::Properties;

/// Where a value comes from; the ids of `DescribeConfigsResponse`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigSource {
    /// Set on the topic.
    DynamicTopic,
    /// Set on the broker while it ran.
    DynamicBroker,
    /// From the broker's file or command line.
    StaticBroker,
    /// Kafka's default.
    Default,
}

impl ConfigSource {
    /// The id on the wire.
    pub fn id(self) -> i8 {
        match self {
            ConfigSource::DynamicTopic => 1,
            ConfigSource::DynamicBroker => 2,
            ConfigSource::StaticBroker => 4,
            ConfigSource::Default => 5,
        }
    }
}

/// One setting that a value could come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Synonym {
    /// Its name.
    pub name: &'static str,
    /// What it says.
    pub value: Option<String>,
    /// Where it stands.
    pub source: ConfigSource,
}

/// A config with its value. The first synonym is the one in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigView {
    /// Its name.
    pub name: &'static str,
    /// The value in force.
    pub value: Option<String>,
    /// Where that comes from.
    pub source: ConfigSource,
    /// Whether it can only be set before the broker starts.
    pub read_only: bool,
    /// Its type.
    pub kind: ConfigType,
    /// One line.
    pub doc: &'static str,
    /// Every setting found, the strongest first.
    pub synonyms: Vec<Synonym>,
}

/// The configs of a topic that has these settings of its own.
pub fn topic_configs(broker: &Broker, own: &Properties) -> Vec<ConfigView> {
    let image = broker.metadata.image();
    let visible = |entry: &&ConfigEntry| !entry.is_hidden || own.contains_key(entry.name);
    TOPIC_CONFIGS
        .iter()
        .filter(visible)
        .map(|entry| {
            let mut synonyms = Vec::new();
            if let Some(value) = own.get(entry.name) {
                synonyms.push(synonym(entry.name, value, ConfigSource::DynamicTopic));
            }
            synonyms.extend(broker_synonyms(broker, image.broker_configs(), entry));
            view(entry, entry.name, synonyms)
        })
        .collect()
}

/// The configs of the broker.
pub fn broker_configs(broker: &Broker) -> Vec<ConfigView> {
    let image = broker.metadata.image();
    let mut views: Vec<ConfigView> = TOPIC_CONFIGS
        .iter()
        .flat_map(|entry| {
            entry
                .broker_synonyms
                .iter()
                .map(move |synonym| (entry, synonym.name))
        })
        .map(|(entry, name)| {
            let mut synonyms = Vec::new();
            if let Some(value) = image.broker_configs().get(name) {
                synonyms.push(synonym(name, value, ConfigSource::DynamicBroker));
            }
            if let Some(value) = broker.config.properties().get(name) {
                synonyms.push(synonym(name, value, ConfigSource::StaticBroker));
            }
            // The default belongs to the first name; hours and minutes have none.
            if entry
                .broker_synonyms
                .first()
                .is_some_and(|first| first.name == name)
            {
                synonyms.push(default_of(entry, name));
            }
            view(entry, name, synonyms)
        })
        .collect();
    views.extend(CLEANER_CONFIGS.iter().map(|entry| {
        let mut view = fixed(broker, entry.name, entry.kind, entry.doc, entry.default);
        view.read_only = !is_dynamic_cleaner_config(entry.name);
        if let Some(value) = image.broker_configs().get(entry.name) {
            let dynamic = synonym(entry.name, value, ConfigSource::DynamicBroker);
            (view.value, view.source) = (dynamic.value.clone(), dynamic.source);
            view.synonyms.insert(0, dynamic);
        }
        view
    }));
    views.extend(BROKER_CONFIGS.iter().map(|entry| {
        let default = Some(entry.default).filter(|text| !text.is_empty());
        fixed(broker, entry.name, entry.kind, entry.doc, default)
    }));
    views.sort_by_key(|view| view.name);
    views.dedup_by_key(|view| view.name);
    views
}

/// Checks that a broker setting may change while the broker runs.
pub fn check_dynamic_broker_config(broker: &Broker, name: &str) -> Result<(), ApiError> {
    let is_topic_default = TOPIC_CONFIGS.iter().any(|entry| {
        entry
            .broker_synonyms
            .iter()
            .any(|synonym| synonym.name == name)
    });
    if is_topic_default || is_dynamic_cleaner_config(name) {
        return Ok(());
    }
    let known = broker_configs(broker).iter().any(|view| view.name == name);
    let reason = if known {
        format!(
            "Cannot update {name} while the broker runs: set it at start, with --set or in the file."
        )
    } else {
        format!("Unknown broker config name: {name}")
    };
    Err(ApiError::new(ErrorCode::InvalidRequest, reason))
}

/// Whether there is a cleaner at all is settled at the start.
fn is_dynamic_cleaner_config(name: &str) -> bool {
    name != "log.cleaner.enable" && CLEANER_CONFIGS.iter().any(|entry| entry.name == name)
}

/// A config that is read when the broker starts.
fn fixed(
    broker: &Broker,
    name: &'static str,
    kind: ConfigType,
    doc: &'static str,
    default: Option<&str>,
) -> ConfigView {
    let mut synonyms = Vec::new();
    if let Some(value) = broker.config.properties().get(name) {
        synonyms.push(synonym(name, value, ConfigSource::StaticBroker));
    }
    let value = default.map(str::to_owned);
    synonyms.push(Synonym {
        name,
        value,
        source: ConfigSource::Default,
    });
    let (value, source) = (synonyms[0].value.clone(), synonyms[0].source);
    ConfigView {
        name,
        value,
        source,
        read_only: true,
        kind,
        doc,
        synonyms,
    }
}

fn broker_synonyms(broker: &Broker, dynamic: &Properties, entry: &ConfigEntry) -> Vec<Synonym> {
    let names = || entry.broker_synonyms.iter().map(|synonym| synonym.name);
    let mut synonyms = Vec::new();
    for name in names() {
        if let Some(value) = dynamic.get(name) {
            synonyms.push(synonym(name, value, ConfigSource::DynamicBroker));
        }
    }
    for name in names() {
        if let Some(value) = broker.config.properties().get(name) {
            synonyms.push(synonym(name, value, ConfigSource::StaticBroker));
        }
    }
    synonyms.push(default_of(entry, names().next().unwrap_or(entry.name)));
    synonyms
}

fn synonym(name: &'static str, value: &str, source: ConfigSource) -> Synonym {
    Synonym {
        name,
        value: Some(value.to_owned()),
        source,
    }
}

fn default_of(entry: &ConfigEntry, name: &'static str) -> Synonym {
    Synonym {
        name,
        value: entry.default.map(str::to_owned),
        source: ConfigSource::Default,
    }
}

fn view(entry: &ConfigEntry, name: &'static str, synonyms: Vec<Synonym>) -> ConfigView {
    let strongest = synonyms.first();
    let mut value = strongest.and_then(|synonym| synonym.value.clone());
    // A synonym in hours or minutes sets a config in milliseconds.
    if let Some(found) = strongest
        && let Some(unit) = entry.broker_synonyms.iter().find(|s| s.name == found.name)
        && unit.unit != 1
        && name == entry.name
        && let Some(number) = value
            .as_deref()
            .and_then(|text| text.trim().parse::<i64>().ok())
    {
        let scaled = if number < 0 {
            -1
        } else {
            number.saturating_mul(unit.unit)
        };
        value = Some(scaled.to_string());
    }
    ConfigView {
        name,
        value,
        source: strongest.map_or(ConfigSource::Default, |synonym| synonym.source),
        read_only: false,
        kind: entry.kind,
        doc: entry.doc,
        synonyms,
    }
}
