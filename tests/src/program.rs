//! What a program has: memory that is there, and memory that is not.

/// Reserves addresses where nothing is, nor ever will be: real ones, to be made a program's.
///
/// # Panics
/// If Linux has no room for them.
#[must_use]
pub fn unmapped(bytes: usize) -> usize {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: a new mapping wherever there is room, which nobody can read or write.
    let start = unsafe { libc::mmap(std::ptr::null_mut(), bytes, libc::PROT_NONE, flags, -1, 0) };
    assert_ne!(start, libc::MAP_FAILED, "{bytes} bytes of addresses");
    start as usize
}
