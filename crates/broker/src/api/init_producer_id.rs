//! InitProducerId (key 22), versions 0-5.
//!
//! Behaviour:
//! - Without a transactional id: a producer id never used before, epoch 0. The id and epoch a
//!   client brings along do not matter, as in Kafka.
//! - With one: the id and epoch of its transactional id, the epoch bumped, so that the producer
//!   before is fenced. Its open transaction is aborted first; the answer then is
//!   CONCURRENT_TRANSACTIONS (51), and the client asks again.
//!
//! Versions: 2 flexible. 3 the producer brings its id and epoch (KIP-360). 4 PRODUCER_FENCED
//! (KIP-588). 5 transactions v2.

use std::sync::Arc;

use lastword_coordinator::{
    self as coordinator, ProducerIdReply, TransactionError, TransactionReply,
};
use lastword_protocol::messages::{InitProducerIdRequest, InitProducerIdResponse};
use lastword_protocol::{StrBytes, message};

use super::{Reply, RequestContext};
use crate::broker::Broker;
use crate::coordinator::transactions;
use crate::error_map::{ApiError, transaction_code};
use crate::partition::run_blocking;

pub(crate) async fn handle(
    broker: &Arc<Broker>,
    context: &RequestContext,
    request: InitProducerIdRequest,
) -> Reply {
    let fresh_producer_id = match allocate(broker).await {
        Ok(producer_id) => producer_id,
        Err(error) => {
            return context.reply(&message!(InitProducerIdResponse {
                error_code: error.code.code(),
                producer_id: -1,
                producer_epoch: -1,
            }));
        }
    };
    let Some(transactional_id) = request.transactional_id.clone() else {
        return context.reply(&message!(InitProducerIdResponse {
            producer_id: fresh_producer_id,
            producer_epoch: 0,
        }));
    };
    let pending = submit(
        broker,
        context,
        &transactional_id,
        &request,
        fresh_producer_id,
    )
    .await;
    let context = context.clone();
    RequestContext::later(async move {
        let reply = match transactions::wait(pending).await {
            Ok(TransactionReply::InitProducerId(reply)) => reply,
            Ok(_) => ProducerIdReply::error(TransactionError::UnknownServerError),
            Err(error) => ProducerIdReply::error(error),
        };
        context.reply(&message!(InitProducerIdResponse {
            error_code: transaction_code(reply.error),
            producer_id: reply.producer_id,
            producer_epoch: reply.producer_epoch,
        }))
    })
}

async fn submit(
    broker: &Arc<Broker>,
    context: &RequestContext,
    transactional_id: &StrBytes,
    request: &InitProducerIdRequest,
    fresh_producer_id: i64,
) -> Result<transactions::Pending, TransactionError> {
    if transactional_id.is_empty() {
        return Err(TransactionError::InvalidRequest);
    }
    let wanted = coordinator::InitProducerIdRequest {
        transactional_id: transactional_id.to_string(),
        transaction_timeout_ms: request.transaction_timeout_ms,
        producer_id: request.producer_id,
        producer_epoch: request.producer_epoch,
        // Fields of version 6 (KIP-939).
        enable_2pc: false,
        keep_prepared_txn: false,
        api_version: context.api_version,
    };
    transactions::submit(broker, transactional_id, |machine, ticket, now_ms| {
        machine.init_producer_id(&wanted, fresh_producer_id, ticket, now_ms)
    })
    .await
}

/// A producer id that was never used.
pub(super) async fn allocate(broker: &Arc<Broker>) -> Result<i64, ApiError> {
    let broker = broker.clone();
    run_blocking(move || broker.producer_ids.allocate(&broker.metadata)).await?
}
