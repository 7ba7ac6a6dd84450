//! Ids that nobody has used for `transactional.id.expiration.ms` are forgotten, with a tombstone.

use std::sync::Arc;

use super::record;
use super::state::TransactionState;
use super::turn::{Effect, TimerKey, Transactions, Turn};
use crate::error::TransactionError;

/// Looks for ids that have expired, and schedules the next look.
pub(super) fn expire(transactions: &mut Transactions, turn: &mut Turn<'_>) {
    let interval_ms = turn.config.remove_expired_transactional_ids_interval_ms;
    turn.schedule(TimerKey::Expiration, interval_ms);
    let expiration_ms = turn.config.transactional_id_expiration_ms;
    let expired_ms = turn.now_ms.saturating_sub(expiration_ms);
    let mut ids = Vec::new();
    for transaction in transactions.values_mut() {
        let value = &transaction.value;
        let is_idle = transaction.pending.is_none() && value.state.may_expire();
        if is_idle && value.last_update_timestamp_ms <= expired_ms {
            transaction.expect(TransactionState::Dead);
            ids.push(transaction.id.clone());
        }
    }
    if !ids.is_empty() {
        let tombstones = ids.iter().map(|id| record::transaction_tombstone(id));
        turn.append(tombstones.collect(), Effect::Expire { ids });
    }
}

/// The append of tombstones was reported.
pub(super) fn settle(
    transactions: &mut Transactions,
    ids: Vec<Arc<str>>,
    stored: Result<(), TransactionError>,
) {
    for id in ids {
        match stored {
            Ok(()) => {
                transactions.remove(&id);
            }
            Err(_) => {
                if let Some(transaction) = transactions.get_mut(&id) {
                    transaction.pending = None;
                }
            }
        }
    }
}
