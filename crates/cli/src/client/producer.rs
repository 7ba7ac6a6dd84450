//! Produce: records into batches, batches to the leaders, offsets back.
//!
//! One request is in flight at a time, so records of a partition keep their order. Nothing is sent twice: a batch that
//! got no answer may or may not be in the log, and the error says so.

use std::collections::BTreeMap;
use std::time::Duration;

use lastword_protocol::messages::produce_request::{
    PartitionProduceData, ProduceRequest, TopicProduceData,
};
use lastword_protocol::messages::produce_response::PartitionProduceResponse;
use lastword_protocol::{Bytes, ErrorCode, StrBytes, message};
use lastword_record::{BatchBuilder, BatchSpec, CompressionType, partition_of_key};

use super::{Client, TopicInfo};
use crate::error::{CliError, Exit, Result};
use crate::format::json::InputRecord;
use crate::time::now_ms;

/// The last version with topic names; later ones carry ids.
const HIGHEST_PRODUCE_VERSION: i16 = 12;
/// Below the default `max.message.bytes`, with room for what a batch adds.
const MAX_BATCH_BYTES: usize = 900_000;

pub struct Producer<'a> {
    topic: &'a TopicInfo,
    acks: i16,
    compression: CompressionType,
    batches: BTreeMap<i32, Vec<InputRecord>>,
    batch_bytes: BTreeMap<i32, usize>,
    /// Where records without a key go until the next flush.
    sticky: usize,
}

/// One batch in the log.
pub struct Sent {
    pub partition: i32,
    /// -1 when the broker does not tell.
    pub base_offset: i64,
    pub records: Vec<InputRecord>,
}

impl<'a> Producer<'a> {
    pub fn new(topic: &'a TopicInfo, acks: i16, compression: CompressionType) -> Producer<'a> {
        Producer {
            topic,
            acks,
            compression,
            batches: BTreeMap::new(),
            batch_bytes: BTreeMap::new(),
            sticky: now_ms().unsigned_abs() as usize,
        }
    }

    /// Puts a record into the batch of its partition. True when that batch is full and should be flushed.
    pub fn add(&mut self, record: InputRecord) -> Result<bool> {
        let count = self.topic.partitions.len();
        let partition = match (record.partition, &record.key) {
            (Some(partition), _) => partition,
            (None, Some(key)) => partition_of_key(key, count) as i32,
            (None, None) => (self.sticky % count.max(1)) as i32,
        };
        if !self
            .topic
            .partitions
            .iter()
            .any(|known| known.index == partition)
        {
            return Err(CliError::usage(format!(
                "{} has no partition {partition}",
                self.topic.name
            ))
            .hint(format!("0 to {}, or leave out -p", count.saturating_sub(1))));
        }
        let bytes = self.batch_bytes.entry(partition).or_default();
        *bytes += size_bytes(&record);
        let is_full = *bytes >= MAX_BATCH_BYTES;
        self.batches.entry(partition).or_default().push(record);
        Ok(is_full)
    }

    /// Sends everything that is waiting.
    pub fn flush(&mut self, client: &mut Client) -> Result<Vec<Sent>> {
        let batches = std::mem::take(&mut self.batches);
        self.batch_bytes.clear();
        self.sticky = self.sticky.wrapping_add(1);
        let mut sent = Vec::new();
        for (partition, records) in batches {
            let batch = self.encode(&records)?;
            let answer = self.send(client, partition, batch)?;
            sent.push(Sent {
                partition,
                base_offset: answer.base_offset,
                records,
            });
        }
        Ok(sent)
    }

    fn encode(&self, records: &[InputRecord]) -> Result<Bytes> {
        let mut builder = BatchBuilder::new(BatchSpec {
            compression: self.compression,
            ..BatchSpec::default()
        });
        let now = now_ms();
        for (offset, record) in records.iter().enumerate() {
            let headers: Vec<(&[u8], Option<&[u8]>)> = record
                .headers
                .iter()
                .map(|(key, value)| (key.as_slice(), value.as_deref()))
                .collect();
            builder.push(
                offset as i64,
                record.timestamp_ms.unwrap_or(now),
                record.key.as_deref(),
                record.value.as_deref(),
                &headers,
            );
        }
        let mut bytes = Vec::new();
        builder.finish(&mut bytes).map_err(|error| {
            CliError::local("ENCODE", "these records make no batch").why(error.to_string())
        })?;
        Ok(Bytes::from(bytes))
    }

    fn send(
        &self,
        client: &mut Client,
        partition: i32,
        batch: Bytes,
    ) -> Result<PartitionProduceResponse> {
        let leader = self
            .topic
            .partitions
            .iter()
            .find(|known| known.index == partition);
        let leader = leader.map_or(-1, |known| known.leader);
        let partition_data = vec![message!(PartitionProduceData {
            index: partition,
            records: Some(batch),
        })];
        let topic_data = vec![message!(TopicProduceData {
            name: StrBytes::from(self.topic.name.as_str()),
            partition_data,
        })];
        let request = message!(ProduceRequest {
            acks: self.acks,
            timeout_ms: i32::try_from(client.timeout().as_millis()).unwrap_or(i32::MAX),
            topic_data,
        });
        let response = client
            .call_node(leader, &request, HIGHEST_PRODUCE_VERSION, Duration::ZERO)
            .map_err(|error| match error.exit {
                Exit::Unreachable => {
                    error.hint("the last batch may be in the log: look before sending it again")
                }
                _ => error,
            })?;
        let answer = response
            .responses
            .into_iter()
            .flat_map(|topic| topic.partition_responses)
            .next()
            .ok_or_else(|| {
                CliError::new(Exit::Refused, "PROTOCOL", "an empty answer to Produce")
            })?;
        if answer.error_code == 0 {
            return Ok(answer);
        }
        Err(self.refused(partition, &answer))
    }

    fn refused(&self, partition: i32, answer: &PartitionProduceResponse) -> CliError {
        let topic = &self.topic.name;
        let of_record = answer
            .record_errors
            .first()
            .and_then(|error| error.batch_index_error_message.as_deref());
        let message = of_record.or(answer.error_message.as_deref());
        let error = CliError::refused(
            format!("{topic}-{partition} takes no such records"),
            answer.error_code,
            message,
        );
        match ErrorCode::from_code(answer.error_code) {
            Some(ErrorCode::InvalidRecord) => error.hint(format!(
                "if {topic} is compacted (cleanup.policy=compact), every record needs a key: -k KEY, or -K DELIM"
            )),
            Some(ErrorCode::MessageTooLarge | ErrorCode::RecordListTooLarge) => {
                error.hint(format!("lastword topic alter {topic} -s max.message.bytes=BYTES"))
            }
            Some(ErrorCode::InvalidTimestamp) => {
                error.hint(format!("lastword topic alter {topic} -s message.timestamp.after.max.ms=MS (or ..before..)"))
            }
            Some(ErrorCode::NotLeaderOrFollower | ErrorCode::LeaderNotAvailable) => error.hint("try again"),
            _ => error,
        }
    }
}

fn size_bytes(record: &InputRecord) -> usize {
    let length = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len);
    let headers: usize = record
        .headers
        .iter()
        .map(|(key, value)| key.len() + length(value) + 10)
        .sum();
    length(&record.key) + length(&record.value) + headers + 30
}
