//! What can go wrong in the lab, in one type, and Haiku's own words for its status codes.

use haiku_sys::{self as sys, status_t};

/// The lab's errors. `Display` says what happened, to what, and what to do where that is known.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A call of the emulated Haiku returned an error.
    #[error("{what}: {}", strerror(*status))]
    Status {
        /// What was being done, and to what.
        what: String,
        /// What Haiku answered.
        status: status_t,
    },
    /// A command that Haiku's own tool would not understand either.
    #[error("{0}")]
    Usage(String),
    /// Something on Linux's side failed.
    #[error("{what}: {source}")]
    Io {
        /// What was being done, and to what.
        what: String,
        /// What Linux answered.
        source: std::io::Error,
    },
    /// The run went wrong in a way that is its own explanation.
    #[error("{0}")]
    Failed(String),
}

impl Error {
    /// An error that the emulated Haiku returned while doing `what`.
    pub fn status(what: impl Into<String>, status: status_t) -> Self {
        Self::Status { what: what.into(), status }
    }

    /// An error of Linux's while doing `what`.
    pub fn io(what: impl Into<String>, source: std::io::Error) -> Self {
        Self::Io { what: what.into(), source }
    }

    /// The status code, where there is one.
    #[must_use]
    pub fn code(&self) -> Option<status_t> {
        match self {
            Self::Status { status, .. } => Some(*status),
            _ => None,
        }
    }
}

/// What Haiku's `strerror` says of `status`, or its name, or its number.
#[must_use]
pub fn strerror(status: status_t) -> String {
    let text = match status {
        sys::B_OK => "No Error",
        sys::B_ERROR => "General system error",
        sys::B_NO_MEMORY => "Out of memory",
        sys::B_IO_ERROR => "I/O error",
        sys::B_PERMISSION_DENIED => "Permission denied",
        sys::B_BAD_VALUE => "Invalid Argument",
        sys::B_MISMATCHED_VALUES => "Mismatched values passed to function",
        sys::B_NAME_NOT_FOUND => "Name not found",
        sys::B_NAME_IN_USE => "Name in use",
        sys::B_TIMED_OUT => "Operation timed out",
        sys::B_INTERRUPTED => "Interrupted system call",
        sys::B_WOULD_BLOCK => "Operation would block",
        sys::B_CANCELED => "Operation canceled",
        sys::B_NO_INIT => "Initialization failed",
        sys::B_BUSY => "Device/File/Resource busy",
        sys::B_NOT_ALLOWED => "Operation not allowed",
        sys::B_BAD_DATA => "Bad data",
        sys::B_BAD_SEM_ID => "Bad semaphore ID",
        sys::B_BAD_ADDRESS => "Bad address",
        sys::B_FILE_ERROR => "File error",
        sys::B_FILE_EXISTS => "File or Directory already exists",
        sys::B_ENTRY_NOT_FOUND => "No such file or directory",
        sys::B_NAME_TOO_LONG => "File name too long",
        sys::B_DEVICE_FULL => "No space left on device",
        sys::B_NO_MORE_FDS => "Too many open files",
        sys::B_BUFFER_OVERFLOW => "Value too large for defined type",
        sys::B_NOT_SUPPORTED => "Operation not supported",
        sys::B_DEVICE_NOT_FOUND => "No such device",
        sys::B_DEV_INVALID_IOCTL => "Invalid device ioctl",
        sys::EAFNOSUPPORT => "Address family not supported by protocol family",
        sys::EADDRNOTAVAIL => "Can't assign requested address",
        sys::ENETDOWN => "Network is down",
        sys::ENETUNREACH => "Network is unreachable",
        sys::EHOSTUNREACH => "No route to host",
        sys::EHOSTDOWN => "Host is down",
        sys::ENOBUFS => "No buffer space available",
        sys::EMSGSIZE => "Message too long",
        sys::ENXIO => "Device not accessible",
        sys::ENOSYS => "Function not implemented",
        sys::EPIPE => "Broken pipe",
        _ => return unnamed(status),
    };
    text.to_owned()
}

/// A status without words: its name in the headers, or the bare number as Haiku prints it.
fn unnamed(status: status_t) -> String {
    match sys::ERRORS.iter().find(|(_, value)| *value == status) {
        Some((name, _)) => (*name).to_owned(),
        None => format!("Unknown error {status:#x}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_spelled_out_in_haikus_words() {
        let error = Error::status("route: Could not add route for tun/0", sys::B_FILE_EXISTS);
        assert_eq!(error.to_string(), "route: Could not add route for tun/0: File or Directory already exists");
        assert_eq!(error.code(), Some(sys::B_FILE_EXISTS));
    }

    #[test]
    fn a_status_without_words_has_its_name_or_its_number() {
        assert_eq!(strerror(sys::EADDRINUSE), "EADDRINUSE");
        assert_eq!(strerror(-77), "Unknown error 0xffffffb3");
    }
}
