//! `lastword group ls`

use std::collections::BTreeMap;

use serde::Serialize;

use super::SCHEMA_VERSION;
use crate::client::groups;
use crate::client::{Client, ClientArgs};
use crate::error::Result;
use crate::output::{self, OutputFormat};
use crate::true_counts::{ListedGroupCounts, TrueCountArgs};

#[derive(clap::Args)]
pub struct Args {
    /// Ids only, one a line
    #[arg(short, long)]
    quiet: bool,
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
    groups: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    group: String,
    state: String,
    r#type: String,
    protocol: String,
    members: Option<usize>,
    lag: Option<i64>,
    /// Records that exist among them; null when the broker's HTTP address is not there.
    true_lag: Option<u64>,
}

pub fn run(args: &Args) -> Result<()> {
    let mut client = Client::connect(&args.client)?;
    let listed = groups::list(&mut client)?;
    if args.quiet && args.format != OutputFormat::Json {
        let ids: String = listed
            .iter()
            .map(|group| format!("{}\n", group.id))
            .collect();
        return output::text(&ids);
    }
    let counts: BTreeMap<String, ListedGroupCounts> = match listed.is_empty() {
        true => BTreeMap::new(),
        false => match args.true_counts.find(&mut client, args.quiet)? {
            Some(counts) => {
                let groups = counts.groups()?.into_iter();
                groups.map(|group| (group.group.clone(), group)).collect()
            }
            None => BTreeMap::new(),
        },
    };
    let rows: Vec<Row> = listed
        .into_iter()
        .map(|group| {
            let counts = counts.get(&group.id);
            Row {
                members: counts.and_then(|it| it.members),
                lag: counts.and_then(|it| it.lag),
                true_lag: counts.and_then(|it| it.true_lag),
                group: group.id,
                state: group.state,
                r#type: group.kind,
                protocol: group.protocol,
            }
        })
        .collect();
    if args.format == OutputFormat::Json {
        return output::json(&Document {
            schema_version: SCHEMA_VERSION,
            groups: rows,
        });
    }
    let cells: Vec<Vec<String>> = rows.into_iter().map(cells).collect();
    let header = ["GROUP", "STATE", "TYPE", "MEMBERS", "LAG", "TRUE-LAG"];
    output::text(&output::table(&header, &cells))
}

fn cells(row: Row) -> Vec<String> {
    fn number(number: Option<impl ToString>) -> String {
        number.map_or_else(|| "-".to_owned(), |number| number.to_string())
    }
    let kind = if row.r#type.is_empty() {
        "-"
    } else {
        &row.r#type
    };
    vec![
        row.group,
        row.state,
        kind.to_ascii_lowercase(),
        number(row.members),
        number(row.lag),
        number(row.true_lag),
    ]
}
