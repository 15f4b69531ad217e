//! Device monitors: what a packet capture registers with the stack (`register_device_monitor` in `device_interfaces.cpp`).
//!
//! The reader thread and the send path hand every frame to the monitors of the device, under the list's lock. The monitors
//! thread the list through their own links, as Haiku's do: a monitor that is alone has null on both sides.

use core::ffi::c_void;
use std::cell::UnsafeCell;
use std::mem::ManuallyDrop;
use std::ptr;
use std::sync::Arc;

use haiku_kernel::sync::Mutex;
use haiku_sys::{B_BAD_VALUE, B_OK, list_link, net_buffer as Raw, net_device_monitor, status_t};

use crate::pcap::Capture;

use super::buffer::Packet;
use super::fifo::lock;

/// The monitors of a device, in the order of their registration.
pub(crate) struct Monitors {
    list: Mutex<Vec<Registered>>,
    file: Option<FileMonitor>,
}

/// The monitor that writes each frame to the lab's capture file.
struct FileMonitor {
    monitor: Box<UnsafeCell<net_device_monitor>>,
    /// The monitor's cookie.
    _capture: Arc<Capture>,
}

// SAFETY: the list's lock guards every access to the monitor, and a capture may be used by any thread.
unsafe impl Send for FileMonitor {}
// SAFETY: as above.
unsafe impl Sync for FileMonitor {}

/// A registered monitor; its owner keeps it until it has unregistered it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Registered(*mut net_device_monitor);

// SAFETY: the list's lock guards every access to a monitor.
unsafe impl Send for Registered {}

impl std::fmt::Debug for Monitors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Monitors({})", lock(&self.list).len())
    }
}

impl Monitors {
    /// Returns the monitors of a new device: the one of the capture file, if there is such a file.
    pub(crate) fn new(capture: Option<Arc<Capture>>) -> Self {
        let file = capture.map(|capture| {
            let cookie = Arc::as_ptr(&capture).cast_mut().cast();
            FileMonitor { monitor: Box::new(UnsafeCell::new(monitor(cookie, write_to_file))), _capture: capture }
        });
        let monitors = Self { list: Mutex::default(), file };
        if let Some(file) = &monitors.file {
            monitors.register(file.monitor.get());
        }
        monitors
    }

    /// Hands a frame to each monitor.
    pub(crate) fn receive(&self, frame: &Packet) {
        for monitor in lock(&self.list).iter() {
            // SAFETY: the monitor is registered, and so alive.
            if let Some(receive) = unsafe { (*monitor.0).receive } {
                // SAFETY: as above; the frame is lent.
                unsafe { receive(monitor.0, frame.as_ptr()) };
            }
        }
    }

    /// Adds a monitor.
    pub(crate) fn register(&self, monitor: *mut net_device_monitor) -> status_t {
        self.change(|list| {
            list.push(Registered(monitor));
            B_OK
        })
    }

    /// Removes a monitor.
    pub(crate) fn unregister(&self, monitor: *mut net_device_monitor) -> status_t {
        self.change(|list| {
            let before = list.len();
            list.retain(|other| *other != Registered(monitor));
            if list.len() < before { B_OK } else { B_BAD_VALUE }
        })
    }

    fn change(&self, change: impl FnOnce(&mut Vec<Registered>) -> status_t) -> status_t {
        let mut list = lock(&self.list);
        let status = change(&mut list);
        let at = |index: usize| list.get(index).map_or(ptr::null_mut(), |monitor| monitor.0.cast());
        for (index, monitor) in list.iter().enumerate() {
            let link = list_link { next: at(index + 1), prev: index.checked_sub(1).map_or(ptr::null_mut(), at) };
            // SAFETY: the monitor is registered, and so alive.
            let place = unsafe { &raw mut (*monitor.0).link };
            // SAFETY: as above; its owner only reads the link.
            unsafe { place.write_volatile(link) };
        }
        status
    }
}

type Receive = unsafe extern "C" fn(*mut net_device_monitor, *mut Raw) -> status_t;

/// Returns a monitor that is not registered yet.
pub(crate) fn monitor(cookie: *mut c_void, receive: Receive) -> net_device_monitor {
    let link = list_link { next: ptr::null_mut(), prev: ptr::null_mut() };
    net_device_monitor { link, cookie, receive: Some(receive), event: Some(ignore) }
}

/// Returns the bytes of a frame that the stack lends to a monitor.
pub(crate) fn lent(buffer: *mut Raw) -> Option<Vec<u8>> {
    // SAFETY: the frame is lent: it is read, and not freed.
    let packet = ManuallyDrop::new(unsafe { Packet::from_raw(buffer) }?);
    packet.to_vec().ok()
}

/// # Safety
/// `monitor` is registered, so its cookie is alive. `buffer` is a live packet, which the caller keeps.
unsafe extern "C" fn write_to_file(monitor: *mut net_device_monitor, buffer: *mut Raw) -> status_t {
    // SAFETY: the monitor is registered, and so alive.
    let capture = unsafe { (*monitor).cookie }.cast::<Capture>();
    // SAFETY: the monitor's cookie stays as long as the monitor is registered.
    let capture = unsafe { &*capture };
    if let Some(frame) = lent(buffer) {
        capture.frame(&frame);
    }
    B_OK
}

/// # Safety
/// Has no requirements; the arguments are not used.
unsafe extern "C" fn ignore(_: *mut net_device_monitor, _: i32) {}
