//! A driver's hooks: `headers/os/drivers/Drivers.h` and `Select.h`.

use core::ffi::{c_char, c_void};

use crate::{iovec, off_t, status_t};

/// The type of `readv` and `writev`.
type vector_hook =
    unsafe extern "C" fn(cookie: *mut c_void, pos: off_t, vec: *const iovec, count: usize, len: *mut usize) -> status_t;

/// One `select` or `poll` in progress; opaque.
#[repr(C)]
pub struct selectsync {
    _opaque: [u8; 0],
}

/// The selects that wait on one device; opaque, allocated and freed by the kernel.
#[repr(C)]
pub struct select_sync_pool {
    _opaque: [u8; 0],
}

/// `struct device_hooks`: a driver's functions, called by devfs.
///
/// `close` may run while other threads are inside `read`; `free` runs after the last call has returned.
#[repr(C)]
pub struct device_hooks {
    /// Opens the node `name` (its path below /dev) and makes a cookie.
    pub open: Option<unsafe extern "C" fn(name: *const c_char, flags: u32, cookie: *mut *mut c_void) -> status_t>,
    /// The descriptor was closed: wakes every waiter.
    pub close: Option<unsafe extern "C" fn(cookie: *mut c_void) -> status_t>,
    /// The last call has returned: releases the cookie.
    pub free: Option<unsafe extern "C" fn(cookie: *mut c_void) -> status_t>,
    /// ioctl; `len` is 0 for a plain `ioctl(fd, op, arg)`.
    pub control: Option<unsafe extern "C" fn(cookie: *mut c_void, op: u32, data: *mut c_void, len: usize) -> status_t>,
    /// Reads into a user buffer; `len` is in and out.
    pub read:
        Option<unsafe extern "C" fn(cookie: *mut c_void, pos: off_t, data: *mut c_void, len: *mut usize) -> status_t>,
    /// Writes from a user buffer; `len` is in and out.
    pub write:
        Option<unsafe extern "C" fn(cookie: *mut c_void, pos: off_t, data: *const c_void, len: *mut usize) -> status_t>,
    /// A `select` begins to wait for `event`.
    pub select:
        Option<unsafe extern "C" fn(cookie: *mut c_void, event: u8, reference: u32, sync: *mut selectsync) -> status_t>,
    /// A `select` ends waiting for `event`.
    pub deselect: Option<unsafe extern "C" fn(cookie: *mut c_void, event: u8, sync: *mut selectsync) -> status_t>,
    /// Unused: the kernel calls `read` once per vector.
    pub readv: Option<vector_hook>,
    /// Unused: the kernel calls `write` once per vector.
    pub writev: Option<vector_hook>,
}
