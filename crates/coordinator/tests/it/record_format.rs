//! The bytes of the internal topic.

use lastword_coordinator::{
    CoordinatorKey, GroupMetadataValue, OffsetCommitValue, decode_group_metadata_value, decode_key,
    decode_offset_commit_value,
};

use crate::harness::{Machine, commit_request, static_request};

#[test]
fn an_offset_is_written_with_key_version_1_and_value_version_3() {
    let mut machine = Machine::new();
    machine.now_ms = 0x0102_0304;
    machine.commit(commit_request("", -1, 0x55));
    let mut key = vec![0, 1, 0, 10];
    key.extend_from_slice(b"orders-app");
    key.extend_from_slice(&[0, 6]);
    key.extend_from_slice(b"orders");
    key.extend_from_slice(&[0, 0, 0, 0]);
    assert_eq!(machine.log[0].key, key);
    let mut value = vec![0, 3, 0, 0, 0, 0, 0, 0, 0, 0x55, 0, 0, 0, 4, 0, 4];
    value.extend_from_slice(b"note");
    value.extend_from_slice(&[0, 0, 0, 0, 1, 2, 3, 4]);
    assert_eq!(machine.log[0].value.as_deref(), Some(value.as_slice()));
}

#[test]
fn an_offset_with_its_own_expiry_is_written_with_value_version_1() {
    let mut machine = Machine::new();
    machine.now_ms = 1_000;
    let mut request = commit_request("", -1, 1);
    request.retention_time_ms = 24;
    machine.commit(request);
    let mut value = vec![0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 4];
    value.extend_from_slice(b"note");
    value.extend_from_slice(&[0, 0, 0, 0, 0, 0, 3, 232]);
    value.extend_from_slice(&[0, 0, 0, 0, 0, 0, 4, 0]);
    assert_eq!(machine.log[0].value.as_deref(), Some(value.as_slice()));
}

#[test]
fn a_group_is_written_with_key_version_2_and_value_version_3() {
    let mut machine = Machine::new();
    machine.now_ms = 0;
    let mut request = static_request("i");
    request.protocols[0].metadata = bytes::Bytes::from_static(&[0, 0, 0, 0, 0, 0]);
    let ticket = machine.join(request);
    machine.advance(3_000);
    let member_id = machine.join_reply(ticket).member_id;
    assert_eq!(member_id, "i-uuid1");
    machine.sync(&member_id, 1, &[(&member_id, "yours")]);
    let record = &machine.log[0];
    assert_eq!(record.key, b"\x00\x02\x00\x0aorders-app");
    let mut value =
        b"\x00\x03\x00\x08consumer\x00\x00\x00\x01\x00\x05range\x00\x07i-uuid1".to_vec();
    value.extend_from_slice(&3_000i64.to_be_bytes());
    value.extend_from_slice(
        b"\x00\x00\x00\x01\x00\x07i-uuid1\x00\x01i\x00\x06client\x00\x0a/127.0.0.1",
    );
    value.extend_from_slice(&60_000i32.to_be_bytes());
    value.extend_from_slice(&10_000i32.to_be_bytes());
    value.extend_from_slice(b"\x00\x00\x00\x06\x00\x00\x00\x00\x00\x00\x00\x00\x00\x05yours");
    assert_eq!(record.value.as_deref(), Some(value.as_slice()));
}

#[test]
fn an_empty_group_is_written_without_protocol_and_leader() {
    let mut machine = Machine::new();
    let ids = machine.stable_group(1);
    machine.leave(&[(&ids[0], None)]);
    let value = machine.log.last().unwrap().value.as_deref().unwrap();
    let decoded = decode_group_metadata_value(value).unwrap();
    assert_eq!(
        decoded,
        GroupMetadataValue {
            protocol_type: "consumer".to_owned(),
            generation_id: 2,
            protocol: None,
            leader: None,
            current_state_timestamp_ms: Some(machine.now_ms),
            members: Vec::new(),
        }
    );
}

#[test]
fn offset_values_of_all_versions_are_read() {
    let offset = 9i64.to_be_bytes();
    let commit = 100i64.to_be_bytes();
    let expire = 200i64.to_be_bytes();
    let plain = |version: u8| [&[0, version], &offset[..], b"\x00\x01m", &commit[..]].concat();
    let expected = |leader_epoch, expire_timestamp_ms| OffsetCommitValue {
        offset: 9,
        leader_epoch,
        metadata: "m".to_owned(),
        commit_timestamp_ms: 100,
        expire_timestamp_ms,
    };
    let cases = [
        (plain(0), expected(-1, None)),
        (
            [plain(1), expire.to_vec()].concat(),
            expected(-1, Some(200)),
        ),
        (
            [plain(1), (-1i64).to_be_bytes().to_vec()].concat(),
            expected(-1, None),
        ),
        (plain(2), expected(-1, None)),
        (
            [
                &[0, 3],
                &offset[..],
                &[0, 0, 0, 7],
                b"\x00\x01m",
                &commit[..],
            ]
            .concat(),
            expected(7, None),
        ),
        (
            // One tagged field: a topic id.
            [
                &[0, 4],
                &offset[..],
                &[0, 0, 0, 7],
                b"\x02m",
                &commit[..],
                &[1, 0, 16],
                &[5; 16],
            ]
            .concat(),
            expected(7, None),
        ),
    ];
    for (bytes, expected) in cases {
        assert_eq!(
            decode_offset_commit_value(&bytes).unwrap(),
            expected,
            "{bytes:?}"
        );
    }
}

#[test]
fn group_values_of_all_versions_are_read() {
    for version in 0..=4u8 {
        let flexible = version == 4;
        let string = |text: &str| -> Vec<u8> {
            if flexible {
                [&[text.len() as u8 + 1], text.as_bytes()].concat()
            } else {
                [&(text.len() as i16).to_be_bytes(), text.as_bytes()].concat()
            }
        };
        let blob = |bytes: &[u8]| -> Vec<u8> {
            if flexible {
                [&[bytes.len() as u8 + 1], bytes].concat()
            } else {
                [&(bytes.len() as i32).to_be_bytes(), bytes].concat()
            }
        };
        let mut value = vec![0, version];
        value.extend(string("consumer"));
        value.extend(3i32.to_be_bytes());
        value.extend(string("range"));
        value.extend(string("m1"));
        if version >= 2 {
            value.extend(77i64.to_be_bytes());
        }
        if flexible {
            value.push(2);
        } else {
            value.extend(1i32.to_be_bytes());
        }
        value.extend(string("m1"));
        if version >= 3 {
            value.extend(string("i1"));
        }
        value.extend(string("c"));
        value.extend(string("/h"));
        if version >= 1 {
            value.extend(60i32.to_be_bytes());
        }
        value.extend(10i32.to_be_bytes());
        value.extend(blob(b"sub"));
        value.extend(blob(b"assigned"));
        if flexible {
            value.extend([0, 0]);
        }
        let decoded = decode_group_metadata_value(&value).unwrap();
        assert_eq!(decoded.generation_id, 3);
        assert_eq!(decoded.protocol.as_deref(), Some("range"));
        assert_eq!(
            decoded.current_state_timestamp_ms,
            (version >= 2).then_some(77)
        );
        let member = &decoded.members[0];
        assert_eq!(
            member.group_instance_id.as_deref(),
            (version >= 3).then_some("i1")
        );
        assert_eq!(
            member.rebalance_timeout_ms,
            if version >= 1 { 60 } else { 10 }
        );
        assert_eq!(
            (&member.subscription[..], &member.assignment[..]),
            (&b"sub"[..], &b"assigned"[..])
        );
    }
}

#[test]
fn keys_of_both_offset_versions_are_read() {
    for version in [0u8, 1] {
        let key = [&[0, version], &b"\x00\x01g\x00\x01t\x00\x00\x00\x03"[..]].concat();
        let expected = CoordinatorKey::OffsetCommit {
            group_id: "g".to_owned(),
            topic: "t".to_owned(),
            partition: 3,
        };
        assert_eq!(decode_key(&key).unwrap(), expected);
    }
    assert_eq!(
        decode_key(&[0, 9, 1]).unwrap(),
        CoordinatorKey::Other { version: 9 }
    );
    assert!(decode_key(&[0]).is_err());
}
