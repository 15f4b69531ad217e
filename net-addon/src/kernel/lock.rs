//! The two locks: one that spins, one that sleeps.

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, Ordering};

use haiku_sys as sys;
use tuntap_driver::Lock;

/// A spinning lock for sections of constant time. Interrupts are off on this CPU meanwhile: a holder that lost the CPU
/// to the stack's reader, which is a real-time thread, would keep it spinning.
pub(crate) struct SpinLock<T>(spin::Mutex<T>);

impl<T> SpinLock<T> {
    /// A free lock, in a static too.
    pub(crate) const fn free(value: T) -> Self {
        Self(spin::Mutex::new(value))
    }
}

impl<T: Send> Lock<T> for SpinLock<T> {
    fn new(value: T) -> Self {
        Self::free(value)
    }

    #[inline]
    fn with<R>(&self, section: impl FnOnce(&mut T) -> R) -> R {
        // SAFETY: always allowed; undone below, because a section cannot unwind.
        let status = unsafe { sys::disable_interrupts() };
        let result = section(&mut self.0.lock());
        // SAFETY: the status that `disable_interrupts` just returned.
        unsafe { sys::restore_interrupts(status) };
        result
    }

    fn try_with<R>(&self, section: impl FnOnce(&mut T) -> R) -> Option<R> {
        // SAFETY: always allowed; undone below, because a section cannot unwind.
        let status = unsafe { sys::disable_interrupts() };
        let result = self.0.try_lock().map(|mut value| section(&mut value));
        // SAFETY: the status that `disable_interrupts` just returned.
        unsafe { sys::restore_interrupts(status) };
        result
    }
}

/// The kernel's own lock around a value, for rare operations. It is a recursive lock, the only sleeping lock that R1/beta5 and
/// master export alike: R1/beta5 exports no `mutex_lock`, and later ones no `_mutex_lock`.
pub(crate) struct KernelMutex<T> {
    /// The kernel's block must stay where it was initialised, so that is done when it is first locked. (`spin::Once`
    /// would say the same, but that it can panic.)
    ready: AtomicBool,
    first: SpinLock<()>,
    block: UnsafeCell<sys::recursive_lock>,
    value: UnsafeCell<T>,
}

// SAFETY: the mutex lets one thread at a time reach the value.
unsafe impl<T: Send> Sync for KernelMutex<T> {}
// SAFETY: nothing in it belongs to a thread while it is free, and only a free one can be moved.
unsafe impl<T: Send> Send for KernelMutex<T> {}

impl<T: Send> Lock<T> for KernelMutex<T> {
    fn new(value: T) -> Self {
        Self {
            ready: AtomicBool::new(false),
            first: SpinLock::free(()),
            block: UnsafeCell::new(sys::recursive_lock::uninitialised()),
            value: UnsafeCell::new(value),
        }
    }

    fn with<R>(&self, section: impl FnOnce(&mut T) -> R) -> R {
        let block = self.block.get();
        if !self.ready.load(Ordering::Acquire) {
            self.first.with(|()| {
                if !self.ready.load(Ordering::Relaxed) {
                    // SAFETY: the block is ours, unused so far, and stays here: `with` borrows `self`.
                    unsafe { sys::recursive_lock_init(block, c"tun_tap".as_ptr()) };
                    self.ready.store(true, Ordering::Release);
                }
            });
        }
        // SAFETY: initialised above; no section locks the mutex it runs under.
        unsafe { sys::recursive_lock_lock(block) };
        // SAFETY: this thread holds the lock, and no section locks the mutex again, so this is the only reference.
        let result = section(unsafe { &mut *self.value.get() });
        // SAFETY: locked above by this thread.
        unsafe { sys::recursive_lock_unlock(block) };
        result
    }
}

impl<T> Drop for KernelMutex<T> {
    fn drop(&mut self) {
        if *self.ready.get_mut() {
            // SAFETY: initialised, and not held: `drop` has the only reference to the mutex.
            unsafe { sys::recursive_lock_destroy(self.block.get()) };
        }
    }
}
