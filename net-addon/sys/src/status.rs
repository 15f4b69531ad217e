//! `status_t` and its values: `headers/os/support/Errors.h` and `headers/posix/errno.h`.
//!
//! Haiku's errors are negative, and its `errno` values are the same numbers.

/// What nearly every call returns: [`B_OK`] or one of the negative errors below.
pub type status_t = i32;

macro_rules! errors {
    ($($(#[$meta:meta])* $name:ident = $value:expr;)*) => {
        $($(#[$meta])* #[doc = concat!("`", stringify!($name), "`.")] pub const $name: status_t = $value;)*
        /// Every error of this list with its name, for messages and for the check against the headers.
        pub const ERRORS: &[(&str, status_t)] = &[$((stringify!($name), $name),)*];
    };
}

/// Success.
pub const B_OK: status_t = 0;

errors! {
    B_ERROR = -1;
    B_NO_MEMORY = i32::MIN;
    B_IO_ERROR = i32::MIN + 1;
    B_PERMISSION_DENIED = i32::MIN + 2;
    B_BAD_INDEX = i32::MIN + 3;
    B_BAD_TYPE = i32::MIN + 4;
    B_BAD_VALUE = i32::MIN + 5;
    B_MISMATCHED_VALUES = i32::MIN + 6;
    B_NAME_NOT_FOUND = i32::MIN + 7;
    B_NAME_IN_USE = i32::MIN + 8;
    B_TIMED_OUT = i32::MIN + 9;
    B_INTERRUPTED = i32::MIN + 10;
    B_WOULD_BLOCK = i32::MIN + 11;
    B_CANCELED = i32::MIN + 12;
    B_NO_INIT = i32::MIN + 13;
    B_NOT_INITIALIZED = i32::MIN + 13;
    B_BUSY = i32::MIN + 14;
    B_NOT_ALLOWED = i32::MIN + 15;
    B_BAD_DATA = i32::MIN + 16;
    B_BAD_SEM_ID = i32::MIN + 0x1000;
    B_NO_MORE_SEMS = i32::MIN + 0x1001;
    B_BAD_TEAM_ID = i32::MIN + 0x1103;
    B_BAD_ADDRESS = i32::MIN + 0x1301;
    B_FILE_ERROR = i32::MIN + 0x6000;
    B_FILE_EXISTS = i32::MIN + 0x6002;
    B_ENTRY_NOT_FOUND = i32::MIN + 0x6003;
    B_NAME_TOO_LONG = i32::MIN + 0x6004;
    B_DEVICE_FULL = i32::MIN + 0x6007;
    B_READ_ONLY_DEVICE = i32::MIN + 0x6008;
    B_NO_MORE_FDS = i32::MIN + 0x600a;
    B_UNSUPPORTED = i32::MIN + 0x600e;
    B_BUFFER_NOT_AVAILABLE = i32::MIN + 0x4006;
    B_DEVICE_NOT_FOUND = i32::MIN + 0x7007;
    B_BUFFER_OVERFLOW = i32::MIN + 0x7029;
    B_NOT_SUPPORTED = i32::MIN + 0x702b;
    B_DEV_INVALID_IOCTL = i32::MIN + 0xa000;
    B_DEV_INVALID_PIPE = i32::MIN + 0xa013;
    B_DEV_NOT_READY = i32::MIN + 0xa00c;
    EPERM = i32::MIN + 15;
    ENOENT = i32::MIN + 0x6003;
    EINTR = i32::MIN + 10;
    EIO = i32::MIN + 1;
    ENXIO = i32::MIN + 0x700b;
    EBADF = i32::MIN + 0x6000;
    EAGAIN = i32::MIN + 11;
    EWOULDBLOCK = i32::MIN + 11;
    ENOMEM = i32::MIN;
    EACCES = i32::MIN + 2;
    EFAULT = i32::MIN + 0x1301;
    EBUSY = i32::MIN + 14;
    EEXIST = i32::MIN + 0x6002;
    ENODEV = i32::MIN + 0x7007;
    EINVAL = i32::MIN + 5;
    ENFILE = i32::MIN + 0x7006;
    EMFILE = i32::MIN + 0x600a;
    ENOTTY = i32::MIN + 0x700a;
    ENOSPC = i32::MIN + 0x6007;
    EPIPE = i32::MIN + 0x600d;
    ENOSYS = i32::MIN + 0x7009;
    ERANGE = i32::MIN + 0x7011;
    EPROTONOSUPPORT = i32::MIN + 0x7013;
    EAFNOSUPPORT = i32::MIN + 0x7015;
    EADDRINUSE = i32::MIN + 0x7016;
    EADDRNOTAVAIL = i32::MIN + 0x7017;
    ENETDOWN = i32::MIN + 0x7018;
    ENETUNREACH = i32::MIN + 0x7019;
    ENOTCONN = i32::MIN + 0x701e;
    EHOSTUNREACH = i32::MIN + 0x7021;
    ENOBUFS = i32::MIN + 0x7023;
    EOVERFLOW = i32::MIN + 0x7029;
    EMSGSIZE = i32::MIN + 0x702a;
    EOPNOTSUPP = i32::MIN + 0x702b;
    EHOSTDOWN = i32::MIN + 0x702d;
    ECANCELED = i32::MIN + 0x702f;
    ETIMEDOUT = i32::MIN + 9;
    ENAMETOOLONG = i32::MIN + 0x6004;
}
