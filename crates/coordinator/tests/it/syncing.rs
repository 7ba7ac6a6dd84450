//! SyncGroup.

use lastword_coordinator::{GroupError, GroupState, JoinRequest};

use crate::harness::{GROUP, Machine, join_request, subscription};

fn completing(machine: &mut Machine, count: usize) -> Vec<String> {
    let request = JoinRequest {
        session_timeout_ms: 200_000,
        ..join_request("")
    };
    let ids: Vec<String> = (0..count)
        .map(|_| machine.join_dynamic(request.clone()).0)
        .collect();
    machine.advance(9_000);
    assert_eq!(machine.state(), GroupState::CompletingRebalance);
    ids
}

#[test]
fn followers_wait_for_the_leaders_assignment() {
    let mut machine = Machine::new();
    let ids = completing(&mut machine, 2);
    let follower = machine.sync(&ids[1], 1, &[]);
    assert!(machine.is_parked(follower));
    let leader = machine.sync(&ids[0], 1, &[(&ids[0], "left"), (&ids[1], "right")]);
    assert_eq!(machine.sync_reply(leader).assignment, "left");
    let reply = machine.sync_reply(follower);
    assert_eq!(reply.assignment, "right");
    assert_eq!(reply.protocol_name.as_deref(), Some("range"));
    assert_eq!(reply.protocol_type.as_deref(), Some("consumer"));
    assert_eq!(machine.state(), GroupState::Stable);
}

#[test]
fn the_group_is_stable_only_when_the_assignment_is_in_the_log() {
    let mut machine = Machine::new();
    let ids = completing(&mut machine, 1);
    machine.hold = true;
    let ticket = machine.sync(&ids[0], 1, &[(&ids[0], "all")]);
    assert!(machine.is_parked(ticket));
    assert_eq!(machine.state(), GroupState::CompletingRebalance);
    machine.release(Ok(()));
    assert_eq!(machine.sync_reply(ticket).assignment, "all");
    assert_eq!(machine.state(), GroupState::Stable);
}

#[test]
fn a_member_that_the_leader_forgets_gets_an_empty_assignment() {
    let mut machine = Machine::new();
    let ids = completing(&mut machine, 2);
    let follower = machine.sync(&ids[1], 1, &[]);
    machine.sync(&ids[0], 1, &[(&ids[0], "all")]);
    let reply = machine.sync_reply(follower);
    assert_eq!((reply.error, reply.assignment.len()), (None, 0));
}

#[test]
fn a_late_follower_gets_its_assignment_from_the_stable_group() {
    let mut machine = Machine::new();
    let ids = completing(&mut machine, 2);
    machine.sync(&ids[0], 1, &[(&ids[0], "left"), (&ids[1], "right")]);
    assert_eq!(machine.state(), GroupState::Stable);
    let follower = machine.sync(&ids[1], 1, &[]);
    assert_eq!(machine.sync_reply(follower).assignment, "right");
}

#[test]
fn a_sync_is_checked_against_group_member_generation_and_protocol() {
    let mut machine = Machine::new();
    let ids = completing(&mut machine, 1);
    let id = ids[0].as_str();
    let mut error = |member_id: &str, generation_id, change: fn(&mut _)| {
        let ticket = machine.sync_with(member_id, generation_id, &[], change);
        machine.sync_reply(ticket).error
    };
    assert_eq!(
        error(id, 1, |request: &mut lastword_coordinator::SyncRequest| {
            request.group_id.clear()
        }),
        Some(GroupError::InvalidGroupId)
    );
    assert_eq!(
        error(id, 1, |request| request.group_id = "other".to_owned()),
        Some(GroupError::UnknownMemberId)
    );
    assert_eq!(error("ghost", 1, |_| {}), Some(GroupError::UnknownMemberId));
    assert_eq!(error(id, 2, |_| {}), Some(GroupError::IllegalGeneration));
    assert_eq!(
        error(id, 1, |request| request.protocol_name =
            Some("sticky".to_owned())),
        Some(GroupError::InconsistentGroupProtocol)
    );
    assert_eq!(
        error(id, 1, |request| request.protocol_type =
            Some("connect".to_owned())),
        Some(GroupError::InconsistentGroupProtocol)
    );
    assert_eq!(
        error(id, 1, |request| request.protocol_type = None),
        Some(GroupError::InconsistentGroupProtocol)
    );
    assert_eq!(
        error(id, 1, |request| {
            request.api_version = 4;
            request.protocol_type = None;
            request.protocol_name = None;
        }),
        None
    );
}

#[test]
fn a_sync_during_the_join_phase_is_told_to_rebalance() {
    let mut machine = Machine::new();
    let ids = machine.stable_group(2);
    machine.join(join_request(&ids[0]));
    let ticket = machine.sync(&ids[1], 1, &[]);
    assert_eq!(
        machine.sync_reply(ticket).error,
        Some(GroupError::RebalanceInProgress)
    );
}

#[test]
fn parked_syncs_are_told_to_rebalance_when_a_member_joins() {
    let mut machine = Machine::new();
    let ids = completing(&mut machine, 2);
    let follower = machine.sync(&ids[1], 1, &[]);
    machine.join_dynamic(join_request(""));
    assert_eq!(
        machine.sync_reply(follower).error,
        Some(GroupError::RebalanceInProgress)
    );
    assert_eq!(machine.state(), GroupState::PreparingRebalance);
}

#[test]
fn a_member_that_does_not_sync_in_time_is_removed() {
    let mut machine = Machine::new();
    let ids = completing(&mut machine, 3);
    machine.sync(&ids[0], 1, &[(&ids[0], "left")]);
    machine.sync(&ids[1], 1, &[]);
    assert_eq!(machine.state(), GroupState::Stable);
    machine.advance(60_000);
    assert_eq!(machine.state(), GroupState::PreparingRebalance);
    assert_eq!(
        machine.heartbeat(&ids[2], 1),
        Err(GroupError::UnknownMemberId)
    );
    assert_eq!(
        machine.heartbeat(&ids[1], 1),
        Err(GroupError::RebalanceInProgress)
    );
}

#[test]
fn a_group_whose_leader_never_syncs_goes_on_without_it() {
    let mut machine = Machine::new();
    let ids = completing(&mut machine, 2);
    let follower = machine.sync(&ids[1], 1, &[]);
    machine.advance(60_000);
    assert_eq!(
        machine.sync_reply(follower).error,
        Some(GroupError::RebalanceInProgress)
    );
    let ticket = machine.join(JoinRequest {
        session_timeout_ms: 200_000,
        ..join_request(&ids[1])
    });
    let reply = machine.join_reply(ticket);
    assert_eq!(
        (reply.generation_id, reply.leader.as_str()),
        (2, ids[1].as_str())
    );
}

#[test]
fn an_assignment_of_a_generation_that_is_over_is_dropped() {
    let mut machine = Machine::new();
    let ids = completing(&mut machine, 1);
    machine.hold = true;
    let ticket = machine.sync(&ids[0], 1, &[(&ids[0], "all")]);
    let (_, _) = machine.join_dynamic(join_request(""));
    assert_eq!(
        machine.sync_reply(ticket).error,
        Some(GroupError::RebalanceInProgress)
    );
    machine.release(Ok(()));
    assert_eq!(machine.state(), GroupState::PreparingRebalance);
    assert_eq!(machine.group().members[0].assignment.len(), 0);
}

#[test]
fn a_stable_group_is_described_with_metadata_and_assignments() {
    let mut machine = Machine::new();
    let ids = machine.stable_group(1);
    let group = machine.group();
    assert_eq!(group.group_id, GROUP);
    assert_eq!(
        (group.protocol_type.as_str(), group.protocol_data.as_str()),
        ("consumer", "range")
    );
    let member = &group.members[0];
    assert_eq!(member.member_id, ids[0]);
    assert_eq!(member.client_id, "client");
    assert_eq!(member.client_host, "/127.0.0.1");
    assert_eq!(member.metadata, subscription(&["orders"]));
    assert_eq!(member.assignment, format!("a-{}", ids[0]));
    machine.join(join_request(&ids[0]));
    machine.join_dynamic(join_request(""));
    let group = machine.group();
    assert_ne!(group.state, GroupState::Stable);
    assert_eq!(
        (
            group.protocol_data.as_str(),
            group.members[0].metadata.len()
        ),
        ("", 0)
    );
}
