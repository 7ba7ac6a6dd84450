//! `lastword group offset-delete GROUP --topic TOPIC[:PARTITION]...`

use serde::Serialize;

use super::{SCHEMA_VERSION, partitions_of};
use crate::client::groups;
use crate::client::{Client, ClientArgs};
use crate::confirm;
use crate::error::{CliError, Result};
use crate::output::{self, OutputFormat, count};

#[derive(clap::Args)]
pub struct Args {
    /// Id
    #[arg(value_name = "GROUP")]
    group: String,
    /// Forget what is committed for these: TOPIC, or TOPIC:PARTITION
    #[arg(
        short,
        long = "topic",
        visible_alias = "topics",
        required = true,
        value_name = "TOPIC",
        value_delimiter = ','
    )]
    topics: Vec<String>,
    /// Do not ask
    #[arg(short = 'y', long, visible_alias = "no-confirm")]
    yes: bool,
    /// Only say what would be forgotten
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
    partitions: Vec<Forgotten>,
}

#[derive(Serialize)]
struct Forgotten {
    topic: String,
    partition: i32,
    offset: i64,
}

pub fn run(args: &Args) -> Result<()> {
    if !args.yes && !args.dry_run {
        confirm::check_can_ask(&format!("forget offsets of group {}", args.group))?;
    }
    let mut client = Client::connect(&args.client)?;
    groups::describe(&mut client, &args.group)?;
    let committed = groups::committed(&mut client, &args.group)?;
    let mut partitions = Vec::new();
    for text in &args.topics {
        let (topic, wanted) = partitions_of(&mut client, text)?;
        for partition in wanted {
            let key = (topic.name.clone(), partition);
            if let Some(offset) = committed.get(&key) {
                partitions.push(Forgotten {
                    topic: key.0,
                    partition,
                    offset: *offset,
                });
            }
        }
    }
    if partitions.is_empty() {
        let what = format!(
            "{} has committed nothing for {}",
            args.group,
            args.topics.join(", ")
        );
        return Err(CliError::usage(what).hint(format!("lastword group describe {}", args.group)));
    }
    if !args.yes && !args.dry_run {
        let offsets = count(partitions.len(), "committed offset");
        confirm::ask(&format!("forget {offsets} of group {}?", args.group), "all")?;
    }
    if !args.dry_run {
        let keys = partitions.iter().map(|it| (it.topic.clone(), it.partition));
        let keys: Vec<(String, i32)> = keys.collect();
        groups::delete_offsets(&mut client, &args.group, &keys)?;
    }
    if args.format == OutputFormat::Json {
        return output::json(&Document {
            schema_version: SCHEMA_VERSION,
            group: &args.group,
            dry_run: args.dry_run,
            partitions,
        });
    }
    let done = if args.dry_run {
        "would be forgotten"
    } else {
        "forgotten"
    };
    let line = |it: &Forgotten| {
        format!(
            "{}  {}-{}  {}  {done}\n",
            args.group, it.topic, it.partition, it.offset
        )
    };
    output::text(&partitions.iter().map(line).collect::<String>())
}
