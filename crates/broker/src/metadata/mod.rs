//! Topics, their ids and configs, and the dynamic broker configs.
//!
//! `image` is what readers see: immutable, replaced whole. `store` swaps it after `file` has made
//! the next one durable. `name` says which topic names are allowed.

mod file;
mod image;
mod name;
mod store;

pub use file::{MetadataFile, MetadataFileError};
pub use image::{MetadataImage, Properties, TopicImage};
pub use name::{
    GROUP_METADATA_TOPIC, InvalidTopicName, collides_with, is_internal, validate_topic_name,
};
pub use store::MetadataStore;
