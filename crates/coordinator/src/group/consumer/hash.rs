//! The metadata hash of a group (KIP-1101): one number that changes when a subscribed topic does.
//!
//! ```text
//! topic  XXH3-64 of  byte 0, topic id (two longs), name, int partitionCount,
//!                    then for each partition  int number, for each rack  int length, rack
//! group  XXH3-64 of the topics' hashes (longs), by name; 0 without topics
//! ```
//! As Kafka's hash library streams them: integers little-endian, a string as UTF-16 units
//! little-endian and then their count as an int.

use twox_hash::XxHash3_64;

use super::topics::{MetadataView, TopicView};

const MAGIC: u8 = 0;

fn put_string(out: &mut Vec<u8>, text: &str) {
    let before = out.len();
    for unit in text.encode_utf16() {
        out.extend_from_slice(&unit.to_le_bytes());
    }
    let units = (out.len() - before) / 2;
    out.extend_from_slice(&(units as i32).to_le_bytes());
}

fn topic_hash(topic: &TopicView, rack: Option<&str>) -> u64 {
    let mut bytes = vec![MAGIC];
    let (high, low) = topic.id.0.split_at(8);
    bytes.extend(high.iter().rev());
    bytes.extend(low.iter().rev());
    put_string(&mut bytes, &topic.name);
    bytes.extend_from_slice(&topic.partition_count.to_le_bytes());
    for partition in 0..topic.partition_count {
        bytes.extend_from_slice(&partition.to_le_bytes());
        if let Some(rack) = rack {
            let units = rack.encode_utf16().count();
            bytes.extend_from_slice(&(units as i32).to_le_bytes());
            put_string(&mut bytes, rack);
        }
    }
    XxHash3_64::oneshot(&bytes)
}

/// The hash of the topics that exist among `names`, which are sorted and each once.
pub(super) fn metadata_hash<'a>(
    names: impl IntoIterator<Item = &'a str>,
    view: &MetadataView,
) -> i64 {
    let mut bytes = Vec::new();
    for topic in names.into_iter().filter_map(|name| view.topic(name)) {
        bytes.extend_from_slice(&topic_hash(topic, view.rack()).to_le_bytes());
    }
    if bytes.is_empty() {
        0
    } else {
        XxHash3_64::oneshot(&bytes).cast_signed()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::group::consumer::topics::TopicId;

    fn topic(name: &str, id: TopicId, partition_count: i32) -> TopicView {
        TopicView {
            name: name.into(),
            id,
            partition_count,
        }
    }

    #[test]
    fn hashes_are_those_of_kafka() {
        let a = TopicId([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]);
        let foo = topic("foo", a, 3);
        assert_eq!(
            topic_hash(&foo, None).cast_signed(),
            -6_208_928_541_441_449_389
        );
        let mut b = [255; 16];
        b[8..].copy_from_slice(&2i64.to_be_bytes());
        let bar = topic("bär", TopicId(b), 1);
        assert_eq!(
            topic_hash(&bar, Some("r1")).cast_signed(),
            -8_993_795_039_217_077_607
        );
        let view = MetadataView::new(1, [foo], None, BTreeMap::new());
        assert_eq!(
            metadata_hash(["foo", "missing"], &view),
            6_567_505_408_605_215_696
        );
        assert_eq!(metadata_hash(["missing"], &view), 0);
    }

    #[test]
    fn a_hash_from_a_log_of_kafka_4_3_is_found_again() {
        let id = TopicId(0xb06c0ba3b0da48d4986e0002fca8a756_u128.to_be_bytes());
        let name = "java-group-consumer-protocol-t";
        let view = MetadataView::new(1, [topic(name, id, 4)], None, BTreeMap::new());
        assert_eq!(metadata_hash([name], &view), 8_537_603_007_340_392_580);
    }
}
