//! A real descriptor that is ready exactly when a device is.
//!
//! One end of a socket pair is the program's. A byte in its receive queue makes it readable; bytes that it sent and
//! nobody took make it unwritable, for its send buffer is as small as Linux lets it be. So `select`, `poll` and `epoll`
//! work as on any descriptor, level triggered and edge triggered, and so do duplicates and `O_NONBLOCK`, which Linux
//! keeps for it.
//!
//! The byte is there for those who wait in Linux; whether there are any, and so whether it is sent, is [`Shown`]'s matter.
//! It is sent when the lock is free again, for whoever it wakes wants the lock next.

use std::os::fd::RawFd;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::shown::{Byte, Entry, Shown};
use crate::{real, table};

/// The two ends: `outer` is a private duplicate of the program's, `inner` the other one.
#[derive(Debug)]
pub(crate) struct Mirror {
    outer: RawFd,
    inner: RawFd,
    shown: Mutex<Shown>,
}

/// One who waits in Linux, until it is dropped.
#[derive(Debug)]
pub(crate) struct Waiting<'a>(&'a Mirror);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.lock().leave();
    }
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
        let mirror = Self { outer, inner, shown: Mutex::default() };
        mirror.lock().writable = true;
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

    /// Sends a byte if one is due. The lock is free: whoever it wakes wants it next.
    fn send(&self, byte: Byte) {
        if byte == Byte::Send {
            // SAFETY: an open socket and a constant byte; there is room for it, for it is the only one.
            unsafe { libc::send(self.inner, c"!".as_ptr().cast(), 1, DONT_WAIT) };
        }
    }

    /// Takes the byte, if it has arrived.
    fn take(&self) -> u32 {
        let mut byte = [0_u8; 4];
        // SAFETY: an open socket and a live buffer.
        let taken = unsafe { libc::recv(self.outer, byte.as_mut_ptr().cast(), byte.len(), DONT_WAIT) };
        u32::try_from(taken).unwrap_or(0)
    }

    /// The device notified this.
    pub(crate) fn notify(&self, readable: bool, writable: bool, trouble: bool) {
        let mut shown = self.lock();
        let byte = match (readable, trouble) {
            (_, true) => shown.begin_trouble(),
            (true, false) => shown.notify(),
            (false, false) => Byte::Keep,
        };
        if writable || trouble {
            self.let_write(&mut shown);
        }
        drop(shown);
        self.send(byte);
    }

    /// How often the device notified: to be had before it is asked, and given to [`Mirror::seen_empty`] after.
    pub(crate) fn notifications(&self) -> u32 {
        self.lock().notifications()
    }

    /// The device was asked after so many notifications, and had nothing. Says whether that still holds.
    pub(crate) fn seen_empty(&self, notifications: u32) -> bool {
        self.lock().seen_empty(notifications, || self.take())
    }

    /// Somebody is about to wait in Linux until it is readable; none if the device must be asked first.
    pub(crate) fn enter(&self) -> Option<Waiting<'_>> {
        match self.lock().enter(|| self.take()) {
            Entry::Wait => Some(Waiting(self)),
            Entry::Look => None,
        }
    }

    /// From now on Linux always shows it, for somebody may wait there without our knowing.
    pub(crate) fn make_eager(&self) {
        let byte = self.lock().make_eager(|| self.take());
        self.send(byte);
    }

    /// The device works. Says whether Linux always shows what it has.
    pub(crate) fn end_trouble(&self) -> bool {
        let mut shown = self.lock();
        shown.end_trouble();
        shown.is_eager()
    }

    /// Whether the device was in trouble when it last said something.
    pub(crate) fn in_trouble(&self) -> bool {
        self.lock().is_in_trouble()
    }

    /// Shows that there is room to write, or not.
    pub(crate) fn set_writable(&self, writable: bool) {
        let mut shown = self.lock();
        if writable {
            self.let_write(&mut shown);
        } else if shown.writable && !shown.is_in_trouble() {
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

    /// Whether the program asked for calls that do not block, on whichever duplicate.
    pub(crate) fn is_nonblocking(&self) -> bool {
        // SAFETY: an open descriptor.
        let flags = unsafe { real::fcntl()(self.outer, libc::F_GETFL) };
        flags & libc::O_NONBLOCK != 0
    }

    /// Sleeps until it is readable, or returns at once if the device is to be asked first. Signals end it or are taken
    /// up again as the program wishes, as with `read`.
    ///
    /// # Errors
    /// `errno`.
    pub(crate) fn wait_readable(&self) -> Result<(), i32> {
        let Some(_waiting) = self.enter() else { return Ok(()) };
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

    /// A device that is empty.
    fn seen_empty(mirror: &Mirror) -> bool {
        mirror.seen_empty(mirror.notifications())
    }

    #[test]
    fn linux_sees_what_is_shown_to_whoever_waits_there() {
        let (mirror, fd) = Mirror::new().unwrap();
        assert_eq!(polled(fd), (false, false));
        mirror.set_writable(true);
        assert_eq!(polled(fd), (false, true));
        mirror.notify(true, false, false);
        assert_eq!(polled(fd), (false, true), "nobody waits");
        assert!(mirror.enter().is_none());
        assert!(seen_empty(&mirror));
        let waiting = mirror.enter().unwrap();
        mirror.notify(true, false, false);
        mirror.notify(true, false, false);
        assert_eq!(polled(fd), (true, true));
        drop(waiting);
        mirror.set_writable(false);
        assert_eq!(polled(fd), (true, false));
        assert!(seen_empty(&mirror));
        drop(mirror.enter().unwrap());
        assert_eq!(polled(fd), (false, false), "what was read is taken back before the next wait");
    }

    #[test]
    fn whoever_waits_behind_our_back_is_shown_everything() {
        let (mirror, fd) = Mirror::new().unwrap();
        mirror.notify(true, false, false);
        mirror.make_eager();
        assert_eq!(polled(fd), (true, false), "what came before too");
        assert!(seen_empty(&mirror));
        assert_eq!(polled(fd), (false, false));
        mirror.notify(true, true, false);
        assert_eq!(polled(fd), (true, true));
    }

    #[test]
    fn an_answer_from_before_a_notification_does_not_count() {
        let (mirror, _fd) = Mirror::new().unwrap();
        let before = mirror.notifications();
        mirror.notify(true, false, false);
        assert!(!mirror.seen_empty(before));
        assert!(mirror.enter().is_none());
    }

    #[test]
    fn trouble_keeps_everything_ready_until_it_ends() {
        let (mirror, fd) = Mirror::new().unwrap();
        mirror.make_eager();
        mirror.notify(false, false, true);
        assert!(seen_empty(&mirror));
        mirror.set_writable(false);
        assert_eq!(polled(fd), (true, true));
        mirror.end_trouble();
        assert!(seen_empty(&mirror));
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
                    assert!(seen_empty(mirror));
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
