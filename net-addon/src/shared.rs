//! [`Shared`]: a reference-counted value on the kernel's heap.
//!
//! Unlike `alloc::sync::Arc` it returns an error when there is no memory, instead of a panic.

use core::ffi::c_void;
use core::mem::{align_of, size_of};
use core::ops::Deref;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicUsize, Ordering};

use haiku_sys as sys;
use tuntap_driver::Error;

struct Block<T> {
    references: AtomicUsize,
    value: T,
}

/// An owner of a reference-counted value.
///
/// # Invariants
///
/// `block` points to an initialised block from `memalign`, and one of its references belongs to this owner.
pub(crate) struct Shared<T> {
    block: NonNull<Block<T>>,
}

// SAFETY: as for `Arc`: owners on several threads share `&T`, and the last one drops the `T`.
unsafe impl<T: Send + Sync> Send for Shared<T> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync> Sync for Shared<T> {}

impl<T> Shared<T> {
    /// Moves a value to the heap.
    pub(crate) fn new(value: T) -> Result<Self, Error> {
        Self::make(|| value)
    }

    /// Makes a value on the heap, where the compiler can build it without a copy on the stack.
    #[inline(always)]
    pub(crate) fn make(value: impl FnOnce() -> T) -> Result<Self, Error> {
        // SAFETY: a plain call with a power of two. The kernel returns null or that much memory.
        let memory = unsafe { sys::memalign(align_of::<Block<T>>(), size_of::<Block<T>>()) };
        let block = NonNull::new(memory.cast::<Block<T>>()).ok_or(Error::NoMemory)?;
        // SAFETY: `memalign` returned memory of this size and alignment above, and no other pointer to it exists.
        unsafe { block.write(Block { references: AtomicUsize::new(1), value: value() }) };
        Ok(Self { block })
    }

    /// Converts the owner into an opaque pointer for C, which keeps its reference.
    pub(crate) fn into_cookie(self) -> *mut c_void {
        let cookie = self.block.as_ptr().cast();
        core::mem::forget(self);
        cookie
    }

    /// Converts a pointer of [`Self::into_cookie`] back into its owner.
    ///
    /// # Safety
    /// `cookie` is null or comes from `into_cookie` of the same type, and is not used again.
    pub(crate) unsafe fn from_cookie(cookie: *mut c_void) -> Option<Self> {
        NonNull::new(cookie.cast()).map(|block| Self { block })
    }

    /// Borrows the value behind a pointer of [`Self::into_cookie`].
    ///
    /// # Safety
    /// `cookie` is null or comes from `into_cookie` of the same type, and `from_cookie` is not called while the reference
    /// lives.
    pub(crate) unsafe fn borrow_cookie<'c>(cookie: *mut c_void) -> Option<&'c T> {
        let block = NonNull::new(cookie.cast::<Block<T>>())?;
        // SAFETY: the caller's promise: the cookie's reference keeps the block alive.
        Some(unsafe { &block.as_ref().value })
    }

    fn block(&self) -> &Block<T> {
        // SAFETY: the invariant of `Shared`.
        unsafe { self.block.as_ref() }
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        // Relaxed: the caller already has a reference, so another one publishes nothing.
        self.block().references.fetch_add(1, Ordering::Relaxed);
        Self { block: self.block }
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.block().value
    }
}

impl<T> Drop for Shared<T> {
    fn drop(&mut self) {
        // Orders every owner's accesses before the value is dropped. A release with an acquire fence for the last owner would
        // do, but the thread sanitizer does not model fences.
        if self.block().references.fetch_sub(1, Ordering::AcqRel) != 1 {
            return;
        }
        // SAFETY: the invariant of `Shared`, and this was the last reference.
        unsafe { self.block.drop_in_place() };
        // SAFETY: the invariant of `Shared`: memory of `memalign`, whose content was dropped above.
        unsafe { sys::free(self.block.as_ptr().cast()) };
    }
}
