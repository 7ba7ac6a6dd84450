//! The four offsets of a log, published for readers.
//!
//! `LogStartOffset <= LastStableOffset <= HighWatermark <= LogEndOffset`, at every moment a
//! reader can see: [`PublishedOffsets::update`] is the only setter and asserts it.
//!
//! - LogEndOffset is the next offset to be written.
//! - HighWatermark is what is durable: every record below it survives a power cut. It carries the
//!   place of its record in the log, so that a read can stop there without a lookup.
//! - LastStableOffset is the first offset of an undecided transaction, at most HighWatermark.
//! - LogStartOffset is the first offset that may be read.
//!
//! Lock: none. Readers load one pointer; writers (an append under the writer lock, a sync under
//! the sync lock) replace it with compare-and-swap.

use std::sync::Arc;

use arc_swap::ArcSwap;

/// What a reader of the log may ask about its ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogOffsets {
    pub log_start_offset: i64,
    pub last_stable_offset: i64,
    pub high_watermark: i64,
    pub log_end_offset: i64,
}

/// An offset and the place in the files where its record begins, or would begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogPosition {
    pub offset: i64,
    /// Base offset of the segment the position belongs to.
    pub segment_base_offset: i64,
    /// Byte position in that segment's `.log`.
    pub position: u32,
}

/// The value behind the published pointer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Published {
    pub log_start_offset: i64,
    pub high_watermark: LogPosition,
    pub log_end: LogPosition,
    /// First offset of an undecided transaction.
    pub first_unstable_offset: Option<i64>,
}

impl Published {
    pub fn last_stable_offset(&self) -> i64 {
        let high_watermark = self.high_watermark.offset;
        self.first_unstable_offset.map_or(high_watermark, |offset| {
            offset.clamp(self.log_start_offset, high_watermark)
        })
    }

    pub fn offsets(&self) -> LogOffsets {
        LogOffsets {
            log_start_offset: self.log_start_offset,
            last_stable_offset: self.last_stable_offset(),
            high_watermark: self.high_watermark.offset,
            log_end_offset: self.log_end.offset,
        }
    }

    fn assert_ordered(&self) {
        assert!(
            self.log_start_offset <= self.high_watermark.offset
                && self.high_watermark.offset <= self.log_end.offset,
            "offsets out of order: {self:?}"
        );
    }
}

/// The published pointer.
pub(crate) struct PublishedOffsets(ArcSwap<Published>);

impl PublishedOffsets {
    pub fn new(initial: Published) -> PublishedOffsets {
        initial.assert_ordered();
        PublishedOffsets(ArcSwap::from_pointee(initial))
    }

    pub fn load(&self) -> Published {
        **self.0.load()
    }

    /// Replaces the value. `change` may run more than once.
    pub fn update(&self, change: impl Fn(&mut Published)) -> Published {
        let mut result = None;
        self.0.rcu(|current| {
            let mut next = **current;
            change(&mut next);
            next.assert_ordered();
            result = Some(next);
            Arc::new(next)
        });
        result.unwrap_or_else(|| self.load())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(offset: i64) -> LogPosition {
        LogPosition {
            offset,
            segment_base_offset: 0,
            position: 0,
        }
    }

    #[test]
    fn the_last_stable_offset_stays_between_its_neighbours() {
        let mut published = Published {
            log_start_offset: 5,
            high_watermark: at(20),
            log_end: at(30),
            first_unstable_offset: None,
        };
        assert_eq!(published.last_stable_offset(), 20);
        for (unstable, expected) in [(3, 5), (5, 5), (12, 12), (20, 20), (25, 20)] {
            published.first_unstable_offset = Some(unstable);
            assert_eq!(published.last_stable_offset(), expected);
        }
    }

    #[test]
    #[should_panic(expected = "offsets out of order")]
    fn a_high_watermark_beyond_the_log_end_is_our_bug() {
        let offsets = PublishedOffsets::new(Published {
            log_start_offset: 0,
            high_watermark: at(0),
            log_end: at(1),
            first_unstable_offset: None,
        });
        offsets.update(|published| published.high_watermark = at(2));
    }
}
