//! `MetadataImage`: what the broker knows about topics at one moment.
//!
//! Immutable: a change builds the next image from this one and swaps it in. Topics are shared
//! between images, so a change copies two maps of pointers.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use lastword_record::TopicId;

/// Config names and values as a client set them.
pub type Properties = BTreeMap<String, String>;

/// What has configs besides topics and brokers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConfigOwner {
    /// A client-metrics subscription (KIP-714).
    ClientMetrics,
    /// A group (KIP-848), which need not exist.
    Group,
}

/// One topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicImage {
    /// Its name.
    pub name: Arc<str>,
    /// Its id: a topic created again under the same name has another one.
    pub id: TopicId,
    /// Partitions 0 to this, exclusive.
    pub partition_count: i32,
    /// The configs set on the topic itself.
    pub configs: Properties,
}

/// Topics by name and id, configs of the broker, topics whose deletion is not finished.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MetadataImage {
    topics: BTreeMap<Arc<str>, Arc<TopicImage>>,
    names_by_id: HashMap<TopicId, Arc<str>>,
    /// Those of this broker, those of all brokers, and the first over the second.
    own_broker_configs: Properties,
    default_broker_configs: Properties,
    broker_configs: Properties,
    owned_configs: BTreeMap<(ConfigOwner, String), Properties>,
    deleting: Vec<Arc<TopicImage>>,
    next_producer_id: i64,
}

impl MetadataImage {
    /// The topic of this name.
    pub fn topic(&self, name: &str) -> Option<&Arc<TopicImage>> {
        self.topics.get(name)
    }

    /// The topic of this id.
    pub fn topic_by_id(&self, id: TopicId) -> Option<&Arc<TopicImage>> {
        self.topics.get(self.names_by_id.get(&id)?)
    }

    /// Every topic, by name.
    pub fn topics(&self) -> impl ExactSizeIterator<Item = &Arc<TopicImage>> {
        self.topics.values()
    }

    /// The topics from this name on, by name.
    pub fn topics_from(&self, name: &str) -> impl Iterator<Item = &Arc<TopicImage>> {
        let start = std::ops::Bound::Included(name);
        self.topics
            .range::<str, _>((start, std::ops::Bound::Unbounded))
            .map(|(_, topic)| topic)
    }

    /// Dynamic broker configs in force: this broker's own over those of all brokers.
    pub fn broker_configs(&self) -> &Properties {
        &self.broker_configs
    }

    /// Dynamic configs of this broker alone.
    pub fn own_broker_configs(&self) -> &Properties {
        &self.own_broker_configs
    }

    /// Dynamic configs of all brokers.
    pub fn default_broker_configs(&self) -> &Properties {
        &self.default_broker_configs
    }

    /// What was set for a group or a client-metrics subscription.
    pub fn owned_configs(&self, owner: ConfigOwner, name: &str) -> Option<&Properties> {
        self.owned_configs.get(&(owner, name.to_owned()))
    }

    /// Everything of this kind for which something was set, by name.
    pub fn owners(&self, owner: ConfigOwner) -> impl Iterator<Item = (&str, &Properties)> {
        self.owned_configs
            .iter()
            .filter(move |((kind, _), _)| *kind == owner)
            .map(|((_, name), configs)| (name.as_str(), configs))
    }

    /// Topics that are gone for clients while their files may still be there.
    pub fn deleting(&self) -> &[Arc<TopicImage>] {
        &self.deleting
    }

    /// The first producer id that was never handed out.
    pub fn next_producer_id(&self) -> i64 {
        self.next_producer_id
    }

    /// This image with a topic added or replaced.
    pub fn with_topic(mut self, topic: TopicImage) -> MetadataImage {
        if let Some(old) = self.topics.get(&topic.name) {
            self.names_by_id.remove(&old.id);
        }
        self.names_by_id.insert(topic.id, topic.name.clone());
        self.topics.insert(topic.name.clone(), Arc::new(topic));
        self
    }

    /// This image with a topic moved to those being deleted.
    pub fn with_topic_deleting(mut self, name: &str) -> MetadataImage {
        if let Some(topic) = self.topics.remove(name) {
            self.names_by_id.remove(&topic.id);
            self.deleting.push(topic);
        }
        self
    }

    /// This image without a topic whose deletion is finished.
    pub fn without_deleting(mut self, id: TopicId) -> MetadataImage {
        self.deleting.retain(|topic| topic.id != id);
        self
    }

    /// This image with other configs of this broker.
    pub fn with_broker_configs(mut self, configs: Properties) -> MetadataImage {
        self.own_broker_configs = configs;
        self.merge_broker_configs()
    }

    /// This image with other configs of all brokers.
    pub fn with_default_broker_configs(mut self, configs: Properties) -> MetadataImage {
        self.default_broker_configs = configs;
        self.merge_broker_configs()
    }

    fn merge_broker_configs(mut self) -> MetadataImage {
        self.broker_configs = self.default_broker_configs.clone();
        self.broker_configs.extend(self.own_broker_configs.clone());
        self
    }

    /// This image with other configs of a group or a client-metrics subscription; none take it away.
    pub fn with_owned_configs(
        mut self,
        owner: ConfigOwner,
        name: &str,
        configs: Properties,
    ) -> MetadataImage {
        let key = (owner, name.to_owned());
        if configs.is_empty() {
            self.owned_configs.remove(&key);
        } else {
            self.owned_configs.insert(key, configs);
        }
        self
    }

    /// This image with producer ids below `next` handed out.
    pub fn with_next_producer_id(mut self, next: i64) -> MetadataImage {
        self.next_producer_id = next;
        self
    }

    /// An image from its parts, as a file holds them.
    pub fn from_parts(
        topics: Vec<TopicImage>,
        broker_configs: Properties,
        deleting: Vec<TopicImage>,
        next_producer_id: i64,
    ) -> MetadataImage {
        let image = MetadataImage {
            deleting: deleting.into_iter().map(Arc::new).collect(),
            next_producer_id,
            ..MetadataImage::default()
        };
        let image = image.with_broker_configs(broker_configs);
        topics.into_iter().fold(image, MetadataImage::with_topic)
    }
}
