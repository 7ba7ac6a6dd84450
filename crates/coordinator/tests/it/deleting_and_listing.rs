//! DeleteGroups, ListGroups and DescribeGroups.

use lastword_coordinator::{GroupError, GroupState, Reply, Ticket};

use crate::harness::{GROUP, Machine, commit_request, config, join_request};

fn result(machine: &Machine, ticket: Ticket) -> Vec<Option<GroupError>> {
    match machine.replies.get(&ticket) {
        Some(Reply::DeleteGroups(groups)) => groups.iter().map(|(_, error)| *error).collect(),
        other => panic!("delete was answered with {other:?}"),
    }
}

#[test]
fn an_empty_group_is_deleted_with_its_offsets() {
    let mut machine = Machine::new();
    let ids = machine.stable_group(1);
    machine.commit(commit_request(&ids[0], 1, 1));
    machine.leave(&[(&ids[0], None)]);
    machine.hold = true;
    let ticket = machine.delete_groups(&[GROUP, "unknown"]);
    assert!(machine.is_parked(ticket));
    machine.release(Ok(()));
    assert_eq!(
        result(&machine, ticket),
        [None, Some(GroupError::GroupIdNotFound)]
    );
    assert!(machine.coordinator.list().unwrap().is_empty());
    assert_eq!(machine.offset("orders", 0), -1);
    let reloaded = machine.reloaded(config());
    assert!(reloaded.coordinator.list().unwrap().is_empty());
}

#[test]
fn a_group_with_members_cannot_be_deleted() {
    let mut machine = Machine::new();
    let ids = machine.stable_group(1);
    let ticket = machine.delete_groups(&[GROUP]);
    assert_eq!(result(&machine, ticket), [Some(GroupError::NonEmptyGroup)]);
    assert_eq!(machine.heartbeat(&ids[0], 1), Ok(()));
}

#[test]
fn a_commit_that_follows_a_deletion_survives_it() {
    let mut machine = Machine::new();
    machine.commit(commit_request("", -1, 1));
    machine.hold = true;
    machine.delete_groups(&[GROUP]);
    machine.commit(commit_request("", -1, 2));
    machine.release(Ok(()));
    assert_eq!(machine.offset("orders", 0), 2);
    assert_eq!(machine.reloaded(config()).offset("orders", 0), 2);
}

#[test]
fn a_commit_in_flight_before_a_deletion_is_deleted() {
    let mut machine = Machine::new();
    machine.hold = true;
    machine.commit(commit_request("", -1, 1));
    machine.delete_groups(&[GROUP]);
    machine.release(Ok(()));
    assert!(machine.coordinator.list().unwrap().is_empty());
    assert!(
        machine
            .reloaded(config())
            .coordinator
            .list()
            .unwrap()
            .is_empty()
    );
}

#[test]
fn a_member_that_joins_while_a_deletion_is_stored_keeps_the_group() {
    let mut machine = Machine::new();
    machine.commit(commit_request("", -1, 1));
    let first = machine.join(join_request(""));
    let member_id = machine.join_reply(first).member_id;
    machine.hold = true;
    machine.delete_groups(&[GROUP]);
    let ticket = machine.join(join_request(&member_id));
    machine.hold = false;
    machine.release(Ok(()));
    machine.advance(3_000);
    assert_eq!(machine.join_reply(ticket).error, None);
    machine.assign_all(&[member_id], 1);
    assert_eq!(machine.offset("orders", 0), -1);
    assert_eq!(machine.reloaded(config()).group(), machine.group());
}

#[test]
fn an_empty_generation_that_follows_a_deletion_outlives_it() {
    let mut machine = Machine::new();
    let ids = machine.stable_group(1);
    machine.leave(&[(&ids[0], None)]);
    machine.hold = true;
    machine.delete_groups(&[GROUP]);
    let (member_id, _) = machine.join_dynamic(join_request(""));
    machine.end_join_phase();
    machine.leave(&[(&member_id, None)]);
    machine.hold = false;
    machine.release(Ok(()));
    assert_eq!(machine.state(), GroupState::Empty);
    assert_eq!(machine.reloaded(config()).group(), machine.group());
}

#[test]
fn groups_are_listed_with_their_states() {
    let mut machine = Machine::new();
    machine.stable_group(1);
    let mut simple = commit_request("", -1, 1);
    simple.group_id = "simple".to_owned();
    machine.commit(simple);
    let listed = machine.coordinator.list().unwrap();
    let short: Vec<_> = listed
        .iter()
        .map(|group| {
            (
                group.group_id.as_str(),
                group.protocol_type.as_str(),
                group.state.as_str(),
            )
        })
        .collect();
    assert_eq!(
        short,
        [(GROUP, "consumer", "Stable"), ("simple", "", "Empty")]
    );
    assert!(listed.iter().all(|group| group.group_type == "classic"));
}

#[test]
fn the_states_have_kafkas_names() {
    let names = [
        (GroupState::Empty, "Empty"),
        (GroupState::PreparingRebalance, "PreparingRebalance"),
        (GroupState::CompletingRebalance, "CompletingRebalance"),
        (GroupState::Stable, "Stable"),
        (GroupState::Dead, "Dead"),
    ];
    for (state, name) in names {
        assert_eq!(state.to_string(), name);
    }
}

#[test]
fn an_unknown_group_is_not_found_when_described() {
    let machine = Machine::new();
    assert_eq!(
        machine.coordinator.describe("nobody"),
        Err(GroupError::GroupIdNotFound)
    );
}
