//! EndTxn: the decision, its record, the markers, and the producer of the next transaction.

use lastword_coordinator::{
    EndTxnRequest, TransactionConfig, TransactionError, TransactionState, TransactionVersion,
};

use super::harness::{
    CLIENTS, Client, Machine, add_request, end_request, init_request, producer, recover_request,
    topic, value,
};

#[test]
fn a_transaction_is_decided_then_marked_then_complete() {
    for client in CLIENTS {
        for is_commit in [true, false] {
            let mut machine = Machine::of(client);
            machine.holds_markers = true;
            let first = machine.ongoing(client);
            let next = machine.ended(client, first, is_commit);
            let (prepared, complete) = match is_commit {
                true => (
                    TransactionState::PrepareCommit,
                    TransactionState::CompleteCommit,
                ),
                false => (
                    TransactionState::PrepareAbort,
                    TransactionState::CompleteAbort,
                ),
            };
            assert_eq!(machine.state(), prepared);
            let marker = machine.asked[0].clone();
            assert_eq!(marker.is_commit, is_commit);
            assert_eq!(marker.topics, [topic("accounts", &[0, 1])]);
            assert_eq!(marker.producer_id, first.id);
            assert_eq!(marker.producer_epoch, next.epoch);
            machine.release_markers();
            assert_eq!(machine.state(), complete);
            assert!(machine.described().topics.is_empty());
            assert_eq!(machine.current(), next);
            let states = machine.logged_states();
            assert_eq!(
                states,
                [
                    TransactionState::Empty,
                    TransactionState::Ongoing,
                    prepared,
                    complete
                ]
            );
        }
    }
}

#[test]
fn the_epoch_stays_before_kip_890_and_is_bumped_since() {
    let mut machine = Machine::new();
    let first = machine.ongoing(Client::Old);
    let ticket = machine.end(&end_request(Client::Old, first, true));
    let reply = machine.producer_reply(ticket);
    assert_eq!((reply.producer_id, reply.producer_epoch), (-1, -1));
    assert_eq!(machine.current(), first);
    assert_eq!(machine.asked[0].transaction_version, 0);

    let mut machine = Machine::new();
    let first = machine.ongoing(Client::New);
    let next = machine.ended(Client::New, first, true);
    assert_eq!(next, producer(first.id, first.epoch + 1));
    assert_eq!(machine.current(), next);
    assert_eq!(machine.asked[0].transaction_version, 2);
    let value = machine.last_value();
    assert_eq!(value.client_transaction_version, TransactionVersion::V2);
    // The next transaction needs nothing between.
    machine.add(Client::New, next, vec![topic("accounts", &[5])]);
    let third = machine.ended(Client::New, next, false);
    assert_eq!(third, producer(first.id, first.epoch + 2));
}

#[test]
fn nothing_begins_before_the_markers_are_written() {
    for client in CLIENTS {
        let mut machine = Machine::of(client);
        machine.holds_markers = true;
        let first = machine.ongoing(client);
        let next = machine.ended(client, first, true);
        let concurrent = Some(TransactionError::ConcurrentTransactions);
        let ticket = machine.add_to(&add_request(client, next, vec![topic("accounts", &[0])]));
        assert_eq!(machine.error(ticket), concurrent);
        let ticket = machine.end(&end_request(client, next, false));
        assert_eq!(machine.error(ticket), concurrent);
        let ticket = machine.init(&recover_request(next));
        assert_eq!(machine.error(ticket), concurrent);
        machine.release_markers();
        machine.add(client, next, vec![topic("accounts", &[0])]);
    }
}

#[test]
fn a_repeated_end_is_answered_as_the_first() {
    for client in CLIENTS {
        for is_commit in [true, false] {
            let mut machine = Machine::of(client);
            let first = machine.ongoing(client);
            let next = machine.ended(client, first, is_commit);
            let written = machine.log.len();
            assert_eq!(machine.ended(client, first, is_commit), next);
            let ticket = machine.end(&end_request(client, first, !is_commit));
            let wrong = Some(TransactionError::InvalidTxnState);
            assert_eq!(machine.error(ticket), wrong);
            assert_eq!(machine.log.len(), written);
            assert_eq!(machine.asked.len(), 1);
            // A restart does not make it new.
            let mut machine = machine.restarted();
            assert_eq!(machine.ended(client, first, is_commit), next);
            assert_eq!(machine.asked.len(), 0);
        }
    }
}

#[test]
fn a_second_end_while_the_first_is_being_stored_is_told_to_try_again() {
    for client in CLIENTS {
        let mut machine = Machine::of(client);
        let first = machine.ongoing(client);
        machine.holds_appends = true;
        let commit = machine.end(&end_request(client, first, true));
        let abort = machine.end(&end_request(client, first, false));
        let concurrent = Some(TransactionError::ConcurrentTransactions);
        assert_eq!(machine.error(abort), concurrent);
        machine.holds_appends = false;
        machine.release_appends(Ok(()));
        assert_eq!(machine.error(commit), None);
        assert_eq!(machine.state(), TransactionState::CompleteCommit);
    }
}

#[test]
fn an_abort_of_what_never_began_bumps_the_epoch_since_kip_890() {
    let mut machine = Machine::new();
    let first = machine.new_producer();
    machine.now_ms += 7;
    let next = machine.ended(Client::New, first, false);
    assert_eq!(next, producer(first.id, 1));
    assert!(machine.asked.is_empty());
    assert_eq!(machine.state(), TransactionState::CompleteAbort);
    assert_eq!(
        machine.described().transaction_start_time_ms,
        machine.now_ms
    );
    assert_eq!(
        machine.ended(Client::New, next, false),
        producer(first.id, 2)
    );
}

#[test]
fn when_the_epochs_are_used_up_the_next_transaction_has_a_new_producer_id() {
    for is_commit in [true, false] {
        let last = producer(7, i16::MAX - 1);
        let state = value(TransactionState::Ongoing, last, Client::New);
        let mut machine = Machine::with_value(TransactionConfig::default(), &state);
        let ticket = machine.end(&end_request(Client::New, last, is_commit));
        let reply = machine.producer_reply(ticket);
        assert_eq!((reply.producer_id, reply.producer_epoch), (4001, 0));
        let marker = &machine.asked[0];
        assert_eq!((marker.producer_id, marker.producer_epoch), (7, i16::MAX));
        assert_eq!(machine.last_value().next_producer_id, 4001);
        // The new producer id is only pending.
        let next = producer(4001, 0);
        let request = add_request(Client::New, next, vec![topic("accounts", &[0])]);
        let ticket = machine.add_to(&request);
        let concurrent = Some(TransactionError::ConcurrentTransactions);
        assert_eq!(machine.error(ticket), concurrent);
        // A crash here must not forget it.
        let mut machine = machine.restarted();
        assert_eq!(machine.current(), next);
        assert_eq!(machine.last_value().previous_producer_id, 7);
        // The end again, from a producer that has not heard of it.
        assert_eq!(machine.ended(Client::New, last, is_commit), next);
        let ticket = machine.end(&end_request(Client::New, last, !is_commit));
        let wrong = Some(TransactionError::InvalidTxnState);
        assert_eq!(machine.error(ticket), wrong);
        machine.add(Client::New, next, vec![topic("accounts", &[0])]);
        let ticket = machine.end(&end_request(Client::New, last, is_commit));
        let mapping = Some(TransactionError::InvalidProducerIdMapping);
        assert_eq!(machine.error(ticket), mapping);
    }
}

#[test]
fn an_unknown_or_empty_id_has_nothing_to_end() {
    let mut machine = Machine::new();
    for client in CLIENTS {
        let with_id = |id: &str| EndTxnRequest {
            transactional_id: id.to_owned(),
            ..end_request(client, producer(7, 0), true)
        };
        let ticket = machine.end(&with_id("unknown"));
        let mapping = Some(TransactionError::InvalidProducerIdMapping);
        assert_eq!(machine.error(ticket), mapping);
        let ticket = machine.end(&with_id(""));
        assert_eq!(
            machine.error(ticket),
            Some(TransactionError::InvalidRequest)
        );
    }
    assert!(machine.listed_ids().is_empty());
}

#[test]
fn old_versions_say_invalid_producer_epoch_where_new_ones_say_producer_fenced() {
    for (api_version, expected) in [
        (1, TransactionError::InvalidProducerEpoch),
        (2, TransactionError::ProducerFenced),
    ] {
        let mut machine = Machine::new();
        let first = machine.ongoing(Client::Old);
        let ticket = machine.end(&EndTxnRequest {
            api_version,
            ..end_request(Client::Old, producer(first.id, 3), true)
        });
        assert_eq!(machine.error(ticket), Some(expected));
    }
}

#[test]
fn a_producer_of_one_generation_can_be_followed_by_one_of_the_other() {
    let mut machine = Machine::new();
    let old = machine.ongoing(Client::Old);
    machine.ended(Client::Old, old, true);
    let new = machine.new_producer();
    assert_eq!(new, producer(old.id, 1));
    machine.add(Client::New, new, vec![topic("accounts", &[0])]);
    let next = machine.ended(Client::New, new, true);
    assert_eq!(next, producer(old.id, 2));
    let old = machine.initialized(&init_request());
    assert_eq!(old, producer(old.id, 3));
    machine.add(Client::Old, old, vec![topic("accounts", &[0])]);
    machine.ended(Client::Old, old, false);
    assert_eq!(machine.current(), old);
}

#[test]
fn a_fenced_producer_does_not_share_the_epoch_of_its_successor_of_the_other_generation() {
    let mut machine = Machine::new();
    let fenced = machine.new_producer();
    let current = machine.ongoing(Client::Old);
    machine.ended(Client::Old, current, false);
    // One epoch behind, in CompleteAbort: as if it repeated an abort of its own.
    assert_eq!(current, producer(fenced.id, fenced.epoch + 1));
    let ticket = machine.end(&end_request(Client::New, fenced, false));
    let expected = Some(TransactionError::ProducerFenced);
    assert_eq!(machine.error(ticket), expected);
}
