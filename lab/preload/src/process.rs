//! Whose memory and whose Haiku a process has that was forked.

use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

/// Whether this process is a child that has a copy of a Haiku without threads.
static ORPHAN: AtomicBool = AtomicBool::new(false);

/// Whether Haiku's threads stayed behind in another process.
pub(crate) fn is_orphan() -> bool {
    ORPHAN.load(Ordering::Relaxed)
}

/// Haiku's threads stayed behind.
pub(crate) fn become_orphan() {
    ORPHAN.store(true, Ordering::Relaxed);
}

/// The process whose memory this is; 0 as long as it has no device.
static HOME: AtomicI32 = AtomicI32::new(0);

/// Whether this is a child by `vfork` or the like: it shares the parent's memory until it runs another program, and has
/// its own descriptors. What it closes stays open in the parent.
pub(crate) fn is_guest() -> bool {
    let home = HOME.load(Ordering::Relaxed);
    // SAFETY: a plain call.
    home != 0 && home != unsafe { libc::getpid() }
}

/// The process has a device.
pub(crate) fn settle() {
    if HOME.load(Ordering::Relaxed) == 0 {
        move_in();
        // A child with a copy of the memory owns that copy.
        // SAFETY: a function that lives as long as the process.
        unsafe { libc::pthread_atfork(None, None, Some(move_in)) };
    }
}

extern "C" fn move_in() {
    // SAFETY: a plain call.
    HOME.store(unsafe { libc::getpid() }, Ordering::Relaxed);
}
