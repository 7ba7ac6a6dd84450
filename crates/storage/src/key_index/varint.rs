//! Unsigned LEB128, as the sections of a key index use them. Reading answers `None` when bytes are missing or
//! the number does not fit. No lock; no I/O.

/// Appends a number, seven bits a byte, low bits first.
pub fn write_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Takes a number from the front.
#[inline]
pub fn read_varint(bytes: &mut &[u8]) -> Option<u64> {
    let (&first, rest) = bytes.split_first()?;
    if first < 0x80 {
        *bytes = rest;
        return Some(u64::from(first));
    }
    read_long_varint(bytes)
}

fn read_long_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for (index, &byte) in bytes.iter().enumerate().take(10) {
        let bits = u64::from(byte & 0x7f);
        if index == 9 && bits > 1 {
            return None;
        }
        number |= bits << (7 * index);
        if byte < 0x80 {
            *bytes = bytes.get(index + 1..)?;
            return Some(number);
        }
    }
    None
}

/// Takes bytes from the front.
#[inline]
pub fn read_fixed<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*head)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_as_they_were() {
        for number in [0, 1, 127, 128, 300, u64::from(u32::MAX), 1 << 62, u64::MAX] {
            let mut bytes = Vec::new();
            write_varint(&mut bytes, number);
            let mut rest = bytes.as_slice();
            assert_eq!(read_varint(&mut rest), Some(number));
            assert!(rest.is_empty());
            assert_eq!(read_varint(&mut &bytes[..bytes.len() - 1]), None);
        }
    }

    #[test]
    fn a_number_that_does_not_fit_is_none() {
        assert_eq!(read_varint(&mut &[0xff; 11][..]), None);
        let mut too_long = [0xff; 10];
        too_long[9] = 2;
        assert_eq!(read_varint(&mut &too_long[..]), None);
    }
}
