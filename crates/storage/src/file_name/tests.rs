use super::*;

#[test]
fn segment_files_are_formatted_as_kafka_does_and_parsed_back() {
    for file in SegmentFile::OF_SEGMENT
        .into_iter()
        .chain([SegmentFile::ProducerSnapshot])
    {
        for suffix in [LIVE, CLEANED, SWAP, DELETED] {
            for base_offset in [0, 42, i64::MAX] {
                let name = segment_file(base_offset, file, suffix);
                assert_eq!(
                    parse_partition_file(&name),
                    PartitionFile::Segment {
                        base_offset,
                        file,
                        suffix
                    },
                    "{name}"
                );
            }
        }
    }
    assert_eq!(
        segment_file(42, SegmentFile::Log, LIVE),
        "00000000000000000042.log"
    );
    assert_eq!(
        segment_path("a-0", 42, SegmentFile::TransactionIndex, SWAP),
        "a-0/00000000000000000042.txnindex.swap"
    );
    let journal = replace_journal(7);
    assert_eq!(
        parse_partition_file(&journal),
        PartitionFile::ReplaceJournal { base_offset: 7 }
    );
}

#[test]
fn foreign_names_are_not_taken_for_ours() {
    for name in [
        "",
        "42.log",
        "00000000000000000042",
        "00000000000000000042.logs",
        "00000000000000000042.log.bak",
        "00000000000000000042.log.swap.swap",
        "0000000000000000004x.log",
        "99999999999999999999.log",
        "+0000000000000000042.log",
        "ééééééééééé.log",
    ] {
        assert_eq!(parse_partition_file(name), PartitionFile::Unknown, "{name}");
    }
    assert_eq!(
        parse_partition_file(LEADER_EPOCH_CHECKPOINT),
        PartitionFile::LeaderEpochCheckpoint
    );
    assert_eq!(
        parse_partition_file(PARTITION_METADATA),
        PartitionFile::PartitionMetadata
    );
    assert_eq!(
        parse_partition_file("leader-epoch-checkpoint.tmp"),
        PartitionFile::Temporary
    );
}

#[test]
fn partition_directories_are_parsed_back() {
    for (topic, partition) in [
        ("a", 0),
        ("a-b.c_d", 12),
        ("-", 3),
        ("x-delete", 1),
        ("a@b", i32::MAX),
    ] {
        let live = TopicPartition {
            topic: topic.into(),
            partition,
        };
        assert_eq!(
            parse_partition_dir(&partition_dir(&live)),
            Some(PartitionDir::Live(live.clone()))
        );
        assert_eq!(
            parse_partition_dir(&deleting_dir(&live, 0xABC)),
            Some(PartitionDir::Deleting(live))
        );
    }
    let id = "0123456789abcdef0123456789abcdef";
    let a0 = TopicPartition {
        topic: "a".into(),
        partition: 0,
    };
    assert_eq!(
        parse_partition_dir(&format!("a-0.{id}-future")),
        Some(PartitionDir::Future(a0.clone()))
    );
    assert_eq!(
        parse_partition_dir(&format!("a-0.{id}-stray")),
        Some(PartitionDir::Stray(a0))
    );
}

#[test]
fn other_directories_are_no_partitions() {
    for name in [
        "a",
        "-0",
        "..-0",
        ".-1",
        "a-",
        "a-00",
        "a-01",
        "a--1x",
        "a-2147483648",
        "a-0.x-delete",
        "lost+found",
    ] {
        assert_eq!(parse_partition_dir(name), None, "{name}");
    }
}

#[test]
fn the_longest_topic_can_be_deleted_and_is_recognised_afterwards() {
    let topic_partition = TopicPartition {
        topic: "t".repeat(249).into(),
        partition: 12345,
    };
    let name = deleting_dir(&topic_partition, u128::MAX);
    assert!(name.len() <= 255);
    assert!(
        matches!(parse_partition_dir(&name), Some(PartitionDir::Deleting(_))),
        "{name}"
    );
}
