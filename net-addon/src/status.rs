//! The C edge: converts results of the core into Haiku's `status_t`.

use haiku_sys::{
    B_BAD_ADDRESS, B_FILE_ERROR, B_INTERRUPTED, B_NO_MEMORY, B_OK, B_WOULD_BLOCK, EBUSY, EINVAL, EMSGSIZE, ENETDOWN,
    ENXIO, status_t,
};
use tuntap_driver::Error;

/// What a control returns: nothing, or one of Haiku's errors.
pub(crate) type Controlled = Result<(), status_t>;

/// Returns Haiku's error for an error of the core.
pub(crate) const fn to_status(error: Error) -> status_t {
    match error {
        Error::WouldBlock => B_WOULD_BLOCK,
        Error::Interrupted => B_INTERRUPTED,
        Error::Closed => B_FILE_ERROR,
        Error::Gone => ENXIO,
        Error::NetworkDown => ENETDOWN,
        Error::Busy => EBUSY,
        Error::Invalid => EINVAL,
        Error::TooLong => EMSGSIZE,
        Error::NoMemory => B_NO_MEMORY,
        Error::BadAddress => B_BAD_ADDRESS,
    }
}

/// Returns Haiku's status for a result.
pub(crate) fn status(result: Controlled) -> status_t {
    match result {
        Ok(()) => B_OK,
        Err(status) => status,
    }
}

/// Runs a transfer, and stores the number of bytes moved: 0 if it failed.
pub(crate) fn transferred(length: &mut usize, transfer: impl FnOnce(usize) -> Result<usize, Error>) -> status_t {
    match transfer(*length) {
        Ok(moved) => {
            *length = moved;
            B_OK
        }
        Err(error) => {
            *length = 0;
            to_status(error)
        }
    }
}
