use lastword_protocol::messages::ApiVersionsRequest;
use tokio::io::AsyncWriteExt;

use crate::client::{DEADLINE, TestBroker};

#[tokio::test]
async fn connections_of_one_address_are_limited_and_their_places_come_back() {
    let broker = TestBroker::start(&[("max.connections.per.ip", "2")]).await;
    let mut first = broker.connect().await;
    first.call(&ApiVersionsRequest::default(), 0).await;
    let mut second = broker.connect().await;
    second.call(&ApiVersionsRequest::default(), 0).await;
    let mut third = broker.connect().await;
    assert!(third.receive_frame().await.is_none());
    drop(second);
    // The broker notices the end of a connection a moment later.
    let begun = std::time::Instant::now();
    loop {
        let mut next = broker.connect().await;
        next.send(&ApiVersionsRequest::default(), 0).await;
        if next.receive_frame().await.is_some() {
            break;
        }
        assert!(begun.elapsed() < DEADLINE, "the place did not come back");
    }
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let broker = TestBroker::start(&[("connections.max.idle.ms", "50")]).await;
    let mut client = broker.connect().await;
    client.call(&ApiVersionsRequest::default(), 0).await;
    assert!(client.receive_frame().await.is_none());
}

#[tokio::test]
async fn requests_that_arrive_in_pieces_are_answered() {
    let broker = TestBroker::start(&[]).await;
    let mut client = broker.connect().await;
    let request = ApiVersionsRequest::default();
    let frame = lastword_protocol::client::encode_request(&request, 0, 7, "slow").unwrap();
    for byte in frame.iter() {
        client.stream.write_all(&[*byte]).await.unwrap();
        client.stream.flush().await.unwrap();
        tokio::task::yield_now().await;
    }
    let (id, _) = client.receive::<ApiVersionsRequest>(0).await;
    assert_eq!(id, 7);
}
