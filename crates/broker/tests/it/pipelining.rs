use lastword_protocol::messages::{
    ApiVersionsRequest, FetchRequest, MetadataRequest, ProduceRequest,
};
use tokio::io::AsyncWriteExt;

use crate::client::{TestBroker, batch, fetch_request, metadata_request, produce_request};

#[tokio::test]
async fn answers_leave_in_the_order_of_the_requests() {
    let broker = TestBroker::start(&[]).await;
    let mut client = broker.connect().await;
    client.create("t").await;
    let mut sent = Vec::new();
    for _ in 0..20 {
        let one = batch(&[(None, Some("v"))]);
        sent.push(client.send(&produce_request("t", -1, one.clone()), 9).await);
        sent.push(client.send(&fetch_request("t", 0, 50, i32::MAX), 12).await);
        sent.push(client.send(&metadata_request(&["t"]), 12).await);
    }
    let mut received = Vec::new();
    for index in 0..20 {
        let (id, produced) = client.receive::<ProduceRequest>(9).await;
        received.push(id);
        assert_eq!(
            produced.responses[0].partition_responses[0].base_offset,
            index
        );
        received.push(client.receive::<FetchRequest>(12).await.0);
        received.push(client.receive::<MetadataRequest>(12).await.0);
    }
    assert_eq!(sent, received);
}

#[tokio::test]
async fn a_client_that_only_sends_is_read_no_further_and_harms_nobody() {
    let broker = TestBroker::start(&[]).await;
    let mut flooder = broker.connect().await;
    let mut other = broker.connect().await;
    other.create("t").await;
    // The first request waits; what is sent behind it fills the queue and then the socket.
    flooder.send(&fetch_request("t", 0, 120_000, 1), 12).await;
    for _ in 0..2_000 {
        flooder.send(&ApiVersionsRequest::default(), 0).await;
    }
    other.produce("t", batch(&[(None, Some("v"))])).await;
    flooder.receive::<FetchRequest>(12).await;
    for _ in 0..2_000 {
        flooder.receive::<ApiVersionsRequest>(0).await;
    }
}

#[tokio::test]
async fn a_half_closed_connection_still_gets_its_answers() {
    let broker = TestBroker::start(&[]).await;
    let mut client = broker.connect().await;
    client.create("t").await;
    client
        .send(&produce_request("t", -1, batch(&[(None, Some("v"))])), 9)
        .await;
    client.stream.shutdown().await.unwrap();
    let (_, response) = client.receive::<ProduceRequest>(9).await;
    assert_eq!(response.responses[0].partition_responses[0].error_code, 0);
    assert!(client.receive_frame().await.is_none());
}
