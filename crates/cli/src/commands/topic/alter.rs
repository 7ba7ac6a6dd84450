//! `lastword topic alter NAME -s NAME=VALUE --delete NAME -p COUNT`
//!
//! Prints what was and what is: `prices  min.cleanable.dirty.ratio  0.5 -> 0.01`.

use std::collections::BTreeMap;

use serde::Serialize;

use super::SCHEMA_VERSION;
use crate::client::admin::{Resource, alter_configs, create_partitions, describe_configs};
use crate::client::{Client, ClientArgs};
use crate::error::{CliError, Result};
use crate::output::{self, OutputFormat};
use crate::properties;

pub const EXAMPLES: &str = "Examples:\n  lastword topic alter prices -s min.cleanable.dirty.ratio=0.1\n  \
    lastword topic alter prices -s segment.bytes=16MiB --delete retention.ms\n  lastword topic alter orders -p 12";

#[derive(clap::Args)]
pub struct Args {
    /// Name
    #[arg(value_name = "NAME")]
    name: String,
    /// Set this
    #[arg(short = 's', long = "set", value_name = "NAME=VALUE")]
    set: Vec<String>,
    /// Back to the broker's default
    #[arg(long = "delete", value_name = "NAME")]
    delete: Vec<String>,
    /// Have this many partitions from now on; keys may move to another one
    #[arg(short, long, value_name = "COUNT", value_parser = clap::value_parser!(i32).range(1..))]
    partitions: Option<i32>,
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
struct Document<'a> {
    schema_version: u32,
    name: &'a str,
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
    if wanted.is_empty() && args.partitions.is_none() {
        return Err(
            CliError::usage("nothing to change").hint("-s NAME=VALUE, --delete NAME, or -p COUNT")
        );
    }
    let mut client = Client::connect(&args.client)?;
    let topic = client.topic(&args.name, false)?;
    let mut changes = Vec::new();
    if !wanted.is_empty() {
        let before = values(&mut client, &args.name)?;
        let resource = Resource::Topic(&args.name);
        alter_configs(&mut client, &resource, &wanted, args.dry_run)?;
        let after = if args.dry_run {
            BTreeMap::new()
        } else {
            values(&mut client, &args.name)?
        };
        for (name, value) in wanted {
            changes.push(Change {
                old: before.get(&name).cloned().flatten(),
                new: after.get(&name).cloned().unwrap_or(value),
                name,
            });
        }
    }
    if let Some(count) = args.partitions {
        create_partitions(&mut client, &args.name, count, args.dry_run)?;
        changes.push(Change {
            name: "partitions".to_owned(),
            old: Some(topic.partitions.len().to_string()),
            new: Some(count.to_string()),
        });
    }
    if args.format == OutputFormat::Json {
        return output::json(&Document {
            schema_version: SCHEMA_VERSION,
            name: &args.name,
            dry_run: args.dry_run,
            changes,
        });
    }
    let mut lines = String::new();
    for change in &changes {
        let would = if args.dry_run {
            "  (not done: --dry-run)"
        } else {
            ""
        };
        let show = |value: &Option<String>| value.clone().unwrap_or_else(|| "default".to_owned());
        lines.push_str(&format!(
            "{}  {}  {} -> {}{would}\n",
            args.name,
            change.name,
            show(&change.old),
            show(&change.new)
        ));
    }
    output::text(&lines)
}

fn values(client: &mut Client, topic: &str) -> Result<BTreeMap<String, Option<String>>> {
    let entries = describe_configs(client, &[topic], None)?
        .remove(topic)
        .unwrap_or_default();
    Ok(entries
        .into_iter()
        .map(|entry| (entry.name, entry.value))
        .collect())
}
