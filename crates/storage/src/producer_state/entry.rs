//! One producer: its epoch, its last batches, its open transaction.
//!
//! Sequences count records of a producer from 0 to 2^31-1 and then start again at 0.

use lastword_record::BatchHeader;

use super::ProducerStateError;

/// How many batches of a producer can be recognised when they are sent again. A producer has at
/// most five requests in flight.
pub const BATCHES_KEPT: usize = 5;

/// No epoch, no sequence: the value of a producer about whom nothing is known.
const NONE: i32 = -1;

/// What is remembered of one written batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchMetadata {
    pub last_sequence: i32,
    pub last_offset: i64,
    /// Last offset minus base offset.
    pub offset_delta: i32,
    /// The batch's largest timestamp.
    pub timestamp: i64,
}

impl BatchMetadata {
    /// Sequence of its first record.
    pub fn first_sequence(&self) -> i32 {
        previous_sequence(self.last_sequence, self.offset_delta)
    }

    /// Base offset of the batch.
    pub fn first_offset(&self) -> i64 {
        self.last_offset - i64::from(self.offset_delta)
    }
}

/// The state of one producer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProducerEntry {
    pub producer_epoch: i16,
    /// Epoch of the coordinator that wrote the last marker, -1 before the first.
    pub coordinator_epoch: i32,
    pub last_timestamp: i64,
    pub current_transaction_first_offset: Option<i64>,
    /// Oldest first, at most [`BATCHES_KEPT`].
    batches: Vec<BatchMetadata>,
}

impl ProducerEntry {
    /// A producer of which nothing but the epoch is known.
    pub fn new(producer_epoch: i16) -> ProducerEntry {
        ProducerEntry {
            producer_epoch,
            coordinator_epoch: NONE,
            last_timestamp: -1,
            current_transaction_first_offset: None,
            batches: Vec::new(),
        }
    }

    /// The entry as a snapshot stores it: at most one batch.
    pub fn with_batch(mut self, batch: Option<BatchMetadata>) -> ProducerEntry {
        self.batches = batch.into_iter().collect();
        self
    }

    /// The newest batch; none when only a marker is known.
    pub fn last_batch(&self) -> Option<&BatchMetadata> {
        self.batches.last()
    }

    /// The last sequence written, -1 when only a marker is known.
    pub fn last_sequence(&self) -> i32 {
        self.last_batch().map_or(NONE, |batch| batch.last_sequence)
    }

    /// The remembered batch with exactly these sequences.
    pub fn find_batch(&self, first_sequence: i32, last_sequence: i32) -> Option<BatchMetadata> {
        self.batches
            .iter()
            .find(|batch| {
                batch.first_sequence() == first_sequence && batch.last_sequence == last_sequence
            })
            .copied()
    }

    /// A producer with an open transaction never expires: its outcome is still to come.
    pub fn is_expired(&self, now_ms: i64, expiration_ms: i64) -> bool {
        self.current_transaction_first_offset.is_none()
            && now_ms.saturating_sub(self.last_timestamp) >= expiration_ms
    }

    /// Refuses an epoch older than the current one.
    pub fn check_epoch(&self, producer_id: i64, epoch: i16) -> Result<(), ProducerStateError> {
        if epoch < self.producer_epoch {
            return Err(ProducerStateError::InvalidProducerEpoch {
                producer_id,
                current: self.producer_epoch,
                got: epoch,
            });
        }
        Ok(())
    }

    /// The first batch of an epoch starts at 0; the next one follows the last.
    pub fn check_sequence(&self, header: &BatchHeader) -> Result<(), ProducerStateError> {
        let expected = if header.producer_epoch == self.producer_epoch {
            next_sequence(self.last_sequence())
        } else {
            0
        };
        if header.base_sequence != expected {
            return Err(ProducerStateError::OutOfOrderSequence {
                producer_id: header.producer_id,
                expected,
                got: header.base_sequence,
            });
        }
        Ok(())
    }

    /// A new epoch starts with no batches: sequences begin again.
    pub fn set_epoch(&mut self, epoch: i16) {
        if epoch != self.producer_epoch {
            self.producer_epoch = epoch;
            self.batches.clear();
        }
    }

    /// Remembers a batch and forgets the oldest beyond [`BATCHES_KEPT`].
    pub fn push_batch(&mut self, header: &BatchHeader) {
        self.set_epoch(header.producer_epoch);
        if self.batches.len() == BATCHES_KEPT {
            self.batches.remove(0);
        }
        self.batches.push(BatchMetadata {
            last_sequence: header.last_sequence(),
            last_offset: header.last_offset(),
            offset_delta: header.last_offset_delta,
            timestamp: header.max_timestamp,
        });
        self.last_timestamp = header.max_timestamp;
    }
}

/// The sequence after `sequence`; 0 after the largest, and after "none".
pub fn next_sequence(sequence: i32) -> i32 {
    sequence.checked_add(1).unwrap_or(0)
}

/// The sequence `delta` records before `sequence`, over the wrap at 2^31.
pub fn previous_sequence(sequence: i32, delta: i32) -> i32 {
    if delta <= sequence || sequence < 0 {
        return sequence.wrapping_sub(delta);
    }
    let missing = i64::from(delta) - i64::from(sequence);
    i32::try_from(i64::from(i32::MAX) + 1 - missing).unwrap_or(0)
}
