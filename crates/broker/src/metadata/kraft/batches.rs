//! Record batches one after the other from a file, each whole and with its checksum compared.
//!
//! A batch is at most [`MAX_BATCH_BYTES`]; Kafka writes none above 8 MiB here. Memory grows with the bytes that are
//! there, not with what a length says. No lock.

use std::io::Read;

use lastword_record::{LOG_OVERHEAD, RecordBatch};

/// Longest batch that is read, and longest content of a compressed one.
pub const MAX_BATCH_BYTES: usize = 64 << 20;

/// What ended the reading of a file before its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The last batch is not whole: a crash may have ended the file there.
    Tail(String),
    /// It cannot be read, or is damaged where no crash does that.
    Wrong(String),
}

/// The batches of one file.
pub struct Batches<R> {
    input: R,
    batch: Vec<u8>,
    position: u64,
}

impl<R: Read> Batches<R> {
    /// From the file's beginning.
    pub fn new(input: R) -> Batches<R> {
        Batches {
            input,
            batch: Vec::new(),
            position: 0,
        }
    }

    /// The next batch; none at the end of the file.
    pub fn next(&mut self) -> Result<Option<RecordBatch<'_>>, Stop> {
        let at = format!("position {}", self.position);
        let wrong = |reason: String| Stop::Wrong(format!("{at}: {reason}"));
        let tail = |reason: String| Stop::Tail(format!("{at}: {reason}"));
        let cut = || tail("the file ends within a batch".to_owned());
        self.batch.clear();
        self.fill(LOG_OVERHEAD).map_err(wrong)?;
        if self.batch.is_empty() {
            return Ok(None);
        }
        let Some(&[.., a, b, c, d]) = self.batch.first_chunk::<LOG_OVERHEAD>() else {
            return Err(cut());
        };
        if self.batch.iter().all(|byte| *byte == 0) {
            return Err(tail("zeros where a batch should begin".to_owned()));
        }
        let length = i32::from_be_bytes([a, b, c, d]);
        let needed = usize::try_from(length)
            .ok()
            .map(|length| length.saturating_add(LOG_OVERHEAD))
            .filter(|needed| *needed <= MAX_BATCH_BYTES)
            .ok_or_else(|| wrong(format!("a batch cannot have length {length}")))?;
        self.fill(needed).map_err(wrong)?;
        if self.batch.len() < needed {
            return Err(cut());
        }
        let parsed = RecordBatch::parse(&self.batch).and_then(|batch| batch.verify_crc());
        if let Err(error) = parsed {
            self.fill(needed + 1).map_err(wrong)?;
            let is_last = self.batch.len() == needed;
            let reason = error.to_string();
            return Err(if is_last { tail(reason) } else { wrong(reason) });
        }
        self.position += needed as u64;
        RecordBatch::parse(&self.batch)
            .map(Some)
            .map_err(|error| wrong(error.to_string()))
    }

    /// Reads until the batch has so many bytes, or the file ends.
    fn fill(&mut self, bytes: usize) -> Result<(), String> {
        let missing = bytes.saturating_sub(self.batch.len());
        let mut input = (&mut self.input).take(missing as u64);
        let read = input.read_to_end(&mut self.batch);
        read.map(|_| ()).map_err(|error| error.to_string())
    }
}
