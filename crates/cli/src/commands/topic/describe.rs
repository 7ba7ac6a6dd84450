//! `lastword topic describe NAME`
//!
//! Without a letter: the summary, and the settings that are the topic's own. `-s`, `-c` and `-p` choose sections; `-c`
//! alone shows every setting with its source. `--map` draws head and tail, from the broker's HTTP address.

use std::collections::BTreeMap;

use lastword_http::client::encode;
use lastword_record::TopicId;
use serde::Serialize;
use serde_json::Value;

use super::SCHEMA_VERSION;
use crate::client::admin::{ConfigEntry, describe_configs};
use crate::client::offsets::{EARLIEST, LATEST, list_offsets};
use crate::client::{Client, ClientArgs, TopicInfo};
use crate::commands::compact::live::parse;
use crate::commands::compact::map;
use crate::error::{CliError, Exit, Result};
use crate::output::{self, OutputFormat};
use crate::terminal;
use crate::true_counts::{TrueCountArgs, TrueCounts};

#[derive(clap::Args)]
pub struct Args {
    /// Name
    #[arg(value_name = "NAME")]
    name: String,
    /// The summary
    #[arg(short = 's', long = "print-summary", visible_alias = "summary")]
    summary: bool,
    /// Every setting, with its source
    #[arg(short = 'c', long = "print-configs", visible_alias = "configs")]
    configs: bool,
    /// The partitions, with their offsets
    #[arg(short = 'p', long = "print-partitions", visible_alias = "partitions")]
    partitions: bool,
    /// Head and tail of each partition, drawn; asks the broker's HTTP address
    #[arg(short = 'm', long)]
    map: bool,
    /// Everything
    #[arg(short = 'a', long = "print-all", visible_alias = "all")]
    all: bool,
    /// How to print the answer
    #[arg(long, value_enum, default_value_t)]
    pub format: OutputFormat,
    #[command(flatten)]
    client: ClientArgs,
    #[command(flatten)]
    true_counts: TrueCountArgs,
}

#[derive(Serialize)]
struct Document {
    schema_version: u32,
    name: String,
    topic_id: String,
    internal: bool,
    replicas: usize,
    partition_count: usize,
    configs: Vec<Config>,
    partitions: Vec<Partition>,
    /// What a cleaning of each partition would find, with `--map`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    map: Vec<Value>,
}

#[derive(Serialize)]
struct Config {
    name: String,
    value: Option<String>,
    source: &'static str,
    read_only: bool,
}

#[derive(Serialize)]
struct Partition {
    partition: i32,
    leader: i32,
    leader_epoch: i32,
    replicas: Vec<i32>,
    isr: Vec<i32>,
    log_start_offset: i64,
    last_stable_offset: i64,
    high_watermark: i64,
    /// What exists; null when nobody tells.
    records: Option<u64>,
}

pub fn run(args: &Args) -> Result<()> {
    let mut client = Client::connect(&args.client)?;
    let topic = client.topic(&args.name, false)?;
    let entries = describe_configs(&mut client, &[&args.name], None)?
        .remove(&args.name)
        .ok_or_else(|| {
            CliError::new(
                Exit::Refused,
                "PROTOCOL",
                "an empty answer to DescribeConfigs",
            )
        })?;
    let wants_counts = args.partitions || args.all || args.map;
    let counts = match wants_counts || args.format == OutputFormat::Json {
        true => args
            .true_counts
            .find(&mut client, !args.partitions && !args.all)?,
        false => None,
    };
    let partitions = if args.partitions || args.all || args.format == OutputFormat::Json {
        partitions(&mut client, &topic, counts.as_ref())?
    } else {
        Vec::new()
    };
    let document = Document {
        schema_version: SCHEMA_VERSION,
        name: topic.name.clone(),
        topic_id: TopicId(topic.topic_id).to_string(),
        internal: topic.is_internal,
        replicas: topic
            .partitions
            .first()
            .map_or(0, |partition| partition.replicas.len()),
        partition_count: topic.partitions.len(),
        configs: entries.iter().map(config).collect(),
        partitions,
        map: match args.map {
            true => plans(counts.as_ref(), &topic)?,
            false => Vec::new(),
        },
    };
    match args.format {
        OutputFormat::Json => output::json(&document),
        OutputFormat::Table => output::text(&text(args, &document, &entries)?),
    }
}

fn plans(counts: Option<&TrueCounts>, topic: &TopicInfo) -> Result<Vec<Value>> {
    let counts = counts.ok_or_else(|| {
        CliError::new(
            Exit::Unreachable,
            "UNREACHABLE",
            "the map is drawn by Lastword's HTTP address",
        )
        .hint("--http HOST:PORT")
    })?;
    let http = counts.http();
    let name = encode(&topic.name);
    let plan = |partition: &crate::client::PartitionInfo| {
        let index = partition.index;
        let path = format!("/v1/topics/{name}/partitions/{index}/compaction/plan");
        http.call("GET", &path, None)
    };
    topic.partitions.iter().map(plan).collect()
}

fn partitions(
    client: &mut Client,
    topic: &TopicInfo,
    counts: Option<&TrueCounts>,
) -> Result<Vec<Partition>> {
    let records = match counts {
        Some(counts) => counts.records(&topic.name)?,
        None => BTreeMap::new(),
    };
    let all: Vec<i32> = topic
        .partitions
        .iter()
        .map(|partition| partition.index)
        .collect();
    let earliest = list_offsets(client, topic, &all, EARLIEST, false)?;
    let latest = list_offsets(client, topic, &all, LATEST, false)?;
    let stable = list_offsets(client, topic, &all, LATEST, true)?;
    let at = |offsets: &BTreeMap<i32, i64>, index: i32| offsets.get(&index).copied().unwrap_or(-1);
    let partition = |known: &crate::client::PartitionInfo| Partition {
        partition: known.index,
        leader: known.leader,
        leader_epoch: known.leader_epoch,
        replicas: known.replicas.clone(),
        isr: known.isr.clone(),
        log_start_offset: at(&earliest, known.index),
        last_stable_offset: at(&stable, known.index),
        high_watermark: at(&latest, known.index),
        records: records.get(&known.index).copied().flatten(),
    };
    Ok(topic.partitions.iter().map(partition).collect())
}

fn config(entry: &ConfigEntry) -> Config {
    Config {
        name: entry.name.clone(),
        value: entry.value.clone(),
        source: entry.source,
        read_only: entry.is_read_only,
    }
}

fn text(args: &Args, document: &Document, entries: &[ConfigEntry]) -> Result<String> {
    let chosen = args.summary || args.configs || args.partitions || args.map || args.all;
    let mut sections = Vec::new();
    if args.summary || args.all || !chosen {
        let policy = entries.iter().find(|entry| entry.name == "cleanup.policy");
        let policy = policy
            .and_then(|entry| entry.value.as_deref())
            .unwrap_or("-");
        sections.push(format!(
            "NAME        {}\nID          {}\nPARTITIONS  {}\nREPLICAS    {}\nPOLICY      {policy}\n",
            document.name, document.topic_id, document.partition_count, document.replicas,
        ));
    }
    let own_only = !args.configs && !args.all;
    if args.configs || args.all || (!chosen && entries.iter().any(ConfigEntry::is_own)) {
        let rows: Vec<Vec<String>> = entries
            .iter()
            .filter(|entry| !own_only || entry.is_own())
            .map(|entry| {
                let value = entry.value.clone().unwrap_or_else(|| "-".to_owned());
                vec![entry.name.clone(), value, entry.source.to_owned()]
            })
            .collect();
        sections.push(output::table(&["CONFIG", "VALUE", "SOURCE"], &rows));
    }
    if args.partitions || args.all {
        let ids = |ids: &[i32]| {
            ids.iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(",")
        };
        let rows: Vec<Vec<String>> = document
            .partitions
            .iter()
            .map(|partition| {
                vec![
                    partition.partition.to_string(),
                    partition.leader.to_string(),
                    partition.leader_epoch.to_string(),
                    ids(&partition.replicas),
                    partition.log_start_offset.to_string(),
                    partition.last_stable_offset.to_string(),
                    partition.high_watermark.to_string(),
                    partition
                        .records
                        .map_or_else(|| "-".to_owned(), |records| records.to_string()),
                ]
            })
            .collect();
        let header = [
            "PARTITION",
            "LEADER",
            "EPOCH",
            "REPLICAS",
            "LOG-START-OFFSET",
            "LAST-STABLE-OFFSET",
            "HIGH-WATERMARK",
            "RECORDS",
        ];
        sections.push(output::table(&header, &rows));
    }
    if args.map {
        let width = terminal::width();
        let is_ascii = !terminal::is_utf8();
        let mut drawn = String::new();
        for (index, plan) in document.map.iter().enumerate() {
            let name = format!("{}-{index}", document.name);
            drawn.push_str(&map::draw(&name, &parse(plan)?, width, is_ascii));
        }
        sections.push(drawn);
    }
    Ok(sections.join("\n"))
}
