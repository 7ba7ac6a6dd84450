//! `Machine`: what a shard asks of the state machine that it binds to a partition.
//!
//! Two machines, one runtime: groups in `__consumer_offsets`, transactions in `__transaction_state`.

use lastword_coordinator::{
    AppendError, AppendId, CoordinatorError, GroupConfig, GroupCoordinator, GroupError, Outcome,
    Reply, Ticket,
};

/// A state machine of one partition. Its calls do no I/O; they are serialized by the shard.
pub(crate) trait Machine: Sized + Send + 'static {
    type Config: Clone + Send + Sync;
    type Reply: Send;
    type Error: Copy + Send;

    /// What it keeps, for the log of the broker.
    const WHAT: &'static str;
    /// The partition cannot be read.
    const NOT_AVAILABLE: Self::Error;
    /// The broker is stopping.
    const NOT_COORDINATOR: Self::Error;

    /// A machine that serves nothing before [`Machine::loaded`].
    fn new(config: Self::Config) -> Self;
    /// Takes in one record of the log.
    fn replay(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), CoordinatorError>;
    /// Everything was replayed.
    fn loaded(&mut self, now_ms: i64) -> Outcome<Self::Reply>;
    /// The fate of one append. Called in the order of the log.
    fn appended(
        &mut self,
        id: AppendId,
        result: Result<(), AppendError>,
        now_ms: i64,
    ) -> Outcome<Self::Reply>;
    /// Runs the timers that are due.
    fn tick(&mut self, now_ms: i64) -> Outcome<Self::Reply>;
    /// When `tick` is wanted next.
    fn next_deadline_ms(&self) -> Option<i64>;
    /// Gives the partition up: the answers to everybody who waits.
    fn unload(self, error: Self::Error) -> Vec<(Ticket, Self::Reply)>;
}

impl Machine for GroupCoordinator {
    type Config = GroupConfig;
    type Reply = Reply;
    type Error = GroupError;

    const WHAT: &'static str = "groups";
    const NOT_AVAILABLE: GroupError = GroupError::CoordinatorNotAvailable;
    const NOT_COORDINATOR: GroupError = GroupError::NotCoordinator;

    fn new(config: GroupConfig) -> GroupCoordinator {
        GroupCoordinator::new(config)
    }

    fn replay(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), CoordinatorError> {
        self.replay(key, value)
    }

    fn loaded(&mut self, now_ms: i64) -> Outcome {
        self.loaded(now_ms)
    }

    fn appended(&mut self, id: AppendId, result: Result<(), AppendError>, now_ms: i64) -> Outcome {
        self.appended(id, result, now_ms)
    }

    fn tick(&mut self, now_ms: i64) -> Outcome {
        self.tick(now_ms)
    }

    fn next_deadline_ms(&self) -> Option<i64> {
        self.next_deadline_ms()
    }

    fn unload(self, error: GroupError) -> Vec<(Ticket, Reply)> {
        self.unload(error)
    }
}
