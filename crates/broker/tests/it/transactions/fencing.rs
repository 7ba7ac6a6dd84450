//! Two producers with one transactional id.

use lastword_protocol::message;
use lastword_protocol::messages::EndTxnRequest;

use super::requests::{GENERATIONS, Generation, Producer, create_topic, init, transaction_broker};

#[tokio::test]
async fn a_new_producer_fences_the_old_one_and_aborts_what_it_has_open() {
    for generation in GENERATIONS {
        let broker = transaction_broker(&[]).await;
        create_topic(&broker, "t", 1).await;
        let mut client = broker.connect().await;
        let mut zombie = Producer::new(&broker, "tx", generation).await;
        zombie.write("t", 0, "zombie").await;
        let mut heir = Producer::new(&broker, "tx", generation).await;
        assert_eq!(heir.producer_id, zombie.producer_id);
        assert!(heir.epoch > zombie.epoch);

        let refused = zombie.produce("t", 0, "again").await;
        assert_eq!(refused.error_code, 47, "{generation:?}");
        assert_eq!(zombie.end(true).await, 90, "{generation:?}");
        heir.write("t", 0, "heir").await;
        heir.commit().await;
        assert_eq!(
            client.values_at("t", 0, 4).await,
            ["heir"],
            "{generation:?}"
        );
    }
}

#[tokio::test]
async fn old_versions_of_end_txn_call_a_fenced_producer_one_of_an_invalid_epoch() {
    let broker = transaction_broker(&[]).await;
    create_topic(&broker, "t", 1).await;
    let mut zombie = Producer::new(&broker, "tx", Generation::V1).await;
    zombie.write("t", 0, "zombie").await;
    Producer::new(&broker, "tx", Generation::V1).await;
    let request = message!(EndTxnRequest {
        transactional_id: "tx".into(),
        producer_id: zombie.producer_id,
        producer_epoch: zombie.epoch,
        committed: true,
    });
    for (version, code) in [(0, 47), (1, 47), (2, 90), (3, 90), (4, 90)] {
        let response = zombie.client.call(&request, version).await;
        assert_eq!(response.error_code, code, "version {version}");
    }
}

#[tokio::test]
async fn of_two_producers_that_start_at_once_one_wins_and_nothing_hangs() {
    for generation in GENERATIONS {
        let broker = transaction_broker(&[]).await;
        create_topic(&broker, "t", 1).await;
        let mut client = broker.connect().await;
        let (mut one, mut two) = tokio::join!(
            Producer::new(&broker, "tx", generation),
            Producer::new(&broker, "tx", generation),
        );
        if one.epoch > two.epoch {
            std::mem::swap(&mut one, &mut two);
        }
        assert_eq!(
            (one.producer_id, one.epoch + 1),
            (two.producer_id, two.epoch)
        );
        two.write("t", 0, "winner").await;
        assert_eq!(
            one.produce("t", 0, "loser").await.error_code,
            47,
            "{generation:?}"
        );
        assert_eq!(one.end(true).await, 90, "{generation:?}");
        two.commit().await;
        assert_eq!(
            client.values_at("t", 0, 2).await,
            ["winner"],
            "{generation:?}"
        );
    }
}

#[tokio::test]
async fn a_producer_that_brings_its_epoch_goes_on_with_the_next_one() {
    let broker = transaction_broker(&[]).await;
    let producer = Producer::new(&broker, "tx", Generation::V1).await;
    let mut client = broker.connect().await;
    let mut request = message!(lastword_protocol::messages::InitProducerIdRequest {
        transactional_id: Some("tx".into()),
        transaction_timeout_ms: 1_000,
        producer_id: producer.producer_id,
        producer_epoch: producer.epoch,
    });
    let bumped = client.call(&request, 4).await;
    let wanted = (0, producer.producer_id, producer.epoch + 1);
    assert_eq!(
        (bumped.error_code, bumped.producer_id, bumped.producer_epoch),
        wanted
    );
    // Fenced by somebody else it may not.
    init(&mut client, "tx", Generation::V1, 1_000).await;
    for (version, code) in [(3, 47), (4, 90), (5, 90)] {
        assert_eq!(
            client.call(&request, version).await.error_code,
            code,
            "version {version}"
        );
    }
    request.producer_epoch = -1;
    assert_eq!(
        client.call(&request, 4).await.error_code,
        42,
        "an id without an epoch"
    );
}

#[tokio::test]
async fn timeouts_that_are_too_long_and_ids_that_are_empty_are_refused() {
    let broker = transaction_broker(&[("transaction.max.timeout.ms", "5000")]).await;
    let mut client = broker.connect().await;
    for (timeout_ms, code) in [(5_000, 0), (5_001, 50), (0, 50), (-1, 50)] {
        let answer = init(&mut client, "tx", Generation::V2, timeout_ms).await;
        assert_eq!(answer.error_code, code, "{timeout_ms} ms");
    }
    assert_eq!(
        init(&mut client, "", Generation::V2, 1_000)
            .await
            .error_code,
        42
    );
}
