//! Static members: group.instance.id, fencing, and coming back without a rebalance.

use lastword_coordinator::{AppendError, GroupError, GroupState, JoinProtocol, JoinRequest};

use crate::harness::{Machine, commit_request, config, protocols, static_request, subscription};

#[test]
fn a_static_member_is_added_without_a_second_join() {
    let mut machine = Machine::new();
    let ticket = machine.join(static_request("i0"));
    assert!(machine.is_parked(ticket));
    machine.advance(3_000);
    let reply = machine.join_reply(ticket);
    assert_eq!(reply.member_id, "i0-uuid1");
    assert_eq!(reply.members[0].group_instance_id.as_deref(), Some("i0"));
}

#[test]
fn a_static_follower_comes_back_without_a_rebalance() {
    let mut machine = Machine::new();
    let ids = machine.stable_static_group(2);
    let ticket = machine.join(static_request("i1"));
    let reply = machine.join_reply(ticket);
    assert_eq!((reply.error, reply.generation_id), (None, 1));
    assert_ne!(reply.member_id, ids[1]);
    assert_eq!(reply.leader, ids[0]);
    assert!(!reply.skip_assignment && reply.members.is_empty());
    assert_eq!(machine.state(), GroupState::Stable);
    let sync = machine.sync(&reply.member_id, 1, &[]);
    assert_eq!(machine.sync_reply(sync).assignment, format!("a-{}", ids[1]));
}

#[test]
fn a_static_leader_that_comes_back_is_told_to_skip_the_assignment() {
    let mut machine = Machine::new();
    machine.stable_static_group(2);
    let ticket = machine.join(static_request("i0"));
    let reply = machine.join_reply(ticket);
    assert!(reply.skip_assignment);
    assert_eq!(reply.leader, reply.member_id);
    assert_eq!(reply.members.len(), 2);
}

#[test]
fn an_older_static_leader_that_comes_back_believes_itself_a_follower() {
    let mut machine = Machine::new();
    let ids = machine.stable_static_group(2);
    let ticket = machine.join(JoinRequest {
        api_version: 8,
        ..static_request("i0")
    });
    let reply = machine.join_reply(ticket);
    assert!(!reply.skip_assignment && reply.members.is_empty());
    assert_eq!(reply.leader, ids[0]);
    assert_ne!(reply.member_id, ids[0]);
}

#[test]
fn the_old_member_id_of_a_static_member_is_fenced() {
    let mut machine = Machine::new();
    let ids = machine.stable_static_group(1);
    machine.join(static_request("i0"));
    let fenced = GroupError::FencedInstanceId;
    assert_eq!(machine.heartbeat_as(&ids[0], 1, Some("i0")), Err(fenced));
    assert_eq!(
        machine.heartbeat(&ids[0], 1),
        Err(GroupError::UnknownMemberId)
    );
    let sync = machine.sync_with(&ids[0], 1, &[], |request| {
        request.group_instance_id = Some("i0".to_owned());
    });
    assert_eq!(machine.sync_reply(sync).error, Some(fenced));
    let mut commit = commit_request(&ids[0], 1, 5);
    commit.group_instance_id = Some("i0".to_owned());
    let commit = machine.commit(commit);
    assert_eq!(machine.commit_error(commit), Some(fenced));
    let join = machine.join(JoinRequest {
        member_id: ids[0].clone(),
        ..static_request("i0")
    });
    assert_eq!(machine.join_reply(join).error, Some(fenced));
    let left = machine.leave(&[(&ids[0], Some("i0"))]);
    assert_eq!(left.members[0].error, Some(fenced));
}

#[test]
fn a_parked_join_of_the_old_member_id_is_fenced() {
    let mut machine = Machine::new();
    let old = machine.join(static_request("i0"));
    let new = machine.join(static_request("i0"));
    let reply = machine.join_reply(old);
    assert_eq!(reply.error, Some(GroupError::FencedInstanceId));
    assert_eq!(reply.member_id, "i0-uuid1");
    machine.advance(6_000);
    assert_eq!(machine.join_reply(new).members.len(), 1);
}

#[test]
fn a_static_member_that_comes_back_before_the_sync_makes_the_group_rebalance() {
    let mut machine = Machine::new();
    machine.join(static_request("i0"));
    machine.join(static_request("i1"));
    machine.end_join_phase();
    assert_eq!(machine.state(), GroupState::CompletingRebalance);
    machine.join(static_request("i1"));
    assert_eq!(machine.state(), GroupState::PreparingRebalance);
}

#[test]
fn a_static_member_whose_protocols_change_the_choice_makes_the_group_rebalance() {
    let mut machine = Machine::new();
    let both = JoinRequest {
        protocols: protocols(&["range", "sticky"]),
        ..static_request("i0")
    };
    let ticket = machine.join(both);
    machine.advance(3_000);
    let member_id = machine.join_reply(ticket).member_id;
    machine.assign_all(&[member_id], 1);
    let again = JoinRequest {
        protocols: protocols(&["sticky"]),
        ..static_request("i0")
    };
    let ticket = machine.join(again);
    let reply = machine.join_reply(ticket);
    assert_eq!(
        (reply.generation_id, reply.protocol_name.as_deref()),
        (2, Some("sticky"))
    );
}

#[test]
fn an_absent_static_member_stays_in_the_group_until_its_session_ends() {
    let mut machine = Machine::new();
    let request = |index: usize| JoinRequest {
        session_timeout_ms: 90_000,
        ..static_request(&format!("i{index}"))
    };
    let first = machine.join(request(0));
    machine.join(request(1));
    machine.advance(6_000);
    let leader = machine.join_reply(first).member_id;
    let second = machine.group().members[1].member_id.clone();
    machine.assign_all(&[leader.clone(), second], 1);
    let ticket = machine.join(JoinRequest {
        member_id: leader.clone(),
        ..request(0)
    });
    machine.advance(60_000);
    assert_eq!(machine.join_reply(ticket).generation_id, 2);
    assert_eq!(machine.join_reply(ticket).members.len(), 2);
}

#[test]
fn a_group_of_absent_static_members_waits_for_one_of_them() {
    let mut machine = Machine::new();
    let request = JoinRequest {
        session_timeout_ms: 400_000,
        ..static_request("i0")
    };
    let ticket = machine.join(request.clone());
    let other = machine.join(JoinRequest {
        session_timeout_ms: 400_000,
        ..static_request("i1")
    });
    machine.advance(6_000);
    let ids = [
        machine.join_reply(ticket).member_id,
        machine.join_reply(other).member_id,
    ];
    machine.assign_all(&ids, 1);
    let dynamic = machine.join_dynamic(crate::harness::join_request("")).0;
    machine.leave(&[(&dynamic, None)]);
    machine.advance(200_000);
    assert_eq!(machine.state(), GroupState::PreparingRebalance);
    let back = machine.join(JoinRequest {
        member_id: ids[1].clone(),
        ..request_for(&request, "i1")
    });
    machine.advance(60_000);
    assert_eq!(machine.join_reply(back).leader, ids[1]);
}

fn request_for(request: &JoinRequest, instance_id: &str) -> JoinRequest {
    JoinRequest {
        group_instance_id: Some(instance_id.to_owned()),
        ..request.clone()
    }
}

#[test]
fn an_administrator_removes_a_static_member_by_its_instance_id() {
    let mut machine = Machine::new();
    machine.stable_static_group(2);
    let reply = machine.leave(&[("", Some("i1")), ("", Some("i7"))]);
    assert_eq!(reply.members[0].error, None);
    assert_eq!(reply.members[1].error, Some(GroupError::UnknownMemberId));
    assert_eq!(machine.group().members.len(), 1);
}

#[test]
fn a_static_return_that_cannot_be_stored_is_undone() {
    let mut machine = Machine::new();
    let ids = machine.stable_static_group(2);
    let before = machine.group();
    machine.hold = true;
    let mut request = static_request("i0");
    request.protocols = vec![JoinProtocol {
        name: "range".to_owned(),
        metadata: subscription(&["new"]),
    }];
    let ticket = machine.join(request);
    assert!(machine.is_parked(ticket));
    machine.release(Err(AppendError::NotEnoughReplicas));
    let reply = machine.join_reply(ticket);
    assert_eq!(reply.error, Some(GroupError::CoordinatorNotAvailable));
    assert_eq!(
        (reply.member_id.as_str(), reply.leader.as_str()),
        ("", ids[0].as_str())
    );
    assert_eq!(machine.group(), before);
    assert_eq!(machine.heartbeat_as(&ids[0], 1, Some("i0")), Ok(()));
}

#[test]
fn a_rebalance_takes_over_a_static_return_that_is_being_stored() {
    let mut machine = Machine::new();
    let ids = machine.stable_static_group(2);
    machine.hold = true;
    let back = machine.join(static_request("i1"));
    let leader = machine.join(JoinRequest {
        member_id: ids[0].clone(),
        ..static_request("i0")
    });
    machine.release(Ok(()));
    assert_eq!(machine.join_reply(leader).generation_id, 2);
    assert_eq!(machine.join_reply(back).generation_id, 2);
}

#[test]
fn static_members_survive_a_reload() {
    let mut machine = Machine::new();
    machine.stable_static_group(2);
    machine.join(static_request("i1"));
    let mut reloaded = machine.reloaded(config());
    assert_eq!(reloaded.group(), machine.group());
    let ticket = reloaded.join(static_request("i1"));
    assert_eq!(reloaded.join_reply(ticket).generation_id, 1);
}

#[test]
fn an_instance_that_nobody_carries_is_unknown_even_with_a_known_member_id() {
    let mut machine = Machine::new();
    let ids = machine.stable_static_group(2);
    let ticket = machine.join(JoinRequest {
        member_id: ids[0].clone(),
        ..static_request("i9")
    });
    assert_eq!(
        machine.join_reply(ticket).error,
        Some(GroupError::UnknownMemberId)
    );
    assert_eq!(machine.state(), GroupState::Stable);
}

#[test]
fn a_static_member_that_joins_under_anothers_member_id_is_fenced() {
    let mut machine = Machine::new();
    let ids = machine.stable_static_group(2);
    for (instance_id, member_id) in [("i0", &ids[1]), ("i1", &ids[0])] {
        let ticket = machine.join(JoinRequest {
            member_id: member_id.clone(),
            ..static_request(instance_id)
        });
        assert_eq!(
            machine.join_reply(ticket).error,
            Some(GroupError::FencedInstanceId)
        );
    }
    assert_eq!(machine.group().members.len(), 2);
}

#[test]
fn a_known_static_follower_keeps_the_generation_and_a_known_leader_starts_the_next() {
    let mut machine = Machine::new();
    let ids = machine.stable_static_group(2);
    let again = |index: usize| JoinRequest {
        member_id: ids[index].clone(),
        ..static_request(&format!("i{index}"))
    };
    let follower = machine.join(again(1));
    let reply = machine.join_reply(follower);
    assert_eq!((reply.error, reply.generation_id), (None, 1));
    assert_eq!(machine.state(), GroupState::Stable);
    let leader = machine.join(again(0));
    assert!(machine.is_parked(leader));
    assert_eq!(machine.state(), GroupState::PreparingRebalance);
}

#[test]
fn each_return_of_a_static_member_gets_another_member_id() {
    let mut machine = Machine::new();
    let mut seen = machine.stable_static_group(2);
    for _ in 0..5 {
        let ticket = machine.join(static_request("i1"));
        let member_id = machine.join_reply(ticket).member_id;
        assert!(!seen.contains(&member_id), "{member_id} was given before");
        seen.push(member_id);
    }
    assert_eq!(machine.group().members.len(), 2);
    // Of all these ids only the last may go on.
    let (last, earlier) = seen[1..].split_last().unwrap();
    assert_eq!(machine.heartbeat_as(last, 1, Some("i1")), Ok(()));
    for member_id in earlier {
        let fenced = machine.heartbeat_as(member_id, 1, Some("i1"));
        assert_eq!(fenced, Err(GroupError::FencedInstanceId));
    }
}

/// As in Kafka, where whoever names no member id counts as new, a static member that returns too.
#[test]
fn a_full_group_takes_back_only_who_names_a_member_id() {
    let mut machine = Machine::with_config(lastword_coordinator::GroupConfig {
        group_max_size: 2,
        ..config()
    });
    let ids = machine.stable_static_group(2);
    for instance_id in ["i2", "i1"] {
        let ticket = machine.join(static_request(instance_id));
        assert_eq!(
            machine.join_reply(ticket).error,
            Some(GroupError::GroupMaxSizeReached)
        );
    }
    let ticket = machine.join(JoinRequest {
        member_id: ids[1].clone(),
        ..static_request("i1")
    });
    assert_eq!(machine.join_reply(ticket).error, None);
    assert_eq!(machine.group().members.len(), 2);
}

#[test]
fn a_batch_of_leaves_tells_each_static_member_what_it_did_wrong() {
    let mut machine = Machine::new();
    let ids = machine.stable_static_group(3);
    let left = machine.leave(&[
        (&ids[0], Some("i1")),
        ("", Some("i9")),
        ("ghost", None),
        ("", Some("i2")),
        (&ids[2], Some("i2")),
    ]);
    let errors: Vec<_> = left.members.iter().map(|member| member.error).collect();
    let unknown = Some(GroupError::UnknownMemberId);
    assert_eq!(
        errors,
        [
            Some(GroupError::FencedInstanceId),
            unknown,
            unknown,
            None,
            unknown
        ]
    );
    assert_eq!(machine.group().members.len(), 2);
    assert_eq!(machine.state(), GroupState::PreparingRebalance);
}

#[test]
fn a_rebalance_ends_when_the_session_of_an_absent_static_member_does() {
    let mut machine = Machine::new();
    let ids = machine.stable_static_group(2);
    let parked = machine.join(JoinRequest {
        member_id: ids[0].clone(),
        ..static_request("i0")
    });
    assert!(machine.is_parked(parked));
    machine.advance(10_000);
    let reply = machine.join_reply(parked);
    assert_eq!((reply.error, reply.generation_id), (None, 2));
    assert_eq!(reply.members.len(), 1);
}

#[test]
fn an_id_given_to_a_dynamic_member_is_not_a_static_members_to_use() {
    let mut machine = Machine::new();
    let first = machine.join(crate::harness::join_request(""));
    let member_id = machine.join_reply(first).member_id;
    let ticket = machine.join(JoinRequest {
        member_id,
        ..static_request("i0")
    });
    assert_eq!(
        machine.join_reply(ticket).error,
        Some(GroupError::UnknownMemberId)
    );
}
