//! `Shard`: one partition of an internal topic with its state machine.
//!
//! ```text
//! request -> machine -> replies now
//!                    -> records -> append -> in flight -> durable -> machine -> replies
//! ```
//! Any number of appends are in flight; one sync makes all of them durable, and they are reported
//! in the order of the log. The markers of transactions that wrote to the partition take the same
//! way. A task that reports exists while something is in flight. A task that
//! sleeps until the next deadline exists once the shard has been used.
//!
//! Lock: `state`, for one call of the machine and the appends it asks for, which must enter the log
//! in that order. It is never held across an await. The time is the broker's clock.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use lastword_coordinator::{Append, AppendError, AppendId, Outcome, Ticket};
use lastword_protocol::ErrorCode;
use lastword_storage::{Clock, VerificationGuard};
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use super::loader::{self, LoadError, Loaded};
pub(super) use super::machine::Machine;
use super::markers::{Marker, MarkerQueue, Refused, Written as MarkerWritten};
use super::writer;
use crate::error_map::ApiError;
use crate::partition::Partition;

/// A wait for durability is looked at again after this long; there is no giving up while the log
/// is usable, for records that are in it may become durable any time.
const WAIT_INTERVAL: Duration = Duration::from_secs(30);

/// A reply that will come.
pub(crate) type Pending<M> = oneshot::Receiver<<M as Machine>::Reply>;

/// One partition and its machine.
pub(crate) struct Shard<M: Machine> {
    partition: Arc<Partition>,
    config: M::Config,
    clock: Clock,
    /// Where the machine's markers go; none where it has none.
    markers: Option<MarkerQueue>,
    state: Mutex<State<M>>,
    /// The timer task: the next deadline has come nearer, or the shard is gone.
    timer_wake: Arc<Notify>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The partition is empty and nobody has asked for anything yet.
    Unused,
    /// The machine refuses requests by itself, those that it can answer all the same apart.
    Loading,
    Serving,
    /// The partition could not be read.
    Failed,
    Stopped,
}

struct State<M: Machine> {
    phase: Phase,
    machine: M,
    waiting: HashMap<Ticket, oneshot::Sender<M::Reply>>,
    next_ticket: u64,
    in_flight: VecDeque<InFlight>,
    /// Whether there is a task that reports what becomes durable.
    is_reporting: bool,
    /// When the timer task wakes by itself.
    wakes_at_ms: i64,
}

struct InFlight {
    what: Written,
    next_offset: i64,
}

/// What is in the log and not durable yet.
enum Written {
    Append(AppendId),
    /// The end of a transaction; whoever wrote it waits.
    Marker(oneshot::Sender<Result<(), AppendError>>),
}

impl<M: Machine> Shard<M> {
    /// A shard over its partition; one with records has to be loaded.
    pub(super) fn new(
        partition: Arc<Partition>,
        config: M::Config,
        clock: Clock,
        markers: Option<MarkerQueue>,
    ) -> Shard<M> {
        let offsets = partition.offsets();
        let is_empty = offsets.log_start_offset == offsets.log_end_offset;
        Shard {
            partition,
            clock,
            markers,
            state: Mutex::new(State {
                phase: if is_empty {
                    Phase::Unused
                } else {
                    Phase::Loading
                },
                machine: M::new(config.clone()),
                waiting: HashMap::new(),
                next_ticket: 0,
                in_flight: VecDeque::new(),
                is_reporting: false,
                wakes_at_ms: i64::MAX,
            }),
            config,
            timer_wake: Arc::new(Notify::new()),
        }
    }

    /// The partition.
    pub(crate) fn partition(&self) -> &Arc<Partition> {
        &self.partition
    }

    /// The number of the partition.
    pub(crate) fn number(&self) -> i32 {
        self.partition.topic_partition().partition
    }

    /// Passes a request on that is answered now or later.
    pub(crate) fn submit(
        self: &Arc<Self>,
        call: impl FnOnce(&mut M, Ticket, i64) -> Outcome<M::Reply>,
    ) -> Result<Pending<M>, M::Error> {
        self.with_state(|state, now_ms| self.call(state, call, now_ms))
    }

    /// As [`Shard::submit`], for what is written in a transaction: `None`, and nothing happens,
    /// when a marker has come since the guard was taken. Markers wait for the lock, so none can
    /// come between this look and the records.
    pub(crate) fn submit_verified(
        self: &Arc<Self>,
        (producer_id, producer_epoch): (i64, i16),
        guard: Option<VerificationGuard>,
        call: impl FnOnce(&mut M, Ticket, i64) -> Outcome<M::Reply>,
    ) -> Result<Option<Pending<M>>, M::Error> {
        self.with_state(|state, now_ms| {
            let log = self.partition.log();
            log.is_verified(producer_id, producer_epoch, guard)
                .then(|| self.call(state, call, now_ms))
        })
    }

    fn call(
        self: &Arc<Self>,
        state: &mut State<M>,
        call: impl FnOnce(&mut M, Ticket, i64) -> Outcome<M::Reply>,
        now_ms: i64,
    ) -> Pending<M> {
        let ticket = Ticket(state.next_ticket);
        state.next_ticket += 1;
        let (sender, receiver) = oneshot::channel();
        state.waiting.insert(ticket, sender);
        let outcome = call(&mut state.machine, ticket, now_ms);
        self.carry_out(state, outcome, now_ms);
        receiver
    }

    /// Writes the end of a transaction, and tells the machine before anything else is appended.
    pub(super) fn write_marker(self: &Arc<Self>, marker: Marker) -> Result<MarkerWritten, Refused> {
        let mut state = self.lock();
        let now_ms = self.clock.now_ms();
        match state.phase {
            Phase::Unused => self.serve(&mut state, now_ms),
            Phase::Serving | Phase::Failed => {}
            // The load would miss what is appended behind its back.
            Phase::Loading => return Err(Refused::Loading),
            Phase::Stopped => return Err(Refused::Stopped),
        }
        let appended = marker.append_to(&self.partition, now_ms)?;
        let (told, receiver) = oneshot::channel();
        state.in_flight.push_back(InFlight {
            what: Written::Marker(told),
            next_offset: appended.last_offset + 1,
        });
        if state.phase == Phase::Serving {
            let machine = &mut state.machine;
            let outcome = machine.transaction_ended(marker.producer_id, marker.is_commit, now_ms);
            self.carry_out(&mut state, outcome, now_ms);
            self.wake_timer(&mut state);
        } else {
            self.report_later(&mut state);
        }
        Ok(MarkerWritten::Shard(receiver))
    }

    /// Asks something that is answered at once and makes no records.
    pub(crate) fn query<T>(
        self: &Arc<Self>,
        call: impl FnOnce(&mut M, i64) -> Result<T, M::Error>,
    ) -> Result<T, M::Error> {
        self.with_state(|state, now_ms| call(&mut state.machine, now_ms))?
    }

    /// Looks at what the machine has, which is nothing before its first use and grows while it is
    /// loaded.
    pub(super) fn look<T: Default>(
        &self,
        call: impl FnOnce(&M) -> Result<T, M::Error>,
    ) -> Result<T, M::Error> {
        let state = self.lock();
        match state.phase {
            Phase::Unused => Ok(T::default()),
            Phase::Loading | Phase::Serving => call(&state.machine),
            Phase::Failed => Err(M::NOT_AVAILABLE),
            Phase::Stopped => Err(M::NOT_COORDINATOR),
        }
    }

    /// Runs what changes the machine without a request.
    pub(super) fn change(self: &Arc<Self>, call: impl FnOnce(&mut M, i64) -> Outcome<M::Reply>) {
        if self.lock().phase != Phase::Serving {
            return;
        }
        // A shard that stops in between has nobody left to answer.
        let _ = self.with_state(|state, now_ms| {
            let outcome = call(&mut state.machine, now_ms);
            self.carry_out(state, outcome, now_ms);
        });
    }

    pub(super) fn is_loading(&self) -> bool {
        self.lock().phase == Phase::Loading
    }

    /// Reads the partition and starts to serve. Blocks on the disk.
    pub(super) fn load(self: &Arc<Self>, max_decompressed_bytes: usize) -> Loaded {
        let mut machine = M::new(self.config.clone());
        let is_stopped = || self.lock().phase == Phase::Stopped;
        let result = loader::load(
            &self.partition,
            &mut machine,
            max_decompressed_bytes,
            &is_stopped,
        );
        let mut state = self.lock();
        if state.phase != Phase::Loading {
            return Loaded::default();
        }
        match result {
            Ok(loaded) => {
                state.machine = machine;
                let now_ms = self.clock.now_ms();
                self.serve(&mut state, now_ms);
                loaded
            }
            Err(LoadError::Stopped) => Loaded::default(),
            Err(error) => {
                state.phase = Phase::Failed;
                tracing::error!(
                    partition = %self.partition.topic_partition(),
                    %error,
                    "{} of this partition are not served: it cannot be loaded",
                    M::WHAT
                );
                Loaded::default()
            }
        }
    }

    /// Answers everybody who waits, and everybody who comes later, that this is over.
    pub(super) fn stop(&self) {
        let mut state = self.lock();
        state.phase = Phase::Stopped;
        let unloaded = M::new(self.config.clone());
        let machine = std::mem::replace(&mut state.machine, unloaded);
        for (ticket, reply) in machine.unload(M::NOT_COORDINATOR) {
            state.reply(ticket, reply);
        }
        state.waiting.clear();
        state.in_flight.clear();
        self.timer_wake.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, State<M>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with_state<T>(
        self: &Arc<Self>,
        call: impl FnOnce(&mut State<M>, i64) -> T,
    ) -> Result<T, M::Error> {
        let mut state = self.lock();
        let now_ms = self.clock.now_ms();
        match state.phase {
            Phase::Unused => self.serve(&mut state, now_ms),
            Phase::Loading | Phase::Serving => {}
            Phase::Failed => return Err(M::NOT_AVAILABLE),
            Phase::Stopped => return Err(M::NOT_COORDINATOR),
        }
        let answer = call(&mut state, now_ms);
        self.wake_timer(&mut state);
        Ok(answer)
    }

    /// The machine has what the log has: begin.
    fn serve(self: &Arc<Self>, state: &mut State<M>, now_ms: i64) {
        state.phase = Phase::Serving;
        let outcome = state.machine.loaded(now_ms);
        self.carry_out(state, outcome, now_ms);
        tokio::spawn(run_timers(Arc::downgrade(self), self.timer_wake.clone()));
    }

    /// Sends the replies and appends the records that a call of the machine asked for.
    fn carry_out(self: &Arc<Self>, state: &mut State<M>, outcome: Outcome<M::Reply>, now_ms: i64) {
        let mut outcomes = VecDeque::from([outcome]);
        while let Some(outcome) = outcomes.pop_front() {
            for (ticket, reply) in outcome.replies {
                state.reply(ticket, reply);
            }
            for append in outcome.appends {
                match self.append(&append, now_ms) {
                    Ok(next_offset) => {
                        let what = Written::Append(append.id);
                        state.in_flight.push_back(InFlight { what, next_offset });
                    }
                    Err(error) => {
                        let result = Err(error);
                        outcomes.push_back(state.machine.appended(append.id, result, now_ms));
                    }
                }
            }
            for write in outcome.markers {
                // The receiver is gone when the broker stops; the next start writes them.
                let _ = self
                    .markers
                    .as_ref()
                    .map(|queue| queue.send((self.number(), write)));
            }
        }
        self.report_later(state);
    }

    fn report_later(self: &Arc<Self>, state: &mut State<M>) {
        if !state.is_reporting && !state.in_flight.is_empty() {
            state.is_reporting = true;
            tokio::spawn(report_durable(self.clone()));
        }
    }

    /// Appends without waiting for the disk; returns the offset behind the records.
    fn append(&self, append: &Append, now_ms: i64) -> Result<i64, AppendError> {
        let max_message_bytes = self.partition.log().config().max_message_bytes as usize;
        let batches = writer::encode(append, now_ms, max_message_bytes)?;
        match self.partition.append_as_coordinator(&batches) {
            Ok(appended) => Ok(appended.last_offset + 1),
            Err(error) => {
                tracing::warn!(
                    partition = %self.partition.topic_partition(),
                    %error,
                    "cannot store records of {}",
                    M::WHAT
                );
                Err(writer::append_error(&error))
            }
        }
    }

    /// How far the oldest append in flight reaches; `None` ends the reporting task.
    fn oldest_in_flight(&self) -> Option<i64> {
        let mut state = self.lock();
        let oldest = state.in_flight.front().map(|append| append.next_offset);
        state.is_reporting = oldest.is_some();
        oldest
    }

    /// Tells the machine what has become durable, or that nothing more will.
    fn report(self: &Arc<Self>, waited: Result<(), ApiError>) {
        let mut state = self.lock();
        let now_ms = self.clock.now_ms();
        let result = match waited {
            Err(error) if error.code != ErrorCode::RequestTimedOut => {
                tracing::error!(
                    partition = %self.partition.topic_partition(),
                    error = %error.message,
                    "records of {} were written but did not become durable",
                    M::WHAT
                );
                Err(AppendError::Storage)
            }
            Ok(()) | Err(_) => Ok(()),
        };
        let high_watermark = self.partition.offsets().high_watermark;
        while let Some(append) = state
            .in_flight
            .pop_front_if(|append| result.is_err() || append.next_offset <= high_watermark)
        {
            let durable = append.next_offset <= high_watermark;
            let result = if durable { Ok(()) } else { result };
            self.settle(&mut state, append.what, result, now_ms);
        }
        self.wake_timer(&mut state);
    }

    fn settle(
        self: &Arc<Self>,
        state: &mut State<M>,
        what: Written,
        result: Result<(), AppendError>,
        now_ms: i64,
    ) {
        match what {
            Written::Append(id) => {
                let outcome = state.machine.appended(id, result, now_ms);
                self.carry_out(state, outcome, now_ms);
            }
            Written::Marker(told) => {
                let _ = told.send(result);
            }
        }
    }

    /// Runs the timers that are due; returns how long to sleep, or `None` when the shard stopped.
    fn tick(self: &Arc<Self>) -> Option<Duration> {
        let mut state = self.lock();
        if state.phase != Phase::Serving {
            return None;
        }
        let now_ms = self.clock.now_ms();
        let outcome = state.machine.tick(now_ms);
        self.carry_out(&mut state, outcome, now_ms);
        state.wakes_at_ms = state.machine.next_deadline_ms().unwrap_or(i64::MAX);
        let sleep_ms = state
            .wakes_at_ms
            .saturating_sub(now_ms)
            .clamp(1, MAX_SLEEP_MS);
        Some(Duration::from_millis(sleep_ms.unsigned_abs()))
    }

    /// Wakes the timer task when a deadline has come before the one it sleeps for.
    fn wake_timer(&self, state: &mut State<M>) {
        if let Some(deadline_ms) = state.machine.next_deadline_ms()
            && deadline_ms < state.wakes_at_ms
        {
            state.wakes_at_ms = deadline_ms;
            self.timer_wake.notify_one();
        }
    }
}

/// The timer looks at the clock at least this often, which may have been set.
const MAX_SLEEP_MS: i64 = 3_600_000;

impl<M: Machine> Drop for Shard<M> {
    fn drop(&mut self) {
        self.timer_wake.notify_one();
    }
}

impl<M: Machine> State<M> {
    fn reply(&mut self, ticket: Ticket, reply: M::Reply) {
        if let Some(sender) = self.waiting.remove(&ticket) {
            // A client that has left no longer wants its answer.
            let _ = sender.send(reply);
        }
    }
}

async fn run_timers<M: Machine>(shard: Weak<Shard<M>>, wake: Arc<Notify>) {
    loop {
        let Some(sleep) = shard.upgrade().and_then(|shard| shard.tick()) else {
            return;
        };
        let _ = tokio::time::timeout(sleep, wake.notified()).await;
    }
}

async fn report_durable<M: Machine>(shard: Arc<Shard<M>>) {
    while let Some(next_offset) = shard.oldest_in_flight() {
        let deadline = Instant::now() + WAIT_INTERVAL;
        let waited = shard.partition.wait_visible(next_offset, deadline).await;
        shard.report(waited);
    }
}
