//! Ids that nobody uses any more.

use lastword_coordinator::{
    AppendError, InitProducerIdRequest, TransactionError, TransactionState,
};

use super::harness::{Client, ID, Machine, end_request, init_request, key, topic};

const WEEK_MS: i64 = 7 * 24 * 3_600_000;
const HOUR_MS: i64 = 3_600_000;

#[test]
fn an_idle_id_is_removed_with_a_tombstone() {
    for is_commit in [true, false] {
        let mut machine = Machine::new();
        let producer = machine.ongoing(Client::New);
        machine.ended(Client::New, producer, is_commit);
        machine.advance(WEEK_MS - HOUR_MS);
        assert_eq!(machine.listed_ids(), [ID]);
        machine.advance(2 * HOUR_MS);
        assert!(machine.listed_ids().is_empty());
        let last = machine.log.last().unwrap();
        assert_eq!((&last.key, &last.value), (&key(ID), &None));
        assert!(machine.restarted().listed_ids().is_empty());
        let not_found = Some(TransactionError::TransactionalIdNotFound);
        assert_eq!(machine.coordinator.describe(ID).err(), not_found);
        let ticket = machine.end(&end_request(Client::New, producer, true));
        let mapping = Some(TransactionError::InvalidProducerIdMapping);
        assert_eq!(machine.error(ticket), mapping);
    }
}

#[test]
fn an_id_that_is_used_stays() {
    let mut machine = Machine::new();
    let mut producer = machine.new_producer();
    for _ in 0..5 {
        machine.advance(WEEK_MS / 2);
        machine.add(Client::New, producer, vec![topic("accounts", &[0])]);
        producer = machine.ended(Client::New, producer, true);
    }
    assert_eq!(machine.listed_ids(), [ID]);
}

#[test]
fn a_prepared_transaction_never_expires() {
    let mut machine = Machine::new();
    machine.holds_markers = true;
    let producer = machine.ongoing(Client::New);
    machine.ended(Client::New, producer, true);
    machine.advance(3 * WEEK_MS);
    assert_eq!(machine.state(), TransactionState::PrepareCommit);
}

#[test]
fn all_ids_that_expire_at_once_are_one_append() {
    let mut machine = Machine::new();
    for index in 0..100 {
        machine.initialized(&InitProducerIdRequest {
            transactional_id: format!("id-{index}"),
            ..init_request()
        });
    }
    machine.holds_appends = true;
    machine.advance(WEEK_MS + HOUR_MS);
    assert_eq!(machine.appends.len(), 1);
    assert_eq!(machine.appends[0].records.len(), 100);
    machine.release_appends(Ok(()));
    assert!(machine.listed_ids().is_empty());
}

#[test]
fn a_tombstone_that_could_not_be_stored_removes_nothing_yet() {
    let mut machine = Machine::new();
    let producer = machine.new_producer();
    machine.holds_appends = true;
    machine.advance(WEEK_MS + HOUR_MS);
    // Nobody gets in between.
    let ticket = machine.init(&init_request());
    let concurrent = Some(TransactionError::ConcurrentTransactions);
    assert_eq!(machine.error(ticket), concurrent);
    machine.release_appends(Err(AppendError::TimedOut));
    assert_eq!(machine.current(), producer);
    machine.holds_appends = false;
    machine.advance(HOUR_MS);
    assert!(machine.listed_ids().is_empty());
}
