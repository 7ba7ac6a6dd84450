//! Joining, staying and leaving under the consumer group protocol.

use lastword_coordinator::{AppendError, ConsumerHeartbeatRequest, GroupError, GroupState};

use crate::consumers::{Consumer, Partitions, beat, eager, joining, partitions, settle, view};
use crate::harness::{GROUP, Machine, commit_request};

#[test]
fn the_first_member_gets_every_partition_at_once() {
    let mut machine = Machine::with_topics(&[("orders", 3), ("other", 1)]);
    let reply = machine.beat(&joining("a", &["orders"]));
    assert_eq!(reply.error, None);
    assert_eq!(reply.member_id.as_deref(), Some("a"));
    assert_eq!(reply.member_epoch, 2);
    assert_eq!(reply.heartbeat_interval_ms, 5_000);
    assert_eq!(
        reply.assignment,
        Some(partitions(&[("orders", &[0, 1, 2])]))
    );
    assert_eq!(machine.consumer_group().state, GroupState::Stable);
    let reply = machine.beat(&beat("a", 2));
    assert_eq!((reply.member_epoch, reply.assignment), (2, None));
}

#[test]
fn a_partition_is_given_to_another_only_when_its_owner_has_let_go() {
    let mut machine = Machine::with_topics(&[("orders", 2)]);
    machine.beat(&joining("a", &["orders"]));
    let joined = machine.beat(&joining("b", &["orders"]));
    assert_eq!(joined.assignment, Some(Partitions::new()));
    assert_eq!(machine.consumer_group().state, GroupState::Reconciling);
    // `a` is told to give one up, and stays at its epoch until it has.
    let told = machine.beat(&beat("a", 2));
    assert_eq!(told.member_epoch, 2);
    let kept = told.assignment.unwrap();
    assert_eq!(kept.values().map(|it| it.len()).sum::<usize>(), 1);
    let waiting = machine.beat(&beat("b", joined.member_epoch));
    assert_eq!(waiting.assignment, None);
    let done = machine.beat(&ConsumerHeartbeatRequest {
        owned: Some(kept.clone()),
        ..beat("a", 2)
    });
    assert_eq!((done.member_epoch, done.assignment), (3, None));
    let given = machine.beat(&beat("b", 3)).assignment.unwrap();
    assert_ne!(given, kept);
    assert_eq!(given.values().map(|it| it.len()).sum::<usize>(), 1);
    assert_eq!(machine.consumer_group().state, GroupState::Stable);
}

#[test]
fn nothing_is_told_before_it_is_stored() {
    let mut machine = Machine::with_topics(&[("orders", 1)]);
    machine.hold = true;
    let first = machine.consumer_heartbeat(&joining("a", &["orders"]));
    // A retry of a request that is in flight sees what is not stored yet.
    let retry = machine.consumer_heartbeat(&joining("a", &["orders"]));
    assert!(machine.is_parked(first) && machine.is_parked(retry));
    machine.release(Ok(()));
    assert_eq!(machine.consumer_reply(first), machine.consumer_reply(retry));
}

#[test]
fn what_could_not_be_stored_has_not_happened() {
    let mut machine = Machine::with_topics(&[("orders", 2)]);
    machine.beat(&joining("a", &["orders"]));
    let before = machine.consumer_group();
    machine.hold = true;
    let joined = machine.consumer_heartbeat(&joining("b", &["orders"]));
    let told = machine.consumer_heartbeat(&beat("a", 2));
    machine.release(Err(AppendError::NotEnoughReplicas));
    for ticket in [joined, told] {
        let error = machine.consumer_reply(ticket).error;
        assert_eq!(error, Some(GroupError::CoordinatorNotAvailable));
    }
    assert_eq!(machine.consumer_group(), before);
}

#[test]
fn a_change_that_fails_does_not_take_later_ones_with_it() {
    let mut machine = Machine::with_topics(&[("orders", 2)]);
    machine.beat(&joining("a", &["orders"]));
    machine.hold = true;
    machine.consumer_heartbeat(&joining("b", &["orders"]));
    machine.consumer_heartbeat(&joining("c", &["orders"]));
    let mut appends = std::mem::take(&mut machine.held).into_iter();
    let (first, second) = (appends.next().unwrap(), appends.next().unwrap());
    machine.hold = false;
    let outcome =
        machine
            .coordinator
            .appended(first.id, Err(AppendError::TooLarge), machine.now_ms);
    machine.take(outcome);
    machine.log.extend(second.records);
    let outcome = machine
        .coordinator
        .appended(second.id, Ok(()), machine.now_ms);
    machine.take(outcome);
    let reloaded = machine.reloaded(eager());
    let described = machine.consumer_group();
    assert_eq!(described.members.len(), 2);
    assert_eq!(described, {
        let mut reloaded = reloaded;
        reloaded
            .coordinator
            .metadata_changed(view(1, &[("orders", 2)]));
        reloaded.consumer_group()
    });
}

#[test]
fn wrong_epochs_are_fenced_but_for_one_whose_answer_may_be_lost() {
    let mut machine = Machine::with_topics(&[("orders", 2)]);
    let mut consumers = [
        Consumer::new(joining("a", &["orders"])),
        Consumer::new(joining("b", &["orders"])),
    ];
    settle(&mut machine, &mut consumers);
    let a = consumers[0].clone();
    let fenced = Some(GroupError::FencedMemberEpoch);
    assert_eq!(machine.beat_error(&beat("a", a.epoch + 1)), fenced);
    assert_eq!(machine.beat_error(&beat("a", a.epoch - 1)), fenced);
    let behind = |owned| ConsumerHeartbeatRequest {
        owned: Some(owned),
        ..beat("a", a.epoch - 1)
    };
    let reply = machine.beat(&behind(a.owned.clone()));
    assert_eq!((reply.error, reply.member_epoch), (None, a.epoch));
    let all = partitions(&[("orders", &[0, 1])]);
    assert_eq!(machine.beat_error(&behind(all)), fenced);
    let stranger = machine.beat(&beat("x", 2));
    assert_eq!(stranger.error, Some(GroupError::UnknownMemberId));
    assert!(stranger.error_message.unwrap().contains("x"));
}

#[test]
fn requests_that_make_no_sense_are_refused_with_what_is_wrong() {
    let mut machine = Machine::with_topics(&[("orders", 1)]);
    let join = || joining("a", &["orders"]);
    let some = |text: &str| Some(text.to_owned());
    let cases = [
        (
            ConsumerHeartbeatRequest {
                member_id: String::new(),
                ..join()
            },
            "MemberId can't be empty.",
        ),
        (
            ConsumerHeartbeatRequest {
                group_id: String::new(),
                ..join()
            },
            "GroupId can't be empty.",
        ),
        (
            ConsumerHeartbeatRequest {
                instance_id: some(""),
                ..join()
            },
            "InstanceId can't be empty.",
        ),
        (
            ConsumerHeartbeatRequest {
                rack_id: some(""),
                ..join()
            },
            "RackId can't be empty.",
        ),
        (
            ConsumerHeartbeatRequest {
                rebalance_timeout_ms: -1,
                ..join()
            },
            "RebalanceTimeoutMs must be provided in first request.",
        ),
        (
            ConsumerHeartbeatRequest {
                owned: None,
                ..join()
            },
            "TopicPartitions must be empty when (re-)joining.",
        ),
        (
            ConsumerHeartbeatRequest {
                topic_names: None,
                ..join()
            },
            "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining.",
        ),
        (beat("a", -2), "InstanceId can't be null."),
        (beat("a", -3), "MemberEpoch is invalid."),
    ];
    for (request, message) in cases {
        let reply = machine.beat(&request);
        assert_eq!(reply.error, Some(GroupError::InvalidRequest), "{message}");
        assert_eq!(reply.error_message.as_deref(), Some(message));
    }
    let reply = machine.beat(&ConsumerHeartbeatRequest {
        server_assignor: some("best"),
        ..join()
    });
    assert_eq!(reply.error, Some(GroupError::UnsupportedAssignor));
    let long = "x".repeat(40_000);
    let error = machine.beat_error(&ConsumerHeartbeatRequest {
        member_id: long,
        ..join()
    });
    assert_eq!(error, Some(GroupError::InvalidRequest));
    assert_eq!(machine.coordinator.list().unwrap(), []);
    assert!(machine.log.is_empty());
}

#[test]
fn a_member_made_by_version_0_gets_an_id() {
    let mut machine = Machine::with_topics(&[("orders", 1)]);
    let reply = machine.beat(&ConsumerHeartbeatRequest {
        api_version: 0,
        ..joining("", &["orders"])
    });
    assert_eq!(reply.member_id.as_deref(), Some("uuid"));
}

#[test]
fn a_group_that_does_not_exist_is_not_made_by_a_later_heartbeat() {
    let mut machine = Machine::with_topics(&[]);
    for epoch in [1, -1] {
        let error = machine.beat_error(&beat("a", epoch));
        assert_eq!(error, Some(GroupError::GroupIdNotFound));
    }
}

#[test]
fn a_full_group_takes_nobody_else() {
    let mut config = eager();
    config.consumer_group_max_size = 1;
    let mut machine = Machine::with_config(config);
    machine.beat(&joining("a", &[]));
    let error = machine.beat_error(&joining("b", &[]));
    assert_eq!(error, Some(GroupError::GroupMaxSizeReached));
    assert_eq!(machine.beat_error(&beat("a", 1)), None);
}

#[test]
fn the_partitions_of_a_member_that_leaves_go_to_the_others() {
    let mut machine = Machine::with_topics(&[("orders", 4)]);
    let mut consumers = vec![
        Consumer::new(joining("a", &["orders"])),
        Consumer::new(joining("b", &["orders"])),
    ];
    settle(&mut machine, &mut consumers);
    let left = machine.beat(&beat("b", -1));
    assert_eq!((left.error, left.member_epoch), (None, -1));
    consumers.pop();
    settle(&mut machine, &mut consumers);
    assert_eq!(consumers[0].owned, partitions(&[("orders", &[0, 1, 2, 3])]));
    machine.beat(&beat("a", -1));
    assert_eq!(machine.consumer_group().state, GroupState::Empty);
}

#[test]
fn a_silent_member_is_removed_when_its_session_ends() {
    let mut machine = Machine::with_topics(&[("orders", 1)]);
    machine.beat(&joining("a", &["orders"]));
    machine.advance(44_999);
    assert_eq!(machine.beat_error(&beat("a", 2)), None);
    machine.advance(45_000);
    assert_eq!(
        machine.beat_error(&beat("a", 2)),
        Some(GroupError::UnknownMemberId)
    );
}

#[test]
fn a_member_that_does_not_let_go_is_removed_when_its_rebalance_timeout_ends() {
    let mut machine = Machine::with_topics(&[("orders", 2)]);
    machine.beat(&ConsumerHeartbeatRequest {
        rebalance_timeout_ms: 20_000,
        ..joining("a", &["orders"])
    });
    machine.beat(&joining("b", &["orders"]));
    machine.beat(&beat("a", 2));
    for _ in 0..4 {
        machine.advance(5_000);
        let owned = Some(partitions(&[("orders", &[0, 1])]));
        machine.beat(&ConsumerHeartbeatRequest {
            owned,
            ..beat("a", 2)
        });
        machine.beat(&beat("b", 3));
    }
    let members = machine.consumer_group().members;
    assert_eq!(members.len(), 1, "{members:?}");
    machine.beat(&beat("b", 3));
    assert_eq!(
        machine.consumer_group().members[0].assignment[0].partitions,
        [0, 1]
    );
}

#[test]
fn a_retry_of_the_join_is_answered_as_the_join() {
    let mut machine = Machine::with_topics(&[("orders", 1)]);
    let first = machine.beat(&joining("a", &["orders"]));
    assert_eq!(machine.beat(&joining("a", &["orders"])), first);
}

#[test]
fn a_new_subscription_starts_an_epoch_and_takes_the_old_topic_at_once() {
    let mut machine = Machine::with_topics(&[("orders", 1), ("bills", 1)]);
    let mut a = Consumer::new(joining("a", &["orders"]));
    a.beat(&mut machine);
    let reply = machine.beat(&ConsumerHeartbeatRequest {
        topic_names: Some(vec!["bills".to_owned()]),
        ..beat("a", 2)
    });
    assert_eq!(
        (reply.member_epoch, reply.assignment),
        (2, Some(Partitions::new()))
    );
    let reply = machine.beat(&ConsumerHeartbeatRequest {
        owned: Some(Partitions::new()),
        ..beat("a", 2)
    });
    assert_eq!(reply.member_epoch, 3);
    assert_eq!(reply.assignment, Some(partitions(&[("bills", &[0])])));
}

#[test]
fn partitions_that_are_added_and_topics_that_appear_or_go_are_followed() {
    let mut machine = Machine::with_topics(&[("orders", 1)]);
    let mut consumers = [Consumer::new(joining("a", &["orders", "later"]))];
    settle(&mut machine, &mut consumers);
    machine
        .coordinator
        .metadata_changed(view(2, &[("orders", 2), ("later", 1)]));
    settle(&mut machine, &mut consumers);
    let all = partitions(&[("orders", &[0, 1]), ("later", &[0])]);
    assert_eq!(consumers[0].owned, all);
    // What does not concern the group starts nothing.
    let epoch = machine.consumer_group().epoch;
    let topics = [("orders", 2), ("later", 1), ("other", 1)];
    machine.coordinator.metadata_changed(view(3, &topics));
    settle(&mut machine, &mut consumers);
    assert_eq!(machine.consumer_group().epoch, epoch);
    machine
        .coordinator
        .metadata_changed(view(4, &[("later", 1)]));
    settle(&mut machine, &mut consumers);
    assert_eq!(consumers[0].owned, partitions(&[("later", &[0])]));
}

#[test]
fn targets_are_not_computed_more_often_than_the_interval_says() {
    let mut machine = Machine::with_config(lastword_coordinator::GroupConfig::default());
    machine
        .coordinator
        .metadata_changed(view(1, &[("orders", 2)]));
    machine.beat(&joining("a", &["orders"]));
    let reply = machine.beat(&joining("b", &["orders"]));
    assert_eq!(
        (reply.member_epoch, reply.assignment),
        (2, Some(Partitions::new()))
    );
    assert_eq!(machine.consumer_group().state, GroupState::Assigning);
    machine.advance(1_000);
    machine.beat(&beat("b", 2));
    assert_eq!(machine.consumer_group().assignment_epoch, 3);
}

#[test]
fn the_assignor_that_most_members_name_is_used() {
    let mut machine = Machine::with_topics(&[("orders", 2), ("bills", 2)]);
    let join = |id: &str| ConsumerHeartbeatRequest {
        server_assignor: Some("range".to_owned()),
        ..joining(id, &["orders", "bills"])
    };
    let mut consumers = [Consumer::new(join("a")), Consumer::new(join("b"))];
    settle(&mut machine, &mut consumers);
    assert_eq!(machine.consumer_group().assignor, "range");
    assert_eq!(
        consumers[0].owned,
        partitions(&[("orders", &[0]), ("bills", &[0])])
    );
    assert_eq!(
        consumers[1].owned,
        partitions(&[("orders", &[1]), ("bills", &[1])])
    );
}

#[test]
fn a_loaded_group_is_the_group_that_was_stored() {
    let mut machine = Machine::with_topics(&[("orders", 3)]);
    let mut consumers = [
        Consumer::new(joining("a", &["orders"])),
        Consumer::new(joining("b", &["orders"])),
    ];
    settle(&mut machine, &mut consumers);
    let mut reloaded = machine.reloaded(eager());
    reloaded
        .coordinator
        .metadata_changed(view(1, &[("orders", 3)]));
    assert_eq!(reloaded.consumer_group(), machine.consumer_group());
    // Members go on where they were, and sessions have begun anew.
    for consumer in &mut consumers {
        consumer.beat(&mut reloaded);
    }
    assert_eq!(reloaded.consumer_group(), machine.consumer_group());
    reloaded.advance(45_000);
    assert_eq!(reloaded.consumer_group().state, GroupState::Empty);
}

#[test]
fn an_empty_group_is_deleted_with_tombstones_for_all_it_wrote() {
    let mut machine = Machine::with_topics(&[("orders", 1)]);
    machine.commit(commit_request("", -1, 5));
    machine.beat(&joining("a", &["orders"]));
    let ticket = machine.delete_groups(&[GROUP]);
    let deleted =
        |error| lastword_coordinator::Reply::DeleteGroups(vec![(GROUP.to_owned(), error)]);
    assert_eq!(
        machine.replies[&ticket],
        deleted(Some(GroupError::NonEmptyGroup))
    );
    machine.beat(&beat("a", -1));
    let ticket = machine.delete_groups(&[GROUP]);
    assert_eq!(machine.replies[&ticket], deleted(None));
    assert_eq!(machine.coordinator.list().unwrap(), []);
    let mut last = std::collections::BTreeMap::new();
    for record in &machine.log {
        last.insert(record.key.clone(), record.value.clone());
    }
    assert!(last.values().all(Option::is_none), "{last:?}");
}

#[test]
fn commits_are_fenced_by_epochs_but_for_partitions_held_since() {
    let mut machine = Machine::with_topics(&[("orders", 2)]);
    let mut a = Consumer::new(joining("a", &["orders"]));
    a.beat(&mut machine);
    let commit = |machine: &mut Machine, member: &str, epoch, partition| {
        let mut request = commit_request(member, epoch, 7);
        request.topics[0].partitions[0].partition = partition;
        let ticket = machine.commit(request);
        machine.commit_error(ticket)
    };
    assert_eq!(commit(&mut machine, "a", 2, 0), None);
    let mut both = [a, Consumer::new(joining("b", &["orders"]))];
    settle(&mut machine, &mut both);
    let [a, b] = &both;
    assert_eq!((a.epoch, b.epoch), (3, 3));
    let of = |consumer: &Consumer| *consumer.owned.values().next().unwrap().first().unwrap();
    // `a` has its partition since epoch 2, so a late commit is still its own.
    assert_eq!(commit(&mut machine, "a", 2, of(a)), None);
    let stale = Some(GroupError::StaleMemberEpoch);
    assert_eq!(commit(&mut machine, "a", 2, of(b)), stale);
    assert_eq!(commit(&mut machine, "b", 2, of(b)), stale);
    assert_eq!(commit(&mut machine, "a", 4, of(a)), stale);
    let unknown = Some(GroupError::UnknownMemberId);
    assert_eq!(commit(&mut machine, "x", 2, 0), unknown);
    assert_eq!(commit(&mut machine, "", -1, 0), unknown);
    let mut old = commit_request("a", 3, 7);
    old.api_version = 8;
    let ticket = machine.commit(old);
    assert_eq!(
        machine.commit_error(ticket),
        Some(GroupError::UnsupportedVersion)
    );
}
