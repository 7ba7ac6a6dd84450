//! ListOffsets: the ends of partitions, and offsets by time.

use std::collections::BTreeMap;
use std::time::Duration;

use lastword_protocol::messages::list_offsets_request::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic,
};
use lastword_protocol::{StrBytes, message};

use super::{Client, TopicInfo};
use crate::error::{CliError, Result};

pub const EARLIEST: i64 = -2;
pub const LATEST: i64 = -1;

/// The offset at a timestamp (or an end) of some partitions of a topic, by partition; -1 where there is none.
///
/// With `read_committed`, the latest is the last stable offset.
pub fn list_offsets(
    client: &mut Client,
    topic: &TopicInfo,
    partitions: &[i32],
    timestamp_ms: i64,
    read_committed: bool,
) -> Result<BTreeMap<i32, i64>> {
    let mut by_leader: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
    for partition in topic
        .partitions
        .iter()
        .filter(|known| partitions.contains(&known.index))
    {
        by_leader
            .entry(partition.leader)
            .or_default()
            .push(partition.index);
    }
    let mut offsets = BTreeMap::new();
    for (leader, indexes) in by_leader {
        let partitions = indexes
            .iter()
            .map(|&index| {
                message!(ListOffsetsPartition {
                    partition_index: index,
                    current_leader_epoch: -1,
                    timestamp: timestamp_ms,
                })
            })
            .collect();
        let topics = vec![message!(ListOffsetsTopic {
            name: StrBytes::from(topic.name.as_str()),
            partitions,
        })];
        let request = message!(ListOffsetsRequest {
            replica_id: -1,
            isolation_level: i8::from(read_committed),
            topics,
        });
        let response = client.call_node(leader, &request, i16::MAX, Duration::ZERO)?;
        for found in response.topics.iter().flat_map(|topic| &topic.partitions) {
            if found.error_code != 0 {
                let what = format!("no offsets from {}-{}", topic.name, found.partition_index);
                return Err(CliError::refused(what, found.error_code, None));
            }
            offsets.insert(found.partition_index, found.offset);
        }
    }
    Ok(offsets)
}
