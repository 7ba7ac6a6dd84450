//! Reading and writing the primitive types of Kafka's schemas, big-endian.
//!
//! Bytes read here come from a disk or a client: each read is checked, and nothing is allocated by
//! a count that was read.

use bytes::Bytes;

use crate::error::CoordinatorError;

pub(crate) struct Reader<'a> {
    what: &'static str,
    rest: &'a [u8],
    len: usize,
}

type Field<T> = Result<T, CoordinatorError>;

impl<'a> Reader<'a> {
    pub(crate) fn new(what: &'static str, bytes: &'a [u8]) -> Self {
        Self {
            what,
            rest: bytes,
            len: bytes.len(),
        }
    }

    pub(crate) fn malformed(&self, field: &'static str) -> CoordinatorError {
        CoordinatorError::Malformed {
            what: self.what,
            field,
        }
    }

    fn take(&mut self, field: &'static str, count: usize) -> Field<&'a [u8]> {
        let truncated = CoordinatorError::Truncated {
            what: self.what,
            field,
            len: self.len,
        };
        let (head, rest) = self.rest.split_at_checked(count).ok_or(truncated)?;
        self.rest = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self, field: &'static str) -> Field<[u8; N]> {
        let taken = self.take(field, N)?;
        taken.try_into().map_err(|_| self.malformed(field))
    }

    pub(crate) fn int8(&mut self, field: &'static str) -> Field<i8> {
        self.array(field).map(i8::from_be_bytes)
    }

    pub(crate) fn uuid(&mut self, field: &'static str) -> Field<[u8; 16]> {
        self.array(field)
    }

    pub(crate) fn int16(&mut self, field: &'static str) -> Field<i16> {
        self.array(field).map(i16::from_be_bytes)
    }

    pub(crate) fn int32(&mut self, field: &'static str) -> Field<i32> {
        self.array(field).map(i32::from_be_bytes)
    }

    pub(crate) fn int64(&mut self, field: &'static str) -> Field<i64> {
        self.array(field).map(i64::from_be_bytes)
    }

    pub(crate) fn unsigned_varint(&mut self, field: &'static str) -> Field<usize> {
        let mut value: u32 = 0;
        for shift in [0u32, 7, 14, 21, 28] {
            let [byte] = self.array(field)?;
            let bits = u32::from(byte & 0x7f);
            if shift == 28 && bits > 0x0f {
                return Err(self.malformed(field));
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return usize::try_from(value).map_err(|_| self.malformed(field));
            }
        }
        Err(self.malformed(field))
    }

    /// A length: a varint of length + 1 when flexible, else an integer of 2 or 4 bytes; `None` is
    /// null.
    fn length(&mut self, field: &'static str, flexible: bool, wide: bool) -> Field<Option<usize>> {
        if flexible {
            return self
                .unsigned_varint(field)
                .map(|length| length.checked_sub(1));
        }
        let length = if wide {
            self.int32(field)?
        } else {
            i32::from(self.int16(field)?)
        };
        match length {
            -1 => Ok(None),
            length => usize::try_from(length)
                .map(Some)
                .map_err(|_| self.malformed(field)),
        }
    }

    fn nullable_text(&mut self, field: &'static str, flexible: bool) -> Field<Option<&'a str>> {
        let Some(length) = self.length(field, flexible, false)? else {
            return Ok(None);
        };
        let bytes = self.take(field, length)?;
        let text = std::str::from_utf8(bytes).map_err(|_| self.malformed(field))?;
        Ok(Some(text))
    }

    /// A string where it stands.
    pub(crate) fn text(&mut self, field: &'static str, flexible: bool) -> Field<&'a str> {
        self.nullable_text(field, flexible)?
            .ok_or_else(|| self.malformed(field))
    }

    pub(crate) fn nullable_string(
        &mut self,
        field: &'static str,
        flexible: bool,
    ) -> Field<Option<String>> {
        let text = self.nullable_text(field, flexible)?;
        Ok(text.map(str::to_owned))
    }

    pub(crate) fn string(&mut self, field: &'static str, flexible: bool) -> Field<String> {
        self.nullable_string(field, flexible)?
            .ok_or_else(|| self.malformed(field))
    }

    pub(crate) fn bytes(&mut self, field: &'static str, flexible: bool) -> Field<Bytes> {
        let length = self.length(field, flexible, true)?;
        let length = length.ok_or_else(|| self.malformed(field))?;
        self.take(field, length).map(Bytes::copy_from_slice)
    }

    /// Bytes of a version that is not flexible; `None` is null.
    pub(crate) fn nullable_bytes(&mut self, field: &'static str) -> Field<Option<&'a [u8]>> {
        match self.length(field, false, true)? {
            Some(length) => self.take(field, length).map(Some),
            None => Ok(None),
        }
    }

    pub(crate) fn nullable_array_length(
        &mut self,
        field: &'static str,
        flexible: bool,
    ) -> Field<Option<usize>> {
        self.length(field, flexible, true)
    }

    pub(crate) fn array_length(&mut self, field: &'static str, flexible: bool) -> Field<usize> {
        self.length(field, flexible, true)?
            .ok_or_else(|| self.malformed(field))
    }

    /// Skips the tagged fields that end a flexible structure.
    pub(crate) fn tagged_fields(&mut self) -> Field<()> {
        for _ in 0..self.unsigned_varint("tagged fields")? {
            self.tagged_field()?;
        }
        Ok(())
    }

    /// Reads the tagged fields that end a flexible structure, and returns the one with tag 0.
    pub(crate) fn first_tagged_field(&mut self) -> Field<Option<Reader<'a>>> {
        let mut first = None;
        for _ in 0..self.unsigned_varint("tagged fields")? {
            let (tag, field) = self.tagged_field()?;
            if tag == 0 {
                first = Some(field);
            }
        }
        Ok(first)
    }

    /// One tagged field: its tag, and a reader of just its bytes.
    pub(crate) fn tagged_field(&mut self) -> Field<(usize, Reader<'a>)> {
        let tag = self.unsigned_varint("tag")?;
        let size = self.unsigned_varint("tag size")?;
        let bytes = self.take("tagged field", size)?;
        Ok((tag, Reader::new(self.what, bytes)))
    }
}

/// The longest name accepted from a client. A string in a record has a length of 16 bits; the rest
/// is room for what is appended to make a member id.
pub(crate) const NAME_BYTES_MAX: usize = 32_000;

pub(crate) fn put_int16(out: &mut Vec<u8>, value: i16) {
    out.extend_from_slice(&value.to_be_bytes());
}

pub(crate) fn put_int32(out: &mut Vec<u8>, value: i32) {
    out.extend_from_slice(&value.to_be_bytes());
}

pub(crate) fn put_int64(out: &mut Vec<u8>, value: i64) {
    out.extend_from_slice(&value.to_be_bytes());
}

pub(crate) fn put_string(out: &mut Vec<u8>, text: &str) {
    // Names are limited where requests enter, and names that were replayed had such a length.
    let length = i16::try_from(text.len()).expect("a name of at most NAME_BYTES_MAX bytes");
    put_int16(out, length);
    out.extend_from_slice(text.as_bytes());
}

pub(crate) fn put_nullable_string(out: &mut Vec<u8>, text: Option<&str>) {
    match text {
        Some(text) => put_string(out, text),
        None => put_int16(out, -1),
    }
}

pub(crate) fn put_length(out: &mut Vec<u8>, length: usize) {
    put_int32(
        out,
        i32::try_from(length).expect("requests are smaller than 2 GiB"),
    );
}

pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_length(out, bytes.len());
    out.extend_from_slice(bytes);
}

pub(crate) fn put_unsigned_varint(out: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// A string of a flexible version.
pub(crate) fn put_compact_string(out: &mut Vec<u8>, text: &str) {
    put_unsigned_varint(out, text.len() + 1);
    out.extend_from_slice(text.as_bytes());
}

pub(crate) fn put_compact_nullable_string(out: &mut Vec<u8>, text: Option<&str>) {
    match text {
        Some(text) => put_compact_string(out, text),
        None => out.push(0),
    }
}

/// Ends a structure of a flexible version that has no tagged field, or one with tag 0.
pub(crate) fn put_tagged_fields(out: &mut Vec<u8>, first: Option<&[u8]>) {
    match first {
        None => out.push(0),
        Some(field) => {
            out.extend_from_slice(&[1, 0]);
            put_unsigned_varint(out, field.len());
            out.extend_from_slice(field);
        }
    }
}
