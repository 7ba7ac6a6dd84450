//! `Throttle`: one limit on the bytes per second that all cleaner threads read and write together: the lower one of a
//! hard limit and of what `Feedback` makes of the latencies of requests.
//!
//! A bucket that starts full with a tenth of a second's bytes. A caller takes what it has just read or is about to write
//! and, when the bucket is in debt, waits until the debt is paid; the wait ends at once when the throttle is stopped or
//! its rate changes. Time comes from the monotonic clock of the machine, never from the log's clock: a test with a manual
//! clock must not wait for ever. The feedback takes a step with the first call after a window is over, so it needs no
//! thread.
//!
//! Lock: `bucket`, held for arithmetic only.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::feedback::{Feedback, Window};
use super::progress::Progress;
use crate::latency::Latencies;

/// Below this debt a caller is not put to sleep: the timer is coarser than that.
const SMALLEST_WAIT: Duration = Duration::from_millis(2);
/// After so many windows without a byte, a cleaning begins anew.
const LONG_PAUSE: Duration = Feedback::WINDOW.saturating_mul(5);

/// A rate that all cleaner threads share; see the file header.
pub struct Throttle {
    bucket: Mutex<Bucket>,
    changed: Condvar,
    latencies: Option<Arc<Latencies>>,
}

struct Bucket {
    hard_bytes_per_second: f64,
    feedback: Feedback,
    available_bytes: f64,
    filled_at: Instant,
    total_bytes: u64,
    /// Of all callers together.
    waited: Duration,
    window_began_at: Instant,
    window_bytes: u64,
    is_stopped: bool,
}

impl Throttle {
    /// A rate that is not a positive finite number means no limit.
    pub fn new(bytes_per_second: f64) -> Throttle {
        Throttle {
            bucket: Mutex::new(Bucket::new(bytes_per_second, Instant::now())),
            changed: Condvar::new(),
            latencies: None,
        }
    }

    /// The same, and slower while these are out of bounds.
    pub fn with_feedback(bytes_per_second: f64, latencies: Arc<Latencies>) -> Throttle {
        Throttle {
            latencies: Some(latencies),
            ..Throttle::new(bytes_per_second)
        }
    }

    /// Counts the bytes, and waits until the rate allows them.
    pub fn take(&self, bytes: u64) {
        self.take_for(bytes, &Progress::default());
    }

    /// The same; whoever looks on sees the wait, and ends it by giving the cleaning up.
    pub fn take_for(&self, bytes: u64, progress: &Progress) {
        progress.set_throttled(self.take_and_wait(bytes, progress));
    }

    /// Whether it had to wait.
    fn take_and_wait(&self, bytes: u64, progress: &Progress) -> bool {
        let mut bucket = self.lock();
        bucket.total_bytes += bytes;
        bucket.window_bytes += bytes;
        let now = Instant::now();
        bucket.look(self.latencies.as_deref(), now);
        if !is_limited(bucket.bytes_per_second()) {
            return false;
        }
        bucket.fill(now);
        bucket.available_bytes -= bytes as f64;
        let mut has_waited = false;
        loop {
            let wait = bucket.time_to_zero();
            if wait < SMALLEST_WAIT || bucket.is_stopped || progress.is_given_up() {
                return has_waited;
            }
            has_waited = true;
            progress.set_throttled(true);
            // The rate may have to change before the debt is paid.
            let wait = match self.latencies {
                Some(_) => wait.min(Feedback::WINDOW),
                None => wait,
            };
            let began = Instant::now();
            bucket = self
                .changed
                .wait_timeout(bucket, wait)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
            let now = Instant::now();
            bucket.waited += now.saturating_duration_since(began);
            bucket.fill(now);
            bucket.look(self.latencies.as_deref(), now);
        }
    }

    /// Changes the hard limit, also for who waits already.
    pub fn set_bytes_per_second(&self, bytes_per_second: f64) {
        let mut bucket = self.lock();
        bucket.hard_bytes_per_second = bytes_per_second;
        bucket.trim();
        self.changed.notify_all();
    }

    /// What holds now; infinite for no limit.
    pub fn bytes_per_second(&self) -> f64 {
        let rate = self.lock().bytes_per_second();
        if is_limited(rate) {
            rate
        } else {
            f64::INFINITY
        }
    }

    /// Bytes counted since the start.
    pub fn total_bytes(&self) -> u64 {
        self.lock().total_bytes
    }

    /// How long callers have waited since the start, all together.
    pub fn waited(&self) -> Duration {
        self.lock().waited
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
    fn new(bytes_per_second: f64, now: Instant) -> Bucket {
        Bucket {
            hard_bytes_per_second: bytes_per_second,
            feedback: Feedback::default(),
            available_bytes: burst_bytes(bytes_per_second),
            filled_at: now,
            total_bytes: 0,
            waited: Duration::ZERO,
            // Before the first byte there was a pause.
            window_began_at: now.checked_sub(LONG_PAUSE).unwrap_or(now),
            window_bytes: 0,
            is_stopped: false,
        }
    }

    /// Lets the feedback judge the window if it is over.
    fn look(&mut self, latencies: Option<&Latencies>, now: Instant) {
        let elapsed = now.saturating_duration_since(self.window_began_at);
        let Some(latencies) = latencies.filter(|_| elapsed >= Feedback::WINDOW) else {
            return;
        };
        let reported = latencies.take();
        if elapsed >= LONG_PAUSE {
            self.feedback.begin(reported);
        } else {
            self.feedback.step(&Window {
                reported,
                bytes: self.window_bytes,
                elapsed,
            });
        }
        self.window_began_at = now;
        self.window_bytes = 0;
        self.trim();
    }

    fn bytes_per_second(&self) -> f64 {
        if is_limited(self.hard_bytes_per_second) {
            self.hard_bytes_per_second
                .min(self.feedback.bytes_per_second)
        } else {
            self.feedback.bytes_per_second
        }
    }

    /// No burst of a faster rate is left over.
    fn trim(&mut self) {
        self.available_bytes = self
            .available_bytes
            .min(burst_bytes(self.bytes_per_second()));
    }

    fn fill(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.filled_at).as_secs_f64();
        self.filled_at = now;
        let rate = self.bytes_per_second();
        if is_limited(rate) {
            self.available_bytes += elapsed * rate;
            self.trim();
        } else {
            self.available_bytes = 0.0;
        }
    }

    fn time_to_zero(&self) -> Duration {
        let rate = self.bytes_per_second();
        if self.available_bytes >= 0.0 || !is_limited(rate) {
            return Duration::ZERO;
        }
        // An hour is looked at again; it keeps the conversion in range.
        Duration::from_secs_f64((-self.available_bytes / rate).min(3600.0))
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
    use super::*;

    #[test]
    fn bytes_beyond_the_burst_are_paid_for_in_time() {
        let start = Instant::now();
        let mut bucket = Bucket::new(1_000_000.0, start);
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

    #[test]
    fn the_feedback_judges_one_window_after_another_and_a_long_pause_not_at_all() {
        let latencies = Latencies::default();
        latencies.set_target(Duration::from_millis(10));
        let report = |ms| latencies.report(Duration::from_millis(ms));
        let start = Instant::now();
        let mut bucket = Bucket::new(f64::MAX, start);
        let mut now = start;
        let mut look_after = |bucket: &mut Bucket, ms| {
            now += Duration::from_millis(ms);
            bucket.look(Some(&latencies), now);
            bucket.bytes_per_second()
        };
        assert_eq!(look_after(&mut bucket, 0), f64::INFINITY);
        bucket.window_bytes = 100 << 20;
        report(50);
        assert_eq!(look_after(&mut bucket, 199), f64::INFINITY);
        // 100 MiB in 250 ms, and a slow request: half of 400 MiB/s.
        let mib = (1 << 20) as f64;
        assert_eq!(look_after(&mut bucket, 51), 200.0 * mib);
        assert!(bucket.feedback.has_traffic);
        report(1);
        assert_eq!(look_after(&mut bucket, 200), 220.0 * mib);
        report(50);
        assert_eq!(look_after(&mut bucket, 60_000), f64::INFINITY);
        bucket.hard_bytes_per_second = 1_000.0;
        assert_eq!(bucket.bytes_per_second(), 1_000.0);
    }

    #[test]
    fn without_a_limit_debts_are_forgotten() {
        let start = Instant::now();
        let mut bucket = Bucket::new(1_000.0, start);
        bucket.available_bytes = -5_000.0;
        bucket.hard_bytes_per_second = f64::MAX;
        bucket.fill(start + Duration::from_secs(1));
        assert_eq!(bucket.time_to_zero(), Duration::ZERO);
        bucket.hard_bytes_per_second = 1_000.0;
        assert_eq!(bucket.time_to_zero(), Duration::ZERO);
    }
}
