//! Packet captures on interfaces, as programs start them: device monitors that keep the frames.

use std::cell::UnsafeCell;
use std::sync::Arc;

use haiku_kernel::sync::Mutex;
use haiku_sys::{B_BAD_VALUE, B_DEVICE_NOT_FOUND, B_OK, net_buffer as Raw, net_device, net_device_monitor, status_t};

use super::Stack;
use super::device::Device;
use super::fifo::lock;
use super::monitor::{Monitors, lent, monitor};

impl Stack {
    fn with_monitors(&self, device: *mut net_device, act: impl FnOnce(&Monitors) -> status_t) -> status_t {
        // SAFETY: the caller's device is alive.
        let Some(device) = (unsafe { Device::borrow(device) }) else { return B_BAD_VALUE };
        let found = self.device_named(&device.name());
        found.map_or(B_DEVICE_NOT_FOUND, |interface| act(&interface.monitors))
    }

    /// `register_device_monitor`: the device is found by its name.
    pub(crate) fn register_monitor(&self, device: *mut net_device, monitor: *mut net_device_monitor) -> status_t {
        self.with_monitors(device, |monitors| monitors.register(monitor))
    }

    /// `unregister_device_monitor`.
    pub(crate) fn unregister_monitor(&self, device: *mut net_device, monitor: *mut net_device_monitor) -> status_t {
        self.with_monitors(device, |monitors| monitors.unregister(monitor))
    }

    /// Starts a packet capture on an interface.
    ///
    /// # Errors
    /// `B_DEVICE_NOT_FOUND` without such an interface.
    pub fn start_capture(self: &Arc<Self>, name: &str) -> Result<PacketCapture, status_t> {
        let interface = self.find_interface(name).ok_or(B_DEVICE_NOT_FOUND)?;
        let frames = Arc::new(Mutex::new(Vec::new()));
        let monitor = Box::new(UnsafeCell::new(monitor(Arc::as_ptr(&frames).cast_mut().cast(), keep)));
        let device = interface.device().as_ptr();
        match self.register_monitor(device, monitor.get()) {
            B_OK => Ok(PacketCapture { stack: Arc::clone(self), device, monitor, frames }),
            status => Err(status),
        }
    }
}

type Frames = Mutex<Vec<Vec<u8>>>;

/// A packet capture, which ends when dropped. The interface must stay until then.
pub struct PacketCapture {
    stack: Arc<Stack>,
    device: *mut net_device,
    monitor: Box<UnsafeCell<net_device_monitor>>,
    frames: Arc<Frames>,
}

impl std::fmt::Debug for PacketCapture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PacketCapture({} frames)", lock(&self.frames).len())
    }
}

impl PacketCapture {
    /// Takes the frames captured so far, either way.
    #[must_use]
    pub fn take(&self) -> Vec<Vec<u8>> {
        std::mem::take(&mut lock(&self.frames))
    }
}

impl Drop for PacketCapture {
    fn drop(&mut self) {
        let _ = self.stack.unregister_monitor(self.device, self.monitor.get());
    }
}

/// # Safety
/// `monitor` is registered, so its cookie is alive. `buffer` is a live packet, which the caller keeps.
unsafe extern "C" fn keep(monitor: *mut net_device_monitor, buffer: *mut Raw) -> status_t {
    // SAFETY: the monitor is registered, and so alive.
    let frames = unsafe { (*monitor).cookie }.cast::<Frames>();
    // SAFETY: the monitor's cookie stays as long as the monitor is registered.
    let frames = unsafe { &*frames };
    lock(frames).extend(lent(buffer));
    B_OK
}
