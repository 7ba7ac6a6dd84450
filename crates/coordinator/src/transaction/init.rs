//! InitProducerId: who the producer of a transactional id is.
//!
//! A producer without an id and epoch is new, and fences whoever was there before. One that has
//! them goes on after an error (KIP-360), unless it was fenced itself. An ongoing transaction is
//! aborted first; the producer is told to try again, and its next attempt bumps the epoch once more,
//! so that the epoch of the abort is never anybody's.

use std::sync::Arc;

use super::message::{
    InitProducerIdRequest, NO_PRODUCER_EPOCH, NO_PRODUCER_ID, ProducerIdReply, TransactionReply,
};
use super::metadata::{Transaction, Transition, is_epoch_exhausted};
use super::state::TransactionState;
use super::turn::{DecidedBy, Effect, Transactions, Turn};
use super::{end, fenced_before};
use crate::error::TransactionError;
use crate::outcome::Ticket;

/// What a producer says it has.
#[derive(Debug, Clone, Copy)]
struct Expected {
    producer_id: i64,
    producer_epoch: i16,
}

enum Next {
    Store(Transition),
    AbortFirst,
}

pub(super) fn init(
    transactions: &mut Transactions,
    turn: &mut Turn<'_>,
    request: &InitProducerIdRequest,
    fresh_producer_id: i64,
    ticket: Ticket,
) {
    let next = checked(request, turn).and_then(|expected| {
        let id: Arc<str> = Arc::from(request.transactional_id.as_str());
        let timeout_ms = match request.enable_2pc {
            true => i32::MAX,
            false => request.transaction_timeout_ms,
        };
        let new = || Transaction::new(id.clone(), fresh_producer_id, timeout_ms, turn.now_ms);
        let transaction = transactions.entry(id.clone()).or_insert_with(new);
        let next = next(
            transaction,
            timeout_ms,
            expected,
            fresh_producer_id,
            turn.now_ms,
        )?;
        Ok((transaction, next))
    });
    match next {
        Ok((transaction, Next::Store(transition))) => {
            let effect = Effect::Init {
                id: transaction.id.clone(),
                transition: transition.clone(),
                ticket,
            };
            turn.append_transition(&transaction.id, &transition, effect);
        }
        Ok((transaction, Next::AbortFirst)) => {
            end::fence(transaction, turn, DecidedBy::NewProducer(ticket));
        }
        Err(error) => {
            let error = fenced_before(4, request.api_version, error);
            let reply = ProducerIdReply::error(error);
            turn.reply(ticket, TransactionReply::InitProducerId(reply));
        }
    }
}

fn checked(
    request: &InitProducerIdRequest,
    turn: &Turn<'_>,
) -> Result<Option<Expected>, TransactionError> {
    let expected = match (request.producer_id, request.producer_epoch) {
        (NO_PRODUCER_ID, NO_PRODUCER_EPOCH) => None,
        (NO_PRODUCER_ID, _) | (_, NO_PRODUCER_EPOCH) => {
            return Err(TransactionError::InvalidRequest);
        }
        (producer_id, producer_epoch) => Some(Expected {
            producer_id,
            producer_epoch,
        }),
    };
    let id_bytes = request.transactional_id.len();
    // The key of a record cannot say a longer one.
    if id_bytes == 0 || id_bytes > i16::MAX as usize {
        return Err(TransactionError::InvalidRequest);
    }
    if request.enable_2pc && !turn.config.transaction_two_phase_commit_enable {
        return Err(TransactionError::TransactionalIdAuthorizationFailed);
    }
    if request.keep_prepared_txn {
        return Err(TransactionError::UnsupportedVersion);
    }
    let allowed = 1..=turn.config.transaction_max_timeout_ms;
    if !request.enable_2pc && !allowed.contains(&request.transaction_timeout_ms) {
        return Err(TransactionError::InvalidTransactionTimeout);
    }
    Ok(expected)
}

fn next(
    transaction: &mut Transaction,
    timeout_ms: i32,
    expected: Option<Expected>,
    fresh_producer_id: i64,
    now_ms: i64,
) -> Result<Next, TransactionError> {
    if transaction.pending.is_some() {
        return Err(TransactionError::ConcurrentTransactions);
    }
    if expected.is_some_and(|expected| !is_known(transaction, expected)) {
        return Err(TransactionError::ProducerFenced);
    }
    match transaction.value.state {
        TransactionState::PrepareCommit | TransactionState::PrepareAbort => {
            Err(TransactionError::ConcurrentTransactions)
        }
        TransactionState::Ongoing => Ok(Next::AbortFirst),
        TransactionState::Empty
        | TransactionState::CompleteCommit
        | TransactionState::CompleteAbort => {
            let current = transaction.value.producer_epoch;
            let expected_epoch = expected.map(|expected| expected.producer_epoch);
            let is_current = expected_epoch.is_none_or(|epoch| epoch == current);
            let transition = if is_epoch_exhausted(current) && is_current {
                let has_expected = expected.is_some();
                transaction.rotate_producer_id(fresh_producer_id, timeout_ms, has_expected, now_ms)
            } else {
                transaction.increment_producer_epoch(timeout_ms, expected_epoch, now_ms)?
            };
            Ok(Next::Store(transition))
        }
        TransactionState::Dead | TransactionState::PrepareEpochFence => {
            Err(TransactionError::UnknownServerError)
        }
    }
}

/// Whether the producer id is one that the transactional id has, or had just before. The epoch is
/// looked at later.
fn is_known(transaction: &Transaction, expected: Expected) -> bool {
    // Nothing is known of the id, so there is nobody to protect from this producer.
    transaction.is_unborn()
        || expected.producer_id == transaction.value.producer_id
        // It may not have learnt of the rotation that its last epoch led to.
        || (expected.producer_id == transaction.value.previous_producer_id
            && is_epoch_exhausted(expected.producer_epoch))
}

/// The append of an initialization was reported.
pub(super) fn settle(
    transactions: &mut Transactions,
    turn: &mut Turn<'_>,
    id: &Arc<str>,
    transition: Transition,
    stored: Result<(), TransactionError>,
    ticket: Ticket,
) {
    let Some(transaction) = transactions.get_mut(id) else {
        return;
    };
    let reply = match stored {
        Ok(()) => {
            transaction.arrive(transition);
            ProducerIdReply {
                error: None,
                producer_id: transaction.value.producer_id,
                producer_epoch: transaction.value.producer_epoch,
            }
        }
        Err(error) => {
            transaction.pending = None;
            if transaction.is_unborn() {
                transactions.remove(id);
            }
            ProducerIdReply::error(error)
        }
    };
    turn.reply(ticket, TransactionReply::InitProducerId(reply));
}
