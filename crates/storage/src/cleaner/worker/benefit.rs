//! `lastword.cleaner.order=benefit`: what a cleaning of each log would gain for what it copies.
//!
//! The logs that compete are planned for it, each once for as long as nothing that the figure depends on has changed. A
//! log is claimed while it is planned, and one that another thread has is left out. No lock is held meanwhile.

use std::sync::Arc;

use super::{Claimed, Shared, Work};
use crate::cleaner::choose::{Bounds, DeleteHorizon, is_internal};
use crate::cleaner::plan::Plan;
use crate::cleaner::status::KnownBenefit;
use crate::error::StorageError;
use crate::lock::lock;
use crate::log::Log;

impl Shared {
    /// Plans the logs that compete for the next turn, where the last plan does not hold any more.
    pub(super) fn find_benefits(&self) {
        let logs = self.manager.logs();
        let choice = self.look(&logs);
        if choice.eligible.len() < 2 {
            return;
        }
        for eligible in &choice.eligible {
            let topic_partition = &eligible.topic_partition;
            let log = logs
                .iter()
                .find(|log| log.topic_partition() == topic_partition);
            // Those go first whatever they gain.
            let Some(log) = log.filter(|_| !is_internal(&topic_partition.topic)) else {
                continue;
            };
            if self.is_stopped() {
                return;
            }
            if !self.knows_benefit(log, &eligible.bounds)
                && let Some(claimed) = self.claim_if_due(log)
            {
                self.find_benefit(log, &claimed);
            }
        }
    }

    /// Plans a log that the caller has claimed, and gives the claim back.
    fn find_benefit(&self, log: &Log, claimed: &Claimed) {
        let Claimed { bounds, progress } = claimed;
        let current = self.benefit_key(log, bounds);
        let found = match self.plan_within(log, bounds, Work::Thread, progress) {
            Ok(plan) => Some(benefit(&plan)),
            Err(StorageError::Closed | StorageError::Paused { .. }) => return self.give_back(log),
            // Its turn comes last, and then its cleaning says what is wrong.
            Err(_) => None,
        };
        self.note(log.topic_partition(), |notes| {
            notes.benefit = Some(KnownBenefit {
                benefit: found,
                ..current
            });
            notes.in_progress = None;
        });
    }

    fn knows_benefit(&self, log: &Log, bounds: &Bounds) -> bool {
        let current = self.benefit_key(log, bounds);
        let notes = lock(&self.notes);
        let notes = notes.by_log.get(log.topic_partition());
        let known = notes.and_then(|notes| notes.benefit.as_ref());
        known.is_some_and(|known| known.holds_for(&current))
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
}

/// Bytes that a cleaning would give back per byte that it would copy: infinite when it only drops.
fn benefit(plan: &Plan) -> f64 {
    let changed = plan.segments.iter().filter(|segment| segment.is_changed());
    let size_bytes: u64 = changed.map(|segment| u64::from(segment.size_bytes)).sum();
    let copied_bytes = plan.copied_bytes();
    match (size_bytes.saturating_sub(copied_bytes), copied_bytes) {
        (0, _) => 0.0,
        (_, 0) => f64::INFINITY,
        (gone_bytes, copied_bytes) => gone_bytes as f64 / copied_bytes as f64,
    }
}
