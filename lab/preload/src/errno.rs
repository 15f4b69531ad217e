//! Haiku's status codes as Linux's `errno`.

use haiku_sys::{self as sys, status_t};

/// What a call with this status leaves in `errno`.
pub(crate) fn from_status(status: status_t) -> i32 {
    match status {
        sys::B_NO_MEMORY => libc::ENOMEM,
        sys::B_IO_ERROR => libc::EIO,
        sys::B_PERMISSION_DENIED => libc::EACCES,
        sys::B_BAD_VALUE => libc::EINVAL,
        sys::B_TIMED_OUT => libc::ETIMEDOUT,
        sys::B_INTERRUPTED => libc::EINTR,
        sys::B_WOULD_BLOCK => libc::EAGAIN,
        sys::B_CANCELED => libc::ECANCELED,
        sys::B_BUSY => libc::EBUSY,
        sys::B_NOT_ALLOWED => libc::EPERM,
        sys::B_BAD_ADDRESS => libc::EFAULT,
        sys::B_FILE_ERROR => libc::EBADF,
        sys::B_FILE_EXISTS => libc::EEXIST,
        sys::B_ENTRY_NOT_FOUND => libc::ENOENT,
        sys::B_NAME_TOO_LONG => libc::ENAMETOOLONG,
        sys::B_DEVICE_FULL => libc::ENOSPC,
        sys::B_NO_MORE_FDS => libc::EMFILE,
        sys::B_DEVICE_NOT_FOUND => libc::ENODEV,
        sys::B_BUFFER_OVERFLOW => libc::EOVERFLOW,
        sys::B_UNSUPPORTED | sys::B_NOT_SUPPORTED => libc::EOPNOTSUPP,
        sys::B_DEV_INVALID_IOCTL | sys::ENOTTY => libc::ENOTTY,
        sys::ENXIO => libc::ENXIO,
        sys::ENFILE => libc::ENFILE,
        sys::EPIPE => libc::EPIPE,
        sys::ENOSYS => libc::ENOSYS,
        sys::ERANGE => libc::ERANGE,
        sys::EPROTONOSUPPORT => libc::EPROTONOSUPPORT,
        sys::EAFNOSUPPORT => libc::EAFNOSUPPORT,
        sys::EADDRINUSE => libc::EADDRINUSE,
        sys::EADDRNOTAVAIL => libc::EADDRNOTAVAIL,
        sys::ENETDOWN => libc::ENETDOWN,
        sys::ENETUNREACH => libc::ENETUNREACH,
        sys::ENOTCONN => libc::ENOTCONN,
        sys::EHOSTUNREACH => libc::EHOSTUNREACH,
        sys::EHOSTDOWN => libc::EHOSTDOWN,
        sys::ENOBUFS => libc::ENOBUFS,
        sys::EMSGSIZE => libc::EMSGSIZE,
        _ => libc::EIO,
    }
}

/// Sets `errno`.
pub(crate) fn set(errno: i32) {
    // SAFETY: a call without arguments.
    let place = unsafe { libc::__errno_location() };
    // SAFETY: libc gives each thread a place for it.
    unsafe { *place = errno };
}

/// What libc's calls return when they fail: -1, with the reason in `errno`.
pub(crate) fn fail(errno: i32) -> isize {
    set(errno);
    -1
}

/// The value of `errno`.
pub(crate) fn get() -> i32 {
    // SAFETY: a call without arguments.
    let place = unsafe { libc::__errno_location() };
    // SAFETY: libc gives each thread a place for it.
    unsafe { *place }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_of_haikus_has_a_counterpart() {
        for (name, status) in sys::ERRORS {
            assert!(from_status(*status) > 0, "{name}");
        }
        assert_eq!(from_status(sys::EAGAIN), libc::EAGAIN);
        assert_eq!(from_status(-77), libc::EIO);
    }
}
