//! Taking a mutex.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Takes a lock whose data is whole even if another thread panicked while it held it: what it guards is changed in one
/// step.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
