//! Enough of a Kafka client to give the broker something to show.

use std::net::SocketAddr;

use bytes::Bytes;
use lastword_protocol::frame::response_length;
use lastword_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use lastword_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use lastword_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use lastword_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use lastword_protocol::messages::{
    CreateTopicsRequest, FetchRequest, OffsetCommitRequest, ProduceRequest, RequestResponsePair,
};
use lastword_protocol::{StrBytes, client, message};
use lastword_record::{BatchBuilder, BatchSpec};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::DEADLINE;

pub struct Kafka {
    stream: TcpStream,
}

impl Kafka {
    pub async fn connect(address: SocketAddr) -> Kafka {
        let stream = TcpStream::connect(address).await.expect("connects");
        Kafka { stream }
    }

    async fn call<R: RequestResponsePair>(&mut self, request: &R, version: i16) -> R::Response {
        let frame = client::encode_request(request, version, 7, "tester").expect("encodes");
        self.stream.write_all(&frame).await.expect("sends");
        let reading = async {
            let mut prefix = [0; 4];
            self.stream.read_exact(&mut prefix).await.expect("a length");
            let mut frame = vec![0; response_length(prefix, 1 << 26).expect("is sane")];
            self.stream.read_exact(&mut frame).await.expect("a frame");
            Bytes::from(frame)
        };
        let frame = tokio::time::timeout(DEADLINE, reading)
            .await
            .expect("in time");
        client::decode_response::<R>(frame, version)
            .expect("decodes")
            .1
    }

    /// Creates a compacted topic.
    pub async fn create(&mut self, topic: &str, partitions: i32) {
        let config = message!(CreatableTopicConfig {
            name: "cleanup.policy".into(),
            value: Some("compact".into()),
        });
        let request = message!(CreateTopicsRequest {
            topics: vec![message!(CreatableTopic {
                name: StrBytes::from(topic.to_owned()),
                num_partitions: partitions,
                replication_factor: -1,
                configs: vec![config],
            })],
            timeout_ms: 20_000,
        });
        let response = self.call(&request, 5).await;
        assert_eq!(response.topics[0].error_code, 0, "{response:?}");
    }

    /// Writes records to partition 0; answers how many bytes that were.
    pub async fn produce(&mut self, topic: &str, records: &[(&str, Option<&str>)]) -> usize {
        let (bytes, code) = self.send(topic, 0, records).await;
        assert_eq!(code, 0);
        bytes
    }

    /// Writes to a partition that is not there.
    pub async fn produce_fails(&mut self, topic: &str, partition: i32) {
        let (_, code) = self.send(topic, partition, &[("a", Some("1"))]).await;
        assert_ne!(code, 0);
    }

    /// The bytes of a batch, and what came of it.
    async fn send(
        &mut self,
        topic: &str,
        index: i32,
        records: &[(&str, Option<&str>)],
    ) -> (usize, i16) {
        let mut builder = BatchBuilder::new(BatchSpec::default());
        let now_ms = lastword_storage::Clock::System.now_ms();
        for (index, (key, value)) in records.iter().enumerate() {
            let value = value.map(str::as_bytes);
            builder.push(index as i64, now_ms, Some(key.as_bytes()), value, &[]);
        }
        let mut batch = Vec::new();
        builder.finish(&mut batch).expect("a batch");
        let bytes = batch.len();
        let request = message!(ProduceRequest {
            acks: -1,
            timeout_ms: 20_000,
            topic_data: vec![message!(TopicProduceData {
                name: StrBytes::from(topic.to_owned()),
                partition_data: vec![message!(PartitionProduceData {
                    index,
                    records: Some(batch.into()),
                })],
            })],
        });
        let response = self.call(&request, 9).await;
        let code = response.responses[0].partition_responses[0].error_code;
        (bytes, code)
    }

    /// Reads partition 0 from the start; answers how many bytes came.
    pub async fn fetch(&mut self, topic: &str) -> usize {
        let request = message!(FetchRequest {
            max_wait_ms: 0,
            min_bytes: 1,
            max_bytes: 1 << 20,
            session_epoch: -1,
            topics: vec![message!(FetchTopic {
                topic: StrBytes::from(topic.to_owned()),
                partitions: vec![message!(FetchPartition {
                    partition: 0,
                    fetch_offset: 0,
                    partition_max_bytes: 1 << 20,
                })],
            })],
        });
        let response = self.call(&request, 12).await;
        let records = &response.responses[0].partitions[0].records;
        records.as_ref().map_or(0, Bytes::len)
    }

    /// Commits an offset of partition 0, as somebody who is in no group.
    pub async fn commit(&mut self, group: &str, topic: &str, offset: i64) {
        let request = message!(OffsetCommitRequest {
            group_id: StrBytes::from(group.to_owned()),
            generation_id_or_member_epoch: -1,
            topics: vec![message!(OffsetCommitRequestTopic {
                name: StrBytes::from(topic.to_owned()),
                partitions: vec![message!(OffsetCommitRequestPartition {
                    partition_index: 0,
                    committed_offset: offset,
                })],
            })],
        });
        let response = self.call(&request, 8).await;
        assert_eq!(response.topics[0].partitions[0].error_code, 0);
    }
}
