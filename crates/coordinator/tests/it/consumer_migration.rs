//! Groups that move between the protocols while they run.

use lastword_coordinator::{
    ConsumerHeartbeatRequest, GroupConfig, GroupError, GroupState, MigrationPolicy,
};

use crate::consumers::{
    ClassicConsumer, Consumer, Named, beat, eager, embedded_assignment, embedded_subscription,
    joining, owners, view,
};
use crate::harness::{Machine, join_request};

fn machine(policy: MigrationPolicy) -> Machine {
    let config = GroupConfig {
        consumer_migration_policy: policy,
        ..eager()
    };
    let mut machine = Machine::with_config(config);
    machine
        .coordinator
        .metadata_changed(view(1, &[("orders", 4)]));
    machine
}

/// Everybody does what the answers ask for until the group is Stable and all have their own.
fn settle(machine: &mut Machine, consumers: &mut [Consumer], classic: &mut [ClassicConsumer]) {
    for _ in 0..60 {
        for consumer in consumers.iter_mut() {
            consumer.beat(machine);
        }
        for consumer in classic.iter_mut() {
            consumer.step(machine);
        }
        machine.advance(1_000);
        let group = &machine.coordinator.list().unwrap()[0];
        let owners = owners(consumers, classic);
        assert!(owners.values().all(|count| *count == 1), "{owners:?}");
        if group.state == GroupState::Stable && owners.len() == 4 {
            return;
        }
    }
    let group = machine.coordinator.list();
    panic!("{group:?} {consumers:#?} {classic:#?}");
}

fn group_type(machine: &Machine) -> &'static str {
    machine.coordinator.list().unwrap()[0].group_type
}

fn check_reload(machine: &Machine) {
    let mut reloaded = machine.reloaded(eager());
    reloaded
        .coordinator
        .metadata_changed(view(1, &[("orders", 4)]));
    assert_eq!(reloaded.coordinator.list(), machine.coordinator.list());
    let described = |machine: &Machine| {
        let group = crate::harness::GROUP;
        (
            machine.coordinator.describe_consumer(group),
            machine.coordinator.describe(group),
        )
    };
    assert_eq!(described(&reloaded), described(machine));
}

#[test]
fn a_classic_group_moves_up_with_its_first_new_consumer_and_down_with_its_last() {
    for is_cooperative in [false, true] {
        let mut machine = machine(MigrationPolicy::Bidirectional);
        let mut classic = [
            ClassicConsumer::new(&["orders"], is_cooperative),
            ClassicConsumer::new(&["orders"], is_cooperative),
        ];
        settle(&mut machine, &mut [], &mut classic);
        assert_eq!(group_type(&machine), "classic");
        let generation_id = classic[0].generation_id;

        let mut new = vec![Consumer::new(joining("n", &["orders"]))];
        settle(&mut machine, &mut new, &mut classic);
        assert_eq!(group_type(&machine), "consumer");
        let group = machine.consumer_group();
        assert!(group.epoch > generation_id);
        let by_type = |classic| {
            let members = group.members.iter();
            members
                .filter(|member| member.uses_classic_protocol == classic)
                .count()
        };
        assert_eq!((by_type(true), by_type(false)), (2, 1));
        check_reload(&machine);

        assert_eq!(machine.beat_error(&beat("n", -1)), None);
        new.clear();
        assert_eq!(group_type(&machine), "classic");
        assert_eq!(machine.state(), GroupState::PreparingRebalance);
        settle(&mut machine, &mut new, &mut classic);
        assert!(machine.group().generation_id > group.epoch);
        check_reload(&machine);
    }
}

#[test]
fn offsets_outlive_both_moves() {
    let mut machine = machine(MigrationPolicy::Bidirectional);
    let mut classic = [ClassicConsumer::new(&["orders"], false)];
    settle(&mut machine, &mut [], &mut classic);
    let commit = crate::harness::commit_request(&classic[0].id, classic[0].generation_id, 7);
    let ticket = machine.commit(commit);
    assert_eq!(machine.commit_error(ticket), None);
    let mut new = vec![Consumer::new(joining("n", &["orders"]))];
    settle(&mut machine, &mut new, &mut classic);
    assert_eq!(machine.offset("orders", 0), 7);
    // A classic member commits with its epoch, and a stale one is an old generation.
    let stale = crate::harness::commit_request(&classic[0].id, 0, 8);
    let ticket = machine.commit(stale);
    assert_eq!(
        machine.commit_error(ticket),
        Some(GroupError::IllegalGeneration)
    );
    machine.beat(&beat("n", -1));
    assert_eq!(machine.offset("orders", 0), 7);
    assert_eq!(machine.reloaded(eager()).offset("orders", 0), 7);
}

#[test]
fn classic_consumers_join_a_consumer_group_and_leave_it() {
    let mut machine = machine(MigrationPolicy::Bidirectional);
    let mut new = [Consumer::new(joining("n", &["orders"]))];
    settle(&mut machine, &mut new, &mut []);
    let mut classic = [ClassicConsumer::new(&["orders"], false)];
    settle(&mut machine, &mut new, &mut classic);
    assert_eq!(machine.consumer_group().members.len(), 2);
    let left = machine.leave(&[(&classic[0].id, None), ("nobody", None)]);
    let errors: Vec<_> = left.members.iter().map(|member| member.error).collect();
    assert_eq!(errors, [None, Some(GroupError::UnknownMemberId)]);
    settle(&mut machine, &mut new, &mut []);
    assert_eq!(group_type(&machine), "consumer");
}

#[test]
fn joins_that_are_parked_are_asked_to_come_again() {
    let mut machine = machine(MigrationPolicy::Bidirectional);
    let (member_id, parked) = machine.join_dynamic(join_request(""));
    assert!(machine.is_parked(parked));
    assert_eq!(machine.beat_error(&joining("n", &["orders"])), None);
    let reply = machine.join_reply(parked);
    assert_eq!(reply.error, Some(GroupError::RebalanceInProgress));
    assert_eq!(reply.member_id, member_id);
    assert_eq!(machine.consumer_group().members.len(), 2);
}

#[test]
fn a_policy_that_forbids_a_move_is_obeyed() {
    for (policy, may_upgrade) in [
        (MigrationPolicy::Upgrade, true),
        (MigrationPolicy::Downgrade, false),
        (MigrationPolicy::Disabled, false),
    ] {
        let mut machine = machine(policy);
        let mut classic = [ClassicConsumer::new(&["orders"], false)];
        settle(&mut machine, &mut [], &mut classic);
        let reply = machine.beat(&joining("n", &["orders"]));
        if may_upgrade {
            assert_eq!(reply.error, None);
            machine.beat(&beat("n", -1));
            assert_eq!(group_type(&machine), "consumer", "no way down");
        } else {
            assert_eq!(reply.error, Some(GroupError::GroupIdNotFound));
            assert!(
                reply
                    .error_message
                    .unwrap()
                    .contains("online upgrade is disabled")
            );
            assert_eq!(group_type(&machine), "classic");
        }
    }
}

#[test]
fn a_group_whose_assignments_would_be_lost_does_not_move() {
    let mut machine = machine(MigrationPolicy::Bidirectional);
    let (member_id, ticket) = machine.join_dynamic(join_request(""));
    machine.end_join_phase();
    let generation_id = machine.join_reply(ticket).generation_id;
    let custom = embedded_assignment(&Named::new(), Some(b"mine"));
    let assigned = [(member_id.as_str(), custom)];
    machine.sync_bytes(&member_id, generation_id, &assigned, |_| {});
    let reply = machine.beat(&joining("n", &["orders"]));
    assert_eq!(reply.error, Some(GroupError::GroupIdNotFound));
    assert!(reply.error_message.unwrap().contains("custom assignor"));
    assert_eq!(machine.heartbeat(&member_id, generation_id), Ok(()));
}

#[test]
fn a_classic_member_that_does_not_join_again_is_removed() {
    let mut machine = machine(MigrationPolicy::Bidirectional);
    let mut classic = [ClassicConsumer::new(&["orders"], false)];
    settle(&mut machine, &mut [], &mut classic);
    let mut new = [Consumer::new(joining("n", &["orders"]))];
    new[0].beat(&mut machine);
    let (id, generation_id) = (classic[0].id.clone(), classic[0].generation_id);
    for _ in 0..12 {
        let asked = machine.heartbeat(&id, generation_id);
        assert_eq!(asked, Err(GroupError::RebalanceInProgress));
        new[0].beat(&mut machine);
        machine.advance(5_000);
    }
    new[0].beat(&mut machine);
    assert_eq!(
        machine.heartbeat(&id, generation_id),
        Err(GroupError::UnknownMemberId)
    );
    settle(&mut machine, &mut new, &mut []);
}

#[test]
fn a_static_consumer_that_comes_back_with_the_classic_protocol_takes_the_group_down() {
    let mut machine = machine(MigrationPolicy::Bidirectional);
    let mut classic = vec![ClassicConsumer::new(&["orders"], false)];
    settle(&mut machine, &mut [], &mut classic);
    let join = ConsumerHeartbeatRequest {
        instance_id: Some("i".to_owned()),
        ..joining("n", &["orders"])
    };
    let mut new = vec![Consumer::new(join)];
    settle(&mut machine, &mut new, &mut classic);
    assert_eq!(group_type(&machine), "consumer");
    let mut back = ClassicConsumer::new(&["orders"], false);
    back.instance_id = Some("i".to_owned());
    new.clear();
    back.step(&mut machine);
    assert_eq!(group_type(&machine), "classic");
    // The same subscription needs no rebalance: the group is Stable with the member in its place.
    assert_eq!(machine.state(), GroupState::Stable);
    classic.push(back);
    settle(&mut machine, &mut new, &mut classic);
    check_reload(&machine);
}

#[test]
fn a_join_without_a_common_protocol_or_with_broken_bytes_is_refused() {
    let mut machine = machine(MigrationPolicy::Bidirectional);
    machine.beat(&joining("n", &["orders"]));
    let mut classic = [ClassicConsumer::new(&["orders"], false)];
    classic[0].step(&mut machine);
    let mut other = join_request("");
    other.protocols[0].name = "sticky".to_owned();
    other.protocols[0].metadata = embedded_subscription(&["orders"], &Named::new());
    let mut broken = join_request("");
    broken.protocols[0].metadata = bytes::Bytes::from_static(&[0, 1, 0]);
    let mut connect = join_request("");
    connect.protocol_type = "connect".to_owned();
    for request in [other, broken, connect] {
        let ticket = machine.join(request);
        let error = machine.join_reply(ticket).error;
        assert_eq!(error, Some(GroupError::InconsistentGroupProtocol));
    }
}

#[test]
fn an_upgrade_that_could_not_be_stored_leaves_the_classic_group() {
    let mut machine = machine(MigrationPolicy::Bidirectional);
    let mut classic = [ClassicConsumer::new(&["orders"], false)];
    settle(&mut machine, &mut [], &mut classic);
    machine.hold = true;
    let ticket = machine.consumer_heartbeat(&joining("n", &["orders"]));
    machine.hold = false;
    machine.release(Err(lastword_coordinator::AppendError::NotEnoughReplicas));
    let error = machine.consumer_reply(ticket).error;
    assert_eq!(error, Some(GroupError::CoordinatorNotAvailable));
    assert_eq!(group_type(&machine), "classic");
    let heartbeat = machine.heartbeat(&classic[0].id, classic[0].generation_id);
    assert_eq!(heartbeat, Ok(()));
    check_reload(&machine);
}
