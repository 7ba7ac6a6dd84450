//! `lastword topic ls`
//!
//! OFFSETS is what lies between the log's start and end. It is called that, and not records, because on a compacted
//! topic the two are different numbers and the wire has no request for the second.

use serde::Serialize;

use super::SCHEMA_VERSION;
use crate::client::admin::{describe_configs, topic_sizes};
use crate::client::offsets::{EARLIEST, LATEST, list_offsets};
use crate::client::{Client, ClientArgs, TopicInfo};
use crate::error::{CliError, Result};
use crate::output::{self, OutputFormat, human_bytes};

#[derive(clap::Args)]
pub struct Args {
    /// Only these
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Internal topics too
    #[arg(short, long)]
    internal: bool,
    /// Names only, one a line
    #[arg(short, long)]
    quiet: bool,
    /// Exact sizes
    #[arg(long)]
    bytes: bool,
    /// How to print the answer
    #[arg(long, value_enum, default_value_t)]
    pub format: OutputFormat,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Serialize)]
struct Document {
    schema_version: u32,
    topics: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    name: String,
    partitions: usize,
    replicas: usize,
    cleanup_policy: Option<String>,
    /// End minus start, summed; more than the records of a compacted topic.
    offsets: i64,
    size_bytes: Option<i64>,
    internal: bool,
}

pub fn run(args: &Args) -> Result<()> {
    let mut client = Client::connect(&args.client)?;
    let mut topics = client.topics()?;
    if let Some(missing) = args
        .names
        .iter()
        .find(|name| !topics.iter().any(|topic| topic.name == **name))
    {
        return Err(client.unknown_topic(missing));
    }
    topics.retain(|topic| {
        if args.names.is_empty() {
            args.internal || !topic.is_internal
        } else {
            args.names.contains(&topic.name)
        }
    });
    if args.quiet && args.format == OutputFormat::Table {
        let names: String = topics
            .iter()
            .map(|topic| format!("{}\n", topic.name))
            .collect();
        return output::text(&names);
    }
    let rows = rows(&mut client, &topics)?;
    match args.format {
        OutputFormat::Json => output::json(&Document {
            schema_version: SCHEMA_VERSION,
            topics: rows,
        }),
        OutputFormat::Table => {
            let cells: Vec<Vec<String>> = rows.iter().map(|row| cells(row, args.bytes)).collect();
            output::text(&output::table(
                &["NAME", "PARTS", "POLICY", "OFFSETS", "SIZE"],
                &cells,
            ))
        }
    }
}

fn rows(client: &mut Client, topics: &[TopicInfo]) -> Result<Vec<Row>> {
    let names: Vec<&str> = topics.iter().map(|topic| topic.name.as_str()).collect();
    let configs = if names.is_empty() {
        Default::default()
    } else {
        describe_configs(client, &names, Some(&["cleanup.policy"]))?
    };
    let sizes = topic_sizes(client);
    let mut rows = Vec::new();
    for topic in topics {
        rows.push(Row {
            name: topic.name.clone(),
            partitions: topic.partitions.len(),
            replicas: topic
                .partitions
                .first()
                .map_or(0, |partition| partition.replicas.len()),
            cleanup_policy: configs
                .get(&topic.name)
                .and_then(|entries| entries.iter().find(|entry| entry.name == "cleanup.policy"))
                .and_then(|entry| entry.value.clone()),
            offsets: offsets(client, topic)?,
            size_bytes: sizes.get(&topic.name).copied(),
            internal: topic.is_internal,
        });
    }
    Ok(rows)
}

fn offsets(client: &mut Client, topic: &TopicInfo) -> Result<i64, CliError> {
    let all: Vec<i32> = topic
        .partitions
        .iter()
        .map(|partition| partition.index)
        .collect();
    let earliest = list_offsets(client, topic, &all, EARLIEST, false)?;
    let latest = list_offsets(client, topic, &all, LATEST, false)?;
    Ok(latest
        .iter()
        .map(|(index, end)| end - earliest.get(index).unwrap_or(end))
        .sum())
}

fn cells(row: &Row, exact: bool) -> Vec<String> {
    let size = match row.size_bytes {
        Some(bytes) if exact => bytes.to_string(),
        Some(bytes) => human_bytes(bytes),
        None => "-".to_owned(),
    };
    vec![
        row.name.clone(),
        row.partitions.to_string(),
        row.cleanup_policy.clone().unwrap_or_else(|| "-".to_owned()),
        row.offsets.to_string(),
        size,
    ]
}
