//! What must hold when a hook returns to the kernel.

mod common;

use common::panics;
use common::toy;
use core::ffi::c_void;
use haiku_kernel::{Exports, Kernel, syscalls};
use haiku_sys::*;

/// Opens the toy, with a control hook of the test's own.
fn open_with(control: unsafe extern "C" fn(*mut c_void, u32, *mut c_void, usize) -> status_t) -> (Kernel, i32) {
    static CONTROL: std::sync::Mutex<usize> = std::sync::Mutex::new(0);
    unsafe extern "C" fn find(_: *const core::ffi::c_char) -> *mut device_hooks {
        // SAFETY: it was such a function.
        let control = unsafe {
            core::mem::transmute::<usize, unsafe extern "C" fn(*mut c_void, u32, *mut c_void, usize) -> status_t>(
                *CONTROL.lock().unwrap(),
            )
        };
        Box::leak(Box::new(device_hooks { control: Some(control), ..toy::HOOKS }))
    }
    *CONTROL.lock().unwrap() = control as usize;
    let kernel = common::boot();
    kernel.install("toy", Exports { find_device: Some(find), ..toy::exports(&["toy"]) }).unwrap();
    let fd = syscalls::open("/dev/toy", O_RDWR).unwrap();
    (kernel, fd)
}

#[test]
fn returning_with_interrupts_disabled_stops_the_kernel() {
    unsafe extern "C" fn control(_: *mut c_void, _: u32, _: *mut c_void, _: usize) -> status_t {
        // SAFETY: a call of the kernel.
        unsafe { disable_interrupts() };
        B_OK
    }
    panics(
        "returning_with_interrupts_disabled_stops_the_kernel",
        "the hook control returned with interrupts disabled",
        || {
            let (_kernel, fd) = open_with(control);
            let _ = syscalls::ioctl(fd, 1, 0, 0);
        },
    );
}

#[test]
fn returning_with_a_lock_held_stops_the_kernel() {
    unsafe extern "C" fn control(_: *mut c_void, _: u32, _: *mut c_void, _: usize) -> status_t {
        let block = Box::leak(Box::new(recursive_lock::uninitialised()));
        // SAFETY: a block to initialise.
        unsafe { recursive_lock_init(block, c"forgotten".as_ptr()) };
        // SAFETY: initialised above.
        unsafe { recursive_lock_lock(block) }
    }
    panics(
        "returning_with_a_lock_held_stops_the_kernel",
        "the hook control was called with 0 lock(s) held and returned with 1",
        || {
            let (_kernel, fd) = open_with(control);
            let _ = syscalls::ioctl(fd, 1, 0, 0);
        },
    );
}
