//! `orders@state` on the wire: read like a topic, with its last words only, and nothing else can be done to it.

use std::collections::BTreeMap;

use lastword_broker::topics::{NewTopic, create_topic};
use lastword_protocol::messages::alter_configs_request::AlterConfigsResource as OldAlterConfigsResource;
use lastword_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use lastword_protocol::messages::create_topics_request::CreatableTopic;
use lastword_protocol::messages::delete_records_request::{
    DeleteRecordsPartition, DeleteRecordsTopic,
};
use lastword_protocol::messages::delete_topics_request::DeleteTopicState;
use lastword_protocol::messages::describe_configs_request::DescribeConfigsResource;
use lastword_protocol::messages::fetch_response::PartitionData;
use lastword_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
};
use lastword_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use lastword_protocol::messages::metadata_request::MetadataRequestTopic;
use lastword_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use lastword_protocol::messages::{
    AlterConfigsRequest, ConsumerGroupHeartbeatRequest, CreatePartitionsRequest,
    CreateTopicsRequest, DeleteRecordsRequest, DeleteTopicsRequest, DescribeConfigsRequest,
    IncrementalAlterConfigsRequest, ListOffsetsRequest, MetadataRequest, OffsetCommitRequest,
};
use lastword_protocol::{ErrorCode, StrBytes, Uuid, message};

use crate::client::{
    Client, DEADLINE, TestBroker, batch, fetch_request, metadata_request, produce_request, records,
};

const INVALID: i16 = 17;

async fn create(broker: &TestBroker, name: &str, configs: &[(&str, &str)]) -> Client {
    let new_topic = NewTopic {
        name: name.to_owned(),
        partition_count: Some(1),
        configs: configs
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_string()))
            .collect(),
    };
    let handles = broker.server.broker().clone();
    tokio::task::spawn_blocking(move || create_topic(&handles, &new_topic))
        .await
        .unwrap()
        .unwrap();
    broker.connect().await
}

const COMPACT: (&str, &str) = ("cleanup.policy", "compact");

/// Key and value of one character each, a batch a word.
async fn write(client: &mut Client, topic: &str, text: &str) {
    for word in text.split_whitespace() {
        let records: Vec<_> = word
            .split(',')
            .map(|record| (Some(&record[..1]), Some(&record[1..])))
            .collect();
        let answer = client.produce(topic, batch(&records)).await;
        assert_eq!(answer.error_code, 0);
    }
}

fn shown(fetched: &PartitionData) -> String {
    let records = records(fetched.records.as_ref().unwrap());
    let shown = records.into_iter().map(|(offset, key, value)| {
        format!("{}{}@{offset}", key.unwrap(), value.unwrap_or("-".into()))
    });
    shown.collect::<Vec<_>>().join(" ")
}

/// Fetches by name, long enough for a view to be built.
async fn fetch(client: &mut Client, topic: &str, offset: i64) -> PartitionData {
    let response = client
        .call(&fetch_request(topic, offset, 20_000, 1), 12)
        .await;
    response.responses[0].partitions[0].clone()
}

/// The same until it is as expected: a view may be a moment old.
async fn fetch_until(client: &mut Client, topic: &str, offset: i64, expected: &str) {
    let asking = async {
        loop {
            let seen = shown(&fetch(client, topic, offset).await);
            if seen == expected {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    let asked = tokio::time::timeout(DEADLINE, asking).await;
    assert!(asked.is_ok(), "{topic} does not become {expected}");
}

async fn id_of(client: &mut Client, topic: &str) -> Uuid {
    let response = client.call(&metadata_request(&[topic]), 12).await;
    assert_eq!(response.topics[0].error_code, 0);
    response.topics[0].topic_id
}

#[tokio::test]
async fn only_last_words_are_served_and_then_the_live_log() {
    let broker = TestBroker::start(&[]).await;
    let mut client = create(&broker, "orders", &[COMPACT]).await;
    write(&mut client, "orders", "a1,b1 a2 c1,a3 b2").await;
    let fetched = fetch(&mut client, "orders@state", 0).await;
    assert_eq!(shown(&fetched), "c1@3 a3@4 b2@5");
    assert_eq!((fetched.high_watermark, fetched.log_start_offset), (6, 0));
    assert_eq!(
        shown(&fetch(&mut client, "orders", 0).await),
        "a1@0 b1@1 a2@2 c1@3 a3@4 b2@5"
    );

    // At its end it waits as any topic does, and sees everything that comes.
    let mut waiting = broker.connect().await;
    let sent = waiting
        .send(&fetch_request("orders@state", 6, 20_000, 1), 12)
        .await;
    write(&mut client, "orders", "a4").await;
    let (received, response) = waiting
        .receive::<lastword_protocol::messages::FetchRequest>(12)
        .await;
    assert_eq!(sent, received);
    assert_eq!(shown(&response.responses[0].partitions[0]), "a4@6");
    write(&mut client, "orders", "a5").await;
    assert_eq!(shown(&fetch(&mut client, "orders@state", 7).await), "a5@7");
    fetch_until(&mut client, "orders@state", 0, "c1@3 b2@5 a5@7").await;
    broker.server.stop().await.unwrap();
}

#[tokio::test]
async fn a_view_is_fetched_by_its_own_id_and_in_sessions() {
    let broker = TestBroker::start(&[]).await;
    let mut client = create(&broker, "orders", &[COMPACT]).await;
    write(&mut client, "orders", "a1 b1 a2").await;
    let id = id_of(&mut client, "orders@state").await;
    assert_ne!(id, id_of(&mut client, "orders").await);
    assert_eq!(id, id_of(&mut client, "orders@state").await);
    let by_id = message!(MetadataRequest {
        topics: Some(vec![message!(MetadataRequestTopic {
            topic_id: id,
            name: None,
        })]),
    });
    let named = client.call(&by_id, 12).await;
    assert_eq!(
        named.topics[0].name.as_ref().unwrap().as_str(),
        "orders@state"
    );
    assert_eq!(named.topics[0].partitions.len(), 1);

    let mut request = fetch_request("", 0, 20_000, 1);
    request.topics[0].topic_id = id;
    request.session_epoch = 0;
    let opened = client.call(&request, 13).await;
    assert_eq!(shown(&opened.responses[0].partitions[0]), "b1@1 a2@2");
    assert_eq!(opened.responses[0].topic_id, id);
    assert_ne!(opened.session_id, 0);
    write(&mut client, "orders", "c1").await;
    request.session_id = opened.session_id;
    request.session_epoch = 1;
    request.topics[0].partitions[0].fetch_offset = 3;
    let next = client.call(&request, 13).await;
    assert_eq!(shown(&next.responses[0].partitions[0]), "c1@3");

    request.topics[0].topic_id = Uuid::from_bytes([9; 16]);
    (request.session_id, request.session_epoch) = (0, -1);
    let unknown = client.call(&request, 13).await;
    let code = unknown.responses[0].partitions[0].error_code;
    assert_eq!(code, ErrorCode::UnknownTopicId.code());
}

#[tokio::test]
async fn a_view_is_there_as_long_as_its_topic_and_is_not_listed() {
    let broker = TestBroker::start(&[]).await;
    let mut client = broker.connect().await;
    let asked = metadata_request(&["nothing@state", "@state"]);
    for version in [1, 4, 9, 12] {
        let response = client.call(&asked, version).await;
        let codes: Vec<_> = response
            .topics
            .iter()
            .map(|topic| topic.error_code)
            .collect();
        assert_eq!(codes, [3, INVALID], "version {version}");
    }
    // Asking for the view has not created the topic.
    let all = client
        .call(&message!(MetadataRequest { topics: None }), 12)
        .await;
    assert!(all.topics.is_empty());
    assert_eq!(fetch(&mut client, "nothing@state", 0).await.error_code, 3);

    let mut client = create(&broker, "orders", &[COMPACT]).await;
    for version in 0..=13 {
        let response = client
            .call(&metadata_request(&["orders@state"]), version)
            .await;
        assert_eq!(response.topics[0].error_code, 0, "version {version}");
        assert_eq!(
            response.topics[0].name.as_ref().unwrap().as_str(),
            "orders@state"
        );
    }
    let all = client
        .call(&message!(MetadataRequest { topics: None }), 12)
        .await;
    assert_eq!(all.topics.len(), 1);
}

#[tokio::test]
async fn offsets_are_listed_and_committed_by_name_and_by_id() {
    let broker = TestBroker::start(&[("offsets.topic.num.partitions", "1")]).await;
    let mut client = create(&broker, "orders", &[COMPACT]).await;
    write(&mut client, "orders", "a1 a2 a3").await;
    for (timestamp, expected) in [(-2, 0), (-1, 3)] {
        let request = message!(ListOffsetsRequest {
            topics: vec![message!(ListOffsetsTopic {
                name: StrBytes::from("orders@state"),
                partitions: vec![message!(ListOffsetsPartition { timestamp })],
            })],
        });
        let response = client.call(&request, 7).await;
        let partition = &response.topics[0].partitions[0];
        assert_eq!((partition.error_code, partition.offset), (0, expected));
    }
    let mut code = client.commit("readers", "orders@state", 0, 2).await;
    while code == ErrorCode::CoordinatorLoadInProgress.code() {
        code = client.commit("readers", "orders@state", 0, 2).await;
    }
    assert_eq!(code, 0);
    assert_eq!(client.committed("readers", "orders@state", 0).await, 2);
    assert_eq!(client.committed("readers", "orders", 0).await, -1);
    assert_eq!(client.commit("readers", "nothing@state", 0, 2).await, 3);

    let by_id = message!(OffsetCommitRequest {
        group_id: StrBytes::from("readers"),
        topics: vec![message!(OffsetCommitRequestTopic {
            topic_id: id_of(&mut client, "orders@state").await,
            partitions: vec![message!(OffsetCommitRequestPartition {
                committed_offset: 3,
            })],
        })],
    });
    let response = client.call(&by_id, 10).await;
    assert_eq!(response.topics[0].partitions[0].error_code, 0);
    assert_eq!(client.committed("readers", "orders@state", 0).await, 3);

    // With the topic its view's offsets go.
    let delete = delete_request(Some("orders"), Uuid::default());
    assert_eq!(client.call(&delete, 6).await.responses[0].error_code, 0);
    let gone = async { while client.committed("readers", "orders@state", 0).await != -1 {} };
    tokio::time::timeout(DEADLINE, gone).await.unwrap();
}

#[tokio::test]
async fn a_group_of_the_consumer_protocol_is_assigned_a_view_that_it_names() {
    let broker = TestBroker::start(&[
        ("offsets.topic.num.partitions", "1"),
        ("group.consumer.assignment.interval.ms", "0"),
    ])
    .await;
    let mut client = create(&broker, "orders", &[COMPACT]).await;
    let join = |group: &str, names: Option<&str>, regex: Option<&str>| {
        message!(ConsumerGroupHeartbeatRequest {
            group_id: StrBytes::from(group),
            member_id: StrBytes::from("a"),
            rebalance_timeout_ms: 60_000,
            subscribed_topic_names: names.map(|name| vec![StrBytes::from(name)]),
            subscribed_topic_regex: regex.map(StrBytes::from),
            topic_partitions: Some(Vec::new()),
        })
    };
    let by_name = join("named", Some("orders@state"), None);
    let mut response = client.call(&by_name, 1).await;
    while response.error_code == ErrorCode::CoordinatorLoadInProgress.code() {
        response = client.call(&by_name, 1).await;
    }
    assert_eq!(response.error_code, 0, "{response:?}");
    let topics = response.assignment.unwrap().topic_partitions;
    let view = id_of(&mut client, "orders@state").await;
    assert_eq!((topics.len(), topics[0].topic_id), (1, view));
    assert_eq!(topics[0].partitions, [0]);

    let response = client
        .call(&join("matched", None, Some("orders.*")), 1)
        .await;
    let topics = response.assignment.unwrap().topic_partitions;
    let topic = id_of(&mut client, "orders").await;
    assert_eq!((topics.len(), topics[0].topic_id), (1, topic));
}

fn delete_request(name: Option<&str>, topic_id: Uuid) -> DeleteTopicsRequest {
    message!(DeleteTopicsRequest {
        topics: vec![message!(DeleteTopicState {
            name: name.map(StrBytes::from),
            topic_id,
        })],
        timeout_ms: 10_000,
    })
}

#[track_caller]
fn refused(code: i16, message: Option<&StrBytes>) {
    assert_eq!(code, INVALID);
    let message = message.expect("a message").as_str();
    assert!(
        message.contains("orders@state is the state view of orders"),
        "{message}"
    );
}

#[tokio::test]
async fn whatever_would_change_a_view_is_refused_with_a_message() {
    let broker = TestBroker::start(&[]).await;
    let mut client = create(&broker, "orders", &[("cleanup.policy", "compact,delete")]).await;
    write(&mut client, "orders", "a1").await;
    let view = id_of(&mut client, "orders@state").await;
    let name = StrBytes::from("orders@state");

    let produced = client
        .produce("orders@state", batch(&[(Some("a"), Some("2"))]))
        .await;
    refused(produced.error_code, produced.error_message.as_ref());
    let mut by_id = produce_request("", -1, batch(&[(Some("a"), Some("2"))]));
    by_id.topic_data[0].topic_id = view;
    let produced = client.call(&by_id, 13).await;
    let produced = &produced.responses[0].partition_responses[0];
    refused(produced.error_code, produced.error_message.as_ref());

    let created = message!(CreateTopicsRequest {
        topics: vec![message!(CreatableTopic {
            name: name.clone(),
            num_partitions: 1,
            replication_factor: 1,
        })],
        timeout_ms: 10_000,
    });
    let created = client.call(&created, 7).await;
    refused(
        created.topics[0].error_code,
        created.topics[0].error_message.as_ref(),
    );

    for request in [
        delete_request(Some("orders@state"), Uuid::default()),
        delete_request(None, view),
    ] {
        let deleted = client.call(&request, 6).await;
        refused(
            deleted.responses[0].error_code,
            deleted.responses[0].error_message.as_ref(),
        );
    }
    let grown = message!(CreatePartitionsRequest {
        topics: vec![message!(CreatePartitionsTopic {
            name: name.clone(),
            count: 2,
        })],
        timeout_ms: 10_000,
    });
    let grown = client.call(&grown, 3).await;
    refused(
        grown.results[0].error_code,
        grown.results[0].error_message.as_ref(),
    );

    let altered = message!(IncrementalAlterConfigsRequest {
        resources: vec![message!(AlterConfigsResource {
            resource_type: 2,
            resource_name: name.clone(),
            configs: vec![message!(AlterableConfig {
                name: StrBytes::from("segment.ms"),
                value: Some(StrBytes::from("1000")),
            })],
        })],
    });
    let altered = client.call(&altered, 1).await;
    refused(
        altered.responses[0].error_code,
        altered.responses[0].error_message.as_ref(),
    );
    let altered = message!(AlterConfigsRequest {
        resources: vec![message!(OldAlterConfigsResource {
            resource_type: 2,
            resource_name: name.clone(),
        })],
    });
    let altered = client.call(&altered, 2).await;
    refused(
        altered.responses[0].error_code,
        altered.responses[0].error_message.as_ref(),
    );

    // Here the wire has no place for a message.
    let deleted = message!(DeleteRecordsRequest {
        topics: vec![message!(DeleteRecordsTopic {
            name,
            partitions: vec![message!(DeleteRecordsPartition { offset: 1 })],
        })],
        timeout_ms: 10_000,
    });
    let deleted = client.call(&deleted, 2).await;
    assert_eq!(deleted.topics[0].partitions[0].error_code, INVALID);

    // To describe it is to describe its topic.
    let described = message!(DescribeConfigsRequest {
        resources: vec![message!(DescribeConfigsResource {
            resource_type: 2,
            resource_name: StrBytes::from("orders@state"),
        })],
    });
    let described = client.call(&described, 4).await;
    let mut configs = described.results[0].configs.iter();
    let policy = configs.find(|config| config.name.as_str() == "cleanup.policy");
    assert_eq!(
        policy.unwrap().value.as_ref().unwrap().as_str(),
        "compact,delete"
    );

    let fetched = client.fetch("orders", 0).await;
    assert_eq!((fetched.log_start_offset, fetched.high_watermark), (0, 1));
}

async fn set_view(client: &mut Client, topic: &str, value: &str) -> i16 {
    let request = message!(IncrementalAlterConfigsRequest {
        resources: vec![message!(AlterConfigsResource {
            resource_type: 2,
            resource_name: StrBytes::from(topic),
            configs: vec![message!(AlterableConfig {
                name: StrBytes::from("lastword.fetch.view"),
                value: Some(StrBytes::from(value)),
            })],
        })],
    });
    client.call(&request, 1).await.responses[0].error_code
}

#[tokio::test]
async fn the_config_makes_every_fetch_of_the_topic_one_of_its_state() {
    let broker = TestBroker::start(&[]).await;
    let mut client = create(&broker, "orders", &[COMPACT]).await;
    write(&mut client, "orders", "a1 b1 a2").await;
    assert_eq!(
        shown(&fetch(&mut client, "orders", 0).await),
        "a1@0 b1@1 a2@2"
    );
    assert_eq!(set_view(&mut client, "orders", "newest").await, 40);
    assert_eq!(set_view(&mut client, "orders", "state").await, 0);
    assert_eq!(shown(&fetch(&mut client, "orders", 0).await), "b1@1 a2@2");
    assert_eq!(set_view(&mut client, "orders", "log").await, 0);
    assert_eq!(
        shown(&fetch(&mut client, "orders", 0).await),
        "a1@0 b1@1 a2@2"
    );
}

#[tokio::test]
async fn a_view_over_many_small_segments_that_are_being_cleaned_folds_to_the_same_map() {
    let broker = TestBroker::start(&[("log.cleaner.backoff.ms", "20")]).await;
    let configs = [
        COMPACT,
        ("internal.segment.bytes", "2000"),
        ("min.cleanable.dirty.ratio", "0.0"),
    ];
    let mut client = create(&broker, "orders", &configs).await;
    let mut reader = broker.connect().await;
    let (mut expected, mut seen) = (BTreeMap::new(), BTreeMap::new());
    let mut offset = 0;
    for round in 0..400 {
        let (key, value) = (format!("k{}", round * round % 23), format!("v{round}"));
        let answer = client
            .produce("orders", batch(&[(Some(&key), Some(&value))]))
            .await;
        assert_eq!(answer.error_code, 0);
        expected.insert(key, value);
        if round % 40 == 39 {
            read_on(&mut reader, &mut offset, &mut seen).await;
            // From the start again now and then: the view is renewed meanwhile.
            assert_eq!(seen, expected, "round {round}");
            if round % 80 == 79 {
                offset = 0;
                seen.clear();
            }
        }
    }
    read_on(&mut reader, &mut offset, &mut seen).await;
    assert_eq!(seen, expected);
    broker.server.stop().await.unwrap();
}

async fn read_on(client: &mut Client, offset: &mut i64, map: &mut BTreeMap<String, String>) {
    let end = client.fetch("orders", 0).await.high_watermark;
    while *offset < end {
        let fetched = fetch(client, "orders@state", *offset).await;
        assert_eq!(fetched.error_code, 0);
        for (at, key, value) in records(fetched.records.as_ref().unwrap()) {
            assert!(at >= *offset || map.contains_key(key.as_ref().unwrap()));
            map.insert(key.unwrap(), value.unwrap());
            *offset = (*offset).max(at + 1);
        }
    }
}
