//! Does this batch survive, and as what? Pure.
//!
//! The plan has already said which records are dead. What is left are the two rules that keep a batch although nothing
//! in it survives: the last batch of a producer that is still known stays, because its sequence number detects
//! duplicates; and the last batch below the first uncleanable offset stays, because it says where the section ends.

use std::collections::HashMap;

use crate::key_index::IndexedBatch;
use crate::producer_state::ProducerPin;

/// What becomes of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Its bytes as they are.
    Copy,
    /// Its survivors, under this delete horizon.
    Rebuild {
        delete_horizon_ms: Option<i64>,
    },
    /// Its header alone.
    KeepEmpty,
    Drop,
}

/// What the plan knows of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchPlan {
    pub live_records: u64,
    /// A survivor waits for a delete horizon, and the batch has none.
    pub needs_horizon: bool,
}

/// What holds for all batches of a group.
pub struct Rules<'a> {
    pub pins: &'a HashMap<i64, ProducerPin>,
    pub first_uncleanable_offset: i64,
    /// For tombstones and markers that have none yet.
    pub new_horizon_ms: i64,
}

/// Decides on one batch.
pub fn fate(batch: &IndexedBatch, plan: BatchPlan, rules: &Rules<'_>) -> Fate {
    if plan.live_records == 0 {
        return if is_kept_when_empty(batch, rules) {
            Fate::KeepEmpty
        } else {
            Fate::Drop
        };
    }
    let is_whole = u64::from(batch.record_count) == plan.live_records;
    if is_whole && !plan.needs_horizon {
        return Fate::Copy;
    }
    // A horizon is set once: it is neither extended nor shortened, whatever the configuration says by now.
    let new = plan.needs_horizon.then_some(rules.new_horizon_ms);
    Fate::Rebuild {
        delete_horizon_ms: batch.delete_horizon_ms.or(new),
    }
}

/// Whether the header stays when no record does.
pub fn is_kept_when_empty(batch: &IndexedBatch, rules: &Rules<'_>) -> bool {
    is_last_of_producer(batch, rules.pins)
        || batch.last_offset.saturating_add(1) == rules.first_uncleanable_offset
}

/// Whether this batch is what is known of its producer.
pub fn is_last_of_producer(batch: &IndexedBatch, pins: &HashMap<i64, ProducerPin>) -> bool {
    let Some((producer_id, epoch)) = batch.producer else {
        return false;
    };
    let Some(pin) = pins.get(&producer_id) else {
        return false;
    };
    match pin.last_data_offset {
        Some(last_data_offset) => batch.last_offset == last_data_offset,
        // Only a marker is known of this producer: the one of its epoch fences older ones.
        None => batch.is_control && epoch == pin.epoch,
    }
}
