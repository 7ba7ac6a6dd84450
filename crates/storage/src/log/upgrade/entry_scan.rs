//! `EntryScan`: walks over a log that may hold messages of magic 0 and 1 beside batches of magic 2.
//!
//! A message's checksum is verified here, a batch's is not: batches are only copied. Sizes are believed as far as the
//! file goes. No lock, and no knowledge of offsets.

use std::io;
use std::sync::Arc;

use lastword_record::{
    BATCH_HEADER_BYTES, BatchHeader, LEGACY_PREFIX_BYTES, LOG_OVERHEAD, LegacyMessage, LegacyPrefix,
};

use crate::dir::File;

const BUFFER_BYTES: usize = 512 * 1024;

/// What begins at a position.
pub(super) enum Entry<'a> {
    Legacy(LegacyMessage<'a>),
    Batch {
        header: BatchHeader,
        bytes: &'a [u8],
    },
    /// Nothing that can be read, and why.
    Damage(String),
    End,
}

pub(super) struct EntryScan {
    file: Arc<dyn File>,
    /// Where the unread rest of the buffer stands in the file.
    position: u64,
    end: u64,
    /// Only `buffer[start..filled]` holds bytes that are not handed out yet.
    buffer: Vec<u8>,
    start: usize,
    filled: usize,
}

impl EntryScan {
    /// From `position`, where an entry begins, to `end`.
    pub fn new(file: &Arc<dyn File>, position: u64, end: u64) -> EntryScan {
        EntryScan {
            file: Arc::clone(file),
            position,
            end,
            buffer: Vec::new(),
            start: 0,
            filled: 0,
        }
    }

    /// Where the next entry begins; after damage, where that begins.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The next entry. After damage the scan stays where it is.
    pub fn next_entry(&mut self) -> io::Result<Entry<'_>> {
        if self.position >= self.end {
            return Ok(Entry::End);
        }
        self.fill(BATCH_HEADER_BYTES)?;
        let remaining = self.end - self.position;
        let legacy = LegacyPrefix::parse(self.unread());
        let size_bytes = match legacy {
            Some(prefix) => prefix.size_bytes,
            None if self.unread().len() < LEGACY_PREFIX_BYTES => {
                let reason = format!("{remaining} bytes are too few for a batch header");
                return Ok(Entry::Damage(reason));
            }
            None => match BatchHeader::parse(self.unread()) {
                Ok(header) => header.size_bytes(),
                Err(error) => return Ok(Entry::Damage(error.to_string())),
            },
        };
        if size_bytes as u64 > remaining {
            let reason = format!("a batch of {size_bytes} bytes, but only {remaining} are left");
            return Ok(Entry::Damage(reason));
        }
        self.fill(size_bytes)?;
        let start = self.start;
        let Some(bytes) = self
            .buffer
            .get(start..start + size_bytes)
            .filter(|_| start + size_bytes <= self.filled)
        else {
            return Ok(Entry::Damage("the file is shorter than it was".to_string()));
        };
        let entry = if legacy.is_some() {
            match LegacyMessage::parse(bytes) {
                Ok(message) => Entry::Legacy(message),
                Err(error) => return Ok(Entry::Damage(error.to_string())),
            }
        } else {
            match BatchHeader::parse(bytes) {
                Ok(header) => Entry::Batch { header, bytes },
                Err(error) => return Ok(Entry::Damage(error.to_string())),
            }
        };
        self.start += size_bytes;
        self.position += size_bytes as u64;
        Ok(entry)
    }

    fn unread(&self) -> &[u8] {
        self.buffer.get(self.start..self.filled).unwrap_or_default()
    }

    /// Makes `wanted` unread bytes available, or as many as there are.
    fn fill(&mut self, wanted: usize) -> io::Result<()> {
        let unread = self.filled - self.start;
        if unread >= wanted {
            return Ok(());
        }
        self.buffer.copy_within(self.start..self.filled, 0);
        (self.start, self.filled) = (0, unread);
        let left = usize::try_from(self.end - self.position).unwrap_or(usize::MAX);
        let capacity = BUFFER_BYTES.max(wanted).min(left);
        if self.buffer.len() < capacity {
            self.buffer.resize(capacity, 0);
        }
        let free = self.buffer.get_mut(unread..capacity).unwrap_or_default();
        self.filled += self
            .file
            .read_full_at(free, self.position + unread as u64)?;
        Ok(())
    }
}

const _: () =
    assert!(LEGACY_PREFIX_BYTES > LOG_OVERHEAD && BATCH_HEADER_BYTES > LEGACY_PREFIX_BYTES);
