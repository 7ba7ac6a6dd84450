//! `lastword topic trim TOPIC -o WHERE`: deletes the records before an offset (DeleteRecords). Asks first.

use std::collections::BTreeMap;
use std::time::Duration;

use lastword_protocol::messages::delete_records_request::{
    DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic,
};
use lastword_protocol::{StrBytes, message};
use serde::Serialize;

use super::SCHEMA_VERSION;
use crate::client::offsets::{EARLIEST, LATEST, list_offsets};
use crate::client::{Client, ClientArgs, TopicInfo};
use crate::confirm;
use crate::error::{CliError, Result};
use crate::output::{self, OutputFormat, count};
use crate::time::{now_ms, parse_instant_ms};

pub const EXAMPLES: &str = "Examples:\n  lastword topic trim orders -o 1000 -p 0\n  \
    lastword topic trim orders -o @-7d --dry-run\n  lastword topic trim orders -o end -y";

#[derive(clap::Args)]
pub struct Args {
    /// Name
    #[arg(value_name = "NAME")]
    name: String,
    /// The first offset that stays: a number, end, or @TIME
    #[arg(short, long, visible_alias = "before", value_name = "OFFSET")]
    offset: String,
    /// Only these partitions
    #[arg(
        short,
        long = "partitions",
        visible_alias = "partition",
        value_name = "LIST",
        value_delimiter = ','
    )]
    partitions: Vec<i32>,
    /// Do not ask
    #[arg(short = 'y', long, visible_alias = "no-confirm")]
    yes: bool,
    /// Only say what would go
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
    partitions: Vec<Trimmed>,
}

#[derive(Serialize)]
struct Trimmed {
    partition: i32,
    old_start: i64,
    new_start: i64,
}

pub fn run(args: &Args) -> Result<()> {
    if !args.yes && !args.dry_run {
        confirm::check_can_ask(&format!("trim {}", args.name))?;
    }
    let mut client = Client::connect(&args.client)?;
    let topic = client.topic(&args.name, false)?;
    let partitions = crate::commands::consume::chosen(&topic, &args.partitions)?;
    let first = list_offsets(&mut client, &topic, &partitions, EARLIEST, false)?;
    let wanted = wanted(&mut client, &topic, &partitions, &args.offset)?;
    let mut trimmed = Vec::new();
    for (partition, new_start) in wanted {
        let old_start = first.get(&partition).copied().unwrap_or(0);
        // What is gone already stays gone.
        if new_start > old_start {
            trimmed.push(Trimmed {
                partition,
                old_start,
                new_start,
            });
        }
    }
    if !args.dry_run && !trimmed.is_empty() {
        if !args.yes {
            let offsets: i64 = trimmed.iter().map(|it| it.new_start - it.old_start).sum();
            let partitions = count(trimmed.len(), "partition");
            let question = format!(
                "delete up to {offsets} records at the start of {partitions} of {}?",
                args.name
            );
            confirm::ask(&question, &args.name)?;
        }
        for it in &mut trimmed {
            it.new_start = trim(&mut client, &topic, it)?;
        }
    }
    if args.format == OutputFormat::Json {
        return output::json(&Document {
            schema_version: SCHEMA_VERSION,
            name: &args.name,
            dry_run: args.dry_run,
            partitions: trimmed,
        });
    }
    if trimmed.is_empty() {
        return output::text(&format!("{}  nothing is before that\n", args.name));
    }
    let would = if args.dry_run {
        "  (not done: --dry-run)"
    } else {
        ""
    };
    let line = |it: &Trimmed| {
        let (old, new) = (it.old_start, it.new_start);
        format!(
            "{}-{}  starts at {old} -> {new}{would}\n",
            args.name, it.partition
        )
    };
    output::text(&trimmed.iter().map(line).collect::<String>())
}

fn wanted(
    client: &mut Client,
    topic: &TopicInfo,
    partitions: &[i32],
    text: &str,
) -> Result<BTreeMap<i32, i64>> {
    let last = list_offsets(client, topic, partitions, LATEST, false)?;
    if matches!(text, "end" | "latest") {
        return Ok(last);
    }
    if let Some(moment) = text.strip_prefix('@') {
        let ms = parse_instant_ms(moment, now_ms()).map_err(CliError::usage)?;
        let mut found = list_offsets(client, topic, partitions, ms, false)?;
        for (partition, offset) in &mut found {
            // All records are older.
            if *offset < 0 {
                *offset = last.get(partition).copied().unwrap_or(0);
            }
        }
        return Ok(found);
    }
    let offset: i64 = text
        .parse()
        .ok()
        .filter(|offset| *offset >= 0)
        .ok_or_else(|| {
            CliError::usage(format!("`{text}` is no offset"))
                .hint("-o 42, -o end, -o @2026-11-23, -o @-7d")
        })?;
    Ok(partitions
        .iter()
        .map(|partition| (*partition, offset))
        .collect())
}

/// Where it starts afterwards.
fn trim(client: &mut Client, topic: &TopicInfo, wanted: &Trimmed) -> Result<i64> {
    let known = topic
        .partitions
        .iter()
        .find(|it| it.index == wanted.partition);
    let leader = known.map_or(-1, |it| it.leader);
    let topics = vec![message!(DeleteRecordsTopic {
        name: StrBytes::from(topic.name.as_str()),
        partitions: vec![message!(DeleteRecordsPartition {
            partition_index: wanted.partition,
            offset: wanted.new_start,
        })],
    })];
    let timeout_ms = i32::try_from(client.timeout().as_millis()).unwrap_or(i32::MAX);
    let request = message!(DeleteRecordsRequest { topics, timeout_ms });
    let response = client.call_node(leader, &request, i16::MAX, Duration::ZERO)?;
    let mut results = response.topics.iter().flat_map(|topic| &topic.partitions);
    let result = results.next();
    match result {
        Some(result) if result.error_code == 0 => Ok(result.low_watermark),
        Some(result) => {
            let what = format!("cannot trim {}-{}", topic.name, wanted.partition);
            let error = CliError::refused(what, result.error_code, None);
            Err(match error.code.as_str() {
                "POLICY_VIOLATION" => error.hint(
                    "a topic that is only compacted has its start kept: add delete to cleanup.policy",
                ),
                "OFFSET_OUT_OF_RANGE" => error.hint("lastword topic offsets shows where it ends"),
                _ => error,
            })
        }
        None => Ok(wanted.new_start),
    }
}
