//! AddPartitionsToTxn, AddOffsetsToTxn, and asking whether a partition is there.

use lastword_coordinator::{
    AddPartitionsRequest, TransactionError, TransactionState, TransactionVersion,
};

use super::harness::{CLIENTS, Client, Machine, add_request, producer, topic};

fn verified(machine: &Machine, request: &AddPartitionsRequest) -> Vec<Option<TransactionError>> {
    let topics = machine.coordinator.verify_partitions(request);
    let of_topic = |topic: lastword_coordinator::VerifiedTopic| {
        topic.partitions.into_iter().map(|it| it.error)
    };
    topics.into_iter().flat_map(of_topic).collect()
}

#[test]
fn the_first_partition_begins_the_transaction() {
    for client in CLIENTS {
        let mut machine = Machine::of(client);
        let producer = machine.new_producer();
        machine.now_ms += 5;
        machine.add(client, producer, vec![topic("accounts", &[3, 1])]);
        machine.now_ms += 5;
        machine.add(
            client,
            producer,
            vec![topic("accounts", &[0]), topic("audit", &[7])],
        );
        let described = machine.described();
        assert_eq!(described.state, TransactionState::Ongoing);
        assert_eq!(described.transaction_start_time_ms, 1_000_005);
        let expected = [topic("accounts", &[0, 1, 3]), topic("audit", &[7])];
        assert_eq!(described.topics, expected);
        assert_eq!(machine.restarted().described(), described);
    }
}

#[test]
fn a_partition_that_is_there_already_is_not_written_again() {
    let mut machine = Machine::new();
    let producer = machine.ongoing(Client::New);
    let written = machine.log.len();
    machine.add(Client::New, producer, vec![topic("accounts", &[1])]);
    machine.add(Client::New, producer, vec![]);
    assert_eq!(machine.log.len(), written);
    machine.add(Client::New, producer, vec![topic("accounts", &[1, 2])]);
    assert_eq!(machine.log.len(), written + 1);
}

#[test]
fn the_record_says_which_generation_the_client_is_of() {
    for (client, expected) in [
        (Client::Old, TransactionVersion::V0),
        (Client::New, TransactionVersion::V2),
    ] {
        let mut machine = Machine::new();
        machine.ongoing(client);
        assert_eq!(machine.last_value().client_transaction_version, expected);
    }
}

#[test]
fn an_unknown_id_a_wrong_producer_and_an_old_epoch_are_refused() {
    let mut machine = Machine::new();
    let current = machine.new_producer();
    let topics = || vec![topic("accounts", &[0])];
    let mut unknown = add_request(Client::New, current, topics());
    unknown.transactional_id = "unknown".to_owned();
    let mut empty = unknown.clone();
    empty.transactional_id = String::new();
    let stranger = add_request(Client::New, producer(1, 0), topics());
    let older = add_request(Client::New, producer(current.id, -1), topics());
    let newer = add_request(Client::New, producer(current.id, 1), topics());
    let mut very_old = add_request(Client::Old, producer(current.id, -1), topics());
    very_old.api_version = 1;
    let cases = [
        (unknown, TransactionError::InvalidProducerIdMapping),
        (empty, TransactionError::InvalidRequest),
        (stranger, TransactionError::InvalidProducerIdMapping),
        (older, TransactionError::ProducerFenced),
        (newer, TransactionError::ProducerFenced),
        (very_old, TransactionError::InvalidProducerEpoch),
    ];
    for (request, expected) in cases {
        let ticket = machine.add_to(&request);
        assert_eq!(machine.error(ticket), Some(expected), "{request:?}");
    }
    assert_eq!(machine.state(), TransactionState::Empty);
    assert_eq!(machine.listed_ids().len(), 1);
}

#[test]
fn a_second_request_is_refused_while_the_first_is_being_stored() {
    let mut machine = Machine::new();
    let producer = machine.new_producer();
    machine.holds_appends = true;
    let first = machine.add_to(&add_request(Client::New, producer, vec![topic("a", &[0])]));
    let second = machine.add_to(&add_request(Client::New, producer, vec![topic("b", &[0])]));
    assert!(machine.is_parked(first));
    let concurrent = Some(TransactionError::ConcurrentTransactions);
    assert_eq!(machine.error(second), concurrent);
    machine.release_appends(Ok(()));
    assert_eq!(machine.error(first), None);
    assert_eq!(machine.described().topics, [topic("a", &[0])]);
}

#[test]
fn a_partition_is_verified_when_it_is_stored() {
    let mut machine = Machine::new();
    let current = machine.ongoing(Client::New);
    let abortable = Some(TransactionError::TransactionAbortable);
    let request = add_request(
        Client::New,
        current,
        vec![topic("audit", &[0]), topic("accounts", &[1, 2])],
    );
    assert_eq!(verified(&machine, &request), [abortable, None, abortable]);
    let old_epoch = add_request(
        Client::New,
        producer(current.id, current.epoch - 1),
        request.topics.clone(),
    );
    let fenced = Some(TransactionError::ProducerFenced);
    assert_eq!(verified(&machine, &old_epoch), [fenced; 3]);
    let stranger = add_request(Client::New, producer(1, 0), request.topics.clone());
    let mapping = Some(TransactionError::InvalidProducerIdMapping);
    assert_eq!(verified(&machine, &stranger), [mapping; 3]);
    let mut unknown = request.clone();
    unknown.transactional_id = "unknown".to_owned();
    assert_eq!(verified(&machine, &unknown), [mapping; 3]);
    unknown.transactional_id = String::new();
    let invalid = Some(TransactionError::InvalidRequest);
    assert_eq!(verified(&machine, &unknown), [invalid; 3]);
}

#[test]
fn nothing_is_verified_while_the_markers_are_written_or_after() {
    let mut machine = Machine::new();
    machine.holds_markers = true;
    let first = machine.ongoing(Client::Old);
    machine.ended(Client::Old, first, true);
    let request = add_request(Client::Old, first, vec![topic("accounts", &[0])]);
    let concurrent = Some(TransactionError::ConcurrentTransactions);
    assert_eq!(verified(&machine, &request), [concurrent]);
    machine.release_markers();
    let abortable = Some(TransactionError::TransactionAbortable);
    assert_eq!(verified(&machine, &request), [abortable]);
}
