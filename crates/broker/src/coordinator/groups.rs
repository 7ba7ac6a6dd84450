//! `Groups`: the shards, and which of them has a group.
//!
//! A group belongs to the partition of `__consumer_offsets` that its id hashes to. The topic is
//! created when the first client asks for a group; at start, shards with records are loaded in the
//! background, and until a shard is loaded its requests are told COORDINATOR_LOAD_IN_PROGRESS.
//!
//! Lock: `creation`, on the blocking pool only, so that the topic is created once. The shards are
//! set once and then read without a lock.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use lastword_coordinator::{
    GroupConfig, GroupCoordinator, GroupError, ListedGroup, Outcome, Reply, Ticket,
    TopicPartitions, partition_for,
};
use lastword_protocol::ErrorCode;
use lastword_storage::Clock;

use super::loader::Loaded;
use super::runtime;
use crate::broker::Broker;
use crate::config::GroupSettings;
use crate::error_map::ApiError;
use crate::metadata::GROUP_METADATA_TOPIC;
use crate::partition::run_blocking;
use crate::topics;

/// One partition's groups.
pub(crate) type Shard = runtime::Shard<GroupCoordinator>;
/// A reply about a group that will come.
pub(crate) type Pending = runtime::Pending<GroupCoordinator>;

/// The group coordinator of this broker.
pub struct Groups {
    config: GroupConfig,
    clock: Clock,
    shards: OnceLock<Shards>,
    creation: Mutex<()>,
    is_stopped: AtomicBool,
}

struct Shards {
    /// Of the topic, usable or not: what group ids are hashed to.
    partition_count: i32,
    /// Ascending by number. A partition that could not be loaded has none, and only its groups wait.
    usable: Vec<Arc<Shard>>,
}

impl Groups {
    /// A coordinator that serves nobody before it is started.
    pub fn new(settings: &GroupSettings, clock: Clock) -> Groups {
        Groups {
            config: group_config(settings),
            clock,
            shards: OnceLock::new(),
            creation: Mutex::new(()),
            is_stopped: AtomicBool::new(false),
        }
    }

    fn shards(&self) -> &[Arc<Shard>] {
        self.shards.get().map_or(&[], |shards| &shards.usable)
    }

    fn has(&self, group_id: &str) -> Option<Arc<Shard>> {
        let shards = self.shards.get()?;
        let number = partition_for(group_id, shards.partition_count);
        let index = shards
            .usable
            .binary_search_by_key(&number, |it| it.number());
        shards.usable.get(index.ok()?).cloned()
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
        offsets_retention_ms: settings.offsets_retention_ms,
        offsets_retention_check_interval_ms: settings.offsets_retention_check_interval_ms,
        ..GroupConfig::default()
    }
}

// Start and stop

/// Loads what there is, in the background.
pub(crate) fn start(broker: &Arc<Broker>) {
    open_shards(broker);
    if broker.groups.shards().is_empty() {
        return;
    }
    let shards = broker.groups.shards().iter();
    let shards: Vec<Arc<Shard>> = shards.filter(|shard| shard.is_loading()).cloned().collect();
    let broker = broker.clone();
    tokio::spawn(async move { load_all(&broker, shards).await });
}

async fn load_all(broker: &Arc<Broker>, shards: Vec<Arc<Shard>>) {
    if shards.is_empty() {
        return;
    }
    let begun = Instant::now();
    let partitions = shards.len();
    let shards = Arc::new(shards);
    let next = Arc::new(AtomicUsize::new(0));
    let max_decompressed_bytes = broker.config.max_decompressed_bytes;
    let load_some = |_| {
        let (shards, next) = (shards.clone(), next.clone());
        tokio::task::spawn_blocking(move || {
            let mut sum = Loaded::default();
            while let Some(shard) = shards.get(next.fetch_add(1, Ordering::Relaxed)) {
                let loaded = shard.load(max_decompressed_bytes);
                sum = add(sum, loaded);
            }
            sum
        })
    };
    let threads = broker.config.recovery_threads.clamp(1, partitions);
    let workers: Vec<_> = (0..threads).map(load_some).collect();
    let mut sum = Loaded::default();
    for worker in workers {
        match worker.await {
            Ok(loaded) => sum = add(sum, loaded),
            Err(error) => tracing::error!(%error, "loading groups failed"),
        }
    }
    let groups: usize = shards
        .iter()
        .map(|shard| {
            shard
                .look(GroupCoordinator::list)
                .map_or(0, |list| list.len())
        })
        .sum();
    tracing::info!(
        partitions,
        groups,
        records = sum.records,
        bytes = sum.bytes,
        skipped = sum.skipped,
        elapsed_ms = begun.elapsed().as_millis() as u64,
        "loaded consumer groups"
    );
}

fn add(left: Loaded, right: Loaded) -> Loaded {
    Loaded {
        records: left.records + right.records,
        bytes: left.bytes + right.bytes,
        skipped: left.skipped + right.skipped,
    }
}

/// Answers everybody who is parked, so that connections can end. Nothing is appended afterwards.
pub(crate) fn stop(broker: &Broker) {
    broker.groups.is_stopped.store(true, Ordering::SeqCst);
    for shard in broker.groups.shards() {
        shard.stop();
    }
}

/// Makes the shards of the topic, once, when all its partitions are served.
fn open_shards(broker: &Broker) {
    let groups = &broker.groups;
    let image = broker.metadata.image();
    let Some(topic) = image.topic(GROUP_METADATA_TOPIC) else {
        return;
    };
    let slots = broker.partitions.slots_of(GROUP_METADATA_TOPIC);
    if slots.is_empty() || i32::try_from(slots.len()) != Ok(topic.partition_count) {
        // Somebody else is creating it at this moment.
        return;
    }
    groups.shards.get_or_init(|| {
        let shard = |partition| Shard::new(partition, groups.config.clone(), groups.clock.clone());
        let usable = slots.into_iter().flatten();
        Shards {
            partition_count: topic.partition_count,
            usable: usable.map(shard).map(Arc::new).collect(),
        }
    });
}

// Requests

/// The shard that has a group; creates the topic when there is none.
pub(crate) async fn shard_of(
    broker: &Arc<Broker>,
    group_id: &str,
) -> Result<Arc<Shard>, GroupError> {
    if let Some(shard) = broker.groups.has(group_id) {
        return Ok(shard);
    }
    ensure_topic(broker).await.map_err(|error| {
        tracing::warn!(error = %error.message, "cannot create {GROUP_METADATA_TOPIC}");
        GroupError::CoordinatorNotAvailable
    })?;
    broker
        .groups
        .has(group_id)
        .ok_or(GroupError::CoordinatorNotAvailable)
}

/// Creates `__consumer_offsets` unless it is there.
async fn ensure_topic(broker: &Arc<Broker>) -> Result<(), ApiError> {
    let broker = broker.clone();
    run_blocking(move || {
        let _once = broker
            .groups
            .creation
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if broker.groups.is_stopped.load(Ordering::SeqCst) {
            return Err(ErrorCode::CoordinatorNotAvailable.into());
        }
        if !broker.groups.shards().is_empty() {
            return Ok(());
        }
        let new_topic = topics::default_topic(&broker.config, GROUP_METADATA_TOPIC);
        match topics::create_topic(&broker, &new_topic) {
            Err(error) if error.code != ErrorCode::TopicAlreadyExists => return Err(error),
            _ => open_shards(&broker),
        }
        Ok(())
    })
    .await?
}

/// Passes a request of a group to its shard.
pub(crate) async fn submit(
    broker: &Arc<Broker>,
    group_id: &str,
    call: impl FnOnce(&mut GroupCoordinator, Ticket, i64) -> Outcome,
) -> Result<Pending, GroupError> {
    shard_of(broker, group_id).await?.submit(call)
}

/// Asks a group's shard something that is answered at once.
pub(crate) async fn query<T>(
    broker: &Arc<Broker>,
    group_id: &str,
    call: impl FnOnce(&mut GroupCoordinator, i64) -> Result<T, GroupError>,
) -> Result<T, GroupError> {
    shard_of(broker, group_id).await?.query(call)
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
    for shard in broker.groups.shards() {
        listed.extend(shard.look(GroupCoordinator::list)?);
    }
    Ok(listed)
}

/// Forgets the offsets of a topic that was deleted.
pub(crate) fn topic_deleted(broker: &Broker, name: &str, partition_count: i32) {
    let deleted = [TopicPartitions {
        name: name.to_owned(),
        partitions: (0..partition_count).collect(),
    }];
    for shard in broker.groups.shards() {
        shard.change(|coordinator, now_ms| coordinator.partitions_deleted(&deleted, now_ms));
    }
}
