//! Committing, fetching and deleting offsets.

use lastword_protocol::messages::delete_topics_request::DeleteTopicState;
use lastword_protocol::messages::offset_commit_request::OffsetCommitRequestPartition;
use lastword_protocol::messages::offset_delete_request::{
    OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use lastword_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopics,
};
use lastword_protocol::messages::{
    DeleteTopicsRequest, OffsetDeleteRequest, OffsetFetchRequest, OffsetFetchResponse,
};
use lastword_protocol::{StrBytes, Uuid, message};

use super::requests::{commit, create_topic, group_broker};
use crate::client::{Client, DEADLINE};

/// Everything a group has committed.
async fn fetch_all(client: &mut Client, group: &str, version: i16) -> OffsetFetchResponse {
    let group = message!(OffsetFetchRequestGroup {
        group_id: StrBytes::from(group),
        topics: None,
    });
    let request = message!(OffsetFetchRequest {
        groups: vec![group],
        require_stable: true,
    });
    client.call(&request, version).await
}

#[tokio::test]
async fn a_damaged_partition_concerns_the_groups_that_are_in_it() {
    let broker = group_broker(&[]).await;
    create_topic(&broker, "orders", 1).await;
    let mut client = broker.connect().await;
    for group in 0..20 {
        let name = format!("group-{group}");
        assert_eq!(client.commit(&name, "orders", 0, group).await, 0);
    }
    let damaged = broker.dir.path().join("__consumer_offsets-1");
    std::fs::write(damaged.join("partition.metadata"), "damaged").unwrap();
    let broker = broker.restart().await;
    let mut client = broker.connect().await;
    let mut served = 0;
    for group in 0..20 {
        let name = format!("group-{group}");
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
        let fetched = loop {
            let fetched = fetch_all(&mut client, &name, 8).await;
            // COORDINATOR_LOAD_IN_PROGRESS: the broker has just started.
            if fetched.groups[0].error_code != 14 || std::time::Instant::now() > deadline {
                break fetched;
            }
        };
        match fetched.groups[0].error_code {
            0 => {
                let topic = &fetched.groups[0].topics[0];
                assert_eq!(topic.partitions[0].committed_offset, group);
                served += 1;
            }
            code => assert_eq!(code, 15, "COORDINATOR_NOT_AVAILABLE"),
        }
    }
    assert!((1..20).contains(&served), "{served}");
}

#[tokio::test]
async fn committed_offsets_survive_a_restart() {
    let broker = group_broker(&[]).await;
    create_topic(&broker, "orders", 4).await;
    let mut client = broker.connect().await;
    for group in 0..20 {
        for offset in 0..3 {
            let name = format!("group-{group}");
            assert_eq!(client.commit(&name, "orders", 2, offset + group).await, 0);
        }
    }
    assert_eq!(client.committed("group-7", "orders", 2).await, 9);
    assert_eq!(client.committed("group-7", "orders", 1).await, -1);
    assert_eq!(client.committed("nobody", "orders", 2).await, -1);

    let broker = broker.restart().await;
    let mut client = broker.connect().await;
    for group in 0..20 {
        let name = format!("group-{group}");
        assert_eq!(client.committed(&name, "orders", 2).await, group + 2);
    }
    // Twice: what was loaded can be added to, and loaded again.
    assert_eq!(client.commit("group-3", "orders", 0, 77).await, 0);
    let broker = broker.restart().await;
    let mut client = broker.connect().await;
    assert_eq!(client.committed("group-3", "orders", 0).await, 77);
    assert_eq!(client.committed("group-3", "orders", 2).await, 5);
}

#[tokio::test]
async fn commits_of_many_connections_are_all_kept() {
    let broker = group_broker(&[]).await;
    create_topic(&broker, "orders", 8).await;
    let mut tasks = Vec::new();
    for partition in 0..8 {
        let mut client = broker.connect().await;
        tasks.push(tokio::spawn(async move {
            for offset in 0..50 {
                assert_eq!(client.commit("app", "orders", partition, offset).await, 0);
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let broker = broker.restart().await;
    let mut client = broker.connect().await;
    for partition in 0..8 {
        assert_eq!(client.committed("app", "orders", partition).await, 49);
    }
}

#[tokio::test]
async fn a_partition_that_does_not_exist_fails_alone() {
    let broker = group_broker(&[]).await;
    create_topic(&broker, "orders", 1).await;
    let mut client = broker.connect().await;
    let mut request = commit("app", "nowhere", 0, 5);
    request.topics.extend(commit("app", "orders", 0, 6).topics);
    request.topics[1].partitions.insert(
        0,
        message!(OffsetCommitRequestPartition {
            partition_index: 9,
            committed_offset: 1,
        }),
    );
    let response = client.call(&request, 9).await;
    let codes: Vec<Vec<i16>> = response
        .topics
        .iter()
        .map(|topic| {
            topic
                .partitions
                .iter()
                .map(|each| each.error_code)
                .collect()
        })
        .collect();
    assert_eq!(codes, [vec![3], vec![3, 0]]);
    assert_eq!(client.committed("app", "orders", 0).await, 6);
}

#[tokio::test]
async fn topics_can_be_named_by_id() {
    let broker = group_broker(&[]).await;
    create_topic(&broker, "orders", 1).await;
    let image = broker.server.broker().metadata.image();
    let topic_id = Uuid::from_bytes(image.topic("orders").unwrap().id.0);
    let mut client = broker.connect().await;
    let mut request = commit("app", "", 0, 6);
    request.topics[0].topic_id = topic_id;
    request.topics.extend(commit("app", "", 0, 7).topics);
    request.topics[1].topic_id = Uuid::from_bytes([7; 16]);
    let response = client.call(&request, 10).await;
    assert_eq!(response.topics[0].topic_id, topic_id);
    assert_eq!(response.topics[0].partitions[0].error_code, 0);
    assert_eq!(response.topics[1].partitions[0].error_code, 100);

    let all = fetch_all(&mut client, "app", 10).await;
    assert_eq!(all.groups[0].topics.len(), 1);
    assert_eq!(all.groups[0].topics[0].topic_id, topic_id);
    assert_eq!(all.groups[0].topics[0].partitions[0].committed_offset, 6);

    let asked = |topic_id| {
        message!(OffsetFetchRequestTopics {
            topic_id,
            partition_indexes: vec![0],
        })
    };
    let group = message!(OffsetFetchRequestGroup {
        group_id: StrBytes::from("app"),
        topics: Some(vec![asked(Uuid::from_bytes([7; 16])), asked(topic_id)]),
    });
    let request = message!(OffsetFetchRequest {
        groups: vec![group],
    });
    let response = client.call(&request, 10).await;
    let answers: Vec<(Uuid, i64, i16)> = response.groups[0]
        .topics
        .iter()
        .map(|topic| {
            let partition = &topic.partitions[0];
            (
                topic.topic_id,
                partition.committed_offset,
                partition.error_code,
            )
        })
        .collect();
    assert!(answers.contains(&(topic_id, 6, 0)), "{answers:?}");
    assert!(
        answers.contains(&(Uuid::from_bytes([7; 16]), -1, 100)),
        "{answers:?}"
    );
}

#[tokio::test]
async fn offsets_can_be_deleted() {
    let broker = group_broker(&[]).await;
    create_topic(&broker, "orders", 2).await;
    let mut client = broker.connect().await;
    client.commit("app", "orders", 0, 5).await;
    client.commit("app", "orders", 1, 6).await;
    let partition = |partition_index| message!(OffsetDeleteRequestPartition { partition_index });
    let topic = message!(OffsetDeleteRequestTopic {
        name: StrBytes::from("orders"),
        partitions: vec![partition(9), partition(0)],
    });
    let mut request = message!(OffsetDeleteRequest {
        group_id: StrBytes::from("app"),
        topics: vec![topic],
    });
    let response = client.call(&request, 0).await;
    assert_eq!(response.error_code, 0);
    let codes: Vec<i16> = response.topics[0]
        .partitions
        .iter()
        .map(|each| each.error_code)
        .collect();
    assert_eq!(codes, [3, 0]);
    assert_eq!(client.committed("app", "orders", 0).await, -1);
    assert_eq!(client.committed("app", "orders", 1).await, 6);
    request.group_id = StrBytes::from("nobody");
    assert_eq!(client.call(&request, 0).await.error_code, 69);

    let broker = broker.restart().await;
    let mut client = broker.connect().await;
    assert_eq!(client.committed("app", "orders", 0).await, -1);
    assert_eq!(client.committed("app", "orders", 1).await, 6);
}

#[tokio::test]
async fn offsets_of_a_deleted_topic_are_forgotten() {
    let broker = group_broker(&[]).await;
    create_topic(&broker, "orders", 2).await;
    create_topic(&broker, "other", 1).await;
    let mut client = broker.connect().await;
    for group in ["a", "b", "c", "d"] {
        client.commit(group, "orders", 1, 5).await;
        client.commit(group, "other", 0, 6).await;
    }
    let state = message!(DeleteTopicState {
        name: Some(StrBytes::from("orders")),
    });
    let request = message!(DeleteTopicsRequest {
        topics: vec![state],
        timeout_ms: 10_000,
    });
    assert_eq!(client.call(&request, 6).await.responses[0].error_code, 0);
    for group in ["a", "b", "c", "d"] {
        let gone = async {
            while client.committed(group, "orders", 1).await != -1 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(DEADLINE, gone).await.unwrap();
        assert_eq!(client.committed(group, "other", 0).await, 6);
    }
}

#[tokio::test]
async fn metadata_of_an_offset_is_kept_and_limited() {
    let broker = group_broker(&[("offset.metadata.max.bytes", "10")]).await;
    create_topic(&broker, "orders", 1).await;
    let mut client = broker.connect().await;
    let mut request = commit("app", "orders", 0, 5);
    request.topics[0].partitions[0].committed_metadata = Some(StrBytes::from("0123456789"));
    request.topics[0].partitions[0].committed_leader_epoch = 0;
    let response = client.call(&request, 9).await;
    assert_eq!(response.topics[0].partitions[0].error_code, 0);
    request.topics[0].partitions[0].committed_metadata = Some(StrBytes::from("0123456789a"));
    let response = client.call(&request, 9).await;
    assert_eq!(response.topics[0].partitions[0].error_code, 12);
    let all = fetch_all(&mut client, "app", 9).await;
    let partition = &all.groups[0].topics[0].partitions[0];
    assert_eq!(partition.metadata.as_deref(), Some("0123456789"));
    assert_eq!(partition.committed_leader_epoch, 0);
}
