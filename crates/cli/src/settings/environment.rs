//! Settings of the environment, as Kafka's image takes them: `KAFKA_LOG_CLEANER_THREADS` is `log.cleaner.threads`.
//!
//! `_` stands for a dot, `__` for `_`, `___` for `-`. `LASTWORD_` does the same, and a name that is ours may leave its own
//! `lastword.` out: `LASTWORD_HTTP_LISTEN`. What Kafka's scripts read themselves (`KAFKA_HEAP_OPTS`) and what this tool
//! reads (`LASTWORD_LOG`) is no setting.

use lastword_broker::config::{NameKind, kind_of_name};

use super::Origin;

/// Of Kafka's scripts and image.
const SCRIPTS: [&str; 12] = [
    "KAFKA_CLUSTER_ID",
    "KAFKA_GC_LOG_OPTS",
    "KAFKA_HEAP_OPTS",
    "KAFKA_HOME",
    "KAFKA_JMX_HOSTNAME",
    "KAFKA_JMX_OPTS",
    "KAFKA_JMX_PORT",
    "KAFKA_JVM_PERFORMANCE_OPTS",
    "KAFKA_OPTS",
    "KAFKA_TOOLS_LOG4J_LOGLEVEL",
    "KAFKA_VERSION",
    "KAFKA_DEBUG",
];
const SCRIPT_PREFIXES: [&str; 1] = ["KAFKA_LOG4J_"];
/// Of this tool, and of its own tests.
const TOOL: [&str; 8] = [
    "LASTWORD_BIN",
    "LASTWORD_BROKERS",
    "LASTWORD_CONFIG",
    "LASTWORD_HTTP",
    "LASTWORD_LOG",
    "LASTWORD_LOG_FORMAT",
    "LASTWORD_PROFILE",
    "LASTWORD_VERSION",
];

#[derive(Debug, Default)]
pub(super) struct Environment {
    pub settings: Vec<(String, String, Origin)>,
    pub cluster_id: Option<String>,
}

/// Read by the tool itself, or by Kafka's scripts: no setting.
fn is_variable_of_tool(variable: &str) -> bool {
    SCRIPTS.contains(&variable)
        || TOOL.contains(&variable)
        || SCRIPT_PREFIXES
            .iter()
            .any(|prefix| variable.starts_with(prefix))
}

pub(super) fn read(variables: impl Iterator<Item = (String, String)>) -> Environment {
    let mut found = Environment::default();
    let mut variables: Vec<(String, String)> = variables.collect();
    // The own prefix is the stronger one, and comes after Kafka's.
    variables.sort();
    for (variable, value) in variables {
        if variable == "CLUSTER_ID" {
            found.cluster_id = Some(value.trim().to_owned()).filter(|id| !id.is_empty());
            continue;
        }
        if is_variable_of_tool(&variable) {
            continue;
        }
        let Some(name) = name_of(&variable) else {
            continue;
        };
        found
            .settings
            .push((name, value.trim().to_owned(), Origin::Environment(variable)));
    }
    found
}

fn name_of(variable: &str) -> Option<String> {
    if let Some(rest) = variable.strip_prefix("KAFKA_") {
        return Some(translate(rest)).filter(|name| !name.is_empty());
    }
    let name = translate(variable.strip_prefix("LASTWORD_")?);
    let own = format!("lastword.{name}");
    let is_own = kind_of_name(&own) == NameKind::Honoured;
    let name = match kind_of_name(&name) {
        NameKind::Unknown if is_own => own,
        _ => name,
    };
    Some(name).filter(|name| !name.is_empty())
}

/// Runs of one, two and three underscores; longer ones are left.
fn translate(text: &str) -> String {
    let mut name = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('_') {
        let (before, from) = rest.split_at(at);
        let run = from.bytes().take_while(|byte| *byte == b'_').count();
        name.push_str(before);
        name.push_str(match run {
            1 => ".",
            2 => "_",
            3 => "-",
            _ => &from[..run],
        });
        rest = &from[run..];
    }
    name.push_str(rest);
    name.to_lowercase()
}
