//! Every setting explained, for `lastword config explain` and for the page of the book, both from the tables.

use lastword_storage::config::{
    CLEANER_CONFIGS, ConfigEntry, ConfigType, TOPIC_CONFIGS, Validator,
};

use super::names::{NameKind, kind_of_name};
use super::table::{self, BrokerConfigEntry, Update};
use crate::configs::is_dynamic;

/// One setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// Its name.
    pub name: String,
    /// `broker` or `topic`.
    pub scope: &'static str,
    /// What becomes of it here.
    pub kind: NameKind,
    /// `int`, `list` and so on; none of a name that means nothing here.
    pub value_type: Option<&'static str>,
    /// In text form; none when there is none.
    pub default: Option<String>,
    /// What values are valid, beyond their type.
    pub range: Option<String>,
    /// Whether it can be set on a running broker.
    pub is_dynamic: bool,
    /// What it does here.
    pub doc: String,
    /// Where Kafka's meaning is another one.
    pub in_kafka: Option<&'static str>,
    /// Of a topic's: the broker's settings that give its default. Of a broker's: the topic's setting.
    pub twins: Vec<&'static str>,
}

/// Settings whose meaning is not Kafka's, and Kafka's.
const OTHERWISE_IN_KAFKA: &[(&str, &str)] = &[
    ("broker.id", "Used only with ZooKeeper; KRaft has node.id."),
    (
        "default.replication.factor",
        "Copies of a topic that is created without a number; here there is one, and more are refused when a topic is created.",
    ),
    (
        "flush.messages",
        "Without it nothing is ever synced: safety is in the copies. Here every acks=all is synced before it is answered.",
    ),
    (
        "flush.ms",
        "Without it nothing is ever synced: safety is in the copies. Here every acks=all is synced before it is answered.",
    ),
    (
        "listeners",
        "Any number, each with a security protocol. Here plaintext only, and only loopback unless lastword.insecure.listen is set.",
    ),
    (
        "log.cleaner.dedupe.buffer.size",
        "Memory of the map of keys; a log with more keys than fit takes several cleanings. Here plans are made in passes of a bounded memory, whatever the number of keys.",
    ),
    (
        "log.cleaner.io.buffer.load.factor",
        "How full the map of keys may become. Here there is none.",
    ),
    (
        "log.cleaner.io.buffer.size",
        "Buffers of the cleaner. Here they have fixed sizes.",
    ),
    ("log.dirs", "Several directories. Here one."),
    (
        "log.flush.interval.messages",
        "Without it nothing is ever synced: safety is in the copies. Here every acks=all is synced before it is answered.",
    ),
    (
        "log.flush.interval.ms",
        "Without it nothing is ever synced: safety is in the copies. Here every acks=all is synced before it is answered.",
    ),
    (
        "max.connections",
        "Connections of all listeners together; 2147483647 unless set.",
    ),
    ("max.connections.per.ip", "2147483647 unless set."),
    (
        "min.insync.replicas",
        "Copies that must have a record before acks=all is answered. Here there is one, and it is on disk.",
    ),
    (
        "process.roles",
        "broker, controller or both. Here the process is both, and controller alone is refused.",
    ),
    (
        "remote.log.storage.system.enable",
        "Tiered storage. Here true is refused.",
    ),
    (
        "remote.storage.enable",
        "Tiered storage. Here true is refused.",
    ),
];

/// The setting of this name, of a broker or of a topic; none when nobody has it.
pub fn explain(name: &str) -> Option<Explanation> {
    let found = own(name).or_else(|| default_of_topics(name)).or_else(|| {
        let entry = CLEANER_CONFIGS.iter().find(|entry| entry.name == name)?;
        Some(of_entry(
            name,
            "broker",
            entry,
            entry.default.map(str::to_owned),
        ))
    });
    let found = found.or_else(|| {
        let entry = TOPIC_CONFIGS.iter().find(|entry| entry.name == name)?;
        Some(topic(entry))
    });
    found.or_else(|| {
        let kind = kind_of_name(name);
        let doc = match kind {
            NameKind::WithoutMeaning => "Kafka's, and without meaning on one broker: it is accepted and does nothing.",
            NameKind::Refused => "Kafka's, and not here yet: the broker does not start with it, because it would be open against its settings.",
            NameKind::Honoured | NameKind::Unknown => return None,
        };
        Some(Explanation {
            name: name.to_owned(),
            scope: "broker",
            kind,
            value_type: None,
            default: None,
            range: None,
            is_dynamic: is_dynamic(name),
            doc: doc.to_owned(),
            in_kafka: in_kafka(name),
            twins: Vec::new(),
        })
    })
}

fn own(name: &str) -> Option<Explanation> {
    let entry = BrokerConfigEntry::find(name)?;
    Some(Explanation {
        name: name.to_owned(),
        scope: "broker",
        kind: kind_of_name(name),
        value_type: Some(type_name(entry.kind)),
        default: Some(entry.default.to_owned()).filter(|text| !text.is_empty()),
        range: range_of(entry.min, entry.max),
        is_dynamic: entry.update != Update::AtStart,
        doc: entry.doc.to_owned(),
        in_kafka: in_kafka(name),
        twins: super::same_meaning(name),
    })
}

fn default_of_topics(name: &str) -> Option<Explanation> {
    let mut synonyms = TOPIC_CONFIGS.iter().flat_map(|entry| {
        let synonyms = entry.broker_synonyms.iter();
        synonyms.map(move |synonym| (entry, synonym))
    });
    let (entry, synonym) = synonyms.find(|(_, synonym)| synonym.name == name)?;
    let is_last = entry.broker_synonyms.last() == Some(synonym);
    let default = match (is_last, synonym.unit) {
        (false, _) => None,
        (true, 1) => entry.default.map(str::to_owned),
        (true, unit) => entry
            .default
            .and_then(|text| text.parse::<i64>().ok())
            .map(|value| (value / unit).to_string()),
    };
    let mut found = of_entry(name, "broker", entry, default);
    if synonym.unit != 1 {
        found.value_type = Some("int");
        found.range = None;
    }
    found.doc = format!("Default of {} for all topics. {}", entry.name, entry.doc);
    found.twins = std::iter::once(entry.name)
        .filter(|twin| *twin != name)
        .chain(super::same_meaning(name))
        .collect();
    Some(found)
}

fn topic(entry: &'static ConfigEntry) -> Explanation {
    let mut found = of_entry(entry.name, "topic", entry, entry.default.map(str::to_owned));
    found.is_dynamic = true;
    found.kind = NameKind::Honoured;
    found.twins = entry.broker_synonyms.iter().map(|it| it.name).collect();
    found
}

fn of_entry(
    name: &str,
    scope: &'static str,
    entry: &'static ConfigEntry,
    default: Option<String>,
) -> Explanation {
    Explanation {
        name: name.to_owned(),
        scope,
        kind: kind_of_name(name),
        value_type: Some(type_name(entry.kind)),
        default: default.filter(|text| !text.is_empty()),
        range: range(&entry.validator),
        is_dynamic: is_dynamic(name),
        doc: entry.doc.to_owned(),
        in_kafka: in_kafka(name),
        twins: Vec::new(),
    }
}

fn in_kafka(name: &str) -> Option<&'static str> {
    let mut known = OTHERWISE_IN_KAFKA.iter();
    known
        .find(|(known, _)| *known == name)
        .map(|(_, text)| *text)
}

fn type_name(kind: ConfigType) -> &'static str {
    match kind {
        ConfigType::Boolean => "boolean",
        ConfigType::Text => "string",
        ConfigType::Int => "int",
        ConfigType::Long => "long",
        ConfigType::Double => "double",
        ConfigType::List => "list",
    }
}

fn range_of(min: i64, max: i64) -> Option<String> {
    match (min, max) {
        (i64::MIN, _) => None,
        (min, max) if max == i64::from(i32::MAX) || max == i64::MAX => {
            Some(format!("{min} or more"))
        }
        (min, max) => Some(format!("{min} to {max}")),
    }
}

fn range(validator: &Validator) -> Option<String> {
    Some(match validator {
        Validator::Any => return None,
        Validator::AtLeast(least) => format!("{least} or more"),
        Validator::Between(least, most) => format!("{least} to {most}"),
        Validator::RatioBetween(least, most) => format!("{least} to {most}"),
        Validator::GzipLevel => "1 to 9, or -1".to_owned(),
        Validator::OneOf(allowed) => allowed.join(", "),
        Validator::ItemsOf(allowed) => format!("any of {}", allowed.join(", ")),
    })
}

/// The names of all settings that do something here, or are kept for the sake of tools.
pub fn setting_names() -> Vec<&'static str> {
    let mut names: Vec<&str> = super::names::effective_names().collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// The page of all settings, in Markdown.
pub fn reference() -> String {
    let mut page = String::new();
    page.push_str("## Settings of the broker\n\n");
    let names = setting_names();
    let explained: Vec<Explanation> = names.iter().filter_map(|name| explain(name)).collect();
    let (honoured, idle): (Vec<_>, Vec<_>) = explained
        .into_iter()
        .partition(|it| it.kind == NameKind::Honoured);
    rows(&mut page, &honoured);
    page.push_str("\n## Settings of topics\n\n");
    let topics: Vec<Explanation> = TOPIC_CONFIGS
        .iter()
        .filter(|entry| !entry.is_hidden)
        .map(topic)
        .collect();
    rows(&mut page, &topics);
    page.push_str(
        "\n## Kafka's, with another meaning here\n\n| setting | in Kafka, and here |\n|---|---|\n",
    );
    for (name, text) in OTHERWISE_IN_KAFKA {
        page.push_str(&format!("| `{name}` | {text} |\n"));
    }
    page.push_str("\n## Kafka's, without meaning on one broker\n\nAccepted, and named together in one line at the start: ");
    let mut ignored: Vec<String> = idle.iter().map(|it| format!("`{}`", it.name)).collect();
    ignored.extend(table::ignored_names().map(|name| format!("`{name}`")));
    ignored.extend(table::IGNORED_PREFIXES.iter().map(|it| format!("`{it}*`")));
    ignored.sort_unstable();
    page.push_str(&ignored.join(", "));
    page.push_str(".\n\n## Kafka's, refused\n\nThey ask for security that is not there: ");
    let refused: Vec<String> = table::REFUSED_PREFIXES
        .iter()
        .map(|prefix| format!("`{prefix}*`"))
        .collect();
    page.push_str(&refused.join(", "));
    page.push_str(".\n");
    page
}

fn rows(page: &mut String, explained: &[Explanation]) {
    page.push_str("| setting | type | default | values | running | what it does |\n|---|---|---|---|---|---|\n");
    for each in explained {
        let code = |text: &Option<String>| {
            let text = text.as_deref().map(|text| format!("`{text}`"));
            text.unwrap_or_default()
        };
        page.push_str(&format!(
            "| `{}` | {} | {} | {} | {} | {} |\n",
            each.name,
            each.value_type.unwrap_or_default(),
            code(&each.default),
            each.range.as_deref().unwrap_or_default(),
            if each.is_dynamic { "yes" } else { "no" },
            each.doc,
        ));
    }
}
