//! `read`, `write`, their relatives with positions, and their vectors: one call of the device for each vector, as on
//! Haiku.

use std::ffi::{c_int, c_void};

use haiku_kernel::syscalls::{self, Whence};
use haiku_kernel::user;

use crate::errno::{fail, from_status};
use crate::open::Open;
use crate::{process, real, table};

/// Addresses without it are not Haiku's idea of a program's: those of programs that are linked at a fixed address.
const HIGH: usize = 1 << 46;

fn finish(result: Result<usize, c_int>) -> isize {
    match result {
        Ok(length) => length as isize,
        Err(errno) => fail(errno),
    }
}

/// Reads the next packet from a device into the program's buffer. The position is ignored.
///
/// # Safety
/// `buffer` has room for `length` bytes, or faults.
unsafe fn read_device(open: &Open, buffer: *mut c_void, length: usize, position: Option<i64>) -> isize {
    if process::is_orphan() {
        return fail(libc::EBADFD);
    }
    let read = |address| {
        open.read(|device| match position {
            None => syscalls::read_raw(device, address, length),
            Some(position) => syscalls::pread_raw(device, address, length, position),
        })
    };
    let address = buffer as usize;
    if address & HIGH != 0 || buffer.is_null() {
        return finish(read(user::to_user(address)));
    }
    let mut copy = vec![0_u8; length];
    let result = read(user::to_user(copy.as_mut_ptr() as usize));
    if let Ok(length) = result {
        // SAFETY: the caller's buffer has room for so much, and the copy holds at least as much.
        unsafe { std::ptr::copy_nonoverlapping(copy.as_ptr(), buffer.cast(), length.min(copy.len())) };
    }
    finish(result)
}

/// Writes a packet from the program's buffer to a device. The position is ignored.
///
/// # Safety
/// `buffer` holds `length` bytes, or faults.
unsafe fn write_device(open: &Open, buffer: *const c_void, length: usize, position: Option<i64>) -> isize {
    if process::is_orphan() {
        return fail(libc::EBADFD);
    }
    let write = |address| {
        finish(open.write(|device| match position {
            None => syscalls::write_raw(device, address, length),
            Some(position) => syscalls::pwrite_raw(device, address, length, position),
        }))
    };
    let address = buffer as usize;
    if address & HIGH != 0 || buffer.is_null() {
        return write(user::to_user(address));
    }
    // SAFETY: the caller's buffer is so long.
    let copy = unsafe { std::slice::from_raw_parts(buffer.cast::<u8>(), length) }.to_vec();
    write(user::to_user(copy.as_ptr() as usize))
}

/// `read`.
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
unsafe extern "C" fn read(fd: c_int, buffer: *mut c_void, length: usize) -> isize {
    match table::find(fd) {
        // SAFETY: the caller's promise to libc.
        Some(open) => unsafe { read_device(&open, buffer, length, None) },
        // SAFETY: the caller's promise to libc: the arguments are passed on unchanged.
        None => unsafe { real::read()(fd, buffer, length) },
    }
}

/// `write`.
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
unsafe extern "C" fn write(fd: c_int, buffer: *const c_void, length: usize) -> isize {
    match table::find(fd) {
        // SAFETY: the caller's promise to libc.
        Some(open) => unsafe { write_device(&open, buffer, length, None) },
        // SAFETY: the caller's promise to libc: the arguments are passed on unchanged.
        None => unsafe { real::write()(fd, buffer, length) },
    }
}

macro_rules! position_hooks {
    ($($pread:ident $pwrite:ident $lseek:ident)*) => {
        $(
            /// `pread`.
            ///
            /// # Safety
            /// As libc's.
            #[unsafe(no_mangle)]
            unsafe extern "C" fn $pread(fd: c_int, buffer: *mut c_void, length: usize, position: i64) -> isize {
                match table::find(fd) {
                    // SAFETY: the caller's promise to libc.
                    Some(open) => unsafe { read_device(&open, buffer, length, Some(position)) },
                    // SAFETY: the caller's promise to libc: the arguments are passed on unchanged.
                    None => unsafe { real::pread()(fd, buffer, length, position) },
                }
            }

            /// `pwrite`.
            ///
            /// # Safety
            /// As libc's.
            #[unsafe(no_mangle)]
            unsafe extern "C" fn $pwrite(fd: c_int, buffer: *const c_void, length: usize, position: i64) -> isize {
                match table::find(fd) {
                    // SAFETY: the caller's promise to libc.
                    Some(open) => unsafe { write_device(&open, buffer, length, Some(position)) },
                    // SAFETY: the caller's promise to libc: the arguments are passed on unchanged.
                    None => unsafe { real::pwrite()(fd, buffer, length, position) },
                }
            }

            /// `lseek`: a device of Haiku's has a position, which moves and means nothing.
            ///
            /// # Safety
            /// As libc's.
            #[unsafe(no_mangle)]
            unsafe extern "C" fn $lseek(fd: c_int, offset: i64, whence: c_int) -> i64 {
                match table::find(fd) {
                    Some(_) if process::is_orphan() => fail(libc::EBADFD) as i64,
                    Some(open) => seek(&open, offset, whence).unwrap_or_else(|errno| fail(errno) as i64),
                    // SAFETY: the caller's promise to libc: the arguments are passed on unchanged.
                    None => unsafe { real::lseek()(fd, offset, whence) },
                }
            }
        )*
    };
}

// On this platform both sizes of offset are one.
position_hooks! { pread pwrite lseek  pread64 pwrite64 lseek64 }

fn seek(open: &Open, offset: i64, whence: c_int) -> Result<i64, c_int> {
    let whence = match whence {
        libc::SEEK_SET => Whence::Start,
        libc::SEEK_CUR => Whence::Current,
        libc::SEEK_END => Whence::End,
        _ => return Err(libc::EINVAL),
    };
    syscalls::lseek(open.fd()?, offset, whence).map_err(from_status)
}

/// The program's vectors as addresses of Haiku's.
///
/// # Safety
/// `vectors` points to `count` of them.
unsafe fn vectors(vectors: *const libc::iovec, count: c_int) -> Result<Vec<(usize, usize)>, c_int> {
    let count = usize::try_from(count).map_err(|_| libc::EINVAL)?;
    if vectors.is_null() || count > syscalls::IOV_MAX {
        return Err(libc::EINVAL);
    }
    // SAFETY: the caller's promise.
    let list = unsafe { std::slice::from_raw_parts(vectors, count) };
    let user = |address: usize| if address == 0 { 0 } else { user::to_user(address) };
    Ok(list.iter().map(|vector| (user(vector.iov_base as usize), vector.iov_len)).collect())
}

/// `readv`.
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
unsafe extern "C" fn readv(fd: c_int, list: *const libc::iovec, count: c_int) -> isize {
    let Some(open) = table::find(fd) else {
        // SAFETY: the caller's promise to libc: the arguments are passed on unchanged.
        return unsafe { real::readv()(fd, list, count) };
    };
    if process::is_orphan() {
        return fail(libc::EBADFD);
    }
    // SAFETY: the caller's promise to libc.
    match unsafe { vectors(list, count) } {
        Ok(list) => finish(open.read(|device| syscalls::readv_raw(device, &list))),
        Err(errno) => fail(errno),
    }
}

/// `writev`.
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
unsafe extern "C" fn writev(fd: c_int, list: *const libc::iovec, count: c_int) -> isize {
    let Some(open) = table::find(fd) else {
        // SAFETY: the caller's promise to libc: the arguments are passed on unchanged.
        return unsafe { real::writev()(fd, list, count) };
    };
    if process::is_orphan() {
        return fail(libc::EBADFD);
    }
    // SAFETY: the caller's promise to libc.
    match unsafe { vectors(list, count) } {
        Ok(list) => finish(open.write(|device| syscalls::writev_raw(device, &list))),
        Err(errno) => fail(errno),
    }
}

/// `read`, as fortified programs call it.
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
unsafe extern "C" fn __read_chk(fd: c_int, buffer: *mut c_void, length: usize, room: usize) -> isize {
    if length > room {
        // What libc does with a buffer that would overflow.
        std::process::abort();
    }
    // SAFETY: the caller's promise to libc: the arguments are passed on unchanged.
    unsafe { read(fd, buffer, length) }
}
