//! `read`, `write` and their vectors: one call of the device for each vector, as on Haiku.

use std::ffi::{c_int, c_void};

use haiku_kernel::{syscalls, user};

use crate::errno::fail;
use crate::{process, real, table};

/// Addresses without it are not Haiku's idea of a program's: those of programs that are linked at a fixed address.
const HIGH: usize = 1 << 46;

fn finish(result: Result<usize, c_int>) -> isize {
    match result {
        Ok(length) => length as isize,
        Err(errno) => fail(errno),
    }
}

/// `read`.
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
unsafe extern "C" fn read(fd: c_int, buffer: *mut c_void, length: usize) -> isize {
    let Some(open) = table::find(fd) else {
        // SAFETY: passed on as it came.
        return unsafe { real::read()(fd, buffer, length) };
    };
    if process::is_orphan() {
        return fail(libc::EBADFD);
    }
    let address = buffer as usize;
    if address & HIGH != 0 || buffer.is_null() {
        return finish(open.read(|device| syscalls::read_raw(device, user::to_user(address), length)));
    }
    let mut copy = vec![0_u8; length];
    let start = user::to_user(copy.as_mut_ptr() as usize);
    let result = open.read(|device| syscalls::read_raw(device, start, length));
    if let Ok(length) = result {
        // SAFETY: the caller's buffer has room for so much, and the copy holds at least as much.
        unsafe { std::ptr::copy_nonoverlapping(copy.as_ptr(), buffer.cast(), length.min(copy.len())) };
    }
    finish(result)
}

/// `write`.
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
unsafe extern "C" fn write(fd: c_int, buffer: *const c_void, length: usize) -> isize {
    let Some(open) = table::find(fd) else {
        // SAFETY: passed on as it came.
        return unsafe { real::write()(fd, buffer, length) };
    };
    if process::is_orphan() {
        return fail(libc::EBADFD);
    }
    let address = buffer as usize;
    if address & HIGH != 0 || buffer.is_null() {
        return finish(open.write(length, |device| syscalls::write_raw(device, user::to_user(address), length)));
    }
    // SAFETY: the caller's buffer is so long.
    let copy = unsafe { std::slice::from_raw_parts(buffer.cast::<u8>(), length) }.to_vec();
    finish(open.write(length, |device| syscalls::write(device, &copy)))
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
        // SAFETY: passed on as it came.
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
        // SAFETY: passed on as it came.
        return unsafe { real::writev()(fd, list, count) };
    };
    if process::is_orphan() {
        return fail(libc::EBADFD);
    }
    // SAFETY: the caller's promise to libc.
    match unsafe { vectors(list, count) } {
        Ok(list) => {
            let length = list.iter().map(|(_, length)| length).sum();
            finish(open.write(length, |device| syscalls::writev_raw(device, &list)))
        }
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
    // SAFETY: passed on as it came.
    unsafe { read(fd, buffer, length) }
}
