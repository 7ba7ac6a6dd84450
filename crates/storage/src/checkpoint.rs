//! Checkpoint files: small text files that are replaced as a whole.
//!
//! ```text
//! 0                      version
//! 2                      number of entries
//! orders 0 42            topic, partition, offset
//! orders 1 7
//! ```
//! UTF-8, a line feed after every line, fields separated by white space. A missing or empty file has no entries. A
//! wrong version, a line with more or fewer fields, or a wrong number of entries is an error: half a checkpoint is
//! never used. `leader-epoch-checkpoint` follows the same rules with two fields.
//!
//! Written as `<name>.tmp`, synced, renamed, directory synced: a crash leaves the old version or the new one.
//! No lock: each file has one writer, which is for the caller to see to.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;

use lastword_record::TopicPartition;

use crate::dir::{self, Dir};
use crate::error::StorageError;
use crate::file_name;

const VERSION: &str = "0";

/// An offset per partition: `cleaner-`, `recovery-point-`, `log-start-` and `replication-offset-checkpoint`.
#[derive(Debug)]
pub struct OffsetCheckpointFile;

impl OffsetCheckpointFile {
    /// The offsets in `<log dir>/<name>`; none when the file is missing.
    pub fn read(dir: &dyn Dir, name: &str) -> Result<BTreeMap<TopicPartition, i64>, StorageError> {
        let Some(bytes) = read_if_there(dir, name)? else {
            return Ok(BTreeMap::new());
        };
        parse_offsets(name, &bytes)
    }

    /// Replaces the file; durable when this returns.
    pub fn write(
        dir: &dyn Dir,
        name: &str,
        offsets: &BTreeMap<TopicPartition, i64>,
    ) -> Result<(), StorageError> {
        write_atomically(dir, name, format_offsets(offsets).as_bytes())
    }
}

/// Where each leader epoch of a partition starts: `leader-epoch-checkpoint`.
#[derive(Debug)]
pub struct LeaderEpochCheckpointFile;

impl LeaderEpochCheckpointFile {
    /// `(epoch, start offset)` in the order of the file; none when it is missing.
    pub fn read(dir: &dyn Dir, partition_dir: &str) -> Result<Vec<(i32, i64)>, StorageError> {
        let path = format!("{partition_dir}/{}", file_name::LEADER_EPOCH_CHECKPOINT);
        let Some(bytes) = read_if_there(dir, &path)? else {
            return Ok(Vec::new());
        };
        parse_lines(&path, &bytes, |[epoch, start_offset]| {
            Ok((
                parse_number(epoch, "leader epoch")?,
                parse_number(start_offset, "start offset")?,
            ))
        })
    }

    /// Replaces the file; durable when this returns.
    pub fn write(
        dir: &dyn Dir,
        partition_dir: &str,
        epochs: &[(i32, i64)],
    ) -> Result<(), StorageError> {
        let mut text = format!("{VERSION}\n{}\n", epochs.len());
        for (epoch, start_offset) in epochs {
            let _ = writeln!(text, "{epoch} {start_offset}");
        }
        let path = format!("{partition_dir}/{}", file_name::LEADER_EPOCH_CHECKPOINT);
        write_atomically(dir, &path, text.as_bytes())
    }
}

/// Replaces a small file so that a crash leaves the old version or the new one, and the new one once this returned.
pub fn write_atomically(dir: &dyn Dir, path: &str, bytes: &[u8]) -> Result<(), StorageError> {
    let temporary = format!("{path}{}", file_name::TEMPORARY);
    let write = || -> io::Result<()> {
        // 1. The new version under a name nobody reads. Crash: the loader removes it.
        let file = dir.create(&temporary)?;
        file.write_all_at(bytes, 0)?;
        // 2. Its bytes must be on disk before the name leads to them. Crash: as in 1.
        file.sync_data()?;
        // 3. The name. Crash: either version, both whole.
        dir.rename(&temporary, path)?;
        // 4. Only now may the caller rely on it.
        dir.sync_dir(dir::split_path(path).0)
    };
    write().map_err(|source| StorageError::io("write", path, source))
}

/// The text of an offset checkpoint.
pub fn format_offsets(offsets: &BTreeMap<TopicPartition, i64>) -> String {
    let mut text = format!("{VERSION}\n{}\n", offsets.len());
    for (topic_partition, offset) in offsets {
        let _ = writeln!(
            text,
            "{} {} {offset}",
            topic_partition.topic, topic_partition.partition
        );
    }
    text
}

/// The offsets in the text of a checkpoint; `name` is for the error.
pub fn parse_offsets(
    name: &str,
    bytes: &[u8],
) -> Result<BTreeMap<TopicPartition, i64>, StorageError> {
    let entries = parse_lines(name, bytes, |[topic, partition, offset]| {
        let partition = parse_number(partition, "partition")?;
        Ok((
            TopicPartition {
                topic: topic.into(),
                partition,
            },
            parse_number(offset, "offset")?,
        ))
    })?;
    Ok(entries.into_iter().collect())
}

fn read_if_there(dir: &dyn Dir, path: &str) -> Result<Option<Vec<u8>>, StorageError> {
    match dir::read_file(dir, path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(StorageError::io("read", path, source)),
    }
}

fn parse_lines<T, const FIELDS: usize>(
    name: &str,
    bytes: &[u8],
    parse: impl Fn([&str; FIELDS]) -> Result<T, String>,
) -> Result<Vec<T>, StorageError> {
    let malformed = |line: usize, reason: String| StorageError::CorruptCheckpoint {
        file: name.into(),
        line,
        reason,
    };
    let text = std::str::from_utf8(bytes).map_err(|_| malformed(1, "not UTF-8".into()))?;
    let mut lines = text.lines().zip(1..);
    let Some((version, _)) = lines.next() else {
        return Ok(Vec::new());
    };
    if version.trim() != VERSION {
        return Err(malformed(
            1,
            format!("version {version:?}, expected {VERSION}"),
        ));
    }
    let count = lines
        .next()
        .and_then(|(line, _)| line.trim().parse::<usize>().ok());
    let count = count.ok_or_else(|| malformed(2, "no number of entries".into()))?;
    let mut entries = Vec::new();
    for (line, number) in lines {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let fields = <[&str; FIELDS]>::try_from(fields).map_err(|fields| {
            malformed(
                number,
                format!("{} fields, expected {FIELDS}", fields.len()),
            )
        })?;
        entries.push(parse(fields).map_err(|reason| malformed(number, reason))?);
    }
    if entries.len() != count {
        return Err(malformed(
            2,
            format!("{} entries, but {count} were announced", entries.len()),
        ));
    }
    Ok(entries)
}

fn parse_number<T: std::str::FromStr>(text: &str, what: &str) -> Result<T, String> {
    text.parse()
        .map_err(|_| format!("{what} {text:?} is not a number"))
}

#[cfg(test)]
mod tests;
