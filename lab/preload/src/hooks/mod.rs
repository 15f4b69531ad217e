//! libc's calls, as the program makes them. Each asks whether it is about a device, and passes on to libc if not.

mod descriptors;
mod io;
mod ioctl;
mod paths;
mod wait;

use std::ffi::{CStr, c_char, c_int};

/// `system`: an `ifconfig` for an interface of ours is Haiku's.
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
unsafe extern "C" fn system(command: *const c_char) -> c_int {
    if !command.is_null() && !crate::process::is_orphan() {
        // SAFETY: the caller gives a C string.
        let text = unsafe { CStr::from_ptr(command) };
        if let Some(done) = text.to_str().ok().and_then(crate::interface::shell) {
            // The status of a process that ended with 0 or 1.
            return if done { 0 } else { 1 << 8 };
        }
    }
    // SAFETY: the caller's promise to libc: the arguments are passed on unchanged.
    unsafe { crate::real::system()(command) }
}
