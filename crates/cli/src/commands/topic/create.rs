//! `lastword topic create NAME...`
//!
//! Prints one line a topic: `prices  created  1 partition  cleanup.policy=compact`. Names are tried in order and each is
//! its own request; the first refusal ends the command.

use serde::Serialize;

use super::SCHEMA_VERSION;
use crate::client::admin::{NewTopic, create_topic};
use crate::client::{Client, ClientArgs};
use crate::error::{CliError, Result};
use crate::output::{self, OutputFormat};
use crate::properties;

pub const EXAMPLES: &str = "Examples:\n  lastword topic create prices --compact\n  \
    lastword topic create orders -p 6 -c retention.ms=7d -c segment.bytes=64MiB\n  \
    lastword topic create a b c --if-not-exists --dry-run";

#[derive(clap::Args)]
pub struct Args {
    /// Names
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    /// How many partitions; the broker's default when left out
    #[arg(short, long, value_name = "COUNT", value_parser = clap::value_parser!(i32).range(1..))]
    partitions: Option<i32>,
    /// How many copies; the broker's default when left out
    #[arg(
        short,
        long = "replicas",
        visible_alias = "replication-factor",
        value_name = "COUNT"
    )]
    replication_factor: Option<i16>,
    /// A setting; sizes and times may have units (64MiB, 7d)
    #[arg(
        short,
        long = "config",
        visible_alias = "topic-config",
        value_name = "NAME=VALUE"
    )]
    config: Vec<String>,
    /// Keep the last record of every key: short for -c cleanup.policy=compact
    #[arg(long)]
    compact: bool,
    /// A topic that is there already is no error
    #[arg(long)]
    if_not_exists: bool,
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
    topics: Vec<Created<'a>>,
}

#[derive(Serialize)]
struct Created<'a> {
    name: &'a str,
    /// `created`, `exists` or `would be created`.
    result: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    partitions: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    replicas: Option<i16>,
    configs: std::collections::BTreeMap<&'a str, &'a str>,
}

pub fn run(args: &Args) -> Result<()> {
    let mut configs = Vec::new();
    for text in &args.config {
        configs.push(properties::parse(text).map_err(CliError::usage)?);
    }
    if args.compact {
        if configs
            .iter()
            .any(|(name, value)| name == "cleanup.policy" && !value.contains("compact"))
        {
            return Err(CliError::usage(
                "--compact and -c cleanup.policy say different things",
            ));
        }
        if !configs.iter().any(|(name, _)| name == "cleanup.policy") {
            configs.insert(0, ("cleanup.policy".to_owned(), "compact".to_owned()));
        }
    }
    let mut client = Client::connect(&args.client)?;
    let mut topics = Vec::new();
    for name in &args.names {
        topics.push(create(&mut client, args, name, &configs)?);
        if args.format == OutputFormat::Table
            && let Some(topic) = topics.last()
        {
            output::text(&line(topic))?;
        }
    }
    if args.format == OutputFormat::Json {
        output::json(&Document {
            schema_version: SCHEMA_VERSION,
            topics,
        })?;
    }
    Ok(())
}

fn create<'a>(
    client: &mut Client,
    args: &Args,
    name: &'a str,
    configs: &'a [(String, String)],
) -> Result<Created<'a>> {
    let topic = NewTopic {
        name,
        partitions: args.partitions.unwrap_or(-1),
        replication_factor: args.replication_factor.unwrap_or(-1),
        configs,
    };
    match create_topic(client, &topic, args.dry_run) {
        Ok(created) => Ok(Created {
            name,
            result: if args.dry_run {
                "would be created"
            } else {
                "created"
            },
            partitions: Some(created.partitions),
            replicas: Some(created.replication_factor),
            configs: configs
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str()))
                .collect(),
        }),
        Err(error) if error.code == "TOPIC_ALREADY_EXISTS" && args.if_not_exists => Ok(Created {
            name,
            result: "exists",
            partitions: None,
            replicas: None,
            configs: Default::default(),
        }),
        Err(error) => Err(error),
    }
}

fn line(topic: &Created<'_>) -> String {
    let mut line = format!("{}  {}", topic.name, topic.result);
    if let Some(partitions) = topic.partitions {
        line.push_str("  ");
        line.push_str(&output::count(
            usize::try_from(partitions).unwrap_or(0),
            "partition",
        ));
    }
    for (name, value) in &topic.configs {
        line.push_str(&format!("  {name}={value}"));
    }
    line.push('\n');
    line
}
