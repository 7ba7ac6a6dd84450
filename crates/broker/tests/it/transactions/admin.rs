//! What administrators see of transactions, and do to them.

use lastword_protocol::messages::add_partitions_to_txn_request::{
    AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction,
};
use lastword_protocol::messages::describe_producers_request::TopicRequest;
use lastword_protocol::messages::write_txn_markers_request::{
    WritableTxnMarker, WritableTxnMarkerTopic,
};
use lastword_protocol::messages::{
    AddPartitionsToTxnRequest, ApiVersionsRequest, DescribeProducersRequest,
    FindCoordinatorRequest, ListTransactionsRequest, WriteTxnMarkersRequest,
};
use lastword_protocol::{StrBytes, message};
use lastword_record::BatchSpec;

use super::requests::{Generation, Producer, create_topic, transaction_broker};
use crate::client::{Client, TestBroker, batch_of};

#[tokio::test]
async fn asking_for_a_coordinator_creates_the_topic_as_kafka_does() {
    let broker = transaction_broker(&[]).await;
    let mut client = broker.connect().await;
    for version in 1..=6 {
        let mut request = message!(FindCoordinatorRequest { key_type: 1 });
        let code = if version < 4 {
            request.key = "tx".into();
            client.call(&request, version).await.error_code
        } else {
            request.coordinator_keys = vec!["tx".into()];
            client.call(&request, version).await.coordinators[0].error_code
        };
        assert_eq!(code, 0, "version {version}");
    }
    let image = broker.server.broker().metadata.image();
    let topic = image.topic("__transaction_state").unwrap();
    assert_eq!(topic.partition_count, 2);
    assert_eq!(topic.configs["cleanup.policy"], "compact");
    assert_eq!(topic.configs["compression.type"], "uncompressed");
    assert_eq!(topic.configs["segment.bytes"], "104857600");
}

/// The ids that are listed, ascending.
async fn list(client: &mut Client, request: ListTransactionsRequest) -> Vec<String> {
    let response = client.call(&request, 2).await;
    assert_eq!(response.error_code, 0);
    let listed = response.transaction_states.iter();
    let mut ids: Vec<_> = listed
        .map(|each| each.transactional_id.to_string())
        .collect();
    ids.sort();
    ids
}

#[tokio::test]
async fn transactions_are_listed_by_state_producer_duration_and_pattern() {
    let broker = transaction_broker(&[]).await;
    create_topic(&broker, "t", 1).await;
    let mut client = broker.connect().await;
    assert_eq!(
        list(&mut client, ListTransactionsRequest::default()).await,
        [""; 0]
    );
    let idle = Producer::new(&broker, "app-idle", Generation::V2).await;
    let mut open = Producer::new(&broker, "app-open", Generation::V2).await;
    open.write("t", 0, "v").await;
    let all = message!(ListTransactionsRequest {
        duration_filter: -1
    });
    let filtered = |change: &dyn Fn(&mut ListTransactionsRequest)| {
        let mut request = all.clone();
        change(&mut request);
        request
    };
    assert_eq!(
        list(&mut client, all.clone()).await,
        ["app-idle", "app-open"]
    );
    let ongoing = filtered(&|request| request.state_filters = vec!["Ongoing".into()]);
    assert_eq!(list(&mut client, ongoing).await, ["app-open"]);
    let of_idle = filtered(&|request| request.producer_id_filters = vec![idle.producer_id]);
    assert_eq!(list(&mut client, of_idle).await, ["app-idle"]);
    let old = filtered(&|request| request.duration_filter = 3_600_000);
    assert!(
        !list(&mut client, old)
            .await
            .contains(&"app-open".to_owned())
    );
    let pattern = |text: &'static str| {
        filtered(&|request| request.transactional_id_pattern = Some(text.into()))
    };
    assert_eq!(list(&mut client, pattern("app-o.*")).await, ["app-open"]);
    let broken = client.call(&pattern("("), 2).await;
    assert_eq!(broken.error_code, 128);
    let unknown = filtered(&|request| request.state_filters = vec!["Asleep".into()]);
    let response = client.call(&unknown, 0).await;
    assert_eq!(response.unknown_state_filters, [StrBytes::from("Asleep")]);
    assert_eq!(response.transaction_states, []);
}

#[tokio::test]
async fn an_id_that_nobody_has_is_not_found() {
    let broker = transaction_broker(&[]).await;
    let mut client = broker.connect().await;
    assert_eq!(client.describe("nobody").await.error_code, 105);
    assert_eq!(client.describe("").await.error_code, 42);
}

/// A transaction that no coordinator knows: what KIP-890 keeps clients from making.
async fn hang(broker: &TestBroker, producer_id: i64, producer_epoch: i16) {
    let spec = BatchSpec {
        producer_id,
        producer_epoch,
        base_sequence: 0,
        is_transactional: true,
        ..BatchSpec::default()
    };
    let partition = broker.server.broker().partitions.get("t", 0).unwrap();
    let batch = batch_of(spec, &[(Some("k"), Some("hanging"))]);
    partition.append_as_leader(&batch).unwrap();
}

fn markers(producer_epoch: i16, coordinator_epoch: i32) -> WriteTxnMarkersRequest {
    let topic = |name: &'static str| {
        message!(WritableTxnMarkerTopic {
            name: name.into(),
            partition_indexes: vec![0],
        })
    };
    message!(WriteTxnMarkersRequest {
        markers: vec![message!(WritableTxnMarker {
            producer_id: 77,
            producer_epoch,
            coordinator_epoch,
            transaction_result: false,
            topics: vec![topic("t"), topic("gone")],
        })],
    })
}

#[tokio::test]
async fn an_administrator_ends_a_transaction_that_hangs() {
    let broker = transaction_broker(&[]).await;
    create_topic(&broker, "t", 1).await;
    let mut client = broker.connect().await;
    hang(&broker, 77, 3).await;
    let describe = message!(DescribeProducersRequest {
        topics: vec![message!(TopicRequest {
            name: "t".into(),
            partition_indexes: vec![0],
        })],
    });
    let described = client.call(&describe, 0).await;
    let producer = &described.topics[0].partitions[0].active_producers[0];
    assert_eq!((producer.producer_id, producer.producer_epoch), (77, 3));
    assert_eq!(
        (
            producer.coordinator_epoch,
            producer.current_txn_start_offset
        ),
        (-1, 0)
    );

    for (version, epoch, coordinator_epoch, code) in [
        (1, 2, 5, 47),
        (2, 2, 5, 47),
        (1, 3, 5, 0),
        (1, 3, 4, 52),
        (2, 3, 5, 0),
    ] {
        let response = client
            .call(&markers(epoch, coordinator_epoch), version)
            .await;
        let topics = &response.markers[0].topics;
        let found = topics[0].partitions[0].error_code;
        assert_eq!(
            found, code,
            "v{version}, epochs {epoch} and {coordinator_epoch}"
        );
        assert_eq!(topics[1].partitions[0].error_code, 3);
    }
    let described = client.call(&describe, 0).await;
    let producer = &described.topics[0].partitions[0].active_producers[0];
    assert_eq!(
        (
            producer.coordinator_epoch,
            producer.current_txn_start_offset
        ),
        (5, -1)
    );
    assert_eq!(client.values_at("t", 0, 3).await, [""; 0]);
}

#[tokio::test]
async fn partitions_are_added_all_or_none() {
    let broker = transaction_broker(&[]).await;
    create_topic(&broker, "t", 1).await;
    let mut producer = Producer::new(&broker, "tx", Generation::V1).await;
    let topic = |name: &'static str, partitions: Vec<i32>| {
        message!(AddPartitionsToTxnTopic {
            name: name.into(),
            partitions
        })
    };
    let request = message!(AddPartitionsToTxnRequest {
        v3_and_below_transactional_id: "tx".into(),
        v3_and_below_producer_id: producer.producer_id,
        v3_and_below_producer_epoch: producer.epoch,
        v3_and_below_topics: vec![
            topic("t", vec![0, 1]),
            topic("gone", vec![0]),
            topic("__transaction_state", vec![0]),
        ],
    });
    for version in 0..=3 {
        let response = producer.client.call(&request, version).await;
        let topics = response.results_by_topic_v3_and_below.iter();
        let partitions = topics.flat_map(|topic| &topic.results_by_partition);
        let codes: Vec<i16> = partitions.map(|each| each.partition_error_code).collect();
        assert_eq!(codes, [55, 3, 3, 29], "version {version}");
    }
    assert_eq!(
        &*producer.client.describe("tx").await.transaction_state,
        "Empty"
    );
}

#[tokio::test]
async fn brokers_add_and_verify_many_transactions_at_once() {
    let broker = transaction_broker(&[]).await;
    create_topic(&broker, "t", 2).await;
    let one = Producer::new(&broker, "one", Generation::V1).await;
    let two = Producer::new(&broker, "two", Generation::V1).await;
    let mut client = broker.connect().await;
    let transaction = |producer: &Producer, verify_only, partitions: Vec<i32>| {
        message!(AddPartitionsToTxnTransaction {
            transactional_id: producer.id.as_str().into(),
            producer_id: producer.producer_id,
            producer_epoch: producer.epoch,
            verify_only,
            topics: vec![message!(AddPartitionsToTxnTopic {
                name: "t".into(),
                partitions,
            })],
        })
    };
    for version in [4, 5] {
        let request = message!(AddPartitionsToTxnRequest {
            transactions: vec![
                transaction(&one, false, vec![0]),
                transaction(&one, true, vec![0, 1]),
                transaction(&two, true, vec![0]),
                transaction(&two, false, vec![9]),
            ],
        });
        let response = client.call(&request, version).await;
        let codes: Vec<Vec<i16>> = response
            .results_by_transaction
            .iter()
            .map(|result| {
                let partitions = result.topic_results[0].results_by_partition.iter();
                partitions.map(|each| each.partition_error_code).collect()
            })
            .collect();
        if version == 5 {
            // The first answer was that of an addition still under way, perhaps.
            assert_eq!(codes[0], [0]);
            assert_eq!(codes[1], [0, 120]);
        }
        assert_eq!(codes[2], [120]);
        assert_eq!(codes[3], [3]);
    }
}

#[tokio::test]
async fn the_features_are_those_whose_behaviour_is_here() {
    let broker = transaction_broker(&[]).await;
    let mut client = broker.connect().await;
    let request = message!(ApiVersionsRequest {
        client_software_name: "tester".into(),
        client_software_version: "1".into(),
    });
    for version in [3, 4] {
        let response = client.call(&request, version).await;
        assert_eq!(response.finalized_features_epoch, 0);
        let finalized = response.finalized_features.iter();
        let transactions = finalized
            .filter(|feature| &*feature.name == "transaction.version")
            .map(|feature| feature.max_version_level);
        assert_eq!(transactions.collect::<Vec<_>>(), [2], "version {version}");
        let supported = response.supported_features.iter();
        let names: Vec<&str> = supported.map(|feature| &*feature.name).collect();
        // Version 3 cannot say that a feature may be off.
        assert_eq!(names.contains(&"transaction.version"), version >= 4);
        assert!(names.contains(&"metadata.version"));
    }
}
