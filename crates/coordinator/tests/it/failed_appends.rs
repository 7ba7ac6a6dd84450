//! What happens when the internal topic cannot be written.

use lastword_coordinator::{AppendError, GroupError, GroupState, Reply};

use crate::harness::{GROUP, Machine, commit_request, join_request};

#[test]
fn all_members_learn_that_an_assignment_could_not_be_stored() {
    let cases = [
        (
            AppendError::NotEnoughReplicas,
            GroupError::CoordinatorNotAvailable,
        ),
        (AppendError::NotLeader, GroupError::NotCoordinator),
        (AppendError::TooLarge, GroupError::UnknownServerError),
    ];
    for (append_error, expected) in cases {
        let mut machine = Machine::new();
        let (leader, _) = machine.join_dynamic(join_request(""));
        let (follower, _) = machine.join_dynamic(join_request(""));
        machine.advance(9_000);
        machine.hold = true;
        let second = machine.sync(&follower, 1, &[]);
        let first = machine.sync(&leader, 1, &[(&leader, "all")]);
        machine.release(Err(append_error));
        assert_eq!(machine.sync_reply(first).error, Some(expected));
        assert_eq!(machine.sync_reply(second).error, Some(expected));
        assert_eq!(machine.state(), GroupState::PreparingRebalance);
        assert_eq!(machine.group().members[0].assignment.len(), 0);
    }
}

#[test]
fn offsets_that_could_not_be_stored_are_not_applied() {
    let mut machine = Machine::new();
    machine.commit(commit_request("", -1, 1));
    machine.hold = true;
    let ticket = machine.commit(commit_request("", -1, 2));
    machine.release(Err(AppendError::TooLarge));
    assert_eq!(
        machine.commit_error(ticket),
        Some(GroupError::InvalidCommitOffsetSize)
    );
    assert_eq!(machine.offset("orders", 0), 1);
}

#[test]
fn a_group_made_by_a_commit_that_failed_does_not_exist() {
    let mut machine = Machine::new();
    machine.hold = true;
    let ticket = machine.commit(commit_request("", -1, 2));
    machine.release(Err(AppendError::NotLeader));
    assert_eq!(
        machine.commit_error(ticket),
        Some(GroupError::NotCoordinator)
    );
    assert!(machine.coordinator.list().unwrap().is_empty());
}

#[test]
fn a_deletion_that_could_not_be_stored_deletes_nothing() {
    let mut machine = Machine::new();
    machine.commit(commit_request("", -1, 1));
    machine.hold = true;
    let ticket = machine.delete_groups(&[GROUP, "unknown"]);
    machine.release(Err(AppendError::TimedOut));
    let Some(Reply::DeleteGroups(groups)) = machine.replies.get(&ticket) else {
        panic!()
    };
    assert_eq!(groups[0].1, Some(GroupError::CoordinatorNotAvailable));
    assert_eq!(groups[1].1, Some(GroupError::GroupIdNotFound));
    assert_eq!(machine.offset("orders", 0), 1);
}

#[test]
fn an_empty_generation_that_could_not_be_stored_does_not_bring_its_members_back() {
    let mut machine = Machine::new();
    let ids = machine.stable_group(1);
    machine.hold = true;
    let reply = machine.leave(&[(&ids[0], None)]);
    assert_eq!(reply.members[0].error, None);
    machine.release(Err(AppendError::Storage));
    assert_eq!(machine.state(), GroupState::Empty);
}

#[test]
fn giving_up_a_partition_answers_every_parked_request() {
    let mut machine = Machine::new();
    let (_, join) = machine.join_dynamic(join_request(""));
    machine.hold = true;
    let mut simple = commit_request("", -1, 2);
    simple.group_id = "simple".to_owned();
    let commit = machine.commit(simple);
    let replies = machine.coordinator.unload(GroupError::NotCoordinator);
    let tickets: Vec<_> = replies.iter().map(|(ticket, _)| *ticket).collect();
    assert_eq!(tickets, [commit, join]);
    for (_, reply) in replies {
        match reply {
            Reply::Join(reply) => assert_eq!(reply.error, Some(GroupError::NotCoordinator)),
            Reply::Commit(reply) => {
                let error = reply.topics[0].partitions[0].error;
                assert_eq!(error, Some(GroupError::NotCoordinator));
            }
            other => panic!("unexpected {other:?}"),
        }
    }
}
