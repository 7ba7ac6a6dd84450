//! Producer ids for idempotent producers: handed out once, for ever.
//!
//! Ids are taken from a block whose end is durable in the metadata before the block is used, so a
//! crash loses ids and never repeats one. `allocator` is held for one increment, or for the write
//! of the next block's end.

use std::sync::{Mutex, PoisonError};

use lastword_coordinator::{PRODUCER_ID_BLOCK_SIZE, ProducerIdAllocator, ProducerIdBlock};
use lastword_protocol::ErrorCode;

use crate::error_map::ApiError;
use crate::metadata::MetadataStore;

/// Hands out producer ids.
#[derive(Default)]
pub struct ProducerIds {
    allocator: Mutex<ProducerIdAllocator>,
}

impl ProducerIds {
    /// The next id. Blocks on the disk once in a block.
    pub fn allocate(&self, metadata: &MetadataStore) -> Result<i64, ApiError> {
        let mut allocator = self
            .allocator
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(id) = allocator.claim() {
            return Ok(id);
        }
        let block = metadata.update(|image| {
            let block = ProducerIdBlock::reserve(image.next_producer_id(), PRODUCER_ID_BLOCK_SIZE)
                .map_err(|error| ApiError::new(ErrorCode::UnknownServerError, error.to_string()))?;
            let next = image
                .clone()
                .with_next_producer_id(block.next_producer_id());
            Ok::<_, ApiError>((next, block))
        })?;
        allocator.install(block);
        allocator
            .claim()
            .ok_or_else(|| ErrorCode::UnknownServerError.into())
    }
}
