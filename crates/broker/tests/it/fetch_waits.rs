use std::time::{Duration, Instant};

use lastword_protocol::messages::FetchRequest;
use lastword_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use lastword_protocol::{ErrorCode, message};

use crate::client::{TestBroker, batch, fetch_request, records};

#[tokio::test]
async fn a_fetch_at_the_end_wakes_when_records_become_visible() {
    let broker = TestBroker::start(&[]).await;
    let (mut reader, mut writer) = (broker.connect().await, broker.connect().await);
    writer.create("t").await;
    // Far longer than the test may take: only a wake-up can end it.
    reader.send(&fetch_request("t", 0, 120_000, 1), 12).await;
    writer.produce("t", batch(&[(None, Some("v"))])).await;
    let (_, response) = reader.receive::<FetchRequest>(12).await;
    let partition = &response.responses[0].partitions[0];
    assert_eq!(records(partition.records.as_ref().unwrap()).len(), 1);
}

#[tokio::test]
async fn a_fetch_waits_for_min_bytes() {
    let broker = TestBroker::start(&[]).await;
    let (mut reader, mut writer) = (broker.connect().await, broker.connect().await);
    writer.create("t").await;
    let one = batch(&[(None, Some("v"))]);
    let min_bytes = i32::try_from(one.len() * 3).unwrap();
    reader
        .send(&fetch_request("t", 0, 120_000, min_bytes), 12)
        .await;
    for _ in 0..3 {
        writer.produce("t", one.clone()).await;
    }
    let (_, response) = reader.receive::<FetchRequest>(12).await;
    let partition = &response.responses[0].partitions[0];
    assert_eq!(records(partition.records.as_ref().unwrap()).len(), 3);
}

#[tokio::test]
async fn a_fetch_without_news_is_answered_when_its_wait_is_over() {
    let broker = TestBroker::start(&[]).await;
    let mut client = broker.connect().await;
    client.create("t").await;
    let begun = Instant::now();
    let response = client.call(&fetch_request("t", 0, 200, 1), 12).await;
    assert!(begun.elapsed() >= Duration::from_millis(200));
    let partition = &response.responses[0].partitions[0];
    assert_eq!(partition.error_code, 0);
    assert!(partition.records.as_ref().unwrap().is_empty());
}

#[tokio::test]
async fn an_error_does_not_wait() {
    let broker = TestBroker::start(&[]).await;
    let mut client = broker.connect().await;
    client.create("t").await;
    let response = client.call(&fetch_request("t", 5, 120_000, 1), 12).await;
    let code = response.responses[0].partitions[0].error_code;
    assert_eq!(code, ErrorCode::OffsetOutOfRange.code());
}

#[tokio::test]
async fn a_session_reports_only_partitions_with_news() {
    let broker = TestBroker::start(&[("num.partitions", "3")]).await;
    let mut client = broker.connect().await;
    client.create("t").await;
    let partitions = (0..3)
        .map(|partition| {
            message!(FetchPartition {
                partition,
                partition_max_bytes: 1 << 20
            })
        })
        .collect();
    let open = message!(FetchRequest {
        session_epoch: 0,
        min_bytes: 1,
        max_bytes: 1 << 20,
        topics: vec![message!(FetchTopic {
            topic: "t".into(),
            partitions
        })],
    });
    let opened = client.call(&open, 12).await;
    assert_ne!(opened.session_id, 0);
    assert_eq!(opened.responses[0].partitions.len(), 3);

    client.produce("t", batch(&[(None, Some("v"))])).await;
    let next = |session_id, session_epoch| {
        message!(FetchRequest {
            min_bytes: 1,
            max_bytes: 1 << 20,
            session_id,
            session_epoch
        })
    };
    let news = client.call(&next(opened.session_id, 1), 12).await;
    assert_eq!(news.session_id, opened.session_id);
    assert_eq!(news.responses[0].partitions.len(), 1);
    assert_eq!(news.responses[0].partitions[0].partition_index, 0);

    let wrong = client.call(&next(opened.session_id, 1), 12).await;
    assert_eq!(wrong.error_code, ErrorCode::InvalidFetchSessionEpoch.code());
    let missing = client.call(&next(opened.session_id ^ 1, 2), 12).await;
    assert_eq!(missing.error_code, ErrorCode::FetchSessionIdNotFound.code());
}

#[tokio::test]
async fn deleting_a_topic_ends_the_waits_on_it() {
    let broker = TestBroker::start(&[]).await;
    let mut client = broker.connect().await;
    client.create("t").await;
    client.send(&fetch_request("t", 0, 120_000, 1), 12).await;
    // The wait may not have begun yet; either way the answer is the same.
    let handles = broker.server.broker().clone();
    tokio::task::spawn_blocking(move || lastword_broker::topics::delete_topic(&handles, "t"))
        .await
        .unwrap()
        .unwrap();
    let (_, response) = client.receive::<FetchRequest>(12).await;
    let code = response.responses[0].partitions[0].error_code;
    assert_eq!(code, ErrorCode::UnknownTopicOrPartition.code());
}

#[tokio::test]
async fn a_stopping_broker_answers_those_who_wait() {
    let broker = TestBroker::start(&[]).await;
    let mut client = broker.connect().await;
    client.create("t").await;
    client.send(&fetch_request("t", 0, 120_000, 1), 12).await;
    broker.server.stop().await.unwrap();
    // Answered or closed, as the stop came after or before the request was read; never silent.
    client.receive_frame().await;
}
