//! The process's memory: the only place of this crate that maps, protects and unmaps.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The size of a page on x86_64, on Haiku and here.
pub(crate) const PAGE: u64 = 4096;

/// What all images of this process occupy, so that a test can see that a refused file left nothing behind.
static MAPPED: AtomicUsize = AtomicUsize::new(0);

/// The number of bytes that the images of this process occupy now.
#[must_use]
pub fn mapped_bytes() -> usize {
    MAPPED.load(Ordering::Relaxed)
}

/// What a part of a mapping may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Code and constants.
    ReadExecute,
    /// Data.
    ReadWrite,
}

/// A range of addresses of this process, given back when dropped.
#[derive(Debug)]
pub(crate) struct Mapping {
    base: usize,
    size: usize,
}

impl Mapping {
    /// Reserves `size` bytes, a multiple of the page size; they cannot be touched yet.
    pub(crate) fn reserve(size: usize) -> std::io::Result<Self> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        // SAFETY: without MAP_FIXED the kernel chooses unused addresses; no existing memory changes.
        let base = unsafe { libc::mmap(std::ptr::null_mut(), size, libc::PROT_NONE, flags, -1, 0) };
        if base == libc::MAP_FAILED {
            return Err(std::io::Error::last_os_error());
        }
        MAPPED.fetch_add(size, Ordering::Relaxed);
        Ok(Self { base: base as usize, size })
    }

    /// The address of the first byte.
    pub(crate) fn base(&self) -> usize {
        self.base
    }

    /// Puts `bytes` at `range` and then allows `access`. `range` is in whole pages, counted from the base.
    ///
    /// The memory is never writable and executable at once.
    pub(crate) fn fill(&self, range: Range<usize>, bytes: &[u8], access: Access) -> std::io::Result<()> {
        assert!(range.end <= self.size && bytes.len() <= range.len(), "the caller keeps inside the mapping");
        let start = self.base + range.start;
        protect(start, range.len(), libc::PROT_READ | libc::PROT_WRITE)?;
        // SAFETY: the range is inside this mapping (asserted), writable since the line above, and not shared before the image
        // is handed out; `bytes` is a live slice that cannot overlap a fresh mapping.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), start as *mut u8, bytes.len()) };
        match access {
            Access::ReadWrite => Ok(()),
            Access::ReadExecute => protect(start, range.len(), libc::PROT_READ | libc::PROT_EXEC),
        }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the range came from mmap and is unmapped once; by the contract of `Image` no code in it runs any longer.
        let status = unsafe { libc::munmap(self.base as *mut libc::c_void, self.size) };
        if status == 0 {
            MAPPED.fetch_sub(self.size, Ordering::Relaxed);
        }
    }
}

/// Changes the protection of whole pages of a mapping of ours.
fn protect(start: usize, size: usize, protection: libc::c_int) -> std::io::Result<()> {
    // SAFETY: only called by `Mapping::fill` with a range inside its own mapping.
    match unsafe { libc::mprotect(start as *mut libc::c_void, size, protection) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}
