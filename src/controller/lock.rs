//! Locks of plain data.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks. A poisoned lock guards plain data here: what it holds is still good.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
