//! `lastword verify OLD NEW`: a proof that NEW is a right cleaning of OLD, or the first offset that breaks it. NEW is a
//! directory, or with `-b` a topic of a running broker (`topic`).
//!
//! Both are read and neither is written. Results go to standard output as they come, the bar to standard error.

mod topic;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use lastword_broker::offline::{OfflineError, OfflineSettings};
use lastword_broker::offline_read::ReadOnlyDirectory;
use lastword_record::TopicPartition;
use lastword_storage::Clock;
use lastword_storage::verify::{self, Kind, Request, Rules, Source, Verified, VerifyError};
use serde::Serialize;

use super::compact::live::Target;
use super::compact::{self, When};
use crate::client::admin::describe_configs;
use crate::client::{Client, ClientArgs};
use crate::error::{CliError, Exit, Result};
use crate::output::{self, OutputFormat, count, human_bytes};
use crate::process;

const SCHEMA_VERSION: u32 = 1;
/// Longest wait for an answer of a broker.
const TIMEOUT_S: u64 = 30;
const FRAME: Duration = Duration::from_millis(200);

#[derive(clap::Args)]
#[command(after_help = "\
OLD and NEW are log directories, Lastword's or Kafka's, or two partition directories. No broker may be running on them. \
With -b, NEW is a topic of a running broker, Lastword's or Kafka's, and is fetched into a temporary directory (TMPDIR). \
Nothing is written to either.\n\n\
Proved: the last committed record of every key is in NEW as it was in OLD, nothing was invented, offsets and order are \
the same, what a cleaning may not touch is there, tombstones and markers went no sooner than they may, rolled back data \
stays rolled back, checksums and indexes are sound. docs/verify.md has the rules.\n\n\
Exit codes: 0 NEW is a right cleaning of OLD, 1 it is not, 2 wrong usage or a local failure,\n3 no broker, 4 it refused.\n\n\
Examples:\n  lastword verify /backup/kafka-logs /var/lib/kafka\n  \
lastword verify before/prices-0 after/prices-0 --set delete.retention.ms=0\n  \
lastword verify before after --topic prices --format json")]
pub struct Args {
    /// The directory before the cleaning
    #[arg(value_name = "OLD")]
    old: PathBuf,
    /// The directory after it; with -b a topic, TOPIC[:PARTITION]
    #[arg(value_name = "NEW")]
    new: PathBuf,
    /// Brokers to ask, with commas between them: NEW is a topic there
    #[arg(
        short = 'b',
        long,
        visible_alias = "bootstrap-server",
        value_name = "HOST:PORT"
    )]
    brokers: Option<String>,
    /// Only this topic, or one partition of it; may be repeated
    #[arg(short, long, value_name = "TOPIC[:PARTITION]")]
    topic: Vec<String>,
    /// What time it was at the cleaning, or later: milliseconds since 1970
    #[arg(long, value_name = "MILLIS", value_parser = clap::value_parser!(i64).range(0..))]
    now: Option<i64>,
    /// NEW is the work of several cleanings, the first of them not before this time
    #[arg(long, value_name = "MILLIS", value_parser = clap::value_parser!(i64).range(0..))]
    since: Option<i64>,
    /// A topic config, or a config of the broker's cleaner; sizes and times may have units (64MiB, 7d)
    #[arg(long, value_name = "NAME=VALUE")]
    set: Vec<String>,
    /// Whether a bar is drawn: auto draws it on a terminal
    #[arg(long, value_enum, default_value_t)]
    progress: When,
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

/// One partition.
#[derive(Serialize)]
struct Row {
    topic: String,
    partition: i32,
    verified: bool,
    old_records: u64,
    new_records: u64,
    keys: u64,
    gone: Gone,
    not_cleaned: u64,
    tombstones: u64,
    /// At and above it nothing may be gone; null for a topic that is not compacted.
    bound_offset: Option<i64>,
    log_end_offset: i64,
    violations: Vec<Violation>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
    seconds: f64,
}

#[derive(Default, Serialize)]
struct Gone {
    superseded: u64,
    aborted: u64,
    keyless: u64,
    expired_tombstones: u64,
    expired_markers: u64,
    retention: u64,
}

#[derive(Serialize)]
struct Violation {
    offset: i64,
    kind: &'static str,
    message: String,
}

#[derive(Serialize)]
struct Document {
    schema_version: u32,
    verified: bool,
    partitions: Vec<Row>,
    seconds: f64,
}

pub fn run(args: &Args) -> Result<()> {
    process::raise_file_limit();
    let start = Instant::now();
    let open = |path: &Path, same| {
        ReadOnlyDirectory::open(path, same).map_err(|error| explain(&error, path))
    };
    let old = open(&args.old, None)?;
    let mut document = Document {
        schema_version: SCHEMA_VERSION,
        verified: true,
        partitions: Vec::new(),
        seconds: 0.0,
    };
    let mut show = |row: Row| {
        if args.format == OutputFormat::Table {
            output::text(&row.lines())?;
        }
        document.verified &= row.verified;
        document.partitions.push(row);
        Ok(())
    };
    match &args.brokers {
        Some(brokers) => verify_topic(args, &old, brokers, &mut show)?,
        None => {
            let settings = compact::settings(&args.set)?;
            let new = open(&args.new, Some(&old))?;
            for (topic_partition, in_new) in &pairs(args, &old, &new)? {
                let sources = (
                    old.source(topic_partition),
                    in_new.as_ref().and_then(|in_new| new.source(in_new)),
                );
                show(verify_one(args, &settings, &new, topic_partition, sources)?)?;
            }
        }
    }
    document.seconds = start.elapsed().as_secs_f64();
    match args.format {
        OutputFormat::Json => output::json(&document)?,
        OutputFormat::Table => output::text(&document.total())?,
    }
    match document.broken() {
        None => Ok(()),
        Some((row, first)) => {
            let name = format!("{}-{}", row.topic, row.partition);
            let what = format!(
                "{} is no right cleaning of {}",
                args.new.display(),
                args.old.display()
            );
            let why = format!(
                "{name} at offset {}: {} ({})",
                first.offset, first.message, first.kind
            );
            Err(CliError::new(Exit::No, "NOT_VERIFIED", what).why(why))
        }
    }
}

/// Configs of the topic that a cleaning goes by.
const OF_CLEANING: [&str; 3] = [
    "cleanup.policy",
    "delete.retention.ms",
    "min.compaction.lag.ms",
];

/// NEW is a topic.
fn verify_topic(
    args: &Args,
    old: &ReadOnlyDirectory,
    brokers: &str,
    show: &mut dyn FnMut(Row) -> Result<()>,
) -> Result<()> {
    let target = Target::parse(&args.new.to_string_lossy())?;
    let mut client = Client::connect(&ClientArgs::new(brokers, TIMEOUT_S))?;
    let info = client.topic(&target.topic, false)?;
    let described = describe_configs(&mut client, &[&target.topic], Some(&OF_CLEANING))?;
    let described = described.values().flatten().filter_map(|entry| {
        let value = entry.value.as_ref()?;
        Some(format!("{}={value}", entry.name))
    });
    // What is given wins.
    let settings: Vec<String> = described.chain(args.set.iter().cloned()).collect();
    let settings = compact::settings(&settings)?;
    let in_old: BTreeSet<i32> = old
        .partitions()
        .filter(|it| old.is_single() || *it.topic == *target.topic)
        .map(|it| it.partition)
        .collect();
    let in_new = info.partitions.iter().map(|it| it.index);
    let in_new: BTreeSet<i32> = in_new.collect();
    let wanted: BTreeSet<i32> = match (target.partition, old.is_single()) {
        (Some(partition), _) => BTreeSet::from([partition]),
        (None, true) => in_old.clone(),
        (None, false) => in_old.union(&in_new).copied().collect(),
    };
    for partition in wanted {
        let topic_partition = TopicPartition::new(&*target.topic, partition);
        let known = old.partitions().find(|it| match old.is_single() {
            true => true,
            false => **it == topic_partition,
        });
        let source = known.and_then(|it| old.source(it));
        let spool = topic::spool()?;
        let sources = match source {
            Some(source) if in_new.contains(&partition) => {
                let path = match old.is_single() {
                    true => args.old.clone(),
                    false => args.old.join(&source.partition_dir),
                };
                let progress = AtomicU64::new(0);
                let bytes = settings.max_decompressed_bytes();
                let (old, new) = with_bar(args.progress, &topic_partition, &progress, || {
                    let place = (&source, &*path);
                    let spool = (&spool, &progress);
                    topic::fetch(&mut client, &info, &topic_partition, place, bytes, spool)
                })?;
                (Some(old), Some(new))
            }
            source => (source, None),
        };
        let mut row = verify_one(args, &settings, old, &topic_partition, sources)?;
        // What was fetched has no indexes that could be missing.
        row.notes.clear();
        show(row)?;
    }
    Ok(())
}

/// What to compare with what: the partitions of OLD, and what NEW has beside them.
fn pairs(
    args: &Args,
    old: &ReadOnlyDirectory,
    new: &ReadOnlyDirectory,
) -> Result<BTreeMap<TopicPartition, Option<TopicPartition>>> {
    if old.is_single() != new.is_single() {
        return Err(CliError::usage(
            "a partition directory cannot be compared with a log directory",
        )
        .hint("lastword verify BEFORE/prices-0 AFTER/prices-0"));
    }
    if old.is_single() {
        let pair = (
            old.partitions().next().cloned(),
            new.partitions().next().cloned(),
        );
        return Ok(pair.0.into_iter().map(|it| (it, pair.1.clone())).collect());
    }
    let in_new: BTreeSet<&TopicPartition> = new.partitions().collect();
    let known: BTreeSet<TopicPartition> = old
        .partitions()
        .chain(in_new.iter().copied())
        .cloned()
        .collect();
    let wanted = compact::wanted(&args.topic, &args.old, &known)?;
    if wanted.is_empty() {
        let what = format!("there are no partitions in {}", args.old.display());
        return Err(CliError::local("DATA", what));
    }
    let pair = |it: TopicPartition| (it.clone(), in_new.contains(&it).then_some(it));
    Ok(wanted.into_iter().map(pair).collect())
}

/// `of_rules` knows the configs of the topic, where `settings` do not say them.
fn verify_one(
    args: &Args,
    settings: &OfflineSettings,
    of_rules: &ReadOnlyDirectory,
    topic_partition: &TopicPartition,
    sources: (Option<Source>, Option<Source>),
) -> Result<Row> {
    let start = Instant::now();
    let now_ms = args.now.unwrap_or_else(|| Clock::System.now_ms());
    let row = |verified: Verified, rules: Option<&Rules>| {
        Row::new(topic_partition, verified, rules, start.elapsed())
    };
    let alone = |kind, message: &str| {
        let violation = verify::Violation {
            offset: 0,
            kind,
            message: message.to_owned(),
        };
        let verified = Verified {
            violations: vec![violation],
            ..Verified::default()
        };
        row(verified, None)
    };
    let (source, target) = match &sources {
        (Some(source), Some(target)) => (source, target),
        (Some(_), None) => return Ok(alone(Kind::Lost, "NEW has no such partition")),
        (None, _) => return Ok(alone(Kind::Invented, "OLD has no such partition")),
    };
    let rules = of_rules
        .rules(settings, &topic_partition.topic, now_ms)
        .map_err(|reason| {
            CliError::local(
                "INVALID_CONFIG",
                format!("the configs of {topic_partition} are not known"),
            )
            .why(reason)
            .hint("--set cleanup.policy=compact")
        })?;
    let rules = Rules {
        since_ms: args.since,
        ..rules
    };
    let progress = AtomicU64::new(0);
    let request = Request {
        old: source,
        new: target,
        rules,
        memory_bytes: settings.memory_bytes(),
        max_decompressed_bytes: settings.max_decompressed_bytes(),
        progress: &progress,
    };
    let verified = with_bar(args.progress, topic_partition, &progress, || {
        verify::verify(&request)
    });
    match verified {
        Ok(verified) => Ok(row(verified, Some(&rules))),
        Err(error @ VerifyError::Unfinished { .. }) => Err(CliError::local(
            "UNFINISHED",
            format!("{topic_partition} was not closed in order"),
        )
        .why(error.to_string())
        .hint("open it once by the broker that wrote it, or by lastword compact --dry-run")),
        Err(error) => Err(
            CliError::local("DATA", format!("cannot read {topic_partition}"))
                .why(error.to_string()),
        ),
    }
}

/// Shows how much was read while this runs.
fn with_bar<T: Send>(
    when: When,
    topic_partition: &TopicPartition,
    progress: &AtomicU64,
    work: impl FnOnce() -> T + Send,
) -> T {
    if !when.is_on() {
        return work();
    }
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let painter = scope.spawn(|| {
            while !is_done.load(Ordering::Relaxed) {
                let bytes = i64::try_from(progress.load(Ordering::Relaxed)).unwrap_or(i64::MAX);
                let line = format!("\r{topic_partition}  {} read\x1b[K", human_bytes(bytes));
                let _ = io::stderr().lock().write_all(line.as_bytes());
                std::thread::park_timeout(FRAME);
            }
            let _ = io::stderr().lock().write_all(b"\r\x1b[K");
        });
        let result = work();
        is_done.store(true, Ordering::Relaxed);
        painter.thread().unpark();
        result
    })
}

impl Row {
    fn new(
        topic_partition: &TopicPartition,
        verified: Verified,
        rules: Option<&Rules>,
        took: Duration,
    ) -> Row {
        let gone = verified.gone;
        Row {
            topic: topic_partition.topic.to_string(),
            partition: topic_partition.partition,
            verified: verified.is_right(),
            old_records: verified.old_records,
            new_records: verified.new_records,
            keys: verified.keys,
            gone: Gone {
                superseded: gone.superseded,
                aborted: gone.aborted,
                keyless: gone.keyless,
                expired_tombstones: gone.expired_tombstones,
                expired_markers: gone.expired_markers,
                retention: gone.retention,
            },
            not_cleaned: verified.not_cleaned,
            tombstones: verified.tombstones,
            bound_offset: rules
                .filter(|rules| rules.compact)
                .map(|_| verified.bound_offset),
            log_end_offset: verified.log_end_offset,
            violations: verified
                .violations
                .into_iter()
                .map(|violation| Violation {
                    offset: violation.offset,
                    kind: violation.kind.name(),
                    message: violation.message,
                })
                .collect(),
            notes: verified.notes,
            seconds: took.as_secs_f64(),
        }
    }

    fn lines(&self) -> String {
        let name = format!("{}-{}", self.topic, self.partition);
        let mut text = match self.violations.first() {
            None => format!(
                "{name}  right  {} -> {} records  {} keys{}{}  {:.2} s\n",
                self.old_records,
                self.new_records,
                self.keys,
                self.gone.said(),
                match self.not_cleaned {
                    0 => String::new(),
                    more => format!("  {more} not cleaned yet"),
                },
                self.seconds
            ),
            Some(first) => {
                format!(
                    "{name}  BROKEN at offset {}: {} ({})\n",
                    first.offset, first.message, first.kind
                )
            }
        };
        for violation in self.violations.iter().skip(1) {
            let Violation {
                offset,
                kind,
                message,
            } = violation;
            text += &format!("{name}  and at {offset}: {message} ({kind})\n");
        }
        for note in &self.notes {
            text += &format!("{name}  note: {note}\n");
        }
        text
    }
}

impl Gone {
    /// What is gone, and by what right.
    fn said(&self) -> String {
        let parts = [
            (self.superseded, "superseded"),
            (self.expired_tombstones, "expired tombstones"),
            (self.aborted, "rolled back"),
            (self.keyless, "without key"),
            (self.expired_markers, "expired markers"),
            (self.retention, "by retention"),
        ];
        let parts = parts.iter().filter(|(number, _)| *number > 0);
        let parts: Vec<String> = parts
            .map(|(number, what)| format!("{number} {what}"))
            .collect();
        match parts.is_empty() {
            true => String::new(),
            false => format!("  gone: {}", parts.join(", ")),
        }
    }
}

impl Document {
    fn broken(&self) -> Option<(&Row, &Violation)> {
        let mut rows = self.partitions.iter();
        rows.find_map(|row| Some((row, row.violations.first()?)))
    }

    fn total(&self) -> String {
        let broken = self.partitions.iter().filter(|row| !row.verified).count();
        let records: u64 = self.partitions.iter().map(|row| row.old_records).sum();
        let keys: u64 = self.partitions.iter().map(|row| row.keys).sum();
        let number = count(self.partitions.len(), "partition");
        match broken {
            0 => format!(
                "{number}: {records} records of {keys} keys, NEW is a right cleaning of OLD  {:.2} s\n",
                self.seconds
            ),
            broken => format!("{broken} of {number} broken  {:.2} s\n", self.seconds),
        }
    }
}

fn explain(error: &OfflineError, path: &Path) -> CliError {
    let path = path.display();
    if process::is_locked(error) {
        return CliError::local("LOCKED", format!("cannot read {path} now"))
            .why("another process serves this directory, or cleans it: what is read would change")
            .hint("stop it first, or verify a copy");
    }
    match error {
        OfflineError::Directory { source, .. } => {
            CliError::local("DATA", format!("cannot open the directory {path}"))
                .why(source.to_string())
        }
        OfflineError::NoLogDirectory { .. } => CliError::local(
            "DATA",
            format!("{path} is neither a log directory nor a partition's"),
        )
        .why("it has no meta.properties, no partition and no segment in it"),
        other => CliError::local("DATA", format!("cannot use the directory {path}"))
            .why(other.to_string()),
    }
}
