//! `Transactions`: transactional ids over the partitions of `__transaction_state`, as the handlers
//! see them.
//!
//! No lock of its own; see `internal_topic` and `runtime`.

use std::sync::{Arc, Mutex};

use lastword_coordinator::{
    ListedTransaction, MarkerId, MarkerWrite, Outcome, Ticket, TopicPartitions, TransactionConfig,
    TransactionCoordinator, TransactionError, TransactionFilters, TransactionReply,
    TransactionVersion,
};
use lastword_storage::Clock;
use tokio::sync::mpsc;

use super::internal_topic::{self, InternalTopic};
use super::machine::Machine;
use super::{markers, runtime};
use crate::broker::Broker;
use crate::config::TransactionSettings;
use crate::lock::lock;
use crate::partition::LEADER_EPOCH;

/// One partition's transactional ids.
pub(crate) type Shard = runtime::Shard<TransactionCoordinator>;

/// A reply about a transaction that will come.
pub(crate) type Pending = runtime::Pending<TransactionCoordinator>;

/// The transaction coordinator of this broker.
pub struct Transactions {
    pub(super) topic: InternalTopic<TransactionCoordinator>,
    /// The markers to write, until the task that writes them takes the queue.
    markers: Mutex<Option<mpsc::UnboundedReceiver<(i32, MarkerWrite)>>>,
}

impl Transactions {
    /// A coordinator that serves nobody before it is started.
    pub fn new(settings: &TransactionSettings, clock: Clock) -> Transactions {
        let (sender, receiver) = mpsc::unbounded_channel();
        Transactions {
            topic: InternalTopic::new(transaction_config(settings), clock, Some(sender)),
            markers: Mutex::new(Some(receiver)),
        }
    }

    /// Whether transactions of earlier starts are still being loaded.
    pub fn is_loading(&self) -> bool {
        self.topic.is_loading()
    }
}

/// The state machine's settings out of the broker's.
fn transaction_config(settings: &TransactionSettings) -> TransactionConfig {
    TransactionConfig {
        transaction_max_timeout_ms: settings.max_timeout_ms,
        transactional_id_expiration_ms: settings.transactional_id_expiration_ms,
        abort_timed_out_transactions_interval_ms: settings.abort_timed_out_interval_ms,
        remove_expired_transactional_ids_interval_ms: settings.remove_expired_interval_ms,
        transaction_two_phase_commit_enable: settings.two_phase_commit,
        transaction_version: TransactionVersion::V2,
        coordinator_epoch: LEADER_EPOCH,
        ..TransactionConfig::default()
    }
}

// Start and stop

/// Loads what there is, in the background; transactions that are decided are ended.
pub(crate) fn start(broker: &Arc<Broker>) {
    let queue = lock(&broker.transactions.markers).take();
    if let Some(queue) = queue {
        tokio::spawn(markers::run(Arc::downgrade(broker), queue));
    }
    internal_topic::start::<TransactionCoordinator>(broker);
}

/// Answers everybody who is parked, so that connections can end. Nothing is appended afterwards.
pub(crate) fn stop(broker: &Broker) {
    broker.transactions.topic.stop();
}

// Requests

/// The shard that has a transactional id; creates the topic when there is none.
pub(crate) async fn shard_of(
    broker: &Arc<Broker>,
    transactional_id: &str,
) -> Result<Arc<Shard>, TransactionError> {
    internal_topic::shard_of(broker, transactional_id).await
}

/// Passes a request to the shard of its transactional id.
pub(crate) async fn submit(
    broker: &Arc<Broker>,
    transactional_id: &str,
    call: impl FnOnce(&mut TransactionCoordinator, Ticket, i64) -> Outcome<TransactionReply>,
) -> Result<Pending, TransactionError> {
    shard_of(broker, transactional_id).await?.submit(call)
}

/// Waits for the reply to a request that was passed on.
pub(crate) async fn wait(
    pending: Result<Pending, TransactionError>,
) -> Result<TransactionReply, TransactionError> {
    pending?.await.map_err(|_| TransactionError::NotCoordinator)
}

/// Asks the shard of a transactional id something that is answered at once.
pub(crate) async fn query<T>(
    broker: &Arc<Broker>,
    transactional_id: &str,
    call: impl FnOnce(&mut TransactionCoordinator, i64) -> Result<T, TransactionError>,
) -> Result<T, TransactionError> {
    shard_of(broker, transactional_id).await?.query(call)
}

/// Every transactional id of this broker that passes the filters; none when nobody has used
/// transactions yet.
pub(crate) fn list(
    broker: &Broker,
    filters: &TransactionFilters,
) -> Result<Vec<ListedTransaction>, TransactionError> {
    let now_ms = broker.clock.now_ms();
    let mut listed = Vec::new();
    for shard in broker.transactions.topic.shards() {
        listed.extend(shard.look(|machine| machine.list(filters, now_ms))?);
    }
    Ok(listed)
}

/// Tells a shard that the end of a transaction is written everywhere, or cannot be now.
pub(super) fn markers_written(
    broker: &Broker,
    shard: i32,
    id: MarkerId,
    result: Result<(), Vec<TopicPartitions>>,
) {
    if let Some(shard) = broker.transactions.topic.of_partition(shard) {
        shard.change(|machine, now_ms| Machine::markers_written(machine, id, result, now_ms));
    }
}

/// Takes the partitions of a topic that was deleted out of the open transactions.
pub(crate) fn topic_deleted(broker: &Broker, name: &str, partition_count: i32) {
    let deleted = [TopicPartitions {
        name: name.to_owned(),
        partitions: (0..partition_count).collect(),
    }];
    for shard in broker.transactions.topic.shards() {
        shard.change(|machine, now_ms| machine.partitions_deleted(&deleted, now_ms));
    }
}
