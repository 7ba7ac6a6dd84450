//! The real file system. The only file that calls `std::fs`.

use std::fs;
use std::io;
use std::num::NonZeroU64;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::FlockOperation;
use rustix::io::Errno;

use super::{Dir, DirEntry, File};
use crate::file_name;

/// Files are for the owner only: they hold what users wrote.
const FILE_MODE: u32 = 0o600;
const DIR_MODE: u32 = 0o700;

/// A log directory on disk.
#[derive(Debug)]
pub struct FsDir {
    root: PathBuf,
    /// Kept open for syncs of the whole file system.
    handle: fs::File,
}

impl FsDir {
    /// Opens a log directory, and creates it (with its parents) when it is not there.
    pub fn open(root: impl Into<PathBuf>) -> io::Result<FsDir> {
        let root = root.into();
        fs::DirBuilder::new()
            .recursive(true)
            .mode(DIR_MODE)
            .create(&root)?;
        let handle = fs::File::open(&root)?;
        Ok(FsDir { root, handle })
    }

    /// Opens a directory that must be there, and creates nothing.
    pub fn open_existing(root: impl Into<PathBuf>) -> io::Result<FsDir> {
        let root = root.into();
        let handle = fs::File::open(&root)?;
        match handle.metadata()?.is_dir() {
            true => Ok(FsDir { root, handle }),
            false => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    /// Where the log directory is.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A path can never lead out of the log directory, whatever a topic is called.
    fn resolve(&self, path: &str) -> io::Result<PathBuf> {
        let relative = Path::new(path);
        if !relative
            .components()
            .all(|part| matches!(part, Component::Normal(_)))
            || path.contains('\0')
        {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "path leads out of the log directory",
            ));
        }
        Ok(self.root.join(relative))
    }
}

impl Dir for FsDir {
    fn create(&self, path: &str) -> io::Result<Arc<dyn File>> {
        let file = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .mode(FILE_MODE)
            .open(self.resolve(path)?)?;
        Ok(Arc::new(FsFile { file }))
    }

    fn open(&self, path: &str) -> io::Result<Arc<dyn File>> {
        let file = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .open(self.resolve(path)?)?;
        Ok(Arc::new(FsFile { file }))
    }

    fn open_to_read(&self, path: &str) -> io::Result<Arc<dyn File>> {
        let file = fs::File::open(self.resolve(path)?)?;
        Ok(Arc::new(FsFile { file }))
    }

    fn create_dir(&self, path: &str) -> io::Result<()> {
        fs::DirBuilder::new()
            .mode(DIR_MODE)
            .create(self.resolve(path)?)
    }

    fn remove_dir(&self, path: &str) -> io::Result<()> {
        fs::remove_dir(self.resolve(path)?)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.resolve(from)?, self.resolve(to)?)
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        fs::remove_file(self.resolve(path)?)
    }

    fn list(&self, path: &str) -> io::Result<Vec<DirEntry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(self.resolve(path)?)? {
            let entry = entry?;
            // A name that is not UTF-8 is not one of ours.
            let Ok(name) = entry.file_name().into_string() else {
                continue;
            };
            let metadata = match entry.metadata() {
                Ok(metadata) => metadata,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            let size_bytes = if metadata.is_dir() { 0 } else { metadata.len() };
            entries.push(DirEntry {
                name,
                is_dir: metadata.is_dir(),
                size_bytes,
            });
        }
        entries.sort_by(|left, right| left.name.cmp(&right.name));
        Ok(entries)
    }

    fn sync_dir(&self, path: &str) -> io::Result<()> {
        fs::File::open(self.resolve(path)?)?.sync_all()
    }

    fn sync_file_system(&self) -> io::Result<()> {
        Ok(rustix::fs::syncfs(&self.handle)?)
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let status = rustix::fs::fstatvfs(&self.handle)?;
        Ok(status.f_bavail.saturating_mul(status.f_frsize))
    }

    fn total_bytes(&self) -> io::Result<u64> {
        let status = rustix::fs::fstatvfs(&self.handle)?;
        Ok(status.f_blocks.saturating_mul(status.f_frsize))
    }

    fn lock(&self) -> io::Result<Box<dyn Send + Sync>> {
        let file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(FILE_MODE)
            .open(self.root.join(file_name::LOCK))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Err(io::ErrorKind::WouldBlock.into()),
            Err(fs::TryLockError::Error(error)) => return Err(error),
        }
        // Kafka's lock is of another kind, and the two do not see each other. This one keeps out other processes only.
        match rustix::fs::fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Box::new(file)),
            Err(Errno::AGAIN | Errno::ACCESS) => Err(io::ErrorKind::WouldBlock.into()),
            Err(error) => Err(error.into()),
        }
    }

    fn exists(&self, path: &str) -> io::Result<bool> {
        self.resolve(path)?.try_exists()
    }
}

struct FsFile {
    file: fs::File,
}

impl File for FsFile {
    fn read_at(&self, buf: &mut [u8], position: u64) -> io::Result<usize> {
        self.file.read_at(buf, position)
    }

    fn write_all_at(&self, buf: &[u8], position: u64) -> io::Result<()> {
        self.file.write_all_at(buf, position)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn modified_ms(&self) -> io::Result<i64> {
        let elapsed = self
            .file
            .metadata()?
            .modified()?
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Ok(i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX))
    }

    fn set_modified_ms(&self, ms: i64) -> io::Result<()> {
        let elapsed = Duration::from_millis(u64::try_from(ms).unwrap_or(0));
        self.file.set_modified(SystemTime::UNIX_EPOCH + elapsed)
    }

    fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.file.as_fd())
    }

    fn start_write_back(&self, position: u64, len: u64) {
        // What this advice does on Linux to bytes that are not on disk: their writing begins, and they stay. The call
        // that is made for it cannot be had without unsafe code.
        if len > 0 {
            self.drop_cache(position, len);
        }
    }

    fn drop_cache(&self, position: u64, len: u64) {
        // Advice only: a file system that does not take it changes nothing.
        let _ = rustix::fs::fadvise(
            &self.file,
            position,
            NonZeroU64::new(len),
            rustix::fs::Advice::DontNeed,
        );
    }
}
