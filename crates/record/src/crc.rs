//! CRC-32C (Castagnoli), the checksum of record batches, snapshots and our own journals; and CRC-32
//! (IEEE), that of messages of magic 0 and 1.

/// CRC-32C of `bytes`.
#[inline]
pub fn crc32c(bytes: &[u8]) -> u32 {
    crc_fast::crc32_iscsi(bytes)
}

/// CRC-32 of `bytes`.
pub(crate) fn crc32(bytes: &[u8]) -> u32 {
    crc_fast::crc32_iso_hdlc(bytes)
}

/// CRC-32C of bytes that come in pieces.
#[derive(Clone, Debug)]
pub struct Crc32c(crc_fast::Digest);

impl Crc32c {
    /// Of nothing yet.
    pub fn new() -> Crc32c {
        Crc32c(crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc32Iscsi))
    }

    /// Goes on with these bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Goes on with the bytes that `behind` was taken of.
    pub fn append(&mut self, behind: &Crc32c) {
        self.0.combine(&behind.0);
    }

    /// Of everything so far.
    pub fn value(&self) -> u32 {
        self.0.finalize() as u32
    }
}

impl Default for Crc32c {
    fn default() -> Crc32c {
        Crc32c::new()
    }
}

/// Compares the vectorised checksum with a bit-by-bit one on a few lengths.
///
/// The implementation picks instructions of the processor at run time; whoever embeds the engine can
/// ask this once at the start, before a checksum is trusted or written.
pub fn crc32c_known_answer() -> bool {
    let bytes: Vec<u8> = (0..1_500u32)
        .map(|i| (i.wrapping_mul(167) >> 3) as u8)
        .collect();
    let published = crc32c(b"123456789") == 0xe306_9283;
    let lengths = [0, 1, 15, 16, 63, 64, 127, 255, 256, 511, 1_024, 1_500];
    published
        && lengths
            .iter()
            .filter_map(|&length| bytes.get(..length))
            .all(|part| crc32c(part) == bit_by_bit(part))
}

fn bit_by_bit(bytes: &[u8]) -> u32 {
    let mut state = u32::MAX;
    for &byte in bytes {
        state ^= u32::from(byte);
        for _ in 0..8 {
            let polynomial = if state & 1 == 1 { 0x82f6_3b78 } else { 0 };
            state = (state >> 1) ^ polynomial;
        }
    }
    !state
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_have_the_checksum_of_the_whole() {
        let bytes: Vec<u8> = (0..1_000u32).map(|i| (i * 7) as u8).collect();
        for cut in [0, 1, 15, 500, 1_000] {
            let mut crc = Crc32c::new();
            crc.update(&bytes[..cut]);
            crc.update(&bytes[cut..]);
            assert_eq!(crc.value(), crc32c(&bytes));
        }
        assert_eq!(Crc32c::new().value(), 0);
    }
}
