//! Joining, syncing, fencing and leaving.

use lastword_protocol::messages::leave_group_request::MemberIdentity;
use lastword_protocol::messages::{
    HeartbeatRequest, JoinGroupRequest, LeaveGroupRequest, ListGroupsRequest, SyncGroupRequest,
};
use lastword_protocol::{StrBytes, message};

use super::requests::{group_broker, join, sync};
use crate::client::{Client, DEADLINE};

/// Heartbeats until the answer is this one.
async fn heartbeat_until(
    client: &mut Client,
    group: &str,
    joined: &lastword_protocol::messages::JoinGroupResponse,
    wanted: i16,
) {
    let asking = async {
        while client.heartbeat(group, joined).await != wanted {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, asking)
        .await
        .expect("the heartbeat did not get the wanted answer");
}

#[tokio::test]
async fn two_members_rebalance_and_each_gets_its_assignment() {
    let broker = group_broker(&[]).await;
    let (mut first, mut second) = (broker.connect().await, broker.connect().await);
    let alone = first.join_new("app").await;
    assert_eq!((alone.error_code, alone.generation_id), (0, 1));
    assert_eq!(alone.leader, alone.member_id);
    assert_eq!(alone.members.len(), 1);
    let synced = first
        .sync("app", &alone, &[(&alone.member_id, "everything")])
        .await;
    assert_eq!(&synced.assignment[..], b"everything");
    assert_eq!(first.heartbeat("app", &alone).await, 0);

    // The second one's join waits for the first one to join again.
    let named = second.call(&join("app", ""), 9).await;
    second.send(&join("app", &named.member_id), 9).await;
    heartbeat_until(&mut first, "app", &alone, 27).await;
    let left = first.call(&join("app", &alone.member_id), 9).await;
    let right = second.receive::<JoinGroupRequest>(9).await.1;
    assert_eq!((left.error_code, right.error_code), (0, 0));
    assert_eq!((left.generation_id, right.generation_id), (2, 2));
    assert_eq!(left.leader, right.leader);
    assert_eq!(left.leader, left.member_id, "the leader stays");
    assert_eq!((left.members.len(), right.members.len()), (2, 0));

    // The follower's sync waits for the leader's.
    second.send(&sync("app", &right, &[]), 5).await;
    let assignments = [
        (left.member_id.as_str(), "a"),
        (right.member_id.as_str(), "b"),
    ];
    let left_synced = first.sync("app", &left, &assignments).await;
    let right_synced = second.receive::<SyncGroupRequest>(5).await.1;
    assert_eq!(&left_synced.assignment[..], b"a");
    assert_eq!(&right_synced.assignment[..], b"b");
    assert_eq!(right_synced.protocol_name.as_deref(), Some("range"));
    assert_eq!(second.heartbeat("app", &right).await, 0);
}

#[tokio::test]
async fn a_member_that_leaves_makes_the_others_rebalance() {
    let broker = group_broker(&[]).await;
    let (mut first, mut second) = (broker.connect().await, broker.connect().await);
    let alone = first.join_new("app").await;
    let named = second.call(&join("app", ""), 9).await;
    second.send(&join("app", &named.member_id), 9).await;
    heartbeat_until(&mut first, "app", &alone, 27).await;
    let left = first.call(&join("app", &alone.member_id), 9).await;
    let right = second.receive::<JoinGroupRequest>(9).await.1;
    first.sync("app", &left, &[]).await;

    let member = message!(MemberIdentity {
        member_id: right.member_id.clone(),
        reason: Some(StrBytes::from("done")),
    });
    let request = message!(LeaveGroupRequest {
        group_id: StrBytes::from("app"),
        members: vec![member],
    });
    let response = second.call(&request, 5).await;
    assert_eq!(response.error_code, 0);
    assert_eq!(response.members[0].error_code, 0);
    heartbeat_until(&mut first, "app", &left, 27).await;
    assert_eq!(second.heartbeat("app", &right).await, 25);
    let again = first.call(&join("app", &left.member_id), 9).await;
    assert_eq!((again.generation_id, again.members.len()), (3, 1));
}

#[tokio::test]
async fn a_second_holder_of_an_instance_id_fences_the_first() {
    let broker = group_broker(&[]).await;
    let (mut first, mut second) = (broker.connect().await, broker.connect().await);
    let mut request = join("app", "");
    request.group_instance_id = Some(StrBytes::from("instance"));
    let old = first.call(&request, 9).await;
    assert_eq!(old.error_code, 0, "a static member needs no first answer");
    first
        .sync("app", &old, &[(&old.member_id, "everything")])
        .await;

    let new = second.call(&request, 9).await;
    assert_eq!(new.error_code, 0, "{new:?}");
    assert_ne!(new.member_id, old.member_id);
    assert_eq!(
        new.generation_id, old.generation_id,
        "coming back is no rebalance"
    );
    let mut beat = message!(HeartbeatRequest {
        group_id: StrBytes::from("app"),
        generation_id: old.generation_id,
        member_id: old.member_id.clone(),
        group_instance_id: Some(StrBytes::from("instance")),
    });
    assert_eq!(first.call(&beat, 4).await.error_code, 82);
    beat.member_id = new.member_id.clone();
    assert_eq!(second.call(&beat, 4).await.error_code, 0);
}

#[tokio::test]
async fn a_member_lives_on_after_a_restart() {
    let broker = group_broker(&[]).await;
    let mut client = broker.connect().await;
    let joined = client.join_new("app").await;
    client
        .sync("app", &joined, &[(&joined.member_id, "everything")])
        .await;
    let broker = broker.restart().await;
    let mut client = broker.connect().await;
    let loaded = async {
        while client
            .call(&ListGroupsRequest::default(), 5)
            .await
            .error_code
            == 14
        {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, loaded).await.unwrap();
    assert_eq!(client.heartbeat("app", &joined).await, 0);
    // A sync of a generation that is complete is answered with what was stored.
    let synced = client.sync("app", &joined, &[]).await;
    assert_eq!(&synced.assignment[..], b"everything");
}

#[tokio::test]
async fn a_member_that_is_silent_is_dropped_after_its_session() {
    let broker = group_broker(&[("group.min.session.timeout.ms", "10")]).await;
    let (mut silent, mut watcher) = (broker.connect().await, broker.connect().await);
    let mut request = join("app", "");
    request.session_timeout_ms = 50;
    let named = silent.call(&request, 9).await;
    request.member_id = named.member_id;
    let joined = silent.call(&request, 9).await;
    assert_eq!(joined.error_code, 0);
    // Only looking: a heartbeat would keep the member alive.
    let asking = async {
        loop {
            let response = watcher.call(&ListGroupsRequest::default(), 5).await;
            if response.groups.is_empty() || &*response.groups[0].group_state == "Empty" {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, asking).await.unwrap();
    assert_eq!(silent.heartbeat("app", &joined).await, 25);
}

#[tokio::test]
async fn a_join_that_waits_is_answered_when_the_broker_stops() {
    let broker = group_broker(&[("group.initial.rebalance.delay.ms", "600000")]).await;
    let mut client = broker.connect().await;
    let named = client.call(&join("app", ""), 9).await;
    client.send(&join("app", &named.member_id), 9).await;
    let mut watcher = broker.connect().await;
    let parked = async {
        loop {
            let response = watcher.call(&ListGroupsRequest::default(), 5).await;
            if !response.groups.is_empty()
                && &*response.groups[0].group_state == "PreparingRebalance"
            {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, parked).await.unwrap();
    broker.server.stop().await.unwrap();
    assert_eq!(client.receive::<JoinGroupRequest>(9).await.1.error_code, 16);
}
