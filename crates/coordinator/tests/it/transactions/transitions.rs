//! Kafka's table: what each request comes to in each state, for both generations of the protocol.

use lastword_coordinator::{TransactionConfig, TransactionError, TransactionState};

use super::harness::{
    Client, Machine, add_request, end_request, init_request, producer, recover_request, topic,
    value,
};

use TransactionError::{
    ConcurrentTransactions, InvalidProducerIdMapping, InvalidTxnState, ProducerFenced,
};
use TransactionState::{
    CompleteAbort, CompleteCommit, Empty, Ongoing, PrepareAbort, PrepareCommit,
};

const STATES: [TransactionState; 6] = [
    Empty,
    Ongoing,
    PrepareCommit,
    PrepareAbort,
    CompleteCommit,
    CompleteAbort,
];

/// The id is in `state` with producer id 7 and epoch 5, and its markers are never written.
fn machine(state: TransactionState, client: Client) -> Machine {
    let value = value(state, producer(7, 5), client);
    Machine::with_value(TransactionConfig::default(), &value)
}

/// EndTxn in `state`: the state it leads to, or the error.
fn end(
    state: TransactionState,
    client: Client,
    epoch: i16,
    is_commit: bool,
) -> Result<TransactionState, TransactionError> {
    let mut machine = machine(state, client);
    let ticket = machine.end(&end_request(client, producer(7, epoch), is_commit));
    match machine.error(ticket) {
        Some(error) => {
            assert_eq!(machine.state(), state);
            Err(error)
        }
        None => Ok(machine.state()),
    }
}

#[test]
fn the_end_of_a_transaction_before_kip_890() {
    let commit = [
        (Empty, Err(InvalidTxnState)),
        (Ongoing, Ok(PrepareCommit)),
        (PrepareCommit, Err(ConcurrentTransactions)),
        (PrepareAbort, Err(ConcurrentTransactions)),
        (CompleteCommit, Ok(CompleteCommit)),
        (CompleteAbort, Err(InvalidTxnState)),
    ];
    for (state, expected) in commit {
        assert_eq!(end(state, Client::Old, 5, true), expected, "{state:?}");
    }
    let abort = [
        (Empty, Err(InvalidTxnState)),
        (Ongoing, Ok(PrepareAbort)),
        (PrepareCommit, Err(ConcurrentTransactions)),
        (PrepareAbort, Err(ConcurrentTransactions)),
        (CompleteCommit, Err(InvalidTxnState)),
        (CompleteAbort, Ok(CompleteAbort)),
    ];
    for (state, expected) in abort {
        assert_eq!(end(state, Client::Old, 5, false), expected, "{state:?}");
    }
    for state in STATES {
        for (epoch, is_commit) in [(4, true), (6, true), (4, false), (6, false)] {
            let ended = end(state, Client::Old, epoch, is_commit);
            assert_eq!(ended, Err(ProducerFenced), "{state:?} {epoch} {is_commit}");
        }
    }
}

#[test]
fn the_end_of_a_transaction_since_kip_890() {
    // State, then abort as a retry, abort now, commit as a retry, commit now.
    let table = [
        (
            Empty,
            Err(ProducerFenced),
            Ok(CompleteAbort),
            Err(ProducerFenced),
            Err(InvalidTxnState),
        ),
        (
            Ongoing,
            Err(ProducerFenced),
            Ok(PrepareAbort),
            Err(ProducerFenced),
            Ok(PrepareCommit),
        ),
        (
            PrepareCommit,
            Err(ConcurrentTransactions),
            Err(ConcurrentTransactions),
            Err(ConcurrentTransactions),
            Err(ConcurrentTransactions),
        ),
        (
            PrepareAbort,
            Err(ConcurrentTransactions),
            Err(ConcurrentTransactions),
            Err(ConcurrentTransactions),
            Err(ConcurrentTransactions),
        ),
        (
            CompleteAbort,
            Ok(CompleteAbort),
            Ok(CompleteAbort),
            Err(InvalidTxnState),
            Err(InvalidTxnState),
        ),
        (
            CompleteCommit,
            Err(InvalidTxnState),
            Ok(CompleteAbort),
            Ok(CompleteCommit),
            Err(InvalidTxnState),
        ),
    ];
    for (state, abort_retry, abort, commit_retry, commit) in table {
        assert_eq!(end(state, Client::New, 4, false), abort_retry, "{state:?}");
        assert_eq!(end(state, Client::New, 5, false), abort, "{state:?}");
        assert_eq!(end(state, Client::New, 4, true), commit_retry, "{state:?}");
        assert_eq!(end(state, Client::New, 5, true), commit, "{state:?}");
        if !matches!(state, PrepareCommit | PrepareAbort) {
            for epoch in [3, 6, 0, -1, i16::MAX] {
                let ended = end(state, Client::New, epoch, false);
                assert_eq!(ended, Err(ProducerFenced), "{state:?} {epoch}");
            }
        }
    }
}

#[test]
fn partitions_can_be_added_unless_the_transaction_is_being_ended() {
    let expected = |state| match state {
        PrepareCommit | PrepareAbort => Some(ConcurrentTransactions),
        _ => None,
    };
    for client in super::harness::CLIENTS {
        for state in STATES {
            let mut machine = machine(state, client);
            let request = add_request(client, producer(7, 5), vec![topic("orders", &[2])]);
            let ticket = machine.add_to(&request);
            assert_eq!(machine.error(ticket), expected(state), "{state:?}");
            if expected(state).is_none() {
                assert_eq!(machine.state(), Ongoing);
            }
        }
    }
}

#[test]
fn a_new_producer_is_initialized_unless_a_transaction_is_open() {
    for client in super::harness::CLIENTS {
        for state in STATES {
            let mut machine = machine(state, client);
            let ticket = machine.init(&init_request());
            let reply = machine.producer_reply(ticket);
            match state {
                Empty | CompleteCommit | CompleteAbort => {
                    assert_eq!((reply.producer_id, reply.producer_epoch), (7, 6));
                    assert_eq!(machine.state(), Empty);
                }
                Ongoing => {
                    assert_eq!(reply.error, Some(ConcurrentTransactions));
                    assert_eq!(machine.state(), PrepareAbort);
                    assert_eq!(machine.current(), producer(7, 6));
                }
                _ => {
                    assert_eq!(reply.error, Some(ConcurrentTransactions));
                    assert_eq!(machine.state(), state);
                }
            }
        }
    }
}

#[test]
fn every_request_with_a_wrong_producer_id_is_refused() {
    for client in super::harness::CLIENTS {
        for state in [Empty, Ongoing, CompleteCommit, CompleteAbort] {
            let mut machine = machine(state, client);
            let stranger = producer(8, 5);
            let topics = vec![topic("accounts", &[0])];
            let added = machine.add_to(&add_request(client, stranger, topics));
            assert_eq!(machine.error(added), Some(InvalidProducerIdMapping));
            let ended = machine.end(&end_request(client, stranger, true));
            assert_eq!(machine.error(ended), Some(InvalidProducerIdMapping));
            let initialized = machine.init(&recover_request(stranger));
            assert_eq!(machine.error(initialized), Some(ProducerFenced));
            assert_eq!(machine.state(), state);
        }
    }
}
