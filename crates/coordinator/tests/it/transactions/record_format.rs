//! The bytes of `__transaction_state`, against those of Kafka's own classes.

use std::collections::BTreeMap;

use lastword_coordinator::{
    CoordinatorError, TransactionState, TransactionVersion, decode_transaction_log_key,
    decode_transaction_log_value, encode_transaction_log_value,
};
use proptest::prelude::*;

use super::harness::{Client, ID, Machine, init_request, key, producer, value};

struct Fixture {
    name: &'static str,
    key: Vec<u8>,
    value: Vec<u8>,
}

fn fixtures() -> Vec<Fixture> {
    let text = include_str!("../../fixtures/transaction_log.txt");
    let hex = |text: &str| -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().collect();
        let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16);
        digits.chunks(2).map(|pair| byte(pair).unwrap()).collect()
    };
    let fixture = |line: &'static str| {
        let mut words = line.split(' ');
        let mut word = || words.next().unwrap();
        Fixture {
            name: word(),
            key: hex(word()),
            value: hex(word()),
        }
    };
    text.lines().map(fixture).collect()
}

fn version_of(name: &str) -> TransactionVersion {
    let level = name.rsplit("tv").next().unwrap();
    TransactionVersion::from_level(level.parse().unwrap())
}

#[test]
fn what_kafka_wrote_is_read_and_written_again_byte_for_byte() {
    let fixtures = fixtures();
    assert!(fixtures.len() > 20);
    for fixture in fixtures {
        let value = decode_transaction_log_value(&fixture.value).unwrap();
        assert_eq!(value.producer_id, 4000, "{}", fixture.name);
        assert_eq!(value.transaction_timeout_ms, 60_000, "{}", fixture.name);
        assert_eq!(
            value.last_update_timestamp_ms, 1_700_000_000_123,
            "{}",
            fixture.name
        );
        let again = encode_transaction_log_value(&value, version_of(fixture.name));
        if fixture.name.starts_with("many") {
            // Kafka writes the topics in the order of a hash table.
            assert_eq!(decode_transaction_log_value(&again).unwrap(), value);
            assert_eq!(again.len(), fixture.value.len());
        } else {
            assert_eq!(again, fixture.value, "{}", fixture.name);
        }
        let id = decode_transaction_log_key(&fixture.key).unwrap().unwrap();
        assert_eq!(key(&id), fixture.key, "{}", fixture.name);
    }
}

#[test]
fn what_kafka_wrote_says_what_kafka_meant() {
    let fixtures = fixtures();
    let find = |name: &str| {
        let fixture = fixtures.iter().find(|fixture| fixture.name == name);
        decode_transaction_log_value(&fixture.unwrap().value).unwrap()
    };
    let empty = find("empty-tv0");
    assert_eq!(empty.state, TransactionState::Empty);
    assert_eq!((empty.producer_epoch, empty.start_timestamp_ms), (0, -1));
    let overflow = find("overflow-tv2");
    assert_eq!(overflow.state, TransactionState::PrepareCommit);
    assert_eq!(overflow.producer_epoch, i16::MAX);
    assert_eq!(overflow.previous_producer_id, 4000);
    assert_eq!(overflow.next_producer_id, 5000);
    assert_eq!(overflow.client_transaction_version, TransactionVersion::V2);
    for name in ["many-tv0", "many-tv2"] {
        let expected = BTreeMap::from([
            ("Gr\u{fc}\u{df}e".to_owned(), [2].into()),
            ("__consumer_offsets".to_owned(), [49].into()),
            ("accounts".to_owned(), [0, 1, 200].into()),
        ]);
        assert_eq!(find(name).partitions, expected);
    }
    let long = fixtures.iter().find(|it| it.name == "long-topic-tv2");
    let id = decode_transaction_log_key(&long.unwrap().key).unwrap();
    assert_eq!(id.unwrap().len(), 10_240);
}

#[test]
fn the_version_of_a_value_follows_the_feature() {
    for (level, expected) in [(0, 0u8), (1, 1), (2, 1)] {
        let mut machine = Machine::with_config(lastword_coordinator::TransactionConfig {
            transaction_version: TransactionVersion::from_level(level),
            ..Default::default()
        });
        machine.new_producer();
        let record = machine.log.last().unwrap();
        assert_eq!(record.key, key(ID));
        assert_eq!(record.value.as_ref().unwrap()[..2], [0, expected]);
    }
}

#[test]
fn a_key_of_another_kind_is_skipped_and_a_value_of_a_newer_version_refused() {
    assert_eq!(decode_transaction_log_key(&[0, 1, 0, 0]), Ok(None));
    assert_eq!(
        decode_transaction_log_value(&[0, 2, 0, 0]),
        Err(CoordinatorError::UnsupportedVersion {
            what: "TransactionLogValue",
            version: 2,
            newest: 1
        })
    );
    let mut machine = Machine::new();
    assert_eq!(machine.coordinator.replay(&[0, 9, 1], Some(&[1])), Ok(()));
    assert!(machine.listed_ids().is_empty());
}

#[test]
fn a_tag_that_nobody_knows_yet_is_skipped() {
    let value = value(TransactionState::Ongoing, producer(7, 3), Client::New);
    let mut bytes = encode_transaction_log_value(&value, TransactionVersion::V2);
    // Two tags: the previous producer id and the client's version. A third one is appended.
    let count = bytes.len() - 15;
    assert_eq!(bytes[count], 2);
    bytes[count] = 3;
    bytes.extend_from_slice(&[3, 2, 0, 9]);
    assert_eq!(decode_transaction_log_value(&bytes), Ok(value));
}

#[test]
fn a_state_that_is_never_stored_makes_no_sense() {
    for state in [6u8, 7, 8, 255] {
        let value = value(TransactionState::Empty, producer(7, 3), Client::New);
        let mut bytes = encode_transaction_log_value(&value, TransactionVersion::V2);
        bytes[16] = state;
        assert!(decode_transaction_log_value(&bytes).is_err(), "{state}");
    }
}

fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![4 => 0u8..5, 1 => any::<u8>(), 1 => Just(0xff), 1 => Just(b'a')];
    prop::collection::vec(byte, 0..90)
}

proptest! {
    #[test]
    fn hostile_bytes_never_panic(records in prop::collection::vec((hostile(), prop::option::of(hostile())), 1..40)) {
        let mut machine = Machine::unloaded(Default::default());
        for (key, value) in &records {
            let _ = machine.coordinator.replay(key, value.as_deref());
        }
        let outcome = machine.coordinator.loaded(machine.now_ms);
        machine.take(outcome);
        machine.advance(10_000_000);
    }

    #[test]
    fn hostile_changes_to_a_record_never_panic(
        index in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..5),
    ) {
        let fixtures = fixtures();
        let mut value = index.get(&fixtures).value.clone();
        for (index, byte) in changes {
            let index = index.index(value.len());
            value[index] = byte;
        }
        let mut machine = Machine::unloaded(Default::default());
        if machine.coordinator.replay(&key(ID), Some(&value)).is_ok() {
            let outcome = machine.coordinator.loaded(machine.now_ms);
            machine.take(outcome);
            let current = machine.current();
            for client in super::harness::CLIENTS {
                machine.end(&super::harness::end_request(client, current, true));
                machine.end(&super::harness::end_request(client, current, false));
            }
            machine.init(&init_request());
            machine.advance(100_000_000);
            machine.init(&init_request());
        }
    }
}
