//! The state view of one partition: when it is built, renewed and given up, and what a fetch through it plans.
//!
//! - It is built in the background when somebody begins to read who has something to gain: from the start of the log, or
//!   far from its end, or when the log is small. Until it is there, such a fetch waits as one at the end of the log does.
//! - It is renewed when the log has changed and a reader comes who needs it, but never takes more than a twentieth of
//!   the time. An old view is a right one, so nobody waits for a new one unless it comes at once.
//! - Nobody reads it for five minutes, or memory is short: it goes. A failure is told in the log; then the log itself is
//!   served for a while.
//!
//! Lock: `state`, for moments.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use lastword_storage::log::Log;
use lastword_storage::state_view::{StateView, read_view};
use lastword_storage::{FetchData, Isolation, ReadRequest, StorageError};
use tokio::time::Instant;

use super::{Fetched, Partition, run_blocking};
use crate::lock::lock;
use crate::state_views::StateViews;

/// A view that nobody reads goes after this time.
const IDLE: Duration = Duration::from_secs(300);
/// After a failure the log is served for this time.
const AFTER_FAILURE: Duration = Duration::from_secs(30);
/// Renewing takes at most one in so many parts of the time.
const RENEWAL_SHARE: u32 = 20;
/// And comes no sooner than this after the last one.
const RENEWAL_PAUSE: Duration = Duration::from_millis(50);
/// Readers wait for a view that was built as fast as this the last time.
const SHORT_BUILD: Duration = Duration::from_millis(50);
/// A reader with more records before it is far from the end.
const FAR_RECORDS: i64 = 10_000;
/// A log up to this size is small: a view costs little.
const SMALL_LOG_BYTES: u64 = 16 << 20;

/// The place of a partition's view.
#[derive(Default)]
pub struct ViewSlot {
    state: Mutex<SlotState>,
}

#[derive(Default)]
struct SlotState {
    view: Option<Arc<StateView>>,
    is_building: bool,
    last_build: Option<LastBuild>,
    used_at: Option<Instant>,
}

#[derive(Clone, Copy)]
struct LastBuild {
    ended_at: Instant,
    took: Duration,
    failed: bool,
}

/// What a fetch is served from.
enum Source {
    View(Arc<StateView>),
    Log,
    /// The view is being built.
    Later,
}

/// A read through a view that is still to be done.
pub struct ViewFetch {
    view: Arc<StateView>,
    log: Arc<Log>,
    request: ReadRequest,
}

impl ViewFetch {
    /// The most bytes it gives.
    pub fn max_bytes(&self) -> usize {
        self.request.max_bytes
    }

    /// Appends what is there to `out`. Blocks.
    pub fn read_into(
        &self,
        views: &StateViews,
        out: &mut Vec<u8>,
    ) -> Result<FetchData, StorageError> {
        views.with_buffers(|buffers| read_view(&self.view, &self.log, self.request, buffers, out))
    }
}

impl ViewSlot {
    /// A view is there, or could not be built.
    pub fn is_ready(&self) -> bool {
        let state = lock(&self.state);
        !state.is_building
    }

    /// When the view was last read, and what it takes.
    pub(crate) fn usage(&self) -> Option<(Option<Instant>, u64)> {
        let state = lock(&self.state);
        let view = state.view.as_ref()?;
        Some((state.used_at, view.counts.memory_bytes))
    }

    /// Forgets the view; readers have their own hold on it.
    pub(crate) fn give_up(&self) {
        lock(&self.state).view = None;
    }

    fn give_up_if_idle(&self) -> bool {
        let mut state = lock(&self.state);
        let is_idle = state
            .used_at
            .is_none_or(|used_at| used_at.elapsed() >= IDLE);
        if is_idle && !state.is_building {
            state.view = None;
        }
        state.view.is_none() && !state.is_building
    }

    /// What to serve a reader at this offset from, and whether to build a view now.
    fn choose(&self, log: &Log, offset: i64) -> (Source, bool) {
        let offsets = log.offsets();
        let is_far = offsets.last_stable_offset.saturating_sub(offset) > FAR_RECORDS;
        let mut state = lock(&self.state);
        let (since, last) = match state.last_build {
            Some(last) => (last.ended_at.elapsed(), Some(last)),
            None => (Duration::MAX, None),
        };
        let Some(view) = state.view.clone() else {
            let has_failed = last.is_some_and(|last| last.failed && since < AFTER_FAILURE);
            let gains =
                is_far || offset <= offsets.log_start_offset || log.size_bytes() <= SMALL_LOG_BYTES;
            if has_failed || !gains {
                return (Source::Log, false);
            }
            let starts = !state.is_building;
            state.is_building = true;
            return (Source::Later, starts);
        };
        let is_known = offset < view.limit();
        if is_known {
            state.used_at = Some(Instant::now());
        }
        let took = last.map_or(Duration::ZERO, |last| last.took);
        let pause = (took * RENEWAL_SHARE).max(RENEWAL_PAUSE);
        let is_due = since >= pause && (is_known || is_far) && view.is_outdated(log);
        let starts = is_due && !state.is_building;
        state.is_building |= starts;
        if state.is_building && is_known && took <= SHORT_BUILD {
            return (Source::Later, starts);
        }
        let source = if is_known {
            Source::View(view)
        } else {
            Source::Log
        };
        (source, starts)
    }

    /// Takes a new view; answers whether it is the first.
    fn end_build(&self, began: Instant, built: Option<StateView>) -> bool {
        let mut state = lock(&self.state);
        state.is_building = false;
        state.last_build = Some(LastBuild {
            ended_at: Instant::now(),
            took: began.elapsed(),
            failed: built.is_none(),
        });
        state.used_at = Some(Instant::now());
        let is_first = state.view.is_none() && built.is_some();
        state.view = built.map(Arc::new);
        is_first
    }
}

impl Partition {
    /// Plans a read through the state view. Reads no record data.
    pub fn fetch_state(
        self: &Arc<Partition>,
        views: &Arc<StateViews>,
        offset: i64,
        max_bytes: usize,
        min_one_batch: bool,
        isolation: Isolation,
    ) -> Result<Fetched, StorageError> {
        let mut fetched = self.fetch(offset, max_bytes, min_one_batch, isolation)?;
        let Some(data) = fetched.data.as_ref().filter(|data| !data.is_empty()) else {
            return Ok(fetched);
        };
        let (source, starts) = self.view.choose(&self.log, offset);
        if starts {
            self.build_view(views.clone());
        }
        match source {
            Source::Log => {}
            Source::Later => {
                fetched.data = None;
                fetched.waits_for_view = true;
            }
            Source::View(view) => {
                let there = usize::try_from(self.log.size_bytes()).unwrap_or(usize::MAX);
                fetched.view = Some(ViewFetch {
                    view,
                    log: self.log.clone(),
                    request: ReadRequest {
                        offset,
                        max_bytes: max_bytes.min(there).max(data.len_bytes()),
                        min_one_batch,
                        isolation,
                    },
                });
                fetched.data = None;
            }
        }
        Ok(fetched)
    }

    fn build_view(self: &Arc<Partition>, views: Arc<StateViews>) {
        let partition = self.clone();
        tokio::spawn(async move {
            let permit = views.builds.acquire().await;
            let began = Instant::now();
            let (building, log) = (views.clone(), partition.log.clone());
            let built = run_blocking(move || building.build(&log)).await;
            drop(permit);
            let topic_partition = partition.topic_partition();
            let built = match built {
                Ok(Ok(view)) => {
                    tracing::debug!(partition = %topic_partition, ?view, took = ?began.elapsed(), "built a state view");
                    Some(view)
                }
                Ok(Err(StorageError::Closed)) | Err(_) => None,
                Ok(Err(error)) => {
                    tracing::warn!(partition = %topic_partition, %error, "the state view cannot be built; the log is served instead");
                    None
                }
            };
            let is_first = partition.view.end_build(began, built);
            views.keep(&partition);
            partition.wake_all();
            if is_first {
                let partition = Arc::downgrade(&partition);
                loop {
                    tokio::time::sleep(IDLE).await;
                    let Some(partition) = partition.upgrade() else {
                        break;
                    };
                    if partition.view.give_up_if_idle() {
                        break;
                    }
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use lastword_record::{BatchBuilder, BatchSpec, TopicId, TopicPartition};
    use lastword_storage::cleaner::key_hasher;
    use lastword_storage::{AppendOrigin, Clock, LogConfig, LogManager, SimDir};

    use super::*;

    /// A log of some records of a size.
    fn log_of(records: i64, value_bytes: usize) -> (Arc<LogManager>, Arc<Log>) {
        let dir = Arc::new(SimDir::new());
        let config = LogConfig {
            max_message_bytes: 4 << 20,
            ..LogConfig::default()
        };
        let manager = LogManager::open(Default::default(), dir, Clock::System, &|_| config.clone());
        let manager = manager.unwrap();
        let topic_partition = TopicPartition::new("t", 0);
        let id = TopicId::from_random_bytes([7; 16]);
        let log = manager
            .create(&topic_partition, id, config.clone())
            .unwrap();
        for _ in 0..records {
            let mut builder = BatchBuilder::new(BatchSpec::default());
            builder.push(0, 1_000, Some(b"key"), Some(&vec![7; value_bytes]), &[]);
            let mut batch = Vec::new();
            builder.finish(&mut batch).unwrap();
            log.append(&batch, AppendOrigin::Client, 0).unwrap();
        }
        log.sync().unwrap();
        (manager, log)
    }

    fn build(log: &Log) -> StateView {
        let hasher = key_hasher(&*log.dir()).unwrap();
        StateViews::new(hasher, 16 << 20).build(log).unwrap()
    }

    /// What is served, and whether a build starts.
    fn chosen(slot: &ViewSlot, log: &Log, offset: i64) -> (&'static str, bool) {
        let (source, starts) = slot.choose(log, offset);
        let source = match source {
            Source::View(_) => "view",
            Source::Log => "log",
            Source::Later => "later",
        };
        (source, starts)
    }

    #[test]
    fn a_view_is_built_once_for_all_who_wait_and_serves_what_it_knows() {
        let (_manager, log) = log_of(10, 10);
        let slot = ViewSlot::default();
        assert_eq!(chosen(&slot, &log, 0), ("later", true));
        assert_eq!(chosen(&slot, &log, 5), ("later", false));
        assert!(!slot.is_ready());
        assert!(slot.end_build(Instant::now(), Some(build(&log))));
        assert!(slot.is_ready());
        assert_eq!(chosen(&slot, &log, 5), ("view", false));
        assert_eq!(chosen(&slot, &log, 10), ("log", false));
        assert!(slot.usage().unwrap().1 > 0);
        slot.give_up();
        assert!(slot.usage().is_none());
        assert_eq!(chosen(&slot, &log, 0), ("later", true));
    }

    #[test]
    fn a_reader_near_the_end_of_a_large_log_is_served_the_log_and_holds_nobody_up() {
        let (_manager, log) = log_of(20, 1 << 20);
        let slot = ViewSlot::default();
        assert_eq!(chosen(&slot, &log, 15), ("log", false));
        assert_eq!(chosen(&slot, &log, 0), ("later", true));
        assert_eq!(chosen(&slot, &log, 15), ("log", false));
    }

    #[test]
    fn after_a_build_that_failed_the_log_is_served() {
        let (_manager, log) = log_of(10, 10);
        let slot = ViewSlot::default();
        assert_eq!(chosen(&slot, &log, 0), ("later", true));
        assert!(!slot.end_build(Instant::now(), None));
        assert!(slot.is_ready());
        assert_eq!(chosen(&slot, &log, 0), ("log", false));
    }
}
