//! `Latencies`: how many requests and group commits there were lately, and how many of them took too long. Background
//! work that shares the disk and the processor with them looks here, and makes room.
//!
//! The engine reports its group commits, whoever embeds it reports its requests. A commit that is still under way and
//! already too long counts at every look: it may take seconds, and that is when room is needed most.
//!
//! No lock: counters. Reports and looks never wait for each other; a report that meets a look is in this one or the next.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

const NO_COMMIT: u64 = u64::MAX;

/// Counts since the last look; see the file header.
#[derive(Debug)]
pub struct Latencies {
    /// 0 while nobody looks: then nothing is counted.
    target_us: AtomicU64,
    requests: AtomicU64,
    slow: AtomicU64,
    /// When the commit under way began, after `base`.
    commit_began_us: AtomicU64,
    base: Instant,
}

/// What was reported since the last look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reported {
    pub requests: u64,
    /// Those that took longer than the target.
    pub slow: u64,
}

impl Default for Latencies {
    fn default() -> Latencies {
        Latencies {
            target_us: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            slow: AtomicU64::new(0),
            commit_began_us: AtomicU64::new(NO_COMMIT),
            base: Instant::now(),
        }
    }
}

impl Latencies {
    /// What takes longer than this is slow; 0 stops the counting.
    pub fn set_target(&self, target: Duration) {
        self.target_us.store(micros(target), Ordering::Relaxed);
    }

    /// A request was answered after this time. What it waited for by its own wish does not belong to it.
    pub fn report(&self, took: Duration) {
        let target_us = self.target_us.load(Ordering::Relaxed);
        if target_us == 0 {
            return;
        }
        self.requests.fetch_add(1, Ordering::Relaxed);
        if micros(took) > target_us {
            self.slow.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A group commit begins. There is one at a time.
    pub(crate) fn commit_begins(&self) {
        let began_us = micros(self.base.elapsed());
        self.commit_began_us.store(began_us, Ordering::Relaxed);
    }

    /// The group commit has ended, well or not.
    pub(crate) fn commit_ends(&self) {
        let began_us = self.commit_began_us.swap(NO_COMMIT, Ordering::Relaxed);
        let took_us = micros(self.base.elapsed()).saturating_sub(began_us);
        self.report(Duration::from_micros(took_us));
    }

    /// What was reported since the last look.
    pub fn take(&self) -> Reported {
        let mut reported = Reported {
            requests: self.requests.swap(0, Ordering::Relaxed),
            slow: self.slow.swap(0, Ordering::Relaxed),
        };
        let target_us = self.target_us.load(Ordering::Relaxed);
        let under_way_us = micros(self.base.elapsed())
            .saturating_sub(self.commit_began_us.load(Ordering::Relaxed));
        if target_us > 0 && under_way_us > target_us {
            reported.requests += 1;
            reported.slow += 1;
        }
        reported
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_longer_than_the_target_is_slow() {
        let latencies = Latencies::default();
        latencies.report(Duration::from_secs(9));
        assert_eq!(latencies.take(), Reported::default());
        latencies.set_target(Duration::from_millis(10));
        for ms in [1, 10, 11, 500] {
            latencies.report(Duration::from_millis(ms));
        }
        let expected = Reported {
            requests: 4,
            slow: 2,
        };
        assert_eq!(latencies.take(), expected);
        assert_eq!(latencies.take(), Reported::default());
    }

    #[test]
    fn a_commit_that_does_not_end_is_slow_at_every_look() {
        let latencies = Latencies::default();
        latencies.set_target(Duration::from_micros(1));
        latencies.commit_begins();
        let deadline = Instant::now() + Duration::from_secs(30);
        while latencies.take().slow == 0 {
            assert!(Instant::now() < deadline);
            std::thread::yield_now();
        }
        assert_eq!(latencies.take().slow, 1);
        latencies.commit_ends();
        assert_eq!(latencies.take().slow, 1);
        assert_eq!(latencies.take().slow, 0);
    }
}
