//! The fixed header of a key index file; `docs/format/key_index.md` has its bytes. No lock; no I/O.

use lastword_record::crc32c;

pub const HEADER_BYTES: usize = 80;

const MAGIC: [u8; 8] = *b"lwkeyidx";
const VERSION: u32 = 1;
/// Behind the checksum of the header.
const CHECKED_FROM: usize = 16;

/// What a key index says of itself and of the log it was built from. Integers are little-endian on disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Header {
    pub secret_id: u64,
    pub base_offset: i64,
    pub next_offset: i64,
    pub log_bytes: u32,
    /// In the header of the log's last batch; 0 when there is none.
    pub last_batch_crc: u32,
    pub batches_bytes: u64,
    pub batches_crc: u32,
    pub entries_crc: u32,
    pub record_count: u32,
    pub entry_count: u32,
    pub batch_count: u32,
    /// A batch needs more than its keys to be judged: it is empty, control or transactional, has a delete horizon, or
    /// holds records without a key.
    pub has_special_batches: bool,
    pub has_tombstones: bool,
}

impl Header {
    /// The bytes of the file's beginning.
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let flags = u32::from(self.has_special_batches) | u32::from(self.has_tombstones) << 1;
        let mut bytes = Vec::with_capacity(HEADER_BYTES);
        bytes.extend(MAGIC);
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend([0; 4]);
        bytes.extend(self.secret_id.to_le_bytes());
        bytes.extend(self.base_offset.to_le_bytes());
        bytes.extend(self.next_offset.to_le_bytes());
        bytes.extend(self.log_bytes.to_le_bytes());
        bytes.extend(self.last_batch_crc.to_le_bytes());
        bytes.extend(self.batches_bytes.to_le_bytes());
        bytes.extend(self.batches_crc.to_le_bytes());
        bytes.extend(self.entries_crc.to_le_bytes());
        bytes.extend(self.record_count.to_le_bytes());
        bytes.extend(self.entry_count.to_le_bytes());
        bytes.extend(self.batch_count.to_le_bytes());
        bytes.extend(flags.to_le_bytes());
        let mut header = [0; HEADER_BYTES];
        header.copy_from_slice(&bytes);
        let crc = crc32c(&header[CHECKED_FROM..]);
        header[12..CHECKED_FROM].copy_from_slice(&crc.to_le_bytes());
        header
    }

    /// The header, or why these bytes are none.
    pub fn decode(bytes: &[u8; HEADER_BYTES]) -> Result<Header, String> {
        let mut rest = &bytes[..];
        if take(&mut rest) != MAGIC {
            return Err("it is not a key index".into());
        }
        let version = u32::from_le_bytes(take(&mut rest));
        if version != VERSION {
            return Err(format!("its version is {version}, known is {VERSION}"));
        }
        if u32::from_le_bytes(take(&mut rest)) != crc32c(&bytes[CHECKED_FROM..]) {
            return Err("the checksum of its header is wrong".into());
        }
        let mut header = Header {
            secret_id: u64::from_le_bytes(take(&mut rest)),
            base_offset: i64::from_le_bytes(take(&mut rest)),
            next_offset: i64::from_le_bytes(take(&mut rest)),
            log_bytes: u32::from_le_bytes(take(&mut rest)),
            last_batch_crc: u32::from_le_bytes(take(&mut rest)),
            batches_bytes: u64::from_le_bytes(take(&mut rest)),
            batches_crc: u32::from_le_bytes(take(&mut rest)),
            entries_crc: u32::from_le_bytes(take(&mut rest)),
            record_count: u32::from_le_bytes(take(&mut rest)),
            entry_count: u32::from_le_bytes(take(&mut rest)),
            batch_count: u32::from_le_bytes(take(&mut rest)),
            ..Header::default()
        };
        let flags = u32::from_le_bytes(take(&mut rest));
        header.has_special_batches = flags & 1 != 0;
        header.has_tombstones = flags & 2 != 0;
        Ok(header)
    }
}

/// The next bytes of a header, which has them all.
fn take<const N: usize>(rest: &mut &[u8]) -> [u8; N] {
    let mut bytes = [0; N];
    if let Some((head, tail)) = rest.split_first_chunk::<N>() {
        bytes = *head;
        *rest = tail;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: Header = Header {
        secret_id: 1,
        base_offset: 42,
        next_offset: i64::MAX,
        log_bytes: 3,
        last_batch_crc: 4,
        batches_bytes: 5,
        batches_crc: 6,
        entries_crc: 7,
        record_count: 8,
        entry_count: 9,
        batch_count: 10,
        has_special_batches: true,
        has_tombstones: false,
    };

    #[test]
    fn a_header_comes_back_as_it_was() {
        assert_eq!(Header::decode(&HEADER.encode()), Ok(HEADER));
    }

    #[test]
    fn any_flipped_bit_is_noticed() {
        for bit in 0..HEADER_BYTES * 8 {
            let mut bytes = HEADER.encode();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(Header::decode(&bytes).is_err(), "bit {bit}");
        }
    }
}
