//! `dup`, `fcntl`, `close`, their relatives and `epoll_ctl`. The real descriptor keeps its flags; only the table has to
//! follow.

use std::ffi::{c_int, c_uint};
use std::os::fd::RawFd;

use crate::errno::fail;
use crate::{hidden, process, real, table};

/// `new` is now a duplicate of `old`, or its previous descriptor is closed.
fn follow(old: RawFd, new: RawFd) {
    if new < 0 || new == old || process::is_orphan() {
        return;
    }
    match table::find(old) {
        Some(open) if !process::is_guest() => table::insert(new, open),
        Some(_) => {}
        None => table::remove(new),
    }
}

/// `dup`.
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
unsafe extern "C" fn dup(fd: c_int) -> c_int {
    // SAFETY: the caller's promise to libc: the arguments are passed on unchanged.
    let new = unsafe { real::dup()(fd) };
    follow(fd, new);
    new
}

/// `dup2`.
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
unsafe extern "C" fn dup2(fd: c_int, to: c_int) -> c_int {
    if hidden::is_hidden(to) {
        return fail(libc::EBADF) as c_int;
    }
    // SAFETY: the caller's promise to libc: the arguments are passed on unchanged.
    let new = unsafe { real::dup2()(fd, to) };
    follow(fd, new);
    new
}

/// `dup3`.
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
unsafe extern "C" fn dup3(fd: c_int, to: c_int, flags: c_int) -> c_int {
    if hidden::is_hidden(to) {
        return fail(libc::EBADF) as c_int;
    }
    // SAFETY: the caller's promise to libc: the arguments are passed on unchanged.
    let new = unsafe { real::dup3()(fd, to, flags) };
    follow(fd, new);
    new
}

macro_rules! fcntl_hooks {
    ($($name:ident)*) => {
        $(
            /// `fcntl`: the flags are the real descriptor's, and so is the argument.
            ///
            /// # Safety
            /// As libc's.
            #[unsafe(no_mangle)]
            unsafe extern "C" fn $name(fd: c_int, op: c_int, argument: usize) -> c_int {
                // SAFETY: the caller's promise to libc: the arguments are passed on unchanged.
                let result = unsafe { real::fcntl()(fd, op, argument) };
                if op == libc::F_DUPFD || op == libc::F_DUPFD_CLOEXEC {
                    follow(fd, result);
                }
                result
            }
        )*
    };
}

fcntl_hooks! { fcntl fcntl64 }

/// `close`.
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
unsafe extern "C" fn close(fd: c_int) -> c_int {
    if hidden::is_hidden(fd) {
        return fail(libc::EBADF) as c_int;
    }
    if !process::is_orphan() {
        table::remove(fd);
    }
    // SAFETY: the caller's promise to libc: the arguments are passed on unchanged.
    unsafe { real::close()(fd) }
}

/// `close_range`: this library's own descriptors stay.
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
unsafe extern "C" fn close_range(first: c_uint, last: c_uint, flags: c_int) -> c_int {
    // SAFETY: asks for a limit.
    let open = unsafe { libc::sysconf(libc::_SC_OPEN_MAX) };
    let most = u32::try_from(open).unwrap_or(1 << 16).min(last.saturating_add(1));
    let ours = (first..most).any(|fd| hidden::is_hidden(fd.cast_signed()) || hidden::is_device(fd.cast_signed()));
    if !ours || flags != 0 {
        // SAFETY: the caller's promise to libc: the arguments are passed on unchanged; with flags nothing is closed
        // now.
        return unsafe { real::close_range()(first, last, flags) };
    }
    for fd in first..most {
        // SAFETY: closes what the program wants closed.
        unsafe { close(fd.cast_signed()) };
    }
    0
}

/// `closefrom`.
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
unsafe extern "C" fn closefrom(first: c_int) {
    // SAFETY: as `close_range`.
    unsafe { close_range(first.max(0).cast_unsigned(), c_uint::MAX, 0) };
}

/// `epoll_ctl`: a registration that succeeded is recorded, to be made again for a new socket.
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
unsafe extern "C" fn epoll_ctl(epoll: c_int, op: c_int, fd: c_int, event: *mut libc::epoll_event) -> c_int {
    // SAFETY: the caller's promise to libc: the arguments are passed on unchanged.
    let result = unsafe { real::epoll_ctl()(epoll, op, fd, event) };
    if result == 0 && hidden::is_device(fd) && !process::is_orphan() {
        // SAFETY: the caller's promise to libc; only `EPOLL_CTL_DEL` takes no event.
        let event = (op != libc::EPOLL_CTL_DEL).then(|| unsafe { event.read_unaligned() });
        table::note_interest(epoll, fd, event);
    }
    result
}
