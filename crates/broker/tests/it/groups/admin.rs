//! What administrators see: the topic, and groups listed, described and deleted.

use lastword_protocol::messages::{
    DeleteGroupsRequest, DescribeGroupsRequest, FindCoordinatorRequest, ListGroupsRequest,
    MetadataRequest,
};
use lastword_protocol::{StrBytes, message};

use super::requests::{create_topic, group_broker};
use crate::client::Client;

async fn list(client: &mut Client, states: &[&str], types: &[&str]) -> Vec<String> {
    let request = message!(ListGroupsRequest {
        states_filter: states.iter().map(|state| StrBytes::from(*state)).collect(),
        types_filter: types.iter().map(|kind| StrBytes::from(*kind)).collect(),
    });
    let response = client.call(&request, 5).await;
    assert_eq!(response.error_code, 0);
    let mut names: Vec<String> = response
        .groups
        .iter()
        .map(|group| group.group_id.to_string())
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn the_offsets_topic_is_created_on_first_use_and_compacted() {
    let broker = group_broker(&[]).await;
    let mut client = broker.connect().await;
    assert_eq!(list(&mut client, &[], &[]).await, [""; 0]);
    let image = broker.server.broker().metadata.image();
    assert!(
        image.topic("__consumer_offsets").is_none(),
        "listing is no use"
    );

    let request = message!(FindCoordinatorRequest {
        coordinator_keys: vec![StrBytes::from("app"), StrBytes::from("other")],
    });
    let response = client.call(&request, 6).await;
    assert_eq!(response.coordinators.len(), 2);
    for found in &response.coordinators {
        assert_eq!(found.error_code, 0);
        let port = i32::from(broker.server.local_addr().port());
        assert_eq!((&*found.host, found.port), ("127.0.0.1", port));
    }
    let image = broker.server.broker().metadata.image();
    let topic = image.topic("__consumer_offsets").unwrap();
    assert_eq!(topic.partition_count, 3);
    assert_eq!(topic.configs["cleanup.policy"], "compact");
    assert_eq!(topic.configs["compression.type"], "producer");
    assert_eq!(topic.configs["segment.bytes"], "104857600");
    let metadata = client.call(&MetadataRequest::default(), 12).await;
    assert!(metadata.topics.iter().all(|topic| topic.is_internal));
}

#[tokio::test]
async fn a_coordinator_of_share_groups_is_refused_with_words() {
    let broker = group_broker(&[]).await;
    let mut client = broker.connect().await;
    let request = message!(FindCoordinatorRequest {
        key_type: 2,
        coordinator_keys: vec![StrBytes::from("shared")],
    });
    let response = client.call(&request, 6).await;
    assert_eq!(response.coordinators[0].error_code, 42);
    let words = response.coordinators[0].error_message.as_deref().unwrap();
    assert!(words.contains("not supported"), "{words}");
}

#[tokio::test]
async fn groups_are_listed_described_and_deleted() {
    let broker = group_broker(&[]).await;
    create_topic(&broker, "orders", 1).await;
    let mut member = broker.connect().await;
    let joined = member.join_new("app").await;
    member
        .sync("app", &joined, &[(&joined.member_id, "everything")])
        .await;
    let mut client = broker.connect().await;
    client.commit("simple", "orders", 0, 5).await;

    assert_eq!(list(&mut client, &[], &[]).await, ["app", "simple"]);
    assert_eq!(list(&mut client, &["stable"], &[]).await, ["app"]);
    assert_eq!(
        list(&mut client, &["Empty", "Dead"], &["classic"]).await,
        ["simple"]
    );
    assert_eq!(list(&mut client, &[], &["consumer"]).await, [""; 0]);

    let request = message!(DescribeGroupsRequest {
        groups: ["app", "simple", "nobody"].map(StrBytes::from).to_vec(),
        include_authorized_operations: true,
    });
    let described = client.call(&request, 6).await.groups;
    let states: Vec<&str> = described.iter().map(|group| &*group.group_state).collect();
    assert_eq!(states, ["Stable", "Empty", "Dead"]);
    let codes: Vec<i16> = described.iter().map(|group| group.error_code).collect();
    assert_eq!(codes, [0, 0, 69]);
    assert_eq!(&*described[0].protocol_type, "consumer");
    assert_eq!(&*described[0].protocol_data, "range");
    assert_eq!(
        &described[0].members[0].member_assignment[..],
        b"everything"
    );
    assert_eq!(&*described[0].members[0].client_id, "tester");
    assert_eq!(&*described[0].members[0].client_host, "/127.0.0.1");
    assert!(described[0].members[0].member_id.starts_with("tester-"));

    let names = ["app", "simple", "nobody", "simple"];
    let request = message!(DeleteGroupsRequest {
        groups_names: names.map(StrBytes::from).to_vec(),
    });
    let results = client.call(&request, 2).await.results;
    let answers: Vec<(&str, i16)> = results
        .iter()
        .map(|result| (&*result.group_id, result.error_code))
        .collect();
    assert_eq!(answers, [("app", 68), ("simple", 0), ("nobody", 69)]);
    assert_eq!(list(&mut client, &[], &[]).await, ["app"]);
    assert_eq!(client.committed("simple", "orders", 0).await, -1);

    let broker = broker.restart().await;
    let mut client = broker.connect().await;
    assert_eq!(client.committed("simple", "orders", 0).await, -1);
}
