//! `Broker`: the handles every request handler needs, and nothing else.
//!
//! It has no behaviour: a method here could always reach one more field, and in time would. What
//! the broker does is in the free functions of `api/`, `topics` and `server`.

use std::net::SocketAddr;
use std::sync::Arc;

use lastword_protocol::StrBytes;
use lastword_storage::{Clock, Latencies, LogCleaner, LogManager};
use tokio::sync::watch;

use crate::compaction::Compactions;
use crate::config::BrokerConfig;
use crate::coordinator::{Groups, Transactions};
use crate::fetch_memory::FetchMemory;
use crate::fetch_session::FetchSessions;
use crate::key_lookups::KeyLookups;
use crate::metadata::MetadataStore;
use crate::partition::PartitionTable;
use crate::producer_ids::ProducerIds;
use crate::state_views::StateViews;
use crate::stats::Stats;

/// Where clients are told to connect.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Host name or address of `advertised.listeners`.
    pub host: StrBytes,
    /// The port; the bound one when the listener asked for port 0.
    pub port: i32,
}

/// Everything a handler may reach.
pub struct Broker {
    /// The static configuration.
    pub config: BrokerConfig,
    /// Kafka's cluster id, from `meta.properties`.
    pub cluster_id: StrBytes,
    /// `node.id`.
    pub node_id: i32,
    /// Where clients find this broker.
    pub endpoint: Endpoint,
    /// The address that is listened on.
    pub local_addr: SocketAddr,
    /// Wall-clock time.
    pub clock: Clock,
    /// The log engine. Only `topics` and `server` use it, and `describe_log_dirs` to look at the disk.
    pub logs: Arc<LogManager>,
    /// The cleaner threads of compacted topics.
    pub cleaner: LogCleaner,
    /// Cleanings that somebody asked for.
    pub compactions: Compactions,
    /// Where the times of produce and fetch are reported, for the cleaner to make room.
    pub latencies: Arc<Latencies>,
    /// What only metrics read.
    pub stats: Stats,
    /// Every partition served.
    pub partitions: Arc<PartitionTable>,
    /// Topics, their ids and configs; swapped whole.
    pub metadata: MetadataStore,
    /// Incremental fetch sessions (KIP-227).
    pub fetch_sessions: FetchSessions,
    /// What record data on its way to clients may take.
    pub fetch_memory: FetchMemory,
    /// What serving state views takes.
    pub state_views: Arc<StateViews>,
    /// Lookups of single keys.
    pub key_lookups: Arc<KeyLookups>,
    /// True once the broker stops: waits for events end.
    pub stopping: watch::Receiver<bool>,
    /// Producer ids for idempotent producers.
    pub producer_ids: ProducerIds,
    /// The group coordinator.
    pub groups: Groups,
    /// The transaction coordinator.
    pub transactions: Transactions,
}
