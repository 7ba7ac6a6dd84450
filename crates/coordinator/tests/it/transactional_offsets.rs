//! TxnOffsetCommit: who may commit, when the offsets count, and what happens to them meanwhile.

use lastword_coordinator::{
    CommitReply, GroupError, GroupState, Outcome, Reply, TransactionalCommitRequest,
};

use crate::harness::{GROUP, Machine, commit_request, config, join_request, partitions};

const PRODUCER: (i64, i16) = (4000, 3);
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

fn transactional(member_id: &str, generation_id: i32, offset: i64) -> TransactionalCommitRequest {
    TransactionalCommitRequest {
        group_id: GROUP.to_owned(),
        generation_id,
        member_id: member_id.to_owned(),
        group_instance_id: None,
        producer_id: PRODUCER.0,
        producer_epoch: PRODUCER.1,
        topics: commit_request("", -1, offset).topics,
    }
}

fn errors(reply: &Reply) -> Vec<Option<GroupError>> {
    let Reply::Commit(CommitReply { topics }) = reply else {
        panic!("a commit was answered with {reply:?}");
    };
    let partitions = topics.iter().flat_map(|topic| &topic.partitions);
    partitions.map(|each| each.error).collect()
}

/// Commits as a producer; `None` when the answer waits for the log.
fn commit(machine: &mut Machine, request: TransactionalCommitRequest) -> Option<GroupError> {
    let ticket = machine.transactional(request);
    errors(&machine.replies[&ticket])[0]
}

impl Machine {
    fn transactional(
        &mut self,
        request: TransactionalCommitRequest,
    ) -> lastword_coordinator::Ticket {
        let ticket = self.ticket();
        let now_ms = self.now_ms;
        let outcome = self
            .coordinator
            .commit_transactional_offsets(request, ticket, now_ms);
        self.take(outcome);
        ticket
    }

    fn end_transaction(&mut self, is_commit: bool) {
        let outcome = self
            .coordinator
            .transaction_ended(PRODUCER.0, is_commit, self.now_ms);
        self.take(outcome);
    }

    fn stable_error(&self, partition: i32) -> Option<GroupError> {
        let topics = [partitions("orders", &[partition])];
        let fetched = self.coordinator.fetch_offsets(GROUP, Some(&topics), true);
        fetched.unwrap()[0].partitions[0].error
    }
}

#[test]
fn an_offset_of_a_transaction_is_visible_when_it_commits_and_not_before() {
    let mut machine = Machine::new();
    machine.commit(commit_request("", -1, 1));
    assert_eq!(commit(&mut machine, transactional("", -1, 2)), None);
    assert_eq!(machine.offset("orders", 0), 1);
    let unstable = Some(GroupError::UnstableOffsetCommit);
    assert_eq!(
        (machine.stable_error(0), machine.stable_error(1)),
        (unstable, None)
    );
    machine.end_transaction(true);
    assert_eq!(
        (machine.offset("orders", 0), machine.stable_error(0)),
        (2, None)
    );
}

#[test]
fn an_offset_of_a_transaction_that_aborts_was_never_there() {
    let mut machine = Machine::new();
    machine.commit(commit_request("", -1, 1));
    commit(&mut machine, transactional("", -1, 2));
    machine.end_transaction(false);
    assert_eq!(
        (machine.offset("orders", 0), machine.stable_error(0)),
        (1, None)
    );
}

#[test]
fn a_group_that_only_an_aborted_transaction_named_is_forgotten() {
    let mut machine = Machine::new();
    commit(&mut machine, transactional("", -1, 2));
    assert_eq!(machine.coordinator.list().unwrap().len(), 1);
    machine.end_transaction(false);
    assert!(machine.coordinator.list().unwrap().is_empty());
}

#[test]
fn the_append_names_the_producer() {
    let mut machine = Machine::new();
    machine.hold = true;
    machine.transactional(transactional("", -1, 2));
    machine.commit(commit_request("", -1, 1));
    let producers: Vec<_> = machine.held.iter().map(|append| append.producer).collect();
    assert_eq!(producers, [Some(PRODUCER), None]);
}

#[test]
fn an_offset_that_was_written_after_the_transactions_own_is_kept() {
    let mut machine = Machine::new();
    commit(&mut machine, transactional("", -1, 5));
    machine.commit(commit_request("", -1, 3));
    machine.end_transaction(true);
    assert_eq!(machine.offset("orders", 0), 3);
    commit(&mut machine, transactional("", -1, 4));
    machine.end_transaction(true);
    assert_eq!(machine.offset("orders", 0), 4);
}

#[test]
fn a_marker_counts_behind_commits_that_are_still_on_their_way() {
    let mut machine = Machine::new();
    machine.hold = true;
    let ticket = machine.transactional(transactional("", -1, 5));
    machine.end_transaction(true);
    assert_eq!(machine.offset("orders", 0), -1);
    machine.release(Ok(()));
    assert_eq!(errors(&machine.replies[&ticket]), [None]);
    assert_eq!(
        (machine.offset("orders", 0), machine.stable_error(0)),
        (5, None)
    );
}

#[test]
fn a_commit_that_could_not_be_written_is_not_part_of_the_transaction() {
    let mut machine = Machine::new();
    machine.hold = true;
    let ticket = machine.transactional(transactional("", -1, 5));
    machine.release(Err(lastword_coordinator::AppendError::NotEnoughReplicas));
    let expected = Some(GroupError::CoordinatorNotAvailable);
    assert_eq!(errors(&machine.replies[&ticket]), [expected]);
    machine.end_transaction(true);
    assert_eq!(machine.offset("orders", 0), -1);
    assert!(machine.coordinator.list().unwrap().is_empty());
}

#[test]
fn a_producer_that_names_a_member_is_fenced_by_member_instance_and_generation() {
    let mut machine = Machine::new();
    let ids = machine.stable_static_group(2);
    let with_instance = |instance_id: &str, member_id: &str, generation_id| {
        let group_instance_id = Some(instance_id.to_owned());
        TransactionalCommitRequest {
            group_instance_id,
            ..transactional(member_id, generation_id, 1)
        }
    };
    let cases = [
        (transactional(&ids[0], 1, 1), None),
        (with_instance("i0", &ids[0], 1), None),
        (
            with_instance("i0", &ids[1], 1),
            Some(GroupError::FencedInstanceId),
        ),
        (
            with_instance("i9", &ids[0], 1),
            Some(GroupError::UnknownMemberId),
        ),
        (
            transactional(&ids[0], 0, 1),
            Some(GroupError::IllegalGeneration),
        ),
        (
            transactional(&ids[0], -1, 1),
            Some(GroupError::IllegalGeneration),
        ),
        (
            transactional("ghost", 1, 1),
            Some(GroupError::UnknownMemberId),
        ),
        (transactional("", 1, 1), Some(GroupError::UnknownMemberId)),
        // Before version 3 nobody could say who consumed.
        (transactional("", -1, 1), None),
    ];
    for (request, expected) in cases {
        assert_eq!(
            commit(&mut machine, request.clone()),
            expected,
            "{request:?}"
        );
    }
}

#[test]
fn a_producer_may_commit_while_the_group_completes_a_rebalance() {
    let mut machine = Machine::new();
    let ids = machine.stable_group(1);
    let (new_id, _) = machine.join_dynamic(join_request(""));
    machine.join(join_request(&ids[0]));
    assert_eq!(machine.state(), GroupState::CompletingRebalance);
    assert_eq!(commit(&mut machine, transactional(&new_id, 2, 6)), None);
    assert_eq!(
        commit(&mut machine, transactional(&ids[0], 1, 6)),
        Some(GroupError::IllegalGeneration)
    );
}

#[test]
fn a_transactional_commit_is_no_sign_of_life() {
    let mut machine = Machine::new();
    let ids = machine.stable_group(1);
    machine.advance(9_000);
    assert_eq!(commit(&mut machine, transactional(&ids[0], 1, 6)), None);
    machine.advance(1_000);
    assert_eq!(machine.state(), GroupState::Empty);
}

#[test]
fn an_unknown_group_is_made_for_a_producer_without_a_generation_only() {
    let mut machine = Machine::new();
    assert_eq!(
        commit(&mut machine, transactional("m", 3, 6)),
        Some(GroupError::IllegalGeneration)
    );
    let unnamed = TransactionalCommitRequest {
        group_id: String::new(),
        ..transactional("", -1, 6)
    };
    assert_eq!(
        commit(&mut machine, unnamed),
        Some(GroupError::InvalidGroupId)
    );
    assert!(machine.coordinator.list().unwrap().is_empty());
    assert_eq!(commit(&mut machine, transactional("", -1, 6)), None);
    let group = machine.group();
    assert_eq!(
        (group.state, group.protocol_type.as_str()),
        (GroupState::Empty, "")
    );
}

#[test]
fn nothing_is_committed_while_the_group_is_loading() {
    let mut machine = Machine::unloaded(config());
    assert_eq!(
        commit(&mut machine, transactional("", -1, 6)),
        Some(GroupError::CoordinatorLoadInProgress)
    );
}

#[test]
fn metadata_that_is_too_long_fails_its_partition_of_a_transactional_commit_only() {
    let mut machine = Machine::new();
    let mut request = transactional("", -1, 6);
    let mut long = request.topics[0].partitions[0].clone();
    long.partition = 1;
    long.metadata = Some("x".repeat(4097));
    request.topics[0].partitions.push(long);
    let ticket = machine.transactional(request);
    let too_large = Some(GroupError::OffsetMetadataTooLarge);
    assert_eq!(errors(&machine.replies[&ticket]), [None, too_large]);
    machine.end_transaction(true);
    assert_eq!(
        (machine.offset("orders", 0), machine.offset("orders", 1)),
        (6, -1)
    );
}

#[test]
fn deleting_an_offset_takes_it_out_of_the_open_transaction() {
    let mut machine = Machine::new();
    commit(&mut machine, transactional("", -1, 2));
    machine.delete_offsets(vec![partitions("orders", &[0])]);
    assert!(machine.coordinator.list().unwrap().is_empty());
    machine.end_transaction(true);
    assert!(machine.coordinator.list().unwrap().is_empty());
}

#[test]
fn deleting_a_group_takes_its_offsets_out_of_the_open_transaction() {
    let mut machine = Machine::new();
    machine.commit(commit_request("", -1, 1));
    commit(&mut machine, transactional("", -1, 2));
    machine.hold = true;
    machine.delete_groups(&[GROUP]);
    let tombstones = machine.held[0].records.len();
    assert_eq!(tombstones, 2, "one of the offset and one of the group");
    machine.hold = false;
    machine.release(Ok(()));
    machine.end_transaction(true);
    assert!(machine.coordinator.list().unwrap().is_empty());
}

#[test]
fn a_deleted_partition_takes_its_offset_out_of_the_open_transaction() {
    let mut machine = Machine::new();
    commit(&mut machine, transactional("", -1, 2));
    let deleted = [partitions("orders", &[0])];
    let outcome: Outcome = machine
        .coordinator
        .partitions_deleted(&deleted, machine.now_ms);
    assert_eq!(outcome.appends.len(), 1);
    machine.take(outcome);
    machine.end_transaction(true);
    assert_eq!(machine.offset("orders", 0), -1);
}

#[test]
fn an_offset_in_an_open_transaction_does_not_expire_nor_does_its_group() {
    let mut machine = Machine::new();
    machine.commit(commit_request("", -1, 1));
    let mut other = commit_request("", -1, 1);
    other.topics[0].partitions[0].partition = 1;
    machine.commit(other);
    commit(&mut machine, transactional("", -1, 2));
    machine.advance(8 * DAY_MS);
    assert_eq!(
        (machine.offset("orders", 0), machine.offset("orders", 1)),
        (1, -1)
    );
    machine.end_transaction(false);
    machine.advance(DAY_MS);
    assert!(machine.coordinator.list().unwrap().is_empty());
}

#[test]
fn two_producers_may_commit_the_same_offset_and_the_later_record_wins() {
    let mut machine = Machine::new();
    let other = |offset| TransactionalCommitRequest {
        producer_id: 7,
        ..transactional("", -1, offset)
    };
    commit(&mut machine, transactional("", -1, 5));
    commit(&mut machine, other(6));
    let outcome = machine
        .coordinator
        .transaction_ended(7, true, machine.now_ms);
    machine.take(outcome);
    let unstable = Some(GroupError::UnstableOffsetCommit);
    assert_eq!(
        (machine.offset("orders", 0), machine.stable_error(0)),
        (6, unstable)
    );
    machine.end_transaction(true);
    assert_eq!(
        (machine.offset("orders", 0), machine.stable_error(0)),
        (6, None)
    );
}
