//! How a transaction ends beside by its producer: by its timeout, with a topic that is deleted.

use super::requests::{GENERATIONS, Generation, Producer, create_topic, transaction_broker};

#[tokio::test]
async fn a_transaction_that_takes_too_long_is_aborted_and_its_producer_fenced() {
    for generation in GENERATIONS {
        let broker = transaction_broker(&[]).await;
        create_topic(&broker, "t", 1).await;
        let mut client = broker.connect().await;
        let mut producer = Producer::with_timeout(&broker, "tx", generation, 50).await;
        producer.write("t", 0, "v").await;
        let ended = client.wait_for_state("tx", "CompleteAbort").await;
        assert_eq!(ended.producer_epoch, producer.epoch + 1, "{generation:?}");
        assert_eq!(client.values_at("t", 0, 2).await, [""; 0]);
        // To the new generation the epoch looks like that of its own end, which was an abort.
        let code = if generation == Generation::V1 { 90 } else { 48 };
        assert_eq!(producer.end(true).await, code, "{generation:?}");
        let refused = producer.produce("t", 0, "late").await;
        assert_eq!(refused.error_code, 47, "{generation:?}");
    }
}

#[tokio::test]
async fn a_transaction_whose_topic_is_deleted_is_committed_where_it_still_can_be() {
    for generation in GENERATIONS {
        let broker = transaction_broker(&[]).await;
        create_topic(&broker, "kept", 1).await;
        create_topic(&broker, "deleted", 2).await;
        let mut client = broker.connect().await;
        let mut producer = Producer::new(&broker, "tx", generation).await;
        producer.write("deleted", 1, "v").await;
        producer.write("kept", 0, "v").await;
        let handles = broker.server.broker().clone();
        let delete = move || lastword_broker::topics::delete_topic(&handles, "deleted");
        tokio::task::spawn_blocking(delete).await.unwrap().unwrap();
        producer.commit().await;
        client.wait_for_state("tx", "CompleteCommit").await;
        assert_eq!(
            client.values_at("kept", 0, 2).await,
            ["v"],
            "{generation:?}"
        );
    }
}

#[tokio::test]
async fn an_id_that_nobody_uses_is_forgotten() {
    let broker = transaction_broker(&[
        ("transactional.id.expiration.ms", "1"),
        (
            "transaction.remove.expired.transaction.cleanup.interval.ms",
            "10",
        ),
    ])
    .await;
    let mut client = broker.connect().await;
    Producer::new(&broker, "tx", Generation::V2).await;
    let asking = async {
        while client.describe("tx").await.error_code != 105 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(crate::client::DEADLINE, asking)
        .await
        .expect("it is forgotten");
}
