//! Topics, their ids and configs, and the configs that were set on brokers, groups and client-metrics subscriptions.
//!
//! `image` is what readers see: immutable, replaced whole. `store` swaps it after `file` has made
//! the next one durable. `name` says which topic names are allowed. `kraft` reads what Kafka has written about the topics
//! of a directory of its own.

mod file;
mod image;
mod kraft;
mod name;
mod store;

pub use file::{METADATA_FILE_NAME, MetadataFile, MetadataFileError};
pub use image::{ConfigOwner, MetadataImage, Properties, TopicImage};
pub use kraft::{KraftError, read_kraft_metadata};
pub use name::{
    CLUSTER_METADATA_TOPIC, GROUP_METADATA_TOPIC, InvalidTopicName, TRANSACTION_STATE_TOPIC,
    collides_with, is_internal, validate_topic_name,
};
pub use store::MetadataStore;
