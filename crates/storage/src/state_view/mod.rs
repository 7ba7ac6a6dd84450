//! The state view of a log: the same log, served without records that a newer one of the same key has superseded.
//!
//! ```text
//! build   key indexes of sealed segments + keys of the head  ->  join  ->  StateView: what is dead, segment by segment
//! read    StateView + Log::read                              ->  batches, dead ones skipped, mixed ones rebuilt
//! ```
//! Why it is right: a record is only left out because a newer one of its key lies below the LastStableOffset and is not
//! aborted. The reader, whatever its isolation, comes to that one or to a still newer one. So a view may be old: what it
//! leaves out stays superseded for ever, and what it does not know is served as it is. Segments are recognised by
//! identity; one that was rolled or cleaned since is served whole.
//!
//! Invariants
//! - Offsets, order and the last offset of a batch that is served are those of the log.
//! - Control batches, data of aborted transactions, batches and records without a key are served.
//! - A read that finds anything below its limit answers something, so that a reader always gets on.
//!
//! Memory: a bit a record of segments in which something is dead, and 12 bytes a batch, less where neighbours are alike
//! (`pieces`). Building takes the buffers of the join, a bit a record, and 16 bytes a record of the head, bounded.
//! No lock, no thread; when a view is built and how long it is kept is for the caller to say.

mod build;
mod head;
mod pieces;
mod read;

use std::sync::{Arc, Weak};

pub use build::{ViewRequest, build_view};
pub use read::{ViewBuffers, read_view};

use crate::cleaner::ordinal_set::OrdinalSet;
use crate::log::Log;
use crate::segment::Segment;
use pieces::Pieces;

/// What is superseded in a log, as it was when the view was built.
pub struct StateView {
    /// Those with something dead, by base offset.
    segments: Vec<ViewedSegment>,
    limit: i64,
    set_version: u64,
    pub counts: ViewCounts,
}

/// What a build found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ViewCounts {
    /// Records with a key that were looked at.
    pub records: u64,
    /// Those that the view leaves out.
    pub superseded: u64,
    /// Different keys.
    pub keys: u64,
    /// What the view takes.
    pub memory_bytes: u64,
}

/// What is superseded in one segment.
struct ViewedSegment {
    /// Its identity; the view does not keep it open.
    segment: Weak<Segment>,
    base_offset: i64,
    pieces: Pieces,
    dead: OrdinalSet,
}

impl StateView {
    /// Records from this offset on are not known to the view.
    pub fn limit(&self) -> i64 {
        self.limit
    }

    /// Whether the log has changed since: something was written and decided, or segments were rolled, cleaned, deleted.
    pub fn is_outdated(&self, log: &Log) -> bool {
        self.limit < log.offsets().last_stable_offset
            || self.set_version != log.segments().version()
    }

    fn find(&self, segment: &Arc<Segment>) -> Option<&ViewedSegment> {
        let base_offset = segment.base_offset();
        let index = self
            .segments
            .binary_search_by_key(&base_offset, |it| it.base_offset);
        let found = self.segments.get(index.ok()?)?;
        // The allocation stays while somebody points to it weakly, so no other segment has this address.
        std::ptr::eq(found.segment.as_ptr(), Arc::as_ptr(segment)).then_some(found)
    }
}

impl std::fmt::Debug for StateView {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("StateView")
            .field("limit", &self.limit)
            .field("segments", &self.segments.len())
            .field("counts", &self.counts)
            .finish()
    }
}
