//! `poll` and `select`: Linux waits, and what it says of a device is looked behind before the program hears of it.
//!
//! Only one thing can be wrong: a notification that came after its packet had been read. A program with descriptors
//! that block would then sleep in `read`. `epoll` is left alone: who uses it does not block.

use std::ffi::c_int;
use std::os::fd::RawFd;
use std::time::{Duration, Instant};

use crate::{process, real, table};

/// Whether a descriptor that Linux calls readable is not.
fn is_mistaken(fd: RawFd) -> bool {
    !process::is_orphan() && table::find(fd).is_some_and(|open| !open.confirm_readable())
}

/// Takes wrong answers out of a poll. Returns how many entries have something to say.
fn correct_poll(entries: &mut [libc::pollfd]) -> c_int {
    let mut count = 0;
    for entry in entries {
        if entry.revents & libc::POLLIN != 0 && is_mistaken(entry.fd) {
            entry.revents &= !(libc::POLLIN | libc::POLLRDNORM);
        }
        count += c_int::from(entry.revents != 0);
    }
    count
}

/// The program's entries.
///
/// # Safety
/// There are `count` of them, or none and no pointer.
unsafe fn entries<'a>(entries: *mut libc::pollfd, count: libc::nfds_t) -> &'a mut [libc::pollfd] {
    if entries.is_null() {
        return &mut [];
    }
    // SAFETY: the caller's promise.
    unsafe { std::slice::from_raw_parts_mut(entries, count as usize) }
}

/// `poll`.
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
unsafe extern "C" fn poll(list: *mut libc::pollfd, count: libc::nfds_t, timeout: c_int) -> c_int {
    let deadline = u64::try_from(timeout).ok().map(|time| Instant::now() + Duration::from_millis(time));
    let mut left = timeout;
    loop {
        // SAFETY: passed on as it came.
        let result = unsafe { real::poll()(list, count, left) };
        if result <= 0 {
            return result;
        }
        // SAFETY: Linux has just filled so many.
        let result = correct_poll(unsafe { entries(list, count) });
        if result > 0 {
            return result;
        }
        left = match deadline {
            Some(deadline) => {
                let left = deadline.saturating_duration_since(Instant::now());
                c_int::try_from(left.as_millis()).unwrap_or(c_int::MAX)
            }
            None => -1,
        };
    }
}

/// `poll`, as fortified programs call it.
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
unsafe extern "C" fn __poll_chk(list: *mut libc::pollfd, count: libc::nfds_t, timeout: c_int, room: usize) -> c_int {
    if room / size_of::<libc::pollfd>() < count as usize {
        std::process::abort();
    }
    // SAFETY: passed on as it came.
    unsafe { poll(list, count, timeout) }
}

/// A time span as Linux takes it.
fn timespec(time: Duration) -> libc::timespec {
    libc::timespec {
        tv_sec: libc::time_t::try_from(time.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: time.subsec_nanos().into(),
    }
}

/// When a wait that begins now is to end.
///
/// # Safety
/// `timeout` is null or points to a time.
unsafe fn deadline(timeout: *const libc::timespec) -> Option<Instant> {
    // SAFETY: the caller's promise.
    let time = unsafe { timeout.as_ref() }?;
    let (seconds, nanoseconds) = (u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0));
    Instant::now().checked_add(Duration::new(seconds, nanoseconds.min(999_999_999)))
}

/// `ppoll`.
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
unsafe extern "C" fn ppoll(
    list: *mut libc::pollfd,
    count: libc::nfds_t,
    timeout: *const libc::timespec,
    mask: *const libc::sigset_t,
) -> c_int {
    // SAFETY: the caller's promise to libc.
    let deadline = unsafe { deadline(timeout) };
    let mut left = timeout;
    let mut rest;
    loop {
        // SAFETY: passed on as it came, but for the time that is left.
        let result = unsafe { real::ppoll()(list, count, left, mask) };
        if result <= 0 {
            return result;
        }
        // SAFETY: Linux has just filled so many.
        let result = correct_poll(unsafe { entries(list, count) });
        if result > 0 {
            return result;
        }
        if let Some(deadline) = deadline {
            rest = timespec(deadline.saturating_duration_since(Instant::now()));
            left = &raw const rest;
        }
    }
}

/// The three sets of a `select`, as the program gave them: Linux overwrites them.
#[derive(Clone, Copy)]
struct Sets([(*mut libc::fd_set, libc::fd_set); 3]);

impl Sets {
    /// # Safety
    /// Each is null or points to a set.
    unsafe fn new(sets: [*mut libc::fd_set; 3]) -> Self {
        Self(sets.map(|set| {
            // SAFETY: the caller's promise.
            let given = unsafe { set.as_ref() }.copied();
            // SAFETY: a set is plain data, and the empty one is all zeros.
            (set, given.unwrap_or_else(|| unsafe { std::mem::zeroed() }))
        }))
    }

    /// Gives the program its own sets again.
    ///
    /// # Safety
    /// They are still there.
    unsafe fn restore(&self) {
        for (set, before) in &self.0 {
            if !set.is_null() {
                // SAFETY: the caller's promise.
                unsafe { **set = *before };
            }
        }
    }

    /// Takes wrong answers out; returns how many are left of `found`.
    ///
    /// # Safety
    /// The sets are still there.
    unsafe fn correct(&self, count: c_int, mut found: c_int) -> c_int {
        let (read, _) = self.0[0];
        if read.is_null() {
            return found;
        }
        for (fd, _) in table::all() {
            // SAFETY: the descriptor is below the size of a set.
            let reported = fd < count.min(1024) && unsafe { libc::FD_ISSET(fd, read) };
            if reported && is_mistaken(fd) {
                // SAFETY: as above.
                unsafe { libc::FD_CLR(fd, read) };
                found -= 1;
            }
        }
        found
    }
}

/// `select`.
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
unsafe extern "C" fn select(
    count: c_int,
    read: *mut libc::fd_set,
    write: *mut libc::fd_set,
    error: *mut libc::fd_set,
    timeout: *mut libc::timeval,
) -> c_int {
    // SAFETY: the caller's promise to libc.
    let sets = unsafe { Sets::new([read, write, error]) };
    loop {
        // SAFETY: passed on as it came. Linux leaves in the timeout what is left of it.
        let found = unsafe { real::select()(count, read, write, error, timeout) };
        if found <= 0 {
            return found;
        }
        // SAFETY: Linux has just filled them.
        let found = unsafe { sets.correct(count, found) };
        if found > 0 {
            return found;
        }
        // SAFETY: the program's own.
        unsafe { sets.restore() };
    }
}

/// `pselect`.
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
unsafe extern "C" fn pselect(
    count: c_int,
    read: *mut libc::fd_set,
    write: *mut libc::fd_set,
    error: *mut libc::fd_set,
    timeout: *const libc::timespec,
    mask: *const libc::sigset_t,
) -> c_int {
    // SAFETY: the caller's promise to libc.
    let sets = unsafe { Sets::new([read, write, error]) };
    // SAFETY: as above.
    let deadline = unsafe { deadline(timeout) };
    let mut left = timeout;
    let mut rest;
    loop {
        // SAFETY: passed on as it came, but for the time that is left.
        let found = unsafe { real::pselect()(count, read, write, error, left, mask) };
        if found <= 0 {
            return found;
        }
        // SAFETY: Linux has just filled them.
        let found = unsafe { sets.correct(count, found) };
        if found > 0 {
            return found;
        }
        // SAFETY: the program's own.
        unsafe { sets.restore() };
        if let Some(deadline) = deadline {
            rest = timespec(deadline.saturating_duration_since(Instant::now()));
            left = &raw const rest;
        }
    }
}
