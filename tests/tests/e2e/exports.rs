//! The driver's file by itself: what it exports, called in the wrong order, with cookies and names that are none.

use std::ffi::{CString, c_void};
use std::ptr::null_mut;

use haiku_sys::{
    B_BAD_ADDRESS, B_BAD_VALUE, B_FILE_ERROR, B_OK, B_WOULD_BLOCK, EBUSY, EINVAL, ENETDOWN, ENOENT, O_NONBLOCK, O_RDWR,
    device_hooks, status_t,
};
use tuntap_testkit::image::Image;
use tuntap_testkit::packet::{Way, ipv4};
use tuntap_testkit::program::{nowhere, user_address};

/// Opens a node by its hook.
fn open(hooks: &device_hooks, name: &str) -> Result<*mut c_void, status_t> {
    let name = CString::new(name).unwrap();
    let mut cookie = null_mut();
    // SAFETY: a C string, and a place for the cookie.
    let status = unsafe { hooks.open.unwrap()(name.as_ptr(), O_RDWR | O_NONBLOCK, &mut cookie) };
    if status == B_OK {
        assert!(!cookie.is_null());
        Ok(cookie)
    } else {
        assert!(cookie.is_null(), "no cookie comes with an error");
        Err(status)
    }
}

/// Closes it: first of the two.
fn close(hooks: &device_hooks, cookie: *mut c_void) -> status_t {
    // SAFETY: null, or a cookie of `open` that was not freed.
    unsafe { hooks.close.unwrap()(cookie) }
}

/// Frees it: second of the two.
fn free(hooks: &device_hooks, cookie: *mut c_void) -> status_t {
    // SAFETY: null, or a cookie of `open` that is not used again.
    unsafe { hooks.free.unwrap()(cookie) }
}

/// Reads: the status, and the length that comes back.
fn read(hooks: &device_hooks, cookie: *mut c_void, at: usize, length: usize) -> (status_t, usize) {
    let mut length = length;
    // SAFETY: null, or a cookie of `open`; the buffer is the driver's to judge.
    let status = unsafe { hooks.read.unwrap()(cookie, 0, at as *mut c_void, &mut length) };
    (status, length)
}

/// Writes: the status, and the length that comes back.
fn write(hooks: &device_hooks, cookie: *mut c_void, at: usize, length: usize) -> (status_t, usize) {
    let mut length = length;
    // SAFETY: null, or a cookie of `open`; the buffer is the driver's to judge.
    let status = unsafe { hooks.write.unwrap()(cookie, 0, at as *const c_void, &mut length) };
    (status, length)
}

/// Selects an invalid event: a valid one would need a kernel that waits.
fn select(hooks: &device_hooks, cookie: *mut c_void, event: u8) -> status_t {
    // SAFETY: null, or a cookie of `open`; the event is invalid, so nothing is registered.
    unsafe { hooks.select.unwrap()(cookie, event, 0, null_mut()) }
}

#[test]
fn the_file_is_a_driver_of_haikus_second_interface() {
    let image = Image::load();
    let exports = image.exports();
    assert_eq!(exports.api_version, Some(2));
    // SAFETY: the function takes nothing.
    assert_eq!(unsafe { exports.init_hardware.unwrap()() }, B_OK);
    assert!(!exports.modules.is_null() && !exports.module_dependencies.is_null());
    image.end();
}

#[test]
fn nodes_are_named_and_found_before_either_role_begins() {
    let image = Image::load();
    for _ in 0..3 {
        assert_eq!(image.published(), ["misc/tun_tap", "misc/tun_tap_short", "tun/0", "tap/0"]);
    }
    for name in ["tun/0", "tun/1", "tun/255", "tap/0", "tap/255", "misc/tun_tap", "misc/tun_tap_short"] {
        assert!(image.find(name).is_some(), "{name}");
    }
    for name in
        ["", "tun", "tap", "tun/256", "tun/01", "tap/-1", "tunnel/0", "null", "tun/0/0", "/tun/0", "misc/tun_tap/"]
    {
        assert!(image.find(name).is_none(), "{name}");
    }
    image.end();
}

#[test]
fn every_hook_refuses_a_null_cookie() {
    let image = Image::load();
    for name in ["tun/0", "tap/0"] {
        let hooks = image.find(name).unwrap();
        assert_eq!(close(hooks, null_mut()), B_BAD_VALUE);
        assert_eq!(free(hooks, null_mut()), B_BAD_VALUE);
        assert_eq!(read(hooks, null_mut(), nowhere(), 100).0, B_BAD_VALUE);
        assert_eq!(write(hooks, null_mut(), nowhere(), 100).0, B_BAD_VALUE);
        for event in [0, 1, 2, 8, 9, 255] {
            assert_eq!(select(hooks, null_mut(), event), B_BAD_VALUE);
            // SAFETY: no cookie, and no sync.
            assert_eq!(unsafe { hooks.deselect.unwrap()(null_mut(), event, null_mut()) }, B_BAD_VALUE);
        }
        // SAFETY: no cookie, and no argument.
        assert_eq!(unsafe { hooks.control.unwrap()(null_mut(), 3, null_mut(), 0) }, B_BAD_VALUE);
        assert!(hooks.readv.is_none() && hooks.writev.is_none(), "Haiku makes one call of each vector itself");
    }
    image.end();
}

#[test]
fn a_name_that_is_no_unit_is_not_opened() {
    let image = Image::load();
    let before = image.ledgers();
    let hooks = image.find("tun/0").unwrap();
    for name in ["", "tun", "tap/0", "tun/256", "tun/00", "tun/0 ", "null"] {
        assert_eq!(open(hooks, name), Err(ENOENT), "{name}");
    }
    assert_eq!(image.ledgers(), before);
    image.end();
}

#[test]
fn a_unit_that_was_closed_and_not_freed_fails_calls_and_stays_taken() {
    let image = Image::load();
    image.begin();
    for (name, packet) in [("tun/3", ipv4(Way::ToStack, 100)), ("tap/3", vec![0xffu8; 100])] {
        let mut memory = packet;
        let at = user_address(&mut memory);
        let hooks = image.find(name).unwrap();
        let cookie = open(hooks, name).unwrap();
        assert_eq!(read(hooks, cookie, at, 100), (B_WOULD_BLOCK, 0));
        assert_eq!(write(hooks, cookie, at, 100), (ENETDOWN, 0));
        for _ in 0..3 {
            assert_eq!(close(hooks, cookie), B_OK, "once more does no harm");
            assert_eq!(read(hooks, cookie, at, 100), (B_FILE_ERROR, 0));
            assert_eq!(write(hooks, cookie, at, 100), (B_FILE_ERROR, 0));
            assert_eq!(open(hooks, name), Err(EBUSY));
        }
        assert_eq!(free(hooks, cookie), B_OK);
        let again = open(hooks, name).unwrap();
        assert_eq!(free(hooks, again), B_OK, "and without a close before it");
        let again = open(hooks, name).unwrap();
        assert_eq!((close(hooks, again), free(hooks, again)), (B_OK, B_OK));
    }
    image.finish();
    image.end();
}

#[test]
fn a_call_of_no_bytes_is_judged_as_any_other() {
    let image = Image::load();
    image.begin();
    for name in ["tun/0", "tap/0"] {
        let hooks = image.find(name).unwrap();
        let cookie = open(hooks, name).unwrap();
        assert_eq!(write(hooks, cookie, nowhere(), 0), (EINVAL, 0));
        assert_eq!(read(hooks, cookie, nowhere(), 0), (B_OK, 0));
        assert_eq!(read(hooks, cookie, nowhere(), 100), (B_WOULD_BLOCK, 0), "nothing is copied, so nothing faults");
        assert_eq!(write(hooks, cookie, nowhere(), 100), (B_BAD_ADDRESS, 0));
        for event in [0, 4, 5, 6, 7, 9, 255] {
            assert_eq!(select(hooks, cookie, event), B_BAD_VALUE, "{event}");
        }
        assert_eq!((close(hooks, cookie), free(hooks, cookie)), (B_OK, B_OK));
    }
    image.finish();
    image.end();
}

#[test]
fn no_hook_follows_a_pointer_into_the_kernel() {
    // Haiku's own addresses: where its kernel begins and lies, and where programs end.
    let kernel = [0xffff_8000_0000_0000, 0xffff_ffff_8000_1000, 0x7fff_ffff_f000 - 2, usize::MAX - 50, 0, 8];
    let image = Image::load();
    image.begin();
    let hooks = image.find("tun/0").unwrap();
    let cookie = open(hooks, "tun/0").unwrap();
    for address in kernel {
        assert_eq!(read(hooks, cookie, address, 100), (B_BAD_ADDRESS, 0), "{address:#x}");
        assert_eq!(write(hooks, cookie, address, 100), (B_BAD_ADDRESS, 0), "{address:#x}");
        for control in crate::controls::pointers() {
            // SAFETY: a cookie of `open`; the argument is the driver's to judge.
            let status = unsafe { hooks.control.unwrap()(cookie, control.op, address as *mut c_void, usize::MAX) };
            assert_eq!(status, B_BAD_ADDRESS, "{} at {address:#x}", control.name);
        }
    }
    assert_eq!((close(hooks, cookie), free(hooks, cookie)), (B_OK, B_OK));
    image.finish();
    image.end();
}

#[test]
fn the_driver_role_may_begin_and_end_again_and_again() {
    let image = Image::load();
    let before = image.ledgers();
    for _ in 0..5 {
        image.begin();
        let hooks = image.find("tun/0").unwrap();
        let cookie = open(hooks, "tun/0").unwrap();
        assert_eq!(image.published(), ["misc/tun_tap", "misc/tun_tap_short", "tun/0", "tun/1", "tap/0"]);
        assert_eq!((close(hooks, cookie), free(hooks, cookie)), (B_OK, B_OK));
        image.finish();
        assert_eq!(image.published(), ["misc/tun_tap", "misc/tun_tap_short", "tun/0", "tap/0"]);
        assert_eq!(image.ledgers(), before);
    }
    image.end();
}
