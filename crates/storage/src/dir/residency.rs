//! Leaves the page cache as it was found: what of a file was in it before somebody read the file through, and a
//! reader's trail that is dropped where it was not.
//!
//! The file is looked at in parts of 8 MiB, and a part is hot when three pages of it are. The question is a read that
//! must not wait (`RWF_NOWAIT`). The kernel answers no, but begins to read that page: so the question goes through a
//! descriptor of its own that is said to read at random, or readahead would follow; and no page is asked for twice, so
//! that the last question is no answer to the next. A yes proves little: on a busy machine the page may have come in
//! meanwhile.
//!
//! Only advice, so nothing fails. Where nobody can tell (simulated files, no `/proc`, a file system that does not know
//! the question) everything counts as cached, and nothing is dropped. No lock.

use std::io::IoSliceMut;
use std::ops::Range;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{Advice, Mode, OFlags};
use rustix::io::{Errno, ReadWriteFlags};

use super::File;

const PART_BYTES: u64 = 8 << 20;
const QUESTIONS_OF_PART: u32 = 3;

/// Which parts of a file were in the page cache when they were looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Residency {
    /// One for each part; what is behind them is not cold.
    is_cold: Vec<bool>,
}

impl Residency {
    /// Looks at the first `len` bytes; about 1 ms a GB.
    pub fn of(file: &dyn File, len: u64) -> Residency {
        let Some(descriptor) = file.as_fd().and_then(own_descriptor) else {
            return Residency::default();
        };
        let is_cold = (0..len.div_ceil(PART_BYTES)).map(|part| {
            let start = part * PART_BYTES;
            let part_bytes = PART_BYTES.min(len - start);
            (0..QUESTIONS_OF_PART)
                .any(|_| is_cold_at(&descriptor, start + some_position() % part_bytes))
        });
        Residency {
            is_cold: is_cold.collect(),
        }
    }

    /// Whether most of the range was not in the cache.
    pub fn is_cold(&self, range: Range<u64>) -> bool {
        if range.is_empty() {
            return false;
        }
        let parts = part_of(range.start)..=part_of(range.end - 1);
        let part_count = parts.end() - parts.start() + 1;
        let cold_count = parts.filter(|part| self.is_part_cold(*part)).count();
        cold_count * 2 > part_count
    }

    fn is_part_cold(&self, part: usize) -> bool {
        self.is_cold.get(part).copied().unwrap_or(false)
    }
}

/// Follows somebody who reads a file from front to back, and drops behind it what was not in the cache before. What is
/// left when it goes away is dropped then.
pub struct DropBehind {
    file: Arc<dyn File>,
    residency: Residency,
    /// Parts below this one are done with.
    next_part: usize,
}

impl DropBehind {
    /// To be made before the first of the `len` bytes is read.
    pub fn new(file: &Arc<dyn File>, len: u64) -> DropBehind {
        DropBehind {
            file: Arc::clone(file),
            residency: Residency::of(&**file, len),
            next_part: 0,
        }
    }

    /// What was found.
    pub fn residency(&self) -> &Residency {
        &self.residency
    }

    /// Nothing before `position` will be read any more; parts may have been skipped.
    pub fn passed(&mut self, position: u64) {
        let parts = self.next_part..part_of(position).max(self.next_part);
        self.next_part = parts.end;
        self.drop_parts(parts);
    }

    fn drop_parts(&self, parts: Range<usize>) {
        for part in parts.filter(|part| self.residency.is_part_cold(*part)) {
            self.file.drop_cache(part as u64 * PART_BYTES, PART_BYTES);
        }
    }
}

impl Drop for DropBehind {
    fn drop(&mut self) {
        self.drop_parts(self.next_part..self.residency.is_cold.len());
    }
}

fn part_of(position: u64) -> usize {
    usize::try_from(position / PART_BYTES).unwrap_or(usize::MAX)
}

/// A second descriptor of the same file, with advice of its own.
fn own_descriptor(descriptor: BorrowedFd<'_>) -> Option<OwnedFd> {
    let path = format!("/proc/self/fd/{}", descriptor.as_raw_fd());
    let own = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
    rustix::fs::fadvise(&own, 0, None, Advice::Random).ok()?;
    Some(own)
}

fn is_cold_at(descriptor: &OwnedFd, position: u64) -> bool {
    let mut byte = [0];
    let buffers = &mut [IoSliceMut::new(&mut byte)];
    let result = rustix::io::preadv2(descriptor, buffers, position, ReadWriteFlags::NOWAIT);
    result == Err(Errno::AGAIN)
}

/// A position in a part: all its pages have their turn before one comes again.
fn some_position() -> u64 {
    const PAGE_BYTES: u64 = 4096;
    static QUESTIONS: AtomicU64 = AtomicU64::new(1);
    let question = QUESTIONS.fetch_add(1, Ordering::Relaxed);
    // An odd factor visits every page once; this one goes far at each step.
    question.wrapping_mul(1_265).wrapping_mul(PAGE_BYTES) % PART_BYTES
}
