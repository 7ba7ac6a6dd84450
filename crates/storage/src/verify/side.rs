//! `Side`: one of the two logs in the walk, record by record. A record is its offset, its time and hashes of the rest.

use std::hash::Hasher;
use std::sync::atomic::AtomicU64;

use lastword_record::Record;
use lastword_record::control::ControlRecordType;
use siphasher::sip128::{Hasher128, SipHasher24};

use super::history::marker_of;
use super::next_of;
use super::reader::{BatchPlace, PartitionReader, ReadError};
use crate::key_index::{KeyHash, KeyHasher};

/// What of a record must not change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    pub offset: i64,
    pub timestamp: i64,
    pub key: Option<u128>,
    pub value: Option<u128>,
    pub headers: u128,
    pub marker: Option<ControlRecordType>,
    /// As the key index of its segment has it.
    pub index_hash: Option<KeyHash>,
}

/// See the file header.
pub struct Side<'a> {
    reader: PartitionReader,
    progress: &'a AtomicU64,
    hasher: SipHasher24,
    index_hasher: Option<KeyHasher>,
    batch: Option<BatchPlace>,
    records: Vec<Seen>,
    next: usize,
    /// Of the next record, counted through the log.
    ordinal: u64,
}

impl<'a> Side<'a> {
    pub fn new(
        reader: PartitionReader,
        secret: &[u8; 16],
        index_hasher: Option<KeyHasher>,
        progress: &'a AtomicU64,
    ) -> Side<'a> {
        Side {
            index_hasher,
            reader,
            progress,
            hasher: SipHasher24::new_with_key(secret),
            batch: None,
            records: Vec::new(),
            next: 0,
            ordinal: 0,
        }
    }

    /// Reads the next batch; the records of the last one that were not taken are passed over.
    pub fn load(&mut self) -> Result<Option<BatchPlace>, ReadError> {
        self.ordinal += (self.records.len() - self.next) as u64;
        self.records.clear();
        self.next = 0;
        self.batch = next_of(&mut self.reader, self.progress)?;
        let Some(place) = self.batch else {
            return Ok(None);
        };
        let (records, hasher) = (&mut self.records, &self.hasher);
        let index_hasher = self.index_hasher.as_ref();
        let shown = self.reader.for_each_record(|record| {
            let index_hash = index_hasher.and_then(|hasher| Some(hasher.hash(record.key?)));
            records.push(seen(hasher, &place, record, index_hash));
        });
        match shown {
            Ok(()) => Ok(Some(place)),
            Err(error) => Err(ReadError::Damage(self.reader.damage_at(&place, &error))),
        }
    }

    /// The batch of the next record.
    pub fn batch(&self) -> Option<BatchPlace> {
        self.batch
    }

    /// The next record of this batch, and its ordinal.
    pub fn peek(&self) -> Option<(Seen, u64)> {
        Some((*self.records.get(self.next)?, self.ordinal))
    }

    /// Whether the record after the next one has its offset: only old formats have that.
    pub fn has_twin(&self) -> bool {
        let offset = |index: usize| self.records.get(index).map(|record| record.offset);
        offset(self.next).is_some() && offset(self.next) == offset(self.next + 1)
    }

    pub fn take(&mut self) {
        self.next += 1;
        self.ordinal += 1;
    }

    /// The records of this batch, taken or not.
    pub fn records(&self) -> &[Seen] {
        &self.records
    }

    /// The newest timestamp of the records of this batch.
    pub fn newest_ms(&self) -> Option<i64> {
        self.records.iter().map(|record| record.timestamp).max()
    }
}

fn seen(
    hasher: &SipHasher24,
    place: &BatchPlace,
    record: &Record<'_>,
    index_hash: Option<KeyHash>,
) -> Seen {
    let hash = |bytes: &[u8]| hasher.hash(bytes).as_u128();
    let mut headers = *hasher;
    for (key, value) in record.headers {
        let value = value.map(|value| hasher.hash(value).as_u128());
        headers.write_u128(hash(key));
        headers.write_u8(u8::from(value.is_some()));
        headers.write_u128(value.unwrap_or(0));
    }
    Seen {
        offset: record.offset,
        timestamp: record.timestamp,
        key: record.key.map(hash),
        value: record.value.map(hash),
        headers: headers.finish128().as_u128(),
        marker: marker_of(&place.header, record),
        index_hash,
    }
}
