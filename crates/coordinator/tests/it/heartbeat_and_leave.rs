//! Heartbeat, session timeouts and LeaveGroup.

use lastword_coordinator::{GroupError, GroupState, JoinRequest};

use crate::harness::{Machine, join_request};

#[test]
fn a_heartbeat_is_checked_against_member_and_generation() {
    let mut machine = Machine::new();
    assert_eq!(
        machine.heartbeat("ghost", 1),
        Err(GroupError::UnknownMemberId)
    );
    let ids = machine.stable_group(1);
    assert_eq!(machine.heartbeat(&ids[0], 1), Ok(()));
    assert_eq!(
        machine.heartbeat(&ids[0], 0),
        Err(GroupError::IllegalGeneration)
    );
    assert_eq!(
        machine.heartbeat("ghost", 1),
        Err(GroupError::UnknownMemberId)
    );
    assert_eq!(
        machine.heartbeat_as(&ids[0], 1, Some("instance")),
        Err(GroupError::UnknownMemberId)
    );
}

#[test]
fn heartbeats_keep_a_member_alive() {
    let mut machine = Machine::new();
    let ids = machine.stable_group(1);
    for _ in 0..20 {
        machine.advance(9_999);
        assert_eq!(machine.heartbeat(&ids[0], 1), Ok(()));
    }
}

#[test]
fn a_member_without_heartbeats_expires_and_the_rest_rebalances() {
    let mut machine = Machine::new();
    let ids = machine.stable_group(2);
    machine.advance(9_000);
    assert_eq!(machine.heartbeat(&ids[0], 1), Ok(()));
    machine.advance(1_000);
    assert_eq!(machine.state(), GroupState::PreparingRebalance);
    assert_eq!(
        machine.heartbeat(&ids[1], 1),
        Err(GroupError::UnknownMemberId)
    );
    let ticket = machine.join(join_request(&ids[0]));
    assert_eq!(machine.join_reply(ticket).generation_id, 2);
}

#[test]
fn a_parked_member_needs_no_heartbeat() {
    let mut machine = Machine::new();
    let ids = machine.stable_group(2);
    let ticket = machine.join(join_request(&ids[0]));
    for _ in 0..4 {
        machine.advance(9_000);
        assert_eq!(
            machine.heartbeat(&ids[1], 1),
            Err(GroupError::RebalanceInProgress)
        );
    }
    assert!(machine.is_parked(ticket));
    machine.join(join_request(&ids[1]));
    assert_eq!(machine.join_reply(ticket).members.len(), 2);
}

#[test]
fn a_group_whose_last_member_expires_is_empty() {
    let mut machine = Machine::new();
    machine.stable_group(1);
    machine.advance(10_000);
    let group = machine.group();
    assert_eq!((group.state, group.generation_id), (GroupState::Empty, 2));
    assert_eq!(group.protocol_type, "consumer");
    let reloaded = machine.reloaded(crate::harness::config());
    assert_eq!(reloaded.group(), group);
}

#[test]
fn a_member_that_leaves_makes_the_rest_rebalance() {
    let mut machine = Machine::new();
    let ids = machine.stable_group(2);
    let reply = machine.leave(&[(&ids[1], None)]);
    assert_eq!((reply.error, reply.single_error()), (None, None));
    assert_eq!(machine.state(), GroupState::PreparingRebalance);
    assert_eq!(
        machine.heartbeat(&ids[1], 1),
        Err(GroupError::UnknownMemberId)
    );
}

#[test]
fn the_last_member_that_leaves_empties_the_group_at_once() {
    let mut machine = Machine::new();
    let ids = machine.stable_group(1);
    machine.leave(&[(&ids[0], None)]);
    assert_eq!(machine.state(), GroupState::Empty);
}

#[test]
fn a_new_rebalance_can_follow_an_empty_generation() {
    let mut machine = Machine::new();
    let ids = machine.stable_group(1);
    machine.leave(&[(&ids[0], None)]);
    let (member_id, ticket) = machine.join_dynamic(join_request(""));
    machine.advance(3_000);
    assert_eq!(machine.join_reply(ticket).generation_id, 3);
    machine.assign_all(&[member_id], 3);
}

#[test]
fn a_batch_of_leaves_is_answered_member_by_member() {
    let mut machine = Machine::new();
    let ids = machine.stable_group(3);
    let reply = machine.leave(&[
        (&ids[0], None),
        ("ghost", None),
        (&ids[2], None),
        ("", None),
    ]);
    let errors: Vec<_> = reply.members.iter().map(|member| member.error).collect();
    let unknown = Some(GroupError::UnknownMemberId);
    assert_eq!(errors, [None, unknown, None, unknown]);
    assert_eq!(machine.group().members.len(), 1);
}

#[test]
fn leaving_an_unknown_group_is_an_error_per_member() {
    let mut machine = Machine::new();
    let reply = machine.leave(&[("ghost", None)]);
    assert_eq!(reply.error, None);
    assert_eq!(reply.single_error(), Some(GroupError::UnknownMemberId));
}

#[test]
fn a_parked_join_of_a_member_that_leaves_is_answered() {
    let mut machine = Machine::new();
    let ids = machine.stable_group(2);
    let ticket = machine.join(join_request(&ids[0]));
    machine.leave(&[(&ids[0], None)]);
    assert_eq!(
        machine.join_reply(ticket).error,
        Some(GroupError::UnknownMemberId)
    );
}

#[test]
fn the_last_missing_member_that_leaves_completes_the_join_phase() {
    let mut machine = Machine::new();
    let ids = machine.stable_group(2);
    let ticket = machine.join(join_request(&ids[0]));
    machine.leave(&[(&ids[1], None)]);
    assert_eq!(machine.join_reply(ticket).generation_id, 2);
}

#[test]
fn a_pending_member_can_leave() {
    let mut machine = Machine::new();
    let first = machine.join(join_request(""));
    let member_id = machine.join_reply(first).member_id;
    let reply = machine.leave(&[(&member_id, None)]);
    assert_eq!(reply.members[0].error, None);
    assert!(machine.coordinator.list().unwrap().is_empty());
    let second = machine.join(JoinRequest {
        member_id,
        ..join_request("")
    });
    assert_eq!(
        machine.join_reply(second).error,
        Some(GroupError::UnknownMemberId)
    );
}

#[test]
fn a_heartbeat_between_join_and_sync_is_no_reason_to_join_again() {
    let mut machine = Machine::new();
    let (member_id, _) = machine.join_dynamic(join_request(""));
    machine.end_join_phase();
    assert_eq!(machine.state(), GroupState::CompletingRebalance);
    assert_eq!(machine.heartbeat(&member_id, 1), Ok(()));
}

#[test]
fn members_and_pending_members_leave_in_one_batch() {
    let mut machine = Machine::new();
    let ids = machine.stable_group(1);
    let first = machine.join(join_request(""));
    let pending = machine.join_reply(first).member_id;
    let left = machine.leave(&[(&ids[0], None), (&pending, None), (&pending, None)]);
    let errors: Vec<_> = left.members.iter().map(|member| member.error).collect();
    assert_eq!(errors, [None, None, Some(GroupError::UnknownMemberId)]);
    assert_eq!(machine.state(), GroupState::Empty);
}

#[test]
fn a_rebalancing_group_is_described_without_metadata_and_protocol() {
    let mut machine = Machine::new();
    let ids = machine.stable_group(1);
    machine.join_dynamic(join_request(""));
    let group = machine.group();
    assert_eq!(group.state, GroupState::PreparingRebalance);
    assert_eq!(group.protocol_type, "consumer");
    assert_eq!(group.protocol_data, "");
    assert!(
        group
            .members
            .iter()
            .all(|member| member.metadata.is_empty())
    );
    assert!(
        group
            .members
            .iter()
            .any(|member| member.member_id == ids[0])
    );
}
