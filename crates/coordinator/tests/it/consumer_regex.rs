//! Subscriptions by regular expression.

use lastword_coordinator::{ConsumerHeartbeatRequest, GroupError};

use crate::consumers::{Consumer, Partitions, beat, eager, joining, partitions, settle, view};
use crate::harness::Machine;

fn matching(member_id: &str, regex: &str) -> ConsumerHeartbeatRequest {
    ConsumerHeartbeatRequest {
        topic_names: None,
        topic_regex: Some(regex.to_owned()),
        ..joining(member_id, &[])
    }
}

#[test]
fn the_topics_whose_whole_names_match_are_assigned() {
    let topics = [
        ("orders", 1),
        ("orders2", 1),
        ("my-orders", 1),
        ("a.b", 1),
        ("axb", 1),
    ];
    for (regex, wanted) in [
        ("orders", vec!["orders"]),
        ("orders|a.b", vec!["a.b", "axb", "orders"]),
        ("(?i)ORDERS.*", vec!["orders", "orders2"]),
        (r"\Qa.b\E", vec!["a.b"]),
        ("[a-z]+-orders", vec!["my-orders"]),
        ("none", vec![]),
    ] {
        let mut machine = Machine::with_topics(&topics);
        let reply = machine.beat(&matching("a", regex));
        assert_eq!((reply.error, reply.member_epoch), (None, 2), "{regex}");
        let wanted: Partitions = wanted
            .into_iter()
            .flat_map(|name| partitions(&[(name, &[0])]))
            .collect();
        assert_eq!(reply.assignment, Some(wanted), "{regex}");
    }
}

#[test]
fn an_expression_that_is_none_is_refused_with_the_reason() {
    let mut machine = Machine::with_topics(&[]);
    for regex in ["(", "a)(b", "[z-a]", "x{100000}", "(?=look)"] {
        let reply = machine.beat(&matching("a", regex));
        assert_eq!(
            reply.error,
            Some(GroupError::InvalidRegularExpression),
            "{regex}"
        );
        assert!(reply.error_message.unwrap().contains(regex));
    }
    assert_eq!(machine.coordinator.list().unwrap(), []);
}

#[test]
fn topics_that_are_created_later_are_found_but_not_more_often_than_every_ten_seconds() {
    let mut machine = Machine::with_topics(&[("orders", 1)]);
    let mut consumers = [Consumer::new(matching("a", "ord.*"))];
    settle(&mut machine, &mut consumers);
    machine
        .coordinator
        .metadata_changed(view(2, &[("orders", 1), ("ordinary", 1)]));
    settle(&mut machine, &mut consumers);
    assert_eq!(consumers[0].owned, partitions(&[("orders", &[0])]));
    machine.advance(10_001);
    settle(&mut machine, &mut consumers);
    let both = partitions(&[("orders", &[0]), ("ordinary", &[0])]);
    assert_eq!(consumers[0].owned, both);
    // A topic that is deleted goes at once, and one of another name changes nothing.
    let epoch = machine.consumer_group().epoch;
    machine.advance(10_001);
    machine
        .coordinator
        .metadata_changed(view(3, &[("ordinary", 1), ("bills", 1)]));
    settle(&mut machine, &mut consumers);
    assert_eq!(consumers[0].owned, partitions(&[("ordinary", &[0])]));
    assert_eq!(machine.consumer_group().epoch, epoch + 1);
}

#[test]
fn what_was_resolved_is_stored_and_goes_with_its_last_subscriber() {
    let mut machine = Machine::with_topics(&[("orders", 2)]);
    let mut consumers = [
        Consumer::new(matching("a", "ord.*")),
        Consumer::new(matching("b", "ord.*")),
    ];
    settle(&mut machine, &mut consumers);
    let mut reloaded = machine.reloaded(eager());
    reloaded
        .coordinator
        .metadata_changed(view(1, &[("orders", 2)]));
    assert_eq!(reloaded.consumer_group(), machine.consumer_group());
    settle(&mut reloaded, &mut consumers);
    assert_eq!(reloaded.consumer_group(), machine.consumer_group());
    let is_regex = |key: &[u8]| key.starts_with(&[0, 16]);
    let tombstones = |machine: &Machine| {
        let regexes = machine.log.iter().filter(|record| is_regex(&record.key));
        regexes.filter(|record| record.value.is_none()).count()
    };
    machine.beat(&beat("a", -1));
    assert_eq!(tombstones(&machine), 0);
    machine.beat(&ConsumerHeartbeatRequest {
        topic_regex: Some(String::new()),
        ..beat("b", consumers[1].epoch)
    });
    assert_eq!(tombstones(&machine), 1);
    assert_eq!(machine.consumer_group().members[0].target, []);
}

#[test]
fn names_and_an_expression_may_be_mixed_in_a_group_and_in_a_member() {
    let mut machine = Machine::with_topics(&[("orders", 2), ("bills", 2)]);
    let both = ConsumerHeartbeatRequest {
        topic_names: Some(vec!["bills".to_owned()]),
        ..matching("a", "ord.*")
    };
    let mut consumers = [
        Consumer::new(both),
        Consumer::new(joining("b", &["orders"])),
    ];
    settle(&mut machine, &mut consumers);
    assert_eq!(consumers[0].owned, partitions(&[("bills", &[0, 1])]));
    assert_eq!(consumers[1].owned, partitions(&[("orders", &[0, 1])]));
}
