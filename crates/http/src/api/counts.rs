//! Counting the records that exist, for the documents of topics and groups.
//!
//! A log that was never counted is read from header to header, once. A request waits for that a quarter of a second, and
//! has null where more was to be done; `counts=exact` waits for up to 20 seconds. What was done is kept in the broker.

use std::time::Duration;

use lastword_broker::Broker;
use lastword_broker::coordinator::group_view::CommittedOffset;
use lastword_broker::partition::{CountBudget, Partition};
use lastword_storage::StorageError;
use serde::Deserialize;

const QUICK: Duration = Duration::from_millis(250);
const EXACT: Duration = Duration::from_secs(20);

/// The parameter of the query, for its documentation.
pub(super) const COUNTS: (&str, &str) = (
    "counts",
    "exact: waits until records are counted, 20 s at the most; quick, unless said, for 250 ms, and what is missing is null",
);

/// How long a request waits for counts.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Counting {
    #[default]
    Quick,
    Exact,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CountsQuery {
    #[serde(default)]
    pub counts: Counting,
}

impl Counting {
    pub fn budget(self) -> CountBudget {
        CountBudget::new(match self {
            Counting::Quick => QUICK,
            Counting::Exact => EXACT,
        })
    }
}

/// The records of a partition, if they can be counted in this time.
pub(super) fn records(partition: &Partition, budget: CountBudget) -> Option<u64> {
    known(partition, partition.records(budget))
}

/// The records that a group has still to read.
pub(super) fn records_from(
    broker: &Broker,
    committed: &CommittedOffset,
    budget: CountBudget,
) -> Option<u64> {
    let partition = broker
        .partitions
        .get(&committed.topic, committed.partition)?;
    known(&partition, partition.records_from(committed.offset, budget))
}

/// A damaged log has no count; what is damaged, the cleaner and the log say.
fn known(partition: &Partition, counted: Result<Option<u64>, StorageError>) -> Option<u64> {
    counted.unwrap_or_else(|error| {
        let log = partition.topic_partition();
        tracing::debug!(%log, %error, "the records of a log cannot be counted");
        None
    })
}
