//! `lastword config check [FILE]`
//!
//! One line for each problem, as compilers write them: `server.properties:3: error: num.partition: ...`. What the
//! environment and `--set` say is checked with the file, as `serve` would read it.

use std::path::Path;

use lastword_broker::config::{NameKind, Problem, kind_of_name, problems};
use serde::Serialize;

use super::{SCHEMA_VERSION, SourceArgs};
use crate::error::{CliError, Exit, Result};
use crate::output::{self, OutputFormat, count, human_bytes};
use crate::settings::{Origin, Settings};

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    sources: SourceArgs,
    /// Warnings count as errors
    #[arg(long)]
    strict: bool,
    /// How to print the answer
    #[arg(long, value_enum, default_value_t)]
    pub format: OutputFormat,
}

#[derive(Serialize)]
struct Document<'a> {
    schema_version: u32,
    file: Option<&'a str>,
    settings: usize,
    errors: usize,
    warnings: usize,
    problems: Vec<Found>,
    /// Kafka's, without meaning on one broker.
    ignored: Vec<&'a str>,
}

#[derive(Serialize)]
struct Found {
    /// `error` or `warning`.
    severity: &'static str,
    name: String,
    message: String,
    /// Where it stands: `FILE:LINE`, `environment NAME`, `--set`.
    origin: Option<String>,
    #[serde(skip)]
    place: (u8, usize),
}

pub fn run(args: &Args) -> Result<()> {
    let settings = args.sources.read()?;
    let properties = settings.properties();
    let mut found: Vec<Found> = settings
        .bad
        .iter()
        .map(|bad| Found {
            severity: "error",
            name: bad.name.clone(),
            message: bad.reason.clone(),
            origin: Some(bad.origin.to_string()),
            place: place(Some(&bad.origin)),
        })
        .collect();
    found.extend(
        problems(&properties)
            .into_iter()
            .map(|it| shown(it, &settings)),
    );
    found.extend(disk(&settings).map(|it| shown(it, &settings)));
    found.sort_by(|a, b| (a.place, &a.name).cmp(&(b.place, &b.name)));
    let is_error = |it: &&Found| args.strict || it.severity == "error";
    let errors = found.iter().filter(is_error).count();
    let ignored = properties.keys().map(String::as_str);
    let is_ignored = |name: &&str| kind_of_name(name) == NameKind::WithoutMeaning;
    let document = Document {
        schema_version: SCHEMA_VERSION,
        file: settings.file.as_deref(),
        settings: settings.by_name.len(),
        errors,
        warnings: found.len() - errors,
        ignored: ignored.filter(is_ignored).collect(),
        problems: found,
    };
    match args.format {
        OutputFormat::Json => output::json(&document)?,
        _ => output::text(&text(&document))?,
    }
    match errors {
        0 => Ok(()),
        _ => {
            let what = match document.file {
                Some(file) => format!("{file} has {}", count(errors, "error")),
                None => format!("these settings have {}", count(errors, "error")),
            };
            let error = CliError::new(Exit::No, "INVALID_CONFIG", what);
            Err(error.hint("lastword config explain NAME says what a setting wants"))
        }
    }
}

fn shown(problem: Problem, settings: &Settings) -> Found {
    let origin = settings.by_name.get(&problem.name).map(|it| &it.origin);
    Found {
        severity: match problem.is_error {
            true => "error",
            false => "warning",
        },
        place: place(origin),
        origin: origin.map(ToString::to_string),
        name: problem.name,
        message: problem.reason,
    }
}

/// The file first, line by line.
fn place(origin: Option<&Origin>) -> (u8, usize) {
    match origin {
        Some(Origin::File { line, .. }) => (0, *line),
        Some(Origin::Environment(_)) => (1, 0),
        Some(Origin::Flag(_)) => (2, 0),
        None => (3, 0),
    }
}

/// A segment must fit the disk, and a directory that is there must be one.
fn disk(settings: &Settings) -> Option<Problem> {
    let name = ["log.dirs", "log.dir"].into_iter();
    let mut named = name.filter_map(|name| Some((name, settings.by_name.get(name)?)));
    let (name, dir) = named.next()?;
    let error = |name: &str, reason: String| Problem {
        name: name.to_owned(),
        reason,
        is_error: true,
    };
    let path = Path::new(dir.value.trim());
    if path.exists() && !path.is_dir() {
        return Some(error(name, format!("{} is no directory", path.display())));
    }
    let segment = settings.by_name.get("log.segment.bytes")?;
    let segment_bytes: u64 = segment.value.trim().parse().ok()?;
    // Of the nearest directory that is there.
    let there = path.ancestors().find(|path| path.exists())?;
    let disk = rustix::fs::statvfs(there).ok()?;
    let disk_bytes = disk.f_blocks.saturating_mul(disk.f_frsize);
    if segment_bytes < disk_bytes {
        return None;
    }
    let human = |bytes: u64| human_bytes(i64::try_from(bytes).unwrap_or(i64::MAX));
    let (segment, disk) = (human(segment_bytes), human(disk_bytes));
    let reason =
        format!("a segment of {segment} does not fit the disk of {name}, which has {disk}");
    Some(error("log.segment.bytes", reason))
}

fn text(document: &Document<'_>) -> String {
    let mut text = String::new();
    for it in &document.problems {
        let origin = it.origin.as_deref().map(|origin| format!("{origin}: "));
        let origin = origin.unwrap_or_default();
        text.push_str(&format!(
            "{origin}{}: {}: {}\n",
            it.severity, it.name, it.message
        ));
    }
    if !document.ignored.is_empty() {
        let ignored = count(document.ignored.len(), "setting");
        let names = document.ignored.join(", ");
        text.push_str(&format!(
            "ignored {ignored} of Kafka's without meaning on one broker: {names}\n"
        ));
    }
    text.push_str(&format!(
        "{}: {}, {}, {}\n",
        document.file.unwrap_or("no file"),
        count(document.settings, "setting"),
        count(document.errors, "error"),
        count(document.warnings, "warning"),
    ));
    text
}
