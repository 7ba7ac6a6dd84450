//! Snappy in the framing of snappy-java: a 16-byte header (magic, version, least compatible
//! version), then blocks of a u32 length and that many bytes of raw Snappy. Each block stands for at
//! most 32 KiB when we write it, for any size when we read it. Bytes without the magic are one raw
//! block, and a header may come again between blocks (streams that were concatenated); snappy-java
//! reads both.

use super::output::Output;
use super::{CompressionType, broken, refused};
use crate::RecordError;

const CODEC: CompressionType = CompressionType::Snappy;
const MAGIC: [u8; 8] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0];
const HEADER_BYTES: usize = 16;
const VERSION: i32 = 1;
const BLOCK_BYTES: usize = 32 * 1024;
/// The densest element of Snappy gives 64 bytes for 3. A block that declares more lies.
const MOST_PER_BYTE: usize = 22;

pub struct Decoder {
    raw: snap::raw::Decoder,
}

impl Default for Decoder {
    fn default() -> Decoder {
        Decoder {
            raw: snap::raw::Decoder::new(),
        }
    }
}

impl std::fmt::Debug for Decoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("snappy::Decoder")
    }
}

impl Decoder {
    pub fn decode(&mut self, compressed: &[u8], output: &mut Output) -> Result<(), RecordError> {
        if !is_header(compressed) {
            return self.decode_block(compressed, output);
        }
        let mut rest = compressed;
        while !rest.is_empty() {
            if is_header(rest) {
                rest = rest.get(HEADER_BYTES..).unwrap_or_default();
                continue;
            }
            let (length, after) = rest
                .split_first_chunk::<4>()
                .ok_or_else(|| broken(CODEC, "a block length is cut off"))?;
            let length = u32::from_be_bytes(*length) as usize;
            let (block, after) = after
                .split_at_checked(length)
                .ok_or_else(|| broken(CODEC, "a block reaches beyond the end"))?;
            self.decode_block(block, output)?;
            rest = after;
        }
        Ok(())
    }

    fn decode_block(&mut self, block: &[u8], output: &mut Output) -> Result<(), RecordError> {
        let declared = snap::raw::decompress_len(block).map_err(|error| broken(CODEC, error))?;
        if declared > block.len().saturating_mul(MOST_PER_BYTE) {
            return Err(broken(CODEC, "a block declares more than it can hold"));
        }
        if declared == 0 {
            return Ok(());
        }
        let room = output.room(declared)?;
        if room.len() < declared {
            return Err(output.too_large());
        }
        let written = self
            .raw
            .decompress(block, room)
            .map_err(|error| broken(CODEC, error))?;
        output.wrote(written);
        Ok(())
    }
}

fn is_header(bytes: &[u8]) -> bool {
    bytes.len() >= HEADER_BYTES && bytes.starts_with(&MAGIC)
}

pub struct Encoder {
    raw: snap::raw::Encoder,
}

impl Default for Encoder {
    fn default() -> Encoder {
        Encoder {
            raw: snap::raw::Encoder::new(),
        }
    }
}

impl std::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("snappy::Encoder")
    }
}

impl Encoder {
    pub fn encode(&mut self, plain: &[u8], out: &mut Vec<u8>) -> Result<(), RecordError> {
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&VERSION.to_be_bytes());
        out.extend_from_slice(&VERSION.to_be_bytes());
        for block in plain.chunks(BLOCK_BYTES) {
            let start = out.len();
            let most = snap::raw::max_compress_len(block.len());
            out.resize(start + 4 + most, 0);
            let (length_field, room) = out[start..].split_at_mut(4);
            let length = self
                .raw
                .compress(block, room)
                .map_err(|error| refused(CODEC, error))?;
            length_field.copy_from_slice(&(length as u32).to_be_bytes());
            out.truncate(start + 4 + length);
        }
        Ok(())
    }
}
