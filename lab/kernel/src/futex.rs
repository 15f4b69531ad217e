//! Linux's futexes: a thread sleeps as long as a word has a value.

use core::sync::atomic::AtomicU32;

use haiku_sys::bigtime_t;

/// Sleeps while the word has this value; false if the deadline on the system clock passed.
pub(crate) fn wait(word: &AtomicU32, value: u32, deadline: Option<bigtime_t>) -> bool {
    let timeout = deadline.map(|time| libc::timespec { tv_sec: time / 1_000_000, tv_nsec: time % 1_000_000 * 1000 });
    let pointer = timeout.as_ref().map_or(core::ptr::null(), core::ptr::from_ref);
    // SAFETY: the word and the timeout live across the call; a bitset wait takes its timeout as an absolute time on
    // the monotonic clock, which is the system clock here.
    let result = unsafe {
        libc::syscall(
            libc::SYS_futex,
            word.as_ptr(),
            libc::FUTEX_WAIT_BITSET | libc::FUTEX_PRIVATE_FLAG,
            value,
            pointer,
            core::ptr::null::<u32>(),
            libc::FUTEX_BITSET_MATCH_ANY,
        )
    };
    result != -1 || std::io::Error::last_os_error().raw_os_error() != Some(libc::ETIMEDOUT)
}

/// Wakes one thread that sleeps there.
pub(crate) fn wake(word: &AtomicU32) {
    // SAFETY: a wake only uses the address to find sleepers; the word is alive for the call anyway.
    unsafe {
        libc::syscall(
            libc::SYS_futex,
            word.as_ptr(),
            libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG,
            1,
            core::ptr::null::<libc::timespec>(),
        )
    };
}
