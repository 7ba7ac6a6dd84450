//! Every version of every API of groups is answered in its own schema, for a group that is there
//! and for one that is not.

use lastword_protocol::messages::delete_groups_request::DeleteGroupsRequest;
use lastword_protocol::messages::leave_group_request::MemberIdentity;
use lastword_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use lastword_protocol::messages::{
    DescribeGroupsRequest, FindCoordinatorRequest, HeartbeatRequest, LeaveGroupRequest,
    ListGroupsRequest, OffsetFetchRequest,
};
use lastword_protocol::{ApiKey, StrBytes, Uuid, message};

use super::requests::{commit, create_topic, group_broker, join, sync};
use crate::client::Client;

fn versions(key: ApiKey) -> std::ops::RangeInclusive<i16> {
    let (min, max) = key.versions();
    min..=max
}

#[tokio::test]
async fn every_version_of_membership_is_answered() {
    let broker = group_broker(&[]).await;
    let mut client = broker.connect().await;
    for version in versions(ApiKey::JoinGroup) {
        let group = format!("joined-{version}");
        let mut response = client.call(&join(&group, ""), version).await;
        if version >= 4 {
            assert_eq!(response.error_code, 79, "v{version}");
            response = client
                .call(&join(&group, &response.member_id), version)
                .await;
        }
        assert_eq!(
            (response.error_code, response.generation_id),
            (0, 1),
            "v{version}"
        );
        assert_eq!(
            response.protocol_name.as_deref(),
            Some("range"),
            "v{version}"
        );
        let unknown = client.call(&join(&group, "stranger"), version).await;
        assert_eq!(unknown.error_code, 25, "v{version}");
    }
    for version in versions(ApiKey::SyncGroup) {
        let group = format!("synced-{version}");
        let joined = client.join_new(&group).await;
        let mut request = sync(&group, &joined, &[(&joined.member_id, "all")]);
        let response = client.call(&request, version).await;
        assert_eq!(&response.assignment[..], b"all", "v{version}");
        request.group_id = StrBytes::from("nobody");
        assert_eq!(
            client.call(&request, version).await.error_code,
            25,
            "v{version}"
        );
    }
    let joined = client.join_new("app").await;
    client.sync("app", &joined, &[]).await;
    for version in versions(ApiKey::Heartbeat) {
        let mut request = message!(HeartbeatRequest {
            group_id: StrBytes::from("app"),
            generation_id: joined.generation_id,
            member_id: joined.member_id.clone(),
        });
        assert_eq!(
            client.call(&request, version).await.error_code,
            0,
            "v{version}"
        );
        request.generation_id = 9;
        assert_eq!(
            client.call(&request, version).await.error_code,
            22,
            "v{version}"
        );
    }
    for version in versions(ApiKey::LeaveGroup) {
        let group = format!("left-{version}");
        let joined = client.join_new(&group).await;
        assert_eq!(
            leave(&mut client, &group, &joined.member_id, version).await,
            0,
            "v{version}"
        );
        assert_eq!(
            leave(&mut client, &group, &joined.member_id, version).await,
            25,
            "v{version}"
        );
    }
}

async fn leave(client: &mut Client, group: &str, member_id: &str, version: i16) -> i16 {
    let mut request = message!(LeaveGroupRequest {
        group_id: StrBytes::from(group),
    });
    if version < 3 {
        request.member_id = StrBytes::from(member_id);
        return client.call(&request, version).await.error_code;
    }
    request.members = vec![message!(MemberIdentity {
        member_id: StrBytes::from(member_id),
    })];
    let response = client.call(&request, version).await;
    assert_eq!(response.error_code, 0);
    response.members[0].error_code
}

#[tokio::test]
async fn every_version_of_offsets_is_answered() {
    let broker = group_broker(&[]).await;
    create_topic(&broker, "orders", 1).await;
    let image = broker.server.broker().metadata.image();
    let topic_id = Uuid::from_bytes(image.topic("orders").unwrap().id.0);
    let mut client = broker.connect().await;
    for version in versions(ApiKey::OffsetCommit) {
        let group = format!("app-{version}");
        let mut request = commit(&group, "orders", 0, i64::from(version));
        request.topics[0].topic_id = topic_id;
        let response = client.call(&request, version).await;
        assert_eq!(response.topics[0].partitions[0].error_code, 0, "v{version}");
        assert_eq!(
            client.committed(&group, "orders", 0).await,
            i64::from(version)
        );
        request.generation_id_or_member_epoch = 4;
        request.group_id = StrBytes::from("nobody");
        let response = client.call(&request, version).await;
        let code = response.topics[0].partitions[0].error_code;
        assert_eq!(code, if version >= 9 { 69 } else { 22 }, "v{version}");
    }
    client.commit("app", "orders", 0, 42).await;
    for version in versions(ApiKey::OffsetFetch) {
        for everything in [false, true] {
            for (group, expected) in [("app", Some(42)), ("nobody", None)] {
                if everything && version < 2 {
                    continue;
                }
                let found = fetch(&mut client, group, everything, version, topic_id).await;
                let expected = if everything {
                    expected
                } else {
                    expected.or(Some(-1))
                };
                assert_eq!(
                    found, expected,
                    "v{version} {group} everything={everything}"
                );
            }
        }
    }
}

/// The offset of the first partition in the answer.
async fn fetch(
    client: &mut Client,
    group: &str,
    everything: bool,
    version: i16,
    topic_id: Uuid,
) -> Option<i64> {
    let name = StrBytes::from("orders");
    let partition_indexes = vec![0];
    if version < 8 {
        let topic = message!(OffsetFetchRequestTopic {
            name,
            partition_indexes,
        });
        let request = message!(OffsetFetchRequest {
            group_id: StrBytes::from(group),
            topics: (!everything).then(|| vec![topic]),
            require_stable: version >= 7,
        });
        let response = client.call(&request, version).await;
        assert_eq!(response.error_code, 0);
        return Some(response.topics.first()?.partitions[0].committed_offset);
    }
    let topic = message!(OffsetFetchRequestTopics {
        name,
        topic_id,
        partition_indexes,
    });
    let asked = message!(OffsetFetchRequestGroup {
        group_id: StrBytes::from(group),
        topics: (!everything).then(|| vec![topic]),
    });
    let request = message!(OffsetFetchRequest {
        groups: vec![asked],
    });
    let response = client.call(&request, version).await;
    assert_eq!(response.groups[0].error_code, 0);
    Some(response.groups[0].topics.first()?.partitions[0].committed_offset)
}

#[tokio::test]
async fn every_version_for_administrators_is_answered() {
    let broker = group_broker(&[]).await;
    create_topic(&broker, "orders", 1).await;
    let mut client = broker.connect().await;
    let joined = client.join_new("app").await;
    client.sync("app", &joined, &[]).await;
    for version in versions(ApiKey::DescribeGroups) {
        let request = message!(DescribeGroupsRequest {
            groups: ["app", "nobody"].map(StrBytes::from).to_vec(),
            include_authorized_operations: version >= 3,
        });
        let groups = client.call(&request, version).await.groups;
        assert_eq!(&*groups[0].group_state, "Stable", "v{version}");
        assert_eq!(groups[0].members.len(), 1, "v{version}");
        assert_eq!(&*groups[1].group_state, "Dead", "v{version}");
        let expected = if version >= 6 { 69 } else { 0 };
        assert_eq!(groups[1].error_code, expected, "v{version}");
    }
    for version in versions(ApiKey::ListGroups) {
        let groups = client
            .call(&ListGroupsRequest::default(), version)
            .await
            .groups;
        assert_eq!(groups.len(), 1, "v{version}");
        assert_eq!(&*groups[0].protocol_type, "consumer", "v{version}");
    }
    for version in versions(ApiKey::DeleteGroups) {
        client.commit("simple", "orders", 0, 1).await;
        let request = message!(DeleteGroupsRequest {
            groups_names: ["app", "simple"].map(StrBytes::from).to_vec(),
        });
        let results = client.call(&request, version).await.results;
        assert_eq!(
            (results[0].error_code, results[1].error_code),
            (68, 0),
            "v{version}"
        );
    }
    for version in versions(ApiKey::FindCoordinator) {
        let mut request = FindCoordinatorRequest::default();
        if version >= 4 {
            request.coordinator_keys = vec![StrBytes::from("app")];
            let found = client.call(&request, version).await.coordinators;
            assert_eq!(
                (&*found[0].key, found[0].error_code),
                ("app", 0),
                "v{version}"
            );
            continue;
        }
        request.key = StrBytes::from("app");
        let found = client.call(&request, version).await;
        assert_eq!(
            (&*found.host, found.error_code),
            ("127.0.0.1", 0),
            "v{version}"
        );
        if version >= 1 {
            request.key_type = 1;
            let found = client.call(&request, version).await;
            assert_eq!(found.error_code, 0, "v{version}");
        }
    }
}
