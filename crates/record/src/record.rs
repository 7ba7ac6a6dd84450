//! Records inside a batch: an iterator that checks while it walks and borrows everything.
//!
//! A record is `varint length, int8 attributes, varlong timestampDelta, varint offsetDelta,
//! varint keyLength, key, varint valueLength, value, varint headerCount, headers`; a length of -1
//! is null. Timestamp deltas may be negative: a cleaned batch counts them from its delete horizon.
//!
//! The iterator yields exactly the number of records that the header states, with offset deltas
//! that never descend and are at most lastOffsetDelta, no byte left over in any record or behind the
//! last; else it yields one error and then ends. Equal offsets are what an upgraded legacy log may
//! have (see `legacy`); that no producer sends them is for the append to check. It does not check
//! that header keys are UTF-8, nor that a codec is what a producer should have sent.

use crate::varint::{Length, read_length, read_nullable_bytes, read_varint, read_varlong};
use crate::{BatchHeader, RecordError, TimestampType};

/// One record; its bytes are borrowed from the batch or from the decompressor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'b> {
    /// Absolute offset.
    pub offset: i64,
    /// Absolute timestamp; the batch's maxTimestamp for LogAppendTime.
    pub timestamp: i64,
    /// `None` is a record without a key, which a compacted topic refuses.
    pub key: Option<&'b [u8]>,
    /// `None` is a tombstone.
    pub value: Option<&'b [u8]>,
    /// Kept as they are, order and repetitions included.
    pub headers: Headers<'b>,
    /// From the key's length to the end of the headers: what a rebuilt batch takes over verbatim.
    pub(crate) tail: &'b [u8],
}

/// The headers of a record, still encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Headers<'b> {
    raw: &'b [u8],
    count: u32,
}

impl<'b> Headers<'b> {
    /// How many headers there are.
    pub fn count(&self) -> usize {
        self.count as usize
    }

    /// The encoded bytes, the count included.
    pub fn raw(&self) -> &'b [u8] {
        self.raw
    }

    /// Keys and values in their order; a key may come twice.
    pub fn iter(&self) -> HeadersIter<'b> {
        let mut rest = self.raw;
        // The count was checked when the record was read; only the bytes behind it matter here.
        let left = if read_varint(&mut rest).is_some() {
            self.count
        } else {
            0
        };
        HeadersIter { rest, left }
    }
}

impl<'b> IntoIterator for Headers<'b> {
    type Item = (&'b [u8], Option<&'b [u8]>);
    type IntoIter = HeadersIter<'b>;

    fn into_iter(self) -> HeadersIter<'b> {
        self.iter()
    }
}

/// Iterator of [`Headers`].
#[derive(Debug, Clone)]
pub struct HeadersIter<'b> {
    rest: &'b [u8],
    left: u32,
}

impl<'b> Iterator for HeadersIter<'b> {
    type Item = (&'b [u8], Option<&'b [u8]>);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        read_header(&mut self.rest).ok()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(self.left as usize))
    }
}

/// Iterator over the records of one batch.
#[derive(Debug, Clone)]
pub struct Records<'b> {
    walk: Walk<'b>,
    base_offset: i64,
    base_timestamp: i64,
    log_append_time: Option<i64>,
}

impl<'b> Records<'b> {
    /// Walks `payload`, the uncompressed records behind `header`.
    pub(crate) fn new(header: &BatchHeader, payload: &'b [u8]) -> Records<'b> {
        let log_append_time = match header.timestamp_type() {
            TimestampType::CreateTime => None,
            TimestampType::LogAppendTime => Some(header.max_timestamp),
        };
        Records {
            walk: Walk::new(header, payload),
            base_offset: header.base_offset,
            base_timestamp: header.base_timestamp,
            log_append_time,
        }
    }

    #[inline(always)]
    fn decode(&self, bare: BareRecord<'b>) -> Result<Record<'b>, &'static str> {
        let mut body = bare.tail;
        let key = read_nullable_bytes(&mut body).ok_or("bad key length")?;
        let value = read_nullable_bytes(&mut body).ok_or("bad value length")?;
        let headers = match body {
            [0] => Headers {
                raw: body,
                count: 0,
            },
            _ => read_headers(body)?,
        };
        let timestamp = match self.log_append_time {
            None => self.base_timestamp.wrapping_add(bare.timestamp_delta),
            Some(log_append_time) => log_append_time,
        };
        let offset = self.base_offset.wrapping_add(i64::from(bare.offset_delta));
        Ok(Record {
            offset,
            timestamp,
            key,
            value,
            headers,
            tail: bare.tail,
        })
    }
}

impl<'b> Iterator for Records<'b> {
    type Item = Result<Record<'b>, RecordError>;

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        let decoded = self.walk.next()?.and_then(|bare| self.decode(bare));
        Some(decoded.map_err(|reason| self.walk.fail(reason)))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.walk.size_hint()
    }
}

impl std::iter::FusedIterator for Records<'_> {}

/// The walk from record to record that [`Records`] and [`RecordKeys`](crate::RecordKeys) have in common: as many records
/// as the header states, offset deltas in order, no byte left over behind the last.
#[derive(Debug, Clone)]
pub(crate) struct Walk<'b> {
    rest: &'b [u8],
    left: u32,
    deltas: OffsetDeltas,
}

/// A record of which only what stands before its key was read.
pub(crate) struct BareRecord<'b> {
    /// Its length field included; at most 2^31+4: a length that is not negative and its varint.
    pub size_bytes: u32,
    pub timestamp_delta: i64,
    pub offset_delta: i32,
    /// From the key's length on.
    pub tail: &'b [u8],
}

impl<'b> Walk<'b> {
    pub fn new(header: &BatchHeader, payload: &'b [u8]) -> Walk<'b> {
        Walk {
            rest: payload,
            left: u32::try_from(header.record_count).unwrap_or(0),
            deltas: OffsetDeltas::new(header),
        }
    }

    /// The next record, or what is wrong with it: then the caller ends the walk with [`Walk::fail`].
    #[inline(always)]
    pub fn next(&mut self) -> Option<Result<BareRecord<'b>, &'static str>> {
        if self.left == 0 {
            if self.rest.is_empty() {
                return None;
            }
            return Some(Err("bytes left over behind the last record"));
        }
        self.left -= 1;
        Some(self.take())
    }

    #[inline(always)]
    fn take(&mut self) -> Result<BareRecord<'b>, &'static str> {
        let mut rest = self.rest;
        let mut body = take_body(&mut rest)?;
        let size_bytes = (self.rest.len() - rest.len()) as u32;
        let (timestamp_delta, offset_delta) = take_deltas(&mut body)?;
        self.deltas.advance(offset_delta)?;
        self.rest = rest;
        Ok(BareRecord {
            size_bytes,
            timestamp_delta,
            offset_delta,
            tail: body,
        })
    }

    /// There is nothing more after an error.
    #[cold]
    pub fn fail(&mut self, reason: &'static str) -> RecordError {
        self.rest = &[];
        self.left = 0;
        RecordError::InvalidRecord { reason }
    }

    /// The lower bound is 0, so that collecting never reserves what a hostile count asks for.
    pub fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(self.left as usize + 1))
    }
}

/// Takes the next record off `rest`; what is returned is the record behind its length.
#[inline(always)]
pub(crate) fn take_body<'b>(rest: &mut &'b [u8]) -> Result<&'b [u8], &'static str> {
    let Some(Length::Bytes(length)) = read_length(rest) else {
        return Err("bad record length");
    };
    let (body, behind) = rest
        .split_at_checked(length)
        .ok_or("a record reaches beyond the end of its batch")?;
    *rest = behind;
    Ok(body)
}

/// Takes attributes, timestamp delta and offset delta off a record; the key's length comes next.
#[inline(always)]
pub(crate) fn take_deltas(body: &mut &[u8]) -> Result<(i64, i32), &'static str> {
    // The attributes of a record have no meaning yet; Kafka ignores them as well.
    let (_, mut rest) = body.split_first().ok_or("record without attributes")?;
    let timestamp_delta = read_varlong(&mut rest).ok_or("bad timestamp delta")?;
    let offset_delta = read_varint(&mut rest).ok_or("bad offset delta")?;
    *body = rest;
    Ok((timestamp_delta, offset_delta))
}

/// Takes key and value off a record, of which at least the header count must be left, and answers
/// the key and whether the value is null.
#[inline(always)]
pub(crate) fn take_key_and_value<'b>(
    body: &mut &'b [u8],
) -> Result<(Option<&'b [u8]>, bool), &'static str> {
    let key = read_nullable_bytes(body).ok_or("bad key length")?;
    let value = read_nullable_bytes(body).ok_or("bad value length")?;
    if body.is_empty() {
        return Err("record without a header count");
    }
    Ok((key, value.is_none()))
}

/// Sees to it that the offset deltas of a batch never descend, up to the last offset delta.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OffsetDeltas {
    previous: i32,
    last: i32,
}

impl OffsetDeltas {
    pub(crate) fn new(header: &BatchHeader) -> OffsetDeltas {
        OffsetDeltas {
            previous: 0,
            last: header.last_offset_delta,
        }
    }

    #[inline(always)]
    pub(crate) fn advance(&mut self, offset_delta: i32) -> Result<(), &'static str> {
        if offset_delta < self.previous {
            return Err("offset deltas descend");
        }
        if offset_delta > self.last {
            return Err("offset delta beyond the last offset delta of the batch");
        }
        self.previous = offset_delta;
        Ok(())
    }
}

/// Checks that `raw` is a count and that many headers, nothing more.
fn read_headers(raw: &[u8]) -> Result<Headers<'_>, &'static str> {
    let mut rest = raw;
    let count = read_varint(&mut rest).ok_or("bad header count")?;
    let count = u32::try_from(count).map_err(|_| "negative header count")?;
    for _ in 0..count {
        read_header(&mut rest)?;
    }
    if !rest.is_empty() {
        return Err("bytes left over behind the last header");
    }
    Ok(Headers { raw, count })
}

#[inline]
fn read_header<'b>(rest: &mut &'b [u8]) -> Result<(&'b [u8], Option<&'b [u8]>), &'static str> {
    let key = read_nullable_bytes(rest).ok_or("bad header key length")?;
    let key = key.ok_or("header key is null")?;
    let value = read_nullable_bytes(rest).ok_or("bad header value length")?;
    Ok((key, value))
}
