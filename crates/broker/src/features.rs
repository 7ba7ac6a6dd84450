//! The features of KIP-584, with the names and levels of Kafka 4.3: what clients choose a protocol
//! by. Only those whose behaviour is here are listed; their levels do not change.
//!
//! `metadata.version` says which Kafka this behaves like. Tools that compare brokers read it.

use lastword_protocol::ApiKey;

/// One feature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Feature {
    pub(crate) name: &'static str,
    pub(crate) min_level: i16,
    pub(crate) max_level: i16,
}

/// The version of the levels, which are those of the first start for ever.
pub(crate) const EPOCH: i64 = 0;

/// 3.3-IV3 to 4.3-IV0.
const METADATA_VERSION: Feature = Feature {
    name: "metadata.version",
    min_level: 7,
    max_level: 30,
};
/// Level 2 is KIP-890: produce adds partitions, the end of a transaction bumps the epoch.
const TRANSACTION_VERSION: Feature = Feature {
    name: "transaction.version",
    min_level: 0,
    max_level: 2,
};
/// Level 1 is KIP-848.
const GROUP_VERSION: Feature = Feature {
    name: "group.version",
    min_level: 0,
    max_level: 1,
};

/// The features of a broker that serves these APIs, sorted by name. All are finalized at their
/// highest level.
pub(crate) fn features(served: &[ApiKey]) -> Vec<Feature> {
    let mut features = Vec::with_capacity(3);
    if served.contains(&ApiKey::ConsumerGroupHeartbeat) {
        features.push(GROUP_VERSION);
    }
    features.extend([METADATA_VERSION, TRANSACTION_VERSION]);
    features
}
