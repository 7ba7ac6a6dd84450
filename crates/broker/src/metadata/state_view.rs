//! The names and ids of state views: `orders@state` is the state view of the topic `orders`.
//!
//! A view is no topic of the metadata: it is there as long as its topic is, is not listed, and matches no regular
//! expression. Its id is derived from the topic's and leads back to it, so that nothing has to be kept. `@` cannot occur
//! in the name of a topic.

use std::sync::Arc;

use lastword_protocol::ErrorCode;
use lastword_record::TopicId;

use super::image::{MetadataImage, TopicImage};
use crate::error_map::ApiError;

const SUFFIX: &str = "@state";
/// Makes a UUID of version 8 out of one of version 4, so that no view has the id of a topic; and no first character `-`
/// out of another one.
const MASK: [u8; 16] = [
    0x03, 0x2b, 0x94, 0x0e, 0xa7, 0x61, 0xc0, 0x3d, 0x18, 0xd9, 0x46, 0x7c, 0xb2, 0x05, 0x8a, 0xe3,
];

/// The topic whose state view has this name.
pub fn topic_of_view(name: &str) -> Option<&str> {
    name.strip_suffix(SUFFIX).filter(|topic| !topic.is_empty())
}

/// The name of a topic's state view.
pub fn view_name(topic: &str) -> String {
    format!("{topic}{SUFFIX}")
}

/// The id of the state view of the topic with this id, and the other way round.
pub fn view_id(id: TopicId) -> TopicId {
    let mut bytes = id.0;
    for (byte, mask) in bytes.iter_mut().zip(MASK) {
        *byte ^= mask;
    }
    TopicId(bytes)
}

/// Refuses to change what can only be read.
pub fn refuse_view(name: &str) -> Result<(), ApiError> {
    match topic_of_view(name) {
        None => Ok(()),
        Some(topic) => Err(ApiError::new(
            ErrorCode::InvalidTopicException,
            view_refusal(name, topic),
        )),
    }
}

pub(super) fn view_refusal(name: &str, topic: &str) -> String {
    format!(
        "{name} is the state view of {topic}: it can be read, and offsets can be committed for it, but nothing else can be done to it; do it to {topic}"
    )
}

/// A topic under the name and id of its state view.
pub fn view_of(topic: &TopicImage) -> TopicImage {
    TopicImage {
        name: view_name(&topic.name).into(),
        id: view_id(topic.id),
        ..topic.clone()
    }
}

impl MetadataImage {
    /// What can be read under this name: a topic, or the state view of one.
    pub fn readable(&self, name: &str) -> Option<Arc<TopicImage>> {
        match topic_of_view(name) {
            None => self.topic(name).cloned(),
            Some(topic) => self.topic(topic).map(|topic| Arc::new(view_of(topic))),
        }
    }

    /// What can be read under this id.
    pub fn readable_by_id(&self, id: TopicId) -> Option<Arc<TopicImage>> {
        if let Some(topic) = self.topic_by_id(id) {
            return Some(topic.clone());
        }
        self.topic_by_id(view_id(id))
            .map(|topic| Arc::new(view_of(topic)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_a_view_leads_back_and_is_of_another_version_than_a_topic() {
        let mut id = [0x77; 16];
        id[6] = 0x4a;
        let view = view_id(TopicId(id));
        assert_eq!(view.0[6] >> 4, 8);
        assert_ne!(view.0, id);
        assert_eq!(view_id(view), TopicId(id));
    }

    #[test]
    fn only_a_name_before_the_suffix_makes_a_view() {
        assert_eq!(topic_of_view("orders@state"), Some("orders"));
        assert_eq!(topic_of_view(&view_name("a.b_c-d")), Some("a.b_c-d"));
        for name in ["orders", "@state", "state", "orders@stat", "orders@state2"] {
            assert_eq!(topic_of_view(name), None, "{name}");
            assert!(refuse_view(name).is_ok());
        }
        let error = refuse_view("orders@state").unwrap_err();
        assert!(
            error.message.contains("do it to orders"),
            "{}",
            error.message
        );
    }
}
