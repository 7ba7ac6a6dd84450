//! Zigzag variable-length integers as records use them: little-endian groups of seven bits.
//!
//! Readers take the first byte, then the second, on a straight path; longer numbers are rare. They
//! are inlined whole, so that the position stays in a register: it is the chain that leads from one
//! record to the next. Like Kafka they accept numbers written longer than needed, up to 5 (32-bit) or
//! 10 (64-bit) bytes.

/// Most bytes of a 32-bit number.
pub const MAX_VARINT_BYTES: usize = 5;
/// Most bytes of a 64-bit number.
pub const MAX_VARLONG_BYTES: usize = 10;

#[inline(always)]
pub fn read_varint(rest: &mut &[u8]) -> Option<i32> {
    read_zigzag32(rest).map(unzigzag32)
}

/// A length; `None` for less than -1 and for a number cut short.
#[inline(always)]
pub fn read_length(rest: &mut &[u8]) -> Option<Length> {
    // Even is not negative. A branch instead of the sign's arithmetic shortens the chain.
    let zigzag = read_zigzag32(rest)?;
    if zigzag & 1 == 0 {
        return Some(Length::Bytes((zigzag >> 1) as usize));
    }
    (zigzag == 1).then_some(Length::Null)
}

/// What a length field says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Length {
    Null,
    /// At most 2^31-1.
    Bytes(usize),
}

#[inline(always)]
fn read_zigzag32(rest: &mut &[u8]) -> Option<u32> {
    let bytes = *rest;
    let (&first, tail) = bytes.split_first()?;
    if first < 0x80 {
        *rest = tail;
        return Some(u32::from(first));
    }
    let (&second, tail) = tail.split_first()?;
    if second < 0x80 {
        *rest = tail;
        return Some(u32::from(first & 0x7f) | u32::from(second) << 7);
    }
    let (zigzag, tail) = read_zigzag32_long(bytes)?;
    *rest = tail;
    Some(zigzag)
}

// By value: a reference to the caller's slice would force it out of the registers.
#[cold]
fn read_zigzag32_long(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let mut value = 0u32;
    for (index, &byte) in bytes.iter().enumerate().take(MAX_VARINT_BYTES) {
        value |= u32::from(byte & 0x7f) << (7 * index);
        if byte < 0x80 {
            return Some((value, bytes.get(index + 1..)?));
        }
    }
    None
}

#[inline(always)]
pub fn read_varlong(rest: &mut &[u8]) -> Option<i64> {
    let bytes = *rest;
    let (&first, tail) = bytes.split_first()?;
    if first < 0x80 {
        *rest = tail;
        return Some(unzigzag64(u64::from(first)));
    }
    let (&second, tail) = tail.split_first()?;
    if second < 0x80 {
        *rest = tail;
        return Some(unzigzag64(u64::from(first & 0x7f) | u64::from(second) << 7));
    }
    let (value, tail) = read_varlong_long(bytes)?;
    *rest = tail;
    Some(value)
}

fn read_varlong_long(bytes: &[u8]) -> Option<(i64, &[u8])> {
    let mut value = 0u64;
    for (index, &byte) in bytes.iter().enumerate().take(MAX_VARLONG_BYTES) {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte < 0x80 {
            return Some((unzigzag64(value), bytes.get(index + 1..)?));
        }
    }
    None
}

/// A length and that many bytes; `Some(None)` for the length -1.
#[inline(always)]
pub fn read_nullable_bytes<'b>(rest: &mut &'b [u8]) -> Option<Option<&'b [u8]>> {
    match read_length(rest)? {
        Length::Null => Some(None),
        Length::Bytes(length) => {
            let (bytes, tail) = rest.split_at_checked(length)?;
            *rest = tail;
            Some(Some(bytes))
        }
    }
}

/// The zigzag of a 32-bit number is the same in 64 bits, so this writes both.
#[inline]
pub fn write_varlong(into: &mut Vec<u8>, value: i64) {
    let mut rest = zigzag64(value);
    while rest >= 0x80 {
        into.push((rest as u8) | 0x80);
        rest >>= 7;
    }
    into.push(rest as u8);
}

/// An encoded number in a register, its first byte lowest.
#[derive(Debug, Clone, Copy)]
pub struct Encoded {
    pub groups: u64,
    /// Eight times the size in bytes.
    pub bits: u32,
}

/// What [`write_varlong`] writes, `None` for more than four bytes.
#[inline(always)]
pub fn encoded_short(value: i64) -> Option<Encoded> {
    let zigzag = zigzag64(value);
    let group = |index: u32| ((zigzag >> (7 * index)) & 0x7f) << (8 * index);
    let (groups, bits) = match zigzag {
        0..0x80 => (zigzag, 8),
        0x80..0x4000 => (group(0) | group(1) | 0x80, 16),
        0x4000..0x20_0000 => (group(0) | group(1) | group(2) | 0x8080, 24),
        0x20_0000..0x1000_0000 => (group(0) | group(1) | group(2) | group(3) | 0x80_8080, 32),
        _ => return None,
    };
    Some(Encoded { groups, bits })
}

/// Bytes that [`write_varlong`] writes.
#[inline(always)]
pub fn varlong_size_bytes(value: i64) -> usize {
    match zigzag64(value) {
        0..0x80 => 1,
        0x80..0x4000 => 2,
        long => (64 - long.leading_zeros() as usize).div_ceil(7),
    }
}

#[inline(always)]
fn zigzag64(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

#[inline(always)]
fn unzigzag64(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

#[inline(always)]
fn unzigzag32(value: u32) -> i32 {
    (value >> 1) as i32 ^ -((value & 1) as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Around every power of two, where sizes change.
    fn edges() -> impl Iterator<Item = i64> {
        let around = |bits: u32| (-2..=2).map(move |near| (1i64 << bits).wrapping_add(near));
        let positive = (0..63).flat_map(around);
        positive
            .flat_map(|value| [value, -value])
            .chain([i64::MIN, i64::MAX])
    }

    #[test]
    fn every_size_is_written_measured_and_read_back() {
        for value in edges() {
            let mut bytes = Vec::new();
            write_varlong(&mut bytes, value);
            assert_eq!(bytes.len(), varlong_size_bytes(value), "{value}");
            let mut rest = &bytes[..];
            assert_eq!((read_varlong(&mut rest), rest.len()), (Some(value), 0));
            for cut in 0..bytes.len() {
                assert_eq!(
                    read_varlong(&mut &bytes[..cut]),
                    None,
                    "{value}, {cut} bytes"
                );
            }
            let Ok(value) = i32::try_from(value) else {
                continue;
            };
            let mut rest = &bytes[..];
            assert_eq!((read_varint(&mut rest), rest.len()), (Some(value), 0));
            let length = match value {
                -1 => Some(Length::Null),
                _ => usize::try_from(value).ok().map(Length::Bytes),
            };
            assert_eq!(read_length(&mut &bytes[..]), length, "{value}");
        }
    }

    #[test]
    fn a_number_in_a_register_has_the_bytes_of_one_in_memory() {
        for value in edges() {
            let mut bytes = Vec::new();
            write_varlong(&mut bytes, value);
            let Some(encoded) = encoded_short(value) else {
                assert!(bytes.len() > 4, "{value}");
                continue;
            };
            let size_bytes = encoded.bits as usize / 8;
            assert_eq!(encoded.groups.to_le_bytes()[..size_bytes], bytes, "{value}");
            assert_eq!(encoded.groups >> encoded.bits, 0, "{value}");
        }
    }

    #[test]
    fn numbers_that_never_end_are_refused() {
        for size_bytes in [1, 2, 5, 10, 20] {
            let bytes = vec![0xff; size_bytes];
            assert_eq!(read_varint(&mut &bytes[..]), None);
            assert_eq!(read_varlong(&mut &bytes[..]), None);
        }
        assert_eq!(
            read_varint(&mut &[0x80, 0x80, 0x80, 0x80, 0x80, 0][..]),
            None
        );
    }
}
