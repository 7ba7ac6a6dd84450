//! `lastword compact`: cleans on a running broker, over HTTP (`live`, `status`), or with `--data-dir` the compacted logs
//! of a directory that no broker runs on, Lastword's or Kafka's, with the broker's own cleaner. The latter is here.
//!
//! Every log is cleaned up to its active segment, whatever its dirty ratio, on `log.cleaner.threads` threads. One that
//! fails does not stop the others. The directory is opened and closed as by a broker, so what was swapped in stays
//! whatever happens next, and the same command goes on where this one was stopped.
//!
//! Results go to standard output as they come, the bar to standard error.

mod bar;
mod interrupt;
pub mod live;
pub mod map;
mod meter;
mod report;
mod status;

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use lastword_broker::offline::{OfflineError, OfflineLogs, OfflineSettings};
use lastword_record::TopicPartition;
use lastword_storage::cleaner::{Limit, Progress};
use lastword_storage::{Clock, Log, LogCleaner, StorageError};

use crate::error::{CliError, Exit, Result};
use crate::http::HttpArgs;
use crate::output::{OutputFormat, nearest, say};
use crate::{process, properties};
use bar::Bar;
pub use bar::When;
use interrupt::Interrupt;
use live::{Target, What};
use meter::Meter;
use report::{Outcome, Report, Row, Size};

/// How often the bar is drawn.
const FRAME: Duration = Duration::from_millis(200);
/// Topics that an error lists.
const LISTED_TOPICS: usize = 20;

#[derive(clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
A running broker is asked over HTTP; --data-dir cleans a directory without one.\n\n\
Settings come from the directory where it has them: topic configs and dynamic broker configs. A --set under a topic \
config's name wins over them; one under a broker config's name is a default, as in a broker's file.\n\n\
Interrupted at any time, even by kill -9, the directory stays whole; run the same command again to go on.\n\n\
Exit codes: 0 done, 1 some logs could not be cleaned, 2 wrong usage or a local failure,\n3 no broker, 4 it refused, 130 interrupted.\n\n\
Examples:\n  lastword compact prices --dry-run\n  lastword compact prices --roll --wait\n  \
lastword compact prices:0 --explain\n  lastword compact status --watch\n  lastword compact --data-dir ./lastword-data\n  \
lastword compact --data-dir /var/lib/kafka --topic prices --topic orders:3 --dry-run\n  \
lastword compact --data-dir /var/lib/kafka --set log.cleaner.io.max.bytes.per.second=50MB --set delete.retention.ms=0"
)]
pub struct Args {
    #[command(subcommand)]
    verb: Option<Verb>,
    /// What to clean on a running broker
    #[arg(value_name = "TOPIC[:PARTITION]", conflicts_with = "data_dir")]
    target: Option<String>,
    /// Roll the active segment first, so that all records can be cleaned
    #[arg(long, requires = "target", conflicts_with = "dry_run")]
    roll: bool,
    /// Wait until it is done
    #[arg(long, requires = "target")]
    wait: bool,
    /// Say why it is not being cleaned now, and clean nothing
    #[arg(long, requires = "target", conflicts_with_all = ["roll", "wait", "dry_run"])]
    explain: bool,
    #[command(flatten)]
    http: HttpArgs,
    /// A log directory instead; no broker may be running on it
    #[arg(long, visible_alias = "data", value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Only this topic, or one partition of it; may be repeated
    #[arg(short, long, value_name = "TOPIC[:PARTITION]", requires = "data_dir")]
    topic: Vec<String>,
    /// Show what would go, and clean nothing
    #[arg(long, visible_alias = "dry")]
    dry_run: bool,
    /// What time it is, in milliseconds since 1970; the clock stands still
    #[arg(long, value_name = "MILLIS", value_parser = clap::value_parser!(i64).range(0..), requires = "data_dir")]
    now: Option<i64>,
    /// A topic config, or a config of the broker's cleaner; sizes and times may have units (64MiB, 7d)
    #[arg(long, value_name = "NAME=VALUE", requires = "data_dir")]
    set: Vec<String>,
    /// Whether a bar is drawn: auto draws it on a terminal
    #[arg(long, value_enum, default_value_t)]
    progress: bar::When,
    /// How to print the answer
    #[arg(long, value_enum, default_value_t)]
    format: OutputFormat,
    /// What is logged, as in info or warn,lastword_storage=debug
    #[arg(long, env = "LASTWORD_LOG", value_name = "FILTER")]
    log_level: Option<String>,
}

impl Args {
    /// Whether errors are wanted as JSON too.
    pub fn json(&self) -> bool {
        let format = match &self.verb {
            Some(Verb::Status(args)) => args.format,
            Some(Verb::Pause(args)) => args.format,
            Some(Verb::Resume(args)) => args.format,
            None => self.format,
        };
        format == OutputFormat::Json
    }
}

#[derive(clap::Subcommand)]
enum Verb {
    /// Show head and tail of compacted partitions, and why they are not being cleaned now
    Status(status::Args),
    /// Keep a topic or partition from being cleaned, until it is resumed or the broker restarts
    Pause(status::PauseArgs),
    /// End a pause
    Resume(status::ResumeArgs),
}

pub fn run(args: &Args) -> Result<()> {
    match (&args.verb, &args.target, &args.data_dir) {
        (Some(Verb::Status(args)), ..) => status::run(args),
        (Some(Verb::Pause(args)), ..) => status::pause(args),
        (Some(Verb::Resume(args)), ..) => status::resume(args),
        (None, Some(target), _) => run_live(args, target),
        (None, None, Some(data_dir)) => run_offline(args, data_dir),
        (None, None, None) => Err(CliError::usage("what is to be cleaned?").hint(
            "lastword compact TOPIC, or --data-dir DIR for a directory that no broker runs on",
        )),
    }
}

fn run_live(args: &Args, target: &str) -> Result<()> {
    let what = match (args.explain, args.dry_run) {
        (true, _) => What::Explain,
        (false, true) => What::Plan,
        (false, false) => What::Clean {
            rolls: args.roll,
            waits: args.wait,
        },
    };
    let target = Target::parse(target)?;
    live::run(
        &args.http,
        &target,
        what,
        args.format,
        &mut Meter::new(args.progress),
    )
}

fn run_offline(args: &Args, data_dir: &Path) -> Result<()> {
    let settings = settings(&args.set)?;
    // A failed cleaning is told by its result.
    let filter = "warn,lastword_storage::cleaner::worker=off";
    process::start_log(args.log_level.as_deref(), filter, filter)?;
    process::raise_file_limit();
    let interrupt = Interrupt::listen()?;
    let start = Instant::now();
    warn_of_owner(data_dir);
    let clock = args.now.map_or(Clock::System, Clock::manual);
    let logs =
        OfflineLogs::open(data_dir, &settings, clock).map_err(|error| explain(error, data_dir))?;
    let cleaned = clean(args, data_dir, &logs, &interrupt);
    let closed = logs.close();
    let mut report = cleaned?;
    closed.map_err(|error| explain(error, data_dir))?;
    report.finish(start.elapsed().as_secs_f64())?;
    verdict(&report)
}

/// Checks the names here, where a slip can be corrected.
pub fn settings(given: &[String]) -> Result<OfflineSettings> {
    let mut settings = BTreeMap::new();
    for text in given {
        let (name, value) = properties::parse(text).map_err(CliError::usage)?;
        if !OfflineSettings::names().any(|known| known == name) {
            let error = CliError::local("UNKNOWN_CONFIG", format!("unknown setting `{name}`"));
            let error = error.why("it is neither a topic config nor one of the cleaner's");
            return Err(match nearest(&name, OfflineSettings::names()) {
                Some(nearest) => error.hint(format!("--set {nearest}={value}")),
                None => error,
            });
        }
        settings.insert(name, value);
    }
    OfflineSettings::from_properties(&settings).map_err(|error| {
        CliError::local("INVALID_CONFIG", "these settings are not accepted").why(error.to_string())
    })
}

/// A broker that runs as another user could not read what is written here.
fn warn_of_owner(data_dir: &Path) {
    let me = rustix::process::geteuid().as_raw();
    if let Ok(metadata) = std::fs::metadata(data_dir)
        && metadata.uid() != me
    {
        let owner = metadata.uid();
        let path = data_dir.display();
        say(&format!(
            "warning: {path} belongs to user {owner}, and what is written will belong to user {me}: run this as the \
             broker's user, or give the files back"
        ));
    }
}

/// The failures that everyone meets get their next step.
fn explain(error: OfflineError, data_dir: &Path) -> CliError {
    let path = data_dir.display();
    if process::is_locked(&error) {
        return CliError::local("LOCKED", format!("cannot clean {path} now"))
            .why("another process serves this directory, or cleans it")
            .hint("stop that one first; a running broker cleans by itself");
    }
    match error {
        OfflineError::Directory { source, .. } => {
            CliError::local("DATA", format!("cannot open the directory {path}"))
                .why(source.to_string())
        }
        OfflineError::NoLogDirectory { .. } => CliError::local(
            "DATA",
            format!("{path} is no log directory"),
        )
        .why("it has neither a meta.properties nor a partition in it")
        .hint("--data-dir is what serve calls --data, and what server.properties calls log.dirs"),
        other => CliError::local("DATA", format!("cannot use the directory {path}"))
            .why(other.to_string()),
    }
}

/// A log to clean.
struct Job {
    log: Arc<Log>,
    progress: Arc<Progress>,
    /// Bytes below the first uncleanable offset.
    bytes: u64,
    is_finished: AtomicBool,
}

fn clean(
    args: &Args,
    data_dir: &Path,
    logs: &OfflineLogs,
    interrupt: &Interrupt,
) -> Result<Report> {
    interrupt.stops(logs.cleaner());
    let mut report = Report::new(args.dry_run, args.format);
    let jobs = select(args, data_dir, logs, &mut report)?;
    let threads = logs.threads().clamp(1, jobs.len().max(1));
    let next = AtomicUsize::new(0);
    let (sender, rows) = channel();
    let mut bar = Bar::new(args.progress, args.dry_run);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            let (sender, jobs, next) = (sender.clone(), &jobs, &next);
            scope.spawn(move || {
                while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let row = clean_one(logs.cleaner(), job, args.dry_run);
                    job.is_finished.store(true, Ordering::Relaxed);
                    if sender.send(row).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        loop {
            match rows.recv_timeout(FRAME) {
                Ok(row) => {
                    bar.clear();
                    report.add(row);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            bar.draw(&jobs);
        }
        bar.clear();
    });
    Ok(report)
}

/// The logs to clean, in order. What cannot be cleaned goes to the report at once.
fn select(
    args: &Args,
    data_dir: &Path,
    logs: &OfflineLogs,
    report: &mut Report,
) -> Result<Vec<Job>> {
    let (all, failed) = (logs.logs(), logs.failed());
    let known = all
        .iter()
        .map(|log| log.topic_partition())
        .chain(failed.keys());
    let wanted = wanted(&args.topic, data_dir, &known.cloned().collect())?;
    for (topic_partition, reason) in failed.iter().filter(|(it, _)| wanted.contains(it)) {
        let reason = format!("it cannot be loaded: {reason}");
        report.add(Row::failed(topic_partition, reason));
    }
    let mut jobs = Vec::new();
    for log in all
        .into_iter()
        .filter(|log| wanted.contains(log.topic_partition()))
    {
        let topic_partition = log.topic_partition();
        if let Some(reason) = logs.unconfigured(&topic_partition.topic) {
            report.add(Row::failed(topic_partition, reason.to_owned()));
        } else if !log.config().cleanup_policy.compact {
            let policy = log.config().value_of("cleanup.policy").unwrap_or_default();
            let row = Row::skipped(
                topic_partition,
                format!("not compacted (cleanup.policy={policy})"),
            );
            report.skip(row, !args.topic.is_empty());
        } else {
            let status = logs.cleaner().status_of(topic_partition);
            let bounds = status.and_then(|status| status.bounds);
            jobs.push(Job {
                progress: Arc::default(),
                is_finished: AtomicBool::new(false),
                bytes: bounds.map_or(0, |it| it.clean_bytes + it.dirty_bytes),
                log,
            });
        }
    }
    Ok(jobs)
}

/// Which partitions the arguments name; all without arguments.
pub fn wanted(
    topics: &[String],
    path: &Path,
    known: &BTreeSet<TopicPartition>,
) -> Result<BTreeSet<TopicPartition>> {
    if topics.is_empty() {
        return Ok(known.clone());
    }
    let mut wanted = BTreeSet::new();
    for text in topics {
        let (topic, partition) = match text.split_once(':') {
            None => (text.as_str(), None),
            Some((topic, number)) => {
                let number = number.parse::<i32>().map_err(|_| {
                    CliError::usage(format!("`{number}` in `{text}` is no partition"))
                        .hint("--topic TOPIC or --topic TOPIC:PARTITION")
                })?;
                (topic, Some(number))
            }
        };
        let found = known.iter().filter(|it| {
            *it.topic == *topic && partition.is_none_or(|number| it.partition == number)
        });
        let before = wanted.len();
        wanted.extend(found.cloned());
        if wanted.len() == before && !wanted.iter().any(|it| *it.topic == *topic) {
            return Err(unknown_topic(path, text, topic, known));
        }
    }
    Ok(wanted)
}

fn unknown_topic(
    path: &Path,
    text: &str,
    topic: &str,
    known: &BTreeSet<TopicPartition>,
) -> CliError {
    let path = path.display();
    let partitions: Vec<String> = known
        .iter()
        .filter(|it| *it.topic == *topic)
        .map(|it| it.partition.to_string())
        .collect();
    if !partitions.is_empty() {
        return CliError::local("UNKNOWN_PARTITION", format!("there is no {text} in {path}"))
            .why(format!("{topic} has {}", partitions.join(", ")));
    }
    let topics: BTreeSet<&str> = known.iter().map(|it| &*it.topic).collect();
    let mut list: Vec<&str> = topics.iter().copied().take(LISTED_TOPICS).collect();
    if topics.len() > LISTED_TOPICS {
        list.push("...");
    }
    let why = match list.is_empty() {
        true => "it has no topics".to_owned(),
        false => format!("it has {}", list.join(", ")),
    };
    let error = CliError::local(
        "UNKNOWN_TOPIC",
        format!("there is no topic {topic} in {path}"),
    )
    .why(why);
    match nearest(topic, topics.into_iter()) {
        Some(nearest) => error.hint(format!("--topic {nearest}")),
        None => error,
    }
}

/// Cleans one log, or says what would go, on the calling thread.
fn clean_one(cleaner: &LogCleaner, job: &Job, is_dry_run: bool) -> Row {
    let start = Instant::now();
    let topic_partition = job.log.topic_partition();
    let bounds = cleaner
        .status_of(topic_partition)
        .and_then(|status| status.bounds);
    let Some(bounds) = bounds else {
        return Row::failed(topic_partition, "the log is closed".to_owned());
    };
    let end = bounds.first_uncleanable_offset;
    if bounds.clean_bytes + bounds.dirty_bytes == 0 {
        let reason = match bounds.limit {
            Limit::ActiveSegment => "every record is in the active segment",
            Limit::LastStableOffset => "an open transaction, or records that are not committed",
            Limit::MinCompactionLag { .. } => "every record is younger than min.compaction.lag.ms",
        };
        return Row::skipped(topic_partition, format!("nothing to clean: {reason}"));
    }
    let bytes_before = bytes_below(&job.log, end);
    let result = if is_dry_run {
        cleaner.dry_run(topic_partition).map(|planned| Row {
            before: Size {
                records: planned.records,
                bytes: bytes_before,
            },
            after: Size {
                records: planned.records.saturating_sub(planned.dead.total()),
                bytes: planned.live_bytes,
            },
            dead: planned.dead,
            ..Row::new(topic_partition, Outcome::WouldClean)
        })
    } else {
        let cleaned = cleaner.clean_and_show(topic_partition, &job.progress);
        cleaned.map(|stats| Row {
            before: Size {
                records: stats.records_planned,
                bytes: bytes_before,
            },
            after: Size {
                records: stats.records_planned.saturating_sub(stats.dead.total()),
                bytes: bytes_below(&job.log, end),
            },
            dead: stats.dead,
            bytes_read: stats.log_bytes_indexed + stats.bytes_read,
            bytes_written: stats.bytes_written,
            ..Row::new(topic_partition, Outcome::Cleaned)
        })
    };
    let row = result.unwrap_or_else(|error| match error {
        StorageError::Closed => Row::new(topic_partition, Outcome::Interrupted),
        error => Row::failed(topic_partition, error.to_string()),
    });
    let status = cleaner.status_of(topic_partition);
    let isolated = status.map(|status| status.isolated_segments);
    let damaged = isolated.into_iter().flatten();
    Row {
        seconds: start.elapsed().as_secs_f64(),
        damaged: damaged
            .map(|segment| format!("{} {}", segment.file, segment.damage))
            .collect(),
        ..row
    }
}

fn bytes_below(log: &Log, end: i64) -> u64 {
    let segments = log.segments();
    let sizes = segments
        .iter()
        .filter(|segment| segment.base_offset() < end)
        .map(|segment| u64::from(segment.size_bytes()));
    sizes.sum()
}

/// How the command ends.
fn verdict(report: &Report) -> Result<()> {
    let failed = report.failed();
    let names: Vec<String> = failed
        .iter()
        .map(|(name, reason)| format!("{name}: {reason}"))
        .collect();
    if report.is_interrupted() {
        if !names.is_empty() {
            say(&names.join("\n"));
        }
        let what = format!("interrupted: {}", report.progress());
        return Err(CliError::new(Exit::Interrupted, "INTERRUPTED", what)
            .why("nothing is lost: finished groups of segments stay, the rest is as it was")
            .hint("run the same command again to go on"));
    }
    if !names.is_empty() {
        let what = format!(
            "{} of {} could not be cleaned whole",
            names.len(),
            report.total()
        );
        return Err(CliError::new(Exit::No, "NOT_CLEANED", what).why(names.join("\n       ")));
    }
    Ok(())
}
