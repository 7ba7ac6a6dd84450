//! `Control`: how a cleaning is watched, slowed down, interrupted and ended from outside. Takes no lock of its own.

use std::sync::atomic::{AtomicBool, Ordering};

use super::progress::Progress;
use super::throttle::Throttle;
use crate::error::StorageError;
use crate::log::Log;

/// What may slow a cleaning down, interrupt it or end it.
pub struct Control<'a> {
    pub throttle: &'a Throttle,
    pub is_stopped: &'a AtomicBool,
    pub log: &'a Log,
    pub progress: &'a Progress,
    /// Called between two steps of the cleaning, which then holds nothing but its memory: what is more urgent goes here.
    pub between_steps: Option<&'a (dyn Fn() + Sync)>,
}

impl Control<'_> {
    /// Counts bytes read or written; fails when the cleaning is to end.
    pub fn charge(&self, bytes: u64) -> Result<(), StorageError> {
        self.throttle.take_for(bytes, self.progress);
        self.progress.advance(bytes);
        self.check()
    }

    /// Called before each segment is planned and before each group is rewritten: lets more urgent work go first. Fails
    /// when the cleaning is to end.
    pub fn between_steps(&self) -> Result<(), StorageError> {
        self.check()?;
        if let Some(between_steps) = self.between_steps {
            between_steps();
        }
        self.check()
    }

    fn check(&self) -> Result<(), StorageError> {
        if self.is_stopped.load(Ordering::Relaxed) || self.log.is_closed() {
            return Err(StorageError::Closed);
        }
        if self.progress.is_given_up() {
            let topic_partition = self.log.topic_partition().clone();
            return Err(StorageError::Paused { topic_partition });
        }
        Ok(())
    }
}
