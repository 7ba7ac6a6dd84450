//! Topics and their settings: one function a request, Kafka's refusal as an error that names the fix.

use std::collections::BTreeMap;

use lastword_protocol::messages::create_partitions_request::{
    CreatePartitionsRequest, CreatePartitionsTopic,
};
use lastword_protocol::messages::create_topics_request::{
    CreatableTopic, CreatableTopicConfig, CreateTopicsRequest,
};
use lastword_protocol::messages::delete_topics_request::{DeleteTopicState, DeleteTopicsRequest};
use lastword_protocol::messages::describe_configs_request::{
    DescribeConfigsRequest, DescribeConfigsResource,
};
use lastword_protocol::messages::describe_configs_response::DescribeConfigsResourceResult;
use lastword_protocol::messages::describe_log_dirs_request::DescribeLogDirsRequest;
use lastword_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};
use lastword_protocol::{ErrorCode, StrBytes, message};

use super::Client;
use crate::error::{CliError, Exit, Result};

const RESOURCE_TOPIC: i8 = 2;
const RESOURCE_BROKER: i8 = 4;
const OPERATION_SET: i8 = 0;
const OPERATION_DELETE: i8 = 1;

/// What a new topic should be. -1 leaves a number to the broker.
pub struct NewTopic<'a> {
    pub name: &'a str,
    pub partitions: i32,
    pub replication_factor: i16,
    pub configs: &'a [(String, String)],
}

/// What the broker made of it.
pub struct CreatedTopic {
    pub partitions: i32,
    pub replication_factor: i16,
}

/// What has settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resource<'a> {
    Topic(&'a str),
    /// By its id.
    Broker(i32),
    AllBrokers,
}

impl Resource<'_> {
    fn on_the_wire(&self) -> (i8, String) {
        match self {
            Resource::Topic(name) => (RESOURCE_TOPIC, (*name).to_owned()),
            Resource::Broker(id) => (RESOURCE_BROKER, id.to_string()),
            Resource::AllBrokers => (RESOURCE_BROKER, String::new()),
        }
    }

    /// As it is called in a sentence.
    pub fn says(&self) -> String {
        match self {
            Resource::Topic(name) => (*name).to_owned(),
            Resource::Broker(id) => format!("broker {id}"),
            Resource::AllBrokers => "all brokers".to_owned(),
        }
    }
}

/// One setting of a topic or broker.
#[derive(Clone, Debug)]
pub struct ConfigEntry {
    pub name: String,
    pub value: Option<String>,
    pub source: &'static str,
    pub is_read_only: bool,
}

impl ConfigEntry {
    /// Set on the topic itself.
    pub fn is_own(&self) -> bool {
        self.source == "DYNAMIC_TOPIC_CONFIG"
    }
}

pub fn create_topic(
    client: &mut Client,
    topic: &NewTopic<'_>,
    validate_only: bool,
) -> Result<CreatedTopic> {
    let configs = topic
        .configs
        .iter()
        .map(|(name, value)| {
            message!(CreatableTopicConfig {
                name: StrBytes::from(name.as_str()),
                value: Some(StrBytes::from(value.as_str())),
            })
        })
        .collect();
    let topics = vec![message!(CreatableTopic {
        name: StrBytes::from(topic.name),
        num_partitions: topic.partitions,
        replication_factor: topic.replication_factor,
        configs,
    })];
    let request = message!(CreateTopicsRequest {
        topics,
        timeout_ms: timeout_ms(client),
        validate_only,
    });
    let response = client.call(&request)?;
    let result = one(response.topics.first(), "CreateTopics")?;
    if result.error_code != 0 {
        let error = CliError::refused(
            format!("cannot create {}", topic.name),
            result.error_code,
            result.error_message.as_deref(),
        );
        return Err(match ErrorCode::from_code(result.error_code) {
            Some(ErrorCode::TopicAlreadyExists) => error.hint(format!(
                "lastword topic describe {}, or create it with --if-not-exists",
                topic.name
            )),
            Some(ErrorCode::InvalidReplicationFactor) => {
                error.hint("leave out -r: a single broker holds the only copy")
            }
            Some(ErrorCode::InvalidTopicException) => {
                error.hint("a name has 1 to 249 of a-z A-Z 0-9 . _ -")
            }
            _ => error,
        });
    }
    Ok(CreatedTopic {
        // Before version 5 the answer does not say.
        partitions: if result.num_partitions > 0 {
            result.num_partitions
        } else {
            topic.partitions.max(1)
        },
        replication_factor: result.replication_factor,
    })
}

pub fn delete_topic(client: &mut Client, name: &str) -> Result<()> {
    // Versions up to 5 carry names, later ones topics; the codec writes the list that the version has.
    let request = message!(DeleteTopicsRequest {
        topics: vec![message!(DeleteTopicState {
            name: Some(StrBytes::from(name)),
        })],
        topic_names: vec![StrBytes::from(name)],
        timeout_ms: timeout_ms(client),
    });
    let response = client.call(&request)?;
    let result = one(response.responses.first(), "DeleteTopics")?;
    match ErrorCode::from_code(result.error_code) {
        Some(ErrorCode::None) => Ok(()),
        Some(ErrorCode::UnknownTopicOrPartition) => Err(client.unknown_topic(name)),
        _ => Err(CliError::refused(
            format!("cannot delete {name}"),
            result.error_code,
            result.error_message.as_deref(),
        )),
    }
}

pub fn create_partitions(
    client: &mut Client,
    name: &str,
    count: i32,
    validate_only: bool,
) -> Result<()> {
    let topics = vec![message!(CreatePartitionsTopic {
        name: StrBytes::from(name),
        count,
        assignments: None,
    })];
    let request = message!(CreatePartitionsRequest {
        topics,
        timeout_ms: timeout_ms(client),
        validate_only,
    });
    let response = client.call(&request)?;
    let result = one(response.results.first(), "CreatePartitions")?;
    if result.error_code == 0 {
        return Ok(());
    }
    let what = format!("cannot give {name} {count} partitions");
    let error = CliError::refused(what, result.error_code, result.error_message.as_deref());
    Err(match ErrorCode::from_code(result.error_code) {
        Some(ErrorCode::InvalidPartitions) => {
            error.hint("partitions can only be added, never taken away")
        }
        _ => error,
    })
}

/// The settings of some topics, by topic. `names` restricts them to these settings.
pub fn describe_configs(
    client: &mut Client,
    topics: &[&str],
    names: Option<&[&str]>,
) -> Result<BTreeMap<String, Vec<ConfigEntry>>> {
    let keys = names.map(|names| {
        names
            .iter()
            .map(|&name| StrBytes::from(name))
            .collect::<Vec<_>>()
    });
    let resources = topics
        .iter()
        .map(|&topic| {
            message!(DescribeConfigsResource {
                resource_type: RESOURCE_TOPIC,
                resource_name: StrBytes::from(topic),
                configuration_keys: keys.clone(),
            })
        })
        .collect();
    let response = client.call(&message!(DescribeConfigsRequest { resources }))?;
    let mut found = BTreeMap::new();
    for result in response.results {
        if result.error_code != 0 {
            let what = format!("no settings of {}", &*result.resource_name);
            return Err(CliError::refused(
                what,
                result.error_code,
                result.error_message.as_deref(),
            ));
        }
        found.insert(result.resource_name.to_string(), entries(&result.configs));
    }
    Ok(found)
}

/// The settings of one broker, or what is set for all of them.
pub fn describe_broker(client: &mut Client, broker: &Resource<'_>) -> Result<Vec<ConfigEntry>> {
    let (resource_type, resource_name) = broker.on_the_wire();
    let resources = vec![message!(DescribeConfigsResource {
        resource_type,
        resource_name: StrBytes::from(resource_name.as_str()),
        configuration_keys: None,
    })];
    let response = client.call(&message!(DescribeConfigsRequest { resources }))?;
    let result = one(response.results.first(), "DescribeConfigs")?;
    if result.error_code != 0 {
        let what = format!("no settings of {}", broker.says());
        let message = result.error_message.as_deref();
        return Err(CliError::refused(what, result.error_code, message));
    }
    Ok(entries(&result.configs))
}

fn entries(configs: &[DescribeConfigsResourceResult]) -> Vec<ConfigEntry> {
    let entry = |config: &DescribeConfigsResourceResult| ConfigEntry {
        name: config.name.to_string(),
        value: config.value.as_ref().map(ToString::to_string),
        source: source_name(config.config_source),
        is_read_only: config.read_only,
    };
    let mut entries: Vec<ConfigEntry> = configs.iter().map(entry).collect();
    entries.sort_by(|left, right| left.name.cmp(&right.name));
    entries
}

/// Sets (`Some`) and resets (`None`) settings of a topic or broker.
pub fn alter_configs(
    client: &mut Client,
    resource: &Resource<'_>,
    changes: &[(String, Option<String>)],
    validate_only: bool,
) -> Result<()> {
    let (resource_type, resource_name) = resource.on_the_wire();
    let configs = changes
        .iter()
        .map(|(name, value)| {
            message!(AlterableConfig {
                name: StrBytes::from(name.as_str()),
                config_operation: if value.is_some() {
                    OPERATION_SET
                } else {
                    OPERATION_DELETE
                },
                value: value.as_deref().map(StrBytes::from),
            })
        })
        .collect();
    let resources = vec![message!(AlterConfigsResource {
        resource_type,
        resource_name: StrBytes::from(resource_name.as_str()),
        configs,
    })];
    let response = client.call(&message!(IncrementalAlterConfigsRequest {
        resources,
        validate_only,
    }))?;
    let result = one(response.responses.first(), "IncrementalAlterConfigs")?;
    match ErrorCode::from_code(result.error_code) {
        Some(ErrorCode::None) => Ok(()),
        code => Err(match (code, resource) {
            (Some(ErrorCode::UnknownTopicOrPartition), Resource::Topic(topic)) => {
                client.unknown_topic(topic)
            }
            (_, resource) => CliError::refused(
                format!("cannot change {}", resource.says()),
                result.error_code,
                result.error_message.as_deref(),
            )
            .hint(match resource {
                Resource::Topic(topic) => {
                    format!("lastword topic describe {topic} -c shows every setting")
                }
                _ => "lastword config explain NAME says what can be set while a broker runs"
                    .to_owned(),
            }),
        }),
    }
}

/// Bytes on disk by topic; empty when the broker does not tell.
pub fn topic_sizes(client: &mut Client) -> BTreeMap<String, i64> {
    let mut sizes = BTreeMap::new();
    if let Ok(response) = client.call(&message!(DescribeLogDirsRequest { topics: None })) {
        for topic in response
            .results
            .iter()
            .flat_map(|directory| &directory.topics)
        {
            *sizes.entry(topic.name.to_string()).or_insert(0) += topic
                .partitions
                .iter()
                .map(|partition| partition.partition_size)
                .sum::<i64>();
        }
    }
    sizes
}

fn one<'a, T>(result: Option<&'a T>, api: &str) -> Result<&'a T> {
    result.ok_or_else(|| {
        CliError::new(
            Exit::Refused,
            "PROTOCOL",
            format!("an empty answer to {api}"),
        )
    })
}

fn timeout_ms(client: &Client) -> i32 {
    i32::try_from(client.timeout().as_millis()).unwrap_or(i32::MAX)
}

fn source_name(source: i8) -> &'static str {
    match source {
        1 => "DYNAMIC_TOPIC_CONFIG",
        2 => "DYNAMIC_BROKER_CONFIG",
        3 => "DYNAMIC_DEFAULT_BROKER_CONFIG",
        4 => "STATIC_BROKER_CONFIG",
        5 => "DEFAULT_CONFIG",
        6 => "DYNAMIC_BROKER_LOGGER_CONFIG",
        _ => "UNKNOWN",
    }
}
