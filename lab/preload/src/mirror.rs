//! A real descriptor that is ready exactly when a device is.
//!
//! One end of a socket pair is the program's. A byte in its receive queue makes it readable; bytes that it sent and
//! that were not read make it unwritable, because its send buffer is as small as Linux allows. So `select`, `poll` and
//! `epoll` work as on any descriptor, level-triggered and edge-triggered, and so do duplicates and `O_NONBLOCK`, which
//! Linux keeps for it.

use std::os::fd::RawFd;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::{hidden, real};

/// What the program is shown.
#[derive(Debug, Default)]
struct Shown {
    /// How often the device notified.
    notifications: u32,
    /// The byte is in the program's receive queue: the device notified, and was not seen empty since.
    readable: bool,
    /// The socket has room.
    writable: bool,
    /// The device reported a hang-up; the socket stays reset until the device works again.
    hung_up: bool,
}

/// The two ends: `outer` is a private duplicate of the program's, `inner` the other one.
#[derive(Debug)]
pub(crate) struct Mirror {
    outer: RawFd,
    inner: RawFd,
    shown: Mutex<Shown>,
}

/// A socket pair whose send buffers are as small as Linux lets them be.
fn pair() -> Result<[RawFd; 2], i32> {
    let mut ends = [-1; 2];
    let kind = libc::SOCK_STREAM | libc::SOCK_CLOEXEC;
    // SAFETY: there is room for two descriptors.
    if unsafe { libc::socketpair(libc::AF_UNIX, kind, 0, ends.as_mut_ptr()) } != 0 {
        return Err(crate::errno::get());
    }
    for fd in ends {
        let least: libc::c_int = 1;
        let (value, size) = ((&raw const least).cast(), size_of::<libc::c_int>() as libc::socklen_t);
        // SAFETY: an open socket and a live value.
        unsafe { libc::setsockopt(fd, libc::SOL_SOCKET, libc::SO_SNDBUF, value, size) };
    }
    Ok(ends)
}

const DONT_WAIT: libc::c_int = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;

impl Mirror {
    /// Makes a pair; returns the program's descriptor too. It is neither readable nor writable.
    ///
    /// # Errors
    /// `errno`, if the process has no descriptors left.
    pub(crate) fn new() -> Result<(Self, RawFd), i32> {
        let [program, other] = pair()?;
        let inner = hidden::hide(other);
        // SAFETY: an open descriptor of ours.
        unsafe { real::close()(other) };
        let outer = hidden::hide(program);
        let mirror = Self { outer, inner, shown: Mutex::default() };
        mirror.fill();
        Ok((mirror, program))
    }

    fn lock(&self) -> MutexGuard<'_, Shown> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends one byte from an end to the other.
    fn send(&self, from: RawFd) -> bool {
        // SAFETY: an open socket and a constant byte.
        unsafe { libc::send(from, c"!".as_ptr().cast(), 1, DONT_WAIT) == 1 }
    }

    /// Takes what is in the receive queue of an end.
    fn drain(&self, end: RawFd) {
        let mut bytes = [0_u8; 64];
        // SAFETY: an open socket and a live buffer.
        while unsafe { libc::recv(end, bytes.as_mut_ptr().cast(), bytes.len(), DONT_WAIT) } > 0 {}
    }

    /// The device notified this.
    pub(crate) fn notify(&self, readable: bool, writable: bool) {
        let mut shown = self.lock();
        if readable {
            shown.notifications = shown.notifications.wrapping_add(1);
            if !std::mem::replace(&mut shown.readable, true) {
                self.send(self.inner);
            }
        }
        if writable {
            self.let_write(&mut shown);
        }
    }

    /// Resets the pair, because the device hung up: Linux reports an error and a hang-up to every waiter when the inner
    /// end is closed with a byte unread. The inner end's number becomes a duplicate of the outer end. The byte in the
    /// outer end's queue keeps a waiting `recv` from consuming the error. A socket that was reset is readable and writable.
    pub(crate) fn hang_up(&self) {
        let mut shown = self.lock();
        shown.notifications = shown.notifications.wrapping_add(1);
        (shown.readable, shown.writable) = (true, true);
        if !std::mem::replace(&mut shown.hung_up, true) {
            self.send(self.inner);
            self.send(self.outer);
            // SAFETY: two descriptors of ours.
            unsafe { real::dup3()(self.outer, self.inner, libc::O_CLOEXEC) };
        }
    }

    /// Replaces a pair that was reset by a new one under the same numbers, unless the device notified after
    /// `notifications`. `replace` puts the program's end under the program's numbers. Returns whether it did.
    pub(crate) fn recover(&self, notifications: u32, replace: impl FnOnce(RawFd)) -> bool {
        let mut shown = self.lock();
        if !shown.hung_up || shown.notifications != notifications {
            return false;
        }
        let Ok([program, other]) = pair() else { return false };
        // SAFETY: asks for the program's flags.
        let flags = unsafe { real::fcntl()(self.outer, libc::F_GETFL) };
        // SAFETY: a descriptor that was just made.
        unsafe { real::fcntl()(program, libc::F_SETFL, flags) };
        replace(program);
        for (new, old) in [(program, self.outer), (other, self.inner)] {
            // SAFETY: two descriptors of ours.
            unsafe { real::dup3()(new, old, libc::O_CLOEXEC) };
            // SAFETY: a descriptor that was made above.
            unsafe { real::close()(new) };
        }
        (shown.hung_up, shown.readable, shown.writable) = (false, false, false);
        self.fill();
        true
    }

    /// Returns the count of notifications, which is read before the device is asked and passed to
    /// [`Mirror::seen_empty`] after.
    pub(crate) fn notifications(&self) -> u32 {
        self.lock().notifications
    }

    /// The device was asked after so many notifications, and had nothing. Says whether that still holds: if not, ask again.
    /// So no notification is lost in between.
    pub(crate) fn seen_empty(&self, notifications: u32) -> bool {
        let mut shown = self.lock();
        if shown.notifications != notifications {
            return false;
        }
        if !shown.hung_up && std::mem::take(&mut shown.readable) {
            self.drain(self.outer);
        }
        true
    }

    /// Whether the pair was reset.
    pub(crate) fn is_hung_up(&self) -> bool {
        self.lock().hung_up
    }

    /// Shows that there is room to write, or not.
    pub(crate) fn set_writable(&self, writable: bool) {
        let mut shown = self.lock();
        if writable {
            self.let_write(&mut shown);
        } else if shown.writable && !shown.hung_up {
            self.fill();
            shown.writable = false;
        }
    }

    /// Makes the outer end unwritable.
    fn fill(&self) {
        while self.polled(libc::POLLOUT) && self.send(self.outer) {}
    }

    fn let_write(&self, shown: &mut Shown) {
        if !std::mem::replace(&mut shown.writable, true) {
            self.drain(self.inner);
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

    /// Sleeps until it is readable. Signals end it or are taken up again as the program wishes, as with `read`.
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
            hidden::unhide(fd);
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
    fn linux_shows_readiness() {
        let (mirror, fd) = Mirror::new().unwrap();
        assert_eq!(polled(fd), (false, false));
        mirror.set_writable(true);
        assert_eq!(polled(fd), (false, true));
        mirror.notify(true, false);
        mirror.notify(true, false);
        assert_eq!(polled(fd), (true, true));
        mirror.set_writable(false);
        assert_eq!(polled(fd), (true, false));
        assert!(seen_empty(&mirror));
        assert_eq!(polled(fd), (false, false), "two notifications are one byte");
        mirror.notify(true, true);
        assert_eq!(polled(fd), (true, true));
    }

    #[test]
    fn an_answer_from_before_a_notification_does_not_count() {
        let (mirror, fd) = Mirror::new().unwrap();
        let before = mirror.notifications();
        mirror.notify(true, false);
        assert!(!mirror.seen_empty(before));
        assert_eq!(polled(fd), (true, false));
    }

    #[test]
    fn a_hang_up_is_an_error_to_linux_until_the_device_works_again() {
        let events = |fd| {
            let mut entry = libc::pollfd { fd, events: 0, revents: 0 };
            // SAFETY: one live entry.
            unsafe { libc::poll(&raw mut entry, 1, 0) };
            entry.revents
        };
        for writable in [false, true] {
            let (mirror, fd) = Mirror::new().unwrap();
            mirror.set_writable(writable);
            mirror.hang_up();
            mirror.set_writable(false);
            mirror.notify(true, true);
            assert!(seen_empty(&mirror));
            mirror.wait_readable().unwrap();
            assert_eq!((events(fd), polled(fd).0), (libc::POLLERR | libc::POLLHUP, true));
            assert!(!mirror.recover(mirror.notifications() - 1, |_| panic!("it notified since")));
            assert!(mirror.recover(mirror.notifications(), |new| {
                // SAFETY: two open descriptors.
                assert_eq!(unsafe { libc::dup2(new, fd) }, fd);
            }));
            assert_eq!((events(fd), polled(fd)), (0, (false, false)));
            mirror.notify(true, true);
            assert_eq!(polled(fd), (true, true));
        }
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
                mirror.notify(true, false);
                receiver.recv().unwrap();
            }
        });
    }
}
