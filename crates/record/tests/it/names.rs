//! Names and ids in Kafka's text forms.

use lastword_record::{CompressionType, TopicId, TopicPartition, crc32c, crc32c_known_answer};

#[test]
fn a_partition_displays_as_topic_dash_number() {
    assert_eq!(TopicPartition::new("orders", 12).to_string(), "orders-12");
    assert!(TopicPartition::new("a", 2) < TopicPartition::new("a", 10));
}

#[test]
fn topic_ids_are_22_characters_of_base64url() {
    assert_eq!(TopicId::ZERO.to_string(), "AAAAAAAAAAAAAAAAAAAAAA");
    assert_eq!(TopicId([0xff; 16]).to_string(), "_____________________w");
    let metadata = TopicId([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    assert_eq!(metadata.to_string(), "AAAAAAAAAAAAAAAAAAAAAQ");
    assert_eq!(TopicId::parse("AAAAAAAAAAAAAAAAAAAAAQ"), Ok(metadata));
}

#[test]
fn what_is_no_topic_id_is_refused() {
    for text in [
        "",
        "AAAAAAAAAAAAAAAAAAAAA",
        "AAAAAAAAAAAAAAAAAAAAAAA",
        "AAAAAAAAAAAAAAAAAAAAA+",
    ] {
        assert!(TopicId::parse(text).is_err(), "{text}");
    }
    assert!(
        TopicId::parse("AAAAAAAAAAAAAAAAAAAAAB").is_err(),
        "stray bits"
    );
}

#[test]
fn random_topic_ids_never_begin_with_a_dash() {
    for first in 0..=255 {
        let mut random = [0x5a; 16];
        random[0] = first;
        let id = TopicId::from_random_bytes(random);
        let text = id.to_string();
        assert!(!text.starts_with('-'), "{text}");
        assert_eq!(TopicId::parse(&text), Ok(id));
        assert_eq!((id.0[6] >> 4, id.0[8] >> 6), (4, 2));
    }
}

#[test]
fn codecs_have_kafkas_names_and_numbers() {
    let names: Vec<&str> = CompressionType::ALL
        .iter()
        .map(|codec| codec.name())
        .collect();
    assert_eq!(names, ["none", "gzip", "snappy", "lz4", "zstd"]);
    for (id, codec) in CompressionType::ALL.into_iter().enumerate() {
        assert_eq!(codec.id() as usize, id);
        assert_eq!(CompressionType::from_id(codec.id()), Some(codec));
        assert_eq!(CompressionType::from_name(codec.name()), Some(codec));
    }
    assert_eq!(CompressionType::from_id(5), None);
    assert_eq!(CompressionType::from_name("brotli"), None);
}

#[test]
fn the_checksum_is_castagnoli() {
    assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    assert_eq!(crc32c(b""), 0);
    assert!(crc32c_known_answer());
}
