//! Replay of the internal topic.

use lastword_coordinator::{
    CoordinatorError, GroupConfig, GroupCoordinator, GroupError, GroupState,
};
use proptest::prelude::*;

use crate::harness::{GROUP, Machine, commit_request, config, join_request};

#[test]
fn nothing_is_served_while_loading_but_heartbeats_pass() {
    let mut machine = Machine::unloaded(config());
    let loading = GroupError::CoordinatorLoadInProgress;
    let join = machine.join(join_request(""));
    assert_eq!(machine.join_reply(join).error, Some(loading));
    let sync = machine.sync("m", 1, &[]);
    assert_eq!(machine.sync_reply(sync).error, Some(loading));
    let commit = machine.commit(commit_request("", -1, 1));
    assert_eq!(machine.commit_error(commit), Some(loading));
    assert_eq!(machine.leave(&[("m", None)]).error, Some(loading));
    assert_eq!(
        machine.coordinator.fetch_offsets(GROUP, None, false),
        Err(loading)
    );
    assert_eq!(machine.coordinator.describe(GROUP), Err(loading));
    assert_eq!(machine.coordinator.list(), Err(loading));
    assert_eq!(machine.heartbeat("m", 1), Ok(()));
}

#[test]
fn a_replayed_log_gives_the_same_groups_and_offsets() {
    let mut machine = Machine::new();
    let ids = machine.stable_group(3);
    machine.commit(commit_request(&ids[0], 1, 10));
    machine.leave(&[(&ids[2], None)]);
    machine.join(join_request(&ids[0]));
    machine.join(join_request(&ids[1]));
    machine.assign_all(&ids[..2], 2);
    machine.commit(commit_request(&ids[1], 2, 20));
    let mut simple = commit_request("", -1, 3);
    simple.group_id = "simple".to_owned();
    machine.commit(simple);
    let mut reloaded = machine.reloaded(config());
    assert_eq!(reloaded.group(), machine.group());
    assert_eq!(reloaded.coordinator.list(), machine.coordinator.list());
    assert_eq!(reloaded.all_offsets(), machine.all_offsets());
    for id in &ids[..2] {
        assert_eq!(reloaded.heartbeat(id, 2), Ok(()));
    }
}

#[test]
fn a_compacted_log_gives_the_same_state_as_the_whole() {
    let mut machine = Machine::new();
    let ids = machine.stable_group(1);
    for offset in 0..5 {
        machine.commit(commit_request(&ids[0], 1, offset));
    }
    machine.leave(&[(&ids[0], None)]);
    let mut compacted = Machine::unloaded(config());
    compacted.now_ms = machine.now_ms;
    let last = |index: usize| {
        let key = &machine.log[index].key;
        machine.log[index + 1..]
            .iter()
            .all(|later| later.key != *key)
    };
    for (index, record) in machine.log.iter().enumerate() {
        if last(index) {
            compacted
                .coordinator
                .replay(&record.key, record.value.as_deref())
                .unwrap();
        }
    }
    let outcome = compacted.coordinator.loaded(compacted.now_ms);
    compacted.take(outcome);
    assert_eq!(compacted.group(), machine.group());
    assert_eq!(compacted.all_offsets(), machine.all_offsets());
}

#[test]
fn members_that_were_loaded_have_a_whole_session_to_come_back() {
    let mut machine = Machine::new();
    let ids = machine.stable_group(1);
    let mut reloaded = machine.reloaded(config());
    reloaded.advance(9_999);
    assert_eq!(reloaded.state(), GroupState::Stable);
    assert_eq!(reloaded.heartbeat(&ids[0], 1), Ok(()));
    reloaded.advance(10_000);
    assert_eq!(reloaded.state(), GroupState::Empty);
}

#[test]
fn a_loaded_group_above_the_maximum_rebalances() {
    let mut machine = Machine::new();
    machine.stable_group(3);
    let reloaded = machine.reloaded(GroupConfig {
        group_max_size: 2,
        ..config()
    });
    assert_eq!(reloaded.state(), GroupState::PreparingRebalance);
}

#[test]
fn a_group_tombstone_keeps_offsets_that_are_still_there() {
    let mut machine = Machine::new();
    let ids = machine.stable_group(1);
    machine.commit(commit_request(&ids[0], 1, 7));
    let mut reloaded = Machine::unloaded(config());
    for record in &machine.log {
        reloaded
            .coordinator
            .replay(&record.key, record.value.as_deref())
            .unwrap();
    }
    let group_key = machine
        .log
        .iter()
        .find(|record| record.key[1] == 2)
        .unwrap()
        .key
        .clone();
    reloaded.coordinator.replay(&group_key, None).unwrap();
    let outcome = reloaded.coordinator.loaded(reloaded.now_ms);
    reloaded.take(outcome);
    assert_eq!(reloaded.offset("orders", 0), 7);
    assert_eq!(
        (reloaded.state(), reloaded.group().members.len()),
        (GroupState::Empty, 0)
    );
}

#[test]
fn records_of_other_kinds_of_groups_are_skipped() {
    let mut coordinator = GroupCoordinator::new(config());
    // Share groups are 9 to 15, streams groups 17 and later.
    for version in (9..16i16).chain(17..30) {
        let mut key = version.to_be_bytes().to_vec();
        key.extend_from_slice(b"whatever follows");
        assert_eq!(coordinator.replay(&key, Some(b"a value")), Ok(()));
    }
}

#[test]
fn a_record_that_cannot_be_read_changes_nothing() {
    let mut machine = Machine::new();
    machine.stable_group(1);
    let record = machine.log.last().unwrap().clone();
    let mut reloaded = machine.reloaded(config());
    let before = reloaded.group();
    let value = record.value.unwrap();
    for end in 0..value.len() {
        let result = reloaded
            .coordinator
            .replay(&record.key, Some(&value[..end]));
        assert!(
            matches!(result, Err(CoordinatorError::Truncated { .. })),
            "{end}: {result:?}"
        );
    }
    let mut newer = value;
    newer[1] = 9;
    let result = reloaded.coordinator.replay(&record.key, Some(&newer));
    assert!(matches!(
        result,
        Err(CoordinatorError::UnsupportedVersion { version: 9, .. })
    ));
    assert_eq!(reloaded.group(), before);
}

/// Bytes that look like a record often enough to get past its first fields.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![4 => 0u8..5, 1 => any::<u8>(), 1 => Just(0xff), 1 => Just(b'a')];
    prop::collection::vec(byte, 0..80)
}

proptest! {
    #[test]
    fn hostile_bytes_never_panic(records in prop::collection::vec((hostile(), prop::option::of(hostile())), 1..40)) {
        let mut machine = Machine::unloaded(config());
        for (key, value) in &records {
            let _ = machine.coordinator.replay(key, value.as_deref());
        }
        let outcome = machine.coordinator.loaded(machine.now_ms);
        machine.take(outcome);
        for group in machine.coordinator.list().unwrap() {
            let _ = machine.coordinator.describe(&group.group_id);
            let _ = machine.coordinator.fetch_offsets(&group.group_id, None, true);
            machine.join(lastword_coordinator::JoinRequest { group_id: group.group_id, ..join_request("") });
        }
        machine.advance(10_000_000);
    }

    #[test]
    fn hostile_changes_to_a_group_record_never_panic(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let mut machine = Machine::new();
        machine.stable_static_group(2);
        let record = machine.log.last().unwrap().clone();
        let mut value = record.value.unwrap();
        for (index, byte) in changes {
            let index = index.index(value.len());
            value[index] = byte;
        }
        let mut reloaded = Machine::unloaded(config());
        reloaded.now_ms = machine.now_ms;
        if reloaded.coordinator.replay(&record.key, Some(&value)).is_ok() {
            let outcome = reloaded.coordinator.loaded(reloaded.now_ms);
            reloaded.take(outcome);
            reloaded.join(crate::harness::static_request("i0"));
            reloaded.join_for_test();
            reloaded.advance(1_000_000);
        }
    }
}

impl Machine {
    fn join_for_test(&mut self) {
        let ticket = self.join(join_request(""));
        if !self.is_parked(ticket) {
            let member_id = self.join_reply(ticket).member_id;
            self.join(join_request(&member_id));
        }
    }
}
