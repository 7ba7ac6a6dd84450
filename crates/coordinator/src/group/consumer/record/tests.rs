//! Bytes made by Kafka 4.3.0's own classes.

use bytes::Bytes;

use super::*;

const A: TopicId = TopicId([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]);
const B: TopicId = TopicId([
    255, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 0, 0, 0, 0, 2,
]);

fn bytes(hex: &str) -> Vec<u8> {
    let digits = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(digits).collect()
}

/// Writes as Kafka does, and reads back what was written.
fn check(change: &Change, key: &str, value: &str) {
    let record = encode("g", change);
    assert_eq!(record.key, bytes(key));
    assert_eq!(record.value, Some(bytes(value)));
    let (group_id, key) = decode_key(&record.key).unwrap().unwrap();
    assert_eq!(group_id, "g");
    assert_eq!(&decode(key, record.value.as_deref()).unwrap(), change);
}

fn owned(partitions: &[(TopicId, &[(i32, i32)])]) -> OwnedPartitions {
    partitions
        .iter()
        .map(|(topic, partitions)| (*topic, partitions.iter().copied().collect()))
        .collect()
}

fn member() -> MemberMetadata {
    MemberMetadata {
        instance_id: Some("i".to_owned()),
        rack_id: None,
        client_id: "c".to_owned(),
        client_host: "/127.0.0.1".to_owned(),
        topic_names: ["foo", "bar"].map(str::to_owned).into(),
        topic_regex: Some("f.*".to_owned()),
        rebalance_timeout_ms: 300_000,
        server_assignor: Some("range".to_owned()),
        classic: None,
    }
}

#[test]
fn a_member_is_written_as_kafka_writes_it() {
    check(
        &Change::Member("m".into(), Some(Arc::new(member()))),
        "000500016700016d",
        "000002690002630b2f3132372e302e302e31030462617204666f6f04662e2a000493e00672616e676500",
    );
}

#[test]
fn a_member_of_the_classic_protocol_is_written_as_kafka_writes_it() {
    let classic = ClassicMetadata {
        session_timeout_ms: 10_000,
        protocols: vec![JoinProtocol {
            name: "range".to_owned(),
            metadata: Bytes::from_static(&[1, 2, 3]),
        }],
    };
    let member = MemberMetadata {
        instance_id: None,
        rack_id: Some("r1".to_owned()),
        client_host: "/h".to_owned(),
        topic_names: ["foo".to_owned()].into(),
        topic_regex: Some(String::new()),
        rebalance_timeout_ms: 60_000,
        server_assignor: None,
        classic: Some(classic),
        ..member()
    };
    check(
        &Change::Member("m".into(), Some(Arc::new(member))),
        "000500016700016d",
        "0000000372310263032f680204666f6f010000ea60000100120100002710020672616e6765040102030000",
    );
}

#[test]
fn epochs_are_written_as_kafka_writes_them() {
    let epoch = |metadata_hash| {
        Change::Metadata(Some(GroupEpoch {
            epoch: 7,
            metadata_hash,
        }))
    };
    check(
        &epoch(-5),
        "0003000167",
        "000000000007010008fffffffffffffffb",
    );
    check(&epoch(0), "0003000167", "00000000000700");
    let target = |timestamp_ms| {
        Change::TargetMetadata(Some(TargetEpoch {
            epoch: 7,
            timestamp_ms,
        }))
    };
    check(
        &target(1000),
        "0006000167",
        "00000000000701000800000000000003e8",
    );
    check(&target(0), "0006000167", "00000000000700");
}

#[test]
fn a_target_is_written_as_kafka_writes_it() {
    let target: Partitions = [(A, [0, 2].into()), (B, [1].into())].into();
    check(
        &Change::TargetMember("m".into(), Some(Arc::new(target))),
        "000700016700016d",
        "0000030102030405060708090a0b0c0d0e0f1003000000000000000200\
         ffffffffffffffff000000000000000202000000010000",
    );
}

#[test]
fn a_current_assignment_is_written_as_kafka_writes_it() {
    let current = CurrentAssignment {
        epoch: 5,
        previous_epoch: 4,
        state: MemberState::UnrevokedPartitions,
        assigned: owned(&[(A, &[(0, 3), (2, 5)])]),
        pending_revocation: owned(&[(B, &[(1, 2)])]),
    };
    check(
        &Change::CurrentMember("m".into(), Some(Arc::new(current))),
        "000800016700016d",
        "0000000000050000000401020102030405060708090a0b0c0d0e0f10030000000000000002\
         01000903000000030000000502\
         ffffffffffffffff00000000000000020200000001010005020000000200",
    );
}

#[test]
fn partitions_of_before_kafka_4_3_have_the_epoch_of_their_member() {
    let old =
        bytes("0000000000050000000400020102030405060708090a0b0c0d0e0f10030000000000000002000100");
    let key = ConsumerKey::CurrentMember("m".to_owned());
    let Change::CurrentMember(_, Some(current)) = decode(key, Some(&old)).unwrap() else {
        panic!("another kind of record");
    };
    assert_eq!(current.assigned, owned(&[(A, &[(0, 5), (2, 5)])]));
}

#[test]
fn a_regular_expression_is_written_as_kafka_writes_it() {
    let resolved = ResolvedRegex {
        topics: ["foo".to_owned()].into(),
        version: 9,
        timestamp_ms: 1000,
    };
    check(
        &Change::RegularExpression("f.*".to_owned(), Some(Arc::new(resolved))),
        "00100001670003662e2a",
        "00000204666f6f000000000000000900000000000003e800",
    );
}

#[test]
fn tombstones_have_no_value() {
    for (change, key) in [
        (Change::Metadata(None), "0003000167"),
        (Change::PartitionMetadata(false), "0004000167"),
        (Change::Member("m".into(), None), "000500016700016d"),
        (Change::TargetMetadata(None), "0006000167"),
        (Change::TargetMember("m".into(), None), "000700016700016d"),
        (Change::CurrentMember("m".into(), None), "000800016700016d"),
    ] {
        let record = encode("g", &change);
        assert_eq!((record.key, record.value), (bytes(key), None));
    }
}

#[test]
fn bytes_that_end_early_or_say_too_much_are_errors() {
    let whole = encode("g", &Change::Member("m".into(), Some(Arc::new(member()))));
    let whole = whole.value.unwrap();
    for end in 0..whole.len() {
        let key = ConsumerKey::Member("m".to_owned());
        assert!(decode(key, Some(&whole[..end])).is_err(), "{end}");
    }
    let key = || ConsumerKey::TargetMember("m".to_owned());
    assert!(decode(key(), Some(&[0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f])).is_err());
    assert!(decode(key(), Some(&[0, 1, 1, 0])).is_err());
}
