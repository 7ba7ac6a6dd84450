//! `lastword topic offsets TOPIC [--at TIME]`: where partitions start and end, and what the first offset at a time is.

use serde::Serialize;

use super::SCHEMA_VERSION;
use crate::client::offsets::{EARLIEST, LATEST, list_offsets};
use crate::client::{Client, ClientArgs};
use crate::error::{CliError, Result};
use crate::output::{self, OutputFormat};
use crate::time::{now_ms, parse_instant_ms};

#[derive(clap::Args)]
pub struct Args {
    /// Name
    #[arg(value_name = "NAME")]
    name: String,
    /// The first offset at this time: 2026-11-23T14:00:00Z, seconds or milliseconds since 1970, or -1h for an hour ago
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    at: Option<String>,
    /// Only these partitions
    #[arg(
        short,
        long = "partitions",
        visible_alias = "partition",
        value_name = "LIST",
        value_delimiter = ','
    )]
    partitions: Vec<i32>,
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
    at_ms: Option<i64>,
    partitions: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    partition: i32,
    start_offset: i64,
    /// Of read_committed readers.
    last_stable_offset: i64,
    end_offset: i64,
    /// Null when no record is that new, or nobody asked.
    at_offset: Option<i64>,
}

pub fn run(args: &Args) -> Result<()> {
    let at = args.at.as_deref();
    let at = at.map(|text| parse_instant_ms(text.strip_prefix('@').unwrap_or(text), now_ms()));
    let at_ms = at.transpose().map_err(CliError::usage)?;
    let mut client = Client::connect(&args.client)?;
    let topic = client.topic(&args.name, false)?;
    let partitions = crate::commands::consume::chosen(&topic, &args.partitions)?;
    let start = list_offsets(&mut client, &topic, &partitions, EARLIEST, false)?;
    let end = list_offsets(&mut client, &topic, &partitions, LATEST, false)?;
    let stable = list_offsets(&mut client, &topic, &partitions, LATEST, true)?;
    let found = match at_ms {
        Some(ms) => list_offsets(&mut client, &topic, &partitions, ms, false)?,
        None => Default::default(),
    };
    let rows = partitions.iter().map(|partition| {
        let of = |offsets: &std::collections::BTreeMap<i32, i64>| {
            offsets.get(partition).copied().unwrap_or(-1)
        };
        Row {
            partition: *partition,
            start_offset: of(&start),
            last_stable_offset: of(&stable),
            end_offset: of(&end),
            at_offset: Some(of(&found)).filter(|offset| *offset >= 0),
        }
    });
    let rows: Vec<Row> = rows.collect();
    if args.format == OutputFormat::Json {
        return output::json(&Document {
            schema_version: SCHEMA_VERSION,
            name: &args.name,
            at_ms,
            partitions: rows,
        });
    }
    let mut header = vec!["PARTITION", "START", "LAST-STABLE", "END"];
    if at_ms.is_some() {
        header.push("AT");
    }
    let cells = rows.iter().map(|row| {
        let offsets = [row.start_offset, row.last_stable_offset, row.end_offset];
        let mut cells = vec![row.partition.to_string()];
        cells.extend(offsets.map(|offset| offset.to_string()));
        let at = row.at_offset.map(|offset| offset.to_string());
        cells.push(at.unwrap_or_else(|| "-".to_owned()));
        cells.truncate(header.len());
        cells
    });
    output::text(&output::table(&header, &cells.collect::<Vec<_>>()))
}
