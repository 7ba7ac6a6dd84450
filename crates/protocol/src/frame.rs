//! The frame: `int32 length`, then that many bytes.
//!
//! The length is checked before a byte of the body is read or a buffer for it is made.

use thiserror::Error;

/// Bytes of the length prefix.
pub const LENGTH_PREFIX_BYTES: usize = 4;
/// The smallest request: api key, version and correlation id, and a null client id.
pub const MIN_REQUEST_BYTES: usize = 10;
/// The smallest response: a correlation id.
const MIN_RESPONSE_BYTES: usize = 4;

/// Why a frame is refused before its body is read.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum FrameError {
    /// The prefix is negative.
    #[error("the frame length {0} is negative")]
    NegativeLength(i32),
    /// Too short to hold a request header.
    #[error("the frame length {0} is too small for a request")]
    TooSmall(usize),
    /// Longer than the limit.
    #[error("the frame length {length} is over the limit of {limit} bytes{}", hint(*length))]
    TooLarge {
        /// What the prefix says.
        length: usize,
        /// What is allowed.
        limit: usize,
    },
}

/// Reads the length prefix of a request frame.
pub fn request_length(
    prefix: [u8; LENGTH_PREFIX_BYTES],
    limit_bytes: usize,
) -> Result<usize, FrameError> {
    length_within(prefix, MIN_REQUEST_BYTES, limit_bytes)
}

/// Reads the length prefix of a response frame: only its correlation id is sure to be there.
pub fn response_length(
    prefix: [u8; LENGTH_PREFIX_BYTES],
    limit_bytes: usize,
) -> Result<usize, FrameError> {
    length_within(prefix, MIN_RESPONSE_BYTES, limit_bytes)
}

fn length_within(
    prefix: [u8; LENGTH_PREFIX_BYTES],
    min_bytes: usize,
    limit_bytes: usize,
) -> Result<usize, FrameError> {
    let length = i32::from_be_bytes(prefix);
    let Ok(bytes) = usize::try_from(length) else {
        return Err(FrameError::NegativeLength(length));
    };
    if bytes > limit_bytes {
        return Err(FrameError::TooLarge {
            length: bytes,
            limit: limit_bytes,
        });
    }
    if bytes < min_bytes {
        return Err(FrameError::TooSmall(bytes));
    }
    Ok(bytes)
}

/// People point browsers and TLS clients at this port: say so instead of a huge number.
fn hint(length: usize) -> &'static str {
    let prefix = u32::try_from(length).unwrap_or_default().to_be_bytes();
    match &prefix {
        b"GET " | b"POST" | b"HEAD" | b"PUT " => " (HTTP spoken to a Kafka port?)",
        [0x16, 0x03, _, _] => " (TLS spoken to a plaintext port?)",
        _ => "",
    }
}
