//! [`Text`]: text that grows on the kernel's heap, which may refuse.

use core::ffi::c_void;
use core::fmt::{self, Write};
use core::ptr::NonNull;

use haiku_sys as sys;

/// The first allocation: a table of one unit fits.
const FIRST: usize = 2048;

/// Text on the kernel's heap.
///
/// # Invariants
///
/// `memory` holds `capacity` bytes from `malloc`, of which the first `length` are initialised; it is dangling while
/// `capacity` is 0. `length` is at most `capacity`.
pub(super) struct Text {
    memory: NonNull<u8>,
    length: usize,
    capacity: usize,
}

// SAFETY: the memory is this value's own, and belongs to no thread.
unsafe impl Send for Text {}
// SAFETY: shared references only read it.
unsafe impl Sync for Text {}

impl Text {
    pub(super) const fn new() -> Self {
        Self { memory: NonNull::dangling(), length: 0, capacity: 0 }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        // SAFETY: the invariant: so many bytes are initialised.
        unsafe { core::slice::from_raw_parts(self.memory.as_ptr(), self.length) }
    }

    /// Makes room for `more` bytes behind the text.
    fn reserve(&mut self, more: usize) -> fmt::Result {
        let needed = self.length.checked_add(more).ok_or(fmt::Error)?;
        if needed <= self.capacity {
            return Ok(());
        }
        let capacity = needed.max(self.capacity.saturating_mul(2)).max(FIRST);
        // SAFETY: a size; the kernel returns null or that much memory.
        let memory = unsafe { sys::malloc(capacity) };
        let memory = NonNull::new(memory.cast::<u8>()).ok_or(fmt::Error)?;
        // SAFETY: `length` bytes are initialised there, and fit here; the two are different allocations.
        unsafe { memory.copy_from_nonoverlapping(self.memory, self.length) };
        self.give_back();
        (self.memory, self.capacity) = (memory, capacity);
        Ok(())
    }

    fn give_back(&mut self) {
        if self.capacity > 0 {
            // SAFETY: the invariant: the memory came from `malloc`, and nothing refers to it any more.
            unsafe { sys::free(self.memory.as_ptr().cast::<c_void>()) };
        }
    }
}

impl Write for Text {
    /// Fails without memory.
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.reserve(text.len())?;
        // SAFETY: `reserve` made room for so many bytes behind the text.
        let end = unsafe { self.memory.add(self.length) };
        // SAFETY: as above; `text` lies elsewhere, because a `Text` lends its bytes only while it does not change.
        unsafe { end.copy_from_nonoverlapping(NonNull::from(text).cast(), text.len()) };
        self.length += text.len();
        Ok(())
    }
}

impl Drop for Text {
    fn drop(&mut self) {
        self.give_back();
    }
}
