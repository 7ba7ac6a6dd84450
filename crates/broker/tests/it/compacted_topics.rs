use std::collections::BTreeMap;
use std::time::Instant;

use lastword_broker::topics::{NewTopic, create_topic};
use lastword_protocol::messages::IncrementalAlterConfigsRequest;
use lastword_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
};
use lastword_protocol::{ErrorCode, StrBytes, message};

use crate::client::{Client, DEADLINE, Read, TestBroker, batch, records};

async fn create_compacted(broker: &TestBroker, name: &str) -> Client {
    let new_topic = NewTopic {
        name: name.to_owned(),
        partition_count: Some(1),
        configs: [("cleanup.policy".to_owned(), "compact".to_owned())].into(),
    };
    let handles = broker.server.broker().clone();
    tokio::task::spawn_blocking(move || create_topic(&handles, &new_topic))
        .await
        .unwrap()
        .unwrap();
    broker.connect().await
}

#[tokio::test]
async fn a_keyless_record_is_refused_with_its_whole_batch() {
    let broker = TestBroker::start(&[]).await;
    let mut client = create_compacted(&broker, "t").await;
    let mixed = batch(&[
        (Some("a"), Some("1")),
        (None, Some("2")),
        (Some("c"), Some("3")),
    ]);
    let answer = client.produce("t", mixed).await;
    assert_eq!(answer.error_code, ErrorCode::InvalidRecord.code());
    assert_eq!(answer.record_errors.len(), 1);
    assert_eq!(answer.record_errors[0].batch_index, 1);
    assert!(answer.error_message.is_some());
    let fetched = client.fetch("t", 0).await;
    assert_eq!((fetched.high_watermark, fetched.log_start_offset), (0, 0));
    assert!(fetched.records.unwrap().is_empty());
}

#[tokio::test]
async fn an_empty_key_is_a_key() {
    let broker = TestBroker::start(&[]).await;
    let mut client = create_compacted(&broker, "t").await;
    let answer = client
        .produce("t", batch(&[(Some(""), Some("1")), (Some(""), None)]))
        .await;
    assert_eq!((answer.error_code, answer.base_offset), (0, 0));
}

async fn fetch_all(client: &mut Client, topic: &str) -> Vec<Read> {
    let mut all: Vec<Read> = Vec::new();
    let mut offset = 0;
    loop {
        let fetched = client.fetch(topic, offset).await;
        assert_eq!(fetched.error_code, 0);
        let read = records(&fetched.records.unwrap());
        let Some(last) = read.last() else { return all };
        let next = last.0 + 1;
        // A fetch in the middle of a batch gets the whole batch.
        all.extend(read.into_iter().filter(|record| record.0 >= offset));
        offset = next;
    }
}

#[tokio::test]
async fn the_cleaner_keeps_the_last_word_on_every_key_under_its_offset() {
    let broker = TestBroker::start(&[("log.cleaner.backoff.ms", "50")]).await;
    let new_topic = NewTopic {
        name: "t".to_owned(),
        partition_count: Some(1),
        configs: [
            ("cleanup.policy", "compact"),
            ("internal.segment.bytes", "300"),
            ("min.cleanable.dirty.ratio", "0.0"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into(),
    };
    let handles = broker.server.broker().clone();
    tokio::task::spawn_blocking(move || create_topic(&handles, &new_topic))
        .await
        .unwrap()
        .unwrap();
    let mut client = broker.connect().await;
    let mut model = BTreeMap::new();
    for round in 0..6 {
        for key in ["a", "b", "c", "d"] {
            // One of the keys is not written in the last rounds, one is deleted by them.
            if key == "d" && round > 2 {
                continue;
            }
            let value = format!("{key}{round}");
            let value = if key == "c" && round > 3 {
                None
            } else {
                Some(value.as_str())
            };
            let answer = client.produce("t", batch(&[(Some(key), value)])).await;
            assert_eq!(answer.error_code, 0);
            model.insert(
                key.to_owned(),
                (answer.base_offset, value.map(str::to_owned)),
            );
        }
    }
    let end = client.fetch("t", 0).await.high_watermark;
    // The active segment is never cleaned: an old value may stay as long as it is in there.
    let deadline = Instant::now() + DEADLINE;
    let left = loop {
        let left = fetch_all(&mut client, "t").await;
        if left.len() <= model.len() + 2 {
            break left;
        }
        assert!(Instant::now() < deadline, "not cleaned: {left:?}");
        tokio::task::yield_now().await;
    };
    let mut last = BTreeMap::new();
    for (offset, key, value) in &left {
        last.insert(key.clone().unwrap(), (*offset, value.clone()));
    }
    assert_eq!(last, model);
    assert!(left.is_sorted_by(|a, b| a.0 < b.0));
    assert_eq!(client.fetch("t", 0).await.high_watermark, end);
    // Offsets that are gone are not an error: the next record that exists is served.
    let fetched = client.fetch("t", 1).await;
    assert_eq!(fetched.error_code, 0);
}

async fn set_broker_config(client: &mut Client, name: &str, value: &str) -> i16 {
    let config = message!(AlterableConfig {
        name: StrBytes::from(name),
        config_operation: 0,
        value: Some(StrBytes::from(value)),
    });
    let resource = message!(AlterConfigsResource {
        resource_type: 4,
        configs: vec![config],
    });
    let request = message!(IncrementalAlterConfigsRequest {
        resources: vec![resource],
    });
    client.call(&request, 1).await.responses[0].error_code
}

#[tokio::test]
async fn the_cleaners_configs_change_while_the_broker_runs() {
    let broker = TestBroker::start(&[("log.cleaner.backoff.ms", "10")]).await;
    let mut client = broker.connect().await;
    let threads = |broker: &TestBroker| broker.server.broker().cleaner.running_threads();
    assert_eq!(threads(&broker), 1);
    for (value, expected) in [("3", 3), ("2", 2)] {
        let code = set_broker_config(&mut client, "log.cleaner.threads", value).await;
        assert_eq!(code, 0);
        let deadline = Instant::now() + DEADLINE;
        while threads(&broker) != expected {
            assert!(Instant::now() < deadline, "{} threads", threads(&broker));
            tokio::task::yield_now().await;
        }
    }
    for (name, value, expected) in [
        ("lastword.cleaner.latency.target.ms", "0", None),
        ("lastword.cleaner.order", "benefit", None),
        ("log.cleaner.threads", "-1", Some(ErrorCode::InvalidRequest)),
        (
            "lastword.cleaner.order",
            "age",
            Some(ErrorCode::InvalidRequest),
        ),
        (
            "log.cleaner.enable",
            "false",
            Some(ErrorCode::InvalidRequest),
        ),
    ] {
        let code = set_broker_config(&mut client, name, value).await;
        assert_eq!(code, expected.map_or(0, ErrorCode::code), "{name}={value}");
    }
    drop(client);
    let broker = broker.restart().await;
    assert_eq!(threads(&broker), 2);
    broker.server.stop().await.unwrap();
}
