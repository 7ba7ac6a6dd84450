//! `lastword group`: consumer groups, their lag, and what they have committed.

mod delete;
mod describe;
mod ls;
mod offset_delete;
mod seek;

use clap::Subcommand;

use crate::client::{Client, TopicInfo};
use crate::error::{CliError, Result};
use crate::output::OutputFormat;

const EXAMPLES: &str = "Examples:\n  lastword group ls\n  lastword group describe app\n  \
    lastword group seek app --to start";
const LS_EXAMPLES: &str = "Examples:\n  lastword group ls\n  lastword group ls --format json";
const DESCRIBE_EXAMPLES: &str =
    "Examples:\n  lastword group describe app\n  lastword group describe app --format json";
const DELETE_EXAMPLES: &str =
    "Examples:\n  lastword group delete app\n  lastword group delete a b --dry-run";
const OFFSET_DELETE_EXAMPLES: &str = "Examples:\n  lastword group offset-delete app --topic orders\n  \
    lastword group offset-delete app --topic orders:0 -y";

#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// List groups, with their lag
    #[command(visible_alias = "list", after_help = LS_EXAMPLES)]
    Ls(ls::Args),
    /// Show a group: state, members, and what is left to read, partition by partition
    #[command(after_help = DESCRIBE_EXAMPLES)]
    Describe(describe::Args),
    /// Move what a group has committed
    #[command(after_help = seek::EXAMPLES)]
    Seek(seek::Args),
    /// Delete groups with all they have committed
    #[command(after_help = DELETE_EXAMPLES)]
    Delete(delete::Args),
    /// Forget what a group has committed for some topics
    #[command(after_help = OFFSET_DELETE_EXAMPLES)]
    OffsetDelete(offset_delete::Args),
}

/// The version of every JSON document these commands print.
const SCHEMA_VERSION: u32 = 1;

impl Args {
    /// Whether errors are wanted as JSON too.
    pub fn json(&self) -> bool {
        let format = match &self.verb {
            Verb::Ls(args) => args.format,
            Verb::Describe(args) => args.format,
            Verb::Seek(args) => args.format,
            Verb::Delete(args) => args.format,
            Verb::OffsetDelete(args) => args.format,
        };
        format == OutputFormat::Json
    }
}

pub fn run(args: &Args) -> Result<()> {
    match &args.verb {
        Verb::Ls(args) => ls::run(args),
        Verb::Describe(args) => describe::run(args),
        Verb::Seek(args) => seek::run(args),
        Verb::Delete(args) => delete::run(args),
        Verb::OffsetDelete(args) => offset_delete::run(args),
    }
}

/// `TOPIC` or `TOPIC:PARTITION`: the topic, and its partitions that are meant.
fn partitions_of(client: &mut Client, text: &str) -> Result<(TopicInfo, Vec<i32>)> {
    let (name, partition) = match text.rsplit_once(':') {
        Some((name, partition)) => {
            let number = partition
                .parse::<i32>()
                .map_err(|_| CliError::usage(format!("`{text}` is no TOPIC or TOPIC:PARTITION")))?;
            (name, Some(number))
        }
        None => (text, None),
    };
    let topic = client.topic(name, false)?;
    let all = topic.partitions.iter().map(|partition| partition.index);
    let partitions: Vec<i32> = all
        .filter(|it| partition.is_none_or(|wanted| wanted == *it))
        .collect();
    if partitions.is_empty() {
        return Err(CliError::usage(format!("there is no {text}"))
            .hint(format!("0 to {}", topic.partitions.len().saturating_sub(1))));
    }
    Ok((topic, partitions))
}
