//! `Groups`: consumer groups over the partitions of `__consumer_offsets`, as the handlers see them.
//!
//! No lock of its own; see `internal_topic` and `runtime`.

use std::sync::Arc;

use lastword_coordinator::{
    GroupConfig, GroupCoordinator, GroupError, ListedGroup, Outcome, Reply, Ticket, TopicPartitions,
};
use lastword_storage::Clock;

use super::internal_topic::{self, InternalTopic};
use super::metadata_view::Views;
use super::runtime;
use crate::broker::Broker;
use crate::config::GroupSettings;
use crate::metadata::view_name;

/// One partition's groups.
pub(crate) type Shard = runtime::Shard<GroupCoordinator>;
/// A reply about a group that will come.
pub(crate) type Pending = runtime::Pending<GroupCoordinator>;

/// The group coordinator of this broker.
pub struct Groups {
    pub(super) topic: InternalTopic<GroupCoordinator>,
    views: Views,
}

impl Groups {
    /// A coordinator that serves nobody before it is started.
    pub fn new(settings: &GroupSettings, clock: Clock) -> Groups {
        Groups {
            topic: InternalTopic::new(group_config(settings), clock, None),
            views: Views::default(),
        }
    }

    /// Whether groups of earlier starts are still being loaded.
    pub fn is_loading(&self) -> bool {
        self.topic.is_loading()
    }
}

/// The state machine's settings out of the broker's.
fn group_config(settings: &GroupSettings) -> GroupConfig {
    GroupConfig {
        group_min_session_timeout_ms: settings.min_session_timeout_ms,
        group_max_session_timeout_ms: settings.max_session_timeout_ms,
        group_initial_rebalance_delay_ms: settings.initial_rebalance_delay_ms,
        group_max_size: usize::try_from(settings.max_size).unwrap_or(usize::MAX),
        offset_metadata_max_bytes: usize::try_from(settings.offset_metadata_max_bytes)
            .unwrap_or_default(),
        consumer_session_timeout_ms: settings.consumer.session_timeout_ms,
        consumer_heartbeat_interval_ms: settings.consumer.heartbeat_interval_ms,
        consumer_group_max_size: usize::try_from(settings.consumer.max_size).unwrap_or(usize::MAX),
        consumer_assignors: settings.consumer.assignors.clone(),
        consumer_migration_policy: settings.consumer.migration_policy,
        consumer_regex_refresh_interval_ms: settings.consumer.regex_refresh_interval_ms,
        consumer_assignment_interval_ms: settings.consumer.assignment_interval_ms,
        offsets_retention_ms: settings.offsets_retention_ms,
        offsets_retention_check_interval_ms: settings.offsets_retention_check_interval_ms,
        ..GroupConfig::default()
    }
}

// Start and stop

/// Loads what there is, in the background.
pub(crate) fn start(broker: &Arc<Broker>) {
    internal_topic::start::<GroupCoordinator>(broker);
}

/// Answers everybody who is parked, so that connections can end. Nothing is appended afterwards.
pub(crate) fn stop(broker: &Broker) {
    broker.groups.topic.stop();
}

// Requests

/// The shard that has a group; creates the topic when there is none.
pub(crate) async fn shard_of(
    broker: &Arc<Broker>,
    group_id: &str,
) -> Result<Arc<Shard>, GroupError> {
    internal_topic::shard_of(broker, group_id).await
}

/// The partition of `__consumer_offsets` that a group belongs to; creates the topic when there is
/// none.
pub(crate) async fn partition_of(broker: &Arc<Broker>, group_id: &str) -> Result<i32, GroupError> {
    internal_topic::partition_of::<GroupCoordinator>(broker, group_id).await
}

/// Passes a request of a group to its shard.
pub(crate) async fn submit(
    broker: &Arc<Broker>,
    group_id: &str,
    call: impl FnOnce(&mut GroupCoordinator, Ticket, i64) -> Outcome,
) -> Result<Pending, GroupError> {
    let view = broker.groups.views.current(broker);
    let shard = shard_of(broker, group_id).await?;
    shard.submit(|machine, ticket, now_ms| {
        machine.metadata_changed(view);
        call(machine, ticket, now_ms)
    })
}

/// Asks a group's shard something that is answered at once.
pub(crate) async fn query<T>(
    broker: &Arc<Broker>,
    group_id: &str,
    call: impl FnOnce(&mut GroupCoordinator, i64) -> Result<T, GroupError>,
) -> Result<T, GroupError> {
    let view = broker.groups.views.current(broker);
    let shard = shard_of(broker, group_id).await?;
    shard.query(|machine, now_ms| {
        machine.metadata_changed(view);
        call(machine, now_ms)
    })
}

/// Waits for the reply to a request that was passed on.
pub(crate) async fn wait(pending: Result<Pending, GroupError>) -> Result<Reply, GroupError> {
    pending?.await.map_err(|_| GroupError::NotCoordinator)
}

/// The error to answer when the reply is not of the kind that was asked for.
pub(crate) fn error_of(unexpected: Result<Reply, GroupError>) -> GroupError {
    match unexpected {
        Err(error) => error,
        Ok(_) => GroupError::UnknownServerError,
    }
}

/// Every group of this broker; none when nobody has used groups yet.
pub(crate) fn list(broker: &Broker) -> Result<Vec<ListedGroup>, GroupError> {
    let mut listed = Vec::new();
    for shard in broker.groups.topic.shards() {
        listed.extend(shard.look(GroupCoordinator::list)?);
    }
    Ok(listed)
}

/// Forgets the offsets of a topic that was deleted, and those of its state view.
pub(crate) fn topic_deleted(broker: &Broker, name: &str, partition_count: i32) {
    let deleted = [name.to_owned(), view_name(name)].map(|name| TopicPartitions {
        name,
        partitions: (0..partition_count).collect(),
    });
    for shard in broker.groups.topic.shards() {
        shard.change(|coordinator, now_ms| coordinator.partitions_deleted(&deleted, now_ms));
    }
}
