//! [`Shared`]: a reference-counted value on the kernel's heap, which may refuse.
//!
//! `alloc::sync::Arc` would do, but that it panics when there is no memory; a kernel must say so instead.

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

/// A value with as many owners as there are clones.
pub(crate) struct Shared<T> {
    block: NonNull<Block<T>>,
}

// SAFETY: as for `Arc`: owners on several threads share `&T`, and the last of them drops the `T`.
unsafe impl<T: Send + Sync> Send for Shared<T> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync> Sync for Shared<T> {}

impl<T> Shared<T> {
    /// Moves a value to the heap.
    pub(crate) fn new(value: T) -> Result<Self, Error> {
        // SAFETY: a size and a power of two; the kernel returns null or that much memory.
        let memory = unsafe { sys::memalign(align_of::<Block<T>>(), size_of::<Block<T>>()) };
        let block = NonNull::new(memory.cast::<Block<T>>()).ok_or(Error::NoMemory)?;
        // SAFETY: fresh memory of the right size and alignment, which nobody else knows.
        unsafe { block.write(Block { references: AtomicUsize::new(1), value }) };
        Ok(Self { block })
    }

    /// Gives the value to C as an opaque pointer. It owns one reference.
    pub(crate) fn into_cookie(self) -> *mut c_void {
        let cookie = self.block.as_ptr().cast();
        core::mem::forget(self);
        cookie
    }

    /// Takes back what [`Self::into_cookie`] gave.
    ///
    /// # Safety
    /// `cookie` comes from `into_cookie` of the same type, and is not used again.
    pub(crate) unsafe fn from_cookie(cookie: *mut c_void) -> Option<Self> {
        NonNull::new(cookie.cast()).map(|block| Self { block })
    }

    /// Looks at what [`Self::into_cookie`] gave.
    ///
    /// # Safety
    /// `cookie` comes from `into_cookie` of the same type, and is not taken back while the reference lives.
    pub(crate) unsafe fn borrow_cookie<'c>(cookie: *mut c_void) -> Option<&'c T> {
        let block = NonNull::new(cookie.cast::<Block<T>>())?;
        // SAFETY: the caller's promise: the block is alive.
        Some(unsafe { &block.as_ref().value })
    }

    fn block(&self) -> &Block<T> {
        // SAFETY: the block lives as long as any owner, and this is one.
        unsafe { self.block.as_ref() }
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        // Relaxed: whoever clones has a reference already, so nothing is published by having one more.
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
        // What any owner did to the value comes before its end. A fence for the last would do; the thread sanitizer does
        // not know of those.
        if self.block().references.fetch_sub(1, Ordering::AcqRel) != 1 {
            return;
        }
        // SAFETY: this was the last owner, so nobody else can reach the block.
        unsafe { self.block.drop_in_place() };
        // SAFETY: the memory came from `memalign`.
        unsafe { sys::free(self.block.as_ptr().cast()) };
    }
}
