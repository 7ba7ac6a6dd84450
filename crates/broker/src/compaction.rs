//! Cleanings that somebody asked for: at most one that waits and one that runs a partition, and no more at a time than the
//! cleaner had threads when the broker started.
//!
//! The cleaner does the work; what is here is whose turn it is, and what came of it, which is kept for the last request of
//! each partition until the partition is gone. A job ends by itself: nobody has to wait for it.
//!
//! Lock: `jobs`, for arithmetic only.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use lastword_record::TopicPartition;
use lastword_storage::cleaner::{CleanStats, DryRun, IsolatedSegment, LogStatus, Progress, Reason};
use lastword_storage::{Log, StorageError};
use tokio::sync::{Semaphore, watch};

use crate::broker::Broker;
use crate::lock::lock;

/// The handle of [`Broker`].
pub struct Compactions {
    turns: Arc<Semaphore>,
    next_id: AtomicU64,
    jobs: Mutex<HashMap<TopicPartition, Arc<Job>>>,
}

/// One request.
pub struct Job {
    /// Counts requests since the start, from 1.
    pub id: u64,
    /// Which partition.
    pub topic_partition: TopicPartition,
    /// The active segment is rolled first.
    pub rolls: bool,
    /// When it was asked for, in milliseconds since 1970.
    pub asked_ms: i64,
    /// How far its cleaning is.
    pub progress: Arc<Progress>,
    state: watch::Sender<JobState>,
}

/// How far a request is.
#[derive(Clone, Debug)]
pub enum JobState {
    /// Others are before it.
    Waiting,
    /// It is being cleaned, or waits for a cleaning of the same log to end.
    Running,
    /// Cleaned, or found clean.
    Done(Arc<Outcome>),
    /// What went wrong.
    Failed(Arc<StorageError>),
}

/// What came of a request.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Where the new active segment begins.
    pub rolled_at: Option<i64>,
    /// Nothing was below the first uncleanable offset, and this is why.
    pub nothing: Option<Reason>,
    /// Where it began; the first offset that was not cleaned before.
    pub first_dirty_offset: i64,
    /// Where it ended, exclusive.
    pub end_offset: i64,
    /// What the cleaning did.
    pub stats: CleanStats,
    /// Bytes of the segments below `end_offset`.
    pub bytes_before: u64,
    /// The same afterwards.
    pub bytes_after: u64,
    /// Damaged segments that were left as they are.
    pub isolated: Vec<IsolatedSegment>,
}

impl Job {
    /// How far it is.
    pub fn state(&self) -> JobState {
        self.state.borrow().clone()
    }

    /// Waits for the end, and tells what came of it.
    pub async fn ended(&self) -> JobState {
        let mut state = self.state.subscribe();
        let ended = state.wait_for(JobState::is_ended).await;
        ended.map_or_else(|_| self.state(), |state| state.clone())
    }
}

impl JobState {
    /// Done, or failed.
    pub fn is_ended(&self) -> bool {
        matches!(self, JobState::Done(_) | JobState::Failed(_))
    }
}

impl Compactions {
    /// `turns`: how many at a time.
    pub fn new(turns: u32) -> Compactions {
        Compactions {
            turns: Arc::new(Semaphore::new(turns.max(1) as usize)),
            next_id: AtomicU64::new(1),
            jobs: Mutex::default(),
        }
    }

    /// The last request for a partition.
    pub fn last(&self, topic_partition: &TopicPartition) -> Option<Arc<Job>> {
        lock(&self.jobs).get(topic_partition).cloned()
    }
}

/// Has a partition cleaned, soon. A request that waits already is joined if it does the same.
pub fn request(
    broker: &Arc<Broker>,
    topic_partition: &TopicPartition,
    rolls: bool,
) -> Result<Arc<Job>, StorageError> {
    let status = status_of_compacted(broker, topic_partition)?;
    if status.pause.is_some() {
        let topic_partition = topic_partition.clone();
        return Err(StorageError::Paused { topic_partition });
    }
    let compactions = &broker.compactions;
    let mut jobs = lock(&compactions.jobs);
    if let Some(job) = jobs.get(topic_partition) {
        let joins = match job.state() {
            JobState::Waiting => job.rolls || !rolls,
            JobState::Running => !rolls,
            JobState::Done(_) | JobState::Failed(_) => false,
        };
        if joins {
            return Ok(job.clone());
        }
    }
    jobs.retain(|known, job| !job.state().is_ended() || broker.logs.get(known).is_some());
    let job = Arc::new(Job {
        id: compactions.next_id.fetch_add(1, Ordering::Relaxed),
        topic_partition: topic_partition.clone(),
        rolls,
        asked_ms: broker.clock.now_ms(),
        progress: Arc::default(),
        state: watch::Sender::new(JobState::Waiting),
    });
    jobs.insert(topic_partition.clone(), job.clone());
    drop(jobs);
    tokio::spawn(take_turn(broker.clone(), job.clone()));
    Ok(job)
}

/// What a cleaning would remove, found in turn with cleanings: every key index of the log is read.
pub async fn plan(
    broker: &Arc<Broker>,
    topic_partition: &TopicPartition,
) -> Result<DryRun, StorageError> {
    let mut stopping = broker.stopping.clone();
    let turn = tokio::select! {
        biased;
        _ = stopping.wait_for(|&stopping| stopping) => None,
        turn = broker.compactions.turns.clone().acquire_owned() => turn.ok(),
    };
    let turn = turn.ok_or(StorageError::Closed)?;
    let (broker, topic_partition) = (broker.clone(), topic_partition.clone());
    let planned = tokio::task::spawn_blocking(move || {
        let planned = broker.cleaner.dry_run(&topic_partition);
        drop(turn);
        planned
    });
    planned.await.unwrap_or_else(|panic| {
        Err(StorageError::CleanerPanicked {
            reason: panic.to_string(),
        })
    })
}

/// The status of a partition that can be cleaned.
pub fn status_of_compacted(
    broker: &Broker,
    topic_partition: &TopicPartition,
) -> Result<LogStatus, StorageError> {
    let unknown = || StorageError::UnknownPartition {
        topic_partition: topic_partition.clone(),
    };
    let status = broker.cleaner.status_of(topic_partition);
    let status = status.ok_or_else(unknown)?;
    if status.bounds.is_none() {
        let topic_partition = topic_partition.clone();
        return Err(StorageError::NotCompacted { topic_partition });
    }
    Ok(status)
}

async fn take_turn(broker: Arc<Broker>, job: Arc<Job>) {
    let mut stopping = broker.stopping.clone();
    let turn = tokio::select! {
        biased;
        _ = stopping.wait_for(|&stopping| stopping) => None,
        turn = broker.compactions.turns.clone().acquire_owned() => turn.ok(),
    };
    let Some(turn) = turn else {
        job.state
            .send_replace(JobState::Failed(Arc::new(StorageError::Closed)));
        return;
    };
    job.state.send_replace(JobState::Running);
    let working = job.clone();
    let done = tokio::task::spawn_blocking(move || work(&broker, &working));
    let done = done.await.unwrap_or_else(|panic| {
        Err(StorageError::CleanerPanicked {
            reason: panic.to_string(),
        })
    });
    drop(turn);
    job.state.send_replace(match done {
        Ok(outcome) => JobState::Done(Arc::new(outcome)),
        Err(error) => JobState::Failed(Arc::new(error)),
    });
}

fn work(broker: &Broker, job: &Job) -> Result<Outcome, StorageError> {
    let topic_partition = &job.topic_partition;
    let log = broker.logs.get(topic_partition);
    let log = log.ok_or_else(|| StorageError::UnknownPartition {
        topic_partition: topic_partition.clone(),
    })?;
    let rolled_at = match job.rolls && log.roll()? {
        true => {
            // What was in the active segment may be cleaned when it is visible.
            log.sync()?;
            log.segments().iter().last().map(|it| it.base_offset())
        }
        false => None,
    };
    let status = status_of_compacted(broker, topic_partition)?;
    let Some(bounds) = status.bounds else {
        return Err(StorageError::Closed);
    };
    let end_offset = bounds.first_uncleanable_offset;
    let mut outcome = Outcome {
        rolled_at,
        nothing: None,
        first_dirty_offset: bounds.first_dirty_offset,
        end_offset,
        stats: CleanStats::default(),
        bytes_before: bytes_below(&log, end_offset),
        bytes_after: 0,
        isolated: Vec::new(),
    };
    if outcome.bytes_before == 0 {
        outcome.nothing = Some(status.reason);
        return Ok(outcome);
    }
    outcome.stats = broker
        .cleaner
        .clean_and_show(topic_partition, &job.progress)?;
    outcome.bytes_after = bytes_below(&log, end_offset);
    let status = broker.cleaner.status_of(topic_partition);
    outcome.isolated = status.map_or_else(Vec::new, |status| status.isolated_segments);
    Ok(outcome)
}

fn bytes_below(log: &Log, end_offset: i64) -> u64 {
    let segments = log.segments();
    let below = segments.iter().filter(|it| it.base_offset() < end_offset);
    below.map(|segment| u64::from(segment.size_bytes())).sum()
}
