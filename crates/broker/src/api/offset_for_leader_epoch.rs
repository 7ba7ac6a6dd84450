//! OffsetForLeaderEpoch (key 23), versions 2-4.
//!
//! Behaviour: for a leader epoch, the largest epoch at or below it that has records, and where it
//! ends. There is one epoch, so a consumer learns that nothing was truncated. An epoch above it is
//! answered with -1 and -1, as Kafka answers an epoch it does not know.
//!
//! Versions: 3 replica id. 4 flexible.

use std::sync::Arc;

use lastword_protocol::messages::offset_for_leader_epoch_request::OffsetForLeaderPartition;
use lastword_protocol::messages::offset_for_leader_epoch_response::{
    EpochEndOffset, OffsetForLeaderTopicResult,
};
use lastword_protocol::messages::{OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse};
use lastword_protocol::{ErrorCode, message};

use super::{Reply, RequestContext};
use crate::broker::Broker;
use crate::error_map::ApiError;
use crate::partition::LEADER_EPOCH;

/// The client does not know the epoch. A lower one is older than any, as in Kafka.
const NO_EPOCH: i32 = -1;

pub(crate) async fn handle(
    broker: &Arc<Broker>,
    context: &RequestContext,
    request: OffsetForLeaderEpochRequest,
) -> Reply {
    let topics = request
        .topics
        .into_iter()
        .map(|topic| {
            let partitions = topic
                .partitions
                .iter()
                .map(|asked| match end_offset(broker, &topic.topic, asked) {
                    Ok((leader_epoch, end_offset)) => message!(EpochEndOffset {
                        partition: asked.partition,
                        leader_epoch,
                        end_offset,
                    }),
                    Err(error) => message!(EpochEndOffset {
                        partition: asked.partition,
                        error_code: error.code.code(),
                    }),
                })
                .collect();
            message!(OffsetForLeaderTopicResult {
                topic: topic.topic,
                partitions
            })
        })
        .collect();
    context.reply(&message!(OffsetForLeaderEpochResponse { topics }))
}

fn end_offset(
    broker: &Broker,
    topic: &str,
    asked: &OffsetForLeaderPartition,
) -> Result<(i32, i64), ApiError> {
    let (partition, _) = broker.partitions.find_readable(topic, asked.partition)?;
    if asked.current_leader_epoch < NO_EPOCH {
        return Err(ErrorCode::FencedLeaderEpoch.into());
    }
    partition.check_leader_epoch(asked.current_leader_epoch)?;
    if asked.leader_epoch == LEADER_EPOCH {
        // The engine knows an epoch once it has records; a consumer asks before that, too.
        return Ok((LEADER_EPOCH, partition.offsets().high_watermark));
    }
    if asked.leader_epoch > LEADER_EPOCH || asked.leader_epoch < 0 {
        return Ok((-1, -1));
    }
    Ok(partition.end_offset_for_epoch(asked.leader_epoch))
}
