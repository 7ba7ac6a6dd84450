//! `HeaderScan`: walks from batch header to batch header, reading a block at a time and no payload it need not.
//!
//! Checks of every batch: the header parses, the batch ends within the range, offsets rise and fit the segment. Not the
//! checksum, which covers bytes that are not read here.

use std::sync::Arc;

use lastword_record::{BATCH_HEADER_BYTES, BatchHeader};

use super::files::SegmentFiles;
use crate::dir::File;
use crate::error::StorageError;
use crate::file_name::SegmentFile;

/// Small batches come several to a read, big ones need one read each.
const BLOCK_BYTES: usize = 8 * 1024;

/// A batch found by its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchPosition {
    pub position: u32,
    pub size_bytes: u32,
    pub header: BatchHeader,
}

impl BatchPosition {
    /// Where the next batch starts.
    pub fn end(&self) -> u32 {
        self.position + self.size_bytes
    }
}

/// The batch headers of a range of a segment's log.
pub struct HeaderScan {
    file: Arc<dyn File>,
    files: Arc<SegmentFiles>,
    position: u32,
    end: u32,
    /// The next batch's base offset must not be below.
    least_offset: i64,
    /// No batch's last offset may be above.
    most_offset: i64,
    block: Vec<u8>,
    block_position: u32,
}

impl HeaderScan {
    pub(super) fn new(
        file: Arc<dyn File>,
        files: &Arc<SegmentFiles>,
        range: std::ops::Range<u32>,
    ) -> HeaderScan {
        let base_offset = files.base_offset;
        HeaderScan {
            file,
            files: Arc::clone(files),
            position: range.start,
            end: range.end,
            least_offset: base_offset,
            most_offset: base_offset.saturating_add(i64::from(i32::MAX)),
            block: Vec::new(),
            block_position: range.start,
        }
    }

    /// Where the next batch is expected. After an error: where the damage begins.
    pub fn position(&self) -> u32 {
        self.position
    }

    /// Back to the batch that was just returned; its block need not be read again.
    pub(super) fn back_to(&mut self, batch: &BatchPosition) {
        self.position = batch.position;
        self.least_offset = batch.header.base_offset;
    }

    /// The next batch, `None` at the end of the range. After an error the scan stays where it is.
    pub fn next_batch(&mut self) -> Result<Option<BatchPosition>, StorageError> {
        let remaining = self.end.saturating_sub(self.position);
        if remaining == 0 {
            return Ok(None);
        }
        let parsed = match self.header_bytes()? {
            Some(bytes) => BatchHeader::parse(bytes).map_err(|error| error.to_string()),
            None => Err(format!("{remaining} bytes are too few for a batch header")),
        };
        let checked = parsed.and_then(|header| {
            check_batch(&header, self.least_offset, self.most_offset, remaining)
                .map(|size_bytes| (header, size_bytes))
        });
        let (header, size_bytes) = checked.map_err(|reason| self.corrupt(reason))?;
        let batch = BatchPosition {
            position: self.position,
            size_bytes,
            header,
        };
        self.position = batch.end();
        self.least_offset = header.next_offset();
        Ok(Some(batch))
    }

    fn header_bytes(&mut self) -> Result<Option<&[u8]>, StorageError> {
        let start = (self.position - self.block_position) as usize;
        if start + BATCH_HEADER_BYTES > self.block.len() {
            let wanted = BLOCK_BYTES.min((self.end - self.position) as usize);
            self.block.resize(wanted, 0);
            let count = self
                .file
                .read_full_at(&mut self.block, self.position.into())
                .map_err(|source| {
                    StorageError::io("read", self.files.path(SegmentFile::Log), source)
                })?;
            self.block.truncate(count);
            self.block_position = self.position;
        }
        let start = (self.position - self.block_position) as usize;
        Ok(self.block.get(start..start + BATCH_HEADER_BYTES))
    }

    fn corrupt(&self, reason: String) -> StorageError {
        StorageError::corrupt_segment(
            self.files.path(SegmentFile::Log),
            self.position.into(),
            reason,
        )
    }
}

/// The size of a batch that may stand here, or why it may not.
pub(super) fn check_batch(
    header: &BatchHeader,
    least_offset: i64,
    most_offset: i64,
    remaining: u32,
) -> Result<u32, String> {
    let (base_offset, last_offset) = (header.base_offset, header.last_offset());
    if base_offset < least_offset || last_offset > most_offset {
        return Err(format!(
            "offsets {base_offset} to {last_offset} are outside of {least_offset} to {most_offset}"
        ));
    }
    u32::try_from(header.size_bytes())
        .ok()
        .filter(|size_bytes| *size_bytes <= remaining)
        .ok_or_else(|| {
            format!(
                "a batch of {} bytes, but only {remaining} are left",
                header.size_bytes()
            )
        })
}
