//! What becomes of Haiku when the process forks, becomes a daemon, or ends.
//!
//! Haiku's threads do not survive a fork, and the locks they held stay held. A child that then runs another program
//! never notices. A child that becomes a daemon gets its own Haiku: `daemon` first shuts down the parent's, then boots
//! another in the child, with the same devices open.

use std::ffi::c_int;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use haiku_system::control;

use crate::signals::Blocked;
use crate::{haiku, real, table};

/// Whether this process is a child that has a copy of a Haiku without threads.
static ORPHAN: AtomicBool = AtomicBool::new(false);

/// Whether Haiku's threads stayed behind in another process.
pub(crate) fn is_orphan() -> bool {
    ORPHAN.load(Ordering::Relaxed)
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

/// Whether the fork that is under way makes a daemon, which keeps its devices.
static BECOMES_DAEMON: AtomicBool = AtomicBool::new(false);

/// The parent alone is shown what its devices have to read. The child's copies of them are ready at all times instead,
/// so that it does not wait for ever: each call fails, because the device stayed in the parent.
extern "C" fn in_child() {
    ORPHAN.store(true, Ordering::Relaxed);
    if BECOMES_DAEMON.load(Ordering::Relaxed) {
        return;
    }
    let mut ends = [-1; 2];
    // SAFETY: there is room for two descriptors.
    if unsafe { libc::socketpair(libc::AF_UNIX, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0, ends.as_mut_ptr()) } != 0 {
        return;
    }
    let [kept, other] = ends;
    // SAFETY: a descriptor that was just made.
    unsafe { real::close()(other) };
    table::orphan_all(kept);
    // SAFETY: as above.
    unsafe { real::close()(kept) };
}

extern "C" fn at_exit() {
    if is_orphan() {
        return;
    }
    let _blocked = Blocked::new();
    // By now the calling thread's local variables are gone, and the emulated kernel needs some.
    if let Ok(thread) = std::thread::Builder::new().name("haiku shutdown".to_owned()).spawn(shut_down) {
        let _ = thread.join();
    }
}

/// Ends Haiku. Returns what was not released.
fn shut_down() {
    let ledgers = haiku::end();
    if let (Some(path), Some(ledgers)) = (std::env::var_os(control::LEDGERS), ledgers) {
        let text = if ledgers.is_zero() { "zero\n".to_owned() } else { format!("{ledgers}\n") };
        let _ = std::fs::write(path, text);
    }
}

/// A Haiku runs in this process from now on.
pub(crate) fn booted() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: a function that lives as long as the process.
        unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
        // SAFETY: as above.
        unsafe { libc::atexit(at_exit) };
    });
}

/// `daemon`.
pub(crate) fn daemon(stay: c_int, quiet: c_int) -> c_int {
    let ran = !is_orphan() && haiku::running().is_some();
    if ran {
        let _blocked = Blocked::new();
        haiku::hang_up();
        haiku::end();
        BECOMES_DAEMON.store(true, Ordering::Relaxed);
    }
    // SAFETY: libc's own; the parent does not return from it.
    let result = unsafe { real::daemon()(stay, quiet) };
    if ran {
        // Nothing of Haiku's was running as the process forked, so the copy is as good as the original.
        ORPHAN.store(false, Ordering::Relaxed);
        BECOMES_DAEMON.store(false, Ordering::Relaxed);
        haiku::resume();
    }
    result
}
