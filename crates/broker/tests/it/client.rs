//! A raw client and a broker to talk to.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use lastword_broker::{BrokerConfig, Server};
use lastword_protocol::frame::response_length;
use lastword_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use lastword_protocol::messages::fetch_response::PartitionData;
use lastword_protocol::messages::metadata_request::MetadataRequestTopic;
use lastword_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use lastword_protocol::messages::produce_response::PartitionProduceResponse;
use lastword_protocol::messages::{
    FetchRequest, KafkaRequest, MetadataRequest, ProduceRequest, RequestResponsePair,
};
use lastword_protocol::{client, message};
use lastword_record::{BatchBuilder, BatchSpec, Decompressor, RecordBatches};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Long enough for any answer, short enough for a test that hangs.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// A broker over a directory of its own.
pub struct TestBroker {
    pub server: Server,
    pub dir: TempDir,
    settings: Vec<(String, String)>,
}

impl TestBroker {
    pub async fn start(settings: &[(&str, &str)]) -> TestBroker {
        TestBroker::start_over(TempDir::new().unwrap(), settings).await
    }

    /// Over a directory that is there already.
    pub async fn start_over(dir: TempDir, settings: &[(&str, &str)]) -> TestBroker {
        let settings: Vec<_> = settings
            .iter()
            .map(|&(n, v)| (n.to_owned(), v.to_owned()))
            .collect();
        let server = start(&dir, &settings).await;
        TestBroker {
            server,
            dir,
            settings,
        }
    }

    /// Stops in order and starts again over the same directory.
    pub async fn restart(self) -> TestBroker {
        self.restart_after(|_| {}).await
    }

    /// The same, with a change of the directory between.
    pub async fn restart_after(self, change: impl FnOnce(&TempDir)) -> TestBroker {
        self.server.stop().await.unwrap();
        change(&self.dir);
        let server = start(&self.dir, &self.settings).await;
        TestBroker {
            server,
            dir: self.dir,
            settings: self.settings,
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.server.local_addr()
    }

    pub async fn connect(&self) -> Client {
        Client::connect(self.address()).await
    }
}

async fn start(dir: &TempDir, settings: &[(String, String)]) -> Server {
    let mut properties: BTreeMap<String, String> = settings.iter().cloned().collect();
    properties.insert("listeners".into(), "PLAINTEXT://127.0.0.1:0".into());
    properties.insert("log.dirs".into(), dir.path().to_str().unwrap().into());
    Server::start(BrokerConfig::from_properties(&properties).unwrap())
        .await
        .unwrap()
}

pub struct Client {
    pub stream: TcpStream,
    next_correlation_id: i32,
}

impl Client {
    pub async fn connect(address: SocketAddr) -> Client {
        Client {
            stream: TcpStream::connect(address).await.unwrap(),
            next_correlation_id: 1,
        }
    }

    /// Sends without waiting; returns the correlation id.
    pub async fn send<R: KafkaRequest>(&mut self, request: &R, version: i16) -> i32 {
        let correlation_id = self.next_correlation_id;
        self.next_correlation_id += 1;
        let frame = client::encode_request(request, version, correlation_id, "tester").unwrap();
        self.stream.write_all(&frame).await.unwrap();
        correlation_id
    }

    pub async fn receive<R: RequestResponsePair>(&mut self, version: i16) -> (i32, R::Response) {
        let frame = self.receive_frame().await.expect("a response");
        client::decode_response::<R>(frame, version).unwrap()
    }

    /// The next frame, or nothing when the broker has closed the connection.
    pub async fn receive_frame(&mut self) -> Option<Bytes> {
        let reading = async {
            let mut prefix = [0; 4];
            self.stream.read_exact(&mut prefix).await.ok()?;
            let mut frame = vec![0; response_length(prefix, 1 << 30).unwrap()];
            self.stream.read_exact(&mut frame).await.ok()?;
            Some(Bytes::from(frame))
        };
        tokio::time::timeout(DEADLINE, reading)
            .await
            .expect("the broker answers in time")
    }

    pub async fn call<R: RequestResponsePair>(&mut self, request: &R, version: i16) -> R::Response {
        let sent = self.send(request, version).await;
        let (received, response) = self.receive::<R>(version).await;
        assert_eq!(sent, received, "correlation id");
        response
    }

    /// Creates a topic by asking for it.
    pub async fn create(&mut self, topic: &str) {
        let response = self.call(&metadata_request(&[topic]), 12).await;
        assert_eq!(response.topics[0].error_code, 0);
    }

    pub async fn produce(&mut self, topic: &str, batch: Bytes) -> PartitionProduceResponse {
        let response = self.call(&produce_request(topic, -1, batch), 9).await;
        response.responses[0].partition_responses[0].clone()
    }

    pub async fn fetch(&mut self, topic: &str, offset: i64) -> PartitionData {
        let response = self.call(&fetch_request(topic, offset, 0, 1), 12).await;
        assert_eq!(response.error_code, 0);
        response.responses[0].partitions[0].clone()
    }
}

pub fn metadata_request(topics: &[&str]) -> MetadataRequest {
    let topics = topics
        .iter()
        .map(|&name| {
            message!(MetadataRequestTopic {
                name: Some(name.into())
            })
        })
        .collect();
    message!(MetadataRequest {
        topics: Some(topics)
    })
}

pub fn produce_request(topic: &str, acks: i16, batch: Bytes) -> ProduceRequest {
    message!(ProduceRequest {
        acks,
        timeout_ms: 20_000,
        topic_data: vec![message!(TopicProduceData {
            name: topic.into(),
            partition_data: vec![message!(PartitionProduceData {
                index: 0,
                records: Some(batch),
            })],
        })],
    })
}

pub fn fetch_request(topic: &str, offset: i64, max_wait_ms: i32, min_bytes: i32) -> FetchRequest {
    message!(FetchRequest {
        max_wait_ms,
        min_bytes,
        max_bytes: 50 << 20,
        session_epoch: -1,
        topics: vec![message!(FetchTopic {
            topic: topic.into(),
            partitions: vec![message!(FetchPartition {
                partition: 0,
                fetch_offset: offset,
                partition_max_bytes: 1 << 20,
            })],
        })],
    })
}

/// What a test says of a record: key and value, either may be missing.
pub type KeyValue<'a> = (Option<&'a str>, Option<&'a str>);

pub fn batch(records: &[KeyValue<'_>]) -> Bytes {
    batch_of(BatchSpec::default(), records)
}

pub fn batch_of(spec: BatchSpec, records: &[KeyValue<'_>]) -> Bytes {
    let mut builder = BatchBuilder::new(spec);
    for (index, (key, value)) in records.iter().enumerate() {
        let (key, value) = (key.map(str::as_bytes), value.map(str::as_bytes));
        builder.push(index as i64, now_ms(), key, value, &[]);
    }
    let mut bytes = Vec::new();
    builder.finish(&mut bytes).unwrap();
    bytes.into()
}

/// One record as a reader sees it: offset, key, value.
pub type Read = (i64, Option<String>, Option<String>);

/// The records of a fetched byte string, checksums verified.
pub fn records(bytes: &[u8]) -> Vec<Read> {
    let mut decompressor = Decompressor::new(1 << 26);
    let text =
        |bytes: Option<&[u8]>| bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    let mut read = Vec::new();
    for batch in RecordBatches::new(bytes) {
        // A fetch may end within a batch.
        let Ok(batch) = batch else { break };
        batch.verify_crc().unwrap();
        for record in batch.records(&mut decompressor).unwrap() {
            let record = record.unwrap();
            read.push((record.offset, text(record.key), text(record.value)));
        }
    }
    read
}

pub fn now_ms() -> i64 {
    lastword_storage::Clock::System.now_ms()
}
