//! `Dir` and `File`: the engine's only door to the disk.
//!
//! Paths are relative to the log directory, with `/` between their parts; `""` is the log directory itself. A write is
//! durable after [`File::sync_data`], a name (create, rename, remove) after [`Dir::sync_dir`] of the directory that
//! holds it: two different promises, and both are needed before anything is acknowledged.
//! Files are shared by their `Arc`: one writer and any number of readers, positions in every call, no cursor. A file
//! that was renamed or removed stays readable through the handles that were open.
//! No buffering, no retry, no policy here.

mod fs;
mod residency;
mod sim;

use std::io;
use std::ops::Range;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

pub use fs::FsDir;
pub use residency::{DropBehind, Residency};
pub use sim::{CrashModel, OperationKind, SimDir};

/// One name in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirEntry {
    pub name: String,
    pub is_dir: bool,
    /// 0 for a directory.
    pub size_bytes: u64,
}

/// A log directory.
pub trait Dir: Send + Sync {
    /// Creates a file, or empties the one that is there; readable and writable, for the owner only.
    fn create(&self, path: &str) -> io::Result<Arc<dyn File>>;
    /// Opens an existing file, readable and writable.
    fn open(&self, path: &str) -> io::Result<Arc<dyn File>>;
    /// Opens an existing file of which nothing will be written: of a directory that belongs to somebody else.
    fn open_to_read(&self, path: &str) -> io::Result<Arc<dyn File>> {
        self.open(path)
    }
    /// Creates a directory; its parent must exist.
    fn create_dir(&self, path: &str) -> io::Result<()>;
    /// Removes an empty directory.
    fn remove_dir(&self, path: &str) -> io::Result<()>;
    /// Gives a file or directory a new name, replacing a file that has it.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &str) -> io::Result<()>;
    /// The entries of a directory, sorted by name.
    fn list(&self, path: &str) -> io::Result<Vec<DirEntry>>;
    /// Makes the names in a directory durable.
    fn sync_dir(&self, path: &str) -> io::Result<()>;
    /// Makes everything in the file system durable, data and names: cheaper than many single syncs.
    fn sync_file_system(&self) -> io::Result<()>;
    /// Bytes that may still be written.
    fn free_bytes(&self) -> io::Result<u64>;
    /// Bytes of the whole file system, where there is one.
    fn total_bytes(&self) -> io::Result<u64> {
        Err(io::ErrorKind::Unsupported.into())
    }
    /// Takes the directory for this process until the guard is dropped; `WouldBlock` when it is taken.
    fn lock(&self) -> io::Result<Box<dyn Send + Sync>>;

    /// Whether a file or directory has this name.
    fn exists(&self, path: &str) -> io::Result<bool> {
        let (parent, name) = split_path(path);
        match self.list(parent) {
            Ok(entries) => Ok(entries.iter().any(|entry| entry.name == name)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// An open file.
pub trait File: Send + Sync {
    /// Reads at a position; fewer bytes than asked for only at the end of the file (or by the system's whim).
    fn read_at(&self, buf: &mut [u8], position: u64) -> io::Result<usize>;
    /// Writes all of `buf` at `position`; durable after [`File::sync_data`].
    fn write_all_at(&self, buf: &[u8], position: u64) -> io::Result<()>;
    /// Length in bytes.
    fn len(&self) -> io::Result<u64>;
    /// Whether the file has no bytes.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
    /// Cuts (or extends with zeros) to `len` bytes.
    fn truncate(&self, len: u64) -> io::Result<()>;
    /// Makes the bytes and the length durable, not the name.
    fn sync_data(&self) -> io::Result<()>;
    /// When the file was last written, in milliseconds since 1970.
    fn modified_ms(&self) -> io::Result<i64>;
    /// Sets the time of last modification.
    fn set_modified_ms(&self, ms: i64) -> io::Result<()>;
    /// The descriptor, for calls that move bytes inside the kernel; `None` in a simulation.
    fn as_fd(&self) -> Option<BorrowedFd<'_>>;
    /// Advises that a range will not be read again soon, so that a big scan does not push out what readers need.
    fn drop_cache(&self, position: u64, len: u64);
    /// Asks the disk to begin with what was just written to a range, and does not wait. Promises nothing; a failure is
    /// reported by the next [`File::sync_data`].
    fn start_write_back(&self, _position: u64, _len: u64) {}

    /// Reads until `buf` is full or the file ends; returns the bytes read.
    fn read_full_at(&self, buf: &mut [u8], position: u64) -> io::Result<usize> {
        let mut filled = 0;
        while let Some(rest) = buf.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.read_at(rest, position + filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    /// Fills `buf`, or fails with `UnexpectedEof`.
    fn read_exact_at(&self, buf: &mut [u8], position: u64) -> io::Result<()> {
        if self.read_full_at(buf, position)? < buf.len() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }

    /// Copies a range to `position` of another file, through `buffer`; durable after [`File::sync_data`] of `to`.
    /// `UnexpectedEof` when this file ends before. After an error any part may be written. 1 MiB is a good buffer: that
    /// is faster than `copy_file_range`, which moves 64 KiB at a time (`docs/decisions/0008-page-cache.md`).
    fn copy_range_to(
        &self,
        range: Range<u64>,
        to: &dyn File,
        position: u64,
        buffer: &mut [u8],
    ) -> io::Result<()> {
        let (mut from, mut at) = (range.start, position);
        while from < range.end {
            let chunk_bytes = (range.end - from).min(buffer.len() as u64);
            let chunk = buffer.get_mut(..chunk_bytes as usize).unwrap_or_default();
            if chunk.is_empty() {
                return Err(io::ErrorKind::InvalidInput.into());
            }
            self.read_exact_at(chunk, from)?;
            to.write_all_at(chunk, at)?;
            (from, at) = (from + chunk_bytes, at + chunk_bytes);
        }
        Ok(())
    }
}

/// The whole content of a small file.
pub fn read_file(dir: &dyn Dir, path: &str) -> io::Result<Vec<u8>> {
    let file = dir.open_to_read(path)?;
    let len = usize::try_from(file.len()?).map_err(|_| io::ErrorKind::FileTooLarge)?;
    let mut bytes = vec![0; len];
    let count = file.read_full_at(&mut bytes, 0)?;
    bytes.truncate(count);
    Ok(bytes)
}

/// Directory and last part of a path.
pub fn split_path(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

#[cfg(test)]
mod tests;
