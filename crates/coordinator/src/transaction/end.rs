//! Ending a transaction: by its producer (EndTxn), by a newer producer, or by the clock.
//!
//! There are two generations. Before KIP-890 the epoch stays and a repeated EndTxn is known by the
//! state alone. Since KIP-890 (EndTxn 5) each end bumps the epoch, or begins a new producer id when
//! the epochs are used up, so a repeated EndTxn is known by its older epoch:
//!
//! ```text
//!                   ABORT               COMMIT
//!                   retry    current    retry    current
//! Empty             fenced   bump       fenced   invalid state
//! CompleteAbort     ok       bump       invalid  invalid state
//! CompleteCommit    invalid  bump       ok       invalid state
//! ```
//! An abort of what never began is allowed there, because the producer cannot know.

use std::sync::Arc;

use super::message::{EndTxnRequest, NO_PRODUCER_ID, ProducerIdReply, TransactionReply};
use super::metadata::{Transaction, Transition, is_epoch_exhausted};
use super::state::{TransactionState, TransactionVersion};
use super::turn::{DecidedBy, Effect, Transactions, Turn, timeout_at_ms};
use super::{fenced_before, marking};
use crate::error::TransactionError;
use crate::outcome::Ticket;

/// What an EndTxn comes to.
enum Next {
    Decide(TransactionState),
    /// It was done before.
    Done,
}

pub(super) fn end(
    transactions: &mut Transactions,
    turn: &mut Turn<'_>,
    request: &EndTxnRequest,
    fresh_producer_id: i64,
    ticket: Ticket,
) {
    let decided = decide(transactions, turn, request, fresh_producer_id);
    let reply = match decided {
        Ok(Decided::Store(id, transition)) => {
            store(&id, turn, transition, DecidedBy::Producer(ticket));
            return;
        }
        Ok(Decided::Done(reply)) => reply,
        Err(error) => ProducerIdReply::error(fenced_before(2, request.api_version, error)),
    };
    turn.reply(ticket, TransactionReply::End(reply));
}

enum Decided {
    Store(Arc<str>, Transition),
    Done(ProducerIdReply),
}

fn decide(
    transactions: &mut Transactions,
    turn: &Turn<'_>,
    request: &EndTxnRequest,
    fresh_producer_id: i64,
) -> Result<Decided, TransactionError> {
    if request.transactional_id.is_empty() {
        return Err(TransactionError::InvalidRequest);
    }
    let transaction = transactions
        .get_mut(request.transactional_id.as_str())
        .ok_or(TransactionError::InvalidProducerIdMapping)?;
    let version = TransactionVersion::of_end_txn(request.api_version);
    if !version.supports_epoch_bump() {
        return match next_without_bump(transaction, request)? {
            Next::Done => Ok(Decided::Done(ProducerIdReply::nobody())),
            Next::Decide(state) => {
                let transition = transaction.decide(state, version, NO_PRODUCER_ID, turn.now_ms)?;
                Ok(Decided::Store(transaction.id.clone(), transition))
            }
        };
    }
    match next_with_bump(transaction, request)? {
        Next::Done => Ok(Decided::Done(ProducerIdReply {
            error: None,
            producer_id: transaction.value.producer_id,
            producer_epoch: transaction.value.producer_epoch,
        })),
        Next::Decide(state) => {
            let next_producer_id = match is_epoch_exhausted(transaction.value.producer_epoch) {
                true => fresh_producer_id,
                false => NO_PRODUCER_ID,
            };
            let transition = transaction.decide(state, version, next_producer_id, turn.now_ms)?;
            Ok(Decided::Store(transaction.id.clone(), transition))
        }
    }
}

fn next_without_bump(
    transaction: &Transaction,
    request: &EndTxnRequest,
) -> Result<Next, TransactionError> {
    if transaction.value.producer_id != request.producer_id {
        return Err(TransactionError::InvalidProducerIdMapping);
    }
    if transaction.value.producer_epoch != request.producer_epoch {
        return Err(TransactionError::ProducerFenced);
    }
    if transaction.pending.is_some() {
        return Err(TransactionError::ConcurrentTransactions);
    }
    match (transaction.value.state, request.is_commit) {
        (TransactionState::Ongoing, true) => Ok(Next::Decide(TransactionState::PrepareCommit)),
        (TransactionState::Ongoing, false) => Ok(Next::Decide(TransactionState::PrepareAbort)),
        (TransactionState::CompleteCommit, true) | (TransactionState::CompleteAbort, false) => {
            Ok(Next::Done)
        }
        (state, is_commit) => Err(wrong_state(transaction, state, is_commit)),
    }
}

fn next_with_bump(
    transaction: &Transaction,
    request: &EndTxnRequest,
) -> Result<Next, TransactionError> {
    // First, because the producer may be using an id and epoch that are only pending.
    if transaction.pending.is_some() {
        return Err(TransactionError::ConcurrentTransactions);
    }
    let value = &transaction.value;
    let is_current = request.producer_epoch == value.producer_epoch;
    // An end before KIP-890 has bumped nothing: the epoch before is that of a fenced producer. Kafka
    // does not look, and lets that producer share the epoch of the one who fenced it.
    let is_retry_of_bump = value.client_transaction_version.supports_epoch_bump()
        && request.producer_epoch.checked_add(1) == Some(value.producer_epoch);
    let is_retry_of_overflow = request.producer_id == value.previous_producer_id
        && request.producer_epoch == i16::MAX - 1
        && value.producer_epoch == 0;
    if request.producer_id != value.producer_id && !is_retry_of_overflow {
        return Err(TransactionError::InvalidProducerIdMapping);
    }
    let is_complete = matches!(
        value.state,
        TransactionState::CompleteCommit | TransactionState::CompleteAbort
    );
    let is_retry = is_complete && (is_retry_of_bump || is_retry_of_overflow);
    if !is_current && !is_retry {
        return Err(TransactionError::ProducerFenced);
    }
    match (value.state, request.is_commit) {
        (TransactionState::Ongoing, true) => Ok(Next::Decide(TransactionState::PrepareCommit)),
        (TransactionState::Ongoing, false) => Ok(Next::Decide(TransactionState::PrepareAbort)),
        (TransactionState::CompleteCommit, true) | (TransactionState::CompleteAbort, false)
            if is_retry =>
        {
            Ok(Next::Done)
        }
        (
            TransactionState::Empty
            | TransactionState::CompleteCommit
            | TransactionState::CompleteAbort,
            false,
        ) if !is_retry => Ok(Next::Decide(TransactionState::PrepareAbort)),
        (state, is_commit) => Err(wrong_state(transaction, state, is_commit)),
    }
}

/// The Prepare states do not come here: their completion is pending.
fn wrong_state(
    transaction: &Transaction,
    state: TransactionState,
    is_commit: bool,
) -> TransactionError {
    tracing::warn!(
        transactional_id = %transaction.id,
        state = state.name(),
        is_commit,
        "a producer cannot end its transaction in this state"
    );
    TransactionError::InvalidTxnState
}

/// Aborts an ongoing transaction, with an epoch above that of its producer.
pub(super) fn fence(transaction: &mut Transaction, turn: &mut Turn<'_>, by: DecidedBy) {
    let mut version = turn.config.transaction_version;
    if !version.supports_epoch_bump() {
        version = TransactionVersion::V0;
        if !transaction.has_failed_epoch_fence {
            let bumped = transaction.value.producer_epoch.saturating_add(1);
            transaction.value.producer_epoch = bumped;
        }
        transaction.last_producer_epoch = super::message::NO_PRODUCER_EPOCH;
    }
    let decided = transaction.decide(
        TransactionState::PrepareAbort,
        version,
        NO_PRODUCER_ID,
        turn.now_ms,
    );
    match decided {
        Ok(transition) => store(&transaction.id, turn, transition, by),
        Err(error) => refuse(turn, by, error),
    }
}

fn store(id: &Arc<str>, turn: &mut Turn<'_>, transition: Transition, by: DecidedBy) {
    let effect = Effect::Decide {
        id: id.clone(),
        transition: transition.clone(),
        by,
    };
    turn.append_transition(id, &transition, effect);
}

/// The append of a decision was reported.
pub(super) fn settle(
    transactions: &mut Transactions,
    turn: &mut Turn<'_>,
    id: &Arc<str>,
    transition: Transition,
    stored: Result<(), TransactionError>,
    by: DecidedBy,
) {
    let Some(transaction) = transactions.get_mut(id) else {
        return;
    };
    if let Err(error) = stored {
        transaction.pending = None;
        let has_bumped = !turn.config.transaction_version.supports_epoch_bump();
        transaction.has_failed_epoch_fence |= by.is_fence() && has_bumped;
        refuse(turn, by, error);
        return;
    }
    let version = transition.value.client_transaction_version;
    transaction.arrive(transition);
    turn.watch(transaction);
    let completion = transaction.complete(turn.now_ms);
    match by {
        DecidedBy::Producer(ticket) => {
            // The producer may go on at once: what it does is refused with
            // CONCURRENT_TRANSACTIONS until the markers are written.
            let reply = match version.supports_epoch_bump() {
                true => ProducerIdReply {
                    error: None,
                    producer_id: completion.value.producer_id,
                    producer_epoch: completion.value.producer_epoch,
                },
                false => ProducerIdReply::nobody(),
            };
            turn.reply(ticket, TransactionReply::End(reply));
        }
        DecidedBy::NewProducer(_) => refuse(turn, by, TransactionError::ConcurrentTransactions),
        DecidedBy::Timeout => {
            tracing::info!(transactional_id = %id, "aborted a transaction that timed out");
        }
    }
    marking::start(transaction, turn, completion);
}

fn refuse(turn: &mut Turn<'_>, by: DecidedBy, error: TransactionError) {
    let reply = ProducerIdReply::error(error);
    match by {
        DecidedBy::Producer(ticket) => turn.reply(ticket, TransactionReply::End(reply)),
        DecidedBy::NewProducer(ticket) => {
            turn.reply(ticket, TransactionReply::InitProducerId(reply));
        }
        DecidedBy::Timeout => tracing::warn!(%error, "a transaction that timed out is still open"),
    }
}

/// The timer of a transaction fired: aborts it if it is still open and still late.
pub(super) fn time_out(transaction: &mut Transaction, turn: &mut Turn<'_>) {
    let is_late = timeout_at_ms(transaction) < turn.now_ms;
    let is_ongoing = transaction.value.state == TransactionState::Ongoing;
    if is_ongoing && is_late && transaction.pending.is_none() {
        fence(transaction, turn, DecidedBy::Timeout);
    }
    // Again, should it not come to an abort; cancelled when it does.
    turn.watch(transaction);
}
