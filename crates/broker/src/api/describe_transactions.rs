//! DescribeTransactions (key 65), version 0.
//!
//! Behaviour: the state of transactional ids. One that is not known is
//! TRANSACTIONAL_ID_NOT_FOUND (105).

use std::sync::Arc;

use lastword_coordinator::DescribedTransaction;
use lastword_protocol::messages::describe_transactions_response::{TopicData, TransactionState};
use lastword_protocol::messages::{DescribeTransactionsRequest, DescribeTransactionsResponse};
use lastword_protocol::{StrBytes, message};

use super::{Reply, RequestContext};
use crate::broker::Broker;
use crate::coordinator::transactions;

pub(crate) async fn handle(
    broker: &Arc<Broker>,
    context: &RequestContext,
    request: DescribeTransactionsRequest,
) -> Reply {
    let mut transaction_states = Vec::with_capacity(request.transactional_ids.len());
    for transactional_id in request.transactional_ids {
        let described = transactions::query(broker, &transactional_id, |machine, _| {
            machine.describe(&transactional_id)
        })
        .await;
        transaction_states.push(match described {
            Ok(described) => state(transactional_id, described),
            Err(error) => message!(TransactionState {
                error_code: error.code(),
                transactional_id,
            }),
        });
    }
    context.reply(&message!(DescribeTransactionsResponse {
        transaction_states
    }))
}

fn state(transactional_id: StrBytes, described: DescribedTransaction) -> TransactionState {
    let topics = described.topics.into_iter().map(|topic| {
        message!(TopicData {
            topic: topic.name.into(),
            partitions: topic.partitions,
        })
    });
    message!(TransactionState {
        transactional_id,
        transaction_state: described.state.name().into(),
        transaction_timeout_ms: described.transaction_timeout_ms,
        transaction_start_time_ms: described.transaction_start_time_ms,
        producer_id: described.producer_id,
        producer_epoch: described.producer_epoch,
        topics: topics.collect(),
    })
}
