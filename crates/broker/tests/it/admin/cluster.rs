use lastword_protocol::messages::alter_partition_reassignments_request::{
    ReassignablePartition, ReassignableTopic,
};
use lastword_protocol::messages::alter_replica_log_dirs_request::{
    AlterReplicaLogDir, AlterReplicaLogDirTopic,
};
use lastword_protocol::messages::describe_quorum_request::{PartitionData, TopicData};
use lastword_protocol::messages::elect_leaders_request::TopicPartitions;
use lastword_protocol::messages::update_features_request::FeatureUpdateKey;
use lastword_protocol::messages::{
    AlterPartitionReassignmentsRequest, AlterReplicaLogDirsRequest, DescribeLogDirsRequest,
    DescribeQuorumRequest, ElectLeadersRequest, UnregisterBrokerRequest, UpdateFeaturesRequest,
};
use lastword_protocol::{ErrorCode, message};

use crate::client::TestBroker;

#[tokio::test]
async fn the_node_is_its_own_quorum() {
    let broker = TestBroker::start(&[("node.id", "7")]).await;
    let mut client = broker.connect().await;
    let asked = |topic: &str, partition_index: i32| {
        message!(DescribeQuorumRequest {
            topics: vec![message!(TopicData {
                topic_name: topic.into(),
                partitions: vec![message!(PartitionData { partition_index })],
            })],
        })
    };
    for version in 0..=2 {
        let response = client.call(&asked("__cluster_metadata", 0), version).await;
        let partition = &response.topics[0].partitions[0];
        let voters: Vec<i32> = partition
            .current_voters
            .iter()
            .map(|voter| voter.replica_id)
            .collect();
        assert_eq!((partition.error_code, partition.leader_id), (0, 7));
        assert_eq!((voters, partition.observers.len()), (vec![7], 0));
        assert_eq!(response.nodes.len(), usize::from(version >= 2));
        for (topic, index) in [("__cluster_metadata", 1), ("other", 0)] {
            let response = client.call(&asked(topic, index), version).await;
            assert_eq!(
                response.topics[0].partitions[0].error_code,
                ErrorCode::UnknownTopicOrPartition.code()
            );
        }
    }
}

#[tokio::test]
async fn a_partition_can_only_be_assigned_to_where_it_is() {
    let broker = TestBroker::start(&[("num.partitions", "2")]).await;
    let mut client = broker.connect().await;
    client.create("t").await;
    for version in 0..=1 {
        for (topic, index, replicas, code) in [
            ("t", 0, Some(vec![1]), ErrorCode::None),
            ("t", 1, Some(vec![2]), ErrorCode::InvalidReplicaAssignment),
            (
                "t",
                1,
                Some(vec![1, 2]),
                ErrorCode::InvalidReplicaAssignment,
            ),
            (
                "t",
                1,
                Some(Vec::new()),
                ErrorCode::InvalidReplicaAssignment,
            ),
            ("t", 0, None, ErrorCode::NoReassignmentInProgress),
            ("t", 2, Some(vec![1]), ErrorCode::UnknownTopicOrPartition),
            ("u", 0, Some(vec![1]), ErrorCode::UnknownTopicOrPartition),
        ] {
            let request = message!(AlterPartitionReassignmentsRequest {
                topics: vec![message!(ReassignableTopic {
                    name: topic.into(),
                    partitions: vec![message!(ReassignablePartition {
                        partition_index: index,
                        replicas: replicas.clone(),
                    })],
                })],
            });
            let response = client.call(&request, version).await;
            let answer = &response.responses[0].partitions[0];
            let found = (response.error_code, answer.error_code);
            assert_eq!(found, (0, code.code()), "{topic}-{index} to {replicas:?}");
        }
    }
}

#[tokio::test]
async fn an_election_is_never_needed() {
    let broker = TestBroker::start(&[]).await;
    let mut client = broker.connect().await;
    client.create("t").await;
    let elect = |election_type: i8, topic_partitions| {
        message!(ElectLeadersRequest {
            election_type,
            topic_partitions
        })
    };
    let some = Some(vec![message!(TopicPartitions {
        topic: "t".into(),
        partitions: vec![0, 1],
    })]);
    for election_type in 0..=1 {
        let response = client.call(&elect(election_type, some.clone()), 2).await;
        let results = &response.replica_election_results[0].partition_result;
        let codes: Vec<i16> = results.iter().map(|it| it.error_code).collect();
        let needless = ErrorCode::ElectionNotNeeded.code();
        let unknown = ErrorCode::UnknownTopicOrPartition.code();
        assert_eq!(codes, [needless, unknown]);
        let everywhere = client.call(&elect(election_type, None), 2).await;
        let results = everywhere.replica_election_results;
        assert_eq!(results.len(), 1);
        assert!(results[0].partition_result.is_empty());
    }
    let response = client.call(&elect(9, some), 2).await;
    assert_eq!(response.error_code, ErrorCode::InvalidRequest.code());
}

#[tokio::test]
async fn a_replica_can_only_move_to_the_directory_where_it_is() {
    let broker = TestBroker::start(&[]).await;
    let mut client = broker.connect().await;
    client.create("t").await;
    let dirs = client.call(&DescribeLogDirsRequest::default(), 4).await;
    let here = dirs.results[0].log_dir.as_str().to_owned();
    for version in 1..=2 {
        for (path, index, code) in [
            (here.as_str(), 0, ErrorCode::None),
            (here.as_str(), 5, ErrorCode::UnknownTopicOrPartition),
            ("/elsewhere", 0, ErrorCode::LogDirNotFound),
        ] {
            let request = message!(AlterReplicaLogDirsRequest {
                dirs: vec![message!(AlterReplicaLogDir {
                    path: path.into(),
                    topics: vec![message!(AlterReplicaLogDirTopic {
                        name: "t".into(),
                        partitions: vec![index],
                    })],
                })],
            });
            let response = client.call(&request, version).await;
            let found = response.results[0].partitions[0].error_code;
            assert_eq!(found, code.code(), "{path} {index}");
        }
    }
}

#[tokio::test]
async fn no_broker_but_this_one_is_registered_and_it_stays() {
    let broker = TestBroker::start(&[]).await;
    let mut client = broker.connect().await;
    for (broker_id, code) in [
        (2, ErrorCode::BrokerIdNotRegistered),
        (-1, ErrorCode::BrokerIdNotRegistered),
        (1, ErrorCode::InvalidRequest),
    ] {
        let response = client
            .call(&message!(UnregisterBrokerRequest { broker_id }), 0)
            .await;
        assert_eq!(response.error_code, code.code(), "{broker_id}");
    }
}

#[tokio::test]
async fn a_feature_keeps_its_level_and_an_unknown_one_has_none() {
    let broker = TestBroker::start(&[]).await;
    let mut client = broker.connect().await;
    let refused = ErrorCode::InvalidUpdateVersion.code();
    for version in 0..=2 {
        for (feature, max_version_level, code) in [
            ("beauty", 1, refused),
            ("transaction.version", 1, refused),
            ("transaction.version", 2, 0),
        ] {
            let request = message!(UpdateFeaturesRequest {
                feature_updates: vec![message!(FeatureUpdateKey {
                    feature: feature.into(),
                    max_version_level,
                })],
            });
            let response = client.call(&request, version).await;
            let found = (response.error_code, response.error_message.is_some());
            assert_eq!(found, (code, code != 0), "{feature} {max_version_level}");
        }
    }
}
