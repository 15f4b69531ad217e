//! Haiku's network stack around smoltcp: interfaces, datalink protocols, routes and the two modules that drivers call.
//!
//! From the bottom up: [`device`] runs a driver's device with its reader and consumer threads; [`ethernet`], [`arp`]
//! and [`ndp`] are the datalink protocols; [`interface`] and [`control`] are what `ifconfig` configures; [`routes`]
//! and [`output`] decide where a packet goes; [`host`] is smoltcp. What is awkward on Haiku is awkward here.

mod address;
mod arp;
mod buffer;
mod capture;
mod control;
mod device;
mod error;
mod ethernet;
mod fifo;
mod host;
mod info;
mod input;
mod interface;
mod modules;
mod monitor;
mod ndp;
mod neighbour;
mod output;
mod pcap;
mod phy;
mod routes;
mod tcp;
mod timer;

use std::collections::HashMap;
use std::ffi::CString;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use haiku_kernel::sync::Mutex;
use haiku_kernel::thread;
use haiku_sys::{B_NORMAL_PRIORITY, B_OK, status_t, thread_id};

pub use address::{Family, broadcast, is_contiguous, masked, prefix_length, to_storage};
pub use capture::PacketCapture;
pub use control::{AliasRequest, RouteRequest};
pub use error::{Error, strerror};
pub use ethernet::{Mac, link_address};
pub use host::HostState;
pub use info::{AddressInfo, InterfaceInfo, NeighbourInfo, RouteInfo};
pub use output::Path;
pub use pcap::Capture;
pub use phy::Queues;

use self::buffer::Packet;
use self::device::{Device, DeviceInterface};
pub use self::fifo::lock;
use self::interface::{AddressRef, Census, Interface};
use self::neighbour::Cache;
use self::routes::{Description, Table};
use self::tcp::Connections;
use self::timer::{Key, Timers};

/// How long the end of the stack waits for interfaces that are still in use.
const STRAGGLERS: Duration = Duration::from_secs(1);

/// What a stack is started with.
#[derive(Default)]
pub struct StackOptions {
    /// Where frames are captured, as a packet capture on every interface would.
    pub capture: Option<Arc<Capture>>,
    /// How long `down` waits for a driver's reader before the process says which one is lost and aborts; without it
    /// the wait is as long as Haiku's, for ever.
    pub reader_patience: Option<Duration>,
}

/// The network stack of the emulated kernel.
pub struct Stack {
    pub(crate) options: StackOptions,
    devices: Mutex<Vec<Arc<DeviceInterface>>>,
    device_index: AtomicU32,
    interfaces: Mutex<Vec<Arc<Interface>>>,
    interface_index: AtomicU32,
    /// The interface addresses by what they are, as the stack finds out whether a packet is for it.
    locals: Mutex<HashMap<IpAddr, Vec<AddressRef>>>,
    inet: Mutex<Table<AddressRef>>,
    inet6: Mutex<Table<AddressRef>>,
    arp: Cache,
    ndp: Cache,
    tcp: Connections,
    timers: Timers,
    timer_thread: Mutex<Option<thread_id>>,
    /// The machine is being shut down: what would go wrong a second later does not any more.
    stopping: AtomicBool,
    census: Census,
}

impl std::fmt::Debug for Stack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Stack({:?})", lock(&self.interfaces))
    }
}

impl Stack {
    /// Starts the stack: registers its modules with the emulated kernel, which must be running.
    #[must_use]
    pub fn start(options: StackOptions) -> Arc<Self> {
        let stack = Arc::new(Self {
            options,
            devices: Mutex::default(),
            device_index: AtomicU32::new(0),
            interfaces: Mutex::default(),
            interface_index: AtomicU32::new(0),
            locals: Mutex::default(),
            inet: Mutex::new(Table::new(Family::Inet)),
            inet6: Mutex::new(Table::new(Family::Inet6)),
            arp: Cache::default(),
            ndp: Cache::default(),
            tcp: Connections::default(),
            timers: Timers::default(),
            timer_thread: Mutex::new(None),
            stopping: AtomicBool::new(false),
            census: Census::default(),
        });
        modules::register();
        modules::set_current(Some(Arc::clone(&stack)));
        let timed = Arc::clone(&stack);
        let id = thread::spawn("net timer", B_NORMAL_PRIORITY as i32, move || {
            timed.timers.run(|key| timed.due(key));
            B_OK
        });
        *lock(&stack.timer_thread) = Some(id);
        stack
    }

    /// Removes every interface and ends the stack's threads. Returns what is still referenced.
    pub fn stop(self: &Arc<Self>) -> Leftovers {
        self.stopping.store(true, Ordering::SeqCst);
        let interfaces = lock(&self.interfaces).clone();
        for interface in interfaces {
            self.remove_interface_object(&interface);
        }
        // Routes that outlived their interface, as they do on Haiku when it is deleted while it is down.
        for family in Family::ALL {
            let routes = lock(self.table(family)).invalidate(|_| true);
            drop(routes);
        }
        self.timers.stop();
        if let Some(id) = lock(&self.timer_thread).take() {
            let _ = thread::wait_for(id);
        }
        self.arp.clear();
        self.ndp.clear();
        // A consumer thread may be finishing a packet, and with it hold the interface for a moment longer.
        let (interfaces, addresses) = self.census.settle(STRAGGLERS);
        modules::set_current(None);
        Leftovers { interfaces, addresses }
    }

    /// A line for the system's log.
    pub(crate) fn log(&self, line: &str) {
        if let Ok(line) = CString::new(format!("{line}\n")) {
            // SAFETY: the format takes one string, and this is one.
            unsafe { haiku_sys::dprintf(c"%s".as_ptr(), line.as_ptr()) };
        }
    }

    /// The routing table of a family.
    fn table(&self, family: Family) -> &Mutex<Table<AddressRef>> {
        match family {
            Family::Inet => &self.inet,
            Family::Inet6 => &self.inet6,
        }
    }

    /// Adds a route.
    pub(crate) fn add_route(&self, family: Family, route: &Description<AddressRef>) -> Result<(), status_t> {
        lock(self.table(family)).add(route)
    }

    /// Removes a route.
    pub(crate) fn remove_route(&self, family: Family, route: &Description<AddressRef>) -> Result<(), status_t> {
        let removed = lock(self.table(family)).remove(route)?;
        drop(removed);
        Ok(())
    }

    /// The interface addresses that are this address: usually one.
    pub(crate) fn local_addresses(&self, address: IpAddr) -> Vec<AddressRef> {
        lock(&self.locals).get(&address).cloned().unwrap_or_default()
    }

    /// The interface of this name.
    pub(crate) fn find_interface(&self, name: &str) -> Option<Arc<Interface>> {
        lock(&self.interfaces).iter().find(|interface| interface.name == name).cloned()
    }

    /// Whether an interface has the datalink protocols of a family.
    pub(crate) fn has_chain(&self, family: Family) -> bool {
        lock(&self.interfaces).iter().any(|interface| lock(&interface.inner).chains.contains(&family))
    }

    /// The interface of this index, for a driver; 0 is the first. The family gets its datalink protocols with it.
    pub(crate) fn get_interface_at(&self, family: Family, index: u32) -> Option<Arc<Interface>> {
        let found = {
            let interfaces = lock(&self.interfaces);
            match index {
                0 => interfaces.first().cloned(),
                _ => interfaces.iter().find(|interface| interface.index == index).cloned(),
            }
        }?;
        if found.busy.load(Ordering::SeqCst) {
            return None;
        }
        self.create_chain_if_needed(&found, family).ok()?;
        Some(found)
    }

    /// A driver reports that its link changed. Haiku notifies listeners; routes read the flag themselves. Nothing is locked
    /// here, because the driver may be inside `init_device`, which is called with the list of devices locked.
    pub(crate) fn link_changed(&self, device: Device) {
        self.log(&format!("network: link of {} changed", device.name()));
    }

    /// Hands the capture file a packet that no device's monitor sees.
    pub(crate) fn capture(&self, frame: &Packet) {
        if let Some(capture) = &self.options.capture
            && let Ok(bytes) = frame.to_vec()
        {
            capture.frame(&bytes);
        }
    }

    /// Something fell due.
    fn due(self: &Arc<Self>, key: Key) {
        match key {
            Key::Neighbour(address) => self.neighbour_due(address),
            Key::Host(index) => self.host_due(index),
            Key::Reader(index) => self.report_lost_reader(index),
        }
    }
}

/// What was not given back when the stack ended: references that a driver kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leftovers {
    /// Interfaces that still exist.
    pub interfaces: i64,
    /// Interface addresses that still exist.
    pub addresses: i64,
}

impl Leftovers {
    /// Whether everything came back.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        self.interfaces == 0 && self.addresses == 0
    }
}

/// Stops the emulated kernel with these words, as a failed assertion does on Haiku.
pub(crate) fn kernel_panic(message: &str) -> ! {
    if let Ok(message) = CString::new(message) {
        // SAFETY: the format takes one string, and this is one.
        unsafe { haiku_sys::panic(c"%s".as_ptr(), message.as_ptr()) };
    }
    std::process::abort()
}
