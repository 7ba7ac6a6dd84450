//! JoinGroup.

use lastword_coordinator::{GroupConfig, GroupError, GroupState, JoinProtocol, JoinRequest};

use crate::harness::{GROUP, Machine, config, join_request, protocols, subscription};

#[test]
fn a_join_without_a_group_id_is_refused() {
    let mut machine = Machine::new();
    let ticket = machine.join(JoinRequest {
        group_id: String::new(),
        ..join_request("")
    });
    assert_eq!(
        machine.join_reply(ticket).error,
        Some(GroupError::InvalidGroupId)
    );
}

#[test]
fn a_session_timeout_outside_the_range_is_refused() {
    let mut machine = Machine::new();
    for session_timeout_ms in [5_999, 1_800_001, -1] {
        let ticket = machine.join(JoinRequest {
            session_timeout_ms,
            ..join_request("")
        });
        assert_eq!(
            machine.join_reply(ticket).error,
            Some(GroupError::InvalidSessionTimeout)
        );
    }
}

#[test]
fn a_member_id_is_unknown_in_a_group_that_does_not_exist() {
    let mut machine = Machine::new();
    let ticket = machine.join(join_request("ghost"));
    assert_eq!(
        machine.join_reply(ticket).error,
        Some(GroupError::UnknownMemberId)
    );
    assert!(machine.coordinator.list().unwrap().is_empty());
}

#[test]
fn a_refused_join_leaves_no_group_behind() {
    let mut machine = Machine::new();
    let ticket = machine.join(JoinRequest {
        protocols: Vec::new(),
        ..join_request("")
    });
    assert_eq!(
        machine.join_reply(ticket).error,
        Some(GroupError::InconsistentGroupProtocol)
    );
    let ticket = machine.join(JoinRequest {
        protocol_type: String::new(),
        ..join_request("")
    });
    assert_eq!(
        machine.join_reply(ticket).error,
        Some(GroupError::InconsistentGroupProtocol)
    );
    assert!(machine.coordinator.list().unwrap().is_empty());
}

#[test]
fn since_version_4_a_dynamic_member_must_join_with_the_id_it_is_given() {
    let mut machine = Machine::new();
    let first = machine.join(JoinRequest {
        api_version: 4,
        ..join_request("")
    });
    let reply = machine.join_reply(first);
    assert_eq!(reply.error, Some(GroupError::MemberIdRequired));
    assert_eq!(reply.member_id, "client-uuid1");
    assert!(machine.group().members.is_empty());
    let second = machine.join(join_request("client-uuid1"));
    assert!(machine.is_parked(second));
    assert_eq!(machine.group().members[0].member_id, "client-uuid1");
}

#[test]
fn before_version_4_a_member_is_added_at_once() {
    let mut machine = Machine::new();
    let ticket = machine.join(JoinRequest {
        api_version: 3,
        ..join_request("")
    });
    assert!(machine.is_parked(ticket));
    machine.advance(3_000);
    assert_eq!(machine.join_reply(ticket).member_id, "client-uuid1");
}

#[test]
fn a_member_id_that_was_not_given_is_unknown() {
    let mut machine = Machine::new();
    machine.stable_group(1);
    let ticket = machine.join(join_request("made-up"));
    assert_eq!(
        machine.join_reply(ticket).error,
        Some(GroupError::UnknownMemberId)
    );
}

#[test]
fn a_pending_member_is_forgotten_when_its_session_ends() {
    let mut machine = Machine::new();
    let first = machine.join(join_request(""));
    let member_id = machine.join_reply(first).member_id;
    machine.advance(10_000);
    assert!(machine.coordinator.list().unwrap().is_empty());
    let second = machine.join(join_request(&member_id));
    assert_eq!(
        machine.join_reply(second).error,
        Some(GroupError::UnknownMemberId)
    );
}

#[test]
fn the_first_rebalance_waits_for_the_initial_delay() {
    let mut machine = Machine::new();
    let (member_id, ticket) = machine.join_dynamic(join_request(""));
    assert_eq!(machine.state(), GroupState::PreparingRebalance);
    machine.advance(2_999);
    assert!(machine.is_parked(ticket));
    machine.advance(1);
    let reply = machine.join_reply(ticket);
    assert_eq!(reply.error, None);
    assert_eq!(reply.generation_id, 1);
    assert_eq!(reply.leader, member_id);
    assert_eq!(reply.protocol_name.as_deref(), Some("range"));
    assert_eq!(reply.protocol_type.as_deref(), Some("consumer"));
    assert_eq!(reply.members.len(), 1);
    assert_eq!(reply.members[0].metadata, subscription(&["orders"]));
}

#[test]
fn each_new_member_extends_the_initial_delay_up_to_the_rebalance_timeout() {
    let mut machine = Machine::new();
    let request = JoinRequest {
        rebalance_timeout_ms: 8_000,
        ..join_request("")
    };
    let (_, first) = machine.join_dynamic(request.clone());
    machine.advance(2_000);
    let (_, second) = machine.join_dynamic(request.clone());
    machine.advance(1_000);
    assert!(machine.is_parked(first));
    machine.advance(1_000);
    let (_, third) = machine.join_dynamic(request.clone());
    machine.advance(2_000);
    assert!(machine.is_parked(second));
    machine.advance(1_000);
    let (_, fourth) = machine.join_dynamic(request);
    machine.advance(1_000);
    for ticket in [first, second, third, fourth] {
        assert_eq!(machine.join_reply(ticket).generation_id, 1);
    }
}

#[test]
fn only_the_leader_learns_the_members() {
    let mut machine = Machine::new();
    let (leader, first) = machine.join_dynamic(join_request(""));
    let (follower, second) = machine.join_dynamic(join_request(""));
    machine.advance(6_000);
    let mut ids: Vec<String> = machine
        .join_reply(first)
        .members
        .into_iter()
        .map(|member| member.member_id)
        .collect();
    ids.sort();
    assert_eq!(ids, [leader.clone(), follower]);
    let reply = machine.join_reply(second);
    assert!(reply.members.is_empty());
    assert_eq!(reply.leader, leader);
}

#[test]
fn a_new_member_makes_a_stable_group_rebalance() {
    let mut machine = Machine::new();
    let ids = machine.stable_group(1);
    let (new_id, new_ticket) = machine.join_dynamic(join_request(""));
    assert_eq!(machine.state(), GroupState::PreparingRebalance);
    assert_eq!(
        machine.heartbeat(&ids[0], 1),
        Err(GroupError::RebalanceInProgress)
    );
    let ticket = machine.join(join_request(&ids[0]));
    assert_eq!(machine.join_reply(ticket).generation_id, 2);
    assert_eq!(machine.join_reply(ticket).members.len(), 2);
    assert_eq!(machine.join_reply(new_ticket).generation_id, 2);
    assert_eq!(machine.join_reply(new_ticket).leader, ids[0]);
    machine.assign_all(&[ids[0].clone(), new_id], 2);
}

#[test]
fn a_join_phase_waits_for_a_member_that_was_given_an_id() {
    let mut machine = Machine::new();
    let ids = machine.stable_group(2);
    let pending = machine.join(join_request(""));
    let pending_id = machine.join_reply(pending).member_id;
    // The leader forces a rebalance.
    let first = machine.join(join_request(&ids[0]));
    let second = machine.join(join_request(&ids[1]));
    assert!(machine.is_parked(first) && machine.is_parked(second));
    let third = machine.join(join_request(&pending_id));
    assert_eq!(machine.join_reply(first).generation_id, 2);
    assert_eq!(machine.join_reply(third).generation_id, 2);
}

#[test]
fn a_dynamic_member_that_does_not_join_in_time_is_removed() {
    let mut machine = Machine::new();
    let request = JoinRequest {
        session_timeout_ms: 100_000,
        ..join_request("")
    };
    let joined: Vec<_> = (0..2)
        .map(|_| machine.join_dynamic(request.clone()))
        .collect();
    machine.advance(9_000);
    let ids = [joined[0].0.clone(), joined[1].0.clone()];
    machine.assign_all(&ids, 1);
    let ticket = machine.join(JoinRequest {
        member_id: ids[0].clone(),
        ..request
    });
    machine.advance(59_999);
    assert!(machine.is_parked(ticket));
    machine.advance(1);
    assert_eq!(machine.join_reply(ticket).generation_id, 2);
    assert_eq!(machine.group().members.len(), 1);
    assert_eq!(
        machine.heartbeat(&ids[1], 2),
        Err(GroupError::UnknownMemberId)
    );
}

#[test]
fn the_lead_passes_to_a_member_that_joined() {
    let mut machine = Machine::new();
    let ids = machine.stable_group(2);
    let ticket = machine.join(JoinRequest {
        protocols: vec![JoinProtocol {
            name: "range".to_owned(),
            metadata: subscription(&["orders", "payments"]),
        }],
        ..join_request(&ids[1])
    });
    machine.advance(60_000);
    let reply = machine.join_reply(ticket);
    assert_eq!(reply.leader, ids[1]);
    assert_eq!(reply.members.len(), 1);
}

#[test]
fn a_follower_that_joins_again_unchanged_keeps_the_generation() {
    let mut machine = Machine::new();
    let ids = machine.stable_group(2);
    let ticket = machine.join(join_request(&ids[1]));
    let reply = machine.join_reply(ticket);
    assert_eq!((reply.error, reply.generation_id), (None, 1));
    assert_eq!(machine.state(), GroupState::Stable);
}

#[test]
fn a_follower_with_a_new_subscription_makes_the_group_rebalance() {
    let mut machine = Machine::new();
    let ids = machine.stable_group(2);
    let mut request = join_request(&ids[1]);
    request.protocols[0].metadata = subscription(&["payments"]);
    let ticket = machine.join(request);
    assert!(machine.is_parked(ticket));
    assert_eq!(machine.state(), GroupState::PreparingRebalance);
}

#[test]
fn a_leader_that_joins_again_makes_the_group_rebalance() {
    let mut machine = Machine::new();
    let ids = machine.stable_group(2);
    let ticket = machine.join(join_request(&ids[0]));
    assert!(machine.is_parked(ticket));
    assert_eq!(machine.state(), GroupState::PreparingRebalance);
}

#[test]
fn a_repeated_join_before_the_sync_gets_the_same_reply() {
    let mut machine = Machine::new();
    let (member_id, ticket) = machine.join_dynamic(join_request(""));
    machine.advance(3_000);
    let again = machine.join(join_request(&member_id));
    assert_eq!(machine.join_reply(ticket), machine.join_reply(again));
    assert_eq!(machine.state(), GroupState::CompletingRebalance);
}

#[test]
fn a_second_parked_join_of_a_member_answers_the_first() {
    let mut machine = Machine::new();
    let (member_id, first) = machine.join_dynamic(join_request(""));
    let second = machine.join(join_request(&member_id));
    assert_eq!(
        machine.join_reply(first).error,
        Some(GroupError::RebalanceInProgress)
    );
    machine.advance(3_000);
    assert_eq!(machine.join_reply(second).error, None);
}

#[test]
fn the_protocol_with_the_most_votes_among_the_common_ones_wins() {
    let cases: [(&[&[&str]], &str); 4] = [
        (
            &[
                &["range", "sticky"],
                &["sticky", "range"],
                &["sticky", "range"],
            ],
            "sticky",
        ),
        (&[&["range", "sticky"], &["sticky"]], "sticky"),
        (&[&["range", "sticky"], &["sticky", "range"]], "range"),
        (&[&["a", "b", "c"], &["c", "b"], &["b", "c", "a"]], "b"),
    ];
    for (members, expected) in cases {
        let mut machine = Machine::new();
        let tickets: Vec<_> = members
            .iter()
            .map(|names| {
                let request = JoinRequest {
                    protocols: protocols(names),
                    ..join_request("")
                };
                machine.join_dynamic(request).1
            })
            .collect();
        machine.advance(60_000);
        let reply = machine.join_reply(tickets[0]);
        assert_eq!(
            reply.protocol_name.as_deref(),
            Some(expected),
            "{members:?}"
        );
    }
}

#[test]
fn a_member_without_a_common_protocol_is_refused() {
    let mut machine = Machine::new();
    machine.stable_group(1);
    let other = JoinRequest {
        protocols: protocols(&["sticky"]),
        ..join_request("")
    };
    let ticket = machine.join(other);
    assert_eq!(
        machine.join_reply(ticket).error,
        Some(GroupError::InconsistentGroupProtocol)
    );
    let other = JoinRequest {
        protocol_type: "connect".to_owned(),
        ..join_request("")
    };
    let ticket = machine.join(other);
    assert_eq!(
        machine.join_reply(ticket).error,
        Some(GroupError::InconsistentGroupProtocol)
    );
    assert_eq!(machine.state(), GroupState::Stable);
}

#[test]
fn a_full_group_takes_no_more_members() {
    let mut machine = Machine::with_config(GroupConfig {
        group_max_size: 2,
        ..config()
    });
    let ids = machine.stable_group(2);
    let ticket = machine.join(join_request(""));
    let reply = machine.join_reply(ticket);
    assert_eq!(reply.error, Some(GroupError::GroupMaxSizeReached));
    assert_eq!(reply.member_id, "");
    assert_eq!(machine.heartbeat(&ids[0], 1), Ok(()));
}

#[test]
fn the_last_to_come_are_out_when_a_rebalance_exceeds_the_maximum() {
    let mut machine = Machine::with_config(GroupConfig {
        group_max_size: 1,
        ..config()
    });
    let first = machine.join(join_request(""));
    let second = machine.join(join_request(""));
    let first_id = machine.join_reply(first).member_id;
    let second_id = machine.join_reply(second).member_id;
    let first = machine.join(join_request(&first_id));
    let second = machine.join(join_request(&second_id));
    assert_eq!(
        machine.join_reply(second).error,
        Some(GroupError::GroupMaxSizeReached)
    );
    machine.advance(6_000);
    assert_eq!(machine.join_reply(first).members.len(), 1);
}

#[test]
fn a_new_member_is_not_parked_for_ever() {
    let mut machine = Machine::new();
    let request = JoinRequest {
        rebalance_timeout_ms: 600_000,
        ..join_request("")
    };
    let (old, _) = machine.join_dynamic(JoinRequest {
        session_timeout_ms: 1_000_000,
        ..request.clone()
    });
    machine.advance(9_000);
    machine.assign_all(&[old], 1);
    let (_, ticket) = machine.join_dynamic(request);
    machine.advance(299_999);
    assert!(machine.is_parked(ticket));
    machine.advance(1);
    assert_eq!(
        machine.join_reply(ticket).error,
        Some(GroupError::UnknownMemberId)
    );
}

#[test]
fn version_0_uses_the_session_timeout_for_the_rebalance() {
    let mut machine = Machine::new();
    let request = JoinRequest {
        rebalance_timeout_ms: -1,
        api_version: 0,
        ..join_request("")
    };
    let first = machine.join(request.clone());
    machine.advance(3_000);
    let first_id = machine.join_reply(first).member_id;
    machine.assign_all(std::slice::from_ref(&first_id), 1);
    let second = machine.join(request);
    for _ in 0..9 {
        machine.advance(1_000);
        assert_eq!(
            machine.heartbeat(&first_id, 1),
            Err(GroupError::RebalanceInProgress)
        );
    }
    machine.advance(1_000);
    assert_eq!(machine.join_reply(second).generation_id, 2);
    assert_eq!(
        machine.coordinator.describe(GROUP).unwrap().members.len(),
        1
    );
}

#[test]
fn names_too_long_for_a_record_are_refused() {
    let mut machine = Machine::new();
    let long = "x".repeat(40_000);
    let requests = [
        JoinRequest {
            client_host: long.clone(),
            ..join_request("")
        },
        JoinRequest {
            group_instance_id: Some(long.clone()),
            ..join_request("")
        },
        JoinRequest {
            protocols: protocols(&[&long]),
            ..join_request("")
        },
    ];
    for request in requests {
        let ticket = machine.join(request);
        assert_eq!(
            machine.join_reply(ticket).error,
            Some(GroupError::InvalidRequest)
        );
    }
}
