//! Markers that are late, that fail, and whose partitions go away.

use lastword_coordinator::{MarkerId, TransactionConfig, TransactionState};

use super::harness::{CLIENTS, Client, Machine, topic};

/// A committed transaction in partitions 0 and 1 of `accounts` whose markers are not written.
fn prepared(client: Client) -> Machine {
    let mut machine = Machine::of(client);
    machine.holds_markers = true;
    let producer = machine.ongoing(client);
    machine.ended(client, producer, true);
    assert_eq!(machine.state(), TransactionState::PrepareCommit);
    machine
}

#[test]
fn a_marker_carries_the_leader_epoch_of_the_coordinators_partition() {
    let mut machine = Machine::with_config(TransactionConfig {
        coordinator_epoch: 9,
        ..TransactionConfig::default()
    });
    let producer = machine.ongoing(Client::New);
    machine.ended(Client::New, producer, true);
    assert_eq!(machine.asked[0].coordinator_epoch, 9);
}

#[test]
fn only_the_partitions_that_failed_are_asked_for_again() {
    for client in CLIENTS {
        let mut machine = prepared(client);
        let first = machine.asked[0].clone();
        machine.fail_markers(vec![topic("accounts", &[1])]);
        assert!(machine.markers.is_empty());
        machine.advance(100);
        let second = machine.asked[1].clone();
        assert_eq!(second.topics, [topic("accounts", &[1])]);
        assert_ne!(second.id, first.id);
        assert_eq!(second.producer_epoch, first.producer_epoch);
        assert_eq!(second.is_commit, first.is_commit);
        machine.release_markers();
        assert_eq!(machine.state(), TransactionState::CompleteCommit);
    }
}

#[test]
fn markers_are_tried_again_for_ever_with_growing_pauses() {
    let mut machine = prepared(Client::New);
    let mut pauses = Vec::new();
    for _ in 0..12 {
        machine.fail_markers(vec![topic("accounts", &[0, 1])]);
        let failed_ms = machine.now_ms;
        while machine.markers.is_empty() {
            let deadline_ms = machine.coordinator.next_deadline_ms().unwrap();
            machine.advance(deadline_ms - machine.now_ms);
        }
        pauses.push(machine.now_ms - failed_ms);
    }
    assert_eq!(pauses[..4], [100, 200, 400, 800]);
    assert_eq!(pauses[8..], [12_800; 4]);
    machine.release_markers();
    assert_eq!(machine.state(), TransactionState::CompleteCommit);
}

#[test]
fn a_failure_that_names_no_partition_of_the_transaction_is_none() {
    let mut machine = prepared(Client::New);
    machine.fail_markers(vec![topic("accounts", &[7]), topic("other", &[0])]);
    assert_eq!(machine.state(), TransactionState::CompleteCommit);
}

#[test]
fn a_deleted_partition_is_not_waited_for() {
    let mut machine = prepared(Client::New);
    machine.fail_markers(vec![topic("accounts", &[0, 1])]);
    let deleted = [topic("accounts", &[0])];
    let outcome = machine
        .coordinator
        .partitions_deleted(&deleted, machine.now_ms);
    machine.take(outcome);
    machine.advance(100);
    assert_eq!(machine.asked[1].topics, [topic("accounts", &[1])]);
    machine.fail_markers(vec![topic("accounts", &[1])]);
    let deleted = [topic("other", &[0]), topic("accounts", &[0, 1])];
    let outcome = machine
        .coordinator
        .partitions_deleted(&deleted, machine.now_ms);
    machine.take(outcome);
    assert_eq!(machine.state(), TransactionState::CompleteCommit);
    machine.advance(60_000);
    assert_eq!(machine.asked.len(), 2);
}

#[test]
fn partitions_deleted_while_their_markers_are_written_are_not_asked_for_again() {
    let mut machine = prepared(Client::New);
    let deleted = [topic("accounts", &[0, 1])];
    let outcome = machine
        .coordinator
        .partitions_deleted(&deleted, machine.now_ms);
    machine.take(outcome);
    assert_eq!(machine.state(), TransactionState::PrepareCommit);
    machine.fail_markers(vec![topic("accounts", &[0, 1])]);
    assert_eq!(machine.state(), TransactionState::CompleteCommit);
}

#[test]
fn an_ongoing_transaction_keeps_a_deleted_partition_until_its_end() {
    let mut machine = Machine::new();
    let producer = machine.ongoing(Client::New);
    let deleted = [topic("accounts", &[0, 1])];
    let outcome = machine
        .coordinator
        .partitions_deleted(&deleted, machine.now_ms);
    machine.take(outcome);
    assert_eq!(machine.described().topics, [topic("accounts", &[0, 1])]);
    machine.ended(Client::New, producer, true);
    assert_eq!(machine.state(), TransactionState::CompleteCommit);
}

#[test]
fn a_report_that_nobody_waits_for_changes_nothing() {
    let mut machine = prepared(Client::New);
    let id = machine.asked[0].id;
    let outcome = machine
        .coordinator
        .markers_written(MarkerId(id.0 + 1), Ok(()), machine.now_ms);
    assert!(outcome.is_empty());
    machine.release_markers();
    let outcome = machine
        .coordinator
        .markers_written(id, Ok(()), machine.now_ms);
    assert!(outcome.is_empty());
    assert_eq!(machine.state(), TransactionState::CompleteCommit);
}
