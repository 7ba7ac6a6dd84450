//! DeleteRecords (key 21), versions 0-2.
//!
//! Behaviour:
//! - Moves the log start offset; -1 stands for the high watermark. Segments wholly below it go.
//! - Beyond the high watermark: OFFSET_OUT_OF_RANGE (1). On a topic without the delete policy:
//!   POLICY_VIOLATION (44). On a topic of the broker: INVALID_TOPIC_EXCEPTION (17).
//!
//! Versions: 2 flexible.

use std::sync::Arc;

use lastword_protocol::messages::delete_records_response::{
    DeleteRecordsPartitionResult, DeleteRecordsTopicResult,
};
use lastword_protocol::messages::{DeleteRecordsRequest, DeleteRecordsResponse};
use lastword_protocol::{ErrorCode, message};

use super::{Reply, RequestContext};
use crate::broker::Broker;
use crate::error_map::ApiError;
use crate::metadata::{is_internal, refuse_view};

const NO_OFFSET: i64 = -1;

pub(crate) async fn handle(
    broker: &Arc<Broker>,
    context: &RequestContext,
    request: DeleteRecordsRequest,
) -> Reply {
    let deleting = broker.clone();
    context
        .reply_blocking(move || delete_all(&deleting, request))
        .await
}

fn delete_all(broker: &Broker, request: DeleteRecordsRequest) -> DeleteRecordsResponse {
    let topics = request
        .topics
        .into_iter()
        .map(|topic| {
            let partitions = topic
                .partitions
                .iter()
                .map(|asked| {
                    let deleted = delete(broker, &topic.name, asked.partition_index, asked.offset);
                    let (low_watermark, code) = match deleted {
                        Ok(log_start_offset) => (log_start_offset, ErrorCode::None),
                        Err(error) => (NO_OFFSET, error.code),
                    };
                    message!(DeleteRecordsPartitionResult {
                        partition_index: asked.partition_index,
                        low_watermark,
                        error_code: code.code(),
                    })
                })
                .collect();
            message!(DeleteRecordsTopicResult {
                name: topic.name,
                partitions
            })
        })
        .collect();
    message!(DeleteRecordsResponse { topics })
}

fn delete(broker: &Broker, topic: &str, partition: i32, offset: i64) -> Result<i64, ApiError> {
    refuse_view(topic)?;
    if is_internal(topic) {
        return Err(ErrorCode::InvalidTopicException.into());
    }
    let partition = broker.partitions.find(topic, partition)?;
    if !partition.log().config().cleanup_policy.delete {
        return Err(ErrorCode::PolicyViolation.into());
    }
    if offset < NO_OFFSET {
        return Err(ErrorCode::OffsetOutOfRange.into());
    }
    Ok(partition.delete_records_before(offset)?)
}
