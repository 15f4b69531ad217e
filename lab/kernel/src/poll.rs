//! `poll` and `select`: register with every descriptor, wait, and take it all back.

use std::sync::Arc;

use haiku_sys::{
    B_ABSOLUTE_TIMEOUT, B_BAD_VALUE, B_CAN_INTERRUPT, B_DO_NOT_RESCHEDULE, B_FILE_ERROR, B_INTERRUPTED, B_OK,
    bigtime_t, sem_id, status_t,
};

use crate::fd::{self, Fd};
use crate::select::{INVALID, Info, InfoRef, Waiter};
use crate::{sem, wait};

/// One descriptor of a `poll`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PollFd {
    /// The descriptor, or negative to be ignored.
    pub fd: Fd,
    /// What is waited for. Haiku adds to it what is always waited for.
    pub events: u16,
    /// What happened.
    pub revents: u16,
}

/// `POLLIN`.
pub const POLLIN: u16 = 0x0001;
/// `POLLOUT`.
pub const POLLOUT: u16 = 0x0002;
/// `POLLERR`; always waited for.
pub const POLLERR: u16 = 0x0004;
/// `POLLPRI`.
pub const POLLPRI: u16 = 0x0020;
/// `POLLHUP`; always waited for.
pub const POLLHUP: u16 = 0x0080;
/// `POLLNVAL`; always waited for.
pub const POLLNVAL: u16 = 0x1000;

/// A set of descriptors for `select`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FdSet([u64; 16]);

impl FdSet {
    /// How many descriptors there can be in a set.
    pub const SIZE: usize = 1024;

    /// Adds a descriptor; one that no set can have is ignored.
    pub fn insert(&mut self, fd: Fd) {
        if let Some(word) = self.0.get_mut(fd as usize / 64) {
            *word |= 1 << (fd % 64);
        }
    }

    /// Whether a descriptor is in the set.
    #[must_use]
    pub fn contains(&self, fd: Fd) -> bool {
        self.0.get(fd as usize / 64).is_some_and(|word| word & (1 << (fd % 64)) != 0)
    }

    /// Whether no descriptor is in the set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|&word| word == 0)
    }
}

/// One `poll` or `select` that waits.
struct Sync {
    sem: sem_id,
    infos: Vec<InfoRef>,
}

impl Waiter for Sync {
    fn notify(&self, events: u16, selected: u16) -> status_t {
        match events & selected {
            0 => B_OK,
            _ => sem::release(self.sem, 1, B_DO_NOT_RESCHEDULE),
        }
    }
}

impl Drop for Sync {
    fn drop(&mut self) {
        let _ = sem::delete(self.sem);
        for info in &self.infos {
            info.end();
        }
    }
}

impl Sync {
    fn new(count: usize) -> Result<Arc<Self>, status_t> {
        let sem = sem::create(0, "select")?;
        Ok(Arc::new_cyclic(|weak: &std::sync::Weak<Self>| {
            let infos = (0..count).map(|_| Info::new(0, weak.clone() as _)).collect();
            Self { sem, infos }
        }))
    }

    fn wait(&self, timeout: bigtime_t) -> status_t {
        let (flags, deadline) = match timeout {
            ..0 => (0, 0),
            _ => (B_ABSOLUTE_TIMEOUT, wait::now().saturating_add(timeout)),
        };
        sem::acquire(self.sem, 1, B_CAN_INTERRUPT | flags, deadline)
    }
}

pub(crate) fn poll(fds: &mut [PollFd], timeout: bigtime_t) -> Result<usize, status_t> {
    if fds.len() > fd::size() {
        return Err(B_BAD_VALUE);
    }
    let sync = Sync::new(fds.len())?;
    let mut invalid = false;
    let mut gone = vec![false; fds.len()];
    for ((entry, info), gone) in fds.iter_mut().zip(&sync.infos).zip(&mut gone) {
        // Haiku adds these to the caller's own events, and copies them back.
        entry.events |= POLLNVAL | POLLERR | POLLHUP;
        entry.revents = 0;
        info.select(entry.events);
        if entry.fd >= 0 && fd::select(entry.fd, info).is_err() && info.events() == 0 {
            *gone = true;
            invalid = true;
        }
    }
    let status = if invalid { B_OK } else { sync.wait(timeout) };
    for ((entry, info), gone) in fds.iter().zip(&sync.infos).zip(&gone) {
        if entry.fd >= 0 && !gone && info.events() & INVALID == 0 {
            let _ = fd::deselect(entry.fd, info);
        }
    }
    match status {
        B_OK => {
            let mut count = 0;
            for ((entry, info), gone) in fds.iter_mut().zip(&sync.infos).zip(&gone) {
                if entry.fd >= 0 {
                    entry.revents = if *gone { POLLNVAL } else { info.events() & entry.events };
                    count += usize::from(entry.revents != 0);
                }
            }
            Ok(count)
        }
        B_INTERRUPTED => Err(B_INTERRUPTED),
        _ => Ok(0),
    }
}

/// The three sets of a `select`.
pub(crate) struct Sets<'a> {
    pub(crate) read: Option<&'a mut FdSet>,
    pub(crate) write: Option<&'a mut FdSet>,
    pub(crate) error: Option<&'a mut FdSet>,
}

impl Sets<'_> {
    fn wanted(&self, fd: Fd) -> u16 {
        let has = |set: &Option<&mut FdSet>| set.as_ref().is_some_and(|set| set.contains(fd));
        let mut wanted = 0;
        if has(&self.read) {
            wanted |= POLLIN | POLLHUP | POLLERR;
        }
        if has(&self.write) {
            wanted |= POLLOUT | POLLERR;
        }
        if has(&self.error) {
            wanted |= POLLERR;
        }
        wanted
    }
}

pub(crate) fn select(count: Fd, sets: Sets<'_>, timeout: bigtime_t) -> Result<usize, status_t> {
    let fds = 0..count;
    if count < 0 || count as usize > FdSet::SIZE.max(fd::size()) {
        return Err(B_BAD_VALUE);
    }
    if fds.clone().any(|fd| sets.wanted(fd) != 0 && fd::get(fd).is_err()) {
        return Err(B_FILE_ERROR);
    }
    let sync = Sync::new(count as usize)?;
    for (fd, info) in fds.clone().zip(&sync.infos) {
        info.select(sets.wanted(fd));
        if info.selected() != 0 {
            // What cannot be selected any longer is not waited for, as on Haiku.
            let _ = fd::select(fd, info);
        }
    }
    let status = sync.wait(timeout);
    for (fd, info) in fds.clone().zip(&sync.infos) {
        if sets.wanted(fd) != 0 {
            let _ = fd::deselect(fd, info);
        }
    }
    if status == B_INTERRUPTED {
        // The sets stay as they were.
        return Err(B_INTERRUPTED);
    }
    let mut found = 0;
    let reports = [(sets.read, POLLIN | POLLHUP | POLLERR), (sets.write, POLLOUT | POLLERR), (sets.error, POLLERR)];
    for (set, events) in reports {
        let Some(set) = set else { continue };
        *set = FdSet::default();
        // Each set reports for every descriptor that was in any of them.
        for (fd, info) in fds.clone().zip(&sync.infos) {
            if status == B_OK && info.events() & events != 0 {
                set.insert(fd);
                found += 1;
            }
        }
    }
    Ok(found)
}
