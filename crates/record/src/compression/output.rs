//! The buffer that codecs write plain bytes into.
//!
//! Invariant: `filled_bytes <= buffer.len() <= limit_bytes + 1`. The one byte above the limit tells
//! a batch that ends at the limit from one that goes on. The buffer keeps its length from batch to
//! batch, so that it is zeroed once and not each time.

use crate::RecordError;

#[derive(Debug)]
pub struct Output {
    buffer: Vec<u8>,
    filled_bytes: usize,
    limit_bytes: usize,
}

impl Output {
    pub fn new(limit_bytes: usize) -> Output {
        // Slices end below isize::MAX; a limit of usize::MAX means none.
        let limit_bytes = limit_bytes.min(isize::MAX as usize - 1);
        Output {
            buffer: Vec::new(),
            filled_bytes: 0,
            limit_bytes,
        }
    }

    pub fn limit_bytes(&self) -> usize {
        self.limit_bytes
    }

    #[cfg(test)]
    pub fn capacity_bytes(&self) -> usize {
        self.buffer.capacity()
    }

    pub fn clear(&mut self) {
        self.filled_bytes = 0;
    }

    pub fn shrink_to(&mut self, buffer_bytes: usize) {
        if self.buffer.len() > buffer_bytes {
            self.filled_bytes = 0;
            self.buffer.truncate(buffer_bytes);
            self.buffer.shrink_to_fit();
        }
    }

    /// Everything written, or the error of having gone beyond the limit.
    pub fn finish(&self) -> Result<&[u8], RecordError> {
        if self.filled_bytes > self.limit_bytes {
            return Err(self.too_large());
        }
        Ok(self.buffer.get(..self.filled_bytes).unwrap_or_default())
    }

    pub fn too_large(&self) -> RecordError {
        RecordError::DecompressedTooLarge {
            limit: self.limit_bytes,
        }
    }

    /// Makes room for `wanted_bytes` more, or for as many as the limit still allows, and gives all
    /// the room there is; fails when there is none. The caller then says how much it
    /// [`wrote`](Output::wrote).
    pub fn room(&mut self, wanted_bytes: usize) -> Result<&mut [u8], RecordError> {
        if self.filled_bytes > self.limit_bytes {
            return Err(self.too_large());
        }
        let most = self.limit_bytes + 1;
        let needed = self
            .filled_bytes
            .saturating_add(wanted_bytes.max(1))
            .min(most);
        if self.buffer.len() < needed {
            let doubled = self.buffer.len().saturating_mul(2).min(most);
            let length = needed.max(doubled);
            self.buffer.reserve_exact(length - self.buffer.len());
            self.buffer.resize(length, 0);
        }
        Ok(self.buffer.get_mut(self.filled_bytes..).unwrap_or_default())
    }

    pub fn wrote(&mut self, bytes: usize) {
        self.filled_bytes = (self.filled_bytes + bytes).min(self.buffer.len());
    }

    pub fn extend(&mut self, bytes: &[u8]) -> Result<(), RecordError> {
        if bytes.len() > self.limit_bytes.saturating_sub(self.filled_bytes) {
            return Err(self.too_large());
        }
        if !bytes.is_empty() {
            let room = self.room(bytes.len())?;
            room[..bytes.len()].copy_from_slice(bytes);
            self.wrote(bytes.len());
        }
        Ok(())
    }
}
