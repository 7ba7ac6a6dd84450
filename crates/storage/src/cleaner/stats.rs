//! `CleanStats`: what one cleaning did, in numbers. Plain data; no lock.

/// Records that a plan found dead, each counted once, by the first reason found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DeadRecords {
    /// A later record has the same key.
    pub superseded: u64,
    /// Tombstones whose delete horizon has passed.
    pub expired_tombstones: u64,
    /// Records without a key, from before the topic was compacted.
    pub keyless: u64,
    /// Data of aborted transactions.
    pub aborted: u64,
    /// Transaction markers whose delete horizon has passed.
    pub expired_markers: u64,
}

impl DeadRecords {
    /// Dead records of every kind.
    pub fn total(&self) -> u64 {
        self.superseded
            + self.expired_tombstones
            + self.keyless
            + self.aborted
            + self.expired_markers
    }
}

/// One cleaning of one log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CleanStats {
    /// When it began.
    pub started_ms: i64,
    pub plan_ms: u64,
    pub rewrite_ms: u64,
    /// Different keys.
    pub keys: u64,
    pub records_planned: u64,
    /// Tombstones that are the last word on their key, and wait for their horizon.
    pub tombstones: u64,
    pub dead: DeadRecords,
    /// Bytes that the dead records take uncompressed, and those of batches that go with them.
    pub dead_bytes: u64,
    /// Key indexes that had to be built first, and the bytes of log that were read for them.
    pub indexes_built: u32,
    pub log_bytes_indexed: u64,
    /// The most passes over a segment that took; more than one when its keys did not fit the memory.
    pub index_passes: u32,
    /// Bytes of the key indexes of all segments planned.
    pub index_bytes: u64,
    /// The most memory that the join and the bitmaps took; building indexes comes before it.
    pub memory_bytes: u64,
    /// Bytes of log read for rewriting, and written.
    pub bytes_read: u64,
    pub bytes_written: u64,
    pub records_written: u64,
    pub batches_copied: u64,
    pub batches_rebuilt: u64,
    /// Of the ones above: how many went into larger ones.
    pub batches_merged: u64,
    pub batches_emptied: u64,
    pub batches_dropped: u64,
    pub segments_in: u32,
    pub segments_out: u32,
    /// Bytes of the segments that were replaced, and of those in their place.
    pub bytes_in: u64,
    pub bytes_out: u64,
    /// Clean already: neither read for rewriting nor written.
    pub segments_untouched: u32,
    /// Damaged, and left as they are.
    pub segments_isolated: u32,
    /// Tombstones and markers that got a delete horizon.
    pub horizons_stamped: u64,
}
