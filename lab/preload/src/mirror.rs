//! A real descriptor that is ready exactly when a device is.
//!
//! One end of a socket pair is the program's. A byte in its receive queue makes it readable; bytes that it sent and
//! nobody took make it unwritable, for its send buffer is as small as Linux lets it be. So `select`, `poll` and `epoll`
//! work as on any descriptor, level triggered and edge triggered, and so do duplicates and `O_NONBLOCK`, which Linux
//! keeps for it.
//!
//! Nothing is lost: readiness is taken back under a lock, and whoever takes it back asks the device again afterwards.
//! What the device notifies in between puts it up again.

use std::os::fd::RawFd;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::{real, table};

/// What the program is shown.
#[derive(Clone, Copy, Debug, Default)]
struct Shown {
    readable: bool,
    writable: bool,
    /// It was made readable by a notification, which may have come late.
    unconfirmed: bool,
    /// The device is in trouble; every call says so at once.
    trouble: bool,
}

/// The two ends: `outer` is a private duplicate of the program's, `inner` the other one.
#[derive(Debug)]
pub(crate) struct Mirror {
    outer: RawFd,
    inner: RawFd,
    shown: Mutex<Shown>,
}

const DONT_WAIT: libc::c_int = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;

impl Mirror {
    /// Makes a pair; returns the program's descriptor too. It is neither readable nor writable.
    ///
    /// # Errors
    /// `errno`, if the process has no descriptors left.
    pub(crate) fn new() -> Result<(Self, RawFd), i32> {
        let mut ends = [-1; 2];
        let kind = libc::SOCK_STREAM | libc::SOCK_CLOEXEC;
        // SAFETY: there is room for two descriptors.
        if unsafe { libc::socketpair(libc::AF_UNIX, kind, 0, ends.as_mut_ptr()) } != 0 {
            return Err(crate::errno::get());
        }
        let [program, other] = ends;
        let inner = table::hide(other);
        // SAFETY: an open descriptor of ours.
        unsafe { real::close()(other) };
        let outer = table::hide(program);
        let mirror = Self { outer, inner, shown: Mutex::new(Shown { writable: true, ..Shown::default() }) };
        for (fd, option) in [(outer, libc::SO_SNDBUF), (inner, libc::SO_SNDBUF)] {
            let least: libc::c_int = 1;
            let (value, size) = ((&raw const least).cast(), size_of::<libc::c_int>() as libc::socklen_t);
            // SAFETY: an open socket and a live value; Linux makes of it the least it can do with.
            unsafe { libc::setsockopt(fd, libc::SOL_SOCKET, option, value, size) };
        }
        mirror.set_writable(false);
        Ok((mirror, program))
    }

    fn lock(&self) -> MutexGuard<'_, Shown> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The device notified this.
    pub(crate) fn notify(&self, readable: bool, writable: bool, trouble: bool) {
        let mut shown = self.lock();
        shown.trouble |= trouble;
        if readable || trouble {
            shown.unconfirmed = true;
            self.put_up(&mut shown);
        }
        if writable || trouble {
            self.let_write(&mut shown);
        }
    }

    /// Shows that there is something to read, or not.
    pub(crate) fn set_readable(&self, readable: bool) {
        let mut shown = self.lock();
        if readable {
            self.put_up(&mut shown);
        } else if shown.readable && !shown.trouble {
            let mut byte = [0_u8; 4];
            // SAFETY: an open socket and a live buffer.
            unsafe { libc::recv(self.outer, byte.as_mut_ptr().cast(), byte.len(), DONT_WAIT) };
            shown.readable = false;
            shown.unconfirmed = false;
        }
    }

    fn put_up(&self, shown: &mut Shown) {
        if !shown.readable {
            // SAFETY: an open socket and a constant byte; there is room for it, for it is the only one.
            unsafe { libc::send(self.inner, c"!".as_ptr().cast(), 1, DONT_WAIT) };
            shown.readable = true;
        }
    }

    /// Shows that there is room to write, or not.
    pub(crate) fn set_writable(&self, writable: bool) {
        let mut shown = self.lock();
        if writable {
            self.let_write(&mut shown);
        } else if shown.writable && !shown.trouble {
            while self.polled(libc::POLLOUT) {
                // SAFETY: an open socket and a constant byte.
                let sent = unsafe { libc::send(self.outer, c"!".as_ptr().cast(), 1, DONT_WAIT) };
                if sent != 1 {
                    break;
                }
            }
            shown.writable = false;
        }
    }

    fn let_write(&self, shown: &mut Shown) {
        if !shown.writable {
            let mut bytes = [0_u8; 64];
            // SAFETY: an open socket and a live buffer.
            while unsafe { libc::recv(self.inner, bytes.as_mut_ptr().cast(), bytes.len(), DONT_WAIT) } > 0 {}
            shown.writable = true;
        }
    }

    /// What Linux says of the program's end.
    fn polled(&self, events: libc::c_short) -> bool {
        let mut entry = libc::pollfd { fd: self.outer, events, revents: 0 };
        // SAFETY: one live entry.
        unsafe { real::poll()(&raw mut entry, 1, 0) };
        entry.revents & events != 0
    }

    /// Whether readability came from a notification that nobody has looked behind.
    pub(crate) fn is_unconfirmed(&self) -> bool {
        self.lock().unconfirmed
    }

    /// Somebody looked, and there was something.
    pub(crate) fn confirm(&self) {
        self.lock().unconfirmed = false;
    }

    /// The device works again.
    pub(crate) fn end_trouble(&self) {
        self.lock().trouble = false;
    }

    /// Whether the device was in trouble when it last said something.
    pub(crate) fn in_trouble(&self) -> bool {
        self.lock().trouble
    }

    /// Whether the program asked for calls that do not block, on whichever duplicate.
    pub(crate) fn is_nonblocking(&self) -> bool {
        // SAFETY: an open descriptor.
        let flags = unsafe { real::fcntl()(self.outer, libc::F_GETFL) };
        flags & libc::O_NONBLOCK != 0
    }

    /// Sleeps until it is readable, as a `read` would: signals end it or are taken up again as the program wishes.
    ///
    /// # Errors
    /// `errno`.
    pub(crate) fn wait_readable(&self) -> Result<(), i32> {
        let mut byte = 0_u8;
        // SAFETY: an open socket and a live byte, which stays in the queue.
        match unsafe { libc::recv(self.outer, (&raw mut byte).cast(), 1, libc::MSG_PEEK) } {
            1 => Ok(()),
            0 => Err(libc::EBADF),
            _ => Err(crate::errno::get()),
        }
    }

    /// Sleeps until it is writable.
    ///
    /// # Errors
    /// `errno`.
    pub(crate) fn wait_writable(&self) -> Result<(), i32> {
        let mut entry = libc::pollfd { fd: self.outer, events: libc::POLLOUT, revents: 0 };
        // SAFETY: one live entry.
        match unsafe { real::poll()(&raw mut entry, 1, -1) } {
            1 if entry.revents & libc::POLLOUT == 0 => Err(libc::EBADF),
            0.. => Ok(()),
            _ => Err(crate::errno::get()),
        }
    }

    /// Ends every wait: the last of the program's descriptors was closed.
    pub(crate) fn end(&self) {
        // SAFETY: an open socket.
        unsafe { libc::shutdown(self.outer, libc::SHUT_RDWR) };
    }
}

impl Drop for Mirror {
    fn drop(&mut self) {
        for fd in [self.outer, self.inner] {
            table::unhide(fd);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn polled(fd: RawFd) -> (bool, bool) {
        let mut entry = libc::pollfd { fd, events: libc::POLLIN | libc::POLLOUT, revents: 0 };
        // SAFETY: one live entry.
        unsafe { libc::poll(&raw mut entry, 1, 0) };
        (entry.revents & libc::POLLIN != 0, entry.revents & libc::POLLOUT != 0)
    }

    #[test]
    fn linux_sees_what_is_shown() {
        let (mirror, fd) = Mirror::new().unwrap();
        assert_eq!(polled(fd), (false, false));
        mirror.set_writable(true);
        assert_eq!(polled(fd), (false, true));
        mirror.set_readable(true);
        mirror.set_readable(true);
        assert_eq!(polled(fd), (true, true));
        mirror.set_writable(false);
        assert_eq!(polled(fd), (true, false));
        mirror.set_readable(false);
        assert_eq!(polled(fd), (false, false));
        mirror.notify(true, true, false);
        assert_eq!(polled(fd), (true, true));
        assert!(mirror.is_unconfirmed());
    }

    #[test]
    fn trouble_keeps_everything_ready_until_it_ends() {
        let (mirror, fd) = Mirror::new().unwrap();
        mirror.notify(false, false, true);
        mirror.set_readable(false);
        mirror.set_writable(false);
        assert_eq!(polled(fd), (true, true));
        mirror.end_trouble();
        mirror.set_readable(false);
        assert_eq!(polled(fd), (false, true));
    }

    #[test]
    fn each_round_wakes_a_sleeper_once() {
        let (mirror, _fd) = Mirror::new().unwrap();
        std::thread::scope(|scope| {
            let (mirror, (sender, receiver)) = (&mirror, std::sync::mpsc::channel());
            scope.spawn(move || {
                for _ in 0..1_000 {
                    mirror.wait_readable().unwrap();
                    mirror.set_readable(false);
                    sender.send(()).unwrap();
                }
            });
            for _ in 0..1_000 {
                mirror.notify(true, false, false);
                receiver.recv().unwrap();
            }
        });
    }
}
