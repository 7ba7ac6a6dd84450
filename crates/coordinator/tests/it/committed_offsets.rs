//! OffsetCommit, OffsetFetch, OffsetDelete and expiry.

use lastword_coordinator::{CommitRequest, GroupError, GroupState, Reply, TopicPartitions};

use crate::harness::{GROUP, Machine, commit_request, config, join_request, partitions};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

#[test]
fn a_commit_without_a_group_makes_one_that_is_empty_and_has_no_protocol() {
    let mut machine = Machine::new();
    let ticket = machine.commit(commit_request("", -1, 42));
    assert_eq!(machine.commit_error(ticket), None);
    let group = machine.group();
    assert_eq!(
        (group.state, group.protocol_type.as_str()),
        (GroupState::Empty, "")
    );
    let fetched = machine.all_offsets();
    let partition = &fetched[0].partitions[0];
    assert_eq!((partition.offset, partition.leader_epoch), (42, 4));
    assert_eq!(partition.metadata, "note");
}

#[test]
fn a_member_cannot_commit_to_a_group_that_does_not_exist() {
    let mut machine = Machine::new();
    let ticket = machine.commit(commit_request("m", 3, 42));
    assert_eq!(
        machine.commit_error(ticket),
        Some(GroupError::GroupIdNotFound)
    );
    let older = CommitRequest {
        api_version: 8,
        ..commit_request("m", 3, 42)
    };
    let ticket = machine.commit(older);
    assert_eq!(
        machine.commit_error(ticket),
        Some(GroupError::IllegalGeneration)
    );
    assert!(machine.coordinator.list().unwrap().is_empty());
}

#[test]
fn a_commit_is_checked_against_member_and_generation() {
    let mut machine = Machine::new();
    let ids = machine.stable_group(1);
    let cases = [
        (ids[0].as_str(), 1, None),
        (ids[0].as_str(), 0, Some(GroupError::IllegalGeneration)),
        (ids[0].as_str(), -1, Some(GroupError::IllegalGeneration)),
        ("ghost", 1, Some(GroupError::UnknownMemberId)),
        ("", -1, Some(GroupError::UnknownMemberId)),
    ];
    for (member_id, generation_id, expected) in cases {
        let ticket = machine.commit(commit_request(member_id, generation_id, 7));
        assert_eq!(
            machine.commit_error(ticket),
            expected,
            "{member_id} {generation_id}"
        );
    }
}

#[test]
fn a_member_may_commit_while_the_group_prepares_a_rebalance_but_not_while_it_completes() {
    let mut machine = Machine::new();
    let ids = machine.stable_group(1);
    let (new_id, _) = machine.join_dynamic(join_request(""));
    assert_eq!(machine.state(), GroupState::PreparingRebalance);
    let ticket = machine.commit(commit_request(&ids[0], 1, 5));
    assert_eq!(machine.commit_error(ticket), None);
    machine.join(join_request(&ids[0]));
    assert_eq!(machine.state(), GroupState::CompletingRebalance);
    let ticket = machine.commit(commit_request(&new_id, 2, 6));
    assert_eq!(
        machine.commit_error(ticket),
        Some(GroupError::RebalanceInProgress)
    );
    assert_eq!(machine.offset("orders", 0), 5);
}

#[test]
fn a_commit_counts_as_a_heartbeat() {
    let mut machine = Machine::new();
    let ids = machine.stable_group(1);
    for offset in 0..5 {
        machine.advance(9_000);
        let ticket = machine.commit(commit_request(&ids[0], 1, offset));
        assert_eq!(machine.commit_error(ticket), None);
    }
}

#[test]
fn a_commit_is_visible_only_when_it_is_in_the_log() {
    let mut machine = Machine::new();
    machine.commit(commit_request("", -1, 1));
    machine.hold = true;
    let ticket = machine.commit(commit_request("", -1, 2));
    assert!(machine.is_parked(ticket));
    assert_eq!(machine.offset("orders", 0), 1);
    let topics = [partitions("orders", &[0, 1])];
    let stable = machine
        .coordinator
        .fetch_offsets(GROUP, Some(&topics), true)
        .unwrap();
    assert_eq!(
        stable[0].partitions[0].error,
        Some(GroupError::UnstableOffsetCommit)
    );
    assert_eq!(stable[0].partitions[0].offset, -1);
    assert_eq!(stable[0].partitions[1].error, None);
    machine.release(Ok(()));
    assert_eq!(machine.commit_error(ticket), None);
    assert_eq!(machine.offset("orders", 0), 2);
    let stable = machine
        .coordinator
        .fetch_offsets(GROUP, Some(&topics), true)
        .unwrap();
    assert_eq!(stable[0].partitions[0].offset, 2);
}

#[test]
fn the_later_of_two_commits_wins_even_if_it_is_reported_first() {
    let mut machine = Machine::new();
    machine.hold = true;
    let first = machine.commit(commit_request("", -1, 1));
    let second = machine.commit(commit_request("", -1, 2));
    machine.held.reverse();
    machine.release(Ok(()));
    assert_eq!(machine.commit_error(first), None);
    assert_eq!(machine.commit_error(second), None);
    assert_eq!(machine.offset("orders", 0), 2);
}

#[test]
fn metadata_that_is_too_long_fails_its_partition_only() {
    let mut machine = Machine::new();
    let mut request = commit_request("", -1, 1);
    let mut long = request.topics[0].partitions[0].clone();
    long.partition = 1;
    long.metadata = Some("x".repeat(4097));
    request.topics[0].partitions.push(long.clone());
    long.partition = 2;
    long.metadata = Some("\u{fc}".repeat(4096));
    request.topics[0].partitions.push(long);
    let ticket = machine.commit(request);
    let Some(Reply::Commit(reply)) = machine.replies.get(&ticket) else {
        panic!()
    };
    let errors: Vec<_> = reply.topics[0]
        .partitions
        .iter()
        .map(|each| each.error)
        .collect();
    assert_eq!(
        errors,
        [None, Some(GroupError::OffsetMetadataTooLarge), None]
    );
    assert_eq!(machine.offset("orders", 1), -1);
    assert_eq!(machine.offset("orders", 2), 1);
}

#[test]
fn an_unknown_group_or_partition_has_no_offset_and_no_error() {
    let mut machine = Machine::new();
    assert_eq!(machine.offset("orders", 0), -1);
    assert!(machine.all_offsets().is_empty());
    machine.commit(commit_request("", -1, 1));
    assert_eq!(machine.offset("orders", 9), -1);
    assert_eq!(machine.offset("payments", 0), -1);
}

#[test]
fn offsets_survive_a_reload() {
    let mut machine = Machine::new();
    machine.commit(commit_request("", -1, 1));
    machine.commit(commit_request("", -1, 2));
    let reloaded = machine.reloaded(config());
    assert_eq!(reloaded.all_offsets(), machine.all_offsets());
    assert_eq!(reloaded.offset("orders", 0), 2);
}

#[test]
fn an_offset_of_a_simple_group_expires_after_its_commit() {
    let mut machine = Machine::new();
    machine.commit(commit_request("", -1, 1));
    machine.advance(6 * DAY_MS);
    machine.commit(CommitRequest {
        topics: vec![lastword_coordinator::CommitTopic {
            name: "payments".to_owned(),
            ..commit_request("", -1, 2).topics.remove(0)
        }],
        ..commit_request("", -1, 2)
    });
    machine.advance(DAY_MS + 600_000);
    assert_eq!(machine.offset("orders", 0), -1);
    assert_eq!(machine.offset("payments", 0), 2);
    machine.advance(7 * DAY_MS);
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
fn an_offset_of_a_group_with_members_does_not_expire() {
    let mut machine = Machine::new();
    let ids = machine.stable_group(1);
    machine.commit(commit_request(&ids[0], 1, 1));
    for _ in 0..(10 * DAY_MS / 9_000) {
        machine.advance(9_000);
        assert_eq!(machine.heartbeat(&ids[0], 1), Ok(()));
    }
    assert_eq!(machine.offset("orders", 0), 1);
}

#[test]
fn an_offset_of_a_topic_that_nobody_subscribes_to_expires_in_a_stable_group() {
    let mut machine = Machine::new();
    let ids = machine.stable_group(1);
    let mut request = commit_request(&ids[0], 1, 1);
    request.topics[0].name = "abandoned".to_owned();
    machine.commit(request);
    machine.commit(commit_request(&ids[0], 1, 1));
    for _ in 0..(8 * DAY_MS / 9_000) {
        machine.advance(9_000);
        assert_eq!(machine.heartbeat(&ids[0], 1), Ok(()));
    }
    assert_eq!(machine.offset("abandoned", 0), -1);
    assert_eq!(machine.offset("orders", 0), 1);
}

#[test]
fn offsets_of_an_empty_group_are_kept_for_the_retention_after_its_last_member() {
    let mut machine = Machine::new();
    let ids = machine.stable_group(1);
    machine.commit(commit_request(&ids[0], 1, 1));
    for _ in 0..(5 * DAY_MS / 9_000) {
        machine.advance(9_000);
        assert_eq!(machine.heartbeat(&ids[0], 1), Ok(()));
    }
    machine.leave(&[(&ids[0], None)]);
    machine.advance(7 * DAY_MS - 1);
    assert_eq!(machine.offset("orders", 0), 1);
    machine.advance(600_000);
    assert_eq!(machine.offset("orders", 0), -1);
    assert!(machine.coordinator.list().unwrap().is_empty());
}

#[test]
fn the_time_a_group_became_empty_survives_a_reload() {
    let mut machine = Machine::new();
    let ids = machine.stable_group(1);
    machine.commit(commit_request(&ids[0], 1, 1));
    machine.leave(&[(&ids[0], None)]);
    machine.advance(4 * DAY_MS);
    let mut reloaded = machine.reloaded(config());
    reloaded.advance(3 * DAY_MS - 1);
    assert_eq!(reloaded.offset("orders", 0), 1);
    reloaded.advance(600_000);
    assert_eq!(reloaded.offset("orders", 0), -1);
}

#[test]
fn a_retention_asked_for_by_the_commit_is_obeyed_and_survives_a_reload() {
    let mut machine = Machine::new();
    machine.commit(CommitRequest {
        retention_time_ms: DAY_MS,
        ..commit_request("", -1, 1)
    });
    let mut reloaded = machine.reloaded(config());
    for machine in [&mut machine, &mut reloaded] {
        machine.advance(DAY_MS - 600_000);
        assert_eq!(machine.offset("orders", 0), 1);
        machine.advance(1_200_000);
        assert_eq!(machine.offset("orders", 0), -1);
    }
}

#[test]
fn an_offset_with_a_commit_in_flight_does_not_expire() {
    let mut machine = Machine::new();
    machine.commit(commit_request("", -1, 1));
    machine.hold = true;
    machine.commit(commit_request("", -1, 2));
    machine.advance(8 * DAY_MS);
    machine.release(Ok(()));
    assert_eq!(machine.offset("orders", 0), 2);
}

fn delete_errors(
    machine: &Machine,
    ticket: lastword_coordinator::Ticket,
) -> Vec<Option<GroupError>> {
    match machine.replies.get(&ticket) {
        Some(Reply::DeleteOffsets(reply)) if reply.error.is_none() => reply
            .topics
            .iter()
            .flat_map(|topic| &topic.partitions)
            .map(|each| each.error)
            .collect(),
        Some(Reply::DeleteOffsets(reply)) => vec![reply.error],
        other => panic!("delete was answered with {other:?}"),
    }
}

#[test]
fn offsets_of_an_empty_group_can_be_deleted() {
    let mut machine = Machine::new();
    machine.commit(commit_request("", -1, 1));
    let topics: Vec<TopicPartitions> = vec![partitions("orders", &[0, 1])];
    let ticket = machine.delete_offsets(topics);
    assert_eq!(delete_errors(&machine, ticket), [None, None]);
    assert_eq!(machine.offset("orders", 0), -1);
    assert_eq!(machine.reloaded(config()).offset("orders", 0), -1);
}

#[test]
fn offsets_of_subscribed_topics_cannot_be_deleted() {
    let mut machine = Machine::new();
    let ids = machine.stable_group(1);
    machine.commit(commit_request(&ids[0], 1, 1));
    let mut other = commit_request(&ids[0], 1, 1);
    other.topics[0].name = "abandoned".to_owned();
    machine.commit(other);
    let ticket = machine.delete_offsets(vec![
        partitions("orders", &[0]),
        partitions("abandoned", &[0]),
    ]);
    let subscribed = Some(GroupError::GroupSubscribedToTopic);
    assert_eq!(delete_errors(&machine, ticket), [subscribed, None]);
    assert_eq!(machine.offset("orders", 0), 1);
    assert_eq!(machine.offset("abandoned", 0), -1);
}

#[test]
fn offsets_of_a_group_with_members_that_are_not_consumers_cannot_be_deleted() {
    let mut machine = Machine::new();
    let mut request = join_request("");
    request.protocol_type = "connect".to_owned();
    machine.join_dynamic(request);
    let ticket = machine.delete_offsets(vec![partitions("orders", &[0])]);
    assert_eq!(
        delete_errors(&machine, ticket),
        [Some(GroupError::NonEmptyGroup)]
    );
}

#[test]
fn offsets_of_an_unknown_group_cannot_be_deleted() {
    let mut machine = Machine::new();
    let ticket = machine.delete_offsets(vec![partitions("orders", &[0])]);
    assert_eq!(
        delete_errors(&machine, ticket),
        [Some(GroupError::GroupIdNotFound)]
    );
}

/// Such a group can have offsets, from clients that are older than this rule.
#[test]
fn offsets_of_the_group_without_a_name_cannot_be_deleted() {
    let mut machine = Machine::new();
    let mut unnamed = commit_request("", -1, 1);
    unnamed.group_id = String::new();
    let ticket = machine.commit(unnamed);
    assert_eq!(machine.commit_error(ticket), None);
    let ticket = lastword_coordinator::Ticket(99);
    let topics = vec![partitions("orders", &[0])];
    let outcome = machine
        .coordinator
        .delete_offsets("", topics, ticket, machine.now_ms);
    machine.take(outcome);
    assert_eq!(
        delete_errors(&machine, ticket),
        [Some(GroupError::InvalidGroupId)]
    );
}

#[test]
fn offsets_of_deleted_partitions_are_forgotten() {
    let mut machine = Machine::new();
    machine.commit(commit_request("", -1, 1));
    let outcome = machine
        .coordinator
        .partitions_deleted(&[partitions("orders", &[0])], machine.now_ms);
    machine.take(outcome);
    assert_eq!(machine.offset("orders", 0), -1);
    let outcome = machine
        .coordinator
        .partitions_deleted(&[partitions("orders", &[0])], machine.now_ms);
    assert!(outcome.is_empty());
}
