//! The keys of a batch and nothing else, for whoever reads every record only to learn its key.
//!
//! Headers are not decoded: a record ends where its length says. Everything else is checked as
//! [`Records`](crate::Records) checks it: the length lies inside the batch, key and value lie inside
//! the record and leave room for a header count, offset deltas never descend nor exceed the last
//! offset delta, and the stated number of records fills the payload exactly. After the first error
//! there is nothing more.

use crate::record::{BareRecord, Walk, take_key_and_value};
use crate::{BatchHeader, RecordError};

/// What a key index wants to know about one record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordKey<'b> {
    /// Absolute offset.
    pub offset: i64,
    /// `None` is a record without a key.
    pub key: Option<&'b [u8]>,
    /// Whether the record is a tombstone.
    pub has_null_value: bool,
    /// Size of the record before compression, its length field included.
    pub size_bytes: u32,
}

/// Iterator over the keys of one batch.
#[derive(Debug, Clone)]
pub struct RecordKeys<'b> {
    walk: Walk<'b>,
    base_offset: i64,
}

impl<'b> RecordKeys<'b> {
    /// Walks `payload`, the uncompressed records behind `header`.
    pub(crate) fn new(header: &BatchHeader, payload: &'b [u8]) -> RecordKeys<'b> {
        RecordKeys {
            walk: Walk::new(header, payload),
            base_offset: header.base_offset,
        }
    }

    #[inline(always)]
    fn decode(&self, bare: BareRecord<'b>) -> Result<RecordKey<'b>, &'static str> {
        let mut body = bare.tail;
        let (key, has_null_value) = take_key_and_value(&mut body)?;
        Ok(RecordKey {
            offset: self.base_offset.wrapping_add(i64::from(bare.offset_delta)),
            key,
            has_null_value,
            size_bytes: bare.size_bytes,
        })
    }
}

impl<'b> Iterator for RecordKeys<'b> {
    type Item = Result<RecordKey<'b>, RecordError>;

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        let decoded = self.walk.next()?.and_then(|bare| self.decode(bare));
        Some(decoded.map_err(|reason| self.walk.fail(reason)))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.walk.size_hint()
    }
}

impl std::iter::FusedIterator for RecordKeys<'_> {}
