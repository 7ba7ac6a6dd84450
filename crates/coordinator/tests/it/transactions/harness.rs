//! A runtime in miniature: it keeps the log, reports appends and markers, and collects replies.

use std::collections::BTreeMap;

use lastword_coordinator::{
    AddPartitionsRequest, Append, AppendError, CoordinatorRecord, DescribedTransaction,
    EndTxnRequest, InitProducerIdRequest, MarkerWrite, Outcome, ProducerIdReply, Ticket,
    TopicPartitions, TransactionConfig, TransactionCoordinator, TransactionError,
    TransactionFilters, TransactionLogValue, TransactionReply, TransactionState,
    TransactionVersion, decode_transaction_log_value,
};

pub const ID: &str = "transfers";
pub const TIMEOUT_MS: i32 = 60_000;

/// How a client speaks: which generation of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Client {
    /// EndTxn 4, AddPartitionsToTxn 3, InitProducerId 4.
    Old,
    /// EndTxn 5, partitions are added on its behalf, InitProducerId 5.
    New,
}

pub const CLIENTS: [Client; 2] = [Client::Old, Client::New];

pub struct Machine {
    pub coordinator: TransactionCoordinator,
    pub config: TransactionConfig,
    pub now_ms: i64,
    pub log: Vec<CoordinatorRecord>,
    pub replies: BTreeMap<Ticket, TransactionReply>,
    /// Appends that wait to be reported, while `holds_appends` is set.
    pub appends: Vec<Append>,
    pub holds_appends: bool,
    /// Marker writes that wait to be reported, while `holds_markers` is set.
    pub markers: Vec<MarkerWrite>,
    pub holds_markers: bool,
    /// Every marker that was asked for, in order.
    pub asked: Vec<MarkerWrite>,
    next_ticket: u64,
    next_producer_id: i64,
}

/// A producer as it sees itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Producer {
    pub id: i64,
    pub epoch: i16,
}

pub fn producer(id: i64, epoch: i16) -> Producer {
    Producer { id, epoch }
}

pub fn topic(name: &str, partitions: &[i32]) -> TopicPartitions {
    TopicPartitions {
        name: name.to_owned(),
        partitions: partitions.to_vec(),
    }
}

pub fn init_request() -> InitProducerIdRequest {
    InitProducerIdRequest {
        transactional_id: ID.to_owned(),
        transaction_timeout_ms: TIMEOUT_MS,
        producer_id: -1,
        producer_epoch: -1,
        enable_2pc: false,
        keep_prepared_txn: false,
        api_version: 5,
    }
}

pub fn recover_request(producer: Producer) -> InitProducerIdRequest {
    InitProducerIdRequest {
        producer_id: producer.id,
        producer_epoch: producer.epoch,
        ..init_request()
    }
}

pub fn add_request(
    client: Client,
    producer: Producer,
    topics: Vec<TopicPartitions>,
) -> AddPartitionsRequest {
    let api_version = if client == Client::Old { 3 } else { 5 };
    AddPartitionsRequest {
        transactional_id: ID.to_owned(),
        producer_id: producer.id,
        producer_epoch: producer.epoch,
        topics,
        client_transaction_version: TransactionVersion::of_add_partitions_to_txn(api_version),
        api_version,
    }
}

pub fn end_request(client: Client, producer: Producer, is_commit: bool) -> EndTxnRequest {
    EndTxnRequest {
        transactional_id: ID.to_owned(),
        producer_id: producer.id,
        producer_epoch: producer.epoch,
        is_commit,
        api_version: if client == Client::Old { 4 } else { 5 },
    }
}

impl Machine {
    pub fn new() -> Self {
        Self::with_config(TransactionConfig::default())
    }

    /// One whose server side is of the generation of its client.
    pub fn of(client: Client) -> Self {
        let transaction_version = match client {
            Client::Old => TransactionVersion::V1,
            Client::New => TransactionVersion::V2,
        };
        Self::with_config(TransactionConfig {
            transaction_version,
            ..TransactionConfig::default()
        })
    }

    pub fn with_config(config: TransactionConfig) -> Self {
        let mut machine = Self::unloaded(config);
        machine.load();
        machine
    }

    pub fn unloaded(config: TransactionConfig) -> Self {
        Self {
            coordinator: TransactionCoordinator::new(config.clone()),
            config,
            now_ms: 1_000_000,
            log: Vec::new(),
            replies: BTreeMap::new(),
            appends: Vec::new(),
            holds_appends: false,
            markers: Vec::new(),
            holds_markers: false,
            asked: Vec::new(),
            next_ticket: 0,
            next_producer_id: 4000,
        }
    }

    /// One whose only id has this state, loaded.
    pub fn with_value(config: TransactionConfig, value: &TransactionLogValue) -> Self {
        let mut machine = Self::unloaded(config);
        machine.holds_markers = true;
        machine.log.push(CoordinatorRecord {
            key: key(ID),
            value: Some(lastword_coordinator::encode_transaction_log_value(
                value,
                TransactionVersion::V2,
            )),
        });
        machine.load();
        machine
    }

    pub fn load(&mut self) {
        for record in &self.log {
            let value = record.value.as_deref();
            self.coordinator.replay(&record.key, value).unwrap();
        }
        let outcome = self.coordinator.loaded(self.now_ms);
        self.take(outcome);
    }

    /// The same log in a new process: nothing else is left.
    pub fn restarted(&self) -> Self {
        let mut machine = Self::unloaded(self.config.clone());
        machine.now_ms = self.now_ms;
        machine.log = self.log.clone();
        machine.next_producer_id = self.next_producer_id + 1000;
        machine.load();
        machine
    }

    fn ticket(&mut self) -> Ticket {
        self.next_ticket += 1;
        Ticket(self.next_ticket)
    }

    fn fresh_producer_id(&mut self) -> i64 {
        self.next_producer_id += 1;
        self.next_producer_id
    }

    pub fn take(&mut self, outcome: Outcome<TransactionReply>) {
        for (ticket, reply) in outcome.replies {
            let repeated = self.replies.insert(ticket, reply);
            assert!(repeated.is_none(), "{ticket:?} was answered twice");
        }
        self.asked.extend(outcome.markers.iter().cloned());
        self.appends.extend(outcome.appends);
        self.markers.extend(outcome.markers);
        if !self.holds_appends {
            self.release_appends(Ok(()));
        }
        if !self.holds_markers {
            self.release_markers();
        }
    }

    /// Reports all held appends, in order.
    pub fn release_appends(&mut self, result: Result<(), AppendError>) {
        for append in std::mem::take(&mut self.appends) {
            if result.is_ok() {
                self.log.extend(append.records);
            }
            let outcome = self.coordinator.appended(append.id, result, self.now_ms);
            self.take(outcome);
        }
    }

    /// Reports all held markers as written.
    pub fn release_markers(&mut self) {
        for marker in std::mem::take(&mut self.markers) {
            let outcome = self
                .coordinator
                .markers_written(marker.id, Ok(()), self.now_ms);
            self.take(outcome);
        }
    }

    /// Reports the one held marker write as failed in some partitions.
    pub fn fail_markers(&mut self, failed: Vec<TopicPartitions>) {
        assert_eq!(self.markers.len(), 1);
        let marker = self.markers.remove(0);
        let outcome = self
            .coordinator
            .markers_written(marker.id, Err(failed), self.now_ms);
        self.take(outcome);
    }

    /// Lets time pass, stopping at every deadline on the way.
    pub fn advance(&mut self, duration_ms: i64) {
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

    pub fn init(&mut self, request: &InitProducerIdRequest) -> Ticket {
        let (ticket, fresh) = (self.ticket(), self.fresh_producer_id());
        let outcome = self
            .coordinator
            .init_producer_id(request, fresh, ticket, self.now_ms);
        self.take(outcome);
        ticket
    }

    pub fn add_to(&mut self, request: &AddPartitionsRequest) -> Ticket {
        let ticket = self.ticket();
        let outcome = self
            .coordinator
            .add_partitions(request, ticket, self.now_ms);
        self.take(outcome);
        ticket
    }

    pub fn end(&mut self, request: &EndTxnRequest) -> Ticket {
        let (ticket, fresh) = (self.ticket(), self.fresh_producer_id());
        let outcome = self.coordinator.end(request, fresh, ticket, self.now_ms);
        self.take(outcome);
        ticket
    }

    pub fn is_parked(&self, ticket: Ticket) -> bool {
        !self.replies.contains_key(&ticket)
    }

    pub fn producer_reply(&self, ticket: Ticket) -> ProducerIdReply {
        match self.replies.get(&ticket) {
            Some(TransactionReply::InitProducerId(reply) | TransactionReply::End(reply)) => *reply,
            other => panic!("{ticket:?} was answered with {other:?}"),
        }
    }

    pub fn error(&self, ticket: Ticket) -> Option<TransactionError> {
        self.replies[&ticket].error()
    }

    // The same, answered at once and without an error

    pub fn initialized(&mut self, request: &InitProducerIdRequest) -> Producer {
        let ticket = self.init(request);
        let reply = self.producer_reply(ticket);
        assert_eq!(reply.error, None);
        producer(reply.producer_id, reply.producer_epoch)
    }

    pub fn new_producer(&mut self) -> Producer {
        self.initialized(&init_request())
    }

    pub fn add(&mut self, client: Client, producer: Producer, topics: Vec<TopicPartitions>) {
        let ticket = self.add_to(&add_request(client, producer, topics));
        assert_eq!(self.error(ticket), None);
    }

    /// A producer with an ongoing transaction in partitions 0 and 1 of `accounts`.
    pub fn ongoing(&mut self, client: Client) -> Producer {
        let producer = self.new_producer();
        self.add(client, producer, vec![topic("accounts", &[0, 1])]);
        producer
    }

    /// What the producer is after the end of its transaction.
    pub fn ended(&mut self, client: Client, before: Producer, is_commit: bool) -> Producer {
        let ticket = self.end(&end_request(client, before, is_commit));
        let reply = self.producer_reply(ticket);
        assert_eq!(reply.error, None);
        match client {
            Client::Old => before,
            Client::New => producer(reply.producer_id, reply.producer_epoch),
        }
    }

    pub fn described(&self) -> DescribedTransaction {
        self.coordinator.describe(ID).unwrap()
    }

    pub fn state(&self) -> TransactionState {
        self.described().state
    }

    /// What the coordinator thinks the producer is.
    pub fn current(&self) -> Producer {
        let described = self.described();
        producer(described.producer_id, described.producer_epoch)
    }

    /// The last record of the log.
    pub fn last_value(&self) -> TransactionLogValue {
        let value = self.log.last().unwrap().value.as_deref().unwrap();
        decode_transaction_log_value(value).unwrap()
    }

    /// The states in the log, in order.
    pub fn logged_states(&self) -> Vec<TransactionState> {
        let decode = |record: &CoordinatorRecord| {
            let value = record.value.as_deref()?;
            Some(decode_transaction_log_value(value).unwrap().state)
        };
        self.log.iter().filter_map(decode).collect()
    }

    pub fn listed_ids(&self) -> Vec<String> {
        let listed = self
            .coordinator
            .list(&TransactionFilters::default(), self.now_ms)
            .unwrap();
        listed.into_iter().map(|it| it.transactional_id).collect()
    }
}

/// The key of an id's records.
pub fn key(id: &str) -> Vec<u8> {
    let mut key = vec![0, 0];
    key.extend_from_slice(&(id.len() as i16).to_be_bytes());
    key.extend_from_slice(id.as_bytes());
    key
}

/// Some state of the id, to begin a test with.
pub fn value(state: TransactionState, producer: Producer, client: Client) -> TransactionLogValue {
    let has_partitions = matches!(
        state,
        TransactionState::Ongoing
            | TransactionState::PrepareCommit
            | TransactionState::PrepareAbort
    );
    let partitions = has_partitions.then(|| ("accounts".to_owned(), [0, 1].into()));
    TransactionLogValue {
        producer_id: producer.id,
        previous_producer_id: producer.id,
        next_producer_id: -1,
        producer_epoch: producer.epoch,
        transaction_timeout_ms: TIMEOUT_MS,
        state,
        partitions: partitions.into_iter().collect(),
        last_update_timestamp_ms: 1_000_000,
        start_timestamp_ms: if state == TransactionState::Empty {
            -1
        } else {
            1_000_000
        },
        client_transaction_version: match client {
            Client::Old => TransactionVersion::V0,
            Client::New => TransactionVersion::V2,
        },
    }
}
