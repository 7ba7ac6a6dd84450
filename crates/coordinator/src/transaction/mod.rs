//! All transactional ids of one partition of `__transaction_state`.
//!
//! A request becomes a transition of its id, the transition a record, and the record's fate the
//! reply. While a transition is pending, the id refuses others with CONCURRENT_TRANSACTIONS. Once a
//! decision is durable its markers are asked for, and when they are written, its end is recorded.
//!
//! Invariants: before [`loaded`](TransactionCoordinator::loaded) no request is served; the state is
//! that of the log, except for an epoch whose fence failed; each ticket is answered once, unless
//! the coordinator is dropped without [`unload`](TransactionCoordinator::unload); a durable decision
//! is never changed or given up, whatever fails; an id goes with
//! `transactional.id.expiration.ms`.
//! There is no lock: the owner serializes calls. Authorization, the existence of partitions and the
//! versions of the wire are the caller's business.

pub(crate) mod config;
mod end;
mod expiration;
pub(crate) mod filter;
mod init;
mod loading;
mod marking;
pub(crate) mod message;
mod metadata;
mod partitions;
pub(crate) mod record;
pub(crate) mod state;
mod turn;

use self::config::TransactionConfig;
use self::filter::TransactionFilters;
use self::message::{
    AddPartitionsRequest, DescribedTransaction, EndTxnRequest, InitProducerIdRequest,
    ListedTransaction, ProducerIdReply, TransactionReply, VerifiedTopic,
};
use self::turn::{Effect, MarkerWrites, TimerKey, Transactions, Turn};
use crate::error::{AppendError, TransactionError};
use crate::group::message::TopicPartitions;
use crate::in_flight::InFlight;
use crate::outcome::{AppendId, MarkerId, Outcome, Ticket};
use crate::timers::Timers;

/// The transactional ids of one partition, one instance per partition that this broker leads.
#[derive(Debug)]
pub struct TransactionCoordinator {
    config: TransactionConfig,
    transactions: Transactions,
    timers: Timers<TimerKey>,
    in_flight: InFlight<Effect>,
    marker_writes: MarkerWrites,
    loaded: bool,
}

impl TransactionCoordinator {
    /// A coordinator that serves nothing before [`TransactionCoordinator::loaded`].
    pub fn new(config: TransactionConfig) -> Self {
        Self {
            config,
            transactions: Transactions::new(),
            timers: Timers::default(),
            in_flight: InFlight::default(),
            marker_writes: MarkerWrites::default(),
            loaded: false,
        }
    }

    /// Splits what a turn may touch from the ids.
    fn turn<'a>(
        &'a mut self,
        now_ms: i64,
        outcome: &'a mut Outcome<TransactionReply>,
    ) -> (&'a mut Transactions, Turn<'a>) {
        let turn = Turn {
            now_ms,
            config: &self.config,
            timers: &mut self.timers,
            in_flight: &mut self.in_flight,
            marker_writes: &mut self.marker_writes,
            outcome,
        };
        (&mut self.transactions, turn)
    }

    // Producers

    /// Answers when the producer's id and epoch are stored, or at once with an error.
    ///
    /// `fresh_producer_id` was never used before; it is lost when none is needed.
    pub fn init_producer_id(
        &mut self,
        request: &InitProducerIdRequest,
        fresh_producer_id: i64,
        ticket: Ticket,
        now_ms: i64,
    ) -> Outcome<TransactionReply> {
        let refused = |error| TransactionReply::InitProducerId(ProducerIdReply::error(error));
        self.serve(ticket, now_ms, refused, |transactions, turn| {
            init::init(transactions, turn, request, fresh_producer_id, ticket);
        })
    }

    /// Answers when the partitions are stored, or at once when all are there or with an error.
    pub fn add_partitions(
        &mut self,
        request: &AddPartitionsRequest,
        ticket: Ticket,
        now_ms: i64,
    ) -> Outcome<TransactionReply> {
        let refused = |error| TransactionReply::AddPartitions(Some(error));
        self.serve(ticket, now_ms, refused, |transactions, turn| {
            partitions::add(transactions, turn, request, ticket);
        })
    }

    /// Says of each partition whether it is part of the producer's transaction, in the order of the
    /// request. One that is not has TRANSACTION_ABORTABLE.
    pub fn verify_partitions(&self, request: &AddPartitionsRequest) -> Vec<VerifiedTopic> {
        self.check_loaded()
            .and_then(|()| partitions::verify(&self.transactions, request))
            .unwrap_or_else(|error| partitions::verified(&request.topics, |_, _| Some(error)))
    }

    /// Commits or aborts. Answers when the decision is stored, before the markers are written.
    ///
    /// `fresh_producer_id` was never used before; it is lost when none is needed.
    pub fn end(
        &mut self,
        request: &EndTxnRequest,
        fresh_producer_id: i64,
        ticket: Ticket,
        now_ms: i64,
    ) -> Outcome<TransactionReply> {
        let refused = |error| TransactionReply::End(ProducerIdReply::error(error));
        self.serve(ticket, now_ms, refused, |transactions, turn| {
            end::end(transactions, turn, request, fresh_producer_id, ticket);
        })
    }

    fn serve(
        &mut self,
        ticket: Ticket,
        now_ms: i64,
        refused: impl FnOnce(TransactionError) -> TransactionReply,
        call: impl FnOnce(&mut Transactions, &mut Turn<'_>),
    ) -> Outcome<TransactionReply> {
        if let Err(error) = self.check_loaded() {
            return Outcome::reply(ticket, refused(error));
        }
        let mut outcome = Outcome::default();
        let (transactions, mut turn) = self.turn(now_ms, &mut outcome);
        call(transactions, &mut turn);
        outcome
    }

    // Administration

    /// The transactions that pass all filters, ascending by id.
    pub fn list(
        &self,
        filters: &TransactionFilters,
        now_ms: i64,
    ) -> Result<Vec<ListedTransaction>, TransactionError> {
        self.check_loaded()?;
        let passing = self
            .transactions
            .values()
            .filter(|transaction| filters.pass(&transaction.id, &transaction.value, now_ms));
        let listed = passing.map(|transaction| ListedTransaction {
            transactional_id: transaction.id.to_string(),
            producer_id: transaction.value.producer_id,
            state: transaction.value.state,
        });
        Ok(listed.collect())
    }

    /// Describes what is stored of a transactional id.
    pub fn describe(
        &self,
        transactional_id: &str,
    ) -> Result<DescribedTransaction, TransactionError> {
        if transactional_id.is_empty() {
            return Err(TransactionError::InvalidRequest);
        }
        self.check_loaded()?;
        let transaction = self
            .transactions
            .get(transactional_id)
            .ok_or(TransactionError::TransactionalIdNotFound)?;
        let value = &transaction.value;
        Ok(DescribedTransaction {
            transactional_id: transactional_id.to_owned(),
            state: value.state,
            transaction_timeout_ms: value.transaction_timeout_ms,
            transaction_start_time_ms: value.start_timestamp_ms,
            producer_id: value.producer_id,
            producer_epoch: value.producer_epoch,
            topics: marking::topics(&value.partitions),
        })
    }

    /// Partitions are gone: no decided transaction waits for markers in them any more.
    ///
    /// An ongoing transaction keeps them until its end, as in Kafka: a topic of the same name may
    /// be there by then, with records of this transaction in it.
    pub fn partitions_deleted(
        &mut self,
        deleted: &[TopicPartitions],
        now_ms: i64,
    ) -> Outcome<TransactionReply> {
        let mut outcome = Outcome::default();
        let (transactions, mut turn) = self.turn(now_ms, &mut outcome);
        for transaction in transactions.values_mut() {
            marking::partitions_deleted(transaction, &mut turn, deleted);
        }
        outcome
    }

    // The runtime's side

    /// Reports the fate of an append. Reports may come in any order, but each must come.
    pub fn appended(
        &mut self,
        id: AppendId,
        result: Result<(), AppendError>,
        now_ms: i64,
    ) -> Outcome<TransactionReply> {
        let mut outcome = Outcome::default();
        if !self.in_flight.report(id, result) {
            tracing::warn!(id = id.0, "an append was reported that is not in flight");
        }
        while let Some((_, effect, result)) = self.in_flight.pop() {
            let stored = result.map_err(AppendError::transaction_error);
            let (transactions, mut turn) = self.turn(now_ms, &mut outcome);
            settle(transactions, &mut turn, effect, stored);
        }
        outcome
    }

    /// Reports markers. `Err` names the partitions that do not have them durably; these are asked
    /// for again after a pause. A partition that no longer exists counts as written.
    pub fn markers_written(
        &mut self,
        id: MarkerId,
        result: Result<(), Vec<TopicPartitions>>,
        now_ms: i64,
    ) -> Outcome<TransactionReply> {
        let mut outcome = Outcome::default();
        let (transactions, mut turn) = self.turn(now_ms, &mut outcome);
        marking::written(transactions, &mut turn, id, result);
        outcome
    }

    /// Runs the timers that are due.
    pub fn tick(&mut self, now_ms: i64) -> Outcome<TransactionReply> {
        let mut outcome = Outcome::default();
        while let Some(key) = self.timers.pop_due(now_ms) {
            let (transactions, mut turn) = self.turn(now_ms, &mut outcome);
            match key {
                TimerKey::Timeout(id) => {
                    if let Some(transaction) = transactions.get_mut(&id) {
                        end::time_out(transaction, &mut turn);
                    }
                }
                TimerKey::Marking(id) => {
                    if let Some(transaction) = transactions.get_mut(&id) {
                        marking::resume(transaction, &mut turn);
                    }
                }
                TimerKey::Expiration => expiration::expire(transactions, &mut turn),
            }
        }
        outcome
    }

    /// When [`tick`](Self::tick) is wanted next. It may be earlier than anything is due.
    pub fn next_deadline_ms(&self) -> Option<i64> {
        self.timers.next_deadline_ms()
    }

    fn check_loaded(&self) -> Result<(), TransactionError> {
        if self.loaded {
            Ok(())
        } else {
            Err(TransactionError::CoordinatorLoadInProgress)
        }
    }
}

/// What happens when the runtime reports an append.
fn settle(
    transactions: &mut Transactions,
    turn: &mut Turn<'_>,
    effect: Effect,
    stored: Result<(), TransactionError>,
) {
    match effect {
        Effect::Init {
            id,
            transition,
            ticket,
        } => init::settle(transactions, turn, &id, transition, stored, ticket),
        Effect::AddPartitions {
            id,
            transition,
            ticket,
        } => partitions::settle(transactions, turn, &id, transition, stored, ticket),
        Effect::Decide { id, transition, by } => {
            end::settle(transactions, turn, &id, transition, stored, by);
        }
        Effect::Complete { id } => {
            if let Some(transaction) = transactions.get_mut(&id) {
                marking::settle(transaction, turn, stored);
            }
        }
        Effect::Expire { ids } => expiration::settle(transactions, ids, stored),
    }
}

/// PRODUCER_FENCED is younger than the APIs; versions below `first_version` say
/// INVALID_PRODUCER_EPOCH.
fn fenced_before(
    first_version: i16,
    api_version: i16,
    error: TransactionError,
) -> TransactionError {
    match error {
        TransactionError::ProducerFenced if api_version < first_version => {
            TransactionError::InvalidProducerEpoch
        }
        error => error,
    }
}
