//! `IndexFile`: a file of fixed-size entries, appended by one writer and searched on disk by any number of readers.
//!
//! Invariant: entries below `count` are written before `count` is published, and never change while the segment is in
//! use; only recovery and rebuild, which run before anybody else sees the segment, take entries back.
//! The file is opened when it is first needed and can be closed again, so that a thousand partitions do not hold three
//! descriptors for each old segment. After `detach` it is never opened by name: the name may belong to another segment.
//! Nothing here knows what an entry means.
//!
//! Lock: `handle`, held while the file is opened by name or synced, never while it is read or written. The names of
//! `SegmentFiles` are looked up under it.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use super::files::SegmentFiles;
use crate::dir::File;
use crate::error::StorageError;
use crate::file_name::SegmentFile;
use crate::lock::lock;

/// Entries of a search are probed one by one until this many bytes are left, which are read at once.
const SEARCH_BLOCK_BYTES: usize = 4096;

enum Handle {
    Closed,
    Open(Arc<dyn File>),
    /// Looked for and not found, or given up: an index without entries.
    Missing,
}

pub(super) struct IndexFile<const ENTRY_BYTES: usize> {
    files: Arc<SegmentFiles>,
    kind: SegmentFile,
    count: AtomicU32,
    handle: Mutex<Handle>,
}

impl<const ENTRY_BYTES: usize> IndexFile<ENTRY_BYTES> {
    /// An empty index; the file is created now.
    pub fn create(files: &Arc<SegmentFiles>, kind: SegmentFile) -> Result<Self, StorageError> {
        let file = files.create(kind)?;
        Ok(Self::new(files, kind, 0, Handle::Open(file)))
    }

    /// An index without a file, which the first append creates.
    pub fn absent(files: &Arc<SegmentFiles>, kind: SegmentFile) -> Self {
        Self::new(files, kind, 0, Handle::Missing)
    }

    /// An existing index. `None`: there is no such file, or its length is not a whole number of entries.
    pub fn open(
        files: &Arc<SegmentFiles>,
        kind: SegmentFile,
    ) -> Result<Option<Self>, StorageError> {
        let Some(file) = files.open(kind)? else {
            return Ok(None);
        };
        let len = file
            .len()
            .map_err(|source| StorageError::io("read", files.path(kind), source))?;
        let count = u32::try_from(len / ENTRY_BYTES as u64).ok();
        let Some(count) = count.filter(|_| len % ENTRY_BYTES as u64 == 0) else {
            return Ok(None);
        };
        Ok(Some(Self::new(files, kind, count, Handle::Open(file))))
    }

    fn new(files: &Arc<SegmentFiles>, kind: SegmentFile, count: u32, handle: Handle) -> Self {
        IndexFile {
            files: Arc::clone(files),
            kind,
            count: AtomicU32::new(count),
            handle: Mutex::new(handle),
        }
    }

    pub fn count(&self) -> u32 {
        self.count.load(Ordering::Acquire)
    }

    pub fn size_bytes(&self) -> u64 {
        u64::from(self.count()) * ENTRY_BYTES as u64
    }

    pub fn path(&self) -> String {
        self.files.path(self.kind)
    }

    /// The entry at `index`; `None` when the file is not there or does not reach that far.
    pub fn entry(&self, index: u32) -> Result<Option<[u8; ENTRY_BYTES]>, StorageError> {
        let mut entry = [0; ENTRY_BYTES];
        let count = self.read(&mut entry, index)?;
        Ok((count == ENTRY_BYTES).then_some(entry))
    }

    /// Passes the entries from `first` on to `visit`, in order, until it returns false.
    pub fn for_each(
        &self,
        first: u32,
        mut visit: impl FnMut(&[u8; ENTRY_BYTES]) -> bool,
    ) -> Result<(), StorageError> {
        let mut block = [0; SEARCH_BLOCK_BYTES];
        let (mut next, count) = (first, self.count());
        while next < count {
            let entries = (count - next).min((SEARCH_BLOCK_BYTES / ENTRY_BYTES) as u32);
            let wanted = block
                .get_mut(..entries as usize * ENTRY_BYTES)
                .unwrap_or_default();
            let filled = self.read(wanted, next)?;
            let (whole, _) = wanted
                .get(..filled)
                .unwrap_or_default()
                .as_chunks::<ENTRY_BYTES>();
            if whole.is_empty() || !whole.iter().all(&mut visit) {
                return Ok(());
            }
            next += whole.len() as u32;
        }
        Ok(())
    }

    /// How many entries at the front satisfy `is_before`, which must hold for a prefix of them.
    pub fn partition_point(
        &self,
        is_before: impl Fn(&[u8; ENTRY_BYTES]) -> bool,
    ) -> Result<u32, StorageError> {
        let (mut low, mut high) = (0, self.count());
        while (high - low) as usize * ENTRY_BYTES > SEARCH_BLOCK_BYTES {
            let middle = low + (high - low) / 2;
            match self.entry(middle)? {
                Some(entry) if is_before(&entry) => low = middle + 1,
                Some(_) => high = middle,
                // The file is gone: nothing is known, which is always a correct answer.
                None => return Ok(0),
            }
        }
        let mut block = [0; SEARCH_BLOCK_BYTES];
        let wanted = block
            .get_mut(..(high - low) as usize * ENTRY_BYTES)
            .unwrap_or_default();
        let filled = self.read(wanted, low)?;
        let (entries, _) = wanted
            .get(..filled)
            .unwrap_or_default()
            .as_chunks::<ENTRY_BYTES>();
        Ok(low + entries.partition_point(is_before) as u32)
    }

    /// Adds an entry. One writer at a time.
    pub fn append(&self, entry: &[u8; ENTRY_BYTES]) -> Result<(), StorageError> {
        let file = match self.file()? {
            Some(file) => file,
            None => self.create_file()?,
        };
        let count = self.count();
        file.write_all_at(entry, u64::from(count) * ENTRY_BYTES as u64)
            .map_err(|source| self.io("write", source))?;
        self.count.store(count + 1, Ordering::Release);
        Ok(())
    }

    /// Keeps the first `count` entries. Only before the segment is shared.
    pub fn truncate(&self, count: u32) -> Result<(), StorageError> {
        if let Some(file) = self.file()? {
            file.truncate(u64::from(count) * ENTRY_BYTES as u64)
                .map_err(|source| self.io("truncate", source))?;
        }
        self.count.store(count, Ordering::Release);
        Ok(())
    }

    /// Removes the file, whatever is in it. Only before the segment is shared.
    pub fn discard(&self) -> Result<(), StorageError> {
        if self.files.open(self.kind)?.is_some() {
            let path = self.path();
            self.files
                .dir
                .remove(&path)
                .map_err(|source| StorageError::io("remove", path, source))?;
        }
        *lock(&self.handle) = Handle::Missing;
        self.count.store(0, Ordering::Release);
        Ok(())
    }

    /// Adds many entries with one write. One writer at a time.
    pub fn extend(&self, entries: &[u8]) -> Result<(), StorageError> {
        let file = match self.file()? {
            Some(file) => file,
            None => self.create_file()?,
        };
        file.write_all_at(entries, self.size_bytes())
            .map_err(|source| self.io("write", source))?;
        self.count
            .fetch_add((entries.len() / ENTRY_BYTES) as u32, Ordering::Release);
        Ok(())
    }

    /// Syncs what was written through this handle; a closed index has nothing to sync.
    pub fn sync(&self) -> Result<(), StorageError> {
        let Handle::Open(file) = &*lock(&self.handle) else {
            return Ok(());
        };
        file.sync_data().map_err(|source| self.io("sync", source))
    }

    pub fn set_modified_ms(&self, ms: i64) -> Result<(), StorageError> {
        let Some(file) = self.file()? else {
            return Ok(());
        };
        file.set_modified_ms(ms)
            .map_err(|source| self.io("write", source))
    }

    /// Gives the descriptor back; the next use opens the file again.
    pub fn close(&self) {
        let mut handle = lock(&self.handle);
        if matches!(*handle, Handle::Open(_)) {
            *handle = Handle::Closed;
        }
    }

    /// From now on the file is not opened by name. An index that cannot be opened now has no entries.
    pub fn detach(&self) {
        if !matches!(self.file(), Ok(Some(_))) {
            *lock(&self.handle) = Handle::Missing;
        }
    }

    fn read(&self, buf: &mut [u8], index: u32) -> Result<usize, StorageError> {
        let Some(file) = self.file()? else {
            return Ok(0);
        };
        let position = u64::from(index) * ENTRY_BYTES as u64;
        file.read_full_at(buf, position)
            .map_err(|source| self.io("read", source))
    }

    fn file(&self) -> Result<Option<Arc<dyn File>>, StorageError> {
        let mut handle = lock(&self.handle);
        if let Handle::Closed = *handle {
            *handle = match self.files.open(self.kind)? {
                Some(file) => Handle::Open(file),
                None => Handle::Missing,
            };
        }
        match &*handle {
            Handle::Open(file) => Ok(Some(Arc::clone(file))),
            Handle::Closed | Handle::Missing => Ok(None),
        }
    }

    fn create_file(&self) -> Result<Arc<dyn File>, StorageError> {
        let file = self.files.create(self.kind)?;
        *lock(&self.handle) = Handle::Open(Arc::clone(&file));
        Ok(file)
    }

    fn io(&self, action: &'static str, source: std::io::Error) -> StorageError {
        StorageError::io(action, self.path(), source)
    }
}
