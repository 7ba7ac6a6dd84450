//! `lastword topic`: the nouns' verbs.

mod alter;
mod create;
mod delete;
mod describe;
mod ls;
mod offsets;
mod trim;

use clap::Subcommand;

use crate::error::Result;
use crate::output::OutputFormat;

const EXAMPLES: &str = "Examples:\n  lastword topic create prices --compact\n  lastword topic ls\n  \
    lastword topic describe prices --map";
const LS_EXAMPLES: &str = "Examples:\n  lastword topic ls\n  lastword topic ls --internal\n  \
    lastword topic ls --format json | jq -r '.topics[].name'";
const DESCRIBE_EXAMPLES: &str = "Examples:\n  lastword topic describe prices\n  lastword topic describe prices --map\n  \
    lastword topic describe prices --all --format json";
const OFFSETS_EXAMPLES: &str =
    "Examples:\n  lastword topic offsets prices\n  lastword topic offsets prices --at -1h";
const DELETE_EXAMPLES: &str = "Examples:\n  lastword topic delete prices\n  lastword topic delete prices orders --yes\n  \
    lastword topic delete prices --dry-run";

#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Create topics
    #[command(after_help = create::EXAMPLES)]
    Create(create::Args),
    /// List topics
    #[command(visible_alias = "list", after_help = LS_EXAMPLES)]
    Ls(ls::Args),
    /// Show a topic: summary, settings, partitions
    #[command(after_help = DESCRIBE_EXAMPLES)]
    Describe(describe::Args),
    /// Change settings, or add partitions
    #[command(visible_alias = "alter-config", after_help = alter::EXAMPLES)]
    Alter(alter::Args),
    /// Delete topics with all their records
    #[command(after_help = DELETE_EXAMPLES)]
    Delete(delete::Args),
    /// Delete the records before an offset
    #[command(visible_alias = "trim-prefix", after_help = trim::EXAMPLES)]
    Trim(trim::Args),
    /// Show where partitions start and end, and offsets by time
    #[command(after_help = OFFSETS_EXAMPLES)]
    Offsets(offsets::Args),
    /// Write records: the same as `lastword produce`
    #[command(hide = true)]
    Produce(super::produce::Args),
    /// Read records: the same as `lastword consume`
    #[command(hide = true)]
    Consume(super::consume::Args),
}

impl Args {
    /// Whether errors are wanted as JSON too.
    pub fn json(&self) -> bool {
        let format = match &self.verb {
            Verb::Create(args) => args.format,
            Verb::Ls(args) => args.format,
            Verb::Describe(args) => args.format,
            Verb::Alter(args) => args.format,
            Verb::Delete(args) => args.format,
            Verb::Trim(args) => args.format,
            Verb::Offsets(args) => args.format,
            Verb::Produce(_) => OutputFormat::Table,
            Verb::Consume(args) => return args.json(),
        };
        format == OutputFormat::Json
    }
}

pub fn run(args: Args) -> Result<()> {
    match args.verb {
        Verb::Create(args) => create::run(&args),
        Verb::Ls(args) => ls::run(&args),
        Verb::Describe(args) => describe::run(&args),
        Verb::Alter(args) => alter::run(&args),
        Verb::Delete(args) => delete::run(&args),
        Verb::Trim(args) => trim::run(&args),
        Verb::Offsets(args) => offsets::run(&args),
        Verb::Produce(args) => super::produce::run(&args),
        Verb::Consume(args) => super::consume::run(&args),
    }
}

/// The version of every JSON document these commands print.
const SCHEMA_VERSION: u32 = 1;
