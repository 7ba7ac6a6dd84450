//! A small synchronous Kafka client: one connection a broker, one request at a time.
//!
//! It asks ApiVersions on every connection and takes the highest version that both sides know, so it works against
//! any broker that has the record batches of Kafka 0.11. It owns no thread and retries nothing but a moved leader:
//! a tool should say what went wrong, not hide it.

pub mod admin;
mod connection;
pub mod groups;
pub mod offsets;
pub mod producer;
pub mod reader;

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use clap::Args;
use lastword_protocol::messages::RequestResponsePair;
use lastword_protocol::messages::metadata_request::{MetadataRequest, MetadataRequestTopic};
use lastword_protocol::messages::metadata_response::MetadataResponse;
use lastword_protocol::{ErrorCode, StrBytes, message};

use self::connection::Connection;
use crate::error::{CliError, Exit, Result};
use crate::output::nearest;

/// Where the broker is: the same options on every command that speaks to one.
#[derive(Args, Clone, Debug)]
pub struct ClientArgs {
    /// Brokers to ask first, with commas between them
    #[arg(
        short = 'b',
        long,
        visible_alias = "bootstrap-server",
        env = "LASTWORD_BROKERS",
        default_value = "localhost:9092",
        value_name = "HOST:PORT"
    )]
    brokers: String,

    /// Longest wait for a connection or an answer, in seconds
    #[arg(long, default_value_t = 30, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout: u64,
}

impl ClientArgs {
    /// For a command that knows its broker.
    pub fn new(brokers: &str, timeout_s: u64) -> ClientArgs {
        ClientArgs {
            brokers: brokers.to_owned(),
            timeout: timeout_s,
        }
    }
}

/// A partition as the cluster sees it.
#[derive(Clone, Debug)]
pub struct PartitionInfo {
    pub index: i32,
    pub leader: i32,
    pub leader_epoch: i32,
    pub replicas: Vec<i32>,
    pub isr: Vec<i32>,
}

/// A topic as the cluster sees it.
#[derive(Clone, Debug)]
pub struct TopicInfo {
    pub name: String,
    pub topic_id: [u8; 16],
    pub is_internal: bool,
    pub partitions: Vec<PartitionInfo>,
}

/// A session with a cluster.
pub struct Client {
    timeout: Duration,
    nodes: BTreeMap<i32, String>,
    /// By `host:port`, as bootstrapped or as advertised.
    connections: HashMap<String, Connection>,
    /// The bootstrap address that answered.
    entry: String,
}

impl Client {
    /// Connects to the first broker of the list that answers.
    pub fn connect(args: &ClientArgs) -> Result<Client> {
        let timeout = Duration::from_secs(args.timeout);
        let bootstrap: Vec<String> = args
            .brokers
            .split(',')
            .map(str::trim)
            .filter(|address| !address.is_empty())
            .map(with_port)
            .collect();
        let mut failure =
            CliError::usage("no broker is named").hint("-b HOST:PORT, or set LASTWORD_BROKERS");
        for address in &bootstrap {
            match Connection::open(address, timeout) {
                Ok(connection) => {
                    return Ok(Client {
                        entry: address.clone(),
                        connections: HashMap::from([(address.clone(), connection)]),
                        nodes: BTreeMap::new(),
                        timeout,
                    });
                }
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Asks whichever broker was reached first. Every broker can answer or forward what this client asks.
    pub fn call<R: RequestResponsePair>(&mut self, request: &R) -> Result<R::Response> {
        self.call_up_to(request, i16::MAX)
    }

    /// The same in a version that is not above `highest`.
    fn call_up_to<R: RequestResponsePair>(
        &mut self,
        request: &R,
        highest: i16,
    ) -> Result<R::Response> {
        let entry = self.entry.clone();
        self.connection(&entry)?
            .call(request, highest, Duration::ZERO)
    }

    /// Asks one broker by its id. `wait` is how long it may hold the answer back on purpose.
    pub fn call_node<R: RequestResponsePair>(
        &mut self,
        node: i32,
        request: &R,
        highest: i16,
        wait: Duration,
    ) -> Result<R::Response> {
        let Some(address) = self.nodes.get(&node).cloned() else {
            return Err(CliError::new(
                Exit::Unreachable,
                "BROKER_NOT_AVAILABLE",
                format!("broker {node} leads a partition, and the cluster gives no address for it"),
            ));
        };
        let entry = self.entry.clone();
        let connection = self.connection(&address).map_err(|error| {
            error.why(format!("the broker at {entry} advertises itself as {address}, which does not answer from here"))
                .hint(format!("set advertised.listeners on the broker to an address that reaches it (now {address})"))
        })?;
        connection.call(request, highest, wait)
    }

    /// The open connection to an address, or a new one. A broken connection is not kept.
    fn connection(&mut self, address: &str) -> Result<&mut Connection> {
        if self
            .connections
            .get(address)
            .is_none_or(Connection::is_broken)
        {
            let connection = Connection::open(address, self.timeout)?;
            self.connections.insert(address.to_owned(), connection);
        }
        self.connections
            .get_mut(address)
            .ok_or_else(|| CliError::local("CLIENT", "a connection got lost"))
    }

    /// Every topic of the cluster, by name.
    pub fn topics(&mut self) -> Result<Vec<TopicInfo>> {
        let response = self.metadata(None, false)?;
        let mut topics: Vec<TopicInfo> = response
            .topics
            .iter()
            .filter(|topic| topic.error_code == 0)
            .map(topic_info)
            .collect();
        topics.sort_by(|left, right| left.name.cmp(&right.name));
        Ok(topics)
    }

    /// The id of the cluster, if it has one.
    pub fn cluster_id(&mut self) -> Result<Option<String>> {
        let response = self.ask_metadata(Some(Vec::new()), false)?;
        Ok(response.cluster_id.map(|id| id.to_string()))
    }

    /// The host of the bootstrap address that answered.
    pub fn entry_host(&self) -> &str {
        let host = self.entry.rsplit_once(':').map(|(host, _)| host);
        host.unwrap_or(&self.entry)
    }

    /// Where a broker is, as another answer said.
    fn learn_node(&mut self, node: i32, host: &str, port: i32) {
        let address = format!("{}:{port}", bracketed(host));
        self.nodes.insert(node, address);
    }

    /// The id of a broker that can be asked for its settings.
    pub fn first_broker(&mut self) -> Result<i32> {
        self.ask_metadata(Some(Vec::new()), false)?;
        let first = self.nodes.keys().next().copied();
        first.ok_or_else(|| CliError::new(Exit::Refused, "PROTOCOL", "the cluster names no broker"))
    }

    /// One topic; an unknown one is an error that offers the nearest name.
    pub fn topic(&mut self, name: &str, allow_auto_create: bool) -> Result<TopicInfo> {
        let deadline = std::time::Instant::now() + self.timeout.min(Duration::from_secs(5));
        loop {
            let response = self.metadata(Some(name), allow_auto_create)?;
            let topic = response
                .topics
                .iter()
                .find(|topic| topic.name.as_deref() == Some(name))
                .ok_or_else(|| {
                    CliError::new(
                        Exit::Refused,
                        "PROTOCOL",
                        format!("the broker did not answer for {name}"),
                    )
                })?;
            let has_leaders = topic
                .partitions
                .iter()
                .all(|partition| partition.leader_id >= 0);
            match ErrorCode::from_code(topic.error_code) {
                Some(ErrorCode::None) if has_leaders => return Ok(topic_info(topic)),
                // A topic that is being made: wait for its leaders for a moment.
                Some(ErrorCode::None | ErrorCode::LeaderNotAvailable) => {}
                Some(ErrorCode::UnknownTopicOrPartition) if allow_auto_create => {}
                Some(ErrorCode::UnknownTopicOrPartition) => return Err(self.unknown_topic(name)),
                _ => {
                    return Err(CliError::refused(
                        format!("topic {name}"),
                        topic.error_code,
                        None,
                    ));
                }
            }
            if std::time::Instant::now() >= deadline {
                return Err(CliError::refused(
                    format!("topic {name} has partitions without a leader"),
                    ErrorCode::LeaderNotAvailable as i16,
                    None,
                ));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The error for a topic that is not there.
    pub fn unknown_topic(&mut self, name: &str) -> CliError {
        let error = CliError::refused(
            format!("there is no topic {name}"),
            ErrorCode::UnknownTopicOrPartition as i16,
            None,
        );
        let topics = self.topics().unwrap_or_default();
        // A view of a topic cannot be made, only the topic.
        let name = name.strip_suffix("@state").unwrap_or(name);
        match nearest(name, topics.iter().map(|topic| topic.name.as_str())) {
            Some(near) => error.hint(format!("{near}, or: lastword topic create {name}")),
            None => error.hint(format!(
                "lastword topic ls, or: lastword topic create {name}"
            )),
        }
    }

    fn metadata(
        &mut self,
        topic: Option<&str>,
        allow_auto_create: bool,
    ) -> Result<MetadataResponse> {
        let topics = topic.map(|name| {
            vec![message!(MetadataRequestTopic {
                name: Some(StrBytes::from(name)),
            })]
        });
        self.ask_metadata(topics, allow_auto_create)
    }

    fn ask_metadata(
        &mut self,
        topics: Option<Vec<MetadataRequestTopic>>,
        allow_auto_create: bool,
    ) -> Result<MetadataResponse> {
        let request = message!(MetadataRequest {
            topics,
            allow_auto_topic_creation: allow_auto_create,
        });
        let response = self.call(&request)?;
        for broker in &response.brokers {
            self.nodes.insert(
                broker.node_id,
                format!("{}:{}", bracketed(&broker.host), broker.port),
            );
        }
        Ok(response)
    }
}

fn topic_info(
    topic: &lastword_protocol::messages::metadata_response::MetadataResponseTopic,
) -> TopicInfo {
    let mut partitions: Vec<PartitionInfo> = topic
        .partitions
        .iter()
        .map(|partition| PartitionInfo {
            index: partition.partition_index,
            leader: partition.leader_id,
            leader_epoch: partition.leader_epoch,
            replicas: partition.replica_nodes.clone(),
            isr: partition.isr_nodes.clone(),
        })
        .collect();
    partitions.sort_by_key(|partition| partition.index);
    TopicInfo {
        name: topic.name.as_deref().unwrap_or_default().to_owned(),
        topic_id: topic.topic_id.to_bytes(),
        is_internal: topic.is_internal,
        partitions,
    }
}

/// Kafka's port where none is given.
fn with_port(address: &str) -> String {
    let has_port = match address.rsplit_once(':') {
        // The colons of a bare IPv6 address are not a port's.
        Some((host, port)) => {
            !port.is_empty()
                && port.bytes().all(|b| b.is_ascii_digit())
                && (!host.contains(':') || host.ends_with(']'))
        }
        None => false,
    };
    if has_port {
        address.to_owned()
    } else {
        format!("{}:9092", bracketed(address))
    }
}

fn bracketed(host: &str) -> String {
    if host.contains(':') && !host.starts_with('[') {
        format!("[{host}]")
    } else {
        host.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::with_port;

    #[test]
    fn a_broker_without_a_port_is_on_kafkas() {
        assert_eq!(with_port("localhost"), "localhost:9092");
        assert_eq!(with_port("broker:19092"), "broker:19092");
        assert_eq!(with_port("::1"), "[::1]:9092");
        assert_eq!(with_port("[::1]:19092"), "[::1]:19092");
    }
}
