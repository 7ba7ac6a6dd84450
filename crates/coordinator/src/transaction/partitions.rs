//! The partitions of a transaction: adding them, and telling whether one is there.

use std::sync::Arc;

use super::fenced_before;
use super::message::{AddPartitionsRequest, TransactionReply, VerifiedPartition, VerifiedTopic};
use super::metadata::{Transaction, Transition};
use super::record::PartitionSet;
use super::state::TransactionState;
use super::turn::{Effect, Transactions, Turn};
use crate::error::TransactionError;
use crate::group::message::TopicPartitions;
use crate::outcome::Ticket;

/// Adds to a transaction, which begins with its first partitions.
pub(super) fn add(
    transactions: &mut Transactions,
    turn: &mut Turn<'_>,
    request: &AddPartitionsRequest,
    ticket: Ticket,
) {
    match next(transactions, turn, request) {
        Ok(Some((id, transition))) => {
            let effect = Effect::AddPartitions {
                id: id.clone(),
                transition: transition.clone(),
                ticket,
            };
            turn.append_transition(&id, &transition, effect);
        }
        Ok(None) => turn.reply(ticket, TransactionReply::AddPartitions(None)),
        Err(error) => {
            let error = fenced_before(2, request.api_version, error);
            turn.reply(ticket, TransactionReply::AddPartitions(Some(error)));
        }
    }
}

/// `None` when all partitions are there already.
fn next(
    transactions: &mut Transactions,
    turn: &Turn<'_>,
    request: &AddPartitionsRequest,
) -> Result<Option<(Arc<str>, Transition)>, TransactionError> {
    if request.transactional_id.is_empty() {
        return Err(TransactionError::InvalidRequest);
    }
    let transaction = transactions
        .get_mut(request.transactional_id.as_str())
        .ok_or(TransactionError::InvalidProducerIdMapping)?;
    // First, because the producer may be using an id and epoch that are only pending.
    if transaction.pending.is_some() {
        return Err(TransactionError::ConcurrentTransactions);
    }
    check_producer(transaction, request)?;
    let is_ongoing = transaction.value.state == TransactionState::Ongoing;
    if is_ongoing
        && all(&request.topics, |topic, id| {
            transaction.has_partition(topic, id)
        })
    {
        return Ok(None);
    }
    let added = partition_set(&request.topics)?;
    let version = request.client_transaction_version;
    let transition = transaction.add_partitions(added, version, turn.now_ms);
    Ok(Some((transaction.id.clone(), transition)))
}

fn check_producer(
    transaction: &Transaction,
    request: &AddPartitionsRequest,
) -> Result<(), TransactionError> {
    if transaction.value.producer_id != request.producer_id {
        Err(TransactionError::InvalidProducerIdMapping)
    } else if transaction.value.producer_epoch != request.producer_epoch {
        Err(TransactionError::ProducerFenced)
    } else if transaction.value.state.is_prepared() {
        Err(TransactionError::ConcurrentTransactions)
    } else {
        Ok(())
    }
}

fn all(topics: &[TopicPartitions], is_there: impl Fn(&str, i32) -> bool) -> bool {
    let is_there_all = |topic: &TopicPartitions| {
        let mut partitions = topic.partitions.iter();
        partitions.all(|partition| is_there(&topic.name, *partition))
    };
    topics.iter().all(is_there_all)
}

fn partition_set(topics: &[TopicPartitions]) -> Result<PartitionSet, TransactionError> {
    let mut set = PartitionSet::new();
    for topic in topics.iter().filter(|topic| !topic.partitions.is_empty()) {
        // No topic has such a name; a record could not say it.
        if topic.name.len() > i16::MAX as usize {
            return Err(TransactionError::InvalidRequest);
        }
        let partitions = set.entry(topic.name.clone()).or_default();
        partitions.extend(&topic.partitions);
    }
    Ok(set)
}

/// The append of more partitions was reported.
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
    match stored {
        Ok(()) => {
            transaction.arrive(transition);
            turn.watch(transaction);
        }
        Err(_) => transaction.pending = None,
    }
    turn.reply(ticket, TransactionReply::AddPartitions(stored.err()));
}

/// Whether each partition is part of the producer's transaction, as far as it is stored.
pub(super) fn verify(
    transactions: &Transactions,
    request: &AddPartitionsRequest,
) -> Result<Vec<VerifiedTopic>, TransactionError> {
    if request.transactional_id.is_empty() {
        return Err(TransactionError::InvalidRequest);
    }
    let transaction = transactions
        .get(request.transactional_id.as_str())
        .ok_or(TransactionError::InvalidProducerIdMapping)?;
    check_producer(transaction, request)?;
    let verified = verified(&request.topics, |topic, partition| {
        let is_there = transaction.has_partition(topic, partition);
        (!is_there).then_some(TransactionError::TransactionAbortable)
    });
    Ok(verified)
}

/// The answer for each partition of a request, in its order.
pub(super) fn verified(
    topics: &[TopicPartitions],
    error: impl Fn(&str, i32) -> Option<TransactionError>,
) -> Vec<VerifiedTopic> {
    let verified = |topic: &TopicPartitions| VerifiedTopic {
        name: topic.name.clone(),
        partitions: topic
            .partitions
            .iter()
            .map(|partition| VerifiedPartition {
                partition: *partition,
                error: error(&topic.name, *partition),
            })
            .collect(),
    };
    topics.iter().map(verified).collect()
}
