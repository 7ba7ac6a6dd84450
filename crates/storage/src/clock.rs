//! The only place that reads the time of day. How long something takes is measured with the monotonic clock, elsewhere too.
//!
//! A clock is handed to whoever needs one, so that a test can hold it still, and a simulation can jump with it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Wall-clock time in milliseconds since 1970.
#[derive(Clone, Debug, Default)]
pub enum Clock {
    /// The machine's clock.
    #[default]
    System,
    /// A clock that moves only when somebody stores into it.
    Manual(Arc<AtomicI64>),
}

impl Clock {
    /// A clock that stands at `now_ms`.
    pub fn manual(now_ms: i64) -> Clock {
        Clock::Manual(Arc::new(AtomicI64::new(now_ms)))
    }

    /// Milliseconds since 1970; 0 when the machine's clock stands before that.
    pub fn now_ms(&self) -> i64 {
        match self {
            Clock::System => SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |elapsed| {
                    i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX)
                }),
            Clock::Manual(now_ms) => now_ms.load(Ordering::SeqCst),
        }
    }

    /// Moves a manual clock forward (or back, when negative); the system clock is left alone.
    pub fn advance_ms(&self, by_ms: i64) {
        if let Clock::Manual(now_ms) = self {
            now_ms.fetch_add(by_ms, Ordering::SeqCst);
        }
    }
}
