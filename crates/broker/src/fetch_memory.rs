//! Memory for record data on its way to clients: bounded over all connections.
//!
//! Without a bound, a thousand clients that each ask for 50 MiB and read nothing would take 50 GiB.
//! A fetch takes its share before it reads, and gives it back when its bytes have left (or its
//! connection is gone). When memory is short, a fetch is cut down to a small share and waits.
//!
//! Buffers are kept and used again: a fresh one costs a page fault every four KiB.
//! `buffers` is held for a push or a pop.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// All fetches together.
const TOTAL_BYTES: usize = 128 << 20;
/// So much of it is left to small shares, so that a few large answers do not stop everybody.
const SMALL_SHARES_BYTES: usize = 32 << 20;
/// What one fetch may take when memory is short.
pub const SHORT_BYTES: usize = 1 << 20;
/// Buffers from this size on are kept.
const MIN_KEPT_BYTES: usize = 64 << 10;
/// Buffers above this size are not.
const MAX_KEPT_BYTES: usize = 4 << 20;
/// How many are kept.
const MAX_KEPT: usize = 4;

/// The memory and the buffers that wait for use.
pub struct FetchMemory {
    permits: Arc<Semaphore>,
    buffers: Arc<Mutex<Vec<Vec<u8>>>>,
}

/// A share of the memory. Dropped, it is given back.
pub struct FetchShare {
    permit: Option<OwnedSemaphorePermit>,
    buffers: Arc<Mutex<Vec<Vec<u8>>>>,
}

/// Record data with its share; what [`Bytes`] owns.
struct Owned {
    buffer: Vec<u8>,
    len: usize,
    share: Arc<FetchShare>,
}

impl Default for FetchMemory {
    fn default() -> FetchMemory {
        FetchMemory {
            permits: Arc::new(Semaphore::new(TOTAL_BYTES)),
            buffers: Arc::default(),
        }
    }
}

impl FetchMemory {
    /// A share of this size, if it is there now.
    pub fn try_take(&self, bytes: usize) -> Option<Arc<FetchShare>> {
        let available = self.permits.available_permits();
        if bytes > SHORT_BYTES && available < bytes.saturating_add(SMALL_SHARES_BYTES) {
            return None;
        }
        let count = u32::try_from(bytes.min(TOTAL_BYTES)).ok()?;
        let permit = self.permits.clone().try_acquire_many_owned(count).ok()?;
        Some(self.share(Some(permit)))
    }

    /// A share of this size, when its turn has come.
    pub async fn take(&self, bytes: usize) -> Arc<FetchShare> {
        let count = u32::try_from(bytes.min(TOTAL_BYTES)).unwrap_or(u32::MAX);
        // The semaphore is never closed.
        self.share(self.permits.clone().acquire_many_owned(count).await.ok())
    }

    fn share(&self, permit: Option<OwnedSemaphorePermit>) -> Arc<FetchShare> {
        Arc::new(FetchShare {
            permit,
            buffers: self.buffers.clone(),
        })
    }
}

impl FetchShare {
    /// A buffer of this length with bytes of no meaning in it.
    pub fn buffer(&self, len: usize) -> Vec<u8> {
        let kept = if len >= MIN_KEPT_BYTES {
            self.lock().pop()
        } else {
            None
        };
        let mut buffer = kept.unwrap_or_default();
        if buffer.len() < len {
            // Nothing of the old content is needed: growing would copy it.
            buffer = vec![0; len];
        }
        buffer
    }

    /// The first `len` bytes of a buffer, holding on to this share until they are dropped.
    pub fn bytes(self: &Arc<FetchShare>, buffer: Vec<u8>, len: usize) -> Bytes {
        Bytes::from_owner(Owned {
            len: len.min(buffer.len()),
            buffer,
            share: self.clone(),
        })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Vec<u8>>> {
        self.buffers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AsRef<[u8]> for Owned {
    fn as_ref(&self) -> &[u8] {
        self.buffer.get(..self.len).unwrap_or_default()
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        if (MIN_KEPT_BYTES..=MAX_KEPT_BYTES).contains(&self.buffer.len()) {
            let mut buffers = self.share.lock();
            if buffers.len() < MAX_KEPT {
                buffers.push(std::mem::take(&mut self.buffer));
            }
        }
    }
}

impl std::fmt::Debug for FetchShare {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let bytes = self
            .permit
            .as_ref()
            .map_or(0, OwnedSemaphorePermit::num_permits);
        formatter
            .debug_struct("FetchShare")
            .field("bytes", &bytes)
            .finish()
    }
}
