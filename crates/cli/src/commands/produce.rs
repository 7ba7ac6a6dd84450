//! `lastword produce TOPIC`: lines, formatted records or JSON from standard input or a file; or one record from the
//! command line.
//!
//! Input is read by a thread of its own, so that a record typed at a terminal (or a line of `tail -f`) leaves at once:
//! whatever is there is sent when nothing more comes for a few milliseconds, or when a batch is full.
//!
//! Prints where the records are when it is done: `3 records to prices-0, offsets 0..2`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal, Write};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use clap::ValueEnum;
use lastword_record::CompressionType;

use crate::client::admin::describe_configs;
use crate::client::producer::{Producer, Sent};
use crate::client::{Client, ClientArgs, TopicInfo};
use crate::error::{CliError, Result};
use crate::format::json::{self, InputRecord};
use crate::format::read::Reader;
use crate::format::template::Template;
use crate::format::{RecordFormat, RecordView};
use crate::output::{self, say};
use crate::time;

#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  printf 'AAPL:191\\nMSFT:410\\n' | lastword produce prices -K:\n  \
    lastword produce prices -k AAPL -Z                       # one tombstone, without input\n  \
    lastword consume a -e -f jsonl | lastword produce b --jsonl\n  \
    lastword produce prices -f '%k %v\\n' -l prices.txt -z zstd"
)]
pub struct Args {
    /// Topic
    topic: String,
    /// Each line is a key, this, and a value
    #[arg(short = 'K', long, value_name = "DELIM", conflicts_with_all = ["key", "input_format", "jsonl"])]
    key_delimiter: Option<String>,
    /// The key of every record
    #[arg(short, long)]
    key: Option<String>,
    /// Empty values are tombstones; with -k, write one tombstone and read no input
    #[arg(short = 'Z', long)]
    tombstone: bool,
    /// Values that read like this are null
    #[arg(long, value_name = "TEXT")]
    null_marker: Option<String>,
    /// A header for every record: NAME=VALUE or NAME:VALUE
    #[arg(short = 'H', long = "header", value_name = "NAME=VALUE")]
    headers: Vec<String>,
    /// Write to this partition instead of the key's
    #[arg(short, long)]
    partition: Option<i32>,
    /// Compress batches
    #[arg(
        short = 'z',
        long,
        visible_alias = "codec",
        value_enum,
        default_value_t
    )]
    compression: Codec,
    /// How a record is written in the input; see `lastword consume --help` for the letters
    #[arg(
        short = 'f',
        long = "format",
        value_name = "FORMAT",
        conflicts_with = "jsonl"
    )]
    input_format: Option<String>,
    /// The input is JSON, one object a line, as `consume -f jsonl` prints it
    #[arg(long)]
    jsonl: bool,
    /// Print each record after it was written, in this format; `json` for one document each
    #[arg(short = 'o', long, value_name = "FORMAT")]
    output_format: Option<String>,
    /// Read this file instead of standard input
    #[arg(short = 'l', long = "file", value_name = "FILE")]
    file: Option<String>,
    /// Answered when it is durable (all), or when the leader has it (1)
    #[arg(long, value_enum, default_value_t)]
    acks: Acks,
    /// Let the broker create the topic
    #[arg(long)]
    allow_auto_topic_creation: bool,
    /// Say nothing
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Codec {
    #[default]
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Acks {
    #[default]
    #[value(alias = "-1")]
    All,
    #[value(name = "1", alias = "leader")]
    Leader,
}

/// How long a record waits for company.
const LINGER: Duration = Duration::from_millis(5);
/// Records between the reading thread and the sending one.
const CHANNEL_RECORDS: usize = 10_000;

pub fn run(args: &Args) -> Result<()> {
    let input = Input::new(args)?;
    let acknowledged = args
        .output_format
        .as_deref()
        .map(|text| RecordFormat::parse(text, false))
        .transpose()
        .map_err(CliError::usage)?;
    let mut client = Client::connect(&args.client)?;
    let topic = client.topic(&args.topic, args.allow_auto_topic_creation)?;
    let compression = match args.compression {
        Codec::None => CompressionType::None,
        Codec::Gzip => CompressionType::Gzip,
        Codec::Snappy => CompressionType::Snappy,
        Codec::Lz4 => CompressionType::Lz4,
        Codec::Zstd => CompressionType::Zstd,
    };
    let acks = match args.acks {
        Acks::All => -1,
        Acks::Leader => 1,
    };
    let mut producer = Producer::new(&topic, acks, compression);
    let mut tally = Tally::default();
    if let (true, Some(key)) = (args.tombstone, &args.key) {
        producer.add(input.finish(InputRecord {
            key: Some(key.clone().into_bytes()),
            ..InputRecord::default()
        }))?;
        let sent = producer.flush(&mut client)?;
        tally.add(&topic, &sent, acknowledged.as_ref())?;
        if acknowledged.is_none() && !args.quiet {
            output::text(&tombstone_line(&mut client, &topic, key, &sent))?;
        }
        return Ok(());
    }
    let (sender, receiver) = sync_channel(CHANNEL_RECORDS);
    let source = open(args)?;
    std::thread::spawn(move || input.read(source, &sender));
    let result = pump(
        &mut client,
        &topic,
        &mut producer,
        &receiver,
        &mut tally,
        acknowledged.as_ref(),
    );
    // What did arrive is said even when the rest did not.
    let has_news = result.is_ok() || !tally.partitions.is_empty();
    if acknowledged.is_none() && !args.quiet && has_news {
        output::text(&tally.lines(&topic.name))?;
    }
    result
}

/// Moves records from the reading thread to the broker until the input ends.
fn pump(
    client: &mut Client,
    topic: &TopicInfo,
    producer: &mut Producer<'_>,
    receiver: &Receiver<Result<InputRecord>>,
    tally: &mut Tally,
    acknowledged: Option<&RecordFormat>,
) -> Result<()> {
    let mut is_waiting = false;
    loop {
        let next = if is_waiting {
            receiver.recv_timeout(LINGER)
        } else {
            receiver.recv().map_err(|_| RecvTimeoutError::Disconnected)
        };
        let flush_now = match next {
            Ok(Ok(record)) => {
                is_waiting = true;
                producer.add(record)?
            }
            Ok(Err(error)) => {
                // Everything before the bad record goes out, so that the line named is where to go on.
                tally.add(topic, &producer.flush(client)?, acknowledged)?;
                return Err(error);
            }
            Err(RecvTimeoutError::Timeout) => true,
            Err(RecvTimeoutError::Disconnected) => {
                return tally.add(topic, &producer.flush(client)?, acknowledged);
            }
        };
        if flush_now {
            tally.add(topic, &producer.flush(client)?, acknowledged)?;
            is_waiting = false;
        }
    }
}

fn open(args: &Args) -> Result<Box<dyn BufRead + Send>> {
    if let Some(path) = &args.file {
        let file = File::open(path).map_err(|error| {
            CliError::local("INPUT", format!("cannot read {path}")).why(error.to_string())
        })?;
        return Ok(Box::new(BufReader::with_capacity(1 << 16, file)));
    }
    if io::stdin().is_terminal() && !args.quiet {
        say("one record a line; Ctrl-D ends");
    }
    Ok(Box::new(BufReader::with_capacity(1 << 16, io::stdin())))
}

/// How input becomes records.
struct Input {
    kind: InputKind,
    key: Option<Vec<u8>>,
    headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    partition: Option<i32>,
    empty_is_null: bool,
    null_marker: Option<Vec<u8>>,
}

enum InputKind {
    Lines,
    KeyedLines(Vec<u8>),
    Format(Reader),
    Json,
}

impl Input {
    fn new(args: &Args) -> Result<Input> {
        let kind = if args.jsonl {
            InputKind::Json
        } else if let Some(format) = &args.input_format {
            let template = Template::parse(format).map_err(CliError::usage)?;
            InputKind::Format(Reader::new(template).map_err(CliError::usage)?)
        } else if let Some(delimiter) = &args.key_delimiter {
            if delimiter.is_empty() {
                return Err(CliError::usage(
                    "-K wants the text between key and value, as in -K:",
                ));
            }
            InputKind::KeyedLines(unescape(delimiter))
        } else {
            InputKind::Lines
        };
        let mut headers = Vec::new();
        for header in &args.headers {
            let (key, value) = header.split_once(['=', ':']).ok_or_else(|| {
                CliError::usage(format!("`{header}` is no header")).hint("-H NAME=VALUE")
            })?;
            headers.push((key.as_bytes().to_vec(), Some(value.as_bytes().to_vec())));
        }
        Ok(Input {
            kind,
            key: args.key.clone().map(String::into_bytes),
            headers,
            partition: args.partition,
            empty_is_null: args.tombstone,
            null_marker: args.null_marker.clone().map(String::into_bytes),
        })
    }

    /// Runs on a thread of its own; ends when the input does, at the first bad record, or when nobody listens.
    fn read(self, mut source: Box<dyn BufRead + Send>, sender: &SyncSender<Result<InputRecord>>) {
        for number in 1u64.. {
            let record = match self.next(&mut source) {
                Ok(Some(record)) => Ok(self.finish(record)),
                Ok(None) => return,
                Err(reason) => {
                    let error = CliError::local(
                        "INPUT",
                        format!("record {number} of the input cannot be read"),
                    );
                    Err(error.why(reason))
                }
            };
            let is_bad = record.is_err();
            if sender.send(record).is_err() || is_bad {
                return;
            }
        }
    }

    fn next(&self, source: &mut Box<dyn BufRead + Send>) -> Result<Option<InputRecord>, String> {
        if let InputKind::Format(reader) = &self.kind {
            return reader.next(source);
        }
        let mut line = Vec::new();
        if source
            .read_until(b'\n', &mut line)
            .map_err(|error| error.to_string())?
            == 0
        {
            return Ok(None);
        }
        if line.last() == Some(&b'\n') {
            line.pop();
        }
        match &self.kind {
            InputKind::Json => {
                let text = std::str::from_utf8(&line).map_err(|error| error.to_string())?;
                json::parse(text).map(Some)
            }
            InputKind::KeyedLines(delimiter) => {
                let at = line
                    .windows(delimiter.len())
                    .position(|window| window == delimiter.as_slice());
                let at = at.ok_or_else(|| {
                    format!(
                        "there is no {:?} in {:?}",
                        String::from_utf8_lossy(delimiter),
                        String::from_utf8_lossy(line.get(..60).unwrap_or(&line))
                    )
                })?;
                Ok(Some(InputRecord {
                    key: Some(line[..at].to_vec()),
                    value: Some(line[at + delimiter.len()..].to_vec()),
                    ..InputRecord::default()
                }))
            }
            _ => Ok(Some(InputRecord {
                value: Some(line),
                ..InputRecord::default()
            })),
        }
    }

    /// Adds what the command line says about every record.
    fn finish(&self, mut record: InputRecord) -> InputRecord {
        record.key = record.key.or_else(|| self.key.clone());
        record.partition = self.partition.or(record.partition);
        record.headers.extend(self.headers.iter().cloned());
        let is_null = |value: &Vec<u8>| {
            (self.empty_is_null && value.is_empty()) || self.null_marker.as_ref() == Some(value)
        };
        record.value = record.value.filter(|value| !is_null(value));
        record
    }
}

/// `-K '\t'` is easier to type than a tab.
fn unescape(text: &str) -> Vec<u8> {
    match text {
        "\\t" => b"\t".to_vec(),
        "\\0" => vec![0],
        other => other.as_bytes().to_vec(),
    }
}

/// What was written, by partition.
#[derive(Default)]
struct Tally {
    partitions: BTreeMap<i32, Written>,
}

struct Written {
    records: usize,
    first_offset: i64,
    last_offset: i64,
}

impl Args {
    /// Whether errors are wanted as JSON too.
    pub fn json(&self) -> bool {
        matches!(self.output_format.as_deref(), Some("json" | "jsonl"))
    }
}

impl Tally {
    fn add(
        &mut self,
        topic: &TopicInfo,
        sent: &[Sent],
        acknowledged: Option<&RecordFormat>,
    ) -> Result<()> {
        let mut out = Vec::new();
        for batch in sent {
            let last_offset = batch.base_offset + batch.records.len() as i64 - 1;
            let written = self.partitions.entry(batch.partition).or_insert(Written {
                records: 0,
                first_offset: batch.base_offset,
                last_offset,
            });
            written.records += batch.records.len();
            written.last_offset = last_offset;
            let Some(format) = acknowledged else {
                continue;
            };
            for (record, offset) in batch.records.iter().zip(batch.base_offset..) {
                let headers = record
                    .headers
                    .iter()
                    .map(|(key, value)| (key.as_slice(), value.as_deref()))
                    .collect();
                let view = RecordView {
                    topic: &topic.name,
                    partition: batch.partition,
                    offset,
                    timestamp_ms: record.timestamp_ms.unwrap_or(-1),
                    key: record.key.as_deref(),
                    value: record.value.as_deref(),
                    headers,
                    ..RecordView::default()
                };
                format.write(&view, false, &mut out);
            }
        }
        let mut stdout = io::stdout().lock();
        stdout.write_all(&out)?;
        stdout.flush()?;
        Ok(())
    }

    fn lines(&self, topic: &str) -> String {
        if self.partitions.is_empty() {
            return "0 records\n".to_owned();
        }
        let mut lines = String::new();
        for (partition, written) in &self.partitions {
            let offsets = if written.records == 1 {
                format!("offset {}", written.first_offset)
            } else {
                format!("offsets {}..{}", written.first_offset, written.last_offset)
            };
            lines.push_str(&format!(
                "{} to {topic}-{partition}, {offsets}\n",
                output::count(written.records, "record")
            ));
        }
        lines
    }
}

/// Says where the tombstone is, and how long it can be relied upon.
fn tombstone_line(client: &mut Client, topic: &TopicInfo, key: &str, sent: &[Sent]) -> String {
    let place = sent.first().map_or_else(String::new, |sent| {
        format!(
            "tombstone for {key} to {}-{}, offset {}",
            topic.name, sent.partition, sent.base_offset
        )
    });
    // Only for the sentence: a broker that does not tell its settings has taken the tombstone all the same.
    let names = ["cleanup.policy", "delete.retention.ms"];
    let entries = describe_configs(client, &[&topic.name], Some(&names)).unwrap_or_default();
    let entries = entries
        .get(&topic.name)
        .map(Vec::as_slice)
        .unwrap_or_default();
    let value = |name: &str| {
        entries
            .iter()
            .find(|entry| entry.name == name)
            .and_then(|entry| entry.value.as_deref())
    };
    match (
        value("cleanup.policy"),
        value("delete.retention.ms").and_then(|text| text.parse::<i64>().ok()),
    ) {
        (Some(policy), _) if !policy.contains("compact") => {
            format!(
                "{place}; {} is not compacted (cleanup.policy={policy}), so older records stay\n",
                topic.name
            )
        }
        (Some(_), Some(retention_ms)) => format!(
            "{place}; readable at least until {} (delete.retention.ms {})\n",
            time::minute(time::now_ms().saturating_add(retention_ms)),
            time::human_duration(retention_ms)
        ),
        _ => format!("{place}\n"),
    }
}
