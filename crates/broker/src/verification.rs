//! Verification (KIP-890): before a transaction is opened in a partition, its coordinator is asked.
//!
//! Clients of transactions v2 rely on it to add the partition; of others it is only asked whether
//! the partition was added. The log hands out a guard before the question, and takes no batch
//! without it: a marker that comes in between has taken the guard away.
//!
//! Holds no lock.

use std::sync::Arc;
use std::time::Duration;

use lastword_coordinator::{
    AddPartitionsRequest, TopicPartitions, TransactionError, TransactionReply, TransactionVersion,
};
use tokio::time::Instant;

use crate::broker::Broker;
use crate::coordinator::transactions;

/// The version of AddPartitionsToTxn in which brokers add for clients.
const ADD_FOR_CLIENTS: i16 = 5;

/// What a request asks of the coordinator, by its version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    /// The client adds partitions itself; it does not know TRANSACTION_ABORTABLE.
    Verify,
    /// The client adds partitions itself.
    VerifyAbortable,
    /// The client speaks transactions v2: writing adds the partition.
    Add,
}

/// The transaction of a request.
#[derive(Clone, Debug)]
pub(crate) struct Producer<'a> {
    pub(crate) transactional_id: &'a str,
    pub(crate) producer_id: i64,
    pub(crate) producer_epoch: i16,
}

impl Operation {
    /// Of a Produce request.
    pub(crate) fn of_produce(api_version: i16) -> Operation {
        match api_version {
            ..=10 => Operation::Verify,
            11 => Operation::VerifyAbortable,
            12.. => Operation::Add,
        }
    }

    /// Of a TxnOffsetCommit request.
    pub(crate) fn of_txn_offset_commit(api_version: i16) -> Operation {
        match api_version {
            ..=3 => Operation::Verify,
            4 => Operation::VerifyAbortable,
            5.. => Operation::Add,
        }
    }

    /// Whether the coordinator is asked at all.
    pub(crate) fn is_needed(self, broker: &Broker) -> bool {
        self == Operation::Add || broker.config.transactions.verify_partitions
    }
}

/// Whether a producer that was told this will not write here, so that its guard can be forgotten.
pub(crate) fn is_final(error: TransactionError) -> bool {
    matches!(
        error,
        TransactionError::InvalidProducerIdMapping
            | TransactionError::InvalidProducerEpoch
            | TransactionError::InvalidTxnState
            | TransactionError::TransactionAbortable
    )
}

/// Asks the coordinator about partitions; the answers are in their order.
pub(crate) async fn ask(
    broker: &Arc<Broker>,
    operation: Operation,
    producer: &Producer<'_>,
    topics: Vec<TopicPartitions>,
) -> Vec<Option<TransactionError>> {
    let count = topics.iter().map(|topic| topic.partitions.len()).sum();
    let wanted = AddPartitionsRequest {
        transactional_id: producer.transactional_id.to_owned(),
        producer_id: producer.producer_id,
        producer_epoch: producer.producer_epoch,
        topics,
        client_transaction_version: TransactionVersion::of_add_partitions_to_txn(ADD_FOR_CLIENTS),
        api_version: ADD_FOR_CLIENTS,
    };
    let mut errors = if operation == Operation::Add {
        vec![add(broker, &wanted).await; count]
    } else {
        verify(broker, &wanted, count).await
    };
    for error in errors.iter_mut().flatten() {
        *error = match *error {
            // Producers expect this one here.
            TransactionError::ProducerFenced => TransactionError::InvalidProducerEpoch,
            TransactionError::TransactionAbortable if operation == Operation::Verify => {
                TransactionError::InvalidTxnState
            }
            other => other,
        };
    }
    errors
}

async fn verify(
    broker: &Arc<Broker>,
    wanted: &AddPartitionsRequest,
    count: usize,
) -> Vec<Option<TransactionError>> {
    let verified = transactions::query(broker, &wanted.transactional_id, |machine, _| {
        Ok(machine.verify_partitions(wanted))
    })
    .await;
    match verified {
        Err(error) => vec![Some(error); count],
        Ok(topics) => {
            let partitions = topics.into_iter().flat_map(|topic| topic.partitions);
            partitions.map(|partition| partition.error).collect()
        }
    }
}

async fn add(broker: &Arc<Broker>, wanted: &AddPartitionsRequest) -> Option<TransactionError> {
    let pending = transactions::submit(
        broker,
        &wanted.transactional_id,
        |machine, ticket, now_ms| machine.add_partitions(wanted, ticket, now_ms),
    );
    match transactions::wait(pending.await).await {
        Ok(TransactionReply::AddPartitions(error)) => error,
        Ok(_) => Some(TransactionError::UnknownServerError),
        Err(error) => Some(error),
    }
}

/// How long a request of transactions v2 tries to open its transaction.
///
/// It may have to wait for the markers of the one before, which takes a moment. These markers take
/// guards away, so that each attempt begins with guards of its own.
pub(crate) struct Patience {
    deadline: Instant,
    backoff: Duration,
}

impl Patience {
    /// Begins now.
    pub(crate) fn new(broker: &Broker) -> Patience {
        let settings = &broker.config.transactions;
        Patience {
            deadline: Instant::now() + settings.add_partitions_patience,
            backoff: settings.add_partitions_backoff,
        }
    }

    /// Waits for the next attempt; false when there is none.
    pub(crate) async fn wait(&self) -> bool {
        let is_left = Instant::now() < self.deadline;
        if is_left {
            tokio::time::sleep(self.backoff).await;
        }
        is_left
    }
}
