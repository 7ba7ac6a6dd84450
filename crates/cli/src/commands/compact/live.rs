//! `lastword compact TOPIC[:PARTITION]` on a running broker, over HTTP: clean now, look first, or ask why not.

use std::thread::sleep;
use std::time::Duration;

use lastword_http::client::encode;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::meter::Meter;
use super::status::Status;
use crate::error::{CliError, Exit, Result};
use crate::http::HttpArgs;
use crate::output::{self, OutputFormat, count, human_bytes};

/// How often a request is asked after.
const POLL: Duration = Duration::from_millis(100);
/// Of every document here.
const SCHEMA_VERSION: u32 = 1;

/// What is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// `--explain`
    Explain,
    /// `--dry-run`
    Plan,
    /// Neither.
    Clean { rolls: bool, waits: bool },
}

/// A topic, or one partition of it.
#[derive(Clone, Debug)]
pub struct Target {
    pub topic: String,
    pub partition: Option<i32>,
}

impl Target {
    /// `TOPIC` or `TOPIC:PARTITION`: no topic has a colon in its name.
    pub fn parse(text: &str) -> Result<Target> {
        let Some((topic, number)) = text.split_once(':') else {
            return Ok(Target {
                topic: text.to_owned(),
                partition: None,
            });
        };
        let partition = number
            .parse::<i32>()
            .map_err(|_| CliError::usage(format!("`{number}` in `{text}` is no partition")))?;
        Ok(Target {
            topic: topic.to_owned(),
            partition: Some(partition),
        })
    }

    /// The documents of its partitions, in order.
    pub fn statuses(&self, http: &HttpArgs) -> Result<Vec<Value>> {
        let topic = encode(&self.topic);
        match self.partition {
            Some(partition) => {
                let path = format!("/v1/topics/{topic}/partitions/{partition}/compaction");
                Ok(vec![http.call::<Value>("GET", &path, None)?])
            }
            None => {
                let path = format!("/v1/compaction?all=true&limit=10000&topic={topic}");
                let mut list = http.call::<Value>("GET", &path, None)?;
                match list.get_mut("partitions").map(Value::take) {
                    Some(Value::Array(partitions)) => Ok(partitions),
                    _ => parse::<Vec<Value>>(&list),
                }
            }
        }
    }
}

/// The path of a partition.
pub fn path_of(status: &Status, rest: &str) -> String {
    let topic = encode(&status.topic);
    format!("/v1/topics/{topic}/partitions/{}/{rest}", status.partition)
}

/// What a cleaning would remove.
#[derive(Deserialize)]
pub struct Plan {
    pub reason: String,
    pub why: String,
    pub log_start_offset: i64,
    pub first_dirty_offset: i64,
    pub first_uncleanable_offset: i64,
    pub limit: String,
    pub log_end_offset: i64,
    pub before: Size,
    pub after: Size,
    pub live_keys: u64,
    pub tombstones: u64,
    pub tombstones_until_ms: Option<i64>,
    pub segments: Vec<Segment>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Size {
    pub records: u64,
    pub bytes: u64,
}

/// One segment of a plan.
#[derive(Deserialize)]
pub struct Segment {
    pub base_offset: i64,
    pub bytes: u64,
    pub section: String,
    pub live_bytes: Option<u64>,
    pub records: Option<u64>,
    pub dead_records: Option<u64>,
    pub is_changed: bool,
    pub damage: Option<String>,
}

/// A request for a cleaning.
#[derive(Deserialize)]
struct Request {
    id: u64,
    state: String,
    progress: Option<RequestProgress>,
    result: Option<Done>,
    error: Option<Failed>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct RequestProgress {
    pub phase: String,
    pub done_bytes: u64,
    pub expected_bytes: u64,
}

#[derive(Deserialize)]
struct Done {
    rolled_at: Option<i64>,
    nothing: Option<Nothing>,
    first_dirty_offset: i64,
    end_offset: i64,
    before: Size,
    after: Size,
    cleaning: Cleaning,
    damaged_segments: Vec<Damaged>,
}

#[derive(Deserialize)]
struct Nothing {
    reason: String,
    why: String,
}

#[derive(Deserialize)]
struct Cleaning {
    duration_ms: u64,
}

#[derive(Deserialize)]
struct Damaged {
    file: String,
    damage: String,
}

#[derive(Deserialize)]
struct Failed {
    code: String,
    message: String,
}

/// What is needed of a document that is also printed as it is.
pub fn parse<T: DeserializeOwned>(document: &Value) -> Result<T> {
    T::deserialize(document).map_err(|error| {
        let what = "the broker answers in a form that this version does not know";
        CliError::new(Exit::Unreachable, "BAD_ANSWER", what).why(error.to_string())
    })
}

/// What `--format json` prints.
#[derive(Serialize)]
struct Document {
    schema_version: u32,
    partitions: Vec<Value>,
}

/// What came of one partition.
struct Answer {
    lines: String,
    document: Value,
    /// Why the answer is no.
    failure: Option<String>,
}

pub fn run(
    http: &HttpArgs,
    target: &Target,
    what: What,
    format: OutputFormat,
    meter: &mut Meter,
) -> Result<()> {
    let mut documents = Vec::new();
    let mut failures = Vec::new();
    let statuses = target.statuses(http)?;
    for document in statuses {
        let status: Status = parse(&document)?;
        let answer = match what {
            What::Explain => Answer {
                lines: format!("{}\n", status.explanation()),
                document,
                failure: None,
            },
            What::Plan => plan(http, &status)?,
            What::Clean { rolls, waits } => clean(http, &status, rolls, waits, meter)?,
        };
        if format == OutputFormat::Table {
            output::text(&answer.lines)?;
        }
        documents.push(answer.document);
        failures.extend(answer.failure);
    }
    if format == OutputFormat::Json {
        output::json(&Document {
            schema_version: SCHEMA_VERSION,
            partitions: documents,
        })?;
    }
    if failures.is_empty() {
        return Ok(());
    }
    let what = format!("{} not cleaned whole", count(failures.len(), "partition"));
    Err(CliError::new(Exit::No, "NOT_CLEANED", what).why(failures.join("\n       ")))
}

fn plan(http: &HttpArgs, status: &Status) -> Result<Answer> {
    let document = http.call::<Value>("GET", &path_of(status, "compaction/plan"), None)?;
    let plan: Plan = parse(&document)?;
    Ok(Answer {
        lines: plan_lines(&status.name(), &plan),
        document,
        failure: None,
    })
}

fn plan_lines(name: &str, plan: &Plan) -> String {
    if plan.before.bytes == 0 {
        return nothing_line(name, "", &plan.reason, &plan.why);
    }
    let gone = plan.before.records - plan.after.records.min(plan.before.records);
    let percent = 100.0 * gone as f64 / plan.before.records.max(1) as f64;
    let mut lines = format!(
        "{name}  would remove {gone} of {} ({percent:.0} %)  {} -> about {}  keep {}\n",
        count(plan.before.records as usize, "record"),
        human(plan.before.bytes),
        human(plan.after.bytes),
        count(plan.live_keys as usize, "key"),
    );
    let number = |value: Option<u64>| value.map_or_else(|| "-".to_owned(), |it| it.to_string());
    let rows = plan.segments.iter().map(|segment| {
        let becomes = match (&segment.damage, segment.live_bytes) {
            (Some(damage), _) => format!("damaged {damage}: stays"),
            (None, None) => "not to be cleaned yet".to_owned(),
            (None, Some(_)) if !segment.is_changed => "stays".to_owned(),
            (None, Some(bytes)) => format!("about {}", human(bytes)),
        };
        vec![
            format!("  {}", segment.base_offset),
            segment.section.clone(),
            number(segment.records),
            number(segment.dead_records),
            human(segment.bytes),
            becomes,
        ]
    });
    let rows: Vec<Vec<String>> = rows.collect();
    let header = ["  SEGMENT", "SECTION", "RECORDS", "DEAD", "SIZE", "BECOMES"];
    lines.push_str(&output::table(&header, &rows));
    lines
}

fn nothing_line(name: &str, rolled: &str, reason: &str, why: &str) -> String {
    let roll = match reason {
        "active-segment" => "; --roll cleans it too",
        _ => "",
    };
    format!("{name}  {rolled}nothing to clean yet: {reason}: {why}{roll}\n")
}

fn clean(
    http: &HttpArgs,
    status: &Status,
    rolls: bool,
    waits: bool,
    meter: &mut Meter,
) -> Result<Answer> {
    let path = path_of(
        status,
        if rolls {
            "compact?roll=true"
        } else {
            "compact"
        },
    );
    let mut document = http.call::<Value>("POST", &path, None)?;
    let mut request: Request = parse(&document)?;
    let id = request.id;
    while waits && !matches!(request.state.as_str(), "done" | "failed") {
        sleep(POLL);
        let mut current = http.call::<Value>("GET", &path_of(status, "compaction"), None)?;
        document = current.get_mut("request").map_or(Value::Null, Value::take);
        request = parse(&document)?;
        if request.id != id {
            // Somebody has asked again; what came of ours is in the status of the partition.
            let what = format!("{} was asked for again meanwhile", status.name());
            return Err(CliError::new(Exit::No, "SUPERSEDED", what)
                .hint(format!("lastword compact status {}", status.topic)));
        }
        meter.draw(&status.name(), request.progress.as_ref());
    }
    meter.clear();
    let name = status.name();
    let (lines, failure) = match (&request.result, &request.error) {
        (Some(done), _) => done_lines(&name, done),
        (None, Some(failed)) => {
            let text = format!("{name}: {}: {}", failed.code, failed.message);
            (format!("{name}  FAILED: {}\n", failed.message), Some(text))
        }
        (None, None) => (
            format!(
                "{name}  {}: request {id}; --wait waits for its end\n",
                request.state
            ),
            None,
        ),
    };
    Ok(Answer {
        lines,
        document,
        failure,
    })
}

fn done_lines(name: &str, done: &Done) -> (String, Option<String>) {
    let rolled = done.rolled_at.map(|offset| format!("rolled at {offset}  "));
    let rolled = rolled.unwrap_or_default();
    if let Some(nothing) = &done.nothing {
        let line = nothing_line(name, &rolled, &nothing.reason, &nothing.why);
        return (line, None);
    }
    let from = done.first_dirty_offset.min(done.end_offset);
    let mut lines = format!(
        "{name}  {rolled}cleaned {from}..{} in {} ms  {} -> {}  {} -> {}\n",
        done.end_offset,
        done.cleaning.duration_ms,
        done.before.records,
        count(done.after.records as usize, "record"),
        human(done.before.bytes),
        human(done.after.bytes),
    );
    let damaged = done.damaged_segments.iter();
    let damaged: Vec<String> = damaged
        .map(|it| format!("{} {}", it.file, it.damage))
        .collect();
    for damage in &damaged {
        lines.push_str(&format!("{name}  DAMAGED, left as it is: {damage}\n"));
    }
    let failure = (!damaged.is_empty()).then(|| format!("{name}: {}", damaged.join("; ")));
    (lines, failure)
}

pub fn human(bytes: u64) -> String {
    human_bytes(i64::try_from(bytes).unwrap_or(i64::MAX))
}
