//! `lastword version`: what this binary is, and the Kafka APIs that its broker serves.

use serde::Serialize;

use crate::error::Result;
use crate::output::{self, OutputFormat};

#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  lastword version\n  lastword version --format json | jq .apis"
)]
pub struct Args {
    /// How to print the answer
    #[arg(long, value_enum, default_value_t)]
    format: OutputFormat,
}

impl Args {
    /// Whether errors are wanted as JSON too.
    pub fn json(&self) -> bool {
        self.format == OutputFormat::Json
    }
}

#[derive(Serialize)]
struct Document {
    schema_version: u32,
    version: &'static str,
    /// Of the sources, if it was known when this was built.
    revision: Option<&'static str>,
    rustc: Option<&'static str>,
    apis: Vec<Api>,
}

#[derive(Serialize)]
struct Api {
    name: &'static str,
    key: i16,
    min_version: i16,
    max_version: i16,
}

pub fn run(args: &Args) -> Result<()> {
    let apis = lastword_broker::SERVED.iter().map(|api| Api {
        name: api.name(),
        key: api.as_i16(),
        min_version: api.versions().0,
        max_version: api.versions().1,
    });
    let document = Document {
        schema_version: 1,
        version: env!("CARGO_PKG_VERSION"),
        revision: option_env!("BUILD_REVISION"),
        rustc: option_env!("BUILD_RUSTC"),
        apis: apis.collect(),
    };
    if args.format == OutputFormat::Json {
        return output::json(&document);
    }
    let mut lines = format!("lastword {}", document.version);
    if let Some(revision) = document.revision {
        lines.push_str(&format!("  {revision}"));
    }
    if let Some(rustc) = document.rustc {
        lines.push_str(&format!("  {rustc}"));
    }
    lines.push('\n');
    let rows: Vec<Vec<String>> = document
        .apis
        .iter()
        .map(|api| {
            let versions = format!("{}..{}", api.min_version, api.max_version);
            vec![api.name.to_owned(), api.key.to_string(), versions]
        })
        .collect();
    lines.push_str(&output::table(&["API", "KEY", "VERSIONS"], &rows));
    output::text(&lines)
}
