//! `lastword group delete GROUP...`: asks first.

use serde::Serialize;

use super::SCHEMA_VERSION;
use crate::client::groups;
use crate::client::{Client, ClientArgs};
use crate::confirm;
use crate::error::Result;
use crate::output::{self, OutputFormat};

#[derive(clap::Args)]
pub struct Args {
    /// Ids
    #[arg(required = true, value_name = "GROUP")]
    groups: Vec<String>,
    /// Do not ask
    #[arg(short = 'y', long, visible_alias = "no-confirm")]
    yes: bool,
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
    groups: Vec<Deleted<'a>>,
}

#[derive(Serialize)]
struct Deleted<'a> {
    group: &'a str,
    /// `deleted` or `would be deleted`.
    result: &'static str,
}

pub fn run(args: &Args) -> Result<()> {
    if !args.yes && !args.dry_run {
        confirm::check_can_ask(&format!("delete group {}", args.groups.join(", ")))?;
    }
    let mut client = Client::connect(&args.client)?;
    // All are looked at before the first one goes.
    for id in &args.groups {
        groups::describe(&mut client, id)?;
    }
    let mut deleted = Vec::new();
    for id in &args.groups {
        let result = match args.dry_run {
            true => "would be deleted",
            false => {
                if !args.yes {
                    let question = format!("delete group {id} and all it has committed?");
                    confirm::ask(&question, id)?;
                }
                groups::delete(&mut client, id)?;
                "deleted"
            }
        };
        if args.format != OutputFormat::Json {
            output::text(&format!("{id}  {result}\n"))?;
        }
        deleted.push(Deleted { group: id, result });
    }
    if args.format == OutputFormat::Json {
        output::json(&Document {
            schema_version: SCHEMA_VERSION,
            groups: deleted,
        })?;
    }
    Ok(())
}
