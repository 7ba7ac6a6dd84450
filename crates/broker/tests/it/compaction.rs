//! Cleanings that somebody asks for.

use std::sync::Arc;
use std::time::Instant;

use lastword_broker::Broker;
use lastword_broker::compaction::{JobState, plan, request};
use lastword_broker::topics::{NewTopic, create_topic};
use lastword_record::TopicPartition;
use lastword_storage::StorageError;
use lastword_storage::cleaner::ReasonCode;

use crate::client::{DEADLINE, TestBroker, batch};

async fn create(broker: &Arc<Broker>, name: &str, policy: &str) -> TopicPartition {
    let config = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let new_topic = NewTopic {
        name: name.to_owned(),
        partition_count: Some(1),
        configs: [
            config("cleanup.policy", policy),
            config("min.cleanable.dirty.ratio", "1"),
        ]
        .into(),
    };
    let handles = broker.clone();
    tokio::task::spawn_blocking(move || create_topic(&handles, &new_topic))
        .await
        .unwrap()
        .unwrap();
    TopicPartition::new(name, 0)
}

#[tokio::test]
async fn a_cleaning_that_is_asked_for_rolls_if_it_is_to_and_tells_what_came_of_it() {
    let running = TestBroker::start(&[]).await;
    let broker = running.server.broker().clone();
    let topic_partition = create(&broker, "t", "compact").await;
    let mut client = running.connect().await;
    let records = [("a", "1"), ("b", "1"), ("a", "2")];
    let records = records.map(|(key, value)| (Some(key), Some(value)));
    assert_eq!(client.produce("t", batch(&records)).await.error_code, 0);
    let job = request(&broker, &topic_partition, false).unwrap();
    let JobState::Done(outcome) = job.ended().await else {
        panic!("{:?}", job.state())
    };
    let nothing = outcome.nothing.as_ref().unwrap();
    assert_eq!(nothing.code(), ReasonCode::ActiveSegment);
    let job = request(&broker, &topic_partition, true).unwrap();
    let JobState::Done(outcome) = job.ended().await else {
        panic!("{:?}", job.state())
    };
    assert_eq!((outcome.rolled_at, outcome.end_offset), (Some(3), 3));
    assert_eq!(outcome.stats.dead.superseded, 1);
    assert!(outcome.bytes_after < outcome.bytes_before);
    let last = broker.compactions.last(&topic_partition).unwrap();
    assert_eq!(last.id, job.id);
    let planned = plan(&broker, &topic_partition).await.unwrap();
    assert_eq!((planned.dead.total(), planned.live_keys), (0, 2));
}

#[tokio::test]
async fn a_request_joins_the_one_that_is_under_way_and_a_pause_ends_it() {
    let running = TestBroker::start(&[("log.cleaner.io.max.bytes.per.second", "6")]).await;
    let broker = running.server.broker().clone();
    let topic_partition = create(&broker, "t", "compact").await;
    let mut client = running.connect().await;
    let records = [(Some("a"), Some("1")), (Some("a"), Some("2"))];
    assert_eq!(client.produce("t", batch(&records)).await.error_code, 0);
    let first = request(&broker, &topic_partition, true).unwrap();
    let second = request(&broker, &topic_partition, true).unwrap();
    assert_eq!(first.id, second.id);
    let deadline = Instant::now() + DEADLINE;
    while broker.cleaner.overview().busy_with.is_empty() {
        assert!(Instant::now() < deadline);
        tokio::task::yield_now().await;
    }
    broker.cleaner.pause(&topic_partition, "test").unwrap();
    let JobState::Failed(error) = first.ended().await else {
        panic!("{:?}", first.state())
    };
    assert!(matches!(*error, StorageError::Paused { .. }), "{error}");
    let refused = request(&broker, &topic_partition, true);
    assert!(matches!(refused, Err(StorageError::Paused { .. })));
}

#[tokio::test]
async fn a_cleaning_does_not_keep_the_broker_from_stopping() {
    let running = TestBroker::start(&[("log.cleaner.io.max.bytes.per.second", "6")]).await;
    let broker = running.server.broker().clone();
    let mut jobs = Vec::new();
    for name in ["t", "u"] {
        let topic_partition = create(&broker, name, "compact").await;
        let mut client = running.connect().await;
        let records = [(Some("a"), Some("1")), (Some("a"), Some("2"))];
        assert_eq!(client.produce(name, batch(&records)).await.error_code, 0);
        // One runs, one waits for its turn.
        jobs.push(request(&broker, &topic_partition, true).unwrap());
    }
    running.server.stop().await.unwrap();
    for job in jobs {
        let ended = job.ended().await;
        let JobState::Failed(error) = ended else {
            panic!("{ended:?}")
        };
        assert!(matches!(*error, StorageError::Closed), "{error}");
    }
}

#[tokio::test]
async fn what_cannot_be_cleaned_is_refused() {
    let running = TestBroker::start(&[]).await;
    let broker = running.server.broker().clone();
    let plain = create(&broker, "plain", "delete").await;
    let refused = request(&broker, &plain, false);
    assert!(matches!(refused, Err(StorageError::NotCompacted { .. })));
    let refused = plan(&broker, &plain).await;
    assert!(matches!(refused, Err(StorageError::NotCompacted { .. })));
    let nowhere = TopicPartition::new("nowhere", 0);
    let refused = request(&broker, &nowhere, false);
    assert!(matches!(
        refused,
        Err(StorageError::UnknownPartition { .. })
    ));
}
