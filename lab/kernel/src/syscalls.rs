//! The system calls of the one emulated team, as its programs make them.
//!
//! Slices are handed to the kernel as user pointers: the driver sees addresses that fault when it touches them.
//! The `_raw` calls take user addresses as they are (see [`crate::user::to_user`]) and may be given bad ones.

use haiku_sys::{bigtime_t, status_t};

/// A file descriptor of the team.
pub type Fd = i32;

/// `F_GETFL`: the open mode.
pub const F_GETFL: u32 = 8;
/// `F_SETFL`: `O_NONBLOCK` and `O_APPEND`.
pub const F_SETFL: u32 = 0x10;
/// `F_DUPFD`: a duplicate at or above the argument.
pub const F_DUPFD: u32 = 1;

/// One descriptor of a `poll`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PollFd {
    /// The descriptor, or negative to be ignored.
    pub fd: Fd,
    /// What is waited for.
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
    /// Adds a descriptor.
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

/// `open`: `path` begins with `/dev/`.
pub fn open(path: &str, flags: u32) -> Result<Fd, status_t> {
    let _ = (path, flags);
    todo!("open")
}

/// `close`.
pub fn close(fd: Fd) -> Result<(), status_t> {
    let _ = fd;
    todo!("close")
}

/// `dup`.
pub fn dup(fd: Fd) -> Result<Fd, status_t> {
    let _ = fd;
    todo!("dup")
}

/// `dup2`: closes `to` if it is open.
pub fn dup2(fd: Fd, to: Fd) -> Result<Fd, status_t> {
    let _ = (fd, to);
    todo!("dup2")
}

/// `read`.
pub fn read(fd: Fd, buffer: &mut [u8]) -> Result<usize, status_t> {
    let _ = (fd, buffer);
    todo!("read")
}

/// `write`.
pub fn write(fd: Fd, buffer: &[u8]) -> Result<usize, status_t> {
    let _ = (fd, buffer);
    todo!("write")
}

/// `read` into any user address.
pub fn read_raw(fd: Fd, address: usize, length: usize) -> Result<usize, status_t> {
    let _ = (fd, address, length);
    todo!("read_raw")
}

/// `write` from any user address.
pub fn write_raw(fd: Fd, address: usize, length: usize) -> Result<usize, status_t> {
    let _ = (fd, address, length);
    todo!("write_raw")
}

/// `readv`.
pub fn readv(fd: Fd, buffers: &mut [&mut [u8]]) -> Result<usize, status_t> {
    let _ = (fd, buffers);
    todo!("readv")
}

/// `writev`.
pub fn writev(fd: Fd, buffers: &[&[u8]]) -> Result<usize, status_t> {
    let _ = (fd, buffers);
    todo!("writev")
}

/// `ioctl` with a user address or a number; `length` is 0 from C unless a fourth argument is given.
pub fn ioctl(fd: Fd, op: u32, argument: usize, length: usize) -> Result<status_t, status_t> {
    let _ = (fd, op, argument, length);
    todo!("ioctl")
}

/// `ioctl(fd, op, &value)`, as from C: length 0.
pub fn ioctl_ref<T>(fd: Fd, op: u32, value: &mut T) -> Result<status_t, status_t> {
    ioctl(fd, op, crate::user::to_user(value as *mut T as usize), 0)
}

/// `fcntl`.
pub fn fcntl(fd: Fd, op: u32, argument: usize) -> Result<i32, status_t> {
    let _ = (fd, op, argument);
    todo!("fcntl")
}

/// `poll`: how many descriptors have events; a negative timeout (in microseconds) waits for ever.
pub fn poll(fds: &mut [PollFd], timeout: bigtime_t) -> Result<usize, status_t> {
    let _ = (fds, timeout);
    todo!("poll")
}

/// `select`: how many events there are in all; a negative timeout (in microseconds) waits for ever.
pub fn select(
    count: Fd,
    read: Option<&mut FdSet>,
    write: Option<&mut FdSet>,
    error: Option<&mut FdSet>,
    timeout: bigtime_t,
) -> Result<usize, status_t> {
    let _ = (count, read, write, error, timeout);
    todo!("select")
}
