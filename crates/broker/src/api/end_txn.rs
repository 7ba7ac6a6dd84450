//! EndTxn (key 26), versions 0-5.
//!
//! Behaviour: answered when the decision is durable; the markers follow. Whatever the producer
//! sends before they are written is told CONCURRENT_TRANSACTIONS (51), and sent again.
//!
//! Versions: 2 PRODUCER_FENCED (KIP-588). 3 flexible. 4 TRANSACTION_ABORTABLE (KIP-890). 5 the
//! producer's id and epoch for its next transaction.

use std::sync::Arc;

use lastword_coordinator::{
    self as coordinator, ProducerIdReply, TransactionError, TransactionReply,
};
use lastword_protocol::message;
use lastword_protocol::messages::{EndTxnRequest, EndTxnResponse};

use super::init_producer_id::allocate;
use super::{Reply, RequestContext};
use crate::broker::Broker;
use crate::coordinator::transactions;
use crate::error_map::transaction_code;

const FIRST_VERSION_WITH_PRODUCER: i16 = 5;
/// With this epoch or a later one the next transaction may need another producer id.
const LAST_EPOCHS: i16 = i16::MAX - 1;

pub(crate) async fn handle(
    broker: &Arc<Broker>,
    context: &RequestContext,
    request: EndTxnRequest,
) -> Reply {
    let pending = submit(broker, context, &request).await;
    let context = context.clone();
    RequestContext::later(async move {
        let reply = match transactions::wait(pending).await {
            Ok(TransactionReply::End(reply)) => reply,
            Ok(_) => ProducerIdReply::error(TransactionError::UnknownServerError),
            Err(error) => ProducerIdReply::error(error),
        };
        let mut response = message!(EndTxnResponse {
            error_code: transaction_code(reply.error),
        });
        if context.api_version >= FIRST_VERSION_WITH_PRODUCER {
            response.producer_id = reply.producer_id;
            response.producer_epoch = reply.producer_epoch;
        }
        context.reply(&response)
    })
}

async fn submit(
    broker: &Arc<Broker>,
    context: &RequestContext,
    request: &EndTxnRequest,
) -> Result<transactions::Pending, TransactionError> {
    let mut fresh_producer_id = -1;
    if request.producer_epoch >= LAST_EPOCHS {
        let allocated = allocate(broker).await;
        fresh_producer_id = allocated.map_err(|_| TransactionError::CoordinatorNotAvailable)?;
    }
    let wanted = coordinator::EndTxnRequest {
        transactional_id: request.transactional_id.to_string(),
        producer_id: request.producer_id,
        producer_epoch: request.producer_epoch,
        is_commit: request.committed,
        api_version: context.api_version,
    };
    transactions::submit(
        broker,
        &request.transactional_id,
        |machine, ticket, now_ms| machine.end(&wanted, fresh_producer_id, ticket, now_ms),
    )
    .await
}
