//! `SectionReader`: one part of a key index file, read from front to back through one buffer, its checksum taken on the
//! way. No lock.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use lastword_record::Crc32c;

use crate::dir::File;

pub(super) struct SectionReader {
    file: Arc<dyn File>,
    position: u64,
    end: u64,
    buffer: Vec<u8>,
    buffer_bytes: usize,
    start: usize,
    crc: Crc32c,
}

impl SectionReader {
    pub fn new(file: Arc<dyn File>, range: Range<u64>, buffer_bytes: usize) -> SectionReader {
        SectionReader {
            file,
            position: range.start,
            end: range.end,
            buffer: Vec::new(),
            buffer_bytes: buffer_bytes.max(1),
            start: 0,
            crc: Crc32c::new(),
        }
    }

    /// What was read and not consumed.
    #[inline]
    pub fn unread(&self) -> &[u8] {
        self.buffer.get(self.start..).unwrap_or_default()
    }

    /// Nothing is left, neither in the buffer nor in the file.
    #[inline]
    pub fn is_at_end(&self) -> bool {
        self.start >= self.buffer.len() && self.position >= self.end
    }

    #[inline]
    pub fn consume(&mut self, bytes: usize) {
        self.start = (self.start + bytes).min(self.buffer.len());
    }

    /// Reads more behind what is unread; answers how many bytes, 0 at the end. With `grow` the buffer may become larger:
    /// what is next did not fit.
    pub fn fill(&mut self, grow: bool) -> io::Result<usize> {
        self.buffer.drain(..self.start);
        self.start = 0;
        let unread = self.buffer.len();
        if grow && unread >= self.buffer_bytes {
            self.buffer_bytes = unread * 2;
        }
        let left = self.end.saturating_sub(self.position);
        let wanted = (self.buffer_bytes.saturating_sub(unread) as u64).min(left) as usize;
        self.buffer.resize(unread + wanted, 0);
        let fresh = self.buffer.get_mut(unread..).unwrap_or_default();
        let count = self.file.read_full_at(fresh, self.position)?;
        self.buffer.truncate(unread + count);
        if count < wanted {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.crc
            .update(self.buffer.get(unread..).unwrap_or_default());
        self.position += count as u64;
        Ok(count)
    }

    /// Of everything read so far.
    pub fn crc(&self) -> &Crc32c {
        &self.crc
    }
}
