//! `poll` and `select`. Linux's result for a device is checked before the program gets it: a notification may come after
//! its packet was read, and a program with blocking descriptors would then sleep in `read`. `epoll` is not checked, because
//! its users do not block.

use std::ffi::c_int;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::open::Open;
use crate::{process, real, table};

/// The devices that a call wants to read from, each with its place in the call.
type Wanted = Vec<(usize, Arc<Open>)>;

/// The devices in a poll that wait for reading.
fn wanted(entries: &[libc::pollfd]) -> Wanted {
    if process::is_orphan() {
        return Vec::new();
    }
    let reads = |entry: &libc::pollfd| entry.events & READABLE != 0;
    let devices = entries.iter().enumerate().filter(|(_, entry)| reads(entry));
    devices.filter_map(|(index, entry)| Some((index, table::find(entry.fd)?))).collect()
}

const READABLE: libc::c_short = libc::POLLIN | libc::POLLRDNORM;

/// Puts right what Linux said of devices. Returns how many entries have something to say.
fn correct_poll(entries: &mut [libc::pollfd], wanted: &Wanted) -> c_int {
    for (index, open) in wanted {
        if let Some(entry) = entries.get_mut(*index).filter(|entry| entry.revents & READABLE != 0)
            && !open.is_readable()
        {
            entry.revents &= !READABLE;
        }
    }
    entries.iter().map(|entry| c_int::from(entry.revents != 0)).sum()
}

/// Polls until there is something to say, an error or the end of time, which `ask` knows of: it calls Linux.
///
/// # Safety
/// There are `count` entries, or none and no pointer.
unsafe fn poll_with(list: *mut libc::pollfd, count: libc::nfds_t, mut ask: impl FnMut() -> c_int) -> c_int {
    // SAFETY: the caller's promise; Linux changes them only inside the call below.
    let wanted = wanted(unsafe { entries(list, count) });
    loop {
        let result = ask();
        if result <= 0 || wanted.is_empty() {
            return result;
        }
        // SAFETY: as above; Linux has just filled them.
        let result = correct_poll(unsafe { entries(list, count) }, &wanted);
        if result > 0 {
            return result;
        }
    }
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
    let mut left = Left::new(u64::try_from(timeout).ok().map(Duration::from_millis));
    let ask = || {
        // Rounded up: what is left of a millisecond is waited for, not polled away.
        let rounded = |rest: Duration| c_int::try_from(rest.as_nanos().div_ceil(1_000_000)).unwrap_or(c_int::MAX);
        let timeout = left.next().map_or(timeout, rounded);
        // SAFETY: the caller's promise to libc; only the timeout is replaced by the remaining time.
        unsafe { real::poll()(list, count, timeout) }
    };
    // SAFETY: the caller's promise to libc.
    unsafe { poll_with(list, count, ask) }
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
    // SAFETY: the caller's promise to libc: the arguments are passed on unchanged.
    unsafe { poll(list, count, timeout) }
}

/// A time span as Linux takes it.
fn timespec(time: Duration) -> libc::timespec {
    libc::timespec {
        tv_sec: libc::time_t::try_from(time.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: time.subsec_nanos().into(),
    }
}

/// What a `timespec` says.
///
/// # Safety
/// `timeout` is null or points to a time.
unsafe fn span(timeout: *const libc::timespec) -> Option<Duration> {
    // SAFETY: the caller's promise.
    let time = unsafe { timeout.as_ref() }?;
    let (seconds, nanoseconds) = (u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0));
    Some(Duration::new(seconds, nanoseconds.min(999_999_999)))
}

/// How much of a time span is left, for a wait that may have to be taken up again.
struct Left {
    span: Option<Duration>,
    deadline: Option<Instant>,
}

impl Left {
    /// `None` is a wait without an end.
    fn new(span: Option<Duration>) -> Self {
        Self { span, deadline: None }
    }

    /// The rest; none as long as Linux is to wait as the program said.
    fn next(&mut self) -> Option<Duration> {
        match (self.span?, self.deadline) {
            (Duration::ZERO, _) => None,
            (span, None) => {
                self.deadline = Instant::now().checked_add(span);
                None
            }
            (_, Some(deadline)) => Some(deadline.saturating_duration_since(Instant::now())),
        }
    }
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
    let mut left = Left::new(unsafe { span(timeout) });
    let ask = || {
        let time = left.next().map(timespec);
        let time = time.as_ref().map_or(timeout, std::ptr::from_ref);
        // SAFETY: the caller's promise to libc; only the timeout is replaced by the remaining time.
        unsafe { real::ppoll()(list, count, time, mask) }
    };
    // SAFETY: the caller's promise to libc.
    unsafe { poll_with(list, count, ask) }
}

/// `ppoll`, as fortified programs call it.
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
unsafe extern "C" fn __ppoll_chk(
    list: *mut libc::pollfd,
    count: libc::nfds_t,
    timeout: *const libc::timespec,
    mask: *const libc::sigset_t,
    room: usize,
) -> c_int {
    if room / size_of::<libc::pollfd>() < count as usize {
        std::process::abort();
    }
    // SAFETY: the caller's promise to libc: the arguments are passed on unchanged.
    unsafe { ppoll(list, count, timeout, mask) }
}

/// The three sets of a `select`, as the program gave them: Linux overwrites them.
#[derive(Clone, Copy)]
struct Sets {
    count: c_int,
    sets: [(*mut libc::fd_set, libc::fd_set); 3],
}

impl Sets {
    /// # Safety
    /// Each is null or points to a set.
    unsafe fn new(count: c_int, sets: [*mut libc::fd_set; 3]) -> Self {
        let sets = sets.map(|set| {
            // SAFETY: the caller's promise.
            let given = unsafe { set.as_ref() }.copied();
            // SAFETY: a set is plain data, and the empty one is all zeros.
            (set, given.unwrap_or_else(|| unsafe { std::mem::zeroed() }))
        });
        Self { count, sets }
    }

    /// Gives the program its own sets again.
    ///
    /// # Safety
    /// They are still there.
    unsafe fn restore(&self) {
        for (set, before) in &self.sets {
            if !set.is_null() {
                // SAFETY: the caller's promise.
                unsafe { **set = *before };
            }
        }
    }

    /// The devices that wait for reading.
    fn wanted(&self) -> Wanted {
        let (set, before) = &self.sets[0];
        if set.is_null() || process::is_orphan() {
            return Vec::new();
        }
        let is_in = |fd: RawFd| {
            // SAFETY: the descriptor is below the size of a set.
            fd < self.count.min(1024) && unsafe { libc::FD_ISSET(fd, before) }
        };
        let devices = table::all().into_iter().filter(|(fd, _)| is_in(*fd));
        devices.filter_map(|(fd, open)| Some((usize::try_from(fd).ok()?, open))).collect()
    }

    /// Puts right what Linux said of devices; returns how many there are, of which Linux said `found`.
    ///
    /// # Safety
    /// The sets are still there.
    unsafe fn correct(&self, wanted: &Wanted, mut found: c_int) -> c_int {
        let (read, _) = self.sets[0];
        for (index, open) in wanted {
            let fd = *index as RawFd;
            // SAFETY: the descriptor is below the size of a set.
            if unsafe { libc::FD_ISSET(fd, read) } && !open.is_readable() {
                // SAFETY: as above.
                unsafe { libc::FD_CLR(fd, read) };
                found -= 1;
            }
        }
        found
    }

    /// Selects until there is something to say, an error or the end of time, which `ask` knows of: it calls Linux.
    ///
    /// # Safety
    /// The sets are still there.
    unsafe fn select_with(&self, mut ask: impl FnMut() -> c_int) -> c_int {
        let wanted = self.wanted();
        loop {
            let result = ask();
            if result <= 0 || wanted.is_empty() {
                return result;
            }
            // SAFETY: Linux has just filled them.
            let found = unsafe { self.correct(&wanted, result) };
            if found > 0 {
                return found;
            }
            // SAFETY: the program's own.
            unsafe { self.restore() };
        }
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
    let ask = || {
        // SAFETY: the caller's promise to libc: the arguments are passed on unchanged. Linux leaves in the timeout what
        // is left of it.
        unsafe { real::select()(count, read, write, error, timeout) }
    };
    // SAFETY: the caller's promise to libc.
    let sets = unsafe { Sets::new(count, [read, write, error]) };
    // SAFETY: as above.
    unsafe { sets.select_with(ask) }
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
    let mut left = Left::new(unsafe { span(timeout) });
    let ask = || {
        let time = left.next().map(timespec);
        let time = time.as_ref().map_or(timeout, std::ptr::from_ref);
        // SAFETY: the caller's promise to libc; only the timeout is replaced by the remaining time.
        unsafe { real::pselect()(count, read, write, error, time, mask) }
    };
    // SAFETY: the caller's promise to libc.
    let sets = unsafe { Sets::new(count, [read, write, error]) };
    // SAFETY: as above.
    unsafe { sets.select_with(ask) }
}
