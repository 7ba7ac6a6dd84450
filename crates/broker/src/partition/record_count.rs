//! How many records of a partition exist, for whoever lists topics and lags.
//!
//! A first count reads every batch header of the log, so a caller says how long it may take; what was seen is kept with the
//! partition, and the next call goes on there. After that a count reads what was appended since.
//!
//! Lock: `counter` of one partition, for as long as the budget lasts. Blocks: callers are on the blocking pool.

use std::ops::Range;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use lastword_record::Decompressor;
use lastword_storage::StorageError;
use lastword_storage::record_count::RecordCounter;

use super::Partition;
use crate::lock::lock;

/// Of one batch, which a cleaning has thinned and in which a count begins or ends.
const MAX_DECOMPRESSED_BYTES: usize = 64 << 20;

#[derive(Default)]
pub(super) struct RecordCountSlot(Mutex<RecordCounter>);

/// How long the counts of one request may take together.
#[derive(Clone, Copy, Debug)]
pub struct CountBudget {
    until: Instant,
}

impl CountBudget {
    /// From now on.
    pub fn new(limit: Duration) -> CountBudget {
        CountBudget {
            until: Instant::now() + limit,
        }
    }

    fn is_left(self) -> bool {
        Instant::now() < self.until
    }
}

impl Partition {
    /// The records that a consumer could be given: from the LogStartOffset to the HighWatermark. None when the budget was
    /// spent before all of them were seen.
    pub fn records(&self, budget: CountBudget) -> Result<Option<u64>, StorageError> {
        let offsets = self.offsets();
        self.count_records(offsets.log_start_offset..offsets.high_watermark, budget)
    }

    /// The records from an offset, which may lie before the log's start, to the HighWatermark: what a group that has
    /// committed it has still to read.
    pub fn records_from(
        &self,
        offset: i64,
        budget: CountBudget,
    ) -> Result<Option<u64>, StorageError> {
        let offsets = self.offsets();
        let from = offset.max(offsets.log_start_offset);
        self.count_records(from..offsets.high_watermark, budget)
    }

    fn count_records(
        &self,
        offsets: Range<i64>,
        budget: CountBudget,
    ) -> Result<Option<u64>, StorageError> {
        if offsets.is_empty() {
            return Ok(Some(0));
        }
        let mut decompressor = Decompressor::new(MAX_DECOMPRESSED_BYTES);
        let mut counter = lock(&self.records.0);
        let mut may_go_on = || budget.is_left();
        counter.count(self.log(), offsets, &mut decompressor, &mut may_go_on)
    }
}
