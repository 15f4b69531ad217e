//! Which descriptors of the process are devices, and which are this library's own.
//!
//! Every hook asks here first. For a descriptor that is neither the answer costs one load, takes no lock and may be had
//! in a signal handler.

use std::collections::BTreeMap;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use crate::open::Open;
use crate::{process, real};

/// The program's, or not open.
const FOREIGN: u8 = 0;
/// A device.
const DEVICE: u8 = 1;
/// This library's own: a program that closes everything it does not know must not close it.
const HIDDEN: u8 = 2;

/// Descriptors above are never ours.
const SIZE: usize = 1 << 16;

/// From where on this library keeps its own descriptors, if there is room: out of the way of `select`'s users.
const HIDDEN_FROM: RawFd = 700;

static KINDS: [AtomicU8; SIZE] = [const { AtomicU8::new(FOREIGN) }; SIZE];
static DEVICES: RwLock<BTreeMap<RawFd, Arc<Open>>> = RwLock::new(BTreeMap::new());

fn kind(fd: RawFd) -> Option<&'static AtomicU8> {
    usize::try_from(fd).ok().and_then(|index| KINDS.get(index))
}

fn set_kind(fd: RawFd, new: u8) {
    if let Some(kind) = kind(fd) {
        kind.store(new, Ordering::SeqCst);
    }
}

/// Whether a descriptor is this library's own.
pub(crate) fn is_hidden(fd: RawFd) -> bool {
    kind(fd).is_some_and(|kind| kind.load(Ordering::Relaxed) == HIDDEN)
}

/// The device behind a descriptor, if there is one.
pub(crate) fn find(fd: RawFd) -> Option<Arc<Open>> {
    if kind(fd)?.load(Ordering::Relaxed) != DEVICE {
        return None;
    }
    DEVICES.read().unwrap_or_else(PoisonError::into_inner).get(&fd).cloned()
}

/// All devices with their descriptors.
pub(crate) fn all() -> Vec<(RawFd, Arc<Open>)> {
    let devices = DEVICES.read().unwrap_or_else(PoisonError::into_inner);
    devices.iter().map(|(fd, open)| (*fd, Arc::clone(open))).collect()
}

/// Whether the program asks Linux about descriptors in ways that no hook sees.
static EAGER: AtomicBool = AtomicBool::new(false);

/// From now on Linux always shows what any device has to read, because the program waits in ways that no hook sees.
pub(crate) fn make_eager() {
    if !EAGER.swap(true, Ordering::SeqCst) {
        all().iter().for_each(|(_, open)| open.make_eager());
    }
}

/// A descriptor is now a device.
pub(crate) fn insert(fd: RawFd, open: Arc<Open>) {
    process::settle();
    insert_quietly(fd, Arc::clone(&open));
    if EAGER.load(Ordering::SeqCst) {
        open.make_eager();
    }
}

fn insert_quietly(fd: RawFd, open: Arc<Open>) {
    let before = DEVICES.write().unwrap_or_else(PoisonError::into_inner).insert(fd, open);
    set_kind(fd, DEVICE);
    drop_one(before);
}

/// A descriptor was closed.
pub(crate) fn remove(fd: RawFd) {
    if kind(fd).is_none_or(|kind| kind.load(Ordering::Relaxed) != DEVICE) || process::is_guest() {
        return;
    }
    set_kind(fd, FOREIGN);
    INTERESTS.lock().unwrap_or_else(PoisonError::into_inner).retain(|interest| interest.fd != fd);
    let before = DEVICES.write().unwrap_or_else(PoisonError::into_inner).remove(&fd);
    drop_one(before);
}

/// A device's registration with an `epoll`, kept because a new socket has to be registered again.
struct Interest {
    epoll: RawFd,
    fd: RawFd,
    event: libc::epoll_event,
}

static INTERESTS: Mutex<Vec<Interest>> = Mutex::new(Vec::new());

/// Records a device's registration with an `epoll`, or its end.
pub(crate) fn note_interest(epoll: RawFd, fd: RawFd, event: Option<libc::epoll_event>) {
    let mut interests = INTERESTS.lock().unwrap_or_else(PoisonError::into_inner);
    interests.retain(|interest| (interest.epoll, interest.fd) != (epoll, fd));
    interests.extend(event.map(|event| Interest { epoll, fd, event }));
}

/// Puts a new socket under all numbers of a device, keeping their flags and `epoll` registrations.
pub(crate) fn replace(open: &Open, socket: RawFd) {
    let devices = DEVICES.read().unwrap_or_else(PoisonError::into_inner);
    let mut interests = INTERESTS.lock().unwrap_or_else(PoisonError::into_inner);
    for (fd, _) in devices.iter().filter(|(_, other)| std::ptr::eq(&raw const ***other, open)) {
        duplicate_to(socket, *fd);
        for Interest { epoll, fd, event } in interests.iter_mut().filter(|interest| interest.fd == *fd) {
            // SAFETY: a live event.
            unsafe { real::epoll_ctl()(*epoll, libc::EPOLL_CTL_ADD, *fd, event) };
        }
    }
}

/// Puts a duplicate in a descriptor's place, which keeps its `FD_CLOEXEC`.
fn duplicate_to(from: RawFd, fd: RawFd) {
    // SAFETY: asks for the descriptor's flags.
    let flags = unsafe { real::fcntl()(fd, libc::F_GETFD) };
    let close = if flags & libc::FD_CLOEXEC == 0 { 0 } else { libc::O_CLOEXEC };
    // SAFETY: two descriptors of this process.
    unsafe { real::dup3()(from, fd, close) };
}

/// A place in the table went; the device is closed with the last.
fn drop_one(open: Option<Arc<Open>>) {
    let Some(open) = open else { return };
    let last = !all().iter().any(|(_, other)| Arc::ptr_eq(other, &open));
    if last {
        open.close();
    }
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
