//! InitProducerId: new producers, producers that go on after an error, and those that may not.

use lastword_coordinator::{
    InitProducerIdRequest, TransactionConfig, TransactionError, TransactionState,
};

use super::harness::{
    CLIENTS, Client, Machine, TIMEOUT_MS, end_request, init_request, producer, recover_request,
    topic, value,
};

#[test]
fn a_new_id_gets_the_fresh_producer_id_and_epoch_0() {
    let mut machine = Machine::new();
    let first = machine.new_producer();
    assert_eq!(first, producer(4001, 0));
    let described = machine.described();
    assert_eq!(described.state, TransactionState::Empty);
    assert_eq!(described.transaction_timeout_ms, TIMEOUT_MS);
    assert_eq!(described.transaction_start_time_ms, -1);
    assert!(described.topics.is_empty());
}

#[test]
fn a_second_producer_bumps_the_epoch_and_fences_the_first() {
    for client in CLIENTS {
        let mut machine = Machine::of(client);
        let first = machine.new_producer();
        let second = machine.new_producer();
        assert_eq!(second, producer(first.id, 1));
        let request = super::harness::add_request(client, first, vec![topic("accounts", &[0])]);
        let ticket = machine.add_to(&request);
        assert_eq!(
            machine.error(ticket),
            Some(TransactionError::ProducerFenced)
        );
        let ticket = machine.end(&end_request(client, first, true));
        assert_eq!(
            machine.error(ticket),
            Some(TransactionError::ProducerFenced)
        );
        let ticket = machine.init(&recover_request(first));
        assert_eq!(
            machine.error(ticket),
            Some(TransactionError::ProducerFenced)
        );
        assert_eq!(machine.current(), second);
    }
}

#[test]
fn a_producer_that_brings_its_epoch_goes_on_with_the_next_one() {
    let mut machine = Machine::new();
    let first = machine.new_producer();
    let recovered = machine.initialized(&recover_request(first));
    assert_eq!(recovered, producer(first.id, 1));
}

#[test]
fn a_repeated_recovery_is_answered_with_the_same_epoch() {
    let mut machine = Machine::new();
    let first = machine.new_producer();
    let recovered = machine.initialized(&recover_request(first));
    assert_eq!(machine.initialized(&recover_request(first)), recovered);
    assert_eq!(machine.initialized(&recover_request(first)), recovered);
    // Once somebody new was there, the old epoch is nobody's any more.
    machine.new_producer();
    let ticket = machine.init(&recover_request(first));
    assert_eq!(
        machine.error(ticket),
        Some(TransactionError::ProducerFenced)
    );
}

#[test]
fn a_producer_may_bring_its_epoch_to_a_coordinator_that_knows_nothing_of_its_id() {
    let mut machine = Machine::new();
    let recovered = machine.initialized(&recover_request(producer(77, 12)));
    assert_eq!(recovered, producer(4001, 0));
}

#[test]
fn an_epoch_without_a_producer_id_or_the_other_way_round_is_a_malformed_request() {
    let mut machine = Machine::new();
    for (id, epoch) in [(-1, 3), (7, -1)] {
        let ticket = machine.init(&recover_request(producer(id, epoch)));
        assert_eq!(
            machine.error(ticket),
            Some(TransactionError::InvalidRequest)
        );
    }
    assert!(machine.listed_ids().is_empty());
}

#[test]
fn an_empty_id_is_refused_and_one_of_10_kib_is_an_id() {
    let mut machine = Machine::new();
    let with_id = |transactional_id: String| InitProducerIdRequest {
        transactional_id,
        ..init_request()
    };
    let ticket = machine.init(&with_id(String::new()));
    assert_eq!(
        machine.error(ticket),
        Some(TransactionError::InvalidRequest)
    );
    let long = "x".repeat(10_240);
    machine.initialized(&with_id(long.clone()));
    assert_eq!(machine.listed_ids(), std::slice::from_ref(&long));
    assert_eq!(machine.restarted().listed_ids(), [long]);
    machine.initialized(&with_id("y".repeat(i16::MAX as usize)));
    let ticket = machine.init(&with_id("z".repeat(i16::MAX as usize + 1)));
    assert_eq!(
        machine.error(ticket),
        Some(TransactionError::InvalidRequest)
    );
}

#[test]
fn a_timeout_must_be_positive_and_at_most_transaction_max_timeout_ms() {
    let mut machine = Machine::new();
    let with_timeout = |transaction_timeout_ms| InitProducerIdRequest {
        transaction_timeout_ms,
        ..init_request()
    };
    let refused = Some(TransactionError::InvalidTransactionTimeout);
    for timeout_ms in [0, -1, i32::MIN, 900_001, i32::MAX] {
        let ticket = machine.init(&with_timeout(timeout_ms));
        assert_eq!(machine.error(ticket), refused, "{timeout_ms}");
    }
    machine.initialized(&with_timeout(1));
    machine.initialized(&with_timeout(900_000));
    assert_eq!(machine.described().transaction_timeout_ms, 900_000);
}

#[test]
fn two_phase_commit_is_refused_unless_it_is_enabled() {
    let request = InitProducerIdRequest {
        enable_2pc: true,
        transaction_timeout_ms: 0,
        ..init_request()
    };
    let mut machine = Machine::new();
    let ticket = machine.init(&request);
    let refused = Some(TransactionError::TransactionalIdAuthorizationFailed);
    assert_eq!(machine.error(ticket), refused);
    let mut machine = Machine::with_config(TransactionConfig {
        transaction_two_phase_commit_enable: true,
        ..TransactionConfig::default()
    });
    let prepared = machine.initialized(&request);
    assert_eq!(machine.described().transaction_timeout_ms, i32::MAX);
    machine.add(Client::New, prepared, vec![topic("accounts", &[0])]);
    machine.advance(30 * 24 * 3_600_000);
    assert_eq!(machine.state(), TransactionState::Ongoing);
    let keep = InitProducerIdRequest {
        keep_prepared_txn: true,
        ..request
    };
    let ticket = machine.init(&keep);
    assert_eq!(
        machine.error(ticket),
        Some(TransactionError::UnsupportedVersion)
    );
}

#[test]
fn old_versions_say_invalid_producer_epoch_where_new_ones_say_producer_fenced() {
    for (api_version, expected) in [
        (3, TransactionError::InvalidProducerEpoch),
        (4, TransactionError::ProducerFenced),
    ] {
        let mut machine = Machine::new();
        let first = machine.new_producer();
        machine.new_producer();
        let ticket = machine.init(&InitProducerIdRequest {
            api_version,
            ..recover_request(first)
        });
        assert_eq!(machine.error(ticket), Some(expected));
    }
}

#[test]
fn a_second_request_waits_until_the_first_is_stored() {
    let mut machine = Machine::new();
    machine.holds_appends = true;
    let first = machine.init(&init_request());
    let second = machine.init(&init_request());
    assert!(machine.is_parked(first));
    let concurrent = Some(TransactionError::ConcurrentTransactions);
    assert_eq!(machine.error(second), concurrent);
    machine.release_appends(Ok(()));
    assert_eq!(machine.producer_reply(first).producer_epoch, 0);
    assert_eq!(machine.log.len(), 1);
}

#[test]
fn an_open_transaction_is_aborted_and_the_producer_told_to_try_again() {
    for (client, expected_epoch) in [(Client::Old, 2), (Client::New, 2)] {
        let mut machine = Machine::of(client);
        machine.holds_markers = true;
        let first = machine.ongoing(client);
        let concurrent = Some(TransactionError::ConcurrentTransactions);
        let ticket = machine.init(&init_request());
        assert_eq!(machine.error(ticket), concurrent);
        assert_eq!(machine.state(), TransactionState::PrepareAbort);
        assert_eq!(machine.asked.len(), 1);
        let marker = &machine.asked[0];
        assert_eq!((marker.producer_id, marker.producer_epoch), (first.id, 1));
        assert!(!marker.is_commit);
        // Its first producer is fenced from now on.
        let ticket = machine.init(&init_request());
        assert_eq!(machine.error(ticket), concurrent);
        machine.release_markers();
        let ticket = machine.end(&end_request(client, first, true));
        assert!(machine.error(ticket).is_some());
        // The epoch of the abort is nobody's: it is bumped again.
        let second = machine.new_producer();
        assert_eq!(second, producer(first.id, expected_epoch));
    }
}

#[test]
fn only_a_producer_of_the_same_id_aborts_an_open_transaction() {
    let mut machine = Machine::new();
    let first = machine.new_producer();
    let second = machine.new_producer();
    machine.add(Client::New, second, vec![topic("accounts", &[0])]);
    let ticket = machine.init(&recover_request(producer(first.id + 100, 0)));
    assert_eq!(
        machine.error(ticket),
        Some(TransactionError::ProducerFenced)
    );
    assert_eq!(machine.state(), TransactionState::Ongoing);
    // As in Kafka the epoch is looked at only when it is about to be bumped, so a fenced producer
    // aborts before it is told.
    let ticket = machine.init(&recover_request(first));
    let concurrent = Some(TransactionError::ConcurrentTransactions);
    assert_eq!(machine.error(ticket), concurrent);
    assert_eq!(machine.state(), TransactionState::CompleteAbort);
    let ticket = machine.init(&recover_request(first));
    assert_eq!(
        machine.error(ticket),
        Some(TransactionError::ProducerFenced)
    );
}

#[test]
fn when_the_epochs_are_used_up_a_new_producer_id_begins() {
    let state = value(
        TransactionState::Empty,
        producer(7, i16::MAX - 1),
        Client::Old,
    );
    let mut machine = Machine::with_value(TransactionConfig::default(), &state);
    let rotated = machine.new_producer();
    assert_eq!(rotated, producer(4001, 0));
    assert_eq!(machine.last_value().previous_producer_id, 7);
    // A producer that has not heard of it shows its last epoch.
    let state = value(
        TransactionState::Empty,
        producer(7, i16::MAX - 1),
        Client::Old,
    );
    let mut machine = Machine::with_value(TransactionConfig::default(), &state);
    let last = producer(7, i16::MAX - 1);
    let rotated = machine.initialized(&recover_request(last));
    assert_eq!(rotated, producer(4001, 0));
    assert_eq!(machine.initialized(&recover_request(last)), rotated);
    let ticket = machine.init(&recover_request(producer(7, 12)));
    assert_eq!(
        machine.error(ticket),
        Some(TransactionError::ProducerFenced)
    );
}

#[test]
fn a_producer_keeps_the_last_epoch_back_for_fencing() {
    for client in CLIENTS {
        let state = value(TransactionState::Ongoing, producer(7, i16::MAX - 1), client);
        let mut machine = Machine::with_value(Machine::of(client).config, &state);
        let ticket = machine.init(&init_request());
        let concurrent = Some(TransactionError::ConcurrentTransactions);
        assert_eq!(machine.error(ticket), concurrent);
        assert_eq!(machine.current(), producer(7, i16::MAX));
        machine.holds_markers = false;
        machine.release_markers();
        assert_eq!(machine.current(), producer(7, i16::MAX));
        assert_eq!(machine.new_producer(), producer(4002, 0));
    }
}
