//! What happens when `__transaction_state` cannot be written.

use lastword_coordinator::{AppendError, TransactionError, TransactionReply, TransactionState};

use super::harness::{
    CLIENTS, Client, Machine, add_request, end_request, init_request, producer, topic,
};

#[test]
fn the_error_of_an_append_is_told_in_the_words_of_the_protocol() {
    let cases = [
        (
            AppendError::NotEnoughReplicas,
            TransactionError::CoordinatorNotAvailable,
        ),
        (
            AppendError::TimedOut,
            TransactionError::CoordinatorNotAvailable,
        ),
        (AppendError::NotLeader, TransactionError::NotCoordinator),
        (AppendError::Storage, TransactionError::NotCoordinator),
        (AppendError::TooLarge, TransactionError::UnknownServerError),
    ];
    for (error, expected) in cases {
        let mut machine = Machine::new();
        let producer = machine.ongoing(Client::New);
        machine.holds_appends = true;
        let ticket = machine.end(&end_request(Client::New, producer, true));
        machine.release_appends(Err(error));
        let reply = machine.producer_reply(ticket);
        assert_eq!(reply.error, Some(expected));
        assert_eq!((reply.producer_id, reply.producer_epoch), (-1, -1));
    }
}

#[test]
fn a_new_id_that_could_not_be_stored_does_not_exist() {
    let mut machine = Machine::new();
    machine.holds_appends = true;
    let ticket = machine.init(&init_request());
    machine.release_appends(Err(AppendError::NotLeader));
    let error = Some(TransactionError::NotCoordinator);
    assert_eq!(machine.error(ticket), error);
    assert!(machine.listed_ids().is_empty());
    machine.holds_appends = false;
    assert_eq!(machine.new_producer(), producer(4002, 0));
}

#[test]
fn a_producer_that_could_not_be_stored_fences_nobody() {
    let mut machine = Machine::new();
    let first = machine.new_producer();
    machine.holds_appends = true;
    machine.init(&init_request());
    machine.release_appends(Err(AppendError::TimedOut));
    machine.holds_appends = false;
    machine.add(Client::New, first, vec![topic("accounts", &[0])]);
}

#[test]
fn partitions_that_could_not_be_stored_are_not_part_of_the_transaction() {
    let mut machine = Machine::new();
    let producer = machine.ongoing(Client::New);
    machine.holds_appends = true;
    let request = add_request(Client::New, producer, vec![topic("audit", &[0])]);
    let ticket = machine.add_to(&request);
    machine.release_appends(Err(AppendError::TimedOut));
    let error = Some(TransactionError::CoordinatorNotAvailable);
    assert_eq!(machine.error(ticket), error);
    assert_eq!(machine.described().topics, [topic("accounts", &[0, 1])]);
    machine.holds_appends = false;
    machine.add(Client::New, producer, vec![topic("audit", &[0])]);
}

#[test]
fn a_decision_that_could_not_be_stored_can_be_made_again_and_differently() {
    for client in CLIENTS {
        let mut machine = Machine::of(client);
        let producer = machine.ongoing(client);
        machine.holds_appends = true;
        machine.end(&end_request(client, producer, true));
        machine.release_appends(Err(AppendError::TimedOut));
        assert_eq!(machine.state(), TransactionState::Ongoing);
        assert!(machine.asked.is_empty());
        machine.holds_appends = false;
        machine.ended(client, producer, false);
        assert_eq!(machine.state(), TransactionState::CompleteAbort);
        assert!(!machine.asked[0].is_commit);
    }
}

#[test]
fn an_end_that_could_not_be_stored_is_stored_later() {
    let mut machine = Machine::new();
    machine.holds_markers = true;
    let first = machine.ongoing(Client::New);
    let next = machine.ended(Client::New, first, true);
    machine.holds_appends = true;
    machine.release_markers();
    for error in [
        AppendError::NotEnoughReplicas,
        AppendError::Storage,
        AppendError::TooLarge,
    ] {
        assert_eq!(machine.appends.len(), 1);
        machine.release_appends(Err(error));
        assert_eq!(machine.state(), TransactionState::PrepareCommit);
        let concurrent = Some(TransactionError::ConcurrentTransactions);
        let ticket = machine.end(&end_request(Client::New, next, true));
        assert_eq!(machine.error(ticket), concurrent);
        machine.advance(1_000);
    }
    machine.release_appends(Ok(()));
    assert_eq!(machine.state(), TransactionState::CompleteCommit);
    assert_eq!(machine.asked.len(), 1);
}

#[test]
fn a_fence_that_could_not_be_stored_bumps_the_epoch_once() {
    for (client, fenced_epoch) in [(Client::Old, 1), (Client::New, 1)] {
        let mut machine = Machine::of(client);
        let first = machine.ongoing(client);
        machine.holds_appends = true;
        for _ in 0..3 {
            let ticket = machine.init(&init_request());
            machine.release_appends(Err(AppendError::TimedOut));
            let error = Some(TransactionError::CoordinatorNotAvailable);
            assert_eq!(machine.error(ticket), error);
            assert_eq!(machine.state(), TransactionState::Ongoing);
        }
        machine.holds_appends = false;
        machine.init(&init_request());
        assert_eq!(machine.state(), TransactionState::CompleteAbort);
        assert_eq!(machine.current(), producer(first.id, fenced_epoch));
        assert_eq!(machine.new_producer(), producer(first.id, fenced_epoch + 1));
    }
}

#[test]
fn giving_up_a_partition_answers_every_parked_request() {
    let mut machine = Machine::new();
    let producer = machine.ongoing(Client::New);
    machine.holds_appends = true;
    let mut other = init_request();
    other.transactional_id = "other".to_owned();
    let init = machine.init(&other);
    let end = machine.end(&end_request(Client::New, producer, true));
    let replies = machine.coordinator.unload(TransactionError::NotCoordinator);
    let tickets: Vec<_> = replies.iter().map(|(ticket, _)| *ticket).collect();
    assert_eq!(tickets, [init, end]);
    assert!(matches!(replies[0].1, TransactionReply::InitProducerId(_)));
    assert!(matches!(replies[1].1, TransactionReply::End(_)));
    for (_, reply) in replies {
        assert_eq!(reply.error(), Some(TransactionError::NotCoordinator));
    }
}

#[test]
fn giving_up_a_partition_answers_who_adds_partitions_and_who_fences() {
    let mut machine = Machine::new();
    let first = machine.ongoing(Client::New);
    machine.holds_appends = true;
    let add = machine.add_to(&add_request(Client::New, first, vec![topic("audit", &[0])]));
    let replies = machine.coordinator.unload(TransactionError::NotCoordinator);
    let refused = TransactionReply::AddPartitions(Some(TransactionError::NotCoordinator));
    assert_eq!(replies, [(add, refused)]);

    let mut machine = Machine::new();
    machine.ongoing(Client::New);
    machine.holds_appends = true;
    let fence = machine.init(&init_request());
    let replies = machine.coordinator.unload(TransactionError::NotCoordinator);
    assert_eq!(replies.len(), 1);
    assert_eq!(replies[0].0, fence);
    assert!(matches!(replies[0].1, TransactionReply::InitProducerId(_)));
}
