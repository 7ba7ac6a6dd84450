//! Offsets that a transaction commits.

use lastword_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopics,
};
use lastword_protocol::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use lastword_protocol::messages::{
    AddOffsetsToTxnRequest, OffsetFetchRequest, TxnOffsetCommitRequest,
};
use lastword_protocol::{StrBytes, message};

use super::requests::{GENERATIONS, Generation, Producer, create_topic, transaction_broker};
use crate::client::{Client, DEADLINE};

/// The code of each partition; -1 is no generation, so that anybody may commit.
async fn commit_offset(
    producer: &mut Producer,
    version: i16,
    partitions: &[i32],
    offset: i64,
) -> Vec<i16> {
    let partitions = partitions.iter().map(|&partition_index| {
        message!(TxnOffsetCommitRequestPartition {
            partition_index,
            committed_offset: offset,
            committed_metadata: Some("".into()),
        })
    });
    let mut request = message!(TxnOffsetCommitRequest {
        transactional_id: producer.id.as_str().into(),
        group_id: "app".into(),
        producer_id: producer.producer_id,
        producer_epoch: producer.epoch,
        topics: vec![message!(TxnOffsetCommitRequestTopic {
            name: "t".into(),
            partitions: partitions.collect(),
        })],
    });
    if version >= 3 {
        request.generation_id_or_member_epoch = -1;
    }
    loop {
        let response = producer.client.call(&request, version).await;
        let partitions = &response.topics[0].partitions;
        let codes: Vec<i16> = partitions.iter().map(|each| each.error_code).collect();
        // The markers of the transaction before are being written.
        if !codes.contains(&51) {
            return codes;
        }
    }
}

async fn add_offsets(producer: &mut Producer) -> i16 {
    let request = message!(AddOffsetsToTxnRequest {
        transactional_id: producer.id.as_str().into(),
        producer_id: producer.producer_id,
        producer_epoch: producer.epoch,
        group_id: "app".into(),
    });
    loop {
        let code = producer.client.call(&request, 3).await.error_code;
        if code != 51 {
            return code;
        }
    }
}

/// The committed offset and its code.
async fn committed(client: &mut Client, require_stable: bool) -> (i64, i16) {
    let request = message!(OffsetFetchRequest {
        require_stable,
        groups: vec![message!(OffsetFetchRequestGroup {
            group_id: StrBytes::from("app"),
            topics: Some(vec![message!(OffsetFetchRequestTopics {
                name: StrBytes::from("t"),
                partition_indexes: vec![0],
            })]),
        })],
    });
    let response = client.call(&request, 8).await;
    let group = &response.groups[0];
    // None while the group is being loaded.
    let Some(topic) = group.topics.first() else {
        return (-1, group.error_code);
    };
    (
        topic.partitions[0].committed_offset,
        topic.partitions[0].error_code,
    )
}

async fn wait_until_stable(client: &mut Client, offset: i64) {
    let asking = async {
        while committed(client, true).await != (offset, 0) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, asking)
        .await
        .expect("the offset is committed");
}

async fn begin(producer: &mut Producer) -> i16 {
    match producer.generation {
        Generation::V1 => {
            assert_eq!(add_offsets(producer).await, 0);
            3
        }
        Generation::V2 => 5,
    }
}

#[tokio::test]
async fn offsets_of_a_transaction_count_once_it_is_committed() {
    for generation in GENERATIONS {
        let broker = transaction_broker(&[]).await;
        create_topic(&broker, "t", 1).await;
        let mut client = broker.connect().await;
        let mut producer = Producer::new(&broker, "tx", generation).await;
        let version = begin(&mut producer).await;
        assert_eq!(
            commit_offset(&mut producer, version, &[0], 7).await,
            [0],
            "{generation:?}"
        );
        assert_eq!(
            committed(&mut client, true).await,
            (-1, 88),
            "{generation:?}"
        );
        assert_eq!(
            committed(&mut client, false).await,
            (-1, 0),
            "{generation:?}"
        );
        producer.commit().await;
        wait_until_stable(&mut client, 7).await;

        let version = begin(&mut producer).await;
        assert_eq!(commit_offset(&mut producer, version, &[0], 9).await, [0]);
        producer.abort().await;
        wait_until_stable(&mut client, 7).await;
    }
}

#[tokio::test]
async fn offsets_of_an_open_transaction_stay_open_through_a_restart() {
    for generation in GENERATIONS {
        let broker = transaction_broker(&[]).await;
        create_topic(&broker, "t", 1).await;
        let mut producer = Producer::new(&broker, "tx", generation).await;
        let version = begin(&mut producer).await;
        assert_eq!(commit_offset(&mut producer, version, &[0], 7).await, [0]);
        let broker = broker.restart().await;
        let mut client = broker.connect().await;
        let asking = async {
            while committed(&mut client, true).await != (-1, 88) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(DEADLINE, asking)
            .await
            .expect("it is open");
        producer.client = broker.connect().await;
        client.wait_for_state("tx", "Ongoing").await;
        producer.commit().await;
        wait_until_stable(&mut client, 7).await;
    }
}

#[tokio::test]
async fn offsets_need_a_transaction_that_has_the_group() {
    let broker = transaction_broker(&[]).await;
    create_topic(&broker, "t", 1).await;
    let mut client = broker.connect().await;
    let mut producer = Producer::new(&broker, "tx", Generation::V1).await;
    producer.write("t", 0, "v").await;
    for (version, code) in [(0, 48), (2, 48), (3, 48), (4, 120)] {
        let codes = commit_offset(&mut producer, version, &[0], 7).await;
        assert_eq!(codes, [code], "version {version}");
    }
    assert_eq!(committed(&mut client, true).await, (-1, 0));
}

#[tokio::test]
async fn offsets_of_partitions_that_do_not_exist_are_refused_one_by_one() {
    let broker = transaction_broker(&[]).await;
    create_topic(&broker, "t", 1).await;
    let mut client = broker.connect().await;
    let mut producer = Producer::new(&broker, "tx", Generation::V2).await;
    assert_eq!(commit_offset(&mut producer, 5, &[0, 9], 7).await, [0, 3]);
    producer.commit().await;
    wait_until_stable(&mut client, 7).await;
}

#[tokio::test]
async fn a_fenced_producer_commits_no_offsets() {
    for generation in GENERATIONS {
        let broker = transaction_broker(&[]).await;
        create_topic(&broker, "t", 1).await;
        let mut client = broker.connect().await;
        let mut zombie = Producer::new(&broker, "tx", generation).await;
        let version = begin(&mut zombie).await;
        assert_eq!(commit_offset(&mut zombie, version, &[0], 7).await, [0]);
        Producer::new(&broker, "tx", generation).await;
        wait_until_stable(&mut client, -1).await;
        let codes = commit_offset(&mut zombie, version, &[0], 8).await;
        assert_eq!(codes, [47], "{generation:?}");
    }
}
