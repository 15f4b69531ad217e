//! libc's own functions, which the hooks stand in front of.

use std::ffi::{CStr, c_char, c_int, c_uint, c_ulong, c_void};
use std::sync::atomic::{AtomicPtr, Ordering};

/// A function of libc's, looked up at its first use.
pub(crate) struct Real {
    name: &'static CStr,
    address: AtomicPtr<c_void>,
}

impl Real {
    const fn new(name: &'static CStr) -> Self {
        Self { name, address: AtomicPtr::new(std::ptr::null_mut()) }
    }

    /// The function's address behind this library.
    pub(crate) fn address(&self) -> *mut c_void {
        let known = self.address.load(Ordering::Relaxed);
        if !known.is_null() {
            return known;
        }
        // SAFETY: a C string; the search begins behind this library.
        let found = unsafe { libc::dlsym(libc::RTLD_NEXT, self.name.as_ptr()) };
        if found.is_null() {
            // A program cannot call a hook whose function libc does not have.
            std::process::abort();
        }
        self.address.store(found, Ordering::Relaxed);
        found
    }
}

macro_rules! reals {
    ($($name:ident: $type:ty;)*) => {
        $(
            /// libc's own.
            pub(crate) fn $name() -> $type {
                static REAL: Real = match CStr::from_bytes_with_nul(concat!(stringify!($name), "\0").as_bytes()) {
                    Ok(name) => Real::new(name),
                    Err(_) => unreachable!(),
                };
                // SAFETY: the type is that of libc's function of this name.
                unsafe { std::mem::transmute::<*mut c_void, $type>(REAL.address()) }
            }
        )*
    };
}

reals! {
    open: unsafe extern "C" fn(*const c_char, c_int, ...) -> c_int;
    openat: unsafe extern "C" fn(c_int, *const c_char, c_int, ...) -> c_int;
    close: unsafe extern "C" fn(c_int) -> c_int;
    close_range: unsafe extern "C" fn(c_uint, c_uint, c_int) -> c_int;
    read: unsafe extern "C" fn(c_int, *mut c_void, usize) -> isize;
    write: unsafe extern "C" fn(c_int, *const c_void, usize) -> isize;
    pread: unsafe extern "C" fn(c_int, *mut c_void, usize, i64) -> isize;
    pwrite: unsafe extern "C" fn(c_int, *const c_void, usize, i64) -> isize;
    lseek: unsafe extern "C" fn(c_int, i64, c_int) -> i64;
    readv: unsafe extern "C" fn(c_int, *const libc::iovec, c_int) -> isize;
    writev: unsafe extern "C" fn(c_int, *const libc::iovec, c_int) -> isize;
    ioctl: unsafe extern "C" fn(c_int, c_ulong, ...) -> c_int;
    fcntl: unsafe extern "C" fn(c_int, c_int, ...) -> c_int;
    dup: unsafe extern "C" fn(c_int) -> c_int;
    dup2: unsafe extern "C" fn(c_int, c_int) -> c_int;
    dup3: unsafe extern "C" fn(c_int, c_int, c_int) -> c_int;
    poll: unsafe extern "C" fn(*mut libc::pollfd, libc::nfds_t, c_int) -> c_int;
    ppoll: unsafe extern "C" fn(*mut libc::pollfd, libc::nfds_t, *const libc::timespec, *const libc::sigset_t) -> c_int;
    select: unsafe extern "C" fn(
        c_int,
        *mut libc::fd_set,
        *mut libc::fd_set,
        *mut libc::fd_set,
        *mut libc::timeval,
    ) -> c_int;
    pselect: unsafe extern "C" fn(
        c_int,
        *mut libc::fd_set,
        *mut libc::fd_set,
        *mut libc::fd_set,
        *const libc::timespec,
        *const libc::sigset_t,
    ) -> c_int;
    epoll_ctl: unsafe extern "C" fn(c_int, c_int, c_int, *mut libc::epoll_event) -> c_int;
    system: unsafe extern "C" fn(*const c_char) -> c_int;
}
