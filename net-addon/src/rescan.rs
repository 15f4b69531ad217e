//! Publishes the nodes again after a change.

use core::ffi::CStr;
use core::sync::atomic::{AtomicU32, Ordering};

use haiku_sys as sys;

use crate::log::{DRIVER_ROLE, MODULE_ROLE};

/// The name by which the kernel finds the loaded driver.
const DRIVER: &CStr = c"tun_tap";

/// How often the kernel has asked this image for its nodes.
static ASKED: AtomicU32 = AtomicU32::new(0);

/// Notes that the kernel asks this image for its nodes.
pub(crate) fn asked() {
    ASKED.fetch_add(1, Ordering::Relaxed);
}

/// Has the kernel ask for the nodes again, after the first use of a unit.
pub(crate) fn rescan() {
    let asked = ASKED.load(Ordering::Relaxed);
    // SAFETY: a C string; the caller holds no lock of this driver.
    let found = unsafe { sys::devfs_rescan_driver(DRIVER.as_ptr()) };
    if found != sys::B_OK {
        // Without the driver role no program can open the interface's unit.
        ::log::warn!(target: DRIVER_ROLE, "the driver role is not loaded, so /dev has no new node; is its link there?");
    } else if ASKED.load(Ordering::Relaxed) == asked {
        // The kernel loaded each role from another file: the package was exchanged since the start, or there are two
        // installations. Programs open the other image's units.
        ::log::warn!(
            target: MODULE_ROLE,
            "the nodes under /dev are of another tun_tap, so no packet passes: restart, and keep one installation only"
        );
    }
}
