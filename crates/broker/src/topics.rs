//! Creating, growing, configuring and deleting topics.
//!
//! The metadata is durable before the logs are made, and a topic being deleted is remembered
//! until its directories are gone: whatever a crash leaves, start-up can finish.
//!
//! | crash after | start-up |
//! |---|---|
//! | topic in the metadata, some logs missing | makes the missing logs, empty |
//! | topic among those being deleted | deletes what is left of its logs |
//!
//! One change at a time, from the metadata to the logs: see `MetadataStore::lock_topics`.
//! Everything here blocks on the disk: call it through `partition::run_blocking`.

use std::sync::Arc;

use lastword_protocol::ErrorCode;
use lastword_record::{TopicId, TopicPartition};
use lastword_storage::LogConfig;

use crate::broker::Broker;
use crate::config::BrokerConfig;
use crate::coordinator::{groups, transactions};
use crate::error_map::ApiError;
use crate::metadata::{
    GROUP_METADATA_TOPIC, MetadataImage, Properties, TRANSACTION_STATE_TOPIC, TopicImage,
    collides_with, validate_topic_name,
};
use crate::partition::Partition;

/// Kafka has no limit; directories and file handles do.
pub const MAX_PARTITIONS_PER_TOPIC: i32 = 10_000;

/// A topic to create.
#[derive(Clone, Debug)]
pub struct NewTopic {
    /// Its name.
    pub name: String,
    /// How many partitions; `None` for the broker's `num.partitions`.
    pub partition_count: Option<i32>,
    /// Configs of its own.
    pub configs: Properties,
}

/// The topic a name stands for when nothing else is said: the broker's defaults, or Kafka's shape
/// of the topics that keep consumer groups and transactions.
pub fn default_topic(config: &BrokerConfig, name: &str) -> NewTopic {
    let mut new_topic = NewTopic {
        name: name.to_owned(),
        partition_count: None,
        configs: Properties::new(),
    };
    let internal = match name {
        GROUP_METADATA_TOPIC => Some((
            config.groups.topic_partitions,
            config.groups.topic_segment_bytes,
            "producer",
        )),
        TRANSACTION_STATE_TOPIC => Some((
            config.transactions.topic_partitions,
            config.transactions.topic_segment_bytes,
            "uncompressed",
        )),
        _ => None,
    };
    if let Some((partition_count, segment_bytes, compression)) = internal {
        new_topic.partition_count = Some(partition_count);
        new_topic.configs = [
            ("cleanup.policy", "compact".to_owned()),
            ("compression.type", compression.to_owned()),
            ("segment.bytes", segment_bytes.to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
    }
    new_topic
}

/// Says whether the topic could be created, and as what, without doing it.
pub fn validate_new_topic(
    config: &BrokerConfig,
    image: &MetadataImage,
    new_topic: &NewTopic,
) -> Result<TopicImage, ApiError> {
    validate_topic_name(&new_topic.name)?;
    if image.topic(&new_topic.name).is_some() {
        return Err(ApiError::new(
            ErrorCode::TopicAlreadyExists,
            format!("Topic '{}' already exists.", new_topic.name),
        ));
    }
    if new_topic.name.contains(['.', '_'])
        && let Some(other) = image
            .topics()
            .find(|t| collides_with(&t.name, &new_topic.name))
    {
        return Err(ApiError::new(
            ErrorCode::InvalidTopicException,
            format!(
                "Topic '{}' collides with existing topic: {}: metrics cannot tell '.' from '_'",
                new_topic.name, other.name
            ),
        ));
    }
    log_config(config, image, &new_topic.configs)?;
    let partition_count = new_topic.partition_count.unwrap_or(config.num_partitions);
    validate_partition_count(partition_count)?;
    Ok(TopicImage {
        name: new_topic.name.as_str().into(),
        id: random_topic_id()?,
        partition_count,
        configs: new_topic.configs.clone(),
    })
}

/// Creates a topic and serves it.
pub fn create_topic(broker: &Broker, new_topic: &NewTopic) -> Result<Arc<TopicImage>, ApiError> {
    let _changing = broker.metadata.lock_topics();
    let topic = broker.metadata.update(|image| {
        let topic = validate_new_topic(&broker.config, image, new_topic)?;
        Ok::<_, ApiError>((image.clone().with_topic(topic.clone()), topic))
    })?;
    if let Err(error) = serve_topic(broker, &topic) {
        // Told that it failed, nobody expects it to be there.
        remove_topic(broker, &topic.name)?;
        return Err(error);
    }
    tracing::info!(topic = %topic.name, partitions = topic.partition_count, "created topic");
    Ok(Arc::new(topic))
}

/// Says whether a topic can grow to `total_count` partitions.
pub fn validate_growth(topic: &TopicImage, total_count: i32) -> Result<(), ApiError> {
    if total_count <= topic.partition_count {
        return Err(ApiError::new(
            ErrorCode::InvalidPartitions,
            format!(
                "The topic {} currently has {} partition(s); {total_count} would not be an increase.",
                topic.name, topic.partition_count
            ),
        ));
    }
    validate_partition_count(total_count)
}

/// Adds partitions up to `total_count`.
pub fn create_partitions(broker: &Broker, name: &str, total_count: i32) -> Result<(), ApiError> {
    let _changing = broker.metadata.lock_topics();
    let topic = broker.metadata.update(|image| {
        let topic = image
            .topic(name)
            .ok_or(ErrorCode::UnknownTopicOrPartition)?;
        validate_growth(topic, total_count)?;
        let grown = TopicImage {
            partition_count: total_count,
            ..TopicImage::clone(topic)
        };
        Ok::<_, ApiError>((image.clone().with_topic(grown.clone()), grown))
    })?;
    serve_topic(broker, &topic)
}

/// Replaces the configs of a topic; they act on its logs at once.
pub fn set_topic_configs(
    broker: &Broker,
    name: &str,
    change: impl FnOnce(&Properties) -> Result<Properties, ApiError>,
) -> Result<(), ApiError> {
    let _changing = broker.metadata.lock_topics();
    let (topic, log_config) = broker.metadata.update(|image| {
        let topic = image
            .topic(name)
            .ok_or(ErrorCode::UnknownTopicOrPartition)?;
        let configs = change(&topic.configs)?;
        let log_config = log_config(&broker.config, image, &configs)?;
        let changed = TopicImage {
            configs,
            ..TopicImage::clone(topic)
        };
        Ok::<_, ApiError>((
            image.clone().with_topic(changed.clone()),
            (changed, log_config),
        ))
    })?;
    for partition in broker.partitions.of_topic(&topic.name) {
        partition.log().update_config(log_config.clone());
    }
    broker.cleaner.wake();
    Ok(())
}

/// Replaces the dynamic broker configs by those of the image that `change` returns. They act at once, on topics that
/// have no setting of their own too. Kafka's code for a value that is not valid is that of a request which is not.
pub fn set_broker_configs(
    broker: &Broker,
    validate_only: bool,
    change: impl FnOnce(&MetadataImage) -> Result<MetadataImage, ApiError>,
) -> Result<(), ApiError> {
    let invalid = |error: String| ApiError::new(ErrorCode::InvalidRequest, error);
    let checked = |image: &MetadataImage| {
        let next = change(image)?;
        // Every topic's config must be valid with the new defaults before any of them changes.
        let mut updates = Vec::new();
        log_config(&broker.config, &next, &Properties::new())
            .map_err(|error| invalid(error.message))?;
        for topic in next.topics() {
            let log_config =
                log_config(&broker.config, &next, &topic.configs).map_err(|error| {
                    invalid(format!("{}, with topic {}", error.message, topic.name))
                })?;
            updates.push((topic.name.clone(), log_config));
        }
        let cleaner = broker.config.cleaner_config(next.broker_configs());
        let cleaner = cleaner.map_err(|error| invalid(error.to_string()))?;
        Ok::<_, ApiError>((next, (updates, cleaner)))
    };
    if validate_only {
        return checked(&broker.metadata.image()).map(|_| ());
    }
    let _changing = broker.metadata.lock_topics();
    let (updates, cleaner) = broker.metadata.update(checked)?;
    let image = broker.metadata.image();
    let expiration_ms = broker
        .config
        .producer_id_expiration_ms(image.broker_configs());
    broker.logs.set_producer_id_expiration_ms(expiration_ms);
    broker.cleaner.update_config(cleaner)?;
    for (name, log_config) in updates {
        for partition in broker.partitions.of_topic(&name) {
            partition.log().update_config(log_config.clone());
        }
    }
    broker.cleaner.wake();
    Ok(())
}

/// Puts the broker's start-up settings in the place of those it has: what can be set on a running broker acts at once.
/// Refused as a whole when something does not fit.
pub fn replace_static_configs(broker: &Broker, next: Properties) -> Result<(), ApiError> {
    let before = broker.config.replace_properties(Arc::new(next));
    let applied = set_broker_configs(broker, false, |image| Ok(image.clone()));
    if applied.is_err() {
        broker.config.replace_properties(before);
    }
    applied
}

/// Deletes a topic with its data.
pub fn delete_topic(broker: &Broker, name: &str) -> Result<(), ApiError> {
    let _changing = broker.metadata.lock_topics();
    let topic = remove_topic(broker, name)?;
    groups::topic_deleted(broker, &topic.name, topic.partition_count);
    transactions::topic_deleted(broker, &topic.name, topic.partition_count);
    tracing::info!(topic = %topic.name, "deleted topic");
    Ok(())
}

/// Takes a topic out of the metadata, and its logs off the disk.
fn remove_topic(broker: &Broker, name: &str) -> Result<Arc<TopicImage>, ApiError> {
    let topic = broker.metadata.update(|image| {
        let topic = image
            .topic(name)
            .ok_or(ErrorCode::UnknownTopicOrPartition)?
            .clone();
        Ok::<_, ApiError>((image.clone().with_topic_deleting(name), topic))
    })?;
    let partitions = broker.partitions.remove(name);
    // Those that could not be loaded as well: left behind, they would belong to the next topic of the name.
    let failed = broker.logs.failed();
    for number in 0..topic.partition_count {
        let topic_partition = TopicPartition {
            topic: topic.name.clone(),
            partition: number,
        };
        if broker.logs.get(&topic_partition).is_some() || failed.contains_key(&topic_partition) {
            broker.logs.delete(&topic_partition)?;
        }
    }
    for partition in &partitions {
        partition.wake_all();
    }
    broker
        .metadata
        .update(|image| Ok::<_, ApiError>((image.clone().without_deleting(topic.id), ())))?;
    Ok(topic)
}

/// Makes the logs of a topic that are missing, and serves all of them.
pub(crate) fn serve_topic(broker: &Broker, topic: &TopicImage) -> Result<(), ApiError> {
    let config = log_config(&broker.config, &broker.metadata.image(), &topic.configs)?;
    let served = broker.partitions.slots_of(&topic.name);
    let failed = broker.logs.failed();
    let count = topic.partition_count.max(0) as usize;
    let wanted = (served.len()..count).map(|number| TopicPartition {
        topic: topic.name.clone(),
        partition: number as i32,
    });
    let wanted: Vec<TopicPartition> = wanted.collect();
    let missing: Vec<TopicPartition> = wanted
        .iter()
        .filter(|it| broker.logs.get(it).is_none() && !failed.contains_key(it))
        .cloned()
        .collect();
    if !missing.is_empty() {
        broker.logs.create_all(&missing, topic.id, &config)?;
    }
    let mut partitions = served;
    partitions.extend(wanted.iter().map(|it| {
        let log = broker.logs.get(it)?;
        Some(Arc::new(Partition::new(log)))
    }));
    broker.partitions.insert(topic.name.clone(), partitions);
    Ok(())
}

/// The config of a topic's logs: its own settings over the broker's dynamic and static ones.
pub fn log_config(
    config: &BrokerConfig,
    image: &MetadataImage,
    topic_configs: &Properties,
) -> Result<LogConfig, ApiError> {
    config
        .topic_defaults(image.broker_configs())
        .and_then(|defaults| defaults.with_properties(topic_configs))
        .map_err(|error| ApiError::new(ErrorCode::InvalidConfig, error.to_string()))
}

fn validate_partition_count(count: i32) -> Result<(), ApiError> {
    if (1..=MAX_PARTITIONS_PER_TOPIC).contains(&count) {
        return Ok(());
    }
    Err(ApiError::new(
        ErrorCode::InvalidPartitions,
        format!("Number of partitions must be between 1 and {MAX_PARTITIONS_PER_TOPIC}: {count}"),
    ))
}

/// Refuses every assignment but the one a partition can have here.
pub fn check_assignment(node_id: i32, replicas: &[i32]) -> Result<(), ApiError> {
    if replicas == [node_id] {
        return Ok(());
    }
    Err(ApiError::new(
        ErrorCode::InvalidReplicaAssignment,
        format!(
            "A partition cannot be assigned to {replicas:?}: there is one broker, so assign it to [{node_id}]."
        ),
    ))
}

fn random_topic_id() -> Result<TopicId, ApiError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)
        .map_err(|error| ApiError::new(ErrorCode::UnknownServerError, error.to_string()))?;
    Ok(TopicId::from_random_bytes(bytes))
}
