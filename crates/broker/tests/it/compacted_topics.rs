use lastword_broker::topics::{NewTopic, create_topic};
use lastword_protocol::ErrorCode;

use crate::client::{Client, TestBroker, batch};

async fn create_compacted(broker: &TestBroker, name: &str) -> Client {
    let new_topic = NewTopic {
        name: name.to_owned(),
        partition_count: Some(1),
        configs: [("cleanup.policy".to_owned(), "compact".to_owned())].into(),
    };
    let handles = broker.server.broker().clone();
    tokio::task::spawn_blocking(move || create_topic(&handles, &new_topic))
        .await
        .unwrap()
        .unwrap();
    broker.connect().await
}

#[tokio::test]
async fn a_keyless_record_is_refused_with_its_whole_batch() {
    let broker = TestBroker::start(&[]).await;
    let mut client = create_compacted(&broker, "t").await;
    let mixed = batch(&[
        (Some("a"), Some("1")),
        (None, Some("2")),
        (Some("c"), Some("3")),
    ]);
    let answer = client.produce("t", mixed).await;
    assert_eq!(answer.error_code, ErrorCode::InvalidRecord.code());
    assert_eq!(answer.record_errors.len(), 1);
    assert_eq!(answer.record_errors[0].batch_index, 1);
    assert!(answer.error_message.is_some());
    let fetched = client.fetch("t", 0).await;
    assert_eq!((fetched.high_watermark, fetched.log_start_offset), (0, 0));
    assert!(fetched.records.unwrap().is_empty());
}

#[tokio::test]
async fn an_empty_key_is_a_key() {
    let broker = TestBroker::start(&[]).await;
    let mut client = create_compacted(&broker, "t").await;
    let answer = client
        .produce("t", batch(&[(Some(""), Some("1")), (Some(""), None)]))
        .await;
    assert_eq!((answer.error_code, answer.base_offset), (0, 0));
}
