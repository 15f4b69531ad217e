//! Where a descriptor goes out of these hooks' sight: `epoll`, another process, signals, system calls made directly.
//!
//! From then on Linux is always shown what a device has to read, with or without a known waiter. Only programs that
//! make system calls without libc, such as Go's and those that use `io_uring`, are not noticed.

use std::ffi::{c_int, c_long, c_uint};

use crate::{errno, process, real, table};

/// Linux may be asked about a descriptor from now on.
pub(super) fn shown_to_linux(fd: c_int) {
    if !process::is_orphan()
        && let Some(open) = table::find(fd)
    {
        open.make_eager();
    }
}

/// `epoll_ctl`.
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
unsafe extern "C" fn epoll_ctl(epoll: c_int, op: c_int, fd: c_int, event: *mut libc::epoll_event) -> c_int {
    if op != libc::EPOLL_CTL_DEL {
        shown_to_linux(fd);
    }
    // SAFETY: the caller's promise to libc: the arguments are passed on unchanged.
    let result = unsafe { real::epoll_ctl()(epoll, op, fd, event) };
    if result == 0 {
        // SAFETY: the caller's promise to libc.
        unsafe { note_interest(epoll, op, fd, event) };
    }
    result
}

/// Records the effect of an `epoll_ctl` that succeeded.
///
/// # Safety
/// As libc's `epoll_ctl`.
unsafe fn note_interest(epoll: c_int, op: c_int, fd: c_int, event: *const libc::epoll_event) {
    if table::find(fd).is_some() && !process::is_orphan() {
        // SAFETY: the caller's promise; only `EPOLL_CTL_DEL` takes no event.
        let event = (op != libc::EPOLL_CTL_DEL).then(|| unsafe { event.read_unaligned() });
        table::note_interest(epoll, fd, event);
    }
}

/// Descriptors that go to another process.
///
/// # Safety
/// `message` is null or points to a message.
unsafe fn send_along(message: *const libc::msghdr) {
    // SAFETY: the caller's promise.
    let Some(header) = (unsafe { message.as_ref() }) else { return };
    if header.msg_control.is_null() || process::is_orphan() {
        return;
    }
    // SAFETY: the message is whole, by the caller's promise.
    let mut next = unsafe { libc::CMSG_FIRSTHDR(message) };
    // SAFETY: null, or within the message.
    while let Some(control) = unsafe { next.as_ref() } {
        if (control.cmsg_level, control.cmsg_type) == (libc::SOL_SOCKET, libc::SCM_RIGHTS) {
            table::make_eager();
        }
        // SAFETY: as above.
        next = unsafe { libc::CMSG_NXTHDR(message, next) };
    }
}

/// `sendmsg`.
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
unsafe extern "C" fn sendmsg(fd: c_int, message: *const libc::msghdr, flags: c_int) -> isize {
    // SAFETY: the caller's promise to libc.
    unsafe { send_along(message) };
    // SAFETY: the caller's promise to libc: the arguments are passed on unchanged.
    unsafe { real::sendmsg()(fd, message, flags) }
}

/// `sendmmsg`.
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
unsafe extern "C" fn sendmmsg(fd: c_int, messages: *mut libc::mmsghdr, count: c_uint, flags: c_int) -> c_int {
    if !messages.is_null() {
        for index in 0..count as usize {
            // A header begins with the message itself.
            // SAFETY: the caller gives so many.
            let message = unsafe { messages.add(index) }.cast();
            // SAFETY: as above.
            unsafe { send_along(message) };
        }
    }
    // SAFETY: the caller's promise to libc: the arguments are passed on unchanged.
    unsafe { real::sendmmsg()(fd, messages, count, flags) }
}

/// Whether a system call may bring a descriptor out of sight, or wait for one.
fn is_about_descriptors(number: c_long) -> bool {
    matches!(
        number,
        libc::SYS_epoll_ctl
            | libc::SYS_poll
            | libc::SYS_ppoll
            | libc::SYS_select
            | libc::SYS_pselect6
            | libc::SYS_dup
            | libc::SYS_dup2
            | libc::SYS_dup3
            | libc::SYS_fcntl
            | libc::SYS_sendmsg
            | libc::SYS_sendmmsg
            | libc::SYS_pidfd_getfd
            | libc::SYS_io_uring_setup
    )
}

/// `syscall`. Rust's own library uses it too, and so it calls Linux itself: nothing here may depend on a lookup.
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
unsafe extern "C" fn syscall(
    number: c_long,
    first: usize,
    second: usize,
    third: usize,
    fourth: usize,
    fifth: usize,
    sixth: usize,
) -> c_long {
    if is_about_descriptors(number) && !process::is_orphan() {
        table::make_eager();
    }
    let result: c_long;
    // SAFETY: Linux's convention; what the call does is the caller's matter.
    unsafe {
        std::arch::asm!(
            "syscall",
            inlateout("rax") number => result,
            in("rdi") first,
            in("rsi") second,
            in("rdx") third,
            in("r10") fourth,
            in("r8") fifth,
            in("r9") sixth,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    if number == libc::SYS_epoll_ctl && result == 0 {
        // SAFETY: the caller's promise to Linux.
        unsafe { note_interest(first as c_int, second as c_int, third as c_int, fourth as *const _) };
    }
    if (-4095..0).contains(&result) {
        errno::set(-result as c_int);
        return -1;
    }
    result
}
