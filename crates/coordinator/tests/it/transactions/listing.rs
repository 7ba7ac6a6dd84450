//! ListTransactions and DescribeTransactions.

use lastword_coordinator::{
    InitProducerIdRequest, TransactionError, TransactionFilters, TransactionState,
};

use super::harness::{Client, ID, Machine, add_request, init_request, topic};

/// `idle`, `open` since 1000 ms and `old` since 5000 ms.
fn machine() -> Machine {
    let mut machine = Machine::new();
    for id in ["idle", "old", "open"] {
        let producer = machine.initialized(&InitProducerIdRequest {
            transactional_id: id.to_owned(),
            ..init_request()
        });
        if id != "idle" {
            let mut request = add_request(Client::New, producer, vec![topic("accounts", &[0])]);
            request.transactional_id = id.to_owned();
            let ticket = machine.add_to(&request);
            assert_eq!(machine.error(ticket), None);
            machine.now_ms += if id == "old" { 4000 } else { 1000 };
        }
    }
    machine
}

fn ids(machine: &Machine, filters: &TransactionFilters) -> Vec<String> {
    let listed = machine.coordinator.list(filters, machine.now_ms).unwrap();
    listed.into_iter().map(|it| it.transactional_id).collect()
}

fn filters(
    states: &[&str],
    producer_ids: &[i64],
    duration_ms: i64,
    pattern: Option<&str>,
) -> TransactionFilters {
    let states: Vec<String> = states.iter().map(|state| (*state).to_owned()).collect();
    TransactionFilters::new(&states, producer_ids, duration_ms, pattern).unwrap()
}

#[test]
fn without_filters_all_are_listed() {
    let machine = machine();
    let all = ["idle", "old", "open"];
    assert_eq!(ids(&machine, &filters(&[], &[], -1, None)), all);
    assert_eq!(ids(&machine, &filters(&[], &[], -1, Some(""))), all);
    let filters = TransactionFilters::default();
    let listed = machine.coordinator.list(&filters, machine.now_ms).unwrap();
    assert_eq!(listed[0].state, TransactionState::Empty);
    assert_eq!(listed[0].producer_id, 4001);
    assert_eq!(listed[2].state, TransactionState::Ongoing);
}

#[test]
fn states_filter_and_unknown_ones_are_reported() {
    let machine = machine();
    assert_eq!(ids(&machine, &filters(&["Empty"], &[], -1, None)), ["idle"]);
    let both = filters(&["Empty", "Ongoing"], &[], -1, None);
    assert_eq!(ids(&machine, &both).len(), 3);
    let mixed = filters(&["Nonsense", "Ongoing", "ongoing"], &[], -1, None);
    assert_eq!(mixed.unknown_states(), ["Nonsense", "ongoing"]);
    assert_eq!(ids(&machine, &mixed), ["old", "open"]);
    // With only unknown ones nothing can match.
    assert!(ids(&machine, &filters(&["Nonsense"], &[], -1, None)).is_empty());
}

#[test]
fn every_state_has_kafkas_name() {
    let names = TransactionState::ALL.map(TransactionState::name);
    let expected = [
        "Empty",
        "Ongoing",
        "PrepareCommit",
        "PrepareAbort",
        "CompleteCommit",
        "CompleteAbort",
        "Dead",
        "PrepareEpochFence",
    ];
    assert_eq!(names, expected);
}

#[test]
fn producer_ids_and_durations_filter() {
    let machine = machine();
    assert_eq!(ids(&machine, &filters(&[], &[4002, 9], -1, None)), ["old"]);
    assert!(ids(&machine, &filters(&[], &[9], -1, None)).is_empty());
    // Longer, not as long; what has no transaction is as old as the epoch, as in Kafka.
    assert_eq!(
        ids(&machine, &filters(&[], &[], 1000, None)),
        ["idle", "old"]
    );
    let open = filters(&["Ongoing"], &[], 999, None);
    assert_eq!(ids(&machine, &open), ["old", "open"]);
    let long = filters(&["Ongoing"], &[], i64::MAX, None);
    assert!(ids(&machine, &long).is_empty());
}

#[test]
fn a_pattern_must_match_the_whole_id() {
    let machine = machine();
    let matching = |pattern| ids(&machine, &filters(&[], &[], -1, Some(pattern)));
    assert_eq!(matching("o.*"), ["old", "open"]);
    assert_eq!(matching("o"), Vec::<String>::new());
    assert_eq!(matching("old|idle"), ["idle", "old"]);
    assert_eq!(matching("(?i)OLD"), ["old"]);
}

#[test]
fn a_pattern_that_is_none_or_takes_too_much_is_refused() {
    for pattern in ["(", "a)(b", "*", "[z-a]", "(?:a{1000}){1000}", "\\"] {
        let refused = TransactionFilters::new(&[], &[], -1, Some(pattern));
        let error = Some(TransactionError::InvalidRegularExpression);
        assert_eq!(refused.err(), error, "{pattern}");
    }
}

#[test]
fn an_id_is_described_as_it_is_stored() {
    let mut machine = Machine::new();
    machine.holds_markers = true;
    let first = machine.ongoing(Client::New);
    machine.holds_appends = true;
    machine.add_to(&add_request(Client::New, first, vec![topic("audit", &[0])]));
    let described = machine.described();
    assert_eq!(described.transactional_id, ID);
    assert_eq!(described.producer_id, first.id);
    assert_eq!(described.topics, [topic("accounts", &[0, 1])]);
    let invalid = Some(TransactionError::InvalidRequest);
    assert_eq!(machine.coordinator.describe("").err(), invalid);
    let not_found = Some(TransactionError::TransactionalIdNotFound);
    assert_eq!(machine.coordinator.describe("unknown").err(), not_found);
}
