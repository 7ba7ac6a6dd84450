//! ListTransactions (key 66), versions 0-2.
//!
//! Behaviour: every transactional id of this broker that passes the filters. State names that do
//! not exist are returned as unknown and match nothing. While transactions are being loaded, the
//! answer is COORDINATOR_LOAD_IN_PROGRESS (14).
//!
//! Versions: 1 filter by duration (KIP-994). 2 filter by a pattern of ids (KIP-1152); one that is no
//! regular expression is INVALID_REGULAR_EXPRESSION (128).

use std::sync::Arc;

use lastword_coordinator::{ListedTransaction, TransactionError, TransactionFilters};
use lastword_protocol::message;
use lastword_protocol::messages::list_transactions_response::TransactionState;
use lastword_protocol::messages::{ListTransactionsRequest, ListTransactionsResponse};

use super::{Reply, RequestContext};
use crate::broker::Broker;
use crate::coordinator::transactions;

pub(crate) async fn handle(
    broker: &Arc<Broker>,
    context: &RequestContext,
    request: ListTransactionsRequest,
) -> Reply {
    let listed = filters(&request).and_then(|filters| {
        let unknown = filters
            .unknown_states()
            .iter()
            .map(|name| name.as_str().into());
        Ok((unknown.collect(), transactions::list(broker, &filters)?))
    });
    context.reply(&match listed {
        Ok((unknown_state_filters, listed)) => message!(ListTransactionsResponse {
            unknown_state_filters,
            transaction_states: listed.into_iter().map(state).collect(),
        }),
        Err(error) => message!(ListTransactionsResponse {
            error_code: error.code(),
        }),
    })
}

fn filters(request: &ListTransactionsRequest) -> Result<TransactionFilters, TransactionError> {
    let states: Vec<String> = request
        .state_filters
        .iter()
        .map(ToString::to_string)
        .collect();
    TransactionFilters::new(
        &states,
        &request.producer_id_filters,
        request.duration_filter,
        request.transactional_id_pattern.as_deref(),
    )
}

fn state(listed: ListedTransaction) -> TransactionState {
    message!(TransactionState {
        transactional_id: listed.transactional_id.into(),
        producer_id: listed.producer_id,
        transaction_state: listed.state.name().into(),
    })
}
