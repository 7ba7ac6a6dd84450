//! `Machine`: what a shard asks of the state machine that it binds to a partition.
//!
//! Two machines, one runtime: groups in `__consumer_offsets`, transactions in `__transaction_state`.

use lastword_coordinator::{
    AppendError, AppendId, CoordinatorError, GroupConfig, GroupCoordinator, GroupError, MarkerId,
    Outcome, Reply, Ticket, TopicPartitions, TransactionConfig, TransactionCoordinator,
    TransactionError, TransactionFilters, TransactionReply,
};

use super::internal_topic::InternalTopic;
use crate::broker::Broker;
use crate::metadata::{GROUP_METADATA_TOPIC, TRANSACTION_STATE_TOPIC};
use crate::partition::Partition;

/// A state machine of one partition. Its calls do no I/O; they are serialized by the shard.
pub(crate) trait Machine: Sized + Send + 'static {
    type Config: Clone + Send + Sync;
    type Reply: Send;
    type Error: Copy + Send;

    /// Its internal topic.
    const TOPIC: &'static str;
    /// What it keeps, for the log of the broker.
    const WHAT: &'static str;
    /// The partition cannot be read.
    const NOT_AVAILABLE: Self::Error;
    /// The broker is stopping.
    const NOT_COORDINATOR: Self::Error;

    /// The shards of its topic.
    fn topic(broker: &Broker) -> &InternalTopic<Self>;
    /// How many keys it has.
    fn len(&self) -> usize;
    /// The settings of the machine of one partition.
    fn config_for(config: &Self::Config, _partition: &Partition) -> Self::Config {
        config.clone()
    }

    /// A machine that serves nothing before [`Machine::loaded`].
    fn new(config: Self::Config) -> Self;
    /// Takes in one record of the log; one of a transaction has its producer.
    fn replay(
        &mut self,
        producer_id: Option<i64>,
        key: &[u8],
        value: Option<&[u8]>,
    ) -> Result<(), CoordinatorError>;
    /// Takes in the end of a producer's transaction.
    fn replay_marker(&mut self, producer_id: i64, is_commit: bool);
    /// Everything was replayed.
    fn loaded(&mut self, now_ms: i64) -> Outcome<Self::Reply>;
    /// The fate of one append. Called in the order of the log.
    fn appended(
        &mut self,
        id: AppendId,
        result: Result<(), AppendError>,
        now_ms: i64,
    ) -> Outcome<Self::Reply>;
    /// The markers of an outcome are durable, but for the partitions that are named.
    fn markers_written(
        &mut self,
        id: MarkerId,
        result: Result<(), Vec<TopicPartitions>>,
        now_ms: i64,
    ) -> Outcome<Self::Reply>;
    /// A marker has entered the log of this partition, behind what was appended before.
    fn transaction_ended(
        &mut self,
        producer_id: i64,
        is_commit: bool,
        now_ms: i64,
    ) -> Outcome<Self::Reply>;
    /// Runs the timers that are due.
    fn tick(&mut self, now_ms: i64) -> Outcome<Self::Reply>;
    /// When `tick` is wanted next.
    fn next_deadline_ms(&self) -> Option<i64>;
    /// Gives the partition up: the answers to everybody who waits.
    fn unload(self, error: Self::Error) -> Vec<(Ticket, Self::Reply)>;
}

impl Machine for GroupCoordinator {
    type Config = GroupConfig;
    type Reply = Reply;
    type Error = GroupError;

    const TOPIC: &'static str = GROUP_METADATA_TOPIC;
    const WHAT: &'static str = "groups";
    const NOT_AVAILABLE: GroupError = GroupError::CoordinatorNotAvailable;
    const NOT_COORDINATOR: GroupError = GroupError::NotCoordinator;

    fn topic(broker: &Broker) -> &InternalTopic<GroupCoordinator> {
        &broker.groups.topic
    }

    fn len(&self) -> usize {
        self.list().map_or(0, |groups| groups.len())
    }

    fn new(config: GroupConfig) -> GroupCoordinator {
        GroupCoordinator::new(config)
    }

    fn replay(
        &mut self,
        producer_id: Option<i64>,
        key: &[u8],
        value: Option<&[u8]>,
    ) -> Result<(), CoordinatorError> {
        match producer_id {
            None => self.replay(key, value),
            Some(producer_id) => self.replay_transactional(producer_id, key, value),
        }
    }

    fn replay_marker(&mut self, producer_id: i64, is_commit: bool) {
        self.replay_marker(producer_id, is_commit);
    }

    fn loaded(&mut self, now_ms: i64) -> Outcome {
        self.loaded(now_ms)
    }

    fn appended(&mut self, id: AppendId, result: Result<(), AppendError>, now_ms: i64) -> Outcome {
        self.appended(id, result, now_ms)
    }

    fn markers_written(
        &mut self,
        _: MarkerId,
        _: Result<(), Vec<TopicPartitions>>,
        _: i64,
    ) -> Outcome {
        // It asks for no markers.
        Outcome::default()
    }

    fn transaction_ended(&mut self, producer_id: i64, is_commit: bool, now_ms: i64) -> Outcome {
        self.transaction_ended(producer_id, is_commit, now_ms)
    }

    fn tick(&mut self, now_ms: i64) -> Outcome {
        self.tick(now_ms)
    }

    fn next_deadline_ms(&self) -> Option<i64> {
        self.next_deadline_ms()
    }

    fn unload(self, error: GroupError) -> Vec<(Ticket, Reply)> {
        self.unload(error)
    }
}

impl Machine for TransactionCoordinator {
    type Config = TransactionConfig;
    type Reply = TransactionReply;
    type Error = TransactionError;

    const TOPIC: &'static str = TRANSACTION_STATE_TOPIC;
    const WHAT: &'static str = "transactions";
    const NOT_AVAILABLE: TransactionError = TransactionError::CoordinatorNotAvailable;
    const NOT_COORDINATOR: TransactionError = TransactionError::NotCoordinator;

    fn topic(broker: &Broker) -> &InternalTopic<TransactionCoordinator> {
        &broker.transactions.topic
    }

    fn len(&self) -> usize {
        self.list(&TransactionFilters::default(), 0)
            .map_or(0, |listed| listed.len())
    }

    /// Markers that another broker wrote for this partition, in a directory that was taken over,
    /// carry its leader epochs, and older ones are refused.
    fn config_for(config: &TransactionConfig, partition: &Partition) -> TransactionConfig {
        TransactionConfig {
            coordinator_epoch: partition.log().leader_epoch().max(config.coordinator_epoch),
            ..config.clone()
        }
    }

    fn new(config: TransactionConfig) -> TransactionCoordinator {
        TransactionCoordinator::new(config)
    }

    fn replay(
        &mut self,
        _: Option<i64>,
        key: &[u8],
        value: Option<&[u8]>,
    ) -> Result<(), CoordinatorError> {
        self.replay(key, value)
    }

    fn replay_marker(&mut self, _: i64, _: bool) {
        // Its own records are in no transaction.
    }

    fn loaded(&mut self, now_ms: i64) -> Outcome<TransactionReply> {
        self.loaded(now_ms)
    }

    fn appended(
        &mut self,
        id: AppendId,
        result: Result<(), AppendError>,
        now_ms: i64,
    ) -> Outcome<TransactionReply> {
        self.appended(id, result, now_ms)
    }

    fn markers_written(
        &mut self,
        id: MarkerId,
        result: Result<(), Vec<TopicPartitions>>,
        now_ms: i64,
    ) -> Outcome<TransactionReply> {
        self.markers_written(id, result, now_ms)
    }

    fn transaction_ended(&mut self, _: i64, _: bool, _: i64) -> Outcome<TransactionReply> {
        // Its own records are in no transaction.
        Outcome::default()
    }

    fn tick(&mut self, now_ms: i64) -> Outcome<TransactionReply> {
        self.tick(now_ms)
    }

    fn next_deadline_ms(&self) -> Option<i64> {
        self.next_deadline_ms()
    }

    fn unload(self, error: TransactionError) -> Vec<(Ticket, TransactionReply)> {
        self.unload(error)
    }
}
