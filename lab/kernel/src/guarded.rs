//! Short sections over the kernel's own data, in which nothing waits and nothing is called.

use std::sync::{Mutex, MutexGuard, PoisonError};

pub(crate) trait Guarded<T> {
    /// The lock's content, whether or not a test failed while it held the lock.
    fn guarded(&self) -> MutexGuard<'_, T>;
}

impl<T> Guarded<T> for Mutex<T> {
    fn guarded(&self) -> MutexGuard<'_, T> {
        self.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
