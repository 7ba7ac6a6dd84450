//! DeleteRecords (key 21), versions 0-2.
//!
//! Behaviour:
//! - Moves the log start offset; -1 stands for the high watermark. Segments wholly below it go.
//! - What was produced with acks 1 may not be durable yet, and counts all the same: its time-out is waited for it.
//! - Beyond the high watermark: OFFSET_OUT_OF_RANGE (1). On a topic without the delete policy:
//!   POLICY_VIOLATION (44). On a topic of the broker: INVALID_TOPIC_EXCEPTION (17).
//!
//! Versions: 2 flexible.

use std::sync::Arc;
use std::time::Duration;

use lastword_protocol::messages::delete_records_response::{
    DeleteRecordsPartitionResult, DeleteRecordsTopicResult,
};
use lastword_protocol::messages::{DeleteRecordsRequest, DeleteRecordsResponse};
use lastword_protocol::{ErrorCode, message};
use tokio::time::Instant;

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
    until_visible(broker, &request).await;
    let deleting = broker.clone();
    context
        .reply_blocking(move || delete_all(&deleting, request))
        .await
}

/// Waits until the high watermark has reached what is to be deleted, where so much has been written.
async fn until_visible(broker: &Broker, request: &DeleteRecordsRequest) {
    let timeout = Duration::from_millis(u64::try_from(request.timeout_ms).unwrap_or(0));
    let deadline = Instant::now() + timeout;
    for topic in &request.topics {
        for asked in &topic.partitions {
            let found = broker.partitions.find(&topic.name, asked.partition_index);
            let Ok(partition) = found else { continue };
            let end = partition.log().offsets().log_end_offset;
            let wanted = if asked.offset == NO_OFFSET {
                end
            } else {
                asked.offset
            };
            if wanted <= end {
                // What is not visible by then is answered like what was never written.
                let _ = partition.wait_visible(wanted, deadline).await;
            }
        }
    }
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
