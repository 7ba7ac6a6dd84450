//! ListOffsets (key 2), versions 1-11.
//!
//! Behaviour, by the timestamp asked for:
//! - -1 latest: the high watermark, or the last stable offset for read_committed.
//! - -2 earliest: the log start offset; -4 earliest local is the same here.
//! - -3 the record with the highest timestamp. -5 latest tiered, -6 earliest pending upload: none.
//! - 0 and above: the first record with that timestamp or a later one, if it is visible.
//! - Nothing found: offset -1 and timestamp -1, no error.
//!
//! Versions: 2 isolation level. 4 leader epochs. 6 flexible. 7 max timestamp (KIP-734). 8 and 9
//! tiered storage. 10 timeout. 11 earliest pending upload (KIP-1023).

use std::sync::Arc;

use lastword_protocol::messages::list_offsets_request::ListOffsetsPartition;
use lastword_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use lastword_protocol::messages::{ListOffsetsRequest, ListOffsetsResponse};
use lastword_protocol::{ErrorCode, message};
use lastword_storage::TimestampedOffset;

use super::{Reply, RequestContext};
use crate::broker::Broker;
use crate::error_map::ApiError;
use crate::partition::{LEADER_EPOCH, Partition};

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
const EARLIEST_LOCAL: i64 = -4;
const LATEST_TIERED: i64 = -5;
const EARLIEST_PENDING_UPLOAD: i64 = -6;
const NONE: i64 = -1;
const READ_COMMITTED: i8 = 1;

pub(crate) async fn handle(
    broker: &Arc<Broker>,
    context: &RequestContext,
    request: ListOffsetsRequest,
) -> Reply {
    let needs_disk = request
        .topics
        .iter()
        .flat_map(|topic| &topic.partitions)
        .any(|asked| asked.timestamp >= 0 || asked.timestamp == MAX_TIMESTAMP);
    let version = context.api_version;
    if !needs_disk {
        return context.reply(&list_all(broker, request, version));
    }
    let listing = broker.clone();
    context
        .reply_blocking(move || list_all(&listing, request, version))
        .await
}

fn list_all(broker: &Broker, request: ListOffsetsRequest, version: i16) -> ListOffsetsResponse {
    let committed = request.isolation_level == READ_COMMITTED;
    let topics = request
        .topics
        .into_iter()
        .map(|topic| {
            let partitions = topic
                .partitions
                .iter()
                .map(|asked| {
                    let found = list(broker, &topic.name, asked, committed, version);
                    partition_response(asked.partition_index, found, version)
                })
                .collect();
            message!(ListOffsetsTopicResponse {
                name: topic.name,
                partitions
            })
        })
        .collect();
    message!(ListOffsetsResponse { topics })
}

fn partition_response(
    partition_index: i32,
    found: Result<Option<TimestampedOffset>, ApiError>,
    version: i16,
) -> ListOffsetsPartitionResponse {
    let mut response = message!(ListOffsetsPartitionResponse {
        partition_index,
        timestamp: NONE,
        offset: NONE,
    });
    match found {
        Ok(None) => {}
        Ok(Some(found)) => {
            response.timestamp = found.timestamp;
            response.offset = found.offset;
            if version >= 4 {
                response.leader_epoch = found.leader_epoch;
            }
        }
        Err(error) => response.error_code = error.code.code(),
    }
    response
}

fn list(
    broker: &Broker,
    topic: &str,
    asked: &ListOffsetsPartition,
    committed: bool,
    version: i16,
) -> Result<Option<TimestampedOffset>, ApiError> {
    let (partition, _) = broker
        .partitions
        .find_readable(topic, asked.partition_index)?;
    partition.check_leader_epoch(asked.current_leader_epoch)?;
    let offsets = partition.offsets();
    let end = if committed {
        offsets.last_stable_offset
    } else {
        offsets.high_watermark
    };
    let at = |offset| {
        Ok(Some(TimestampedOffset {
            timestamp: NONE,
            offset,
            leader_epoch: LEADER_EPOCH,
        }))
    };
    match asked.timestamp {
        LATEST => at(end),
        EARLIEST => at(offsets.log_start_offset),
        MAX_TIMESTAMP if version >= 7 => visible(partition.max_timestamp_offset()?, end),
        EARLIEST_LOCAL if version >= 8 => at(offsets.log_start_offset),
        LATEST_TIERED if version >= 9 => Ok(None),
        EARLIEST_PENDING_UPLOAD if version >= 11 => Ok(None),
        timestamp if timestamp >= 0 => by_timestamp(&partition, timestamp, end),
        _ => Err(ErrorCode::UnsupportedVersion.into()),
    }
}

fn by_timestamp(
    partition: &Partition,
    timestamp_ms: i64,
    end: i64,
) -> Result<Option<TimestampedOffset>, ApiError> {
    visible(partition.offset_for_timestamp(timestamp_ms)?, end)
}

/// A record that may not be read yet must not be found either.
fn visible(
    found: Option<TimestampedOffset>,
    end: i64,
) -> Result<Option<TimestampedOffset>, ApiError> {
    Ok(found.filter(|found| found.offset < end))
}
