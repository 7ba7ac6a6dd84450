//! What only the broker's HTTP address tells: records that exist, live keys, why nothing is being compacted.
//!
//! The Kafka wire has no request for them. So the command looks for the address: the one that is named (`--http`,
//! `LASTWORD_HTTP`), or the usual port on the broker's host. It is believed only if it serves the same cluster; where there
//! is none, the commands do without, and say so.

use std::collections::BTreeMap;
use std::time::Duration;

use lastword_http::client::encode;
use serde::Deserialize;

use crate::client::Client;
use crate::error::{CliError, Result};
use crate::http::HttpArgs;
use crate::output::say;

const HTTP_PORT: u16 = 9644;
/// For an address that nobody has named: it may be a host that answers nothing.
const GUESS_TIMEOUT: Duration = Duration::from_secs(2);
/// An answer with exact counts may take 20 seconds.
const TIMEOUT_S: u64 = 30;

/// The option of commands that show such counts.
#[derive(clap::Args, Clone, Debug)]
pub struct TrueCountArgs {
    /// The broker's HTTP address, for counts that the Kafka wire does not have [default: port 9644 of the broker]
    #[arg(long, env = "LASTWORD_HTTP", value_name = "HOST:PORT")]
    http: Option<String>,
}

/// A topic as `/v1/topics` shows it.
#[derive(Clone, Debug, Deserialize)]
pub struct TopicCounts {
    pub name: String,
    pub size_bytes: i64,
    pub records: Option<u64>,
    pub live_bytes: Option<u64>,
    pub dead_bytes: Option<u64>,
    pub live_keys: Option<u64>,
    pub dirty_ratio: Option<f64>,
    /// Partitions by reason.
    pub reasons: BTreeMap<String, u32>,
}

/// A group as `/v1/groups/{group}` shows it.
#[derive(Clone, Debug, Deserialize)]
pub struct GroupCounts {
    pub offsets: Vec<OffsetCount>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct OffsetCount {
    pub topic: String,
    pub partition: i32,
    pub true_lag: Option<u64>,
}

/// A group as `/v1/groups` shows it.
#[derive(Clone, Debug, Deserialize)]
pub struct ListedGroupCounts {
    pub group: String,
    pub members: Option<usize>,
    pub lag: Option<i64>,
    pub true_lag: Option<u64>,
}

/// The broker's HTTP address, known to be that of this cluster.
pub struct TrueCounts {
    http: HttpArgs,
}

impl TrueCountArgs {
    /// None, and a line to standard error, when there is no such address.
    pub fn find(&self, client: &mut Client, is_quiet: bool) -> Result<Option<TrueCounts>> {
        let cluster = client.cluster_id()?;
        let address = match &self.http {
            Some(address) => address.clone(),
            None => format!("{}:{HTTP_PORT}", client.entry_host()),
        };
        let guess_s = GUESS_TIMEOUT.as_secs();
        let http = HttpArgs::new(&address, self.http.as_ref().map_or(guess_s, |_| TIMEOUT_S));
        #[derive(Deserialize)]
        struct Broker {
            cluster_id: String,
        }
        let found: Result<Broker> = http.call("GET", "/v1/broker", None);
        match (found, &self.http) {
            (Ok(broker), _) if Some(&broker.cluster_id) == cluster.as_ref() => {
                Ok(Some(TrueCounts {
                    http: HttpArgs::new(&address, TIMEOUT_S),
                }))
            }
            (Ok(broker), Some(address)) => {
                let what = format!("http://{address} is of another broker");
                let why = format!(
                    "it serves cluster {}, and -b leads to {}",
                    broker.cluster_id,
                    cluster.as_deref().unwrap_or("one without a name")
                );
                Err(CliError::usage(what).why(why))
            }
            (Err(error), Some(_)) => Err(error),
            _ => {
                if !is_quiet {
                    say(
                        "records, live keys and true lag are told by Lastword's HTTP address: --http HOST:PORT",
                    );
                }
                Ok(None)
            }
        }
    }
}

impl TrueCounts {
    /// All topics, by name.
    pub fn topics(&self) -> Result<Vec<TopicCounts>> {
        #[derive(Deserialize)]
        struct Page {
            topics: Vec<TopicCounts>,
            next: Option<String>,
        }
        let mut topics = Vec::new();
        let mut from = String::new();
        loop {
            let path = format!("/v1/topics?counts=exact&from={}", encode(&from));
            let page: Page = self.http.call("GET", &path, None)?;
            topics.extend(page.topics);
            match page.next {
                Some(next) => from = next,
                None => return Ok(topics),
            }
        }
    }

    /// Records of a topic, by partition.
    pub fn records(&self, topic: &str) -> Result<BTreeMap<i32, Option<u64>>> {
        #[derive(Deserialize)]
        struct Partitions {
            partitions: Vec<Partition>,
        }
        #[derive(Deserialize)]
        struct Partition {
            partition: i32,
            records: Option<u64>,
        }
        let path = format!("/v1/topics/{}/partitions?counts=exact", encode(topic));
        let found: Partitions = self.http.call("GET", &path, None)?;
        let partitions = found.partitions.into_iter();
        Ok(partitions.map(|it| (it.partition, it.records)).collect())
    }

    /// The address itself.
    pub fn http(&self) -> &HttpArgs {
        &self.http
    }

    pub fn group(&self, group: &str) -> Result<GroupCounts> {
        let path = format!("/v1/groups/{}?counts=exact", encode(group));
        self.http.call("GET", &path, None)
    }

    pub fn groups(&self) -> Result<Vec<ListedGroupCounts>> {
        #[derive(Deserialize)]
        struct List {
            groups: Vec<ListedGroupCounts>,
        }
        let list: List = self.http.call("GET", "/v1/groups?counts=exact", None)?;
        Ok(list.groups)
    }
}
