//! Taking a partition over and giving it up.
//!
//! Loading replays the internal topic, compacted or not, and serves nothing until it is done. Every
//! prefix of the topic is a valid state; a record that cannot be read changes nothing.

use std::sync::Arc;

use super::TransactionCoordinator;
use super::marking;
use super::message::{ProducerIdReply, TransactionReply};
use super::metadata::Transaction;
use super::record;
use super::turn::{DecidedBy, Effect, TimerKey};
use crate::error::{CoordinatorError, TransactionError};
use crate::outcome::{Outcome, Ticket};

impl TransactionCoordinator {
    /// Takes over one record of the internal topic, in the order of the log.
    ///
    /// A record that cannot be read changes nothing. Keys of other kinds are skipped.
    pub fn replay(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), CoordinatorError> {
        let Some(transactional_id) = record::decode_transaction_log_key(key)? else {
            tracing::debug!("skipped a record of another kind");
            return Ok(());
        };
        let value = value
            .map(record::decode_transaction_log_value)
            .transpose()?;
        let id: Arc<str> = Arc::from(transactional_id);
        match value {
            Some(value) => {
                let transaction = Transaction::loaded(id.clone(), value);
                self.transactions.insert(id, transaction);
            }
            None => {
                self.transactions.remove(&id);
            }
        }
        Ok(())
    }

    /// Ends loading: decided transactions are finished, timeouts run.
    pub fn loaded(&mut self, now_ms: i64) -> Outcome<TransactionReply> {
        self.loaded = true;
        let mut outcome = Outcome::default();
        let (transactions, mut turn) = self.turn(now_ms, &mut outcome);
        let interval_ms = turn.config.remove_expired_transactional_ids_interval_ms;
        turn.schedule(TimerKey::Expiration, interval_ms);
        for transaction in transactions.values_mut() {
            if transaction.value.state.is_prepared() {
                let completion = transaction.complete(now_ms);
                marking::start(transaction, &mut turn, completion);
            } else {
                turn.watch(transaction);
            }
        }
        outcome
    }

    /// Gives the partition up: answers every parked request with `error`.
    #[must_use = "these requests wait for an answer"]
    pub fn unload(mut self, error: TransactionError) -> Vec<(Ticket, TransactionReply)> {
        let refused = ProducerIdReply::error(error);
        let mut replies = Vec::new();
        for effect in self.in_flight.drain() {
            let reply = match effect {
                Effect::Init { ticket, .. }
                | Effect::Decide {
                    by: DecidedBy::NewProducer(ticket),
                    ..
                } => (ticket, TransactionReply::InitProducerId(refused)),
                Effect::AddPartitions { ticket, .. } => {
                    (ticket, TransactionReply::AddPartitions(Some(error)))
                }
                Effect::Decide {
                    by: DecidedBy::Producer(ticket),
                    ..
                } => (ticket, TransactionReply::End(refused)),
                Effect::Decide { .. } | Effect::Complete { .. } | Effect::Expire { .. } => continue,
            };
            replies.push(reply);
        }
        replies
    }
}
