//! The five codecs of Kafka, both ways, with contexts and buffers that are kept for the next batch.
//!
//! Invariant: decompression never holds more than the caller's limit plus one byte of output, and
//! the room it takes grows with what was really produced, not with what the input claims. The codec
//! contexts add a window: 32 KiB for gzip, at most 128 MiB for zstd, none for Snappy and LZ4.

mod gzip;
mod lz4;
mod output;
mod snappy;
#[cfg(test)]
mod tests;
mod xxh32;
mod zstd;

use crate::RecordError;
use output::Output;

/// A codec, as the attributes of a batch name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum CompressionType {
    #[default]
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

impl CompressionType {
    /// Every codec, in the order of their numbers.
    pub const ALL: [CompressionType; 5] = [
        CompressionType::None,
        CompressionType::Gzip,
        CompressionType::Snappy,
        CompressionType::Lz4,
        CompressionType::Zstd,
    ];

    /// The number in the attributes.
    pub const fn id(self) -> u8 {
        match self {
            CompressionType::None => 0,
            CompressionType::Gzip => 1,
            CompressionType::Snappy => 2,
            CompressionType::Lz4 => 3,
            CompressionType::Zstd => 4,
        }
    }

    /// The codec of a number in the attributes.
    pub const fn from_id(id: u8) -> Option<CompressionType> {
        match id {
            0 => Some(CompressionType::None),
            1 => Some(CompressionType::Gzip),
            2 => Some(CompressionType::Snappy),
            3 => Some(CompressionType::Lz4),
            4 => Some(CompressionType::Zstd),
            _ => None,
        }
    }

    /// Kafka's name, as configs spell it.
    pub const fn name(self) -> &'static str {
        match self {
            CompressionType::None => "none",
            CompressionType::Gzip => "gzip",
            CompressionType::Snappy => "snappy",
            CompressionType::Lz4 => "lz4",
            CompressionType::Zstd => "zstd",
        }
    }

    /// The codec of a name in a config.
    pub fn from_name(name: &str) -> Option<CompressionType> {
        CompressionType::ALL
            .into_iter()
            .find(|codec| codec.name() == name)
    }
}

impl std::fmt::Display for CompressionType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

/// Decompresses batches, one after the other, into a buffer it keeps. One per thread.
#[derive(Debug)]
pub struct Decompressor {
    output: Output,
    gzip: gzip::Decoder,
    snappy: snappy::Decoder,
    zstd: zstd::Decoder,
}

impl Decompressor {
    /// Costs nothing until the first compressed batch.
    pub fn new(max_decompressed_bytes: usize) -> Decompressor {
        Decompressor {
            output: Output::new(max_decompressed_bytes),
            gzip: gzip::Decoder::default(),
            snappy: snappy::Decoder::default(),
            zstd: zstd::Decoder::default(),
        }
    }

    /// The limit that was given at the start.
    pub fn max_decompressed_bytes(&self) -> usize {
        self.output.limit_bytes()
    }

    /// Gives back a buffer that one large batch left behind.
    pub fn shrink_to(&mut self, buffer_bytes: usize) {
        self.output.shrink_to(buffer_bytes);
    }

    /// The plain bytes of `compressed`, valid until the next call.
    pub fn decompress(
        &mut self,
        compression: CompressionType,
        compressed: &[u8],
    ) -> Result<&[u8], RecordError> {
        self.decode(compression, compressed, lz4::HeaderChecksum::Verified)
    }

    /// The same for the value of a wrapper of magic 0: its LZ4 frames have a wrong header checksum, because the clients
    /// of that time counted the frame's magic in.
    pub(crate) fn decompress_v0(
        &mut self,
        compression: CompressionType,
        compressed: &[u8],
    ) -> Result<&[u8], RecordError> {
        self.decode(compression, compressed, lz4::HeaderChecksum::Ignored)
    }

    fn decode(
        &mut self,
        compression: CompressionType,
        compressed: &[u8],
        lz4_header: lz4::HeaderChecksum,
    ) -> Result<&[u8], RecordError> {
        self.output.clear();
        let output = &mut self.output;
        match compression {
            CompressionType::None => output.extend(compressed),
            CompressionType::Gzip => self.gzip.decode(compressed, output),
            CompressionType::Snappy => self.snappy.decode(compressed, output),
            CompressionType::Lz4 => lz4::decode(compressed, lz4_header, output),
            CompressionType::Zstd => self.zstd.decode(compressed, output),
        }?;
        self.output.finish()
    }
}

/// Compresses batches, one after the other, with contexts it keeps. One per thread.
#[derive(Debug, Default)]
pub struct Compressor {
    gzip: gzip::Encoder,
    snappy: snappy::Encoder,
    zstd: zstd::Encoder,
}

impl Compressor {
    /// Costs nothing until a codec is used.
    pub fn new() -> Compressor {
        Compressor::default()
    }

    /// Appends `plain`, compressed, to `out`. A level of `None` is the codec's default; LZ4 and
    /// Snappy ignore it. After an error `out` may have bytes that mean nothing.
    pub fn compress(
        &mut self,
        compression: CompressionType,
        level: Option<i32>,
        plain: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), RecordError> {
        match compression {
            CompressionType::None => {
                out.extend_from_slice(plain);
                Ok(())
            }
            CompressionType::Gzip => self.gzip.encode(level, plain, out),
            CompressionType::Snappy => self.snappy.encode(plain, out),
            CompressionType::Lz4 => lz4::encode(plain, out),
            CompressionType::Zstd => self.zstd.encode(level, plain, out),
        }
    }
}

fn broken(codec: CompressionType, reason: impl ToString) -> RecordError {
    RecordError::Decompression {
        codec: codec.name(),
        reason: reason.to_string(),
    }
}

fn refused(codec: CompressionType, reason: impl ToString) -> RecordError {
    RecordError::Compression {
        codec: codec.name(),
        reason: reason.to_string(),
    }
}
