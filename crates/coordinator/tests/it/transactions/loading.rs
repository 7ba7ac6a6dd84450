//! Taking over a partition: after a crash, in the middle of it, and before it is done.

use lastword_coordinator::{
    TransactionConfig, TransactionError, TransactionFilters, TransactionReply, TransactionState,
};

use super::harness::{
    CLIENTS, Client, ID, Machine, add_request, end_request, init_request, key, producer, topic,
    value,
};

#[test]
fn nothing_is_served_before_everything_is_loaded() {
    let mut machine = Machine::unloaded(TransactionConfig::default());
    let loading = Some(TransactionError::CoordinatorLoadInProgress);
    let ticket = machine.init(&init_request());
    assert_eq!(machine.error(ticket), loading);
    let request = add_request(Client::New, producer(7, 0), vec![topic("a", &[0])]);
    let ticket = machine.add_to(&request);
    assert_eq!(machine.error(ticket), loading);
    let verified = machine.coordinator.verify_partitions(&request);
    assert_eq!(verified[0].partitions[0].error, loading);
    let ticket = machine.end(&end_request(Client::New, producer(7, 0), true));
    assert!(matches!(machine.replies[&ticket], TransactionReply::End(_)));
    assert_eq!(machine.error(ticket), loading);
    assert_eq!(machine.coordinator.describe(ID).err(), loading);
    let filters = TransactionFilters::default();
    assert_eq!(machine.coordinator.list(&filters, 0).err(), loading);
}

#[test]
fn a_crash_after_each_record_leaves_the_transaction_decided_once() {
    for client in CLIENTS {
        for is_commit in [true, false] {
            let mut machine = Machine::of(client);
            let first = machine.ongoing(client);
            let next = machine.ended(client, first, is_commit);
            assert_eq!(machine.log.len(), 4);
            for survived in 0..=4 {
                let mut crashed = Machine::unloaded(machine.config.clone());
                crashed.log = machine.log[..survived].to_vec();
                crashed.load();
                let markers: Vec<_> = crashed.asked.iter().map(|it| it.is_commit).collect();
                match survived {
                    0 => assert!(crashed.listed_ids().is_empty()),
                    1 => assert_eq!(crashed.current(), first),
                    2 => {
                        assert_eq!(crashed.state(), TransactionState::Ongoing);
                        assert_eq!(markers, []);
                        crashed.ended(client, first, !is_commit);
                        assert_eq!(crashed.asked[0].is_commit, !is_commit);
                    }
                    3 => {
                        assert_eq!(markers, [is_commit]);
                        assert_eq!(crashed.asked[0].topics, [topic("accounts", &[0, 1])]);
                        assert_eq!(crashed.asked[0].producer_epoch, next.epoch);
                        assert_eq!(crashed.ended(client, first, is_commit), next);
                    }
                    _ => {
                        assert_eq!(markers, []);
                        assert_eq!(crashed.ended(client, first, is_commit), next);
                    }
                }
            }
        }
    }
}

#[test]
fn markers_are_asked_for_again_after_a_crash_and_nothing_begins_before() {
    for state in [
        TransactionState::PrepareCommit,
        TransactionState::PrepareAbort,
    ] {
        let value = value(state, producer(7, 5), Client::New);
        let mut machine = Machine::with_value(TransactionConfig::default(), &value);
        assert_eq!(machine.asked.len(), 1);
        let is_commit = state == TransactionState::PrepareCommit;
        assert_eq!(machine.asked[0].is_commit, is_commit);
        let concurrent = Some(TransactionError::ConcurrentTransactions);
        let ticket = machine.init(&init_request());
        assert_eq!(machine.error(ticket), concurrent);
        machine.release_markers();
        assert_eq!(machine.new_producer(), producer(7, 6));
    }
}

#[test]
fn a_prepared_transaction_without_partitions_is_completed_at_once() {
    let mut value = value(TransactionState::PrepareAbort, producer(7, 5), Client::New);
    value.partitions.clear();
    let machine = Machine::with_value(TransactionConfig::default(), &value);
    assert!(machine.asked.is_empty());
    assert_eq!(machine.state(), TransactionState::CompleteAbort);
}

#[test]
fn an_ongoing_transaction_times_out_after_a_crash_too() {
    let value = value(TransactionState::Ongoing, producer(7, 5), Client::New);
    let mut machine = Machine::with_value(TransactionConfig::default(), &value);
    machine.holds_markers = false;
    machine.advance(59_000);
    assert_eq!(machine.state(), TransactionState::Ongoing);
    machine.advance(11_000);
    assert_eq!(machine.state(), TransactionState::CompleteAbort);
    assert_eq!(machine.current(), producer(7, 6));
}

#[test]
fn the_last_record_of_an_id_counts_and_a_tombstone_removes_it() {
    let mut machine = Machine::new();
    let first = machine.ongoing(Client::New);
    machine.ended(Client::New, first, true);
    let last = machine.log.last().unwrap().clone();
    let mut compacted = Machine::unloaded(machine.config.clone());
    compacted.log = vec![last];
    compacted.load();
    assert_eq!(compacted.described(), machine.described());
    let mut removed = Machine::unloaded(machine.config.clone());
    removed.log = machine.log.clone();
    removed.log.push(lastword_coordinator::CoordinatorRecord {
        key: key(ID),
        value: None,
    });
    removed.load();
    assert!(removed.listed_ids().is_empty());
}

#[test]
fn a_record_that_cannot_be_read_changes_nothing() {
    let mut machine = Machine::unloaded(TransactionConfig::default());
    let good = Machine::with_value(
        TransactionConfig::default(),
        &value(TransactionState::Ongoing, producer(7, 5), Client::New),
    );
    let record = &good.log[0];
    let bytes = record.value.clone().unwrap();
    machine
        .coordinator
        .replay(&record.key, Some(&bytes))
        .unwrap();
    for length in 0..bytes.len() {
        let result = machine
            .coordinator
            .replay(&record.key, Some(&bytes[..length]));
        assert!(result.is_err(), "{length}");
    }
    let outcome = machine.coordinator.loaded(machine.now_ms);
    machine.take(outcome);
    assert_eq!(machine.described(), good.described());
}
