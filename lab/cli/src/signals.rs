//! The signals that end a command: recorded in a flag and, for waiters, in a pipe.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

/// Whether one of the signals has come.
static CAUGHT: AtomicBool = AtomicBool::new(false);
/// The writing end of the pipe.
static WRITER: AtomicI32 = AtomicI32::new(-1);

extern "C" fn caught(_: libc::c_int) {
    CAUGHT.store(true, Ordering::SeqCst);
    let fd = WRITER.load(Ordering::SeqCst);
    // SAFETY: `write` may be called in a signal handler, and the byte is a constant. A full pipe says enough already.
    unsafe { libc::write(fd, c"!".as_ptr().cast(), 1) };
}

/// The pipe that becomes readable with the first signal.
pub(super) struct Signals {
    reader: OwnedFd,
}

impl Signals {
    /// Catches SIGINT and SIGTERM from now on. There is one pipe for the process.
    pub(super) fn catch() -> io::Result<&'static Self> {
        static SIGNALS: OnceLock<Signals> = OnceLock::new();
        if let Some(signals) = SIGNALS.get() {
            return Ok(signals);
        }
        let mut ends: [RawFd; 2] = [-1; 2];
        // SAFETY: there is room for the two descriptors.
        if unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC | libc::O_NONBLOCK) } != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor is new, and nothing else closes it.
        let reader = unsafe { OwnedFd::from_raw_fd(ends[0]) };
        WRITER.store(ends[1], Ordering::SeqCst);
        for signal in [libc::SIGINT, libc::SIGTERM] {
            let handler: extern "C" fn(libc::c_int) = caught;
            // SAFETY: the handler does only what a handler may.
            unsafe { libc::signal(signal, handler as libc::sighandler_t) };
        }
        Ok(SIGNALS.get_or_init(|| Signals { reader }))
    }

    /// The flag that a signal raises.
    pub(super) fn flag(&self) -> &'static AtomicBool {
        &CAUGHT
    }

    /// The descriptor that becomes readable.
    pub(super) fn fd(&self) -> RawFd {
        self.reader.as_raw_fd()
    }

    /// Forgets the signals that have come.
    pub(super) fn reset(&self) {
        let mut bytes = [0u8; 16];
        // SAFETY: there is room for as many bytes as are asked for.
        while unsafe { libc::read(self.fd(), bytes.as_mut_ptr().cast(), bytes.len()) } > 0 {}
        CAUGHT.store(false, Ordering::SeqCst);
    }

    /// Waits for a signal, or for so many milliseconds; negative is for ever.
    pub(super) fn wait(&self, milliseconds: i32) {
        let mut poll = libc::pollfd { fd: self.fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one descriptor, and the count says so. An early return is as good as a signal.
        unsafe { libc::poll(&raw mut poll, 1, milliseconds) };
    }
}
