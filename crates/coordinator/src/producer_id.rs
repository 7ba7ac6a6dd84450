//! Producer ids, handed out from blocks whose end is persisted before the block is used.
//!
//! Invariant: an id is given out only below the persisted next id, so that a crash can lose ids but
//! never repeat one. Persisting is the caller's work: reserve, write the returned number, install.

use crate::error::CoordinatorError;

/// Kafka's block size.
pub const PRODUCER_ID_BLOCK_SIZE: i64 = 1000;

/// The ids `first_producer_id .. first_producer_id + size`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProducerIdBlock {
    pub first_producer_id: i64,
    pub size: i64,
}

impl ProducerIdBlock {
    /// Reserves the block that starts at the persisted next id. Persist
    /// [`next_producer_id`](Self::next_producer_id) before using it.
    pub fn reserve(persisted_next_id: i64, block_size: i64) -> Result<Self, CoordinatorError> {
        let exhausted = CoordinatorError::ProducerIdsExhausted {
            next_producer_id: persisted_next_id,
        };
        if persisted_next_id < 0 || block_size <= 0 {
            return Err(exhausted);
        }
        match persisted_next_id.checked_add(block_size) {
            Some(_) => Ok(Self {
                first_producer_id: persisted_next_id,
                size: block_size,
            }),
            None => Err(exhausted),
        }
    }

    /// The number to persist: the first id after this block.
    pub fn next_producer_id(self) -> i64 {
        self.first_producer_id + self.size
    }
}

/// Hands out the ids of the installed block, each once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProducerIdAllocator {
    next: i64,
    end: i64,
}

impl ProducerIdAllocator {
    /// An allocator without a block.
    pub fn new() -> Self {
        Self::default()
    }

    /// Replaces the block. What was left of the old one is lost, which is harmless.
    pub fn install(&mut self, block: ProducerIdBlock) {
        self.next = block.first_producer_id;
        self.end = block.next_producer_id();
    }

    /// The next id; `None` when a new block has to be reserved first.
    pub fn claim(&mut self) -> Option<i64> {
        (self.next < self.end).then(|| {
            self.next += 1;
            self.next - 1
        })
    }

    /// Ids of the block that are not handed out.
    pub fn remaining(&self) -> i64 {
        self.end - self.next
    }
}

#[cfg(test)]
mod tests {
    use super::{ProducerIdAllocator, ProducerIdBlock};

    #[test]
    fn a_block_gives_each_of_its_ids_once_and_then_none() {
        let block = ProducerIdBlock::reserve(4000, 3).unwrap();
        assert_eq!(block.next_producer_id(), 4003);
        let mut allocator = ProducerIdAllocator::new();
        assert_eq!(allocator.claim(), None);
        allocator.install(block);
        let ids: Vec<i64> = std::iter::from_fn(|| allocator.claim()).collect();
        assert_eq!(ids, [4000, 4001, 4002]);
        assert_eq!(allocator.remaining(), 0);
    }

    #[test]
    fn a_block_past_the_largest_id_is_refused() {
        assert!(ProducerIdBlock::reserve(i64::MAX - 10, 1000).is_err());
        assert!(ProducerIdBlock::reserve(-1, 1000).is_err());
        assert!(ProducerIdBlock::reserve(0, 0).is_err());
    }
}
