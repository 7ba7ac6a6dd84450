//! `Throttle`: one limit on the bytes per second that all cleaner threads read and write together.
//!
//! A bucket that starts full with a tenth of a second's bytes. A caller takes what it has just read
//! or is about to write and, when the bucket is in debt, waits until the debt is paid; the wait ends
//! at once when the throttle is stopped or its rate changes. Time comes from the monotonic clock of
//! the machine, never from the log's clock: a test with a manual clock must not wait for ever.
//!
//! Lock: `bucket`, held for arithmetic only.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Below this debt a caller is not put to sleep: the timer is coarser than that.
const SMALLEST_WAIT: Duration = Duration::from_millis(2);

/// A rate that all cleaner threads share; see the file header.
pub struct Throttle {
    bucket: Mutex<Bucket>,
    changed: Condvar,
}

struct Bucket {
    bytes_per_second: f64,
    available_bytes: f64,
    filled_at: Instant,
    total_bytes: u64,
    is_stopped: bool,
}

impl Throttle {
    /// A rate that is not a positive finite number means no limit.
    pub fn new(bytes_per_second: f64) -> Throttle {
        Throttle {
            bucket: Mutex::new(Bucket {
                bytes_per_second,
                available_bytes: burst_bytes(bytes_per_second),
                filled_at: Instant::now(),
                total_bytes: 0,
                is_stopped: false,
            }),
            changed: Condvar::new(),
        }
    }

    /// Counts, and never waits.
    pub fn unlimited() -> Throttle {
        Throttle::new(f64::MAX)
    }

    /// Counts the bytes, and waits until the rate allows them.
    pub fn take(&self, bytes: u64) {
        let mut bucket = self.lock();
        bucket.total_bytes += bytes;
        if !is_limited(bucket.bytes_per_second) {
            return;
        }
        bucket.fill(Instant::now());
        bucket.available_bytes -= bytes as f64;
        loop {
            let wait = bucket.time_to_zero();
            if wait < SMALLEST_WAIT || bucket.is_stopped {
                return;
            }
            bucket = self
                .changed
                .wait_timeout(bucket, wait)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
            bucket.fill(Instant::now());
        }
    }

    /// Changes the rate, also for who waits already.
    pub fn set_bytes_per_second(&self, bytes_per_second: f64) {
        let mut bucket = self.lock();
        bucket.bytes_per_second = bytes_per_second;
        bucket.available_bytes = bucket.available_bytes.min(burst_bytes(bytes_per_second));
        self.changed.notify_all();
    }

    /// Bytes counted since the start.
    pub fn total_bytes(&self) -> u64 {
        self.lock().total_bytes
    }

    /// Ends every wait, now and later.
    pub fn stop(&self) {
        self.lock().is_stopped = true;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Bucket> {
        self.bucket.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Bucket {
    fn fill(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.filled_at).as_secs_f64();
        self.filled_at = now;
        self.available_bytes = (self.available_bytes + elapsed * self.bytes_per_second)
            .min(burst_bytes(self.bytes_per_second));
    }

    fn time_to_zero(&self) -> Duration {
        if self.available_bytes >= 0.0 || !is_limited(self.bytes_per_second) {
            return Duration::ZERO;
        }
        // An hour is looked at again; it keeps the conversion in range.
        Duration::from_secs_f64((-self.available_bytes / self.bytes_per_second).min(3600.0))
    }
}

fn is_limited(bytes_per_second: f64) -> bool {
    bytes_per_second.is_finite() && bytes_per_second > 0.0 && bytes_per_second < 1e15
}

fn burst_bytes(bytes_per_second: f64) -> f64 {
    if is_limited(bytes_per_second) {
        bytes_per_second / 10.0
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn bytes_beyond_the_burst_are_paid_for_in_time() {
        let start = Instant::now();
        let mut bucket = Bucket {
            bytes_per_second: 1_000_000.0,
            available_bytes: burst_bytes(1_000_000.0),
            filled_at: start,
            total_bytes: 0,
            is_stopped: false,
        };
        bucket.available_bytes -= 100_000.0;
        assert_eq!(bucket.time_to_zero(), Duration::ZERO);
        bucket.available_bytes -= 50_000.0;
        assert_eq!(bucket.time_to_zero(), Duration::from_millis(50));
        bucket.fill(start + Duration::from_millis(20));
        assert_eq!(bucket.time_to_zero().as_millis(), 30);
        bucket.fill(start + Duration::from_secs(9));
        assert!((bucket.available_bytes - 100_000.0).abs() < 1.0);
    }

    #[test]
    fn stop_ends_a_wait() {
        let throttle = Arc::new(Throttle::new(1.0));
        let waiter = std::thread::spawn({
            let throttle = throttle.clone();
            move || throttle.take(1_000_000)
        });
        while throttle.total_bytes() == 0 {
            std::thread::yield_now();
        }
        throttle.stop();
        waiter.join().unwrap();
        throttle.take(1_000_000);
    }

    #[test]
    fn no_limit_never_waits() {
        for rate in [f64::MAX, f64::INFINITY, 0.0, -1.0, f64::NAN] {
            Throttle::new(rate).take(u64::from(u32::MAX));
        }
    }
}
