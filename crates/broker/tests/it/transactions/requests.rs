//! A transactional producer, of either generation.

use lastword_protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use lastword_protocol::messages::create_topics_request::CreatableTopic;
use lastword_protocol::messages::describe_transactions_response::TransactionState;
use lastword_protocol::messages::fetch_response::PartitionData;
use lastword_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use lastword_protocol::messages::produce_response::PartitionProduceResponse;
use lastword_protocol::messages::{
    AddPartitionsToTxnRequest, CreateTopicsRequest, DescribeTransactionsRequest, EndTxnRequest,
    InitProducerIdRequest, InitProducerIdResponse, ProduceRequest,
};
use lastword_protocol::{StrBytes, message};
use lastword_record::BatchSpec;

use crate::client::{Client, DEADLINE, TestBroker, batch_of, fetch_request};

pub const READ_COMMITTED: i8 = 1;

/// Before KIP-890 and with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Generation {
    V1,
    V2,
}

pub const GENERATIONS: [Generation; 2] = [Generation::V1, Generation::V2];

/// A broker with few partitions of transactions and groups, which looks for timeouts often.
pub async fn transaction_broker(settings: &[(&str, &str)]) -> TestBroker {
    let mut all = vec![
        ("offsets.topic.num.partitions", "2"),
        ("transaction.state.log.num.partitions", "2"),
        ("group.initial.rebalance.delay.ms", "0"),
        (
            "transaction.abort.timed.out.transaction.cleanup.interval.ms",
            "20",
        ),
    ];
    all.extend_from_slice(settings);
    TestBroker::start(&all).await
}

pub async fn create_topic(broker: &TestBroker, name: &str, partitions: i32) {
    let topic = message!(CreatableTopic {
        name: StrBytes::from(name),
        num_partitions: partitions,
        replication_factor: 1,
    });
    let request = message!(CreateTopicsRequest {
        topics: vec![topic],
        timeout_ms: 10_000,
    });
    let response = broker.connect().await.call(&request, 7).await;
    assert_eq!(response.topics[0].error_code, 0, "{response:?}");
}

pub struct Producer {
    pub client: Client,
    pub id: String,
    pub generation: Generation,
    pub producer_id: i64,
    pub epoch: i16,
    sequences: std::collections::HashMap<(String, i32), i32>,
}

impl Producer {
    /// A new producer, which fences the one before.
    pub async fn new(broker: &TestBroker, id: &str, generation: Generation) -> Producer {
        Producer::with_timeout(broker, id, generation, 60_000).await
    }

    pub async fn with_timeout(
        broker: &TestBroker,
        id: &str,
        generation: Generation,
        timeout_ms: i32,
    ) -> Producer {
        let mut client = broker.connect().await;
        let given = init(&mut client, id, generation, timeout_ms).await;
        assert_eq!(given.error_code, 0, "{given:?}");
        Producer {
            client,
            id: id.to_owned(),
            generation,
            producer_id: given.producer_id,
            epoch: given.producer_epoch,
            sequences: Default::default(),
        }
    }

    pub fn spec(&self, base_sequence: i32) -> BatchSpec {
        BatchSpec {
            producer_id: self.producer_id,
            producer_epoch: self.epoch,
            base_sequence,
            is_transactional: true,
            ..BatchSpec::default()
        }
    }

    /// One record, in the transaction that is open or that this begins.
    pub async fn write(&mut self, topic: &str, partition: i32, value: &str) {
        if self.generation == Generation::V1 {
            let code = self.add(topic, partition).await;
            assert_eq!(code, 0, "AddPartitionsToTxn");
        }
        let written = self.produce(topic, partition, value).await;
        assert_eq!(written.error_code, 0, "{written:?}");
    }

    /// As a client of the old generation does before it produces; the partition's code.
    pub async fn add(&mut self, topic: &str, partition: i32) -> i16 {
        let request = message!(AddPartitionsToTxnRequest {
            v3_and_below_transactional_id: self.id.as_str().into(),
            v3_and_below_producer_id: self.producer_id,
            v3_and_below_producer_epoch: self.epoch,
            v3_and_below_topics: vec![message!(AddPartitionsToTxnTopic {
                name: topic.into(),
                partitions: vec![partition],
            })],
        });
        loop {
            let response = self.client.call(&request, 3).await;
            let topic = &response.results_by_topic_v3_and_below[0];
            let code = topic.results_by_partition[0].partition_error_code;
            if code != 51 {
                return code;
            }
            tokio::task::yield_now().await;
        }
    }

    /// One record, in the version of the generation.
    pub async fn produce(
        &mut self,
        topic: &str,
        partition: i32,
        value: &str,
    ) -> PartitionProduceResponse {
        let version = match self.generation {
            Generation::V1 => 11,
            Generation::V2 => 12,
        };
        loop {
            let response = self.produce_in(version, topic, partition, value).await;
            // The markers of the transaction before are being written.
            if response.error_code != 51 {
                return response;
            }
        }
    }

    pub async fn produce_in(
        &mut self,
        version: i16,
        topic: &str,
        partition: i32,
        value: &str,
    ) -> PartitionProduceResponse {
        let place = (topic.to_owned(), partition);
        let sequence = self.sequences.get(&place).copied().unwrap_or(0);
        let records = batch_of(self.spec(sequence), &[(Some("k"), Some(value))]);
        let request = message!(ProduceRequest {
            transactional_id: Some(self.id.as_str().into()),
            acks: -1,
            timeout_ms: 20_000,
            topic_data: vec![message!(TopicProduceData {
                name: topic.into(),
                partition_data: vec![message!(PartitionProduceData {
                    index: partition,
                    records: Some(records),
                })],
            })],
        });
        let response = self.client.call(&request, version).await;
        let response = response.responses[0].partition_responses[0].clone();
        if response.error_code == 0 {
            self.sequences.insert(place, sequence + 1);
        }
        response
    }

    pub async fn commit(&mut self) {
        assert_eq!(self.end(true).await, 0, "commit");
    }

    pub async fn abort(&mut self) {
        assert_eq!(self.end(false).await, 0, "abort");
    }

    /// The code of EndTxn; the epoch of the next transaction is taken over.
    pub async fn end(&mut self, is_commit: bool) -> i16 {
        let request = message!(EndTxnRequest {
            transactional_id: self.id.as_str().into(),
            producer_id: self.producer_id,
            producer_epoch: self.epoch,
            committed: is_commit,
        });
        let version = match self.generation {
            Generation::V1 => 4,
            Generation::V2 => 5,
        };
        loop {
            let response = self.client.call(&request, version).await;
            if response.error_code == 51 {
                continue;
            }
            if response.error_code == 0 && self.generation == Generation::V2 {
                self.producer_id = response.producer_id;
                self.epoch = response.producer_epoch;
                self.sequences.clear();
            }
            return response.error_code;
        }
    }
}

/// InitProducerId, again while an older transaction is being ended or the id is loaded.
pub async fn init(
    client: &mut Client,
    id: &str,
    generation: Generation,
    timeout_ms: i32,
) -> InitProducerIdResponse {
    let request = message!(InitProducerIdRequest {
        transactional_id: Some(id.into()),
        transaction_timeout_ms: timeout_ms,
        producer_id: -1,
        producer_epoch: -1,
    });
    let version = match generation {
        Generation::V1 => 4,
        Generation::V2 => 5,
    };
    let asking = async {
        loop {
            let response = client.call(&request, version).await;
            if !matches!(response.error_code, 14 | 51) {
                return response;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, asking).await.unwrap()
}

impl Client {
    /// What a reader of committed records gets of a partition at this moment.
    pub async fn fetch_committed(&mut self, topic: &str, partition: i32) -> PartitionData {
        let mut request = fetch_request(topic, 0, 0, 1);
        request.isolation_level = READ_COMMITTED;
        request.topics[0].partitions[0].partition = partition;
        let response = self.call(&request, 12).await;
        assert_eq!(response.error_code, 0);
        response.responses[0].partitions[0].clone()
    }

    /// The values that a reader of committed records sees: without markers and aborted records.
    /// The values that a reader of committed records sees once the last stable offset is there.
    pub async fn values_at(&mut self, topic: &str, partition: i32, stable: i64) -> Vec<String> {
        let asking = async {
            loop {
                let fetched = self.fetch_committed(topic, partition).await;
                if fetched.last_stable_offset >= stable {
                    assert_eq!(fetched.last_stable_offset, stable);
                    return values(&fetched);
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(DEADLINE, asking).await.unwrap()
    }

    pub async fn describe(&mut self, id: &str) -> TransactionState {
        let request = message!(DescribeTransactionsRequest {
            transactional_ids: vec![StrBytes::from(id)],
        });
        self.call(&request, 0).await.transaction_states[0].clone()
    }

    /// Asks until the transactional id is in a state.
    pub async fn wait_for_state(&mut self, id: &str, state: &str) -> TransactionState {
        let asking = async {
            loop {
                let described = self.describe(id).await;
                if &*described.transaction_state == state {
                    return described;
                }
                tokio::task::yield_now().await;
            }
        };
        let waited = tokio::time::timeout(DEADLINE, asking).await;
        waited.unwrap_or_else(|_| panic!("{id} does not become {state}"))
    }
}

/// What a consumer makes of an answer: it drops markers, and records of aborted transactions.
pub fn values(fetched: &PartitionData) -> Vec<String> {
    use lastword_record::control::ControlRecordType;
    use lastword_record::{Decompressor, RecordBatches};

    let bytes = fetched.records.clone().unwrap_or_default();
    let mut aborted = fetched.aborted_transactions.clone().unwrap_or_default();
    aborted.sort_by_key(|aborted| aborted.first_offset);
    let mut aborting = std::collections::BTreeSet::new();
    let mut values = Vec::new();
    let mut decompressor = Decompressor::new(1 << 20);
    for batch in RecordBatches::new(&bytes) {
        let batch = batch.unwrap();
        let header = *batch.header();
        for aborted in &aborted {
            if aborted.first_offset <= header.last_offset() {
                aborting.insert((aborted.producer_id, aborted.first_offset));
            }
        }
        let mut is_abort = false;
        for record in batch.records(&mut decompressor).unwrap() {
            let record = record.unwrap();
            if header.is_control() {
                let kind = ControlRecordType::parse(record.key.unwrap()).unwrap();
                is_abort = kind == ControlRecordType::Abort;
                continue;
            }
            let is_aborted = aborting.iter().any(|(id, _)| *id == header.producer_id);
            if !(header.is_transactional() && is_aborted) {
                values.push(String::from_utf8(record.value.unwrap().to_vec()).unwrap());
            }
        }
        if is_abort {
            let ended =
                |(id, first): &(i64, i64)| *id == header.producer_id && *first < header.base_offset;
            let over: Vec<_> = aborting.iter().copied().filter(ended).collect();
            for one in over {
                aborting.remove(&one);
                aborted.retain(|each| (each.producer_id, each.first_offset) != one);
            }
        }
    }
    values
}
