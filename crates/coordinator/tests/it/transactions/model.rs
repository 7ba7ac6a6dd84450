//! Random producers against a model of what a transaction is.
//!
//! Several producers of both generations share one transactional id. Requests are repeated and come
//! late, appends fail (and may be in the log all the same), markers fail, and the coordinator
//! crashes and replays what was durable and perhaps more. Partitions are modelled as a broker keeps
//! them: data of an open transaction per producer id, the epoch seen last, and markers that decide.
//!
//! Whatever happens: data that a producer wrote in one transaction is committed in all partitions or
//! aborted in all, as the producer was told if it was told; nothing stays open; every request is
//! answered once; and an id that nobody uses leaves nothing behind.

use std::collections::{BTreeMap, BTreeSet};

use lastword_coordinator::{
    AddPartitionsRequest, Append, AppendError, CoordinatorRecord, EndTxnRequest,
    InitProducerIdRequest, MarkerWrite, Outcome, Ticket, TransactionConfig, TransactionCoordinator,
    TransactionError, TransactionFilters, TransactionReply, TransactionState, TransactionVersion,
    encode_transaction_log_value,
};
use proptest::prelude::*;
use proptest::sample::Index;

use super::harness::{
    Client, ID, Producer, add_request, end_request, init_request, key, producer, recover_request,
    topic, value,
};

const PARTITIONS: i32 = 4;
const CLIENTS: [Client; 4] = [Client::New, Client::New, Client::Old, Client::Old];

#[derive(Debug, Clone)]
enum Step {
    Init {
        client: usize,
        recovers: bool,
    },
    Write {
        client: usize,
        partition: i32,
    },
    End {
        client: usize,
        is_commit: bool,
    },
    Late {
        request: Index,
    },
    Report {
        count: usize,
        fate: Fate,
    },
    Mark {
        failing: Option<i32>,
        is_reported: bool,
    },
    Advance {
        duration_ms: i64,
    },
    Crash {
        kept: Index,
    },
}

/// What becomes of an append.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Durable,
    Lost,
    /// Reported as failed, and in the log all the same.
    FailedAndThere,
}

fn step() -> impl Strategy<Value = Step> {
    let client = || 0..CLIENTS.len();
    let fate = prop_oneof![
        8 => Just(Fate::Durable),
        1 => Just(Fate::Lost),
        1 => Just(Fate::FailedAndThere),
    ];
    prop_oneof![
        3 => (client(), any::<bool>()).prop_map(|(client, recovers)| Step::Init { client, recovers }),
        10 => (client(), 0..PARTITIONS).prop_map(|(client, partition)| Step::Write { client, partition }),
        6 => (client(), any::<bool>()).prop_map(|(client, is_commit)| Step::End { client, is_commit }),
        2 => any::<Index>().prop_map(|request| Step::Late { request }),
        12 => (1usize..4, fate).prop_map(|(count, fate)| Step::Report { count, fate }),
        6 => (prop::option::weighted(0.2, 0..PARTITIONS), prop::bool::weighted(0.9))
            .prop_map(|(failing, is_reported)| Step::Mark { failing, is_reported }),
        2 => prop_oneof![5 => 1i64..2_000, 1 => 1i64..90_000]
            .prop_map(|duration_ms| Step::Advance { duration_ms }),
        1 => any::<Index>().prop_map(|kept| Step::Crash { kept }),
    ]
}

/// One transaction of one producer, as the producer sees it.
type Tag = usize;

#[derive(Debug, Default)]
struct Partition {
    /// Per producer id the epoch seen last.
    epochs: BTreeMap<i64, i16>,
    /// Per producer id its undecided data, each with the epoch it was written with.
    open: BTreeMap<i64, Vec<(Tag, i16)>>,
    /// Whether each transaction was committed here.
    decided: BTreeMap<Tag, BTreeSet<bool>>,
}

impl Partition {
    /// What a broker checks before it appends to a transaction that is open or was just verified.
    fn write(&mut self, producer: Producer, tag: Tag) {
        let epoch = self.epochs.entry(producer.id).or_insert(producer.epoch);
        if *epoch > producer.epoch {
            return;
        }
        *epoch = producer.epoch;
        let open = self.open.entry(producer.id).or_default();
        for (other, _) in open.iter() {
            assert_eq!(*other, tag, "two transactions share an open one");
        }
        open.push((tag, producer.epoch));
    }

    fn is_open(&self, producer: Producer) -> bool {
        self.open.contains_key(&producer.id)
    }

    fn mark(&mut self, marker: &MarkerWrite) {
        let epoch = self.epochs.entry(marker.producer_id).or_insert(-1);
        assert!(
            marker.producer_epoch >= *epoch,
            "a broker refuses {marker:?} after epoch {epoch}"
        );
        *epoch = marker.producer_epoch;
        for (tag, written) in self.open.remove(&marker.producer_id).unwrap_or_default() {
            let is_bumped = written < marker.producer_epoch || written == i16::MAX;
            assert!(is_bumped || marker.transaction_version < 2, "{marker:?}");
            let decided = self.decided.entry(tag).or_default();
            decided.insert(marker.is_commit);
        }
    }
}

#[derive(Debug, Clone)]
enum Request {
    Init(InitProducerIdRequest),
    Add(AddPartitionsRequest),
    End(EndTxnRequest),
}

/// One process with a producer in it, which behaves as the protocol asks for.
#[derive(Debug)]
struct Process {
    client: Client,
    who: Option<Producer>,
    tag: Option<Tag>,
    added: BTreeSet<i32>,
    /// A write failed: the transaction can only be aborted.
    must_abort: bool,
    /// It has decided, and asks until it is answered.
    ending: Option<bool>,
    /// It asks for its id and epoch until it is answered.
    initializing: Option<InitProducerIdRequest>,
    is_waiting: bool,
}

impl Process {
    fn new(client: Client) -> Self {
        Self {
            client,
            who: None,
            tag: None,
            added: BTreeSet::new(),
            must_abort: false,
            ending: None,
            initializing: None,
            is_waiting: false,
        }
    }

    /// Its transaction is over, in whatever way.
    fn forget_transaction(&mut self) {
        *self = Self {
            who: self.who,
            ..Self::new(self.client)
        };
    }
}

struct World {
    config: TransactionConfig,
    coordinator: TransactionCoordinator,
    now_ms: i64,
    /// All that was written; a crash loses what is behind `durable`.
    log: Vec<CoordinatorRecord>,
    durable: usize,
    appends: Vec<Append>,
    markers: Vec<MarkerWrite>,
    partitions: Vec<Partition>,
    processes: Vec<Process>,
    /// Who waits for a reply; nobody does for a repeated request.
    waiting: BTreeMap<Ticket, Option<(usize, Request)>>,
    sent: Vec<Request>,
    /// What producers were told about their transactions.
    told: BTreeMap<Tag, bool>,
    next_tag: Tag,
    next_ticket: u64,
    next_producer_id: i64,
}

impl World {
    /// The id has been there for long: its producer has had nearly all epochs.
    fn with_epoch(mut self, producer_epoch: i16) -> Self {
        let value = value(
            TransactionState::CompleteCommit,
            producer(99, producer_epoch),
            Client::New,
        );
        let value = encode_transaction_log_value(&value, self.config.transaction_version);
        self.log.push(CoordinatorRecord {
            key: key(ID),
            value: Some(value),
        });
        self.restart(1);
        self
    }

    fn new(transaction_version: TransactionVersion) -> Self {
        let config = TransactionConfig {
            transaction_version,
            ..TransactionConfig::default()
        };
        let mut world = Self {
            coordinator: TransactionCoordinator::new(config.clone()),
            config,
            now_ms: 1_000_000,
            log: Vec::new(),
            durable: 0,
            appends: Vec::new(),
            markers: Vec::new(),
            partitions: (0..PARTITIONS).map(|_| Partition::default()).collect(),
            processes: CLIENTS.into_iter().map(Process::new).collect(),
            waiting: BTreeMap::new(),
            sent: Vec::new(),
            told: BTreeMap::new(),
            next_tag: 0,
            next_ticket: 0,
            next_producer_id: 100,
        };
        let outcome = world.coordinator.loaded(world.now_ms);
        world.take(outcome);
        world
    }

    fn take(&mut self, outcome: Outcome<TransactionReply>) {
        self.appends.extend(outcome.appends);
        self.markers.extend(outcome.markers);
        for (ticket, reply) in outcome.replies {
            let waiting = self.waiting.remove(&ticket);
            let waiting = waiting.unwrap_or_else(|| panic!("{ticket:?} was answered twice"));
            if let Some((index, request)) = waiting {
                self.answer(index, request, reply);
            }
        }
    }

    fn send(&mut self, process: Option<usize>, request: Request) {
        self.next_ticket += 1;
        self.next_producer_id += 1;
        let (ticket, fresh) = (Ticket(self.next_ticket), self.next_producer_id);
        if let Some(index) = process {
            self.processes[index].is_waiting = true;
            self.sent.push(request.clone());
        }
        let waiting = process.map(|index| (index, request.clone()));
        self.waiting.insert(ticket, waiting);
        let coordinator = &mut self.coordinator;
        let outcome = match &request {
            Request::Init(request) => {
                coordinator.init_producer_id(request, fresh, ticket, self.now_ms)
            }
            Request::Add(request) => coordinator.add_partitions(request, ticket, self.now_ms),
            Request::End(request) => coordinator.end(request, fresh, ticket, self.now_ms),
        };
        self.take(outcome);
    }

    fn answer(&mut self, index: usize, request: Request, reply: TransactionReply) {
        let process = &mut self.processes[index];
        process.is_waiting = false;
        let error = reply.error();
        let is_retriable = matches!(
            error,
            Some(
                TransactionError::ConcurrentTransactions
                    | TransactionError::NotCoordinator
                    | TransactionError::CoordinatorNotAvailable
            )
        );
        if error.is_some() && !is_retriable {
            // Fenced, or in a state it cannot explain: it must begin anew.
            *process = Process::new(process.client);
            return;
        }
        match (request, reply) {
            (Request::Init(_), TransactionReply::InitProducerId(reply)) if error.is_none() => {
                process.who = Some(producer(reply.producer_id, reply.producer_epoch));
                process.initializing = None;
            }
            (Request::Add(request), _) => {
                let partition = request.topics[0].partitions[0];
                if error.is_some() {
                    process.must_abort |= error != Some(TransactionError::ConcurrentTransactions);
                    return;
                }
                process.added.insert(partition);
                self.write(index, partition);
            }
            (Request::End(request), TransactionReply::End(reply)) if error.is_none() => {
                if process.client == Client::New {
                    process.who = Some(producer(reply.producer_id, reply.producer_epoch));
                }
                if let Some(tag) = process.tag {
                    self.told.insert(tag, request.is_commit);
                }
                process.forget_transaction();
            }
            _ => {}
        }
    }

    /// A partition is part of the transaction: data goes there, if its broker agrees.
    fn write(&mut self, index: usize, partition: i32) {
        let process = &self.processes[index];
        let (Some(who), Some(tag)) = (process.who, process.tag) else {
            return;
        };
        let place = &mut self.partitions[partition as usize];
        if !place.is_open(who) {
            let topics = vec![topic("t", &[partition])];
            let request = add_request(process.client, who, topics);
            let verified = self.coordinator.verify_partitions(&request);
            if verified[0].partitions[0].error.is_some() {
                return;
            }
        }
        place.write(who, tag);
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Init { client, recovers } => self.init(*client, *recovers),
            Step::Write { client, partition } => self.add(*client, *partition),
            Step::End { client, is_commit } => self.end(*client, *is_commit),
            Step::Late { request } => self.late(request),
            Step::Report { count, fate } => self.report(*count, *fate),
            Step::Mark {
                failing,
                is_reported,
            } => self.mark(*failing, *is_reported),
            Step::Advance { duration_ms } => self.advance(*duration_ms),
            Step::Crash { kept } => self.crash(kept),
        }
    }

    fn init(&mut self, index: usize, recovers: bool) {
        let process = &mut self.processes[index];
        if process.is_waiting || process.ending.is_some() {
            return;
        }
        let request = match (process.initializing.take(), process.who) {
            (Some(request), _) => request,
            (None, Some(who)) if recovers => recover_request(who),
            _ => init_request(),
        };
        // Whatever was open is given up.
        *process = Process {
            initializing: Some(request.clone()),
            ..Process::new(process.client)
        };
        self.send(Some(index), Request::Init(request));
    }

    fn add(&mut self, index: usize, partition: i32) {
        let process = &mut self.processes[index];
        let Some(who) = process.who else { return };
        if process.ending.is_some() && process.added.contains(&partition) {
            // The data was on its way when the transaction was ended.
            self.write(index, partition);
            return;
        }
        if process.is_waiting || process.ending.is_some() || process.must_abort {
            return;
        }
        if process.tag.is_none() {
            process.tag = Some(self.next_tag);
            self.next_tag += 1;
        }
        if process.client == Client::Old && process.added.contains(&partition) {
            self.write(index, partition);
            return;
        }
        let topics = vec![topic("t", &[partition])];
        let request = add_request(process.client, who, topics);
        self.send(Some(index), Request::Add(request));
    }

    fn end(&mut self, index: usize, is_commit: bool) {
        let process = &mut self.processes[index];
        let Some(who) = process.who else { return };
        let has_begun = !process.added.is_empty();
        let may_abort = has_begun || process.client == Client::New;
        if process.is_waiting || (process.ending.is_none() && !may_abort) {
            return;
        }
        let may_commit = has_begun && !process.must_abort;
        let is_commit = *process.ending.get_or_insert(is_commit && may_commit);
        let request = end_request(process.client, who, is_commit);
        self.send(Some(index), Request::End(request));
    }

    /// A request comes a second time, perhaps long after the first. Only since KIP-890 does that do
    /// no harm: before, nothing tells a late request from one of the next transaction.
    fn late(&mut self, request: &Index) {
        if self.sent.is_empty() {
            return;
        }
        let request = request.get(&self.sent).clone();
        let is_safe = match &request {
            Request::Init(_) => false,
            Request::Add(request) => request.client_transaction_version >= TransactionVersion::V2,
            Request::End(request) => request.api_version >= 5,
        };
        if is_safe {
            self.send(None, request);
        }
    }

    fn report(&mut self, count: usize, fate: Fate) {
        for _ in 0..count.min(self.appends.len()) {
            let append = self.appends.remove(0);
            if !matches!(fate, Fate::Lost) {
                self.log.extend(append.records);
            }
            let result = match fate {
                Fate::Durable => {
                    self.durable = self.log.len();
                    Ok(())
                }
                Fate::Lost | Fate::FailedAndThere => Err(AppendError::TimedOut),
            };
            let outcome = self.coordinator.appended(append.id, result, self.now_ms);
            self.take(outcome);
        }
    }

    fn mark(&mut self, failing: Option<i32>, is_reported: bool) {
        if self.markers.is_empty() {
            return;
        }
        let marker = self.markers.remove(0);
        let mut failed = Vec::new();
        for partition in marker.topics.iter().flat_map(|topic| &topic.partitions) {
            if failing == Some(*partition) {
                failed.push(topic("t", &[*partition]));
            } else {
                self.partitions[*partition as usize].mark(&marker);
            }
        }
        if is_reported {
            let result = if failed.is_empty() {
                Ok(())
            } else {
                Err(failed)
            };
            let outcome = self
                .coordinator
                .markers_written(marker.id, result, self.now_ms);
            self.take(outcome);
        } else {
            // Written, and nobody will ever hear of it: the process ends.
            let kept = self.durable;
            self.restart(kept);
        }
    }

    fn advance(&mut self, duration_ms: i64) {
        let end_ms = self.now_ms + duration_ms;
        while let Some(deadline_ms) = self.coordinator.next_deadline_ms() {
            if deadline_ms > end_ms {
                break;
            }
            self.now_ms = self.now_ms.max(deadline_ms);
            let outcome = self.coordinator.tick(self.now_ms);
            self.take(outcome);
        }
        self.now_ms = end_ms;
    }

    /// Appends in flight may have been written too; what was written need not have survived.
    fn crash(&mut self, kept: &Index) {
        for append in std::mem::take(&mut self.appends) {
            self.log.extend(append.records);
        }
        let kept = self.durable + kept.index(self.log.len() - self.durable + 1);
        self.restart(kept);
    }

    fn restart(&mut self, kept: usize) {
        self.log.truncate(kept);
        self.durable = kept;
        self.appends.clear();
        self.markers.clear();
        for (_, waiting) in std::mem::take(&mut self.waiting) {
            if let Some((index, request)) = waiting {
                let process = &mut self.processes[index];
                process.is_waiting = false;
                // Nobody knows whether the partition was added.
                process.must_abort |= matches!(request, Request::Add(_));
            }
        }
        self.coordinator = TransactionCoordinator::new(self.config.clone());
        for record in &self.log {
            let value = record.value.as_deref();
            self.coordinator.replay(&record.key, value).unwrap();
        }
        let outcome = self.coordinator.loaded(self.now_ms);
        self.take(outcome);
    }

    /// Everything works from now on, and time passes until nothing happens any more.
    fn settle(&mut self, duration_ms: i64) {
        let end_ms = self.now_ms + duration_ms;
        loop {
            self.report(usize::MAX, Fate::Durable);
            while !self.markers.is_empty() {
                self.mark(None, true);
            }
            if !self.appends.is_empty() {
                continue;
            }
            match self.coordinator.next_deadline_ms() {
                Some(deadline_ms) if deadline_ms <= end_ms => {
                    let pause_ms = (deadline_ms - self.now_ms).max(0);
                    self.advance(pause_ms);
                }
                _ => break,
            }
        }
        self.now_ms = end_ms;
    }

    fn check_transactions(&self) {
        let mut decided: BTreeMap<Tag, BTreeSet<bool>> = BTreeMap::new();
        for partition in &self.partitions {
            assert!(partition.open.is_empty(), "hanging: {partition:?}");
            for (tag, commits) in &partition.decided {
                decided.entry(*tag).or_default().extend(commits);
            }
        }
        for (tag, commits) in decided {
            assert_eq!(commits.len(), 1, "transaction {tag} ended twice");
            if let Some(told) = self.told.get(&tag) {
                assert!(commits.contains(told), "transaction {tag} was told {told}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn every_transaction_ends_once_and_in_all_its_partitions(
        is_new in any::<bool>(),
        producer_epoch in prop::option::of(i16::MAX - 6..i16::MAX),
        steps in prop::collection::vec(step(), 1..150),
    ) {
        let version = if is_new { TransactionVersion::V2 } else { TransactionVersion::V1 };
        let mut world = World::new(version);
        if let Some(producer_epoch) = producer_epoch {
            world = world.with_epoch(producer_epoch);
        }
        for step in &steps {
            world.step(step);
        }
        world.settle(120_000);
        prop_assert!(world.waiting.is_empty(), "never answered: {:?}", world.waiting);
        // Producers that were asking hear what has become of their transactions.
        for index in 0..CLIENTS.len() {
            if world.processes[index].ending.is_some() {
                world.end(index, false);
                world.settle(0);
            }
        }
        world.settle(120_000);
        world.check_transactions();
        // Another process finds what this one has.
        let described = world.coordinator.describe(ID);
        world.restart(world.durable);
        prop_assert_eq!(world.coordinator.describe(ID), described);
        // And in the end nothing is left.
        world.settle(8 * 24 * 3_600_000);
        let listed = world.coordinator.list(&TransactionFilters::default(), world.now_ms);
        prop_assert_eq!(listed, Ok(Vec::new()));
    }
}
