//! What the log knows about each idempotent or transactional producer.
//!
//! It answers three questions while a batch is appended: has this batch been written before
//! (then its first answer is given again), is it the next one of its producer (then nothing was
//! lost in between), and is its producer still the current one of its id (epoch fencing). It also
//! knows the open transactions, and so the first offset that is not yet decided.
//!
//! Invariants: `map_end_offset` is the next offset that has not been applied; every offset kept
//! here is below it; an entry keeps at most [`BATCHES_KEPT`] batches, all of its current epoch.
//!
//! Lock: none of its own. It lives inside the log's writer lock.
//!
//! It does not read or write files; `snapshot` formats the `.snapshot` file and the log decides
//! when one is taken.

mod entry;
pub mod snapshot;
#[cfg(test)]
mod tests;
mod verification;

use std::collections::{BTreeMap, HashMap};

use lastword_record::BatchHeader;
use thiserror::Error;

pub use entry::{BATCHES_KEPT, BatchMetadata, ProducerEntry, next_sequence, previous_sequence};
use verification::Verifications;
pub use verification::{Opening, VerificationGuard};

/// Why a batch of a producer was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ProducerStateError {
    /// A batch is missing between the last one and this one, or this one is too old to recognise.
    #[error("producer {producer_id}: sequence {got} does not follow, {expected} expected")]
    OutOfOrderSequence {
        producer_id: i64,
        expected: i32,
        got: i32,
    },
    /// A newer instance of the producer has taken over its id.
    #[error("producer {producer_id}: epoch {got} is older than the current epoch {current}")]
    InvalidProducerEpoch {
        producer_id: i64,
        current: i16,
        got: i16,
    },
    /// A batch outside of a transaction while the producer's transaction is open.
    #[error("producer {producer_id}: not transactional, but its transaction is open")]
    InvalidTransactionState { producer_id: i64 },
    /// A marker of a transaction coordinator that has been replaced.
    #[error("producer {producer_id}: coordinator epoch {got} is older than {current}")]
    CoordinatorFenced {
        producer_id: i64,
        current: i32,
        got: i32,
    },
}

/// The end of a transaction, as the record of a control batch says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndTransactionMarker {
    pub is_abort: bool,
    pub coordinator_epoch: i32,
}

/// A transaction whose marker has been appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompletedTransaction {
    pub producer_id: i64,
    pub first_offset: i64,
    /// The offset of the marker.
    pub last_offset: i64,
    pub is_aborted: bool,
}

/// What the cleaner must keep of a producer so that its state can be rebuilt from the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerPin {
    /// Last offset of the producer's last data batch; none when only a marker is known.
    pub last_data_offset: Option<i64>,
    pub epoch: i16,
}

/// One producer as an operator sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerView {
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub last_sequence: i32,
    pub last_timestamp: i64,
    pub coordinator_epoch: i32,
    pub current_transaction_start_offset: Option<i64>,
}

/// The state of every producer of one log.
#[derive(Debug, Default)]
pub struct ProducerStateManager {
    producers: HashMap<i64, ProducerEntry>,
    /// First offset -> producer id of the transactions without a marker.
    ongoing: BTreeMap<i64, i64>,
    /// First offset -> marker offset of the transactions whose marker is not below HighWatermark.
    unreplicated: BTreeMap<i64, i64>,
    verifications: Verifications,
    map_end_offset: i64,
}

impl ProducerStateManager {
    /// An empty table that has applied everything below `map_end_offset`.
    pub fn new(map_end_offset: i64) -> ProducerStateManager {
        ProducerStateManager {
            map_end_offset,
            ..ProducerStateManager::default()
        }
    }

    /// The table of a snapshot taken at `map_end_offset`, without the producers expired by now.
    pub fn from_entries(
        entries: Vec<(i64, ProducerEntry)>,
        map_end_offset: i64,
        now_ms: i64,
        expiration_ms: i64,
    ) -> ProducerStateManager {
        let mut manager = ProducerStateManager::new(map_end_offset);
        for (producer_id, entry) in entries {
            if entry.is_expired(now_ms, expiration_ms) {
                continue;
            }
            if let Some(first_offset) = entry.current_transaction_first_offset {
                manager.ongoing.insert(first_offset, producer_id);
            }
            manager.producers.insert(producer_id, entry);
        }
        manager
    }

    /// The next offset to apply.
    pub fn map_end_offset(&self) -> i64 {
        self.map_end_offset
    }

    /// Moves `map_end_offset` over offsets without a producer.
    pub fn advance_to(&mut self, offset: i64) {
        self.map_end_offset = self.map_end_offset.max(offset);
    }

    /// How many producers are known.
    pub fn len(&self) -> usize {
        self.producers.len()
    }

    /// No producer is known.
    pub fn is_empty(&self) -> bool {
        self.producers.is_empty()
    }

    /// The batch written before with the same epoch and sequences, among the last five.
    pub fn find_duplicate(&self, header: &BatchHeader) -> Option<BatchMetadata> {
        if !header.has_producer_id() || header.is_control() {
            return None;
        }
        let entry = self.producers.get(&header.producer_id)?;
        if entry.producer_epoch != header.producer_epoch {
            return None;
        }
        entry.find_batch(header.base_sequence, header.last_sequence())
    }

    /// May this data batch follow what its producer has written? Changes nothing.
    /// Sequences are checked only for clients: a coordinator or a replay writes what it must.
    pub fn check_data(
        &self,
        header: &BatchHeader,
        check_sequence: bool,
    ) -> Result<(), ProducerStateError> {
        if !header.has_producer_id() {
            return Ok(());
        }
        let entry = self.producers.get(&header.producer_id);
        if let Some(entry) = entry {
            entry.check_epoch(header.producer_id, header.producer_epoch)?;
        }
        if check_sequence {
            let has_batches = entry.is_some_and(|entry| entry.last_batch().is_some());
            let (id, sequence) = (header.producer_id, header.base_sequence);
            self.verifications
                .check_sequence(id, sequence, has_batches)?;
        }
        // Nothing is known of the producer: it is new, or all it wrote has been deleted. Refusing
        // would stop a healthy producer, so any sequence may start the table.
        let Some(entry) = entry else {
            return Ok(());
        };
        if check_sequence {
            entry.check_sequence(header)?;
        }
        if entry.current_transaction_first_offset.is_some() && !header.is_transactional() {
            return Err(ProducerStateError::InvalidTransactionState {
                producer_id: header.producer_id,
            });
        }
        Ok(())
    }

    /// Begins to open a transaction in this log; `None` when the producer has one open with this
    /// epoch, so that nothing has to be verified. A producer whose epoch is over is refused.
    pub fn begin_verification(
        &mut self,
        opening: Opening,
        now_ms: i64,
    ) -> Result<Option<VerificationGuard>, ProducerStateError> {
        let (producer_id, epoch) = (opening.producer_id, opening.producer_epoch);
        if let Some(entry) = self.producers.get(&producer_id) {
            entry.check_epoch(producer_id, epoch)?;
        }
        if self.has_ongoing_transaction(producer_id, epoch) {
            return Ok(None);
        }
        Ok(Some(self.verifications.begin(opening, now_ms)))
    }

    /// The coordinator has refused: forgets the guard, so that producers which nobody knows leave
    /// nothing behind.
    pub fn abandon_verification(&mut self, producer_id: i64, guard: VerificationGuard) {
        self.verifications.abandon(producer_id, guard);
    }

    /// Whether a transactional batch may be written under the guard that was handed out before
    /// its transaction was verified: the transaction is open, or nothing has ended it since.
    pub fn is_verified(
        &self,
        producer_id: i64,
        epoch: i16,
        guard: Option<VerificationGuard>,
    ) -> bool {
        self.has_ongoing_transaction(producer_id, epoch)
            || guard.is_some_and(|guard| self.verifications.is_in_force(producer_id, guard))
    }

    fn has_ongoing_transaction(&self, producer_id: i64, epoch: i16) -> bool {
        self.producers.get(&producer_id).is_some_and(|entry| {
            entry.producer_epoch == epoch && entry.current_transaction_first_offset.is_some()
        })
    }

    /// May this marker end the transaction of its producer? Changes nothing.
    ///
    /// With `bumps_epochs` (transactions v2) its epoch is above that of the transaction, so that
    /// one that comes late cannot end the next: with the same epoch it may only be written again,
    /// or when there are no more epochs.
    pub fn check_marker(
        &self,
        header: &BatchHeader,
        marker: EndTransactionMarker,
        bumps_epochs: bool,
    ) -> Result<(), ProducerStateError> {
        let Some(entry) = self.producers.get(&header.producer_id) else {
            return Ok(());
        };
        entry.check_epoch(header.producer_id, header.producer_epoch)?;
        if bumps_epochs
            && header.producer_epoch == entry.producer_epoch
            && header.producer_epoch != i16::MAX
            && entry.current_transaction_first_offset.is_some()
        {
            return Err(ProducerStateError::InvalidProducerEpoch {
                producer_id: header.producer_id,
                current: entry.producer_epoch,
                got: header.producer_epoch,
            });
        }
        if marker.coordinator_epoch < entry.coordinator_epoch {
            return Err(ProducerStateError::CoordinatorFenced {
                producer_id: header.producer_id,
                current: entry.coordinator_epoch,
                got: marker.coordinator_epoch,
            });
        }
        Ok(())
    }

    /// Takes in a batch that is in the log. `header` has its final offsets; `marker` is the
    /// record of a control batch (none when cleaning has emptied it).
    pub fn apply(
        &mut self,
        header: &BatchHeader,
        marker: Option<EndTransactionMarker>,
    ) -> Option<CompletedTransaction> {
        self.map_end_offset = header.next_offset();
        if !header.has_producer_id() {
            return None;
        }
        let entry = self
            .producers
            .entry(header.producer_id)
            .or_insert_with(|| ProducerEntry::new(header.producer_epoch));
        if header.is_transactional() {
            self.verifications.end(header.producer_id);
        }
        if header.is_control() {
            entry.set_epoch(header.producer_epoch);
            entry.last_timestamp = header.max_timestamp;
            let marker = marker?;
            entry.coordinator_epoch = marker.coordinator_epoch;
            let first_offset = entry.current_transaction_first_offset.take()?;
            return Some(CompletedTransaction {
                producer_id: header.producer_id,
                first_offset,
                last_offset: header.last_offset(),
                is_aborted: marker.is_abort,
            });
        }
        entry.push_batch(header);
        if header.is_transactional() && entry.current_transaction_first_offset.is_none() {
            entry.current_transaction_first_offset = Some(header.base_offset);
            self.ongoing.insert(header.base_offset, header.producer_id);
        }
        None
    }

    /// LastStableOffset as it will be once `completed` is decided: what the transaction index
    /// stores beside an abort.
    pub fn last_stable_offset_after(&self, completed: &CompletedTransaction) -> i64 {
        self.ongoing
            .iter()
            .find(|(_, producer_id)| **producer_id != completed.producer_id)
            .map_or(completed.last_offset + 1, |(first_offset, _)| *first_offset)
    }

    /// The transaction's outcome is in the log; it stays undecided for readers until
    /// HighWatermark has passed its marker.
    pub fn complete(&mut self, completed: &CompletedTransaction) {
        self.ongoing.remove(&completed.first_offset);
        self.unreplicated
            .insert(completed.first_offset, completed.last_offset);
    }

    /// HighWatermark has moved: transactions whose marker is below it are decided.
    pub fn on_high_watermark(&mut self, high_watermark: i64) {
        self.unreplicated
            .retain(|_, last_offset| *last_offset >= high_watermark);
    }

    /// LogStartOffset has moved: what lies below it no longer matters.
    pub fn on_log_start_offset(&mut self, log_start_offset: i64) {
        self.unreplicated
            .retain(|_, last_offset| *last_offset >= log_start_offset);
        self.advance_to(log_start_offset);
    }

    /// The first offset that belongs to an undecided transaction.
    pub fn first_unstable_offset(&self) -> Option<i64> {
        let ongoing = self.ongoing.keys().next().copied();
        let unreplicated = self.unreplicated.keys().next().copied();
        match (ongoing, unreplicated) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (one, other) => one.or(other),
        }
    }

    /// Forgets the producers that have been silent for too long, never one with an open
    /// transaction. Returns how many went.
    pub fn expire(&mut self, now_ms: i64, expiration_ms: i64) -> usize {
        self.verifications.expire(now_ms, expiration_ms);
        let before = self.producers.len();
        self.producers
            .retain(|_, entry| !entry.is_expired(now_ms, expiration_ms));
        before - self.producers.len()
    }

    /// What the cleaner must keep, for every producer that has not expired.
    pub fn pins(&self, now_ms: i64, expiration_ms: i64) -> HashMap<i64, ProducerPin> {
        self.producers
            .iter()
            .filter(|(_, entry)| !entry.is_expired(now_ms, expiration_ms))
            .map(|(producer_id, entry)| {
                let pin = ProducerPin {
                    last_data_offset: entry.last_batch().map(|batch| batch.last_offset),
                    epoch: entry.producer_epoch,
                };
                (*producer_id, pin)
            })
            .collect()
    }

    /// Every producer, by id.
    pub fn views(&self) -> Vec<ProducerView> {
        let mut views: Vec<ProducerView> = self
            .producers
            .iter()
            .map(|(producer_id, entry)| ProducerView {
                producer_id: *producer_id,
                producer_epoch: entry.producer_epoch,
                last_sequence: entry.last_sequence(),
                last_timestamp: entry.last_timestamp,
                coordinator_epoch: entry.coordinator_epoch,
                current_transaction_start_offset: entry.current_transaction_first_offset,
            })
            .collect();
        views.sort_by_key(|view| view.producer_id);
        views
    }

    /// Every producer's entry, by id: the order of the snapshot file.
    pub fn entries(&self) -> Vec<(i64, &ProducerEntry)> {
        let mut entries: Vec<(i64, &ProducerEntry)> = self
            .producers
            .iter()
            .map(|(id, entry)| (*id, entry))
            .collect();
        entries.sort_by_key(|(id, _)| *id);
        entries
    }
}
