//! `lastword config set NAME=VALUE...`: settings of a running broker, over the wire, as kafka-configs does it.
//!
//! They are kept by the broker, above its file. Prints what was and what is.

use std::collections::BTreeMap;

use serde::Serialize;

use super::SCHEMA_VERSION;
use crate::client::admin::{Resource, alter_configs, describe_broker, describe_configs};
use crate::client::{Client, ClientArgs};
use crate::error::{CliError, Result};
use crate::output::{self, OutputFormat};
use crate::properties;

pub const EXAMPLES: &str = "Examples:\n  lastword config set log.cleaner.threads=2 log.cleaner.io.max.bytes.per.second=64MiB\n  \
    lastword config set --delete log.cleaner.threads\n  lastword config set --topic prices segment.bytes=16MiB";

#[derive(clap::Args)]
pub struct Args {
    /// What to set; sizes and times may have units (64MiB, 7d)
    #[arg(value_name = "NAME=VALUE")]
    set: Vec<String>,
    /// Back to what the file or the default says
    #[arg(long, value_name = "NAME")]
    delete: Vec<String>,
    /// Of this topic
    #[arg(short, long, value_name = "TOPIC", conflicts_with = "broker")]
    topic: Option<String>,
    /// Of the broker with this id, and not of all brokers
    #[arg(long, value_name = "ID")]
    broker: Option<i32>,
    /// Only ask whether it could be done
    #[arg(short = 'd', long, visible_alias = "dry")]
    dry_run: bool,
    /// How to print the answer
    #[arg(long, value_enum, default_value_t)]
    pub format: OutputFormat,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Serialize)]
struct Document {
    schema_version: u32,
    /// What was changed: a topic's name, `broker 1`, `all brokers`.
    of: String,
    dry_run: bool,
    changes: Vec<Change>,
}

#[derive(Serialize)]
struct Change {
    name: String,
    old: Option<String>,
    new: Option<String>,
}

pub fn run(args: &Args) -> Result<()> {
    let mut wanted: Vec<(String, Option<String>)> = Vec::new();
    for text in &args.set {
        let (name, value) = properties::parse(text).map_err(CliError::usage)?;
        wanted.push((name, Some(value)));
    }
    wanted.extend(args.delete.iter().map(|name| (name.clone(), None)));
    if wanted.is_empty() {
        return Err(CliError::usage("nothing to change").hint("NAME=VALUE, or --delete NAME"));
    }
    let mut client = Client::connect(&args.client)?;
    let resource = match (&args.topic, args.broker) {
        (Some(topic), _) => Resource::Topic(topic),
        (None, Some(id)) => Resource::Broker(id),
        (None, None) => Resource::AllBrokers,
    };
    let before = values(&mut client, &resource)?;
    alter_configs(&mut client, &resource, &wanted, args.dry_run)?;
    let after = match args.dry_run {
        true => BTreeMap::new(),
        false => values(&mut client, &resource)?,
    };
    let changes: Vec<Change> = wanted
        .into_iter()
        .map(|(name, value)| Change {
            old: before.get(&name).cloned().flatten(),
            new: after.get(&name).cloned().unwrap_or(value),
            name,
        })
        .collect();
    if args.format == OutputFormat::Json {
        return output::json(&Document {
            schema_version: SCHEMA_VERSION,
            of: resource.says(),
            dry_run: args.dry_run,
            changes,
        });
    }
    let would = if args.dry_run {
        "  (not done: --dry-run)"
    } else {
        ""
    };
    let show = |value: &Option<String>| value.clone().unwrap_or_else(|| "default".to_owned());
    let line = |it: &Change| {
        let (old, new) = (show(&it.old), show(&it.new));
        format!("{}  {}  {old} -> {new}{would}\n", resource.says(), it.name)
    };
    output::text(&changes.iter().map(line).collect::<String>())
}

/// What is in force; of all brokers, what is in force on the one there is.
fn values(
    client: &mut Client,
    resource: &Resource<'_>,
) -> Result<BTreeMap<String, Option<String>>> {
    let entries = match resource {
        Resource::Topic(name) => {
            let mut found = describe_configs(client, &[name], None)?;
            found.remove(*name).unwrap_or_default()
        }
        Resource::Broker(_) => describe_broker(client, resource)?,
        Resource::AllBrokers => {
            let id = client.first_broker()?;
            describe_broker(client, &Resource::Broker(id))?
        }
    };
    let entries = entries.into_iter();
    Ok(entries.map(|entry| (entry.name, entry.value)).collect())
}
