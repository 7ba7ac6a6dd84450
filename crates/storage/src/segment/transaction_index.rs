//! `.txnindex`: the aborted transactions whose marker is in this segment.
//!
//! ```text
//! off len field              big endian
//!   0   2 version = 0
//!   2   8 producerId
//!  10   8 firstOffset        of the transaction, maybe in an earlier segment
//!  18   8 lastOffset         the marker's, strictly rising
//!  26   8 lastStableOffset   when the marker was appended
//! ```
//! The file exists once there is an entry. No checksum; what does not fit these rules makes the segment need recovery.

use std::sync::Arc;

use super::files::SegmentFiles;
use super::index_file::IndexFile;
use crate::error::StorageError;
use crate::file_name::SegmentFile;

pub(super) const ENTRY_BYTES: usize = 34;
const VERSION: i16 = 0;

/// A transaction that was rolled back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AbortedTransaction {
    pub producer_id: i64,
    pub first_offset: i64,
    /// Offset of the abort marker.
    pub last_offset: i64,
    /// LastStableOffset when the marker was appended: no transaction that ended later starts below it.
    pub last_stable_offset: i64,
}

impl AbortedTransaction {
    fn encode(&self) -> [u8; ENTRY_BYTES] {
        let mut bytes = [0; ENTRY_BYTES];
        bytes[..2].copy_from_slice(&VERSION.to_be_bytes());
        bytes[2..10].copy_from_slice(&self.producer_id.to_be_bytes());
        bytes[10..18].copy_from_slice(&self.first_offset.to_be_bytes());
        bytes[18..26].copy_from_slice(&self.last_offset.to_be_bytes());
        bytes[26..].copy_from_slice(&self.last_stable_offset.to_be_bytes());
        bytes
    }

    /// `None` for a version that is not known.
    pub(crate) fn decode(bytes: &[u8; ENTRY_BYTES]) -> Option<AbortedTransaction> {
        let (version, fields) = bytes.split_first_chunk::<2>()?;
        let (fields, _) = fields.as_chunks::<8>();
        let [producer_id, first_offset, last_offset, last_stable_offset] = *fields else {
            return None;
        };
        (i16::from_be_bytes(*version) == VERSION).then_some(AbortedTransaction {
            producer_id: i64::from_be_bytes(producer_id),
            first_offset: i64::from_be_bytes(first_offset),
            last_offset: i64::from_be_bytes(last_offset),
            last_stable_offset: i64::from_be_bytes(last_stable_offset),
        })
    }
}

/// Aborted transactions of a range of offsets, collected from one segment after the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CollectedAborts {
    pub transactions: Vec<AbortedTransaction>,
    /// No later segment can have one of this range.
    pub is_complete: bool,
}

/// The transaction index of one segment.
pub struct TransactionIndex {
    files: Arc<SegmentFiles>,
    index: IndexFile<ENTRY_BYTES>,
}

impl TransactionIndex {
    pub(super) fn absent(files: &Arc<SegmentFiles>) -> TransactionIndex {
        let index = IndexFile::absent(files, SegmentFile::TransactionIndex);
        TransactionIndex {
            files: Arc::clone(files),
            index,
        }
    }

    /// The index, and whether it follows the rules.
    pub(super) fn open(
        files: &Arc<SegmentFiles>,
    ) -> Result<(TransactionIndex, bool), StorageError> {
        match IndexFile::open(files, SegmentFile::TransactionIndex)? {
            Some(index) => {
                let index = TransactionIndex {
                    files: Arc::clone(files),
                    index,
                };
                let is_sane = index.is_sane()?;
                index.index.close();
                Ok((index, is_sane))
            }
            // Missing is as good as empty; a length that does not fit is damage.
            None => Ok((
                TransactionIndex::absent(files),
                files.open(SegmentFile::TransactionIndex)?.is_none(),
            )),
        }
    }

    /// How many entries.
    pub fn count(&self) -> u32 {
        self.index.count()
    }

    /// Adds an aborted transaction; its marker is the newest of the segment. One writer at a time.
    pub fn append(&self, transaction: &AbortedTransaction) -> Result<(), StorageError> {
        self.index.append(&transaction.encode())
    }

    /// All entries, in the order of their markers.
    pub fn entries(&self) -> Result<Vec<AbortedTransaction>, StorageError> {
        let mut transactions = Vec::new();
        self.visit(|transaction| {
            transactions.push(transaction);
            true
        })?;
        Ok(transactions)
    }

    /// Adds to `collected` the transactions that touch `[from_offset, to_offset)`, and says in it whether the search
    /// may stop here or must go on in the next segment.
    pub fn collect(
        &self,
        from_offset: i64,
        to_offset: i64,
        collected: &mut CollectedAborts,
    ) -> Result<(), StorageError> {
        self.visit(|transaction| {
            if transaction.last_offset >= from_offset && transaction.first_offset < to_offset {
                collected.transactions.push(transaction);
            }
            collected.is_complete |= transaction.last_stable_offset >= to_offset;
            !collected.is_complete
        })
    }

    fn visit(&self, mut visit: impl FnMut(AbortedTransaction) -> bool) -> Result<(), StorageError> {
        let (mut position, mut corrupt_at) = (0, None);
        self.index.for_each(0, |entry| {
            let goes_on = AbortedTransaction::decode(entry).map(&mut visit);
            corrupt_at = goes_on.is_none().then_some(position);
            position += ENTRY_BYTES as u64;
            goes_on.unwrap_or(false)
        })?;
        match corrupt_at {
            Some(position) => Err(StorageError::corrupt_segment(
                self.index.path(),
                position,
                "unknown version",
            )),
            None => Ok(()),
        }
    }

    fn is_sane(&self) -> Result<bool, StorageError> {
        let mut previous = i64::MIN;
        let mut is_sane = true;
        self.index.for_each(0, |entry| {
            is_sane = AbortedTransaction::decode(entry).is_some_and(|transaction| {
                let rises = transaction.last_offset > previous
                    && transaction.last_offset >= self.files.base_offset;
                previous = transaction.last_offset;
                rises && transaction.first_offset <= transaction.last_offset
            });
            is_sane
        })?;
        Ok(is_sane)
    }

    /// Forgets the entries whose marker is at `offset` or above: recovery will find the markers again.
    pub(super) fn truncate_from(&self, offset: i64) -> Result<(), StorageError> {
        let keep = self.index.partition_point(|entry| {
            AbortedTransaction::decode(entry)
                .is_some_and(|transaction| transaction.last_offset < offset)
        })?;
        if keep < self.index.count() {
            self.index.truncate(keep)
        } else {
            Ok(())
        }
    }

    pub(super) fn file(&self) -> &IndexFile<ENTRY_BYTES> {
        &self.index
    }
}
