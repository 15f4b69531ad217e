//! Recursive locks as drivers meet them, and what stops the kernel.

mod common;

use common::{Program, boot, panics};
use haiku_sys::*;

/// A lock that threads share.
struct Shared(*mut recursive_lock);

// SAFETY: a lock is made to be shared.
unsafe impl Send for Shared {}

impl Shared {
    fn new() -> Self {
        let block = Box::into_raw(Box::new(recursive_lock::uninitialised()));
        // SAFETY: a block to initialise, and a constant name.
        unsafe { recursive_lock_init(block, c"test".as_ptr()) };
        Self(block)
    }

    fn again(&self) -> Self {
        Self(self.0)
    }

    fn lock(&self) -> status_t {
        // SAFETY: a lock's block.
        unsafe { recursive_lock_lock(self.0) }
    }

    fn unlock(&self) {
        // SAFETY: as above.
        unsafe { recursive_lock_unlock(self.0) };
    }

    fn destroy(&self) {
        // SAFETY: as above.
        unsafe { recursive_lock_destroy(self.0) };
    }

    fn free(self) {
        self.destroy();
        self.give_back();
    }

    fn give_back(self) {
        // SAFETY: it came from a box.
        drop(unsafe { Box::from_raw(self.0) });
    }
}

#[test]
fn one_thread_at_a_time_is_inside() {
    let kernel = boot();
    let shared = Shared::new();
    static INSIDE: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    let order = std::sync::atomic::Ordering::SeqCst;
    let workers: Vec<_> = (0..3)
        .map(|_| {
            let shared = shared.again();
            Program::start(move || {
                let shared = shared;
                for _ in 0..5000 {
                    assert_eq!(shared.lock(), B_OK);
                    assert_eq!(INSIDE.fetch_add(1, order), 0);
                    INSIDE.fetch_sub(1, order);
                    shared.unlock();
                }
            })
        })
        .collect();
    for worker in workers {
        worker.join();
    }
    shared.free();
    assert!(kernel.shutdown().is_zero());
}

#[test]
fn waiters_are_served_in_order() {
    let kernel = boot();
    let shared = Shared::new();
    shared.lock();
    let order = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let waiters: Vec<_> = (0..3)
        .map(|number| {
            let (shared, order) = (shared.again(), order.clone());
            Program::blocked(move || {
                let shared = shared;
                shared.lock();
                order.lock().unwrap().push(number);
                shared.unlock();
            })
        })
        .collect();
    shared.unlock();
    for waiter in waiters {
        waiter.join();
    }
    assert_eq!(*order.lock().unwrap(), [0, 1, 2]);
    shared.free();
    assert!(kernel.shutdown().is_zero());
}

#[test]
fn a_waiter_for_a_lock_that_is_destroyed_does_not_hold_it() {
    panics("a_waiter_for_a_lock_that_is_destroyed_does_not_hold_it", "using uninitialized lock", || {
        let shared = Shared::new();
        shared.lock();
        let waiter = {
            let shared = shared.again();
            Program::blocked(move || {
                let shared = shared;
                shared.lock();
                shared.unlock();
            })
        };
        shared.destroy();
        waiter.join();
    });
}

#[test]
fn a_lock_that_is_never_destroyed_is_in_the_ledger() {
    let kernel = boot();
    let shared = Shared::new();
    assert_eq!(kernel.ledgers().locks, 1);
    shared.free();
    assert!(kernel.shutdown().is_zero());
}

#[test]
fn the_holder_may_lock_again_and_unlocks_as_often() {
    use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
    let kernel = boot();
    let shared = Shared::new();
    let before = haiku_kernel::recursive_lock::recursions();
    shared.lock();
    assert_eq!(haiku_kernel::recursive_lock::recursions(), before);
    shared.lock();
    assert_eq!(haiku_kernel::recursive_lock::recursions(), before + 1);
    let inside = std::sync::Arc::new(AtomicBool::new(false));
    let waiter = {
        let (shared, inside) = (shared.again(), inside.clone());
        Program::blocked(move || {
            let shared = shared;
            shared.lock();
            inside.store(true, SeqCst);
            shared.unlock();
        })
    };
    shared.unlock();
    std::thread::sleep(std::time::Duration::from_millis(20));
    assert!(!inside.load(SeqCst), "it is still locked once");
    shared.unlock();
    waiter.join();
    shared.free();
    assert!(kernel.shutdown().is_zero());
}

#[test]
fn unlocking_what_another_thread_holds_stops_the_kernel() {
    panics("unlocking_what_another_thread_holds_stops_the_kernel", "unlocked by non-holder thread", || {
        let shared = Shared::new();
        shared.lock();
        let other = shared.again();
        Program::start(move || {
            let other = other;
            other.unlock();
        })
        .join();
    });
}

#[test]
fn unlocking_a_free_lock_stops_the_kernel() {
    panics("unlocking_a_free_lock_stops_the_kernel", "unlocked by non-holder thread", || Shared::new().unlock());
}

#[test]
fn using_an_uninitialised_lock_stops_the_kernel() {
    panics("using_an_uninitialised_lock_stops_the_kernel", "using uninitialized lock", || {
        let mut block = recursive_lock::uninitialised();
        // SAFETY: a lock's block.
        unsafe { recursive_lock_lock(&mut block) };
    });
}

#[test]
fn using_a_destroyed_lock_stops_the_kernel() {
    panics("using_a_destroyed_lock_stops_the_kernel", "using uninitialized lock", || {
        let shared = Shared::new();
        shared.destroy();
        shared.lock();
    });
}

#[test]
fn destroying_what_another_thread_holds_stops_the_kernel() {
    panics("destroying_what_another_thread_holds_stops_the_kernel", "not by the caller", || {
        let shared = Shared::new();
        let other = shared.again();
        Program::start(move || {
            let other = other;
            other.lock();
        })
        .join();
        shared.destroy();
    });
}

#[test]
fn locking_with_interrupts_disabled_stops_the_kernel() {
    panics(
        "locking_with_interrupts_disabled_stops_the_kernel",
        "recursive_lock_lock: called with interrupts disabled",
        || {
            let shared = Shared::new();
            // SAFETY: a call of the kernel.
            unsafe { disable_interrupts() };
            shared.lock();
        },
    );
}
