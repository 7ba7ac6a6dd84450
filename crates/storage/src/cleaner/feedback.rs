//! `Feedback`: how fast the cleaner may go, judged by how the requests beside it fare. Pure: a window of time in, a rate
//! out. `Throttle` enforces it.
//!
//! ```text
//! no request                        twice as fast as before; soon without any limit
//! more than the allowed too slow    half as fast as it went, but never below FLOOR
//! otherwise                         a tenth faster, or STEP if that is more
//! a cleaning begins                 without a limit: the requests since the last one may be long over
//! ```
//! Allowed is one request in a hundred, so that the 99th percentile hovers at the target and the cleaner takes what is
//! left; or half as much again as is slow without its doing, if that is more: a disk that misses the target by itself says
//! nothing about the cleaner, which must not starve for it. What is slow without its doing is seen before a cleaning and
//! at the floor, and is forgotten by half every minute.

use std::time::Duration;

use crate::latency::Reported;

/// The share of requests that may be slow.
const ALLOWED_SHARE: f64 = 0.01;
/// Of the share that is slow without the cleaner's doing.
const ALLOWED_OF_OWN: f64 = 1.5;
/// How much a window at the floor counts in that share.
const NEWEST: f64 = 0.2;
/// What is left of that share after a window above the floor.
const REMEMBERED: f64 = 0.998;
const MIB: f64 = (1 << 20) as f64;
/// Bytes a second, read and written, that a cleaning always gets.
const FLOOR: f64 = 16.0 * MIB;
/// Bytes a second that are added after a window, at least.
const STEP: f64 = 4.0 * MIB;
/// From here on there is no limit.
const LIMITLESS: f64 = 16_384.0 * MIB;

/// What happened since the last step.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    pub reported: Reported,
    /// Bytes that the cleaner read and wrote.
    pub bytes: u64,
    pub elapsed: Duration,
}

/// The rate; see the file header.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Feedback {
    /// Infinite for no limit.
    pub bytes_per_second: f64,
    pub has_traffic: bool,
    /// The share of requests that is slow without the cleaner's doing.
    own_share: f64,
}

impl Default for Feedback {
    fn default() -> Feedback {
        Feedback {
            bytes_per_second: f64::INFINITY,
            has_traffic: false,
            own_share: 0.0,
        }
    }
}

impl Feedback {
    /// Length of a window: long enough for a request that suffers to be answered.
    pub const WINDOW: Duration = Duration::from_millis(200);

    /// A cleaning begins, or goes on after a long pause: what was slow meanwhile was not its doing.
    pub fn begin(&mut self, reported: Reported) {
        self.has_traffic = reported.requests > 0;
        self.own_share = slow_share(reported);
        self.bytes_per_second = f64::INFINITY;
    }

    /// A window is over.
    pub fn step(&mut self, window: &Window) {
        self.has_traffic = window.reported.requests > 0;
        let rate = self.bytes_per_second;
        let share = slow_share(window.reported);
        let allowed_share = ALLOWED_SHARE.max(ALLOWED_OF_OWN * self.own_share);
        self.own_share = match rate <= FLOOR && self.has_traffic {
            true => NEWEST * share + (1.0 - NEWEST) * self.own_share,
            false => REMEMBERED * self.own_share,
        };
        let next = if !self.has_traffic {
            rate * 2.0
        } else if share > allowed_share {
            // A rate that was not used is no guide.
            let went = window.bytes as f64 / window.elapsed.as_secs_f64().max(1e-3);
            (rate.min(went) / 2.0).max(FLOOR)
        } else {
            rate + (rate / 10.0).max(STEP)
        };
        self.bytes_per_second = if next < LIMITLESS {
            next
        } else {
            f64::INFINITY
        };
    }
}

fn slow_share(Reported { requests, slow }: Reported) -> f64 {
    match requests {
        0 => 0.0,
        _ => slow as f64 / requests as f64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(requests: u64, slow: u64, mib: u64) -> Window {
        Window {
            reported: Reported { requests, slow },
            bytes: mib << 20,
            elapsed: Duration::from_secs(1),
        }
    }

    fn after(mib_per_second: f64, window: Window) -> f64 {
        let mut feedback = Feedback {
            bytes_per_second: mib_per_second * MIB,
            ..Feedback::default()
        };
        feedback.step(&window);
        assert_eq!(feedback.has_traffic, window.reported.requests > 0);
        feedback.bytes_per_second / MIB
    }

    #[test]
    fn the_rate_follows_what_the_requests_report() {
        let table = [
            ("no request", 40.0, window(0, 0, 40), 80.0),
            ("all fast", 100.0, window(500, 0, 100), 110.0),
            ("slowly up from below", 16.0, window(500, 0, 16), 20.0),
            (
                "one in a hundred is allowed",
                100.0,
                window(100, 1, 100),
                110.0,
            ),
            ("one in ninety-nine is not", 100.0, window(99, 1, 100), 50.0),
            ("a single slow one", 100.0, window(1, 1, 100), 50.0),
            ("half of what it used", 1_000.0, window(9, 9, 200), 100.0),
            (
                "never more than half the limit",
                100.0,
                window(9, 9, 900),
                50.0,
            ),
            ("never below the floor", 20.0, window(9, 9, 20), 16.0),
            ("the floor, whatever it used", 100.0, window(9, 9, 0), 16.0),
            ("without a limit", f64::INFINITY, window(9, 1, 800), 400.0),
            (
                "no limit stays",
                f64::INFINITY,
                window(9, 0, 800),
                f64::INFINITY,
            ),
            ("soon no limit", 9_000.0, window(0, 0, 9_000), f64::INFINITY),
        ];
        for (case, rate, window, expected) in table {
            assert_eq!(after(rate, window), expected, "{case}");
        }
    }

    #[test]
    fn the_floor_is_left_within_two_seconds_without_traffic() {
        let mut feedback = Feedback::default();
        feedback.step(&window(1, 1, 0));
        let windows = (0..).take_while(|_| {
            feedback.step(&window(0, 0, 0));
            feedback.bytes_per_second.is_finite()
        });
        assert!(windows.count() as u32 * Feedback::WINDOW <= Duration::from_secs(2));
    }

    #[test]
    fn a_cleaning_begins_without_a_limit_and_has_one_after_a_slow_window() {
        let mut feedback = Feedback::default();
        feedback.begin(window(300, 3, 0).reported);
        assert_eq!(feedback.bytes_per_second, f64::INFINITY);
        feedback.step(&window(300, 30, 128));
        assert_eq!(feedback.bytes_per_second, 64.0 * MIB);
        feedback.begin(Reported::default());
        assert_eq!(feedback, Feedback::default());
    }

    #[test]
    fn a_disk_that_was_slow_before_may_be_as_slow_beside_the_cleaner() {
        let mut feedback = Feedback::default();
        feedback.begin(window(100, 40, 0).reported);
        feedback.step(&window(100, 60, 64));
        assert_eq!(feedback.bytes_per_second, f64::INFINITY);
        feedback.step(&window(100, 61, 64));
        assert_eq!(feedback.bytes_per_second, 32.0 * MIB);
    }

    /// Half of all requests are slow whatever the cleaner does, and nothing was known of it before.
    #[test]
    fn a_disk_that_is_slow_by_itself_does_not_hold_the_cleaner_at_the_floor() {
        let mut feedback = Feedback::default();
        feedback.begin(window(100, 0, 0).reported);
        let rates = (0..1_000).map(|step| {
            feedback.step(&window(100, 45 + step % 10, 1_000));
            feedback.bytes_per_second.min(1_000.0 * MIB)
        });
        let rates: Vec<f64> = rates.collect();
        assert_eq!(rates[5], FLOOR);
        let mean = rates.iter().sum::<f64>() / 1_000.0;
        assert!(mean > 10.0 * FLOOR, "{}", mean / MIB);
        // The disk has recovered: later, what is slow is the cleaner's doing again.
        for _ in 0..3_000 {
            feedback.step(&window(100, 0, 1_000));
        }
        let before = feedback.bytes_per_second;
        feedback.step(&window(100, 3, 1_000));
        assert!(feedback.bytes_per_second < before);
    }

    /// A disk that serves so much beside the requests: the rate swings around it and gets most of it.
    #[test]
    fn the_rate_settles_near_what_the_disk_has_to_spare() {
        for spare in [30.0, 100.0, 700.0] {
            let mut feedback = Feedback::default();
            feedback.begin(Reported {
                requests: 1,
                slow: 0,
            });
            let mut done = 0.0;
            for step in 0..1_000 {
                let rate = (feedback.bytes_per_second / MIB).min(2_000.0);
                let slow = if rate > spare { 20 } else { 0 };
                if step >= 100 {
                    done += rate;
                }
                feedback.step(&window(100, slow, rate as u64));
            }
            let mean = done / 900.0;
            assert!(
                (0.6 * spare..1.1 * spare).contains(&mean),
                "{spare}: {mean}"
            );
        }
    }
}
