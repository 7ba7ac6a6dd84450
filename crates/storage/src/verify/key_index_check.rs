//! The key index of one segment, held against its batches and records while these go by: every batch is described as it
//! is, and the entries are those of the records, no more and no fewer.
//!
//! Entries are sorted by key and records come by place, so sums of their hashes are compared: two different sets have
//! one sum with a probability of 2^-128. An index that the broker would recognise as another log's and build again is
//! no damage, only a note. No lock.

use siphasher::sip128::SipHasher24;

use super::reader::BatchPlace;
use super::side::Seen;
use crate::dir::Dir;
use crate::error::StorageError;
use crate::file_name::{self, LIVE, SegmentFile};
use crate::key_index::{Batches, Entry, KeyHash, KeyHasher, KeyIndex};

const BUFFER_BYTES: usize = 256 << 10;

/// What came of it.
pub enum Judged {
    Right,
    /// The broker sees that it is of no use, and builds it again.
    Unusable(String),
    /// It would be believed.
    Wrong(String),
}

pub struct KeyIndexCheck {
    index: KeyIndex,
    batches: Batches,
    sum_hasher: SipHasher24,
    sum: u128,
    ordinal: u32,
    log_bytes: u64,
    next_offset: i64,
    last_batch_crc: u32,
    wrong: Option<String>,
}

impl KeyIndexCheck {
    /// None when there is no index; or why it is of no use.
    pub fn open(
        dir: &dyn Dir,
        partition_dir: &str,
        base_offset: i64,
        hasher: &KeyHasher,
        secret: &[u8; 16],
    ) -> Result<Option<Result<KeyIndexCheck, String>>, StorageError> {
        let path = file_name::segment_path(partition_dir, base_offset, SegmentFile::KeyIndex, LIVE);
        let file = match dir.open_to_read(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StorageError::io("open", path, error)),
        };
        let index = match KeyIndex::open_alone(file, path, Some(hasher))? {
            Ok(index) => index,
            Err(reason) => return Ok(Some(Err(reason))),
        };
        Ok(Some(Ok(KeyIndexCheck {
            batches: index.batches(BUFFER_BYTES),
            index,
            sum_hasher: SipHasher24::new_with_key(secret),
            sum: 0,
            ordinal: 0,
            log_bytes: 0,
            next_offset: base_offset,
            last_batch_crc: 0,
            wrong: None,
        })))
    }

    pub fn push_batch(&mut self, place: &BatchPlace) -> Result<(), StorageError> {
        let header = &place.header;
        self.log_bytes = place.position + place.size_bytes;
        self.next_offset = header.next_offset();
        self.last_batch_crc = header.crc;
        if self.wrong.is_some() {
            return Ok(());
        }
        let described = match self.batches.next_batch() {
            Ok(described) => described,
            Err(StorageError::CorruptKeyIndex { reason, .. }) => {
                self.wrong = Some(reason);
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let is_right = described.is_some_and(|batch| {
            batch.is_described_by(header)
                && u64::from(batch.position) == place.position
                && batch.is_control == header.is_control()
                && batch.is_transactional == header.is_transactional()
                && batch.delete_horizon_ms == header.delete_horizon_ms()
                && batch.producer
                    == header
                        .has_producer_id()
                        .then_some((header.producer_id, header.producer_epoch))
        });
        if !is_right {
            self.wrong = Some(format!(
                "it describes another batch than the one at offset {}",
                header.base_offset
            ));
        }
        Ok(())
    }

    /// A record of the last batch that was pushed.
    pub fn push_record(&mut self, record: &Seen, is_control: bool) {
        if let (Some(hash), false) = (record.index_hash, is_control) {
            let ordinal = self.ordinal & (u32::MAX >> 1);
            let entry = Entry::new(hash, ordinal, record.value.is_none());
            self.sum = self.sum.wrapping_add(self.hash(entry));
        }
        self.ordinal = self.ordinal.saturating_add(1);
    }

    fn hash(&self, entry: Entry) -> u128 {
        self.sum_hasher.hash(&entry.to_bytes()).as_u128()
    }

    /// The segment is over.
    pub fn finish(mut self) -> Result<Judged, StorageError> {
        let header = *self.index.header();
        if u64::from(header.log_bytes) != self.log_bytes
            || header.next_offset != self.next_offset
            || header.last_batch_crc != self.last_batch_crc
        {
            return Ok(Judged::Unusable("it belongs to another log".into()));
        }
        if let Some(reason) = self.wrong.take() {
            return Ok(Judged::Wrong(reason));
        }
        match self.check_ends() {
            Ok(None) => Ok(Judged::Right),
            Ok(Some(reason)) | Err(StorageError::CorruptKeyIndex { reason, .. }) => {
                Ok(Judged::Wrong(reason))
            }
            Err(error) => Err(error),
        }
    }

    fn check_ends(&mut self) -> Result<Option<String>, StorageError> {
        if self.batches.next_batch()?.is_some() {
            return Ok(Some("it has more batches than the log".into()));
        }
        let mut sum = 0u128;
        let sum_hasher = self.sum_hasher;
        let mut entries = self
            .index
            .entries(0..self.index.header().entry_count, BUFFER_BYTES);
        entries.for_each_up_to(Entry::last_of(KeyHash::MAX), |entry| {
            sum = sum.wrapping_add(sum_hasher.hash(&entry.to_bytes()).as_u128());
        })?;
        self.index.check_entries([entries.end()].iter())?;
        Ok((sum != self.sum).then(|| "its entries are not those of the records".into()))
    }
}
