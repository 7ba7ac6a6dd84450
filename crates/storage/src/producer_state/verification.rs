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
    begun_ms: i64,
}

#[derive(Debug, Default)]
pub(super) struct Verifications {
    by_producer: HashMap<i64, Verification>,
    next_guard: u64,
}

impl Verifications {
    /// The guard of the verification that is under way, or of a new one.
    pub(super) fn begin(
        &mut self,
        producer_id: i64,
        epoch: i16,
        first_sequence: i32,
        now_ms: i64,
    ) -> VerificationGuard {
        let next_guard = &mut self.next_guard;
        let entry = self.by_producer.entry(producer_id).or_insert_with(|| {
            let guard = VerificationGuard(*next_guard);
            *next_guard += 1;
            Verification {
                guard,
                epoch,
                lowest_sequence: first_sequence,
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

    /// Refuses a batch that overtakes an earlier one of its producer which also waits.
    pub(super) fn check_sequence(
        &self,
        producer_id: i64,
        first_sequence: i32,
    ) -> Result<(), ProducerStateError> {
        match self.by_producer.get(&producer_id) {
            Some(entry) if first_sequence > entry.lowest_sequence => {
                Err(ProducerStateError::OutOfOrderSequence {
                    producer_id,
                    expected: entry.lowest_sequence,
                    got: first_sequence,
                })
            }
            _ => Ok(()),
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
