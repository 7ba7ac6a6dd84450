//! Which producers are about to open a transaction in this log, and with which guard (KIP-890).
//!
//! A batch may open a transaction only if the transaction coordinator knows that this log takes
//! part. The broker asks it while the log is not locked, so a marker may end the transaction in
//! between, and the batch would open one that nobody ends. Therefore: before it asks, the log hands
//! out a guard; a marker, like the first batch, takes the guard away; and a batch that would open a
//! transaction without the guard in force is refused.
//!
//! A guard is never handed out twice. Guards are not persisted: a restart takes all of them away.

use std::collections::HashMap;

use super::ProducerStateError;

/// Names one verification of one producer in one log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerificationGuard(u64);

#[derive(Clone, Copy, Debug)]
struct Verification {
    guard: VerificationGuard,
    epoch: i16,
    /// The lowest first sequence of the batches that wait: the one that has to come first.
    lowest_sequence: i32,
    bumps_epochs: bool,
    begun_ms: i64,
}

/// What wants to open a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opening {
    pub producer_id: i64,
    pub producer_epoch: i16,
    /// Base sequence of the batch, -1 when the coordinator of groups writes it.
    pub first_sequence: i32,
    /// Each transaction of the producer has an epoch of its own (transactions v2), so that its
    /// sequences begin at 0.
    pub bumps_epochs: bool,
}

#[derive(Debug, Default)]
pub(super) struct Verifications {
    by_producer: HashMap<i64, Verification>,
    next_guard: u64,
}

impl Verifications {
    /// The guard of the verification that is under way, or of a new one.
    pub(super) fn begin(&mut self, opening: Opening, now_ms: i64) -> VerificationGuard {
        let Opening {
            producer_epoch: epoch,
            first_sequence,
            ..
        } = opening;
        let next_guard = &mut self.next_guard;
        let entry = self.by_producer.entry(opening.producer_id);
        let entry = entry.or_insert_with(|| {
            let guard = VerificationGuard(*next_guard);
            *next_guard += 1;
            Verification {
                guard,
                epoch,
                lowest_sequence: first_sequence,
                bumps_epochs: opening.bumps_epochs,
                begun_ms: now_ms,
            }
        });
        if epoch > entry.epoch {
            // Sequences begin again with an epoch.
            entry.epoch = epoch;
            entry.lowest_sequence = first_sequence;
        } else if epoch == entry.epoch {
            entry.lowest_sequence = entry.lowest_sequence.min(first_sequence);
        }
        entry.guard
    }

    pub(super) fn is_in_force(&self, producer_id: i64, guard: VerificationGuard) -> bool {
        let entry = self.by_producer.get(&producer_id);
        entry.is_some_and(|entry| entry.guard == guard)
    }

    /// Refuses a batch that overtakes an earlier one of its producer which also waits, and one that
    /// is not the first of an epoch of which the log has no batch.
    pub(super) fn check_sequence(
        &self,
        producer_id: i64,
        first_sequence: i32,
        has_batches: bool,
    ) -> Result<(), ProducerStateError> {
        let Some(entry) = self.by_producer.get(&producer_id) else {
            return Ok(());
        };
        let expected = if entry.bumps_epochs && !has_batches {
            0
        } else {
            entry.lowest_sequence
        };
        if first_sequence > expected {
            return Err(ProducerStateError::OutOfOrderSequence {
                producer_id,
                expected,
                got: first_sequence,
            });
        }
        Ok(())
    }

    /// The producer will not write here under this guard.
    pub(super) fn abandon(&mut self, producer_id: i64, guard: VerificationGuard) {
        if self.is_in_force(producer_id, guard) {
            self.end(producer_id);
        }
    }

    /// The first batch or a marker is in the log.
    pub(super) fn end(&mut self, producer_id: i64) {
        self.by_producer.remove(&producer_id);
    }

    pub(super) fn expire(&mut self, now_ms: i64, expiration_ms: i64) {
        self.by_producer
            .retain(|_, entry| now_ms.saturating_sub(entry.begun_ms) < expiration_ms);
    }
}
