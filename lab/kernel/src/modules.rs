//! Modules: built in or from add-ons, with references.

use core::ffi::CStr;

use haiku_sys::{module_info, status_t};

/// Registers a module that is part of the kernel.
///
/// # Safety
/// The table and what it points to must stay valid until the kernel has shut down.
pub unsafe fn register_builtin(info: *mut module_info) {
    let _ = info;
}

/// The names of all modules below `prefix`: built-in ones first, then by directory and file as Haiku finds them.
#[must_use]
pub fn list(prefix: &str) -> Vec<String> {
    let _ = prefix;
    Vec::new()
}

/// `get_module`: loads a module and takes a reference to it.
pub fn get(name: &CStr) -> Result<*mut module_info, status_t> {
    let _ = name;
    todo!("get")
}

/// `put_module`: gives a reference back.
pub fn put(name: &CStr) -> Result<(), status_t> {
    let _ = name;
    todo!("put")
}
