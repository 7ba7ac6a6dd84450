//! The keys of a batch and nothing else, for whoever reads every record only to learn its key.
//!
//! Headers are not decoded: a record ends where its length says. Everything else is checked as
//! [`Records`](crate::Records) checks it: the length lies inside the batch, key and value lie inside
//! the record and leave room for a header count, offset deltas never descend nor exceed the last
//! offset delta, and the stated number of records fills the payload exactly. After the first error
//! there is nothing more.

use crate::record::{OffsetDeltas, take_body, take_deltas, take_key_and_value};
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
    rest: &'b [u8],
    left: u32,
    deltas: OffsetDeltas,
    base_offset: i64,
}

impl<'b> RecordKeys<'b> {
    /// Walks `payload`, the uncompressed records behind `header`.
    pub(crate) fn new(header: &BatchHeader, payload: &'b [u8]) -> RecordKeys<'b> {
        RecordKeys {
            rest: payload,
            left: u32::try_from(header.record_count).unwrap_or(0),
            deltas: OffsetDeltas::new(header),
            base_offset: header.base_offset,
        }
    }

    #[inline(always)]
    fn decode(&mut self) -> Result<RecordKey<'b>, &'static str> {
        let mut rest = self.rest;
        let mut body = take_body(&mut rest)?;
        // At most 2^31+4: a length that is not negative and its varint.
        let size_bytes = (self.rest.len() - rest.len()) as u32;
        let (_, offset_delta) = take_deltas(&mut body)?;
        self.deltas.advance(offset_delta)?;
        let (key, has_null_value) = take_key_and_value(&mut body)?;
        self.rest = rest;
        Ok(RecordKey {
            offset: self.base_offset.wrapping_add(i64::from(offset_delta)),
            key,
            has_null_value,
            size_bytes,
        })
    }

    #[cold]
    fn fail(&mut self, reason: &'static str) -> RecordError {
        self.rest = &[];
        self.left = 0;
        RecordError::InvalidRecord { reason }
    }
}

impl<'b> Iterator for RecordKeys<'b> {
    type Item = Result<RecordKey<'b>, RecordError>;

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            if self.rest.is_empty() {
                return None;
            }
            return Some(Err(self.fail("bytes left over behind the last record")));
        }
        self.left -= 1;
        match self.decode() {
            Ok(key) => Some(Ok(key)),
            Err(reason) => Some(Err(self.fail(reason))),
        }
    }

    /// The lower bound is 0, so that collecting never reserves what a hostile count asks for.
    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(self.left as usize + 1))
    }
}

impl std::iter::FusedIterator for RecordKeys<'_> {}
