//! An add-on with one way to panic, on line 24, for the audit to find. Compiled by a test, not by Cargo.
#![no_std]

use core::ffi::c_void;
use core::ptr;

#[panic_handler]
fn handler(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {
        // Never reached.
        core::hint::spin_loop();
    }
}

#[unsafe(no_mangle)]
pub static api_version: i32 = 2;
#[unsafe(no_mangle)]
pub static modules: usize = 0;
#[unsafe(no_mangle)]
pub static module_dependencies: usize = 0;

#[inline(never)]
fn pick(table: &[usize], index: usize) -> usize {
    table[index]
}

#[unsafe(no_mangle)]
pub extern "C" fn find_device(index: usize) -> *const c_void {
    // SAFETY: never run.
    let table = unsafe { core::slice::from_raw_parts(ptr::dangling(), index / 2) };
    ptr::without_provenance(pick(table, index))
}

#[unsafe(no_mangle)]
pub extern "C" fn init_hardware() {}
#[unsafe(no_mangle)]
pub extern "C" fn init_driver() {}
#[unsafe(no_mangle)]
pub extern "C" fn uninit_driver() {}
#[unsafe(no_mangle)]
pub extern "C" fn publish_devices() {}
