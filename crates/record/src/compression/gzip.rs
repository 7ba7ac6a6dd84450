//! gzip (RFC 1952) over raw deflate: header and trailer are read and written here so that the
//! deflate contexts, 50 to 300 KiB each, live on from batch to batch. Members may be concatenated.

use flate2::{Compress, Compression, Crc, Decompress, FlushCompress, FlushDecompress, Status};

use super::output::Output;
use super::{CompressionType, broken, refused};
use crate::RecordError;

const CODEC: CompressionType = CompressionType::Gzip;
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0];
const DEFAULT_LEVEL: u32 = 6;
/// Output room for the next step of inflate.
const STEP_BYTES: usize = 16 * 1024;

const FLAG_HEADER_CRC: u8 = 0x02;
const FLAG_EXTRA: u8 = 0x04;
const FLAG_NAME: u8 = 0x08;
const FLAG_COMMENT: u8 = 0x10;

#[derive(Debug, Default)]
pub struct Decoder {
    inflate: Option<Decompress>,
}

impl Decoder {
    pub fn decode(&mut self, compressed: &[u8], output: &mut Output) -> Result<(), RecordError> {
        let mut rest = compressed;
        loop {
            rest = self.decode_member(rest, output)?;
            if rest.is_empty() {
                return Ok(());
            }
        }
    }

    /// One member; returns what follows it.
    fn decode_member<'a>(
        &mut self,
        member: &'a [u8],
        output: &mut Output,
    ) -> Result<&'a [u8], RecordError> {
        let mut rest = skip_header(member).ok_or_else(|| broken(CODEC, "bad member header"))?;
        let inflate = self.inflate.get_or_insert_with(|| Decompress::new(false));
        inflate.reset(false);
        let mut crc = Crc::new();
        let mut size_bytes = 0u32;
        loop {
            let (before_in, before_out) = (inflate.total_in(), inflate.total_out());
            let room = output.room(STEP_BYTES.max(rest.len().saturating_mul(2).min(1 << 20)))?;
            let status = inflate
                .decompress(rest, room, FlushDecompress::None)
                .map_err(|error| broken(CODEC, error))?;
            let taken = (inflate.total_in() - before_in) as usize;
            let given = (inflate.total_out() - before_out) as usize;
            crc.update(room.get(..given).unwrap_or_default());
            size_bytes = size_bytes.wrapping_add(given as u32);
            rest = rest.get(taken..).unwrap_or_default();
            output.wrote(given);
            if status == Status::StreamEnd {
                break;
            }
            if taken == 0 && given == 0 {
                return Err(broken(CODEC, "the compressed bytes end too early"));
            }
        }
        let (trailer, rest) = rest
            .split_first_chunk::<8>()
            .ok_or_else(|| broken(CODEC, "trailer is missing"))?;
        let [c0, c1, c2, c3, s0, s1, s2, s3] = *trailer;
        if u32::from_le_bytes([c0, c1, c2, c3]) != crc.sum() {
            return Err(broken(CODEC, "checksum mismatch"));
        }
        if u32::from_le_bytes([s0, s1, s2, s3]) != size_bytes {
            return Err(broken(CODEC, "size mismatch"));
        }
        Ok(rest)
    }
}

/// What follows the header of a member.
fn skip_header(member: &[u8]) -> Option<&[u8]> {
    let (fixed, mut rest) = member.split_first_chunk::<10>()?;
    let [0x1f, 0x8b, 8, flags, ..] = *fixed else {
        return None;
    };
    if flags & FLAG_EXTRA != 0 {
        let (length, after) = rest.split_first_chunk::<2>()?;
        rest = after.get(usize::from(u16::from_le_bytes(*length))..)?;
    }
    for text in [FLAG_NAME, FLAG_COMMENT] {
        if flags & text != 0 {
            let end = rest.iter().position(|&byte| byte == 0)?;
            rest = rest.get(end + 1..)?;
        }
    }
    if flags & FLAG_HEADER_CRC != 0 {
        rest = rest.get(2..)?;
    }
    Some(rest)
}

#[derive(Debug, Default)]
pub struct Encoder {
    deflate: Option<(u32, Compress)>,
}

impl Encoder {
    pub fn encode(
        &mut self,
        level: Option<i32>,
        plain: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), RecordError> {
        let level = level
            .and_then(|level| u32::try_from(level).ok())
            .unwrap_or(DEFAULT_LEVEL)
            .min(9);
        if self
            .deflate
            .as_ref()
            .is_some_and(|(of_level, _)| *of_level != level)
        {
            self.deflate = None;
        }
        let (_, deflate) = self
            .deflate
            .get_or_insert_with(|| (level, Compress::new(Compression::new(level), false)));
        deflate.reset();

        out.extend_from_slice(&HEADER);
        out.reserve(plain.len() / 2 + 64);
        loop {
            let taken = deflate.total_in() as usize;
            let rest = plain.get(taken..).unwrap_or_default();
            let status = deflate
                .compress_vec(rest, out, FlushCompress::Finish)
                .map_err(|error| refused(CODEC, error))?;
            match status {
                Status::StreamEnd => break,
                Status::Ok | Status::BufError => out.reserve(STEP_BYTES),
            }
        }
        let mut crc = Crc::new();
        crc.update(plain);
        out.extend_from_slice(&crc.sum().to_le_bytes());
        out.extend_from_slice(&(plain.len() as u32).to_le_bytes());
        Ok(())
    }
}
