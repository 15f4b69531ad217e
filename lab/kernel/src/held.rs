//! How many of the driver's locks the calling thread holds.

use core::cell::Cell;

use crate::panic::kpanic;

thread_local! {
    static HELD: Cell<u32> = const { Cell::new(0) };
}

/// How many locks the calling thread holds.
#[must_use]
pub fn held() -> u32 {
    HELD.get()
}

/// The thread took a lock.
pub(crate) fn taken() {
    HELD.set(HELD.get() + 1);
}

/// The thread gave up so many locks.
pub(crate) fn given_up(count: u32) {
    HELD.set(HELD.get() - count);
}

/// Stops the kernel if the calling thread holds a lock where it must not.
pub(crate) fn check_none_held(what: &str) {
    if HELD.get() != 0 {
        kpanic!("{what} while holding {} lock(s), which no thread will unlock", HELD.get());
    }
}
