//! Start-up, the accept loop and shutdown.
//!
//! Start: bind the address, lock and recover the data directory, take over or restore topics, serve their
//! partitions, then accept. Stop: no new connections or requests, finish what was begun (ten seconds at the
//! most), sync everything, write the clean-shutdown marker.
//!
//! Lock: `by_address` of the connection counts, held for one map operation; nothing is taken under it.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use lastword_record::{TopicPartition, crc32c_known_answer};
use lastword_storage::manager::{Background, start_background};
use lastword_storage::{
    Clock, Dir, FsDir, Identity, LogCleaner, LogConfig, LogManager, LogManagerConfig, StorageError,
};
use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};

use crate::broker::{Broker, Endpoint};
use crate::compaction::Compactions;
use crate::config::{BrokerConfig, Listener};
use crate::connection::{self, ConnectionLimits};
use crate::coordinator::{Groups, Transactions, groups, transactions};
use crate::error_map::ApiError;
use crate::fetch_memory::FetchMemory;
use crate::fetch_session::FetchSessions;
use crate::key_lookups::KeyLookups;
use crate::metadata::{
    METADATA_FILE_NAME, MetadataFile, MetadataFileError, MetadataImage, MetadataStore, TopicImage,
};
use crate::partition::PartitionTable;
use crate::producer_ids::ProducerIds;
use crate::state_views::StateViews;
use crate::stats::Stats;
use crate::{takeover, topics, whole_copy};

/// How long requests in work may take once the broker stops.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);
/// How often the engine's housekeeping runs: a changed `segment.ms` acts within this time.
const TICK_INTERVAL_MS: u64 = 250;

/// Why the broker could not start or stop.
#[derive(Debug, Error)]
pub enum ServerError {
    /// The data directory.
    #[error("cannot open the data directory {path}: {source}")]
    DataDirectory {
        /// Which.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// The address.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Which.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// The log engine.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The metadata.
    #[error(transparent)]
    Metadata(#[from] MetadataFileError),
    /// A directory that is taken over and not all there.
    #[error("{path} is no whole copy of a Kafka log directory: {reason}")]
    HalfCopied {
        /// Which.
        path: String,
        /// What is missing.
        reason: String,
    },
    /// A topic that could not be served.
    #[error("cannot serve topic {topic}: {reason}")]
    Topic {
        /// Which.
        topic: String,
        /// Why.
        reason: String,
    },
    /// Our own mistake.
    #[error("internal: {0}")]
    Internal(String),
}

/// A running broker.
pub struct Server {
    broker: Arc<Broker>,
    stop: watch::Sender<bool>,
    accepting: JoinHandle<()>,
    background: Background,
    local_addrs: Vec<SocketAddr>,
}

impl Server {
    /// Recovers the data directory and listens. Returns once clients can connect.
    pub async fn start(config: BrokerConfig) -> Result<Server, ServerError> {
        let (listener, local_addr) = listen(&config.listener).await?;
        let mut local_addrs = vec![local_addr];
        let mut more = Vec::with_capacity(config.more_listeners.len());
        for (listener, advertised) in &config.more_listeners {
            let (listener, local_addr) = listen(listener).await?;
            more.push((listener, Arc::new(endpoint(advertised, local_addr))));
            local_addrs.push(local_addr);
        }
        let (stop, stopping) = watch::channel(false);
        let stop_seen = stopping.clone();
        let broker = tokio::task::spawn_blocking(move || open(config, local_addr, stop_seen))
            .await
            .map_err(|error| ServerError::Internal(error.to_string()))??;
        let broker = Arc::new(broker);
        let background = start_background(&broker.logs)
            .map_err(|error| ServerError::Internal(format!("cannot start a thread: {error}")))?;
        groups::start(&broker);
        transactions::start(&broker);
        let listeners = [(listener, Arc::new(broker.endpoint.clone()))];
        let accepting = tokio::spawn(accept_all(
            broker.clone(),
            listeners.into_iter().chain(more).collect(),
            stopping,
        ));
        Ok(Server {
            broker,
            stop,
            accepting,
            background,
            local_addrs,
        })
    }

    /// Where it listens, in the order of `listeners`.
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.local_addrs
    }

    /// Where its first listener is.
    pub fn local_addr(&self) -> SocketAddr {
        self.broker.local_addr
    }

    /// The handles, for an embedder that wants to look inside.
    pub fn broker(&self) -> &Arc<Broker> {
        &self.broker
    }

    /// Stops in order; everything acknowledged or not is on disk afterwards.
    pub async fn stop(self) -> Result<(), ServerError> {
        let _ = self.stop.send(true);
        // Members that wait for a rebalance would keep their connections open.
        transactions::stop(&self.broker);
        groups::stop(&self.broker);
        let _ = self.accepting.await;
        let (broker, background) = (self.broker, self.background);
        let closing = move || {
            broker.cleaner.stop();
            background.stop();
            let closed = broker.logs.close();
            broker.partitions.clear();
            closed
        };
        tokio::task::spawn_blocking(closing)
            .await
            .map_err(|error| ServerError::Internal(error.to_string()))??;
        Ok(())
    }
}

async fn listen(listener: &Listener) -> Result<(TcpListener, SocketAddr), ServerError> {
    let failed = |source| ServerError::Listen {
        address: format!("{}:{}", listener.host, listener.port),
        source,
    };
    let bound = TcpListener::bind((listener.host.as_str(), listener.port)).await;
    let bound = bound.map_err(failed)?;
    let local_addr = bound.local_addr().map_err(failed)?;
    Ok((bound, local_addr))
}

fn endpoint(advertised: &Listener, local_addr: SocketAddr) -> Endpoint {
    Endpoint {
        host: advertised.host.as_str().into(),
        port: match advertised.port {
            0 => local_addr.port().into(),
            port => port.into(),
        },
    }
}

/// Opens the data directory and makes the broker. Blocks.
fn open(
    config: BrokerConfig,
    local_addr: SocketAddr,
    stopping: watch::Receiver<bool>,
) -> Result<Broker, ServerError> {
    if !crc32c_known_answer() {
        let reason = "CRC-32C gives wrong answers on this processor".to_owned();
        return Err(ServerError::Internal(reason));
    }
    let path = config.log_dir.clone();
    let dir: Arc<dyn Dir> =
        Arc::new(FsDir::open(&path).map_err(|source| ServerError::DataDirectory { path, source })?);
    refuse_half_copied(&config, &*dir)?;
    // Read once the directory is locked: another process may still be changing it.
    let opened = OnceLock::new();
    let open_metadata = || Metadata::open(&config, &dir);
    let partitions = Arc::new(PartitionTable::default());
    let visible = partitions.clone();
    let clock = Clock::System;
    // Before the directory is locked: nothing but a number of threads is taken from it.
    let stored = MetadataFile::new(dir.clone()).load();
    let stored = stored.ok().flatten().unwrap_or_default();
    let logs = LogManager::open(
        LogManagerConfig {
            recovery_threads: config.recovery_threads(stored.broker_configs()),
            visibility: Some(Arc::new(
                move |partition: &TopicPartition, high_watermark| {
                    visible.visible_up_to(partition, high_watermark);
                },
            )),
            max_decompressed_bytes: config.max_decompressed_bytes,
            producer_id_expiration_ms: config.producer_id_expiration_ms,
            tick_interval_ms: TICK_INTERVAL_MS,
            retention_check_interval_ms: config.retention_check_interval_ms,
            identity: Identity {
                cluster_id: config.cluster_id.clone(),
                node_id: config.node_id,
            },
            ..LogManagerConfig::default()
        },
        dir.clone(),
        clock.clone(),
        &|topic| match opened.get_or_init(open_metadata) {
            Ok(metadata) => config_at_start(&config, &metadata.start, topic),
            // Told below.
            Err(_) => LogConfig::default(),
        },
    )?;
    let Metadata {
        store,
        mut start,
        is_kafkas,
    } = opened.into_inner().unwrap_or_else(open_metadata)?;
    if is_kafkas {
        start = Arc::new(takeover::compare(&config, &start, &logs));
    }
    logs.set_producer_id_expiration_ms(config.producer_id_expiration_ms(start.broker_configs()));
    let cluster = logs.cluster();
    let cleaner_config = config.cleaner_config(start.broker_configs());
    // What was valid when it was set may not be for this version.
    let cleaner_config = cleaner_config.unwrap_or_else(|_| config.cleaner.clone());
    let compactions = Compactions::new(cleaner_config.threads);
    let cleaner = LogCleaner::start(logs.clone(), cleaner_config)?;
    let hasher = lastword_storage::cleaner::key_hasher(&*dir)?;
    let key_lookups = Arc::new(KeyLookups::new(
        hasher.clone(),
        config.max_decompressed_bytes,
    ));
    let state_views = Arc::new(StateViews::new(hasher, config.max_decompressed_bytes));
    let broker = Broker {
        cluster_id: cluster.cluster_id.as_str().into(),
        node_id: config.node_id,
        endpoint: endpoint(&config.advertised, local_addr),
        local_addr,
        groups: Groups::new(&config.groups, clock.clone()),
        transactions: Transactions::new(&config.transactions, clock.clone()),
        clock,
        stats: Stats::default(),
        partitions,
        metadata: store,
        fetch_sessions: FetchSessions::new(config.fetch_session_slots),
        fetch_memory: FetchMemory::default(),
        state_views,
        key_lookups,
        stopping,
        producer_ids: ProducerIds::default(),
        latencies: logs.latencies().clone(),
        logs,
        cleaner,
        compactions,
        config,
    };
    restore_topics(&broker, &start, is_kafkas)?;
    Ok(broker)
}

/// A directory is looked at before anything in it is opened. One that is taken over is refused when it is not whole. Our
/// own is served, as a broker with one damaged log serves the others, and what is missing is an error in the log. One
/// that somebody serves is not looked at: the logs cannot be opened then, which is told.
fn refuse_half_copied(config: &BrokerConfig, dir: &dyn Dir) -> Result<(), ServerError> {
    let path = config.log_dir.clone();
    let failed = |source| ServerError::DataDirectory {
        path: path.clone(),
        source,
    };
    let is_ours = dir.exists(METADATA_FILE_NAME).map_err(failed)?;
    let Ok(_lock) = dir.lock() else {
        return Ok(());
    };
    match whole_copy::missing(dir).map_err(failed)? {
        None => Ok(()),
        Some(reason) if is_ours => {
            tracing::error!(
                dir = path,
                missing = reason,
                "records that were stored are not there: a copy that stopped half-way, or files that were lost; stop \
                 the broker and restore them, or their offsets will be given again"
            );
            Ok(())
        }
        Some(reason) => Err(ServerError::HalfCopied { path, reason }),
    }
}

/// The metadata as the start finds it.
struct Metadata {
    store: MetadataStore,
    /// What is served: the store's image, or Kafka's, which is not written down yet.
    start: Arc<MetadataImage>,
    is_kafkas: bool,
}

impl Metadata {
    fn open(config: &BrokerConfig, dir: &Arc<dyn Dir>) -> Result<Metadata, MetadataFileError> {
        let file = MetadataFile::new(dir.clone());
        let kafkas = match file.load()? {
            Some(_) => None,
            None => takeover::kafka_image(config),
        };
        let store = MetadataStore::open(file)?;
        Ok(Metadata {
            is_kafkas: kafkas.is_some(),
            start: kafkas.map_or_else(|| store.image(), Arc::new),
            store,
        })
    }
}

/// The config of a log that is found in the directory.
fn config_at_start(config: &BrokerConfig, image: &MetadataImage, topic: &str) -> LogConfig {
    let configs = match image.topic(topic) {
        Some(known) => known.configs.clone(),
        None => takeover::adopted_configs(config, topic),
    };
    topics::log_config(config, image, &configs).unwrap_or_default()
}

/// Finishes deletions, adopts partitions that no metadata names, writes down `image` with them, and serves every topic.
fn restore_topics(
    broker: &Broker,
    image: &MetadataImage,
    is_kafkas: bool,
) -> Result<(), ServerError> {
    let mut orphans: HashMap<Arc<str>, TopicImage> = HashMap::new();
    for log in broker.logs.logs() {
        let name = &log.topic_partition().topic;
        if image
            .deleting()
            .iter()
            .any(|topic| topic.id == log.topic_id())
        {
            broker.logs.delete(log.topic_partition())?;
        } else if image.topic(name).is_none() {
            let topic = orphans.entry(name.clone()).or_insert_with(|| TopicImage {
                name: name.clone(),
                id: log.topic_id(),
                partition_count: 0,
                configs: takeover::adopted_configs(&broker.config, name),
            });
            topic.partition_count = topic
                .partition_count
                .max(log.topic_partition().partition + 1);
        }
    }
    // A partition that cannot be loaded may not tell its topic's id; nobody else has its name.
    for topic_partition in broker.logs.failed().keys() {
        let name = &topic_partition.topic;
        let is_deleting = image.deleting().iter().any(|topic| topic.name == *name);
        if is_deleting && image.topic(name).is_none() {
            broker.logs.delete(topic_partition)?;
        }
    }
    // Whoever wrote them may have handed out these ids.
    let next_producer_id = match orphans.is_empty() && !is_kafkas {
        true => 0,
        false => next_producer_id(broker),
    };
    for name in orphans.keys() {
        tracing::warn!(
            topic = %name,
            "adopting a topic whose configs are not known: it keeps everything until \
             `lastword topic alter` sets cleanup.policy"
        );
    }
    broker.metadata.update(|_| {
        let next = orphans
            .into_values()
            .fold(image.clone(), MetadataImage::with_topic);
        let finished: Vec<_> = next.deleting().iter().map(|topic| topic.id).collect();
        let next = finished
            .into_iter()
            .fold(next, MetadataImage::without_deleting);
        let next_producer_id = next_producer_id.max(next.next_producer_id());
        let next = next.with_next_producer_id(next_producer_id);
        Ok::<_, MetadataFileError>((next, ()))
    })?;
    for topic in broker.metadata.image().topics() {
        topics::serve_topic(broker, topic).map_err(|error: ApiError| ServerError::Topic {
            topic: topic.name.to_string(),
            reason: error.message,
        })?;
    }
    Ok(())
}

/// The first producer id that no log has met.
fn next_producer_id(broker: &Broker) -> i64 {
    let logs = broker.logs.logs();
    let producers = logs.iter().flat_map(|log| log.active_producers());
    let largest = producers.map(|producer| producer.producer_id).max();
    largest.map_or(0, |id| id.saturating_add(1))
}

/// Accepts on every listener until the broker stops. Limits are of all of them together.
async fn accept_all(
    broker: Arc<Broker>,
    listeners: Vec<(TcpListener, Arc<Endpoint>)>,
    stop: watch::Receiver<bool>,
) {
    let limits = Arc::new(ConnectionLimits {
        request_memory: Semaphore::new(broker.config.request_memory_bytes),
        request_memory_bytes: broker.config.request_memory_bytes,
        max_request_bytes: broker.config.max_request_bytes,
        idle_timeout: broker.config.connections_max_idle,
    });
    let counts = Arc::new(ConnectionCounts::default());
    let mut accepting = JoinSet::new();
    for (listener, endpoint) in listeners {
        let shared = (broker.clone(), limits.clone(), counts.clone());
        accepting.spawn(accept(shared, listener, endpoint, stop.clone()));
    }
    while accepting.join_next().await.is_some() {}
}

async fn accept(
    (broker, limits, counts): (Arc<Broker>, Arc<ConnectionLimits>, Arc<ConnectionCounts>),
    listener: TcpListener,
    endpoint: Arc<Endpoint>,
    stop: watch::Receiver<bool>,
) {
    let mut connections = JoinSet::new();
    let mut stopping = stop.clone();
    loop {
        let accepted = tokio::select! {
            biased;
            _ = stopping.wait_for(|&stopping| stopping) => break,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file handles, most likely: the clients that are here come first.
                log_rejected(&format!("accept failed: {error}"));
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let Some(place) = ConnectionCounts::enter(&counts, peer.ip(), &broker) else {
            broker.stats.connection_refused();
            log_rejected(&format!("refused {peer}: too many connections"));
            continue;
        };
        configure(&stream);
        let from = (peer, endpoint.clone());
        let serving = connection::serve(broker.clone(), limits.clone(), stream, from, stop.clone());
        let counting = broker.clone();
        counting.stats.connection_opened();
        connections.spawn(async move {
            serving.await;
            counting.stats.connection_closed();
            drop(place);
        });
    }
    drop(listener);
    let drained = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(DRAIN_TIMEOUT, drained).await.is_err() {
        tracing::warn!("some connections did not finish in time");
        connections.shutdown().await;
    }
}

fn configure(stream: &TcpStream) {
    // A response is written in one call; waiting to fill a packet would only delay it.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot set TCP_NODELAY");
    }
}

/// Connections by address, and how many there are in all.
#[derive(Default)]
struct ConnectionCounts {
    by_address: Mutex<(usize, HashMap<IpAddr, usize>)>,
}

/// One connection's place; dropping it leaves.
struct ConnectionPlace {
    counts: Arc<ConnectionCounts>,
    address: IpAddr,
}

impl ConnectionCounts {
    fn enter(
        counts: &Arc<ConnectionCounts>,
        address: IpAddr,
        broker: &Broker,
    ) -> Option<ConnectionPlace> {
        let image = broker.metadata.image();
        let (most, most_per_ip) = broker.config.connection_limits(image.broker_configs());
        let mut guard = counts
            .by_address
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let (total, by_address) = &mut *guard;
        let count = by_address.get(&address).copied().unwrap_or(0);
        if *total >= most || count >= most_per_ip {
            return None;
        }
        *total += 1;
        by_address.insert(address, count + 1);
        Some(ConnectionPlace {
            counts: counts.clone(),
            address,
        })
    }
}

impl Drop for ConnectionPlace {
    fn drop(&mut self) {
        let mut guard = self
            .counts
            .by_address
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let (total, by_address) = &mut *guard;
        *total = total.saturating_sub(1);
        if let Some(count) = by_address.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                by_address.remove(&self.address);
            }
        }
    }
}

/// Logs about a client that misbehaves, ten lines a second at the most: hostile clients must not
/// fill the disk with our words.
pub(crate) fn log_rejected(message: &str) {
    const LINES_PER_SECOND: u32 = 10;
    static SECOND: AtomicI64 = AtomicI64::new(0);
    static LINES: AtomicU32 = AtomicU32::new(0);
    let second = Clock::System.now_ms() / 1000;
    if SECOND.swap(second, Ordering::Relaxed) != second {
        LINES.store(0, Ordering::Relaxed);
    }
    if LINES.fetch_add(1, Ordering::Relaxed) < LINES_PER_SECOND {
        tracing::info!("{message}");
    }
}
