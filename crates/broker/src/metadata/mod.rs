//! Topics, their ids and configs, and the configs that were set on brokers, groups and client-metrics subscriptions.
//!
//! `image` is what readers see: immutable, replaced whole. `store` swaps it after `file` has made
//! the next one durable. `name` says which topic names are allowed, `state_view` what state
//! views are called. `kraft` reads what Kafka has written about the topics
//! of a directory of its own.

mod file;
mod image;
mod kraft;
mod name;
mod state_view;
mod store;

pub use file::{METADATA_FILE_NAME, MetadataFile, MetadataFileError};
pub use image::{ConfigOwner, MetadataImage, Properties, TopicImage};
pub use kraft::{KraftError, read_kraft_metadata};
pub use name::{
    CLUSTER_METADATA_TOPIC, GROUP_METADATA_TOPIC, InvalidTopicName, TRANSACTION_STATE_TOPIC,
    collides_with, is_internal, validate_topic_name,
};
pub use state_view::{refuse_view, topic_of_view, view_id, view_name, view_of};
pub use store::MetadataStore;
