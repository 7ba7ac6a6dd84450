//! Reading through a view: the batches from an offset on, without what is superseded.
//!
//! The log says where the readable part of a segment lies; of that, dead pieces are skipped without being read, live
//! ones are copied, and a mixed batch is rebuilt from its survivors as the cleaner does it. What cannot be rebuilt, or
//! would become much larger, is copied: the consumer judges damage. No lock.

use std::io;
use std::sync::Arc;

use lastword_record::{
    BATCH_HEADER_BYTES, BatchBuilder, BatchHeader, BatchSpec, Decompressor, RecordBatch,
};

use super::pieces::{Kind, Pieces};
use super::{StateView, ViewedSegment};
use crate::error::StorageError;
use crate::log::{FetchData, FetchSlice, Log, ReadRequest};
use crate::segment::Segment;

/// What is read of a file at a time.
const WINDOW_BYTES: u32 = 256 << 10;
/// Reading so many dead bytes costs less than another call.
const GAP_BYTES: u32 = 16 << 10;
/// One read looks at no more bytes, once it has something to answer.
const MOST_SCANNED_BYTES: u64 = 4 << 20;
/// A larger window is not kept.
const KEPT_BYTES: usize = 1 << 20;

/// Buffers of a read; they can be kept for the next one.
pub struct ViewBuffers {
    window: Vec<u8>,
    decompressor: Decompressor,
    builder: BatchBuilder,
}

impl ViewBuffers {
    pub fn new(max_decompressed_bytes: usize) -> ViewBuffers {
        ViewBuffers {
            window: Vec::new(),
            decompressor: Decompressor::new(max_decompressed_bytes),
            builder: BatchBuilder::new(BatchSpec::default()),
        }
    }
}

/// Appends to `out` what a reader gets; the answer has the offsets and aborted transactions that go with it, and no
/// slices. Nothing is appended only when there is nothing below the limit of the isolation, or when the first batch is
/// larger than `max_bytes` and need not be given whole.
pub fn read_view(
    view: &StateView,
    log: &Log,
    request: ReadRequest,
    buffers: &mut ViewBuffers,
    out: &mut Vec<u8>,
) -> Result<FetchData, StorageError> {
    let start = out.len();
    // All of the segment that may be read.
    let mut whole = ReadRequest {
        max_bytes: u32::MAX as usize,
        ..request
    };
    loop {
        let mut data = log.read(whole)?;
        let Some(slice) = data.slices.pop() else {
            // The reader is at the end; what has come since is for its next read.
            if whole.offset == request.offset {
                return Ok(data);
            }
            break;
        };
        let end = match copy(view.find(&slice.segment), &slice, &request, buffers, out) {
            // The reader gets what lies before the damage, and then the bytes themselves, to judge.
            Err(StorageError::CorruptSegment { .. }) if out.len() > start => End::NoRoom,
            Err(StorageError::CorruptSegment { .. }) => break,
            end => end?,
        };
        buffers.window.truncate(KEPT_BYTES);
        buffers.window.shrink_to(KEPT_BYTES);
        data.offset = request.offset;
        if out.len() > start || end == End::NoRoom {
            return Ok(data);
        }
        whole.offset = slice.segment.next_offset();
    }
    // Damage, or nothing is left although what is superseded has a successor: only a log that was changed at this very
    // moment looks so. The reader gets on with what there is.
    let mut data = log.read(request)?;
    data.read_into(out)
        .map_err(|source| StorageError::io("read", "a segment", source))?;
    data.slices.clear();
    Ok(data)
}

#[derive(PartialEq, Eq)]
enum End {
    /// Of what is readable in the segment.
    Readable,
    NoRoom,
}

fn copy(
    viewed: Option<&ViewedSegment>,
    slice: &FetchSlice,
    request: &ReadRequest,
    buffers: &mut ViewBuffers,
    out: &mut Vec<u8>,
) -> Result<End, StorageError> {
    let start = out.len();
    let end = slice.position.saturating_add(slice.len);
    let no_pieces = Pieces::default();
    let pieces = viewed.map_or(&no_pieces, |viewed| &viewed.pieces);
    let ViewBuffers {
        window,
        decompressor,
        builder,
    } = buffers;
    let mut window = Window::new(&slice.segment, pieces, end, window);
    let mut position = slice.position;
    let (mut piece, mut piece_end) = pieces.at(position);
    while position < end {
        if position >= piece_end {
            (piece, piece_end) = pieces.at(position);
        }
        if piece.kind == Kind::Dead {
            position = piece_end;
            continue;
        }
        let bytes = window.batch(position)?;
        let size_bytes = bytes.len();
        let written = out.len() - start;
        let is_first = written == 0 && request.min_one_batch;
        if written + size_bytes > request.max_bytes && !is_first {
            return Ok(End::NoRoom);
        }
        let survivors = viewed.filter(|_| piece.kind == Kind::Mixed);
        let is_rebuilt = survivors.is_some_and(|viewed| {
            let live = |index| !viewed.dead.contains(u64::from(piece.first_ordinal) + index);
            let is_whole = size_bytes == (piece_end - position) as usize;
            is_whole && rebuild(bytes, live, builder, decompressor, out)
        });
        if !is_rebuilt {
            out.extend_from_slice(bytes);
        }
        position = position.saturating_add(size_bytes as u32);
        if window.scanned_bytes > MOST_SCANNED_BYTES {
            return Ok(End::NoRoom);
        }
    }
    Ok(End::Readable)
}

/// Appends the survivors of a batch; appends nothing and answers false when it is better served as it is.
fn rebuild(
    bytes: &[u8],
    live: impl FnMut(u64) -> bool,
    builder: &mut BatchBuilder,
    decompressor: &mut Decompressor,
    out: &mut Vec<u8>,
) -> bool {
    let start = out.len();
    let rebuilt = RecordBatch::parse(bytes).and_then(|batch| {
        // Bit rot never gets a valid checksum.
        batch.verify_crc()?;
        let delete_horizon_ms = batch.header().delete_horizon_ms();
        builder.rebuild_survivors(&batch, delete_horizon_ms, decompressor, live, out)
    });
    // Offsets with gaps compress worse, so it may be a little larger; another level or codec version must not double it.
    let is_better = rebuilt.is_ok() && out.len() - start <= bytes.len() + bytes.len() / 4;
    if !is_better {
        out.truncate(start);
    }
    is_better
}

/// Reads ahead as far as it is worth it.
struct Window<'a> {
    segment: &'a Arc<Segment>,
    pieces: &'a Pieces,
    end: u32,
    buffer: &'a mut Vec<u8>,
    /// What of the file is in the buffer.
    held: std::ops::Range<u32>,
    scanned_bytes: u64,
}

impl<'a> Window<'a> {
    fn new(
        segment: &'a Arc<Segment>,
        pieces: &'a Pieces,
        end: u32,
        buffer: &'a mut Vec<u8>,
    ) -> Window<'a> {
        Window {
            segment,
            pieces,
            end,
            buffer,
            held: 0..0,
            scanned_bytes: 0,
        }
    }

    /// The whole batch at a position.
    fn batch(&mut self, position: u32) -> Result<&[u8], StorageError> {
        let segment = self.segment;
        let header = self.bytes(position, BATCH_HEADER_BYTES as u32)?;
        let header = BatchHeader::parse(header).map_err(|error| {
            StorageError::corrupt_segment(segment.log_path(), position.into(), error.to_string())
        })?;
        let size_bytes = u32::try_from(header.size_bytes()).unwrap_or(u32::MAX);
        self.bytes(position, size_bytes)
    }

    fn bytes(&mut self, position: u32, len: u32) -> Result<&[u8], StorageError> {
        let wanted_end = position.saturating_add(len);
        if wanted_end > self.end {
            return Err(self.corrupt(position));
        }
        if position < self.held.start || wanted_end > self.held.end {
            self.read(position, wanted_end)?;
        }
        let start = (position - self.held.start) as usize;
        self.buffer
            .get(start..start + len as usize)
            .ok_or_else(|| self.corrupt(position))
    }

    fn read(&mut self, position: u32, wanted_end: u32) -> Result<(), StorageError> {
        let most = position.saturating_add(WINDOW_BYTES).min(self.end);
        let end = self
            .pieces
            .extent_end(position, most, GAP_BYTES)
            .max(wanted_end);
        let len = (end - position) as usize;
        self.held = 0..0;
        self.buffer.resize(len, 0);
        let count = self
            .segment
            .read_at(self.buffer, position)
            .map_err(|source| {
                StorageError::unreadable(self.segment.log_path(), position, source)
            })?;
        if count < len {
            return Err(StorageError::io(
                "read",
                self.segment.log_path(),
                io::ErrorKind::UnexpectedEof.into(),
            ));
        }
        self.scanned_bytes += len as u64;
        self.held = position..end;
        Ok(())
    }

    fn corrupt(&self, position: u32) -> StorageError {
        StorageError::corrupt_segment(
            self.segment.log_path(),
            position.into(),
            "a batch is cut off",
        )
    }
}
