//! `lastword config diff FILE [OTHER]`: FILE beside OTHER, or beside what a running broker goes by.
//!
//! With a broker it says what a restart with FILE would change; what only has its default in both is left out.

use std::collections::{BTreeMap, BTreeSet};

use lastword_broker::config::explain;
use serde::Serialize;

use super::SCHEMA_VERSION;
use crate::client::admin::{Resource, describe_broker};
use crate::client::{Client, ClientArgs};
use crate::error::{CliError, Result};
use crate::output::{self, OutputFormat};
use crate::settings;

#[derive(clap::Args)]
pub struct Args {
    /// A server.properties file
    #[arg(value_name = "FILE")]
    file: String,
    /// Another one, instead of a running broker
    #[arg(value_name = "OTHER")]
    other: Option<String>,
    /// How to print the answer
    #[arg(long, value_enum, default_value_t)]
    pub format: OutputFormat,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Serialize)]
struct Document {
    schema_version: u32,
    differences: Vec<Difference>,
}

#[derive(Serialize)]
struct Difference {
    name: String,
    file: Option<String>,
    other: Option<String>,
    /// Of `other`: `DEFAULT_CONFIG`, `STATIC_BROKER_CONFIG` and so on.
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<&'static str>,
}

pub fn run(args: &Args) -> Result<()> {
    let file = read(&args.file)?;
    let other: BTreeMap<String, (Option<String>, Option<&'static str>)> = match &args.other {
        Some(path) => {
            let settings = read(path)?.into_iter();
            settings
                .map(|(name, value)| (name, (Some(value), None)))
                .collect()
        }
        None => {
            let mut client = Client::connect(&args.client)?;
            let id = client.first_broker()?;
            let entries = describe_broker(&mut client, &Resource::Broker(id))?;
            let entries = entries.into_iter();
            entries
                .map(|entry| (entry.name, (entry.value, Some(entry.source))))
                .collect()
        }
    };
    let default = |name: &str| explain(name).and_then(|explained| explained.default);
    let names: BTreeSet<&String> = file.keys().chain(other.keys()).collect();
    let mut differences = Vec::new();
    for name in names {
        let there = other.get(name).cloned();
        let is_set_there = there
            .as_ref()
            .is_some_and(|(_, source)| *source != Some("DEFAULT_CONFIG"));
        if !file.contains_key(name) && !is_set_there {
            continue;
        }
        let new = file.get(name).cloned().or_else(|| default(name));
        let (old, source) = there.unwrap_or_else(|| (default(name), None));
        if new != old {
            differences.push(Difference {
                name: name.clone(),
                file: new,
                other: old,
                source,
            });
        }
    }
    if args.format == OutputFormat::Json {
        return output::json(&Document {
            schema_version: SCHEMA_VERSION,
            differences,
        });
    }
    if differences.is_empty() {
        return output::text("no difference\n");
    }
    let show = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    let rows: Vec<Vec<String>> = differences
        .into_iter()
        .map(|it| vec![it.name, show(it.other), show(it.file)])
        .collect();
    let now = if args.other.is_some() { "OTHER" } else { "NOW" };
    output::text(&output::table(&["SETTING", now, "FILE"], &rows))
}

fn read(path: &str) -> Result<BTreeMap<String, String>> {
    let settings = settings::read_file(path)?;
    if let Some(bad) = settings.bad.first() {
        let error = CliError::local("INVALID_CONFIG", format!("cannot use {path}"));
        return Err(error.why(format!("{}: {}: {}", bad.origin, bad.name, bad.reason)));
    }
    Ok(settings.properties())
}
