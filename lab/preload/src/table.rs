//! The devices of the process, by their descriptors.

use std::collections::BTreeMap;
use std::os::fd::RawFd;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use crate::hidden::{self, DEVICE, FOREIGN};
use crate::open::Open;
use crate::{process, real};

static DEVICES: RwLock<BTreeMap<RawFd, Arc<Open>>> = RwLock::new(BTreeMap::new());

/// The device behind a descriptor, if there is one.
pub(crate) fn find(fd: RawFd) -> Option<Arc<Open>> {
    if !hidden::is_device(fd) {
        return None;
    }
    DEVICES.read().unwrap_or_else(PoisonError::into_inner).get(&fd).cloned()
}

/// All devices with their descriptors.
pub(crate) fn all() -> Vec<(RawFd, Arc<Open>)> {
    let devices = DEVICES.read().unwrap_or_else(PoisonError::into_inner);
    devices.iter().map(|(fd, open)| (*fd, Arc::clone(open))).collect()
}

/// A descriptor is now a device.
pub(crate) fn insert(fd: RawFd, open: Arc<Open>) {
    process::settle();
    let before = DEVICES.write().unwrap_or_else(PoisonError::into_inner).insert(fd, open);
    hidden::set_kind(fd, DEVICE);
    drop_one(before);
}

/// A descriptor was closed.
pub(crate) fn remove(fd: RawFd) {
    if !hidden::is_device(fd) || process::is_guest() {
        return;
    }
    hidden::set_kind(fd, FOREIGN);
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
        hidden::duplicate_to(socket, *fd);
        for Interest { epoll, fd, event } in interests.iter_mut().filter(|interest| interest.fd == *fd) {
            // SAFETY: a live event.
            unsafe { real::epoll_ctl()(*epoll, libc::EPOLL_CTL_ADD, *fd, event) };
        }
    }
}

/// A place in the table went; the device is closed with the last.
fn drop_one(open: Option<Arc<Open>>) {
    let Some(open) = open else { return };
    let last = !all().iter().any(|(_, other)| Arc::ptr_eq(other, &open));
    if last {
        open.close();
    }
}
