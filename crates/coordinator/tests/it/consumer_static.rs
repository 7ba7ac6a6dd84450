//! Static members of consumer groups.

use lastword_coordinator::{ConsumerHeartbeatRequest, GroupError, GroupState};

use crate::consumers::{Consumer, Partitions, beat, eager, joining, partitions, settle, view};
use crate::harness::Machine;

fn as_instance(request: ConsumerHeartbeatRequest, instance_id: &str) -> ConsumerHeartbeatRequest {
    ConsumerHeartbeatRequest {
        instance_id: Some(instance_id.to_owned()),
        ..request
    }
}

fn two_static(machine: &mut Machine) -> [Consumer; 2] {
    let mut consumers = [
        Consumer::new(as_instance(joining("a", &["orders"]), "i0")),
        Consumer::new(as_instance(joining("b", &["orders"]), "i1")),
    ];
    settle(machine, &mut consumers);
    consumers
}

#[test]
fn a_static_member_that_comes_back_has_its_partitions_and_nobody_else_moves() {
    let mut machine = Machine::with_topics(&[("orders", 4)]);
    let [a, b] = two_static(&mut machine);
    let epoch = machine.consumer_group().epoch;
    let left = machine.beat(&as_instance(beat("a", -2), "i0"));
    assert_eq!((left.error, left.member_epoch), (None, -2));
    assert_eq!(machine.consumer_group().epoch, epoch);
    // Its partitions wait for it, through a restart too.
    let mut machine = machine.reloaded(eager());
    machine
        .coordinator
        .metadata_changed(view(1, &[("orders", 4)]));
    let mut b = b;
    b.beat(&mut machine);
    let back = machine.beat(&as_instance(joining("a2", &["orders"]), "i0"));
    assert_eq!((back.error, back.member_epoch), (None, epoch));
    assert_eq!(back.assignment, Some(a.owned.clone()));
    assert_eq!(machine.consumer_group().epoch, epoch);
    let error = machine.beat_error(&as_instance(beat("a", a.epoch), "i0"));
    assert_eq!(error, Some(GroupError::FencedInstanceId));
    assert_eq!(machine.consumer_group().members.len(), 2);
}

#[test]
fn an_instance_id_in_use_is_not_given_away() {
    let mut machine = Machine::with_topics(&[("orders", 4)]);
    two_static(&mut machine);
    let error = machine.beat_error(&as_instance(joining("c", &["orders"]), "i0"));
    assert_eq!(error, Some(GroupError::UnreleasedInstanceId));
    let unknown = machine.beat_error(&as_instance(beat("c", 1), "i9"));
    assert_eq!(unknown, Some(GroupError::UnknownMemberId));
    let fenced = machine.beat_error(&as_instance(beat("c", 1), "i0"));
    assert_eq!(fenced, Some(GroupError::FencedInstanceId));
    assert_eq!(machine.consumer_group().members.len(), 2);
}

#[test]
fn a_static_member_that_does_not_come_back_is_removed_after_its_session() {
    let mut machine = Machine::with_topics(&[("orders", 2)]);
    let [_, mut b] = two_static(&mut machine);
    machine.beat(&as_instance(beat("a", -2), "i0"));
    for _ in 0..10 {
        machine.advance(4_600);
        b.beat(&mut machine);
    }
    assert_eq!(machine.consumer_group().members.len(), 1);
    settle(&mut machine, std::slice::from_mut(&mut b));
    assert_eq!(b.owned, partitions(&[("orders", &[0, 1])]));
}

#[test]
fn a_static_member_that_leaves_for_good_is_gone_at_once() {
    let mut machine = Machine::with_topics(&[("orders", 2)]);
    two_static(&mut machine);
    let left = machine.beat(&as_instance(beat("a", -1), "i0"));
    assert_eq!((left.error, left.member_epoch), (None, -1));
    assert_eq!(machine.consumer_group().members.len(), 1);
    assert_eq!(machine.consumer_group().state, GroupState::Assigning);
}

#[test]
fn a_static_member_may_come_back_with_another_subscription() {
    let mut machine = Machine::with_topics(&[("orders", 2), ("bills", 1)]);
    two_static(&mut machine);
    machine.beat(&as_instance(beat("a", -2), "i0"));
    let mut back = Consumer::new(as_instance(joining("a2", &["bills"]), "i0"));
    back.beat(&mut machine);
    settle(&mut machine, std::slice::from_mut(&mut back));
    assert_eq!(back.owned, partitions(&[("bills", &[0])]));
    assert_ne!(back.owned, Partitions::new());
}
