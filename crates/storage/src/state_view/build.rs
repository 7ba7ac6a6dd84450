//! Building a view: what is superseded below the LastStableOffset.
//!
//! Sealed segments that lie wholly below it are known by their key indexes, which are built if they are missing; the
//! first segment that does not, usually the active one, is read (`head`). The join of the cleaner does the rest. A
//! segment whose log is damaged supersedes nothing and is served as it is.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use lastword_record::Decompressor;

use super::head::{Head, HeadRequest};
use super::pieces::Pieces;
use super::{StateView, ViewCounts, ViewedSegment};
use crate::cleaner::join::join;
use crate::cleaner::ordinal_set::OrdinalSet;
use crate::cleaner::plan::{BATCHES_BUFFER_BYTES, read_aborted};
use crate::cleaner::transactions::AbortedTransactions;
use crate::cleaner::{Control, Progress, SegmentPlan, Throttle};
use crate::error::StorageError;
use crate::key_index::{self, BuildRequest, KeyHasher};
use crate::log::Log;

/// A build that meets a damaged key index begins again so often.
const ATTEMPTS: u32 = 4;

/// What a build needs.
pub struct ViewRequest<'a> {
    pub log: &'a Log,
    /// Of the log directory: see [`key_hasher`](crate::cleaner::key_hasher).
    pub hasher: &'a KeyHasher,
    /// For the buffers of the join and for the keys of the head, each.
    pub memory_bytes: usize,
    pub max_decompressed_bytes: usize,
    /// Ends the build with [`StorageError::Closed`].
    pub is_stopped: &'a AtomicBool,
}

/// Builds a view of a log as it is now. Reads the key indexes and the head, and builds key indexes that are missing.
pub fn build_view(request: &ViewRequest<'_>) -> Result<StateView, StorageError> {
    let mut attempt = 1;
    loop {
        let error = match build_once(request) {
            Err(error @ StorageError::CorruptKeyIndex { .. }) if attempt < ATTEMPTS => error,
            result => return result,
        };
        attempt += 1;
        if let StorageError::CorruptKeyIndex { base_offset, .. } = error {
            tracing::warn!(%error, "a key index is damaged and is built again");
            let segments = request.log.segments();
            if let Some(segment) = segments.iter().find(|it| it.base_offset() == base_offset) {
                key_index::discard(request.log, segment)?;
            }
        }
    }
}

fn build_once(request: &ViewRequest<'_>) -> Result<StateView, StorageError> {
    let log = request.log;
    let (throttle, progress) = (Throttle::new(f64::MAX), Progress::default());
    let control = Control {
        throttle: &throttle,
        is_stopped: request.is_stopped,
        log,
        progress: &progress,
        between_steps: None,
    };
    // First the limit: what is decided below it is in the transaction indexes that are read after it.
    let limit = log.offsets().last_stable_offset;
    let set = log.segments();
    let sealed = (0..set.len()).take_while(|index| {
        set.next_base_offset(*index)
            .is_some_and(|next| next <= limit)
    });
    let (sealed, rest) = set.as_slice().split_at(sealed.count());
    let aborted = AbortedTransactions::new(read_aborted(set.as_slice())?.into_iter().flatten());
    let mut decompressor = Decompressor::new(request.max_decompressed_bytes);

    let mut plans = Vec::with_capacity(set.len());
    let mut aborted_records = Vec::with_capacity(set.len());
    let mut counts = ViewCounts::default();
    for segment in sealed {
        let mut plan = SegmentPlan::new(segment.clone(), Vec::new());
        aborted_records.push(open_index(
            &mut plan,
            request,
            &aborted,
            &mut decompressor,
            &control,
        )?);
        counts.records += plan.records;
        plans.push(plan);
    }
    let mut head = Head::default();
    if let Some(segment) = rest.first() {
        let head_request = HeadRequest {
            limit,
            hasher: request.hasher,
            aborted: &aborted,
            memory_bytes: request.memory_bytes,
        };
        head = Head::scan(segment, &head_request, &mut decompressor, |bytes| {
            control.charge(bytes)
        })?;
        let mut plan = SegmentPlan::new(segment.clone(), Vec::new());
        plan.records = head.records;
        plan.same_offset = std::mem::take(&mut head.same_offset);
        counts.records += plan.records;
        plans.push(plan);
    }
    let joined = join(
        &mut plans,
        &head.entries,
        request.memory_bytes as u64,
        &control,
    )?;
    head.entries = Vec::new();
    counts.keys = joined.keys;
    counts.superseded = joined.superseded;

    let mut segments = Vec::new();
    let mut aborted_records = aborted_records.into_iter();
    for mut plan in plans {
        let mut dead = std::mem::take(&mut plan.dead);
        if let Some(aborted) = aborted_records.next() {
            dead.remove_all(&aborted);
        }
        if dead.is_empty() {
            continue;
        }
        let mut pieces = match &plan.index {
            Some(index) => pieces_of(index, &dead)?,
            None => head.pieces(&dead),
        };
        pieces.shrink_to_fit();
        counts.memory_bytes += pieces.memory_bytes() + dead.memory_bytes();
        segments.push(ViewedSegment {
            segment: Arc::downgrade(&plan.segment),
            base_offset: plan.segment.base_offset(),
            pieces,
            dead,
        });
    }
    Ok(StateView {
        segments,
        limit,
        set_version: set.version(),
        counts,
    })
}

/// Opens or builds the key index of a segment and marks aborted records, so that they supersede nothing; answers which.
fn open_index(
    plan: &mut SegmentPlan,
    request: &ViewRequest<'_>,
    aborted: &AbortedTransactions,
    decompressor: &mut Decompressor,
    control: &Control<'_>,
) -> Result<OrdinalSet, StorageError> {
    let build = BuildRequest {
        segment: &plan.segment,
        hasher: request.hasher,
        memory_bytes: request.memory_bytes,
        leaves_cache_as_found: false,
    };
    let charge = |bytes| control.charge(bytes);
    let index = match key_index::open_or_build(request.log, &build, decompressor, charge) {
        Ok((index, _)) => index,
        // Cleaning says what is wrong with it, or converts it; or it has left the log meanwhile.
        Err(StorageError::CorruptSegment { .. } | StorageError::Stale) => {
            return Ok(OrdinalSet::default());
        }
        Err(error) => return Err(error),
    };
    plan.records = u64::from(index.header().record_count);
    if index.header().has_special_batches {
        let mut batches = index.batches(BATCHES_BUFFER_BYTES);
        while let Some(batch) = batches.next_batch()? {
            if aborted.contains(&batch) {
                plan.dead.insert_all(batch.ordinals());
                plan.has_aborted |= batch.record_count > 0;
            }
            for odd in &batch.odd_records {
                if let key_index::OddRecord::SameOffset(record) = odd {
                    plan.same_offset
                        .insert(u64::from(batch.first_ordinal + record));
                }
            }
        }
    }
    plan.index = Some(index);
    Ok(plan.dead.clone())
}

fn pieces_of(index: &key_index::KeyIndex, dead: &OrdinalSet) -> Result<Pieces, StorageError> {
    let mut pieces = Pieces::default();
    let mut batches = index.batches(BATCHES_BUFFER_BYTES);
    while let Some(batch) = batches.next_batch()? {
        let records = u64::from(batch.record_count);
        let dead = dead.count_in(batch.ordinals());
        pieces.push(
            batch.position..batch.end(),
            batch.first_ordinal,
            records,
            dead,
        );
    }
    Ok(pieces)
}
