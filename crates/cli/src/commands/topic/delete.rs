//! `lastword topic delete NAME...`
//!
//! Asks first. Without a terminal to ask, it refuses unless `-y` says that somebody has thought about it.

use std::io::{self, BufRead, IsTerminal, Write};

use serde::Serialize;

use super::SCHEMA_VERSION;
use crate::client::admin::delete_topic;
use crate::client::{Client, ClientArgs};
use crate::error::{CliError, Exit, Result};
use crate::output::{self, OutputFormat};

#[derive(clap::Args)]
pub struct Args {
    /// Names
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
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
    let can_ask = io::stdin().is_terminal() && io::stderr().is_terminal();
    if !args.yes && !args.dry_run && !can_ask {
        return Err(CliError::local(
            "NOT_CONFIRMED",
            format!("not deleting {} without asking", args.names.join(", ")),
        )
        .why("there is no terminal to ask on")
        .hint("add -y"));
    }
    let mut client = Client::connect(&args.client)?;
    // All names are looked at before the first topic goes.
    let mut found = Vec::new();
    for name in &args.names {
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
                    confirm(name, partitions)?;
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

fn confirm(name: &str, partitions: usize) -> Result<()> {
    let mut err = io::stderr().lock();
    let question = format!(
        "delete {name}, {} and every record in it? [y/N] ",
        output::count(partitions, "partition")
    );
    let _ = err
        .write_all(question.as_bytes())
        .and_then(|()| err.flush());
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer).map_err(|error| {
        CliError::local("INPUT", "cannot read the answer").why(error.to_string())
    })?;
    match answer.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(CliError::new(
            Exit::No,
            "NOT_CONFIRMED",
            format!("{name} stays"),
        )),
    }
}
