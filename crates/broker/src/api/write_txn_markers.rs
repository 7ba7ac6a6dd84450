//! WriteTxnMarkers (key 27), versions 1-2.
//!
//! Behaviour: writes the end of a transaction into partitions, and answers when it is durable. The
//! coordinator of this broker does not need it; an administrator does, to end a transaction that
//! hangs (`kafka-transactions.sh abort`).
//!
//! Versions: 1 flexible. 2 the transaction version.

use std::sync::Arc;

use lastword_protocol::message;
use lastword_protocol::messages::write_txn_markers_request::WritableTxnMarker;
use lastword_protocol::messages::write_txn_markers_response::{
    WritableTxnMarkerPartitionResult, WritableTxnMarkerResult, WritableTxnMarkerTopicResult,
};
use lastword_protocol::messages::{WriteTxnMarkersRequest, WriteTxnMarkersResponse};
use lastword_protocol::{ErrorCode, StrBytes};

use super::{Reply, RequestContext};
use crate::broker::Broker;
use crate::coordinator::markers::{self, Marker, Refused, Written};

/// One marker in one partition.
type Begun = (i32, Result<Written, Refused>);

pub(crate) async fn handle(
    broker: &Arc<Broker>,
    context: &RequestContext,
    request: WriteTxnMarkersRequest,
) -> Reply {
    let mut begun = Vec::with_capacity(request.markers.len());
    for marker in request.markers {
        begun.push((marker.producer_id, begin(broker, marker).await));
    }
    let context = context.clone();
    RequestContext::later(async move {
        let mut results = Vec::with_capacity(begun.len());
        for (producer_id, topics) in begun {
            results.push(message!(WritableTxnMarkerResult {
                producer_id,
                topics: finish(topics).await,
            }));
        }
        context.reply(&message!(WriteTxnMarkersResponse { markers: results }))
    })
}

async fn begin(broker: &Arc<Broker>, request: WritableTxnMarker) -> Vec<(StrBytes, Vec<Begun>)> {
    let marker = Marker {
        producer_id: request.producer_id,
        producer_epoch: request.producer_epoch,
        coordinator_epoch: request.coordinator_epoch,
        is_commit: request.transaction_result,
        transaction_version: request.transaction_version,
    };
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let mut partitions = Vec::with_capacity(topic.partition_indexes.len());
        for number in topic.partition_indexes {
            let begun = markers::begin(broker, marker, &topic.name, number).await;
            partitions.push((number, begun));
        }
        topics.push((topic.name, partitions));
    }
    topics
}

async fn finish(begun: Vec<(StrBytes, Vec<Begun>)>) -> Vec<WritableTxnMarkerTopicResult> {
    let mut topics = Vec::with_capacity(begun.len());
    for (name, begun) in begun {
        let mut partitions = Vec::with_capacity(begun.len());
        for (partition_index, written) in begun {
            let written = match written {
                Ok(written) => markers::finish(written).await,
                Err(refused) => Err(refused),
            };
            let code = written.map_or_else(|refused| refused.code(), |()| ErrorCode::None);
            partitions.push(message!(WritableTxnMarkerPartitionResult {
                partition_index,
                error_code: code.code(),
            }));
        }
        topics.push(message!(WritableTxnMarkerTopicResult { name, partitions }));
    }
    topics
}
