//! Linux's system calls, each with its result turned into an error's name.

use std::io;
use std::sync::{Once, OnceLock};

use super::names::errno;
use crate::suite::{Access, Blocking, Errno, Events, Fd, Patience};

/// A descriptor that is closed when it goes.
#[derive(Debug)]
pub(super) struct Owned(pub(super) Fd);

impl Drop for Owned {
    fn drop(&mut self) {
        // Nothing can be done about an error here.
        let _ = close(self.0);
    }
}

impl Owned {
    /// Takes the error off a socket that it would report at the next call.
    pub(super) fn forget_error(&self) {
        let mut error = 0;
        let mut length = size_of::<i32>() as libc::socklen_t;
        // SAFETY: both pointers are to live variables, of the length that is given.
        let status =
            unsafe { libc::getsockopt(self.0, libc::SOL_SOCKET, libc::SO_ERROR, (&raw mut error).cast(), &mut length) };
        checked(status as i64).expect("a socket");
    }
}

/// What a call returned, or its error.
pub(super) fn checked(result: i64) -> Result<usize, Errno> {
    usize::try_from(result).map_err(|_| errno(io::Error::last_os_error().raw_os_error().unwrap_or(0)))
}

/// Moves the thread into a network namespace of its own.
pub(super) fn own_network() -> Result<(), Errno> {
    // SAFETY: a plain call; it concerns this thread and those it starts.
    checked(unsafe { libc::unshare(libc::CLONE_NEWNET) }.into()).map(drop)
}

/// Gives the thread, and those it starts, a table of descriptors of its own.
pub(super) fn own_descriptors() -> Result<(), Errno> {
    // SAFETY: a plain call; the table is a copy, so that every descriptor stays what it was.
    checked(unsafe { libc::unshare(libc::CLONE_FILES) }.into()).map(drop)
}

pub(super) fn open(access: Access, flags: i32) -> Result<Fd, Errno> {
    let access = match access {
        Access::Read => libc::O_RDONLY,
        Access::Write => libc::O_WRONLY,
        Access::ReadWrite => libc::O_RDWR,
    };
    // SAFETY: a C string.
    let fd = unsafe { libc::open(c"/dev/net/tun".as_ptr(), access | flags | libc::O_CLOEXEC) };
    checked(fd.into()).map(|_| fd)
}

pub(super) fn close(fd: Fd) -> Result<(), Errno> {
    // SAFETY: a plain call. The descriptor is the caller's, or is not open.
    checked(unsafe { libc::close(fd) }.into()).map(drop)
}

pub(super) fn dup(fd: Fd) -> Result<Fd, Errno> {
    // SAFETY: a plain call.
    let new = unsafe { libc::dup(fd) };
    checked(new.into()).map(|_| new)
}

pub(super) fn set_blocking(fd: Fd, blocking: Blocking) -> Result<(), Errno> {
    let flags = if blocking == Blocking::DontWait { libc::O_NONBLOCK } else { 0 };
    // SAFETY: a plain call.
    checked(unsafe { libc::fcntl(fd, libc::F_SETFL, flags) }.into()).map(drop)
}

pub(super) fn blocking(fd: Fd) -> Result<Blocking, Errno> {
    // SAFETY: a plain call.
    let flags = unsafe { libc::fcntl(fd, libc::F_GETFL) };
    checked(flags.into())?;
    Ok(if flags & libc::O_NONBLOCK == 0 { Blocking::Wait } else { Blocking::DontWait })
}

/// `read`; the buffer may be anywhere.
pub(super) fn read(fd: Fd, buffer: *mut u8, length: usize) -> Result<usize, Errno> {
    // SAFETY: callers pass a buffer of theirs, or memory that the kernel will refuse to write to.
    checked(unsafe { libc::read(fd, buffer.cast(), length) } as i64)
}

/// `write`; the packet may be anywhere.
pub(super) fn write(fd: Fd, packet: *const u8, length: usize) -> Result<usize, Errno> {
    // SAFETY: as above.
    checked(unsafe { libc::write(fd, packet.cast(), length) } as i64)
}

pub(super) fn readv(fd: Fd, buffers: &mut [&mut [u8]]) -> Result<usize, Errno> {
    let vectors: Vec<_> = buffers
        .iter_mut()
        .map(|buffer| libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() })
        .collect();
    // SAFETY: the vectors describe live buffers.
    checked(unsafe { libc::readv(fd, vectors.as_ptr(), vectors.len() as i32) } as i64)
}

pub(super) fn writev(fd: Fd, buffers: &[&[u8]]) -> Result<usize, Errno> {
    let vectors: Vec<_> = buffers
        .iter()
        .map(|buffer| libc::iovec { iov_base: buffer.as_ptr().cast_mut().cast(), iov_len: buffer.len() })
        .collect();
    // SAFETY: the vectors describe live buffers, which are only read.
    checked(unsafe { libc::writev(fd, vectors.as_ptr(), vectors.len() as i32) } as i64)
}

/// `ioctl` with a number or the address of memory that is large enough, or that the kernel will refuse.
pub(super) fn ioctl(fd: Fd, request: u32, argument: usize) -> Result<(), Errno> {
    // SAFETY: the caller's promise.
    checked(unsafe { libc::ioctl(fd, libc::Ioctl::from(request), argument) }.into()).map(drop)
}

const POLL_BITS: [(i16, Events); 5] = [
    (libc::POLLIN, Events::IN),
    (libc::POLLOUT, Events::OUT),
    (libc::POLLERR, Events::ERR),
    (libc::POLLHUP, Events::HUP),
    (libc::POLLNVAL, Events::NVAL),
];

pub(super) fn poll(fd: Fd, wanted: Events, patience: Patience) -> Result<Events, Errno> {
    let bits = POLL_BITS.into_iter().filter(|&(_, event)| wanted.contains(event)).fold(0, |bits, (bit, _)| bits | bit);
    let mut entry = libc::pollfd { fd, events: bits, revents: 0 };
    let timeout = if patience == Patience::None { 0 } else { -1 };
    // SAFETY: one live entry.
    checked(unsafe { libc::poll(&mut entry, 1, timeout) }.into())?;
    let happened = POLL_BITS.into_iter().filter(|&(bit, _)| entry.revents & bit != 0);
    Ok(happened.map(|(_, event)| event).collect())
}

pub(super) fn select(fd: Fd, event: Events, patience: Patience) -> Result<bool, Errno> {
    // SAFETY: all zeros is an empty set.
    let mut set: libc::fd_set = unsafe { std::mem::zeroed() };
    // SAFETY: the descriptor is one of the few that a test has, far below the size of a set.
    unsafe { libc::FD_SET(fd, &mut set) };
    let (mut read, mut write) = (std::ptr::null_mut(), std::ptr::null_mut());
    *if event == Events::IN { &mut read } else { &mut write } = &raw mut set;
    let mut now = libc::timeval { tv_sec: 0, tv_usec: 0 };
    let timeout = if patience == Patience::None { &raw mut now } else { std::ptr::null_mut() };
    // SAFETY: each set and the timeout are null or live.
    checked(unsafe { libc::select(fd + 1, read, write, std::ptr::null_mut(), timeout) }.into()).map(|count| count > 0)
}

/// An address where nothing is, nor ever will be.
pub(super) fn nowhere() -> *mut u8 {
    static PAGE: OnceLock<usize> = OnceLock::new();
    let page = PAGE.get_or_init(|| {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: a new mapping wherever there is room.
        let page = unsafe { libc::mmap(std::ptr::null_mut(), 1 << 20, libc::PROT_NONE, flags, -1, 0) };
        assert_ne!(page, libc::MAP_FAILED, "a page");
        page as usize
    });
    *page as *mut u8
}

/// Runs something with another, unprivileged effective user.
pub(super) fn as_user<R>(user: u32, run: impl FnOnce() -> R) -> R {
    /// The call itself: that of the C library would change all threads.
    fn set(user: u32) {
        let unchanged = u32::MAX;
        // SAFETY: a plain call.
        let status = unsafe { libc::syscall(libc::SYS_setresuid, unchanged, user, unchanged) };
        checked(status).expect("root may become any user, and root again");
    }
    set(user);
    let result = run();
    set(0);
    result
}

pub(super) fn this_thread() -> i32 {
    // SAFETY: a plain call.
    unsafe { libc::gettid() }
}

/// Lets the signal of [`signal`] interrupt calls, and do nothing else.
pub(super) fn catch_signals() {
    extern "C" fn nothing(_: i32) {}
    static CAUGHT: Once = Once::new();
    CAUGHT.call_once(|| {
        // SAFETY: all zeros is a valid action.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        action.sa_sigaction = nothing as *const () as usize;
        // SAFETY: the handler takes the one argument that it gets without SA_SIGINFO, and does nothing.
        let status = unsafe { libc::sigaction(libc::SIGUSR1, &action, std::ptr::null_mut()) };
        checked(status.into()).expect("a handler");
    });
}

pub(super) fn signal(thread: i32) -> i64 {
    let process = i64::from(std::process::id());
    // SAFETY: a plain call; the signal is handled.
    unsafe { libc::syscall(libc::SYS_tgkill, process, i64::from(thread), i64::from(libc::SIGUSR1)) }
}
