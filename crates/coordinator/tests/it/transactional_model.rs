//! Committed offsets with transactions, against a model that folds the log, through crashes.
//!
//! The runtime here writes the log as a broker does: an append stands in it at once and is reported
//! when it is flushed, a marker takes effect in the order of the log, a crash cuts off what was not
//! flushed, and a cleaning keeps the last record of each key below the first open transaction.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use lastword_coordinator::{
    AppendId, CommitPartition, CommitRequest, CommitTopic, CoordinatorKey, CoordinatorRecord,
    GroupCoordinator, GroupError, Outcome, Ticket, TopicPartitions, TransactionalCommitRequest,
    decode_key, decode_offset_commit_value,
};
use proptest::prelude::*;

use crate::harness::config;

const GROUPS: [&str; 2] = ["g0", "g1"];
const TOPICS: [&str; 2] = ["t0", "t1"];
const PARTITIONS: i32 = 2;
const PRODUCERS: i64 = 3;

#[derive(Debug, Clone, Copy)]
struct Place {
    group: usize,
    topic: usize,
    partition: i32,
}

#[derive(Debug, Clone)]
enum Step {
    Commit(Place),
    CommitAs(i64, Place),
    End(i64, bool),
    DeleteOffset(Place),
    DeleteGroup(usize),
    DeletePartition(Place),
    Flush,
    /// Lose what was not flushed, and load.
    Crash,
    /// Clean what was flushed, lose the rest, and load.
    CrashAfterCleaning,
}

fn place() -> impl Strategy<Value = Place> {
    (0..GROUPS.len(), 0..TOPICS.len(), 0..PARTITIONS).prop_map(|(group, topic, partition)| Place {
        group,
        topic,
        partition,
    })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => place().prop_map(Step::Commit),
        6 => (0..PRODUCERS, place()).prop_map(|(producer, place)| Step::CommitAs(producer, place)),
        4 => (0..PRODUCERS, any::<bool>()).prop_map(|(producer, commit)| Step::End(producer, commit)),
        2 => place().prop_map(Step::DeleteOffset),
        1 => (0..GROUPS.len()).prop_map(Step::DeleteGroup),
        1 => place().prop_map(Step::DeletePartition),
        4 => Just(Step::Flush),
        1 => Just(Step::Crash),
        1 => Just(Step::CrashAfterCleaning),
    ]
}

#[derive(Debug, Clone)]
enum Entry {
    Record(Option<i64>, CoordinatorRecord),
    Marker(i64, bool),
}

type Key = (String, String, i32);

/// What a log means: an independent and slow way to say it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Meaning {
    committed: BTreeMap<Key, i64>,
    pending: BTreeSet<Key>,
}

fn offset_key(record: &CoordinatorRecord) -> Option<Key> {
    match decode_key(&record.key).unwrap() {
        CoordinatorKey::OffsetCommit {
            group_id,
            topic,
            partition,
        } => Some((group_id, topic, partition)),
        _ => None,
    }
}

fn meaning(log: &[Entry]) -> Meaning {
    let mut committed: BTreeMap<Key, (usize, i64)> = BTreeMap::new();
    let mut pending: BTreeMap<(i64, Key), (usize, i64)> = BTreeMap::new();
    for (position, entry) in log.iter().enumerate() {
        match entry {
            Entry::Record(producer, record) => {
                let Some(key) = offset_key(record) else {
                    continue;
                };
                let Some(value) = &record.value else {
                    committed.remove(&key);
                    pending.retain(|(_, each), _| *each != key);
                    continue;
                };
                let offset = decode_offset_commit_value(value).unwrap().offset;
                match producer {
                    Some(producer) => pending.insert((*producer, key), (position, offset)),
                    None => committed.insert(key, (position, offset)),
                };
            }
            Entry::Marker(producer, is_commit) => {
                let ended = pending.extract_if(.., |(each, _), _| each == producer);
                for ((_, key), written) in ended {
                    let existing = committed.get(&key);
                    if *is_commit && existing.is_none_or(|existing| existing.0 < written.0) {
                        committed.insert(key, written);
                    }
                }
            }
        }
    }
    Meaning {
        committed: committed
            .into_iter()
            .map(|(key, (_, offset))| (key, offset))
            .collect(),
        pending: pending.into_keys().map(|(_, key)| key).collect(),
    }
}

/// How the transaction of a record ends; `None` while it is open.
fn fate(log: &[Entry], position: usize, producer: i64) -> Option<bool> {
    log[position..].iter().find_map(|entry| match entry {
        Entry::Marker(each, is_commit) if *each == producer => Some(*is_commit),
        _ => None,
    })
}

fn cleaned(log: &[Entry]) -> Vec<Entry> {
    let is_open = |(position, entry): (usize, &Entry)| matches!(entry, Entry::Record(Some(producer), _) if fate(log, position, *producer).is_none());
    let first_open = log
        .iter()
        .enumerate()
        .position(is_open)
        .unwrap_or(log.len());
    let is_aborted = |position: usize, entry: &Entry| matches!(entry, Entry::Record(Some(producer), _) if fate(log, position, *producer) == Some(false));
    let mut last: BTreeMap<&[u8], usize> = BTreeMap::new();
    for (position, entry) in log[..first_open].iter().enumerate() {
        if let Entry::Record(_, record) = entry
            && !is_aborted(position, entry)
        {
            last.insert(&record.key, position);
        }
    }
    let stays = |(position, entry): &(usize, &Entry)| match entry {
        Entry::Record(_, record) => {
            *position >= first_open || last.get(record.key.as_slice()) == Some(position)
        }
        Entry::Marker(..) => true,
    };
    let kept = log.iter().enumerate().filter(stays);
    kept.map(|(_, entry)| entry.clone()).collect()
}

struct Runtime {
    coordinator: GroupCoordinator,
    log: Vec<Entry>,
    flushed: usize,
    /// The append, and where it begins in the log.
    in_flight: VecDeque<(AppendId, usize)>,
    tickets: u64,
    answered: BTreeSet<Ticket>,
    offset: i64,
}

const NOW_MS: i64 = 1_000_000;

impl Runtime {
    fn load(log: Vec<Entry>) -> Self {
        let mut coordinator = GroupCoordinator::new(config());
        for entry in &log {
            match entry {
                Entry::Record(None, record) => {
                    let replayed = coordinator.replay(&record.key, record.value.as_deref());
                    replayed.unwrap();
                }
                Entry::Record(Some(producer), record) => coordinator
                    .replay_transactional(*producer, &record.key, record.value.as_deref())
                    .unwrap(),
                Entry::Marker(producer, is_commit) => {
                    coordinator.replay_marker(*producer, *is_commit);
                }
            }
        }
        let outcome = coordinator.loaded(NOW_MS);
        assert!(outcome.is_empty());
        Runtime {
            coordinator,
            flushed: log.len(),
            log,
            in_flight: VecDeque::new(),
            tickets: 0,
            answered: BTreeSet::new(),
            offset: 0,
        }
    }

    fn take(&mut self, outcome: Outcome) {
        for (ticket, _) in outcome.replies {
            assert!(
                self.answered.insert(ticket),
                "{ticket:?} was answered twice"
            );
        }
        for append in outcome.appends {
            self.in_flight.push_back((append.id, self.log.len()));
            let producer = append.producer.map(|(id, _)| id);
            let records = append.records.into_iter();
            self.log
                .extend(records.map(|record| Entry::Record(producer, record)));
        }
    }

    fn flush(&mut self) {
        self.flushed = self.log.len();
        while let Some((id, _)) = self.in_flight.pop_front() {
            let outcome = self.coordinator.appended(id, Ok(()), NOW_MS);
            self.take(outcome);
        }
    }

    fn crash(&mut self, clean: bool) {
        self.log.truncate(self.flushed);
        let log = std::mem::take(&mut self.log);
        let before = meaning(&log);
        let log = if clean { cleaned(&log) } else { log };
        assert_eq!(meaning(&log), before, "cleaning changed what the log means");
        let offset = self.offset;
        *self = Runtime::load(log);
        self.offset = offset;
    }

    fn topics(&mut self, place: Place) -> Vec<CommitTopic> {
        self.offset += 1;
        vec![CommitTopic {
            name: TOPICS[place.topic].to_owned(),
            partitions: vec![CommitPartition {
                partition: place.partition,
                offset: self.offset,
                leader_epoch: -1,
                metadata: None,
            }],
        }]
    }

    fn take_step(&mut self, step: &Step) {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        let outcome = match *step {
            Step::Commit(place) => {
                let request = CommitRequest {
                    group_id: GROUPS[place.group].to_owned(),
                    generation_id: -1,
                    member_id: String::new(),
                    group_instance_id: None,
                    retention_time_ms: -1,
                    topics: self.topics(place),
                    api_version: 9,
                };
                self.coordinator.commit_offsets(request, ticket, NOW_MS)
            }
            Step::CommitAs(producer_id, place) => {
                let request = TransactionalCommitRequest {
                    group_id: GROUPS[place.group].to_owned(),
                    generation_id: -1,
                    member_id: String::new(),
                    group_instance_id: None,
                    producer_id,
                    producer_epoch: 0,
                    topics: self.topics(place),
                };
                self.coordinator
                    .commit_transactional_offsets(request, ticket, NOW_MS)
            }
            Step::End(producer_id, is_commit) => {
                self.log.push(Entry::Marker(producer_id, is_commit));
                self.coordinator
                    .transaction_ended(producer_id, is_commit, NOW_MS)
            }
            Step::DeleteOffset(place) => {
                let group_id = GROUPS[place.group];
                self.coordinator
                    .delete_offsets(group_id, vec![partition(place)], ticket, NOW_MS)
            }
            Step::DeleteGroup(group) => {
                let group_ids = [GROUPS[group].to_owned()];
                self.coordinator.delete_groups(&group_ids, ticket, NOW_MS)
            }
            Step::DeletePartition(place) => self
                .coordinator
                .partitions_deleted(&[partition(place)], NOW_MS),
            Step::Flush => return self.flush(),
            Step::Crash => return self.crash(false),
            Step::CrashAfterCleaning => return self.crash(true),
        };
        self.take(outcome);
    }

    /// What fetches say.
    fn fetched(&self) -> Meaning {
        let mut said = Meaning::default();
        let all: Vec<TopicPartitions> = TOPICS
            .iter()
            .map(|topic| TopicPartitions {
                name: (*topic).to_owned(),
                partitions: (0..PARTITIONS).collect(),
            })
            .collect();
        for group in GROUPS {
            let committed = self.coordinator.fetch_offsets(group, None, false).unwrap();
            for topic in committed {
                for each in topic.partitions {
                    let key = (group.to_owned(), topic.name.clone(), each.partition);
                    said.committed.insert(key, each.offset);
                }
            }
            let stable = self.coordinator.fetch_offsets(group, Some(&all), true);
            for topic in stable.unwrap() {
                for each in topic.partitions {
                    let key = (group.to_owned(), topic.name.clone(), each.partition);
                    match each.error {
                        Some(GroupError::UnstableOffsetCommit) => {
                            said.pending.insert(key);
                        }
                        None => {
                            let committed = said.committed.get(&key).copied();
                            assert_eq!(committed.unwrap_or(-1), each.offset);
                        }
                        other => panic!("a fetch was answered with {other:?}"),
                    }
                }
            }
        }
        said
    }

    /// What fetches should say: the log up to the first append in flight, and what is on its way.
    fn expected(&self) -> Meaning {
        let settled = self.in_flight.front().map_or(self.log.len(), |each| each.1);
        let mut expected = meaning(&self.log[..settled]);
        for entry in &self.log[settled..] {
            if let Entry::Record(_, record) = entry
                && record.value.is_some()
            {
                expected.pending.extend(offset_key(record));
            }
        }
        expected
    }
}

fn partition(place: Place) -> TopicPartitions {
    TopicPartitions {
        name: TOPICS[place.topic].to_owned(),
        partitions: vec![place.partition],
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn fetches_say_what_the_log_means_through_crashes_and_cleanings(steps in prop::collection::vec(step(), 1..60)) {
        let mut runtime = Runtime::load(Vec::new());
        for step in &steps {
            runtime.take_step(step);
            prop_assert_eq!(runtime.fetched(), runtime.expected(), "after {:?}", step);
        }
        // When all is over nothing is left behind.
        for producer in 0..PRODUCERS {
            runtime.take_step(&Step::End(producer, true));
        }
        runtime.flush();
        for group in 0..GROUPS.len() {
            runtime.take_step(&Step::DeleteGroup(group));
        }
        runtime.flush();
        prop_assert!(runtime.coordinator.list().unwrap().is_empty());
        runtime.crash(true);
        prop_assert!(runtime.coordinator.list().unwrap().is_empty());
    }
}
