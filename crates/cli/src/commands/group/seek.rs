//! `lastword group seek GROUP --to WHERE`: moves what a group has committed. Nobody may be in the group.
//!
//! Offsets that lie outside of a log are moved to its nearer end, as kafka-consumer-groups does it.

use serde::Serialize;

use super::{SCHEMA_VERSION, partitions_of};
use crate::client::groups::{self, Offsets};
use crate::client::offsets::{EARLIEST, LATEST, list_offsets};
use crate::client::{Client, ClientArgs, TopicInfo};
use crate::error::{CliError, Result};
use crate::output::{self, OutputFormat};
use crate::time::{now_ms, parse_instant_ms};

pub const EXAMPLES: &str = "Examples:\n  lastword group seek app --to start\n  \
    lastword group seek app --to @2026-11-23T14:00:00Z --dry-run\n  lastword group seek app --to -1h --topic orders:2\n  \
    lastword group seek app --to-group other";

#[derive(clap::Args)]
pub struct Args {
    /// Id; a group that is not there is made
    #[arg(value_name = "GROUP")]
    group: String,
    /// start, end, an offset, +N or -N from where it is, @TIME, or -1h for an hour ago
    #[arg(
        long,
        value_name = "WHERE",
        allow_hyphen_values = true,
        required_unless_present = "to_group"
    )]
    to: Option<String>,
    /// Where another group is
    #[arg(long, value_name = "GROUP", conflicts_with = "to")]
    to_group: Option<String>,
    /// Only these, and not all that the group has committed
    #[arg(
        short,
        long = "topic",
        visible_alias = "topics",
        value_name = "TOPIC[:PARTITION]",
        value_delimiter = ','
    )]
    topics: Vec<String>,
    /// Only show where it would be
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
    group: &'a str,
    dry_run: bool,
    partitions: Vec<Moved>,
}

#[derive(Serialize)]
struct Moved {
    topic: String,
    partition: i32,
    old: Option<i64>,
    new: i64,
}

#[derive(Clone, Copy)]
enum Target {
    Start,
    End,
    Exact(i64),
    Shift(i64),
    TimestampMs(i64),
}

pub fn run(args: &Args) -> Result<()> {
    let target = args
        .to
        .as_deref()
        .map(parse)
        .transpose()
        .map_err(CliError::usage)?;
    let mut client = Client::connect(&args.client)?;
    let old = groups::committed(&mut client, &args.group)?;
    let other = match &args.to_group {
        Some(other) => {
            groups::describe(&mut client, other)?;
            groups::committed(&mut client, other)?
        }
        None => Offsets::new(),
    };
    let mut new = Offsets::new();
    for (topic, partitions) in wanted(&mut client, args, &old, &other)? {
        let mut found = match target {
            Some(target) => resolve(&mut client, &topic, &partitions, target, &old)?,
            None => other
                .iter()
                .filter(|((name, partition), _)| {
                    *name == topic.name && partitions.contains(partition)
                })
                .map(|(key, offset)| (key.clone(), *offset))
                .collect(),
        };
        new.append(&mut found);
    }
    if new.is_empty() {
        let what = format!(
            "group {} has committed nothing that could be moved",
            args.group
        );
        return Err(
            CliError::usage(what).hint("--topic TOPIC[:PARTITION] names what it should begin with")
        );
    }
    if !args.dry_run {
        groups::commit(&mut client, &args.group, &new)?;
    }
    let moved: Vec<Moved> = new
        .into_iter()
        .map(|(key, new)| Moved {
            old: old.get(&key).copied(),
            topic: key.0,
            partition: key.1,
            new,
        })
        .collect();
    if args.format == OutputFormat::Json {
        return output::json(&Document {
            schema_version: SCHEMA_VERSION,
            group: &args.group,
            dry_run: args.dry_run,
            partitions: moved,
        });
    }
    let rows: Vec<Vec<String>> = moved
        .into_iter()
        .map(|it| {
            let old = it.old.map_or_else(|| "-".to_owned(), |old| old.to_string());
            let new = it.new.to_string();
            vec![
                args.group.clone(),
                it.topic,
                it.partition.to_string(),
                old,
                new,
            ]
        })
        .collect();
    let header = ["GROUP", "TOPIC", "PARTITION", "OLD-OFFSET", "NEW-OFFSET"];
    output::text(&output::table(&header, &rows))?;
    if args.dry_run {
        output::say("not done: --dry-run");
    }
    Ok(())
}

/// The topics that are named, else those that the group, or the other one, has committed.
fn wanted(
    client: &mut Client,
    args: &Args,
    old: &Offsets,
    other: &Offsets,
) -> Result<Vec<(TopicInfo, Vec<i32>)>> {
    let mut wanted = Vec::new();
    if !args.topics.is_empty() {
        for text in &args.topics {
            wanted.push(partitions_of(client, text)?);
        }
        return Ok(wanted);
    }
    let committed = if args.to_group.is_some() { other } else { old };
    for topic in client.topics()? {
        let partitions = committed.keys().filter(|(name, _)| *name == topic.name);
        let partitions: Vec<i32> = partitions.map(|(_, partition)| *partition).collect();
        if !partitions.is_empty() {
            wanted.push((topic, partitions));
        }
    }
    Ok(wanted)
}

fn resolve(
    client: &mut Client,
    topic: &TopicInfo,
    partitions: &[i32],
    target: Target,
    old: &Offsets,
) -> Result<Offsets> {
    let first = list_offsets(client, topic, partitions, EARLIEST, false)?;
    let last = list_offsets(client, topic, partitions, LATEST, false)?;
    let by_time = match target {
        Target::TimestampMs(ms) => list_offsets(client, topic, partitions, ms, false)?,
        _ => Default::default(),
    };
    let mut found = Offsets::new();
    for partition in partitions {
        let (Some(&first), Some(&last)) = (first.get(partition), last.get(partition)) else {
            continue;
        };
        let key = (topic.name.clone(), *partition);
        let offset = match target {
            Target::Start => first,
            Target::End => last,
            Target::Exact(offset) => offset,
            Target::Shift(by) => match old.get(&key) {
                Some(offset) => offset.saturating_add(by),
                None => continue,
            },
            // No record is that new.
            Target::TimestampMs(_) => match by_time.get(partition) {
                Some(offset) if *offset >= 0 => *offset,
                _ => last,
            },
        };
        found.insert(key, offset.clamp(first, last));
    }
    Ok(found)
}

fn parse(text: &str) -> Result<Target, String> {
    match text {
        "start" | "beginning" | "earliest" => return Ok(Target::Start),
        "end" | "latest" => return Ok(Target::End),
        _ => {}
    }
    if let Some(moment) = text.strip_prefix('@') {
        return parse_instant_ms(moment, now_ms()).map(Target::TimestampMs);
    }
    if let Ok(number) = text.parse::<i64>() {
        return Ok(match text.starts_with(['+', '-']) {
            true => Target::Shift(number),
            false => Target::Exact(number),
        });
    }
    parse_instant_ms(text, now_ms())
        .map(Target::TimestampMs)
        .map_err(|_| {
            format!("`{text}` is no place (start, end, 42, +10, -10, @2026-11-23T14:00:00Z, -1h)")
        })
}
