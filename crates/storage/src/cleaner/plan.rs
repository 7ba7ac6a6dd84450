//! The plan of a cleaning: for every segment below the first uncleanable offset, which records are dead.
//!
//! 1. The dirty section is read in log order. Each key goes into the key table with the position of its newest record;
//!    when a newer one comes, the position that it pushes out is dead.
//! 2. The clean section is read, and every record whose key is in the table is dead. A clean section holds each key
//!    once, so its records never enter the table.
//! 3. When the keys did not fit, the table was narrowed on the way to the lower part of the hash range, and 1 and 2 are
//!    done again for the next part, until the range is through. What was found dead stays dead, whichever entry was
//!    forgotten later: the plan is exact, and always about whole segments.
//!
//! Also dead: records without a key, tombstones and markers whose delete horizon has passed, and all data of aborted
//! transactions (which never enters the table). Control batches never meet the table. Tombstones without a horizon, and
//! markers whose transaction has no data left, are noted to get one.
//!
//! Every batch is checked against its CRC before its keys are believed: a flipped bit in a key must not kill the record
//! of another key. Nothing is written here. Memory: the table, two bits a record, one I/O buffer.

use std::sync::Arc;

use lastword_record::control::ControlRecordType;
use lastword_record::{BatchHeader, Record, RecordBatch};

use super::clean::CleanerResources;
use super::control::Control;
use super::key_table::{Inserted, KeyHash, KeyHasher, KeyTable, RecordPosition};
use super::ordinal_set::OrdinalSet;
use super::retain::{self, Rules};
use super::stats::DeadRecords;
use super::transactions::{AbortedTransactions, Marker, OpenTransactions, SegmentTransactions};
use crate::error::StorageError;
use crate::segment::{AbortedTransaction, Segment};

/// Keys looked up together, so that their cache misses overlap.
const PROBE_KEYS: usize = 64;
/// Ordinals of one segment; they are packed into 32 bits.
const MAX_ORDINALS: u64 = 1 << 32;

/// What to do with every segment below the first uncleanable offset.
pub struct Plan {
    pub segments: Vec<SegmentPlan>,
    pub aborted: AbortedTransactions,
    pub first_uncleanable_offset: i64,
    /// The earliest delete horizon that has not passed, among batches that are there already.
    pub earliest_horizon_ms: Option<i64>,
    pub dead: DeadRecords,
    pub records: u64,
    /// Different keys in the dirty section.
    pub keys: u64,
    pub passes: u32,
    /// Bytes read for the plan.
    pub bytes: u64,
}

/// What to do with one segment. Ordinals count its records from 0.
pub struct SegmentPlan {
    pub segment: Arc<Segment>,
    pub size_bytes: u32,
    pub records: u64,
    /// Dead records, without those of aborted transactions.
    pub dead: OrdinalSet,
    /// Tombstones and markers to be stamped with a delete horizon, should they live.
    pub to_stamp: OrdinalSet,
    pub aborted_records: u64,
    /// Batches without records that nothing keeps any more.
    pub removable_batches: u64,
    /// Entries of the segment's `.txnindex` whose marker still has data.
    pub kept_aborted: Vec<AbortedTransaction>,
    dropped_aborts: Vec<i64>,
}

impl SegmentPlan {
    fn new(segment: Arc<Segment>) -> SegmentPlan {
        SegmentPlan {
            size_bytes: segment.size_bytes(),
            segment,
            records: 0,
            dead: OrdinalSet::default(),
            to_stamp: OrdinalSet::default(),
            aborted_records: 0,
            removable_batches: 0,
            kept_aborted: Vec::new(),
            dropped_aborts: Vec::new(),
        }
    }

    /// Dead records of every kind.
    pub fn dead_records(&self) -> u64 {
        self.dead.len() + self.aborted_records
    }

    /// Bytes of dead records, by the mean size of the segment's records.
    pub fn dead_bytes(&self) -> u64 {
        if self.records == 0 {
            return 0;
        }
        let size_bytes = u128::from(self.size_bytes);
        (size_bytes * u128::from(self.dead_records()) / u128::from(self.records)) as u64
    }

    /// Whether a rewritten segment would differ.
    pub fn is_changed(&self) -> bool {
        self.dead_records() > 0
            || self.removable_batches > 0
            || self.to_stamp.count_without(&self.dead) > 0
    }
}

impl Plan {
    /// Bytes of dead records, estimated.
    pub fn dead_bytes(&self) -> u64 {
        self.segments.iter().map(SegmentPlan::dead_bytes).sum()
    }
}

/// What to plan.
pub struct PlanRequest<'a> {
    /// The sealed segments below the first uncleanable offset, in order.
    pub segments: &'a [Arc<Segment>],
    /// All segments of the log: an aborted transaction may end behind the ones to clean.
    pub all_segments: &'a [Arc<Segment>],
    pub first_dirty_offset: i64,
    pub rules: Rules<'a>,
    pub now_ms: i64,
}

/// Reads the log and finds what is dead.
pub fn plan(
    request: &PlanRequest<'_>,
    resources: &mut CleanerResources,
    control: &Control<'_>,
) -> Result<Plan, StorageError> {
    let segments = request.segments;
    let first_dirty = match segments
        .iter()
        .rposition(|s| s.base_offset() <= request.first_dirty_offset)
    {
        // Cut by the first dirty offset, or before it when that lies behind all of them.
        Some(index) if request.first_dirty_offset < request.rules.first_uncleanable_offset => index,
        Some(_) => segments.len(),
        None => 0,
    };
    let mut planner = Planner {
        request,
        control,
        segments: segments.iter().cloned().map(SegmentPlan::new).collect(),
        transactions: segments
            .iter()
            .map(|_| SegmentTransactions::default())
            .collect(),
        aborted: read_aborted(request.all_segments)?,
        earliest_horizon_ms: None,
        dead: DeadRecords::default(),
        records: 0,
        bytes: 0,
        range: HashRange::ALL,
    };
    let mut keys = 0;
    let mut passes = 0;
    loop {
        resources.table.clear();
        passes += 1;
        for index in first_dirty..segments.len() {
            planner.scan(index, Section::Dirty, passes == 1, resources)?;
        }
        if passes == 1 || !resources.table.is_empty() {
            for index in 0..first_dirty {
                planner.scan(index, Section::Clean, passes == 1, resources)?;
            }
        }
        if passes == 1 {
            planner.decide_markers()?;
        }
        keys += resources.table.len() as u64;
        match planner
            .range
            .next(resources.table.len(), resources.table.max_keys())
        {
            Some(range) => planner.range = range,
            None => break,
        }
    }
    resources.table.clear();
    Ok(Plan {
        segments: planner.segments,
        aborted: planner.aborted,
        first_uncleanable_offset: request.rules.first_uncleanable_offset,
        earliest_horizon_ms: planner.earliest_horizon_ms,
        dead: planner.dead,
        records: planner.records,
        keys,
        passes,
        bytes: planner.bytes,
    })
}

fn read_aborted(segments: &[Arc<Segment>]) -> Result<AbortedTransactions, StorageError> {
    let mut entries = Vec::new();
    for segment in segments {
        entries.extend(segment.transaction_index().entries()?);
    }
    Ok(AbortedTransactions::new(entries))
}

/// The keys that this pass is about, by the range half of their hash; both ends inclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct HashRange {
    low: u64,
    high: u64,
}

impl HashRange {
    const ALL: HashRange = HashRange {
        low: 0,
        high: u64::MAX,
    };

    #[inline]
    fn contains(&self, hash: KeyHash) -> bool {
        self.low <= hash.range && hash.range <= self.high
    }

    fn width(&self) -> u128 {
        u128::from(self.high - self.low) + 1
    }

    /// The lower seven eighths: as much as possible of what is in the table is work done.
    fn narrowed(&self) -> HashRange {
        let width = (self.width() * 7 / 8).max(1);
        HashRange {
            low: self.low,
            high: self.low + (width - 1) as u64,
        }
    }

    /// The next part of the range, as wide as the table will take, judged by the keys in this one.
    fn next(&self, keys: usize, max_keys: usize) -> Option<HashRange> {
        let low = self.high.checked_add(1)?;
        let room = (max_keys as u128 * 31 / 32).max(1);
        let width = self.width().saturating_mul(room) / (keys as u128).max(1);
        let high = u128::from(low) + width.max(1) - 1;
        Some(HashRange {
            low,
            high: u64::try_from(high).unwrap_or(u64::MAX),
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Section {
    Dirty,
    Clean,
}

struct Planner<'a> {
    request: &'a PlanRequest<'a>,
    control: &'a Control<'a>,
    segments: Vec<SegmentPlan>,
    transactions: Vec<SegmentTransactions>,
    aborted: AbortedTransactions,
    earliest_horizon_ms: Option<i64>,
    dead: DeadRecords,
    records: u64,
    bytes: u64,
    range: HashRange,
}

/// A batch in its segment.
#[derive(Clone, Copy)]
struct Place {
    segment: usize,
    first_ordinal: u64,
}

impl Planner<'_> {
    /// Reads one segment. What does not depend on the table is done in the first pass only.
    fn scan(
        &mut self,
        index: usize,
        section: Section,
        is_first_pass: bool,
        resources: &mut CleanerResources,
    ) -> Result<(), StorageError> {
        self.control.between_steps()?;
        let segment = self.segments[index].segment.clone();
        let mut probes = Probes::new(index as u32);
        let mut scan = segment.scan(0, self.segments[index].size_bytes, resources.buffer_bytes);
        let mut place = Place {
            segment: index,
            first_ordinal: 0,
        };
        while let Some((position, batch)) = scan.next_batch()? {
            let corrupt = |reason: String| {
                StorageError::corrupt_segment(segment.log_path(), u64::from(position), reason)
            };
            self.control.charge(batch.bytes().len() as u64)?;
            self.bytes += batch.bytes().len() as u64;
            batch
                .verify_crc()
                .map_err(|error| corrupt(error.to_string()))?;
            let header = *batch.header();
            let next_ordinal = place.first_ordinal + u64::from(header.record_count.unsigned_abs());
            if next_ordinal > MAX_ORDINALS {
                return Err(corrupt("more than 2^32 records in one segment".to_string()));
            }
            if is_first_pass {
                self.see_batch(place, &header);
                if header.is_control() {
                    self.see_control(place, &batch, resources)
                        .map_err(corrupt)?;
                }
            }
            if self.holds_data(&header, section, is_first_pass, &resources.table) {
                let CleanerResources {
                    hasher,
                    table,
                    decompressor,
                    ..
                } = &mut *resources;
                let records = batch
                    .records(decompressor)
                    .map_err(|error| corrupt(error.to_string()))?;
                for (record, ordinal) in records.zip(place.first_ordinal..) {
                    let record = record.map_err(|error| corrupt(error.to_string()))?;
                    if is_first_pass {
                        self.see_record(place.segment, ordinal, &record, &header);
                    }
                    if let Some(hash) = self.hash_in_range(&record, hasher) {
                        probes.add(hash, ordinal as u32);
                        if probes.is_full() {
                            self.look_up(&mut probes, section, table).map_err(corrupt)?;
                        }
                    }
                }
            }
            place.first_ordinal = next_ordinal;
        }
        let end = u64::from(self.segments[index].size_bytes);
        self.look_up(&mut probes, section, &mut resources.table)
            .map_err(|reason| StorageError::corrupt_segment(segment.log_path(), end, reason))?;
        if is_first_pass {
            self.segments[index].records = place.first_ordinal;
            self.records += place.first_ordinal;
        }
        Ok(())
    }

    /// Whether the records of a batch have to be looked at.
    fn holds_data(
        &self,
        header: &BatchHeader,
        section: Section,
        is_first_pass: bool,
        table: &KeyTable,
    ) -> bool {
        if header.is_control() || header.record_count == 0 || self.aborted.contains(header) {
            return false;
        }
        // Without a key in the table only an expired tombstone can be dead in the clean section.
        section == Section::Dirty || !table.is_empty() || is_first_pass && self.is_due(header)
    }

    fn is_due(&self, header: &BatchHeader) -> bool {
        header
            .delete_horizon_ms()
            .is_some_and(|horizon_ms| horizon_ms <= self.request.now_ms)
    }

    #[inline]
    fn hash_in_range(&self, record: &Record<'_>, hasher: &KeyHasher) -> Option<KeyHash> {
        let hash = hasher.hash(record.key?);
        self.range.contains(hash).then_some(hash)
    }

    /// What the header alone says.
    fn see_batch(&mut self, place: Place, header: &BatchHeader) {
        let plan = &mut self.segments[place.segment];
        if header.record_count == 0 {
            let is_kept = retain::is_kept_when_empty(header, &self.request.rules);
            plan.removable_batches += u64::from(!is_kept);
        }
        if header.is_transactional() && !header.is_control() {
            self.transactions[place.segment].see_data(header.producer_id);
            if self.aborted.contains(header) {
                let records = u64::from(header.record_count.unsigned_abs());
                plan.aborted_records += records;
                self.dead.aborted += records;
            }
        }
        if let Some(horizon_ms) = header
            .delete_horizon_ms()
            .filter(|ms| *ms > self.request.now_ms)
        {
            let earliest_ms = self.earliest_horizon_ms.get_or_insert(horizon_ms);
            *earliest_ms = horizon_ms.min(*earliest_ms);
        }
    }

    /// Reads a marker. Control batches of other kinds stay, and so do unknown ones.
    fn see_control(
        &mut self,
        place: Place,
        batch: &RecordBatch<'_>,
        resources: &mut CleanerResources,
    ) -> Result<(), String> {
        let records = batch
            .records(&mut resources.decompressor)
            .map_err(|error| error.to_string())?;
        for (record, ordinal) in records.zip(place.first_ordinal..) {
            let record = record.map_err(|error| error.to_string())?;
            let key = record.key.unwrap_or_default();
            let kind = ControlRecordType::parse(key).map_err(|error| error.to_string())?;
            if !matches!(kind, ControlRecordType::Abort | ControlRecordType::Commit) {
                continue;
            }
            let marker = Marker {
                producer_id: batch.header().producer_id,
                is_abort: kind == ControlRecordType::Abort,
                ordinal,
                last_offset: batch.header().last_offset(),
                delete_horizon_ms: batch.header().delete_horizon_ms(),
            };
            if let Some(has_data) = self.transactions[place.segment].see_marker(marker) {
                self.decide_marker(place.segment, marker, has_data);
            }
        }
        Ok(())
    }

    fn decide_marker(&mut self, segment: usize, marker: Marker, has_data: bool) {
        if has_data {
            return;
        }
        let plan = &mut self.segments[segment];
        if marker.is_abort {
            plan.dropped_aborts.push(marker.last_offset);
        }
        match marker.delete_horizon_ms {
            None => {
                plan.to_stamp.insert(marker.ordinal);
            }
            Some(horizon_ms) if horizon_ms <= self.request.now_ms => {
                plan.dead.insert(marker.ordinal);
                self.dead.expired_markers += 1;
            }
            Some(_) => {}
        }
    }

    /// Joins what the segments know of transactions, and says which index entries stay.
    fn decide_markers(&mut self) -> Result<(), StorageError> {
        let mut open = OpenTransactions::default();
        for (index, transactions) in std::mem::take(&mut self.transactions)
            .into_iter()
            .enumerate()
        {
            for (marker, has_data) in open.pass(transactions) {
                self.decide_marker(index, marker, has_data);
            }
            let plan = &mut self.segments[index];
            let dropped: std::collections::HashSet<i64> = plan.dropped_aborts.drain(..).collect();
            let entries = plan.segment.transaction_index().entries()?;
            plan.kept_aborted = entries
                .into_iter()
                .filter(|e| !dropped.contains(&e.last_offset))
                .collect();
        }
        Ok(())
    }

    /// What a record says without the table.
    #[inline]
    fn see_record(
        &mut self,
        segment: usize,
        ordinal: u64,
        record: &Record<'_>,
        header: &BatchHeader,
    ) {
        if record.key.is_some() && record.value.is_some() {
            return;
        }
        let is_due = self.is_due(header);
        let plan = &mut self.segments[segment];
        if record.key.is_none() {
            self.dead.keyless += u64::from(plan.dead.insert(ordinal));
        } else if is_due {
            self.dead.expired_tombstones += u64::from(plan.dead.insert(ordinal));
        } else if header.delete_horizon_ms().is_none() {
            plan.to_stamp.insert(ordinal);
        }
    }

    /// Takes the collected keys to the table.
    fn look_up(
        &mut self,
        probes: &mut Probes,
        section: Section,
        table: &mut KeyTable,
    ) -> Result<(), String> {
        std::hint::black_box(
            probes
                .keys()
                .fold(0, |sum, (hash, _)| sum ^ table.touch(hash)),
        );
        match section {
            Section::Clean => {
                for (hash, position) in probes.keys() {
                    if table.get(hash).is_some() {
                        self.supersede(position);
                    }
                }
            }
            Section::Dirty => {
                for (hash, position) in probes.keys() {
                    self.insert(hash, position, table)?;
                }
            }
        }
        probes.len = 0;
        Ok(())
    }

    #[inline]
    fn insert(
        &mut self,
        hash: KeyHash,
        position: RecordPosition,
        table: &mut KeyTable,
    ) -> Result<(), String> {
        // The range may have been narrowed since the key was collected.
        while self.range.contains(hash) {
            match table.insert(hash, position) {
                Inserted::New => return Ok(()),
                Inserted::Superseded(earlier) => {
                    self.supersede(earlier);
                    return Ok(());
                }
                Inserted::Full => self.narrow(table)?,
            }
        }
        Ok(())
    }

    /// Makes room: this pass gives up the upper part of its range to a later one.
    #[cold]
    fn narrow(&mut self, table: &mut KeyTable) -> Result<(), String> {
        let keys = table.len();
        while table.len() == keys {
            if self.range.low == self.range.high {
                return Err("the table cannot hold the keys of one hash".to_string());
            }
            self.range = self.range.narrowed();
            table.evict_above(self.range.high);
        }
        Ok(())
    }

    #[inline]
    fn supersede(&mut self, position: RecordPosition) {
        let plan = &mut self.segments[position.segment as usize];
        self.dead.superseded += u64::from(plan.dead.insert(u64::from(position.ordinal)));
    }
}

/// Keys on their way to the table.
struct Probes {
    segment: u32,
    len: usize,
    hashes: [KeyHash; PROBE_KEYS],
    ordinals: [u32; PROBE_KEYS],
}

impl Probes {
    fn new(segment: u32) -> Probes {
        let hashes = [KeyHash { home: 0, range: 0 }; PROBE_KEYS];
        Probes {
            segment,
            len: 0,
            hashes,
            ordinals: [0; PROBE_KEYS],
        }
    }

    #[inline]
    fn add(&mut self, hash: KeyHash, ordinal: u32) {
        self.hashes[self.len] = hash;
        self.ordinals[self.len] = ordinal;
        self.len += 1;
    }

    #[inline]
    fn is_full(&self) -> bool {
        self.len == PROBE_KEYS
    }

    #[inline]
    fn keys(&self) -> impl Iterator<Item = (KeyHash, RecordPosition)> + '_ {
        let pairs = self.hashes.iter().zip(&self.ordinals).take(self.len);
        pairs.map(|(hash, ordinal)| {
            (
                *hash,
                RecordPosition {
                    segment: self.segment,
                    ordinal: *ordinal,
                },
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_the_hash_range_cover_it_once() {
        for (keys, max_keys) in [(1, 2), (2, 2), (1_000, 900), (900, 1_000), (5, 5_000_000)] {
            let mut range = HashRange::ALL;
            for _ in 0..3 {
                range = range.narrowed();
            }
            let mut parts = 1;
            while let Some(next) = range.next(keys, max_keys) {
                assert_eq!(next.low, range.high + 1);
                assert!(next.high >= next.low);
                range = next;
                parts += 1;
                if parts % 3 == 0 {
                    range = range.narrowed();
                }
                assert!(parts < 1_000);
            }
            assert_eq!(range.high, u64::MAX);
        }
    }

    #[test]
    fn narrowing_ends_at_one_hash() {
        let mut range = HashRange {
            low: 5,
            high: u64::MAX,
        };
        for _ in 0..2_000 {
            range = range.narrowed();
        }
        assert_eq!(range, HashRange { low: 5, high: 5 });
    }
}
