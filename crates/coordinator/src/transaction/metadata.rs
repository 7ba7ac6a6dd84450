//! One transactional id: what is durable of it, and where it is going.
//!
//! Every change is a [`Transition`]: it is computed here, appended to the log, and applied when the
//! append is durable. While one is pending no other begins. Nothing here knows requests or time.

use std::sync::Arc;

use super::marking::Marking;
use super::message::{NO_PRODUCER_EPOCH, NO_PRODUCER_ID};
use super::record::{PartitionSet, TransactionLogValue};
use super::state::{TransactionState, TransactionVersion};
use crate::error::TransactionError;

/// A transactional id in memory.
#[derive(Debug)]
pub(super) struct Transaction {
    pub(super) id: Arc<str>,
    pub(super) value: TransactionLogValue,
    /// The epoch before the last bump, by which a retry is known; -1 when there is none, and after
    /// a load, for it is not durable.
    pub(super) last_producer_epoch: i16,
    /// The state that an append in flight, or the markers, lead to.
    pub(super) pending: Option<TransactionState>,
    /// An epoch was bumped to fence a producer and could not be stored. It is in memory already,
    /// and nobody has been told: the next fence takes it and does not bump again.
    pub(super) has_failed_epoch_fence: bool,
    /// In the Prepare states.
    pub(super) marking: Option<Marking>,
}

/// What a transactional id becomes when an append is durable.
#[derive(Debug, Clone)]
pub(super) struct Transition {
    pub(super) value: TransactionLogValue,
    pub(super) last_producer_epoch: i16,
}

/// The last epoch is kept back, so that there is always one to fence a producer with.
pub(super) fn is_epoch_exhausted(producer_epoch: i16) -> bool {
    producer_epoch >= i16::MAX - 1
}

impl Transaction {
    /// An id that nobody has used before.
    pub(super) fn new(
        id: Arc<str>,
        producer_id: i64,
        transaction_timeout_ms: i32,
        now_ms: i64,
    ) -> Self {
        let value = TransactionLogValue {
            producer_id,
            previous_producer_id: NO_PRODUCER_ID,
            next_producer_id: NO_PRODUCER_ID,
            producer_epoch: NO_PRODUCER_EPOCH,
            transaction_timeout_ms,
            state: TransactionState::Empty,
            partitions: PartitionSet::new(),
            last_update_timestamp_ms: now_ms,
            start_timestamp_ms: -1,
            client_transaction_version: TransactionVersion::V0,
        };
        Self::loaded(id, value)
    }

    /// An id out of a record.
    pub(super) fn loaded(id: Arc<str>, value: TransactionLogValue) -> Self {
        Self {
            id,
            value,
            last_producer_epoch: NO_PRODUCER_EPOCH,
            pending: None,
            has_failed_epoch_fence: false,
            marking: None,
        }
    }

    /// Whether nothing of it was ever stored.
    pub(super) fn is_unborn(&self) -> bool {
        self.value.producer_epoch == NO_PRODUCER_EPOCH
    }

    /// A two-phase commit has no timeout (KIP-939).
    pub(super) fn is_two_phase_commit(&self) -> bool {
        self.value.transaction_timeout_ms == i32::MAX
    }

    pub(super) fn has_partition(&self, topic: &str, partition: i32) -> bool {
        let partitions = self.value.partitions.get(topic);
        partitions.is_some_and(|partitions| partitions.contains(&partition))
    }

    /// The next epoch for a producer; `expected_epoch` is what it says it has (KIP-360).
    pub(super) fn increment_producer_epoch(
        &mut self,
        transaction_timeout_ms: i32,
        expected_epoch: Option<i16>,
        now_ms: i64,
    ) -> Result<Transition, TransactionError> {
        let current = self.value.producer_epoch;
        if is_epoch_exhausted(current) {
            return Err(TransactionError::UnknownServerError);
        }
        let (producer_epoch, last_producer_epoch) = match expected_epoch {
            None => (current + 1, NO_PRODUCER_EPOCH),
            Some(expected) if self.is_unborn() || expected == current => (current + 1, current),
            // The reply to an earlier request was lost. A newer producer would have cleared the
            // last epoch.
            Some(expected) if expected == self.last_producer_epoch => (current, expected),
            Some(_) => return Err(TransactionError::ProducerFenced),
        };
        let transition = Transition {
            value: TransactionLogValue {
                producer_epoch,
                ..self.initialized(transaction_timeout_ms, now_ms)
            },
            last_producer_epoch,
        };
        Ok(self.begin(transition))
    }

    /// A new producer id, when the epochs of the old one are used up.
    pub(super) fn rotate_producer_id(
        &mut self,
        producer_id: i64,
        transaction_timeout_ms: i32,
        records_last_epoch: bool,
        now_ms: i64,
    ) -> Transition {
        let transition = Transition {
            value: TransactionLogValue {
                producer_id,
                producer_epoch: 0,
                ..self.initialized(transaction_timeout_ms, now_ms)
            },
            last_producer_epoch: if records_last_epoch {
                self.value.producer_epoch
            } else {
                NO_PRODUCER_EPOCH
            },
        };
        self.begin(transition)
    }

    fn initialized(&self, transaction_timeout_ms: i32, now_ms: i64) -> TransactionLogValue {
        TransactionLogValue {
            transaction_timeout_ms,
            state: TransactionState::Empty,
            partitions: PartitionSet::new(),
            start_timestamp_ms: -1,
            last_update_timestamp_ms: now_ms,
            ..self.value.clone()
        }
    }

    /// More partitions, and with the first ones a transaction.
    pub(super) fn add_partitions(
        &mut self,
        added: PartitionSet,
        client_transaction_version: TransactionVersion,
        now_ms: i64,
    ) -> Transition {
        let mut value = TransactionLogValue {
            state: TransactionState::Ongoing,
            last_update_timestamp_ms: now_ms,
            client_transaction_version,
            ..self.value.clone()
        };
        if self.value.state != TransactionState::Ongoing {
            value.start_timestamp_ms = now_ms;
        }
        for (topic, partitions) in added {
            value
                .partitions
                .entry(topic)
                .or_default()
                .extend(partitions);
        }
        self.begin(Transition {
            value,
            last_producer_epoch: self.last_producer_epoch,
        })
    }

    /// The decision. `next_producer_id` is -1 unless the epochs are used up.
    pub(super) fn decide(
        &mut self,
        state: TransactionState,
        client_transaction_version: TransactionVersion,
        next_producer_id: i64,
        now_ms: i64,
    ) -> Result<Transition, TransactionError> {
        let current = self.value.producer_epoch;
        let (producer_epoch, last_producer_epoch) =
            if !client_transaction_version.supports_epoch_bump() {
                (current, self.last_producer_epoch)
            } else if current == i16::MAX && state == TransactionState::PrepareAbort {
                // No client was ever told this epoch. The abort goes through, so that the id lives.
                (current, current)
            } else {
                let bumped = current.checked_add(1);
                (bumped.ok_or(TransactionError::UnknownServerError)?, current)
            };
        let mut value = TransactionLogValue {
            producer_epoch,
            next_producer_id,
            state,
            last_update_timestamp_ms: now_ms,
            client_transaction_version,
            ..self.value.clone()
        };
        if self.value.state != TransactionState::Ongoing {
            // An abort of what never began (KIP-890) needs a start all the same.
            value.start_timestamp_ms = now_ms;
        }
        Ok(self.begin(Transition {
            value,
            last_producer_epoch,
        }))
    }

    /// The end, for when all markers are written.
    pub(super) fn complete(&mut self, now_ms: i64) -> Transition {
        self.has_failed_epoch_fence = false;
        let mut value = TransactionLogValue {
            state: match self.value.state {
                TransactionState::PrepareCommit => TransactionState::CompleteCommit,
                _ => TransactionState::CompleteAbort,
            },
            next_producer_id: NO_PRODUCER_ID,
            partitions: PartitionSet::new(),
            last_update_timestamp_ms: now_ms,
            ..self.value.clone()
        };
        let version = self.value.client_transaction_version;
        if version.supports_epoch_bump() && self.value.next_producer_id != NO_PRODUCER_ID {
            value.producer_id = self.value.next_producer_id;
            value.producer_epoch = 0;
        }
        self.begin(Transition {
            value,
            last_producer_epoch: self.last_producer_epoch,
        })
    }

    /// Notes where the id is going.
    fn begin(&mut self, mut transition: Transition) -> Transition {
        self.expect(transition.value.state);
        transition.value.previous_producer_id = self.value.producer_id;
        transition
    }

    /// Notes that a transition to `next` has begun.
    pub(super) fn expect(&mut self, next: TransactionState) {
        assert_eq!(self.pending, None, "{} is on its way already", self.id);
        let from = self.value.state;
        assert!(from.may_become(next), "{from:?} does not become {next:?}");
        self.pending = Some(next);
    }

    /// The append of a transition is durable.
    pub(super) fn arrive(&mut self, transition: Transition) {
        debug_assert_eq!(self.pending, Some(transition.value.state));
        self.pending = None;
        self.value = transition.value;
        self.last_producer_epoch = transition.last_producer_epoch;
    }
}
