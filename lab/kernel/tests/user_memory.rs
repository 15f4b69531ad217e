//! User memory: what `user_memcpy` copies, and where it stops.

mod common;

use common::boot;
use haiku_kernel::{Fault, FaultPlan, fault, user};
use haiku_sys::{B_BAD_ADDRESS, B_OK, USER_BASE, USER_TOP, is_user_address_range, status_t};

const PAGE: usize = 4096;

/// Three pages: one to read and write, one to read, and nothing.
struct Pages(*mut u8);

impl Pages {
    fn new() -> Self {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: a fresh mapping wherever Linux wants it.
        let pages = unsafe { libc::mmap(core::ptr::null_mut(), 3 * PAGE, protection, flags, -1, 0) };
        assert_ne!(pages, libc::MAP_FAILED);
        let pages: *mut u8 = pages.cast();
        // SAFETY: pages of the fresh mapping.
        unsafe { libc::mprotect(pages.wrapping_add(PAGE).cast(), PAGE, libc::PROT_READ) };
        // SAFETY: as above.
        unsafe { libc::munmap(pages.wrapping_add(2 * PAGE).cast(), PAGE) };
        Self(pages)
    }

    /// The user address `offset` bytes into the pages.
    fn user(&self, offset: usize) -> usize {
        user::to_user(self.0 as usize + offset)
    }

    fn write(&self, offset: usize, bytes: &[u8]) {
        // SAFETY: tests write to the first page.
        unsafe { self.0.wrapping_add(offset).copy_from(bytes.as_ptr(), bytes.len()) };
    }

    fn read(&self, offset: usize, length: usize) -> &[u8] {
        // SAFETY: tests read the first two pages.
        unsafe { core::slice::from_raw_parts(self.0.wrapping_add(offset), length) }
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: the rest of the mapping.
        unsafe { libc::munmap(self.0.cast(), 2 * PAGE) };
    }
}

fn copy(to: usize, from: usize, size: usize) -> status_t {
    // SAFETY: every address here belongs to the test, or must not be copied.
    unsafe { haiku_sys::user_memcpy(to as *mut _, from as *const _, size) }
}

fn address<T: ?Sized>(value: &T) -> usize {
    core::ptr::from_ref(value).cast::<u8>() as usize
}

#[test]
fn either_side_may_be_the_programs() {
    let kernel = boot();
    let pages = Pages::new();
    let here = [0_u8; 5];
    pages.write(0, b"hello");
    assert_eq!(copy(address(&here), pages.user(0), 5), B_OK);
    assert_eq!(std::hint::black_box(&here), b"hello");
    assert_eq!(copy(pages.user(100), address(b"world"), 5), B_OK);
    assert_eq!(copy(pages.user(200), pages.user(100), 5), B_OK);
    assert_eq!(pages.read(200, 5), b"world");
    assert!(kernel.shutdown().is_zero());
}

#[test]
fn unmapped_memory_is_a_bad_address() {
    let kernel = boot();
    let pages = Pages::new();
    let here = [0_u8; 8];
    for wrong in [0, 1, USER_BASE, pages.user(2 * PAGE), USER_TOP - 7, 0x8000_0000_0000, 0xffff_8000_0000_0000] {
        assert_eq!(copy(address(&here), wrong, 8), B_BAD_ADDRESS, "from {wrong:#x}");
        assert_eq!(copy(wrong, address(&here), 8), B_BAD_ADDRESS, "to {wrong:#x}");
    }
    assert_eq!(here, [0; 8]);
    assert!(kernel.shutdown().is_zero());
}

#[test]
fn a_copy_stops_where_the_mapping_stops() {
    let kernel = boot();
    let pages = Pages::new();
    let source = [0x5a_u8; 64];
    assert_eq!(copy(pages.user(PAGE - 10), address(&source), 64), B_BAD_ADDRESS);
    assert_eq!(pages.read(PAGE - 11, 12), [0, 90, 90, 90, 90, 90, 90, 90, 90, 90, 90, 0]);
    let mut target = [1_u8; 64];
    assert_eq!(copy(target.as_mut_ptr() as usize, pages.user(2 * PAGE - 3), 64), B_BAD_ADDRESS);
    assert_eq!(target[..4], [0, 0, 0, 1]);
    assert!(kernel.shutdown().is_zero());
}

#[test]
fn read_only_memory_can_be_read_and_not_written() {
    let kernel = boot();
    let pages = Pages::new();
    let here = [7_u8; 4];
    assert_eq!(copy(pages.user(PAGE), address(&here), 4), B_BAD_ADDRESS);
    assert_eq!(copy(address(&here), pages.user(PAGE), 4), B_OK);
    assert_eq!(std::hint::black_box(here), [0; 4]);
    assert!(kernel.shutdown().is_zero());
}

#[test]
fn ranges_may_not_wrap_nor_cross_into_the_kernel() {
    let kernel = boot();
    let here = [0_u8; 8];
    assert_eq!(copy(address(&here), usize::MAX - 3, 8), B_BAD_ADDRESS);
    assert_eq!(copy(address(&here), (1 << 46) - 4, 8), B_BAD_ADDRESS);
    // Nothing is copied, and yet the byte before the first user address is not a program's.
    assert_eq!(copy(address(&here), USER_BASE, 0), B_BAD_ADDRESS);
    assert_eq!(copy(address(&here), 0, 0), B_OK);
    assert!(kernel.shutdown().is_zero());
}

#[test]
fn a_kernel_address_is_copied_as_the_driver_asked() {
    let kernel = boot();
    let (from, to) = ([3_u8; 3], [0_u8; 3]);
    assert_eq!(copy(address(&to), address(&from), 3), B_OK);
    assert_eq!(std::hint::black_box(to), [3; 3]);
    assert!(kernel.shutdown().is_zero());
}

#[test]
fn user_addresses_pass_the_drivers_own_check_and_real_ones_are_not_a_programs() {
    let value = 5_u8;
    let flipped = user::to_user(address(&value));
    assert!(is_user_address_range(flipped, 1) && user::is_user_range(flipped, 1));
    assert!(!user::is_user_address(address(&value)) && user::is_kernel_address(address(&value)));
    assert_eq!(user::to_user(flipped), address(&value));
}

#[test]
fn the_nth_copy_fails_without_copying() {
    let kernel = boot();
    let (from, to) = ([3_u8; 3], [0_u8; 3]);
    fault::arm(FaultPlan::Nth(Fault::UserMemcpy, 1));
    assert_eq!(copy(address(&to), address(&from), 3), B_BAD_ADDRESS);
    assert_eq!(std::hint::black_box(to), [0; 3]);
    assert_eq!(copy(address(&to), address(&from), 3), B_OK);
    assert!(kernel.shutdown().is_zero());
}

#[test]
fn a_driver_that_touches_a_user_pointer_crashes() {
    const MARK: &str = "HAIKU_KERNEL_TEST_CRASH";
    if std::env::var_os(MARK).is_some() {
        let value = 5_u8;
        copy(address(&value), address(&value), 1);
        // SAFETY: none; this is the crash.
        unsafe { core::ptr::read_volatile(user::to_user(address(&value)) as *const u8) };
        return;
    }
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["a_driver_that_touches_a_user_pointer_crashes", "--exact", "--nocapture", "--test-threads=1"])
        .env(MARK, "1")
        .env("RUST_BACKTRACE", "0")
        .output()
        .unwrap();
    // A sanitizer reports the fault and exits; otherwise the signal ends the process.
    let signal = std::os::unix::process::ExitStatusExt::signal(&output.status);
    assert!(signal == Some(libc::SIGSEGV) || String::from_utf8_lossy(&output.stderr).contains("SEGV"));
}

#[test]
fn copying_with_interrupts_disabled_stops_the_kernel() {
    common::panics(
        "copying_with_interrupts_disabled_stops_the_kernel",
        "page fault in user_memcpy(): called with interrupts disabled",
        || {
            // SAFETY: a call of the kernel.
            unsafe { haiku_sys::disable_interrupts() };
            copy(0, 0, 0);
        },
    );
}
