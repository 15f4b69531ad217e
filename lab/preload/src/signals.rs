//! Signals belong to the program: no thread of Haiku may receive one that must end a `select` of the program.

/// Keeps the calling thread, and those that it starts, from taking signals; ends when dropped.
pub(crate) struct Blocked(libc::sigset_t);

impl Blocked {
    /// Blocks every signal but those that a faulting instruction raises.
    pub(crate) fn new() -> Self {
        // SAFETY: a signal set is plain data, and the calls below fill it.
        let mut all: libc::sigset_t = unsafe { std::mem::zeroed() };
        // SAFETY: as above.
        let mut before: libc::sigset_t = unsafe { std::mem::zeroed() };
        // SAFETY: a live set.
        unsafe { libc::sigfillset(&raw mut all) };
        for signal in [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGTRAP, libc::SIGABRT] {
            // SAFETY: a live set and a signal there is.
            unsafe { libc::sigdelset(&raw mut all, signal) };
        }
        // SAFETY: two live sets.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before) };
        Self(before)
    }
}

impl Drop for Blocked {
    fn drop(&mut self) {
        // SAFETY: the set that was in force before.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.0, std::ptr::null_mut()) };
    }
}
