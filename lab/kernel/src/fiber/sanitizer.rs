//! The thread sanitizer follows each stack by itself, and has to be told when another one goes on.
//!
//! Its functions are there only in what was compiled for it; everywhere else nothing here does anything.

use core::ffi::{c_uint, c_void};
use core::ptr::null_mut;

/// The sanitizer's functions (`tsan_interface.h`), if it is there. The third is called by the switch itself.
#[repr(C)]
struct Functions {
    create: Option<unsafe extern "C" fn(flags: c_uint) -> *mut c_void>,
    current: Option<unsafe extern "C" fn() -> *mut c_void>,
    _switch: Option<unsafe extern "C" fn(to: *mut c_void, flags: c_uint)>,
}

// Weak: without the sanitizer they are null. Rust has no stable word for that.
core::arch::global_asm!(
    ".weak __tsan_create_fiber",
    ".weak __tsan_get_current_fiber",
    ".weak __tsan_switch_to_fiber",
    ".pushsection .data.rel.ro.haiku_sanitizer, \"aw\"",
    ".balign 8",
    ".globl haiku_sanitizer",
    ".hidden haiku_sanitizer",
    "haiku_sanitizer:",
    ".quad __tsan_create_fiber",
    ".quad __tsan_get_current_fiber",
    ".quad __tsan_switch_to_fiber",
    ".popsection",
);

unsafe extern "C" {
    static haiku_sanitizer: Functions;
}

/// What the sanitizer knows a stack by.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(super) struct Track(*mut c_void);

impl Track {
    /// That of no stack.
    pub(super) const NONE: Self = Self(null_mut());

    /// That of a new stack.
    pub(super) fn new() -> Self {
        // SAFETY: the table is constant.
        match unsafe { haiku_sanitizer.create } {
            // SAFETY: a plain call.
            Some(create) => Self(unsafe { create(0) }),
            None => Self::NONE,
        }
    }

    /// That of the stack that this runs on.
    pub(super) fn current() -> Self {
        // SAFETY: the table is constant.
        match unsafe { haiku_sanitizer.current } {
            // SAFETY: a plain call.
            Some(current) => Self(unsafe { current() }),
            None => Self::NONE,
        }
    }
}
