//! What a cleaner thread does: look for the log that needs it most, claim it, clean it, note what came of it.
//!
//! Locks: `running` -> `config`, for moments. `choosing` (one thread at a time looks for work) -> `notes` (arithmetic only). `Checkpoints` has its own,
//! taken last, under either (`status` holds `notes`). None is held while a log is cleaned: the claim in its notes keeps other threads away.

use std::any::Any;
use std::collections::{BTreeSet, HashMap};
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use lastword_record::TopicPartition;

use super::checkpoints::Checkpoints;
use super::choose::{
    Bounds, Choice, DeleteHorizon, LogFacts, Reason, SegmentFacts, Trigger, bounds, choose, due,
    is_internal,
};
use super::clean::{CleanRequest, Cleaned, CleanerResources, clean_log, plan_log};
use super::control::Control;
use super::plan::Plan;
use super::progress::Progress;
use super::secret::key_hasher;
use super::stats::CleanStats;
use super::status::{IsolatedSegment, KnownBenefit, LogStatus, Notes};
use super::throttle::Throttle;
use crate::config::{CleanerConfig, CleaningOrder};
use crate::error::StorageError;
use crate::key_index::KeyHasher;
use crate::lock::lock;
use crate::log::Log;
use crate::manager::LogManager;
use crate::segment::Segment;

/// The part of the memory for planning that a cleaning between two steps of another gets: one in so many.
const INLINE_SHARE: u64 = 8;

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
        let (log, bounds) = self.claim_next()?;
        let result = self.clean(&log, &bounds, Work::Thread, &Progress::default());
        Some((log.topic_partition().clone(), result))
    }

    fn claim_next(&self) -> Option<(Arc<Log>, Bounds)> {
        let _choosing = lock(&self.choosing);
        let logs = self.manager.logs();
        self.forget_all_but(&logs);
        let mut choice = self.look(&logs);
        if lock(&self.config).order == CleaningOrder::Benefit && choice.eligible.len() > 1 {
            self.find_benefits(&logs, &choice);
            choice = self.look(&logs);
        }
        for eligible in choice.eligible {
            let Some(log) = logs
                .iter()
                .find(|log| *log.topic_partition() == eligible.topic_partition)
            else {
                continue;
            };
            if let Some(bounds) = self.claim_if_due(log) {
                return Some((log.clone(), bounds));
            }
        }
        None
    }

    /// Plans the logs that compete for the next turn, where the last plan does not hold any more.
    fn find_benefits(&self, logs: &[Arc<Log>], choice: &Choice) {
        for eligible in &choice.eligible {
            let topic_partition = &eligible.topic_partition;
            let log = logs
                .iter()
                .find(|log| log.topic_partition() == topic_partition);
            // Those go first whatever they gain.
            let Some(log) = log.filter(|_| !is_internal(&topic_partition.topic)) else {
                continue;
            };
            let current = self.benefit_key(log, &eligible.bounds);
            let is_known = lock(&self.notes)
                .by_log
                .get(topic_partition)
                .is_some_and(|notes| {
                    let known = notes.benefit.as_ref();
                    known.is_some_and(|known| known.holds_for(&current))
                });
            if is_known || self.is_stopped() {
                continue;
            }
            let planned = std::panic::catch_unwind(AssertUnwindSafe(|| {
                self.plan_within(log, &eligible.bounds, Work::Thread)
            }));
            let benefit = match planned {
                Ok(Ok(plan)) => Some(benefit(&plan)),
                Ok(Err(StorageError::Closed)) => continue,
                // Its turn comes last, and then its cleaning says what is wrong.
                Ok(Err(_)) | Err(_) => None,
            };
            self.note(topic_partition, |notes| {
                notes.benefit = Some(KnownBenefit { benefit, ..current })
            });
        }
    }

    /// What a log's benefit depends on.
    fn benefit_key(&self, log: &Log, bounds: &Bounds) -> KnownBenefit {
        let horizon = self.checkpoints.horizon(log.topic_partition());
        KnownBenefit {
            benefit: None,
            first_dirty_offset: bounds.first_dirty_offset,
            first_uncleanable_offset: bounds.first_uncleanable_offset,
            segments: Arc::downgrade(&log.segments()),
            has_horizon_passed: matches!(horizon, DeleteHorizon::At(ms) if ms <= self.now_ms()),
        }
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
                Ok(Some(bounds)) => {
                    drop(self.clean(log, &bounds, Work::Inline, &Progress::default()))
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
    fn claim_if_due(&self, log: &Log) -> Option<Bounds> {
        let topic_partition = log.topic_partition();
        let trigger = due(&self.facts(log), self.now_ms())?.trigger;
        if !self.try_claim(topic_partition, trigger) {
            return None;
        }
        let judged = std::panic::catch_unwind(AssertUnwindSafe(|| {
            let facts = LogFacts {
                is_in_progress: false,
                ..self.facts(log)
            };
            due(&facts, self.now_ms())
        }));
        let given_up = match judged {
            Ok(Some(due)) => return Some(due.bounds),
            Ok(None) => None,
            Err(panic) => Some(panic),
        };
        self.note(topic_partition, |notes| notes.in_progress = None);
        given_up.map(|panic| std::panic::resume_unwind(panic))
    }

    /// Claims a log for the caller, after whoever has it.
    pub fn claim_when_free(&self, log: &Log) -> Result<Bounds, StorageError> {
        let topic_partition = log.topic_partition();
        while !self.try_claim(topic_partition, Trigger::Request) {
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
                self.note(topic_partition, |notes| notes.in_progress = None);
                std::panic::resume_unwind(panic)
            }
        }
    }

    fn try_claim(&self, topic_partition: &TopicPartition, trigger: Trigger) -> bool {
        let mut notes = lock(&self.notes);
        let notes = notes.by_log.entry(topic_partition.clone()).or_default();
        let is_free = notes.in_progress.is_none();
        if is_free {
            notes.in_progress = Some(trigger);
            notes.reason = None;
        }
        is_free
    }

    /// Cleans a log that the caller has claimed, and gives the claim back.
    pub fn clean(
        &self,
        log: &Log,
        bounds: &Bounds,
        work: Work,
        progress: &Progress,
    ) -> Result<CleanStats, StorageError> {
        let clean_internal_logs = || self.clean_internal_logs_that_are_due();
        let control = Control {
            between_steps: work
                .gives_way_to_internal_logs(log)
                .then_some(&clean_internal_logs as &dyn Fn()),
            ..self.control(log, progress)
        };
        let result = std::panic::catch_unwind(AssertUnwindSafe(|| {
            clean_log(
                log,
                self.request(bounds),
                &mut self.resources(work),
                &control,
            )
        }));
        let result = result.unwrap_or_else(|panic| {
            Err(StorageError::CleanerPanicked {
                reason: panic_text(&*panic),
            })
        });
        let result = result.and_then(|cleaned| self.remember(log, cleaned));
        match &result {
            Ok(Cleaned {
                stats, isolated, ..
            }) => {
                for IsolatedSegment { file, damage } in isolated {
                    tracing::error!(partition = %log.topic_partition(), file, damage, "a damaged segment is left as it is, everything else was cleaned");
                }
                self.note(log.topic_partition(), |notes| {
                    notes.succeed(*stats, isolated.clone())
                });
                report(log, bounds, stats);
            }
            // Stopped or deleted: nobody's fault, and nothing to wait for.
            Err(StorageError::Closed) => {
                self.note(log.topic_partition(), |notes| notes.in_progress = None)
            }
            Err(error) => {
                let text = error.to_string();
                let now_ms = self.now_ms();
                let mut retry_at_ms = 0;
                self.note(log.topic_partition(), |notes| {
                    retry_at_ms = notes.fail(text, now_ms)
                });
                let wait_ms = retry_at_ms - now_ms;
                tracing::error!(partition = %log.topic_partition(), %error, wait_ms, "cleaning failed and is tried again later");
            }
        }
        result.map(|cleaned| cleaned.stats)
    }

    /// Finds what a cleaning would drop.
    pub fn plan(&self, log: &Log) -> Result<(Bounds, Plan), StorageError> {
        let bounds = bounds(&self.facts(log), self.now_ms());
        let plan = self.plan_within(log, &bounds, Work::Asked)?;
        Ok((bounds, plan))
    }

    fn plan_within(&self, log: &Log, bounds: &Bounds, work: Work) -> Result<Plan, StorageError> {
        let clean_internal_logs = || self.clean_internal_logs_that_are_due();
        let progress = Progress::default();
        let control = Control {
            between_steps: work
                .gives_way_to_internal_logs(log)
                .then_some(&clean_internal_logs as &dyn Fn()),
            ..self.control(log, &progress)
        };
        plan_log(
            log,
            self.request(bounds),
            &mut self.resources(work),
            &control,
        )
    }

    /// Writes the checkpoints of a log that was cleaned.
    fn remember(&self, log: &Log, cleaned: Cleaned) -> Result<Cleaned, StorageError> {
        let topic_partition = log.topic_partition();
        // Deleted and created anew since, the name is another log's.
        let is_there = |other: &TopicPartition| {
            let current = self.manager.get(other);
            current.is_some_and(|it| other != topic_partition || std::ptr::eq(&*it, log))
        };
        let offset = (topic_partition.clone(), cleaned.first_dirty_offset);
        self.checkpoints
            .set_first_dirty_offsets(&[offset], is_there)?;
        let horizon = self.with_expiry_of_producers(log, &cleaned);
        self.checkpoints
            .set_horizon(topic_partition, horizon, is_there)?;
        Ok(cleaned)
    }

    /// An empty batch stays for its producer's sake, and a marker for that batch's: when the last producer has expired,
    /// both may go, also if nobody writes to the log again.
    fn with_expiry_of_producers(&self, log: &Log, cleaned: &Cleaned) -> DeleteHorizon {
        let expiration_ms = self.manager.config().producer_id_expiration_ms;
        let last_ms = match cleaned.stats.batches_emptied {
            0 => None,
            _ => log
                .active_producers()
                .iter()
                .map(|producer| producer.last_timestamp)
                .max(),
        };
        match (
            cleaned.horizon,
            last_ms.map(|ms| ms.saturating_add(expiration_ms)),
        ) {
            (DeleteHorizon::At(ms), Some(expiry_ms)) => DeleteHorizon::At(ms.min(expiry_ms)),
            (DeleteHorizon::None, Some(expiry_ms)) => DeleteHorizon::At(expiry_ms),
            (horizon, _) => horizon,
        }
    }

    /// Judges logs, and notes why each is not being cleaned.
    fn look(&self, logs: &[Arc<Log>]) -> Choice {
        let facts: Vec<LogFacts> = logs.iter().map(|log| self.facts(log)).collect();
        let choice = choose(&facts, self.now_ms());
        if !choice.checkpoint_resets.is_empty() {
            for (topic_partition, offset) in &choice.checkpoint_resets {
                tracing::warn!(partition = %topic_partition, offset, "the first dirty offset lay outside of the log and is reset");
            }
            let is_there =
                |topic_partition: &TopicPartition| self.manager.get(topic_partition).is_some();
            if let Err(error) = self
                .checkpoints
                .set_first_dirty_offsets(&choice.checkpoint_resets, is_there)
            {
                tracing::error!(%error, "the cleaner's checkpoint could not be written");
            }
        }
        let mut notes = lock(&self.notes);
        for (topic_partition, reason, bounds) in &choice.not_now {
            let notes = notes.by_log.entry(topic_partition.clone()).or_default();
            notes.reason = notes.in_progress.is_none().then_some(*reason);
            notes.bounds = *bounds;
        }
        for eligible in &choice.eligible {
            let notes = notes
                .by_log
                .entry(eligible.topic_partition.clone())
                .or_default();
            notes.reason = notes.in_progress.is_none().then_some(Reason::Queued);
            notes.bounds = Some(eligible.bounds);
        }
        choice
    }

    fn facts(&self, log: &Log) -> LogFacts {
        let topic_partition = log.topic_partition();
        self.recognise(log);
        let config = log.config();
        let offsets = log.offsets();
        let segments = log.segments();
        let notes = lock(&self.notes)
            .by_log
            .get(topic_partition)
            .cloned()
            .unwrap_or_default();
        let has_min_lag = config.min_compaction_lag_ms > 0;
        let has_max_lag = config.max_compaction_lag_ms < i64::MAX;
        let segment_facts = |segment: &Arc<Segment>| SegmentFacts {
            base_offset: segment.base_offset(),
            size_bytes: u64::from(segment.size_bytes()),
            largest_timestamp_ms: if has_min_lag {
                segment.largest_timestamp_ms()
            } else {
                0
            },
            first_batch_timestamp_ms: if has_max_lag {
                // Records without a time must not stay for ever.
                let first = segment.first_batch_timestamp();
                first
                    .filter(|ms| *ms > 0)
                    .or_else(|| segment.modified_ms().ok())
            } else {
                None
            },
        };
        LogFacts {
            topic_partition: topic_partition.clone(),
            is_compacted: config.cleanup_policy.compact,
            is_closed: log.is_closed(),
            is_in_progress: notes.in_progress.is_some(),
            retry_at_ms: notes.retry_at_ms,
            log_start_offset: offsets.log_start_offset,
            last_stable_offset: offsets
                .last_stable_offset
                .min(offsets.high_watermark)
                .min(notes.ceiling_offset.unwrap_or(i64::MAX)),
            log_end_offset: offsets.log_end_offset,
            checkpoint_offset: self.checkpoints.first_dirty_offset(topic_partition),
            segments: segments.iter().map(segment_facts).collect(),
            min_cleanable_dirty_ratio: config.min_cleanable_dirty_ratio,
            min_compaction_lag_ms: config.min_compaction_lag_ms,
            max_compaction_lag_ms: config.max_compaction_lag_ms,
            delete_retention_ms: config.delete_retention_ms,
            horizon: self.checkpoints.horizon(topic_partition),
            benefit: match lock(&self.config).order {
                CleaningOrder::Benefit => notes.benefit.and_then(|known| known.benefit),
                CleaningOrder::DirtyRatio => None,
            },
            last_cleaned_ms: notes.last_stats.map(|stats| stats.started_ms),
        }
    }

    /// Forgets a log of the same name that was deleted: its checkpoint says nothing about this one.
    fn recognise(&self, log: &Log) {
        let topic_partition = log.topic_partition();
        let mut is_another = false;
        self.note(topic_partition, |notes| {
            is_another = notes
                .topic_id
                .is_some_and(|topic_id| topic_id != log.topic_id());
            if is_another && notes.in_progress.is_none() {
                *notes = Notes::default();
            }
            notes.topic_id = Some(log.topic_id());
        });
        if is_another && let Err(error) = self.checkpoints.retain(|other| other != topic_partition)
        {
            tracing::error!(%error, "the cleaner's checkpoint could not be written");
        }
    }

    fn forget_all_but(&self, logs: &[Arc<Log>]) {
        let is_there = |topic_partition: &TopicPartition| {
            logs.iter()
                .any(|log| log.topic_partition() == topic_partition)
        };
        let gone = {
            let mut notes = lock(&self.notes);
            let len = notes.by_log.len();
            if len > logs.len() {
                notes.by_log.retain(|topic_partition, notes| {
                    notes.in_progress.is_some() || is_there(topic_partition)
                });
            }
            notes.by_log.len() < len
        };
        if gone
            && let Err(error) = self
                .checkpoints
                .retain(|topic_partition| self.manager.get(topic_partition).is_some())
        {
            tracing::error!(%error, "the cleaner's checkpoint could not be written");
        }
    }

    /// Logs as the cleaner sees them now, in order.
    pub fn status(&self, logs: &[Arc<Log>]) -> Vec<LogStatus> {
        self.look(logs);
        let notes = lock(&self.notes);
        let mut status: Vec<LogStatus> = logs
            .iter()
            .map(|log| {
                let topic_partition = log.topic_partition().clone();
                let notes = notes
                    .by_log
                    .get(&topic_partition)
                    .cloned()
                    .unwrap_or_default();
                LogStatus {
                    state: notes.state(),
                    reason: notes.reason,
                    bounds: notes.bounds,
                    benefit: notes.benefit.and_then(|known| known.benefit),
                    first_dirty_offset: self.checkpoints.first_dirty_offset(&topic_partition),
                    horizon: self.checkpoints.horizon(&topic_partition),
                    last_stats: notes.last_stats,
                    isolated_segments: notes.isolated_segments,
                    last_error: notes.last_error,
                    failures: notes.failures,
                    cleanings: notes.cleanings,
                    topic_partition,
                }
            })
            .collect();
        status.sort_by(|a, b| a.topic_partition.cmp(&b.topic_partition));
        status
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

    fn request(&self, bounds: &Bounds) -> CleanRequest {
        CleanRequest {
            first_dirty_offset: bounds.first_dirty_offset,
            first_uncleanable_offset: bounds.first_uncleanable_offset,
            now_ms: self.now_ms(),
        }
    }

    /// A thread's share of the memory.
    pub fn resources(&self, work: Work) -> CleanerResources {
        let mut config = lock(&self.config).clone();
        config.dedupe_buffer_size_bytes = work.share_of(config.dedupe_buffer_size_bytes);
        // One more for the thread that builds indexes.
        let shares = u64::from(config.threads.max(1)) + 1;
        let memory_bytes =
            usize::try_from(config.dedupe_buffer_size_bytes / shares).unwrap_or(usize::MAX);
        CleanerResources::new(
            self.hasher.clone(),
            memory_bytes,
            self.manager.config().max_decompressed_bytes,
        )
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

/// Dead bytes per byte that a cleaning would copy: infinite when it only drops.
fn benefit(plan: &Plan) -> f64 {
    let changed = plan.segments.iter().filter(|segment| segment.is_changed());
    let dead_bytes = plan.dead_bytes();
    let size_bytes: u64 = changed.map(|segment| u64::from(segment.size_bytes)).sum();
    match (dead_bytes, size_bytes.saturating_sub(dead_bytes)) {
        (0, _) => 0.0,
        (_, 0) => f64::INFINITY,
        (dead_bytes, copied_bytes) => dead_bytes as f64 / copied_bytes as f64,
    }
}

fn report(log: &Log, bounds: &Bounds, stats: &CleanStats) {
    tracing::info!(
        partition = %log.topic_partition(),
        from = bounds.first_dirty_offset,
        to = bounds.first_uncleanable_offset,
        dead = stats.dead.total(),
        dead_bytes = stats.dead_bytes,
        bytes_read = stats.bytes_read,
        bytes_written = stats.bytes_written,
        indexes_built = stats.indexes_built,
        index_bytes = stats.index_bytes,
        memory_bytes = stats.memory_bytes,
        plan_ms = stats.plan_ms,
        rewrite_ms = stats.rewrite_ms,
        "cleaned"
    );
}

pub(super) fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| text.to_string());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "unknown panic".to_string())
}
