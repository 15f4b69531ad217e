//! What each descriptor of the process is: the program's, a device, or this library's own.
//!
//! Every hook asks here first. For a descriptor that is neither of the latter the answer costs one load, takes no lock and
//! may be had in a signal handler.

use std::os::fd::RawFd;
use std::sync::atomic::{AtomicU8, Ordering};

use crate::real;

/// The program's, or not open.
pub(crate) const FOREIGN: u8 = 0;
/// A device.
pub(crate) const DEVICE: u8 = 1;
/// This library's own: a program that closes everything it does not know must not close it.
const HIDDEN: u8 = 2;

/// Descriptors above are never ours.
const SIZE: usize = 1 << 16;

/// From where on this library keeps its own descriptors, if there is room: out of the way of `select`'s users.
const HIDDEN_FROM: RawFd = 700;

static KINDS: [AtomicU8; SIZE] = [const { AtomicU8::new(FOREIGN) }; SIZE];

fn kind(fd: RawFd) -> Option<&'static AtomicU8> {
    usize::try_from(fd).ok().and_then(|index| KINDS.get(index))
}

/// Notes what a descriptor is.
pub(crate) fn set_kind(fd: RawFd, new: u8) {
    if let Some(kind) = kind(fd) {
        kind.store(new, Ordering::SeqCst);
    }
}

/// Whether a descriptor is this library's own.
pub(crate) fn is_hidden(fd: RawFd) -> bool {
    kind(fd).is_some_and(|kind| kind.load(Ordering::Relaxed) == HIDDEN)
}

/// Whether a descriptor is a device.
pub(crate) fn is_device(fd: RawFd) -> bool {
    kind(fd).is_some_and(|kind| kind.load(Ordering::Relaxed) == DEVICE)
}

/// A duplicate of a descriptor for this library itself; -1 if there is no room.
pub(crate) fn hide(fd: RawFd) -> RawFd {
    for from in [HIDDEN_FROM, 3] {
        // SAFETY: an open descriptor of ours.
        let hidden = unsafe { real::fcntl()(fd, libc::F_DUPFD_CLOEXEC, from) };
        if hidden >= 0 {
            set_kind(hidden, HIDDEN);
            return hidden;
        }
    }
    -1
}

/// Closes a descriptor of this library's.
pub(crate) fn unhide(fd: RawFd) {
    if fd >= 0 {
        set_kind(fd, FOREIGN);
        // SAFETY: the descriptor belongs to this library, which does not use it again.
        unsafe { real::close()(fd) };
    }
}

/// Puts a duplicate in a descriptor's place, which keeps its `FD_CLOEXEC`.
pub(crate) fn duplicate_to(from: RawFd, fd: RawFd) {
    // SAFETY: asks for the descriptor's flags.
    let flags = unsafe { real::fcntl()(fd, libc::F_GETFD) };
    let close = if flags & libc::FD_CLOEXEC == 0 { 0 } else { libc::O_CLOEXEC };
    // SAFETY: two descriptors of this process.
    unsafe { real::dup3()(from, fd, close) };
}

/// In a child whose Haiku stayed behind: puts something that is always ready in the place of each device, and closes
/// what is this library's own. If the child kept a control socket open, clients would not notice that its parent is
/// gone. It takes no lock, because a thread that held one exists only in the parent.
pub(crate) fn orphan_all(ready: RawFd) {
    for (fd, kind) in (0..).zip(&KINDS) {
        match kind.load(Ordering::Relaxed) {
            DEVICE => duplicate_to(ready, fd),
            HIDDEN => unhide(fd),
            _ => {}
        }
    }
}
