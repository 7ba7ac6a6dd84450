//! `OutputWriter`: writes the bytes of outputs in a thread of its own, while the next ones are put together.
//!
//! Each write is handed to the disk at once, so that the disk works at the same time as the processor, the sync at the
//! end of a file finds little left to do, and so does a group commit that syncs the same file system. That is a promise
//! of nothing: who needs the bytes to be durable syncs the file. It is no sync either: each one would be a commit of the
//! file system's journal, for which the group commits of the broker would have to wait.
//!
//! The thread starts with the second write, so that small cleanings have none, and a few buffers go round between the
//! two. A failure is answered by one of the next calls, or by `finish`, which has to be called before a file is synced.
//! Files of a simulated directory are written at once, so that simulations stay repeatable. No lock.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::thread::JoinHandle;

use crate::dir::File;

/// Writes that wait at most.
const QUEUE: usize = 3;

#[derive(Default)]
pub struct OutputWriter {
    /// What is on disk leaves the page cache, as far as it is brought there here: nobody had the inputs in it either.
    pub drops_cache: bool,
    has_written: bool,
    thread: Option<WriterThread>,
}

struct Write {
    file: Arc<dyn File>,
    bytes: Vec<u8>,
    position: u64,
    drops_cache: bool,
}

impl Write {
    fn run(&self) -> io::Result<()> {
        self.file.write_all_at(&self.bytes, self.position)?;
        let end = self.position + self.bytes.len() as u64;
        // From the start: what has come to disk meanwhile is dropped.
        let begin = if self.drops_cache { 0 } else { self.position };
        self.file.start_write_back(begin, end - begin);
        Ok(())
    }
}

struct WriterThread {
    writes: SyncSender<Write>,
    /// Buffers that were written.
    spare: Receiver<Vec<u8>>,
    handle: JoinHandle<io::Result<()>>,
}

impl OutputWriter {
    /// Writes `bytes` at a position, now or soon, and empties it.
    pub fn write(
        &mut self,
        file: &Arc<dyn File>,
        bytes: &mut Vec<u8>,
        position: u64,
    ) -> io::Result<()> {
        if self.has_written && self.thread.is_none() && file.as_fd().is_some() {
            self.thread = WriterThread::start();
        }
        self.has_written = true;
        let mut write = Write {
            file: Arc::clone(file),
            bytes: std::mem::take(bytes),
            position,
            drops_cache: self.drops_cache,
        };
        let Some(thread) = &self.thread else {
            let result = write.run();
            write.bytes.clear();
            *bytes = write.bytes;
            return result;
        };
        *bytes = thread.spare.try_recv().unwrap_or_default();
        match thread.writes.send(write) {
            Ok(()) => Ok(()),
            // It has ended before its time: with an error.
            Err(_) => self.finish(),
        }
    }

    /// Waits until everything is written; fails if anything failed.
    pub fn finish(&mut self) -> io::Result<()> {
        let Some(thread) = self.thread.take() else {
            return Ok(());
        };
        drop(thread.writes);
        thread
            .handle
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("the thread that writes outputs panicked")))
    }
}

impl Drop for OutputWriter {
    fn drop(&mut self) {
        // The outputs are given up.
        let _ = self.finish();
    }
}

impl WriterThread {
    /// None when there can be no thread: then everything is written at once.
    fn start() -> Option<WriterThread> {
        let (writes, receiver) = sync_channel::<Write>(QUEUE);
        let (written, spare) = channel();
        let write_all = move || {
            receiver.iter().try_for_each(|mut write| {
                write.run()?;
                write.bytes.clear();
                // Nobody may want it any more.
                let _ = written.send(write.bytes);
                Ok(())
            })
        };
        let builder = std::thread::Builder::new().name("log-cleaner-write".to_string());
        let handle = builder.spawn(write_all).ok()?;
        Some(WriterThread {
            writes,
            spare,
            handle,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dir::{Dir, FsDir};

    #[test]
    fn everything_is_there_in_order_after_finish() {
        let directory = tempfile::tempdir().unwrap();
        let dir = FsDir::open(directory.path()).unwrap();
        let file = dir.create("out").unwrap();
        let mut writer = OutputWriter::default();
        let mut bytes = Vec::new();
        for number in 0..100u8 {
            assert!(bytes.is_empty());
            bytes.resize(1_000, number);
            writer
                .write(&file, &mut bytes, u64::from(number) * 1_000)
                .unwrap();
        }
        writer.finish().unwrap();
        let mut found = vec![0; 100_000];
        file.read_exact_at(&mut found, 0).unwrap();
        assert!(
            found
                .chunks(1_000)
                .zip(0u8..)
                .all(|(part, number)| part == [number; 1_000])
        );
    }

    #[test]
    fn a_failed_write_is_answered_at_the_latest_by_finish() {
        let directory = tempfile::tempdir().unwrap();
        let dir = FsDir::open(directory.path()).unwrap();
        let file = dir.create("out").unwrap();
        let mut writer = OutputWriter::default();
        writer.write(&file, &mut vec![1], 0).unwrap();
        // Beyond what any file can hold.
        let mut result = Ok(());
        for _ in 0..10 {
            result = result.and(writer.write(&file, &mut vec![1], u64::MAX / 2));
        }
        assert!(result.and(writer.finish()).is_err());
    }
}
