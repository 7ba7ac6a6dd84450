//! More than one listener: who comes by one is told to connect there.

use std::collections::BTreeMap;

use lastword_broker::{BrokerConfig, Server};
use lastword_protocol::message;
use lastword_protocol::messages::{FindCoordinatorRequest, MetadataRequest};
use tempfile::TempDir;

use crate::client::Client;

#[tokio::test(flavor = "multi_thread")]
async fn a_client_is_told_the_address_of_the_listener_it_came_by() {
    let dir = TempDir::new().unwrap();
    let settings = [
        (
            "listeners",
            "PLAINTEXT://127.0.0.1:0,INSIDE://127.0.0.1:0,CONTROLLER://127.0.0.1:1",
        ),
        (
            "advertised.listeners",
            "INSIDE://inside.example:9093,PLAINTEXT://outside.example:29092",
        ),
        (
            "listener.security.protocol.map",
            "INSIDE:PLAINTEXT,PLAINTEXT:PLAINTEXT",
        ),
        ("log.dirs", dir.path().to_str().unwrap()),
    ];
    let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let settings: BTreeMap<String, String> = settings.into_iter().collect();
    let config = BrokerConfig::from_properties(&settings).unwrap();
    let server = Server::start(config).await.unwrap();
    let told = [("outside.example", 29092), ("inside.example", 9093)];
    assert_eq!(server.local_addrs().len(), told.len());
    for (address, (host, port)) in server.local_addrs().iter().zip(told) {
        let mut client = Client::connect(*address).await;
        let metadata = client.call(&MetadataRequest::default(), 12).await;
        let brokers = &metadata.brokers;
        assert_eq!((&*brokers[0].host, brokers[0].port), (host, port));
        let request = message!(FindCoordinatorRequest {
            key_type: 0,
            coordinator_keys: vec!["app".into()],
        });
        let found = client.call(&request, 4).await;
        let found = &found.coordinators[0];
        assert_eq!((&*found.host, found.port), (host, port));
    }
    server.stop().await.unwrap();
}
