//! `verify OLD TOPIC`: NEW is what a running broker serves, Lastword's or Kafka's.
//!
//! A partition is fetched into a temporary directory, as it is sent, and proved like a directory: with read_committed up to
//! the LastStableOffset, for the list of what was rolled back, and with read_uncommitted behind it. What was written since
//! the copy may replace what is in OLD, so it is put behind OLD: of itself it proves nothing.
//!
//! What the wire does not show is not proved: indexes, key indexes, snapshots, and where the active segment begins. A
//! cleaning that changes the log between two fetches is noticed when batches overlap, and everything is fetched again.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use lastword_protocol::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use lastword_protocol::messages::fetch_response::PartitionData;
use lastword_protocol::{StrBytes, message};
use lastword_record::{
    BatchBuilder, BatchHeader, Decompressor, RecordBatch, RecordBatches, RecordError,
    TopicPartition,
};
use lastword_storage::FsDir;
use lastword_storage::file_name::{self, LIVE, PartitionFile, SegmentFile};
use lastword_storage::verify::{PartitionFiles, PartitionReader, ReadError, Source};

use crate::client::offsets::{EARLIEST, LATEST, list_offsets};
use crate::client::{Client, TopicInfo};
use crate::error::{CliError, Result};
use crate::scratch::Scratch;

/// The last version with topic names; later ones carry ids.
const HIGHEST_FETCH_VERSION: i16 = 12;
const FETCH_BYTES: i32 = 8 << 20;
const SEGMENT_BYTES: u64 = 1 << 30;
/// Cleanings that may come between.
const ATTEMPTS: usize = 5;

/// Where fetched partitions are kept: in the system's place for temporary files.
pub fn spool() -> Result<Scratch> {
    Scratch::new("lastword-verify").map_err(|error| failed(&std::env::temp_dir(), &error))
}

fn failed(path: &Path, error: &io::Error) -> CliError {
    CliError::local(
        "SPOOL",
        format!("cannot keep what is fetched in {}", path.display()),
    )
    .why(error.to_string())
    .hint("TMPDIR=DIR, with as much room as the topic has")
}

/// OLD with what was written since, and NEW, as two directories. `path` is OLD's partition directory.
pub fn fetch(
    client: &mut Client,
    topic: &TopicInfo,
    topic_partition: &TopicPartition,
    (old, path): (&Source, &Path),
    max_decompressed_bytes: usize,
    (spool, progress): (&Scratch, &AtomicU64),
) -> Result<(Source, Source)> {
    let old_end = end_of(old, max_decompressed_bytes)?;
    for _ in 0..ATTEMPTS {
        let (behind, fetched) = (spool.path().join("old"), spool.path().join("new"));
        for side in [&behind, &fetched] {
            let _ = fs::remove_dir_all(side);
            let partition = side.join(&old.partition_dir);
            fs::create_dir_all(&partition).map_err(|error| failed(&partition, &error))?;
        }
        let link = |error: io::Error| failed(&behind, &error);
        link_files(path, &behind.join(&old.partition_dir), old_end).map_err(link)?;
        let mut copy = Copy {
            new: Segments::new(fetched.join(&old.partition_dir)),
            tail: Segments::new(behind.join(&old.partition_dir)),
            old_end,
            next_offset: 0,
            aborts: Vec::new(),
            decompressor: Decompressor::new(max_decompressed_bytes),
        };
        let Some(log_start) = copy.run(client, topic, topic_partition, progress)? else {
            continue;
        };
        let open = |side: &Path| {
            let dir = FsDir::open_existing(side).map_err(|error| failed(side, &error))?;
            Ok::<_, CliError>(Arc::new(dir))
        };
        copy.aborts.sort_unstable();
        copy.aborts.dedup();
        let old = Source {
            dir: open(&behind)?,
            ..old.clone()
        };
        let new = Source {
            dir: open(&fetched)?,
            partition_dir: old.partition_dir.clone(),
            log_start_offset: Some(log_start),
            first_dirty_offset: None,
            key_hasher: None,
            fetched_aborts: Some(copy.aborts),
        };
        return Ok((old, new));
    }
    let what = format!("{topic_partition} is being cleaned again and again while it is fetched");
    Err(CliError::local("CHANGING", what).hint(format!("lastword compact pause {}", topic.name)))
}

/// Where OLD ends. Damage is told by the proof.
fn end_of(old: &Source, max_decompressed_bytes: usize) -> Result<i64> {
    let failed = |error: &dyn std::fmt::Display| {
        CliError::local("DATA", format!("cannot read {}", old.partition_dir)).why(error.to_string())
    };
    let files = PartitionFiles::list(&*old.dir, &old.partition_dir).map_err(|it| failed(&it))?;
    let Some(last) = files.segments.last().copied() else {
        return Ok(0);
    };
    let segments = vec![last];
    let dir = old.dir.clone();
    let mut reader =
        PartitionReader::new(dir, &old.partition_dir, segments, max_decompressed_bytes);
    let mut end = last.base_offset;
    loop {
        match reader.next_batch() {
            Ok(Some(place)) => end = end.max(place.header.next_offset()),
            Ok(None) | Err(ReadError::Damage(_)) => return Ok(end),
            Err(ReadError::Storage(error)) => return Err(failed(&error)),
        }
    }
}

/// OLD's files under another directory. The last segment gives way to what comes behind when it is empty.
fn link_files(from: &Path, to: &Path, old_end: i64) -> io::Result<()> {
    let from = from.canonicalize()?;
    for entry in fs::read_dir(&from)? {
        let name = entry?.file_name();
        let parsed = file_name::parse_partition_file(&name.to_string_lossy());
        let PartitionFile::Segment {
            base_offset, file, ..
        } = parsed
        else {
            continue;
        };
        let is_replaced = base_offset == old_end && file == SegmentFile::Log;
        let is_read = matches!(
            file,
            SegmentFile::Log | SegmentFile::TransactionIndex | SegmentFile::ProducerSnapshot
        );
        if is_read && !is_replaced {
            symlink(from.join(&name), to.join(&name))?;
        }
    }
    Ok(())
}

/// Batches in files, by the names of segments.
struct Segments {
    path: PathBuf,
    file: Option<(i64, u64, BufWriter<File>)>,
}

impl Segments {
    fn new(path: PathBuf) -> Segments {
        Segments { path, file: None }
    }

    fn open(&mut self, base_offset: i64) -> io::Result<()> {
        self.close()?;
        let name = file_name::segment_file(base_offset, SegmentFile::Log, LIVE);
        let file = File::create(self.path.join(name))?;
        self.file = Some((base_offset, 0, BufWriter::new(file)));
        Ok(())
    }

    fn push(&mut self, header: &BatchHeader, bytes: &[u8], first_base: i64) -> io::Result<()> {
        let has_room = self.file.as_ref().is_some_and(|(base, size, _)| {
            *size < SEGMENT_BYTES && header.last_offset() - base <= i64::from(i32::MAX)
        });
        if !has_room {
            let is_first = self.file.is_none();
            self.open(if is_first {
                first_base
            } else {
                header.base_offset
            })?;
        }
        if let Some((_, size, file)) = &mut self.file {
            file.write_all(bytes)?;
            *size += bytes.len() as u64;
        }
        Ok(())
    }

    fn close(&mut self) -> io::Result<()> {
        self.file
            .take()
            .map_or(Ok(()), |(_, _, mut file)| file.flush())
    }
}

struct Copy {
    new: Segments,
    /// What lies at and behind OLD's end.
    tail: Segments,
    old_end: i64,
    next_offset: i64,
    aborts: Vec<(i64, i64)>,
    decompressor: Decompressor,
}

impl Copy {
    /// Fetches up to where the log ends now. The log start; none when the log was cleaned meanwhile.
    fn run(
        &mut self,
        client: &mut Client,
        topic: &TopicInfo,
        topic_partition: &TopicPartition,
        progress: &AtomicU64,
    ) -> Result<Option<i64>> {
        let index = topic_partition.partition;
        let mut offset = |timestamp, read_committed| {
            let found = list_offsets(client, topic, &[index], timestamp, read_committed)?;
            found.get(&index).copied().ok_or_else(|| {
                CliError::local(
                    "UNKNOWN_PARTITION",
                    format!("{topic_partition} is not there"),
                )
            })
        };
        let (start, stable) = (offset(EARLIEST, false)?, offset(LATEST, true)?);
        let end = offset(LATEST, false)?;
        let broken = |path: &Path, error: &io::Error| failed(path, error);
        self.next_offset = start;
        for (read_committed, limit) in [(true, stable), (false, end)] {
            while self.next_offset < limit {
                let data = fetch_once(client, topic, index, self.next_offset, read_committed)?;
                let aborted = data.aborted_transactions.iter().flatten();
                self.aborts
                    .extend(aborted.map(|it| (it.producer_id, it.first_offset)));
                let bytes = data.records.unwrap_or_default();
                progress.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                let before = self.next_offset;
                if !self.take(&bytes, start, limit, topic_partition)? {
                    return Ok(None);
                }
                // The rest of the log holds no batch.
                if self.next_offset == before {
                    self.next_offset = limit;
                }
            }
        }
        for segments in [&mut self.new, &mut self.tail] {
            segments
                .close()
                .map_err(|error| broken(&segments.path, &error))?;
        }
        // An empty segment, so that no batch counts as active.
        let end = self.next_offset.max(end);
        let closing = self.new.open(end).and_then(|()| self.new.close());
        closing.map_err(|error| broken(&self.new.path, &error))?;
        Ok(Some(start))
    }

    /// Keeps the batches of an answer; false when one overlaps what was there.
    fn take(
        &mut self,
        bytes: &[u8],
        start: i64,
        limit: i64,
        topic_partition: &TopicPartition,
    ) -> Result<bool> {
        let damaged = |error: &RecordError| {
            let what = format!("{topic_partition} sent records that cannot be read");
            CliError::local("CORRUPT_MESSAGE", what).why(error.to_string())
        };
        for batch in RecordBatches::new(bytes) {
            let batch = match batch {
                Ok(batch) => batch,
                // The answer was cut at the size that was asked for.
                Err(RecordError::Truncated { .. }) => return Ok(true),
                Err(error) => return Err(damaged(&error)),
            };
            let header = *batch.header();
            if header.base_offset >= limit {
                return Ok(true);
            }
            if header.last_offset() < self.next_offset {
                continue;
            }
            if header.base_offset < self.next_offset && self.next_offset > start {
                return Ok(false);
            }
            let kept = self.new.push(&header, batch.bytes(), start);
            kept.map_err(|error| failed(&self.new.path, &error))?;
            if header.last_offset() >= self.old_end {
                let behind = self.behind(&batch).map_err(|error| damaged(&error))?;
                let kept = self.tail.push(&header, &behind, self.old_end);
                kept.map_err(|error| failed(&self.tail.path, &error))?;
            }
            self.next_offset = header.next_offset();
        }
        Ok(true)
    }

    /// The records of a batch at and behind OLD's end: a cleaning may have put them together with others.
    fn behind(&mut self, batch: &RecordBatch<'_>) -> std::result::Result<Vec<u8>, RecordError> {
        let header = batch.header();
        if header.base_offset >= self.old_end {
            return Ok(batch.bytes().to_vec());
        }
        let mut builder = BatchBuilder::rebuild(header, header.delete_horizon_ms());
        for record in batch.records(&mut self.decompressor)? {
            let record = record?;
            if record.offset >= self.old_end {
                builder.push_record(&record);
            }
        }
        let mut bytes = Vec::new();
        builder.finish(&mut bytes)?;
        Ok(bytes)
    }
}

fn fetch_once(
    client: &mut Client,
    topic: &TopicInfo,
    index: i32,
    offset: i64,
    read_committed: bool,
) -> Result<PartitionData> {
    let name = format!("{}-{index}", topic.name);
    let gone = || CliError::local("UNKNOWN_PARTITION", format!("{name} is not there"));
    let known = topic.partitions.iter().find(|known| known.index == index);
    let leader = known.ok_or_else(gone)?.leader;
    let request = message!(FetchRequest {
        replica_id: -1,
        max_wait_ms: 500,
        min_bytes: 1,
        max_bytes: FETCH_BYTES,
        isolation_level: i8::from(read_committed),
        session_epoch: -1,
        topics: vec![message!(FetchTopic {
            topic: StrBytes::from(topic.name.as_str()),
            partitions: vec![message!(FetchPartition {
                partition: index,
                current_leader_epoch: -1,
                fetch_offset: offset,
                last_fetched_epoch: -1,
                log_start_offset: -1,
                partition_max_bytes: FETCH_BYTES,
            })],
        })],
    });
    let wait = Duration::from_millis(500);
    let response = client.call_node(leader, &request, HIGHEST_FETCH_VERSION, wait)?;
    if response.error_code != 0 {
        return Err(CliError::refused(
            "the fetch was refused",
            response.error_code,
            None,
        ));
    }
    let partitions = response.responses.into_iter().flat_map(|it| it.partitions);
    let data = partitions.into_iter().next().ok_or_else(gone)?;
    match data.error_code {
        0 => Ok(data),
        code => {
            let what = format!("cannot read {name} at offset {offset}");
            Err(CliError::refused(what, code, None))
        }
    }
}
