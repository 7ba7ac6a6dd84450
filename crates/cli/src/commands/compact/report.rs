//! What came of it: a line for each log as it is done, then the totals; or one JSON document at the end.
//!
//! Records and bytes are those below the first uncleanable offset: the active segment is not touched and not counted.

use lastword_record::TopicPartition;
use lastword_storage::cleaner::DeadRecords;
use serde::Serialize;

use crate::error::{CliError, Result};
use crate::output::{self, OutputFormat, count, human_bytes};

const SCHEMA_VERSION: u32 = 1;

/// How the cleaning of one log ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Cleaned,
    /// A dry run.
    WouldClean,
    Skipped,
    Failed,
    Interrupted,
}

#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Size {
    pub records: u64,
    pub bytes: u64,
}

/// One log.
#[derive(Clone, Debug)]
pub struct Row {
    pub topic_partition: TopicPartition,
    pub outcome: Outcome,
    /// Why it was skipped or failed.
    pub reason: Option<String>,
    pub before: Size,
    /// Of a dry run the bytes are an estimate.
    pub after: Size,
    pub dead: DeadRecords,
    pub bytes_read: u64,
    pub bytes_written: u64,
    pub seconds: f64,
    /// Damaged segments, each with its damage. They were left as they are, and all else was cleaned.
    pub damaged: Vec<String>,
}

impl Row {
    pub fn new(topic_partition: &TopicPartition, outcome: Outcome) -> Row {
        Row {
            topic_partition: topic_partition.clone(),
            outcome,
            reason: None,
            before: Size::default(),
            after: Size::default(),
            dead: DeadRecords::default(),
            bytes_read: 0,
            bytes_written: 0,
            seconds: 0.0,
            damaged: Vec::new(),
        }
    }

    pub fn failed(topic_partition: &TopicPartition, reason: String) -> Row {
        Row {
            reason: Some(reason),
            ..Row::new(topic_partition, Outcome::Failed)
        }
    }

    pub fn skipped(topic_partition: &TopicPartition, reason: String) -> Row {
        Row {
            reason: Some(reason),
            ..Row::new(topic_partition, Outcome::Skipped)
        }
    }

    fn line(&self) -> String {
        let name = &self.topic_partition;
        let reason = self.reason.as_deref().unwrap_or_default();
        let Row { before, after, .. } = self;
        let damaged: String = self
            .damaged
            .iter()
            .map(|damage| format!("\n{name}  DAMAGED, left as it is: {damage}"))
            .collect();
        let line = match self.outcome {
            Outcome::Skipped => format!("{name}  {reason}"),
            Outcome::Failed => format!("{name}  FAILED: {reason}"),
            Outcome::Interrupted => format!("{name}  interrupted"),
            Outcome::Cleaned => format!(
                "{name}  {} -> {} records  {} -> {}  {} dead  {:.2} s",
                before.records,
                after.records,
                human(before.bytes),
                human(after.bytes),
                self.dead.total(),
                self.seconds
            ),
            Outcome::WouldClean => format!(
                "{name}  {} -> {} records  {} -> about {}  {} would go  {:.2} s",
                before.records,
                after.records,
                human(before.bytes),
                human(after.bytes),
                self.dead.total(),
                self.seconds
            ),
        };
        line + &damaged
    }
}

fn human(bytes: u64) -> String {
    human_bytes(i64::try_from(bytes).unwrap_or(i64::MAX))
}

/// The rows of one command.
pub struct Report {
    is_dry_run: bool,
    format: OutputFormat,
    rows: Vec<Row>,
    /// The reader of our output has gone: cleaning goes on, and this is told at the end.
    output_error: Option<CliError>,
}

#[derive(Serialize)]
struct Document<'a> {
    schema_version: u32,
    dry_run: bool,
    interrupted: bool,
    logs: Vec<DocumentRow<'a>>,
    total: Totals,
}

#[derive(Serialize)]
struct DocumentRow<'a> {
    topic: &'a str,
    partition: i32,
    outcome: Outcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    before: Size,
    after: Size,
    dead: DocumentDead,
    bytes_read: u64,
    bytes_written: u64,
    seconds: f64,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    damaged: &'a [String],
}

#[derive(Serialize)]
struct DocumentDead {
    superseded: u64,
    expired_tombstones: u64,
    keyless: u64,
    aborted: u64,
    expired_markers: u64,
}

#[derive(Default, Serialize)]
struct Totals {
    /// Logs that were cleaned, or would be.
    logs: usize,
    before: Size,
    after: Size,
    dead_records: u64,
}

impl Report {
    pub fn new(is_dry_run: bool, format: OutputFormat) -> Report {
        Report {
            is_dry_run,
            format,
            rows: Vec::new(),
            output_error: None,
        }
    }

    /// A log is done.
    pub fn add(&mut self, row: Row) {
        self.skip(row, true);
    }

    /// A log is not for us; said only when somebody asked for it by name.
    pub fn skip(&mut self, row: Row, is_said: bool) {
        if is_said && self.format == OutputFormat::Table {
            self.print(&format!("{}\n", row.line()));
        }
        self.rows.push(row);
    }

    fn print(&mut self, text: &str) {
        if self.output_error.is_none() {
            self.output_error = output::text(text).err();
        }
    }

    /// Totals, or the document.
    pub fn finish(&mut self, seconds: f64) -> Result<()> {
        match self.format {
            OutputFormat::Table => {
                let text = self.totals_line(seconds);
                self.print(&text);
                self.output_error.clone().map_or(Ok(()), Err)
            }
            OutputFormat::Json => output::json(&self.document()),
        }
    }

    fn totals_line(&self, seconds: f64) -> String {
        let totals = self.totals();
        let skipped = self.count(Outcome::Skipped);
        let skipped = match skipped {
            0 => String::new(),
            number => format!(", {number} skipped"),
        };
        let verb = if self.is_dry_run {
            "looked at"
        } else {
            "cleaned"
        };
        format!(
            "{} {verb}{skipped}: {} -> {} records  {} -> {}{}  {seconds:.2} s\n",
            count(totals.logs, "log"),
            totals.before.records,
            totals.after.records,
            human(totals.before.bytes),
            if self.is_dry_run { "about " } else { "" },
            human(totals.after.bytes),
        )
    }

    fn document(&self) -> Document<'_> {
        let rows = self.rows.iter().map(|row| DocumentRow {
            topic: &row.topic_partition.topic,
            partition: row.topic_partition.partition,
            outcome: row.outcome,
            reason: row.reason.as_deref(),
            before: row.before,
            after: row.after,
            dead: DocumentDead {
                superseded: row.dead.superseded,
                expired_tombstones: row.dead.expired_tombstones,
                keyless: row.dead.keyless,
                aborted: row.dead.aborted,
                expired_markers: row.dead.expired_markers,
            },
            bytes_read: row.bytes_read,
            bytes_written: row.bytes_written,
            seconds: row.seconds,
            damaged: &row.damaged,
        });
        let mut logs: Vec<DocumentRow<'_>> = rows.collect();
        logs.sort_by_key(|row| (row.topic, row.partition));
        Document {
            schema_version: SCHEMA_VERSION,
            dry_run: self.is_dry_run,
            interrupted: self.is_interrupted(),
            logs,
            total: self.totals(),
        }
    }

    fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        let done = |row: &&Row| matches!(row.outcome, Outcome::Cleaned | Outcome::WouldClean);
        for row in self.rows.iter().filter(done) {
            totals.logs += 1;
            totals.before.records += row.before.records;
            totals.before.bytes += row.before.bytes;
            totals.after.records += row.after.records;
            totals.after.bytes += row.after.bytes;
            totals.dead_records += row.dead.total();
        }
        totals
    }

    fn count(&self, outcome: Outcome) -> usize {
        self.rows
            .iter()
            .filter(|row| row.outcome == outcome)
            .count()
    }

    pub fn is_interrupted(&self) -> bool {
        self.count(Outcome::Interrupted) > 0
    }

    /// The logs that failed, in whole or in part, and why.
    pub fn failed(&self) -> Vec<(&TopicPartition, String)> {
        let reason = |row: &Row| match row.outcome {
            Outcome::Failed => row.reason.clone(),
            _ if row.damaged.is_empty() => None,
            _ => Some(row.damaged.join("; ")),
        };
        let rows = self.rows.iter();
        rows.filter_map(|row| Some((&row.topic_partition, reason(row)?)))
            .collect()
    }

    /// How many logs are done, of how many.
    pub fn progress(&self) -> String {
        let total = self.rows.len() - self.count(Outcome::Skipped);
        let done = total - self.count(Outcome::Interrupted);
        format!("{done} of {} done", count(total, "log"))
    }

    /// Logs that were to be cleaned.
    pub fn total(&self) -> String {
        count(self.rows.len() - self.count(Outcome::Skipped), "log")
    }
}
