//! Many producers at once, of both generations: each transaction is there wholly or not at all.

use std::collections::BTreeMap;

use super::requests::{Generation, Producer, create_topic, transaction_broker};
use crate::client::{DEADLINE, TestBroker};

const PRODUCERS: u64 = 8;
const TRANSACTIONS: u64 = 12;
const PARTITIONS: i32 = 4;

/// A small generator, so that a failure can be played again.
struct Random(u64);

impl Random {
    fn next(&mut self, below: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }
}

/// The values that are committed, by partition, as this producer believes.
async fn produce(broker: &TestBroker, number: u64, seed: u64) -> BTreeMap<i32, Vec<String>> {
    let mut random = Random(seed.wrapping_add(number));
    let generation = [Generation::V1, Generation::V2][random.next(2) as usize];
    let id = format!("tx-{number}");
    let mut producer = Producer::new(broker, &id, generation).await;
    let mut committed: BTreeMap<i32, Vec<String>> = BTreeMap::new();
    for transaction in 0..TRANSACTIONS {
        let mut written = Vec::new();
        for record in 0..1 + random.next(4) {
            let partition = random.next(PARTITIONS as u64) as i32;
            let value = format!("{number}/{transaction}/{record}");
            producer.write("t", partition, &value).await;
            written.push((partition, value));
        }
        match random.next(5) {
            0 => producer.abort().await,
            // Another of its kind takes over: what is open is aborted.
            1 => producer = Producer::new(broker, &id, generation).await,
            _ => {
                producer.commit().await;
                for (partition, value) in written {
                    committed.entry(partition).or_default().push(value);
                }
            }
        }
    }
    committed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn transactions_of_many_producers_are_there_wholly_or_not_at_all() {
    let seed = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_nanos() as u64;
    println!("seed {seed}");
    let broker = std::sync::Arc::new(transaction_broker(&[]).await);
    create_topic(&broker, "t", PARTITIONS).await;
    let producing = (0..PRODUCERS).map(|number| {
        let broker = broker.clone();
        tokio::spawn(async move { produce(&broker, number, seed).await })
    });
    let mut wanted: BTreeMap<i32, Vec<String>> = BTreeMap::new();
    for one in producing.collect::<Vec<_>>() {
        for (partition, values) in one.await.unwrap() {
            wanted.entry(partition).or_default().extend(values);
        }
    }
    let mut client = broker.connect().await;
    // The last markers follow the answers.
    for number in 0..PRODUCERS {
        let id = format!("tx-{number}");
        let waiting = async {
            while client
                .describe(&id)
                .await
                .transaction_state
                .starts_with("Prepare")
            {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(DEADLINE, waiting)
            .await
            .expect("it is ended");
    }
    for partition in 0..PARTITIONS {
        let end = client.fetch_committed("t", partition).await.high_watermark;
        let mut found = client.values_at("t", partition, end).await;
        found.sort();
        let mut wanted = wanted.remove(&partition).unwrap_or_default();
        wanted.sort();
        assert_eq!(found, wanted, "partition {partition}, seed {seed}");
    }
}
