//! `lastword topic delete NAME...`
//!
//! Asks first. Without a terminal to ask, it refuses unless `-y` says that somebody has thought about it.

use serde::Serialize;

use super::SCHEMA_VERSION;
use crate::client::admin::delete_topic;
use crate::client::{Client, ClientArgs};
use crate::confirm;
use crate::error::Result;
use crate::output::{self, OutputFormat};

#[derive(clap::Args)]
pub struct Args {
    /// Names
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    /// Names are regular expressions
    #[arg(short, long)]
    regex: bool,
    /// Do not ask
    #[arg(short = 'y', long, visible_alias = "no-confirm")]
    yes: bool,
    /// A topic that is not there is no error
    #[arg(long)]
    if_exists: bool,
    /// Only say what would be deleted
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
    topics: Vec<Deleted<'a>>,
}

#[derive(Serialize)]
struct Deleted<'a> {
    name: &'a str,
    /// `deleted`, `would be deleted` or `not there`.
    result: &'static str,
}

pub fn run(args: &Args) -> Result<()> {
    if !args.yes && !args.dry_run {
        confirm::check_can_ask(&format!("delete {}", args.names.join(", ")))?;
    }
    let mut client = Client::connect(&args.client)?;
    // All names are looked at before the first topic goes.
    let mut found = Vec::new();
    let names = match args.regex {
        true => {
            let patterns = super::ls::patterns(&args.names)?;
            let topics = client
                .topics()?
                .into_iter()
                .filter(|topic| !topic.is_internal);
            let names = topics.map(|topic| topic.name);
            names
                .filter(|name| patterns.iter().any(|it| it.is_match(name)))
                .collect()
        }
        false => args.names.clone(),
    };
    for name in &names {
        match client.topic(name, false) {
            Ok(topic) => found.push((name, Some(topic.partitions.len()))),
            Err(error) if error.code == "UNKNOWN_TOPIC_OR_PARTITION" && args.if_exists => {
                found.push((name, None))
            }
            Err(error) => return Err(error),
        }
    }
    let mut topics = Vec::new();
    for (name, partitions) in found {
        let result = match partitions {
            None => "not there",
            Some(_) if args.dry_run => "would be deleted",
            Some(partitions) => {
                if !args.yes {
                    let partitions = output::count(partitions, "partition");
                    let question = format!("delete {name}, {partitions} and every record in it?");
                    confirm::ask(&question, name)?;
                }
                delete_topic(&mut client, name)?;
                "deleted"
            }
        };
        if args.format == OutputFormat::Table {
            output::text(&format!("{name}  {result}\n"))?;
        }
        topics.push(Deleted { name, result });
    }
    if args.format == OutputFormat::Json {
        output::json(&Document {
            schema_version: SCHEMA_VERSION,
            topics,
        })?;
    }
    Ok(())
}
