//! What becomes of Haiku when the process forks or ends.
//!
//! Haiku's threads do not survive a fork, and the locks they held stay held. A child that then runs another program
//! never notices; in any other each call of a device fails.

use std::sync::Once;

use haiku_system::control;

use crate::signals::Blocked;
use crate::{haiku, hidden, process, real, table};

/// The parent alone is shown what its devices have to read. The child's copies of them are ready at all times instead,
/// so that it does not wait for ever: each call fails, because the device stayed in the parent.
extern "C" fn in_child() {
    process::become_orphan();
    let mut ends = [-1; 2];
    // SAFETY: there is room for two descriptors.
    if unsafe { libc::socketpair(libc::AF_UNIX, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0, ends.as_mut_ptr()) } != 0 {
        return;
    }
    let [kept, other] = ends;
    // SAFETY: a descriptor that was just made.
    unsafe { real::close()(other) };
    hidden::orphan_all(kept);
    // SAFETY: as above.
    unsafe { real::close()(kept) };
}

extern "C" fn at_exit() {
    if process::is_orphan() {
        return;
    }
    let _blocked = Blocked::new();
    // By now the calling thread's local variables are gone, and the emulated kernel needs some.
    if let Ok(thread) = std::thread::Builder::new().name("haiku shutdown".to_owned()).spawn(shut_down) {
        let _ = thread.join();
    }
}

/// Ends Haiku, and writes what was not released.
fn shut_down() {
    for (_, open) in table::all() {
        open.close();
    }
    let ledgers = haiku::end();
    if let (Some(path), Some(ledgers)) = (std::env::var_os(control::LEDGERS), ledgers) {
        let text = if ledgers.is_zero() { "zero\n".to_owned() } else { format!("{ledgers}\n") };
        let _ = std::fs::write(path, text);
    }
}

/// A Haiku runs in this process from now on.
pub(crate) fn prepare() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: a function that lives as long as the process.
        unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
        // SAFETY: as above.
        unsafe { libc::atexit(at_exit) };
    });
}
