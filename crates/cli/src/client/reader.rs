//! Reading records from partitions, without being a member of a group.
//!
//! A position moves to the end of each batch, not of the last record: in a compacted log the offsets between may have
//! gone, and a range that ends in such a gap must still end. Control batches are read and, unless asked for, not shown.
//!
//! With `read_committed`, records of aborted transactions are left out here, by the list that comes with the data.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use lastword_protocol::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use lastword_protocol::messages::fetch_response::PartitionData;
use lastword_protocol::{ErrorCode, StrBytes, message};
use lastword_record::control::ControlRecordType;
use lastword_record::{BatchHeader, Decompressor, RecordBatches, RecordError};

use super::groups::Offsets;
use super::offsets::{EARLIEST, LATEST, list_offsets};
use super::{Client, TopicInfo};
use crate::error::{CliError, Exit, Result};
use crate::format::RecordView;
use crate::offset::{End, OffsetRange, Start};
use crate::output::say;

/// The last version with topic names; later ones carry ids.
const HIGHEST_FETCH_VERSION: i16 = 12;
const MAX_FETCH_BYTES: i32 = 50 << 20;
const MAX_PARTITION_BYTES: i32 = 1 << 20;
/// No batch that a broker accepts by default decompresses to more; a hostile one must not take the machine.
const MAX_DECOMPRESSED_BYTES: usize = 256 << 20;

/// What is read and how.
pub struct ReadOptions {
    pub read_committed: bool,
    pub with_control_records: bool,
}

struct Position {
    topic: String,
    partition: i32,
    leader: i32,
    next_offset: i64,
    /// Records below are not shown: the start may lie ahead of the log.
    first_wanted: i64,
    /// Exclusive; `None` reads on for ever.
    end_offset: Option<i64>,
    /// Transactions that end in an abort, by first offset, not yet reached.
    aborted: VecDeque<(i64, i64)>,
    /// Producers inside such a transaction at `next_offset`.
    aborted_now: BTreeSet<i64>,
}

impl Position {
    fn is_done(&self) -> bool {
        self.end_offset.is_some_and(|end| self.next_offset >= end)
    }
}

/// A set of partitions being read.
pub struct Reader {
    positions: Vec<Position>,
    options: ReadOptions,
    decompressor: Decompressor,
    written: u64,
    fetched_bytes: u64,
}

impl Reader {
    pub fn new(options: ReadOptions) -> Reader {
        Reader {
            positions: Vec::new(),
            options,
            decompressor: Decompressor::new(MAX_DECOMPRESSED_BYTES),
            written: 0,
            fetched_bytes: 0,
        }
    }

    /// Adds partitions of a topic, with their range turned into offsets.
    pub fn add(
        &mut self,
        client: &mut Client,
        topic: &TopicInfo,
        partitions: &[i32],
        range: OffsetRange,
    ) -> Result<()> {
        self.add_after(client, topic, partitions, range, &Offsets::new())
    }

    /// The same; a start at what is stored is where these offsets are, and at the log's start without one.
    pub fn add_after(
        &mut self,
        client: &mut Client,
        topic: &TopicInfo,
        partitions: &[i32],
        range: OffsetRange,
        stored: &Offsets,
    ) -> Result<()> {
        let committed = self.options.read_committed;
        let earliest = list_offsets(client, topic, partitions, EARLIEST, committed)?;
        let latest = list_offsets(client, topic, partitions, LATEST, committed)?;
        let mut by_time =
            |timestamp_ms| list_offsets(client, topic, partitions, timestamp_ms, committed);
        let start_times = match range.start {
            Start::TimestampMs(timestamp_ms) => by_time(timestamp_ms)?,
            _ => BTreeMap::new(),
        };
        let end_times = match range.end {
            End::TimestampMs(timestamp_ms) => by_time(timestamp_ms)?,
            _ => BTreeMap::new(),
        };
        for partition in topic
            .partitions
            .iter()
            .filter(|known| partitions.contains(&known.index))
        {
            let at = |offsets: &BTreeMap<i32, i64>| {
                offsets
                    .get(&partition.index)
                    .copied()
                    .filter(|offset| *offset >= 0)
            };
            let first = at(&earliest).unwrap_or(0);
            let last = at(&latest).unwrap_or(first);
            let start = match range.start {
                Start::Earliest => first,
                Start::Stored => {
                    let key = (topic.name.clone(), partition.index);
                    stored.get(&key).copied().unwrap_or(first)
                }
                Start::Latest => last,
                Start::Exact(offset) => offset,
                Start::AfterEarliest(count) => first.saturating_add(count),
                Start::BeforeLatest(count) => last.saturating_sub(count),
                // No record is that new: whatever comes will be.
                Start::TimestampMs(_) => at(&start_times).unwrap_or(last),
            };
            let end = match range.end {
                End::Never => None,
                End::Latest => Some(last),
                End::Exact(offset) => Some(offset),
                End::Count(count) => Some(start.saturating_add(count)),
                End::TimestampMs(_) => Some(at(&end_times).unwrap_or(last)),
            };
            self.positions.push(Position {
                topic: topic.name.clone(),
                partition: partition.index,
                leader: partition.leader,
                // What is gone begins with what is left; what is not there yet is waited for at the end.
                next_offset: start.clamp(first, last.max(first)),
                first_wanted: start,
                end_offset: end,
                aborted: VecDeque::new(),
                aborted_now: BTreeSet::new(),
            });
        }
        Ok(())
    }

    /// Bytes of record batches that came so far.
    pub fn fetched_bytes(&self) -> u64 {
        self.fetched_bytes
    }

    /// What is to be read next.
    pub fn next_offsets(&self) -> Offsets {
        let positions = self.positions.iter();
        positions
            .map(|it| ((it.topic.clone(), it.partition), it.next_offset))
            .collect()
    }

    /// True when every partition has come to its end.
    pub fn is_done(&self) -> bool {
        self.positions.iter().all(Position::is_done)
    }

    /// One fetch from every leader. Calls `sink` for each record until it answers false; then this answers false too.
    pub fn poll(
        &mut self,
        client: &mut Client,
        wait: Duration,
        sink: &mut dyn FnMut(&RecordView<'_>) -> Result<bool>,
    ) -> Result<bool> {
        let mut leaders: Vec<i32> = self.open().map(|position| position.leader).collect();
        leaders.sort_unstable();
        leaders.dedup();
        // Several leaders are asked in turn, so none may hold the others up for long.
        let wait = if leaders.len() > 1 {
            wait.min(Duration::from_millis(50))
        } else {
            wait
        };
        for leader in leaders {
            let request = self.request(leader, wait);
            let response = client.call_node(leader, &request, HIGHEST_FETCH_VERSION, wait)?;
            if response.error_code != 0 {
                return Err(CliError::refused(
                    "the fetch was refused",
                    response.error_code,
                    None,
                ));
            }
            for topic in response.responses {
                for data in topic.partitions {
                    let place = self.positions.iter().position(|position| {
                        position.topic == *topic.topic && position.partition == data.partition_index
                    });
                    if let Some(place) = place
                        && !self.take(client, place, &data, sink)?
                    {
                        return Ok(false);
                    }
                }
            }
        }
        Ok(true)
    }

    fn open(&self) -> impl Iterator<Item = &Position> {
        self.positions.iter().filter(|position| !position.is_done())
    }

    fn request(&self, leader: i32, wait: Duration) -> FetchRequest {
        let mut topics: Vec<FetchTopic> = Vec::new();
        for position in self.open().filter(|position| position.leader == leader) {
            let partition = message!(FetchPartition {
                partition: position.partition,
                current_leader_epoch: -1,
                fetch_offset: position.next_offset,
                last_fetched_epoch: -1,
                log_start_offset: -1,
                partition_max_bytes: MAX_PARTITION_BYTES,
            });
            match topics.last_mut() {
                Some(topic) if *topic.topic == position.topic => topic.partitions.push(partition),
                _ => topics.push(message!(FetchTopic {
                    topic: StrBytes::from(position.topic.as_str()),
                    partitions: vec![partition],
                })),
            }
        }
        message!(FetchRequest {
            replica_id: -1,
            max_wait_ms: i32::try_from(wait.as_millis()).unwrap_or(i32::MAX),
            min_bytes: 1,
            max_bytes: MAX_FETCH_BYTES,
            isolation_level: i8::from(self.options.read_committed),
            session_epoch: -1,
            topics,
        })
    }

    fn take(
        &mut self,
        client: &mut Client,
        place: usize,
        data: &PartitionData,
        sink: &mut dyn FnMut(&RecordView<'_>) -> Result<bool>,
    ) -> Result<bool> {
        let Some(position) = self.positions.get_mut(place) else {
            return Ok(true);
        };
        match ErrorCode::from_code(data.error_code) {
            Some(ErrorCode::None) => {}
            Some(ErrorCode::OffsetOutOfRange) => return restart(client, position).map(|()| true),
            Some(
                ErrorCode::NotLeaderOrFollower
                | ErrorCode::LeaderNotAvailable
                | ErrorCode::UnknownLeaderEpoch,
            ) => {
                let topic = client.topic(&position.topic, false)?;
                let moved = topic
                    .partitions
                    .iter()
                    .find(|known| known.index == position.partition);
                position.leader = moved.map_or(position.leader, |known| known.leader);
                return Ok(true);
            }
            _ => {
                let what = format!("cannot read {}-{}", position.topic, position.partition);
                return Err(CliError::refused(what, data.error_code, None));
            }
        }
        self.fetched_bytes += data
            .records
            .as_ref()
            .map_or(0, |records| records.len() as u64);
        let mut aborted: Vec<(i64, i64)> = data
            .aborted_transactions
            .iter()
            .flatten()
            .map(|transaction| (transaction.first_offset, transaction.producer_id))
            .collect();
        aborted.sort_unstable();
        position.aborted = aborted.into();
        let mut pass = Pass {
            position,
            options: &self.options,
            decompressor: &mut self.decompressor,
            written: &mut self.written,
            data,
        };
        pass.run(sink)
    }
}

/// The offset has gone while we were reading (retention, DeleteRecords): go on with the first that is left.
fn restart(client: &mut Client, position: &mut Position) -> Result<()> {
    let topic = client.topic(&position.topic, false)?;
    let earliest = list_offsets(client, &topic, &[position.partition], EARLIEST, false)?;
    let first = earliest.get(&position.partition).copied().unwrap_or(0);
    let name = format!("{}-{}", position.topic, position.partition);
    if first <= position.next_offset {
        let what = format!("cannot read {name} at offset {}", position.next_offset);
        return Err(
            CliError::refused(what, ErrorCode::OffsetOutOfRange as i16, None)
                .hint("-o start, or -o end"),
        );
    }
    say(&format!(
        "{name}: offset {} is gone, going on at {first}",
        position.next_offset
    ));
    position.next_offset = first;
    Ok(())
}

/// One answer for one partition.
struct Pass<'a> {
    position: &'a mut Position,
    options: &'a ReadOptions,
    decompressor: &'a mut Decompressor,
    written: &'a mut u64,
    data: &'a PartitionData,
}

impl Pass<'_> {
    fn run(&mut self, sink: &mut dyn FnMut(&RecordView<'_>) -> Result<bool>) -> Result<bool> {
        let bytes = self.data.records.clone().unwrap_or_default();
        let name = format!("{}-{}", self.position.topic, self.position.partition);
        let damaged = |error: &RecordError| {
            CliError::new(
                Exit::Refused,
                "CORRUPT_MESSAGE",
                format!("{name} sent records that cannot be read"),
            )
            .why(error.to_string())
        };
        for batch in RecordBatches::new(&bytes) {
            let batch = match batch {
                Ok(batch) => batch,
                // The answer was cut at the size that was asked for.
                Err(RecordError::Truncated { .. }) => return Ok(true),
                Err(error) => return Err(damaged(&error)),
            };
            batch.verify_crc().map_err(|error| damaged(&error))?;
            let header = *batch.header();
            if self.is_wanted(&header) {
                for record in batch
                    .records(self.decompressor)
                    .map_err(|error| damaged(&error))?
                {
                    let record = record.map_err(|error| damaged(&error))?;
                    if header.is_control() {
                        let kind = record.key.map(ControlRecordType::parse);
                        if matches!(
                            kind,
                            Some(Ok(ControlRecordType::Abort | ControlRecordType::Commit))
                        ) {
                            self.position.aborted_now.remove(&header.producer_id);
                        }
                        if !self.options.with_control_records {
                            continue;
                        }
                    }
                    if record.offset < self.position.next_offset.max(self.position.first_wanted) {
                        continue;
                    }
                    if self
                        .position
                        .end_offset
                        .is_some_and(|end| record.offset >= end)
                    {
                        self.position.next_offset = record.offset;
                        return Ok(true);
                    }
                    *self.written += 1;
                    let view = RecordView {
                        topic: &self.position.topic,
                        partition: self.position.partition,
                        offset: record.offset,
                        timestamp_ms: record.timestamp,
                        timestamp_type: header.timestamp_type(),
                        key: record.key,
                        value: record.value,
                        headers: record.headers.iter().collect(),
                        leader_epoch: header.leader_epoch,
                        producer_id: header.producer_id,
                        producer_epoch: header.producer_epoch,
                        compression: header.compression().unwrap_or_default(),
                        is_transactional: header.is_transactional(),
                        is_control: header.is_control(),
                        log_start_offset: self.data.log_start_offset,
                        last_stable_offset: self.data.last_stable_offset,
                        high_watermark: self.data.high_watermark,
                        index: *self.written,
                    };
                    if !sink(&view)? {
                        self.position.next_offset = record.offset.saturating_add(1);
                        return Ok(false);
                    }
                }
            }
            self.position.next_offset = header.next_offset().max(self.position.next_offset);
        }
        Ok(true)
    }

    /// Whether the records of a batch must be looked at; keeps track of aborted transactions.
    fn is_wanted(&mut self, header: &BatchHeader) -> bool {
        if !self.options.read_committed {
            return !header.is_control() || self.options.with_control_records;
        }
        while let Some((first_offset, producer_id)) = self.position.aborted.front().copied()
            && first_offset <= header.last_offset()
        {
            self.position.aborted_now.insert(producer_id);
            self.position.aborted.pop_front();
        }
        header.is_control()
            || !header.is_transactional()
            || !self.position.aborted_now.contains(&header.producer_id)
    }
}
