//! The system calls of the one emulated team, as its programs make them.
//!
//! Slices are handed to the kernel as user pointers: the driver sees addresses that fault when it touches them.
//! The `_raw` calls take user addresses as they are (see [`crate::user::to_user`]) and may be given bad ones.

use core::sync::atomic::Ordering;

use haiku_sys::{
    B_BAD_ADDRESS, B_BAD_VALUE, B_BUFFER_OVERFLOW, B_DEV_INVALID_IOCTL, B_ENTRY_NOT_FOUND, B_FILE_ERROR,
    B_GET_PATH_FOR_DEVICE, B_NAME_TOO_LONG, B_OK, B_PATH_NAME_LENGTH, B_SET_BLOCKING_IO, B_SET_NONBLOCKING_IO,
    B_UNSUPPORTED, ENODEV, ENOTTY, ERANGE, FIONBIO, O_NONBLOCK, O_RDONLY, O_RWMASK, O_WRONLY, bigtime_t, status_t,
};

use crate::fd::{self, Descriptor, Held};
use crate::panic::kpanic;
use crate::{devfs, held, hooks, interrupts, ledger, poll as waiting, priority, schedule, thread, user};

pub use crate::fd::Fd;
pub use crate::poll::{FdSet, POLLERR, POLLHUP, POLLIN, POLLNVAL, POLLOUT, POLLPRI, PollFd};

/// `F_GETFL`: the open mode.
pub const F_GETFL: u32 = 8;
/// `F_SETFL`: `O_NONBLOCK` and `O_APPEND`.
pub const F_SETFL: u32 = 0x10;
/// `F_DUPFD`: a duplicate at or above the argument.
pub const F_DUPFD: u32 = 1;
/// `O_APPEND`.
pub const O_APPEND: u32 = 0x800;
/// `B_GET_DRIVER_FOR_DEVICE`: the path of the driver's file.
pub const B_GET_DRIVER_FOR_DEVICE: u32 = 8;
/// `IOV_MAX`: the most vectors of one call.
pub const IOV_MAX: usize = 1024;

/// A call from a program into the kernel. As it returns, signals are handled, and nothing may be left behind.
struct Call(&'static str);

impl Drop for Call {
    fn drop(&mut self) {
        schedule::point(self.0);
        if !interrupts::are_enabled() {
            kpanic!("{} returns to the program with interrupts disabled", self.0);
        }
        held::check_none_held(self.0);
        priority::check_own(self.0);
        thread::clear_signals();
    }
}

/// `open`: `path` begins with `/dev/`.
pub fn open(path: &str, flags: u32) -> Result<Fd, status_t> {
    let _call = Call("open");
    if path.len() >= B_PATH_NAME_LENGTH as usize {
        return Err(B_NAME_TOO_LONG);
    }
    let below = path.strip_prefix("/dev/").ok_or(B_ENTRY_NOT_FOUND)?;
    let vnode = devfs::lookup(below)?;
    let device = &vnode.device;
    device.init()?;
    let mut cookie = core::ptr::null_mut();
    // Haiku builds the name on its stack: it is gone when the hook has returned.
    let name = device.path().to_owned();
    let Some(hook) = device.hooks().open else { kpanic!("a device has no open hook") };
    // SAFETY: the driver's hook, with a name and a place for the cookie that live across the call.
    let status = hooks::call("open", || unsafe { hook(name.as_ptr(), flags, &mut cookie) });
    if status != B_OK {
        device.uninit();
        return Err(status);
    }
    device.count_open(1);
    ledger::COOKIES.add(1);
    let descriptor = Descriptor::new(vnode, flags, cookie);
    fd::insert(&descriptor, 0).inspect_err(|_| {
        descriptor.call_close();
        descriptor.call_free();
    })
}

/// `close`.
pub fn close(fd: Fd) -> Result<(), status_t> {
    let _call = Call("close");
    fd::close(fd)
}

/// `dup`.
pub fn dup(fd: Fd) -> Result<Fd, status_t> {
    let _call = Call("dup");
    fd::duplicate(fd, 0)
}

/// `dup2`: closes `to` if it is open.
pub fn dup2(fd: Fd, to: Fd) -> Result<Fd, status_t> {
    let _call = Call("dup2");
    fd::duplicate_to(fd, to)
}

/// Lets the team have more descriptors than 256.
pub fn set_descriptor_limit(limit: usize) {
    fd::grow(limit);
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    Read,
    Write,
}

/// The descriptor, if it was opened for that direction.
fn descriptor(fd: Fd, direction: Direction) -> Result<Held, status_t> {
    let held = fd::get(fd)?;
    let wrong = match direction {
        Direction::Read => O_WRONLY,
        Direction::Write => O_RDONLY,
    };
    if held.mode.load(Ordering::Relaxed) & O_RWMASK == wrong { Err(B_FILE_ERROR) } else { Ok(held) }
}

/// One call of the device's read or write hook. The driver's length is believed, whatever it is; so is a positive
/// status, which is then the result.
fn transfer(
    held: &Held,
    direction: Direction,
    position: i64,
    address: usize,
    length: usize,
) -> Result<(status_t, usize), status_t> {
    if length == 0 {
        return Ok((B_OK, 0));
    }
    let table = held.vnode.device.hooks();
    let mut moved = length;
    let status = match direction {
        Direction::Read => {
            let hook = table.read.ok_or(B_UNSUPPORTED)?;
            // SAFETY: the cookie is alive while the descriptor is held; the buffer is the program's to judge.
            hooks::call("read", || unsafe { hook(held.cookie, position, address as *mut _, &mut moved) })
        }
        Direction::Write => {
            let hook = table.write.ok_or(B_UNSUPPORTED)?;
            // SAFETY: as above.
            hooks::call("write", || unsafe { hook(held.cookie, position, address as *const _, &mut moved) })
        }
    };
    if status < B_OK {
        return Err(status);
    }
    Ok((status, moved))
}

/// `common_user_io`: at the descriptor's position, which then moves, or at one that the program gives.
fn io(fd: Fd, direction: Direction, position: Option<i64>, address: usize, length: usize) -> Result<usize, status_t> {
    if position.is_some_and(i64::is_negative) {
        return Err(B_BAD_VALUE);
    }
    let held = descriptor(fd, direction)?;
    if length == 0 {
        return Ok(0);
    }
    if !user::is_user_range(address, length) {
        return Err(B_BAD_ADDRESS);
    }
    let at = position.unwrap_or_else(|| held.position.load(Ordering::Relaxed));
    match transfer(&held, direction, at, address, length)? {
        (B_OK, moved) => {
            if position.is_none() {
                held.position.fetch_add(moved as i64, Ordering::Relaxed);
            }
            Ok(moved)
        }
        (status, _) => Ok(status as usize),
    }
}

fn vector_io(fd: Fd, direction: Direction, vectors: &[(usize, usize)]) -> Result<usize, status_t> {
    if vectors.is_empty() || vectors.len() > IOV_MAX {
        return Err(B_BAD_VALUE);
    }
    let mut total = 0_usize;
    for &(address, length) in vectors {
        // A null pointer is accepted here, and skipped below.
        if address != 0 {
            if !user::is_user_range(address, length) {
                return Err(B_BAD_ADDRESS);
            }
            total = total.checked_add(length).filter(|&total| total <= isize::MAX as usize).ok_or(B_BAD_VALUE)?;
        }
    }
    let held = descriptor(fd, direction)?;
    let mut done = 0;
    for &(address, length) in vectors.iter().filter(|(address, _)| *address != 0) {
        match transfer(&held, direction, held.position.load(Ordering::Relaxed), address, length) {
            Ok((B_OK, moved)) => {
                done += moved;
                held.position.fetch_add(moved as i64, Ordering::Relaxed);
                if moved < length {
                    break;
                }
            }
            Ok((status, _)) if done == 0 => return Ok(status as usize),
            Err(error) if done == 0 => return Err(error),
            _ => break,
        }
    }
    Ok(done)
}

/// `read`.
pub fn read(fd: Fd, buffer: &mut [u8]) -> Result<usize, status_t> {
    read_raw(fd, user::to_user(buffer.as_mut_ptr() as usize), buffer.len())
}

/// `write`.
pub fn write(fd: Fd, buffer: &[u8]) -> Result<usize, status_t> {
    write_raw(fd, user::to_user(buffer.as_ptr() as usize), buffer.len())
}

/// `read` into any user address.
pub fn read_raw(fd: Fd, address: usize, length: usize) -> Result<usize, status_t> {
    let _call = Call("read");
    io(fd, Direction::Read, None, address, length)
}

/// `write` from any user address.
pub fn write_raw(fd: Fd, address: usize, length: usize) -> Result<usize, status_t> {
    let _call = Call("write");
    io(fd, Direction::Write, None, address, length)
}

/// `pread` into any user address.
pub fn pread_raw(fd: Fd, address: usize, length: usize, position: i64) -> Result<usize, status_t> {
    let _call = Call("pread");
    io(fd, Direction::Read, Some(position), address, length)
}

/// `pwrite` from any user address.
pub fn pwrite_raw(fd: Fd, address: usize, length: usize, position: i64) -> Result<usize, status_t> {
    let _call = Call("pwrite");
    io(fd, Direction::Write, Some(position), address, length)
}

/// From where `lseek` counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whence {
    /// `SEEK_SET`: position 0.
    Start,
    /// `SEEK_CUR`: the descriptor's position.
    Current,
    /// `SEEK_END`: 0 again, because a device without `B_GET_GEOMETRY` has no length.
    End,
}

/// `lseek`: sets the descriptor's position, also a device's, and returns it.
pub fn lseek(fd: Fd, offset: i64, whence: Whence) -> Result<i64, status_t> {
    let _call = Call("lseek");
    let held = fd::get(fd)?;
    let from = if whence == Whence::Current { held.position.load(Ordering::Relaxed) } else { 0 };
    let position = from.checked_add(offset).ok_or(B_BUFFER_OVERFLOW)?;
    if position < 0 {
        return Err(B_BAD_VALUE);
    }
    held.position.store(position, Ordering::Relaxed);
    Ok(position)
}

/// A slice as a program has it in a vector. Rust's empty slices point nowhere; a program's point somewhere.
fn vector(pointer: *const u8, length: usize) -> (usize, usize) {
    static SOMEWHERE: [u8; 2] = [0; 2];
    let pointer = if length == 0 { &raw const SOMEWHERE[1] } else { pointer };
    (user::to_user(pointer as usize), length)
}

/// `readv`: one call of the device for each buffer, until one comes back short.
pub fn readv(fd: Fd, buffers: &mut [&mut [u8]]) -> Result<usize, status_t> {
    let vectors: Vec<_> = buffers.iter_mut().map(|buffer| vector(buffer.as_mut_ptr(), buffer.len())).collect();
    readv_raw(fd, &vectors)
}

/// `writev`: one call of the device for each buffer, until one comes back short.
pub fn writev(fd: Fd, buffers: &[&[u8]]) -> Result<usize, status_t> {
    let vectors: Vec<_> = buffers.iter().map(|buffer| vector(buffer.as_ptr(), buffer.len())).collect();
    writev_raw(fd, &vectors)
}

/// `readv` with any user addresses and lengths.
pub fn readv_raw(fd: Fd, vectors: &[(usize, usize)]) -> Result<usize, status_t> {
    let _call = Call("readv");
    vector_io(fd, Direction::Read, vectors)
}

/// `writev` with any user addresses and lengths.
pub fn writev_raw(fd: Fd, vectors: &[(usize, usize)]) -> Result<usize, status_t> {
    let _call = Call("writev");
    vector_io(fd, Direction::Write, vectors)
}

/// `ioctl` with a user address or a number; `length` is 0 from C unless a fourth argument is given.
pub fn ioctl(fd: Fd, op: u32, argument: usize, length: usize) -> Result<status_t, status_t> {
    let _call = Call("ioctl");
    if user::is_kernel_address(argument) {
        return Err(B_BAD_ADDRESS);
    }
    let held = fd::get(fd)?;
    if op == FIONBIO {
        return set_nonblocking(&held, argument);
    }
    match device_control(&held, op, argument, length) {
        B_DEV_INVALID_IOCTL => Err(ENOTTY),
        error if error < B_OK => Err(error),
        status => Ok(status),
    }
}

/// `ioctl(fd, op, &value)`, as from C: length 0.
pub fn ioctl_ref<T>(fd: Fd, op: u32, value: &mut T) -> Result<status_t, status_t> {
    ioctl(fd, op, user::to_user(core::ptr::from_mut(value) as usize), 0)
}

/// `FIONBIO`: the file system turns it into `fcntl`.
fn set_nonblocking(held: &Held, argument: usize) -> Result<status_t, status_t> {
    if argument == 0 {
        return Err(B_BAD_VALUE);
    }
    let mut value = 0_i32;
    let place = core::ptr::from_mut(&mut value) as usize;
    // SAFETY: the destination is a live local.
    if !user::is_user_address(argument) || unsafe { user::user_memcpy(place, argument, 4) } != B_OK {
        return Err(B_BAD_ADDRESS);
    }
    let mode = held.mode.load(Ordering::Relaxed) & !O_NONBLOCK;
    set_flags(held, if value != 0 { mode | O_NONBLOCK } else { mode })
}

fn set_flags(held: &Held, flags: u32) -> Result<status_t, status_t> {
    let modifiable = O_APPEND | O_NONBLOCK;
    let flags = flags & modifiable;
    let op = if flags & O_NONBLOCK != 0 { B_SET_NONBLOCKING_IO } else { B_SET_BLOCKING_IO };
    match control(held, op, 0, 0) {
        B_OK => {
            let mode = held.mode.load(Ordering::Relaxed) & !modifiable;
            held.mode.store(mode | flags, Ordering::Relaxed);
            Ok(B_OK)
        }
        status if status > B_OK => Ok(status),
        error => Err(error),
    }
}

/// The driver's control hook.
fn control(held: &Held, op: u32, argument: usize, length: usize) -> status_t {
    match held.vnode.device.hooks().control {
        // SAFETY: the cookie is alive while the descriptor is held; the argument is the program's to judge.
        Some(hook) => hooks::call("control", || unsafe { hook(held.cookie, op, argument as *mut _, length) }),
        None => B_UNSUPPORTED,
    }
}

/// What devfs answers itself, and the driver's control hook for the rest.
fn device_control(held: &Held, op: u32, argument: usize, length: usize) -> status_t {
    let device = &held.vnode.device;
    match op {
        B_GET_PATH_FOR_DEVICE => {
            let path = format!("/dev/{}", device.path().to_string_lossy());
            if length != 0 && length <= path.len() { ERANGE } else { copy_string(argument, &path, 256) }
        }
        B_GET_DRIVER_FOR_DEVICE => match device.driver_path() {
            None => ENODEV,
            Some(path) if length != 0 && length <= path.len() => ERANGE,
            Some(path) => copy_string(argument, &path, length),
        },
        _ => control(held, op, argument, length),
    }
}

/// `user_strlcpy`: the length of the string, or an error.
fn copy_string(to: usize, text: &str, size: usize) -> status_t {
    if to == 0 && size != 0 {
        return B_BAD_VALUE;
    }
    let mut bytes = text.as_bytes()[..text.len().min(size.saturating_sub(1))].to_vec();
    bytes.push(0);
    let size = bytes.len().min(size);
    // SAFETY: the source is a live vector; the destination is the program's to judge.
    match unsafe { user::user_memcpy(to, bytes.as_ptr() as usize, size) } {
        B_OK => text.len() as status_t,
        error => error,
    }
}

/// `fcntl`.
pub fn fcntl(fd: Fd, op: u32, argument: usize) -> Result<i32, status_t> {
    let _call = Call("fcntl");
    let held = fd::get(fd)?;
    match op {
        F_SETFL => set_flags(&held, argument as u32),
        F_GETFL => Ok(held.mode.load(Ordering::Relaxed).cast_signed()),
        F_DUPFD => fd::duplicate(fd, Fd::try_from(argument).map_err(|_| B_BAD_VALUE)?),
        _ => Err(B_BAD_VALUE),
    }
}

/// `poll`: how many descriptors have events; a negative timeout (in microseconds) waits for ever.
pub fn poll(fds: &mut [PollFd], timeout: bigtime_t) -> Result<usize, status_t> {
    let _call = Call("poll");
    waiting::poll(fds, timeout)
}

/// `select`: how many events there are in all; a negative timeout (in microseconds) waits for ever.
pub fn select(
    count: Fd,
    read: Option<&mut FdSet>,
    write: Option<&mut FdSet>,
    error: Option<&mut FdSet>,
    timeout: bigtime_t,
) -> Result<usize, status_t> {
    let _call = Call("select");
    waiting::select(count, waiting::Sets { read, write, error }, timeout)
}

pub(crate) fn reset() {
    fd::reset();
}

pub(crate) fn close_all() {
    fd::close_all();
}
