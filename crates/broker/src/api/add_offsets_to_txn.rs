//! AddOffsetsToTxn (key 25), versions 0-4.
//!
//! Behaviour: as AddPartitionsToTxn with the group's partition of `__consumer_offsets`, which is
//! created when nobody has used groups yet.
//!
//! Versions: 2 PRODUCER_FENCED (KIP-588). 3 flexible. 4 TRANSACTION_ABORTABLE (KIP-890).

use std::sync::Arc;

use lastword_coordinator::{
    AddPartitionsRequest, TopicPartitions, TransactionError, TransactionReply, TransactionVersion,
};
use lastword_protocol::message;
use lastword_protocol::messages::{AddOffsetsToTxnRequest, AddOffsetsToTxnResponse};

use super::{Reply, RequestContext};
use crate::broker::Broker;
use crate::coordinator::{groups, transactions};
use crate::error_map::transaction_code;
use crate::metadata::GROUP_METADATA_TOPIC;

pub(crate) async fn handle(
    broker: &Arc<Broker>,
    context: &RequestContext,
    request: AddOffsetsToTxnRequest,
) -> Reply {
    let pending = submit(broker, context, &request).await;
    let context = context.clone();
    RequestContext::later(async move {
        let error = match transactions::wait(pending).await {
            Ok(TransactionReply::AddPartitions(error)) => error,
            Ok(_) => Some(TransactionError::UnknownServerError),
            Err(error) => Some(error),
        };
        context.reply(&message!(AddOffsetsToTxnResponse {
            error_code: transaction_code(error),
        }))
    })
}

async fn submit(
    broker: &Arc<Broker>,
    context: &RequestContext,
    request: &AddOffsetsToTxnRequest,
) -> Result<transactions::Pending, TransactionError> {
    let partition = groups::partition_of(broker, &request.group_id).await;
    let partition = partition.map_err(|_| TransactionError::CoordinatorNotAvailable)?;
    let wanted = AddPartitionsRequest {
        transactional_id: request.transactional_id.to_string(),
        producer_id: request.producer_id,
        producer_epoch: request.producer_epoch,
        topics: vec![TopicPartitions {
            name: GROUP_METADATA_TOPIC.to_owned(),
            partitions: vec![partition],
        }],
        // Clients of transactions v2 send TxnOffsetCommit at once.
        client_transaction_version: TransactionVersion::V0,
        api_version: context.api_version,
    };
    transactions::submit(
        broker,
        &request.transactional_id,
        |machine, ticket, now_ms| machine.add_partitions(&wanted, ticket, now_ms),
    )
    .await
}
