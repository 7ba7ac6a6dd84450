//! `lastword topic ls`
//!
//! RECORDS is what exists, KEYS those with a value, LIVE% the share of bytes that a cleaning would leave: the broker's HTTP
//! address tells them. Without it RECORDS is `<=`, end minus start: in a compacted topic the records are fewer, and the Kafka
//! wire has no request for their number.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use clap::ValueEnum;
use regex::Regex;
use serde::Serialize;

use super::SCHEMA_VERSION;
use crate::client::admin::{describe_configs, topic_sizes};
use crate::client::offsets::{EARLIEST, LATEST, list_offsets};
use crate::client::{Client, ClientArgs, TopicInfo};
use crate::error::{CliError, Result};
use crate::output::{self, OutputFormat, human_bytes};
use crate::true_counts::{TopicCounts, TrueCountArgs};

#[derive(clap::Args)]
pub struct Args {
    /// Only these
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Names are regular expressions
    #[arg(short, long, requires = "names")]
    regex: bool,
    /// Internal topics too
    #[arg(short, long)]
    internal: bool,
    /// By name upwards, by the others downwards
    #[arg(long, value_enum, default_value_t)]
    sort: Sort,
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
    #[command(flatten)]
    true_counts: TrueCountArgs,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Sort {
    #[default]
    Name,
    Size,
    Records,
    Keys,
    /// Dirty ratio
    Dirty,
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
    /// What exists; null when nobody tells.
    records: Option<u64>,
    /// Keys with a value, as the last plan or cleaning counted them.
    live_keys: Option<u64>,
    live_bytes: Option<u64>,
    /// What a cleaning would remove, as the last plan or cleaning counted it.
    dead_bytes: Option<u64>,
    size_bytes: Option<i64>,
    dirty_ratio: Option<f64>,
    /// Partitions by the reason why they are not being compacted now.
    reasons: BTreeMap<String, u32>,
    internal: bool,
}

pub fn run(args: &Args) -> Result<()> {
    let mut client = Client::connect(&args.client)?;
    let topics = wanted(&mut client, args)?;
    if args.quiet && args.format != OutputFormat::Json {
        let names: String = topics
            .iter()
            .map(|topic| format!("{}\n", topic.name))
            .collect();
        return output::text(&names);
    }
    let is_quiet = args.quiet || args.format == OutputFormat::Json;
    let mut counts: BTreeMap<String, TopicCounts> = BTreeMap::new();
    if !topics.is_empty()
        && let Some(found) = args.true_counts.find(&mut client, is_quiet)?
    {
        let found = found.topics()?.into_iter();
        counts = found.map(|topic| (topic.name.clone(), topic)).collect();
    }
    let mut rows = rows(&mut client, &topics, &mut counts)?;
    sort(&mut rows, args.sort);
    if args.format == OutputFormat::Json {
        return output::json(&Document {
            schema_version: SCHEMA_VERSION,
            topics: rows,
        });
    }
    let cells: Vec<Vec<String>> = rows.iter().map(|row| cells(row, args.bytes)).collect();
    let header = [
        "NAME", "PARTS", "POLICY", "RECORDS", "KEYS", "LIVE%", "SIZE", "STATE",
    ];
    output::text(&output::table(&header, &cells))
}

/// Those that are named; without names all, without internal ones.
fn wanted(client: &mut Client, args: &Args) -> Result<Vec<TopicInfo>> {
    let mut topics = client.topics()?;
    if args.names.is_empty() {
        topics.retain(|topic| args.internal || !topic.is_internal);
    } else if args.regex {
        let patterns = patterns(&args.names)?;
        topics.retain(|topic| {
            let is_match = patterns.iter().any(|pattern| pattern.is_match(&topic.name));
            is_match && (args.internal || !topic.is_internal)
        });
    } else {
        let is_there = |name: &&String| topics.iter().any(|topic| topic.name == **name);
        if let Some(missing) = args.names.iter().find(|name| !is_there(name)) {
            return Err(client.unknown_topic(missing));
        }
        topics.retain(|topic| args.names.contains(&topic.name));
    }
    Ok(topics)
}

/// Expressions that must fit the whole name.
pub(super) fn patterns(texts: &[String]) -> Result<Vec<Regex>> {
    let pattern = |text: &String| {
        Regex::new(&format!("^(?:{text})$")).map_err(|error| {
            CliError::usage(format!("`{text}` is no regular expression")).why(error.to_string())
        })
    };
    texts.iter().map(pattern).collect()
}

fn rows(
    client: &mut Client,
    topics: &[TopicInfo],
    counts: &mut BTreeMap<String, TopicCounts>,
) -> Result<Vec<Row>> {
    let names: Vec<&str> = topics.iter().map(|topic| topic.name.as_str()).collect();
    let configs = if names.is_empty() {
        Default::default()
    } else {
        describe_configs(client, &names, Some(&["cleanup.policy"]))?
    };
    let sizes = topic_sizes(client);
    let mut rows = Vec::new();
    for topic in topics {
        let counts = counts.remove(&topic.name);
        let size_bytes = counts.as_ref().map(|it| it.size_bytes);
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
            records: counts.as_ref().and_then(|it| it.records),
            live_keys: counts.as_ref().and_then(|it| it.live_keys),
            live_bytes: counts.as_ref().and_then(|it| it.live_bytes),
            dead_bytes: counts.as_ref().and_then(|it| it.dead_bytes),
            size_bytes: size_bytes.or_else(|| sizes.get(&topic.name).copied()),
            dirty_ratio: counts.as_ref().and_then(|it| it.dirty_ratio),
            reasons: counts.map(|it| it.reasons).unwrap_or_default(),
            internal: topic.is_internal,
        });
    }
    Ok(rows)
}

fn sort(rows: &mut [Row], by: Sort) {
    match by {
        Sort::Name => {}
        Sort::Size => rows.sort_by_key(|row| Reverse(row.size_bytes)),
        Sort::Records => {
            rows.sort_by_key(|row| Reverse(row.records.unwrap_or(row.offsets.unsigned_abs())));
        }
        Sort::Keys => rows.sort_by_key(|row| Reverse(row.live_keys)),
        Sort::Dirty => rows.sort_by(|a, b| {
            let ratio = |row: &Row| row.dirty_ratio.unwrap_or(-1.0);
            ratio(b).total_cmp(&ratio(a))
        }),
    }
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
    let none = || "-".to_owned();
    let size = match row.size_bytes {
        Some(bytes) if exact => bytes.to_string(),
        Some(bytes) => human_bytes(bytes),
        None => none(),
    };
    let live = match (row.live_bytes, row.dead_bytes) {
        // Of what was counted: what has come since may be live or dead.
        (Some(live), Some(dead)) if live + dead > 0 => {
            format!("{:.0}", 100.0 * live as f64 / (live + dead) as f64)
        }
        _ => none(),
    };
    let records = row.records.map(|records| records.to_string());
    vec![
        row.name.clone(),
        row.partitions.to_string(),
        row.cleanup_policy.clone().unwrap_or_else(none),
        records.unwrap_or_else(|| match row.offsets {
            0 => "0".to_owned(),
            offsets => format!("<={offsets}"),
        }),
        row.live_keys.map_or_else(none, |keys| keys.to_string()),
        live,
        size,
        state(row),
    ]
}

/// The reason that most partitions have, and how many have others.
fn state(row: &Row) -> String {
    let most = row
        .reasons
        .iter()
        .max_by_key(|(word, count)| (**count, Reverse(*word)));
    let Some((word, count)) = most else {
        return "-".to_owned();
    };
    match row.reasons.values().sum::<u32>() - count {
        0 => word.clone(),
        others => format!("{word} (+{others})"),
    }
}
