use lastword_protocol::message;
use lastword_protocol::messages::describe_producers_request::TopicRequest;
use lastword_protocol::messages::{DescribeProducersRequest, InitProducerIdRequest};
use lastword_record::BatchSpec;

use crate::client::{TestBroker, batch, batch_of, metadata_request, records};

#[tokio::test]
async fn topics_ids_and_records_survive_a_restart() {
    let broker = TestBroker::start(&[("num.partitions", "3")]).await;
    let mut client = broker.connect().await;
    client.create("t").await;
    client.produce("t", batch(&[(Some("k"), Some("v"))])).await;
    let before = client.call(&metadata_request(&["t"]), 12).await;

    let broker = broker.restart().await;
    let mut client = broker.connect().await;
    let after = client.call(&metadata_request(&["t"]), 12).await;
    assert_eq!(before.topics[0].topic_id, after.topics[0].topic_id);
    assert_eq!(after.topics[0].partitions.len(), 3);
    assert_eq!(before.cluster_id, after.cluster_id);
    let fetched = client.fetch("t", 0).await;
    assert_eq!(records(&fetched.records.unwrap()).len(), 1);
    assert_eq!(
        client
            .produce("t", batch(&[(None, Some("w"))]))
            .await
            .base_offset,
        1
    );
}

#[tokio::test]
async fn a_directory_without_metadata_is_taken_over_with_its_topic_ids() {
    let broker = TestBroker::start(&[("num.partitions", "2")]).await;
    let mut client = broker.connect().await;
    client.create("t").await;
    let spec = BatchSpec {
        producer_id: 7_000,
        producer_epoch: 0,
        base_sequence: 0,
        ..BatchSpec::default()
    };
    client
        .produce("t", batch_of(spec, &[(Some("k"), Some("v"))]))
        .await;
    let before = client.call(&metadata_request(&["t"]), 12).await;
    std::fs::remove_file(broker.dir.path().join("lastword-metadata.json")).unwrap();

    let broker = broker.restart().await;
    let mut client = broker.connect().await;
    let mut request = metadata_request(&["t"]);
    request.allow_auto_topic_creation = false;
    let after = client.call(&request, 12).await;
    assert_eq!(before.topics[0].topic_id, after.topics[0].topic_id);
    assert_eq!(after.topics[0].partitions.len(), 2);
    assert_eq!(client.fetch("t", 0).await.high_watermark, 1);
    // Ids that its producers have are not handed out again.
    let request = message!(InitProducerIdRequest {
        transactional_id: None
    });
    assert!(client.call(&request, 4).await.producer_id > 7_000);
    let request = message!(DescribeProducersRequest {
        topics: vec![message!(TopicRequest {
            name: "t".into(),
            partition_indexes: vec![0, 9],
        })],
    });
    let described = client.call(&request, 0).await.topics[0].partitions.clone();
    assert_eq!(described[0].active_producers[0].producer_id, 7_000);
    assert_eq!(described[1].error_code, 3);
}

#[tokio::test]
async fn a_deleted_topic_stays_deleted() {
    let broker = TestBroker::start(&[]).await;
    let mut client = broker.connect().await;
    client.create("t").await;
    let handles = broker.server.broker().clone();
    tokio::task::spawn_blocking(move || lastword_broker::topics::delete_topic(&handles, "t"))
        .await
        .unwrap()
        .unwrap();
    let broker = broker.restart().await;
    let mut client = broker.connect().await;
    let mut request = metadata_request(&["t"]);
    request.allow_auto_topic_creation = false;
    assert_eq!(client.call(&request, 12).await.topics[0].error_code, 3);
    client.create("t").await;
    assert_eq!(client.fetch("t", 0).await.high_watermark, 0);
}

#[tokio::test]
async fn a_topic_with_a_damaged_partition_is_deleted_wholly() {
    let broker = TestBroker::start(&[]).await;
    let mut client = broker.connect().await;
    client.create("t").await;
    client.produce("t", batch(&[(None, Some("old"))])).await;
    std::fs::write(broker.dir.path().join("t-0/partition.metadata"), "damaged").unwrap();
    let broker = broker.restart().await;
    let handles = broker.server.broker().clone();
    assert_eq!(handles.logs.failed().len(), 1);
    tokio::task::spawn_blocking(move || lastword_broker::topics::delete_topic(&handles, "t"))
        .await
        .unwrap()
        .unwrap();
    let mut client = broker.connect().await;
    client.create("t").await;
    assert_eq!(client.fetch("t", 0).await.high_watermark, 0);
    let produced = client.produce("t", batch(&[(None, Some("new"))])).await;
    assert_eq!((produced.error_code, produced.base_offset), (0, 0));
}

#[tokio::test]
async fn two_brokers_cannot_share_a_directory() {
    let broker = TestBroker::start(&[]).await;
    let mut properties = std::collections::BTreeMap::new();
    properties.insert("listeners".to_owned(), "PLAINTEXT://127.0.0.1:0".to_owned());
    properties.insert(
        "log.dirs".to_owned(),
        broker.dir.path().to_str().unwrap().to_owned(),
    );
    let config = lastword_broker::BrokerConfig::from_properties(&properties).unwrap();
    assert!(lastword_broker::Server::start(config).await.is_err());
}
