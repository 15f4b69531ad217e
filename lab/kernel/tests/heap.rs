//! What the heap finds.

mod common;

use common::panics;
use core::ffi::c_void;
use haiku_sys::{disable_interrupts, free, malloc};

fn allocate(size: usize) -> *mut u8 {
    // SAFETY: a call of the kernel.
    unsafe { malloc(size) }.cast()
}

fn give_back(block: *mut u8) {
    // SAFETY: the test's own block, or the fault to be found.
    unsafe { free(block.cast::<c_void>()) };
}

#[test]
fn freeing_twice_stops_the_kernel() {
    panics("freeing_twice_stops_the_kernel", "was freed before", || {
        let block = allocate(10);
        give_back(block);
        give_back(block);
    });
}

#[test]
fn writing_after_the_end_is_found() {
    panics("writing_after_the_end_is_found", "something wrote behind the end of", || {
        let block = allocate(10);
        // SAFETY: the memory behind the block is the heap's; this is the fault to be found.
        unsafe { block.wrapping_add(10).write(1) };
        give_back(block);
    });
}

#[test]
fn writing_after_free_is_found() {
    panics("writing_after_free_is_found", "of 10 bytes was written at offset 3 after it was freed", || {
        let kernel = common::boot();
        let block = allocate(10);
        give_back(block);
        // SAFETY: the memory is kept; this is the fault to be found.
        unsafe { block.wrapping_add(3).write(1) };
        drop(kernel);
    });
}

#[test]
fn allocating_with_interrupts_disabled_stops_the_kernel() {
    panics("allocating_with_interrupts_disabled_stops_the_kernel", "malloc(): called with interrupts disabled", || {
        // SAFETY: a call of the kernel.
        unsafe { disable_interrupts() };
        allocate(1);
    });
}
