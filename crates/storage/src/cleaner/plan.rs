//! The plan of a cleaning: for every segment below the first uncleanable offset, which records are dead.
//!
//! 1. Every segment's key index is opened, or built. A segment whose log is damaged is isolated: it is left as it is,
//!    and says nothing of any key.
//! 2. The batches that are special are gone through in log order: data of aborted transactions is dead, and so is a
//!    record without a key; a marker whose transaction has no data left is noted to get a delete horizon, or is dead
//!    when its horizon has passed.
//! 3. `join` finds, for every key, all but its newest record.
//! 4. Tombstones with a passed horizon are dead, those without one are noted to get it; and the bytes of all that is dead
//!    are summed up.
//!
//! The log itself is not read, unless an index has to be built; nothing is written but indexes. Behind an isolated
//! segment no tombstone and no marker goes: nobody knows what it hides. Memory: the buffers of the join, and a bit a
//! record, two in segments with tombstones; during a join of many entries twice that.

use std::sync::Arc;

use super::clean::CleanerResources;
use super::control::Control;
use super::indexes;
use super::join::join;
use super::ordinal_set::OrdinalSet;
use super::progress::Phase;
use super::retain::{self, Rules};
use super::stats::DeadRecords;
use super::transactions::AbortedTransactions;
use crate::error::StorageError;
use crate::key_index::{EndOfTransaction, IndexedBatch, KeyIndex, OddRecord};
use crate::segment::{AbortedTransaction, Segment};

/// One read of the batches of an index.
pub(crate) const BATCHES_BUFFER_BYTES: usize = 64 << 10;
const BATCH_HEADER_BYTES: u64 = lastword_record::BATCH_HEADER_BYTES as u64;

/// What to do with every segment below the first uncleanable offset.
pub struct Plan {
    pub segments: Vec<SegmentPlan>,
    /// The earliest delete horizon that has not passed, among batches that are there already.
    pub earliest_horizon_ms: Option<i64>,
    pub dead: DeadRecords,
    pub records: u64,
    /// Different keys.
    pub keys: u64,
    /// Tombstones that are the last word on their key, and wait for their horizon.
    pub tombstones: u64,
    /// Key indexes that had to be built, and what was read of the log for them.
    pub indexes_built: u32,
    pub log_bytes_read: u64,
    pub index_passes: u32,
    /// Bytes of all key indexes.
    pub index_bytes: u64,
    pub memory_bytes: u64,
}

/// What to do with one segment. Ordinals count its records from 0.
pub struct SegmentPlan {
    pub segment: Arc<Segment>,
    pub size_bytes: u32,
    /// None: the segment is isolated.
    pub index: Option<KeyIndex>,
    /// Why the segment is isolated.
    pub damage: Option<String>,
    pub records: u64,
    pub dead: OrdinalSet,
    /// Tombstones and markers to be stamped with a delete horizon, should they live.
    pub to_stamp: OrdinalSet,
    /// Bytes that the dead records take uncompressed, and those of batches that go with them.
    pub dead_bytes: u64,
    /// Bytes that all records take uncompressed, batch headers included; 0 when nothing is dead.
    pub record_bytes: u64,
    /// Batches without records that nothing keeps any more.
    pub removable_batches: u64,
    /// Entries of the segment's `.txnindex` whose marker still has data.
    pub kept_aborted: Vec<AbortedTransaction>,
    pub(super) tombstones: OrdinalSet,
    pub(crate) same_offset: OrdinalSet,
    pub(crate) has_aborted: bool,
}

impl SegmentPlan {
    pub(crate) fn new(segment: Arc<Segment>, aborted: Vec<AbortedTransaction>) -> SegmentPlan {
        SegmentPlan {
            size_bytes: segment.size_bytes(),
            segment,
            index: None,
            damage: None,
            records: 0,
            dead: OrdinalSet::default(),
            to_stamp: OrdinalSet::default(),
            dead_bytes: 0,
            record_bytes: 0,
            removable_batches: 0,
            kept_aborted: aborted,
            tombstones: OrdinalSet::default(),
            same_offset: OrdinalSet::default(),
            has_aborted: false,
        }
    }

    /// Bytes of the file that will be left, estimated where batches are compressed.
    pub fn live_bytes(&self) -> u64 {
        let size_bytes = u64::from(self.size_bytes);
        if self.record_bytes == 0 {
            return size_bytes;
        }
        let live = self.record_bytes.saturating_sub(self.dead_bytes);
        (u128::from(size_bytes) * u128::from(live) / u128::from(self.record_bytes)) as u64
    }

    /// Tombstones that are the last word on their key, and wait for their horizon.
    pub fn waiting_tombstones(&self) -> u64 {
        self.tombstones.count_without(&self.dead)
    }

    /// Whether a rewritten segment would differ.
    pub fn is_changed(&self) -> bool {
        !self.dead.is_empty()
            || self.removable_batches > 0
            || self.to_stamp.count_without(&self.dead) > 0
    }

    /// Left as it is, because its log is damaged.
    pub fn is_isolated(&self) -> bool {
        self.damage.is_some()
    }
}

impl Plan {
    /// Bytes that the dead records take uncompressed, and those of batches that go with them.
    pub fn dead_bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.dead_bytes).sum()
    }

    /// Bytes that a cleaning would write, estimated where batches are compressed.
    pub fn copied_bytes(&self) -> u64 {
        let changed = self.segments.iter().filter(|segment| segment.is_changed());
        changed.map(SegmentPlan::live_bytes).sum()
    }
}

/// What to plan.
pub struct PlanRequest<'a> {
    /// The sealed segments below the first uncleanable offset, in order: the first ones of all.
    pub segments: &'a [Arc<Segment>],
    /// All segments of the log: an aborted transaction may end behind the ones to clean.
    pub all_segments: &'a [Arc<Segment>],
    /// Segments known to be damaged, and how.
    pub isolated: &'a [(Arc<Segment>, String)],
    pub rules: Rules<'a>,
    pub now_ms: i64,
}

/// Finds what is dead.
pub fn plan(
    request: &PlanRequest<'_>,
    resources: &mut CleanerResources,
    control: &Control<'_>,
) -> Result<Plan, StorageError> {
    let aborted = read_aborted(request.all_segments)?;
    let segments = request.segments.iter().zip(&aborted);
    let mut planner = Planner {
        request,
        plan: Plan {
            segments: segments
                .map(|(segment, aborted)| SegmentPlan::new(segment.clone(), aborted.clone()))
                .collect(),
            earliest_horizon_ms: None,
            dead: DeadRecords::default(),
            records: 0,
            keys: 0,
            tombstones: 0,
            indexes_built: 0,
            log_bytes_read: 0,
            index_passes: 0,
            index_bytes: 0,
            memory_bytes: 0,
        },
        aborted: AbortedTransactions::new(aborted.into_iter().flatten()),
        open_transactions: Default::default(),
    };
    planner.open_indexes(resources, control)?;
    control
        .progress
        .begin(Phase::Planning, planner.plan.index_bytes);
    planner.see_special_batches()?;
    let joined = join(
        &mut planner.plan.segments,
        &[],
        resources.memory_bytes as u64,
        control,
    )?;
    planner.plan.keys = joined.keys;
    planner.plan.dead.superseded = joined.superseded;
    planner.see_tombstones_and_bytes()?;
    let waiting = planner.plan.segments.iter();
    planner.plan.tombstones = waiting.map(SegmentPlan::waiting_tombstones).sum();
    let bitmaps = planner
        .plan
        .segments
        .iter()
        .map(|segment| segment.tombstones.memory_bytes() + segment.to_stamp.memory_bytes());
    planner.plan.memory_bytes = joined.memory_bytes + bitmaps.sum::<u64>();
    Ok(planner.plan)
}

/// The entries of each `.txnindex`.
pub(crate) fn read_aborted(
    segments: &[Arc<Segment>],
) -> Result<Vec<Vec<AbortedTransaction>>, StorageError> {
    let entries = segments
        .iter()
        .map(|segment| segment.transaction_index().entries());
    entries.collect()
}

struct Planner<'a> {
    request: &'a PlanRequest<'a>,
    plan: Plan,
    aborted: AbortedTransactions,
    /// Producers with data and without a marker yet.
    open_transactions: std::collections::HashSet<i64>,
}

impl Planner<'_> {
    fn open_indexes(
        &mut self,
        resources: &mut CleanerResources,
        control: &Control<'_>,
    ) -> Result<(), StorageError> {
        let mut wanted = Vec::with_capacity(self.plan.segments.len());
        for (index, planned) in self.plan.segments.iter_mut().enumerate() {
            let known = self.request.isolated.iter();
            let mut known = known.filter(|(segment, _)| Arc::ptr_eq(segment, &planned.segment));
            match known.next() {
                Some((_, damage)) => planned.damage = Some(damage.clone()),
                None => wanted.push((index, planned.segment.clone())),
            }
        }
        // Of a damaged segment, or one with old messages, the caller isolates the one, converts the other, and plans again.
        for (index, opened, built) in indexes::open(&wanted, resources, control)? {
            let planned = &mut self.plan.segments[index];
            planned.records = u64::from(opened.header().record_count);
            self.plan.records += planned.records;
            self.plan.index_bytes += opened.size_bytes();
            if let Some(built) = built {
                self.plan.indexes_built += 1;
                self.plan.log_bytes_read += built.bytes_read;
                self.plan.index_passes = self.plan.index_passes.max(built.passes);
            }
            planned.index = Some(opened);
        }
        Ok(())
    }

    /// Goes through the batches whose keys do not say everything, in log order.
    fn see_special_batches(&mut self) -> Result<(), StorageError> {
        let mut is_behind_damage = false;
        for index in 0..self.plan.segments.len() {
            let planned = &mut self.plan.segments[index];
            is_behind_damage |= planned.is_isolated();
            let Some(key_index) = planned
                .index
                .as_ref()
                .filter(|i| i.header().has_special_batches)
            else {
                continue;
            };
            let mut batches = key_index.batches(BATCHES_BUFFER_BYTES);
            while let Some(batch) = batches.next_batch()? {
                if batch.is_special() {
                    self.see_special_batch(index, &batch, is_behind_damage);
                }
            }
        }
        Ok(())
    }

    fn see_special_batch(&mut self, index: usize, batch: &IndexedBatch, is_behind_damage: bool) {
        let planned = &mut self.plan.segments[index];
        if batch.record_count == 0 {
            let is_kept = retain::is_kept_when_empty(batch, &self.request.rules);
            planned.removable_batches += u64::from(!is_kept);
        }
        if let Some(horizon_ms) = batch
            .delete_horizon_ms
            .filter(|ms| *ms > self.request.now_ms)
        {
            let earliest_ms = self.plan.earliest_horizon_ms.get_or_insert(horizon_ms);
            *earliest_ms = horizon_ms.min(*earliest_ms);
        }
        if batch.is_control {
            self.see_control(index, batch, is_behind_damage);
            return;
        }
        if let (true, Some((producer_id, _))) = (batch.is_transactional, batch.producer) {
            self.open_transactions.insert(producer_id);
        }
        if self.aborted.contains(batch) {
            self.plan.dead.aborted += planned.dead.insert_all(batch.ordinals());
            planned.has_aborted |= batch.record_count > 0;
            return;
        }
        for odd in &batch.odd_records {
            match odd {
                OddRecord::Keyless(record) => {
                    let ordinal = u64::from(batch.first_ordinal + record);
                    self.plan.dead.keyless += u64::from(planned.dead.insert(ordinal));
                }
                OddRecord::SameOffset(record) => {
                    planned
                        .same_offset
                        .insert(u64::from(batch.first_ordinal + record));
                }
            }
        }
    }

    /// Judges a marker. Control batches of other kinds stay, and so do unknown ones.
    fn see_control(&mut self, index: usize, batch: &IndexedBatch, is_behind_damage: bool) {
        let (Some(end), Some((producer_id, _))) = (batch.end_of_transaction, batch.producer) else {
            return;
        };
        let has_data = self.open_transactions.remove(&producer_id);
        if has_data || is_behind_damage {
            return;
        }
        let planned = &mut self.plan.segments[index];
        if end == EndOfTransaction::Abort {
            let kept = &mut planned.kept_aborted;
            kept.retain(|entry| entry.last_offset != batch.last_offset);
        }
        match batch.delete_horizon_ms {
            None => {
                planned.to_stamp.insert_all(batch.ordinals());
            }
            Some(horizon_ms) if horizon_ms <= self.request.now_ms => {
                self.plan.dead.expired_markers += planned.dead.insert_all(batch.ordinals());
            }
            Some(_) => {}
        }
    }

    /// What the join has left open: tombstones against their horizons, and how much is dead.
    fn see_tombstones_and_bytes(&mut self) -> Result<(), StorageError> {
        let mut is_behind_damage = false;
        for planned in &mut self.plan.segments {
            is_behind_damage |= planned.is_isolated();
            let is_untouched = planned.dead.is_empty() && planned.tombstones.is_empty();
            let Some(key_index) = planned.index.as_ref().filter(|_| !is_untouched) else {
                continue;
            };
            let mut batches = key_index.batches(BATCHES_BUFFER_BYTES);
            while let Some(batch) = batches.next_batch()? {
                let ordinals = batch.ordinals();
                match batch.delete_horizon_ms {
                    None => {
                        for ordinal in planned.tombstones.iter_in(ordinals.clone()) {
                            planned.to_stamp.insert(ordinal);
                        }
                    }
                    Some(ms) if ms <= self.request.now_ms && !is_behind_damage => {
                        for ordinal in planned.tombstones.iter_in(ordinals.clone()) {
                            let is_new = planned.dead.insert(ordinal);
                            self.plan.dead.expired_tombstones += u64::from(is_new);
                        }
                    }
                    Some(_) => {}
                }
                let dead = planned.dead.count_in(ordinals.clone());
                let sizes = batches.record_sizes();
                if dead == 0 {
                    planned.record_bytes += sizes.sum::<u64>() + BATCH_HEADER_BYTES;
                    continue;
                }
                let is_gone = dead == u64::from(batch.record_count)
                    && !retain::is_kept_when_empty(&batch, &self.request.rules);
                let header_bytes = if is_gone { BATCH_HEADER_BYTES } else { 0 };
                let (mut all, mut gone) = (BATCH_HEADER_BYTES, header_bytes);
                for (ordinal, bytes) in ordinals.zip(sizes) {
                    all += bytes;
                    gone += if planned.dead.contains(ordinal) {
                        bytes
                    } else {
                        0
                    };
                }
                planned.record_bytes += all;
                planned.dead_bytes += gone;
            }
        }
        Ok(())
    }
}
