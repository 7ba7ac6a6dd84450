use bytes::Bytes;
use lastword_protocol::message;
use lastword_protocol::messages::fetch_request::{FetchTopic, ForgottenTopic};

use super::*;

fn request(id: i32, epoch: i32, partitions: &[(i32, i64)], forget: &[i32]) -> FetchRequest {
    let partitions = partitions
        .iter()
        .map(|&(partition, fetch_offset)| {
            message!(FetchPartition {
                partition,
                fetch_offset,
                partition_max_bytes: 1000
            })
        })
        .collect();
    message!(FetchRequest {
        session_id: id,
        session_epoch: epoch,
        topics: vec![message!(FetchTopic {
            topic: "t".into(),
            partitions
        })],
        forgotten_topics_data: vec![message!(ForgottenTopic {
            topic: "t".into(),
            partitions: forget.to_vec(),
        })],
    })
}

fn answer(sessions: &FetchSessions, context: FetchContext, records: &[i32]) -> (i32, Vec<i32>) {
    let (items, finish) = context.into_parts();
    let answers = items
        .into_iter()
        .map(|item| {
            let records = match records.contains(&item.key.partition) {
                true => Bytes::from_static(b"batch"),
                false => Bytes::new(),
            };
            let data = message!(PartitionData {
                partition_index: item.key.partition,
                high_watermark: 10,
                log_start_offset: 0,
                records: Some(records),
            });
            (item, data)
        })
        .collect();
    let (id, news) = sessions.finish(finish, answers, 0);
    (
        id,
        news.iter().map(|(item, _)| item.key.partition).collect(),
    )
}

#[test]
fn a_session_answers_only_what_is_news() {
    let sessions = FetchSessions::new(10);
    let opened = sessions
        .begin(request(0, 0, &[(0, 5), (1, 5), (2, 5)], &[]), 12, 0)
        .unwrap();
    let (id, told) = answer(&sessions, opened, &[]);
    assert_ne!(id, 0);
    assert_eq!(told, [0, 1, 2]);
    let quiet = sessions.begin(request(id, 1, &[], &[]), 12, 0).unwrap();
    assert_eq!(answer(&sessions, quiet, &[]), (id, vec![]));
    let loud = sessions.begin(request(id, 2, &[], &[]), 12, 0).unwrap();
    assert_eq!(answer(&sessions, loud, &[1]), (id, vec![1]));
    // The next one begins behind the partition that had data.
    let next = sessions
        .begin(request(id, 3, &[(1, 6)], &[0]), 12, 0)
        .unwrap();
    let keys: Vec<i32> = next.items.iter().map(|item| item.key.partition).collect();
    assert_eq!(keys.len(), 2);
    assert!(!keys.contains(&0));
    assert_eq!(
        next.items
            .iter()
            .find(|item| item.key.partition == 1)
            .unwrap()
            .fetch_offset,
        6
    );
}

#[test]
fn a_wrong_session_or_epoch_is_refused() {
    let sessions = FetchSessions::new(10);
    let opened = sessions
        .begin(request(0, 0, &[(0, 5)], &[]), 12, 0)
        .unwrap();
    let (id, _) = answer(&sessions, opened, &[]);
    let refused = |id, epoch, version| {
        sessions
            .begin(request(id, epoch, &[], &[]), version, 0)
            .err()
    };
    assert_eq!(
        refused(id ^ 1, 1, 12),
        Some(ErrorCode::FetchSessionIdNotFound)
    );
    assert_eq!(
        refused(id, 7, 12),
        Some(ErrorCode::InvalidFetchSessionEpoch)
    );
    assert_eq!(
        refused(id, 1, 13),
        Some(ErrorCode::FetchSessionTopicIdError)
    );
    assert!(sessions.begin(request(id, -1, &[], &[]), 12, 0).is_ok());
    assert_eq!(sessions.count(), 0);
}

#[test]
fn a_full_cache_turns_newcomers_away_until_a_session_is_idle() {
    let sessions = FetchSessions::new(1);
    let open = |now_ms| {
        let context = sessions
            .begin(request(0, 0, &[(0, 5)], &[]), 12, now_ms)
            .unwrap();
        let (items, finish) = context.into_parts();
        let answers = items
            .into_iter()
            .map(|item| (item, PartitionData::default()))
            .collect();
        sessions.finish(finish, answers, now_ms).0
    };
    assert_ne!(open(0), 0);
    assert_eq!(open(1000), 0);
    assert_ne!(open(MIN_EVICTION_MS), 0);
    assert_eq!(sessions.count(), 1);
}
