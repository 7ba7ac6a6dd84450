//! Taking over a directory that has no metadata of ours: which topics it has, and with which configs.
//!
//! Kafka's metadata log says it, if there is one that can be read. A policy that nobody knows is never guessed: a topic
//! that nothing describes is adopted with an empty `cleanup.policy`, so that it keeps everything until somebody says
//! what it is. What Kafka has set and this broker does not have is left out with a warning; a topic whose configs are
//! not valid here keeps everything too.
//!
//! Nothing is written here: the caller makes the image durable once the logs are open. No lock: the caller holds the
//! directory's. Kafka's files are not touched.

use std::collections::BTreeSet;
use std::path::Path;

use lastword_record::TopicPartition;
use lastword_storage::LogManager;
use lastword_storage::config::{ConfigEntry, TOPIC_CONFIGS};

use crate::config::BrokerConfig;
use crate::configs::is_dynamic;
use crate::metadata::{
    GROUP_METADATA_TOPIC, MetadataImage, Properties, TopicImage, read_kraft_metadata,
    validate_topic_name,
};
use crate::topics::{self, MAX_PARTITIONS_PER_TOPIC};

const CLEANUP_POLICY: &str = "cleanup.policy";

/// What Kafka's metadata log in the broker's directory says, as far as it is valid here. Nothing when there is no such
/// log or it cannot be read, which is told.
pub(crate) fn kafka_image(config: &BrokerConfig) -> Option<MetadataImage> {
    let image = match read_kraft_metadata(Path::new(&config.log_dir), config.node_id) {
        Ok(image) => image?,
        Err(error) => {
            tracing::warn!(%error, "the topics' configs in Kafka's metadata log are not known");
            return None;
        }
    };
    let own = known_configs("broker", image.own_broker_configs(), is_known_dynamic);
    let defaults = image.default_broker_configs();
    let defaults = known_configs("all brokers", defaults, is_known_dynamic);
    let bare = MetadataImage::default()
        .with_broker_configs(own)
        .with_default_broker_configs(defaults);
    let invalid = topics::log_config(config, &bare, &Properties::new())
        .map_err(|error| error.message)
        .err()
        .or_else(|| {
            let cleaner = config.cleaner_config(bare.broker_configs());
            cleaner.map_err(|error| error.to_string()).err()
        });
    if let Some(reason) = invalid {
        // Topics inherit from them: without them, no topic's configs are known.
        tracing::warn!(
            reason,
            "the broker configs in Kafka's metadata log are not valid here"
        );
        return None;
    }
    Some(
        image
            .topics()
            .filter_map(|topic| checked(config, &bare, topic))
            .fold(bare.clone(), MetadataImage::with_topic),
    )
}

/// The image without the topics that the directories contradict: a partition with another topic id belongs to a topic
/// that is gone, and the new one's configs say nothing about it. Their logs keep everything. Tells what was taken over.
pub(crate) fn compare(
    config: &BrokerConfig,
    image: &MetadataImage,
    logs: &LogManager,
) -> MetadataImage {
    let mut contradicted = BTreeSet::new();
    for log in logs.logs() {
        let topic_partition = log.topic_partition();
        if let Some(topic) = image.topic(&topic_partition.topic)
            && (topic.id != log.topic_id() || topic_partition.partition >= topic.partition_count)
        {
            contradicted.insert(topic.name.clone());
        }
    }
    for log in logs.logs() {
        let name = &log.topic_partition().topic;
        if contradicted.contains(name)
            && let Ok(kept) = topics::log_config(config, image, &adopted_configs(config, name))
        {
            log.update_config(kept);
        }
    }
    for name in &contradicted {
        tracing::warn!(topic = %name, "Kafka's metadata log describes another topic of this name");
    }
    let topics = image.topics();
    let kept = topics.filter(|topic| !contradicted.contains(&topic.name));
    let kept: Vec<TopicImage> = kept.map(|topic| TopicImage::clone(topic)).collect();
    for topic in &kept {
        tell(topic, logs);
    }
    tracing::info!(
        topics = kept.len(),
        "took over topics, their ids and configs from Kafka's metadata log; what they do not set follows this \
         broker's configs, because Kafka's server.properties is not in the directory"
    );
    let own = image.own_broker_configs().clone();
    MetadataImage::from_parts(kept, own, Vec::new(), 0)
        .with_default_broker_configs(image.default_broker_configs().clone())
}

/// The configs of a topic that nothing describes.
pub(crate) fn adopted_configs(config: &BrokerConfig, name: &str) -> Properties {
    if name == GROUP_METADATA_TOPIC {
        // Kafka has no other; retention would delete offsets.
        return topics::default_topic(config, name).configs;
    }
    Properties::from([(CLEANUP_POLICY.to_owned(), String::new())])
}

/// A topic of Kafka's as it is served here; nothing when it cannot be one.
fn checked(
    config: &BrokerConfig,
    broker: &MetadataImage,
    topic: &TopicImage,
) -> Option<TopicImage> {
    let name = &topic.name;
    let invalid = validate_topic_name(name).map_err(|error| error.to_string());
    let invalid = invalid.err().or_else(|| {
        let count = topic.partition_count;
        let fits = (1..=MAX_PARTITIONS_PER_TOPIC).contains(&count);
        (!fits).then(|| format!("{count} partitions"))
    });
    if let Some(reason) = invalid {
        tracing::warn!(topic = %name, reason, "cannot serve a topic of Kafka's metadata log");
        return None;
    }
    let is_known = |name: &str| ConfigEntry::topic(name).is_some() && !name.starts_with("remote.");
    let mut configs = known_configs(name, &topic.configs, is_known);
    if let Err(error) = topics::log_config(config, broker, &configs) {
        tracing::warn!(
            topic = %name,
            reason = error.message,
            "configs of Kafka's are not valid here: the topic keeps everything until \
             `lastword topic alter` sets cleanup.policy"
        );
        configs = adopted_configs(config, name);
    }
    Some(TopicImage {
        configs,
        ..topic.clone()
    })
}

/// The configs that mean something here.
fn known_configs(owner: &str, configs: &Properties, is_known: fn(&str) -> bool) -> Properties {
    let (known, unknown): (Properties, Properties) = configs
        .clone()
        .into_iter()
        .partition(|(name, _)| is_known(name));
    for (name, value) in unknown {
        tracing::warn!(
            owner,
            name,
            value,
            "ignoring a config of Kafka's that is unknown here"
        );
    }
    known
}

/// Whether a broker config can be set while the broker runs, here or in an older Kafka.
fn is_known_dynamic(name: &str) -> bool {
    let mut synonyms = TOPIC_CONFIGS.iter().flat_map(|entry| entry.broker_synonyms);
    synonyms.any(|synonym| synonym.name == name) || is_dynamic(name)
}

fn tell(topic: &TopicImage, logs: &LogManager) {
    let failed = logs.failed();
    let is_missing = |number: &i32| {
        let topic_partition = TopicPartition {
            topic: topic.name.clone(),
            partition: *number,
        };
        logs.get(&topic_partition).is_none() && !failed.contains_key(&topic_partition)
    };
    let missing = (0..topic.partition_count).filter(is_missing).count();
    if missing > 0 {
        tracing::warn!(
            topic = %topic.name,
            missing,
            "partitions of Kafka's have no directory here; they begin empty"
        );
    }
    tracing::info!(topic = %topic.name, partitions = topic.partition_count, configs = ?topic.configs, "took over topic");
}
