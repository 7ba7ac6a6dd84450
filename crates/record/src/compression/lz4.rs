//! The LZ4 frame as Kafka writes it: header `60 40 82`, independent blocks of 64 KiB, no checksums.
//!
//! Frames are taken apart here and blocks go straight into the output, so that nothing is buffered
//! twice. Read are also larger blocks, a content size, block and content checksums (both verified);
//! refused are dependent blocks and dictionaries, which Java clients cannot read either, and bytes
//! behind the end mark.

use lz4_flex::block::{DecompressError, compress_into, decompress_into, get_maximum_output_size};

use super::output::Output;
use super::xxh32::xxh32;
use super::{CompressionType, broken, refused};
use crate::RecordError;

const CODEC: CompressionType = CompressionType::Lz4;
const MAGIC: [u8; 4] = [0x04, 0x22, 0x4d, 0x18];
/// Version 1, independent blocks; blocks of at most 64 KiB; checksum of those two bytes.
const DESCRIPTOR: [u8; 3] = [0x60, 0x40, 0x82];
const BLOCK_BYTES: usize = 64 * 1024;
const UNCOMPRESSED_BIT: u32 = 1 << 31;
const END_MARK: [u8; 4] = [0; 4];
/// A byte of a block adds at most 255 to the length of a match.
const MOST_PER_BYTE: usize = 256;

const FLAG_INDEPENDENT: u8 = 0x20;
const FLAG_BLOCK_CHECKSUM: u8 = 0x10;
const FLAG_CONTENT_SIZE: u8 = 0x08;
const FLAG_CONTENT_CHECKSUM: u8 = 0x04;
const FLAG_DICTIONARY: u8 = 0x01;

struct Frame {
    flags: u8,
    max_block_bytes: usize,
    content_bytes: Option<u64>,
}

/// What becomes of the checksum in the frame header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderChecksum {
    Verified,
    /// The frames in messages of magic 0 have a wrong one.
    Ignored,
}

pub fn decode(
    compressed: &[u8],
    header_checksum: HeaderChecksum,
    output: &mut Output,
) -> Result<(), RecordError> {
    let mut rest = compressed;
    let frame = read_frame_header(&mut rest, header_checksum)?;
    loop {
        let word = u32::from_le_bytes(take(&mut rest)?);
        if word == 0 {
            break;
        }
        let length = (word & !UNCOMPRESSED_BIT) as usize;
        if length > frame.max_block_bytes {
            return Err(broken(CODEC, "a block is larger than its frame allows"));
        }
        let (block, after) = rest
            .split_at_checked(length)
            .ok_or_else(|| broken(CODEC, "a block reaches beyond the end"))?;
        rest = after;
        if frame.flags & FLAG_BLOCK_CHECKSUM != 0
            && u32::from_le_bytes(take(&mut rest)?) != xxh32(block)
        {
            return Err(broken(CODEC, "block checksum mismatch"));
        }
        if word & UNCOMPRESSED_BIT != 0 {
            output.extend(block)?;
        } else {
            decode_block(block, frame.max_block_bytes, output)?;
        }
    }
    let plain = output.finish()?;
    if frame.flags & FLAG_CONTENT_CHECKSUM != 0
        && u32::from_le_bytes(take(&mut rest)?) != xxh32(plain)
    {
        return Err(broken(CODEC, "content checksum mismatch"));
    }
    if frame
        .content_bytes
        .is_some_and(|stated| stated != plain.len() as u64)
    {
        return Err(broken(CODEC, "content size mismatch"));
    }
    if !rest.is_empty() {
        return Err(broken(CODEC, "bytes behind the end of the frame"));
    }
    Ok(())
}

fn read_frame_header(
    rest: &mut &[u8],
    header_checksum: HeaderChecksum,
) -> Result<Frame, RecordError> {
    if take::<4>(rest)? != MAGIC {
        return Err(broken(CODEC, "not an LZ4 frame"));
    }
    let descriptor = *rest;
    let [flags, block_descriptor] = take(rest)?;
    if flags >> 6 != 1 {
        return Err(broken(CODEC, "unknown frame version"));
    }
    if flags & FLAG_INDEPENDENT == 0 {
        return Err(broken(CODEC, "dependent blocks are not supported"));
    }
    if flags & FLAG_DICTIONARY != 0 {
        return Err(broken(CODEC, "dictionaries are not supported"));
    }
    let max_block_bytes = match block_descriptor >> 4 {
        size_code @ 4..=7 => 1 << (8 + 2 * size_code),
        _ => return Err(broken(CODEC, "unknown block size")),
    };
    let content_bytes = match flags & FLAG_CONTENT_SIZE {
        0 => None,
        _ => Some(u64::from_le_bytes(take(rest)?)),
    };
    let descriptor_bytes = descriptor.len() - rest.len();
    let checksum = (xxh32(descriptor.get(..descriptor_bytes).unwrap_or_default()) >> 8) as u8;
    if take(rest)? != [checksum] && header_checksum == HeaderChecksum::Verified {
        return Err(broken(CODEC, "frame header checksum mismatch"));
    }
    Ok(Frame {
        flags,
        max_block_bytes,
        content_bytes,
    })
}

fn decode_block(block: &[u8], max_bytes: usize, output: &mut Output) -> Result<(), RecordError> {
    let wanted = max_bytes.min(block.len().saturating_mul(MOST_PER_BYTE));
    let room = output.room(wanted)?;
    let is_clipped = room.len() < wanted;
    let room_bytes = room.len().min(wanted);
    let room = room.get_mut(..room_bytes).unwrap_or_default();
    match decompress_into(block, room) {
        Ok(written) => {
            output.wrote(written);
            Ok(())
        }
        Err(DecompressError::OutputTooSmall { .. }) if is_clipped => Err(output.too_large()),
        Err(error) => Err(broken(CODEC, error)),
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], RecordError> {
    let (bytes, after) = rest
        .split_first_chunk::<N>()
        .ok_or_else(|| broken(CODEC, "the frame ends too early"))?;
    *rest = after;
    Ok(*bytes)
}

pub fn encode(plain: &[u8], out: &mut Vec<u8>) -> Result<(), RecordError> {
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&DESCRIPTOR);
    for block in plain.chunks(BLOCK_BYTES) {
        let start = out.len();
        out.resize(start + 4 + get_maximum_output_size(block.len()), 0);
        let (length_field, room) = out[start..].split_at_mut(4);
        let length = compress_into(block, room).map_err(|error| refused(CODEC, error))?;
        if length < block.len() {
            length_field.copy_from_slice(&(length as u32).to_le_bytes());
            out.truncate(start + 4 + length);
        } else {
            let word = block.len() as u32 | UNCOMPRESSED_BIT;
            length_field.copy_from_slice(&word.to_le_bytes());
            out.truncate(start + 4);
            out.extend_from_slice(block);
        }
    }
    out.extend_from_slice(&END_MARK);
    Ok(())
}
