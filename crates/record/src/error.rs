//! The one error enum of this crate. Every variant is about bytes that are not what they claim to
//! be, or about a batch that cannot be written; what to do about it is the caller's business.

/// Why a record batch could not be read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The bytes end before the batch does.
    #[error("record batch needs {needed} bytes, only {available} are there")]
    Truncated { needed: usize, available: usize },
    /// The stored checksum does not fit the bytes.
    #[error("record batch is corrupt: stored CRC-32C {stored:#010x}, computed {computed:#010x}")]
    CorruptCrc { stored: u32, computed: u32 },
    /// Only magic 2 is read and written; see `LegacyUpgrade` for the older ones.
    #[error("record batch has magic {0}, only magic 2 is supported")]
    UnsupportedMagic(i8),
    /// The stored checksum of a message of magic 0 or 1 does not fit its bytes.
    #[error("legacy message is corrupt: stored CRC-32 {stored:#010x}, computed {computed:#010x}")]
    CorruptLegacyCrc { stored: u32, computed: u32 },
    /// A message of magic 0 or 1 that no log should have.
    #[error("invalid legacy message: {reason}")]
    InvalidLegacyMessage { reason: &'static str },
    /// The length field is below the size of a header.
    #[error("record batch states a length of {batch_length} bytes, the least is 49")]
    InvalidLength { batch_length: i32 },
    /// A header field contradicts another one.
    #[error("record batch header is invalid: {reason}")]
    InvalidHeader { reason: &'static str },
    /// A record inside the batch is malformed.
    #[error("invalid record: {reason}")]
    InvalidRecord { reason: &'static str },
    /// The codec bits name no codec.
    #[error("unknown compression type {0}")]
    UnknownCompression(u8),
    /// The records are larger than the caller allows.
    #[error("records decompress to more than {limit} bytes")]
    DecompressedTooLarge { limit: usize },
    /// The compressed bytes are malformed.
    #[error("{codec} decompression failed: {reason}")]
    Decompression { codec: &'static str, reason: String },
    /// The codec refused to compress.
    #[error("{codec} compression failed: {reason}")]
    Compression { codec: &'static str, reason: String },
    /// What was pushed does not make a batch.
    #[error("cannot build a record batch: {reason}")]
    InvalidBatch { reason: &'static str },
    /// A topic id that is not 22 characters of base64url.
    #[error("invalid topic id: {reason}")]
    InvalidTopicId { reason: &'static str },
}
