//! One call to the coordinator: the time it happens at, and what it may touch beside the ids.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::config::TransactionConfig;
use super::message::TransactionReply;
use super::metadata::{Transaction, Transition};
use super::record;
use super::state::TransactionState;
use crate::group::record::CoordinatorRecord;
use crate::in_flight::InFlight;
use crate::outcome::{Append, MarkerId, Outcome, Ticket};
use crate::timers::Timers;

/// All ids of a partition, by name.
pub(super) type Transactions = BTreeMap<Arc<str>, Transaction>;

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum TimerKey {
    /// An ongoing transaction may have timed out.
    Timeout(Arc<str>),
    /// Markers, or the record that they are written, are tried again.
    Marking(Arc<str>),
    /// Ids that nobody uses are looked for.
    Expiration,
}

/// What happens when an append is reported.
#[derive(Debug)]
pub(super) enum Effect {
    /// A producer has its id and epoch.
    Init {
        id: Arc<str>,
        transition: Transition,
        ticket: Ticket,
    },
    AddPartitions {
        id: Arc<str>,
        transition: Transition,
        ticket: Ticket,
    },
    /// A transaction is decided: its markers can be written.
    Decide {
        id: Arc<str>,
        transition: Transition,
        by: DecidedBy,
    },
    /// All is done.
    Complete { id: Arc<str> },
    /// Tombstones were written.
    Expire { ids: Vec<Arc<str>> },
}

/// Who wants a transaction to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DecidedBy {
    /// Its producer, which is waiting.
    Producer(Ticket),
    /// A newer producer, which is waiting to be told to try again.
    NewProducer(Ticket),
    Timeout,
}

impl DecidedBy {
    /// Whether the producer of the transaction is fenced by its end.
    pub(super) fn is_fence(self) -> bool {
        !matches!(self, Self::Producer(_))
    }
}

/// Marker writes that were asked for and are not reported yet.
#[derive(Debug, Default)]
pub(super) struct MarkerWrites {
    pub(super) ids: BTreeMap<MarkerId, Arc<str>>,
    next_id: u64,
}

impl MarkerWrites {
    pub(super) fn push(&mut self, transactional_id: Arc<str>) -> MarkerId {
        let id = MarkerId(self.next_id);
        self.next_id += 1;
        self.ids.insert(id, transactional_id);
        id
    }
}

pub(super) struct Turn<'a> {
    pub(super) now_ms: i64,
    pub(super) config: &'a TransactionConfig,
    pub(super) timers: &'a mut Timers<TimerKey>,
    pub(super) in_flight: &'a mut InFlight<Effect>,
    pub(super) marker_writes: &'a mut MarkerWrites,
    pub(super) outcome: &'a mut Outcome<TransactionReply>,
}

impl Turn<'_> {
    pub(super) fn reply(&mut self, ticket: Ticket, reply: TransactionReply) {
        self.outcome.replies.push((ticket, reply));
    }

    pub(super) fn append(&mut self, records: Vec<CoordinatorRecord>, effect: Effect) {
        let id = self.in_flight.push(effect);
        self.outcome.appends.push(Append {
            id,
            records,
            producer: None,
        });
    }

    pub(super) fn append_transition(
        &mut self,
        id: &Arc<str>,
        transition: &Transition,
        effect: Effect,
    ) {
        let version = self.config.transaction_version;
        let record = record::transaction_log(id, &transition.value, version);
        self.append(vec![record], effect);
    }

    /// At least a millisecond ahead, so that one tick ends.
    pub(super) fn schedule(&mut self, key: TimerKey, pause_ms: i64) {
        self.timers
            .schedule(key, self.now_ms.saturating_add(pause_ms.max(1)));
    }

    /// Sets or drops the timeout of a transaction, after its state has changed.
    ///
    /// Timeouts are looked at in multiples of
    /// `transaction.abort.timed.out.transaction.cleanup.interval.ms`.
    pub(super) fn watch(&mut self, transaction: &Transaction) {
        let key = TimerKey::Timeout(transaction.id.clone());
        if transaction.value.state != TransactionState::Ongoing || transaction.is_two_phase_commit()
        {
            self.timers.cancel(&key);
            return;
        }
        let interval_ms = self.config.abort_timed_out_transactions_interval_ms.max(1);
        let passed_ms = timeout_at_ms(transaction).max(self.now_ms);
        let intervals = passed_ms.div_euclid(interval_ms).saturating_add(1);
        self.timers
            .schedule(key, intervals.saturating_mul(interval_ms));
    }
}

/// The last moment at which a transaction is in time.
pub(super) fn timeout_at_ms(transaction: &Transaction) -> i64 {
    let timeout_ms = i64::from(transaction.value.transaction_timeout_ms);
    transaction
        .value
        .start_timestamp_ms
        .saturating_add(timeout_ms)
}
