//! Transactions that stay open for too long.

use lastword_coordinator::{AppendError, TransactionConfig, TransactionError, TransactionState};

use super::harness::{
    CLIENTS, Client, Machine, add_request, end_request, init_request, producer, topic,
};

#[test]
fn an_open_transaction_is_aborted_with_a_bumped_epoch_after_its_timeout() {
    for client in CLIENTS {
        let mut machine = Machine::of(client);
        let first = machine.ongoing(client);
        machine.advance(60_000);
        assert_eq!(machine.state(), TransactionState::Ongoing);
        machine.advance(10_000);
        assert_eq!(machine.state(), TransactionState::CompleteAbort);
        assert_eq!(machine.current(), producer(first.id, first.epoch + 1));
        let marker = &machine.asked[0];
        assert_eq!((marker.is_commit, marker.producer_epoch), (false, 1));
        assert_eq!(marker.topics, [topic("accounts", &[0, 1])]);
        let ticket = machine.end(&end_request(Client::Old, first, true));
        let fenced = Some(TransactionError::ProducerFenced);
        assert_eq!(machine.error(ticket), fenced);
    }
}

#[test]
fn adding_partitions_does_not_prolong_a_transaction() {
    let mut machine = Machine::new();
    let producer = machine.ongoing(Client::New);
    for partition in 2..8 {
        machine.advance(9_000);
        machine.add(Client::New, producer, vec![topic("accounts", &[partition])]);
    }
    machine.advance(16_000);
    assert_eq!(machine.state(), TransactionState::CompleteAbort);
}

#[test]
fn each_transaction_of_a_producer_has_its_own_time() {
    let mut machine = Machine::new();
    let mut producer = machine.new_producer();
    for _ in 0..10 {
        machine.add(Client::New, producer, vec![topic("accounts", &[0])]);
        machine.advance(50_000);
        producer = machine.ended(Client::New, producer, true);
    }
    machine.advance(3_000_000);
    assert_eq!(machine.state(), TransactionState::CompleteCommit);
    assert_eq!(machine.asked.len(), 10);
}

#[test]
fn timeouts_are_looked_at_in_the_configured_interval() {
    let mut machine = Machine::with_config(TransactionConfig {
        abort_timed_out_transactions_interval_ms: 7,
        ..TransactionConfig::default()
    });
    machine.ongoing(Client::New);
    machine.holds_markers = true;
    machine.advance(60_000);
    assert_eq!(machine.state(), TransactionState::Ongoing);
    machine.advance(7);
    assert_eq!(machine.state(), TransactionState::PrepareAbort);
}

#[test]
fn a_timeout_in_the_middle_of_a_change_comes_back() {
    let mut machine = Machine::new();
    let producer = machine.ongoing(Client::New);
    machine.holds_appends = true;
    machine.advance(55_000);
    machine.add_to(&add_request(
        Client::New,
        producer,
        vec![topic("audit", &[0])],
    ));
    machine.advance(60_000);
    assert_eq!(machine.appends.len(), 1);
    machine.holds_appends = false;
    machine.release_appends(Ok(()));
    assert_eq!(machine.state(), TransactionState::Ongoing);
    machine.advance(10_000);
    assert_eq!(machine.state(), TransactionState::CompleteAbort);
    let marked = [topic("accounts", &[0, 1]), topic("audit", &[0])];
    assert_eq!(machine.asked[0].topics, marked);
}

#[test]
fn an_abort_by_the_clock_that_could_not_be_stored_is_tried_again() {
    for client in CLIENTS {
        let mut machine = Machine::of(client);
        let first = machine.ongoing(client);
        machine.holds_appends = true;
        machine.advance(70_000);
        machine.release_appends(Err(AppendError::TimedOut));
        assert_eq!(machine.state(), TransactionState::Ongoing);
        machine.holds_appends = false;
        machine.advance(10_000);
        assert_eq!(machine.state(), TransactionState::CompleteAbort);
        assert_eq!(machine.current(), producer(first.id, 1));
    }
}

#[test]
fn a_new_producer_after_a_timeout_gets_an_epoch_of_its_own() {
    let mut machine = Machine::new();
    let first = machine.ongoing(Client::New);
    machine.advance(70_000);
    let second = machine.initialized(&init_request());
    assert_eq!(second, producer(first.id, 2));
}
