//! What a cleaner thread does: look for the log that needs it most, claim it, clean it, wait.
//!
//! `facts` is what is known of the logs, `turn` one cleaning or plan, `benefit` what a cleaning would gain.
//!
//! A claim, `in_progress` in a log's notes, is one thread's: it alone plans, cleans and converts the log, and gives the
//! claim back whatever happens.
//!
//! Locks: `running` -> `config`, for moments. `choosing`: one thread at a time chooses and claims; under it `config`,
//! `notes` and that of `Checkpoints`, one after the other. `notes` is for arithmetic only. The one of `Checkpoints` is
//! taken last, also under `notes` (`status`). None is held while a log is planned or cleaned.

mod benefit;
mod facts;
mod turn;

use std::any::Any;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use lastword_record::TopicPartition;

use super::checkpoints::Checkpoints;
use super::choose::{Bounds, LogFacts, Trigger, bounds, due, is_internal};
use super::clean::CleanerResources;
use super::control::Control;
use super::progress::Progress;
use super::reason::Pause;
use super::secret::key_hasher;
use super::stats::CleanStats;
use super::status::{Claim, Notes, PastCleaning};
use super::throttle::Throttle;
use crate::config::{CleanerConfig, CleaningOrder};
use crate::error::StorageError;
use crate::key_index::KeyHasher;
use crate::lock::lock;
use crate::log::Log;
use crate::manager::LogManager;

/// The part of the memory for planning that a cleaning between two steps of another gets: one in so many.
const INLINE_SHARE: u64 = 8;
/// Of the cleanings that are remembered.
const MOST_RECENT: usize = 200;

/// What the threads of a cleaner share.
pub(super) struct Shared {
    pub manager: Arc<LogManager>,
    pub throttle: Throttle,
    hasher: KeyHasher,
    checkpoints: Arc<Checkpoints>,
    is_stopped: AtomicBool,
    config: Mutex<CleanerConfig>,
    /// The numbers of the threads.
    running: Mutex<BTreeSet<usize>>,
    choosing: Mutex<()>,
    notes: Mutex<AllNotes>,
    /// Of `notes`: somebody is to look for work, or a log is no longer being cleaned.
    changed: Condvar,
}

#[derive(Default)]
struct AllNotes {
    by_log: HashMap<TopicPartition, Notes>,
    /// Counts calls of `wake`, so that none is missed.
    wakes: u64,
    /// When a thread last looked for work.
    last_look_ms: Option<i64>,
    /// The last cleanings, oldest first; at most [`MOST_RECENT`].
    recent: VecDeque<PastCleaning>,
    /// How many cleanings there were.
    past: u64,
}

impl AllNotes {
    fn succeed(&mut self, topic_partition: &TopicPartition, stats: CleanStats) {
        self.past += 1;
        self.recent.push_back(PastCleaning {
            number: self.past,
            topic_partition: topic_partition.clone(),
            stats,
        });
        if self.recent.len() > MOST_RECENT {
            self.recent.pop_front();
        }
    }
}

/// What a thread has claimed.
pub(super) struct Claimed {
    pub bounds: Bounds,
    pub progress: Arc<Progress>,
}

/// On whose account a log is cleaned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    /// A thread's: it stops for internal logs between two steps.
    Thread,
    /// Between two steps of another cleaning, whose memory is taken.
    Inline,
    /// Somebody asked and waits.
    Asked,
    /// Key indexes of sealed segments are built in the background.
    Index,
}

impl Work {
    /// Whether internal logs are cleaned between two steps of this log's cleaning.
    fn gives_way_to_internal_logs(self, log: &Log) -> bool {
        self == Work::Thread && !is_internal(&log.topic_partition().topic)
    }

    /// Of a memory for planning: an eighth is kept for what is cleaned in between.
    fn share_of(self, bytes: u64) -> u64 {
        match self {
            Work::Thread => bytes - bytes / INLINE_SHARE,
            Work::Inline => bytes / INLINE_SHARE,
            Work::Asked | Work::Index => bytes,
        }
    }
}

impl Shared {
    pub fn new(manager: Arc<LogManager>, config: CleanerConfig) -> Result<Shared, StorageError> {
        let dir = manager.dir();
        let hasher = key_hasher(&*dir)?;
        let checkpoints = Arc::new(Checkpoints::open(dir));
        manager.attach_cleaner(&checkpoints);
        manager
            .latencies()
            .set_target(Duration::from_millis(config.latency_target_ms));
        let shared = Shared {
            throttle: Throttle::with_feedback(
                config.io_max_bytes_per_second,
                manager.latencies().clone(),
            ),
            hasher,
            checkpoints,
            is_stopped: AtomicBool::new(false),
            config: Mutex::new(config),
            running: Mutex::default(),
            choosing: Mutex::new(()),
            notes: Mutex::new(AllNotes::default()),
            changed: Condvar::new(),
            manager,
        };
        // Before anything is created: a log of the same name as one that is gone must not inherit its entries.
        shared
            .checkpoints
            .retain(|topic_partition| shared.manager.get(topic_partition).is_some())?;
        for log in shared.manager.logs() {
            shared.recognise(&log);
        }
        Ok(shared)
    }

    pub fn stop(&self) {
        self.is_stopped.store(true, Ordering::SeqCst);
        self.throttle.stop();
        self.manager.sealed_signal().raise();
        self.wake();
    }

    pub fn wake(&self) {
        lock(&self.notes).wakes += 1;
        self.changed.notify_all();
    }

    pub fn update_config(&self, config: CleanerConfig) {
        self.throttle
            .set_bytes_per_second(config.io_max_bytes_per_second);
        self.manager
            .latencies()
            .set_target(Duration::from_millis(config.latency_target_ms));
        *lock(&self.config) = config;
        self.wake();
    }

    /// What a thread does until it is stopped, or there are to be fewer.
    pub fn run(&self, number: usize) {
        let mut seen_wakes = 0;
        while !self.is_stopped() && self.wants_thread(number) {
            match std::panic::catch_unwind(AssertUnwindSafe(|| self.clean_next())) {
                Ok(Some(_)) => continue,
                Ok(None) => {}
                Err(panic) => tracing::error!(
                    panic = panic_text(&*panic),
                    "the cleaner could not look for work"
                ),
            }
            self.wait(&mut seen_wakes);
        }
    }

    /// A thread of this number is to run; false if one does.
    pub fn enter(&self, number: usize) -> bool {
        lock(&self.running).insert(number)
    }

    /// Whether this thread goes on. If not, it has left: whoever wants it again starts another.
    fn wants_thread(&self, number: usize) -> bool {
        let mut running = lock(&self.running);
        let config = lock(&self.config);
        let is_wanted = config.enable && number < config.threads as usize;
        if !is_wanted {
            running.remove(&number);
        }
        is_wanted
    }

    /// Waits for the next time to look, or until somebody wakes the cleaner.
    fn wait(&self, seen_wakes: &mut u64) {
        let backoff = Duration::from_millis(lock(&self.config).backoff_ms.max(1).unsigned_abs());
        let is_idle = |notes: &mut AllNotes| notes.wakes == *seen_wakes && !self.is_stopped();
        let waited = self
            .changed
            .wait_timeout_while(lock(&self.notes), backoff, is_idle);
        let (notes, _) = waited.unwrap_or_else(PoisonError::into_inner);
        *seen_wakes = notes.wakes;
    }

    /// Chooses a log, claims it and cleans it; none when there is nothing to do.
    pub fn clean_next(&self) -> Option<(TopicPartition, Result<CleanStats, StorageError>)> {
        let (log, claimed) = self.claim_next()?;
        let Claimed { bounds, progress } = claimed;
        let result = self.clean(&log, &bounds, Work::Thread, &progress);
        Some((log.topic_partition().clone(), result))
    }

    fn claim_next(&self) -> Option<(Arc<Log>, Claimed)> {
        if lock(&self.config).order == CleaningOrder::Benefit {
            self.find_benefits();
        }
        let _choosing = lock(&self.choosing);
        lock(&self.notes).last_look_ms = Some(self.now_ms());
        let logs = self.manager.logs();
        self.forget_all_but(&logs);
        for eligible in self.look(&logs).eligible {
            let Some(log) = logs
                .iter()
                .find(|log| *log.topic_partition() == eligible.topic_partition)
            else {
                continue;
            };
            if let Some(claimed) = self.claim_if_due(log) {
                return Some((log.clone(), claimed));
            }
        }
        None
    }

    /// Cleans every internal log that is due, on behalf of a cleaning of another log that may go on for long. Whatever
    /// comes of it is noted with those logs, and is nothing to that cleaning.
    fn clean_internal_logs_that_are_due(&self) {
        let logs = self.manager.logs();
        for log in logs
            .iter()
            .filter(|log| is_internal(&log.topic_partition().topic))
        {
            if self.is_stopped() {
                return;
            }
            match std::panic::catch_unwind(AssertUnwindSafe(|| self.claim_if_due(log))) {
                // A failure is in the notes.
                Ok(Some(Claimed { bounds, progress })) => {
                    drop(self.clean(log, &bounds, Work::Inline, &progress))
                }
                Ok(None) => {}
                Err(panic) => tracing::error!(
                    partition = %log.topic_partition(),
                    panic = panic_text(&*panic),
                    "the cleaner could not judge a log"
                ),
            }
        }
    }

    /// Claims a log for the caller if it is to be cleaned now, judged under the claim: whoever had it before may have
    /// cleaned it.
    fn claim_if_due(&self, log: &Log) -> Option<Claimed> {
        let topic_partition = log.topic_partition();
        let cleaner = self.cleaner_facts();
        let trigger = due(&self.facts(log), &cleaner, self.now_ms())?.trigger;
        let progress = Arc::default();
        if !self.try_claim(topic_partition, trigger, &progress) {
            return None;
        }
        let judged = std::panic::catch_unwind(AssertUnwindSafe(|| {
            let facts = LogFacts {
                in_progress: None,
                ..self.facts(log)
            };
            due(&facts, &cleaner, self.now_ms())
        }));
        let given_up = match judged {
            Ok(Some(due)) => {
                return Some(Claimed {
                    bounds: due.bounds,
                    progress,
                });
            }
            Ok(None) => None,
            Err(panic) => Some(panic),
        };
        self.give_back(log);
        given_up.map(|panic| std::panic::resume_unwind(panic))
    }

    /// Claims a log for the caller, after whoever has it.
    pub fn claim_when_free(
        &self,
        log: &Log,
        progress: &Arc<Progress>,
    ) -> Result<Bounds, StorageError> {
        let topic_partition = log.topic_partition();
        while !self.try_claim(topic_partition, Trigger::Request, progress) {
            let is_claimed = |notes: &mut AllNotes| {
                let notes = notes.by_log.get(topic_partition);
                notes.is_some_and(|notes| notes.in_progress.is_some()) && !self.is_stopped()
            };
            drop(self.changed.wait_while(lock(&self.notes), is_claimed));
            if self.is_stopped() {
                return Err(StorageError::Closed);
            }
        }
        // Only now: the cleaning that was waited for has moved them.
        let facts = std::panic::catch_unwind(AssertUnwindSafe(|| self.facts(log)));
        match facts {
            Ok(facts) => Ok(bounds(&facts, self.now_ms())),
            Err(panic) => {
                self.give_back(log);
                std::panic::resume_unwind(panic)
            }
        }
    }

    /// The same, unless the log is paused.
    pub fn claim_unpaused(
        &self,
        log: &Log,
        progress: &Arc<Progress>,
    ) -> Result<Bounds, StorageError> {
        let bounds = self.claim_when_free(log, progress)?;
        if self.is_paused(log.topic_partition()) {
            self.give_back(log);
            let topic_partition = log.topic_partition().clone();
            return Err(StorageError::Paused { topic_partition });
        }
        Ok(bounds)
    }

    fn try_claim(
        &self,
        topic_partition: &TopicPartition,
        trigger: Trigger,
        progress: &Arc<Progress>,
    ) -> bool {
        let since_ms = self.now_ms();
        let mut notes = lock(&self.notes);
        let notes = notes.by_log.entry(topic_partition.clone()).or_default();
        let is_free = notes.in_progress.is_none();
        if is_free {
            notes.in_progress = Some(Claim {
                trigger,
                since_ms,
                progress: progress.clone(),
            });
        }
        is_free
    }

    fn give_back(&self, log: &Log) {
        self.note(log.topic_partition(), |notes| notes.in_progress = None);
    }

    /// The log, if it is here and compacted.
    pub fn compacted_log(
        &self,
        topic_partition: &TopicPartition,
    ) -> Result<Arc<Log>, StorageError> {
        let log = self.manager.get(topic_partition);
        let log = log.ok_or_else(|| StorageError::UnknownPartition {
            topic_partition: topic_partition.clone(),
        })?;
        if !log.config().cleanup_policy.compact {
            return Err(StorageError::NotCompacted {
                topic_partition: topic_partition.clone(),
            });
        }
        Ok(log)
    }

    /// A thread's share of the memory.
    pub fn resources(&self, work: Work) -> CleanerResources {
        CleanerResources::new(
            self.hasher.clone(),
            self.memory_bytes(work),
            self.manager.config().max_decompressed_bytes,
        )
    }

    fn memory_bytes(&self, work: Work) -> usize {
        let config = lock(&self.config);
        // One more for the thread that builds indexes.
        let shares = u64::from(config.threads.max(1)) + 1;
        let bytes = work.share_of(config.dedupe_buffer_size_bytes) / shares;
        usize::try_from(bytes).unwrap_or(usize::MAX)
    }

    pub fn control<'a>(&'a self, log: &'a Log, progress: &'a Progress) -> Control<'a> {
        Control {
            throttle: &self.throttle,
            is_stopped: &self.is_stopped,
            log,
            progress,
            between_steps: None,
        }
    }

    /// Keeps what lies at or above `offset` from being cleaned.
    pub fn keep_from(&self, topic_partition: &TopicPartition, offset: i64) {
        self.note(topic_partition, |notes| notes.ceiling_offset = Some(offset));
    }

    /// Keeps a log from being cleaned until it is resumed. A cleaning of it that is under way ends at its next batch; a
    /// pause that holds already is told.
    pub fn pause(&self, topic_partition: &TopicPartition, pause: Pause) -> Pause {
        let mut held = pause;
        self.note(topic_partition, |notes| {
            held = notes.pause.get_or_insert(held.clone()).clone();
            if let Some(claim) = &notes.in_progress {
                claim.progress.give_up();
            }
        });
        held
    }

    /// Ends a pause, and tells which.
    pub fn resume(&self, topic_partition: &TopicPartition) -> Option<Pause> {
        let mut ended = None;
        self.note(topic_partition, |notes| ended = notes.pause.take());
        if ended.is_some() {
            self.wake();
        }
        ended
    }

    pub fn is_paused(&self, topic_partition: &TopicPartition) -> bool {
        let notes = lock(&self.notes);
        let notes = notes.by_log.get(topic_partition);
        notes.is_some_and(|notes| notes.pause.is_some())
    }

    fn note(&self, topic_partition: &TopicPartition, change: impl FnOnce(&mut Notes)) {
        let mut notes = lock(&self.notes);
        change(notes.by_log.entry(topic_partition.clone()).or_default());
        drop(notes);
        self.changed.notify_all();
    }

    pub fn is_stopped(&self) -> bool {
        self.is_stopped.load(Ordering::SeqCst)
    }

    fn now_ms(&self) -> i64 {
        self.manager.clock().now_ms()
    }
}

pub(super) fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| text.to_string());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "unknown panic".to_string())
}
