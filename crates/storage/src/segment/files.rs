//! Where a segment's files are: directory, base offset and suffix, shared by the segment and its indexes.
//!
//! Lock: `suffix` guards the names. It is held while files are renamed, never while they are opened or read; nothing is
//! taken under it.

use std::io;
use std::sync::{Arc, Mutex};

use crate::dir::{Dir, File};
use crate::error::StorageError;
use crate::file_name::{self, SegmentFile};
use crate::lock::lock;

pub(super) struct SegmentFiles {
    pub dir: Arc<dyn Dir>,
    pub partition_dir: String,
    pub base_offset: i64,
    suffix: Mutex<String>,
}

impl SegmentFiles {
    pub fn new(
        dir: Arc<dyn Dir>,
        partition_dir: &str,
        base_offset: i64,
        suffix: &str,
    ) -> SegmentFiles {
        SegmentFiles {
            dir,
            partition_dir: partition_dir.into(),
            base_offset,
            suffix: Mutex::new(suffix.into()),
        }
    }

    pub fn suffix(&self) -> String {
        lock(&self.suffix).clone()
    }

    pub fn path(&self, file: SegmentFile) -> String {
        file_name::segment_path(
            &self.partition_dir,
            self.base_offset,
            file,
            &lock(&self.suffix),
        )
    }

    pub fn create(&self, file: SegmentFile) -> Result<Arc<dyn File>, StorageError> {
        let path = self.path(file);
        self.dir
            .create(&path)
            .map_err(|source| StorageError::io("create", path, source))
    }

    /// `None` when there is no such file.
    pub fn open(&self, file: SegmentFile) -> Result<Option<Arc<dyn File>>, StorageError> {
        let path = self.path(file);
        match self.dir.open(&path) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(StorageError::io("open", path, source)),
        }
    }

    /// Renames the files that are there, `.log` first.
    pub fn rename_suffix(&self, to: &str) -> Result<(), StorageError> {
        let mut suffix = lock(&self.suffix);
        for file in SegmentFile::OF_SEGMENT {
            let from =
                file_name::segment_path(&self.partition_dir, self.base_offset, file, &suffix);
            let to = file_name::segment_path(&self.partition_dir, self.base_offset, file, to);
            ignore_missing(self.dir.rename(&from, &to))
                .map_err(|source| StorageError::io("rename", from, source))?;
        }
        to.clone_into(&mut suffix);
        Ok(())
    }

    /// Removes the files that are there, `.log` last: a crash leaves nothing without its log.
    pub fn remove(&self) -> Result<(), StorageError> {
        for file in SegmentFile::ALL_OF_SEGMENT.into_iter().rev() {
            let path = self.path(file);
            ignore_missing(self.dir.remove(&path))
                .map_err(|source| StorageError::io("remove", path, source))?;
        }
        Ok(())
    }
}

fn ignore_missing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}
