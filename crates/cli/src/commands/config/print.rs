//! `lastword config print [FILE]`: what `serve` would go by, or what a running broker goes by.
//!
//! Without `--origin` the answer is a server.properties file again.

use lastword_broker::config::{explain, setting_names};
use serde::Serialize;

use super::{SCHEMA_VERSION, SourceArgs};
use crate::client::admin::{Resource, describe_broker};
use crate::client::{Client, ClientArgs};
use crate::error::Result;
use crate::output::{self, OutputFormat};
use crate::settings::{Origin, Settings};

const HIDDEN: &str = "[hidden]";

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    sources: SourceArgs,
    /// All settings, those that nobody has set with their defaults
    #[arg(long)]
    effective: bool,
    /// Where each value comes from
    #[arg(long)]
    origin: bool,
    /// Ask the running broker instead: what was set while it runs is above the rest
    #[arg(long, conflicts_with_all = ["file", "set"])]
    running: bool,
    /// How to print the answer
    #[arg(long, value_enum, default_value_t)]
    pub format: OutputFormat,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Serialize)]
struct Document<'a> {
    schema_version: u32,
    file: Option<&'a str>,
    settings: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    name: String,
    value: Option<String>,
    /// `DEFAULT_CONFIG`, `STATIC_BROKER_CONFIG` and so on: Kafka's words.
    source: &'static str,
    /// `FILE:LINE`, `environment NAME`, `--set`.
    #[serde(skip_serializing_if = "Option::is_none")]
    origin: Option<String>,
}

pub fn run(args: &Args) -> Result<()> {
    let (file, mut rows) = if args.running {
        (None, of_broker(args)?)
    } else {
        let settings = args.sources.read()?;
        settings.check_readable()?;
        (settings.file.clone(), of_sources(&settings))
    };
    if !args.effective {
        rows.retain(|row| row.source != "DEFAULT_CONFIG");
    }
    if args.format == OutputFormat::Json {
        return output::json(&Document {
            schema_version: SCHEMA_VERSION,
            file: file.as_deref(),
            settings: rows,
        });
    }
    if args.origin {
        let cells: Vec<Vec<String>> = rows.into_iter().map(cells).collect();
        return output::text(&output::table(&["SETTING", "VALUE", "ORIGIN"], &cells));
    }
    let line = |row: &Row| {
        format!(
            "{}={}\n",
            row.name,
            row.value.as_deref().unwrap_or_default()
        )
    };
    output::text(&rows.iter().map(line).collect::<String>())
}

fn cells(row: Row) -> Vec<String> {
    let origin = row.origin.unwrap_or_else(|| match row.source {
        "DEFAULT_CONFIG" => "default".to_owned(),
        source => source.to_owned(),
    });
    vec![
        row.name,
        row.value.unwrap_or_else(|| "-".to_owned()),
        origin,
    ]
}

fn of_broker(args: &Args) -> Result<Vec<Row>> {
    let mut client = Client::connect(&args.client)?;
    let id = client.first_broker()?;
    let entries = describe_broker(&mut client, &Resource::Broker(id))?;
    let rows = entries.into_iter().map(|entry| Row {
        name: entry.name,
        value: entry.value,
        source: entry.source,
        origin: None,
    });
    Ok(rows.collect())
}

fn of_sources(settings: &Settings) -> Vec<Row> {
    let mut names: Vec<&str> = setting_names();
    names.extend(settings.by_name.keys().map(String::as_str));
    names.sort_unstable();
    names.dedup();
    let row = |name: &str| match settings.by_name.get(name) {
        Some(setting) => Row {
            name: name.to_owned(),
            value: Some(match setting.is_secret {
                true => HIDDEN.to_owned(),
                false => setting.value.clone(),
            }),
            source: match setting.origin {
                Origin::File { .. } | Origin::Environment(_) | Origin::Flag(_) => {
                    "STATIC_BROKER_CONFIG"
                }
            },
            origin: Some(setting.origin.to_string()),
        },
        None => Row {
            name: name.to_owned(),
            value: explain(name).and_then(|explained| explained.default),
            source: "DEFAULT_CONFIG",
            origin: None,
        },
    };
    names.into_iter().map(row).collect()
}
