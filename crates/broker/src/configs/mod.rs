//! What a config's value is, and where it comes from.
//!
//! The sources of a topic config, the strongest first: the topic's own setting, the dynamic setting of this broker, that
//! of all brokers, the broker's start-up settings (file and `--set`), the default. Broker settings go by their own
//! names, the synonyms. As in Kafka, a topic config is traced along its first synonym: a setting in hours or minutes is
//! in force, and is shown as a config of the broker, but not as a synonym of the topic's.
//!
//! `dynamic` says what can be set on a running broker, `owned` which configs groups and client-metrics subscriptions
//! have.

mod dynamic;
mod owned;
pub mod reload;

use std::sync::Arc;

use lastword_storage::config::{
    BrokerSynonym, CLEANER_CONFIGS, ConfigEntry, ConfigType, TOPIC_CONFIGS,
};

pub use dynamic::{check_dynamic_broker_configs, is_dynamic};
pub use owned::{check_owned_configs, owned_configs, owned_entry};

use crate::broker::Broker;
use crate::config::BROKER_CONFIGS;
use crate::metadata::{MetadataImage, Properties};

/// Where a value comes from; the ids of `DescribeConfigsResponse`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigSource {
    /// Set on the topic.
    DynamicTopic = 1,
    /// Set on this broker while it ran.
    DynamicBroker = 2,
    /// Set on all brokers while they ran.
    DynamicDefaultBroker = 3,
    /// From the broker's file or command line.
    StaticBroker = 4,
    /// Kafka's default.
    Default = 5,
    /// Set on a client-metrics subscription.
    ClientMetrics = 7,
    /// Set on a group.
    Group = 8,
}

impl ConfigSource {
    /// The id on the wire.
    pub fn id(self) -> i8 {
        self as i8
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
    let settings = Settings::new(broker, &image);
    let visible = |entry: &&ConfigEntry| !entry.is_hidden || own.contains_key(entry.name);
    TOPIC_CONFIGS
        .iter()
        .filter(visible)
        .map(|entry| settings.topic_config(entry, own.get(entry.name)))
        .collect()
}

/// The configs of the broker.
pub fn broker_configs(broker: &Broker) -> Vec<ConfigView> {
    let image = broker.metadata.image();
    let settings = Settings::new(broker, &image);
    let mut views: Vec<ConfigView> = definitions()
        .map(|it| settings.broker_config(&it))
        .collect();
    views.sort_by_key(|view| view.name);
    views.dedup_by_key(|view| view.name);
    views
}

/// What is set dynamically for all brokers.
pub fn default_broker_configs(broker: &Broker) -> Vec<ConfigView> {
    let set = broker.metadata.image();
    let set = set.default_broker_configs();
    let mut views = broker_configs(broker);
    views.retain_mut(|view| {
        view.synonyms
            .retain(|synonym| synonym.source == ConfigSource::DynamicDefaultBroker);
        view.source = ConfigSource::DynamicDefaultBroker;
        view.value = set.get(view.name).cloned();
        view.value.is_some()
    });
    views
}

/// One config of the broker, from whichever table.
struct Definition {
    name: &'static str,
    kind: ConfigType,
    doc: &'static str,
    /// Of this name alone.
    default: Option<&'static str>,
    /// Names that say the same, the strongest first, in whichever unit.
    names: Vec<&'static str>,
    /// The table entry of a topic default or cleaner config.
    entry: Option<&'static ConfigEntry>,
}

fn definitions() -> impl Iterator<Item = Definition> {
    let topics = TOPIC_CONFIGS.iter().flat_map(|entry| {
        let names: Vec<&str> = entry.broker_synonyms.iter().map(|it| it.name).collect();
        (0..names.len()).map(move |index| Definition {
            name: names[index],
            kind: kind_of(entry, names[index]),
            doc: entry.doc,
            default: (index + 1 == names.len())
                .then(|| default_of_last(entry))
                .flatten(),
            names: names.clone(),
            entry: Some(entry),
        })
    });
    let cleaner = CLEANER_CONFIGS.iter().map(|entry| Definition {
        name: entry.name,
        kind: entry.kind,
        doc: entry.doc,
        default: entry.default,
        names: vec![entry.name],
        entry: Some(entry),
    });
    let own = BROKER_CONFIGS.iter().map(|entry| Definition {
        name: entry.name,
        kind: entry.kind,
        doc: entry.doc,
        default: Some(entry.default).filter(|text| !text.is_empty()),
        names: vec![entry.name],
        entry: None,
    });
    topics.chain(cleaner).chain(own)
}

/// Kafka gives the default to the last name, in its unit: hours, where there are hours.
fn default_of_last(entry: &ConfigEntry) -> Option<&'static str> {
    match (entry.broker_synonyms.last()?.name, entry.default) {
        ("log.retention.hours" | "log.roll.hours", _) => Some("168"),
        ("log.roll.jitter.hours", _) => Some("0"),
        (_, default) => default,
    }
}

/// Hours and minutes are smaller numbers.
fn kind_of(entry: &ConfigEntry, name: &str) -> ConfigType {
    match name.ends_with(".hours") || name.ends_with(".minutes") {
        true => ConfigType::Int,
        false => entry.kind,
    }
}

/// Where settings of the broker stand.
struct Settings<'a> {
    own: &'a Properties,
    defaults: &'a Properties,
    fixed: Arc<Properties>,
    /// All of them, the stronger over the weaker.
    in_force: Properties,
}

impl<'a> Settings<'a> {
    fn new(broker: &'a Broker, image: &'a MetadataImage) -> Settings<'a> {
        let fixed = broker.config.properties();
        let mut in_force = (*fixed).clone();
        for (name, value) in image.broker_configs() {
            // A dynamic setting outdoes those in other units too.
            let family = TOPIC_CONFIGS.iter().map(|entry| entry.broker_synonyms);
            let is_of = |names: &&[BrokerSynonym]| names.iter().any(|it| it.name == name);
            for other in family.filter(is_of).flatten() {
                in_force.remove(other.name);
            }
            in_force.insert(name.clone(), value.clone());
        }
        Settings {
            own: image.own_broker_configs(),
            defaults: image.default_broker_configs(),
            fixed,
            in_force,
        }
    }

    fn topic_config(&self, entry: &'static ConfigEntry, own: Option<&String>) -> ConfigView {
        let names: Vec<&'static str> = entry.broker_synonyms.iter().map(|it| it.name).collect();
        let mut synonyms = match names.as_slice() {
            [] => Vec::new(),
            [first, ..] => self.synonyms(first, &names, default_of_last(entry)),
        };
        let value = own.cloned().or_else(|| self.broker_value(entry));
        let value = value.map(|text| entry.canonical(&text));
        if own.is_some() {
            let own = Synonym {
                name: entry.name,
                value: value.clone(),
                source: ConfigSource::DynamicTopic,
            };
            synonyms.insert(0, own);
        }
        ConfigView {
            name: entry.name,
            value,
            source: source_of(&synonyms),
            read_only: false,
            kind: entry.kind,
            doc: entry.doc,
            synonyms,
        }
    }

    fn broker_config(&self, definition: &Definition) -> ConfigView {
        let name = definition.name;
        let synonyms = self.synonyms(name, &definition.names, {
            let last = definition.names.last() == Some(&name);
            match (last, definition.entry) {
                (true, _) => definition.default,
                (false, Some(entry)) => default_of_last(entry),
                (false, None) => None,
            }
        });
        let value = self.in_force.get(name).map(String::as_str);
        let value = value.or(definition.default).map(str::trim);
        ConfigView {
            name,
            value: match definition.entry {
                Some(entry) => value.map(|text| entry.canonical(text)),
                None => value.map(str::to_owned),
            },
            source: source_of(&synonyms),
            read_only: !is_dynamic(name),
            kind: definition.kind,
            doc: definition.doc,
            synonyms,
        }
    }

    /// The settings of these names, from the first one of `name` on.
    fn synonyms(
        &self,
        name: &str,
        names: &[&'static str],
        default_of_last: Option<&str>,
    ) -> Vec<Synonym> {
        let sources = [
            (self.own, ConfigSource::DynamicBroker),
            (self.defaults, ConfigSource::DynamicDefaultBroker),
            (&*self.fixed, ConfigSource::StaticBroker),
        ];
        let mut found = Vec::new();
        for (properties, source) in sources {
            for &name in names {
                if let Some(value) = properties.get(name) {
                    let value = Some(value.clone());
                    found.push(Synonym {
                        name,
                        value,
                        source,
                    });
                }
            }
        }
        if let (Some(&last), Some(value)) = (names.last(), default_of_last) {
            found.push(Synonym {
                name: last,
                value: Some(value.to_owned()),
                source: ConfigSource::Default,
            });
        }
        found
            .into_iter()
            .skip_while(|synonym| synonym.name != name)
            .collect()
    }

    /// What the broker's settings say of a topic config, in its unit.
    fn broker_value(&self, entry: &ConfigEntry) -> Option<String> {
        let set = entry
            .broker_synonyms
            .iter()
            .find_map(|synonym| Some((synonym, self.in_force.get(synonym.name)?)));
        let Some((synonym, text)) = set else {
            return entry.default.map(str::to_owned);
        };
        let text = text.trim();
        match text.parse::<i64>() {
            Ok(number) if synonym.unit != 1 && number < 0 => Some("-1".to_owned()),
            Ok(number) if synonym.unit != 1 => {
                Some(number.saturating_mul(synonym.unit).to_string())
            }
            _ => Some(text.to_owned()),
        }
    }
}

fn source_of(synonyms: &[Synonym]) -> ConfigSource {
    synonyms
        .first()
        .map_or(ConfigSource::Default, |first| first.source)
}
