//! After the decision: its markers, then the record that all is done.
//!
//! The runtime writes the markers and says when they are durable. What could not be written is
//! asked for again after a pause, and so is the record, until it works: a decided transaction is
//! never given up. A crash begins again at `loaded`, for all partitions; a marker that is written
//! twice says the same thing twice.

use super::metadata::{Transaction, Transition};
use super::record::PartitionSet;
use super::state::TransactionState;
use super::turn::{Effect, TimerKey, Transactions, Turn};
use crate::error::TransactionError;
use crate::group::message::TopicPartitions;
use crate::outcome::{MarkerId, MarkerWrite};

/// At most this often is the pause between two attempts doubled.
const DOUBLINGS_MAX: u32 = 7;

/// How far a decided transaction has come.
#[derive(Debug)]
pub(super) struct Marking {
    /// What the id becomes in the end.
    completion: Transition,
    /// Where the marker is missing.
    unmarked: PartitionSet,
    step: Step,
    failures: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// The runtime writes markers.
    Writing,
    /// The completion is being appended.
    Appending,
    /// One of them failed; a timer runs.
    Paused,
}

/// Begins with a transaction that is decided and whose completion is pending.
pub(super) fn start(transaction: &mut Transaction, turn: &mut Turn<'_>, completion: Transition) {
    let marking = Marking {
        completion,
        unmarked: transaction.value.partitions.clone(),
        step: Step::Writing,
        failures: 0,
    };
    transaction.marking = Some(marking);
    proceed(transaction, turn);
}

fn proceed(transaction: &mut Transaction, turn: &mut Turn<'_>) {
    let Some(marking) = &mut transaction.marking else {
        return;
    };
    let value = &transaction.value;
    if marking.unmarked.is_empty() {
        marking.step = Step::Appending;
        let effect = Effect::Complete {
            id: transaction.id.clone(),
        };
        turn.append_transition(&transaction.id, &marking.completion, effect);
        return;
    }
    marking.step = Step::Writing;
    let id = turn.marker_writes.push(transaction.id.clone());
    turn.outcome.markers.push(MarkerWrite {
        id,
        producer_id: value.producer_id,
        producer_epoch: value.producer_epoch,
        coordinator_epoch: turn.config.coordinator_epoch,
        is_commit: value.state == TransactionState::PrepareCommit,
        transaction_version: value.client_transaction_version.level() as i8,
        topics: topics(&marking.unmarked),
    });
}

pub(super) fn topics(partitions: &PartitionSet) -> Vec<TopicPartitions> {
    let topic = |(name, partitions): (&String, &std::collections::BTreeSet<i32>)| TopicPartitions {
        name: name.clone(),
        partitions: partitions.iter().copied().collect(),
    };
    partitions.iter().map(topic).collect()
}

/// The runtime has written markers, except into the partitions that `result` names.
pub(super) fn written(
    transactions: &mut Transactions,
    turn: &mut Turn<'_>,
    id: MarkerId,
    result: Result<(), Vec<TopicPartitions>>,
) {
    let transaction = turn.marker_writes.ids.remove(&id);
    let transaction = transaction.and_then(|id| transactions.get_mut(&id));
    let Some(transaction) = transaction else {
        tracing::warn!(id = id.0, "markers were reported that nobody asked for");
        return;
    };
    let Some(marking) = &mut transaction.marking else {
        return;
    };
    let failed = result.err().unwrap_or_default();
    marking.unmarked.retain(|topic, partitions| {
        partitions.retain(|partition| {
            let is_here = |failed: &TopicPartitions| {
                failed.name == *topic && failed.partitions.contains(partition)
            };
            failed.iter().any(is_here)
        });
        !partitions.is_empty()
    });
    if marking.unmarked.is_empty() {
        marking.failures = 0;
        proceed(transaction, turn);
    } else {
        tracing::warn!(
            transactional_id = %transaction.id,
            ?failed,
            "markers could not be written, they are tried again"
        );
        pause(transaction, turn);
    }
}

fn pause(transaction: &mut Transaction, turn: &mut Turn<'_>) {
    let Some(marking) = &mut transaction.marking else {
        return;
    };
    marking.step = Step::Paused;
    let factor = 1i64 << marking.failures.min(DOUBLINGS_MAX);
    marking.failures = marking.failures.saturating_add(1);
    let pause_ms = turn.config.marker_retry_backoff_ms.saturating_mul(factor);
    turn.schedule(TimerKey::Marking(transaction.id.clone()), pause_ms);
}

/// The pause is over.
pub(super) fn resume(transaction: &mut Transaction, turn: &mut Turn<'_>) {
    let step = transaction.marking.as_ref().map(|marking| marking.step);
    if step == Some(Step::Paused) {
        proceed(transaction, turn);
    }
}

/// The append of a completion was reported.
pub(super) fn settle(
    transaction: &mut Transaction,
    turn: &mut Turn<'_>,
    stored: Result<(), TransactionError>,
) {
    match stored {
        Ok(()) => {
            if let Some(marking) = transaction.marking.take() {
                transaction.arrive(marking.completion);
            }
        }
        Err(error) => {
            tracing::warn!(
                transactional_id = %transaction.id,
                %error,
                "the end of a transaction could not be stored, it is tried again"
            );
            pause(transaction, turn);
        }
    }
}

/// Partitions are gone: nobody waits for markers in them any more.
pub(super) fn partitions_deleted(
    transaction: &mut Transaction,
    turn: &mut Turn<'_>,
    deleted: &[TopicPartitions],
) {
    let Some(marking) = &mut transaction.marking else {
        return;
    };
    if marking.unmarked.is_empty() {
        return;
    }
    for topic in deleted {
        if let Some(partitions) = marking.unmarked.get_mut(&topic.name) {
            for partition in &topic.partitions {
                partitions.remove(partition);
            }
            if partitions.is_empty() {
                marking.unmarked.remove(&topic.name);
            }
        }
    }
    if marking.unmarked.is_empty() && marking.step == Step::Paused {
        let key = TimerKey::Marking(transaction.id.clone());
        turn.timers.cancel(&key);
        proceed(transaction, turn);
    }
}
