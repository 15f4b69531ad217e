//! Haiku's errors by name.

use haiku_sys::{ERRORS, status_t};

use crate::suite::Errno;

/// POSIX's name of an error, or else Haiku's.
#[must_use]
pub fn errno(status: status_t) -> Errno {
    let mut names = ERRORS.iter().filter(|&&(_, value)| value == status).map(|&(name, _)| name);
    let first = names.clone().next().unwrap_or("an unknown error");
    Errno(names.find(|name| name.starts_with('E')).unwrap_or(first))
}

#[cfg(test)]
mod tests {
    use haiku_sys as sys;

    use super::*;

    #[test]
    fn errors_have_the_names_that_a_program_knows() {
        let names =
            [sys::B_WOULD_BLOCK, sys::B_FILE_ERROR, sys::B_BAD_ADDRESS, sys::B_INTERRUPTED, sys::B_NO_MORE_SEMS];
        assert_eq!(names.map(|status| errno(status).0), ["EAGAIN", "EBADF", "EFAULT", "EINTR", "B_NO_MORE_SEMS"]);
    }
}
