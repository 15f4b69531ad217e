//! Device interfaces: a driver's `net_device` with its reader and consumer threads.
//!
//! The order of every step is Haiku's, races included: an interface leaves the list before its device is freed, the result
//! of that is ignored, and a driver that misses its reader in `down` hangs the thread that waits for it.

use std::ffi::{CStr, CString};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicU64, Ordering};

use haiku_kernel::sync::Mutex;
use haiku_kernel::{modules, schedule, thread};
use haiku_sys::{
    B_DEVICE_NOT_FOUND, B_DISPLAY_PRIORITY, B_OK, B_REAL_TIME_DISPLAY_PRIORITY, ENETDOWN, IFF_UP, ifreq_stats,
    net_device, net_device_module_info, status_t, thread_id,
};

use super::buffer::{Packet, Sent, Unsent, check};
use super::ethernet::{self, Mac};
use super::fifo::{Fifo, Item, RECEIVE_QUEUE_BYTES, lock};
use super::monitor::Monitors;
use super::timer::Key;
use super::{Stack, kernel_panic};

/// How long the reader rests after an error, in microseconds.
const REST_AFTER_ERROR: i64 = 10_000;

/// Reads a field of a device that the driver may change at any moment.
macro_rules! read {
    ($device:expr, $($field:ident).+) => {{
        // SAFETY: the device is alive, and this only says where the field is.
        let place = unsafe { &raw const (*$device.0).$($field).+ };
        // SAFETY: the field is aligned and always holds a value; one that changes meanwhile is either old or new.
        unsafe { place.read_volatile() }
    }};
}

/// A driver's device, as the stack sees it. The driver owns the memory from `init_device` to `uninit_device`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Device(*mut net_device);

// SAFETY: the driver must bear calls from any thread, and the fields that change are only touched atomically.
unsafe impl Send for Device {}
// SAFETY: as above.
unsafe impl Sync for Device {}

impl Device {
    /// A device that its driver shows.
    ///
    /// # Safety
    /// The device is null or alive for as long as the result is used.
    pub(crate) unsafe fn borrow(device: *mut net_device) -> Option<Self> {
        (!device.is_null()).then_some(Self(device))
    }

    /// The device's address, for the driver.
    pub(crate) fn as_ptr(self) -> *mut net_device {
        self.0
    }

    /// The driver's functions.
    pub(crate) fn module(self) -> &'static net_device_module_info {
        let module = read!(self, module);
        // SAFETY: the stack set the field to the module it holds a reference to, and modules are statics.
        unsafe { &*module }
    }

    fn atomic_flags(self) -> &'static AtomicU32 {
        // SAFETY: the device is alive, and this only says where the flags are.
        let flags = unsafe { &raw mut (*self.0).flags };
        // SAFETY: both sides touch the flags as one aligned word.
        unsafe { AtomicU32::from_ptr(flags) }
    }

    /// Changes the flags as Haiku does: it reads the word and writes it, and what a driver does to it in between is undone.
    fn change_flags(self, change: impl FnOnce(u32) -> u32) {
        let flags = self.flags();
        // Another thread may run in between, in either mode of the kernel.
        schedule::point("device flags");
        std::thread::yield_now();
        self.atomic_flags().store(change(flags), Ordering::SeqCst);
    }

    /// `IFF_*`.
    pub(crate) fn flags(self) -> u32 {
        self.atomic_flags().load(Ordering::SeqCst)
    }

    /// The name the driver gave it.
    pub(crate) fn name(self) -> String {
        // SAFETY: the device is alive, and this only says where the name is.
        let name = unsafe { &raw const (*self.0).name };
        // SAFETY: the name is a string that ends within its 32 bytes.
        unsafe { CStr::from_ptr(name.cast()) }.to_string_lossy().into_owned()
    }

    /// Bytes of IP that fit.
    pub(crate) fn mtu(self) -> usize {
        read!(self, mtu)
    }

    /// `IFT_*`.
    pub(crate) fn kind(self) -> u32 {
        read!(self, r#type)
    }

    /// `IFM_*`.
    pub(crate) fn media(self) -> u32 {
        // SAFETY: the device is alive, and this only says where the word is.
        let media = unsafe { &raw mut (*self.0).media };
        // SAFETY: both sides touch it as one aligned word.
        unsafe { AtomicU32::from_ptr(media) }.load(Ordering::Relaxed)
    }

    /// Bits a second.
    pub(crate) fn link_speed(self) -> u64 {
        read!(self, link_speed)
    }

    /// The link-layer address.
    pub(crate) fn address(self) -> Mac {
        let [a, b, c, d, e, f, ..] = read!(self, address.data);
        [a, b, c, d, e, f]
    }

    /// The statistics that the stack keeps.
    pub(crate) fn statistics(self) -> ifreq_stats {
        read!(self, stats)
    }

    /// Adds one to a counter of the device's.
    fn count(self, counter: impl Fn(*mut net_device) -> *mut u32) {
        // SAFETY: the counter is an aligned word of a live device, and all its users access it atomically.
        unsafe { AtomicU32::from_ptr(counter(self.0)) }.fetch_add(1, Ordering::Relaxed);
    }

    /// Adds to a byte counter of the device's.
    fn count_bytes(self, counter: impl Fn(*mut net_device) -> *mut u64, bytes: usize) {
        // SAFETY: as for `count`.
        unsafe { AtomicU64::from_ptr(counter(self.0)) }.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Counts a packet that was handed to the driver, or that it refused.
    pub(crate) fn count_sent(self, sent: bool, bytes: usize) {
        if sent {
            // SAFETY: taking the address of a field of a live device.
            self.count(|device| unsafe { &raw mut (*device).stats.send.packets });
            // SAFETY: as above.
            self.count_bytes(|device| unsafe { &raw mut (*device).stats.send.bytes }, bytes);
        } else {
            // SAFETY: as above.
            self.count(|device| unsafe { &raw mut (*device).stats.send.errors });
        }
    }

    fn count_received(self, bytes: usize) {
        // SAFETY: taking the address of a field of a live device.
        self.count(|device| unsafe { &raw mut (*device).stats.receive.packets });
        // SAFETY: as above.
        self.count_bytes(|device| unsafe { &raw mut (*device).stats.receive.bytes }, bytes);
    }

    fn count_receive_dropped(self) {
        // SAFETY: taking the address of a field of a live device.
        self.count(|device| unsafe { &raw mut (*device).stats.receive.dropped });
    }

    fn count_receive_error(self) {
        // SAFETY: taking the address of a field of a live device.
        self.count(|device| unsafe { &raw mut (*device).stats.receive.errors });
    }

    /// Hands a frame to the driver and counts it; a frame that the driver refuses returns to the caller.
    pub(crate) fn send(self, frame: Packet) -> Sent {
        let bytes = frame.len();
        let Some(send_data) = self.module().send_data else { return frame.unsent(ENETDOWN) };
        // SAFETY: device and frame are alive; the driver owns the frame from here on only if it returns `B_OK`.
        let status = unsafe { send_data(self.0, frame.as_ptr()) };
        self.count_sent(status == B_OK, bytes);
        if status != B_OK {
            return Err(Unsent::refused(frame, status));
        }
        std::mem::forget(frame);
        Ok(())
    }
}

/// How often the interface was brought up, and its reader while it is.
#[derive(Debug, Default)]
struct UpState {
    count: u32,
    reader: Option<thread_id>,
}

/// A device with its threads. `references` counts as Haiku counts: at zero the device is freed, although the memory of this
/// structure may still be in use.
#[derive(Debug)]
pub(crate) struct DeviceInterface {
    pub(crate) device: Device,
    module: CString,
    index: u32,
    name: String,
    references: AtomicI32,
    busy: AtomicBool,
    up: Mutex<UpState>,
    consumer: Mutex<Option<thread_id>>,
    pub(crate) queue: Fifo,
    pub(crate) monitors: Monitors,
}

impl DeviceInterface {
    /// Another reference, unless the device is going already.
    pub(crate) fn acquire(self: &Arc<Self>) -> Option<Arc<Self>> {
        (self.references.fetch_add(1, Ordering::SeqCst) != 0).then(|| Arc::clone(self))
    }

    /// The index in the device.
    pub(crate) fn index(&self) -> u32 {
        self.index
    }
}

impl Stack {
    /// The device interface of this name. One that does not exist is made if `create` says so: the modules below
    /// `network/devices` are asked in order, all under one lock.
    pub(crate) fn get_device_interface(self: &Arc<Self>, name: &str, create: bool) -> Option<Arc<DeviceInterface>> {
        let mut list = lock(&self.devices);
        if let Some(found) = list.iter().find(|interface| interface.device.name() == name) {
            if found.busy.load(Ordering::SeqCst) {
                return None;
            }
            if let Some(interface) = found.acquire() {
                return Some(interface);
            }
        }
        if !create {
            return None;
        }
        let wanted = CString::new(name).ok()?;
        for module_name in modules::list("network/devices") {
            let module_name = CString::new(module_name).ok()?;
            let Ok(module) = modules::get(&module_name) else { continue };
            let module = module.cast::<net_device_module_info>();
            // SAFETY: modules below `network/devices` have this table.
            let Some(init) = (unsafe { (*module).init_device }) else {
                let _ = modules::put(&module_name);
                continue;
            };
            let mut device = std::ptr::null_mut();
            // SAFETY: the module is loaded, and both arguments live through the call.
            if unsafe { init(wanted.as_ptr(), &mut device) } == B_OK && !device.is_null() {
                let interface = self.allocate_device_interface(device, module, module_name);
                list.push(Arc::clone(&interface));
                return Some(interface);
            }
            let _ = modules::put(&module_name);
        }
        None
    }

    /// The device interface of this name, without a reference.
    pub(crate) fn device_named(&self, name: &str) -> Option<Arc<DeviceInterface>> {
        lock(&self.devices).iter().find(|interface| interface.device.name() == name).cloned()
    }

    /// The device interface of this index, without a reference.
    pub(crate) fn device_at(&self, index: u32) -> Option<Arc<DeviceInterface>> {
        lock(&self.devices).iter().find(|interface| interface.index() == index).cloned()
    }

    fn allocate_device_interface(
        self: &Arc<Self>,
        device: *mut net_device,
        module: *mut net_device_module_info,
        module_name: CString,
    ) -> Arc<DeviceInterface> {
        let index = self.device_index.fetch_add(1, Ordering::SeqCst) + 1;
        // SAFETY: `init_device` just made the device, and no other thread has a pointer to it.
        unsafe { (*device).index = index };
        // SAFETY: as above.
        unsafe { (*device).module = module };
        let device = Device(device);
        let name = device.name();
        let interface = Arc::new(DeviceInterface {
            device,
            module: module_name,
            index,
            references: AtomicI32::new(1),
            busy: AtomicBool::new(false),
            up: Mutex::default(),
            consumer: Mutex::new(None),
            queue: Fifo::new(RECEIVE_QUEUE_BYTES),
            name: name.clone(),
            monitors: Monitors::new(self.options.capture.clone()),
        });
        let (stack, consumed) = (Arc::clone(self), Arc::clone(&interface));
        let id = thread::spawn(&format!("{name} consumer"), B_DISPLAY_PRIORITY as i32, move || {
            stack.consume(&consumed);
            B_OK
        });
        *lock(&interface.consumer) = Some(id);
        interface
    }

    /// Gives a reference back. With the last one the interface leaves the list, its consumer ends, and only then is
    /// the driver told; what it answers changes nothing.
    pub(crate) fn put_device_interface(&self, interface: &Arc<DeviceInterface>) {
        if interface.references.fetch_sub(1, Ordering::SeqCst) != 1 {
            return;
        }
        lock(&self.devices).retain(|other| !Arc::ptr_eq(other, interface));
        interface.queue.close();
        let consumer = lock(&interface.consumer).take();
        if let Some(consumer) = consumer.filter(|id| *id != thread::current()) {
            let _ = thread::wait_for(consumer);
        }
        if let Some(uninit) = interface.device.module().uninit_device {
            // SAFETY: the last reference was released, so only the driver itself still has the device.
            let _ = unsafe { uninit(interface.device.as_ptr()) };
        }
        let _ = modules::put(&interface.module);
    }

    /// `ifconfig up`: the driver first, then `IFF_UP`, then the reader.
    pub(crate) fn up_device_interface(self: &Arc<Self>, interface: &Arc<DeviceInterface>) -> Result<(), status_t> {
        let mut up = lock(&interface.up);
        if up.count != 0 {
            up.count += 1;
            return Ok(());
        }
        let device = interface.device;
        if let Some(bring_up) = device.module().up {
            // SAFETY: the device is alive.
            check(unsafe { bring_up(device.as_ptr()) })?;
        }
        // The emulated kernel's threads run at once; raising the flag first is what Haiku's suspended thread sees.
        device.change_flags(|flags| flags | IFF_UP);
        if device.module().receive_data.is_some() {
            let (stack, read) = (Arc::clone(self), Arc::clone(interface));
            let priority = B_REAL_TIME_DISPLAY_PRIORITY as i32 - 10;
            let id = thread::spawn(&format!("{} reader", interface.name), priority, move || stack.read(&read));
            up.reader = Some(id);
        }
        up.count = 1;
        Ok(())
    }

    /// One of an interface's datalink chains goes down; with the first the device does. Returns whether it was up.
    pub(crate) fn down_device_interface(&self, interface: &Arc<DeviceInterface>, went_down: impl FnOnce()) -> bool {
        let reader = {
            let mut up = lock(&interface.up);
            if up.count == 0 {
                return false;
            }
            up.count -= 1;
            (up.count == 0).then(|| up.reader.take())
        };
        went_down();
        let Some(reader) = reader else { return true };
        let device = interface.device;
        device.change_flags(|flags| flags & !IFF_UP);
        if let Some(down) = device.module().down {
            // SAFETY: the device is alive.
            unsafe { down(device.as_ptr()) };
        }
        if let Some(reader) = reader.filter(|id| *id != thread::current()) {
            self.wait_for_reader(interface, reader);
        }
        true
    }

    /// Waits for the reader as Haiku does: for ever. With a patience set, the lab reports it after that time.
    fn wait_for_reader(&self, interface: &DeviceInterface, reader: thread_id) {
        let key = Key::Reader(interface.index());
        if let Some(patience) = self.options.reader_patience {
            self.timers.set(key, patience);
        }
        let _ = thread::wait_for(reader);
        self.timers.cancel(key);
    }

    /// Reports the reader that has not returned, and ends the process, which would hang otherwise.
    pub(crate) fn report_lost_reader(&self, index: u32) {
        let name = lock(&self.devices)
            .iter()
            .find(|interface| interface.index() == index)
            .map_or_else(|| format!("device {index}"), |interface| interface.name.clone());
        eprintln!(
            "haiku-lab: the thread '{name} reader' is still inside receive_data although the driver's down has returned.\n\
             haiku-lab: on Haiku `ifconfig {name} down` would hang now, for ever; the driver has to wake its reader."
        );
        std::process::abort();
    }

    /// The reader: receives, captures, deframes and queues for as long as the interface is up.
    fn read(self: &Arc<Self>, interface: &Arc<DeviceInterface>) -> status_t {
        let device = interface.device;
        let Some(receive) = device.module().receive_data else { return B_OK };
        let mut status = B_OK;
        while device.flags() & IFF_UP != 0 {
            let mut raw = std::ptr::null_mut();
            // SAFETY: the device is alive as long as its reader is.
            status = unsafe { receive(device.as_ptr(), &mut raw) };
            if status == B_OK {
                // SAFETY: with `B_OK` the driver gave the packet away.
                if let Some(packet) = unsafe { Packet::from_raw(raw) } {
                    self.received(interface, packet);
                }
            } else if status == B_DEVICE_NOT_FOUND {
                self.device_removed(interface);
                return status;
            } else {
                device.count_receive_error();
                thread::snooze(REST_AFTER_ERROR);
            }
        }
        status
    }

    fn received(&self, interface: &DeviceInterface, mut packet: Packet) {
        let device = interface.device;
        interface.monitors.receive(&packet);
        if packet.has_interface_address() {
            kernel_panic(&format!("ASSERT FAILED: {} reader: buffer->interface_address == NULL", interface.name));
        }
        if ethernet::deframe(&mut packet, interface.index()).is_err() {
            device.count_receive_dropped();
            return;
        }
        let bytes = packet.len();
        match interface.queue.enqueue(Item::Received(packet)) {
            Ok(()) => device.count_received(bytes),
            Err(_) => device.count_receive_dropped(),
        }
    }

    fn consume(self: &Arc<Self>, interface: &Arc<DeviceInterface>) {
        while interface.references.load(Ordering::SeqCst) > 0 {
            let Some(item) = interface.queue.dequeue() else { return };
            match item {
                Item::Received(packet) => self.input(interface, packet),
                Item::Local(packet) => self.input_local(packet),
            }
        }
    }

    /// The driver reports that its device is gone: the interface is removed too.
    fn device_removed(self: &Arc<Self>, interface: &Arc<DeviceInterface>) {
        if interface.busy.swap(true, Ordering::SeqCst) {
            return;
        }
        let Some(held) = interface.acquire() else { return };
        let removed = self.find_interface(&held.name);
        if let Some(removed) = removed {
            self.remove_interface_object(&removed);
        }
        self.put_device_interface(&held);
    }
}
