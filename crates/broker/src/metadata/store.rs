//! `MetadataStore`: the current image, and the one way to change it.
//!
//! Readers load the image without a lock. `writer` orders the changes: the next image is durable
//! before any reader sees it, and a change that cannot be written down does not happen.
//!
//! `topics` is held by whoever changes a topic, from the metadata to its logs, so that the two agree
//! whatever is asked for at the same moment. It comes before `writer`.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;

use super::file::{MetadataFile, MetadataFileError};
use super::image::MetadataImage;

/// Holds the image.
pub struct MetadataStore {
    image: ArcSwap<MetadataImage>,
    writer: Mutex<MetadataFile>,
    topics: Mutex<()>,
}

impl MetadataStore {
    /// Starts from what the file holds.
    pub fn open(file: MetadataFile) -> Result<MetadataStore, MetadataFileError> {
        let image = file.load()?.unwrap_or_default();
        Ok(MetadataStore {
            image: ArcSwap::from_pointee(image),
            writer: Mutex::new(file),
            topics: Mutex::default(),
        })
    }

    /// The image at this moment.
    pub fn image(&self) -> Arc<MetadataImage> {
        self.image.load_full()
    }

    /// Taken before a topic is changed, kept until its logs have followed.
    pub fn lock_topics(&self) -> MutexGuard<'_, ()> {
        self.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the image: `change` returns the next one, or an error and nothing happens.
    ///
    /// Blocks on the disk. Changes are ordered, so what `change` sees is the latest image.
    pub fn update<T, E: From<MetadataFileError>>(
        &self,
        change: impl FnOnce(&MetadataImage) -> Result<(MetadataImage, T), E>,
    ) -> Result<T, E> {
        let file = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let current = self.image.load_full();
        let (next, answer) = change(&current)?;
        if next != *current {
            file.store(&next)?;
            self.image.store(Arc::new(next));
        }
        Ok(answer)
    }
}
