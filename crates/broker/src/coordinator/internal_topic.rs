//! `InternalTopic`: the shards of one internal topic, and which of them has a key.
//!
//! A key, a group's or a transactional id, belongs to the partition that it hashes to. The topic is
//! created when the first client asks for a key; at start, shards with records are loaded in the
//! background, and until a shard is loaded its requests are told COORDINATOR_LOAD_IN_PROGRESS.
//!
//! Lock: `creation`, on the blocking pool only, so that the topic is created once. The shards are
//! set once and then read without a lock.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Instant;

use lastword_coordinator::partition_for;
use lastword_protocol::ErrorCode;
use lastword_storage::Clock;

use super::loader::Loaded;
use super::machine::Machine;
use super::markers::MarkerQueue;
use super::runtime::Shard;
use crate::broker::Broker;
use crate::error_map::ApiError;
use crate::lock::lock;
use crate::partition::{Partition, run_blocking};
use crate::topics;

/// One internal topic and its shards.
pub(crate) struct InternalTopic<M: Machine> {
    config: M::Config,
    clock: Clock,
    /// Where machines that end transactions put what is to be marked.
    markers: Option<MarkerQueue>,
    shards: OnceLock<Shards<M>>,
    creation: Mutex<()>,
    is_stopped: AtomicBool,
}

struct Shards<M: Machine> {
    /// Of the topic, usable or not: what keys are hashed to.
    partition_count: i32,
    /// Ascending by number. A partition that could not be loaded has none, and only its keys wait.
    usable: Vec<Arc<Shard<M>>>,
}

impl<M: Machine> InternalTopic<M> {
    /// A topic that serves nobody before it is started.
    pub(super) fn new(
        config: M::Config,
        clock: Clock,
        markers: Option<MarkerQueue>,
    ) -> InternalTopic<M> {
        InternalTopic {
            config,
            clock,
            markers,
            shards: OnceLock::new(),
            creation: Mutex::new(()),
            is_stopped: AtomicBool::new(false),
        }
    }

    /// Every shard that can be used.
    pub(super) fn shards(&self) -> &[Arc<Shard<M>>] {
        self.shards.get().map_or(&[], |shards| &shards.usable)
    }

    /// Whether a shard has records that were not yet replayed.
    pub(super) fn is_loading(&self) -> bool {
        self.shards().iter().any(|shard| shard.is_loading())
    }

    /// The shard of a partition of the topic.
    pub(super) fn of_partition(&self, number: i32) -> Option<Arc<Shard<M>>> {
        let shards = self.shards();
        let index = shards.binary_search_by_key(&number, |shard| shard.number());
        shards.get(index.ok()?).cloned()
    }

    /// The partition that a key belongs to, once the topic is there.
    pub(super) fn partition_of(&self, key: &str) -> Option<i32> {
        let shards = self.shards.get()?;
        Some(partition_for(key, shards.partition_count))
    }

    fn has(&self, key: &str) -> Option<Arc<Shard<M>>> {
        self.of_partition(self.partition_of(key)?)
    }

    /// Makes the shards of the topic, once, when all its partitions are served.
    fn open(&self, broker: &Broker) {
        let image = broker.metadata.image();
        let Some(topic) = image.topic(M::TOPIC) else {
            return;
        };
        let slots = broker.partitions.slots_of(M::TOPIC);
        if slots.is_empty() || i32::try_from(slots.len()) != Ok(topic.partition_count) {
            // Somebody else is creating it at this moment.
            return;
        }
        self.shards.get_or_init(|| {
            let shard = |partition: Arc<Partition>| {
                let config = M::config_for(&self.config, &partition);
                Shard::new(partition, config, self.clock.clone(), self.markers.clone())
            };
            let usable = slots.into_iter().flatten();
            Shards {
                partition_count: topic.partition_count,
                usable: usable.map(shard).map(Arc::new).collect(),
            }
        });
    }

    /// Answers everybody who is parked, so that connections can end. Nothing is appended afterwards.
    pub(super) fn stop(&self) {
        self.is_stopped.store(true, Ordering::SeqCst);
        for shard in self.shards() {
            shard.stop();
        }
    }
}

/// Loads what there is, in the background.
pub(super) fn start<M: Machine>(broker: &Arc<Broker>) {
    let topic = M::topic(broker);
    topic.open(broker);
    let shards = topic.shards().iter();
    let shards: Vec<Arc<Shard<M>>> = shards.filter(|shard| shard.is_loading()).cloned().collect();
    if !shards.is_empty() {
        let broker = broker.clone();
        tokio::spawn(async move { load_all(&broker, shards).await });
    }
}

async fn load_all<M: Machine>(broker: &Arc<Broker>, shards: Vec<Arc<Shard<M>>>) {
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
            Err(error) => tracing::error!(%error, "loading {} failed", M::WHAT),
        }
    }
    let count = |shard: &Arc<Shard<M>>| shard.look(|machine| Ok(machine.len())).unwrap_or(0);
    tracing::info!(
        partitions,
        loaded = shards.iter().map(count).sum::<usize>(),
        records = sum.records,
        bytes = sum.bytes,
        skipped = sum.skipped,
        elapsed_ms = begun.elapsed().as_millis() as u64,
        "loaded {}",
        M::WHAT
    );
}

fn add(left: Loaded, right: Loaded) -> Loaded {
    Loaded {
        records: left.records + right.records,
        bytes: left.bytes + right.bytes,
        skipped: left.skipped + right.skipped,
    }
}

/// The shard that has a key; creates the topic when there is none.
pub(super) async fn shard_of<M: Machine>(
    broker: &Arc<Broker>,
    key: &str,
) -> Result<Arc<Shard<M>>, M::Error> {
    if let Some(shard) = M::topic(broker).has(key) {
        return Ok(shard);
    }
    ensure::<M>(broker).await?;
    M::topic(broker).has(key).ok_or(M::NOT_AVAILABLE)
}

/// The partition that a key belongs to; creates the topic when there is none.
pub(super) async fn partition_of<M: Machine>(
    broker: &Arc<Broker>,
    key: &str,
) -> Result<i32, M::Error> {
    if let Some(number) = M::topic(broker).partition_of(key) {
        return Ok(number);
    }
    ensure::<M>(broker).await?;
    M::topic(broker).partition_of(key).ok_or(M::NOT_AVAILABLE)
}

/// Creates the topic unless it is there.
async fn ensure<M: Machine>(broker: &Arc<Broker>) -> Result<(), M::Error> {
    let broker = broker.clone();
    let created = run_blocking(move || create::<M>(&broker)).await;
    created.and_then(|created| created).map_err(|error| {
        tracing::warn!(error = %error.message, "cannot create {}", M::TOPIC);
        M::NOT_AVAILABLE
    })
}

fn create<M: Machine>(broker: &Broker) -> Result<(), ApiError> {
    let topic = M::topic(broker);
    let _once = lock(&topic.creation);
    if topic.is_stopped.load(Ordering::SeqCst) {
        return Err(ErrorCode::CoordinatorNotAvailable.into());
    }
    if !topic.shards().is_empty() {
        return Ok(());
    }
    let new_topic = topics::default_topic(&broker.config, M::TOPIC);
    match topics::create_topic(broker, &new_topic) {
        Err(error) if error.code != ErrorCode::TopicAlreadyExists => return Err(error),
        _ => topic.open(broker),
    }
    Ok(())
}
