//! `lastword compact status [TOPIC]`: head and tail of every compacted partition, and why it is not being cleaned now.
//! `pause` and `resume` answer with the same lines.

use std::io;
use std::thread::sleep;
use std::time::Duration;

use lastword_http::client::encode;
use serde::Deserialize;
use serde_json::Value;

use lastword_storage::cleaner::choose::is_internal;

use super::live::{Target, human, parse, path_of};
use crate::error::Result;
use crate::http::HttpArgs;
use crate::output::{self, OutputFormat};
use crate::terminal;
use crate::time::{human_duration, minute, now_ms};

#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  lastword compact status\n  lastword compact status prices --watch\n  \
    lastword compact status --format json | jq .partitions[].reason"
)]
pub struct Args {
    /// Only this topic, or one partition of it
    #[arg(value_name = "TOPIC[:PARTITION]")]
    target: Option<String>,
    /// Also the topics of Kafka itself, as __consumer_offsets
    #[arg(short, long)]
    internal: bool,
    /// Print again every so many seconds, until interrupted
    #[arg(short, long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2",
          value_parser = clap::value_parser!(u64).range(1..=3600))]
    watch: Option<u64>,
    /// How to print the answer; with --watch one document a line
    #[arg(long, value_enum, default_value_t)]
    pub format: OutputFormat,
    #[command(flatten)]
    http: HttpArgs,
}

#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  lastword compact pause prices\n  lastword compact pause prices:0 --by alice"
)]
pub struct PauseArgs {
    /// A topic with all the partitions it has now, or one of them
    #[arg(value_name = "TOPIC[:PARTITION]")]
    target: String,
    /// Who asks, for whoever wonders
    #[arg(long, env = "USER", default_value = "somebody", hide_env_values = true)]
    by: String,
    /// How to print the answer
    #[arg(long, value_enum, default_value_t)]
    pub format: OutputFormat,
    #[command(flatten)]
    http: HttpArgs,
}

#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  lastword compact resume prices\n  lastword compact resume prices:0"
)]
pub struct ResumeArgs {
    /// A topic with all its partitions, or one of them
    #[arg(value_name = "TOPIC[:PARTITION]")]
    target: String,
    /// How to print the answer
    #[arg(long, value_enum, default_value_t)]
    pub format: OutputFormat,
    #[command(flatten)]
    http: HttpArgs,
}

/// What is shown of a partition.
#[derive(Deserialize)]
pub struct Status {
    pub topic: String,
    pub partition: i32,
    reason: String,
    why: String,
    tail: Section,
    head: Section,
    dirty_ratio: Option<f64>,
    missing_dirty_bytes: Option<u64>,
    next_ms: Option<i64>,
    counts: Option<Counts>,
    last_cleaning: Option<Cleaning>,
}

#[derive(Deserialize)]
struct Section {
    bytes: u64,
}

#[derive(Deserialize)]
struct Counts {
    live_keys: u64,
    tombstones: u64,
    dead_bytes: u64,
}

#[derive(Deserialize)]
struct Cleaning {
    started_ms: i64,
}

impl Status {
    /// `prices-0`
    pub fn name(&self) -> String {
        format!("{}-{}", self.topic, self.partition)
    }

    /// Why it is not being cleaned now, in a line: the sentence, what would change it, and when it was cleaned.
    pub fn explanation(&self) -> String {
        let mut line = format!("{}  {}  {}", self.name(), self.reason, self.why);
        if self.reason == "below-ratio" {
            line.push_str(&match self.missing_dirty_bytes {
                Some(bytes) => format!("; due when {} more are dirty", human(bytes)),
                None => "; never due by its ratio".to_owned(),
            });
        }
        // Where the sentence has no time of its own.
        let has_deadline = ["below-ratio", "clean", "open-transaction"].contains(&&*self.reason);
        if let Some(next_ms) = self.next_ms.filter(|_| has_deadline) {
            line.push_str(&format!("; due by a deadline at {}", minute(next_ms)));
        }
        if let Some(cleaning) = &self.last_cleaning {
            line.push_str(&format!("; cleaned {}", ago(cleaning.started_ms)));
        }
        line
    }
}

fn ago(at_ms: i64) -> String {
    let elapsed_ms = now_ms().saturating_sub(at_ms).max(0);
    // To the unit: nobody reads the rest.
    let unit = [86_400_000, 3_600_000, 60_000, 1_000]
        .into_iter()
        .find(|unit| elapsed_ms >= *unit);
    match unit {
        Some(unit) => format!("{} ago", human_duration(elapsed_ms / unit * unit)),
        None => "just now".to_owned(),
    }
}

pub fn run(args: &Args) -> Result<()> {
    let target = args.target.as_deref().map(Target::parse).transpose()?;
    loop {
        let document = document(args, target.as_ref())?;
        let is_redrawn = args.watch.is_some() && terminal::can_redraw(&io::stdout());
        if is_redrawn && args.format == OutputFormat::Table {
            output::text("\x1b[H\x1b[2J")?;
        }
        print(&document, args.format)?;
        match args.watch {
            Some(seconds) => sleep(Duration::from_secs(seconds)),
            None => return Ok(()),
        }
    }
}

/// One document whatever was asked for.
fn document(args: &Args, target: Option<&Target>) -> Result<Value> {
    match target {
        None => {
            let mut document: Value = args.http.call("GET", "/v1/compaction", None)?;
            let partitions = document["partitions"].as_array_mut();
            if let Some(partitions) = partitions.filter(|_| !args.internal) {
                partitions.retain(|it| !it["topic"].as_str().is_some_and(is_internal));
            }
            Ok(document)
        }
        Some(target) => {
            let partitions = target.statuses(&args.http)?;
            Ok(serde_json::json!({"schema_version": 1, "partitions": partitions}))
        }
    }
}

fn print(document: &Value, format: OutputFormat) -> Result<()> {
    if format == OutputFormat::Json {
        return output::json(document);
    }
    #[derive(Deserialize)]
    struct List {
        partitions: Vec<Status>,
        #[serde(default)]
        left_off: usize,
    }
    let list: List = parse(document)?;
    output::text(&table(&list.partitions))?;
    if list.left_off > 0 {
        output::say(&format!(
            "and {} more; name a topic to see its partitions",
            list.left_off
        ));
    }
    Ok(())
}

fn table(partitions: &[Status]) -> String {
    let dash = || "-".to_owned();
    let rows = partitions.iter().map(|status| {
        let counts = status.counts.as_ref();
        vec![
            status.name(),
            status.reason.clone(),
            human(status.tail.bytes),
            human(status.head.bytes),
            status
                .dirty_ratio
                .map_or_else(dash, |ratio| format!("{:.0} %", ratio * 100.0)),
            counts.map_or_else(dash, |counts| human(counts.dead_bytes)),
            counts.map_or_else(dash, |counts| counts.live_keys.to_string()),
            counts.map_or_else(dash, |counts| counts.tombstones.to_string()),
            status
                .last_cleaning
                .as_ref()
                .map_or_else(dash, |cleaning| ago(cleaning.started_ms)),
            status.why.clone(),
        ]
    });
    let rows: Vec<Vec<String>> = rows.collect();
    let header = [
        "PARTITION",
        "REASON",
        "TAIL",
        "HEAD",
        "DIRTY",
        "DEAD",
        "KEYS",
        "TOMBSTONES",
        "CLEANED",
        "WHY",
    ];
    output::table(&header, &rows)
}

pub fn pause(args: &PauseArgs) -> Result<()> {
    let rest = format!("compaction/pause?by={}", encode(&args.by));
    post_to_each(&args.http, &args.target, &rest, args.format)
}

pub fn resume(args: &ResumeArgs) -> Result<()> {
    post_to_each(&args.http, &args.target, "compaction/resume", args.format)
}

fn post_to_each(http: &HttpArgs, target: &str, rest: &str, format: OutputFormat) -> Result<()> {
    let mut documents = Vec::new();
    for document in Target::parse(target)?.statuses(http)? {
        let status: Status = parse(&document)?;
        let changed = http.call::<Value>("POST", &path_of(&status, rest), None)?;
        if format == OutputFormat::Table {
            let status: Status = parse(&changed)?;
            output::text(&format!("{}\n", status.explanation()))?;
        }
        documents.push(changed);
    }
    match format {
        OutputFormat::Table => Ok(()),
        OutputFormat::Json => {
            output::json(&serde_json::json!({"schema_version": 1, "partitions": documents}))
        }
    }
}
