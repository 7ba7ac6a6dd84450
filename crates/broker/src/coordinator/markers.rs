//! The ends of transactions, written into the partitions that they wrote to.
//!
//! A machine that has decided a transaction puts a [`MarkerWrite`] on the queue. Each is written by
//! a task of its own: a control batch into every partition, one wait for all of them (one sync
//! makes them durable together), and the machine is told. Markers of `__consumer_offsets` go
//! through the shard of the partition, so that its groups hear of them in the order of the log.
//!
//! Invariants
//! - A partition that no longer exists counts as written.
//! - A marker may be written again after a crash: the second one ends nothing and is harmless.
//!
//! No lock.

use std::sync::{Arc, Weak};
use std::time::Duration;

use lastword_coordinator::{AppendError, GroupCoordinator, MarkerWrite, TopicPartitions};
use lastword_protocol::ErrorCode;
use lastword_record::control::{EndTxnMarker, end_txn_marker};
use lastword_storage::{Appended, StorageError};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::machine::Machine;
use super::transactions;
use crate::broker::Broker;
use crate::error_map::{ApiError, storage_code};
use crate::metadata::GROUP_METADATA_TOPIC;
use crate::partition::Partition;

/// Markers to write, by the number of the shard that asks for them.
pub(crate) type MarkerQueue = mpsc::UnboundedSender<(i32, MarkerWrite)>;

/// How long to wait for a shard of groups that is still loading.
const LOADING_BACKOFF: Duration = Duration::from_millis(10);
/// A wait for durability is looked at again after this long.
const WAIT_INTERVAL: Duration = Duration::from_secs(30);

/// The transaction version from which on every transaction has an epoch of its own (KIP-890).
const VERSION_WITH_EPOCH_BUMPS: i8 = 2;

/// The end of a transaction, for any partition.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Marker {
    pub(crate) producer_id: i64,
    pub(crate) producer_epoch: i16,
    pub(crate) coordinator_epoch: i32,
    /// COMMIT, else ABORT.
    pub(crate) is_commit: bool,
    /// 0 to 2.
    pub(crate) transaction_version: i8,
}

impl Marker {
    /// Appends it as a control batch, dated now.
    pub(super) fn append_to(
        self,
        partition: &Partition,
        now_ms: i64,
    ) -> Result<Appended, StorageError> {
        let marker = EndTxnMarker {
            is_commit: self.is_commit,
            base_offset: 0,
            timestamp: now_ms,
            leader_epoch: crate::partition::LEADER_EPOCH,
            producer_id: self.producer_id,
            producer_epoch: self.producer_epoch,
            coordinator_epoch: self.coordinator_epoch,
        };
        let bumps_epochs = self.transaction_version >= VERSION_WITH_EPOCH_BUMPS;
        partition.append_marker(&end_txn_marker(&marker)?, bumps_epochs)
    }
}

/// A marker that is in the log and not durable yet.
pub(crate) enum Written {
    /// Visible once the high watermark has reached the offset.
    Log(Arc<Partition>, i64),
    /// A shard tells when it is durable and its groups know.
    Shard(oneshot::Receiver<Result<(), AppendError>>),
}

/// Why a marker is not in the log, or not durable.
#[derive(Debug)]
pub(crate) enum Refused {
    /// The groups of the partition are being loaded; ask again.
    Loading,
    /// The broker is stopping.
    Stopped,
    Storage(StorageError),
    /// There is no such partition, or it cannot be used.
    Partition(ApiError),
}

impl Refused {
    /// Nobody needs the marker: the partition is gone, or a newer producer or coordinator has
    /// written to it, before which this transaction must have been ended.
    fn counts_as_written(&self) -> bool {
        match self {
            Refused::Loading | Refused::Stopped => false,
            Refused::Partition(error) => error.code == ErrorCode::UnknownTopicOrPartition,
            Refused::Storage(error) => matches!(
                error,
                StorageError::Closed
                    | StorageError::UnknownPartition { .. }
                    | StorageError::InvalidProducerEpoch { .. }
                    | StorageError::TransactionCoordinatorFenced { .. }
            ),
        }
    }

    /// The code on the wire.
    pub(crate) fn code(&self) -> ErrorCode {
        match self {
            Refused::Loading => ErrorCode::CoordinatorLoadInProgress,
            Refused::Stopped => ErrorCode::NotLeaderOrFollower,
            Refused::Storage(error) => storage_code(error),
            Refused::Partition(error) => error.code,
        }
    }
}

impl From<StorageError> for Refused {
    fn from(error: StorageError) -> Refused {
        Refused::Storage(error)
    }
}

/// Takes markers off the queue until the broker is gone.
pub(super) async fn run(
    broker: Weak<Broker>,
    mut queue: mpsc::UnboundedReceiver<(i32, MarkerWrite)>,
) {
    while let Some((shard, write)) = queue.recv().await {
        let Some(broker) = broker.upgrade() else {
            return;
        };
        tokio::spawn(async move {
            let result = write_everywhere(&broker, &write).await;
            transactions::markers_written(&broker, shard, write.id, result);
        });
    }
}

/// `Err` with the partitions that do not have the marker.
async fn write_everywhere(
    broker: &Arc<Broker>,
    write: &MarkerWrite,
) -> Result<(), Vec<TopicPartitions>> {
    let marker = Marker {
        producer_id: write.producer_id,
        producer_epoch: write.producer_epoch,
        coordinator_epoch: write.coordinator_epoch,
        is_commit: write.is_commit,
        transaction_version: write.transaction_version,
    };
    let mut written = Vec::new();
    for topic in &write.topics {
        for &number in &topic.partitions {
            written.push((
                &topic.name,
                number,
                begin(broker, marker, &topic.name, number).await,
            ));
        }
    }
    let mut failed: Vec<TopicPartitions> = Vec::new();
    for (topic, number, begun) in written {
        let result = match begun {
            Ok(written) => finish(written).await,
            Err(refused) => Err(refused),
        };
        let Err(refused) = result else { continue };
        if refused.counts_as_written() {
            tracing::info!(
                topic,
                partition = number,
                ?marker,
                ?refused,
                "a marker is not needed"
            );
            continue;
        }
        tracing::warn!(
            topic,
            partition = number,
            ?marker,
            ?refused,
            "a marker is not written"
        );
        match failed.last_mut() {
            Some(last) if last.name == *topic => last.partitions.push(number),
            _ => failed.push(TopicPartitions {
                name: topic.clone(),
                partitions: vec![number],
            }),
        }
    }
    if failed.is_empty() {
        Ok(())
    } else {
        Err(failed)
    }
}

/// Writes a marker into a partition; waits only for groups that are being loaded.
pub(crate) async fn begin(
    broker: &Arc<Broker>,
    marker: Marker,
    topic: &str,
    number: i32,
) -> Result<Written, Refused> {
    let find = || {
        broker
            .partitions
            .find(topic, number)
            .map_err(Refused::Partition)
    };
    if topic != GROUP_METADATA_TOPIC {
        return append(&find()?, marker, broker.clock.now_ms());
    }
    loop {
        let Some(shard) = GroupCoordinator::topic(broker).of_partition(number) else {
            // A partition without a shard was not there when the broker started.
            return append(&find()?, marker, broker.clock.now_ms());
        };
        match shard.write_marker(marker) {
            Err(Refused::Loading) => tokio::time::sleep(LOADING_BACKOFF).await,
            written => return written,
        }
    }
}

fn append(partition: &Arc<Partition>, marker: Marker, now_ms: i64) -> Result<Written, Refused> {
    let appended = marker.append_to(partition, now_ms)?;
    Ok(Written::Log(partition.clone(), appended.last_offset + 1))
}

/// Waits until a marker is durable.
pub(crate) async fn finish(written: Written) -> Result<(), Refused> {
    match written {
        Written::Shard(told) => match told.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => {
                let error = ApiError::new(ErrorCode::KafkaStorageError, error.to_string());
                Err(Refused::Partition(error))
            }
            // The broker stops.
            Err(_) => Err(Refused::Stopped),
        },
        Written::Log(partition, next_offset) => loop {
            let deadline = Instant::now() + WAIT_INTERVAL;
            match partition.wait_visible(next_offset, deadline).await {
                Ok(()) => return Ok(()),
                Err(error) if error.code == ErrorCode::RequestTimedOut => {}
                Err(error) => return Err(Refused::Partition(error)),
            }
        },
    }
}
