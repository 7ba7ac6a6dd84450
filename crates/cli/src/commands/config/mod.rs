//! `lastword config`: are these settings right, which is in force and why, what does one mean, and change one.
//!
//! `check`, `print`, `explain` and `diff` with two files need no broker.

mod check;
mod diff;
mod explain;
mod print;
mod set;

use clap::Subcommand;

use crate::error::Result;
use crate::output::OutputFormat;
use crate::settings::{Settings, Sources};

const EXAMPLES: &str = "Examples:\n  lastword config check server.properties\n  \
    lastword config print --origin\n  lastword config explain min.cleanable.dirty.ratio";
const CHECK_EXAMPLES: &str = "Examples:\n  lastword config check\n  \
    lastword config check server.properties --format json";
const PRINT_EXAMPLES: &str = "Examples:\n  lastword config print --origin\n  \
    lastword config print server.properties --effective";
const EXPLAIN_EXAMPLES: &str = "Examples:\n  lastword config explain log.cleaner.threads\n  \
    lastword config explain cleanup.policy --format json";
const DIFF_EXAMPLES: &str = "Examples:\n  lastword config diff server.properties\n  \
    lastword config diff old.properties new.properties";

#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Say all that is wrong with a server.properties file: exit code 0 for nothing, 1 for errors
    #[command(after_help = CHECK_EXAMPLES)]
    Check(check::Args),
    /// Show the settings that are in force
    #[command(after_help = PRINT_EXAMPLES)]
    Print(print::Args),
    /// Say what a setting does
    #[command(after_help = EXPLAIN_EXAMPLES)]
    Explain(explain::Args),
    /// Show what a file says otherwise than another one, or than a running broker
    #[command(after_help = DIFF_EXAMPLES)]
    Diff(diff::Args),
    /// Change settings of a running broker, or of a topic
    #[command(after_help = set::EXAMPLES)]
    Set(set::Args),
}

/// The version of every JSON document these commands print.
const SCHEMA_VERSION: u32 = 1;

impl Args {
    /// Whether errors are wanted as JSON too.
    pub fn json(&self) -> bool {
        let format = match &self.verb {
            Verb::Check(args) => args.format,
            Verb::Print(args) => args.format,
            Verb::Explain(args) => args.format,
            Verb::Diff(args) => args.format,
            Verb::Set(args) => args.format,
        };
        format == OutputFormat::Json
    }
}

pub fn run(args: &Args) -> Result<()> {
    match &args.verb {
        Verb::Check(args) => check::run(args),
        Verb::Print(args) => print::run(args),
        Verb::Explain(args) => explain::run(args),
        Verb::Diff(args) => diff::run(args),
        Verb::Set(args) => set::run(args),
    }
}

/// The same sources as `lastword serve` has.
#[derive(clap::Args)]
struct SourceArgs {
    /// A server.properties file [default: ./server.properties, then /etc/lastword/server.properties, if there is one]
    #[arg(value_name = "FILE")]
    file: Option<String>,
    /// As for serve: a setting above the file and the environment
    #[arg(long, visible_alias = "override", value_name = "NAME=VALUE")]
    set: Vec<String>,
}

impl SourceArgs {
    fn read(&self) -> Result<Settings> {
        let sources = Sources {
            file: self.file.clone(),
            set: self.set.clone(),
            flags: Vec::new(),
        };
        sources.read()
    }
}
