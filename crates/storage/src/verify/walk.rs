//! OLD and NEW side by side, by offset: every record of OLD is in NEW as it was or may be gone, NEW has no other, and
//! what lies around its records (order, batches, indexes, producers, transactions) holds too.
//!
//! Findings are collected; the first one in a record's content is the first by offset, those of an index come with the
//! end of their segment. Damage ends the walk.

use std::collections::{BTreeMap, HashMap};

use lastword_record::control::ControlRecordType;

use super::history::Abort;
use super::index_check::IndexCheck;
use super::key_index_check::{Judged, KeyIndexCheck};
use super::last_words::LastWords;
use super::producers::{ProducerEnd, Producers};
use super::reader::{BatchPlace, PartitionFiles, ReadError};
use super::side::{Seen, Side};
use super::transaction_index_check as transaction_index;
use super::{FirstLook, Kind, Request, Source, Verified, VerifyError, random_secret, reader_of};
use crate::dir::read_file;
use crate::error::StorageError;
use crate::file_name::{self, LIVE, SegmentFile};
use crate::producer_state::snapshot;

struct Walk<'a> {
    request: &'a Request<'a>,
    first: &'a FirstLook,
    words: &'a LastWords,
    /// Of NEW; none when NEW is damaged.
    new_words: Option<&'a LastWords>,
    /// The first record of NEW that is the last of its key there and was not in OLD.
    resurrected: Option<i64>,
    verified: &'a mut Verified,
    old: Side<'a>,
    new_files: &'a PartitionFiles,
    /// What NEW says of its producers, to us and to Kafka.
    new_producers: [Producers; 2],
    /// Transactions of NEW that have data and no marker yet: the first offset of the data.
    new_open: HashMap<i64, i64>,
    /// Transactions of NEW that were rolled back and have data, by marker.
    needed_aborts: BTreeMap<i64, Abort>,
    /// Below, records may be gone because the log begins later.
    log_start_offset: i64,
}

/// The checks of one segment of NEW.
struct SegmentChecks {
    segment: usize,
    index: IndexCheck,
    keys: Option<KeyIndexCheck>,
    /// Why there is no check of a key index that is there.
    unusable: Option<String>,
}

pub fn walk(
    request: &Request<'_>,
    (old_files, new_files): (&PartitionFiles, &PartitionFiles),
    first: &FirstLook,
    (words, new_words): (&LastWords, Option<&LastWords>),
    verified: &mut Verified,
) -> Result<(), VerifyError> {
    let secret = random_secret()?;
    let side = |source: &Source, files| {
        let reader = reader_of(request, source, files);
        Side::new(reader, &secret, source.key_hasher.clone(), request.progress)
    };
    let mut new = side(request.new, new_files);
    let mut walk = Walk {
        log_start_offset: log_start(request, old_files, new_files, verified),
        request,
        first,
        words,
        new_words,
        resurrected: None,
        verified,
        old: side(request.old, old_files),
        new_files,
        new_producers: [Producers::of_batches(), Producers::of_batches_by_kafka()],
        new_open: HashMap::new(),
        needed_aborts: BTreeMap::new(),
    };
    match walk.run(&mut new, &secret) {
        Ok(()) => {}
        Err(ReadError::Storage(error)) => return Err(error.into()),
        // Of OLD it would have been met before.
        Err(ReadError::Damage(damage)) => {
            walk.verified
                .violate(damage.offset, Kind::Damaged, damage.to_string());
            return Ok(());
        }
    }
    if !walk.verified.is_full() {
        walk.check_ends(&old_files.segments)?;
    }
    Ok(())
}

/// Where NEW may begin; says so when it begins too late.
fn log_start(
    request: &Request<'_>,
    old_files: &PartitionFiles,
    new_files: &PartitionFiles,
    verified: &mut Verified,
) -> i64 {
    let first_base = |files: &PartitionFiles| files.segments.first().map(|it| it.base_offset);
    let old_start = request.old.log_start_offset.unwrap_or(i64::MIN);
    let (Some(old_base), Some(new_base)) = (first_base(old_files), first_base(new_files)) else {
        return old_start;
    };
    let new_start = request.new.log_start_offset.unwrap_or(i64::MIN);
    let begins_later = new_base > old_base.max(old_start);
    if request.rules.delete {
        return old_start.max(new_start).max(new_base);
    }
    if begins_later && new_start < new_base {
        let message = format!(
            "NEW begins at {new_base}, OLD at {}, and nothing but retention or DeleteRecords takes segments from the \
             front (cleanup.policy has no delete)",
            old_base.max(old_start)
        );
        verified.violate(old_base.max(old_start), Kind::LogStart, message);
    }
    // DeleteRecords has said so.
    old_start.max(new_start)
}

impl Walk<'_> {
    fn run(&mut self, new: &mut Side<'_>, secret: &[u8; 16]) -> Result<(), ReadError> {
        let mut checks: Option<SegmentChecks> = None;
        let mut next_offset = i64::MIN;
        while let Some(place) = new.load()? {
            if checks.as_ref().map(|it| it.segment) != Some(place.segment) {
                if let Some(finished) = checks.take() {
                    self.finish_checks(finished)?;
                }
                checks = Some(self.open_checks(place.segment, secret)?);
            }
            if let Some(checks) = &mut checks {
                checks.index.push(&place)?;
                if let Some(keys) = &mut checks.keys {
                    keys.push_batch(&place)?;
                    for record in new.records() {
                        keys.push_record(record, place.header.is_control());
                    }
                }
            }
            if !self.check_batch(&place, new, next_offset) {
                return Ok(());
            }
            next_offset = place.header.next_offset();
            self.pass_old_below(place.header.base_offset)?;
            self.open_transaction(&place);
            while let Some((record, ordinal)) = new.peek() {
                let is_last = self.new_words.is_some_and(|words| words.contains(ordinal));
                self.see(&place, record, is_last)?;
                new.take();
            }
            if self.verified.is_full() {
                return Ok(());
            }
        }
        if let Some(finished) = checks.take() {
            self.finish_checks(finished)?;
        }
        self.pass_old_below(i64::MAX)?;
        self.check_log_end(next_offset);
        self.check_resurrected();
        Ok(())
    }

    /// A value whose tombstone is gone for good reason must be gone with it. Where the last record of a key is missing
    /// without a right, that has been said.
    fn check_resurrected(&mut self) {
        let is_lost = |kind| matches!(kind, Kind::Lost | Kind::TombstoneEarly | Kind::AboveBound);
        let is_said = self.verified.violations.iter().any(|it| is_lost(it.kind));
        if let Some(offset) = self.resurrected.filter(|_| !is_said) {
            let message =
                "its key was deleted later, and the tombstone is gone: a deleted key is back";
            self.verified.violate(offset, Kind::Resurrected, message);
        }
    }

    fn check_log_end(&mut self, next_offset: i64) {
        let segments = &self.new_files.segments;
        let last_base = segments.last().map_or(0, |it| it.base_offset);
        let (old_end, new_end) = (self.first.log_end_offset, next_offset.max(last_base));
        if new_end < old_end {
            let message = format!(
                "NEW ends at {new_end}, OLD at {old_end}: the offsets between would be given again"
            );
            self.verified.violate(new_end, Kind::LogEnd, message);
        } else if new_end > old_end {
            let message = format!("NEW goes on to {new_end}, OLD ends at {old_end}");
            self.verified.violate(old_end, Kind::LogEnd, message);
        }
    }

    /// What a batch of NEW says of itself. False when nothing behind it can be compared.
    fn check_batch(&mut self, place: &BatchPlace, new: &Side<'_>, next_offset: i64) -> bool {
        let header = &place.header;
        let segments = &self.new_files.segments;
        let base_of = |index: usize| segments.get(index).map(|it| it.base_offset);
        let segment_base = base_of(place.segment).unwrap_or(0);
        // Kafka makes a batch of each message of an old format.
        let is_behind = match self.first.has_legacy {
            true => header.base_offset + 1 >= next_offset,
            false => header.base_offset >= next_offset,
        };
        if !is_behind {
            let message = format!(
                "a batch of {} begins at {} behind one that ends at {}",
                self.name_of(place.segment, SegmentFile::Log),
                header.base_offset,
                next_offset - 1
            );
            self.verified
                .violate(header.base_offset, Kind::Order, message);
            return false;
        }
        let ends_in = base_of(place.segment + 1).is_none_or(|base| header.last_offset() < base);
        let fits = header.last_offset() - segment_base <= i64::from(i32::MAX);
        if header.base_offset < segment_base || !ends_in || !fits {
            let message = format!(
                "a batch {} to {} does not lie within {}",
                header.base_offset,
                header.last_offset(),
                self.name_of(place.segment, SegmentFile::Log)
            );
            self.verified
                .violate(header.base_offset, Kind::Order, message);
            return false;
        }
        let newest_ms = new.newest_ms().filter(|_| header.record_count > 0);
        if let Some(newest_ms) = newest_ms.filter(|newest| *newest > header.max_timestamp) {
            let message = format!(
                "the batch says that its newest record is of {}, one is of {newest_ms}: readers by time miss it",
                header.max_timestamp
            );
            self.verified
                .violate(header.base_offset, Kind::Changed, message);
        }
        for producers in &mut self.new_producers {
            producers.push(header);
        }
        self.verified.new_records += new.records().len() as u64;
        true
    }

    fn open_transaction(&mut self, place: &BatchPlace) {
        let header = &place.header;
        if header.is_transactional() && !header.is_control() {
            let opened = self.new_open.entry(header.producer_id);
            opened.or_insert(header.base_offset);
        }
    }

    /// The next record of OLD, with its batch and ordinal.
    fn next_old(&mut self) -> Result<Option<(BatchPlace, Seen, u64)>, ReadError> {
        loop {
            if let (Some(place), Some((record, ordinal))) = (self.old.batch(), self.old.peek()) {
                return Ok(Some((place, record, ordinal)));
            }
            if self.old.load()?.is_none() {
                return Ok(None);
            }
            self.verified.old_records += self.old.records().len() as u64;
        }
    }

    fn pass_old_below(&mut self, offset: i64) -> Result<(), ReadError> {
        while let Some((place, record, ordinal)) = self.next_old()? {
            if record.offset >= offset || self.verified.is_full() {
                return Ok(());
            }
            self.is_gone(&place, &record, ordinal);
            self.old.take();
        }
        Ok(())
    }

    /// A record of NEW, the last of its key there or not.
    fn see(&mut self, place: &BatchPlace, record: Seen, is_last: bool) -> Result<(), ReadError> {
        self.pass_old_below(record.offset)?;
        while let Some((old_place, old, ordinal)) = self.next_old()? {
            if old.offset != record.offset {
                break;
            }
            // Old formats have several records of one offset, and all but one may be gone.
            if differs(&old, &record).is_some() && self.old.has_twin() {
                self.is_gone(&old_place, &old, ordinal);
                self.old.take();
                continue;
            }
            if is_last && !self.words.contains(ordinal) {
                self.resurrected.get_or_insert(record.offset);
            }
            self.compare(&old_place, &old, ordinal, place, &record);
            self.old.take();
            return Ok(());
        }
        let message = "OLD has no record at this offset";
        self.verified
            .violate(record.offset, Kind::Invented, message);
        Ok(())
    }

    fn compare(
        &mut self,
        old_place: &BatchPlace,
        old: &Seen,
        ordinal: u64,
        place: &BatchPlace,
        new: &Seen,
    ) {
        let (was, is) = (&old_place.header, &place.header);
        let offset = new.offset;
        if let Some(what) = differs(old, new) {
            let message = format!("its {what} is not that of OLD");
            self.verified.violate(offset, Kind::Changed, message);
            return;
        }
        let is_below = offset < self.verified.bound_offset;
        let of_batch = [
            (
                "timestamp type",
                was.timestamp_type() != is.timestamp_type(),
            ),
            (
                "transactional flag",
                was.is_transactional() != is.is_transactional(),
            ),
            ("control flag", was.is_control() != is.is_control()),
            (
                "leader epoch",
                was.leader_epoch != is.leader_epoch && !old_place.is_legacy,
            ),
        ];
        for (what, _) in of_batch.iter().filter(|(_, differs)| *differs) {
            let message = format!("the {what} of its batch is not that of OLD");
            self.verified.violate(offset, Kind::Changed, message);
        }
        // Re-batching takes the producer away, but not from transactions, and not from what it may not touch.
        let may_lose_producer = is_below && !was.is_transactional();
        let producer = |header: &lastword_record::BatchHeader| {
            (
                header.producer_id,
                header.producer_epoch,
                sequence_of(header, offset),
            )
        };
        let is_lost = may_lose_producer && !is.has_producer_id();
        if !is_lost && producer(was) != producer(is) {
            let message = format!(
                "it is of producer, epoch and sequence {:?}, in OLD of {:?}",
                producer(is),
                producer(was)
            );
            self.verified.violate(offset, Kind::Producer, message);
        }
        self.compare_horizons(old_place, place, offset);
        if old.marker.is_some() {
            self.end_transaction(was.producer_id, offset, old.marker);
        } else if is_below && !was.is_control() {
            let is_kept = self.words.contains(ordinal) && !self.first.history.is_aborted(was);
            self.verified.not_cleaned += u64::from(!is_kept);
            self.verified.tombstones += u64::from(is_kept && new.value.is_none());
        }
    }

    fn compare_horizons(&mut self, old_place: &BatchPlace, place: &BatchPlace, offset: i64) {
        let rules = &self.request.rules;
        let (was, is) = (
            old_place.header.delete_horizon_ms(),
            place.header.delete_horizon_ms(),
        );
        let message = match (was, is) {
            _ if was == is => return,
            (Some(was), _) => format!("its delete horizon was {was}, and is {is:?} now"),
            (None, Some(is)) if offset >= self.verified.bound_offset => {
                format!("it has the delete horizon {is}, and lies behind what a cleaning may touch")
            }
            (None, Some(is)) => {
                let earliest_ms = rules
                    .since_ms
                    .map(|since_ms| since_ms.saturating_add(rules.delete_retention_ms));
                match earliest_ms.filter(|earliest_ms| is < *earliest_ms) {
                    Some(earliest_ms) => {
                        format!(
                            "its delete horizon is {is}, the earliest possible one {earliest_ms}"
                        )
                    }
                    None => return,
                }
            }
            (None, None) => return,
        };
        self.verified.violate(offset, Kind::Horizon, message);
    }

    /// A marker of OLD goes by that is in NEW.
    fn end_transaction(
        &mut self,
        producer_id: i64,
        marker_offset: i64,
        marker: Option<ControlRecordType>,
    ) {
        let first_offset = self.new_open.remove(&producer_id);
        if let (Some(first_offset), Some(ControlRecordType::Abort)) = (first_offset, marker) {
            self.needed_aborts.insert(
                marker_offset,
                Abort {
                    producer_id,
                    first_offset,
                    last_offset: marker_offset,
                },
            );
        }
    }

    /// Whether what had this horizon in OLD may be gone.
    fn is_expired(&self, horizon_ms: Option<i64>) -> bool {
        let rules = &self.request.rules;
        match (horizon_ms, rules.since_ms) {
            (Some(horizon_ms), _) => horizon_ms <= rules.now_ms,
            (None, Some(since_ms)) => {
                since_ms.saturating_add(rules.delete_retention_ms) <= rules.now_ms
            }
            (None, None) => false,
        }
    }

    /// A record of OLD is not in NEW.
    fn is_gone(&mut self, place: &BatchPlace, record: &Seen, ordinal: u64) {
        let header = &place.header;
        let offset = record.offset;
        let verified = &mut *self.verified;
        if offset < self.log_start_offset {
            verified.gone.retention += 1;
            // A marker below the start may end a transaction whose data, too, is below.
            if record.marker.is_some() {
                self.new_open.remove(&header.producer_id);
            }
            return;
        }
        if offset >= verified.bound_offset {
            let message = match self.request.rules.compact {
                true => format!(
                    "it is gone, although a cleaning must not touch what lies at or above {}",
                    verified.bound_offset
                ),
                false => "it is gone, and its topic is not compacted".to_owned(),
            };
            verified.violate(offset, Kind::AboveBound, message);
            return;
        }
        if header.is_control() {
            self.marker_is_gone(place, record);
            return;
        }
        if self.first.history.is_aborted(header) {
            verified.gone.aborted += 1;
        } else if record.key.is_none() {
            verified.gone.keyless += 1;
        } else if !self.words.contains(ordinal) {
            verified.gone.superseded += 1;
        } else if record.value.is_some() {
            let message = "the last record of its key is gone";
            verified.violate(offset, Kind::Lost, message);
        } else if self.is_expired(header.delete_horizon_ms()) {
            self.verified.gone.expired_tombstones += 1;
        } else {
            let message = format!(
                "a tombstone is gone before its time: {}",
                self.why_not_expired(header.delete_horizon_ms())
            );
            self.verified.violate(offset, Kind::TombstoneEarly, message);
        }
    }

    fn marker_is_gone(&mut self, place: &BatchPlace, record: &Seen) {
        let header = &place.header;
        let is_end = matches!(
            record.marker,
            Some(ControlRecordType::Commit | ControlRecordType::Abort)
        );
        if !is_end {
            let message = "a control record that no cleaning removes is gone";
            self.verified.violate(record.offset, Kind::Lost, message);
        } else if let Some(first_offset) = self.new_open.remove(&header.producer_id) {
            let message = format!(
                "the marker at {} is gone, and data of its transaction is still there: producer {}",
                record.offset, header.producer_id
            );
            self.verified
                .violate(first_offset, Kind::Transaction, message);
        } else if self.is_expired(header.delete_horizon_ms()) {
            self.verified.gone.expired_markers += 1;
        } else {
            let message = format!(
                "a marker is gone before its time: {}",
                self.why_not_expired(header.delete_horizon_ms())
            );
            self.verified
                .violate(record.offset, Kind::MarkerEarly, message);
        }
    }

    fn why_not_expired(&self, horizon_ms: Option<i64>) -> String {
        let now_ms = self.request.rules.now_ms;
        match horizon_ms {
            Some(horizon_ms) => format!("its delete horizon is {horizon_ms}, and it is {now_ms}"),
            None => {
                "the first cleaning only gives it a delete horizon, and OLD has none".to_owned()
            }
        }
    }

    fn name_of(&self, segment: usize, kind: SegmentFile) -> String {
        let base_offset = self
            .new_files
            .segments
            .get(segment)
            .map_or(0, |it| it.base_offset);
        file_name::segment_path(&self.request.new.partition_dir, base_offset, kind, LIVE)
    }

    fn open_checks(
        &self,
        segment: usize,
        secret: &[u8; 16],
    ) -> Result<SegmentChecks, StorageError> {
        let new = self.request.new;
        let segments = &self.new_files.segments;
        let base_offset = segments.get(segment).map_or(0, |it| it.base_offset);
        let is_last = segment + 1 == segments.len();
        let index = IndexCheck::open(&*new.dir, &new.partition_dir, base_offset, is_last)?;
        let keys = match &new.key_hasher {
            None => None,
            Some(hasher) => {
                KeyIndexCheck::open(&*new.dir, &new.partition_dir, base_offset, hasher, secret)?
            }
        };
        let mut checks = SegmentChecks {
            segment,
            index,
            keys: None,
            unusable: None,
        };
        match keys {
            None => {}
            Some(Ok(keys)) => checks.keys = Some(keys),
            Some(Err(reason)) => checks.unusable = Some(reason),
        }
        Ok(checks)
    }

    fn finish_checks(&mut self, mut checks: SegmentChecks) -> Result<(), StorageError> {
        checks.index.finish()?;
        for bad in &checks.index.bad {
            let kind = match bad.kind {
                SegmentFile::OffsetIndex => Kind::OffsetIndex,
                _ => Kind::TimeIndex,
            };
            let name = self.name_of(checks.segment, bad.kind);
            let message = format!("{name}: {}", bad.reason);
            self.verified.violate(bad.offset, kind, message);
        }
        for missing in &checks.index.missing {
            let name = self.name_of(checks.segment, *missing);
            self.note(format!(
                "{name} is missing, and is built when the log is opened"
            ));
        }
        let name = self.name_of(checks.segment, SegmentFile::KeyIndex);
        let base_offset = self
            .new_files
            .segments
            .get(checks.segment)
            .map_or(0, |it| it.base_offset);
        let judged = match (checks.keys, checks.unusable) {
            (Some(keys), _) => keys.finish()?,
            (None, Some(reason)) => Judged::Unusable(reason),
            (None, None) => Judged::Right,
        };
        match judged {
            Judged::Right => {}
            Judged::Unusable(reason) => {
                self.note(format!("{name} is of no use, and is built again: {reason}"));
            }
            Judged::Wrong(reason) => {
                let message = format!("{name}: {reason}");
                self.verified.violate(base_offset, Kind::KeyIndex, message);
            }
        }
        Ok(())
    }

    fn note(&mut self, note: String) {
        if self.verified.notes.len() < super::MAX_VIOLATIONS {
            self.verified.notes.push(note);
        }
    }

    /// The log of NEW must tell of each producer what that of OLD did, or what the broker knew that opened OLD, which may
    /// be less: it has forgotten producers.
    fn check_producers(&mut self) {
        let rules = &self.request.rules;
        let is_expired = |id: i64, end: &ProducerEnd| {
            !self.first.history.is_open(id)
                && rules.now_ms.saturating_sub(end.timestamp_ms) >= rules.producer_id_expiration_ms
        };
        let is_there = |id: i64, end: &ProducerEnd| {
            let mut found = self.new_producers.iter().filter_map(|it| it.get(id));
            found.any(|found| found.is_as(end))
        };
        let mut lost = Vec::new();
        for (producer_id, end) in self.first.producers.iter() {
            let by_batches = &self.new_producers[0];
            let is_same = by_batches.get(producer_id).is_some_and(|it| it.is_as(&end));
            if is_same || is_expired(producer_id, &end) || end.last_offset < self.log_start_offset {
                continue;
            }
            let known = self.first.known_producers.get(producer_id);
            if known.is_some_and(|it| !is_expired(producer_id, &it) && !is_there(producer_id, &it))
            {
                lost.push((producer_id, end.last_offset));
            }
        }
        for (producer_id, offset) in lost {
            let message = format!(
                "producer {producer_id} is not expired, and its last batch is not as in OLD: a repetition would be \
                 written twice"
            );
            self.verified.violate(offset, Kind::Producer, message);
        }
    }

    /// What can only be said when everything has gone by.
    fn check_ends(&mut self, old_segments: &[super::SegmentName]) -> Result<(), StorageError> {
        let (old, new) = (self.request.old, self.request.new);
        self.check_producers();
        let known = transaction_index::read_all(&*old.dir, &old.partition_dir, old_segments)?;
        let needed = std::mem::take(&mut self.needed_aborts);
        let history = &self.first.history;
        if let Some(told) = &new.fetched_aborts {
            for (offset, message) in
                transaction_index::check_fetched(told, &known, history, &needed)
            {
                self.verified
                    .violate(offset, Kind::TransactionIndex, message);
            }
            return Ok(());
        }
        let bad = transaction_index::check(
            &*new.dir,
            &new.partition_dir,
            &self.new_files.segments,
            &known,
            history,
            needed,
        )?;
        for bad in bad {
            let name = self.name_of(bad.segment, SegmentFile::TransactionIndex);
            let message = format!("{name}: {}", bad.reason);
            self.verified
                .violate(bad.offset, Kind::TransactionIndex, message);
        }
        for &offset in &self.new_files.snapshots {
            let kind = SegmentFile::ProducerSnapshot;
            let path = file_name::segment_path(&new.partition_dir, offset, kind, LIVE);
            let bytes = read_file(&*new.dir, &path)
                .map_err(|source| StorageError::io("read", path.clone(), source))?;
            let Err(reason) = snapshot::decode(&bytes) else {
                continue;
            };
            // Nobody believes a damaged one. What a crash has left is not the work of a cleaning.
            let old_path = file_name::segment_path(&old.partition_dir, offset, kind, LIVE);
            if read_file(&*old.dir, &old_path).is_ok_and(|old_bytes| old_bytes == bytes) {
                self.note(format!("{path} is of no use, in OLD too: {reason}"));
            } else {
                let message = format!("{path}: {reason}");
                self.verified.violate(offset, Kind::Snapshot, message);
            }
        }
        Ok(())
    }
}

/// Which part of a record is another one.
fn differs(old: &Seen, new: &Seen) -> Option<&'static str> {
    let parts = [
        ("timestamp", old.timestamp == new.timestamp),
        ("key", old.key == new.key),
        ("value", old.value == new.value),
        ("headers", old.headers == new.headers),
    ];
    let mut differing = parts.into_iter().filter(|(_, is_same)| !is_same);
    differing.next().map(|(what, _)| what)
}

/// The sequence number of a record; -1 without.
fn sequence_of(header: &lastword_record::BatchHeader, offset: i64) -> i64 {
    if header.base_sequence < 0 {
        return -1;
    }
    let delta = offset - header.base_offset;
    (i64::from(header.base_sequence) + delta) & i64::from(i32::MAX)
}
