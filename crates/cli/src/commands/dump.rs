//! `lastword dump PATH...`: what lies in the files of a log, Lastword's or Kafka's: segments, indexes, key indexes and
//! producer snapshots, a line for each batch or entry.
//!
//! Files are only read, also those of a running broker. Damage is told with its place, and ends the dump of its file.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lastword_record::TimestampType;
use lastword_storage::dir::{Dir, File, FsDir};
use lastword_storage::file_name::{self, LIVE, PartitionFile, SegmentFile};
use lastword_storage::key_index::{Entry, KeyHash, KeyIndex};
use lastword_storage::producer_state::snapshot;
use lastword_storage::verify::{BatchPlace, PartitionReader, ReadError, SegmentName, marker_of};
use serde_json::{Value, json};

use crate::base64;
use crate::error::{CliError, Exit, Result};
use crate::output::OutputFormat;

const MAX_DECOMPRESSED_BYTES: usize = 256 << 20;
const BUFFER_BYTES: usize = 64 << 10;

#[derive(clap::Args)]
#[command(after_help = "\
A PATH is a file of a partition directory, by its name (.log .index .timeindex .txnindex .snapshot .keyindex), or the \
directory: then all of them.\n\n\
Exit codes: 0 done, 1 something is damaged, 2 wrong usage or a local failure.\n\n\
Examples:\n  lastword dump lastword-data/prices-0/00000000000000000000.log --records\n  \
lastword dump /var/lib/kafka/prices-0 --format json")]
pub struct Args {
    /// Files, or partition directories
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Also a line for each record, and for each entry of a key index
    #[arg(short, long, alias = "print-data-log", alias = "deep-iteration")]
    records: bool,
    /// As lines, or as a JSON document in each line
    #[arg(long, value_enum, default_value_t)]
    format: OutputFormat,
}

impl Args {
    pub fn json(&self) -> bool {
        self.format == OutputFormat::Json
    }
}

pub fn run(args: &Args) -> Result<()> {
    let mut dump = Dump {
        args,
        out: std::io::BufWriter::new(std::io::stdout().lock()),
        damage: Vec::new(),
    };
    for path in &args.paths {
        dump.path(path)?;
    }
    dump.out.flush()?;
    match dump.damage.first() {
        None => Ok(()),
        Some(first) => {
            Err(CliError::new(Exit::No, "DAMAGED", "something is damaged").why(first.clone()))
        }
    }
}

struct Dump<'a> {
    args: &'a Args,
    out: std::io::BufWriter<std::io::StdoutLock<'static>>,
    damage: Vec<String>,
}

/// A file by its directory: what reads it takes the two apart.
struct Place {
    dir: Arc<dyn Dir>,
    /// Its directory's name below `dir`.
    partition_dir: String,
    shown: String,
}

impl Dump<'_> {
    fn path(&mut self, path: &Path) -> Result<()> {
        let failed = |error: std::io::Error| {
            let what = format!("cannot read {}", path.display());
            CliError::local("DATA", what).why(error.to_string())
        };
        let full = path.canonicalize().map_err(failed)?;
        if full.is_dir() {
            let mut names = Vec::new();
            for entry in fs::read_dir(&full).map_err(failed)? {
                names.push(entry.map_err(failed)?.path());
            }
            names.sort();
            let known =
                |path: &PathBuf| name_of(path).is_some_and(|name| segment_file(name).is_some());
            let names: Vec<PathBuf> = names.into_iter().filter(known).collect();
            if names.is_empty() {
                let what = format!("{} is no partition directory", path.display());
                return Err(CliError::local("DATA", what).why("it has no segment in it"));
            }
            for name in names {
                self.file(&name)?;
            }
            return Ok(());
        }
        self.file(&full)
    }

    fn file(&mut self, path: &Path) -> Result<()> {
        let known = name_of(path).and_then(segment_file);
        let (Some((base_offset, kind)), Some(parent)) = (known, path.parent()) else {
            let what = format!("{} is no file of a log", path.display());
            return Err(CliError::usage(what).hint(
                "20 digits and .log, .index, .timeindex, .txnindex, .snapshot or .keyindex",
            ));
        };
        let (Some(root), Some(partition_dir)) = (parent.parent(), name_of(parent)) else {
            return Err(CliError::usage("a file must lie in a partition directory"));
        };
        let failed = |error: std::io::Error| {
            let what = format!("cannot read {}", path.display());
            CliError::local("DATA", what).why(error.to_string())
        };
        let place = Place {
            dir: Arc::new(FsDir::open_existing(root).map_err(failed)?),
            partition_dir: partition_dir.to_owned(),
            shown: path.display().to_string(),
        };
        let size_bytes = fs::metadata(path).map_err(failed)?.len();
        let title = format!("{}  {size_bytes} bytes", place.shown);
        self.say(
            &title,
            || json!({ "file": place.shown, "size_bytes": size_bytes }),
        )?;
        let segment_path = file_name::segment_path(partition_dir, base_offset, kind, LIVE);
        let open = || place.dir.open_to_read(&segment_path).map_err(failed);
        match kind {
            SegmentFile::Log => self.log(&place, base_offset, size_bytes),
            SegmentFile::OffsetIndex => self.entries::<8>(&place, &*open()?, |bytes| {
                let (offset, position) = bytes.split_at(4);
                let (offset, position) = (base_offset.wrapping_add(number(offset)), number(position));
                let line = format!("  offset {offset}  position {position}");
                (line, json!({ "offset": offset, "position": position }))
            }),
            SegmentFile::TimeIndex => self.entries::<12>(&place, &*open()?, |bytes| {
                let (timestamp, offset) = bytes.split_at(8);
                let (timestamp, offset) = (number(timestamp), base_offset.wrapping_add(number(offset)));
                let line = format!("  timestamp {timestamp}  offset {offset}");
                (line, json!({ "timestamp": timestamp, "offset": offset }))
            }),
            SegmentFile::TransactionIndex => self.entries::<34>(&place, &*open()?, |bytes| {
                let field = |at: usize| number(bytes.get(at..at + 8).unwrap_or_default());
                let version = number(bytes.get(..2).unwrap_or_default());
                let (producer, first, last) = (field(2), field(10), field(18));
                let stable = field(26);
                let line = format!(
                    "  version {version}  producer {producer}  aborted {first}..{last}  lastStableOffset {stable}"
                );
                let value = json!({
                    "version": version, "producer_id": producer, "first_offset": first, "last_offset": last,
                    "last_stable_offset": stable,
                });
                (line, value)
            }),
            SegmentFile::ProducerSnapshot => {
                let bytes = fs::read(path).map_err(failed)?;
                self.snapshot(&place, &bytes)
            }
            SegmentFile::KeyIndex => self.key_index(&place, open()?, segment_path),
        }
    }

    fn say(&mut self, line: &str, value: impl FnOnce() -> Value) -> Result<()> {
        match self.args.format {
            OutputFormat::Table => writeln!(self.out, "{line}")?,
            OutputFormat::Json => writeln!(self.out, "{}", value())?,
        }
        Ok(())
    }

    fn is_damaged(&mut self, place: &Place, reason: &str) -> Result<()> {
        self.damage.push(format!("{}: {reason}", place.shown));
        let line = format!("  DAMAGED: {reason}");
        self.say(&line, || json!({ "damaged": reason }))
    }

    fn log(&mut self, place: &Place, base_offset: i64, size_bytes: u64) -> Result<()> {
        let segments = vec![SegmentName {
            base_offset,
            size_bytes,
        }];
        let dir = Arc::clone(&place.dir);
        let mut reader =
            PartitionReader::new(dir, &place.partition_dir, segments, MAX_DECOMPRESSED_BYTES);
        loop {
            let batch = match reader.next_batch() {
                Ok(None) => return Ok(()),
                Ok(Some(batch)) => batch,
                Err(ReadError::Damage(damage)) => {
                    let reason = format!("position {}: {}", damage.position, damage.reason);
                    return self.is_damaged(place, &reason);
                }
                Err(ReadError::Storage(error)) => {
                    let what = format!("cannot read {}", place.shown);
                    return Err(CliError::local("DATA", what).why(error.to_string()));
                }
            };
            let mut records = Vec::new();
            let mut shown = reader.for_each_record(|_| {});
            let is_valid = shown.is_ok();
            if self.args.records && is_valid {
                shown = reader.for_each_record(|record| {
                    let marker = marker_of(&batch.header, record).map(|it| format!("{it:?}"));
                    let headers = record.headers.iter().map(|(name, value)| {
                        json!({ "key": value_of(name), "value": value.map(value_of) })
                    });
                    records.push(json!({
                        "offset": record.offset,
                        "timestamp": record.timestamp,
                        "key": record.key.map(value_of),
                        "value": record.value.map(value_of),
                        "tombstone": record.value.is_none(),
                        "headers": headers.collect::<Vec<_>>(),
                        "control": marker,
                    }));
                });
            }
            let (line, value) = batch_line(&batch, is_valid);
            self.say(&line, || value)?;
            for record in records {
                let line = format!(
                    "    offset {}  timestamp {}  key {}  value {}  headers {}{}",
                    record["offset"],
                    record["timestamp"],
                    record["key"],
                    record["value"],
                    record["headers"],
                    match record["control"].as_str() {
                        Some(marker) => format!("  control {marker}"),
                        None => String::new(),
                    }
                );
                self.say(&line, || record)?;
            }
            if let Err(error) = shown {
                let reason = format!("position {}: {error}", batch.position);
                self.is_damaged(place, &reason)?;
            }
        }
    }

    /// A file of entries of N bytes each. Zeros to the end are room that was set aside.
    fn entries<const N: usize>(
        &mut self,
        place: &Place,
        file: &dyn File,
        show: impl Fn(&[u8; N]) -> (String, Value),
    ) -> Result<()> {
        let mut buffer = vec![0; N * 4096];
        let (mut position, mut zeros) = (0, 0u64);
        loop {
            let count = file.read_full_at(&mut buffer, position)?;
            let (entries, rest) = buffer.get(..count).unwrap_or_default().as_chunks::<N>();
            for entry in entries {
                if *entry == [0; N] {
                    zeros += 1;
                    continue;
                }
                for _ in 0..std::mem::take(&mut zeros) {
                    let (line, value) = show(&[0; N]);
                    self.say(&line, || value)?;
                }
                let (line, value) = show(entry);
                self.say(&line, || value)?;
            }
            if !rest.is_empty() {
                let reason = format!("{} bytes at its end are no entry", rest.len());
                return self.is_damaged(place, &reason);
            }
            if count < buffer.len() {
                break;
            }
            position += count as u64;
        }
        if zeros > 0 {
            let line = format!("  {zeros} entries of zeros");
            self.say(&line, || json!({ "zeros": zeros }))?;
        }
        Ok(())
    }

    fn snapshot(&mut self, place: &Place, bytes: &[u8]) -> Result<()> {
        let producers = match snapshot::decode(bytes) {
            Ok(producers) => producers,
            Err(reason) => return self.is_damaged(place, reason),
        };
        for (id, entry) in producers {
            let batch = entry.last_batch();
            let last_offset = batch.map_or(-1, |batch| batch.last_offset);
            let open = entry.current_transaction_first_offset.unwrap_or(-1);
            let line = format!(
                "  producer {id}  epoch {}  lastSequence {}  lastOffset {last_offset}  timestamp {}  coordinatorEpoch \
                 {}  transactionFirstOffset {open}",
                entry.producer_epoch,
                entry.last_sequence(),
                entry.last_timestamp,
                entry.coordinator_epoch
            );
            self.say(&line, || {
                json!({
                    "producer_id": id, "epoch": entry.producer_epoch, "last_sequence": entry.last_sequence(),
                    "last_offset": last_offset, "timestamp": entry.last_timestamp,
                    "coordinator_epoch": entry.coordinator_epoch, "transaction_first_offset": open,
                })
            })?;
        }
        Ok(())
    }

    fn key_index(&mut self, place: &Place, file: Arc<dyn File>, path: String) -> Result<()> {
        let failed = |error: lastword_storage::StorageError| {
            CliError::local("DATA", format!("cannot read {}", place.shown)).why(error.to_string())
        };
        let index = match KeyIndex::open_alone(file, path, None).map_err(failed)? {
            Ok(index) => index,
            Err(reason) => return self.is_damaged(place, &reason),
        };
        let header = *index.header();
        let line = format!(
            "  {} batches  {} records  {} keyed  offsets {}..{}  log {} bytes  tombstones {}",
            header.batch_count,
            header.record_count,
            header.entry_count,
            header.base_offset,
            header.next_offset,
            header.log_bytes,
            header.has_tombstones
        );
        self.say(&line, || {
            json!({
                "batches": header.batch_count, "records": header.record_count, "entries": header.entry_count,
                "base_offset": header.base_offset, "next_offset": header.next_offset,
                "log_bytes": header.log_bytes, "tombstones": header.has_tombstones,
            })
        })?;
        let mut batches = index.batches(BUFFER_BYTES);
        loop {
            let batch = match batches.next_batch() {
                Ok(Some(batch)) => batch,
                Ok(None) => break,
                Err(error) => return self.is_damaged(place, &error.to_string()),
            };
            let horizon = batch.delete_horizon_ms;
            let line = format!(
                "  offsets {}..{}  position {}  {} bytes  {} records from {}{}",
                batch.base_offset,
                batch.last_offset,
                batch.position,
                batch.size_bytes,
                batch.record_count,
                batch.first_ordinal,
                horizon.map_or(String::new(), |ms| format!("  deleteHorizon {ms}"))
            );
            self.say(&line, || {
                json!({
                    "base_offset": batch.base_offset, "last_offset": batch.last_offset, "position": batch.position,
                    "size_bytes": batch.size_bytes, "records": batch.record_count,
                    "first_ordinal": batch.first_ordinal, "delete_horizon_ms": horizon,
                })
            })?;
        }
        if !self.args.records {
            return Ok(());
        }
        let mut entries = index.entries(0..header.entry_count, BUFFER_BYTES);
        let mut said = Ok(());
        let read = entries.for_each_up_to(Entry::last_of(KeyHash::MAX), |entry| {
            if said.is_ok() {
                let (hash, ordinal) = (entry.hash().bits(), entry.ordinal());
                let is_tombstone = entry.is_tombstone();
                let mark = if is_tombstone { "  tombstone" } else { "" };
                said = self.say(&format!("    key {hash:024x}  record {ordinal}{mark}"), || {
                    json!({ "key_hash": format!("{hash:024x}"), "record": ordinal, "tombstone": is_tombstone })
                });
            }
        });
        said?;
        match read.and_then(|()| index.check_entries([&entries.end()].into_iter())) {
            Ok(()) => Ok(()),
            Err(error) => self.is_damaged(place, &error.to_string()),
        }
    }
}

/// What a batch says of itself, in the words of Kafka's DumpLogSegments.
fn batch_line(batch: &BatchPlace, is_valid: bool) -> (String, Value) {
    let header = &batch.header;
    let codec = header.compression().map_or("unknown", |codec| codec.name());
    let time = match header.timestamp_type() {
        TimestampType::CreateTime => "CreateTime",
        TimestampType::LogAppendTime => "LogAppendTime",
    };
    let magic = if batch.is_legacy { "0 or 1" } else { "2" };
    let horizon = header.delete_horizon_ms();
    let line = format!(
        "  offsets {}..{}  count {}  position {}  size {}  {time} {}  codec {codec}  magic {magic}  leaderEpoch {}  \
         producer {} epoch {} sequence {}..{}{}{}{}  crc {}  valid {is_valid}",
        header.base_offset,
        header.last_offset(),
        header.record_count,
        batch.position,
        batch.size_bytes,
        header.max_timestamp,
        header.leader_epoch,
        header.producer_id,
        header.producer_epoch,
        header.base_sequence,
        header.last_sequence(),
        if header.is_transactional() {
            "  transactional"
        } else {
            ""
        },
        if header.is_control() { "  control" } else { "" },
        horizon.map_or(String::new(), |ms| format!("  deleteHorizon {ms}")),
        header.crc,
    );
    let value = json!({
        "base_offset": header.base_offset, "last_offset": header.last_offset(), "count": header.record_count,
        "position": batch.position, "size_bytes": batch.size_bytes, "timestamp_type": time,
        "max_timestamp": header.max_timestamp, "codec": codec, "legacy": batch.is_legacy,
        "leader_epoch": header.leader_epoch, "producer_id": header.producer_id,
        "producer_epoch": header.producer_epoch, "base_sequence": header.base_sequence,
        "last_sequence": header.last_sequence(), "transactional": header.is_transactional(),
        "control": header.is_control(), "delete_horizon_ms": horizon, "crc": header.crc, "valid": is_valid,
    });
    (line, value)
}

fn name_of(path: &Path) -> Option<&str> {
    path.file_name().and_then(|name| name.to_str())
}

fn segment_file(name: &str) -> Option<(i64, SegmentFile)> {
    match file_name::parse_partition_file(name) {
        PartitionFile::Segment {
            base_offset,
            file,
            suffix: LIVE,
        } => Some((base_offset, file)),
        _ => None,
    }
}

/// A big-endian integer of up to 8 bytes.
fn number(bytes: &[u8]) -> i64 {
    let sign = bytes.first().is_some_and(|first| first & 0x80 != 0);
    let start = if sign { -1i64 } else { 0 };
    bytes
        .iter()
        .take(8)
        .fold(start, |number, byte| number << 8 | i64::from(*byte))
}

/// Text, or `{"base64": ".."}`.
fn value_of(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => Value::from(text),
        Err(_) => json!({ "base64": base64::encode(bytes) }),
    }
}
